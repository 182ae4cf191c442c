#include "kernels/sparse.h"

#include "kernels/gemm.h"
#include "kernels/rows.h"
#include "simd/vec.h"

namespace pydl::PYDL_ISA {
namespace {

constexpr int kStripVectors = 8;      // of a row of C in registers
constexpr ptrdiff_t kPrefetched = 8;  // elements of A whose rows of B are on their way

// NV vectors over `columns` columns of a row. The last one ends with the row and overlaps the one
// before it, so that nothing is partial; only a row narrower than a vector is (kNarrow).
template <class T, int NV, bool kNarrow>
struct Strip {
  Vec<T> v[NV];

  static ptrdiff_t at(int i, ptrdiff_t columns) {
    return !kNarrow && i == NV - 1 ? columns - kLanes<T> : i * kLanes<T>;
  }
  static Strip load_from(const T* p, ptrdiff_t columns) {
    Strip s;
#pragma GCC unroll 8
    for (int i = 0; i < NV; ++i)
      s.v[i] = kNarrow ? load_partial(p, columns) : load(p + at(i, columns));
    return s;
  }
  void store_to(T* p, ptrdiff_t columns) const {
#pragma GCC unroll 8
    for (int i = 0; i < NV; ++i)
      kNarrow ? store_partial(p, v[i], columns) : store(p + at(i, columns), v[i]);
  }
  friend Strip operator+(const Strip& a, const Strip& b) {
    Strip s;
#pragma GCC unroll 8
    for (int i = 0; i < NV; ++i) s.v[i] = a.v[i] + b.v[i];
    return s;
  }
  // x y + this
  Strip plus_product(T x, const Strip& y) const {
    Strip s;
#pragma GCC unroll 8
    for (int i = 0; i < NV; ++i) s.v[i] = fma(broadcast(x), y.v[i], v[i]);
    return s;
  }
};

// Calls f.template operator()<Strip>(column, columns) over n columns, in strips of like width.
template <class T, int NV = kStripVectors, class F>
inline void with_strip(ptrdiff_t vectors, ptrdiff_t column, ptrdiff_t columns, F f) {
  if constexpr (NV > 1)
    if (vectors < NV) return with_strip<T, NV - 1>(vectors, column, columns, f);
  f.template operator()<Strip<T, NV, false>>(column, columns);
}

template <class T, class F>
inline void over_strips(ptrdiff_t n, F f) {
  if (n < kLanes<T>) return f.template operator()<Strip<T, 1, true>>(ptrdiff_t(0), n);
  const ptrdiff_t vectors = (n + kLanes<T> - 1) / kLanes<T>;
  const ptrdiff_t strips = (vectors + kStripVectors - 1) / kStripVectors;
  for (ptrdiff_t s = 0, first = 0, end; s < strips; ++s, first = end) {
    end = vectors * (s + 1) / strips;
    const ptrdiff_t column = first * kLanes<T>;
    with_strip<T>(end - first, column, min<ptrdiff_t>(n - column, (end - first) * kLanes<T>), f);
  }
}

// The elements of one row of A.
template <class T>
struct Row {
  const T* value;
  const int32_t* column;
  ptrdiff_t count;
};

template <class T>
inline Row<T> row_of(const CsrArgs& a, ptrdiff_t i) {
  const ptrdiff_t r = a.rows ? a.rows[i] : i;
  return {static_cast<const T*>(a.values) + a.start[r], a.columns + a.start[r],
          a.start[r + 1] - a.start[r]};
}

// Fetches the first KiB of a row's values and columns: a batch takes rows from anywhere.
template <class T>
inline void fetch(const Row<T>& row) {
  const auto lines = [](const void* at, ptrdiff_t bytes) {
    for (ptrdiff_t line = 0; line < min<ptrdiff_t>(bytes, 1024); line += 64)
      __builtin_prefetch(static_cast<const char*>(at) + line);
  };
  lines(row.column, row.count * ptrdiff_t(sizeof(int32_t)));
  lines(row.value, row.count * ptrdiff_t(sizeof(T)));
}

inline ptrdiff_t segments_of(ptrdiff_t steps) {
  return steps > kGemmSegment ? (steps + kGemmSegment - 1) / kGemmSegment : 1;
}

// Calls add(i) for the elements i of a row, segment by segment of k, end() after each segment.
template <class T, class Add, class End>
inline void over_segments(const Row<T>& row, ptrdiff_t k, Add add, End end) {
  ptrdiff_t i = 0;
  const ptrdiff_t segments = segments_of(k);
  for (ptrdiff_t s = 1; s < segments; ++s) {
    for (; i < row.count && row.column[i] < s * kGemmSegment; ++i) add(i);
    end();
  }
  for (; i < row.count; ++i) add(i);
}

template <class S, class T>
inline void multiply_row(const Row<T>& row, const CsrProductArgs& a, const T* b, T* c,
                         const T* bias, ptrdiff_t columns) {
  S sum{};
  PairwiseSum<S> total;
  over_segments(
      row, a.a.k,
      [&](ptrdiff_t i) {
        if (i + kPrefetched < row.count) {
          const T* next = b + row.column[i + kPrefetched] * a.b_row;
#pragma GCC unroll 8
          for (ptrdiff_t line = 0; line < ptrdiff_t(sizeof(S)); line += 64)
            __builtin_prefetch(reinterpret_cast<const char*>(next) + line);
        }
        sum = sum.plus_product(row.value[i], S::load_from(b + row.column[i] * a.b_row, columns));
      },
      [&] {
        total.add(sum);
        sum = S{};
      });
  if (a.a.k > kGemmSegment) {
    total.add(sum);
    sum = total.total();
  }
  if (bias) sum = sum + S::load_from(bias, columns);
  sum.store_to(c, columns);
}

// Lanes added by halves into lane 0, as the dense product of a vector does.
template <class T>
inline T fold_all(T* lane, ptrdiff_t lanes) {
  for (ptrdiff_t half = lanes / 2; half > 0; half /= 2)
    for (ptrdiff_t l = 0; l < half; ++l) lane[l] += lane[l + half];
  return lane[0];
}

// Virtual lanes of a segment of so many steps, see docs/kernels.md.
template <class T>
inline ptrdiff_t lanes_of(ptrdiff_t steps) {
  constexpr ptrdiff_t kMost = kCsrLaneBytes / sizeof(T);
  return steps <= kMost / 4 ? kMost / 4 : steps <= kMost / 2 ? kMost / 2 : kMost;
}

template <class T>
inline T fma_one(T x, T y, T z) {
  return fma(broadcast(x), broadcast(y), broadcast(z))[0];
}

// n == 1: lane p % lanes adds the products of step p.
template <class T>
inline T multiply_vector(const Row<T>& row, const CsrProductArgs& a) {
  alignas(64) T lane[kCsrLaneBytes / sizeof(T)] = {};
  const T* b = static_cast<const T*>(a.b);
  ptrdiff_t first = 0, lanes = lanes_of<T>(min<ptrdiff_t>(a.a.k, kGemmSegment));
  PairwiseSum<T> total;
  over_segments(
      row, a.a.k,
      [&](ptrdiff_t i) {
        T& sum = lane[(row.column[i] - first) & (lanes - 1)];
        sum = fma_one(row.value[i], b[row.column[i] * a.b_row], sum);
      },
      [&] {
        total.add(fold_all(lane, lanes));
        __builtin_memset(lane, 0, sizeof lane);
        first += kGemmSegment;
        lanes = lanes_of<T>(min<ptrdiff_t>(a.a.k - first, kGemmSegment));
      });
  if (first == 0) return fold_all(lane, lanes);
  total.add(fold_all(lane, lanes));
  return total.total();
}

template <class T>
void product(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const CsrProductArgs*>(args);
  const T* bias = static_cast<const T*>(a.bias);
  for (ptrdiff_t i = begin; i < end; ++i) {
    const Row<T> row = row_of<T>(a.a, i);
    if (a.a.rows && i + 1 < end) fetch(row_of<T>(a.a, i + 1));
    T* c = static_cast<T*>(a.c) + i * a.c_row;
    if (a.n == 1) {
      *c = multiply_vector(row, a) + (bias ? *bias : T(0));
    } else {
      over_strips<T>(a.n, [&]<class S>(ptrdiff_t j, ptrdiff_t columns) {
        multiply_row<S>(row, a, static_cast<const T*>(a.b) + j, c + j, bias ? bias + j : nullptr,
                        columns);
      });
    }
    if (a.activation) {
      char* const p[] = {reinterpret_cast<char*>(c), reinterpret_cast<char*>(c)};
      a.activation(a.n, p, 0, a.params);
    }
  }
}

// ---- from dense rows ---------------------------------------------------------------------------

template <class T>
void compress(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const CompressArgs*>(args);
  for (ptrdiff_t i = begin; i < end; ++i) {
    const T* x = static_cast<const T*>(a.x) + i * a.k;
    T* value = static_cast<T*>(a.values) + i * a.k;
    int32_t *first = a.columns + i * a.k, *column = first;
    const auto keep = [&](ptrdiff_t p) { *value++ = x[p], *column++ = int32_t(p); };
    ptrdiff_t p = 0;
    while (p + kLanes<T> <= a.k) {
      // Vectors with elements are listed first: no branch, as it could not be foreseen.
      constexpr ptrdiff_t kMost = 512;
      ptrdiff_t at[kMost], count = 0;
      uint32_t bits[kMost];
      const ptrdiff_t stop = min(a.k, p + kMost * kLanes<T>);
      for (; p + kLanes<T> <= stop; p += kLanes<T>) {
        at[count] = p;
        bits[count] = lane_bits(load(x + p) != T(0));
        count += bits[count] != 0;
      }
      for (ptrdiff_t v = 0; v < count; ++v)
        for (uint32_t left = bits[v]; left; left &= left - 1) keep(at[v] + __builtin_ctz(left));
    }
    for (; p < a.k; ++p)
      if (x[p] != 0) keep(p);
    a.counts[i] = int32_t(column - first);
  }
}

// ---- gradient ----------------------------------------------------------------------------------

void bounds(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const CsrGradientArgs*>(args);
  const int shift = __builtin_ctzll(uint64_t(a.block));
  for (ptrdiff_t i = begin; i < end; ++i) {
    const Row<char> row = row_of<char>(a.a, i);  // the values are not read
    const ptrdiff_t start = row.column - a.a.columns;
    int64_t* bound = a.bounds + i * (a.blocks + 1);
    for (ptrdiff_t t = 0; t <= a.blocks; ++t) bound[t] = start;
    // the last one of a block stays; no branch, as it could not be foreseen
    for (ptrdiff_t e = 0; e < row.count; ++e) bound[(row.column[e] >> shift) + 1] = start + e + 1;
    for (ptrdiff_t t = 0; t < a.blocks; ++t)
      if (bound[t + 1] < bound[t]) bound[t + 1] = bound[t];
  }
}

// Calls f(element, its row of A) for the elements of rows [first, last) in block t, row by row.
template <class F>
inline void over_rows(const CsrGradientArgs& a, ptrdiff_t t, ptrdiff_t first, ptrdiff_t last, F f) {
  const int64_t* bound = a.bounds + first * (a.blocks + 1) + t;
  for (ptrdiff_t i = first; i < last; ++i, bound += a.blocks + 1)
    if (bound[0] < bound[1]) f(i, bound[0], bound[1]);
}

template <class T>
void gradient(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const CsrGradientArgs*>(args);
  const T* value = static_cast<const T*>(a.a.values);
  const int32_t* column = a.a.columns;
  const T* g = static_cast<const T*>(a.g);
  const ptrdiff_t segments = segments_of(a.a.m);
  for (ptrdiff_t item = begin; item < end; ++item) {
    const ptrdiff_t t = a.first_block + item, first = t * a.block;
    const ptrdiff_t size = (min<ptrdiff_t>(first + a.block, a.a.k) - first) * a.n;
    // the sum of segment s, from column `first` of A on
    const auto sum_of = [&](ptrdiff_t s) {
      return s == 0 ? static_cast<T*>(a.c) + first * a.n
                    : static_cast<T*>(a.partials) + (s - 1) * a.partial_size + item * a.block * a.n;
    };
    for (ptrdiff_t s = 0; s < segments; ++s) {
      const ptrdiff_t row = s * kGemmSegment, last = min<ptrdiff_t>(row + kGemmSegment, a.a.m);
      T* c = sum_of(s);
      if (a.n == 1) {
        const ptrdiff_t lanes = lanes_of<T>(last - row);
        T* lane = static_cast<T*>(a.lanes) + item * a.block * (kCsrLaneBytes / sizeof(T));
        __builtin_memset(lane, 0, size_t(size * lanes) * sizeof(T));
        over_rows(a, t, row, last, [&](ptrdiff_t i, ptrdiff_t e, ptrdiff_t stop) {
          const T x = g[i * a.g_row];
          T* own = lane + ((i - row) & (lanes - 1));
          for (; e < stop; ++e) {
            T& sum = own[(column[e] - first) * lanes];
            sum = fma_one(value[e], x, sum);
          }
        });
        for (ptrdiff_t p = 0; p < size; ++p) c[p] = fold_all(lane + p * lanes, lanes);
        continue;
      }
      __builtin_memset(c, 0, size_t(size) * sizeof(T));
      over_strips<T>(a.n, [&]<class S>(ptrdiff_t j, ptrdiff_t columns) {
        over_rows(a, t, row, last, [&](ptrdiff_t i, ptrdiff_t e, ptrdiff_t stop) {
          const S x = S::load_from(g + i * a.g_row + j, columns);
          for (; e < stop; ++e) {
            T* to = c + (column[e] - first) * a.n + j;
            S::load_from(to, columns).plus_product(value[e], x).store_to(to, columns);
          }
        });
      });
    }
    for (ptrdiff_t step = 1; step < segments; step *= 2)
      for (ptrdiff_t s = 0; s + step < segments; s += 2 * step)
        for (ptrdiff_t p = 0; p < size; ++p) sum_of(s)[p] += sum_of(s + step)[p];
  }
}

}  // namespace

extern constinit const SparseKernels sparse_kernels = {
    .compress = {compress<float>, compress<double>},
    .product = {product<float>, product<double>},
    .bounds = bounds,
    .gradient = {gradient<float>, gradient<double>},
};

}  // namespace pydl::PYDL_ISA
