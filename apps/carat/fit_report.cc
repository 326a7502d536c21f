#include "fit_report.h"

#include <algorithm>
#include <cstdio>

namespace carat {
namespace {

constexpr double kClippedTooOften = 0.001;

const char* part_of(const CacheFit& fit) { return fit.keys ? "keys" : "values"; }

const char* verdict(const CacheFit& fit) {
  if (fit.fits()) return "fits";
  return fit.clipped >= kClippedTooOften ? "clips: try --cache-type f16"
                                         : "too coarse: a sixteenth of the scale may be meant; try --cache-type f16";
}

void print_inputs(const std::vector<InputFit>& inputs) {
  if (inputs.empty()) return;
  const auto clipping =
      std::ranges::count_if(inputs, [](const InputFit& fit) { return fit.clipped >= kClippedTooOften; });
  const InputFit& worst = *std::ranges::max_element(inputs, {}, &InputFit::clipped);
  std::printf("%zu of %zu inputs of linear layers clip 0.1 %% or more of their values; most: %s, %.3f %%\n",
              static_cast<size_t>(clipping), inputs.size(), worst.module.c_str(), 100 * worst.clipped);
}

}  // namespace

nlohmann::ordered_json fit_json(const StaticFit& found) {
  nlohmann::ordered_json cache = nlohmann::ordered_json::array();
  for (const CacheFit& fit : found.cache) {
    cache.push_back({{"layer", fit.layer},
                     {"part", part_of(fit)},
                     {"scale", fit.scale},
                     {"clipped", fit.clipped},
                     {"bits", fit.bits},
                     {"fits", fit.fits()}});
  }
  nlohmann::ordered_json inputs = nlohmann::ordered_json::array();
  for (const InputFit& fit : found.inputs) {
    inputs.push_back({{"module", fit.module}, {"scale", fit.scale}, {"clipped", fit.clipped}, {"bits", fit.bits}});
  }
  return {{"cache", cache}, {"inputs", inputs}};
}

void print_fit(const StaticFit& found) {
  std::printf("\nlayer  part    scale       clipped    bits\n");
  for (const CacheFit& fit : found.cache) {
    std::printf("%5zu  %-6s  %-10.4g  %7.3f %%  %4d  %s\n", fit.layer, part_of(fit), static_cast<double>(fit.scale),
                100 * fit.clipped, fit.bits, verdict(fit));
  }
  print_inputs(found.inputs);
}

}  // namespace carat
