// Matmul: choice of path, block sizes and launches.
#pragma once

#include "runtime/view.h"
#include "table.h"

namespace pydl {

// What happens to a finished element of C, in this order.
struct Epilogue {
  const void* bias = nullptr;            // n values of the dtype, added to each row; null: none
  ElementwiseLoop activation = nullptr;  // applied in place to contiguous runs of C (x -> y)
  double params[kMaxParams] = {};        // of the activation
};

// c = a @ b, then the epilogue; a (..., m, k), b (..., k, n), c (..., m, n).
//
// One float dtype, equal batch axes (zero strides where broadcast), c's last axis has unit stride
// and c overlaps neither a nor b. k == 0 gives zeros.
void matmul(const View& a, const View& b, const View& c, const Epilogue& epilogue = {});

// Multiply-adds that are worth a thread; one thread does twice as many before a second one wakes
// up.
constexpr double kThreadWork = 1.3e5;

// Items of `work` multiply-adds each that make a chunk, between 1 and `items`.
ptrdiff_t product_grain(double work, ptrdiff_t items);

}  // namespace pydl
