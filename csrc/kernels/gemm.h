// Matmul kernels: plain arguments and the table of one ISA. The contract is in docs/kernels.md.
#pragma once

#include "table.h"

namespace pydl {

constexpr ptrdiff_t kGemmSegment = 4096;          // longest FMA chain, in steps of k
constexpr ptrdiff_t kGemmStackBytes = 32 * 1024;  // as large as L1
constexpr int kGemmBatchAxes = 4;                 // axes of a batch in one launch, after merging

// Block sizes of one dtype, in elements of the axis they cut.
struct GemmBlocks {
  ptrdiff_t nr;    // columns of a panel
  ptrdiff_t kc;    // a kc x nr panel of B streams from L2
  ptrdiff_t room;  // elements of the panel that an item of `tiles` reads again and again: in L2
};

// m rows of a product with one panel of B: for i < m and j < cols
//   c[i,j] (+)= sum_t sum_p a[offsets[t] + i a_row + p a_col] b[t k + p, j] (+ bias[j]),
// one chain over t < taps, p < k. Whole vectors of b are read.
struct GemmPanel {
  ptrdiff_t m, cols, k, taps;
  const ptrdiff_t* offsets;  // null: all 0
  const void* a;
  ptrdiff_t a_row, a_col;
  const void* b;
  ptrdiff_t b_row;
  const ptrdiff_t* b_offsets;  // where the rows of each tap start; null: one below the other
  void* c;
  ptrdiff_t c_row;
  ptrdiff_t c_col = 1;         // else c_row is 1 and c the transpose of an array
  const void* bias = nullptr;  // or null
  bool accumulate = false;
  bool fetch_next = false;  // into L2: the rows of A of the next tile, whose columns are contiguous
  const int32_t* steps = nullptr;  // the k values that p takes, for taps = 1; null: all
  void* packed = nullptr;  // where the first strip copies b, a whole panel, for the others; or null
};
using GemmPanelFn = void (*)(const GemmPanel&);

// c[i,j] = sum_k a[i,k] b[k,j] (+ bias[j]), then the activation, for a batch of matrices.
//
// tiles: item (batch, segment of k, block of rows, block of columns), the last running fastest.
// Segment s > 0 goes to partials + (s - 1) * partial_size, rows of n; with several segments, bias
// and activation are left to `combine`.
//
// pack: item t copies columns [t panel, (t + 1) panel) of b, k rows, to rows pack_row apart that
// start at panels + t pack_step; pack_row 0: whole vectors apart, padded with zeros, from row
// pack_first.
struct GemmArgs {
  const void* a;
  const void* b;
  void* c;
  const void* bias;  // n values, or null
  void* partials;
  void* panels;  // where `tiles` packs: `room` elements of each `grain` items; null: it does not
  ptrdiff_t m, n, k;
  ptrdiff_t a_row, a_col, b_row, b_col, c_row, c_col;  // strides; c_col is 1, or c_row
  ptrdiff_t partial_size, row_blocks, col_blocks, segments;
  ptrdiff_t panel;  // columns of a panel of B, whole vectors
  ptrdiff_t room;   // elements of a panel at a time
  ptrdiff_t grain;
  ptrdiff_t pack_row, pack_step, pack_first;
  int batch_axes;  // innermost first
  ptrdiff_t batch_shape[kGemmBatchAxes];
  ptrdiff_t batch_a[kGemmBatchAxes], batch_b[kGemmBatchAxes], batch_c[kGemmBatchAxes];
  ElementwiseLoop activation;  // or null
  double params[kMaxParams];

  void operands(auto f) const { f(a), f(b), f(c), f(bias), f(partials), f(panels); }
};

struct GemmKernels {
  GemmBlocks blocks[kFloatTypes];
  ptrdiff_t lanes[kFloatTypes];  // of a native vector
  GemmPanelFn panel[kFloatTypes];
  RangeFn tiles[kFloatTypes];
  RangeFn rows[kFloatTypes];  // n == 1, no batch; item (segment, row)
  RangeFn pack[kFloatTypes];
  RangeFn combine[kFloatTypes];  // c += partials, then bias and activation; item: a row
};

}  // namespace pydl
