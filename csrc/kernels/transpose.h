// Squares of elements transposed in registers, and what else works on several registers at a time.
#pragma once

#include "simd/vec.h"
#include "table.h"

namespace pydl::PYDL_ISA {
namespace {

// Columns that a panel of `cols` columns has in memory; those that do not exist are zero.
template <class T>
inline ptrdiff_t padded(ptrdiff_t cols) {
  return ceil_div(cols, kLanes<T>) * kLanes<T>;
}

// f(i, v) for each vector of a tile, unrolled, so that accumulators are registers.
template <int MR, int NV, class F>
inline void for_each_vector(F f) {
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 16
    for (int v = 0; v < NV; ++v) f(i, v);
}

// Runs of W elements of a and of b in turn, from the low and the high halves of their groups of 16
// bytes, which a processor shuffles fastest.
template <int W, class V, int... I>
inline void interleave(V& a, V& b, Lanes<I...>) {
  constexpr int N = sizeof...(I), Q = 16 * N / sizeof(V);
  const V low = shuffle<(I / Q * Q + I % Q / (2 * W) * W + I % W + (I & W ? N : 0))...>(a, b);
  b = shuffle<(I / Q * Q + Q / 2 + I % Q / (2 * W) * W + I % W + (I & W ? N : 0))...>(a, b);
  a = low;
}

// The vectors V at from, from + stride, ..., as many as they have lanes, transposed. Each register
// starts with 16 bytes of several of them, so that no element has to leave its group.
template <class V, class T>
struct Transposed {
  static constexpr int kSide = sizeof(V) / sizeof(T), kQuad = 16 / sizeof(T);
  V row[kSide];
  Transposed(const T* from, ptrdiff_t stride) {
    const typename LanesUpTo<kSide>::Type lanes;
#pragma GCC unroll 8
    for (int q = 0; q < kSide; q += kQuad) {
#pragma GCC unroll 4
      for (int i = 0; i < kQuad; ++i)
        row[q + i] = load_groups<V>(from + i * stride + q, kQuad * stride);
#pragma GCC unroll 2
      for (int i = 0; i < kQuad; i += 2) interleave<1>(row[q + i], row[q + i + 1], lanes);
      if constexpr (kQuad == 4) {
        interleave<2>(row[q], row[q + 2], lanes);
        interleave<2>(row[q + 1], row[q + 3], lanes);
        const V second = row[q + 2];
        row[q + 2] = row[q + 1];
        row[q + 1] = second;
      }
    }
  }
};

}  // namespace
}  // namespace pydl::PYDL_ISA
