// Convolution kernels: plain arguments and the table of one ISA; see docs/kernels.md.
#pragma once

#include "kernels/gemm.h"

namespace pydl {

constexpr ptrdiff_t kConvTaps = 256;        // of one block, at most; in the gradient of w, rows
constexpr ptrdiff_t kConvPixels = 512;      // of y at a time, in the gradient of w, read in place
constexpr ptrdiff_t kDepthwiseBytes = 128;  // of channels in one item of the gradient of w

// Images with a frame of zeros: an item is one row, the last axis with its channels.
struct FrameArgs {
  const void* x;
  void* y;
  ptrdiff_t in[kSpatialAxes], out[kSpatialAxes], before[kSpatialAxes];
  ptrdiff_t pixel_bytes;

  void operands(auto f) const { f(x), f(y); }
};

// A walk over the pixels of an array, of which the innermost axis is a row, and over the taps of a
// pixel. Strides in elements.
struct ConvWalk {
  ptrdiff_t rows[kSpatialAxes];  // images and the spatial axes but one, outermost first
  ptrdiff_t pixels;              // of a row
  ptrdiff_t x_rows[kSpatialAxes], y_rows[kSpatialAxes];
  ptrdiff_t x_pixel, y_pixel;
  ptrdiff_t taps[kSpatialAxes], x_taps[kSpatialAxes];  // counts and strides in x
};

// y[pixel, j] = sum_t sum_p x[pixel, t, p] b[t k + p, j] (+ bias[j]), then the activation: one
// chain over the taps t in order, p < k. Group q reads x + q group_x and writes y + q n.
//
// An item is (group, block of rows, block of pixels, block of columns), the last running fastest.
struct ConvArgs : ConvWalk {
  const void* x;
  const void* b;  // for each group: panels, (taps k) x panel, the last padded to whole vectors
  void* y;
  const void* bias;  // groups x n, or null
  GemmPanelFn multiply;
  ptrdiff_t k, n, panel, group_x, group_b;
  ptrdiff_t tap_block;  // taps between a load and a store of y
  ptrdiff_t row_blocks, pixel_blocks, col_blocks;
  ElementwiseLoop activation;  // or null
  double params[kMaxParams];

  void operands(auto f) const { f(x), f(b), f(y), f(bias); }
};

// w[t, i, j] (+)= sum over pixels of x[pixel, t, i] y[pixel, j], i < k: one chain over the pixels
// of a segment. Segment s > 0 goes to partials + (s - 1) * partial_size. Group q reads x + q k, y +
// q n and writes w + q n.
//
// An item is (segment, group, block of taps, block of columns), the last running fastest.
struct ConvWeightsArgs : ConvWalk {
  const void* x;
  const void* y;
  void* w;
  void* partials;
  GemmPanelFn multiply;
  ptrdiff_t k, n, groups, panel, w_row, partial_size;
  ptrdiff_t segments, tap_blocks, col_blocks;
  bool in_place;  // y is read in place: contiguous, whole vectors; else packed on the stack
  // w is filters x (taps k) and the tile's wide operand is x, of which whole vectors are read: for
  // few filters; one group, one block of columns
  bool transposed;
  bool accumulate;

  void operands(auto f) const { f(x), f(y), f(w), f(partials); }
};

// y[pixel, c] = sum_t x[pixel, t, c] w[t, c]; an item is one row. For the gradient of w: item
// (segment, block of kDepthwiseBytes of channels), sums over pixels, partials as above.
struct DepthwiseArgs : ConvWalk {
  const void* x;
  void* w;
  void* y;
  void* partials;
  ptrdiff_t channels;
  ptrdiff_t w_taps[kSpatialAxes];
  ptrdiff_t segments;
  bool accumulate;

  void operands(auto f) const { f(x), f(w), f(y), f(partials); }
};

struct ConvKernels {
  RangeFn frame;
  RangeFn conv[kFloatTypes];
  RangeFn conv_weights[kFloatTypes];
  RangeFn depthwise[kFloatTypes];
  RangeFn depthwise_weights[kFloatTypes];
};

}  // namespace pydl
