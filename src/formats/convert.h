#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "formats/checkpoint.h"
#include "lattice/scheme.h"

namespace carat {

/// What is wanted of a conversion.
struct ConvertOptions {
  const Scheme* scheme = nullptr;      ///< null: no weight moves
  std::optional<Container> container;  ///< nothing: by the target's name
  bool static_scales = false;          ///< a GGUF file also gets what is beside the blocks, see gguf_scales.h
  /// Scales of static quantizers, by name inside Carat (`static_scales`); they count more than those of the input.
  std::map<std::string, float> scales;
  int threads = 1;  ///< that look for scales; the result does not depend on it
};

/// What a conversion did.
struct Conversion {
  std::string scheme;  ///< what the new checkpoint says its weights lie on; empty when it does not say
  Container container = Container::kGguf;
  int64_t tensors = 0;
  uint64_t bytes = 0;               ///< written
  uint64_t moved_weights = 0;       ///< weights whose value changed, in any bit
  uint64_t rounded_scales = 0;      ///< scales of codes that blocks could not hold exactly, of those that were there
  double largest_scale_change = 0;  ///< of them, relative
  int64_t static_scales = 0;        ///< of static quantizers, in the new checkpoint
  int64_t left_out_scales = 0;      ///< of static quantizers, of the input or given, and not in the new checkpoint
};

/// Called after every piece; returns whether to go on. Weights whose scale has to be found count twice.
using ConvertProgress = std::function<bool(uint64_t done, uint64_t total)>;

/// Name of the scheme that a checkpoint's weights lie on: the one that it records, or else the built-in one that gives
/// every matrix, routers of experts aside, the very type in which it is stored. Empty when there is none.
std::string scheme_of(const Checkpoint& checkpoint);

/// Writes `input` as a checkpoint at `target` (see `write_checkpoint`), a few megabytes at a time.
///
/// With a scheme each weight moves to the nearest point of its lattice (post-training quantization), that of integer
/// codes with the scale of `searched_scale`, unless it is stored on that lattice already; integer codes with the scales
/// that it asks for stay as they are, whatever their carrier. Static quantizers are those that the scheme asks for, and
/// it is refused when one has no scale.
///
/// Without a scheme no weight moves: each tensor stays on the lattice of the scheme that `input` records, or else of
/// its own type; stored bytes go into a GGUF file as they are, and what a folder has no type for becomes F32. A tensor
/// that does not lie on the lattice its checkpoint records is refused then. Static quantizers stay.
///
/// Integer codes become blocks in a GGUF file (src/lattice/recarry.h), with one exception to all this: their scales are
/// rounded to binary16, and so move the weights. Blocks become codes in a folder where scales lie beside them, or where
/// the blocks of each row (of the per-layer table: of each layer's part of a row) share one. Such a folder has its
/// vectors in BF16 if its float matrices are BF16 too, and that holds them.
///
/// A folder holds the gates and ups of all experts as one tensor, also where `input` has two, and the per-layer table
/// as one, also where `input`, a LiteRT-LM bundle, has one for each layer. A bundle becomes nothing but such a folder,
/// and no scheme is applied to it. Always refused are a value that is not finite and a scale that blocks cannot hold.
Result<Conversion> convert_checkpoint(const Checkpoint& input, const std::filesystem::path& target,
                                      const ConvertOptions& options, const ConvertProgress& progress);

}  // namespace carat
