#include "text/stream.h"

#include <string_view>
#include <utility>

#include "base/utf8.h"

namespace carat {

std::string TextStream::append(int32_t id) {
  tokenizer_->append_bytes(id, control_, waiting_);
  std::string text;
  std::string_view rest = waiting_;
  while (!rest.empty()) {
    const Utf8Front front = utf8_front(rest);
    if (front.kind == Utf8Front::Kind::kIncomplete) break;
    text += front.kind == Utf8Front::Kind::kCharacter ? rest.substr(0, front.size) : kReplacementCharacter;
    rest.remove_prefix(front.size);
  }
  waiting_.erase(0, waiting_.size() - rest.size());
  return text;
}

std::string TextStream::end() { return to_valid_utf8(std::exchange(waiting_, {})); }

}  // namespace carat
