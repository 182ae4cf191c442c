// Element-wise ops of two inputs: name, forward and the gradients for either input.
//
// forward(a, b), rare(a, b) and common(a, b) as in ops/unary.h; grad_a(g, a, b, y) and grad_b(g, a,
// b, y) return g * dy/da and g * dy/db.
#pragma once

#include "ops/list.h"
#include "simd/math.h"
#include "table.h"

namespace pydl::PYDL_ISA {
namespace {

struct Add {
  static constexpr BinaryInfo info{.name = "add"};
  static auto forward(auto a, auto b) { return a + b; }
  static auto grad_a(auto g, auto, auto, auto) { return g; }
  static auto grad_b(auto g, auto, auto, auto) { return g; }
};

struct Divide {
  static constexpr BinaryInfo info{.name = "divide"};
  static auto forward(auto a, auto b) { return a / b; }
  static auto grad_a(auto g, auto, auto b, auto) { return g / b; }
  static auto grad_b(auto g, auto, auto b, auto y) { return -g * y / b; }
};

struct Equal {
  static constexpr BinaryInfo info{.name = "equal", .differentiable = false, .to_bool = true};
  static auto forward(auto a, auto b) { return a == b; }
};

// Rounds toward -inf, as Python's //; constant between its steps, so both gradients are 0.
struct FloorDivide {
  static constexpr BinaryInfo info{.name = "floor_divide"};
  static auto forward(auto a, auto b) { return floor_divide(a, b); }
  static auto rare(auto a, auto b)
    requires kFastFloat<decltype(a)>
  {
    return division_rare(a, b);
  }
  static auto common(auto a, auto b) { return floor_divide_common(a, b); }
  static auto grad_a(auto g, auto, auto, auto) { return decltype(g){}; }
  static auto grad_b(auto g, auto, auto, auto) { return decltype(g){}; }
};

struct Greater {
  static constexpr BinaryInfo info{.name = "greater", .differentiable = false, .to_bool = true};
  static auto forward(auto a, auto b) { return a > b; }
};

struct GreaterEqual {
  static constexpr BinaryInfo info{
      .name = "greater_equal", .differentiable = false, .to_bool = true};
  static auto forward(auto a, auto b) { return a >= b; }
};

struct Less {
  static constexpr BinaryInfo info{.name = "less", .differentiable = false, .to_bool = true};
  static auto forward(auto a, auto b) { return a < b; }
};

struct LessEqual {
  static constexpr BinaryInfo info{.name = "less_equal", .differentiable = false, .to_bool = true};
  static auto forward(auto a, auto b) { return a <= b; }
};

// nan if either is nan. On a tie the first argument takes the gradient.
struct Maximum {
  static constexpr BinaryInfo info{.name = "maximum", .max_ulp = 0};
  static auto forward(auto a, auto b) { return max(a, b); }
  static auto grad_a(auto g, auto a, auto b, auto) { return select(a >= b, g, decltype(g){}); }
  static auto grad_b(auto g, auto a, auto b, auto) { return select(a >= b, decltype(g){}, g); }
};

struct Minimum {
  static constexpr BinaryInfo info{.name = "minimum", .max_ulp = 0};
  static auto forward(auto a, auto b) { return min(a, b); }
  static auto grad_a(auto g, auto a, auto b, auto) { return select(a <= b, g, decltype(g){}); }
  static auto grad_b(auto g, auto a, auto b, auto) { return select(a <= b, decltype(g){}, g); }
};

struct Multiply {
  static constexpr BinaryInfo info{.name = "multiply"};
  static auto forward(auto a, auto b) { return a * b; }
  static auto grad_a(auto g, auto, auto b, auto) { return g * b; }
  static auto grad_b(auto g, auto a, auto, auto) { return g * a; }
};

struct NotEqual {
  static constexpr BinaryInfo info{.name = "not_equal", .differentiable = false, .to_bool = true};
  static auto forward(auto a, auto b) { return a != b; }
};

// d/da = b a^(b-1), 0 where b is 0 (also at a = 0). d/db = y log(a), 0 where a <= 0: there the
// function of b is not real beyond isolated points, and at a = 0 the limit is 0.
struct Power {
  static constexpr BinaryInfo info{.name = "power", .domain = {0.1, 4}, .max_ulp = 1};
  static constexpr bool kLongChain = true;
  static auto forward(auto a, auto b) { return pow(a, b); }
  static auto rare(auto a, auto b)
    requires kFastFloat<decltype(a)>
  {
    return pow_rare(a, b);
  }
  static auto common(auto a, auto b) { return pow_common(a, b); }
  static auto grad_a(auto g, auto a, auto b, auto) {
    using T = Element<decltype(b)>;
    return select(b == 0, decltype(g){}, g * (b * pow(a, b - T(1))));
  }
  static auto grad_b(auto g, auto a, auto, auto y) {
    return select(a <= 0, decltype(g){}, g * (y * log(a)));
  }
};

// a - b floor(a / b) without rounding errors; the sign is that of b, as Python's %
struct Remainder {
  static constexpr BinaryInfo info{.name = "remainder"};
  static auto forward(auto a, auto b) { return remainder(a, b); }
  static auto rare(auto a, auto b)
    requires kFastFloat<decltype(a)>
  {
    return division_rare(a, b);
  }
  static auto common(auto a, auto b) { return remainder_common(a, b); }
  static auto grad_a(auto g, auto, auto, auto) { return g; }
  static auto grad_b(auto g, auto a, auto b, auto) { return -g * floor_divide(a, b); }
};

struct Subtract {
  static constexpr BinaryInfo info{.name = "subtract"};
  static auto forward(auto a, auto b) { return a - b; }
  static auto grad_a(auto g, auto, auto, auto) { return g; }
  static auto grad_b(auto g, auto, auto, auto) { return -g; }
};

using BinaryOps = List<Add, Divide, Equal, FloorDivide, Greater, GreaterEqual, Less, LessEqual,
                       Maximum, Minimum, Multiply, NotEqual, Power, Remainder, Subtract>;

}  // namespace
}  // namespace pydl::PYDL_ISA
