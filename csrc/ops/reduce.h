// The reductions, one struct each.
//
//   acc = step(acc, x, shift)        takes in one more element; acc starts at kIdentity
//   combine(a, b)                    joins two accumulators; combine(a, kIdentity) is a, bit by bit
//   finish(acc, shift, n, params)    the result over n elements
//
// `Shift` names a reduction that runs first and whose result is `shift`. An op with `Value` gives
// the position of the first element that equals that reduction's result, the first nan if there is
// one. An op with `FromMean` sums over x - mean, part by part, in one pass over memory. Where x is
// no nan, better(x, acc) ? x : acc is step (acc may be nan). All functions work lane by lane.
#pragma once

#include "kernels/reduce.h"
#include "ops/list.h"
#include "simd/math.h"
#include "simd/vec.h"

namespace pydl::PYDL_ISA {
namespace {

constexpr double kInfinity = __builtin_inf();

struct Sum {
  static constexpr ReduceInfo info{.name = "sum"};
  static constexpr double kIdentity = 0;
  template <class V>
  static V step(V acc, V x, V) {
    return acc + x;
  }
  template <class V>
  static V combine(V a, V b) {
    return a + b;
  }
  template <class V>
  static V finish(V acc, V, ptrdiff_t, const double*) {
    return acc;
  }
};

struct SumSquares : Sum {
  static constexpr ReduceInfo info{.name = "sum_squares"};
  template <class V>
  static V step(V acc, V x, V) {
    return fma(x, x, acc);
  }
};

struct Mean : Sum {
  static constexpr ReduceInfo info{.name = "mean"};
  template <class V>
  static V finish(V acc, V, ptrdiff_t n, const double*) {
    return acc / Element<V>(n);
  }
};

// sum (x - mean)^2 / max(n - correction, 0)
struct Var : Sum {
  using FromMean = Mean;
  static constexpr ReduceInfo info{.name = "var", .params = {{"correction", 0}}};
  template <class V>
  static V step(V acc, V x, V mean) {
    V d = mean - x;  // x is read from memory here
    return fma(d, d, acc);
  }
  template <class V>
  static V finish(V acc, V, ptrdiff_t n, const double* params) {
    double divisor = double(n) - params[0];
    return acc / Element<V>(divisor > 0 ? divisor : 0);
  }
};

struct Prod {
  static constexpr ReduceInfo info{.name = "prod"};
  static constexpr double kIdentity = 1;
  template <class V>
  static V step(V acc, V x, V) {
    return acc * x;
  }
  template <class V>
  static V combine(V a, V b) {
    return a * b;
  }
  template <class V>
  static V finish(V acc, V, ptrdiff_t, const double*) {
    return acc;
  }
};

struct Max {
  static constexpr ReduceInfo info{.name = "max", .has_identity = false};
  static constexpr double kIdentity = -kInfinity;
  template <class V>
  static V step(V acc, V x, V) {
    return max(acc, x);
  }
  template <class V>
  static auto better(V x, V acc) {
    return x > acc;
  }
  template <class V>
  static V combine(V a, V b) {
    return max(a, b);
  }
  template <class V>
  static V finish(V acc, V, ptrdiff_t, const double*) {
    return acc;
  }
};

struct Min {
  static constexpr ReduceInfo info{.name = "min", .has_identity = false};
  static constexpr double kIdentity = kInfinity;
  template <class V>
  static V step(V acc, V x, V) {
    return min(acc, x);
  }
  template <class V>
  static auto better(V x, V acc) {
    return x < acc;
  }
  template <class V>
  static V combine(V a, V b) {
    return min(a, b);
  }
  template <class V>
  static V finish(V acc, V, ptrdiff_t, const double*) {
    return acc;
  }
};

struct ArgMax {
  using Value = Max;
  static constexpr ReduceInfo info{.name = "argmax", .has_identity = false, .to_index = true};
};

struct ArgMin {
  using Value = Min;
  static constexpr ReduceInfo info{.name = "argmin", .has_identity = false, .to_index = true};
};

// log sum exp(x) = m + log sum exp(x - m), m = max x. An infinite m would give inf - inf, so it
// counts as 0: -inf everywhere gives log 0 = -inf, and +inf anywhere gives log inf.
struct LogSumExp : Sum {
  using Shift = Max;
  static constexpr ReduceInfo info{.name = "logsumexp", .grain = 8 * 1024};
  template <class V>
  static V finite(V m) {
    return select(abs(m) == Element<V>(kInfinity), V{}, m);
  }
  template <class V>
  static V step(V acc, V x, V m) {
    return acc + exp(x - finite(m));
  }
  template <class V>
  static V finish(V acc, V m, ptrdiff_t, const double*) {
    return finite(m) + log(acc);
  }
};

using ReduceOps = List<Sum, SumSquares, Mean, Var, Prod, Max, Min, ArgMax, ArgMin, LogSumExp>;

}  // namespace
}  // namespace pydl::PYDL_ISA
