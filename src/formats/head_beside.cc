#include "formats/head_beside.h"

#include <utility>

#include "formats/code_scales.h"

namespace carat {

void HeadBeside::add(NamedTensor tensor) {
  if (tensor.name == "lm_head.weight") {
    head_ = std::move(tensor);
    return;
  }
  if (tensor.name == "model.embed_tokens.weight") embedding_ = tensor;
  tensors_.push_back(std::move(tensor));
}

Result<std::vector<NamedTensor>> HeadBeside::take(const std::string& source) {
  if (head_ && embedding_ && !same_stored(head_->view, embedding_->view)) {
    return refused(source + ": lm_head differs from " + embedding_->name +
                   "; a head apart from the embedding is not supported");
  }
  return std::move(tensors_);
}

}  // namespace carat
