#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "formats/checkpoint.h"
#include "lattice/lattice.h"

namespace carat {

/// Changes the values of the tensor `name`.
using TensorEdit = std::function<void(const std::string& name, std::vector<float>& values)>;

/// Writes the checkpoint at `source` again at `target`, in float32, with every tensor's values given to `edit`.
inline Status write_edited(const std::filesystem::path& source, const std::filesystem::path& target,
                           const TensorEdit& edit) {
  CARAT_TRY(const Checkpoint checkpoint, Checkpoint::open(source));
  std::vector<TensorSpec> specs;
  for (const NamedTensor& tensor : checkpoint.tensors()) {
    specs.push_back({tensor.name, DType::kF32, tensor.view.shape});
  }
  const auto produce = [&](const TensorSpec& spec, const ByteSink& sink) {
    std::vector<float> values = decode_tensor(*checkpoint.find(spec.name));
    edit(spec.name, values);
    return sink(std::as_bytes(std::span(values)));
  };
  CARAT_TRY(const uint64_t bytes,
            write_checkpoint(target, checkpoint.config(), checkpoint.vocabulary(), specs, produce));
  return bytes > 0 ? success() : failed(target.string() + ": nothing was written");
}

/// `count` ids of a vocabulary of V, the first one `bos`; the same for the same seed.
inline std::vector<int32_t> random_ids(int64_t V, int32_t bos, size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> ids(count, bos);
  for (size_t i = 1; i < count; ++i) ids[i] = static_cast<int32_t>(random() % static_cast<uint32_t>(V));
  return ids;
}

}  // namespace carat
