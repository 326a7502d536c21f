#include "eval/report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"
#include "tests/support/markup.h"

namespace carat {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

Comparison figures(double kld, uint64_t seed) {
  Comparison made;
  made.tokens = 12345;
  made.perplexity = {59.68, 0.48};
  made.reference_perplexity = {58.95, 0.47};
  made.perplexity_ratio = {1.0124, 0.0012};
  made.mean_kld = {kld, kld / 400};
  made.median_kld = {kld / 2, kld / 300};
  made.kld_999 = {kld * 12, kld / 3};
  made.top1_agreement = {0.882, 0.0009};
  made.top5_agreement = {0.931, 0.0006};
  made.rms_delta_p = {0.021, 0.0003};
  Random random(seed);
  for (int i = 0; i < 500; ++i) {
    const double place = std::log10(kld * std::exp(random.normal()) / KldHistogram::kLowest);
    ++made.histogram.counts.at(static_cast<size_t>(place * KldHistogram::kBinsPerDecade));
  }
  return made;
}

ReportModel model(const std::string& name, uint64_t bytes, double kld) {
  return {.name = name, .scheme = "q4_0", .bytes = bytes, .slices = {{"", figures(kld, 1)}}};
}

TensorSensitivity tensor(const std::string& name, double error, double kld) {
  return {.tensor = name,
          .lattice = "Q4_0",
          .bytes_before = 1000,
          .bytes_after = 281,
          .relative_error = error,
          .mean_kld = {kld, kld / 50}};
}

EvalReport report() {
  return {.tool = "carat 0.1.0",
          .text = "held_out.txt",
          .windows = "windows of 512 positions",
          .reference = "models/opal",
          .models = {model("ptq.gguf", 7690000, 0.0203), model("qat.gguf", 7690000, 0.00977),
                     model("mobile", 5060000, 0.379)}};
}

std::vector<MarkupElement> read(const EvalReport& made) {
  const std::string page = html_report(made);
  MarkupReader reader;
  const auto elements = reader.read(page);
  EXPECT_TRUE(elements) << reader.fault();
  return elements.value_or(std::vector<MarkupElement>());
}

size_t count(const std::vector<MarkupElement>& elements, const std::string& name) {
  size_t found = 0;
  for (const MarkupElement& element : elements) found += element.name == name ? 1 : 0;
  return found;
}

size_t place(const std::string& page, const std::string& text) {
  const size_t found = page.find(text);
  EXPECT_NE(found, std::string::npos) << text;
  return found;
}

bool holds(const std::string& page, const std::string& text) { return page.find(text) != std::string::npos; }

/// Well-formed, of its own, and every number of a drawing finite.
void expect_sound(const EvalReport& made) {
  const std::vector<MarkupElement> elements = read(made);
  for (const MarkupElement& element : elements) {
    for (const char* loaded : {"script", "link", "img", "iframe", "object", "image", "use"}) {
      EXPECT_NE(element.name, loaded);
    }
    for (const auto& [name, value] : element.attributes) {
      EXPECT_FALSE(name == "src" || name == "href" || name.starts_with("on")) << name;
      if (name == "id" || name.starts_with("aria")) continue;
      EXPECT_FALSE(holds(value, "nan") || holds(value, "inf")) << element.name << " " << name << " " << value;
    }
  }
}

TEST(ReportTest, ShowsEveryModelWithItsFigures) {
  expect_sound(report());
  const std::string page = html_report(report());
  for (const char* shown :
       {"held_out.txt", "windows of 512 positions", "models/opal (reference)", "carat 0.1.0", "12,345 tokens",
        "ptq.gguf", "7.69 MB", "0.02030", "± 0.00005", "88.20 %", "± 0.09 %", "1.0124"}) {
    EXPECT_TRUE(holds(page, shown)) << shown;
  }
  EXPECT_EQ(count(read(report()), "svg"), 2u);
}

TEST(ReportTest, WithoutAReferenceThereAreOnlyPerplexities) {
  EvalReport made = report();
  made.reference.clear();
  for (ReportModel& each : made.models) {
    Comparison& all = each.slices.front().figures;
    all = {.tokens = all.tokens, .perplexity = all.perplexity};
  }
  expect_sound(made);
  const std::string page = html_report(made);
  EXPECT_FALSE(holds(page, "<svg"));
  EXPECT_FALSE(holds(page, "top-1"));
  EXPECT_TRUE(holds(page, "none: perplexities alone"));
  EXPECT_TRUE(holds(page, "59.7"));
}

TEST(ReportTest, WarningsComeBeforeTheFigures) {
  EvalReport made = report();
  EXPECT_FALSE(holds(html_report(made), "class=\"warnings\""));
  made.models[1].warnings = {"another <training> run"};
  expect_sound(made);
  const std::string page = html_report(made);
  const size_t warning = place(page, "<strong>qat.gguf</strong>: another &lt;training&gt; run");
  EXPECT_LT(warning, place(page, "<table>"));
}

TEST(ReportTest, EveryCategoryHasItsTable) {
  EvalReport made = report();
  made.models[0].slices.push_back({"prose", figures(0.02, 2)});
  made.models[0].slices.push_back({"code & more", figures(0.03, 3)});
  made.models[1].slices.push_back({"code & more", figures(0.01, 4)});
  expect_sound(made);
  const std::string page = html_report(made);
  EXPECT_EQ(count(read(made), "table"), 3u);
  const size_t code = place(page, "<caption>code &amp; more: ");
  EXPECT_LT(place(page, "<caption>prose: "), code);
  EXPECT_TRUE(holds(page.substr(code), "<th scope=\"row\">qat.gguf</th>"));
}

TEST(ReportTest, RanksTensorsByTheirDivergence) {
  EvalReport made = report();
  for (int i = 0; i < 15; ++i) {
    made.sensitivity.push_back(tensor("t" + std::to_string(i), 0.07 + 0.001 * i, 1e-5 * (i + 1)));
  }
  expect_sound(made);
  const std::string page = html_report(made);
  EXPECT_EQ(count(read(made), "svg"), 3u);
  EXPECT_LT(place(page, "<th scope=\"row\" class=\"number\">1</th><td>t14</td>"),
            place(page, "<th scope=\"row\" class=\"number\">15</th><td>t0</td>"));
  EXPECT_TRUE(
      holds(page, "<title>t3 as Q4_0: relative error 0.07300, mean KL divergence 4.00·10⁻⁵ ± 0.08·10⁻⁵</title>"));
  const std::string plot = page.substr(place(page, "id=\"sensitivity-title\""));
  EXPECT_TRUE(holds(plot, "\"start\">10</text>"));
  EXPECT_FALSE(holds(plot, "\"start\">11</text>"));
}

TEST(ReportTest, EscapesNames) {
  const std::string evil = "\"><script>alert('x')</script>\x01\xff";
  EvalReport made = report();
  made.tool = made.text = made.windows = made.reference = evil;
  for (ReportModel& each : made.models) {
    each.name = each.scheme = evil;
    each.warnings = {evil};
    each.slices.push_back({evil, figures(0.01, 5)});
  }
  made.sensitivity = {tensor(evil, 0.1, 0.01)};
  made.sensitivity[0].lattice = evil;
  expect_sound(made);
}

TEST(ReportTest, DegenerateFiguresGiveASoundPage) {
  expect_sound({});
  EvalReport made = report();
  made.models.resize(1);
  expect_sound(made);

  Comparison& all = made.models[0].slices[0].figures;
  all.mean_kld = all.median_kld = all.kld_999 = {};
  all.histogram = {};
  all.histogram.counts[0] = 10;
  made.sensitivity = {tensor("a", 0.0, 0.0)};
  expect_sound(made);
  EXPECT_EQ(count(read(made), "svg"), 1u);

  made.sensitivity = {tensor("a", 0.1, 0.01)};
  expect_sound(made);
  made.models[0].slices.clear();
  expect_sound(made);
}

TEST(ReportTest, NumbersThatAreNoneAreNotDrawn) {
  for (const double odd : {kNan, kInfinity, -kInfinity, -1.0, 1e-320, 1e308}) {
    SCOPED_TRACE(odd);
    EvalReport made = report();
    Comparison& all = made.models[0].slices[0].figures;
    all.perplexity = all.perplexity_ratio = all.mean_kld = all.top1_agreement = all.rms_delta_p = {odd, odd};
    made.models[1].slices[0].figures.mean_kld.standard_error = odd;
    made.models[1].bytes = 0;
    made.sensitivity = {tensor("a", odd, 0.1), tensor("b", 0.1, odd), tensor("c", 0.1, 0.1)};
    expect_sound(made);
    EXPECT_FALSE(holds(html_report(made), ">nan"));
  }
}

}  // namespace
}  // namespace carat
