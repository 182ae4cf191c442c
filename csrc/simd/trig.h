// sin, cos and tan. See math.h.
#pragma once

#include "simd/exp_log.h"

namespace pydl::PYDL_ISA {
namespace {

// x = n pi / 2 + r with |r| <= pi / 4; only the two low bits of n count.
struct PiReduction {
  Vec<double> r, n;
};

// Payne and Hanek 1983: multiplies the 53-bit mantissa by the 192 bits of 2 / pi that decide x mod
// 2 pi. For 2^20 <= |x|; r is exact to 3 ULP. inf gives nan.
[[gnu::noinline, gnu::cold]] inline void pi_reduce_huge(double x, double* r, double* n) {
  static constexpr uint64_t kTwoOverPi[] = {
      // after 64 zero bits, used below 2^84
      0x0000000000000000, 0xa2f9836e4e441529, 0xfc2757d1f534ddc0, 0xdb6295993c439041,
      0xfe5163abdebbc561, 0xb7246e3a424dd2e0, 0x06492eea09d1921c, 0xfe1deb1cb129a73e,
      0xe88235f52ebb4484, 0xe99c7026b45f7e41, 0x3991d639835339f4, 0x9c845f8bbdf9283b,
      0x1ff897ffde05980f, 0xef2f118b5a0a6d1f, 0x6d367ecf27cb09b7, 0x4f463f669e5fea2d,
      0x7527bac7ebe5f17b, 0x3d0739f78a5292ea, 0x6bfb5fb11f8d5d08, 0x56033046fc7b6bab};
  const uint64_t bits = bitcast<uint64_t>(x);
  const int exponent = int(bits >> 52 & 0x7ff);
  if (exponent == 0x7ff) {
    *r = *n = x - x;
    return;
  }
  const uint64_t m = (bits & 0xfffffffffffff) | uint64_t(1) << 52;
  // |x| = m 2^(exponent - 1075). Bits of 2 / pi whose product with m is a multiple of 4 are left
  // out.
  const int first = exponent - 1075 + 62;
  const uint64_t* word = kTwoOverPi + first / 64;
  const int shift = first % 64;
  uint64_t w[3];
  for (int i = 0; i < 3; ++i)
    w[i] = shift ? word[i] << shift | word[i + 1] >> (64 - shift) : word[i];
  // The low 192 bits of m w: 2 bits of n, then the fraction.
  __extension__ typedef unsigned __int128 uint128;
  const uint128 low = uint128(m) * w[2], middle = uint128(m) * w[1] + uint64_t(low >> 64);
  const uint64_t high = m * w[0] + uint64_t(middle >> 64), next = uint64_t(middle);
  uint128 fraction = uint128(high << 2 | next >> 62) << 64 | (next << 2 | uint64_t(low) >> 62);
  const bool round_up = high >> 61 & 1;
  if (round_up) fraction = -fraction;
  double value =
      (double(uint64_t(fraction >> 64)) * 0x1p-64 + double(uint64_t(fraction)) * 0x1p-128) *
      1.5707963267948966;
  const double count = double(int(high >> 62) + round_up);
  const bool negative = bits >> 63;
  *r = negative != round_up ? -value : value;
  *n = negative ? -count : count;
}

// Cody and Waite with pi / 2 in four parts, the first three of 33 bits: their products with
// n < 2^20 are exact.
inline PiReduction pi_reduce(Vec<double> x) {
  constexpr double kLimit = 0x1p20;
  Vec<double> n = fma(x, broadcast(0.6366197723675814), broadcast(0x1.8p52)) - 0x1.8p52;
  Vec<double> r = fma(n, broadcast(-0x1.921fb544p+0), x);
  r = fma(n, broadcast(-0x1.0b4611a6p-34), r);
  r = fma(n, broadcast(-0x1.3198a2ep-69), r);
  r = fma(n, broadcast(-0x1.b839a252049c1p-104), r);
  Bits<Vec<double>> huge = abs(x) >= kLimit;
  if (__builtin_expect(any(huge), 0)) {
    for (ptrdiff_t i = 0; i < kLanes<double>; ++i) {
      if (!huge[i]) continue;
      double ri, ni;
      pi_reduce_huge(x[i], &ri, &ni);
      r[i] = ri;
      n[i] = ni;
    }
  }
  return {r, n};
}

// ---- float where the ISA has FMA: reduced in float below kTrigLarge ----

// From here on a float is reduced in double, all of the lanes for the sake of one.
constexpr float kTrigLarge = 0x1p16f;

template <class V>
inline Bits<V> trig_rare(V x) {
  return ~(abs(x) < Element<V>(kTrigLarge));
}

// a - n p for p = pi 2^-k in three parts of 24 bits, the first two rounded down. The first product
// leaves no rounding error (a multiple of 2^-23 below 2 in size remains), the third matters only
// where the second one leaves none: so the result is rounded once, or is exact to 1.5 ULP where it
// is so small that sin(r) = r.
template <int kHalvings>
inline Vec<float> subtract_pi(Vec<float> a, Vec<float> n) {
  constexpr float kScale = 1.0f / float(1 << kHalvings);
  Vec<float> r = fma(n, broadcast(kScale * -0x1.921fb4p+1f), a);
  r = fma(n, broadcast(kScale * -0x1.4442dp-23f), r);
  return fma(n, broadcast(kScale * -0x1.84698ap-47f), r);
}

// sin(r), |r| <= pi / 2, as r + r^3 P(r^2), P minimax of degree 3, 2^-27.
inline Vec<float> sin_reduced(Vec<float> r) {
  Vec<float> z = r * r;
  Vec<float> p = polynomial(z, 2.605182e-06f, -0.00019809346f, 0.008333063f, -0.1666666f);
  return fma(r * z, p, r);
}

// With n = |x| / pi, rounded; the parity of n is a change of sign.
inline Vec<float> sin_common(Vec<float> x) {
  using B = Bits<Vec<float>>;
  constexpr float kRounder = Format<float>::kRounder;
  Vec<float> a = abs(x), shifted = fma(a, broadcast(0.31830987f), broadcast(kRounder));
  Vec<float> y = sin_reduced(subtract_pi<0>(a, shifted - kRounder));
  return flip_sign(y, bitcast<Vec<float>>(bitcast<B>(x) ^ (bitcast<B>(shifted) << 31)));
}

// cos(x) = sin(x + pi / 2): n - 1/2 instead of n, n = |x| / pi + 1/2, rounded.
inline Vec<float> cos_common(Vec<float> x) {
  using B = Bits<Vec<float>>;
  constexpr float kRounder = Format<float>::kRounder;
  Vec<float> a = abs(x);
  Vec<float> shifted = fma(a, broadcast(0.31830987f), broadcast(0.5f)) + kRounder;
  Vec<float> y = sin_reduced(subtract_pi<0>(a, (shifted - kRounder) - 0.5f));
  return flip_sign(y, bitcast<Vec<float>>(bitcast<B>(shifted) << 31));
}

// tan(r) = r N(r^2) / D(r^2) for |r| <= pi / 4, degrees 2 and 2, 2^-35; with n = |x| / (pi / 2),
// rounded, an odd n turns it into -1 / tan(r).
inline Vec<float> tan_common(Vec<float> x) {
  using V = Vec<float>;
  using B = Bits<V>;
  constexpr float kRounder = Format<float>::kRounder;
  V a = abs(x), shifted = fma(a, broadcast(0.63661975f), broadcast(kRounder));
  V r = subtract_pi<1>(a, shifted - kRounder);
  V z = r * r;
  V n = fma(r * z, polynomial(z, 0.0010747898f, -0.11135619f), r);
  V d = polynomial(z, 0.015971279f, -0.44468951f, 1.0f);
  B odd = (bitcast<B>(shifted) & 1) != 0;
  V y = select(odd, d, n) / select(odd, n, d);
  return flip_sign(y, bitcast<V>(bitcast<B>(x) ^ (bitcast<B>(shifted) << 31)));
}

// ---- any argument ----

// sin(r) and cos(r) for |r| <= pi / 4, and n mod 4 with x = n pi / 2 + r. sin: r + r^3 P(r^2), P
// minimax of degree 2 (f, 2^-28), 5 (d, 2^-56). cos: 1 - r^2 / 2 + r^4 Q(r^2), degrees 2 and 5.
template <class V>
struct SinCos {
  V sin, cos;
  Bits<V> quadrant;
};

template <class V>
inline SinCos<V> sin_cos(V x) {
  using T = Element<V>;
  V r, n, p, q;
  if constexpr (kIsFloat<V>) {
    auto [low, high] = widen(x);
    auto a = pi_reduce(low), b = pi_reduce(high);
    r = narrow(a.r, b.r);
    n = narrow(a.n, b.n);
  } else {
    auto a = pi_reduce(x);
    r = a.r;
    n = a.n;
  }
  V z = r * r;
  if constexpr (kIsFloat<V>) {
    p = polynomial(z, -0.00019518405f, 0.00833219f, -0.16666655f);
    q = polynomial(z, 2.4432327e-05f, -0.001388731f, 0.041666646f);
  } else {
    p = polynomial(z, 1.5896505108707106e-10, -2.5050753268369543e-08, 2.755731366209229e-06,
                   -0.0001984126982972535, 0.008333333333322316, -0.16666666666666632);
    q = polynomial(z, -1.1358310706994646e-11, 2.0875696577021102e-09, -2.755731414865854e-07,
                   2.480158728874832e-05, -0.0013888888888872895, 0.041666666666666595);
  }
  // The select keeps the sign of zero.
  V sine = select(r == 0, r, fma(r * z, p, r));
  V half = T(0.5) * z, head = T(1) - half;
  V cosine = head + fma(z * z, q, (T(1) - head) - half);
  return {sine, cosine, bitcast<Bits<V>>(n + FormatOf<V>::kRounder) & 3};
}

// x with its sign changed where bit 1 of `quadrant` is set
template <class V>
inline V negate_by_bit_1(V x, Bits<V> quadrant) {
  return flip_sign(x, bitcast<V>(quadrant << (8 * sizeof(Element<V>) - 2)));
}

template <class V>
inline V sin_wide(V x) {
  auto s = sin_cos(x);
  return negate_by_bit_1(select((s.quadrant & 1) != 0, s.cos, s.sin), s.quadrant);
}

template <class V>
inline V cos_wide(V x) {
  auto s = sin_cos(x);
  return negate_by_bit_1(select((s.quadrant & 1) != 0, s.sin, s.cos), s.quadrant + 1);
}

template <class V>
inline V tan_wide(V x) {
  auto s = sin_cos(x);
  Bits<V> odd = (s.quadrant & 1) != 0;
  return select(odd, -s.cos, s.sin) / select(odd, s.sin, s.cos);
}

// Error of sin and cos: 2, 2.5, of tan 3.3, 3.7, for any finite argument.
template <class V>
inline V sin(V x) {
  if constexpr (kFastFloat<V>)
    return replace_rare(trig_rare(x), sin_common(x), [=] { return sin_wide(x); });
  else
    return sin_wide(x);
}

template <class V>
inline V cos(V x) {
  if constexpr (kFastFloat<V>)
    return replace_rare(trig_rare(x), cos_common(x), [=] { return cos_wide(x); });
  else
    return cos_wide(x);
}

template <class V>
inline V tan(V x) {
  if constexpr (kFastFloat<V>)
    return replace_rare(trig_rare(x), tan_common(x), [=] { return tan_wide(x); });
  else
    return tan_wide(x);
}

}  // namespace
}  // namespace pydl::PYDL_ISA
