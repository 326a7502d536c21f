#pragma once

#include <functional>
#include <vector>

#include "base/bytes.h"
#include "base/digested_file.h"
#include "base/result.h"
#include "formats/named_tensor.h"

namespace carat {

/// Takes the next bytes of a tensor.
using ByteSink = std::function<Status(Bytes)>;

/// Gives all bytes of the tensor `spec`, in pieces of any size, to `sink`; passes an error of `sink` on. Called
/// once a tensor, and for integer codes once more with `scales_of(spec)`, before that or after.
using TensorProducer = std::function<Status(const TensorSpec& spec, const ByteSink& sink)>;

/// Appends the bytes of one tensor, then zeros up to a multiple of `alignment` of the file's size.
Status write_tensor(DigestedFile& file, const TensorSpec& spec, const TensorProducer& producer, uint64_t alignment);

}  // namespace carat
