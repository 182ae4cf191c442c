// Vec<T>: one native vector register of T, built on GCC/Clang vector extensions.
//
// Arithmetic, comparison and `mask ? a : b` come from the compiler; this file adds what has no
// operator. Every function keeps IEEE semantics, so a result has the same bits on every ISA that
// has FMA (v3, v4, NEON). Scalars mix with vectors of the same element type: `T(2) * v`.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__SSE4_2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

namespace pydl::PYDL_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <class T, int kBytes>
struct VecOf {
  typedef T Type __attribute__((vector_size(kBytes)));
};
template <class T>
using Vec = typename VecOf<T, kVectorBytes>::Type;
template <class T>
constexpr ptrdiff_t kLanes = kVectorBytes / sizeof(T);

// Element<Vec<float>> is float; Bits<Vec<float>> is Vec<int32_t>, the type of masks and bit casts.
template <class T>
struct Plain {
  using Type = T;
};
template <class T>
struct Plain<T&> {
  using Type = T;
};
template <class V>
using Element = typename Plain<decltype((*static_cast<V*>(nullptr))[0])>::Type;
template <class V>
using Bits = decltype(*static_cast<V*>(nullptr) == *static_cast<V*>(nullptr));

template <class V>
inline constexpr bool kIsFloat = sizeof(Element<V>) == 4;  // else double

template <class To, class From>
inline To bitcast(From v) {
  static_assert(sizeof(To) == sizeof(From));
  To out;
  __builtin_memcpy(&out, &v, sizeof out);
  return out;
}

template <int... I>
struct Lanes {};
template <int n, int... I>
struct LanesUpTo : LanesUpTo<n - 1, n - 1, I...> {};
template <int... I>
struct LanesUpTo<0, I...> {
  using Type = Lanes<I...>;
};

// Lanes I... of a followed by b, as many as there are I.
template <int... I, class V>
inline auto shuffle(V a, V b) {
#if defined(__clang__) || __GNUC__ >= 12
  return __builtin_shufflevector(a, b, I...);
#else
  constexpr int kIn = sizeof(V) / sizeof(Element<V>);
  typedef Element<V> Out __attribute__((vector_size(sizeof...(I) * sizeof(Element<V>))));
  return Out{(I < kIn ? a : b)[I % kIn]...};
#endif
}

template <int kBy, class V, int... I>
inline V rotate_lanes(V v, Lanes<I...>) {
  return shuffle<(I + kBy)...>(v, v);
}

// Lane i of the result is lane i + kBy of v, counted around.
template <int kBy, class V>
inline V rotate(V v) {
  return rotate_lanes<kBy>(v, typename LanesUpTo<sizeof(V) / sizeof(Element<V>)>::Type{});
}

template <class T>
inline Vec<T> broadcast(T x) {
  return x - Vec<T>{};
}

template <class T>
inline Vec<T> load(const T* p) {
  Vec<T> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

template <class T>
inline void store(T* p, Vec<T> v) {
  __builtin_memcpy(p, &v, sizeof v);
}

#if defined(__AVX2__) && !defined(__AVX512F__)
// All ones in the lanes below n, as AVX2's masked moves want it: a window into ones, then zeros.
template <class T>
inline __m256i lanes_below(ptrdiff_t n) {
  static constexpr int32_t kWindow[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
  const int32_t* p = kWindow + 8 - n * ptrdiff_t(sizeof(T) / 4);
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
#endif

// The first n lanes, 0 <= n <= kLanes; the rest is zero. Touches no memory beyond p[n - 1].
template <class T>
inline Vec<T> load_partial(const T* p, ptrdiff_t n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return Vec<T>(_mm512_maskz_loadu_ps(__mmask16((1u << n) - 1), p));
  else if constexpr (sizeof(T) == 8)
    return Vec<T>(_mm512_maskz_loadu_pd(__mmask8((1u << n) - 1), p));
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4)
    return Vec<T>(_mm256_maskload_ps(reinterpret_cast<const float*>(p), lanes_below<T>(n)));
  else if constexpr (sizeof(T) == 8)
    return Vec<T>(_mm256_maskload_pd(reinterpret_cast<const double*>(p), lanes_below<T>(n)));
#endif
  Vec<T> v{};
  __builtin_memcpy(&v, p, size_t(n) * sizeof(T));
  return v;
}

template <class T>
inline void store_partial(T* p, Vec<T> v, ptrdiff_t n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return _mm512_mask_storeu_ps(p, __mmask16((1u << n) - 1), __m512(v));
  else if constexpr (sizeof(T) == 8)
    return _mm512_mask_storeu_pd(p, __mmask8((1u << n) - 1), __m512d(v));
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4)
    return _mm256_maskstore_ps(reinterpret_cast<float*>(p), lanes_below<T>(n), __m256(v));
  else if constexpr (sizeof(T) == 8)
    return _mm256_maskstore_pd(reinterpret_cast<double*>(p), lanes_below<T>(n), __m256d(v));
#endif
  __builtin_memcpy(p, &v, size_t(n) * sizeof(T));
}

// Past the caches where the ISA can; p is aligned to the size of v.
template <class T>
inline void stream(T* p, Vec<T> v) {
#if defined(__AVX512F__)
  _mm512_stream_si512(reinterpret_cast<__m512i*>(p), __m512i(v));
#elif defined(__AVX2__)
  _mm256_stream_si256(reinterpret_cast<__m256i*>(p), __m256i(v));
#elif defined(__SSE4_2__)
  _mm_stream_si128(reinterpret_cast<__m128i*>(p), __m128i(v));
#else
  store(p, v);
#endif
}

// Every lane of a mask as a byte, 0 or 1.
template <class T>
inline auto mask_bytes(Bits<Vec<T>> mask) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    const __m256i m = __m256i(mask);
    const __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(m), _mm256_extracti128_si256(m, 1));
    return _mm_cvtsi128_si64(_mm_and_si128(_mm_packs_epi16(words, words), _mm_set1_epi8(1)));
  } else {
    const int bits = _mm256_movemask_pd(__m256d(mask));
    return int(unsigned(bits) * 0x00204081u & 0x01010101u);  // bit i to byte i
  }
#else
  typedef int8_t Bytes __attribute__((vector_size(kLanes<T>)));
  return __builtin_convertvector(mask, Bytes) & 1;
#endif
}

template <class T>
inline void store_mask(char* p, Bits<Vec<T>> mask) {
  const auto bytes = mask_bytes<T>(mask);
  __builtin_memcpy(p, &bytes, sizeof bytes);
}

template <class T>
inline void store_mask_partial(char* p, Bits<Vec<T>> mask, ptrdiff_t n) {
  const auto bytes = mask_bytes<T>(mask);
  __builtin_memcpy(p, &bytes, size_t(n));
}

// As stream, p aligned to kLanes bytes.
template <class T>
inline void stream_mask(char* p, Bits<Vec<T>> mask) {
  const auto bytes = mask_bytes<T>(mask);
#if defined(__SSE4_2__)
  if constexpr (sizeof bytes == 16)
    return _mm_stream_si128(reinterpret_cast<__m128i*>(p), bitcast<__m128i>(bytes));
  else if constexpr (sizeof bytes == 8)
    return _mm_stream_si64(reinterpret_cast<long long*>(p), bitcast<long long>(bytes));
  else if constexpr (sizeof bytes == 4)
    return _mm_stream_si32(reinterpret_cast<int*>(p), bitcast<int>(bytes));
#endif
  __builtin_memcpy(p, &bytes, sizeof bytes);
}

#if defined(__FMA__) || defined(__ARM_NEON)
constexpr bool kHasFma = true;
#else
constexpr bool kHasFma = false;
#endif

// Whether functions of V may take the ways that need floats and an exact product.
template <class V>
inline constexpr bool kFastFloat = kIsFloat<V> && kHasFma;

// a * b + c, rounded once where the ISA has FMA (all but v2).
template <class V>
inline V fma(V a, V b, V c) {
#if defined(__AVX512F__)
  if constexpr (kIsFloat<V>)
    return V(_mm512_fmadd_ps(__m512(a), __m512(b), __m512(c)));
  else
    return V(_mm512_fmadd_pd(__m512d(a), __m512d(b), __m512d(c)));
#elif defined(__FMA__)
  if constexpr (kIsFloat<V>)
    return V(_mm256_fmadd_ps(__m256(a), __m256(b), __m256(c)));
  else
    return V(_mm256_fmadd_pd(__m256d(a), __m256d(b), __m256d(c)));
#elif defined(__ARM_NEON)
  if constexpr (kIsFloat<V>)
    return V(vfmaq_f32(float32x4_t(c), float32x4_t(a), float32x4_t(b)));
  else
    return V(vfmaq_f64(float64x2_t(c), float64x2_t(a), float64x2_t(b)));
#else
  return a * b + c;
#endif
}

template <class V>
inline V sqrt(V x) {
#if defined(__AVX512F__)
  if constexpr (kIsFloat<V>)
    return V(_mm512_maskz_sqrt_ps(__mmask16(-1), __m512(x)));
  else
    return V(_mm512_maskz_sqrt_pd(__mmask8(-1), __m512d(x)));
#elif defined(__AVX2__)
  if constexpr (kIsFloat<V>)
    return V(_mm256_sqrt_ps(__m256(x)));
  else
    return V(_mm256_sqrt_pd(__m256d(x)));
#elif defined(__ARM_NEON)
  if constexpr (kIsFloat<V>)
    return V(vsqrtq_f32(float32x4_t(x)));
  else
    return V(vsqrtq_f64(float64x2_t(x)));
#else
  if constexpr (kIsFloat<V>)
    return V(_mm_sqrt_ps(__m128(x)));
  else
    return V(_mm_sqrt_pd(__m128d(x)));
#endif
}

#if defined(__AVX512F__)
// x 2^n for an integral n, rounded once.
template <class V>
inline V scale_exponent(V x, V n) {
  if constexpr (kIsFloat<V>)
    return V(_mm512_maskz_scalef_ps(__mmask16(-1), __m512(x), __m512(n)));
  else
    return V(_mm512_maskz_scalef_pd(__mmask8(-1), __m512d(x), __m512d(n)));
}
#endif

enum Rounding { kNearestEven = 0, kDown = 1, kUp = 2, kTowardZero = 3 };  // SSE4.1 immediates

// To an integral value, no exception raised. The sign of zero is kept. (Masked by all ones, as in
// sqrt, because GCC 12 warns of an uninitialized value in the plain AVX-512 intrinsics.)
template <Rounding R, class V>
inline V round_to(V x) {
  [[maybe_unused]] constexpr int kImmediate = R | 8;
#if defined(__AVX512F__)
  if constexpr (kIsFloat<V>)
    return V(_mm512_maskz_roundscale_ps(__mmask16(-1), __m512(x), kImmediate));
  else
    return V(_mm512_maskz_roundscale_pd(__mmask8(-1), __m512d(x), kImmediate));
#elif defined(__AVX2__)
  if constexpr (kIsFloat<V>)
    return V(_mm256_round_ps(__m256(x), kImmediate));
  else
    return V(_mm256_round_pd(__m256d(x), kImmediate));
#elif defined(__ARM_NEON)
  if constexpr (kIsFloat<V>) {
    float32x4_t v(x);
    return V(R == kNearestEven ? vrndnq_f32(v)
             : R == kDown      ? vrndmq_f32(v)
             : R == kUp        ? vrndpq_f32(v)
                               : vrndq_f32(v));
  } else {
    float64x2_t v(x);
    return V(R == kNearestEven ? vrndnq_f64(v)
             : R == kDown      ? vrndmq_f64(v)
             : R == kUp        ? vrndpq_f64(v)
                               : vrndq_f64(v));
  }
#else
  if constexpr (kIsFloat<V>)
    return V(_mm_round_ps(__m128(x), kImmediate));
  else
    return V(_mm_round_pd(__m128d(x), kImmediate));
#endif
}

// table[i % 16] in each lane; the table is aligned to 64 bytes.
inline Vec<float> lookup(const float* table, Bits<Vec<float>> i) {
#if defined(__AVX512F__)
  const auto at = __m512i(i);
  return Vec<float>(_mm512_maskz_permutexvar_ps(__mmask16(-1), at, __m512(load(table))));
#elif defined(__AVX2__)
  const auto at = __m256i(i);
  const __m256 low = _mm256_permutevar8x32_ps(__m256(load(table)), at);
  const __m256 high = _mm256_permutevar8x32_ps(__m256(load(table + 8)), at);
  return Vec<float>(_mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(at, 28))));
#else
  Vec<float> v{};
  for (ptrdiff_t k = 0; k < kLanes<float>; ++k) v[k] = table[i[k] & 15];
  return v;
#endif
}

template <class V>
inline V select(Bits<V> mask, V a, V b) {
  return mask ? a : b;
}

template <class V>
inline V abs(V x) {
  using B = Bits<V>;
  constexpr auto kSign = Element<B>(1) << (8 * sizeof(Element<B>) - 1);
  return bitcast<V>(bitcast<B>(x) & ~kSign);
}

template <class V>
inline V copysign(V magnitude, V sign) {
  using B = Bits<V>;
  constexpr auto kSign = Element<B>(1) << (8 * sizeof(Element<B>) - 1);
  return bitcast<V>((bitcast<B>(magnitude) & ~kSign) | (bitcast<B>(sign) & kSign));
}

// a with its sign changed where b is negative.
template <class V>
inline V flip_sign(V a, V b) {
  using B = Bits<V>;
  constexpr auto kSign = Element<B>(1) << (8 * sizeof(Element<B>) - 1);
  return bitcast<V>(bitcast<B>(a) ^ (bitcast<B>(b) & kSign));
}

// a > b ? a : b and a < b ? a : b, one instruction on x86: b where either is nan or both are zero.
template <class V>
inline V greater_or(V a, V b) {
  if constexpr (sizeof(V) < kVectorBytes) return a > b ? a : b;  // plain numbers
#if defined(__AVX512F__)
  else if constexpr (kIsFloat<V>)
    return V(_mm512_maskz_max_ps(__mmask16(-1), __m512(a), __m512(b)));
  else
    return V(_mm512_maskz_max_pd(__mmask8(-1), __m512d(a), __m512d(b)));
#elif defined(__AVX2__)
  else if constexpr (kIsFloat<V>)
    return V(_mm256_max_ps(__m256(a), __m256(b)));
  else
    return V(_mm256_max_pd(__m256d(a), __m256d(b)));
#elif defined(__SSE4_2__)
  else if constexpr (kIsFloat<V>)
    return V(_mm_max_ps(__m128(a), __m128(b)));
  else
    return V(_mm_max_pd(__m128d(a), __m128d(b)));
#else
  else
    return select(a > b, a, b);
#endif
}

template <class V>
inline V less_or(V a, V b) {
  if constexpr (sizeof(V) < kVectorBytes) return a < b ? a : b;  // plain numbers
#if defined(__AVX512F__)
  else if constexpr (kIsFloat<V>)
    return V(_mm512_maskz_min_ps(__mmask16(-1), __m512(a), __m512(b)));
  else
    return V(_mm512_maskz_min_pd(__mmask8(-1), __m512d(a), __m512d(b)));
#elif defined(__AVX2__)
  else if constexpr (kIsFloat<V>)
    return V(_mm256_min_ps(__m256(a), __m256(b)));
  else
    return V(_mm256_min_pd(__m256d(a), __m256d(b)));
#elif defined(__SSE4_2__)
  else if constexpr (kIsFloat<V>)
    return V(_mm_min_ps(__m128(a), __m128(b)));
  else
    return V(_mm_min_pd(__m128d(a), __m128d(b)));
#else
  else
    return select(a < b, a, b);
#endif
}

// x limited to [low, high]; nan stays nan.
template <class V>
inline V clamp(V x, Element<V> low, Element<V> high) {
  return less_or(broadcast(high), greater_or(broadcast(low), x));
}

// The rounding error of p = a * b: a b = p + multiply_error(a, b, p), barring over- and underflow.
template <class V>
inline V multiply_error(V a, V b, V p) {
#if defined(__FMA__) || defined(__ARM_NEON)
  return fma(a, b, -p);
#else
  // Veltkamp's splitting and Dekker's product, Numerische Mathematik 18 (1971).
  using T = Element<V>;
  constexpr T kSplit = kIsFloat<V> ? T(4097) : T(134217729);
  V ca = kSplit * a, cb = kSplit * b;
  V a_high = ca - (ca - a), b_high = cb - (cb - b);
  V a_low = a - a_high, b_low = b - b_high;
  return ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low;
#endif
}

// The two halves of a float vector as doubles, and back with one rounding.
struct Widened {
  Vec<double> low, high;
};

inline Widened widen(Vec<float> x) {
#if defined(__AVX512F__)
  __m512 v(x);
  constexpr __mmask8 kAll(-1);
  return {Vec<double>(_mm512_maskz_cvtps_pd(kAll, _mm512_maskz_extractf32x8_ps(kAll, v, 0))),
          Vec<double>(_mm512_maskz_cvtps_pd(kAll, _mm512_maskz_extractf32x8_ps(kAll, v, 1)))};
#elif defined(__AVX2__)
  __m256 v(x);
  return {Vec<double>(_mm256_cvtps_pd(_mm256_castps256_ps128(v))),
          Vec<double>(_mm256_cvtps_pd(_mm256_extractf128_ps(v, 1)))};
#elif defined(__ARM_NEON)
  float32x4_t v(x);
  return {Vec<double>(vcvt_f64_f32(vget_low_f32(v))), Vec<double>(vcvt_high_f64_f32(v))};
#else
  __m128 v(x);
  return {Vec<double>(_mm_cvtps_pd(v)), Vec<double>(_mm_cvtps_pd(_mm_movehl_ps(v, v)))};
#endif
}

inline Vec<float> narrow(Vec<double> low, Vec<double> high) {
#if defined(__AVX512F__)
  constexpr __mmask8 kAll(-1);
  __m512 v = _mm512_castps256_ps512(_mm512_maskz_cvtpd_ps(kAll, __m512d(low)));
  return Vec<float>(_mm512_insertf32x8(v, _mm512_maskz_cvtpd_ps(kAll, __m512d(high)), 1));
#elif defined(__AVX2__)
  return Vec<float>(_mm256_set_m128(_mm256_cvtpd_ps(__m256d(high)), _mm256_cvtpd_ps(__m256d(low))));
#elif defined(__ARM_NEON)
  return Vec<float>(vcvt_high_f32_f64(vcvt_f32_f64(float64x2_t(low)), float64x2_t(high)));
#else
  return Vec<float>(_mm_movelh_ps(_mm_cvtpd_ps(__m128d(low)), _mm_cvtpd_ps(__m128d(high))));
#endif
}

// Whether any lane of a mask is set.
template <class B>
inline bool any(B mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi64_mask(__m512i(mask), __m512i(mask)) != 0;
#elif defined(__AVX2__)
  return !_mm256_testz_si256(__m256i(mask), __m256i(mask));
#elif defined(__ARM_NEON)
  return vmaxvq_u32(bitcast<uint32x4_t>(mask)) != 0;
#else
  return !_mm_testz_si128(__m128i(mask), __m128i(mask));
#endif
}

// Bit i tells whether lane i of a mask is set.
template <class B>
inline uint32_t lane_bits(B mask) {
  constexpr bool single = sizeof(Element<B>) == 4;
#if defined(__AVX512F__)
  return uint32_t(single ? _mm512_movepi32_mask(__m512i(mask))
                         : _mm512_movepi64_mask(__m512i(mask)));
#elif defined(__AVX2__)
  return uint32_t(single ? _mm256_movemask_ps(__m256(mask)) : _mm256_movemask_pd(__m256d(mask)));
#elif defined(__ARM_NEON)
  uint32_t bits = 0;
  for (int i = 0; i < int(sizeof(B) / sizeof(Element<B>)); ++i) bits |= uint32_t(mask[i] & 1) << i;
  return bits;
#else
  return uint32_t(single ? _mm_movemask_ps(__m128(mask)) : _mm_movemask_pd(__m128d(mask)));
#endif
}

// Whether bytes can be stored by mask, as store_bytes_where_unequal does.
#if defined(__AVX512F__)
constexpr bool kHasMaskedBytes = true;

// to[i] = value in the lanes i where x and y are numbers and differ.
template <class V>
inline void store_bytes_where_unequal(uint8_t* to, V x, V y, uint8_t value) {
  __mmask16 lanes;
  if constexpr (kIsFloat<V>)
    lanes = _mm512_cmp_ps_mask(__m512(x), __m512(y), _CMP_NEQ_OQ);
  else
    lanes = _mm512_cmp_pd_mask(__m512d(x), __m512d(y), _CMP_NEQ_OQ);
  _mm_mask_storeu_epi8(to, lanes, _mm_set1_epi8(char(value)));
}
#else
constexpr bool kHasMaskedBytes = false;
#endif

// y, but wide() in the lanes of `rare`, worked out only if there are any.
template <class V, class F>
inline V replace_rare(Bits<V> rare, V y, F wide) {
  if (__builtin_expect(any(rare), 0)) y = select(rare, wide(), y);
  return y;
}

// nan if either is nan, as NumPy's maximum and minimum; +0 and -0 count as equal, the first wins.
template <class V>
inline V max(V a, V b) {
  return select(b != b, b, greater_or(b, a));
}

template <class V>
inline V min(V a, V b) {
  return select(b != b, b, less_or(b, a));
}

}  // namespace
}  // namespace pydl::PYDL_ISA
