#include "runtime/metrics.h"

#include <algorithm>
#include <stdexcept>
#include <type_traits>

#include "runtime/launch.h"

namespace pydl {
namespace {

struct MeanArgs {
  const void* values;
  const void* weights;
  DType value_type, weight_type;
  ptrdiff_t n;
  double factor;
  double* state;

  void operands(auto f) const { f(values), f(weights), f(state); }
};

double number_at(const void* p, DType type, ptrdiff_t i) {
  return type == DType::kFloat32 ? static_cast<const float*>(p)[i]
                                 : static_cast<const double*>(p)[i];
}

void add_mean(const void* args, ptrdiff_t, ptrdiff_t) {
  const auto& a = *static_cast<const MeanArgs*>(args);
  constexpr int kLanes = 4;  // chains of additions side by side
  double total[kLanes] = {}, count[kLanes] = {};
  for (ptrdiff_t i = 0; i < a.n; ++i) {
    const double weight = a.weights ? number_at(a.weights, a.weight_type, i) : 1;
    total[i % kLanes] += number_at(a.values, a.value_type, i) * weight;
    count[i % kLanes] += weight;
  }
  const auto sum = [](const double* x) { return (x[0] + x[1]) + (x[2] + x[3]); };
  a.state[0] += a.factor * sum(total);
  a.state[1] += a.factor * sum(count);
}

struct MatchArgs {
  const void* a;
  const void* b;
  void* out;
  DType out_type;

  void operands(auto f) const { f(a), f(b), f(out); }
};

template <class A, class B>
void match(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  using Common =
      std::conditional_t<std::is_integral_v<A> && std::is_integral_v<B>, int64_t, double>;
  const auto& m = *static_cast<const MatchArgs*>(args);
  const auto* a = static_cast<const A*>(m.a);
  const auto* b = static_cast<const B*>(m.b);
  for (ptrdiff_t i = begin; i < end; ++i) {
    const bool equal = Common(a[i]) == Common(b[i]);
    if (m.out_type == DType::kFloat32)
      static_cast<float*>(m.out)[i] = equal;
    else
      static_cast<double*>(m.out)[i] = equal;
  }
}

template <class A>
RangeFn match_with(DType b) {
  switch (b) {
    case DType::kBool:
      return match<A, bool>;
    case DType::kInt64:
      return match<A, int64_t>;
    case DType::kFloat32:
      return match<A, float>;
    default:
      return match<A, double>;
  }
}

RangeFn match_of(DType a, DType b) {
  return with_dtype(a, [&](auto zero) { return match_with<decltype(zero)>(b); });
}

struct RowsArgs {
  const int64_t* order;
  int64_t* cursor;
  int64_t* out;
  ptrdiff_t n;

  void operands(auto f) const { f(order), f(cursor), f(out); }
};

void take_rows(const void* args, ptrdiff_t, ptrdiff_t) {
  const auto& a = *static_cast<const RowsArgs*>(args);
  std::copy_n(a.order + *a.cursor, a.n, a.out);
  *a.cursor += a.n;
}

struct RoomArgs {
  const int64_t* cursor;
  ptrdiff_t n, length;

  void operands(auto f) const { f(cursor); }
};

void room_left(const void* args) {
  const auto& a = *static_cast<const RoomArgs*>(args);
  if (*a.cursor < 0 || *a.cursor + a.n > a.length)
    throw std::out_of_range("next_rows: no more rows");
}

constexpr ptrdiff_t kMatchGrain = 64 * 1024;

}  // namespace

void add_to_mean(const View& values, const View* weights, double factor, double* state) {
  const MeanArgs args{values.data,   weights ? weights->data : nullptr,
                      values.dtype,  weights ? weights->dtype : values.dtype,
                      values.size(), factor,
                      state};
  launch(add_mean, args, 1, 1);
}

void matches(const View& a, const View& b, const View& out) {
  launch(match_of(a.dtype, b.dtype), MatchArgs{a.data, b.data, out.data, out.dtype}, out.size(),
         kMatchGrain);
}

void next_rows(const View& order, int64_t* cursor, const View& out) {
  const ptrdiff_t n = out.size();
  check(room_left, RoomArgs{cursor, n, order.size()});
  const auto* from = reinterpret_cast<const int64_t*>(order.data);
  launch(take_rows, RowsArgs{from, cursor, reinterpret_cast<int64_t*>(out.data), n}, 1, 1);
}

}  // namespace pydl
