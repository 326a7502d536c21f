#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "formats/safetensors.h"
#include "formats/stored_tensor.h"
#include "tests/support/tiny_model.h"

namespace carat {

/// A tensor of a safetensors file, in memory that a test may change.
struct Stored {
  std::string dtype;
  Shape shape;
  std::string data;

  template <typename T>
  static Stored of(const char* dtype, Shape shape, std::vector<T> values) {
    return {dtype, std::move(shape), std::string(as_text(std::as_bytes(std::span(values))))};
  }
};

/// The tensors of a `FolderLayout`, which are written to a file and opened again after a test has changed them.
class StoredFolder {
 public:
  explicit StoredFolder(const FolderLayout& layout) : quantization(layout.quantization_config) {
    for (const StoredSpec& spec : layout.tensors) {
      Stored& stored = tensors[spec.name] = {spec.dtype, spec.shape, {}};
      const Status produced = spec.produce([&](Bytes bytes) {
        stored.data += as_text(bytes);
        return success();
      });
      CARAT_CHECK(produced.ok() && stored.data.size() == spec.bytes, "all bytes of a tensor");
    }
  }

  /// Valid until the next call.
  const std::vector<StoredTensor>& open() {
    file_ = SafetensorsFile::open(write()).value();
    return file_->tensors();
  }

  void rename(const std::string& from, const std::string& to) {
    auto node = tensors.extract(from);
    node.key() = to;
    tensors.insert(std::move(node));
  }

  nlohmann::ordered_json quantization;
  std::map<std::string, Stored> tensors;

 private:
  std::filesystem::path write() const {
    std::vector<StoredSpec> specs;
    for (const auto& [name, stored] : tensors) {
      specs.push_back({name, stored.dtype, stored.shape, stored.data.size(), {}});
    }
    std::ranges::stable_sort(specs, std::greater{}, [](const auto& s) { return *stored_element_bytes(s.dtype); });
    std::ofstream file(folder_ / "model.safetensors", std::ios::binary);
    file << safetensors_header(specs);
    for (const StoredSpec& spec : specs) file << tensors.at(spec.name).data;
    return folder_ / "model.safetensors";
  }

  TemporaryFolder folder_;
  std::optional<SafetensorsFile> file_;
};

}  // namespace carat
