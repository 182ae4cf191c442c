// Reductions: the loops, written once over the ops of ops/reduce.h.
//
// The accumulators of a row are 256 bytes wide on every ISA (64 float lanes, 32 double) and fold by
// halves, so that v3, v4 and NEON add in the same order.
#include "kernels/reduce.h"

#include "ops/reduce.h"
#include "simd/vec.h"

namespace pydl::PYDL_ISA {
namespace {

constexpr int kRowVectors = 256 / kVectorBytes;            // side by side in a row
constexpr int kStripVectors = kStripBytes / kVectorBytes;  // in the widest strip of columns
constexpr int kRowsAtOnce = 8;                             // of columns: streams of memory
constexpr ptrdiff_t kFetched = 512;  // columns of a strip whose next rows are fetched ahead
constexpr int kTreeDepth = 48;       // 2^48 parts

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
// close(). combine() joins two neighbours, settle() completes the one of a whole row, write()
// finishes it.
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
  struct Slot {
    V value;
    int64_t index[kLanes<T>];  // in rows, before settle: where the part begins
  };
  struct Running {
    V value;
    Bits<V> row;
  };

  // Where x is the element that `value`, the reduction over x and others, came from.
  static Bits<V> match(V x, V value) { return (x == value) | (x != x); }

  static Slot chunk(const T* x, ptrdiff_t n, ptrdiff_t first, V) {
    return {broadcast(fold_chunk<Value>(x, n, V{})[0]), {first}};
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
  static Slot close(const Running& sum, ptrdiff_t first, ptrdiff_t) {
    Slot slot{sum.value, {}};
    for (int i = 0; i < kLanes<T>; ++i) slot.index[i] = first + sum.row[i];
    return slot;
  }
  [[gnu::noinline]] static Slot combine(const Slot& a, const Slot& b) {
    Slot slot{Value::combine(a.value, b.value), {}};
    const Bits<V> from_a = match(a.value, slot.value);
    for (int i = 0; i < kLanes<T>; ++i) slot.index[i] = from_a[i] ? a.index[i] : b.index[i];
    return slot;
  }
  static void write(Out* out, ptrdiff_t stride, ptrdiff_t lanes, const Slot& slot, V,
                    const ReduceArgs&) {
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

struct Offsets {
  ptrdiff_t x = 0, out = 0;
};

template <class Args>
inline Offsets outer_offsets(const Args& a, ptrdiff_t index) {
  Offsets at;
  for (int d = a.outer_ndim - 1; d >= 0; --d) {
    ptrdiff_t i = index;
    if (d > 0) {
      index /= a.outer_shape[d];
      i -= index * a.outer_shape[d];
    }
    at.x += i * a.outer_stride[d];
    at.out += i * a.outer_out_stride[d];
  }
  return at;
}

template <class Op, class T>
struct SchemeOf {
  using Type = Folding<Op, T>;
};
template <class Op, class T>
  requires requires { typename Op::Value; }
struct SchemeOf<Op, T> {
  using Type = Searching<Op, T>;
};
template <class Op, class T>
  requires requires { typename Op::FromMean; }
struct SchemeOf<Op, T> {
  using Type = Spreading<Op, T>;
};

template <class Op, class T>
struct Loops {
  using V = Vec<T>;
  using Scheme = typename SchemeOf<Op, T>::Type;
  using Slot = typename Scheme::Slot;
  using Running = typename Scheme::Running;
  using Out = typename Scheme::Out;
  static constexpr bool kShifted = requires { typename Op::Shift; };

  static V row_shift(const T* x, const ReduceArgs& a) {
    if constexpr (kShifted) {
      using First = Folding<typename Op::Shift, T>;
      return broadcast(First::finish(whole_row<First>(x, V{}, a), V{}, a)[0]);
    } else {
      return V{};
    }
  }

  // The shift of `lanes` outputs from `offset` on, computed by an earlier launch.
  static V stored_shift(const ReduceArgs& a, ptrdiff_t offset, ptrdiff_t lanes) {
    if constexpr (kShifted)
      return get(static_cast<const T*>(a.shift) + offset, a.column_out_stride, lanes);
    else
      return V{};
  }

  static void rows(const void* args, ptrdiff_t begin, ptrdiff_t end) {
    const auto& a = *static_cast<const ReduceArgs*>(args);
    for (ptrdiff_t item = begin; item < end; ++item) {
      const Offsets at = outer_offsets(a, item);
      const T* x = static_cast<const T*>(a.x) + at.x;
      const V shift = row_shift(x, a);
      Scheme::write(static_cast<Out*>(a.out) + at.out, 1, 1, whole_row<Scheme>(x, shift, a), shift,
                    a);
    }
  }

  static void chunks(const void* args, ptrdiff_t begin, ptrdiff_t end) {
    const auto& a = *static_cast<const ReduceArgs*>(args);
    for (ptrdiff_t item = begin; item < end; ++item) {
      const Offsets at = outer_offsets(a, item / a.parts);
      const ptrdiff_t first = item % a.parts * kChunkElements;
      const V shift = broadcast(stored_shift(a, at.out, 1)[0]);
      static_cast<Slot*>(a.slots)[item] =
          Scheme::chunk(static_cast<const T*>(a.x) + at.x + first,
                        min<ptrdiff_t>(kChunkElements, a.n - first), first, shift);
    }
  }

  // kRows rows, of which x is the first and `row` its number in the block.
  template <int kRows>
  static void take(const T* x, ptrdiff_t stride, ptrdiff_t row, ptrdiff_t columns, const V* shift,
                   Running* running) {
    const ptrdiff_t whole = columns / kLanes<T>, left = columns % kLanes<T>;
    const auto take_vector = [&](ptrdiff_t i, auto load_at) {
      V v[kRows];
#pragma GCC unroll 8
      for (int k = 0; k < kRows; ++k) v[k] = load_at(x + k * stride + i * kLanes<T>);
      Scheme::template take<kRows>(running[i], v, row, kShifted ? shift[i] : V{});
    };
    const auto take_whole = [&](ptrdiff_t i) {
      take_vector(i, [](const T* p) { return load(p); });
    };
    ptrdiff_t i = 0;
    if (kRows > 1 && columns >= kFetched) {
      // Meanwhile the rows after these are fetched, one after the other, as memory likes it.
      for (int k = 0; k < kRows; ++k) {
        const T* next = x + (kRows + k) * stride;
        for (const ptrdiff_t end = whole * (k + 1) / kRows; i < end; ++i) {
#pragma GCC unroll 8
          for (int line = 0; line < kRows * kVectorBytes / 64; ++line, next += 64 / sizeof(T))
            __builtin_prefetch(next);
          take_whole(i);
        }
      }
    }
    for (; i < whole; ++i) take_whole(i);
    if (left) take_vector(whole, [=](const T* p) { return load_partial(p, left); });
  }

  // As many rows of n as come in whole groups, of a strip of so few vectors that they stay in
  // registers, if it is one; returns how many.
  template <int kVectors = 4>
  static ptrdiff_t take_narrow(const T* x, ptrdiff_t stride, ptrdiff_t n, ptrdiff_t columns,
                               const V* shift, Running* running) {
    if (columns != kVectors * kLanes<T>) {
      if constexpr (kVectors > 1)
        return take_narrow<kVectors - 1>(x, stride, n, columns, shift, running);
      else
        return 0;
    }
    Running own[kVectors];
    for (int i = 0; i < kVectors; ++i) own[i] = running[i];
    ptrdiff_t row = 0;
    for (; row + kRowsAtOnce <= n; row += kRowsAtOnce, x += kRowsAtOnce * stride)
#pragma GCC unroll 4
      for (int i = 0; i < kVectors; ++i) {
        V v[kRowsAtOnce];
#pragma GCC unroll 8
        for (int k = 0; k < kRowsAtOnce; ++k) v[k] = load(x + k * stride + i * kLanes<T>);
        Scheme::template take<kRowsAtOnce>(own[i], v, row, kShifted ? shift[i] : V{});
      }
    for (int i = 0; i < kVectors; ++i) running[i] = own[i];
    return row;
  }

  static void blocks(const void* args, ptrdiff_t begin, ptrdiff_t end) {
    const auto& a = *static_cast<const ReduceArgs*>(args);
    const ptrdiff_t strips = ceil_div(a.columns, a.strip);
    const ptrdiff_t vectors = ceil_div(a.columns, kLanes<T>);
    Running running[kStripVectors];
    V shift[kShifted ? kStripVectors : 1];
    for (ptrdiff_t item = begin; item < end; ++item) {
      const ptrdiff_t first = item % strips * a.strip, part = item / strips % a.parts;
      const ptrdiff_t outer = item / strips / a.parts,
                      columns = min<ptrdiff_t>(a.strip, a.columns - first);
      const ptrdiff_t first_row = part * kBlockRows,
                      n = min<ptrdiff_t>(kBlockRows, a.n - first_row);
      const Offsets at = outer_offsets(a, outer);
      const auto out_of = [&](ptrdiff_t column) {
        return at.out + (first + column) * a.column_out_stride;
      };
      for (ptrdiff_t k = 0, column = 0; column < columns; ++k, column += kLanes<T>) {
        running[k] = Scheme::start();
        if (kShifted)
          shift[k] = stored_shift(a, out_of(column), min<ptrdiff_t>(kLanes<T>, columns - column));
      }
      const T* x = static_cast<const T*>(a.x) + at.x + first + first_row * a.stride;
      ptrdiff_t row = take_narrow(x, a.stride, n, columns, shift, running);
      for (; row + kRowsAtOnce <= n; row += kRowsAtOnce)
        take<kRowsAtOnce>(x + row * a.stride, a.stride, row, columns, shift, running);
      for (; row < n; ++row) take<1>(x + row * a.stride, a.stride, row, columns, shift, running);
      Slot* slots =
          static_cast<Slot*>(a.slots) + (outer * a.parts + part) * vectors + first / kLanes<T>;
      for (ptrdiff_t k = 0, column = 0; column < columns; ++k, column += kLanes<T>) {
        const Slot slot = Scheme::close(running[k], first_row, n);
        if (a.parts > 1)
          slots[k] = slot;
        else
          Scheme::write(static_cast<Out*>(a.out) + out_of(column), a.column_out_stride,
                        min<ptrdiff_t>(kLanes<T>, columns - column), slot, shift[kShifted ? k : 0],
                        a);
      }
    }
  }

  static void join(const void* args, ptrdiff_t begin, ptrdiff_t end) {
    const auto& a = *static_cast<const ReduceArgs*>(args);
    const ptrdiff_t vectors = ceil_div(a.columns, kLanes<T>);
    for (ptrdiff_t item = begin; item < end; ++item) {
      const ptrdiff_t column = item % vectors * kLanes<T>;
      const ptrdiff_t lanes = min<ptrdiff_t>(kLanes<T>, a.columns - column);
      const Offsets at = outer_offsets(a, item / vectors);
      const ptrdiff_t out = at.out + column * a.column_out_stride;
      const Slot* from =
          static_cast<const Slot*>(a.slots) + item / vectors * vectors * a.parts + item % vectors;
      Tree<Scheme> tree;
      for (ptrdiff_t part = 0; part < a.parts; ++part) tree.push(from[part * vectors]);
      Slot total = tree.total();
      if (a.columns == 1) total = Scheme::settle(total, static_cast<const T*>(a.x) + at.x, a);
      Scheme::write(static_cast<Out*>(a.out) + out, a.column_out_stride, lanes, total,
                    stored_shift(a, out, lanes), a);
    }
  }
};

// Running sums restart every 64 elements and the total so far is added: the rounding error grows
// with 64 + n / 64, not with n.
constexpr ptrdiff_t kRestart = 64;

template <class X, class Load, class Store>
inline void running_sum(ptrdiff_t n, X zero, Load load_at, Store store_at) {
  X base = zero;
  for (ptrdiff_t first = 0; first < n; first += kRestart) {
    X sum = zero;
    for (ptrdiff_t i = first; i < min<ptrdiff_t>(first + kRestart, n); ++i) {
      sum = sum + load_at(i);
      store_at(i, base + sum);
    }
    base = base + sum;
  }
}

template <class T>
void cumulative_sum(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const CumulativeSumArgs*>(args);
  constexpr ptrdiff_t kStrip = kCumulativeStripBytes / sizeof(T);
  const ptrdiff_t strips = ceil_div(a.columns, kStrip);
  for (ptrdiff_t item = begin; item < end; ++item) {
    const Offsets at = outer_offsets(a, item / strips);
    const T* x = static_cast<const T*>(a.x) + at.x;
    T* out = static_cast<T*>(a.out) + at.out;
    if (a.columns == 1) {
      running_sum(
          a.n, T(0), [=, &a](ptrdiff_t i) { return x[i * a.stride]; },
          [=, &a](ptrdiff_t i, T sum) { out[i * a.out_stride] = sum; });
      continue;
    }
    const ptrdiff_t first = item % strips * kStrip,
                    last = min<ptrdiff_t>(first + kStrip, a.columns);
    for (ptrdiff_t column = first; column < last; column += kLanes<T>) {
      const ptrdiff_t lanes = min<ptrdiff_t>(kLanes<T>, last - column);
      running_sum(
          a.n, Vec<T>{}, [&](ptrdiff_t i) { return load_columns(x + i * a.stride, column, lanes); },
          [&](ptrdiff_t i, Vec<T> sum) {
            store_partial(out + column + i * a.out_stride, sum, lanes);
          });
    }
  }
}

template <class Op, class... Ops>
consteval int index_of(List<Ops...>) {
  int i = 0;
  const bool found = (... || (__is_same(Op, Ops) ? true : (++i, false)));
  (void)found;
  return i;
}

template <class Op, class T>
constexpr ReduceLoops kLoops{Loops<Op, T>::rows, Loops<Op, T>::chunks, Loops<Op, T>::blocks,
                             Loops<Op, T>::join, sizeof(typename Loops<Op, T>::Slot)};

template <class Op>
consteval ReduceEntry entry() {
  int shift = -1;
  if constexpr (requires { typename Op::Shift; }) shift = index_of<typename Op::Shift>(ReduceOps{});
  return {Op::info, shift, {kLoops<Op, float>, kLoops<Op, double>}};
}

template <class L>
struct Entries;
template <class... Ops>
struct Entries<List<Ops...>> {
  static constexpr ReduceEntry value[] = {entry<Ops>()...};
};

}  // namespace

extern constinit const ReduceKernels reduce_kernels = {
    .entries = Entries<ReduceOps>::value,
    .count = ReduceOps::kCount,
    .cumulative_sum = {cumulative_sum<float>, cumulative_sum<double>},
};

}  // namespace pydl::PYDL_ISA
