// Products with a left operand that has many zeros: what the runtime and the per-ISA kernels agree
// on.
//
// A strip of rows leaves out the steps of k where all of its elements are zero. An element is the
// chain of the dense product (docs/kernels.md) without steps that add zero.
#pragma once

#include "kernels/gemm.h"
#include "table.h"

namespace pydl {

constexpr ptrdiff_t kSkipHeight = 6;  // rows of a strip, at most

// c[i,j] = sum_p a[i,p] b[p,j] (+ bias[j]), then the activation; b and c have unit stride along n,
// a has it along k, or along m.
struct ZeroSkipArgs {
  const void* a;
  const void* b;
  void* c;
  const void* bias;  // n values, or null
  ptrdiff_t m, n, k;
  ptrdiff_t a_row, a_col, b_row, c_row;
  ptrdiff_t strips;
  int32_t *steps, *counts;  // of each strip: the steps that are left, k at most, and their number
  GemmPanelFn multiply;
  ptrdiff_t panel;             // columns of a panel of b
  ptrdiff_t block;             // columns of an item, whole panels
  ElementwiseLoop activation;  // or null
  double params[kMaxParams];

  void operands(auto f) const { f(a), f(b), f(c), f(bias), f(steps), f(counts); }
};

struct ZeroSkipKernels {
  RangeFn steps[kFloatTypes];    // item: a strip
  RangeFn product[kFloatTypes];  // item: (block of columns, strip), the last running fastest
};

}  // namespace pydl
