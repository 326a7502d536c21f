#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "base/result.h"
#include "formats/model_config.h"
#include "formats/named_tensor.h"
#include "formats/vocabulary.h"

namespace carat {

/// What a container holds, before it is known whether the tensors are those of the model. Tensors carry their
/// HuggingFace text-only names.
struct CheckpointContent {
  ModelConfig config;  ///< valid
  Vocabulary vocabulary;
  std::vector<NamedTensor> tensors;
  std::shared_ptr<const void> storage;  ///< keeps the mapped files that the tensors lie in
};

}  // namespace carat
