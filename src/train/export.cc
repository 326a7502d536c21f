#include "train/export.h"

#include "lattice/lattice.h"
#include "train/fake_quant.h"

namespace carat {

Result<uint64_t> export_checkpoint(const std::filesystem::path& target, const GemmaTorchImpl& module,
                                   const Vocabulary& vocabulary, Provenance provenance) {
  const Container container = container_of_path(target);
  std::vector<TensorSpec> tensors = expected_tensors(module.config());
  for (TensorSpec& spec : tensors)
    spec.dtype = storable(container, module.scheme().lattice_of(spec.name), spec.name, spec.shape);

  ModelConfig config = module.config();
  config.scheme = module.scheme().name;
  config.provenance = std::move(provenance);
  const auto produce = [&](const TensorSpec& spec, const ByteSink& sink) -> Status {
    const DType lattice = module.scheme().lattice_of(spec.name);
    const at::Tensor values = snap_tensor(module.latent(spec.name).detach(), lattice).cpu().contiguous();
    const std::span<const float> snapped(values.data_ptr<float>(), static_cast<size_t>(values.numel()));
    std::vector<std::byte> stored(*tensor_bytes(spec.dtype, spec.shape));
    encode(spec.dtype, snapped, stored);
    return sink(stored);
  };
  return write_checkpoint(target, config, vocabulary, tensors, produce);
}

}  // namespace carat
