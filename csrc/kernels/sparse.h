// Products with a sparse left operand: what the runtime and the per-ISA kernels agree on.
//
// Columns ascend within a row, so an element of a product is the chain of the dense product
// (docs/kernels.md) without the steps that add zero, and has the same segments.
#pragma once

#include "table.h"

namespace pydl {

// A (m x k) in CSR form. Row i holds the elements [start[r], start[r + 1]) of values and columns,
// r = rows[i], or i where rows is null.
struct CsrArgs {
  const void* values;
  const int32_t* columns;
  const int64_t* start;
  const int64_t* rows;
  ptrdiff_t m, k;

  void operands(auto f) const { f(values), f(columns), f(start), f(rows); }
};

// c[i,j] = sum_p a[i,p] b[p,j] (+ bias[j]), then the activation; b and c have unit stride along n.
struct CsrProductArgs {
  CsrArgs a;
  const void* b;
  void* c;
  const void* bias;  // n values, or null
  ptrdiff_t n, b_row, c_row;
  ElementwiseLoop activation;  // or null
  double params[kMaxParams];

  void operands(auto f) const { a.operands(f), f(b), f(c), f(bias); }
};

// c[p,j] = sum_i a[i,p] g[i,j] for the columns p of A; c is k x n, contiguous. They come in blocks,
// so that the rows of c that one of them adds to stay in the cache.
struct CsrGradientArgs {
  CsrArgs a;
  const void* g;
  void* c;
  ptrdiff_t n, g_row;
  ptrdiff_t block, blocks;  // columns of A in one block, a power of two, and blocks
  int64_t* bounds;          // [m][blocks + 1]: where the blocks of a row start, and where it ends
  ptrdiff_t first_block;    // item 0
  void* partials;           // for segments after the first: matrices of partial_size elements
  void* lanes;              // n == 1: kCsrLaneBytes for each column of A
  ptrdiff_t partial_size;   // of the columns from first_block on

  void operands(auto f) const { a.operands(f), f(g), f(c), f(bounds), f(partials), f(lanes); }
};

constexpr ptrdiff_t kCsrLaneBytes = 256;  // virtual lanes of a product with n == 1

// The elements of the rows of x (m x k, contiguous) that are not zero: values and columns of row i
// from i * k on, and their number.
struct CompressArgs {
  const void* x;
  void* values;
  int32_t *columns, *counts;
  ptrdiff_t k;

  void operands(auto f) const { f(x), f(values), f(columns), f(counts); }
};

struct SparseKernels {
  RangeFn compress[kFloatTypes];  // CompressArgs; item: a row
  RangeFn product[kFloatTypes];   // item: a row
  RangeFn bounds;                 // CsrGradientArgs; item: a row
  RangeFn gradient[kFloatTypes];  // item: a block
};

}  // namespace pydl
