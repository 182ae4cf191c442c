// Ways to reduce: what a part of a row, or of a strip of columns, leaves, and how parts are joined.
#pragma once

#include "kernels/reduce.h"
#include "ops/reduce.h"
#include "simd/vec.h"

namespace pydl::PYDL_ISA {
namespace {

constexpr int kRowVectors = 256 / kVectorBytes;            // side by side in a row
constexpr int kStripVectors = kStripBytes / kVectorBytes;  // in the widest strip of columns
constexpr int kRowsAtOnce = 8;                             // of columns: streams of memory
constexpr ptrdiff_t kFetched = 512;  // columns of a strip whose next rows are fetched ahead
constexpr ptrdiff_t kAhead = 8192;   // bytes fetched ahead of a walk along rows
constexpr ptrdiff_t kLargeBytes = ptrdiff_t(1) << 24;  // out of cache
constexpr int kTreeDepth = 48;                         // 2^48 parts

// All lanes joined in lane 0, by halves.
template <class Op, int kHalf, class V>
inline V fold_lanes(V v) {
  v = Op::combine(v, rotate<kHalf>(v));
  if constexpr (kHalf > 1)
    return fold_lanes<Op, kHalf / 2>(v);
  else
    return v;
}

template <class V>
inline Bits<V> lane_numbers() {
  Bits<V> lane;
  for (int i = 0; i < kLanes<Element<V>>; ++i) lane[i] = i;
  return lane;
}

// True in the lanes [0, n).
template <class V>
inline Bits<V> first_lanes(ptrdiff_t n) {
  return lane_numbers<V>() < Element<Bits<V>>(n);
}

struct Smaller {
  template <class V>
  static V combine(V a, V b) {
    return a < b ? a : b;
  }
};

// The first lane of a mask that has one.
template <class V>
inline ptrdiff_t first_true(Bits<V> mask) {
  constexpr int n = kLanes<Element<V>>;
  const Bits<V> lane = lane_numbers<V>();
  return fold_lanes<Smaller, n / 2>(mask ? lane : lane + n)[0];
}

// Whether one of kCount vectors, a power of two, has a nan; true also where their sum is one.
template <int kCount, class V>
inline bool may_have_nan(const V* x) {
  V sum[kCount];
#pragma GCC unroll 16
  for (int k = 0; k < kCount; ++k) sum[k] = x[k];
#pragma GCC unroll 4
  for (int half = kCount / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
    for (int k = 0; k < half; ++k) sum[k] += sum[k + half];
  }
  return any(sum[0] != sum[0]);
}

// acc[k % kAcc] takes in x[k], k in order.
template <class Op, int kAcc, int kCount, class V>
inline void take_in(V* acc, const V* x, V shift) {
  if constexpr (requires { Op::better(shift, shift); }) {
    if (!may_have_nan<kCount>(x)) {
#pragma GCC unroll 16
      for (int k = 0; k < kCount; ++k)
        acc[k % kAcc] = Op::better(x[k], acc[k % kAcc]) ? x[k] : acc[k % kAcc];
      return;
    }
  }
#pragma GCC unroll 16
  for (int k = 0; k < kCount; ++k) acc[k % kAcc] = Op::step(acc[k % kAcc], x[k], shift);
}

// x[0 .. n) with kAcc accumulators; the result is in lane 0. Where n fits, fewer accumulators give
// the same bits: the others would hold the identity.
template <class Op, int kAcc, class T>
inline Vec<T> fold_run(const T* x, ptrdiff_t n, Vec<T> shift) {
  using V = Vec<T>;
  V acc[kAcc];
  for (V& a : acc) a = broadcast(T(Op::kIdentity));
  ptrdiff_t i = 0;
  for (; i + kAcc * kLanes<T> <= n; i += kAcc * kLanes<T>) {
    V next[kAcc];
#pragma GCC unroll 16
    for (int k = 0; k < kAcc; ++k) {
      __builtin_prefetch(x + i + k * kLanes<T> + kChunkElements);  // the next chunk
      next[k] = load(x + i + k * kLanes<T>);
    }
    take_in<Op, kAcc, kAcc>(acc, next, shift);
  }
  const ptrdiff_t whole = (n - i) / kLanes<T>;  // vectors left, then `left` elements
  const ptrdiff_t left = n - i - whole * kLanes<T>;
  const V last = left ? load_partial(x + n - left, left) : V{};
  const Bits<V> is_left = first_lanes<V>(left);
#pragma GCC unroll 16
  for (int k = 0; k < kAcc; ++k) {
    if (k < whole)
      acc[k] = Op::step(acc[k], load(x + i + k * kLanes<T>), shift);
    else if (k == whole)
      acc[k] = select(is_left, Op::step(acc[k], last, shift), acc[k]);
  }
#pragma GCC unroll 4
  for (int half = kAcc / 2; half; half /= 2) {
#pragma GCC unroll 8
    for (int k = 0; k < half; ++k) acc[k] = Op::combine(acc[k], acc[k + half]);
  }
  return fold_lanes<Op, kLanes<T> / 2>(acc[0]);
}

// Not inlined: a few calls per 4096 elements against much repeated code.
template <class Op, class T>
[[gnu::noinline]] Vec<T> fold_chunk(const T* x, ptrdiff_t n, Vec<T> shift) {
  constexpr int kNarrow = 64 / kVectorBytes;
  if (n <= kNarrow * kLanes<T>) return fold_run<Op, kNarrow>(x, n, shift);
  return fold_run<Op, kRowVectors>(x, n, shift);
}

// n rows of a strip of columns; x is the first, less `before` elements that `columns` counts too.
template <class T>
struct Walk {
  const T* x;
  ptrdiff_t stride, n, before, columns;

  // f(i, vector i) along a row, while what is 8 KiB on is fetched; their sum, nan where one is.
  template <class F>
  Vec<T> along(ptrdiff_t row, F f) const {
    Vec<T> sum{};
    const auto take = [&](ptrdiff_t i, Vec<T> v) {
      sum += v;
      f(i, v);
    };
    const T* p = x + row * stride;
    const ptrdiff_t whole = columns / kLanes<T>, left = columns % kLanes<T>;
    ptrdiff_t i = before > 0;
    if (i) take(0, load_partial(p + before, kLanes<T> - before));
    for (; i < whole; ++i) {
      if (i * kVectorBytes % 64 == 0) __builtin_prefetch(p + i * kLanes<T> + kAhead / sizeof(T));
      take(i, load(p + i * kLanes<T>));
    }
    if (left) take(whole, load_partial(p + whole * kLanes<T>, left));
    return sum;
  }
};

// The vector that starts `column` columns into a row.
template <class T>
inline Vec<T> load_columns(const T* row, ptrdiff_t column, ptrdiff_t lanes) {
  return lanes == kLanes<T> ? load(row + column) : load_partial(row + column, lanes);
}

template <class T>
inline void put(T* out, ptrdiff_t stride, ptrdiff_t lanes, Vec<T> v) {
  if (stride == 1 && lanes == kLanes<T>) return store(out, v);
  for (ptrdiff_t i = 0; i < lanes; ++i) out[i * stride] = v[i];
}

template <class T>
inline Vec<T> get(const T* p, ptrdiff_t stride, ptrdiff_t lanes) {
  if (stride == 1 && lanes == kLanes<T>) return load(p);
  Vec<T> v{};
  for (ptrdiff_t i = 0; i < lanes; ++i) v[i] = p[i * stride];
  return v;
}

// How a kind of op gets its partial results. `Slot` is that of one part: of a vector of columns, or
// of a row, in lane 0. chunk() makes one of a row; of columns, start(), take() rows in order,
// close(); take_rows(), where there is one, many rows one by one. combine() joins two neighbours,
// settle() completes the one of a whole row, write() finishes it.
template <class Op, class T>
struct Folding {
  using V = Vec<T>;
  using Out = T;
  using Slot = V;
  using Running = V;  // of rows so far

  static Slot chunk(const T* x, ptrdiff_t n, ptrdiff_t, V shift) {
    return fold_chunk<Op>(x, n, shift);
  }
  static Running start() { return broadcast(T(Op::kIdentity)); }
  // Row `row` of the block and those after it.
  template <int kRows>
  static void take(Running& sum, const V* x, ptrdiff_t, V shift) {
    take_in<Op, 1, kRows>(&sum, x, shift);
  }
  static void take_rows(Running* sum, const Walk<T>& walk)
    requires requires(V v) { Op::better(v, v); }
  {
    for (ptrdiff_t row = 0; row < walk.n; ++row) {
      const V all =
          walk.along(row, [=](ptrdiff_t i, V v) { sum[i] = Op::better(v, sum[i]) ? v : sum[i]; });
      if (any(all != all))
        walk.along(row, [=](ptrdiff_t i, V v) { sum[i] = Op::step(sum[i], v, V{}); });
    }
  }
  static Slot close(const Running& sum, ptrdiff_t, ptrdiff_t) { return sum; }
  static Slot combine(Slot a, Slot b) { return Op::combine(a, b); }
  static Slot settle(Slot slot, const T*, const ReduceArgs&) { return slot; }
  static V finish(Slot slot, V shift, const ReduceArgs& a) {
    return Op::finish(slot, shift, a.n, a.params);
  }
  static void write(Out* out, ptrdiff_t stride, ptrdiff_t lanes, Slot slot, V shift,
                    const ReduceArgs& a) {
    put(out, stride, lanes, finish(slot, shift, a));
  }
};

template <class Op, class T>
struct Searching {
  using V = Vec<T>;
  using Value = typename Op::Value;
  using Out = int64_t;
  // As many lanes as V; no more aligned than a vector, which is all that memory for slots is.
  typedef int64_t Index
      __attribute__((vector_size(kLanes<T> * sizeof(int64_t)), aligned(kVectorBytes)));
  struct Slot {
    V value;
    Index index;  // in rows, before settle: where the part begins, in lane 0
  };
  struct Running {
    V value;
    Bits<V> row;
  };

  // Where x is the element that `value`, the reduction over x and others, came from.
  static Bits<V> match(V x, V value) { return (x == value) | (x != x); }

  static Slot chunk(const T* x, ptrdiff_t n, ptrdiff_t first, V) {
    return {broadcast(fold_chunk<Value>(x, n, V{})[0]), Index{first}};
  }
  // The place in a row of one part.
  static ptrdiff_t place(const T* x, ptrdiff_t n) {
    const V value = broadcast(fold_chunk<Value>(x, n, V{})[0]);
    return find(x, 0, n, [=](V v) { return match(v, value); });
  }
  // Only the part that holds the value is searched for its place.
  static Slot settle(Slot slot, const T* x, const ReduceArgs& a) {
    const V value = slot.value;
    slot.index[0] = any(value != value)
                        ? find(x, slot.index[0], a.n, [](V v) { return v != v; })
                        : find(x, slot.index[0], a.n, [=](V v) { return v == value; });
    return slot;
  }
  // The first element from i on that is found.
  template <class F>
  static ptrdiff_t find(const T* x, ptrdiff_t i, ptrdiff_t n, F found) {
    constexpr ptrdiff_t kStep = kRowVectors * kLanes<T>;
    for (; i + kStep <= n; i += kStep) {
      Bits<V> some{};
#pragma GCC unroll 16
      for (int k = 0; k < kRowVectors; ++k) some |= found(load(x + i + k * kLanes<T>));
      if (any(some)) break;
    }
    for (; i < n; i += kLanes<T>) {
      const ptrdiff_t lanes = min<ptrdiff_t>(kLanes<T>, n - i);
      const Bits<V> mask = found(load_columns(x, i, lanes)) & first_lanes<V>(lanes);
      if (any(mask)) return i + first_true<V>(mask);
    }
    return n - 1;  // only if x was changed meanwhile
  }

  static Running start() { return {broadcast(T(Value::kIdentity)), Bits<V>{}}; }
  template <int kRows>
  static void take(Running& sum, const V* x, ptrdiff_t row, V) {
    const auto put = [&](int k, Bits<V> better) {
      sum.value = select(better, x[k], sum.value);
      sum.row = better ? Element<Bits<V>>(row + k) - Bits<V>{} : sum.row;
    };
    if (may_have_nan<kRows>(x)) {
      for (int k = 0; k < kRows; ++k) put(k, ~match(sum.value, Value::step(sum.value, x[k], V{})));
      return;
    }
#pragma GCC unroll 8
    for (int k = 0; k < kRows; ++k) put(k, Value::better(x[k], sum.value));
  }
  // Rows as bytes: the state of 4096 columns leaves room in L1.
  static void take_rows(Running* sum, const Walk<T>& walk)
    requires kHasMaskedBytes
  {
    static_assert(kBlockRows <= 256);
    typedef uint8_t Bytes __attribute__((vector_size(kLanes<T>)));
    V values[kStripVectors + 1], *const value = values;
    uint8_t rows[(kStripVectors + 1) * kLanes<T>] = {}, *const row_of = rows;
    for (auto& v : values) v = broadcast(T(Value::kIdentity));
    for (ptrdiff_t row = 0; row < walk.n; ++row) {
      const V all = walk.along(row, [=](ptrdiff_t i, V v) {
        const V old = value[i];
        value[i] = Value::better(v, old) ? v : old;
        store_bytes_where_unequal(row_of + i * kLanes<T>, value[i], old, uint8_t(row));
      });
      if (any(all != all))
        walk.along(row, [=](ptrdiff_t i, V v) {
          const Bits<V> first_nan = (v != v) & (value[i] == value[i]);
          value[i] = first_nan ? v : value[i];
          store_bytes_where_unequal(row_of + i * kLanes<T>, first_nan ? V{} + T(1) : V{}, V{},
                                    uint8_t(row));
        });
    }
    for (ptrdiff_t i = 0; i * kLanes<T> < walk.columns; ++i) {
      Bytes at;
      __builtin_memcpy(&at, row_of + i * kLanes<T>, sizeof at);
      sum[i] = {value[i], __builtin_convertvector(at, Bits<V>)};
    }
  }
  static Slot close(const Running& sum, ptrdiff_t first, ptrdiff_t) {
    return {sum.value, first + __builtin_convertvector(sum.row, Index)};
  }
  [[gnu::noinline]] static Slot combine(const Slot& a, const Slot& b) {
    const V value = Value::combine(a.value, b.value);
    const Index from_a = __builtin_convertvector(match(a.value, value), Index);
    return {value, (from_a & a.index) | (~from_a & b.index)};
  }
  static void write(Out* out, ptrdiff_t stride, ptrdiff_t lanes, const Slot& slot, V,
                    const ReduceArgs&) {
    if (stride == 1 && lanes == kLanes<T>)
      __builtin_memcpy(out, &slot.index, sizeof slot.index);
    else
      for (ptrdiff_t i = 0; i < lanes; ++i) out[i * stride] = slot.index[i];
  }
};

// Sums over x - mean, each part with its own mean; joined as Chan, Golub and LeVeque do, "Updating
// formulae and a pairwise algorithm for computing sample variances" (1979).
template <class Op, class T>
struct Spreading {
  using V = Vec<T>;
  using Mean = typename Op::FromMean;
  using Out = T;
  struct Slot {
    V sum, spread;
    double n;
  };
  struct Running {
    V sum, spread;
  };

  static Slot chunk(const T* x, ptrdiff_t n, ptrdiff_t, V) {
    const V sum = fold_chunk<Mean>(x, n, V{});
    const V mean = broadcast(Mean::finish(sum, V{}, n, nullptr)[0]);
    return {sum, fold_chunk<Op>(x, n, mean), double(n)};
  }
  static Running start() { return {V{}, V{}}; }
  template <int kRows>
  static void take(Running& sum, const V* x, ptrdiff_t row, V) {
    V total{}, spread{};
    take_in<Mean, 1, kRows>(&total, x, V{});
    const V mean = total * T(1.0 / kRows);
    take_in<Op, 1, kRows>(&spread, x, mean);
    if (row > 0) {
      const V step = mean - sum.sum * T(1.0 / double(row));
      spread += step * step * T(double(row) * kRows / double(row + kRows));
    }
    sum.sum += total;
    sum.spread += spread;
  }
  static Slot close(const Running& sum, ptrdiff_t, ptrdiff_t n) {
    return {sum.sum, sum.spread, double(n)};
  }
  static Slot combine(const Slot& a, const Slot& b) {
    const V step = b.sum * T(1 / b.n) - a.sum * T(1 / a.n);
    const double n = a.n + b.n;
    return {a.sum + b.sum, a.spread + b.spread + step * step * T(a.n * b.n / n), n};
  }
  static Slot settle(const Slot& slot, const T*, const ReduceArgs&) { return slot; }
  static void write(Out* out, ptrdiff_t stride, ptrdiff_t lanes, const Slot& slot, V,
                    const ReduceArgs& a) {
    put(out, stride, lanes, Op::finish(slot.spread, V{}, a.n, a.params));
  }
};

// Takes in the parts in order and joins them as a binary tree does, holding one per level.
template <class Scheme>
class Tree {
 public:
  using Slot = typename Scheme::Slot;

  void push(const Slot& slot) {
    levels_[depth_++] = slot;
    for (ptrdiff_t n = ++pushed_; n % 2 == 0; n /= 2) join();
  }
  Slot total() {
    while (depth_ > 1) join();
    return levels_[0];
  }

 private:
  void join() {
    --depth_;
    levels_[depth_ - 1] = Scheme::combine(levels_[depth_ - 1], levels_[depth_]);
  }

  Slot levels_[kTreeDepth + 1];
  int depth_ = 0;
  ptrdiff_t pushed_ = 0;
};

template <class Scheme, class T>
inline typename Scheme::Slot whole_row(const T* x, Vec<T> shift, const ReduceArgs& a) {
  if (a.parts == 1) return Scheme::settle(Scheme::chunk(x, a.n, 0, shift), x, a);
  Tree<Scheme> tree;
  for (ptrdiff_t i = 0; i < a.n; i += kChunkElements)
    tree.push(Scheme::chunk(x + i, min<ptrdiff_t>(kChunkElements, a.n - i), i, shift));
  return Scheme::settle(tree.total(), x, a);
}

}  // namespace
}  // namespace pydl::PYDL_ISA
