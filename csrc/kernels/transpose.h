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

// Lane l of a with its bit W set, and lane l - W of b, change places.
template <int W, class V, int... I>
inline void exchange(V& a, V& b, Lanes<I...>) {
  constexpr int N = sizeof...(I);
  const V low = shuffle<(I & W ? N + I - W : I)...>(a, b);
  b = shuffle<(I & W ? N + I : I + W)...>(a, b);
  a = low;
}

// Lane j of r[i] and lane i of r[j] change places.
template <int W = 1, class V, int N>
inline void transpose(V (&r)[N]) {
  if constexpr (W < N) {
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i)
      if (!(i & W)) exchange<W>(r[i], r[i + W], typename LanesUpTo<N>::Type{});
    transpose<2 * W>(r);
  }
}

// The vectors V at from, from + stride, ..., as many as they have lanes, transposed.
template <class V, class T>
struct Transposed {
  static constexpr int kSide = sizeof(V) / sizeof(T);
  V row[kSide];
  Transposed(const T* from, ptrdiff_t stride) {
#pragma GCC unroll 16
    for (int i = 0; i < kSide; ++i) __builtin_memcpy(&row[i], from + i * stride, sizeof(V));
    transpose(row);
  }
};

}  // namespace
}  // namespace pydl::PYDL_ISA
