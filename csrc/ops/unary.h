// Element-wise ops of one input: name, forward, gradient, domain and error bound of each.
//
// forward(x, params...) and backward(g, x, y, params...) work on vectors; params are scalars of the
// element type. backward may read only what `saves` names. An op may have a quicker way, common(x),
// for blocks without lanes that are `rare(x)`; it gives the same bits as forward in all others.
// kLongChain: each operation waits for the one before it, so that more vectors side by side pay.
// max_ulp is the largest float32 error seen with default parameters (see simd/math.h), rounded up
// to a half; subnormal results are flushed. The gradient of abs and relu at 0 is 0. nan propagates
// everywhere.
#pragma once

#include "ops/list.h"
#include "simd/math.h"
#include "table.h"

namespace pydl::PYDL_ISA {
namespace {

template <class V>
inline V ones_like(V) {
  return broadcast(Element<V>(1));
}

struct Abs {
  static constexpr UnaryInfo info{.name = "abs", .max_ulp = 0, .kinks = {0}};
  static auto forward(auto x) { return abs(x); }
  static auto backward(auto g, auto x, auto) { return select(x == 0, 0 * x, flip_sign(g, x)); }
};

struct Ceil {
  static constexpr UnaryInfo info{.name = "ceil", .saves = Saves::kNone, .max_ulp = 0};
  static auto forward(auto x) { return round_to<kUp>(x); }
  static auto backward(auto g, auto, auto) { return decltype(g){}; }
};

// alpha * (exp(x / alpha) - 1) for x < 0
struct Celu {
  static constexpr UnaryInfo info{.name = "celu", .max_ulp = 2.5, .params = {{"alpha", 1.0}}};
  static auto forward(auto x, auto alpha) { return select(x > 0, x, alpha * expm1(x / alpha)); }
  static auto backward(auto g, auto x, auto, auto alpha) {
    return select(x > 0, g, g * exp(x / alpha));
  }
};

// The gradient passes where x_min <= x <= x_max, ends included.
struct Clip {
  static constexpr UnaryInfo info{
      .name = "clip",
      .max_ulp = 0,
      .params = {{"x_min", -__builtin_inf()}, {"x_max", __builtin_inf()}}};
  static auto forward(auto x, auto x_min, auto x_max) { return clamp(x, x_min, x_max); }
  static auto backward(auto g, auto x, auto, auto x_min, auto x_max) {
    return select((x >= x_min) & (x <= x_max), g, decltype(g){});
  }
};

struct Cos {
  static constexpr UnaryInfo info{.name = "cos", .max_ulp = 2};
  static auto forward(auto x) { return cos(x); }
  static auto rare(auto x)
    requires kFastFloat<decltype(x)>
  {
    return trig_rare(x);
  }
  static auto common(auto x) { return cos_common(x); }
  static auto backward(auto g, auto x, auto) { return -g * sin(x); }
};

struct Cosh {
  static constexpr UnaryInfo info{.name = "cosh", .max_ulp = 2};
  static auto forward(auto x) { return cosh(x); }
  static auto backward(auto g, auto x, auto) { return g * sinh(x); }
};

struct Elu {
  static constexpr UnaryInfo info{.name = "elu", .max_ulp = 1.5, .params = {{"alpha", 1.0}}};
  static auto forward(auto x, auto alpha) { return select(x > 0, x, alpha * expm1(x)); }
  static auto backward(auto g, auto x, auto, auto alpha) {
    return select(x > 0, g, g * (alpha * exp(x)));
  }
};

struct Erf {
  static constexpr UnaryInfo info{.name = "erf", .domain = {-4, 4}, .max_ulp = 2};
  static constexpr bool kLongChain = true;
  static auto forward(auto x) { return erf(x); }
  static auto backward(auto g, auto x, auto) {
    using T = Element<decltype(x)>;
    return g * (T(1.1283791670955126) * exp_minus_square(x));  // 2 / sqrt(pi)
  }
};

struct Exp {
  static constexpr UnaryInfo info{.name = "exp", .saves = Saves::kOutput, .max_ulp = 1.5};
  static auto forward(auto x) { return exp(x); }
  static auto backward(auto g, auto, auto y) { return g * y; }
};

struct Expm1 {
  static constexpr UnaryInfo info{.name = "expm1", .saves = Saves::kOutput, .max_ulp = 2};
  static auto forward(auto x) { return expm1(x); }
  static auto backward(auto g, auto, auto y) { return g * (y + ones_like(y)); }
};

struct Floor {
  static constexpr UnaryInfo info{.name = "floor", .saves = Saves::kNone, .max_ulp = 0};
  static auto forward(auto x) { return round_to<kDown>(x); }
  static auto backward(auto g, auto, auto) { return decltype(g){}; }
};

// x Phi(x), Phi the normal distribution function. Hendrycks and Gimpel 2016, arXiv 1606.08415.
struct Gelu {
  static constexpr UnaryInfo info{.name = "gelu", .domain = {-6, 6}, .max_ulp = 4};
  static auto forward(auto x) { return gelu(x); }
  static auto backward(auto g, auto x, auto) { return g * gelu_gradient(x); }
};

// x / 2 (1 + tanh(u)) = x sigmoid(2u), u = sqrt(2 / pi) (x + 0.044715 x^3)
struct GeluTanh {
  static constexpr UnaryInfo info{.name = "gelu_tanh", .domain = {-6, 6}, .max_ulp = 2};
  static auto forward(auto x) { return gelu_tanh(x); }
  static auto backward(auto g, auto x, auto) { return g * gelu_tanh_gradient(x); }
};

// clip(x / 6 + 1/2, 0, 1); written (x + 3) / 6, exact where that cancels
struct HardSigmoid {
  static constexpr UnaryInfo info{.name = "hard_sigmoid", .max_ulp = 1, .kinks = {-3, 3}};
  static auto forward(auto x) {
    using T = Element<decltype(x)>;
    return clamp((x + T(3)) / T(6), T(0), T(1));
  }
  static auto backward(auto g, auto x, auto) {
    using T = Element<decltype(x)>;
    return select((x > T(-3)) & (x < T(3)), g / T(6), decltype(g){});
  }
};

// x hard_sigmoid(x), Howard et al. 2019, arXiv 1905.02244
struct HardSilu {
  static constexpr UnaryInfo info{.name = "hard_silu", .max_ulp = 2, .kinks = {-3, 3}};
  static auto forward(auto x) {
    using T = Element<decltype(x)>;
    auto inner = x * ((x + T(3)) / T(6));
    return select(x <= T(-3), decltype(x){}, select(x >= T(3), x, inner));
  }
  static auto backward(auto g, auto x, auto) {
    using T = Element<decltype(x)>;
    auto inner = g * ((T(2) * x + T(3)) / T(6));
    return select(x <= T(-3), decltype(x){}, select(x >= T(3), g, inner));
  }
};

struct HardTanh {
  static constexpr UnaryInfo info{.name = "hard_tanh", .max_ulp = 0, .kinks = {-1, 1}};
  static auto forward(auto x) {
    using T = Element<decltype(x)>;
    return clamp(x, T(-1), T(1));
  }
  static auto backward(auto g, auto x, auto) {
    return select(abs(x) < ones_like(x), g, decltype(g){});
  }
};

struct IsFinite {
  static constexpr UnaryInfo info{
      .name = "isfinite", .saves = Saves::kNone, .differentiable = false, .to_bool = true};
  static auto forward(auto x) { return abs(x) < infinity<decltype(x)>(); }
};

struct IsInf {
  static constexpr UnaryInfo info{
      .name = "isinf", .saves = Saves::kNone, .differentiable = false, .to_bool = true};
  static auto forward(auto x) { return abs(x) == infinity<decltype(x)>(); }
};

struct IsNan {
  static constexpr UnaryInfo info{
      .name = "isnan", .saves = Saves::kNone, .differentiable = false, .to_bool = true};
  static auto forward(auto x) { return x != x; }
};

struct Log {
  static constexpr UnaryInfo info{.name = "log", .domain = {1e-3, 10}, .max_ulp = 2};
  static auto forward(auto x) { return log(x); }
  static auto rare(auto x) { return log_rare(x); }
  static auto common(auto x) { return log_reduced(log_reduce(x)); }
  static auto backward(auto g, auto x, auto) { return g / x; }
};

struct Log10 {
  static constexpr UnaryInfo info{.name = "log10", .domain = {1e-3, 10}, .max_ulp = 2};
  static auto forward(auto x) { return log10(x); }
  static auto rare(auto x) { return log_rare(x); }
  static auto common(auto x) { return log10_reduced(log_reduce(x)); }
  static auto backward(auto g, auto x, auto) {
    using T = Element<decltype(x)>;
    return g * T(0.4342944819032518) / x;  // 1 / ln(10)
  }
};

struct Log1p {
  static constexpr UnaryInfo info{.name = "log1p", .domain = {-0.99, 10}, .max_ulp = 2};
  static auto forward(auto x) { return log1p(x); }
  static auto rare(auto x) { return log1p_rare(x); }
  static auto common(auto x) { return log1p_common(x); }
  static auto backward(auto g, auto x, auto) { return g / (ones_like(x) + x); }
};

struct Log2 {
  static constexpr UnaryInfo info{.name = "log2", .domain = {1e-3, 10}, .max_ulp = 2};
  static auto forward(auto x) { return log2(x); }
  static auto rare(auto x) { return log_rare(x); }
  static auto common(auto x) { return log2_reduced(log_reduce(x)); }
  static auto backward(auto g, auto x, auto) {
    using T = Element<decltype(x)>;
    return g * T(1.4426950408889634) / x;  // 1 / ln(2)
  }
};

// x tanh(softplus(x)), Misra 2019, arXiv 1908.08681
struct Mish {
  static constexpr UnaryInfo info{.name = "mish", .max_ulp = 4};
  static constexpr bool kLongChain = true;
  static auto forward(auto x) { return mish(x); }
  static auto backward(auto g, auto x, auto) { return g * mish_gradient(x); }
};

struct Negative {
  static constexpr UnaryInfo info{.name = "negative", .saves = Saves::kNone, .max_ulp = 0};
  static auto forward(auto x) { return -x; }
  static auto backward(auto g, auto, auto) { return -g; }
};

struct Reciprocal {
  static constexpr UnaryInfo info{
      .name = "reciprocal", .saves = Saves::kOutput, .domain = {0.1, 10}};
  static auto forward(auto x) { return ones_like(x) / x; }
  static auto backward(auto g, auto, auto y) { return -g * y * y; }
};

// max_value where x >= max_value, x where x > threshold, else negative_slope (x - threshold)
struct Relu {
  static constexpr UnaryInfo info{
      .name = "relu",
      .max_ulp = 1,
      .kinks = {0},
      .params = {{"negative_slope", 0.0}, {"max_value", __builtin_inf()}, {"threshold", 0.0}}};
  static auto forward(auto x, auto negative_slope, auto max_value, auto threshold) {
    using V = decltype(x);
    // Without a slope -inf must not meet 0 * inf.
    V below = negative_slope == 0 ? V{} : negative_slope * (x - threshold);
    return select(x >= max_value, broadcast(max_value), select(x <= threshold, below, x));
  }
  static auto backward(auto g, auto x, auto, auto negative_slope, auto max_value, auto threshold) {
    using V = decltype(x);
    V below = negative_slope == 0 ? V{} : negative_slope * g;
    Bits<V> capped{};  // without a maximum not even inf is
    if (max_value < __builtin_inf()) capped = x >= max_value;
    return select(capped, V{}, select(x > threshold, g, below));
  }
};

// Halves go to the even neighbour, as in NumPy.
struct Round {
  static constexpr UnaryInfo info{.name = "round", .saves = Saves::kNone, .max_ulp = 0};
  static auto forward(auto x) { return round_to<kNearestEven>(x); }
  static auto backward(auto g, auto, auto) { return decltype(g){}; }
};

struct Rsqrt {
  static constexpr UnaryInfo info{
      .name = "rsqrt", .saves = Saves::kOutput, .domain = {0.1, 10}, .max_ulp = 1.5};
  static auto forward(auto x) { return ones_like(x) / sqrt(x); }
  static auto backward(auto g, auto, auto y) {
    using T = Element<decltype(y)>;
    return T(-0.5) * g * (y * y * y);
  }
};

// Klambauer et al. 2017, arXiv 1706.02515
struct Selu {
  static constexpr double kScale = 1.0507009873554804934;
  static constexpr double kScaleAlpha = 1.7580993408473768599;
  static constexpr UnaryInfo info{
      .name = "selu", .saves = Saves::kOutput, .max_ulp = 2, .kinks = {0}};
  static auto forward(auto x) {
    using T = Element<decltype(x)>;
    return select(x > 0, T(kScale) * x, T(kScaleAlpha) * expm1(x));
  }
  static auto backward(auto g, auto, auto y) {
    using T = Element<decltype(y)>;
    return g * select(y > 0, broadcast(T(kScale)), y + T(kScaleAlpha));
  }
};

struct Sigmoid {
  static constexpr UnaryInfo info{.name = "sigmoid", .saves = Saves::kOutput, .max_ulp = 2};
  static auto forward(auto x) { return sigmoid(x); }
  static auto backward(auto g, auto, auto y) { return g * (y * (ones_like(y) - y)); }
};

struct Sign {
  static constexpr UnaryInfo info{
      .name = "sign", .saves = Saves::kNone, .max_ulp = 0, .kinks = {0}};
  static auto forward(auto x) {
    return select(x == 0, decltype(x){}, select(x == x, copysign(ones_like(x), x), x));
  }
  static auto backward(auto g, auto, auto) { return decltype(g){}; }
};

// x sigmoid(x), also called swish
struct Silu {
  static constexpr UnaryInfo info{.name = "silu", .max_ulp = 2};
  static auto forward(auto x) { return silu(x); }
  static auto backward(auto g, auto x, auto) { return g * silu_gradient(x); }
};

struct Sin {
  static constexpr UnaryInfo info{.name = "sin", .max_ulp = 2};
  static auto forward(auto x) { return sin(x); }
  static auto rare(auto x)
    requires kFastFloat<decltype(x)>
  {
    return trig_rare(x);
  }
  static auto common(auto x) { return sin_common(x); }
  static auto backward(auto g, auto x, auto) { return g * cos(x); }
};

struct Sinh {
  static constexpr UnaryInfo info{.name = "sinh", .max_ulp = 2};
  static auto forward(auto x) { return sinh(x); }
  static auto backward(auto g, auto x, auto) { return g * cosh(x); }
};

// log(1 + exp(x))
struct Softplus {
  static constexpr UnaryInfo info{.name = "softplus", .max_ulp = 2};
  static constexpr bool kLongChain = true;
  static auto forward(auto x) { return softplus(x); }
  static auto backward(auto g, auto x, auto) { return g * sigmoid(x); }
};

// x / (1 + |x|)
struct Softsign {
  static constexpr UnaryInfo info{.name = "softsign", .max_ulp = 1.5};
  static auto forward(auto x) {
    using T = Element<decltype(x)>;
    auto a = clamp(abs(x), T(0), T(0x1p60));  // inf / inf aside; the quotient is 1 long before
    return copysign(a / (a + T(1)), x);
  }
  static auto backward(auto g, auto x, auto) {
    auto d = ones_like(x) + abs(x);
    return g / d / d;
  }
};

struct Sqrt {
  static constexpr UnaryInfo info{.name = "sqrt", .saves = Saves::kOutput, .domain = {1e-3, 10}};
  static auto forward(auto x) { return sqrt(x); }
  static auto backward(auto g, auto, auto y) { return g / (y + y); }
};

struct Square {
  static constexpr UnaryInfo info{.name = "square"};
  static auto forward(auto x) { return x * x; }
  static auto backward(auto g, auto x, auto) { return g * (x + x); }
};

struct Tan {
  static constexpr UnaryInfo info{
      .name = "tan", .saves = Saves::kOutput, .domain = {-1.5, 1.5}, .max_ulp = 3.5};
  static auto forward(auto x) { return tan(x); }
  static auto rare(auto x)
    requires kFastFloat<decltype(x)>
  {
    return trig_rare(x);
  }
  static auto common(auto x) { return tan_common(x); }
  static auto backward(auto g, auto, auto y) { return g * fma(y, y, ones_like(y)); }
};

struct Tanh {
  static constexpr UnaryInfo info{
      .name = "tanh", .saves = Saves::kOutput, .domain = {-9, 9}, .max_ulp = 2};
  static auto forward(auto x) { return tanh(x); }
  static auto backward(auto g, auto, auto y) { return g * fma(-y, y, ones_like(y)); }
};

struct Trunc {
  static constexpr UnaryInfo info{.name = "trunc", .saves = Saves::kNone, .max_ulp = 0};
  static auto forward(auto x) { return round_to<kTowardZero>(x); }
  static auto backward(auto g, auto, auto) { return decltype(g){}; }
};

using UnaryOps = List<Abs, Ceil, Celu, Clip, Cos, Cosh, Elu, Erf, Exp, Expm1, Floor, Gelu, GeluTanh,
                      HardSigmoid, HardSilu, HardTanh, IsFinite, IsInf, IsNan, Log, Log10, Log1p,
                      Log2, Mish, Negative, Reciprocal, Relu, Round, Rsqrt, Selu, Sigmoid, Sign,
                      Silu, Sin, Sinh, Softplus, Softsign, Sqrt, Square, Tan, Tanh, Trunc>;

}  // namespace
}  // namespace pydl::PYDL_ISA
