#include "eval/svg_plot.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <sstream>

#include "tests/support/markup.h"

namespace carat {
namespace {

using Elements = std::vector<MarkupElement>;

// Of svg_plot.cc.
constexpr double kLeft = 72;
constexpr double kRight = 740;
constexpr double kTop = 16;
constexpr double kBottom = 344;

SvgPlot plot(const PlotWords& words = {"plot", "A title", "A description", "x", "y"}) {
  return SvgPlot(words, Axis::linear({0.0, 10.0}), Axis::logarithmic({0.001, 1.0}));
}

Elements read(const SvgPlot& drawn) {
  MarkupReader reader;
  const std::string markup = drawn.markup();
  const auto elements = reader.read(markup);
  EXPECT_TRUE(elements) << reader.fault();
  return elements.value_or(Elements());
}

Elements of_class(const Elements& elements, const std::string& name) {
  Elements found;
  for (const MarkupElement& element : elements) {
    const auto classes = element.attributes.find("class");
    if (classes != element.attributes.end() && (classes->second + " ").starts_with(name + " ")) {
      found.push_back(element);
    }
  }
  return found;
}

Elements of_name(const Elements& elements, const std::string& name) {
  Elements found;
  for (const MarkupElement& element : elements) {
    if (element.name == name) found.push_back(element);
  }
  return found;
}

/// The numbers in a path or a transformation.
std::vector<double> numbers(std::string text) {
  for (char& c : text) {
    if (std::isdigit(static_cast<unsigned char>(c)) == 0 && c != '.' && c != '-') c = ' ';
  }
  std::istringstream in(text);
  std::vector<double> found;
  for (double value = 0; in >> value;) found.push_back(value);
  return found;
}

double number(const MarkupElement& element, const std::string& attribute) {
  return std::stod(element.attributes.at(attribute));
}

const MarkupElement* with_text(const Elements& elements, const std::string& text) {
  for (const MarkupElement& element : elements) {
    if (element.name == "text" && element.text.starts_with(text)) return &element;
  }
  return nullptr;
}

TEST(SvgPlotTest, SaysWhatItIs) {
  const Elements elements = read(plot({"p", "A <title>", "\"all\" & more", "x < 1", "y > 1"}));
  ASSERT_GE(elements.size(), 3u);
  EXPECT_EQ(elements[0].name, "svg");
  EXPECT_EQ(elements[0].attributes.at("role"), "img");
  EXPECT_EQ(elements[0].attributes.at("aria-labelledby"), "p-title p-description");
  EXPECT_EQ(elements[1].name, "title");
  EXPECT_EQ(elements[1].text, "A &lt;title&gt;");
  EXPECT_EQ(elements[1].attributes.at("id"), "p-title");
  EXPECT_EQ(elements[2].text, "&quot;all&quot; &amp; more");
  EXPECT_NE(with_text(elements, "x &lt; 1"), nullptr);
  EXPECT_NE(with_text(elements, "y &gt; 1"), nullptr);
}

TEST(SvgPlotTest, EveryTickHasALineAndALabel) {
  const Elements elements = read(plot());
  EXPECT_EQ(of_class(elements, "grid").size(), 6u + 4u);
  for (const char* label : {"0", "2", "10", "0.001", "0.01", "0.1", "1"}) {
    EXPECT_NE(with_text(elements, label), nullptr) << label;
  }
}

TEST(SvgPlotTest, PutsMarksWhereTheAxesSay) {
  SvgPlot drawn = plot();
  drawn.add_mark(0, {0.0, 0.001}, "corner");
  drawn.add_mark(1, {5.0, 0.1}, "a <b>");
  const Elements elements = read(drawn);
  const Elements marks = of_class(elements, "mark");
  ASSERT_EQ(marks.size(), 2u);
  EXPECT_EQ(numbers(marks[0].attributes.at("transform")), std::vector<double>({kLeft, kBottom}));
  const std::vector<double> second = numbers(marks[1].attributes.at("transform"));
  EXPECT_NEAR(second[0], (kLeft + kRight) / 2, 0.06);
  EXPECT_NEAR(second[1], kBottom - (kBottom - kTop) * 2 / 3, 0.06);
  const Elements titles = of_name(elements, "title");
  ASSERT_EQ(titles.size(), 3u);
  EXPECT_EQ(titles[2].text, "a &lt;b&gt;");
}

TEST(SvgPlotTest, KeepsEverythingInside) {
  constexpr double kMost = std::numeric_limits<double>::max();
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  SvgPlot drawn = plot();
  const std::vector<PlotPoint> points = {{-kMost, -1.0}, {kMost, kMost}, {kNan, kNan}, {3.0, 0.0}};
  for (const PlotPoint& point : points) drawn.add_mark(0, point, "");
  drawn.add_line(0, points);
  drawn.add_error_bar(1, 3.0, -0.5, kMost);
  const Elements elements = read(drawn);
  const auto expect_inside = [](double x, double y) {
    EXPECT_TRUE(x >= kLeft && x <= kRight) << x;
    EXPECT_TRUE(y >= kTop && y <= kBottom) << y;
  };
  for (const MarkupElement& mark : of_class(elements, "mark")) {
    const std::vector<double> at = numbers(mark.attributes.at("transform"));
    ASSERT_EQ(at.size(), 2u);
    expect_inside(at[0], at[1]);
  }
  const Elements lines = of_class(elements, "series");
  ASSERT_EQ(lines.size(), 1u);
  const std::vector<double> path = numbers(lines[0].attributes.at("d"));
  ASSERT_EQ(path.size(), 8u);
  for (size_t i = 0; i < path.size(); i += 2) expect_inside(path[i], path[i + 1]);
  for (const MarkupElement& bar : of_class(elements, "error")) {
    expect_inside(number(bar, "x1"), number(bar, "y1"));
    expect_inside(number(bar, "x2"), number(bar, "y2"));
  }
}

TEST(SvgPlotTest, SeriesDifferInMoreThanColour) {
  SvgPlot drawn = plot();
  for (size_t series = 0; series < 12; ++series) {
    drawn.add_line(series, {{0.0, 0.1}, {1.0, 0.1}});
    drawn.add_mark(series, {0.0, 0.1}, "");
  }
  const Elements elements = read(drawn);
  std::set<std::string> lines;
  for (const MarkupElement& line : of_class(elements, "series")) {
    const auto dashes = line.attributes.find("stroke-dasharray");
    lines.insert(line.attributes.at("class") + (dashes == line.attributes.end() ? "" : dashes->second));
  }
  EXPECT_EQ(lines.size(), 12u);
  std::set<std::string> marks;
  std::set<std::string> shapes;
  for (const MarkupElement& mark : of_class(elements, "mark")) {
    marks.insert(mark.attributes.at("class") + mark.attributes.at("d"));
    shapes.insert(mark.attributes.at("d"));
  }
  EXPECT_EQ(marks.size(), 12u);
  EXPECT_EQ(shapes.size(), 5u);
}

TEST(SvgPlotTest, LabelsKeepClearOfEachOther) {
  SvgPlot drawn = plot();
  for (int i = 0; i < 6; ++i) {
    drawn.add_mark(0, {5.0, 0.03}, "");
    drawn.add_label({5.0, 0.03}, "label " + std::to_string(i));
  }
  const Elements elements = read(drawn);
  std::vector<std::pair<double, double>> places;
  for (int i = 0; i < 6; ++i) {
    const MarkupElement* label = with_text(elements, "label " + std::to_string(i));
    ASSERT_NE(label, nullptr);
    for (const auto& [x, y] : places) {
      EXPECT_TRUE(std::fabs(x - number(*label, "x")) > 40.0 || std::fabs(y - number(*label, "y")) > 12.0) << i;
    }
    places.emplace_back(number(*label, "x"), number(*label, "y"));
  }
}

TEST(SvgPlotTest, LabelsAtTheRightStayInside) {
  SvgPlot drawn = plot();
  drawn.add_mark(0, {10.0, 0.03}, "");
  drawn.add_label({10.0, 0.03}, "a label of some length");
  const Elements elements = read(drawn);
  EXPECT_LT(number(*with_text(elements, "a label"), "x"), kRight - 100);
}

TEST(SvgPlotTest, OfLongNamesTheEndIsShown) {
  const std::string name = "start/" + std::string(100, 'x') + "é/model.gguf";
  SvgPlot drawn = plot();
  drawn.add_label({5.0, 0.03}, name);
  const Elements elements = read(drawn);
  const MarkupElement* label = with_text(elements, "…");
  ASSERT_NE(label, nullptr);
  EXPECT_TRUE(label->text.find("é/model.gguf") != std::string::npos) << label->text;
  EXPECT_EQ(label->text.find("start"), std::string::npos);
}

TEST(SvgPlotTest, TheLegendMakesRoomForItself) {
  SvgPlot lines = plot();
  lines.add_line_legend({"one", "two & three"});
  const Elements elements = read(lines);
  EXPECT_NE(with_text(elements, "two &amp; three"), nullptr);
  EXPECT_EQ(of_class(elements, "series").size(), 2u);
  const double height = numbers(elements[0].attributes.at("viewBox")).back();
  EXPECT_GT(height, numbers(read(plot())[0].attributes.at("viewBox")).back());
  for (const MarkupElement& text : of_name(elements, "text")) {
    if (text.attributes.contains("y")) {
      EXPECT_LT(number(text, "y"), height);
    }
  }
}

}  // namespace
}  // namespace carat
