// Products of a matrix with one vector, as loops that the matmul's kernels call.
#pragma once

#include "kernels/gemm.h"
#include "kernels/rows.h"
#include "kernels/transpose.h"

namespace pydl::PYDL_ISA {
namespace {

// ---- a row times a matrix ----------------------------------------------------------------------

template <class T>
constexpr ptrdiff_t kLongRow = 1024 / sizeof(T);  // shorter ones a tile reads as well
constexpr ptrdiff_t kRowColumns = 4096;           // at a time

// Elements until the next vector that lies on its own alignment.
template <class T>
inline ptrdiff_t to_alignment(const T* p) {
  return ptrdiff_t(-reinterpret_cast<uintptr_t>(p) % sizeof(Vec<T>) / sizeof(T));
}

// One row times a B with contiguous rows, which are read eight side by side from end to end, as
// memory likes it: c[j] = sum_p a[p] b[p,j] (+ bias[j]) for j < n, up to kRowColumns. No vector
// crosses cache lines: the sums lie in L1, where b's vectors are aligned.
template <class T>
void multiply_row(ptrdiff_t n, ptrdiff_t k, const T* a, const T* b, ptrdiff_t b_row, T* c,
                  const T* bias) {
  constexpr ptrdiff_t V = kLanes<T>;
  alignas(64) T room[kRowColumns + V];
  const ptrdiff_t head = b_row % V == 0 ? min(n, to_alignment(b)) : 0;
  T* sums = head ? room + V - head : room;
  const auto for_columns = [&](auto f) {
    if (head) f(ptrdiff_t(0), head);
    for_each_vector<T>(n - head, [&](ptrdiff_t j, ptrdiff_t lanes) { f(head + j, lanes); });
  };
  __builtin_memset(sums, 0, size_t(n) * sizeof(T));
  const auto add_rows = [&]<int ROWS>() {
    for_columns([&](ptrdiff_t j, ptrdiff_t lanes) {
      Vec<T> acc = load_up_to(sums + j, lanes);
#pragma GCC unroll 8
      for (int i = 0; i < ROWS; ++i)
        acc = fma(broadcast(a[i]), load_up_to(b + i * b_row + j, lanes), acc);
      store_up_to(sums + j, acc, lanes);
    });
    a += ROWS;
    b += ROWS * b_row;
  };
  for (; k >= 8; k -= 8) add_rows.template operator()<8>();
  for (; k > 0; --k) add_rows.template operator()<1>();
  for_columns([&](ptrdiff_t j, ptrdiff_t lanes) {
    const Vec<T> sum = load_up_to(sums + j, lanes);
    store_up_to(c + j, bias ? sum + load_up_to(bias + j, lanes) : sum, lanes);
  });
}

// The same for GROUPS vectors of contiguous columns of B, k >= V steps. No bias.
template <int GROUPS, class T>
void multiply_columns(ptrdiff_t k, const T* a, const T* b, ptrdiff_t b_col, T* c) {
  constexpr ptrdiff_t V = kLanes<T>;
  using Part = HalfTransposed<Vec<T>, T>;
  Vec<T> acc[GROUPS] = {};
  // Steps [first, last) of the V that start with step p: whole cache lines, where columns have them
  // in the same places and are long enough.
  const auto add = [&](ptrdiff_t p, ptrdiff_t first,
                       ptrdiff_t last) __attribute__((always_inline)) {
    for_each_vector<GROUPS, V / Part::kRows>([&](int g, int h) {
      const ptrdiff_t at = p + h * Part::kRows;
      const Part part(b + g * V * b_col + at, b_col);
#pragma GCC unroll 16
      for (int i = 0; i < Part::kRows; ++i)
        if (const ptrdiff_t step = h * Part::kRows + i; first <= step && step < last)
          acc[g] = fma(broadcast(a[at + i]), part.row[i], acc[g]);
    });
  };
  ptrdiff_t p = b_col % V == 0 && k >= 8 * V ? to_alignment(b) : 0;
  if (p > 0) add(0, 0, p);
  for (; p + V <= k; p += V) add(p, 0, V);
  if (p < k) add(k - V, p - (k - V), V);
  for (int g = 0; g < GROUPS; ++g) store(c + g * V, acc[g]);
}

// The same for n whole vectors of columns. Two side by side, as a chain is long; where columns
// would meet in one set of L1, no more than one.
template <class T>
void multiply_row_transposed(ptrdiff_t n, ptrdiff_t k, const T* a, const T* b, ptrdiff_t b_col,
                             T* c) {
  constexpr ptrdiff_t V = kLanes<T>;
  const bool pairs = b_col * ptrdiff_t(sizeof(T)) % 4096 != 0;
  for (ptrdiff_t j = 0, step; j < n; j += step) {
    step = pairs && j + 2 * V <= n ? 2 * V : V;
    (step > V ? multiply_columns<2, T> : multiply_columns<1, T>)(k, a, b + j * b_col, b_col, c + j);
  }
}

// sums[i] += a[p] b[p] over p of segment i, of CHAINS segments with k steps in all, from step p of
// each; a row of b has up to a vector of columns.
template <int CHAINS, class T>
void add_segments(Vec<T>* sums, ptrdiff_t p, ptrdiff_t k, const T* a, ptrdiff_t a_col, const T* b,
                  ptrdiff_t b_row, ptrdiff_t columns) {
  const ptrdiff_t last = min(kGemmSegment, k - (CHAINS - 1) * kGemmSegment);  // the shortest one's
  Vec<T> acc[CHAINS];
  for_each_vector<CHAINS, 1>([&](int i, int) { acc[i] = sums[i]; });
  for (; p < last; ++p)
    for_each_vector<CHAINS, 1>([&](int i, int) {
      const ptrdiff_t at = p + i * kGemmSegment;
      acc[i] = fma(broadcast(a[at * a_col]), load_up_to(b + at * b_row, columns), acc[i]);
    });
  for_each_vector<CHAINS, 1>([&](int i, int) { sums[i] = acc[i]; });
  if constexpr (CHAINS > 1) add_segments<CHAINS - 1>(sums, p, k, a, a_col, b, b_row, columns);
}

// ---- a matrix times a column -------------------------------------------------------------------

template <class T>
constexpr ptrdiff_t kRowAhead = 2048 / sizeof(T);  // how far ahead a row is fetched

// y[r] = sum_k a[r,k] x[k] for the rows there are of as many as lanes, over virtual lanes: lane l
// adds the products of k = l, l + LANES, ... as one FMA chain, then halves are added until one is
// left. x is padded with zeros.
template <class T, int LANES>
void dot_rows(ptrdiff_t rows, ptrdiff_t k, const T* a, ptrdiff_t a_row, const T* x, T* y) {
  constexpr int V = int(kLanes<T>), NV = LANES / V;
  alignas(64) T lanes[V * V];  // V of each row
  for (ptrdiff_t r = 0; r < rows; ++r, a += a_row) {
    Vec<T> acc[NV] = {};
    ptrdiff_t p = 0;
    for (; p + LANES <= k; p += LANES)
      for_each_vector<1, NV>([&](int, int v) {
        __builtin_prefetch(a + p + v * V + kRowAhead<T>);
        acc[v] = fma(load(a + p + v * V), load(x + p + v * V), acc[v]);
      });
    if (p < k)
      for_each_vector<1, NV>([&](int, int v) {
        const ptrdiff_t left = k - p - v * V;
        const Vec<T> part = load_partial(a + p + v * V, left < 0 ? 0 : min<ptrdiff_t>(left, V));
        acc[v] = fma(part, load(x + p + v * V), acc[v]);
      });
#pragma GCC unroll 8
    for (int half = NV / 2; half > 0; half /= 2)
#pragma GCC unroll 16
      for (int v = 0; v < half; ++v) acc[v] += acc[v + half];
    store(lanes + r * V, acc[0]);
  }
  Transposed<Vec<T>, T> lane(lanes, V);
#pragma GCC unroll 8
  for (int half = V / 2; half > 0; half /= 2)
#pragma GCC unroll 16
    for (int l = 0; l < half; ++l) lane.row[l] += lane.row[l + half];
  store(y, lane.row[0]);
}

// The same where a[r,k] lies at a[k * a_col + r], up to four vectors of rows: the lanes are rows of
// vectors in `lane`.
template <class T>
void dot_columns(ptrdiff_t rows, ptrdiff_t k, ptrdiff_t lanes, const T* a, ptrdiff_t a_col,
                 const T* x, T* lane) {
  constexpr ptrdiff_t V = kLanes<T>;
  const ptrdiff_t width = padded<T>(rows);
  for (ptrdiff_t p = 0; p < k || p < lanes || p & (lanes - 1); ++p, a += a_col)
    for (ptrdiff_t j = 0; j < rows; j += V) {
      T* sum = lane + (p & (lanes - 1)) * width + j;
      const Vec<T> y = p < k ? load_partial(a + j, min(rows - j, V)) : Vec<T>{};
      store(sum, fma(y, broadcast(x[p]), p < lanes ? Vec<T>{} : load(sum)));
    }
  for (ptrdiff_t half = lanes / 2 * width; half >= width; half /= 2)
    for (ptrdiff_t j = 0; j < half; j += V) store(lane + j, load(lane + j) + load(lane + half + j));
}

}  // namespace
}  // namespace pydl::PYDL_ISA
