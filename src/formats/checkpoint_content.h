#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "base/file_map.h"
#include "base/result.h"
#include "formats/container.h"
#include "formats/model_config.h"
#include "formats/named_tensor.h"
#include "formats/vocabulary.h"

namespace carat {

/// What a container holds, before it is known whether the tensors are those of the model. Tensors carry their
/// HuggingFace text-only names.
struct CheckpointContent {
  Container container = Container::kGguf;
  ModelConfig config;  ///< valid
  Vocabulary vocabulary;
  std::vector<NamedTensor> tensors;
  uint64_t bytes_left_out = 0;          ///< of tensors that the files hold beside these
  std::shared_ptr<const void> storage;  ///< keeps the mapped files that the tensors lie in
  std::vector<const FileMap*> files;    ///< those files, in `storage`
};

}  // namespace carat
