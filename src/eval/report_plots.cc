#include "eval/report_plots.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "eval/figure_text.h"
#include "eval/markup.h"
#include "eval/svg_plot.h"

namespace carat {
namespace {

bool on_logarithmic_axis(double value) { return std::isfinite(value) && value > 0.0; }

double lower_edge(int bin) {
  return KldHistogram::kLowest * std::pow(10.0, static_cast<double>(bin) / KldHistogram::kBinsPerDecade);
}

uint64_t total(const KldHistogram& histogram) {
  return std::accumulate(histogram.counts.begin(), histogram.counts.end(), uint64_t{0});
}

std::vector<const ReportModel*> models_with_histograms(const EvalReport& report) {
  std::vector<const ReportModel*> models;
  for (const ReportModel& model : report.models) {
    if (!model.slices.empty() && total(model.slices.front().figures.histogram) > 0) models.push_back(&model);
  }
  return models;
}

struct BinRange {
  int first;
  int end;
};

/// The bins between the first and the last one that have something in them; there are such bins.
BinRange used_bins(const KldHistogram& histogram) {
  const auto is_used = [](uint64_t count) { return count > 0; };
  const auto first = std::find_if(histogram.counts.begin(), histogram.counts.end(), is_used);
  const auto end = std::find_if(histogram.counts.rbegin(), histogram.counts.rend(), is_used).base();
  return {static_cast<int>(first - histogram.counts.begin()), static_cast<int>(end - histogram.counts.begin())};
}

/// The same, widened to whole powers of ten.
BinRange used_decades(const KldHistogram& histogram) {
  constexpr int kDecade = KldHistogram::kBinsPerDecade;
  const BinRange bins = used_bins(histogram);
  return {bins.first / kDecade * kDecade, (bins.end + kDecade - 1) / kDecade * kDecade};
}

/// The histogram as steps, in percent of the predictions.
std::vector<PlotPoint> steps(const KldHistogram& histogram) {
  const auto all = static_cast<double>(total(histogram));
  const BinRange bins = used_bins(histogram);
  std::vector<PlotPoint> points = {{lower_edge(bins.first), 0.0}};
  for (int bin = bins.first; bin < bins.end; ++bin) {
    const double percent = 100.0 * static_cast<double>(histogram.counts[static_cast<size_t>(bin)]) / all;
    points.push_back({lower_edge(bin), percent});
    points.push_back({lower_edge(bin + 1), percent});
  }
  points.push_back({lower_edge(bins.end), 0.0});
  return points;
}

std::string figure(const std::string& plot, const std::string& caption) {
  return "<figure>\n" + plot + "<figcaption>" + escaped(caption) + "</figcaption>\n</figure>\n";
}

std::string plural(size_t count, const std::string& one, const std::string& several) {
  return std::to_string(count) + " " + (count == 1 ? one : several);
}

struct SizeUnit {
  double bytes;
  std::string name;
};

SizeUnit unit_of(uint64_t largest) {
  if (largest >= 1'000'000'000) return {1e9, "GB"};
  return largest >= 1'000'000 ? SizeUnit{1e6, "MB"} : SizeUnit{1e3, "kB"};
}

/// A model that can be shown with its place in the report, which decides its colour and its mark.
struct SizedModel {
  size_t series;
  std::string name;
  double size;  // in the unit of the axis
  Estimate kld;
};

void add_sized_model(SvgPlot& plot, const SizedModel& model) {
  const auto [value, error] = model.kld;
  if (on_logarithmic_axis(error)) plot.add_error_bar(model.series, model.size, value - error, value + error);
  plot.add_mark(model.series, {model.size, value},
                model.name + ": mean KL divergence " + joined(estimate_text(model.kld)));
}

bool can_be_shown(const TensorSensitivity& tensor) {
  return on_logarithmic_axis(tensor.relative_error) && on_logarithmic_axis(tensor.mean_kld.value);
}

/// The lattices that were tried, in the order of the table; their places are the numbers of the series.
std::vector<std::string> lattices_of(const std::vector<TensorSensitivity>& ranked) {
  std::vector<std::string> names;
  for (const TensorSensitivity& tensor : ranked) {
    if (std::find(names.begin(), names.end(), tensor.lattice) == names.end()) names.push_back(tensor.lattice);
  }
  return names;
}

std::string tooltip(const TensorSensitivity& tensor) {
  return tensor.tensor + " as " + tensor.lattice + ": relative error " + number_of_four_digits(tensor.relative_error) +
         ", mean KL divergence " + joined(estimate_text(tensor.mean_kld));
}

}  // namespace

std::string histogram_figure(const EvalReport& report) {
  const std::vector<const ReportModel*> models = models_with_histograms(report);
  if (models.empty()) return {};
  std::vector<std::vector<PlotPoint>> lines;
  std::vector<double> percents = {0.0};
  std::vector<double> edges;
  std::vector<std::string> names;
  for (const ReportModel* model : models) {
    const KldHistogram& histogram = model->slices.front().figures.histogram;
    const BinRange decades = used_decades(histogram);
    edges.insert(edges.end(), {lower_edge(decades.first), lower_edge(decades.end)});
    lines.push_back(steps(histogram));
    for (const PlotPoint& point : lines.back()) percents.push_back(point.y);
    names.push_back(model->name);
  }
  const bool any_equal = *std::min_element(edges.begin(), edges.end()) <= KldHistogram::kLowest;
  SvgPlot plot({.id = "histogram",
                .title = "Histogram of KL divergences",
                .description = "The part of the predictions, in percent, with a KL divergence from the reference of "
                               "each size, as a line for each of " +
                               plural(models.size(), "model", "models") + ".",
                .x_label = "KL divergence of a prediction (nats)",
                .y_label = "predictions (%)"},
               Axis::logarithmic(edges), Axis::linear(percents));
  for (size_t i = 0; i < lines.size(); ++i) plot.add_line(i, lines[i]);
  plot.add_line_legend(names);
  return figure(plot.markup(), "Eight bins to a power of ten." +
                                   (any_equal ? std::string(" The first one, at 10⁻⁹, also has what is below: "
                                                            "predictions equal to those of the reference.")
                                              : std::string(" A line farther left is closer to the reference.")));
}

std::string size_figure(const EvalReport& report) {
  uint64_t largest = 0;
  for (const ReportModel& model : report.models) largest = std::max(largest, model.bytes);
  const SizeUnit unit = unit_of(largest);
  std::vector<SizedModel> models;
  std::vector<double> sizes;
  std::vector<double> klds;
  for (size_t i = 0; i < report.models.size(); ++i) {
    const ReportModel& model = report.models[i];
    if (model.slices.empty() || !on_logarithmic_axis(model.slices.front().figures.mean_kld.value)) continue;
    const SizedModel& added = models.emplace_back(SizedModel{
        i, model.name, static_cast<double>(model.bytes) / unit.bytes, model.slices.front().figures.mean_kld});
    sizes.push_back(added.size);
    klds.push_back(added.kld.value);
  }
  if (models.empty()) return {};
  SvgPlot plot(
      {.id = "size",
       .title = "Quality against size",
       .description = "Mean KL divergence from the reference against the bytes of the tensors, a mark for each "
                      "of " +
                      plural(models.size(), "model", "models") + ". Lower and farther left is better.",
       .x_label = "size of the tensors (" + unit.name + ")",
       .y_label = "mean KL divergence (nats)"},
      Axis::linear(sizes), Axis::logarithmic(klds));
  for (const SizedModel& model : models) {
    add_sized_model(plot, model);
    plot.add_label({model.size, model.kld.value}, model.name);
  }
  const size_t missing = report.models.size() - models.size();
  return figure(plot.markup(),
                "Lower and farther left is better. Bars: one standard error to both sides." +
                    (missing == 0 ? std::string()
                                  : " Not shown, for a logarithmic axis has no place for a divergence of 0: " +
                                        plural(missing, "model.", "models.")));
}

std::string sensitivity_figure(const std::vector<TensorSensitivity>& ranked) {
  std::vector<double> errors;
  std::vector<double> klds;
  for (const TensorSensitivity& tensor : ranked) {
    if (!can_be_shown(tensor)) continue;
    errors.push_back(tensor.relative_error);
    klds.push_back(tensor.mean_kld.value);
  }
  if (errors.empty()) return {};
  const std::vector<std::string> lattices = lattices_of(ranked);
  SvgPlot plot(
      {.id = "sensitivity",
       .title = "Error of each tensor against its sensitivity",
       .description = "Mean KL divergence that quantizing a tensor alone causes, against the relative error of "
                      "its weights: " +
                      plural(errors.size(), "tensor", "tensors") + ", the first ranks with their numbers.",
       .x_label = "relative error of the weights",
       .y_label = "mean KL divergence (nats)"},
      Axis::logarithmic(errors), Axis::logarithmic(klds));
  for (size_t i = 0; i < ranked.size(); ++i) {
    if (!can_be_shown(ranked[i])) continue;
    const PlotPoint at = {ranked[i].relative_error, ranked[i].mean_kld.value};
    const auto lattice = std::find(lattices.begin(), lattices.end(), ranked[i].lattice);
    plot.add_mark(static_cast<size_t>(lattice - lattices.begin()), at, tooltip(ranked[i]));
    if (i < kNumberedTensors) plot.add_label(at, std::to_string(i + 1));
  }
  plot.add_mark_legend(lattices);
  const size_t missing = ranked.size() - errors.size();
  return figure(plot.markup(),
                "The numbers are ranks in the table below. A tensor high above others of the same error "
                "deserves more bits." +
                    (missing == 0 ? std::string()
                                  : " Not shown, for nothing changes when they are quantized: " +
                                        plural(missing, "tensor.", "tensors.")));
}

}  // namespace carat
