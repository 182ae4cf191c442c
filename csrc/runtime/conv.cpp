#include "runtime/conv.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <vector>

#include "kernels/conv.h"
#include "kernels/pool.h"
#include "runtime/dispatch.h"
#include "runtime/elementwise.h"
#include "runtime/launch.h"
#include "runtime/memory.h"

namespace pydl {
namespace {

constexpr double kItemWork = 1e6;              // of one item, where there is enough for several
constexpr ptrdiff_t kMostItems = 64;           // wanted
constexpr ptrdiff_t kItemPixels = 192;         // of an item, so that its part of x stays in L2
constexpr ptrdiff_t kShortRow = 16;            // pixels that cut badly into tiles
constexpr ptrdiff_t kFrameBytes = 4 << 20;     // of framed images at a time: in L3
constexpr double kMostWalks = 64;              // before those that meet no tap are left out
constexpr ptrdiff_t kSegments = 16;            // of the pixels, in the gradient of a kernel
constexpr ptrdiff_t kSegmentPixels = 256;      // at least, so that partial sums cost little
constexpr ptrdiff_t kPartialBytes = 64 << 20;  // of partial sums
constexpr ptrdiff_t kInPlaceBytes = 256;       // between pixels of g that are read in place
constexpr ptrdiff_t kCheapElements = 32 * 1024;

ptrdiff_t product(const ptrdiff_t* n) { return n[0] * n[1] * n[2]; }

template <class P>
char* advance(P* p, ptrdiff_t bytes) {
  return const_cast<char*>(reinterpret_cast<const char*>(p)) + bytes;
}

// Images (n, lengths, channels) with zeros around them where a walk leaves them, as many at a time
// as stay in cache; without a copy where none does.
class Frames {
 public:
  ptrdiff_t pass;                       // images at a time
  ptrdiff_t strides[kSpatialAxes + 1];  // of the images and the axes, in elements

  // Positions [first, last) of each axis are read.
  Frames(const View& x, ptrdiff_t images, const ptrdiff_t* lengths, ptrdiff_t channels,
         const ptrdiff_t* first, const ptrdiff_t* last)
      : x_(x.data), item_(item_size(x.dtype)) {
    std::copy_n(lengths, kSpatialAxes, args_.in);
    for (int i = 0; i < kSpatialAxes; ++i) {
      args_.before[i] = std::max<ptrdiff_t>(0, -first[i]);
      const ptrdiff_t after = std::max<ptrdiff_t>(0, last[i] - lengths[i]);
      args_.out[i] = args_.before[i] + lengths[i] + after;
      copies_ = copies_ || args_.out[i] > lengths[i];
    }
    args_.pixel_bytes = channels * item_;
    strides[3] = channels;
    strides[2] = args_.out[2] * strides[3];
    strides[1] = args_.out[1] * strides[2];
    strides[0] = args_.out[0] * strides[1];
    const ptrdiff_t bytes = std::max<ptrdiff_t>(1, strides[0] * item_);
    const ptrdiff_t most = copies_ ? std::max<ptrdiff_t>(1, kFrameBytes / bytes) : images;
    pass = images ? ceil_div(images, ceil_div(images, most)) : 0;
    if (copies_) memory_.emplace(pass * bytes);
  }

  // Position 0 of image `image`, `count` images being ready.
  const char* fill(ptrdiff_t image, ptrdiff_t count) {
    if (!copies_) return x_ + image * strides[0] * item_;
    FrameArgs args = args_;
    args.x = x_ + image * product(args.in) * args.pixel_bytes;
    args.y = memory_->get();
    const ptrdiff_t row = args.out[2] * args.pixel_bytes;
    launch(kernels().conv.frame, args, count * args.out[0] * args.out[1],
           std::max<ptrdiff_t>(1, (256 << 10) / std::max<ptrdiff_t>(row, 1)));
    ptrdiff_t origin = 0;
    for (int i = 0; i < kSpatialAxes; ++i) origin += args.before[i] * strides[i + 1];
    return memory_->get() + origin * item_;
  }

 private:
  const char* x_;
  ptrdiff_t item_;
  bool copies_ = false;
  FrameArgs args_{};
  std::optional<Scratch<char>> memory_;
};

// One axis of a walk: y at position start_y + i step_y reads x at start_x + i step_x + t tap_x for
// the taps t of the kernel at start_w + t step_w.
struct Axis {
  ptrdiff_t count, start_y, step_y;
  ptrdiff_t start_x, step_x;
  ptrdiff_t taps, tap_x, start_w, step_w;
};

// The walk of y = conv(x), one axis.
Axis forward_axis(const ConvShape& s, int i) {
  return {s.out[i], 0, 1, -s.before[i], s.stride[i], s.kernel[i], s.dilation[i], 0, 1};
}

// The walk of dx = gradient for x, whose positions phase, phase + stride, ... meet the same taps of
// the kernel: those with t dilation = phase + before modulo stride, from the last to the first.
Axis gradient_axis(const ConvShape& s, int i, ptrdiff_t phase) {
  const ptrdiff_t stride = s.stride[i], dilation = s.dilation[i];
  const ptrdiff_t at = phase + s.before[i], step = stride / std::gcd(stride, dilation);
  Axis a{};
  a.count = std::max<ptrdiff_t>(0, ceil_div(s.in[i] - phase, stride));
  a.start_y = phase, a.step_y = stride, a.step_x = 1;
  ptrdiff_t first = 0;
  while (first < std::min(step, s.kernel[i]) && (at - first * dilation) % stride) ++first;
  if (first >= std::min(step, s.kernel[i])) return a;
  a.taps = (s.kernel[i] - 1 - first) / step + 1;
  a.start_w = first + (a.taps - 1) * step, a.step_w = -step;
  a.start_x = (at - a.start_w * dilation) / stride;
  a.tap_x = step * dilation / stride;
  return a;
}

// The walks of a convolution (one) or of the gradient for its input (one for each phase). `whole`:
// they reach every position of y; else those that meet no tap are left out, where y is 0.
struct Walks {
  std::vector<std::array<Axis, kSpatialAxes>> each;
  bool whole = true;
};

Walks walks_of(const ConvShape& s, bool gradient) {
  Walks walks;
  if (!gradient) {
    walks.each = {{forward_axis(s, 0), forward_axis(s, 1), forward_axis(s, 2)}};
    return walks;
  }
  ptrdiff_t counts[kSpatialAxes];
  for (int i = 0; i < kSpatialAxes; ++i) counts[i] = std::min(s.stride[i], s.in[i]);
  walks.whole = double(counts[0]) * double(counts[1]) * double(counts[2]) <= kMostWalks;
  std::vector<Axis> phases[kSpatialAxes];
  for (int i = 0; i < kSpatialAxes; ++i)
    for (ptrdiff_t phase = 0; phase < counts[i]; ++phase) {
      const Axis a = gradient_axis(s, i, phase);
      if (walks.whole || a.taps) phases[i].push_back(a);
    }
  for (const Axis& i : phases[0])
    for (const Axis& j : phases[1])
      for (const Axis& k : phases[2]) walks.each.push_back({i, j, k});
  return walks;
}

// Frames for the arrays that `walks` read.
Frames frames_of(const View& x, ptrdiff_t images, const ptrdiff_t* lengths, ptrdiff_t channels,
                 const Walks& walks) {
  ptrdiff_t first[kSpatialAxes] = {}, last[kSpatialAxes] = {};
  for (const auto& axes : walks.each) {
    for (int i = 0; i < kSpatialAxes; ++i) {
      const Axis& a = axes[i];
      if (a.taps == 0 || a.count == 0) continue;
      first[i] = std::min(first[i], a.start_x);
      last[i] =
          std::max(last[i], a.start_x + (a.count - 1) * a.step_x + (a.taps - 1) * a.tap_x + 1);
    }
  }
  return {x, images, lengths, channels, first, last};
}

// Steps from image to image and along the axes of a contiguous array.
struct Steps {
  ptrdiff_t at[kSpatialAxes + 1];
  Steps(const ptrdiff_t* lengths, ptrdiff_t channels) {
    at[3] = channels;
    for (int i = 2; i >= 0; --i) at[i] = at[i + 1] * lengths[i];
  }
};

// Fills the walk of one pass; returns the first elements of x and y.
struct Origin {
  ptrdiff_t x = 0, y = 0;
};
template <class Axes>
Origin set_walk(ConvWalk& w, ptrdiff_t images, const Axes& axes, const ptrdiff_t* x_steps,
                const ptrdiff_t* y_steps) {
  w.rows[0] = images, w.x_rows[0] = x_steps[0], w.y_rows[0] = y_steps[0];
  Origin origin;
  for (int i = 0; i < kSpatialAxes; ++i) {
    const Axis& a = axes[i];
    (i < 2 ? w.rows[i + 1] : w.pixels) = a.count;
    (i < 2 ? w.x_rows[i + 1] : w.x_pixel) = a.step_x * x_steps[i + 1];
    (i < 2 ? w.y_rows[i + 1] : w.y_pixel) = a.step_y * y_steps[i + 1];
    w.taps[i] = a.taps;
    w.x_taps[i] = a.tap_x * x_steps[i + 1];
    origin.x += a.start_x * x_steps[i + 1];
    origin.y += a.start_y * y_steps[i + 1];
  }
  return origin;
}

ptrdiff_t pixels_of(const ConvWalk& w) { return product(w.rows) * w.pixels; }

// Packs the kernel for one walk: for each group, panels of n columns with a row for each tap and
// channel. `w_row`, `w_col`: strides of the kernel along the rows and columns inside of a tap.
template <class Axes>
void pack_kernel(const GemmKernels& gemm, int type, const View& w, const ptrdiff_t* kernel,
                 const Axes& axes, ptrdiff_t groups, ptrdiff_t w_group, ptrdiff_t k,
                 ptrdiff_t w_row, ptrdiff_t n, ptrdiff_t w_col, ptrdiff_t w_tap, char* panels,
                 ptrdiff_t group_bytes) {
  const ptrdiff_t item = item_size(w.dtype);
  GemmArgs g{};
  g.b_row = w_row, g.b_col = w_col, g.n = n, g.panel = gemm.blocks[type].nr;
  const ptrdiff_t all = axes[0].taps * axes[1].taps * axes[2].taps * k;
  const ptrdiff_t count = ceil_div(n, g.panel);
  g.pack_step = all * g.panel;
  // taps that follow each other in the kernel are one tall matrix
  const bool merged = w_tap == k * w_row && axes[0].step_w == 1;
  const ptrdiff_t rows = merged ? all : k;
  g.k = rows;
  for (ptrdiff_t group = 0; group < groups; ++group) {
    g.panels = panels + group * group_bytes;
    for (ptrdiff_t first = 0; first < all; first += rows) {
      ptrdiff_t rest = first / k, tap = 0, step = w_tap;
      for (int i = 2; i >= 0; --i) {
        tap += (axes[i].start_w + rest % axes[i].taps * axes[i].step_w) * step;
        rest /= axes[i].taps;
        step *= kernel[i];
      }
      g.b = advance(w.data, (group * w_group + tap) * item);
      g.pack_first = first;
      launch(gemm.pack[type], g, count, product_grain(double(rows) * double(g.panel), count));
    }
  }
}

// Cuts y into blocks and computes them.
void launch_conv(ConvArgs& a, int type, ptrdiff_t groups) {
  if (a.pixels < kShortRow && a.rows[0] > a.pixels) {  // tiles run along the images instead
    std::swap(a.pixels, a.rows[0]);
    std::swap(a.x_pixel, a.x_rows[0]);
    std::swap(a.y_pixel, a.y_rows[0]);
  }
  const ptrdiff_t rows = product(a.rows), pixels = rows * a.pixels;
  if (pixels == 0) return;
  const double work =
      double(pixels) * double(a.n) * double(std::max<ptrdiff_t>(1, product(a.taps) * a.k));
  const double total = work * double(groups),
               wanted = std::min(double(kMostItems), total / kItemWork);
  a.pixel_blocks = ceil_div(a.pixels, kItemPixels);
  a.row_blocks = ceil_div(rows, std::max<ptrdiff_t>(1, kItemPixels / a.pixels));
  const ptrdiff_t blocks = a.row_blocks * a.pixel_blocks * groups;
  a.col_blocks = std::clamp<ptrdiff_t>(ptrdiff_t(wanted) / blocks, 1, ceil_div(a.n, a.panel));
  const ptrdiff_t items = blocks * a.col_blocks;
  launch(kernels().conv.conv[type], a, items,
         total <= 2 * kThreadWork ? items : product_grain(total / double(items), items));
}

void set_zero(const View& y) {
  static double zero = 0;
  View x = y;
  x.data = reinterpret_cast<char*>(&zero);
  std::fill_n(x.strides, x.ndim, 0);
  copy(x, y);
}

// y = conv(x), or dx = its gradient: `x` and `y` are what is read and written.
void multiply(const ConvShape& s, bool gradient, const View& x, const View& w, const View& y,
              const Epilogue& epilogue) {
  if (y.size() == 0) return;
  const GemmKernels& gemm = kernels().gemm;
  const int type = float_index(y.dtype);
  const ptrdiff_t item = item_size(y.dtype);
  const ptrdiff_t in_group = s.channels / s.groups, out_group = s.filters / s.groups;
  const ptrdiff_t k = gradient ? out_group : in_group, n = gradient ? in_group : out_group;
  const ptrdiff_t x_channels = k * s.groups, y_channels = n * s.groups;
  const ptrdiff_t *x_lengths = gradient ? s.out : s.in, *y_lengths = gradient ? s.in : s.out;
  const ptrdiff_t w_tap = in_group * s.filters, kc = gemm.blocks[type].kc;
  const ptrdiff_t w_row = gradient ? 1 : s.filters, w_col = gradient ? s.filters : 1;

  const Walks walks = walks_of(s, gradient);
  if (!walks.whole) set_zero(y);
  Frames frames = frames_of(x, s.images, x_lengths, x_channels, walks);
  const Steps y_steps(y_lengths, y_channels);
  const ptrdiff_t lanes = gemm.lanes[type], width = ceil_div(n, lanes) * lanes;
  std::vector<ptrdiff_t> panels_at;
  ptrdiff_t bytes = 0;
  for (const auto& axes : walks.each) {
    panels_at.push_back(bytes);
    const ptrdiff_t taps = axes[0].taps * axes[1].taps * axes[2].taps;
    bytes += ceil_div(s.groups * taps * k * width * item, 64) * 64;
  }
  const Scratch<char> panels(bytes);
  for (ptrdiff_t image = 0; image < s.images; image += frames.pass) {
    const ptrdiff_t images = std::min(frames.pass, s.images - image);
    const char* from = frames.fill(image, images);
    for (size_t i = 0; i < walks.each.size(); ++i) {
      const auto& axes = walks.each[i];
      ConvArgs a{};
      const Origin origin = set_walk(a, images, axes, frames.strides, y_steps.at);
      const ptrdiff_t taps = product(a.taps);
      a.group_b = taps * k * width;
      char* const b = panels.get() + panels_at[i];
      if (image == 0)
        pack_kernel(gemm, type, w, s.kernel, axes, s.groups, gradient ? out_group : n, k, w_row, n,
                    w_col, w_tap, b, a.group_b * item);
      a.b = b;
      a.x = from + origin.x * item;
      a.y = y.data + (image * y_steps.at[0] + origin.y) * item;
      a.bias = epilogue.bias;
      a.multiply = gemm.panel[type];
      a.k = k, a.n = n, a.panel = gemm.blocks[type].nr;
      a.group_x = k;
      // neighbouring taps of all channels are one longer run
      if (axes[2].tap_x == 1 && s.groups == 1 && a.taps[2] * k <= kc)
        a.k *= a.taps[2], a.taps[2] = 1;
      a.tap_block = std::clamp<ptrdiff_t>(kc / std::max<ptrdiff_t>(1, a.k), 1, kConvTaps);
      a.activation = epilogue.activation;
      std::copy_n(epilogue.params, kMaxParams, a.params);
      launch_conv(a, type, s.groups);
    }
  }
}

// A convolution that is one matrix product: each pixel by itself.
bool is_product(const ConvShape& s) {
  bool plain = s.groups == 1;
  for (int i = 0; i < kSpatialAxes; ++i)
    plain =
        plain && s.kernel[i] == 1 && s.stride[i] == 1 && s.before[i] == 0 && s.in[i] == s.out[i];
  return plain;
}

View matrix(const View& v, ptrdiff_t rows, ptrdiff_t cols, bool transposed = false) {
  View m;
  m.data = v.data, m.dtype = v.dtype, m.ndim = 2;
  m.shape[transposed] = rows, m.shape[!transposed] = cols;
  m.strides[transposed] = cols, m.strides[!transposed] = 1;
  return m;
}

// Segments of the pixels of a pass, each of which sums into `partial_bytes`.
ptrdiff_t segments_of(const ConvWalk& w, ptrdiff_t partial_bytes) {
  const ptrdiff_t by_memory = kPartialBytes / std::max<ptrdiff_t>(1, partial_bytes);
  const ptrdiff_t by_work = pixels_of(w) / kSegmentPixels;
  return std::clamp<ptrdiff_t>(std::min(by_memory, by_work), 1,
                               std::min(kSegments, std::max<ptrdiff_t>(1, product(w.rows))));
}

// dw += partials, a tree.
void combine(const View& dw, void* partials, ptrdiff_t segments, ptrdiff_t rows, ptrdiff_t cols) {
  if (segments == 1) return;
  GemmArgs g{};
  g.c = dw.data, g.c_row = cols, g.m = rows, g.n = cols;
  g.partials = partials, g.partial_size = rows * cols;
  g.segments = segments;
  const ptrdiff_t row = segments * cols;
  launch(kernels().gemm.combine[float_index(dw.dtype)], g, rows,
         std::max<ptrdiff_t>(1, kCheapElements / std::max<ptrdiff_t>(1, row)));
}

void depthwise(const ConvShape& s, bool gradient, const View& x, const View& w, const View& y) {
  if (y.size() == 0) return;
  const ptrdiff_t item = item_size(y.dtype);
  const Walks walks = walks_of(s, gradient);
  if (!walks.whole) set_zero(y);
  Frames frames = frames_of(x, s.images, gradient ? s.out : s.in, s.channels, walks);
  const Steps y_steps(gradient ? s.in : s.out, s.channels), w_steps(s.kernel, s.channels);
  for (ptrdiff_t image = 0; image < s.images; image += frames.pass) {
    const ptrdiff_t images = std::min(frames.pass, s.images - image);
    const char* from = frames.fill(image, images);
    for (const auto& axes : walks.each) {
      DepthwiseArgs a{};
      const Origin origin = set_walk(a, images, axes, frames.strides, y_steps.at);
      ptrdiff_t w_origin = 0;
      for (int i = 0; i < kSpatialAxes; ++i) {
        a.w_taps[i] = axes[i].step_w * w_steps.at[i + 1];
        w_origin += axes[i].start_w * w_steps.at[i + 1];
      }
      a.x = from + origin.x * item;
      a.w = w.data + w_origin * item;
      a.y = y.data + (image * y_steps.at[0] + origin.y) * item;
      a.channels = s.channels;
      const ptrdiff_t rows = product(a.rows);
      const double work = double(a.pixels) * double(s.channels) * double(product(a.taps) + 1);
      launch(kernels().conv.depthwise[float_index(y.dtype)], a, rows, product_grain(work, rows));
    }
  }
}

}  // namespace

void conv(const ConvShape& s, const View& x, const View& w, const View& y,
          const Epilogue& epilogue) {
  if (!is_product(s)) return multiply(s, false, x, w, y, epilogue);
  const ptrdiff_t pixels = s.images * product(s.in);
  matmul(matrix(x, pixels, s.channels), matrix(w, s.channels, s.filters),
         matrix(y, pixels, s.filters), epilogue);
}

void conv_input_grad(const ConvShape& s, const View& g, const View& w, const View& dx) {
  if (!is_product(s)) return multiply(s, true, g, w, dx, {});
  const ptrdiff_t pixels = s.images * product(s.in);
  matmul(matrix(g, pixels, s.filters), matrix(w, s.channels, s.filters, true),
         matrix(dx, pixels, s.channels));
}

void conv_kernel_grad(const ConvShape& s, const View& x, const View& g, const View& dw) {
  if (dw.size() == 0) return;
  const ptrdiff_t item = item_size(dw.dtype);
  if (g.size() == 0) return set_zero(dw);
  if (is_product(s)) {
    const ptrdiff_t pixels = s.images * product(s.in);
    return matmul(matrix(x, pixels, s.channels, true), matrix(g, pixels, s.filters),
                  matrix(dw, s.channels, s.filters));
  }
  const GemmKernels& gemm = kernels().gemm;
  const int type = float_index(dw.dtype);
  const Walks walks = walks_of(s, false);
  Frames frames = frames_of(x, s.images, s.in, s.channels, walks);
  const Steps g_steps(s.out, s.filters);
  std::optional<Scratch<char>> partials;
  const ptrdiff_t taps_and_channels = dw.size() / s.filters;
  View w;  // what is summed: dw, or its transpose
  ConvWeightsArgs a{};
  for (ptrdiff_t image = 0; image < s.images; image += frames.pass) {
    const ptrdiff_t images = std::min(frames.pass, s.images - image);
    const char* from = frames.fill(image, images);
    const Origin origin = set_walk(a, images, walks.each[0], frames.strides, g_steps.at);
    a.k = s.channels / s.groups, a.n = s.filters / s.groups, a.groups = s.groups;
    if (walks.each[0][2].tap_x == 1 && s.groups == 1) a.k *= a.taps[2], a.taps[2] = 1;
    a.transposed = s.groups == 1 && a.n <= gemm.lanes[type] && a.k % gemm.lanes[type] == 0;
    if (image == 0) {
      a.segments = segments_of(a, dw.size() * item);
      partials.emplace((a.segments - !a.transposed) * dw.size() * item);
    }
    a.accumulate = image > 0;
    a.x = from + origin.x * item;
    a.y = g.data + image * g_steps.at[0] * item;
    w = a.transposed ? matrix(dw, s.filters, taps_and_channels) : dw;
    if (a.transposed) w.data = partials->get();
    a.w = w.data;
    a.partials = partials->get() + (a.transposed ? dw.size() * item : 0);
    a.partial_size = dw.size();
    a.multiply = gemm.panel[type];
    a.panel = gemm.blocks[type].nr, a.w_row = s.filters;
    if (a.transposed) a.panel = gemm.lanes[type] * (a.n < 3 ? 8 : 4), a.w_row = taps_and_channels;
    a.in_place = a.n % gemm.lanes[type] == 0 && s.filters * item <= kInPlaceBytes && a.k >= 48;
    const ptrdiff_t taps = product(a.taps);
    const double total = double(pixels_of(a)) * double(dw.size());
    const ptrdiff_t wanted =
        ptrdiff_t(std::min(double(kMostItems), total / kItemWork)) / (a.segments * s.groups);
    // a block of taps has rows enough to pay for packing g
    a.tap_blocks =
        std::clamp<ptrdiff_t>(wanted, 1, std::clamp<ptrdiff_t>(taps * a.k / 48, 1, taps));
    a.col_blocks =
        a.transposed ? 1 : std::clamp<ptrdiff_t>(wanted / a.tap_blocks, 1, ceil_div(a.n, a.panel));
    const ptrdiff_t items = a.segments * s.groups * a.tap_blocks * a.col_blocks;
    launch(kernels().conv.conv_weights[type], a, items,
           product_grain(total / double(items), items));
  }
  combine(w, a.partials, a.segments, dw.size() / a.w_row, a.w_row);
  if (a.transposed)
    copy(matrix(w, s.filters, taps_and_channels, true), matrix(dw, taps_and_channels, s.filters));
}

void depthwise_conv(const ConvShape& s, const View& x, const View& w, const View& y) {
  depthwise(s, false, x, w, y);
}

void depthwise_conv_input_grad(const ConvShape& s, const View& g, const View& w, const View& dx) {
  depthwise(s, true, g, w, dx);
}

void depthwise_conv_kernel_grad(const ConvShape& s, const View& x, const View& g, const View& dw) {
  if (dw.size() == 0) return;
  const ptrdiff_t item = item_size(dw.dtype);
  if (g.size() == 0) return set_zero(dw);
  const Walks walks = walks_of(s, false);
  Frames frames = frames_of(x, s.images, s.in, s.channels, walks);
  const Steps g_steps(s.out, s.channels);
  std::optional<Scratch<char>> partials;
  DepthwiseArgs a{};
  for (ptrdiff_t image = 0; image < s.images; image += frames.pass) {
    const ptrdiff_t images = std::min(frames.pass, s.images - image);
    const char* from = frames.fill(image, images);
    const Origin origin = set_walk(a, images, walks.each[0], frames.strides, g_steps.at);
    if (image == 0) {
      a.segments = segments_of(a, dw.size() * item);
      partials.emplace((a.segments - 1) * dw.size() * item);
    }
    a.accumulate = image > 0;
    a.x = from + origin.x * item;
    a.y = g.data + image * g_steps.at[0] * item;
    a.w = dw.data;
    a.partials = partials->get();
    a.channels = s.channels;
    const ptrdiff_t blocks = ceil_div(s.channels * item, kDepthwiseBytes);
    const double work = double(pixels_of(a)) * double(dw.size());
    launch(kernels().conv.depthwise_weights[float_index(dw.dtype)], a, a.segments * blocks,
           product_grain(4 * work / double(a.segments * blocks), a.segments * blocks));
  }
  combine(dw, partials->get(), a.segments, dw.size() / s.channels, s.channels);
}

namespace {

void launch_pool(const ConvShape& s, RangeFn fn, bool gradient, PoolArgs a, const View& out) {
  if (out.size() == 0) return;
  std::copy_n(s.in, kSpatialAxes, a.in);
  std::copy_n(s.out, kSpatialAxes, a.out_lengths);
  std::copy_n(s.kernel, kSpatialAxes, a.window);
  std::copy_n(s.stride, kSpatialAxes, a.stride);
  std::copy_n(s.before, kSpatialAxes, a.before);
  a.channels = s.channels;
  a.out = out.data;
  while (a.cut < kSpatialAxes - 1 && a.in[a.cut] == 1 && a.out_lengths[a.cut] == 1) ++a.cut;
  a.whole = gradient && a.window[a.cut] > a.stride[a.cut];
  const ptrdiff_t items = s.images * (a.whole ? 1 : a.out_lengths[a.cut]);
  const double work =
      double(s.images) * double(product(s.out)) * double(product(s.kernel)) * double(s.channels);
  launch(fn, a, items, product_grain(4 * work / double(std::max<ptrdiff_t>(1, items)), items));
}

}  // namespace

void pool(const ConvShape& s, bool max, const View& x, const View& y) {
  PoolArgs a{};
  a.x = x.data;
  const PoolKernels& k = kernels().pool;
  launch_pool(s, (max ? k.max : k.average)[float_index(x.dtype)], false, a, y);
}

void max_pool_grad(const ConvShape& s, const View& g, const View& x, const View& y,
                   const View& dx) {
  PoolArgs a{};
  a.x = x.data, a.y = y.data, a.g = g.data;
  launch_pool(s, kernels().pool.max_grad[float_index(g.dtype)], true, a, dx);
}

void average_pool_grad(const ConvShape& s, const View& g, const View& dx) {
  PoolArgs a{};
  a.g = g.data;
  launch_pool(s, kernels().pool.average_grad[float_index(g.dtype)], true, a, dx);
}

}  // namespace pydl
