// exp, log and their relatives. See math.h.
#pragma once

#include "simd/vec.h"

namespace pydl::PYDL_ISA {
namespace {

template <class V>
inline V infinity() {
  return broadcast(Element<V>(__builtin_inf()));
}

template <class V>
inline V quiet_nan() {
  return broadcast(Element<V>(__builtin_nan("")));
}

// Horner's rule, highest power first.
template <class V, class... C>
inline V polynomial(V x, C... coefficients) {
  V y{};
  bool first = true;
  ((y = first ? broadcast(Element<V>(coefficients))
              : fma(y, x, broadcast(Element<V>(coefficients))),
    first = false),
   ...);
  return y;
}

// The layout of an IEEE number as shifts and masks on the integer type of the same size.
template <class T>
struct Format;
template <>
struct Format<float> {
  using Int = int32_t;
  using UInt = uint32_t;
  static constexpr int kMantissaBits = 23;
  static constexpr Int kBias = 127;
  static constexpr Int kOne = 0x3f800000;
  static constexpr Int kSqrtHalf = 0x3f3504f3;
  static constexpr float kMinNormal = 0x1p-126f;
  static constexpr float kRounder = 0x1.8p23f;  // x + kRounder rounds x to an integer, |x| < 2^22
};
template <>
struct Format<double> {
  using Int = int64_t;
  using UInt = uint64_t;
  static constexpr int kMantissaBits = 52;
  static constexpr Int kBias = 1023;
  static constexpr Int kOne = 0x3ff0000000000000;
  static constexpr Int kSqrtHalf = 0x3fe6a09e667f3bcd;
  static constexpr double kMinNormal = 0x1p-1022;
  static constexpr double kRounder = 0x1.8p52;
};
template <class V>
using FormatOf = Format<Element<V>>;
template <class V>
using UBits = Vec<typename FormatOf<V>::UInt>;

// ln(2) in two parts, the first with so few bits that its product with an exponent is exact.
template <class T>
constexpr T kLn2High = sizeof(T) == 4 ? T(0x1.62e4p-1) : T(0x1.62e42fefa3800p-1);
template <class T>
constexpr T kLn2Low = sizeof(T) == 4 ? T(0x1.7f7d1cf79abcap-20) : T(0x1.ef35793c76730p-45);

// ---- exp ----

// x = n ln(2) + r, |r| <= ln(2) / 2. `shifted` is n + kRounder + offset: its low bits are n +
// offset.
template <class V>
struct ExpReduction {
  V shifted, n, r;
};

template <int kOffset, class V>
inline ExpReduction<V> exp_reduce(V x) {
  using T = Element<V>;
  constexpr T kShift = FormatOf<V>::kRounder + T(kOffset);
  V shifted = fma(x, broadcast(T(1.4426950408889634)), broadcast(kShift));
  V n = shifted - kShift;
  V r = fma(n, broadcast(-kLn2High<T>), x);
  return {shifted, n, fma(n, broadcast(-kLn2Low<T>), r)};
}

// (exp(r) - 1 - r) / r^2 on |r| <= ln(2) / 2, minimax: degree 4 (f, 2^-28 of exp), 9 (d, 2^-56).
template <class V>
inline V exp_tail(V r) {
  if constexpr (kIsFloat<V>)
    return polynomial(r, 0.0013837991f, 0.0083691655f, 0.041668102f, 0.16666517f, 0.49999994f);
  else
    return polynomial(r, 2.5000019288099746e-08, 2.7630306500300396e-07, 2.755758680566036e-06,
                      2.4801492948905326e-05, 0.00019841269505764956, 0.0013888888943760645,
                      0.008333333333494987, 0.041666666666529725, 0.1666666666666641,
                      0.5000000000000011);
}

// Below kExpLow |x| exp(x) is 0 in the type; above kExpHigh exp(x) / 2 is inf.
template <class T>
constexpr T kExpLow = sizeof(T) == 4 ? T(-115) : T(-770);
template <class T>
constexpr T kExpHigh = sizeof(T) == 4 ? T(90) : T(711);

// exp(r) - 1 for |r| <= ln(2) / 2
template <class V>
inline V expm1_reduced(V r) {
  return fma(exp_tail(r), r * r, r);
}

// exp(x) = exp(r) * scale_a * scale_b, both scales powers of two, so that factors can be multiplied
// in before the result leaves the range of normal numbers.
template <class V>
struct ExpParts {
  V n, r, scale_a, scale_b;

  V mantissa() const {
    V one = broadcast(Element<V>(1));
    return fma(fma(exp_tail(r), r, one), r, one);
  }
  V times_mantissa(V factor) const { return fma(factor, expm1_reduced(r), factor); }
  // v times both scales, rounded once
  V scaled(V v) const {
#if defined(__AVX512F__)
    return scale_exponent(v, n);
#else
    return v * scale_a * scale_b;
#endif
  }
};

// exp(n ln(2) + r), the low bits of `shifted` being those of n + 2 bias
template <class V>
inline ExpParts<V> exp_split(V shifted, V n, V r) {
  using F = FormatOf<V>;
  // The halves of n + 2 bias become exponent fields; what lies above them is shifted out.
  auto biased = bitcast<UBits<V>>(shifted);
  auto half = biased >> 1;
  return {n, r, bitcast<V>(half << F::kMantissaBits),
          bitcast<V>((biased - half) << F::kMantissaBits)};
}

// exp(x + x_low...), x_low small against 1
template <class V, class... Low>
inline ExpParts<V> exp_parts(V x, Low... x_low) {
  using T = Element<V>;
  auto [shifted, n, r] = exp_reduce<2 * FormatOf<V>::kBias>(clamp(x, kExpLow<T>, kExpHigh<T>));
  return exp_split(shifted, n, (r + ... + x_low));
}

// exp(n ln(2) + r) for an integral n and |r| <= ln(2) / 2
template <class V>
inline V exp_of_parts(V n, V r) {
  using F = FormatOf<V>;
  using T = Element<V>;
#if !defined(__AVX512F__)
  n = clamp(n, T(-2 * F::kBias), T(2 * F::kBias));  // what `scaled` takes; 0 and inf come before
#endif
  V shifted = n + (F::kRounder + T(2 * F::kBias));
  auto e = exp_split(shifted, n, r);
  return e.scaled(e.mantissa());
}

// Error: 1.2, 1.2.
template <class V>
inline V exp(V x) {
  auto e = exp_parts(x);
  return e.scaled(e.mantissa());
}

// factor * exp(x + x_low...), with no overflow or underflow on the way
template <class V, class... Low>
inline V exp_times(V factor, V x, Low... x_low) {
  auto e = exp_parts(x, x_low...);
  return e.scaled(e.times_mantissa(factor));
}

// exp(-x^2), the rounding error of x^2 made good
template <class V>
inline V exp_minus_square(V x) {
  using T = Element<V>;
  V a = clamp(abs(x), T(0), kIsFloat<V> ? T(10.5) : T(27.5));
  V square = a * a;
  return exp_times(broadcast(T(1)), -square, -multiply_error(a, a, square));
}

// exp(x) - 1 where 2^n is a normal number: |x| <= 40
template <class V>
inline V expm1_small(V x) {
  using F = FormatOf<V>;
  auto [shifted, n, r] = exp_reduce<F::kBias>(x);
  V scale = bitcast<V>(bitcast<UBits<V>>(shifted) << F::kMantissaBits);
  return fma(scale, expm1_reduced(r), scale - Element<V>(1));
}

// exp(x) - 1. Error: 1.6, 2.2.
template <class V>
inline V expm1(V x) {
  using T = Element<V>;
  using F = FormatOf<V>;
  V limited = clamp(x, kIsFloat<V> ? T(-50) : T(-100), kIsFloat<V> ? T(89) : T(710));
  // exp(x) - 1 = 2 (s p + s - 1/2) with p = exp(r) - 1 and s = 2^(n - 1), in range also for n =
  // 128.
  auto [shifted, n, r] = exp_reduce<F::kBias - 1>(limited);
  V p = expm1_reduced(r);
  V s = bitcast<V>(bitcast<UBits<V>>(shifted) << F::kMantissaBits);
  V y = T(2) * fma(s, p, s - T(0.5));
  return select(abs(x) < (kIsFloat<V> ? T(0x1p-25) : T(0x1p-54)), x, y);
}

// ---- log ----

// Positive normal x = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)). `exponent` is e in the place
// of the exponent field.
template <class V>
struct LogReduction {
  V e, f;
  Bits<V> exponent;
};

template <class V>
inline LogReduction<V> log_reduce(V x) {
  using T = Element<V>;
  using F = FormatOf<V>;
  using Int = typename F::Int;
  Bits<V> bits = bitcast<Bits<V>>(x), exponent;
  V e;
  if constexpr (kIsFloat<V>) {
    Bits<V> count = (bits - F::kSqrtHalf) >> F::kMantissaBits;
    exponent = count << F::kMantissaBits;
    e = __builtin_convertvector(count, V);
  } else {  // AVX2 neither shifts nor converts signed words of 64 bits
    constexpr Int kMantissa = (Int(1) << F::kMantissaBits) - 1;
    Bits<V> biased = (bits + (F::kOne - F::kSqrtHalf)) & ~kMantissa;
    // The exponent field as the low bits of a number with unit spacing.
    constexpr T kUnit = T(0x1p52);
    auto count = bitcast<UBits<V>>(biased) >> F::kMantissaBits;
    e = bitcast<V>(count | bitcast<UBits<V>>(broadcast(kUnit))) - (kUnit + T(F::kBias));
    exponent = biased - F::kOne;
  }
  return {e, bitcast<V>(bits - exponent) - T(1), exponent};
}

// Where x is no positive, finite, normal number: what log and its relatives do apart.
template <class V>
inline Bits<V> log_rare(V x) {
  using F = FormatOf<V>;
  using UInt = typename F::UInt;
  constexpr UInt kSign = UInt(1) << (8 * sizeof(UInt) - 1);
  constexpr UInt kFirst = UInt(1) << F::kMantissaBits, kInfinity = UInt(2 * F::kBias + 1) * kFirst;
  // One comparison of signed numbers; x86 has none of unsigned ones.
  auto place = bitcast<Bits<V>>(bitcast<UBits<V>>(x) + (kSign - kFirst));
  return place >= typename F::Int(kSign + (kInfinity - kFirst));
}

// As above for any x > 0, subnormals included.
template <class V>
inline LogReduction<V> log_reduce_any(V x) {
  using T = Element<V>;
  using F = FormatOf<V>;
  constexpr T kUp = kIsFloat<V> ? T(0x1p25) : T(0x1p54);
  Bits<V> tiny = x < F::kMinNormal;
  auto result = log_reduce(select(tiny, x * kUp, x));
  result.e = select(tiny, result.e - T(kIsFloat<V> ? 25 : 54), result.e);
  return result;
}

// log(1 + f) + extra..., extra small. f: f - f^2 / 2 + f^3 P(f), P minimax of degree 7, 2^-27 of
// the log. d: with s = f / (2 + f), log(1 + f) = f - (f^2 / 2 - s (f^2 / 2 + R)), R = s^2 Q(s^2)
// the minimax of (2 atanh(s) - 2 s) / s, 2^-58.
template <class V, class... Extra>
inline V log_mantissa(V f, Extra... extra) {
  using T = Element<V>;
  V square = f * f;
  if constexpr (kIsFloat<V>) {
    V p = polynomial(f, -0.07634515f, 0.12761596f, -0.13160184f, 0.14201756f, -0.16623357f,
                     0.20001227f, -0.2500082f, 0.3333333f);
    V y = f * square;
    if constexpr (sizeof...(extra) == 0)
      y = y * p;
    else
      y = fma(y, p, (extra + ...));
    return f + fma(broadcast(T(-0.5)), square, y);
  } else {
    V s = f / (T(2) + f);
    V z = s * s;
    V r = z * polynomial(z, 0.14795953248870078, 0.15314050217537567, 0.1818356433860433,
                         0.22222198572948682, 0.2857142874239, 0.39999999999414665,
                         0.6666666666666734);
    V half = T(0.5) * square;
    V y = s;
    if constexpr (sizeof...(extra) == 0)
      y = y * (half + r);
    else
      y = fma(y, half + r, (extra + ...));
    return f - (half - y);
  }
}

// y where u is positive and finite; -inf for 0, nan for u < 0, u for inf and nan: the ends of log.
template <class V>
inline V log_special(V u, V y) {
  V special = select(u == 0, -infinity<V>(), select(u < 0, quiet_nan<V>(), u));
  return select((u > 0) & (u < infinity<V>()), y, special);
}

// The logarithms of a reduced number.
template <class V>
inline V log_reduced(LogReduction<V> x) {
  using T = Element<V>;
  return fma(x.e, broadcast(kLn2High<T>), log_mantissa(x.f, x.e * kLn2Low<T>));
}

template <class V>
inline V log2_reduced(LogReduction<V> x) {
  return fma(log_mantissa(x.f), broadcast(Element<V>(1.4426950408889634)), x.e);
}

template <class V>
inline V log10_reduced(LogReduction<V> x) {
  using T = Element<V>;
  constexpr T kHigh = kIsFloat<V> ? T(0.301025390625) : T(0.30102999566395283);  // log10(2)
  constexpr T kLow = kIsFloat<V> ? T(4.605038981195214e-06) : T(2.8363394551044964e-14);
  V y = fma(log_mantissa(x.f), broadcast(T(0.4342944819032518)), x.e * kLow);
  return fma(x.e, broadcast(kHigh), y);
}

// Error: 0.9, 0.8.
template <class V>
inline V log(V x) {
  return log_special(x, log_reduced(log_reduce_any(x)));
}

// Exact at powers of two. Error: 1.9, 1.4.
template <class V>
inline V log2(V x) {
  return log_special(x, log2_reduced(log_reduce_any(x)));
}

// Error: 2, 1.7.
template <class V>
inline V log10(V x) {
  return log_special(x, log10_reduced(log_reduce_any(x)));
}

// Above kLog1pLarge 1 + x rounds to x or the loss is nothing, and 2^-e might be subnormal.
template <class T>
constexpr T kLog1pLarge = sizeof(T) == 4 ? T(0x1p24) : T(0x1p53);

template <class V>
inline Bits<V> log1p_rare(V x) {
  return log_rare(x + Element<V>(1)) | (x > kLog1pLarge<Element<V>>);
}

// With 1 + x = 2^e (1 + f): f = x 2^-e + (2^-e - 1), where only the sum is rounded.
template <class V>
inline V log1p_common(V x) {
  using T = Element<V>;
  constexpr T kTiny = kIsFloat<V> ? T(0x1p-25) : T(0x1p-54);
  auto u = log_reduce(x + T(1));
  V scale = bitcast<V>(FormatOf<V>::kOne - u.exponent);
  u.f = fma(x, scale, scale - T(1));
  return select(abs(x) < kTiny, x, log_reduced(u));
}

// Error: 1.5, 1.3.
template <class V>
inline V log1p(V x) {
  using T = Element<V>;
  V u = x + T(1);
  V large = log_special(u, log_reduced(log_reduce(u)));
  return select(log1p_rare(x), large, log1p_common(x));
}

}  // namespace
}  // namespace pydl::PYDL_ISA
