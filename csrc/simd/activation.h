// tanh, sigmoid, erf and the activations built on them. See math.h.
#pragma once

#include "simd/exp_log.h"

namespace pydl::PYDL_ISA {
namespace {

// ---- hyperbolic functions, sigmoid and relatives ----

// y = t / (t + 2) with t = exp(2|x|) - 1; for small t once more as y = t / 2 (1 - y), which divides
// the error of y by 2 or more. Error: 2, 2.1.
template <class V>
inline V tanh(V x) {
  using T = Element<V>;
  V a = clamp(abs(x), T(0), kIsFloat<V> ? T(10) : T(20));  // 1 to the last bit from 9.02, 19.1 on
  V t = expm1_small(a + a), half = T(0.5) * t;
  V y = t / (t + T(2));
  return copysign(select(t < T(1), fma(-half, y, half), y), x);
}

// Below 1 x + x^3 P(x^2), P minimax of degree 3 (f, 2^-31) and 6 (d, 2^-56); else h - 1 / (4 h)
// with h = exp|x| / 2. Error: 1.7, 1.6.
template <class V>
inline V sinh(V x) {
  using T = Element<V>;
  V a = abs(x), z = x * x, p;
  if constexpr (kIsFloat<V>)
    p = polynomial(z, 2.7839255e-06f, 0.00019842635f, 0.008333311f, 0.16666667f);
  else
    p = polynomial(z, 7.759312326440398e-13, 1.6057240336221639e-10, 2.5052123398638234e-08,
                   2.7557319155336168e-06, 0.00019841269841437684, 0.008333333333333139,
                   0.16666666666666669);
  V h = exp_times(broadcast(T(0.5)), a);
  return select(a < T(1), fma(x * z, p, x), copysign(h - T(0.25) / h, x));
}

// Error: 1.5, 1.6.
template <class V>
inline V cosh(V x) {
  using T = Element<V>;
  V h = exp_times(broadcast(T(0.5)), abs(x));
  return h + T(0.25) / h;
}

// 1 + exp(z + z_low...), times kTiny<T> so that it stays in range for all z down from -kExpLow. It
// is 1 to the last bit below -kSigmoidOne, where it stops to depend on z. The sum is rounded but
// once.
template <class T>
constexpr T kTiny = sizeof(T) == 4 ? T(0x1p-48) : T(0x1p-128);
template <class T>
constexpr T kSigmoidOne = sizeof(T) == 4 ? T(50) : T(600);

template <class V, class... Low>
inline V tiny_one_plus_exp(V z, Low... z_low) {
  using T = Element<V>;
  using F = FormatOf<V>;
  constexpr int kTinyExponent = kIsFloat<V> ? 48 : 128;
  z = clamp(z, -kSigmoidOne<T>, -kExpLow<T>);
  auto [shifted, n, r] = exp_reduce<F::kBias - kTinyExponent>(z);
  V scale = bitcast<V>(bitcast<UBits<V>>(shifted) << F::kMantissaBits), one = broadcast(kTiny<T>);
  // 1 + 2^n is exact up to here, where it rounds to 2^n; then the 1 enters the sum as 2^-n.
  constexpr T kTie = T(int64_t(1) << (F::kMantissaBits + 1));
  V p = expm1_reduced((r + ... + z_low)) +
        select(scale == kTie * kTiny<T>, broadcast(T(1) / kTie), V{});
  return fma(scale, p, scale + one);
}

// 1 / (1 + exp(-x)). Error: 2, 1.7.
template <class V>
inline V sigmoid(V x) {
  return kTiny<Element<V>> / tiny_one_plus_exp(-x);
}

// x sigmoid(z + z_low...) for x and z of equal sign, right also where sigmoid itself underflows
template <class V, class... Low>
inline V times_sigmoid(V x, V z, Low... z_low) {
  using T = Element<V>;
  V limited = greater_or(broadcast(kExpLow<T>), x);  // -inf must not meet a zero
  V y = limited / tiny_one_plus_exp(-z, -z_low...) * kTiny<T>;
  return select(z > kSigmoidOne<T>, x, y);
}

// Error: 2, 1.7.
template <class V>
inline V silu(V x) {
  return times_sigmoid(x, x);
}

// sigmoid(x) and its derivative, both with relative accuracy in both tails
template <class V>
struct SigmoidSlope {
  V sigmoid, slope;
};

template <class V>
inline SigmoidSlope<V> sigmoid_slope(V x) {
  using T = Element<V>;
  V e = exp(-abs(x));
  V q = T(1) / (T(1) + e), rest = e * q;
  return {select(x < 0, rest, q), rest * q};
}

template <class V>
inline V silu_gradient(V x) {
  using T = Element<V>;
  V a = clamp(x, kExpLow<T>, -kExpLow<T>);  // beyond, the slope is 0
  auto [s, slope] = sigmoid_slope(a);
  return fma(a, slope, s);
}

// log(1 + exp(x)) = max(x, 0) + log(1 + e), e = exp(-|x|). f with FMA: log(1 + e) = e + e^2 P(e), P
// minimax of degree 8, 2^-27.5. Else with 1 + e = 1 + f or 2 (1 + f). Error: 1.9, 1.7.
template <class V>
inline V softplus(V x) {
  using T = Element<V>;
  V e = exp(-abs(x)), positive = greater_or(x, V{});
  if constexpr (kFastFloat<V>) {
    V square = e * e;
    V p = polynomial(e, -0.0032904686f, 0.020086242f, -0.05745723f, 0.10661128f, -0.1534488f,
                     0.19692102f, -0.24958019f, 0.33330464f, -0.4999993f);
    return positive + fma(square, p, e);
  } else {
    Bits<V> twice = e > T(0.41421356);
    V f = select(twice, T(0.5) * (e - T(1)), e);
    V y = log_mantissa(f, select(twice, broadcast(kLn2Low<T>), V{}));
    return positive + (y + select(twice, broadcast(kLn2High<T>), V{}));
  }
}

// x tanh(log(1 + e)) with e = exp(x). tanh = n / (n + 2), n = e (e + 2), is taken as
// e (1 - e (e + 1) / (n + 2)) for x < 0 and as 1 - 2 / (n + 2) for x > 0. Error: 3.7, 3.
template <class V>
inline V mish(V x) {
  using T = Element<V>;
  Bits<V> negative = x < 0;
  V one = broadcast(T(1));
  auto parts = exp_parts(clamp(x, kExpLow<T>, T(20)));  // tanh is 1 to the last bit above
  V m = parts.mantissa(), e = parts.scaled(m);
  V w = select(negative, e * (e + one), one + one) / fma(e, e + T(2), one + one);
  V y = greater_or(broadcast(kExpLow<T>), x) * (one - w);
  return select(negative, parts.scaled(y * m), y);  // scaled last, so that y does not underflow
}

template <class V>
inline V mish_gradient(V x) {
  using T = Element<V>;
  V a = clamp(x, kExpLow<T>, T(20));
  V e = exp(a);
  V n = e * (e + T(2));
  V d = n + T(2);
  return n / d + a * (T(4) * e * (e + T(1)) / d / d);
}

// ---- the normal distribution ----

// exp(x^2 / 2) Phi(-x) for x >= 0, Phi the normal distribution function: P / (c x P + N), c close
// to sqrt(2 pi), its limit at inf. There the errors of P cancel, unlike in a plain quotient.
// Degrees 4 (f, 2^-26, on [0, 15]) and 10 (d, 2^-55, on [0, 39]); all coefficients are positive.
template <class V>
inline V normal_tail_ratio(V x) {
  V p, n, slope;
  if constexpr (kIsFloat<V>) {
    p = polynomial(x, 0.0071620084f, 0.07046511f, 0.3169871f, 0.75667447f, 0.86090875f);
    n = polynomial(x, 1.228158e-05f, 0.017714621f, 0.17999656f, 0.72920585f, 1.7218175f);
    slope = 2.5066018f * x;
  } else {
    p = polynomial(x, 4.0771482855312785e-07, 1.2674756196811448e-05, 0.0001934805048594599,
                   0.0018862919096970425, 0.012914752201220117, 0.06463502693207451,
                   0.2391645796127963, 0.6469213246116358, 1.2297694910900479, 1.4974623628263815,
                   0.9038928904094405);
    n = polynomial(x, 5.889589217308355e-17, 1.021989511807818e-06, 3.1770902616613365e-05,
                   0.00048293970913104457, 0.004664691347252813, 0.031412722701472884,
                   0.15287747987224962, 0.5395220149760125, 1.3425409645544668, 2.171605613069351,
                   1.807785780818881);
    slope = 2.5066282746304545 * x;
  }
  return p / fma(slope, p, n);
}

// f: 1 - exp(-g), g = -log(erfc|x|) = 2|x| / sqrt(pi) + x^2 H(|x|) on [0, 3.95], beyond which erf
// rounds to 1; H is the polynomial of degree 7 that is minimax for erf, 2^-27. d: below 1
// 2 x / sqrt(pi) + x^3 P(x^2), P minimax of degree 11 (2^-55); else 1 - erfc|x|. Error: 1.9, 1.4.
template <class V>
inline V erf(V x) {
  using T = Element<V>;
  if constexpr (kIsFloat<V>) {
    V a = clamp(abs(x), T(0), T(3.95));
    V h = polynomial(a, -9.340822e-06f, 0.000118426535f, -0.00063575973f, 0.0016726375f,
                     -0.0001663445f, -0.019149603f, 0.1027768f, 0.6366195f);
    V g = fma(a, fma(a, h, broadcast(0.12837917f)), a);  // 2 / sqrt(pi) = 1 + 0.128...
    g = select(a < T(0x1p-60), a * T(1.1283792), g);     // where a product above may underflow
    return copysign(expm1_small(-g), x);
  } else {
    V a = clamp(abs(x), T(0), T(6));
    V z = a * a;
    V p = polynomial(z, -6.902413749161292e-11, -3.6596570783315354e-10, 1.2635800658461672e-08,
                     -1.6045232998034512e-07, 1.64318402703108e-06, -1.4923754488509246e-05,
                     0.00012055253603918231, -0.0008548324832831371, 0.005223977587087776,
                     -0.026866170641167343, 0.11283791670933956, -0.3761263890318331);
    V near = fma(a, fma(z, p, broadcast(T(0.12837916709551258))), a);
    near = select(a < T(0x1p-60), a * T(1.1283791670955126), near);
    V ratio = T(2) * normal_tail_ratio(T(1.4142135623730951) * a);
    V far = T(1) - exp_times(ratio, -z, -multiply_error(a, a, z));
    return copysign(select(a < T(1), near, far), x);
  }
}

// |x| clamped to where Phi(-|x|) is a positive number, normal_tail_ratio of it, and -x^2 / 2 in two
// parts
template <class V>
struct NormalTail {
  V x, ratio, square, square_low;
};

template <class V>
inline NormalTail<V> normal_tail(V x) {
  using T = Element<V>;
  V a = clamp(abs(x), T(0), kIsFloat<V> ? T(15) : T(39));
  V square = T(-0.5) * a * a;
  return {a, normal_tail_ratio(a), square, T(-0.5) * multiply_error(a, a, T(-2) * square)};
}

// x Phi(x), the small factor of Phi in its tail coming last: no underflow before it. Error: 3.9,
// 3.6.
template <class V>
inline V gelu(V x) {
  using T = Element<V>;
  auto t = normal_tail(x);
  auto e = exp_parts(t.square, t.square_low);
  V head = e.times_mantissa(t.ratio);
  return select(x >= 0, x * (T(1) - e.scaled(head)), e.scaled(-t.x * head));
}

// Phi(x) + x exp(-x^2 / 2) / sqrt(2 pi)
template <class V>
inline V gelu_gradient(V x) {
  using T = Element<V>;
  auto t = normal_tail(x);
  V e = exp_times(broadcast(T(1)), t.square, t.square_low);
  V tail = e * t.ratio;
  V density = T(0.3989422804014327) * e;
  return select(x > 0, T(1) - tail + t.x * density, tail - t.x * density);
}

// sqrt(8 / pi) and 0.044715 sqrt(8 / pi), each with the rest the type cannot hold, the first one
// cut to a multiple of 2^-14 (f) or 2^-40 (d); the limit is where |x| sigmoid(-u) has become 0.
template <class T>
constexpr T kGeluFirst = sizeof(T) == 4 ? T(1.59576416015625) : T(1.5957691216053718);
template <class T>
constexpr T kGeluFirstLow = sizeof(T) == 4 ? T(4.9614495e-06) : T(3.589464330756845e-13);
template <class T>
constexpr T kGeluThird = T(0.07135481627260025);
template <class T>
constexpr T kGeluThirdLow = sizeof(T) == 4 ? T(2.3988325e-09) : T(-6.175149918155315e-19);
template <class T>
constexpr T kGeluLimit = sizeof(T) == 4 ? T(15) : T(24);

// x sigmoid(u), u = sqrt(8 / pi) (x + 0.044715 x^3), u to about twice the working precision.
// Error: 2, 1.8.
template <class V>
inline V gelu_tanh(V x) {
  using T = Element<V>;
  constexpr T kFirst = kGeluFirst<T>, kThird = kGeluThird<T>, kLimit = kGeluLimit<T>;
  V limited = greater_or(broadcast(-kLimit), x), a = less_or(broadcast(kLimit), limited);
  V square = a * a, cubic = kThird * square, slope = kFirst + cubic;
  V low = fma(broadcast(kThird), multiply_error(a, a, square),
              multiply_error(broadcast(kThird), square, cubic));
  low = fma(broadcast(kGeluThirdLow<T>), square, low);
  // slope - kFirst is exact, kFirst having few bits
  V slope_low = (cubic - (slope - kFirst)) + (low + kGeluFirstLow<T>);
  V u = a * slope;
  return times_sigmoid(limited, u, fma(a, slope_low, multiply_error(a, slope, u)));
}

template <class V>
inline V gelu_tanh_gradient(V x) {
  using T = Element<V>;
  constexpr T kFirst = kGeluFirst<T> + kGeluFirstLow<T>, kThird = kGeluThird<T>,
              kLimit = kGeluLimit<T>;
  V a = clamp(x, -kLimit, kLimit);
  V square = a * a;
  auto [s, s_slope] = sigmoid_slope(a * fma(broadcast(kThird), square, broadcast(kFirst)));
  V u_slope = fma(broadcast(T(3) * kThird), square, broadcast(kFirst));
  return fma(a * u_slope, s_slope, s);
}

// The inverse of the normal distribution function, for 0 < p < 1; 0 and 1 give -inf and inf.
// Relative error 3e-7 for either type. With w = -log(4 p (1 - p)), as M. Giles does for erfinv (GPU
// Computing Gems, 2011): (2p - 1) P(w) for w < 5, P minimax of degree 8 (2^-22); else v Q(1 / v)
// with v = sqrt(w) and the sign of 2p - 1, degree 7 (2^-23, up to w = 90).
template <class V>
inline V ndtri(V p) {
  using T = Element<V>;
  V x = T(2) * (p - T(0.5));
  V w = -log(T(4) * p * (T(1) - p));
  V near =
      x * polynomial(w - T(2.5), 3.9866116e-08f, 4.851984e-07f, -4.985652e-06f, -6.2095683e-06f,
                     0.0003091357f, -0.0017730318f, -0.0059081586f, 0.3488027f, 2.1233137f);
  V v = sqrt(w);
  V far = v * polynomial(T(1) / v, 8.885515f, -20.971092f, 20.783325f, -12.402005f, 5.5361342f,
                         -1.588791f, -0.047032546f, 1.4148507f);
  return select(w < T(5), near, copysign(far, x));
}

}  // namespace
}  // namespace pydl::PYDL_ISA
