// Convolution and pooling: geometry, choice of path, launches.
//
// Arrays are C-contiguous and of one float dtype: images (n, d, h, w, channels), kernels
// (d, h, w, channels / groups, filters), depthwise ones (d, h, w, channels). Missing axes have
// length 1.
#pragma once

#include "runtime/gemm_driver.h"
#include "runtime/view.h"
#include "table.h"

namespace pydl {

// y[n, o, f] = sum_t sum_c x[n, o stride + t dilation - before, c] w[t, c, f] on each axis, where x
// counts as 0 outside of [0, in).
struct ConvShape {
  ptrdiff_t images, channels, filters, groups;
  ptrdiff_t in[kSpatialAxes], out[kSpatialAxes], kernel[kSpatialAxes];
  ptrdiff_t stride[kSpatialAxes], dilation[kSpatialAxes], before[kSpatialAxes];
};

void conv(const ConvShape& s, const View& x, const View& w, const View& y,
          const Epilogue& epilogue = {});
// Gradients of sum(g y).
void conv_input_grad(const ConvShape& s, const View& g, const View& w, const View& dx);
void conv_kernel_grad(const ConvShape& s, const View& x, const View& g, const View& dw);

// The same with a filter of its own for each channel; filters == groups == channels.
void depthwise_conv(const ConvShape& s, const View& x, const View& w, const View& y);
void depthwise_conv_input_grad(const ConvShape& s, const View& g, const View& w, const View& dx);
void depthwise_conv_kernel_grad(const ConvShape& s, const View& x, const View& g, const View& dw);

// The largest, or the mean, of each window of s.kernel pixels; pixels outside of x do not count,
// and no window lies outside altogether. dilation is 1.
void pool(const ConvShape& s, bool max, const View& x, const View& y);
void max_pool_grad(const ConvShape& s, const View& g, const View& x, const View& y, const View& dx);
void average_pool_grad(const ConvShape& s, const View& g, const View& dx);

}  // namespace pydl
