#include "model/check_weights.h"

#include "formats/check_values.h"

namespace carat {
namespace {

Status check_tensor(const Checkpoint& checkpoint, const NamedTensor& tensor) {
  const std::string name = name_in(checkpoint.container(), tensor.name);
  return check_values({name, tensor.view}, checkpoint.path().string());
}

}  // namespace

Status check_weights(const Checkpoint& checkpoint, std::string_view suspected) {
  for (const bool wanted : {true, false}) {
    for (const NamedTensor& tensor : checkpoint.tensors()) {
      if (tensor.name.starts_with(suspected) == wanted) CARAT_TRY_STATUS(check_tensor(checkpoint, tensor));
    }
  }
  return success();
}

Status check_vectors(const Checkpoint& checkpoint) {
  for (const NamedTensor& tensor : checkpoint.tensors()) {
    if (tensor.view.shape.size() == 1) CARAT_TRY_STATUS(check_tensor(checkpoint, tensor));
  }
  return success();
}

}  // namespace carat
