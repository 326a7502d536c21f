#include "eval/svg_plot.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>
#include <utility>

#include "base/utf8.h"
#include "eval/markup.h"

namespace carat {
namespace {

// In the units of the viewBox, which are pixels where the page is wide enough.
constexpr double kWidth = 760;
constexpr double kLeft = 72;
constexpr double kRight = 740;
constexpr double kTop = 16;
constexpr double kBottom = 344;
constexpr double kAxisHeight = 52;  // of the numbers and the name of the horizontal axis
constexpr double kLegendRow = 20;
constexpr double kMark = 4.5;
constexpr double kLetter = 6.7;  // mean width of a letter of a label
constexpr double kLetterHeight = 13;

constexpr size_t kColours = 6;
constexpr std::array<std::string_view, 6> kDashes = {"", "7 3", "2 3", "10 3 2 3", "14 4", "7 3 2 3 2 3"};

/// Marks around (0, 0): circle, square, triangle, diamond, triangle on its head.
constexpr std::array<std::string_view, 5> kShapes = {"M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z", "M-4 -4H4V4H-4z",
                                                     "M0 -5.2L5 3.8H-5z", "M0 -5.5L5.5 0L0 5.5L-5.5 0z",
                                                     "M0 5.2L5 -3.8H-5z"};

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f", value);
  return text;
}

std::string attribute(std::string_view name, std::string_view value) {
  return " " + std::string(name) + "=\"" + std::string(value) + "\"";
}

std::string attribute(std::string_view name, double value) { return attribute(name, number(value)); }

std::string line(std::string_view name, double x1, double y1, double x2, double y2) {
  return "<line" + attribute("class", name) + attribute("x1", x1) + attribute("y1", y1) + attribute("x2", x2) +
         attribute("y2", y2) + "/>\n";
}

std::string text_at(double x, double y, std::string_view anchor, std::string_view text) {
  return "<text" + attribute("x", x) + attribute("y", y) + attribute("text-anchor", anchor) + ">" + escaped(text) +
         "</text>\n";
}

std::string colour_class(std::string_view what, size_t series) {
  return std::string(what) + " c" + std::to_string(series % kColours);
}

std::string stroke(size_t series, const std::string& path) {
  // Behind the last colour the same ones come with other dashes.
  const std::string_view dashes = kDashes[(series + series / kColours) % kDashes.size()];
  return "<path" + attribute("class", colour_class("series", series)) +
         (dashes.empty() ? std::string() : attribute("stroke-dasharray", dashes)) + attribute("d", path) + "/>\n";
}

std::string mark(size_t series, double x, double y, const std::string& tooltip) {
  return "<path" + attribute("class", colour_class("mark", series)) +
         attribute("transform", "translate(" + number(x) + " " + number(y) + ")") +
         attribute("d", kShapes[series % kShapes.size()]) +
         (tooltip.empty() ? "/>\n" : "><title>" + escaped(tooltip) + "</title></path>\n");
}

size_t characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

/// The end of a name that is too long says more than its beginning.
std::string shortened(const std::string& name, size_t most) {
  std::string_view rest = name;
  const size_t count = characters(name);
  if (count <= most) return name;
  for (size_t i = 0; i < count - most + 1; ++i) rest.remove_prefix(utf8_front(rest).size);
  return "…" + std::string(rest);
}

struct Box {
  double left;
  double top;
  double right;
  double bottom;
};

bool overlap(const Box& a, const Box& b) {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

bool inside_plot(const Box& box) {
  return box.left >= kLeft && box.right <= kRight && box.top >= kTop && box.bottom <= kBottom;
}

/// Places for a text of this width around a mark, the best one first.
std::vector<Box> places_around(double x, double y, double width) {
  std::vector<Box> places;
  for (const double distance : {7.0, 18.0, 30.0}) {
    const auto add = [&](double left, double middle) {
      places.push_back({left, middle - kLetterHeight / 2, left + width, middle + kLetterHeight / 2});
    };
    add(x + distance, y);
    add(x - distance - width, y);
    add(x - width / 2, y - distance - kLetterHeight / 2);
    add(x - width / 2, y + distance + kLetterHeight / 2);
    add(x + distance, y - distance);
    add(x + distance, y + distance);
    add(x - distance - width, y - distance);
    add(x - distance - width, y + distance);
  }
  return places;
}

}  // namespace

SvgPlot::SvgPlot(PlotWords words, Axis x, Axis y) : words_(std::move(words)), x_(std::move(x)), y_(std::move(y)) {}

SvgPlot::Pixel SvgPlot::pixel(PlotPoint point) const {
  return {kLeft + (kRight - kLeft) * x_.place(point.x), kBottom - (kBottom - kTop) * y_.place(point.y)};
}

void SvgPlot::add_line(size_t series, const std::vector<PlotPoint>& points) {
  std::string path;
  for (const PlotPoint& point : points) {
    const auto [x, y] = pixel(point);
    path += (path.empty() ? "M" : "L") + number(x) + " " + number(y);
  }
  if (!path.empty()) body_ += stroke(series, path);
}

void SvgPlot::add_mark(size_t series, PlotPoint at, const std::string& tooltip) {
  const Pixel place = pixel(at);
  marks_.push_back(place);
  body_ += mark(series, place.x, place.y, tooltip);
}

void SvgPlot::add_error_bar(size_t series, double x, double low, double high) {
  const Pixel from = pixel({x, low});
  const Pixel to = pixel({x, high});
  body_ += line(colour_class("error", series), from.x, from.y, to.x, to.y);
  for (const double end : {from.y, to.y}) {
    body_ += line(colour_class("error", series), from.x - kMark, end, from.x + kMark, end);
  }
}

void SvgPlot::add_label(PlotPoint at, const std::string& text) {
  constexpr size_t kMostLetters = 48;
  labels_.push_back({pixel(at), shortened(text, kMostLetters)});
}

template <typename Sample>
void SvgPlot::add_legend(const std::vector<std::string>& names, const Sample& sample) {
  constexpr size_t kShort = 44;
  constexpr size_t kLong = 96;
  const bool all_short =
      std::all_of(names.begin(), names.end(), [](const std::string& name) { return characters(name) <= kShort; });
  const size_t columns = all_short && names.size() > 2 ? 2 : 1;
  for (size_t i = 0; i < names.size(); ++i) {
    const double x = kLeft + static_cast<double>(i % columns) * (kRight - kLeft) / 2;
    const double y = kBottom + kAxisHeight + (static_cast<double>(i / columns) + 0.5) * kLegendRow;
    legend_ += sample(i, x, y) + text_at(x + 40, y + 4, "start", shortened(names[i], kLong));
  }
  legend_height_ = static_cast<double>((names.size() + columns - 1) / columns) * kLegendRow;
}

void SvgPlot::add_line_legend(const std::vector<std::string>& names) {
  add_legend(names, [](size_t series, double x, double y) {
    return stroke(series, "M" + number(x) + " " + number(y) + "H" + number(x + 32));
  });
}

void SvgPlot::add_mark_legend(const std::vector<std::string>& names) {
  add_legend(names, [](size_t series, double x, double y) { return mark(series, x + 24, y, ""); });
}

std::string SvgPlot::grid() const {
  std::string out;
  for (const Tick& tick : x_.ticks()) {
    const double x = kLeft + (kRight - kLeft) * x_.place(tick.value);
    out += line("grid", x, kTop, x, kBottom) + text_at(x, kBottom + 17, "middle", tick.label);
  }
  for (const Tick& tick : y_.ticks()) {
    const double y = kBottom - (kBottom - kTop) * y_.place(tick.value);
    out += line("grid", kLeft, y, kRight, y) + text_at(kLeft - 8, y + 4, "end", tick.label);
  }
  out += line("axis", kLeft, kBottom, kRight, kBottom) + line("axis", kLeft, kTop, kLeft, kBottom);
  out += text_at((kLeft + kRight) / 2, kBottom + 40, "middle", words_.x_label);
  const double middle = (kTop + kBottom) / 2;
  out += "<text" + attribute("transform", "translate(16 " + number(middle) + ") rotate(-90)") +
         attribute("text-anchor", "middle") + ">" + escaped(words_.y_label) + "</text>\n";
  return out;
}

std::string SvgPlot::labels() const {
  std::vector<Box> taken;
  for (const Pixel& at : marks_) taken.push_back({at.x - kMark, at.y - kMark, at.x + kMark, at.y + kMark});
  std::string out;
  for (const Label& label : labels_) {
    const std::vector<Box> places =
        places_around(label.at.x, label.at.y, kLetter * static_cast<double>(characters(label.text)));
    const auto is_free = [&](const Box& box) {
      return inside_plot(box) &&
             std::none_of(taken.begin(), taken.end(), [&](const Box& other) { return overlap(box, other); });
    };
    auto found = std::find_if(places.begin(), places.end(), is_free);
    if (found == places.end()) found = std::find_if(places.begin(), places.end(), inside_plot);
    const Box box = found == places.end() ? places.front() : *found;
    taken.push_back(box);
    out += text_at(box.left, box.bottom - 3, "start", label.text);
  }
  return out;
}

std::string SvgPlot::markup() const {
  const double height = kBottom + kAxisHeight + legend_height_;
  const std::string title = words_.id + "-title";
  const std::string description = words_.id + "-description";
  return "<svg" + attribute("xmlns", "http://www.w3.org/2000/svg") +
         attribute("viewBox", "0 0 " + number(kWidth) + " " + number(height)) + attribute("role", "img") +
         attribute("aria-labelledby", title + " " + description) + ">\n<title" + attribute("id", title) + ">" +
         escaped(words_.title) + "</title>\n<desc" + attribute("id", description) + ">" + escaped(words_.description) +
         "</desc>\n" + grid() + body_ + labels() + legend_ + "</svg>\n";
}

std::string plot_style() {
  return R"(:root { --c0: #0b62a4; --c1: #b8420f; --c2: #00795a; --c3: #9b2f7d; --c4: #806000; --c5: #4d4d4d;
  --grid: #e3e3e0; --axis: #8a8a86; }
@media screen and (prefers-color-scheme: dark) {
  :root { --c0: #6db7f2; --c1: #f59a6b; --c2: #45c9a2; --c3: #e48fca; --c4: #dcbf4c; --c5: #c4c4c4;
    --grid: #34373b; --axis: #7d8187; }
}
svg { display: block; width: 100%; max-width: 760px; height: auto; margin: 0.5rem 0; }
svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
svg .grid { stroke: var(--grid); }
svg .axis { stroke: var(--axis); }
svg .series { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .mark { stroke: none; fill-opacity: 0.85; }
svg .error { stroke-width: 1.5; }
svg .c0 { stroke: var(--c0); } svg .c1 { stroke: var(--c1); } svg .c2 { stroke: var(--c2); }
svg .c3 { stroke: var(--c3); } svg .c4 { stroke: var(--c4); } svg .c5 { stroke: var(--c5); }
svg .mark.c0 { fill: var(--c0); } svg .mark.c1 { fill: var(--c1); } svg .mark.c2 { fill: var(--c2); }
svg .mark.c3 { fill: var(--c3); } svg .mark.c4 { fill: var(--c4); } svg .mark.c5 { fill: var(--c5); }
)";
}

}  // namespace carat
