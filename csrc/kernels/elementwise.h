// Element-wise kernels: what kernels/elementwise.cpp offers beside the two op lists.
#pragma once

#include "table.h"

namespace pydl {

constexpr int kDTypes = 11;  // number of runtime/view.h DType values

struct ElementwiseKernels {
  const UnaryEntry* unary;
  int unary_count;
  const BinaryEntry* binary;
  int binary_count;
  ElementwiseLoop where[kFloatTypes];          // cond (bool), a, b -> y
  ElementwiseLoop cast[kDTypes][kFloatTypes];  // x of any dtype -> float32, float64
};

}  // namespace pydl
