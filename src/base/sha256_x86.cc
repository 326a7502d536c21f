#include "base/cpu.h"
#include "base/sha256_blocks.h"

#if defined(__x86_64__)

#include <immintrin.h>

namespace carat {
namespace {

/// The state as the instructions want it: a, b, e, f and c, d, g, h, the first in the highest lane.
struct Lanes {
  __m128i abef, cdgh;
};

Lanes lanes_of(const Sha256State& state) {
  const auto word = [&](size_t i) { return static_cast<int>(state[i]); };
  return {_mm_set_epi32(word(0), word(1), word(4), word(5)), _mm_set_epi32(word(2), word(3), word(6), word(7))};
}

Sha256State state_of(const Lanes& lanes) {
  alignas(16) std::array<uint32_t, 4> feba, hgdc;
  _mm_store_si128(reinterpret_cast<__m128i*>(feba.data()), lanes.abef);
  _mm_store_si128(reinterpret_cast<__m128i*>(hgdc.data()), lanes.cdgh);
  return {feba[3], feba[2], hgdc[3], hgdc[2], feba[1], feba[0], hgdc[1], hgdc[0]};
}

__m128i big_endian_words(const std::byte* bytes) {
  const __m128i swap = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
  return _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)), swap);
}

/// Four rounds with the words `words` of the schedule, whose numbers begin at `at`.
void four_rounds(Lanes& lanes, __m128i words, size_t at) {
  const auto* constants = reinterpret_cast<const __m128i*>(kSha256RoundConstants.data() + at);
  const __m128i sums = _mm_add_epi32(words, _mm_load_si128(constants));
  lanes.cdgh = _mm_sha256rnds2_epu32(lanes.cdgh, lanes.abef, sums);
  lanes.abef = _mm_sha256rnds2_epu32(lanes.abef, lanes.cdgh, _mm_shuffle_epi32(sums, 0x0e));
}

/// The four words of the schedule behind these sixteen.
__m128i next_words(__m128i oldest, __m128i older, __m128i newer, __m128i newest) {
  const __m128i seventh = _mm_alignr_epi8(newest, newer, 4);
  return _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(oldest, older), seventh), newest);
}

void add_block(Lanes& lanes, const std::byte* block) {
  const Lanes before = lanes;
  __m128i w0 = big_endian_words(block), w1 = big_endian_words(block + 16);
  __m128i w2 = big_endian_words(block + 32), w3 = big_endian_words(block + 48);
  for (size_t at = 0;; at += 16) {
    four_rounds(lanes, w0, at);
    four_rounds(lanes, w1, at + 4);
    four_rounds(lanes, w2, at + 8);
    four_rounds(lanes, w3, at + 12);
    if (at == 48) break;
    w0 = next_words(w0, w1, w2, w3);
    w1 = next_words(w1, w2, w3, w0);
    w2 = next_words(w2, w3, w0, w1);
    w3 = next_words(w3, w0, w1, w2);
  }
  lanes.abef = _mm_add_epi32(lanes.abef, before.abef);
  lanes.cdgh = _mm_add_epi32(lanes.cdgh, before.cdgh);
}

void add_blocks(Sha256State& state, const std::byte* blocks, size_t count) {
  Lanes lanes = lanes_of(state);
  for (; count > 0; --count, blocks += kSha256Block) add_block(lanes, blocks);
  state = state_of(lanes);
}

}  // namespace

Sha256Blocks x86_sha256_blocks() { return cpu_features().sha ? add_blocks : nullptr; }

}  // namespace carat

#else

namespace carat {

Sha256Blocks x86_sha256_blocks() { return nullptr; }

}  // namespace carat

#endif
