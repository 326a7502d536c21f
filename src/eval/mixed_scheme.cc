#include "eval/mixed_scheme.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/check.h"

namespace carat {
namespace {

using Options = std::vector<LatticeOption>;

double kld_of(const LatticeOption& option) { return std::max(option.kld, 0.0); }

/// From small to large, each with less divergence than those before it.
Options useful_options(Options options) {
  std::ranges::stable_sort(options, [](const LatticeOption& a, const LatticeOption& b) {
    return a.bytes != b.bytes ? a.bytes < b.bytes : kld_of(a) < kld_of(b);
  });
  Options useful;
  for (const LatticeOption& option : options) {
    if (useful.empty() || kld_of(option) < kld_of(useful.back())) useful.push_back(option);
  }
  return useful;
}

/// From one option of a tensor to a larger one.
struct Step {
  size_t tensor;
  size_t from;
  size_t to;
  uint64_t bytes;
  double gain;

  double efficiency() const { return gain / static_cast<double>(bytes); }
};

Step step_between(const Options& options, size_t tensor, size_t from, size_t to) {
  return {tensor, from, to, options[to].bytes - options[from].bytes, kld_of(options[from]) - kld_of(options[to])};
}

/// The steps along the lower convex hull: each gains less for a byte than the one before it.
void add_hull_steps(const Options& options, size_t tensor, std::vector<Step>& steps) {
  const size_t first = steps.size();
  for (size_t to = 1; to < options.size(); ++to) {
    Step step = step_between(options, tensor, to - 1, to);
    while (steps.size() > first && steps.back().efficiency() <= step.efficiency()) {
      step = step_between(options, tensor, steps.back().from, to);
      steps.pop_back();
    }
    steps.push_back(step);
  }
}

class Chooser {
 public:
  explicit Chooser(std::vector<Options> options) : options_(std::move(options)), chosen_(options_.size(), 0) {}

  uint64_t smallest_bytes() const {
    uint64_t bytes = 0;
    for (const Options& options : options_) bytes += options.front().bytes;
    return bytes;
  }

  /// `slack` bytes may be spent on top of the smallest options.
  void spend(uint64_t slack) {
    slack_ = slack;
    climb_hulls();
    while (fill_once()) {
    }
  }

  const LatticeOption& chosen(size_t tensor) const { return options_[tensor][chosen_[tensor]]; }

 private:
  void climb_hulls() {
    std::vector<Step> steps;
    for (size_t t = 0; t < options_.size(); ++t) add_hull_steps(options_[t], t, steps);
    std::ranges::stable_sort(steps, std::ranges::greater{}, &Step::efficiency);
    for (const Step& step : steps) {
      // Behind a step that did not fit, those of the same tensor have nothing to begin from.
      if (step.bytes <= slack_ && chosen_[step.tensor] == step.from) take(step);
    }
  }

  bool fill_once() {
    Step best = {};
    for (size_t t = 0; t < options_.size(); ++t) {
      for (size_t to = chosen_[t] + 1; to < options_[t].size(); ++to) {
        const Step step = step_between(options_[t], t, chosen_[t], to);
        if (step.bytes <= slack_ && step.gain > best.gain) best = step;
      }
    }
    if (best.gain > 0) take(best);
    return best.gain > 0;
  }

  void take(const Step& step) {
    chosen_[step.tensor] = step.to;
    slack_ -= step.bytes;
  }

  std::vector<Options> options_;
  std::vector<size_t> chosen_;  // of each tensor
  uint64_t slack_ = 0;
};

/// "model.layers.*.mlp.up_proj.weight": the name with `*` for the first number between dots.
std::string family_of(const std::string& name) {
  for (size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1)) {
    const size_t end = name.find_first_not_of("0123456789", dot + 1);
    if (end == std::string::npos || end == dot + 1 || name[end] != '.') continue;
    return name.substr(0, dot + 1) + "*" + name.substr(end);
  }
  return name;
}

using Lattice = std::pair<DType, int64_t>;  // and the group of its codes

Lattice lattice_of(const LatticeOption& option) { return {option.lattice, option.group}; }

/// The one that most members have, the first of these on ties.
Lattice most_common(const std::vector<Lattice>& members) {
  return *std::ranges::max_element(members, {},
                                   [&](const Lattice& lattice) { return std::ranges::count(members, lattice); });
}

SchemeRule rule_for(const std::string& pattern, const Lattice& lattice) {
  return {.pattern = pattern, .lattice = lattice.first, .group = lattice.second};
}

constexpr Lattice kRest = {DType::kF32, 0};

/// A rule for each family of tensors, those before it that differ by their names.
std::vector<SchemeRule> rules_of(std::span<const TensorOptions> tensors, const Chooser& chooser) {
  std::map<std::string, std::vector<Lattice>> families;
  std::vector<std::string> order;
  for (size_t t = 0; t < tensors.size(); ++t) {
    std::vector<Lattice>& members = families[family_of(tensors[t].tensor)];
    if (members.empty()) order.push_back(family_of(tensors[t].tensor));
    members.push_back(lattice_of(chooser.chosen(t)));
  }
  std::vector<SchemeRule> rules;
  for (size_t t = 0; t < tensors.size(); ++t) {
    const Lattice lattice = lattice_of(chooser.chosen(t));
    if (lattice != most_common(families[family_of(tensors[t].tensor)])) {
      rules.push_back(rule_for(tensors[t].tensor, lattice));
    }
  }
  for (const std::string& family : order) {
    const Lattice lattice = most_common(families[family]);
    if (lattice != kRest) rules.push_back(rule_for(family, lattice));
  }
  rules.push_back(rule_for("*", kRest));
  return rules;
}

}  // namespace

Result<MixedScheme> recommend_scheme(std::span<const TensorOptions> tensors, uint64_t fixed_bytes, uint64_t budget) {
  std::vector<Options> options;
  for (const TensorOptions& tensor : tensors) {
    CARAT_CHECK(!tensor.options.empty(), "a lattice to choose");
    options.push_back(useful_options(tensor.options));
  }
  Chooser chooser(std::move(options));
  const uint64_t least = fixed_bytes + chooser.smallest_bytes();
  if (least > budget) {
    return wrong_usage("a budget of " + std::to_string(budget) + " bytes is too small: the smallest mix of the " +
                       "lattices that were measured takes " + std::to_string(least) +
                       " bytes; raise the budget or name a smaller scheme");
  }
  chooser.spend(budget - least);

  MixedScheme mixed;
  mixed.scheme = {.name = "mixed", .rules = rules_of(tensors, chooser)};
  mixed.bytes = fixed_bytes;
  for (size_t t = 0; t < tensors.size(); ++t) {
    const LatticeOption& chosen = chooser.chosen(t);
    mixed.bytes += chosen.bytes;
    mixed.predicted_kld += kld_of(chosen);
    const SchemeRule& rule = *mixed.scheme.rule_for(tensors[t].tensor);
    CARAT_CHECK(rule.lattice == chosen.lattice && rule.group == chosen.group, "rules that give what was chosen");
  }
  return mixed;
}

}  // namespace carat
