// Reductions: the loops, written once over the ops of ops/reduce.h.
//
// The accumulators of a row are 256 bytes wide on every ISA (64 float lanes, 32 double) and fold by
// halves, so that v3, v4 and NEON add in the same order.
#include "kernels/reduce.h"

#include "kernels/reduce_schemes.h"

namespace pydl::PYDL_ISA {
namespace {

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
      if constexpr (requires { Scheme::place; }) {
        if (a.parts == 1) {
          static_cast<Out*>(a.out)[at.out] = Scheme::place(x, a.n);
          continue;
        }
      }
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

  // Of a vector. Those of an array's columns begin at its aligned addresses, where all rows have
  // these at the same columns: a load across two lines of the cache costs two.
  struct Columns {
    ptrdiff_t first, count;
  };
  static Columns columns_of(const ReduceArgs& a, ptrdiff_t vector) {
    const ptrdiff_t begin = vector * kLanes<T> - a.before;
    const ptrdiff_t first = begin < 0 ? 0 : begin;
    return {first, min<ptrdiff_t>(begin + kLanes<T>, a.columns) - first};
  }
  static bool is_large(const ReduceArgs& a) {
    return a.n * a.columns * ptrdiff_t(sizeof(T)) >= kLargeBytes;
  }
  static ptrdiff_t vectors_of(const ReduceArgs& a) {
    return ceil_div(a.before + a.columns, kLanes<T>);
  }

  // kRows rows, of which x is the first, less `before` elements, and `row` its number in the block.
  template <int kRows>
  static void take(const T* x, ptrdiff_t stride, ptrdiff_t row, ptrdiff_t before, ptrdiff_t columns,
                   const V* shift, Running* running) {
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
    ptrdiff_t i = before > 0;
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
    if (before)
      take_vector(0, [=](const T* p) { return load_partial(p + before, kLanes<T> - before); });
    if (left) take_vector(whole, [=](const T* p) { return load_partial(p, left); });
  }

  // Takes in n aligned rows of a large array one by one, in the order of memory, if the scheme can;
  // returns how many.
  static ptrdiff_t take_rows(const T* x, ptrdiff_t n, ptrdiff_t before, ptrdiff_t columns,
                             const ReduceArgs& a, Running* running) {
    if constexpr (requires(Walk<T> walk) { Scheme::take_rows(running, walk); }) {
      constexpr ptrdiff_t kSize = sizeof(T);
      if (columns * kSize >= kAlignedBytes && is_large(a) &&
          (reinterpret_cast<uintptr_t>(x) | a.stride * kSize) % kVectorBytes == 0) {
        Scheme::take_rows(running, Walk<T>{x, a.stride, n, before, columns});
        return n;
      }
    }
    return 0;
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
    const ptrdiff_t strips = ceil_div(a.columns, a.strip), vectors = vectors_of(a);
    Running running[kStripVectors + 1];
    V shift[kShifted ? kStripVectors + 1 : 1];
    for (ptrdiff_t item = begin; item < end; ++item) {
      const ptrdiff_t strip = item % strips, part = item / strips % a.parts;
      const ptrdiff_t outer = item / strips / a.parts, first = strip * a.strip;
      // Counted with the empty lanes before them; the last strip has what these push out.
      const ptrdiff_t columns = strip + 1 < strips ? a.strip : a.before + a.columns - first;
      const ptrdiff_t before = strip == 0 ? a.before : 0, first_vector = first / kLanes<T>;
      const ptrdiff_t first_row = part * kBlockRows,
                      n = min<ptrdiff_t>(kBlockRows, a.n - first_row);
      const Offsets at = outer_offsets(a, outer);
      const T* x = static_cast<const T*>(a.x) + at.x - a.before + first + first_row * a.stride;
      const ptrdiff_t count = ceil_div(columns, kLanes<T>);
      for (ptrdiff_t k = 0; k < count; ++k) {
        running[k] = Scheme::start();
        if constexpr (kShifted) {
          const Columns of = columns_of(a, first_vector + k);
          shift[k] = stored_shift(a, at.out + of.first * a.column_out_stride, of.count);
        }
      }
      ptrdiff_t row = take_rows(x, n, before, columns, a, running);
      if (row == 0) row = take_narrow(x, a.stride, n, columns, shift, running);
      for (; row + kRowsAtOnce <= n; row += kRowsAtOnce)
        take<kRowsAtOnce>(x + row * a.stride, a.stride, row, before, columns, shift, running);
      for (; row < n; ++row)
        take<1>(x + row * a.stride, a.stride, row, before, columns, shift, running);
      Slot* slots = static_cast<Slot*>(a.slots) + (outer * a.parts + part) * vectors + first_vector;
      for (ptrdiff_t k = 0; k < count; ++k) {
        const Slot slot = Scheme::close(running[k], first_row, n);
        const Columns of = columns_of(a, first_vector + k);
        if (a.parts > 1)
          slots[k] = slot;
        else
          Scheme::write(static_cast<Out*>(a.out) + at.out + of.first * a.column_out_stride,
                        a.column_out_stride, of.count, slot, shift[kShifted ? k : 0], a);
      }
    }
  }

  static void join(const void* args, ptrdiff_t begin, ptrdiff_t end) {
    const auto& a = *static_cast<const ReduceArgs*>(args);
    const ptrdiff_t vectors = vectors_of(a);
    for (ptrdiff_t item = begin; item < end; ++item) {
      const Columns of = columns_of(a, item % vectors);
      const Offsets at = outer_offsets(a, item / vectors);
      const ptrdiff_t out = at.out + of.first * a.column_out_stride;
      const Slot* from =
          static_cast<const Slot*>(a.slots) + item / vectors * vectors * a.parts + item % vectors;
      Tree<Scheme> tree;
      for (ptrdiff_t part = 0; part < a.parts; ++part) {
        const char* later = reinterpret_cast<const char*>(from + part * vectors + 2);
        for (size_t byte = 0; byte < sizeof(Slot); byte += 64) __builtin_prefetch(later + byte);
        tree.push(from[part * vectors]);
      }
      Slot total = tree.total();
      if (a.columns == 1) total = Scheme::settle(total, static_cast<const T*>(a.x) + at.x, a);
      Scheme::write(static_cast<Out*>(a.out) + out, a.column_out_stride, of.count, total,
                    stored_shift(a, out, of.count), a);
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
