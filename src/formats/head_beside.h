#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/named_tensor.h"

namespace carat {

/// Collects the tensors of a folder whose files may have a head beside the embedding. Carat computes the head with the
/// embedding, so that it has to be the same.
class HeadBeside {
 public:
  /// A tensor under its name inside Carat.
  void add(NamedTensor tensor);

  /// All of them but the head. Refuses a head that is stored otherwise than the embedding, in any byte of its numbers
  /// or scales; `source` names the folder in messages.
  Result<std::vector<NamedTensor>> take(const std::string& source);

 private:
  std::vector<NamedTensor> tensors_;
  std::optional<NamedTensor> embedding_;
  std::optional<NamedTensor> head_;
};

}  // namespace carat
