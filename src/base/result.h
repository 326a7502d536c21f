#pragma once

#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace carat {

/// What went wrong, in the classes that the command line turns into exit codes.
enum class ErrorKind {
  kFailed,       ///< the work failed (I/O, memory, numerics); exit code 1
  kUsage,        ///< the request makes no sense; exit code 2
  kRefused,      ///< a file or model was refused; exit code 3
  kInterrupted,  ///< the user asked to stop; exit code 130
};

/// An error for people: what was being read, what was found, what was expected, what to do.
struct Error {
  ErrorKind kind = ErrorKind::kFailed;
  std::string message;
};

inline Error failed(std::string message) { return {ErrorKind::kFailed, std::move(message)}; }
inline Error wrong_usage(std::string message) { return {ErrorKind::kUsage, std::move(message)}; }
inline Error refused(std::string message) { return {ErrorKind::kRefused, std::move(message)}; }

/// A value or an `Error`; it cannot be dropped by accident.
///
/// `value()` and `operator*` require `ok()`, `error()` requires `!ok()`; both are checked.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}      // NOLINT: implicit by design, so that `return value;` works
  Result(Error error) : state_(std::move(error)) {}  // NOLINT: implicit by design, so that `return refused(...)` works

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & {
    CARAT_CHECK(ok(), error().message.c_str());
    return std::get<0>(state_);
  }
  const T& value() const& {
    CARAT_CHECK(ok(), error().message.c_str());
    return std::get<0>(state_);
  }
  T&& value() && {
    CARAT_CHECK(ok(), error().message.c_str());
    return std::get<0>(std::move(state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const {
    CARAT_CHECK(state_.index() == 1, "error() of a Result that holds a value");
    return std::get<1>(state_);
  }

 private:
  std::variant<T, Error> state_;
};

/// The result of work that yields nothing but success.
using Status = Result<std::monostate>;
inline Status success() { return std::monostate{}; }

}  // namespace carat

#define CARAT_CONCAT_INNER(a, b) a##b
#define CARAT_CONCAT(a, b) CARAT_CONCAT_INNER(a, b)

/// `CARAT_TRY(auto x, f());` declares `x` from the value of `f()`, or returns its error from this function.
#define CARAT_TRY(declaration, expression) CARAT_TRY_IMPL(CARAT_CONCAT(carat_try_, __LINE__), declaration, expression)
#define CARAT_TRY_IMPL(temporary, declaration, expression) \
  auto temporary = (expression);                           \
  if (!temporary.ok()) return temporary.error();           \
  declaration = *std::move(temporary)

/// Returns the error of a `Status` from this function, or goes on.
#define CARAT_TRY_STATUS(expression)                                                       \
  do {                                                                                     \
    if (auto carat_status = (expression); !carat_status.ok()) return carat_status.error(); \
  } while (false)
