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

// One of log2 N steps of a transposition, N lanes. W lanes apart in whole 16 bytes: lane l of a
// with its bit W set, and lane l - W of b, change places. Within 16 bytes, where x86 has
// instructions for it: a gets the lanes of both their lower halves in turn, b those of the upper
// halves.
template <int W, class V, int... I>
inline void exchange(V& a, V& b, Lanes<I...>) {
  constexpr int N = sizeof...(I), Q = 16 * N / int(sizeof(V));
  const V low = shuffle<(W < Q   ? (I & -Q) + I % Q / 2 + I % 2 * N
                         : I & W ? N + I - W
                                 : I)...>(a, b);
  b = shuffle<(W < Q ? (I & -Q) + Q / 2 + I % Q / 2 + I % 2 * N : I & W ? N + I : I + W)...>(a, b);
  a = low;
}

// Lane j of r[i] and lane i of r[j] change places; with fewer rows than lanes, in each part of a
// row that has as many lanes as there are rows, 16 bytes at least.
template <class V, int N, int W = N / 2>
inline void transpose(V (&r)[N]) {
  if constexpr (W > 0) {
    constexpr int kLanes = sizeof(V) / sizeof(Element<V>);
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i)
      if (!(i & W)) exchange<W>(r[i], r[i + W], typename LanesUpTo<kLanes>::Type{});
    transpose<V, N, W / 2>(r);
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

// The first half of that: half as many elements of as many vectors. Registers are few, and a load
// that joins two halves saves a shuffle. (A vector of 16 bytes is taken whole.)
template <class V, class T>
struct HalfTransposed {
  static constexpr int kSide = sizeof(V) / sizeof(T), kRows = sizeof(V) > 16 ? kSide / 2 : kSide;
  V row[kRows];
  HalfTransposed(const T* from, ptrdiff_t stride) {
    using Half = typename VecOf<T, sizeof(V) / kSide * kRows>::Type;
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      Half half[2];
      __builtin_memcpy(&half[0], from + i * stride, sizeof(Half));
      if constexpr (kRows < kSide) {
        __builtin_memcpy(&half[1], from + (i + kRows) * stride, sizeof(Half));
        row[i] = join(half[0], half[1], typename LanesUpTo<kSide>::Type{});
      } else {
        row[i] = half[0];
      }
    }
    transpose(row);
  }
  template <class Half, int... I>
  static V join(Half low, Half high, Lanes<I...>) {
    return shuffle<I...>(low, high);
  }
};

}  // namespace
}  // namespace pydl::PYDL_ISA
