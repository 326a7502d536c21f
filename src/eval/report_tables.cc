#include "eval/report_tables.h"

#include <algorithm>
#include <utility>

#include "eval/figure_text.h"
#include "eval/markup.h"

namespace carat {
namespace {

struct Column {
  std::string name;
  bool is_number;
};

/// What a cell says, not escaped yet.
struct Cell {
  Cell(std::string text) : value(std::move(text)) {}                                       // NOLINT: a cell is text
  Cell(EstimateText text) : value(std::move(text.value)), error(std::move(text.error)) {}  // NOLINT: or an estimate

  std::string value;
  std::string error;  // in a line of its own
};

using Row = std::vector<Cell>;

std::string cell(const std::string& tag, const Column& column, const Cell& content) {
  const std::string error =
      content.error.empty() ? "" : "<span class=\"error\">± " + escaped(content.error) + "</span>";
  const std::string name = tag.substr(0, 2);
  return "<" + tag + (column.is_number ? " class=\"number\"" : "") + ">" + escaped(content.value) + error + "</" +
         name + ">";
}

/// A table where the first cell of a row is its head.
std::string table(const std::string& caption, const std::vector<Column>& columns, const std::vector<Row>& rows) {
  std::string out = "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"" + escaped(caption) +
                    "\">\n<table>\n<caption>" + escaped(caption) + "</caption>\n<thead><tr>";
  for (const Column& column : columns) out += cell("th scope=\"col\"", column, column.name);
  out += "</tr></thead>\n<tbody>\n";
  for (const Row& row : rows) {
    out += "<tr>" + cell("th scope=\"row\"", columns.front(), row.front());
    for (size_t i = 1; i < row.size(); ++i) out += cell("td", columns[i], row[i]);
    out += "</tr>\n";
  }
  return out + "</tbody>\n</table>\n</div>\n";
}

const Comparison* slice_of(const ReportModel& model, const std::string& category) {
  const auto found = std::find_if(model.slices.begin(), model.slices.end(),
                                  [&](const ReportSlice& slice) { return slice.category == category; });
  return found == model.slices.end() ? nullptr : &found->figures;
}

Row row_of(const ReportModel& model, const Comparison& figures, bool has_reference) {
  Row row = {model.name, model.scheme.empty() ? std::string("not said") : model.scheme, size_text(model.bytes),
             estimate_text(figures.perplexity)};
  if (!has_reference) return row;
  for (const Estimate& figure : {figures.perplexity_ratio, figures.mean_kld, figures.median_kld, figures.kld_999}) {
    row.push_back(estimate_text(figure));
  }
  for (const Estimate& part : {figures.top1_agreement, figures.top5_agreement, figures.rms_delta_p}) {
    row.push_back(percent_text(part));
  }
  return row;
}

std::string count_text(int64_t count) {
  std::string digits = std::to_string(count);
  for (size_t place = digits.size(); place > 3; place -= 3) digits.insert(place - 3, ",");
  return digits;
}

}  // namespace

std::vector<std::string> categories_of(const EvalReport& report) {
  std::vector<std::string> categories;
  for (const ReportModel& model : report.models) {
    for (const ReportSlice& slice : model.slices) {
      const bool known = std::find(categories.begin(), categories.end(), slice.category) != categories.end();
      if (!slice.category.empty() && !known) categories.push_back(slice.category);
    }
  }
  return categories;
}

std::string figures_table(const EvalReport& report, const std::string& category) {
  const bool has_reference = !report.reference.empty();
  std::vector<Column> columns = {{"model", false}, {"scheme", false}, {"size", true}, {"perplexity", true}};
  if (has_reference) {
    for (const char* name : {"÷ reference", "mean KLD", "median KLD", "99.9 % KLD", "top-1", "top-5", "RMS Δp"}) {
      columns.push_back({name, true});
    }
  }
  std::vector<Row> rows;
  int64_t tokens = 0;
  for (const ReportModel& model : report.models) {
    const Comparison* figures = slice_of(model, category);
    if (figures == nullptr) continue;
    if (has_reference && rows.empty()) {
      rows.push_back({report.reference + " (reference)", std::string(), std::string(),
                      estimate_text(figures->reference_perplexity)});
      rows.back().resize(columns.size(), std::string());
    }
    rows.push_back(row_of(model, *figures, has_reference));
    tokens = figures->tokens;
  }
  return table((category.empty() ? "The whole text: " : category + ": ") + count_text(tokens) + " tokens", columns,
               rows);
}

std::string sensitivity_table(const std::vector<TensorSensitivity>& ranked) {
  const std::vector<Column> columns = {{"rank", true},           {"tensor", false},  {"stored", false},
                                       {"size", true},           {"lattice", false}, {"size there", true},
                                       {"relative error", true}, {"mean KLD", true}};
  std::vector<Row> rows;
  for (size_t i = 0; i < ranked.size(); ++i) {
    const TensorSensitivity& tensor = ranked[i];
    rows.push_back({std::to_string(i + 1), tensor.tensor, tensor.stored, size_text(tensor.bytes_before), tensor.lattice,
                    size_text(tensor.bytes_after), number_of_four_digits(tensor.relative_error),
                    estimate_text(tensor.mean_kld)});
  }
  return table("Tensors by the divergence that quantizing each alone causes", columns, rows);
}

}  // namespace carat
