// Matmul kernels: plain arguments and the table of one ISA. The contract is in docs/kernels.md.
#pragma once

#include "table.h"

namespace pydl {

constexpr ptrdiff_t kGemmSegment = 4096;          // longest FMA chain, in steps of k
constexpr ptrdiff_t kGemmStackBytes = 32 * 1024;  // for panels that `tiles` packs; as large as L1
constexpr ptrdiff_t kGemmPackPanels = 4;          // of B in one item of `pack`
constexpr ptrdiff_t kGemmCopyRows = 64;           // of A in one item of `pack`
constexpr int kGemmBatchAxes = 4;                 // axes of a batch in one launch, after merging

// Block sizes of one dtype, in elements of the axis they cut.
struct GemmBlocks {
  ptrdiff_t nr;    // columns of a panel
  ptrdiff_t kc;    // a kc x nr panel of B streams from L2
  ptrdiff_t room;  // elements of the panels that an item of `tiles` packs: they stay in L2
};

// m rows of a product with one panel of B: for i < m and j < cols
//   c[i,j] (+)= sum_t sum_p a[offsets[t] + i a_row + p a_col] b[t k + p, j] (+ bias[j]),
// one chain over t < taps, p < k. Whole vectors of b are read, no more than `cols` columns written.
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

// c[i,j] (+)= sum_k a[i,k] b[k,j] (+ bias[j]), then the activation, for a batch of matrices.
//
// tiles: item (batch, segment of k, block of rows, block of columns), the last running fastest.
// Segment s > 0 goes to partials + (s - 1) * partial_size; with several segments, bias and
// activation are left to `combine`.
struct GemmArgs {
  const void* a;
  const void* b;
  void* c;
  const void* bias;  // n values, or null
  void* partials;
  void* a_copy;    // for `pack`: m x a_copy_row, unit stride along k, or null
  void* b_panels;  // for `pack`
  ptrdiff_t m, n, k;
  ptrdiff_t a_row, a_col, b_row, b_col, c_row, c_col;  // strides; c_col is 1, or c_row
  ptrdiff_t a_copy_row, partial_row, partial_size;
  ptrdiff_t row_blocks, col_blocks, segments;
  ptrdiff_t panel;  // columns of a panel of B, whole vectors
  ptrdiff_t group;  // columns of the panels that rows of A meet in turn, whole panels
  bool packs;       // `tiles` packs the panels of a group
  void* panels;     // where: `room` elements of each `grain` items, or null: on the stack
  ptrdiff_t room, grain;
  ptrdiff_t b_items;  // the items of `pack` that are panels; those after them are rows of A
  ptrdiff_t panel_k;  // rows of the panels that `pack` fills, from row panel_first
  ptrdiff_t panel_first;
  bool accumulate;
  int batch_axes;  // innermost first
  ptrdiff_t batch_shape[kGemmBatchAxes];
  ptrdiff_t batch_a[kGemmBatchAxes], batch_b[kGemmBatchAxes], batch_c[kGemmBatchAxes];
  ElementwiseLoop activation;  // or null
  double params[kMaxParams];

  void operands(auto f) const {
    f(a), f(b), f(c), f(bias), f(partials), f(a_copy), f(b_panels), f(panels);
  }
};

struct GemmKernels {
  GemmBlocks blocks[kFloatTypes];
  ptrdiff_t lanes[kFloatTypes];  // of a native vector
  GemmPanelFn panel[kFloatTypes];
  RangeFn tiles[kFloatTypes];
  RangeFn rows[kFloatTypes];     // n == 1, no batch; item (segment, row)
  RangeFn pack[kFloatTypes];     // b to b_panels, a to a_copy
  RangeFn combine[kFloatTypes];  // c += partials, then bias and activation; item: a row
};

}  // namespace pydl
