// Sums along one row in a fixed order: 64 bytes of lanes on every ISA, so that all ISAs with FMA
// agree bit by bit, and a pairwise tree over chunks of a long row.
#pragma once

#include "simd/vec.h"

namespace pydl::PYDL_ISA {
namespace {

constexpr int kRegisters = 64 / kVectorBytes;  // native registers of one virtual vector
template <class T>
constexpr ptrdiff_t kWide = ptrdiff_t(64 / sizeof(T));  // lanes of one virtual vector
template <class T>
constexpr ptrdiff_t kRowChunk = ptrdiff_t(16 * 1024 / sizeof(T));  // half of a 32 KiB L1

// Zero from lane n on.
template <class T>
inline Vec<T> keep_first(Vec<T> v, ptrdiff_t n) {
  Bits<Vec<T>> lane{};
  for (ptrdiff_t i = 0; i < kLanes<T>; ++i) lane[i] = Element<Bits<Vec<T>>>(i);
  return select(lane < Element<Bits<Vec<T>>>(n), v, Vec<T>{});
}

template <class T>
inline Vec<T> load_up_to(const T* p, ptrdiff_t n) {
  return n >= kLanes<T> ? load(p) : load_partial(p, n);
}

template <class T>
inline void store_up_to(T* p, Vec<T> v, ptrdiff_t n) {
  n >= kLanes<T> ? store(p, v) : store_partial(p, v, n);
}

// Calls f(i, lanes) for the vectors of n elements; lanes is kLanes but in the last one.
template <class T, class F>
inline void for_each_vector(ptrdiff_t n, F f) {
  ptrdiff_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) f(i, kLanes<T>);
  if (i < n) f(i, n - i);
}

// Folds the lanes of one register: lane i with lane i + half, the halves shrinking to one lane.
template <class T, class V, class F>
inline T fold_lanes(V v, F combine) {
  constexpr int kHalf = sizeof(V) / 2;
  if constexpr (kHalf == sizeof(T)) {
    return combine(v[0], v[1]);
  } else {
    struct Halves {
      typename VecOf<T, kHalf>::Type low, high;
    };
    const auto halves = bitcast<Halves>(v);
    return fold_lanes<T>(combine(halves.low, halves.high), combine);
  }
}

// The same for `count` virtual vectors, whose registers are in order.
template <class T, class F>
inline T fold(Vec<T>* v, int count, F combine) {
#pragma GCC unroll 4
  for (int half = count * kRegisters / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
    for (int r = 0; r < half; ++r) v[r] = combine(v[r], v[r + half]);
  }
  return fold_lanes<T>(v[0], combine);
}

// Binary tree over values that come one by one: after 2^k of them one partial per set bit is held.
template <class T>
class PairwiseSum {
 public:
  void add(T value) {
    int level = 0;
    for (ptrdiff_t bits = count_++; bits & 1; bits >>= 1) value = partial_[level++] + value;
    partial_[level] = value;
  }
  T total() const {
    T sum{};
    int level = 0;
    for (ptrdiff_t bits = count_; bits; bits >>= 1, ++level)
      if (bits & 1) sum = partial_[level] + sum;
    return sum;
  }

 private:
  T partial_[48];
  ptrdiff_t count_ = 0;
};

// sum_i at(i), begin <= i < end, with kChains virtual vectors summed side by side; see sum_row.
template <class T, int kChains, class F>
inline T sum_chunk(ptrdiff_t begin, ptrdiff_t end, F at) {
  constexpr int kVectors = kChains * kRegisters;
  constexpr ptrdiff_t kStep = kVectors * kLanes<T>;
  Vec<T> acc[kVectors] = {};
  ptrdiff_t i = begin;
  for (; i + kStep <= end; i += kStep) {
#pragma GCC unroll 16
    for (int k = 0; k < kVectors; ++k) acc[k] += at(i + k * kLanes<T>, kLanes<T>);
  }
  const ptrdiff_t whole = (end - i) / kLanes<T>, left = (end - i) % kLanes<T>;
  const Vec<T> last = left ? keep_first<T>(at(end - left, left), left) : Vec<T>{};
#pragma GCC unroll 16
  for (int k = 0; k < kVectors; ++k) {  // no variable index, so that acc stays in registers
    if (k < whole) acc[k] += at(i + k * kLanes<T>, kLanes<T>);
    if (k == whole) acc[k] += last;
  }
  return fold<T>(acc, kChains, [](auto a, auto b) { return a + b; });
}

// sum_i at(i), i < n. `at(i, lanes)` gives the vector of the elements i .. i + lanes - 1; what it
// puts in further lanes does not count.
template <class T, int kChains, class F>
inline T sum_row(ptrdiff_t n, F at) {
  if (n <= kRowChunk<T>) return sum_chunk<T, kChains>(0, n, at);
  PairwiseSum<T> total;
  for (ptrdiff_t i = 0; i < n; i += kRowChunk<T>)
    total.add(sum_chunk<T, kChains>(i, n - i < kRowChunk<T> ? n : i + kRowChunk<T>, at));
  return total.total();
}

// The larger one; b where they do not compare, so that a chain may pass over a nan.
inline constexpr auto larger = [](auto a, auto b) { return a > b ? a : b; };

// max_i x_i; a nan may be passed over.
template <class T>
inline T max_row(const T* x, ptrdiff_t n) {
  Vec<T> acc[kRegisters];
  for (auto& v : acc) v = broadcast(T(-__builtin_inf()));
  ptrdiff_t i = 0;
  for (; i + kWide<T> <= n; i += kWide<T>)
    for (int r = 0; r < kRegisters; ++r) acc[r] = larger(load(x + i + r * kLanes<T>), acc[r]);
  T m = fold<T>(acc, 1, larger);
  for (; i < n; ++i) m = larger(x[i], m);
  return m;
}

}  // namespace
}  // namespace pydl::PYDL_ISA
