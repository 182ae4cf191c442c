// Reductions: the loops, written once over the ops of ops/reduce.h.
//
// The accumulators of a row are 256 bytes wide on every ISA (64 float lanes, 32 double) and fold by
// halves, so that v3, v4 and NEON add in the same order.
#include "kernels/reduce.h"

#include "ops/reduce.h"
#include "simd/vec.h"

namespace pydl::PYDL_ISA {
namespace {

constexpr int kStripVectors = kStripBytes / kVectorBytes;
constexpr int kTreeDepth = 48;  // 2^48 parts

constexpr ptrdiff_t ceil_div(ptrdiff_t a, ptrdiff_t b) { return (a + b - 1) / b; }

inline ptrdiff_t smaller(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

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

template <class V>
inline bool any(Bits<V> mask) {
  uint64_t words[sizeof(mask) / 8], all = 0;
  __builtin_memcpy(words, &mask, sizeof mask);
  for (uint64_t w : words) all |= w;
  return all != 0;
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

// x[0 .. n) with kAcc accumulators; the result is in lane 0. Where n fits, fewer accumulators give
// the same bits: the others would hold the identity.
template <class Op, int kAcc, class T>
inline Vec<T> fold_run(const T* x, ptrdiff_t n, Vec<T> shift) {
  using V = Vec<T>;
  V acc[kAcc];
  for (V& a : acc) a = broadcast(T(Op::kIdentity));
  ptrdiff_t i = 0;
  for (; i + kAcc * kLanes<T> <= n; i += kAcc * kLanes<T>) {
#pragma GCC unroll 16
    for (int k = 0; k < kAcc; ++k) acc[k] = Op::step(acc[k], load(x + i + k * kLanes<T>), shift);
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

// Not inlined, like fold_block: a few calls per 4096 elements against much repeated code.
template <class Op, class T>
[[gnu::noinline]] Vec<T> fold_chunk(const T* x, ptrdiff_t n, Vec<T> shift) {
  constexpr int kNarrow = 64 / kVectorBytes;
  if (n <= kNarrow * kLanes<T>) return fold_run<Op, kNarrow>(x, n, shift);
  return fold_run<Op, kStripVectors>(x, n, shift);
}

// Rows of kWidth vectors, of which the last has `lanes` lanes (only where kWidth is 1).
template <class T, int kWidth>
struct Rows {
  const T* x;
  ptrdiff_t n, stride, lanes;

  Vec<T> at(ptrdiff_t row, int k) const {
    const T* p = x + row * stride + k * kLanes<T>;
    if constexpr (kWidth == 1)
      if (lanes < kLanes<T>) return load_partial(p, lanes);
    return load(p);
  }
};

template <class Op, class T, int kWidth>
[[gnu::noinline]] void fold_block(const Rows<T, kWidth>& rows, const Vec<T>* shift, Vec<T>* acc) {
  Vec<T> sum[kWidth], s[kWidth];
  for (int k = 0; k < kWidth; ++k) {
    sum[k] = broadcast(T(Op::kIdentity));
    s[k] = shift[k];
  }
  for (ptrdiff_t r = 0; r < rows.n; ++r) {
#pragma GCC unroll 16
    for (int k = 0; k < kWidth; ++k) sum[k] = Op::step(sum[k], rows.at(r, k), s[k]);
  }
  for (int k = 0; k < kWidth; ++k) acc[k] = sum[k];
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

// How a kind of op gets its partial results: `Slot` holds one vector of columns, or one row in
// lane 0; chunk and block make slots, combine joins two neighbours, finish writes the output.
template <class Op, class T>
struct Folding {
  using V = Vec<T>;
  using Out = T;
  using Slot = V;

  static Slot chunk(const T* x, ptrdiff_t n, ptrdiff_t, V shift) {
    return fold_chunk<Op>(x, n, shift);
  }
  template <int kWidth>
  static void block(const Rows<T, kWidth>& rows, ptrdiff_t, const V* shift, Slot* slot) {
    fold_block<Op>(rows, shift, slot);
  }
  static Slot combine(Slot a, Slot b) { return Op::combine(a, b); }
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
    int64_t index[kLanes<T>];
  };

  // Where x is the element that `value`, the reduction over x and others, came from.
  static Bits<V> match(V x, V value) { return (x == value) | (x != x); }

  static Slot chunk(const T* x, ptrdiff_t n, ptrdiff_t first, V) {
    const V value = broadcast(fold_chunk<Value>(x, n, V{})[0]);
    constexpr ptrdiff_t kStep = kStripVectors * kLanes<T>;
    ptrdiff_t i = 0;
    for (; i + kStep <= n; i += kStep) {
      Bits<V> found{};
      for (int k = 0; k < kStripVectors; ++k) found |= match(load(x + i + k * kLanes<T>), value);
      if (any<V>(found)) break;
    }
    for (; i < n; i += kLanes<T>) {
      const ptrdiff_t lanes = smaller(kLanes<T>, n - i);
      const V v = lanes == kLanes<T> ? load(x + i) : load_partial(x + i, lanes);
      const Bits<V> found = match(v, value) & first_lanes<V>(lanes);
      if (!any<V>(found)) continue;
      i += first_true<V>(found);
      break;
    }
    Slot slot{value, {}};
    slot.index[0] = first + i;
    return slot;
  }

  template <int kWidth>
  [[gnu::noinline]] static void block(const Rows<T, kWidth>& rows, ptrdiff_t first, const V*,
                                      Slot* slot) {
    V value[kWidth], none[kWidth] = {};
    Bits<V> row[kWidth] = {};
    fold_block<Value>(rows, none, value);
    for (ptrdiff_t r = rows.n; r-- > 0;) {
#pragma GCC unroll 16
      for (int k = 0; k < kWidth; ++k)
        row[k] = match(rows.at(r, k), value[k]) ? Element<Bits<V>>(r) - Bits<V>{} : row[k];
    }
#pragma GCC unroll 1
    for (int k = 0; k < kWidth; ++k) set(slot[k], value[k], row[k], first);
  }

  // Not inlined, like combine: it would be unrolled in a dozen places.
  [[gnu::noinline]] static void set(Slot& slot, V value, Bits<V> row, ptrdiff_t first) {
    slot.value = value;
    for (int i = 0; i < kLanes<T>; ++i) slot.index[i] = first + row[i];
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

// Takes in the parts in order and joins them as a binary tree does, holding one per level.
template <class Scheme, int kWidth>
class Tree {
 public:
  using Slot = typename Scheme::Slot;

  void clear() { depth_ = 0, pushed_ = 0; }
  // Where the next part is to be written; push() takes it in.
  Slot* next() { return levels_[depth_]; }
  void push() {
    ++depth_;
    for (ptrdiff_t n = ++pushed_; n % 2 == 0; n /= 2) join();
  }
  Slot* total() {
    while (depth_ > 1) join();
    return levels_[0];
  }

 private:
  void join() {
    --depth_;
#pragma GCC unroll 1
    for (int k = 0; k < kWidth; ++k)
      levels_[depth_ - 1][k] = Scheme::combine(levels_[depth_ - 1][k], levels_[depth_][k]);
  }

  Slot levels_[kTreeDepth + 1][kWidth];
  int depth_ = 0;
  ptrdiff_t pushed_ = 0;
};

template <class Scheme, class T>
inline typename Scheme::Slot whole_row(const T* x, Vec<T> shift, const ReduceArgs& a) {
  if (a.parts == 1) return Scheme::chunk(x, a.n, 0, shift);
  Tree<Scheme, 1> tree;
  ptrdiff_t i = 0;
  do {
    *tree.next() = Scheme::chunk(x + i, smaller(kChunkElements, a.n - i), i, shift);
    tree.push();
  } while ((i += kChunkElements) < a.n);
  return *tree.total();
}

// The rows of one part; `first` is its first row.
template <class T, int kWidth>
inline Rows<T, kWidth> rows_of(const T* x, ptrdiff_t part, ptrdiff_t lanes, const ReduceArgs& a) {
  const ptrdiff_t first = part * kBlockRows;
  return {x + first * a.stride, smaller(kBlockRows, a.n - first), a.stride, lanes};
}

template <class Scheme, int kWidth, class T>
inline void whole_columns(const T* x, ptrdiff_t lanes, const Vec<T>* shift, const ReduceArgs& a,
                          typename Scheme::Slot* slot) {
  if (a.parts == 1)
    return Scheme::template block<kWidth>(rows_of<T, kWidth>(x, 0, lanes, a), 0, shift, slot);
  Tree<Scheme, kWidth> tree;
  ptrdiff_t part = 0;
  do {
    Scheme::template block<kWidth>(rows_of<T, kWidth>(x, part, lanes, a), part * kBlockRows, shift,
                                   tree.next());
    tree.push();
  } while (++part < a.parts);
#pragma GCC unroll 1
  for (int k = 0; k < kWidth; ++k) slot[k] = tree.total()[k];
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

// Calls f.template operator()<kWidth>(column, lanes) over the columns of one strip: at once where
// the strip is full, else vector by vector, the last one partial.
template <class T, class F>
inline void over_strip(ptrdiff_t strip, ptrdiff_t columns, F f) {
  constexpr ptrdiff_t kStripColumns = kStripVectors * kLanes<T>;
  ptrdiff_t column = strip * kStripColumns;
  if (column + kStripColumns <= columns)
    return f.template operator()<kStripVectors>(column, kLanes<T>);
  for (; column < columns; column += kLanes<T>)
    f.template operator()<1>(column, smaller(kLanes<T>, columns - column));
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
struct Loops {
  using V = Vec<T>;
  using Scheme = typename SchemeOf<Op, T>::Type;
  using Slot = typename Scheme::Slot;
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

  template <int kWidth>
  static void column_shift(const T* x, ptrdiff_t lanes, const ReduceArgs& a, V* shift) {
    if constexpr (kShifted) {
      using First = Folding<typename Op::Shift, T>;
      V none[kWidth] = {};
      whole_columns<First, kWidth>(x, lanes, none, a, shift);
      for (int k = 0; k < kWidth; ++k) shift[k] = First::finish(shift[k], none[k], a);
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
                        smaller(kChunkElements, a.n - first), first, shift);
    }
  }

  static void columns(const void* args, ptrdiff_t begin, ptrdiff_t end) {
    const auto& a = *static_cast<const ReduceArgs*>(args);
    const ptrdiff_t strips = ceil_div(a.columns, kStripVectors * kLanes<T>);
    for (ptrdiff_t item = begin; item < end; ++item) {
      const Offsets at = outer_offsets(a, item / strips);
      over_strip<T>(item % strips, a.columns, [&]<int kWidth>(ptrdiff_t column, ptrdiff_t lanes) {
        const T* x = static_cast<const T*>(a.x) + at.x + column;
        V shift[kWidth] = {};
        Slot slot[kWidth];
        column_shift<kWidth>(x, lanes, a, shift);
        whole_columns<Scheme, kWidth>(x, lanes, shift, a, slot);
#pragma GCC unroll 1
        for (int k = 0; k < kWidth; ++k, column += kLanes<T>)
          Scheme::write(static_cast<Out*>(a.out) + at.out + column * a.column_out_stride,
                        a.column_out_stride, lanes, slot[k], shift[k], a);
      });
    }
  }

  static void blocks(const void* args, ptrdiff_t begin, ptrdiff_t end) {
    const auto& a = *static_cast<const ReduceArgs*>(args);
    const ptrdiff_t strips = ceil_div(a.columns, kStripVectors * kLanes<T>);
    const ptrdiff_t vectors = ceil_div(a.columns, kLanes<T>);
    for (ptrdiff_t item = begin; item < end; ++item) {
      const ptrdiff_t part = item / strips % a.parts, outer = item / strips / a.parts;
      const Offsets at = outer_offsets(a, outer);
      over_strip<T>(item % strips, a.columns, [&]<int kWidth>(ptrdiff_t column, ptrdiff_t lanes) {
        V shift[kWidth];
        Slot slot[kWidth];
#pragma GCC unroll 1
        for (int k = 0; k < kWidth; ++k) {
          const ptrdiff_t offset = (column + k * kLanes<T>)*a.column_out_stride;
          shift[k] = stored_shift(a, at.out + offset, lanes);
        }
        Scheme::template block<kWidth>(
            rows_of<T, kWidth>(static_cast<const T*>(a.x) + at.x + column, part, lanes, a),
            part * kBlockRows, shift, slot);
        Slot* to = static_cast<Slot*>(a.slots) + (outer * vectors + column / kLanes<T>)*a.parts;
#pragma GCC unroll 1
        for (int k = 0; k < kWidth; ++k) to[k * a.parts + part] = slot[k];
      });
    }
  }

  static void join(const void* args, ptrdiff_t begin, ptrdiff_t end) {
    const auto& a = *static_cast<const ReduceArgs*>(args);
    const ptrdiff_t vectors = ceil_div(a.columns, kLanes<T>);
    Tree<Scheme, 1> tree;
    for (ptrdiff_t item = begin; item < end; ++item) {
      const ptrdiff_t column = item % vectors * kLanes<T>;
      const ptrdiff_t lanes = smaller(kLanes<T>, a.columns - column);
      const ptrdiff_t out = outer_offsets(a, item / vectors).out + column * a.column_out_stride;
      const Slot* from = static_cast<const Slot*>(a.slots) + item * a.parts;
      tree.clear();
      ptrdiff_t part = 0;
      do {
        *tree.next() = from[part];
        tree.push();
      } while (++part < a.parts);
      Scheme::write(static_cast<Out*>(a.out) + out, a.column_out_stride, lanes, *tree.total(),
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
    for (ptrdiff_t i = first; i < smaller(first + kRestart, n); ++i) {
      sum = sum + load_at(i);
      store_at(i, base + sum);
    }
    base = base + sum;
  }
}

template <class T>
void cumulative_sum(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const CumulativeSumArgs*>(args);
  const ptrdiff_t strips = ceil_div(a.columns, kStripVectors * kLanes<T>);
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
    ptrdiff_t column = item % strips * kStripVectors * kLanes<T>;
    for (int k = 0; k < kStripVectors && column < a.columns; ++k, column += kLanes<T>) {
      const ptrdiff_t lanes = smaller(kLanes<T>, a.columns - column);
      const Rows<T, 1> rows{x + column, a.n, a.stride, lanes};
      running_sum(
          a.n, Vec<T>{}, [&](ptrdiff_t i) { return rows.at(i, 0); },
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
constexpr ReduceLoops kLoops{Loops<Op, T>::rows,    Loops<Op, T>::chunks,
                             Loops<Op, T>::columns, Loops<Op, T>::blocks,
                             Loops<Op, T>::join,    sizeof(typename Loops<Op, T>::Slot)};

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
