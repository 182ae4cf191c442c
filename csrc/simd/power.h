// pow, and division with its remainder. See math.h.
#pragma once

#include "simd/exp_log.h"

namespace pydl::PYDL_ISA {
namespace {

// high + low, |low| at most half an ULP of high
struct DoubleDouble {
  Vec<double> high, low;
};

// log(x) for x > 0 to about 2^-65, relative. With m = x 2^-e and s = (m - 1) / (m + 1):
// log(m) = 2 s + s^3 (2/3 + s^2 K(s^2)), K minimax of degree 6, 2^-65 of the sum.
inline DoubleDouble log_twice(Vec<double> x) {
  using V = Vec<double>;
  auto [e, f, exponent] = log_reduce_any(x);
  V m1 = 2.0 + f;
  V m1_low = f - (m1 - 2.0);
  V s = f / m1, back = s * m1;
  V s_low = (((f - back) - multiply_error(s, m1, back)) - s * m1_low) / m1;
  V z = s * s;
  V z_low = multiply_error(s, s, z) + 2.0 * s * s_low;
  V tail = z * polynomial(z, 0.13196242636431754, 0.13256826408269548, 0.1538675698871536,
                          0.18181784373836285, 0.22222222519855556, 0.28571428570099894,
                          0.40000000000002256);
  constexpr double kTwoThirds = 0.6666666666666666, kTwoThirdsLow = 3.700743415417188e-17;
  V c = kTwoThirds + tail;
  V c_low = (kTwoThirds - c) + tail + kTwoThirdsLow;
  V cube = s * z;
  V cube_low = multiply_error(s, z, cube) + s * z_low + s_low * z;
  V t = cube * c;
  V t_low = multiply_error(cube, c, t) + cube * c_low + cube_low * c;
  // e ln(2) + 2 s + t, largest first, each rounding error kept.
  V whole = e * kLn2High<double>, twice = 2.0 * s;
  V a = whole + twice;
  V a_low = (whole - a) + twice;
  V b = a + t;
  V b_low = (a - b) + t;
  V low = b_low + a_low + (t_low + 2.0 * s_low + e * kLn2Low<double>);
  V high = b + low;
  return {high, (b - high) + low};
}

// |x|^y by exp(y log|x|), d: with the log as above.
inline Vec<double> pow_positive(Vec<double> x, Vec<double> y) {
  auto l = log_twice(x);
  Vec<double> high = log_special(x, l.high);
  Vec<double> product = y * high;
  Vec<double> low = multiply_error(y, high, product) + y * l.low;
  // At the ends of the range, 0 and inf, the correction is void and may be nan.
  low = select(abs(product) < 1000.0, low, Vec<double>{});
  return exp_times(broadcast(1.0), product, low);
}

// ---- float where the ISA has FMA: the logarithm in two floats, by a table ----

// x = 2^e z, z in [63/64, 63/32) near 1 + j / 16, has log(x) = e ln(2) - log(c) + log(1 + r) with
// r = z c - 1. c, close to 1 / z, has so few bits that r is exact, |r| < 0.0342; c = 1 around x =
// 1, where log(x) = log(1 + r). -log(c) and ln(2) are sums of a multiple of 2^-16, so that e ln(2)
// - log(c) of the first parts is exact, and a rest.
alignas(64) constexpr float kPowInverse[16] = {
    1.0f,      0.9375f,   0.890625f, 0.84375f, 0.796875f, 0.765625f, 0.71875f, 0.6875f,
    0.671875f, 0.640625f, 0.609375f, 0.59375f, 0.578125f, 0.546875f, 0.53125f, 0.515625f};
alignas(64) constexpr float kPowLog[16] = {0.0f,         0x1.086p-4f,  0x1.da7p-4f,  0x1.5bf8p-3f,
                                           0x1.d1p-3f,   0x1.1178p-2f, 0x1.522cp-2f, 0x1.7fbp-2f,
                                           0x1.973cp-2f, 0x1.c8p-2f,   0x1.fb34p-2f, 0x1.0ae8p-1f,
                                           0x1.188ep-1f, 0x1.3502p-1f, 0x1.43dap-1f, 0x1.5322p-1f};
alignas(64) constexpr float kPowLogLow[16] = {
    0.0f,          -6.156597e-06f, 2.3477517e-06f,  -7.5794155e-06f, 6.669385e-06f,
    3.459077e-06f, -4.284809e-06f, -1.3747773e-06f, -6.8516697e-06f, -1.4833446e-06f,
    5.885472e-06f, -4.345898e-06f, 6.796692e-06f,   4.1380813e-06f,  -2.4264303e-08f,
    6.7474793e-06f};

// x^y for positive, finite, normal x and |y| < kPowLarge: log(x) to about 2^-33, relative, as u +
// low.
constexpr float kPowLarge = 0x1p30f;

inline Vec<float> pow_common(Vec<float> x, Vec<float> y) {
  using V = Vec<float>;
  using F = Format<float>;
  Bits<V> bits = bitcast<Bits<V>>(x), place = bits - (F::kOne - (1 << (F::kMantissaBits - 5)));
  Bits<V> count = place >> F::kMantissaBits, j = place >> (F::kMantissaBits - 4);
  V e = __builtin_convertvector(count, V);
  V z = bitcast<V>(bits - (count << F::kMantissaBits));
  V r = fma(z, lookup(kPowInverse, j), broadcast(-1.0f));
  V head = fma(e, broadcast(0x1.62e4p-1f), lookup(kPowLog, j));
  V rest = fma(e, broadcast(0x1.7f7d1cp-20f), lookup(kPowLogLow, j));
  // head + r - r^2 / 2, each rounding error kept, + r^3 P(r), P minimax of degree 3, 2^-36.7 of r
  V square = r * r, square_low = fma(r, r, -square);
  V sum = head + r, sum_low = r - (sum - head), minus_half = broadcast(-0.5f);
  V u = fma(minus_half, square, sum), u_low = fma(minus_half, square, sum - u);
  V p = polynomial(r, -0.16691971f, 0.20023187f, -0.24999988f, 0.33333325f);
  V low = (sum_low + u_low) + fma(minus_half, square_low, fma(r * square, p, rest));
  // y log(x) = n ln(2) + f. An |y log(x)| beyond the range of exp leaves some f; n decides then.
  V product = y * u, product_low = fma(y, low, fma(y, u, -product));
  V n = round_to<kNearestEven>((product + product_low) * 1.442695f);
  V f = fma(n, broadcast(-0x1.62e4p-1f), product);
  f = clamp(f + fma(n, broadcast(-0x1.7f7d1cp-20f), product_low), -1.0f, 1.0f);
  return exp_of_parts(n, f);
}

template <class V>
inline Bits<V> pow_rare(V x, V y) {
  return log_rare(x) | ~(abs(y) < Element<V>(kPowLarge));
}

inline Vec<float> pow_positive(Vec<float> x, Vec<float> y) {
  const auto wide = [=] {
    auto [x0, x1] = widen(x);
    auto [y0, y1] = widen(y);
    return narrow(exp(y0 * log(x0)), exp(y1 * log(x1)));
  };
  if constexpr (kHasFma)
    return replace_rare(pow_rare(x, y), pow_common(x, y), wide);
  else
    return wide();
}

// C99: pow(x, 0) = pow(1, y) = 1 even for nan; a negative x needs an integer y, whose parity is
// the sign; pow(-1, +-inf) = 1. Error: 0.9, 1.4.
template <class V>
inline V pow(V x, V y) {
  using T = Element<V>;
  V a = abs(x);
  V result = pow_positive(a, y);
  V half = T(0.5) * y;
  Bits<V> integer = round_to<kTowardZero>(y) == y;
  Bits<V> odd = integer & (round_to<kTowardZero>(half) != half);
  result = select(odd, flip_sign(result, x), result);
  result = select((x < 0) & (x > -infinity<V>()) & ~integer, quiet_nan<V>(), result);
  Bits<V> one = (y == 0) | (x == T(1)) | ((a == T(1)) & (abs(y) == infinity<V>()));
  return select(one, broadcast(T(1)), result);
}

// The remainder of a / b for a, b >= 0, exact: long division by partial quotients of 26 bits, whose
// products with b are subtracted without rounding. nan if a is inf or b is 0. (With subnormals
// flushed it is exact up to the smallest normal number.)
inline Vec<double> fmod_positive(Vec<double> a, Vec<double> b) {
  using V = Vec<double>;
  V r = select((a < infinity<V>()) & (b > 0), a, quiet_nan<V>());
  for (Bits<V> left = r >= b; any(left); left = r >= b) {
    V divisor = b, q = r / b;
    for (Bits<V> far = q > 0x1p900; __builtin_expect(any(far), 0); far = q > 0x1p900) {
      divisor = select(far, divisor * 0x1p600, divisor);
      q = r / divisor;
    }
    q = round_to<kTowardZero>(bitcast<V>(bitcast<Bits<V>>(q) & ~int64_t(0x7ffffff)));
    V product = q * divisor;
    V next = (r - product) - multiply_error(q, divisor, product);
    next = select(next < 0, next + divisor, next);  // r / divisor had been rounded up to q
    r = select(left, next, r);
  }
  return r;
}

// Python's floor division: quotient = floor(a / b), remainder = a - b floor(a / b), as divmod.
struct Division {
  Vec<double> quotient, remainder;
};

inline Division divide_floor(Vec<double> a, Vec<double> b) {
  using V = Vec<double>;
  V r = copysign(fmod_positive(abs(a), abs(b)), a);
  V q = (a - r) / b;
  Bits<V> other_sign = (r != 0) & ((r < 0) != (b < 0));
  V remainder = select(r == 0, copysign(V{}, b), select(other_sign, r + b, r));
  q = select(other_sign, q - 1.0, q);
  q = select(q == 0, copysign(V{}, a / b), round_to<kNearestEven>(q));
  return {select(b == 0, a / b, q), remainder};
}

inline Vec<double> floor_divide(Vec<double> a, Vec<double> b) {
  return divide_floor(a, b).quotient;
}

inline Vec<double> remainder(Vec<double> a, Vec<double> b) { return divide_floor(a, b).remainder; }

// Both in double.
inline Vec<float> floor_divide_wide(Vec<float> a, Vec<float> b) {
  auto [a0, a1] = widen(a);
  auto [b0, b1] = widen(b);
  return narrow(floor_divide(a0, b0), floor_divide(a1, b1));
}

inline Vec<float> remainder_wide(Vec<float> a, Vec<float> b) {
  auto [a0, a1] = widen(a);
  auto [b0, b1] = widen(b);
  return narrow(remainder(a0, b0), remainder(a1, b1));
}

// Where the way below is not exact: a quotient of 2^22 or more, one so small that it might have
// underflowed, b next to the ends of the range, inf and nan.
inline Bits<Vec<float>> division_rare(Vec<float> a, Vec<float> b) {
  Vec<float> q = abs(a / b), size = abs(b);
  return ~((q < 0x1p22f) & ((q > 0x1p-100f) | (a == 0)) & (size > 0x1p-90f) & (size < 0x1p126f));
}

// floor(a / b) as divided, which is one too much if the division rounded up to an integer, and
// a - b times that: exact then, else rounded once.
struct DivisionCommon {
  Vec<float> quotient, remainder;
  Bits<Vec<float>> too_much;
};

inline DivisionCommon divide_common(Vec<float> a, Vec<float> b) {
  Vec<float> q = round_to<kDown>(a / b), r = fma(-q, b, a);
  return {q, r, (flip_sign(r, b) < 0)};
}

inline Vec<float> floor_divide_common(Vec<float> a, Vec<float> b) {
  auto d = divide_common(a, b);
  return select(d.too_much, d.quotient - 1.0f, d.quotient);
}

inline Vec<float> remainder_common(Vec<float> a, Vec<float> b) {
  auto d = divide_common(a, b);
  // a remainder of zero, too, has the sign of b
  return copysign(select(d.too_much, d.remainder + b, d.remainder), b);
}

inline Vec<float> floor_divide(Vec<float> a, Vec<float> b) {
  const auto wide = [=] { return floor_divide_wide(a, b); };
  if constexpr (kHasFma)
    return replace_rare(division_rare(a, b), floor_divide_common(a, b), wide);
  else
    return wide();
}

inline Vec<float> remainder(Vec<float> a, Vec<float> b) {
  const auto wide = [=] { return remainder_wide(a, b); };
  if constexpr (kHasFma)
    return replace_rare(division_rare(a, b), remainder_common(a, b), wide);
  else
    return wide();
}

}  // namespace
}  // namespace pydl::PYDL_ISA
