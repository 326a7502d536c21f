#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "formats/checkpoint.h"

namespace carat {

/// A weight of a model under its name in `expected_tensors`, in whatever pieces a checkpoint has it: experts' gates and
/// ups in one tensor or two, the per-layer table whole or a table for each layer, a layer_scalar that is not there and
/// counts as 1. Where a GGUF file has exact scales beside blocks, the values are codes times those.
///
/// The checkpoint outlives it. Rows are counted over all extents but the last.
class WholeTensor {
 public:
  /// Nothing when `checkpoint` has no such tensor. `spec` is one of the `expected_tensors` of its configuration.
  static std::optional<WholeTensor> find(const Checkpoint& checkpoint, const TensorSpec& spec);

  const std::string& name() const { return name_; }
  const Shape& shape() const { return shape_; }
  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }

  /// The views that it is made of; none for a scalar that counts as 1.
  std::vector<const TensorView*> views() const;

  /// How it is stored: "BF16", "I4 group 32", "I2 row", "Q4_0 with exact scales", "absent, 1".
  std::string type_text() const;

  /// The type that row is stored in; F32 for a scalar that counts as 1.
  DType type_of_row(int64_t row) const;

  /// Whether every view is stored as codes of so many bits whose scales serve `group` columns each.
  bool holds_codes(int bits, int64_t group) const;

  /// Whether any values are codes times scales beside their blocks.
  bool has_exact_scales() const;

  /// Writes the values of a row; `out` holds `columns()` of them. Refuses exact scales of which one does not round to
  /// the scale of its blocks.
  Status decode(int64_t row, std::span<float> out) const;

  /// Gives the memory of these rows back to the system, see `release_mapped_pages`.
  void release(int64_t first, int64_t count) const;

 private:
  enum class Arrangement : uint8_t { kOne, kHalvesOfExperts, kSideBySide, kOnes };

  struct Part {
    const TensorView* view;
    const TensorView* exact_scales;  // null when there are none
  };

  struct Place {
    size_t part;
    int64_t row;
  };

  explicit WholeTensor(const TensorSpec& spec);
  bool add_part(const Checkpoint& checkpoint, const std::string& name);
  Place place_of(int64_t row) const;
  int64_t rows_before(size_t part, int64_t row) const;
  Status decode_part(const Part& part, int64_t row, std::span<float> out) const;

  std::string name_;
  std::string source_;  // of messages
  Shape shape_;
  int64_t rows_;
  int64_t columns_;
  Arrangement arrangement_ = Arrangement::kOne;
  std::vector<Part> parts_;
};

}  // namespace carat
