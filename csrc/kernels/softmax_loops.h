// Softmax and cross-entropy over contiguous rows.
//
// Rows of up to kNarrow elements are taken kLanes at a time, one row in each lane, so that ten
// classes fill a register; longer rows run along their elements. Which of the two depends on n
// alone, and a row's bits depend on nothing but the row.
#pragma once

#include "kernels/nn.h"
#include "kernels/rows.h"
#include "simd/math.h"

namespace pydl::PYDL_ISA {
namespace {

constexpr ptrdiff_t kNarrow = 32;

enum class Head { kSoftmax, kLogSoftmax, kSparse, kDense };  // what softmax_rows gives

// columns[j], lane r = x[r n + j] for the first `rows` rows; further lanes repeat the last row.
template <class T>
inline void load_columns(const T* x, ptrdiff_t n, ptrdiff_t rows, Vec<T>* columns) {
  const auto load_with = [&](auto row_of) {
    for (ptrdiff_t j = 0; j < n; ++j) {
      Vec<T> v{};
      for (ptrdiff_t r = 0; r < kLanes<T>; ++r) v[r] = x[row_of(r) * n + j];
      columns[j] = v;
    }
  };
  if (rows >= kLanes<T>)
    load_with([](ptrdiff_t r) { return r; });
  else
    load_with([rows](ptrdiff_t r) { return r < rows ? r : rows - 1; });
}

template <class T>
inline void store_columns(const Vec<T>* columns, ptrdiff_t n, ptrdiff_t rows, T* y) {
  const T* from = reinterpret_cast<const T*>(columns);
  for (ptrdiff_t r = 0; r < rows && r < kLanes<T>; ++r)
    for (ptrdiff_t j = 0; j < n; ++j) y[r * n + j] = from[j * kLanes<T> + r];
}

// A label in range has no sign bit, so its unsigned value is its value.
inline ptrdiff_t label_at(const void* labels, int bytes, ptrdiff_t i) {
  switch (bytes) {
    case 1:
      return static_cast<const uint8_t*>(labels)[i];
    case 2:
      return static_cast<const uint16_t*>(labels)[i];
    case 4:
      return static_cast<const uint32_t*>(labels)[i];
    default:
      return ptrdiff_t(static_cast<const uint64_t*>(labels)[i]);
  }
}

// t (log_sum - (x - m)) with 0 inf = 0: an impossible class that has no weight costs nothing.
template <class V>
inline V weighted_loss(V t, V x, V m, V log_sum) {
  return select(t == V{}, V{}, t * (log_sum + (m - x)));
}

template <class T, Head kHead>
inline void softmax_narrow(const SoftmaxArgs& a, ptrdiff_t row, ptrdiff_t rows) {
  using V = Vec<T>;
  const ptrdiff_t n = a.n;
  const T* x_rows = static_cast<const T*>(a.x) + row * n;
  V x[kNarrow], y[kNarrow];
  load_columns(x_rows, n, rows, x);
  V m = broadcast(T(-__builtin_inf()));
  for (ptrdiff_t j = 0; j < n; ++j) m = larger(x[j], m);
  V sum{};
  for (ptrdiff_t j = 0; j < n; ++j) {
    y[j] = exp(x[j] - m);
    sum += y[j];
  }
  V log_sum{};
  if constexpr (kHead != Head::kSoftmax) log_sum = log(sum);
  if constexpr (kHead == Head::kLogSoftmax) {
    for (ptrdiff_t j = 0; j < n; ++j) y[j] = (x[j] - m) - log_sum;
  } else {
    const V scale = T(1) / sum;
    for (ptrdiff_t j = 0; j < n; ++j) y[j] *= scale;
  }
  store_columns(y, n, rows, static_cast<T*>(a.y) + row * n);

  if constexpr (kHead == Head::kSparse) {
    V x_label{};
    for (ptrdiff_t r = 0; r < rows && r < kLanes<T>; ++r)
      x_label[r] = x_rows[r * n + label_at(a.labels, a.label_bytes, row + r)];
    store_up_to(static_cast<T*>(a.loss) + row, log_sum + (m - x_label), rows);
  }
  if constexpr (kHead == Head::kDense) {
    V t[kNarrow];
    load_columns(static_cast<const T*>(a.labels) + row * n, n, rows, t);
    V loss{}, label_sum{};
    for (ptrdiff_t j = 0; j < n; ++j) {
      loss += weighted_loss(t[j], x[j], m, log_sum);
      label_sum += t[j];
    }
    store_up_to(static_cast<T*>(a.loss) + row, loss, rows);
    store_up_to(static_cast<T*>(a.label_sums) + row, label_sum, rows);
  }
}

template <class T>
struct RowSum {
  T m, sum;  // max x, sum exp(x - m)
};

// Writes exp(x - m) / sum to y, unless it is the logarithm that is wanted.
template <class T, Head kHead>
inline RowSum<T> softmax_row(const T* x, ptrdiff_t n, T* y) {
  const T m = max_row(x, n);
  const T sum = sum_row<T, 1>(n, [&](ptrdiff_t i, ptrdiff_t lanes) {
    const Vec<T> e = exp(load_up_to(x + i, lanes) - broadcast(m));
    if constexpr (kHead != Head::kLogSoftmax) store_up_to(y + i, e, lanes);
    return e;
  });
  if constexpr (kHead != Head::kLogSoftmax) {
    const T scale = 1 / sum;
    for (ptrdiff_t i = 0; i < n; ++i) y[i] *= scale;
  }
  return {m, sum};
}

// At most kLanes rows: one logarithm takes the sums of all.
template <class T, Head kHead>
inline void softmax_wide(const SoftmaxArgs& a, ptrdiff_t row, ptrdiff_t rows) {
  const ptrdiff_t n = a.n;
  const T* x = static_cast<const T*>(a.x) + row * n;
  T* y = static_cast<T*>(a.y) + row * n;
  T maxima[kLanes<T>], sums[kLanes<T>];
  for (ptrdiff_t r = 0; r < rows; ++r) {
    const RowSum<T> row_sum = softmax_row<T, kHead>(x + r * n, n, y + r * n);
    maxima[r] = row_sum.m;
    sums[r] = row_sum.sum;
  }
  const Vec<T> log_sums = log(load_up_to(sums, rows));
  for (ptrdiff_t r = 0; r < rows; ++r) {
    const T* x_row = x + r * n;
    const T m = maxima[r], log_sum = log_sums[r];
    if constexpr (kHead == Head::kLogSoftmax)
      for (ptrdiff_t i = 0; i < n; ++i) y[r * n + i] = (x_row[i] - m) - log_sum;
    if constexpr (kHead == Head::kSparse)
      static_cast<T*>(a.loss)[row + r] =
          log_sum + (m - x_row[label_at(a.labels, a.label_bytes, row + r)]);
    if constexpr (kHead == Head::kDense) {
      const T* t = static_cast<const T*>(a.labels) + (row + r) * n;
      static_cast<T*>(a.loss)[row + r] = sum_row<T, 2>(n, [&](ptrdiff_t i, ptrdiff_t lanes) {
        return weighted_loss(load_up_to(t + i, lanes), load_up_to(x_row + i, lanes), broadcast(m),
                             broadcast(log_sum));
      });
      static_cast<T*>(a.label_sums)[row + r] =
          sum_row<T, 4>(n, [&](ptrdiff_t i, ptrdiff_t lanes) { return load_up_to(t + i, lanes); });
    }
  }
}

template <class T, Head kHead>
void softmax_rows(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const SoftmaxArgs*>(args);
  if (a.n <= kNarrow) {
    for (ptrdiff_t row = begin; row < end; row += kLanes<T>)
      softmax_narrow<T, kHead>(a, row, end - row);
  } else if constexpr (kHead == Head::kSoftmax) {
    for (ptrdiff_t row = begin; row < end; ++row)
      softmax_row<T, kHead>(static_cast<const T*>(a.x) + row * a.n, a.n,
                            static_cast<T*>(a.y) + row * a.n);
  } else {
    const ptrdiff_t fit = kRowChunk<T> / a.n;  // in L1
    const ptrdiff_t rows = fit < 1 ? 1 : fit < kLanes<T> ? fit : kLanes<T>;
    for (ptrdiff_t row = begin; row < end; row += rows)
      softmax_wide<T, kHead>(a, row, end - row < rows ? end - row : rows);
  }
}

// softmax: dx = y (g - sum g y); log_softmax: dx = g - exp(y) sum g.
template <class V, bool kLog>
inline V softmax_grad_term(V g, V y, V sum) {
  if constexpr (kLog)
    return g - exp(y) * sum;
  else
    return y * (g - sum);
}

template <class T, bool kLog>
void softmax_grad_rows(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  using V = Vec<T>;
  const auto& a = *static_cast<const SoftmaxGradArgs*>(args);
  const ptrdiff_t n = a.n;
  const T* g = static_cast<const T*>(a.g) + begin * n;
  const T* y = static_cast<const T*>(a.y) + begin * n;
  T* dx = static_cast<T*>(a.dx) + begin * n;
  if (n <= kNarrow) {
    V g_columns[kNarrow], y_columns[kNarrow];
    for (ptrdiff_t rows = end - begin; rows > 0; rows -= kLanes<T>) {
      load_columns(g, n, rows, g_columns);
      load_columns(y, n, rows, y_columns);
      V sum{};
      for (ptrdiff_t j = 0; j < n; ++j)
        sum = kLog ? sum + g_columns[j] : fma(g_columns[j], y_columns[j], sum);
      for (ptrdiff_t j = 0; j < n; ++j)
        g_columns[j] = softmax_grad_term<V, kLog>(g_columns[j], y_columns[j], sum);
      store_columns(g_columns, n, rows, dx);
      g += kLanes<T> * n;
      y += kLanes<T> * n;
      dx += kLanes<T> * n;
    }
    return;
  }
  for (ptrdiff_t row = begin; row < end; ++row, g += n, y += n, dx += n) {
    const V sum = broadcast(sum_row<T, 4>(n, [&](ptrdiff_t i, ptrdiff_t lanes) {
      const V v = load_up_to(g + i, lanes);
      return kLog ? v : v * load_up_to(y + i, lanes);
    }));
    for_each_vector<T>(n, [&](ptrdiff_t i, ptrdiff_t lanes) {
      const V g_i = load_up_to(g + i, lanes), y_i = load_up_to(y + i, lanes);
      store_up_to(dx + i, softmax_grad_term<V, kLog>(g_i, y_i, sum), lanes);
    });
  }
}

template <class T>
void sparse_cross_entropy_grad(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const CrossEntropyGradArgs*>(args);
  for (ptrdiff_t row = begin; row < end; ++row) {
    const T g = static_cast<const T*>(a.g)[row];
    const T* p = static_cast<const T*>(a.probabilities) + row * a.n;
    T* dx = static_cast<T*>(a.dx) + row * a.n;
    for (ptrdiff_t j = 0; j < a.n; ++j) dx[j] = g * p[j];
    const ptrdiff_t label = label_at(a.labels, a.label_bytes, row);
    dx[label] = g * (p[label] - 1);
  }
}

template <class T>
void dense_cross_entropy_grad(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const CrossEntropyGradArgs*>(args);
  for (ptrdiff_t row = begin; row < end; ++row) {
    const T g = static_cast<const T*>(a.g)[row];
    const T label_sum = static_cast<const T*>(a.label_sums)[row];
    const T* p = static_cast<const T*>(a.probabilities) + row * a.n;
    const T* t = static_cast<const T*>(a.labels) + row * a.n;
    T* dx = static_cast<T*>(a.dx) + row * a.n;
    for (ptrdiff_t j = 0; j < a.n; ++j) dx[j] = g * (p[j] * label_sum - t[j]);
  }
}

template <class T, bool kGrad>
void binary_cross_entropy(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  using V = Vec<T>;
  const auto& a = *static_cast<const BinaryCrossEntropyArgs*>(args);
  for_each_vector<T>(end - begin, [&](ptrdiff_t i, ptrdiff_t lanes) {
    const auto get = [&](const void* p) {
      return load_up_to(static_cast<const T*>(p) + begin + i, lanes);
    };
    const V x = get(a.logits), t = get(a.labels);
    V out;
    if constexpr (kGrad)
      out = get(a.g) * (T(1) / (T(1) + exp(-x)) - t);
    else
      out = (max(x, V{}) - x * t) + log1p(exp(-abs(x)));
    store_up_to(static_cast<T*>(a.out) + begin + i, out, lanes);
  });
}

}  // namespace
}  // namespace pydl::PYDL_ISA
