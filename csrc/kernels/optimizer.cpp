#include "kernels/optimizer.h"

#include "simd/vec.h"

namespace pydl::PYDL_ISA {
namespace {

// An update rule maps weight w, gradient g, slots s and the step's coefficients c to the new weight
// and writes the new slots. The coefficients' meaning stands beside each rule.

struct Sgd {  // c = {lr}
  static constexpr Rule kRule = Rule::kSgd;
  template <class V>
  static V step(V w, V g, V*, const V* c) {
    return fma(-c[0], g, w);
  }
};

template <bool kNesterov>
struct Momentum {  // c = {lr, momentum}; s = {m}
  static constexpr Rule kRule = kNesterov ? Rule::kNesterov : Rule::kMomentum;
  template <class V>
  static V step(V w, V g, V* s, const V* c) {
    s[0] = fma(c[1], s[0], -c[0] * g);
    if constexpr (kNesterov)
      return w + fma(c[1], s[0], -c[0] * g);
    else
      return w + s[0];
  }
};

template <bool kCentered, bool kMomentum>
struct Rmsprop {  // c = {lr, rho, 1 - rho, epsilon, momentum}; s = {v, mean gradient, m}
  static constexpr Rule kRule =
      kCentered ? (kMomentum ? Rule::kRmspropCenteredMomentum : Rule::kRmspropCentered)
                : (kMomentum ? Rule::kRmspropMomentum : Rule::kRmsprop);
  template <class V>
  static V step(V w, V g, V* s, const V* c) {
    s[0] = fma(c[1], s[0], c[2] * (g * g));
    V variance = s[0];
    if constexpr (kCentered) {
      s[1] = fma(c[1], s[1], c[2] * g);
      // rounding may leave a variance of zero slightly negative
      variance = max(fma(-s[1], s[1], s[0]), V{});
    }
    const V u = c[0] * g / sqrt(variance + c[3]);
    if constexpr (!kMomentum) return w - u;
    V& m = s[kCentered ? 2 : 1];
    m = fma(c[4], m, u);
    return w - m;
  }
};

struct Adagrad {  // c = {lr, epsilon}; s = {sum of squares}
  static constexpr Rule kRule = Rule::kAdagrad;
  template <class V>
  static V step(V w, V g, V* s, const V* c) {
    s[0] = fma(g, g, s[0]);
    return w - c[0] * g / sqrt(s[0] + c[1]);
  }
};

struct Adadelta {  // c = {lr, rho, 1 - rho, epsilon}; s = {mean square of g, mean square of step}
  static constexpr Rule kRule = Rule::kAdadelta;
  template <class V>
  static V step(V w, V g, V* s, const V* c) {
    s[0] = fma(c[1], s[0], c[2] * (g * g));
    const V d = -sqrt(s[1] + c[3]) * g / sqrt(s[0] + c[3]);
    s[1] = fma(c[1], s[1], c[2] * (d * d));
    return fma(c[0], d, w);
  }
};

template <bool kAmsgrad>
struct Adam {  // c = {lr sqrt(1 - b2^t) / (1 - b1^t), 1 - b1, 1 - b2, epsilon}; s = {m, v, max v}
  static constexpr Rule kRule = kAmsgrad ? Rule::kAmsgrad : Rule::kAdam;
  template <class V>
  static V step(V w, V g, V* s, const V* c) {
    s[0] = fma(c[1], g - s[0], s[0]);
    s[1] = fma(c[2], fma(g, g, -s[1]), s[1]);
    V v = s[1];
    if constexpr (kAmsgrad) v = s[2] = max(s[2], s[1]);
    return w - c[0] * s[0] / (sqrt(v) + c[3]);
  }
};

struct Adamax {  // c = {lr / (1 - b1^t), 1 - b1, b2, epsilon}; s = {m, u}
  static constexpr Rule kRule = Rule::kAdamax;
  template <class V>
  static V step(V w, V g, V* s, const V* c) {
    s[0] = fma(c[1], g - s[0], s[0]);
    s[1] = max(c[2] * s[1], abs(g));
    return w - c[0] * s[0] / (s[1] + c[3]);
  }
};

struct Nadam {  // c = {weight of m, weight of g, 1 - b1, 1 - b2, 1 / (1 - b2^t), epsilon}; s = {m,
                // v}
  static constexpr Rule kRule = Rule::kNadam;
  template <class V>
  static V step(V w, V g, V* s, const V* c) {
    s[0] = fma(c[2], g - s[0], s[0]);
    s[1] = fma(c[3], fma(g, g, -s[1]), s[1]);
    return w - fma(c[0], s[0], c[1] * g) / (sqrt(c[4] * s[1]) + c[5]);
  }
};

struct Lion {  // c = {lr, b1, 1 - b1, b2, 1 - b2}; s = {m}
  static constexpr Rule kRule = Rule::kLion;
  template <class V>
  static V step(V w, V g, V* s, const V* c) {
    const V direction = fma(c[1], s[0], c[2] * g);
    s[0] = fma(c[3], s[0], c[4] * g);
    const V signed_rate = copysign(c[0], direction);
    return w -
           select(direction == V{}, V{}, select(direction != direction, direction, signed_rate));
  }
};

struct Average {  // c = {1 - momentum}: w is a moving average of what is passed as g
  static constexpr Rule kRule = Rule::kAverage;
  template <class V>
  static V step(V w, V g, V*, const V* c) {
    return fma(c[0], g - w, w);
  }
};

template <class T>
struct UpdateLoop {
  Vec<T> c[kMaxCoefficients];
  Vec<T> decay, clip;
  bool decays;  // else 0 * inf would make nan of a weight

  explicit UpdateLoop(const StepNumbers& n)
      : decay(broadcast(T(n.decay))), clip(broadcast(T(n.clip))), decays(n.decay != 0) {
    for (int k = 0; k < kMaxCoefficients; ++k) c[k] = broadcast(T(n.coefficients[k]));
  }

  template <class R, bool kPartial>
  void block(const UpdateTensor& t, ptrdiff_t i, ptrdiff_t n, Vec<T> scale) const {
    constexpr int kSlots = kRules[int(R::kRule)].slots;
    const auto get = [=](const void* p) {
      const T* from = static_cast<const T*>(p) + i;
      if constexpr (kPartial)
        return load_partial(from, n);
      else
        return load(from);
    };
    const auto put = [=](void* p, Vec<T> v) {
      T* to = static_cast<T*>(p) + i;
      if constexpr (kPartial)
        store_partial(to, v, n);
      else
        store(to, v);
    };
    Vec<T> w = get(t.weight);
    Vec<T> s[kMaxSlots];
    for (int k = 0; k < kSlots; ++k) s[k] = get(t.slots[k]);
    const Vec<T> g = min(max(scale * get(t.gradient), -clip), clip);
    if (decays && t.decays) w = fma(-decay, w, w);
    w = R::step(w, g, s, c);
    put(t.weight, w);
    for (int k = 0; k < kSlots; ++k) put(t.slots[k], s[k]);
  }
};

template <class R, class T>
void update(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const UpdateArgs*>(args);
  const UpdateLoop<T> loop(*a.numbers);
  int k = 0;
  while (a.tensors[k].end <= begin) ++k;
  for (ptrdiff_t first = k ? a.tensors[k - 1].end : 0; first < end; first = a.tensors[k++].end) {
    const UpdateTensor t = a.tensors[k];  // a copy: what is stored cannot change its pointers
    const Vec<T> scale = broadcast(T(t.gradient_scale ? *t.gradient_scale : 1));
    ptrdiff_t i = begin > first ? begin - first : 0;
    const ptrdiff_t n = (end < t.end ? end : t.end) - first;
    for (; i + kLanes<T> <= n; i += kLanes<T>)
      loop.template block<R, false>(t, i, kLanes<T>, scale);
    if (i < n) loop.template block<R, true>(t, i, n - i, scale);
  }
}

// Sum of x[i]^2 in float64, where the square of a float32 is exact; 32 lanes on every ISA.
template <class T>
double square_sum_of(const T* x, ptrdiff_t n) {
  constexpr ptrdiff_t kSumLanes = 32, kWidth = kLanes<double>;
  constexpr int kChains = kSumLanes / kWidth;
  typedef T Values __attribute__((vector_size(kWidth * sizeof(T))));
  Vec<double> sum[kChains] = {};
  T tail[kSumLanes];
  for (; n > 0; x += kSumLanes, n -= kSumLanes) {
    if (n < kSumLanes) {
      for (ptrdiff_t i = 0; i < kSumLanes; ++i) tail[i] = i < n ? x[i] : T(0);
      x = tail;
    }
#pragma GCC unroll 16
    for (int chain = 0; chain < kChains; ++chain) {
      Values v;
      __builtin_memcpy(&v, x + chain * kWidth, sizeof v);
      const Vec<double> d = __builtin_convertvector(v, Vec<double>);
      sum[chain] += d * d;
    }
  }
  double lanes[kSumLanes];
  for (int chain = 0; chain < kChains; ++chain) store(lanes + chain * kWidth, sum[chain]);
  for (ptrdiff_t half = kSumLanes / 2; half > 0; half /= 2)
    for (ptrdiff_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  return lanes[0];
}

template <class T>
void square_sum(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const SquareSumArgs*>(args);
  int k = 0;
  for (ptrdiff_t chunk = begin; chunk < end; ++chunk) {
    while (a.tensors[k].end <= chunk) ++k;
    const auto& t = a.tensors[k];
    const ptrdiff_t from = (chunk - (k ? a.tensors[k - 1].end : 0)) * kNormChunk;
    const ptrdiff_t left = t.size - from;
    a.partials[chunk] =
        square_sum_of(static_cast<const T*>(t.x) + from, left < kNormChunk ? left : kNormChunk);
  }
}

template <class... Rules>
consteval OptimizerKernels table() {
  OptimizerKernels t{};
  ((t.update[int(Rules::kRule)][0] = update<Rules, float>), ...);
  ((t.update[int(Rules::kRule)][1] = update<Rules, double>), ...);
  t.square_sum[0] = square_sum<float>;
  t.square_sum[1] = square_sum<double>;
  return t;
}

}  // namespace

extern constinit const OptimizerKernels optimizer_kernels =
    table<Sgd, Momentum<false>, Momentum<true>, Rmsprop<false, false>, Rmsprop<false, true>,
          Rmsprop<true, false>, Rmsprop<true, true>, Adagrad, Adadelta, Adam<false>, Adam<true>,
          Adamax, Nadam, Lion, Average>();

}  // namespace pydl::PYDL_ISA
