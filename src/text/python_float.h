#pragma once

#include <string>

namespace carat {

/// A float as Python prints it, which is how templates write numbers: in the shortest digits that give the number back,
/// with an exponent below 1e-4 and from 1e16 on, and never looking like an integer: "0.5", "2.0", "1e-05", "inf".
std::string python_float_text(double number);

}  // namespace carat
