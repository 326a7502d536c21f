#pragma once

#include <cstdint>
#include <string>

#include "eval/running_mean.h"

namespace carat {

/// Figures as the report shows them. What is not finite becomes "–".

/// A number in four digits: "0.02033", "58.95", "7.2·10⁻⁸".
std::string number_of_four_digits(double value);

/// A figure and its standard error; the error is empty where it is 0.
struct EstimateText {
  std::string value;
  std::string error;
};

/// The error decides how many digits there are: "58.95" and "0.48", "1.3·10⁻⁷" and "0.2·10⁻⁷".
EstimateText estimate_text(const Estimate& estimate);

/// Of a part of 1, in percent: "88.2 %" and "0.3 %".
EstimateText percent_text(const Estimate& part);

/// "58.95 ± 0.48".
std::string joined(const EstimateText& text);

/// "812 B", "13.4 MB", "2.61 GB": powers of 1000.
std::string size_text(uint64_t bytes);

}  // namespace carat
