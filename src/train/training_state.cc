#include "train/training_state.h"

#include <map>
#include <nlohmann/json.hpp>

#include "base/file_map.h"
#include "base/file_write.h"
#include "formats/safetensors.h"

namespace carat {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr size_t kLargestJson = 1 << 16;

fs::path state_folder(const fs::path& folder) { return folder / "training"; }
fs::path latest_path(const fs::path& folder) { return state_folder(folder) / "latest.json"; }
std::string state_name(int64_t step) { return "state-" + std::to_string(step) + ".safetensors"; }

/// The tensors of a state under their names in the file.
std::vector<std::pair<std::string, at::Tensor>> named_parts(const std::vector<TrainedTensor>& tensors) {
  std::vector<std::pair<std::string, at::Tensor>> parts;
  for (const TrainedTensor& tensor : tensors) {
    parts.emplace_back("weight." + tensor.name, tensor.weight.detach());
    parts.emplace_back("mean." + tensor.name, tensor.mean);
    parts.emplace_back("square." + tensor.name, tensor.square);
  }
  return parts;
}

Status write_state(const fs::path& path, const std::vector<TrainedTensor>& tensors) {
  const auto parts = named_parts(tensors);
  std::vector<StoredSpec> specs;
  for (const auto& [name, tensor] : parts) specs.push_back({name, "F32", tensor.sizes().vec(), tensor.nbytes(), {}});
  CARAT_TRY(AtomicFile file, AtomicFile::create(path));
  CARAT_TRY_STATUS(file.write(safetensors_header(specs)));
  for (const auto& [name, tensor] : parts) {
    const at::Tensor values = tensor.cpu().contiguous();
    CARAT_TRY_STATUS(file.write(Bytes(static_cast<const std::byte*>(values.data_ptr()), values.nbytes())));
  }
  return file.commit();
}

void remove_older_states(const fs::path& folder, const std::string& current) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(state_folder(folder), error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("state-") && name != current) fs::remove(entry.path(), error);
  }
}

/// Empty when both describe the same run, else what to say about the first difference.
std::string first_difference(const Json& stored, const Json& wanted) {
  for (const auto& [key, value] : wanted.items()) {
    const Json other = stored.contains(key) ? stored[key] : Json();
    if (other != value) return key + " was " + other.dump() + " and is now " + value.dump();
  }
  return "";
}

}  // namespace

Status save_training_state(const fs::path& folder, const std::vector<TrainedTensor>& tensors, int64_t step,
                           const std::string& settings) {
  std::error_code error;
  fs::create_directories(state_folder(folder), error);
  if (error) return failed(state_folder(folder).string() + ": cannot be created: " + error.message());
  CARAT_TRY_STATUS(write_state(state_folder(folder) / state_name(step), tensors));
  const Json latest = {{"step", step}, {"state", state_name(step)}, {"settings", Json::parse(settings)}};
  CARAT_TRY_STATUS(write_file(latest_path(folder), latest.dump(2) + "\n"));
  remove_older_states(folder, state_name(step));
  return success();
}

Result<int64_t> load_training_state(const fs::path& folder, std::vector<TrainedTensor>& tensors,
                                    const std::string& settings) {
  const fs::path path = latest_path(folder);
  CARAT_TRY(const std::string text, read_text_file(path, kLargestJson));
  const Json latest = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const bool well_formed = latest.is_object() && latest.contains("step") && latest["step"].is_number_unsigned() &&
                           latest.contains("settings") && latest["settings"].is_object();
  if (!well_formed) return refused(path.string() + ": expected a JSON object with \"step\" and \"settings\"");
  const std::string difference = first_difference(latest["settings"], Json::parse(settings));
  if (!difference.empty()) {
    return refused(path.string() + ": the run to resume was another one: " + difference +
                   "; repeat its options, or start anew in another folder");
  }
  const auto step = latest["step"].get<int64_t>();

  const fs::path state = state_folder(folder) / state_name(step);
  CARAT_TRY(const SafetensorsFile file, SafetensorsFile::open(state));
  std::map<std::string_view, const StoredTensor*> stored;
  for (const StoredTensor& tensor : file.tensors()) stored[tensor.name] = &tensor;
  for (auto& [name, tensor] : named_parts(tensors)) {
    const auto found = stored.find(name);
    if (found == stored.end() || found->second->dtype != "F32" || found->second->shape != tensor.sizes().vec()) {
      return refused(state.string() + ": " + name + ": expected " + shape_text(tensor.sizes().vec()) +
                     " F32; the state belongs to another model");
    }
    at::Tensor values = at::empty(tensor.sizes(), at::kFloat);
    std::memcpy(values.data_ptr(), found->second->data.data(), values.nbytes());
    tensor.copy_(values);
  }
  return step;
}

}  // namespace carat
