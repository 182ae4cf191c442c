// Matmul kernels: plain arguments and the table of one ISA. The contract is in docs/kernels.md.
#pragma once

#include "table.h"

namespace pydl {

constexpr int kGemmBatchAxes = 4;          // axes of a batch after merging, in one launch
constexpr ptrdiff_t kGemmPackPanels = 4;    // of B in one item of `pack`
constexpr ptrdiff_t kGemmCopyRows = 16;     // of A in one item of `pack`
constexpr ptrdiff_t kGemmStackBytes = 32 * 1024;  // for panels packed by `tiles`; part of L1
constexpr ptrdiff_t kGemmSegment = 4096;   // longest FMA chain, in steps of k

// Block sizes of one dtype, in elements of the matrix dimension they cut.
struct GemmBlocks {
  ptrdiff_t mr, nr;  // register tile of the packed path: accumulators
  ptrdiff_t kc;      // a kc x nr panel of B stays in L1
  ptrdiff_t mc;      // an mc x kc block of A stays in L2
  ptrdiff_t nc;      // a k x nc block of packed B stays in L3
};

// c[i,j] (+)= sum_k a[i,k] b[k,j] (+ bias[j]), then the activation, for a batch of matrices.
//
// Item (batch, segment of k, block of rows, block of columns), the last running fastest. Segment
// s > 0 is written to partials + (s - 1) * m * n, without bias and activation.
struct GemmArgs {
  const void* a;
  const void* b;
  void* c;
  const void* bias;  // n values, or null
  void* partials;
  ptrdiff_t m, n, k;
  ptrdiff_t a_row, a_col, b_row, b_col, c_row;  // strides; c's columns have unit stride
  ptrdiff_t row_blocks, col_blocks, segments;
  ptrdiff_t panel;        // columns of a panel, a multiple of the vector width
  bool b_packed;          // b holds panels, k x panel each, the last padded to whole vectors
  bool pack_panels;       // copy panels of B to the stack before use,
  ptrdiff_t stack_panels; // so many at a time; they fit the stack together
  bool accumulate;
  int batch_axes;         // innermost first
  ptrdiff_t batch_shape[kGemmBatchAxes];
  ptrdiff_t batch_a[kGemmBatchAxes], batch_b[kGemmBatchAxes], batch_c[kGemmBatchAxes];
  ElementwiseLoop activation;  // or null
  double params[kMaxParams];
};

// The first b_items items pack kGemmPackPanels panels of B each, the others copy kGemmCopyRows rows
// of A.
struct GemmPackArgs {
  const void* a;
  const void* b;
  void* a_copy;  // m x a_copy_row, unit stride along k; null: no copy of A
  void* b_panels;
  ptrdiff_t m, n, k;
  ptrdiff_t a_row, a_col, b_row, b_col, a_copy_row;
  ptrdiff_t panel;
  ptrdiff_t b_items;  // 0: B is packed already
};

// c[row,:] += partials in a fixed binary tree, then bias and activation; item: one row.
struct GemmCombineArgs {
  void* c;
  void* partials;  // (segments - 1) x m x n
  const void* bias;
  ptrdiff_t m, n, c_row, segments;
  ElementwiseLoop activation;
  double params[kMaxParams];
};

struct GemmKernels {
  GemmBlocks blocks[kFloatTypes];
  ptrdiff_t lanes[kFloatTypes];  // of a native vector
  RangeFn tiles[kFloatTypes];    // GemmArgs
  RangeFn rows[kFloatTypes];     // GemmArgs with n == 1, no batch; item (segment, row)
  RangeFn pack[kFloatTypes];     // GemmPackArgs
  RangeFn combine[kFloatTypes];  // GemmCombineArgs
  void (*fma_peak)(ptrdiff_t iterations, double* sink);  // float32 FMAs on registers only
  double fma_peak_flops;                                 // floating-point operations an iteration
};

}  // namespace pydl
