// Batch and layer normalisation over contiguous rows.
#pragma once

#include "kernels/nn.h"
#include "kernels/rows.h"

namespace pydl::PYDL_ISA {
namespace {

template <class T>
constexpr ptrdiff_t kStripColumns = kStatisticsStripBytes / ptrdiff_t(sizeof(T));
constexpr int kStripRegisters = kStatisticsStripBytes / kVectorBytes;

inline ptrdiff_t smaller(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

// Calls f.run<R>(column, lanes) over the columns of one strip: all R registers of a full strip at
// once, else one register at a time, the last one with fewer lanes.
template <class T, class F>
inline void for_strip(ptrdiff_t strip, ptrdiff_t columns, F f) {
  const ptrdiff_t first = strip * kStripColumns<T>;
  const ptrdiff_t width = smaller(kStripColumns<T>, columns - first);
  if (width == kStripColumns<T>) return f.template run<kStripRegisters>(first, kLanes<T>);
  for (ptrdiff_t i = 0; i < width; i += kLanes<T>) f.template run<1>(first + i, width - i);
}

// Rows and strips of a launch over (block, strip).
template <class T>
struct BlockItem {
  ptrdiff_t block, strip, first_row, rows;

  BlockItem(ptrdiff_t item, ptrdiff_t all_rows, ptrdiff_t columns) {
    const ptrdiff_t strips = (columns + kStripColumns<T> - 1) / kStripColumns<T>;
    block = item / strips;
    strip = item % strips;
    first_row = block * kStatisticsRows;
    rows = smaller(kStatisticsRows, all_rows - first_row);
  }
};

// Two passes; the second one also measures how far the first mean is off (its sum of deviations)
// and takes that out.
template <class T>
struct MomentsOfBlock {
  const T* x;
  ptrdiff_t rows, columns;
  T *mean, *squares;

  template <int R>
  void run(ptrdiff_t column, ptrdiff_t lanes) const {
    using V = Vec<T>;
    V sum[R] = {};
    const T* p = x + column;
    for (ptrdiff_t r = 0; r < rows; ++r, p += columns)
      for (int k = 0; k < R; ++k) sum[k] += load_up_to(p + k * kLanes<T>, lanes);
    for (int k = 0; k < R; ++k) sum[k] /= T(rows);
    V d1[R] = {}, d2[R] = {};
    p = x + column;
    for (ptrdiff_t r = 0; r < rows; ++r, p += columns)
      for (int k = 0; k < R; ++k) {
        const V d = load_up_to(p + k * kLanes<T>, lanes) - sum[k];
        d1[k] += d;
        d2[k] = fma(d, d, d2[k]);
      }
    for (int k = 0; k < R; ++k) {
      const V shift = d1[k] / T(rows);
      store_up_to(mean + column + k * kLanes<T>, V(sum[k] + shift), lanes);
      store_up_to(squares + column + k * kLanes<T>, max(V(d2[k] - d1[k] * shift), V{}), lanes);
    }
  }
};

template <class T>
void column_moments(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const ColumnMomentsArgs*>(args);
  for (ptrdiff_t item = begin; item < end; ++item) {
    const BlockItem<T> at(item, a.rows, a.columns);
    const ptrdiff_t partial = at.block * a.columns;
    for_strip<T>(at.strip, a.columns,
                 MomentsOfBlock<T>{static_cast<const T*>(a.x) + at.first_row * a.columns, at.rows,
                                   a.columns, static_cast<T*>(a.means) + partial,
                                   static_cast<T*>(a.squares) + partial});
  }
}

// Calls merge(i, j) for the pairs of a binary tree over `blocks` partials; i takes in j > i.
template <class F>
inline void for_tree(ptrdiff_t blocks, F merge) {
  for (ptrdiff_t step = 1; step < blocks; step *= 2)
    for (ptrdiff_t i = 0; i + step < blocks; i += 2 * step) merge(i, i + step, step);
}

inline ptrdiff_t block_count(ptrdiff_t rows) {
  return (rows + kStatisticsRows - 1) / kStatisticsRows;
}

// Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
// variances" (1979).
template <class T>
void merge_moments(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  using V = Vec<T>;
  const auto& a = *static_cast<const ColumnMomentsArgs*>(args);
  const auto rows_before = [&](ptrdiff_t block) {
    return smaller(block * kStatisticsRows, a.rows);
  };
  const ptrdiff_t last = smaller(end * kStripColumns<T>, a.columns);
  for (ptrdiff_t column = begin * kStripColumns<T>; column < last; column += kLanes<T>) {
    const ptrdiff_t lanes = last - column;
    T* means = static_cast<T*>(a.means) + column;
    T* squares = static_cast<T*>(a.squares) + column;
    for_tree(block_count(a.rows), [&](ptrdiff_t i, ptrdiff_t j, ptrdiff_t step) {
      const double n_i = double(rows_before(j) - rows_before(i));
      const double n_j = double(rows_before(j + step) - rows_before(j));
      const T weight = T(n_j / (n_i + n_j));
      T *mean_i = means + i * a.columns, *squares_i = squares + i * a.columns;
      const V mean = load_up_to(mean_i, lanes);
      const V delta = load_up_to(means + j * a.columns, lanes) - mean;
      const V sum = load_up_to(squares_i, lanes) + load_up_to(squares + j * a.columns, lanes);
      store_up_to(mean_i, fma(delta, broadcast(weight), mean), lanes);
      store_up_to(squares_i, fma(V(delta * delta), broadcast(T(n_i * weight)), sum), lanes);
    });
    store_up_to(static_cast<T*>(a.mean) + column, load_up_to(means, lanes), lanes);
    store_up_to(static_cast<T*>(a.variance) + column, V(load_up_to(squares, lanes) / T(a.rows)),
                lanes);
  }
}

template <class T, bool kByRow>
struct GradSumsOfBlock {
  const T *g, *x, *mean, *scale;
  ptrdiff_t rows, columns;
  T *sums_g, *sums_gx;

  template <int R>
  void run(ptrdiff_t column, ptrdiff_t lanes) const {
    using V = Vec<T>;
    V center[R], sum_g[R] = {}, sum_gx[R] = {};
    for (int k = 0; k < R; ++k)
      center[k] = kByRow ? V{} : load_up_to(mean + column + k * kLanes<T>, lanes);
    for (ptrdiff_t r = 0; r < rows; ++r)
      for (int k = 0; k < R; ++k) {
        const ptrdiff_t i = r * columns + column + k * kLanes<T>;
        const V g_i = load_up_to(g + i, lanes), x_i = load_up_to(x + i, lanes);
        V d;
        if constexpr (kByRow)
          d = (x_i - mean[r]) * scale[r];
        else
          d = x_i - center[k];
        sum_g[k] += g_i;
        sum_gx[k] = fma(g_i, d, sum_gx[k]);
      }
    for (int k = 0; k < R; ++k) {
      store_up_to(sums_g + column + k * kLanes<T>, sum_g[k], lanes);
      store_up_to(sums_gx + column + k * kLanes<T>, sum_gx[k], lanes);
    }
  }
};

template <class T, bool kByRow>
void column_grad_sums(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const ColumnGradSumsArgs*>(args);
  for (ptrdiff_t item = begin; item < end; ++item) {
    const BlockItem<T> at(item, a.rows, a.columns);
    const ptrdiff_t from = at.first_row * a.columns, partial = at.block * a.columns;
    const ptrdiff_t first_row = kByRow ? at.first_row : 0;
    for_strip<T>(
        at.strip, a.columns,
        GradSumsOfBlock<T, kByRow>{
            static_cast<const T*>(a.g) + from, static_cast<const T*>(a.x) + from,
            static_cast<const T*>(a.mean) + first_row,
            kByRow ? static_cast<const T*>(a.scale) + first_row : nullptr, at.rows, a.columns,
            static_cast<T*>(a.sums_g) + partial, static_cast<T*>(a.sums_gx) + partial});
  }
}

template <class T>
void merge_grad_sums(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const ColumnGradSumsArgs*>(args);
  const ptrdiff_t first = begin * kStripColumns<T>;
  const ptrdiff_t width = smaller(end * kStripColumns<T>, a.columns) - first;
  const auto merge = [&](void* partials, void* out) {
    T* p = static_cast<T*>(partials) + first;
    for_tree(block_count(a.rows), [&](ptrdiff_t i, ptrdiff_t j, ptrdiff_t) {
      for (ptrdiff_t c = 0; c < width; ++c) p[i * a.columns + c] += p[j * a.columns + c];
    });
    for (ptrdiff_t c = 0; c < width; ++c) static_cast<T*>(out)[first + c] = p[c];
  };
  merge(a.sums_g, a.sum_g);
  merge(a.sums_gx, a.sum_gx);
}

template <class T>
void normalization_scale(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const ScaleArgs*>(args);
  const T *variance = static_cast<const T*>(a.variance), *gamma = static_cast<const T*>(a.gamma);
  T* scale = static_cast<T*>(a.scale);
  for_each_vector<T>(end - begin, [&](ptrdiff_t i, ptrdiff_t lanes) {
    i += begin;
    const Vec<T> one = broadcast(T(1));
    const Vec<T> deviation = sqrt(Vec<T>(load_up_to(variance + i, lanes) + T(a.epsilon)));
    store_up_to(scale + i, Vec<T>((gamma ? load_up_to(gamma + i, lanes) : one) / deviation), lanes);
  });
}

template <class T>
void normalize(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const NormalizeArgs*>(args);
  const T *mean = static_cast<const T*>(a.mean), *scale = static_cast<const T*>(a.scale);
  const T* beta = static_cast<const T*>(a.beta);
  for (ptrdiff_t row = begin; row < end; ++row) {
    const T* x = static_cast<const T*>(a.x) + row * a.columns;
    T* y = static_cast<T*>(a.y) + row * a.columns;
    for_each_vector<T>(a.columns, [&](ptrdiff_t i, ptrdiff_t lanes) {
      const Vec<T> d = load_up_to(x + i, lanes) - load_up_to(mean + i, lanes);
      const Vec<T> shift = beta ? load_up_to(beta + i, lanes) : Vec<T>{};
      store_up_to(y + i, fma(d, load_up_to(scale + i, lanes), shift), lanes);
    });
  }
}

template <class T>
void batch_norm_coefficients(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  using V = Vec<T>;
  const auto& p = *static_cast<const BatchNormCoefficientsArgs*>(args);
  const auto at = [begin](const void* values) { return static_cast<const T*>(values) + begin; };
  const auto to = [begin](void* values) { return static_cast<T*>(values) + begin; };
  for_each_vector<T>(end - begin, [&](ptrdiff_t i, ptrdiff_t lanes) {
    const V one = broadcast(T(1));
    const V rstd = one / sqrt(V(load_up_to(at(p.variance) + i, lanes) + T(p.epsilon)));
    const V a = (p.gamma ? load_up_to(at(p.gamma) + i, lanes) : one) * rstd;
    const V dgamma = load_up_to(at(p.dgamma) + i, lanes) * rstd;
    store_up_to(to(p.dgamma) + i, dgamma, lanes);
    store_up_to(to(p.a) + i, a, lanes);
    store_up_to(to(p.b) + i, V(-a * rstd * dgamma / T(p.rows)), lanes);
    store_up_to(to(p.c) + i, V(-a * load_up_to(at(p.dbeta) + i, lanes) / T(p.rows)), lanes);
  });
}

template <class T>
void batch_norm_grad(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  using V = Vec<T>;
  const auto& p = *static_cast<const BatchNormGradArgs*>(args);
  const T *mean = static_cast<const T*>(p.mean), *a = static_cast<const T*>(p.a);
  const T *b = static_cast<const T*>(p.b), *c = static_cast<const T*>(p.c);
  for (ptrdiff_t row = begin; row < end; ++row) {
    const T* g = static_cast<const T*>(p.g) + row * p.columns;
    const T* x = static_cast<const T*>(p.x) + row * p.columns;
    T* dx = static_cast<T*>(p.dx) + row * p.columns;
    for_each_vector<T>(p.columns, [&](ptrdiff_t i, ptrdiff_t lanes) {
      const V d = load_up_to(x + i, lanes) - load_up_to(mean + i, lanes);
      const V rest = fma(d, load_up_to(b + i, lanes), load_up_to(c + i, lanes));
      store_up_to(dx + i, fma(load_up_to(g + i, lanes), load_up_to(a + i, lanes), rest), lanes);
    });
  }
}

template <class T>
void layer_norm(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  using V = Vec<T>;
  const auto& a = *static_cast<const LayerNormArgs*>(args);
  const T *gamma = static_cast<const T*>(a.gamma), *beta = static_cast<const T*>(a.beta);
  const ptrdiff_t n = a.n;
  for (ptrdiff_t row = begin; row < end; ++row) {
    const T* x = static_cast<const T*>(a.x) + row * n;
    T* y = static_cast<T*>(a.y) + row * n;
    const T mean =
        sum_row<T, 4>(n, [&](ptrdiff_t i, ptrdiff_t lanes) { return load_up_to(x + i, lanes); }) /
        T(n);
    const T variance = sum_row<T, 4>(n,
                                     [&](ptrdiff_t i, ptrdiff_t lanes) {
                                       const V d = load_up_to(x + i, lanes) - mean;
                                       return V(d * d);
                                     }) /
                       T(n);
    const T rstd = 1 / sqrt(broadcast(T(variance + T(a.epsilon))))[0];
    static_cast<T*>(a.mean)[row] = mean;
    static_cast<T*>(a.rstd)[row] = rstd;
    for_each_vector<T>(n, [&](ptrdiff_t i, ptrdiff_t lanes) {
      V v = (load_up_to(x + i, lanes) - mean) * rstd;
      if (gamma) v *= load_up_to(gamma + i, lanes);
      if (beta) v += load_up_to(beta + i, lanes);
      store_up_to(y + i, v, lanes);
    });
  }
}

template <class T>
void layer_norm_grad(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  using V = Vec<T>;
  const auto& a = *static_cast<const LayerNormGradArgs*>(args);
  const T* gamma = static_cast<const T*>(a.gamma);
  const ptrdiff_t n = a.n;
  for (ptrdiff_t row = begin; row < end; ++row) {
    const T* g = static_cast<const T*>(a.g) + row * n;
    const T* x = static_cast<const T*>(a.x) + row * n;
    T* dx = static_cast<T*>(a.dx) + row * n;
    const T mean = static_cast<const T*>(a.mean)[row], rstd = static_cast<const T*>(a.rstd)[row];
    const auto h = [&](ptrdiff_t i, ptrdiff_t lanes) {
      const V v = load_up_to(g + i, lanes);
      return gamma ? V(v * load_up_to(gamma + i, lanes)) : v;
    };
    const auto normal = [&](ptrdiff_t i, ptrdiff_t lanes) {
      return V((load_up_to(x + i, lanes) - mean) * rstd);
    };
    const T mean_h = sum_row<T, 4>(n, h) / T(n);
    const T mean_hx =
        sum_row<T, 4>(
            n, [&](ptrdiff_t i, ptrdiff_t lanes) { return V(h(i, lanes) * normal(i, lanes)); }) /
        T(n);
    for_each_vector<T>(n, [&](ptrdiff_t i, ptrdiff_t lanes) {
      store_up_to(dx + i, V(((h(i, lanes) - mean_h) - normal(i, lanes) * mean_hx) * rstd), lanes);
    });
  }
}

}  // namespace
}  // namespace pydl::PYDL_ISA
