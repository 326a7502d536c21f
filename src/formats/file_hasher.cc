#include "formats/file_hasher.h"

#include <algorithm>

#include "base/sha256.h"

namespace carat {
namespace {

constexpr size_t kPiece = size_t{4} << 20;

/// Those of `piece`, which lies at byte `at` of a file, that lie in `count` bytes from byte `begin` on.
std::span<std::byte> overlap(std::span<std::byte> piece, uint64_t at, uint64_t begin, uint64_t count) {
  const uint64_t first = std::max(at, begin);
  const uint64_t last = std::min(at + piece.size(), begin + count);
  return first < last ? piece.subspan(first - at, last - first) : std::span<std::byte>();
}

}  // namespace

FileHasher::FileHasher(uint64_t total, DigestProgress progress)
    : total_(total), progress_(std::move(progress)), piece_(kPiece) {}

Result<std::string> FileHasher::digest(const FileMap& file, std::optional<uint64_t> zeros_at) {
  const uint64_t size = file.bytes().size();
  CARAT_CHECK(!zeros_at || (*zeros_at <= size && kSha256Digits <= size - *zeros_at), "the digits lie in the file");
  Sha256 hash;
  for (uint64_t at = 0; at < size; at += kPiece) {
    const auto piece = std::span(piece_).first(std::min<uint64_t>(kPiece, size - at));
    CARAT_TRY_STATUS(file.read(at, piece));
    if (zeros_at) std::ranges::fill(overlap(piece, at, *zeros_at, kSha256Digits), std::byte{'0'});
    hash.update(piece);
    done_ += piece.size();
    if (progress_ && !progress_(done_, total_)) {
      return Error{ErrorKind::kInterrupted, file.name() + ": was not read to its end: interrupted"};
    }
  }
  return hash.digest();
}

}  // namespace carat
