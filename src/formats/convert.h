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
  const Scheme* scheme = nullptr;      ///< null: the lattice that the input is on
  std::optional<Container> container;  ///< nothing: by the target's name
  bool requantize = false;             ///< weights may leave a lattice
  bool static_scales = false;          ///< a GGUF file also gets what is beside the blocks, see gguf_scales.h
  /// Scales of static quantizers, by name inside Carat (`static_scales`); they count more than those of the input.
  std::map<std::string, float> scales;
  Provenance provenance;  ///< of the new checkpoint, this conversion included
  int threads = 1;        ///< that look for codes and scales; the result does not depend on it
};

/// What a conversion did.
///
/// A weight has moved when its new value, rounded to the float type that it was stored in, is another number than the
/// old one; the sign of a zero does not count. A lattice value and its image in BF16 or F16 are the same weight where
/// the image tells the value.
struct Conversion {
  std::string scheme;  ///< what the new checkpoint says its weights lie on; empty when it does not say
  Container container = Container::kGguf;
  int64_t tensors = 0;
  uint64_t bytes = 0;  ///< written
  uint64_t weights = 0;
  uint64_t moved_weights = 0;
  double largest_move = 0;
  double relative_rms_move = 0;     ///< of the tensors with weights that moved: root of sum (new - old)^2 / sum old^2
  uint64_t recovered_groups = 0;    ///< groups of weights that share a scale, found on the lattice
  uint64_t rounded_groups = 0;      ///< that were not, or were not looked for, and were moved there
  uint64_t unfit_scales = 0;        ///< of groups on the lattice; rounded, for the container cannot hold them
  uint64_t rounded_scales = 0;      ///< scales of codes that blocks could not hold exactly, of those that were there
  double largest_scale_change = 0;  ///< of them, relative
  int64_t static_scales = 0;        ///< of static quantizers, in the new checkpoint
  int64_t left_out_scales = 0;      ///< of static quantizers, of the input or given, and not in the new checkpoint
};

/// Called after every piece; returns whether to go on. Weights count twice where codes and scales are written apart.
/// It may begin again from 0, see `convert_checkpoint`.
using ConvertProgress = std::function<bool(uint64_t done, uint64_t total)>;

/// Name of the scheme that a checkpoint's weights lie on: the one that it records, or else the built-in one that gives
/// every matrix, routers of experts aside, the very lattice on which it is stored. Empty when there is none.
std::string scheme_of(const Checkpoint& checkpoint);

/// Refuses, without writing anything, what `convert_checkpoint` can know to refuse before it has read all weights.
/// Returns the scheme that the new checkpoint will record.
Result<std::string> check_conversion(const Checkpoint& input, const std::filesystem::path& target,
                                     const ConvertOptions& options);

/// Writes `input` as a checkpoint at `target` (see `write_checkpoint`), a few megabytes at a time.
///
/// A checkpoint is *quantized* when it has blocks or codes, records a built-in scheme of blocks, or has floats that lie
/// on a lattice (`was_quantized`). No weight of such a checkpoint moves unless `requantize` says so: what the scheme
/// asks for is found in floats, blocks and codes exactly, group by group, and written as it was found; where it is not
/// there the conversion is refused. With `requantize` those groups that are not there are rounded as below.
///
/// Of any other checkpoint a scheme moves each weight to the nearest point of its lattice (post-training quantization),
/// that of integer codes with the scale of `searched_scale`. Static quantizers are those that the scheme asks for, and
/// it is refused when one has no scale.
///
/// Without a scheme each tensor stays on the lattice of the built-in scheme that `input` records, or else of its own
/// type; stored bytes go into a GGUF file as they are, and what a folder has no type for becomes F32. Static quantizers
/// stay.
///
/// Folders of compressed-tensors and of MLX hold Q4_0 as codes of 4 bits in groups of 32 (`codes_for_blocks`). Their
/// scales, and others that are found, are BF16 if that holds all of a tensor; when it turns out late that it does not,
/// everything is written once more.
///
/// Integer codes become blocks in a GGUF file (src/lattice/recarry.h). Where their scales are no binary16 numbers that
/// moves weights, which takes `requantize`, or `static_scales`, which keeps the scales too. Blocks become codes in a
/// folder also where the blocks of each row (of the per-layer table: of each layer's part of a row) share one scale.
/// Such a folder, and one of floats that were blocks or codes, has its vectors in BF16 if its float matrices are BF16
/// too, and that holds them.
///
/// Blocks and codes become BF16 or F16 where these tell the lattice points: a folder of such images records the scheme
/// of the input.
///
/// A folder holds the gates and ups of all experts as one tensor, also where `input` has two, and the per-layer table
/// as one, also where `input`, a LiteRT-LM bundle, has one for each layer. A bundle becomes nothing but such a folder,
/// and no scheme is applied to it. Always refused are a value that is not finite and a scale that blocks cannot hold.
/// What is refused leaves no file at `target`.
Result<Conversion> convert_checkpoint(const Checkpoint& input, const std::filesystem::path& target,
                                      const ConvertOptions& options, const ConvertProgress& progress);

}  // namespace carat
