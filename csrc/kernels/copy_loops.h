// Copies of runs and of blocks, transposed on the way where need be.
#pragma once

#include "kernels/transpose.h"

namespace pydl::PYDL_ISA {
namespace {

constexpr ptrdiff_t kLongRun = 1024;  // bytes, worth a call of memcpy

// n elements; short runs cost a few moves, not a call.
template <class T>
inline void copy_run(T* to, const T* from, ptrdiff_t n) {
  for (; n >= kLanes<T>; n -= kLanes<T>, to += kLanes<T>, from += kLanes<T>) store(to, load(from));
#pragma GCC unroll 4
  for (ptrdiff_t half = kLanes<T> / 2; half > 0; half /= 2) {
    if (n & half) {
      __builtin_memcpy(to, from, size_t(half) * sizeof(T));
      to += half;
      from += half;
    }
  }
}

template <class T>
inline void copy_row(T* to, const T* from, ptrdiff_t n) {
  if (n * ptrdiff_t(sizeof(T)) < kLongRun)
    copy_run(to, from, n);
  else
    __builtin_memcpy(to, from, size_t(n) * sizeof(T));
}

// to[i * to_row + j] = from[i * from_row + j * from_col] for i < rows, j < cols. Contiguous columns
// of `from` are copied in squares of V, along a few of them at a time, the square below fetched
// meanwhile; what is left in smaller squares.
template <class T, class V = Vec<T>>
[[gnu::noinline]] void copy_block(T* to, ptrdiff_t to_row, const T* from, ptrdiff_t from_row,
                                  ptrdiff_t from_col, ptrdiff_t rows, ptrdiff_t cols) {
  if (from_col == 1) {
    for (ptrdiff_t i = 0; i < rows; ++i) copy_row(to + i * to_row, from + i * from_row, cols);
    return;
  }
  constexpr ptrdiff_t kSide = sizeof(V) / sizeof(T);
  using Small = typename VecOf<T, 16>::Type;
  if (sizeof(V) > 16 && min(rows, cols) < kSide)
    return copy_block<T, Small>(to, to_row, from, from_row, from_col, rows, cols);
  ptrdiff_t m = 0, n = 0;  // of the squares
  if (from_row == 1) m = rows / kSide * kSide, n = cols / kSide * kSide;
  for (ptrdiff_t j = 0; j < n; j += kSide)
    for (ptrdiff_t i = 0; i < m; i += kSide) {
      const T* at = from + i + j * from_col;
      const Transposed<V, T> square(at, from_col);
#pragma GCC unroll 16
      for (int q = 0; q < kSide; ++q) {
        __builtin_prefetch(at + q * from_col + kSide);
        __builtin_memcpy(to + (i + q) * to_row + j, &square.row[q], sizeof(V));
      }
    }
  if constexpr (sizeof(V) > 16) {
    if (n < cols)
      copy_block<T, Small>(to + n, to_row, from + n * from_col, from_row, from_col, m, cols - n);
    if (m < rows)
      copy_block<T, Small>(to + m * to_row, to_row, from + m * from_row, from_row, from_col,
                           rows - m, cols);
  } else {
    const auto one_by_one = [&](ptrdiff_t i, ptrdiff_t j, ptrdiff_t rows, ptrdiff_t cols) {
      if (rows > cols)
        for (; j < cols; ++j)
          for (ptrdiff_t r = i; r < rows; ++r)
            to[r * to_row + j] = from[r * from_row + j * from_col];
      else
        for (; i < rows; ++i)
          for (ptrdiff_t c = j; c < cols; ++c)
            to[i * to_row + c] = from[i * from_row + c * from_col];
    };
    one_by_one(0, n, m, cols);
    one_by_one(m, 0, rows, cols);
  }
}

}  // namespace
}  // namespace pydl::PYDL_ISA
