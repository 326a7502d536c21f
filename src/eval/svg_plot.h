#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "eval/axis.h"

namespace carat {

/// What a plot says in words. None of it is escaped yet.
struct PlotWords {
  std::string id;           ///< of letters; different for each plot of a page
  std::string title;        ///< for those who hear it
  std::string description;  ///< what it shows
  std::string x_label;
  std::string y_label;
};

/// A place in the units of the axes; places beyond them are drawn at their ends.
struct PlotPoint {
  double x = 0;
  double y = 0;
};

/// A plot as an SVG element for HTML, without a script and without anything from elsewhere. Series, numbered from 0,
/// are told apart by colour, and by the dashes of their lines or the shape of their marks. Colours are CSS variables,
/// `plot_style` says which.
class SvgPlot {
 public:
  SvgPlot(PlotWords words, Axis x, Axis y);

  /// A line through `points`.
  void add_line(size_t series, const std::vector<PlotPoint>& points);
  /// A mark that shows `tooltip` where a page has pointers.
  void add_mark(size_t series, PlotPoint at, const std::string& tooltip);
  /// A vertical bar through a mark, from `low` to `high`.
  void add_error_bar(size_t series, double x, double low, double high);
  /// Text beside a mark, where it covers no other mark and no other text if there is such a place; only the end of a
  /// long one.
  void add_label(PlotPoint at, const std::string& text);
  /// Names of the series, below the plot, beside a piece of their lines or their marks.
  void add_line_legend(const std::vector<std::string>& names);
  void add_mark_legend(const std::vector<std::string>& names);

  std::string markup() const;

 private:
  struct Pixel {
    double x;
    double y;
  };
  struct Label {
    Pixel at;
    std::string text;
  };

  Pixel pixel(PlotPoint point) const;
  std::string grid() const;
  std::string labels() const;
  template <typename Sample>
  void add_legend(const std::vector<std::string>& names, const Sample& sample);

  PlotWords words_;
  Axis x_;
  Axis y_;
  std::string body_;
  std::string legend_;
  double legend_height_ = 0;
  std::vector<Pixel> marks_;
  std::vector<Label> labels_;
};

/// CSS rules for the plots of a page, in light and dark.
std::string plot_style();

}  // namespace carat
