// Element-wise loops: one template per kind of op, made for every op of csrc/ops/ by walking its
// list. A loop walks contiguous operands; layouts are the business of runtime/elementwise.cpp.
// The tail goes through the same vector arithmetic as the body.
#include "kernels/elementwise.h"

#include "ops/binary.h"
#include "ops/unary.h"

namespace pydl::PYDL_ISA {
namespace {

template <class Info>
consteval int param_count(const Info& info) {
  int n = 0;
  while (n < kMaxParams && info.params[n].name) ++n;
  return n;
}

// The scalar parameters of Op, read once; the last arguments of its functions.
template <class Op, class T>
struct Params {
  explicit Params(const double* p) {
    for (int i = 0; i < kCount; ++i) value[i] = T(p[i]);
  }
  template <class F>
  auto pass_to(F f) const {
    if constexpr (kCount == 0)
      return f();
    else if constexpr (kCount == 1)
      return f(value[0]);
    else if constexpr (kCount == 2)
      return f(value[0], value[1]);
    else
      return f(value[0], value[1], value[2]);
  }
  static constexpr int kCount = param_count(Op::info);
  T value[kCount > 0 ? kCount : 1];
};

// What `map` applies to vectors.
template <class Op, class T>
struct UnaryForward {
  auto operator()(Vec<T> x) const {
    return params.pass_to([=](auto... p) { return Op::forward(x, p...); });
  }
  Params<Op, T> params;
};

template <class Op, class T>
struct UnaryBackward {
  auto operator()(Vec<T> g, Vec<T> x, Vec<T> y) const {
    return params.pass_to([=](auto... p) { return Op::backward(g, x, y, p...); });
  }
  Params<Op, T> params;
};

// Writes a vector of results, or lanes [0, n) of it: floats as they are, masks as bool bytes.
template <class T>
inline void put(char* p, Vec<T> v) {
  store(reinterpret_cast<T*>(p), v);
}
template <class T>
inline void put(char* p, Bits<Vec<T>> mask) {
  store_mask<T>(p, mask);
}
template <class T>
inline void put_partial(char* p, Vec<T> v, ptrdiff_t n) {
  store_partial(reinterpret_cast<T*>(p), v, n);
}
template <class T>
inline void put_partial(char* p, Bits<Vec<T>> mask, ptrdiff_t n) {
  store_mask_partial<T>(p, mask, n);
}
template <class T>
inline void put_streaming(char* p, Vec<T> v) {
  stream(reinterpret_cast<T*>(p), v);
}
template <class T>
inline void put_streaming(char* p, Bits<Vec<T>> mask) {
  stream_mask<T>(p, mask);
}

// Vectors at a time, their chains of operations side by side: one chain leaves most units idle.
// Twice as many where there are registers for them and the op is one long chain. (GCC does not
// interleave them without -fschedule-insns, see CMakeLists.txt.)
template <class Op>
constexpr ptrdiff_t kUnroll = kVectorBytes == 64 && requires { Op::kLongChain; } ? 8 : 4;
constexpr ptrdiff_t kAhead = 512;  // elements, of fetches beside stores that bypass the caches

template <class T, bool kScalar>
struct Operand {
  explicit Operand(const char* p) : data(reinterpret_cast<const T*>(p)) {
    if constexpr (kScalar) value = broadcast(*data);
  }
  Vec<T> at(ptrdiff_t i) const {
    if constexpr (kScalar)
      return value;
    else
      return load(data + i);
  }
  Vec<T> partial(ptrdiff_t i, ptrdiff_t n) const {
    if constexpr (kScalar)
      return value;
    else
      return load_partial(data + i, n);
  }
  void fetch(ptrdiff_t i, ptrdiff_t n) const {
    if constexpr (!kScalar)
      for (ptrdiff_t j = 0; j < n; j += 64 / sizeof(T)) __builtin_prefetch(data + i + j);
  }
  const T* data;
  Vec<T> value;
};

// y[i] = f(x0[i], x1[i], ...) by Op's function f; kOut is the size of an output element.
template <class Op, class T, size_t kOut, class F, class... X>
inline void map(ptrdiff_t n, char* y, unsigned flags, F f, const X&... x) {
  constexpr ptrdiff_t kLane = kLanes<T>, kBlock = kUnroll<Op> * kLane;
  ptrdiff_t i = 0;
  const auto block = [&](auto function) {
    decltype(function(x.at(i)...)) v[kUnroll<Op>];
#pragma GCC unroll 8
    for (ptrdiff_t k = 0; k < kUnroll<Op>; ++k) v[k] = function(x.at(i + k * kLane)...);
    const bool streams = __builtin_expect(flags & kStreams, 0);
    if (streams) (x.fetch(i + kAhead, kBlock), ...);
#pragma GCC unroll 8
    for (ptrdiff_t k = 0; k < kUnroll<Op>; ++k) {
      char* to = y + (i + k * kLane) * kOut;
      if (streams)
        put_streaming<T>(to, v[k]);
      else
        put<T>(to, v[k]);
    }
  };
  for (; i + kBlock <= n; i += kBlock) {
    if constexpr (requires { Op::rare(x.at(i)...); }) {
      auto rare = Op::rare(x.at(i)...);
#pragma GCC unroll 8
      for (ptrdiff_t k = 1; k < kUnroll<Op>; ++k) rare |= Op::rare(x.at(i + k * kLane)...);
      if (__builtin_expect(!any(rare), 1)) {
        block([](auto... v) { return Op::common(v...); });
        continue;
      }
#pragma GCC unroll 1
      for (ptrdiff_t j = i; j < i + kBlock; j += kLane) put<T>(y + j * kOut, f(x.at(j)...));
    } else {
      block(f);
    }
  }
#pragma GCC unroll 1
  for (; i + kLane <= n; i += kLane) put<T>(y + i * kOut, f(x.at(i)...));
  if (i < n) put_partial<T>(y + i * kOut, f(x.partial(i, n - i)...), n - i);
}

template <class Op, class T>
void unary_forward(ptrdiff_t n, char* const* p, unsigned flags, const double* params) {
  constexpr size_t kOut = Op::info.to_bool ? 1 : sizeof(T);
  const UnaryForward<Op, T> f{Params<Op, T>(params)};
  map<Op, T, kOut>(n, p[1], flags, f, Operand<T, false>(p[0]));
}

template <class Op, class T>
void unary_backward(ptrdiff_t n, char* const* p, unsigned flags, const double* params) {
  const UnaryBackward<Op, T> f{Params<Op, T>(params)};
  map<Op, T, sizeof(T)>(n, p[3], flags, f, Operand<T, false>(p[0]), Operand<T, false>(p[1]),
                        Operand<T, false>(p[2]));
}

template <class Op, class T, bool kScalarA, bool kScalarB>
inline void binary_forward_of(ptrdiff_t n, char* const* p, unsigned flags) {
  constexpr size_t kOut = Op::info.to_bool ? 1 : sizeof(T);
  map<Op, T, kOut>(
      n, p[2], flags, [](auto a, auto b) { return Op::forward(a, b); }, Operand<T, kScalarA>(p[0]),
      Operand<T, kScalarB>(p[1]));
}

template <class Op, class T>
void binary_forward(ptrdiff_t n, char* const* p, unsigned flags, const double*) {
  if (flags & 1)
    return flags & 2 ? binary_forward_of<Op, T, true, true>(n, p, flags)
                     : binary_forward_of<Op, T, true, false>(n, p, flags);
  return flags & 2 ? binary_forward_of<Op, T, false, true>(n, p, flags)
                   : binary_forward_of<Op, T, false, false>(n, p, flags);
}

template <class Op, class T>
void binary_grad_a(ptrdiff_t n, char* const* p, unsigned flags, const double*) {
  map<Op, T, sizeof(T)>(
      n, p[4], flags, [](auto g, auto a, auto b, auto y) { return Op::grad_a(g, a, b, y); },
      Operand<T, false>(p[0]), Operand<T, false>(p[1]), Operand<T, false>(p[2]),
      Operand<T, false>(p[3]));
}

template <class Op, class T>
void binary_grad_b(ptrdiff_t n, char* const* p, unsigned flags, const double*) {
  map<Op, T, sizeof(T)>(
      n, p[4], flags, [](auto g, auto a, auto b, auto y) { return Op::grad_b(g, a, b, y); },
      Operand<T, false>(p[0]), Operand<T, false>(p[1]), Operand<T, false>(p[2]),
      Operand<T, false>(p[3]));
}

// y[i] = cond[i] ? a[i] : b[i]
template <class T>
void where(ptrdiff_t n, char* const* p, unsigned, const double*) {
  const auto* cond = reinterpret_cast<const uint8_t*>(p[0]);
  const T* a = reinterpret_cast<const T*>(p[1]);
  const T* b = reinterpret_cast<const T*>(p[2]);
  T* y = reinterpret_cast<T*>(p[3]);
  for (ptrdiff_t i = 0; i < n; ++i) y[i] = cond[i] ? a[i] : b[i];
}

template <class From, class To>
void cast(ptrdiff_t n, char* const* p, unsigned, const double*) {
  const From* x = reinterpret_cast<const From*>(p[0]);
  To* y = reinterpret_cast<To*>(p[1]);
  for (ptrdiff_t i = 0; i < n; ++i) y[i] = To(x[i]);
}

template <class Op>
consteval UnaryEntry unary_entry() {
  UnaryEntry e{Op::info, {unary_forward<Op, float>, unary_forward<Op, double>}, {}};
  if constexpr (Op::info.differentiable && !Op::info.to_bool) {
    e.backward[0] = unary_backward<Op, float>;
    e.backward[1] = unary_backward<Op, double>;
  }
  return e;
}

template <class Op>
consteval BinaryEntry binary_entry() {
  BinaryEntry e{Op::info, {binary_forward<Op, float>, binary_forward<Op, double>}, {}, {}};
  if constexpr (Op::info.differentiable && !Op::info.to_bool) {
    e.grad_a[0] = binary_grad_a<Op, float>;
    e.grad_a[1] = binary_grad_a<Op, double>;
    e.grad_b[0] = binary_grad_b<Op, float>;
    e.grad_b[1] = binary_grad_b<Op, double>;
  }
  return e;
}

template <class L>
struct Entries;
template <class... Ops>
struct Entries<List<Ops...>> {
  static constexpr UnaryEntry unary[] = {unary_entry<Ops>()...};
};
template <class L>
struct BinaryEntries;
template <class... Ops>
struct BinaryEntries<List<Ops...>> {
  static constexpr BinaryEntry binary[] = {binary_entry<Ops>()...};
};

}  // namespace

extern constinit const ElementwiseKernels elementwise_kernels = {
    .unary = Entries<UnaryOps>::unary,
    .unary_count = UnaryOps::kCount,
    .binary = BinaryEntries<BinaryOps>::binary,
    .binary_count = BinaryOps::kCount,
    .where = {where<float>, where<double>},
    // in the order of DType; bool is one byte, 0 or 1
    .cast = {{cast<uint8_t, float>, cast<uint8_t, double>},
             {cast<int8_t, float>, cast<int8_t, double>},
             {cast<int16_t, float>, cast<int16_t, double>},
             {cast<int32_t, float>, cast<int32_t, double>},
             {cast<int64_t, float>, cast<int64_t, double>},
             {cast<uint8_t, float>, cast<uint8_t, double>},
             {cast<uint16_t, float>, cast<uint16_t, double>},
             {cast<uint32_t, float>, cast<uint32_t, double>},
             {cast<uint64_t, float>, cast<uint64_t, double>},
             {cast<float, float>, cast<float, double>},
             {cast<double, float>, cast<double, double>}},
};

}  // namespace pydl::PYDL_ISA
