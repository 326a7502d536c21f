#include "eval_table.h"

#include <initializer_list>
#include <span>

#include "eval/figure_text.h"
#include "figures.h"
#include "formats/quote.h"
#include "text_table.h"

namespace carat {
namespace {

using Rows = std::vector<std::vector<std::string>>;

std::string number(const Estimate& figure) { return joined(estimate_text(figure)); }
std::string percent(const Estimate& figure) { return joined(percent_text(figure)); }

/// A figure of a row: of a model, or of a category of it.
struct Column {
  const char* title;
  Estimate Comparison::*figure;
  std::string (*text)(const Estimate&);
};

constexpr Column kAlone[] = {{"perplexity", &Comparison::perplexity, number}};

constexpr Column kPredicting[] = {{"perplexity", &Comparison::perplexity, number},
                                  {"ratio to reference", &Comparison::perplexity_ratio, number},
                                  {"RMS Δp", &Comparison::rms_delta_p, percent}};

constexpr Column kDistance[] = {{"mean KLD, nats", &Comparison::mean_kld, number},
                                {"median", &Comparison::median_kld, number},
                                {"99.9 %", &Comparison::kld_999, number},
                                {"top-1", &Comparison::top1_agreement, percent},
                                {"top-5", &Comparison::top5_agreement, percent}};

std::vector<std::string> titles(std::initializer_list<const char*> first, std::span<const Column> columns) {
  std::vector<std::string> row(first.begin(), first.end());
  for (const Column& column : columns) row.emplace_back(column.title);
  return row;
}

std::vector<std::string> row_of(std::vector<std::string> first, const Comparison& figures,
                                std::span<const Column> columns) {
  for (const Column& column : columns) first.push_back(column.text(figures.*column.figure));
  return first;
}

Rows predicting_rows(const EvalSetting& setting, const std::vector<ModelEvaluation>& models) {
  const std::span<const Column> columns =
      setting.reference.reference.empty() ? std::span<const Column>(kAlone) : kPredicting;
  Rows rows = {titles({"model", "scheme", "weights", "tokens", "tokens/s"}, columns)};
  for (const ModelEvaluation& model : models) {
    rows.push_back(row_of({printable(model.model), model.scheme.empty() ? "mixed" : model.scheme,
                           bytes_text(model.bytes), count_text(setting.tokens), rate_text(model.tokens_per_s)},
                          model.figures.whole, columns));
    for (size_t c = 0; c < setting.categories.size(); ++c) {
      const Comparison& figures = model.figures.categories[c];
      rows.push_back(row_of({"  " + setting.categories[c], "", "", count_text(figures.tokens), ""}, figures, columns));
    }
  }
  if (setting.reference.reference.empty()) return rows;
  const Comparison& figures = models.front().figures.whole;
  rows.push_back({"the reference", "", "", count_text(setting.tokens), "", number(figures.reference_perplexity)});
  return rows;
}

Rows distance_rows(const EvalSetting& setting, const std::vector<ModelEvaluation>& models) {
  Rows rows = {titles({"model"}, kDistance)};
  for (const ModelEvaluation& model : models) {
    rows.push_back(row_of({printable(model.model)}, model.figures.whole, kDistance));
    for (size_t c = 0; c < setting.categories.size(); ++c) {
      rows.push_back(row_of({"  " + setting.categories[c]}, model.figures.categories[c], kDistance));
    }
  }
  return rows;
}

std::string line(const char* name, const std::string& value) {
  std::string padded = name;
  padded.resize(11, ' ');
  return padded + value + "\n";
}

}  // namespace

std::string setting_text(const EvalSetting& setting) {
  const std::string documents =
      setting.documents == 1 ? "1 document" : count_text(static_cast<int64_t>(setting.documents)) + " documents";
  std::string text =
      line("text", printable(setting.text) + ", " + count_text(setting.tokens) + " tokens, " + documents);
  text += line("division", windows_text(setting.positions, setting.overlap));
  if (setting.reference.reference.empty()) return text;
  const std::string logits =
      setting.reference_logits.empty() ? "" : ", its logits from " + printable(setting.reference_logits);
  return text + line("reference", printable(setting.reference.reference) + logits);
}

std::string evaluation_text(const EvalSetting& setting, const std::vector<ModelEvaluation>& models) {
  std::string text = setting_text(setting);
  for (const ModelEvaluation& model : models) {
    for (const std::string& warning : model.warnings) text += line("warning", warning);
  }
  text += "\n" + table_text(predicting_rows(setting, models));
  if (!setting.reference.reference.empty()) text += "\n" + table_text(distance_rows(setting, models));
  return text;
}

}  // namespace carat
