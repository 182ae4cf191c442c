// Pooling kernels: plain arguments and the table of one ISA.
#pragma once

#include "table.h"

namespace pydl {

// Windows of `window` pixels every `stride` pixels, the first one `before` pixels before the image;
// pixels outside of it do not count. Arrays are contiguous, (images, in or out, channels).
//
// An item is (image, row of y along axis `cut`). In a gradient, an item owns the rows of dx from
// the start of its window to that of the next; where windows overlap there, it is the whole image.
struct PoolArgs {
  const void* x;
  const void* y;
  const void* g;  // gradient of y
  void* out;      // y, or the gradient of x
  ptrdiff_t in[kSpatialAxes], out_lengths[kSpatialAxes];
  ptrdiff_t window[kSpatialAxes], stride[kSpatialAxes], before[kSpatialAxes];
  ptrdiff_t channels;
  int cut;
  bool whole;  // an item is an image

  void operands(auto f) const { f(x), f(y), f(g), f(out); }
};

struct PoolKernels {
  RangeFn max[kFloatTypes], average[kFloatTypes];
  RangeFn max_grad[kFloatTypes], average_grad[kFloatTypes];
};

}  // namespace pydl
