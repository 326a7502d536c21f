#include "text/stream.h"

#include <utility>

#include "base/utf8.h"

namespace carat {

std::string TextStream::append(int32_t id) {
  tokenizer_->append_bytes(id, control_, waiting_);
  return take_whole_characters(waiting_);
}

std::string TextStream::end() { return to_valid_utf8(std::exchange(waiting_, {})); }

}  // namespace carat
