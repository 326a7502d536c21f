#include "eval/report.h"

#include <algorithm>
#include <cmath>

#include "eval/markup.h"
#include "eval/report_plots.h"
#include "eval/report_tables.h"
#include "eval/svg_plot.h"

namespace carat {
namespace {

constexpr const char* kPageStyle =
    R"(:root { color-scheme: light dark; --paper: #fdfdfb; --ink: #1d1f21; --soft: #5c6066;
  --rule: #d5d5d0; --warning: #fdf3d8; --warning-rule: #b98900; }
@media screen and (prefers-color-scheme: dark) {
  :root { --paper: #17191c; --ink: #e4e4e0; --soft: #a4a8ae; --rule: #3b3f44; --warning: #33290f;
    --warning-rule: #d9ab2e; }
}
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 68rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 0.5rem; }
p, dd { max-width: 46rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.15rem 1.25rem; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.warnings { margin: 1.5rem 0; padding: 0.75rem 1rem; background: var(--warning); border-left: 4px solid var(--warning-rule); }
.warnings h2 { margin: 0; } .warnings p { margin: 0.5rem 0 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: 0.875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding-bottom: 0.35rem; }
th, td { padding: 0.3rem 1rem 0.3rem 0; text-align: left; vertical-align: baseline; border-bottom: 1px solid var(--rule); }
thead th { color: var(--soft); font-weight: 600; white-space: nowrap; }
tbody th { font-weight: 400; min-width: 9rem; overflow-wrap: anywhere; }
.number { text-align: right; white-space: nowrap; min-width: 0; }
.error { display: block; color: var(--soft); font-size: 0.8em; }
figure { margin: 1rem 0; break-inside: avoid; }
figcaption { color: var(--soft); font-size: 0.875rem; max-width: 46rem; }
@media print { body { padding: 0; max-width: none; font-size: 11px; } .wide { overflow: visible; } tr { break-inside: avoid; } }
)";

std::string element(const std::string& name, const std::string& text) {
  return "<" + name + ">" + escaped(text) + "</" + name + ">\n";
}

std::string heading(const EvalReport& report) {
  std::string out = element("h1", "Evaluation on " + report.text) + "<dl>\n";
  const auto add = [&out](const std::string& term, const std::string& text) {
    out += element("dt", term) + element("dd", text);
  };
  add("text", report.text);
  add("divided into", report.windows);
  add("reference", report.reference.empty() ? "none: perplexities alone" : report.reference);
  add("measured by", report.tool);
  return out + "</dl>\n";
}

std::string warnings(const EvalReport& report) {
  std::string out;
  for (const ReportModel& model : report.models) {
    for (const std::string& warning : model.warnings) {
      out += "<p><strong>" + escaped(model.name) + "</strong>: " + escaped(warning) + "</p>\n";
    }
  }
  if (out.empty()) return out;
  return "<section class=\"warnings\">\n" + element("h2", "Before you believe these figures") + out + "</section>\n";
}

std::string section(const std::string& title, const std::string& content) {
  return content.empty() ? std::string() : "<section>\n" + element("h2", title) + content + "</section>\n";
}

std::string figures(const EvalReport& report) {
  if (report.models.empty()) return element("p", "No model was measured.");
  std::string out = figures_table(report, "");
  out += element("p",
                 "Perplexity is the exponential of the mean loss of a token; it is comparable between models of the "
                 "same vocabulary alone. A figure stands with one standard error, for which the predictions count as "
                 "independent.");
  if (report.reference.empty()) return out;
  return out +
         element("p",
                 "KLD is the KL divergence of the model's prediction from the reference's, in nats: mean, median, "
                 "and what 99.9 % of the predictions do not exceed. Top-1: both find the same token most likely. "
                 "Top-5: part of the reference's five most likely tokens that are among the model's five. RMS Δp: "
                 "root mean square of the change of the right token's probability.");
}

std::string category_tables(const EvalReport& report) {
  std::string out;
  for (const std::string& category : categories_of(report)) out += figures_table(report, category);
  return out;
}

std::string sensitivity(const EvalReport& report) {
  if (report.sensitivity.empty()) return {};
  std::vector<TensorSensitivity> ranked = report.sensitivity;
  const auto divergence = [](const TensorSensitivity& tensor) {
    return std::isfinite(tensor.mean_kld.value) ? tensor.mean_kld.value : 0.0;
  };
  std::stable_sort(ranked.begin(), ranked.end(), [&](const TensorSensitivity& a, const TensorSensitivity& b) {
    return divergence(a) > divergence(b);
  });
  return element("p", "One tensor after the other was quantized, alone, and compared with the model as it is" +
                          (report.models.empty() ? std::string() : ": " + report.models.front().name) + ".") +
         sensitivity_figure(ranked) + sensitivity_table(ranked);
}

}  // namespace

std::string html_report(const EvalReport& report) {
  // Nothing is loaded, whatever a name may hold: the policy forbids all but the style below.
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
         "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n" +
         element("title", "Evaluation on " + report.text) + "<style>\n" + kPageStyle + plot_style() +
         "</style>\n</head>\n<body>\n<main>\n" + heading(report) + warnings(report) +
         section("Figures", figures(report)) + section("Categories", category_tables(report)) +
         section("How large the divergences are", histogram_figure(report)) +
         section("Quality against size", size_figure(report)) + section("Sensitivity of tensors", sensitivity(report)) +
         "</main>\n</body>\n</html>\n";
}

}  // namespace carat
