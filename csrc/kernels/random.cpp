#include "kernels/random.h"

#include "simd/math.h"
#include "simd/philox.h"

namespace pydl::PYDL_ISA {
namespace {

static_assert(kRandomWords == kPhiloxWords);

template <class T>
constexpr ptrdiff_t kPerItem = kRandomWords * 4 / ptrdiff_t(sizeof(T));  // elements of one item

inline ptrdiff_t smaller(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

inline PhiloxKey key_of(const uint64_t* ticket) {
  return {ticket[0], uint32_t(ticket[1]) + (uint32_t(ticket[2] >> 32) << 8), uint32_t(ticket[2])};
}

// The words of items begin .. end - 1, one item at a time: f(first element, number, words).
template <class T, class F>
inline void for_items(const uint64_t* ticket, ptrdiff_t size, ptrdiff_t begin, ptrdiff_t end, F f) {
  const PhiloxKey key = key_of(ticket);
  alignas(64) uint32_t words[kRandomWords];
  for (ptrdiff_t item = begin; item < end; ++item) {
    philox(key, uint64_t(item) * kPhiloxBlocks, words);
    const ptrdiff_t first = item * kPerItem<T>;
    f(first, smaller(kPerItem<T>, size - first), words);
  }
}

inline uint64_t bits64_of(const uint32_t* words, ptrdiff_t i) {
  return words[2 * i] | uint64_t(words[2 * i + 1]) << 32;
}

// The element's number in [0, 1): a multiple of 2^-24 or 2^-53.
inline float uniform_of(const uint32_t* words, ptrdiff_t i, float) {
  return float(int32_t(words[i] >> 8)) * 0x1p-24f;
}
inline double uniform_of(const uint32_t* words, ptrdiff_t i, double) {
  return double(int64_t(bits64_of(words, i) >> 11)) * 0x1p-53;
}

// The same in (0, 1], with 2^-32 or 2^-54 as smallest value: the tails of a normal number come from
// its smallest values, so the 24 bits of the above would cut them off at 5.8 standard deviations.
inline float positive_uniform_of(const uint32_t* words, ptrdiff_t i, float) {
  return float(int32_t(words[i] >> 1)) * 0x1p-31f + 0x1p-32f;
}
inline double positive_uniform_of(const uint32_t* words, ptrdiff_t i, double) {
  return (double(int64_t(bits64_of(words, i) >> 11)) + 0.5) * 0x1p-53;
}

template <class T>
void uniform(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const RandomArgs*>(args);
  const T low = T(a.a), width = T(a.b - a.a), largest = T(a.largest);
  for_items<T>(a.ticket, a.size, begin, end, [&](ptrdiff_t first, ptrdiff_t n, const uint32_t* w) {
    T* out = static_cast<T*>(a.out) + first;
    for (ptrdiff_t i = 0; i < n; ++i) {
      const T v = low + uniform_of(w, i, T()) * width;
      out[i] = v < largest ? v : largest;
    }
  });
}

// Box and Muller (1958): elements 2 k and 2 k + 1 are the cosine and the sine of one pair.
template <class T>
void normal(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  using V = Vec<T>;
  constexpr ptrdiff_t kPairs = kPerItem<T> / 2;
  constexpr T kPi = T(3.14159265358979323846);
  const auto& a = *static_cast<const RandomArgs*>(args);
  const V mean = broadcast(T(a.a));
  for_items<T>(a.ticket, a.size, begin, end, [&](ptrdiff_t first, ptrdiff_t n, const uint32_t* w) {
    T u[kPairs], v[kPairs], z[2 * kPairs];
    for (ptrdiff_t k = 0; k < kPairs; ++k) {
      u[k] = positive_uniform_of(w, 2 * k, T());
      v[k] = uniform_of(w, 2 * k + 1, T());
    }
    for (ptrdiff_t k = 0; k < kPairs; k += kLanes<T>) {
      const V radius = T(a.b) * sqrt(V(T(-2) * log(load(u + k))));
      const V angle = (load(v + k) - T(0.5)) * (2 * kPi);
      store(u + k, fma(radius, cos(angle), mean));
      store(v + k, fma(radius, sin(angle), mean));
    }
    for (ptrdiff_t k = 0; k < kPairs; ++k) {
      z[2 * k] = u[k];
      z[2 * k + 1] = v[k];
    }
    __builtin_memcpy(static_cast<T*>(a.out) + first, z, size_t(n) * sizeof(T));
  });
}

// By the inverse of the normal distribution function, over its range at -2 .. 2.
template <class T>
void truncated_normal(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  using V = Vec<T>;
  constexpr T kLow = T(0.022750131948179207),
              kWidth = T(0.95449973610364158);  // Phi(-2), 1 - 2 Phi(-2)
  const auto& a = *static_cast<const RandomArgs*>(args);
  for_items<T>(a.ticket, a.size, begin, end, [&](ptrdiff_t first, ptrdiff_t n, const uint32_t* w) {
    T z[kPerItem<T>];
    for (ptrdiff_t i = 0; i < kPerItem<T>; ++i) z[i] = positive_uniform_of(w, i, T());
    for (ptrdiff_t i = 0; i < kPerItem<T>; i += kLanes<T>) {
      const V p = fma(load(z + i), broadcast(kWidth), broadcast(kLow));
      const V standard = max(min(ndtri(p), broadcast(T(2))), broadcast(T(-2)));
      store(z + i, fma(standard, broadcast(T(a.b)), broadcast(T(a.a))));
    }
    __builtin_memcpy(static_cast<T*>(a.out) + first, z, size_t(n) * sizeof(T));
  });
}

template <class T>
void dropout(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const DropoutArgs*>(args);
  const float rate = float(a.rate);
  const T scale = T(1 / (1 - a.rate));
  for_items<uint32_t>(a.ticket, a.size, begin, end,
                      [&](ptrdiff_t first, ptrdiff_t n, const uint32_t* w) {
                        const T* x = static_cast<const T*>(a.x) + first;
                        T* y = static_cast<T*>(a.y) + first;
                        for (ptrdiff_t i = 0; i < n; ++i)
                          y[i] = uniform_of(w, i, float()) < rate ? T(0) : x[i] * scale;
                      });
}

template <class T>
void bits(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const RandomArgs*>(args);
  for_items<T>(a.ticket, a.size, begin, end, [&](ptrdiff_t first, ptrdiff_t n, const uint32_t* w) {
    T* out = static_cast<T*>(a.out) + first;
    for (ptrdiff_t i = 0; i < n; ++i) out[i] = sizeof(T) == 8 ? T(bits64_of(w, i)) : T(w[i]);
  });
}

// Lemire's multiply-shift without its rejection: a number's probability is off by span / 2^64.
template <class T>
void integers(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const RandomIntegersArgs*>(args);
  for_items<uint64_t>(
      a.ticket, a.size, begin, end, [&](ptrdiff_t first, ptrdiff_t n, const uint32_t* w) {
        T* out = static_cast<T*>(a.out) + first;
        for (ptrdiff_t i = 0; i < n; ++i) {
          const uint64_t r = bits64_of(w, i);
          const uint64_t offset = a.span ? uint64_t((unsigned __int128)(r)*a.span >> 64) : r;
          out[i] = T(uint64_t(a.low) + offset);
        }
      });
}

template <class T>
void categorical(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const CategoricalArgs*>(args);
  const PhiloxKey key = key_of(a.ticket);
  uint32_t words[kRandomWords];
  ptrdiff_t have = -1;  // the item that `words` holds
  for (ptrdiff_t row = begin; row < end; ++row) {
    const T* weights = static_cast<const T*>(a.weights) + row * a.classes;
    double* cumulated = a.cumulated + row * a.classes;
    double sum = 0;
    for (ptrdiff_t c = 0; c < a.classes; ++c) cumulated[c] = sum += double(weights[c]);
    for (ptrdiff_t i = row * a.samples; i < (row + 1) * a.samples; ++i) {
      if (i / kPerItem<uint64_t> != have) {
        have = i / kPerItem<uint64_t>;
        philox(key, uint64_t(have) * kPhiloxBlocks, words);
      }
      const double target = uniform_of(words, i % kPerItem<uint64_t>, double()) * sum;
      ptrdiff_t low = 0, high = a.classes;  // cumulated[low - 1] <= target < cumulated[high]
      while (low < high) {
        const ptrdiff_t middle = low + (high - low) / 2;
        if (cumulated[middle] > target)
          high = middle;
        else
          low = middle + 1;
      }
      a.out[i] = smaller(low, a.classes - 1);  // where weights are nan, all comparisons fail
    }
  }
}

}  // namespace

extern constinit const RandomKernels random_kernels = {
    .uniform = {uniform<float>, uniform<double>},
    .normal = {normal<float>, normal<double>},
    .truncated_normal = {truncated_normal<float>, truncated_normal<double>},
    .dropout = {dropout<float>, dropout<double>},
    .categorical = {categorical<float>, categorical<double>},
    .bits32 = bits<uint32_t>,
    .bits64 = bits<uint64_t>,
    .integers32 = integers<int32_t>,
    .integers64 = integers<int64_t>};

}  // namespace pydl::PYDL_ISA
