#pragma once

#include <string>
#include <string_view>

#include "text/jinja_text.h"
#include "text/jinja_value.h"

namespace carat::jinja {

/// A text that grows at the cost of a budget.
class BudgetedText {
 public:
  explicit BudgetedText(Budget& budget) : budget_(budget) {}

  Status append(std::string_view part) {
    text_.append(part);
    if (!budget_.spend(part.size() / 16)) return out_of_budget();
    return success();
  }

  /// Refuses with `too_long` a text that has grown beyond kMaxTextBytes.
  Result<std::string> take(const char* too_long) {
    if (text_.overflowed()) return refused(too_long);
    return text_.take();
  }

 private:
  Budget& budget_;
  BoundedText text_;
};

}  // namespace carat::jinja
