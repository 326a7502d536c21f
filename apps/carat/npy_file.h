#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>

#include "base/file_write.h"
#include "base/result.h"

namespace carat {

/// A NumPy file of float32 [rows, columns] whose rows come one by one.
///
/// The file begins with the number of rows, which is known only at the end. Until then the rows wait in a temporary
/// file, so that memory does not grow with them.
class NpyFile {
 public:
  static Result<NpyFile> create(const std::filesystem::path& target, int64_t columns);

  /// `row` has as many values as there are columns.
  Status append(std::span<const float> row);

  /// Writes the file, which appears whole or not at all. The last call.
  Status finish();

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  using File = std::unique_ptr<std::FILE, Close>;

  NpyFile(AtomicFile target, File rows, int64_t columns);

  AtomicFile target_;
  File rows_;
  int64_t columns_;
  int64_t row_count_ = 0;
};

}  // namespace carat
