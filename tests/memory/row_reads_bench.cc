// Ways to read some thousand rows of a large table from a file that is not in the page cache, compared: row_reads_bench
// FILE ROW_BYTES BATCH. The rows lie at random, in batches whose rows are sorted, as the tokens of a prompt want them.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <span>
#include <vector>

#include "base/threads.h"

#ifdef CARAT_HAS_URING
#include <liburing.h>
#endif

namespace carat {
namespace {

constexpr int kBatches = 20;

struct Table {
  int descriptor;
  uint64_t bytes;
  uint64_t row_bytes;

  off_t place(uint64_t row) const { return static_cast<off_t>(row * row_bytes); }
};

using Rows = std::vector<uint64_t>;
/// Reads `rows` into `out`, one after the other.
using Method = std::function<void(const Rows& rows, std::span<std::byte> out)>;

void read_row(const Table& table, uint64_t row, std::byte* out) {
  if (::pread(table.descriptor, out, table.row_bytes, table.place(row)) != static_cast<ssize_t>(table.row_bytes)) {
    std::perror("pread");
    std::exit(1);
  }
}

void read_rows(const Table& table, const Rows& rows, ThreadPool& pool, std::span<std::byte> out) {
  pool.parallel_for(static_cast<int64_t>(rows.size()), 1, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      read_row(table, rows[i], &out[i * table.row_bytes]);
    }
  });
}

void announce_rows(const Table& table, const Rows& rows) {
  for (const uint64_t row : rows) {
    ::posix_fadvise(table.descriptor, table.place(row), static_cast<off_t>(table.row_bytes), POSIX_FADV_WILLNEED);
  }
}

#ifdef CARAT_HAS_URING
void read_by_uring(const Table& table, const Rows& rows, io_uring& ring, std::span<std::byte> out) {
  for (size_t i = 0; i < rows.size(); ++i) {
    io_uring_sqe* entry = ::io_uring_get_sqe(&ring);
    ::io_uring_prep_read(entry, table.descriptor, &out[i * table.row_bytes], static_cast<unsigned>(table.row_bytes),
                         static_cast<uint64_t>(table.place(rows[i])));
  }
  ::io_uring_submit_and_wait(&ring, static_cast<unsigned>(rows.size()));
  for (size_t i = 0; i < rows.size(); ++i) {
    io_uring_cqe* done = nullptr;
    if (::io_uring_wait_cqe(&ring, &done) != 0 || done->res != static_cast<int>(table.row_bytes)) std::exit(1);
    ::io_uring_cqe_seen(&ring, done);
  }
}
#endif

void report(const Table& table, const char* name, size_t batch, const Method& method) {
  std::mt19937_64 random(7);
  std::vector<std::byte> out(batch * table.row_bytes);
  double seconds[2] = {0, 0};
  for (int i = 0; i < kBatches; ++i) {
    Rows rows(batch);
    for (uint64_t& row : rows) row = random() % (table.bytes / table.row_bytes);
    std::ranges::sort(rows);
    ::posix_fadvise(table.descriptor, 0, 0, POSIX_FADV_DONTNEED);
    for (double& total : seconds) {
      const auto start = std::chrono::steady_clock::now();
      method(rows, out);
      total += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }
  }
  const double rows_read = kBatches * static_cast<double>(batch);
  std::printf("%-28s %9.1f us a row cold, %7.2f us warm\n", name, seconds[0] / rows_read * 1e6,
              seconds[1] / rows_read * 1e6);
}

int compare(const char* path, uint64_t row_bytes, size_t batch) {
  Table table{::open(path, O_RDONLY), 0, row_bytes};
  struct stat status {};
  if (table.descriptor < 0 || ::fstat(table.descriptor, &status) != 0) {
    std::perror(path);
    return 1;
  }
  table.bytes = static_cast<uint64_t>(status.st_size);
  for (const int threads : {1, 2, 8}) {
    ThreadPool pool(threads);
    const std::string name = "pread, " + std::to_string(threads) + " threads";
    report(table, name.c_str(), batch, [&](const Rows& rows, auto out) { read_rows(table, rows, pool, out); });
  }
  ThreadPool two(2);
  report(table, "fadvise, pread, 2 threads", batch, [&](const Rows& rows, auto out) {
    announce_rows(table, rows);
    read_rows(table, rows, two, out);
  });
#ifdef CARAT_HAS_URING
  io_uring ring{};
  if (::io_uring_queue_init(static_cast<unsigned>(batch), &ring, 0) == 0) {
    report(table, "io_uring", batch, [&](const Rows& rows, auto out) { read_by_uring(table, rows, ring, out); });
    ::io_uring_queue_exit(&ring);
  } else {
    std::printf("io_uring: this system has none\n");
  }
#endif
  report(table, "mmap", batch, [&](const Rows& rows, std::span<std::byte> out) {
    // Pages that stay mapped cannot leave the page cache, so each batch maps anew.
    void* mapped = ::mmap(nullptr, table.bytes, PROT_READ, MAP_PRIVATE, table.descriptor, 0);
    if (mapped == MAP_FAILED) std::exit(1);
    const auto* bytes = static_cast<const std::byte*>(mapped);
    for (size_t i = 0; i < rows.size(); ++i) {
      std::copy_n(bytes + rows[i] * table.row_bytes, table.row_bytes, &out[i * table.row_bytes]);
    }
    ::munmap(mapped, table.bytes);
  });
  ::close(table.descriptor);
  return 0;
}

}  // namespace
}  // namespace carat

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "row_reads_bench FILE ROW_BYTES BATCH\n");
    return 2;
  }
  return carat::compare(argv[1], std::strtoull(argv[2], nullptr, 10), std::strtoull(argv[3], nullptr, 10));
}
