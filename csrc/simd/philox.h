// Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random
// numbers: as easy as 1, 2, 3" (2011): 128 random bits as a function of a key and a counter.
#pragma once

#include "simd/vec.h"

namespace pydl::PYDL_ISA {
namespace {

constexpr int kPhiloxBlocks = 16;                // computed together
constexpr int kPhiloxWords = 4 * kPhiloxBlocks;  // 32-bit words they give

// Products of the low halves of the 64-bit lanes; the high halves are ignored.
inline Vec<uint64_t> multiply_low_halves(Vec<uint64_t> a, Vec<uint64_t> b) {
#if defined(__AVX512F__)
  return Vec<uint64_t>(_mm512_maskz_mul_epu32(__mmask8(-1), __m512i(a), __m512i(b)));
#elif defined(__AVX2__)
  return Vec<uint64_t>(_mm256_mul_epu32(__m256i(a), __m256i(b)));
#elif defined(__ARM_NEON)
  return Vec<uint64_t>(vmull_u32(vmovn_u64(uint64x2_t(a)), vmovn_u64(uint64x2_t(b))));
#else
  return Vec<uint64_t>(_mm_mul_epu32(__m128i(a), __m128i(b)));
#endif
}

// Key and counter of a draw: words 0 and 1 of the counter are the block's number.
struct PhiloxKey {
  uint64_t seed;
  uint32_t stream, step;
};

// Blocks first .. first + 15, their words in order: block 0's four words, then block 1's, ...
inline void philox(PhiloxKey key, uint64_t first, uint32_t* words) {
  using V = Vec<uint64_t>;  // one block in the low half of each lane
  constexpr int kBlocks = kLanes<uint64_t>;
  constexpr int kChains = 2;  // registers advanced side by side, to hide the multiplier's latency
  constexpr uint64_t kLow = 0xFFFFFFFF;
  const V multiplier0 = broadcast(uint64_t(0xD2511F53));
  const V multiplier2 = broadcast(uint64_t(0xCD9E8D57));
  const V weyl0 = broadcast(uint64_t(0x9E3779B9));  // golden ratio
  const V weyl1 = broadcast(uint64_t(0xBB67AE85));  // sqrt(3) - 1

  V iota{};
  for (int i = 0; i < kBlocks; ++i) iota[i] = uint64_t(i);
  for (int start = 0; start < kPhiloxBlocks; start += kChains * kBlocks) {
    V c0[kChains], c1[kChains], c2[kChains], c3[kChains];
    for (int u = 0; u < kChains; ++u) {
      c0[u] = iota + (first + uint64_t(start + u * kBlocks));
      c1[u] = c0[u] >> 32;
      c2[u] = broadcast(uint64_t(key.stream));
      c3[u] = broadcast(uint64_t(key.step));
    }
    V k0 = broadcast(key.seed & kLow), k1 = broadcast(key.seed >> 32);
    for (int round = 0; round < 10; ++round) {
      for (int u = 0; u < kChains; ++u) {
        const V p0 = multiply_low_halves(c0[u], multiplier0);
        const V p2 = multiply_low_halves(c2[u], multiplier2);
        c0[u] = (p2 >> 32) ^ c1[u] ^ k0;
        c1[u] = p2;
        c2[u] = (p0 >> 32) ^ c3[u] ^ k1;
        c3[u] = p0;
      }
      k0 += weyl0;  // a carry stays in the high half, which nothing reads
      k1 += weyl1;
    }
    for (int u = 0; u < kChains; ++u) {
      const V words01 = (c0[u] & kLow) | (c1[u] << 32), words23 = (c2[u] & kLow) | (c3[u] << 32);
      for (int i = 0; i < kBlocks; ++i) {
        const uint64_t pair[2] = {words01[i], words23[i]};
        __builtin_memcpy(words + 4 * (start + u * kBlocks + i), pair, sizeof pair);
      }
    }
  }
}

}  // namespace
}  // namespace pydl::PYDL_ISA
