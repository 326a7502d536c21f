#include "introduction.h"

#include "figures.h"
#include "formats/convert.h"
#include "formats/quote.h"
#include "model/parameter_count.h"
#include "model/published_model.h"
#include "plan_rows.h"

namespace carat {
namespace {

/// "98,112", "9.02 million", "5.12 billion".
std::string amount_text(int64_t count) {
  const auto value = static_cast<double>(count);
  if (value < 1e6) return count_text(count);
  return value < 999.5e6 ? rate_text(value / 1e6) + " million" : rate_text(value / 1e9) + " billion";
}

/// The scheme, and before it the name of the published model that has this very shape.
std::string kind_text(const Checkpoint& checkpoint) {
  const Likeness likeness = likeness_of(checkpoint.config());
  const bool published = likeness.model != nullptr && likeness.differences.empty();
  const std::string scheme = scheme_of(checkpoint);
  return (published ? std::string(likeness.model->name) + ", " : "") + (scheme.empty() ? "mixed types" : scheme);
}

}  // namespace

std::string introduction(const LoadedModel& loaded, const ChatFormat& format) {
  const Checkpoint& checkpoint = loaded.model->checkpoint();
  const Ops& ops = *loaded.ops;
  return printable(checkpoint.path().string()) + ": " + kind_text(checkpoint) + ", " +
         amount_text(count_parameters(checkpoint.config()).used()) + " parameters, context " +
         std::to_string(loaded.session->context()) + ", " + ops.kernels().name + " kernels, " +
         std::to_string(ops.threads()) + (ops.threads() == 1 ? " thread" : " threads") + ", loaded in " +
         rate_text(loaded.seconds) + " s\n" + "memory: up to " + memory_text(loaded.plan) + "\n" +
         "chat format: " + format.description() + "\n";
}

}  // namespace carat
