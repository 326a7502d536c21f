#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/byte_source.h"
#include "base/result.h"
#include "base/threads.h"
#include "formats/named_tensor.h"
#include "model/recent_ids.h"
#include "tensor/tensor.h"

namespace carat {

/// A table [V, columns], or some columns of one, and where its parts lie in a file; a part without a place is read from
/// memory.
struct TableColumns {
  TensorView view;
  std::optional<SourcePlace> data;
  std::optional<SourcePlace> scales;
};

/// The rows of a large table [V, columns] that the ids of a batch name, read from its file. The table itself never
/// becomes resident: of its mapped pages none is touched. Rows that were used last are kept, as they are stored.
///
/// All memory is allocated by the constructor.
class TokenRows {
 public:
  /// `table` is one table or several of one type, whose rows are one row side by side; as many scales belong to each of
  /// their values. The sources outlive the rows. A batch has at most `batch` ids.
  TokenRows(const std::vector<TableColumns>& table, int64_t batch);
  TokenRows(TokenRows&&) = default;
  TokenRows& operator=(TokenRows&&) = default;

  /// Makes the rows of `ids`, each in [0, V), ready: each is read once, in the order of the file, by as many threads as
  /// there are. An error names the first token whose row cannot be read; no row is ready then.
  Status fetch(std::span<const int32_t> ids, ThreadPool& pool);

  /// The rows that are kept, a table [slots, columns] of the same type.
  const TensorView& kept() const { return kept_; }

  /// For each id of the last `fetch` the row of `kept()` that is the table's row of that id.
  std::span<const int32_t> slots() const { return std::span(slots_).first(fetched_); }

  /// Bytes that the rows of a table allocate.
  static uint64_t bytes(const TensorSpec& table, int64_t batch);

 private:
  /// Some columns of one of the two arrays, in the file.
  struct Source {
    Bytes mapped;
    std::optional<SourcePlace> place;
    size_t row_bytes;
  };

  /// One of the two arrays of a table, codes and scales, and its rows that are kept.
  struct Part {
    std::vector<Source> sources;
    size_t row_bytes = 0;
    std::vector<std::byte> kept;

    void add(Source source);
    Status read(int32_t id, int32_t slot);
  };

  Status read_missing(std::span<const int32_t> ids, ThreadPool& pool);

  Part data_;
  Part scales_;
  TensorView kept_;
  RecentIds recent_;
  std::vector<int32_t> slots_;   // of the batch
  std::vector<int32_t> sorted_;  // its ids, each once
  size_t fetched_ = 0;
};

}  // namespace carat
