// Convolution: the matmul's tiles on patches that are never copied, and depthwise loops.
//
// An element of y is one chain over the taps and channels in order, like an element of a matmul.
#include "kernels/conv.h"

#include "kernels/transpose.h"

namespace pydl::PYDL_ISA {
namespace {

inline ptrdiff_t product(const ptrdiff_t* n) { return n[0] * n[1] * n[2]; }

// Where element i of a block of n[0] x n[1] x n[2] is, the last axis running fastest.
inline ptrdiff_t offset(const ptrdiff_t* n, const ptrdiff_t* strides, ptrdiff_t i) {
  ptrdiff_t at = 0;
  for (int axis = kSpatialAxes - 1; axis > 0; --axis) {
    at += i % n[axis] * strides[axis];
    i /= n[axis];
  }
  return at + i * strides[0];
}

// Splits an item's number into its parts, the last one first.
struct Parts {
  ptrdiff_t rest;
  ptrdiff_t next(ptrdiff_t count) {
    const ptrdiff_t at = rest % count;
    rest /= count;
    return at;
  }
};

void frame(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& f = *static_cast<const FrameArgs*>(args);
  const ptrdiff_t row = f.in[2] * f.pixel_bytes, before = f.before[2] * f.pixel_bytes;
  const ptrdiff_t out_row = f.out[2] * f.pixel_bytes;
  const ptrdiff_t most = min<ptrdiff_t>(row, out_row - before);
  for (ptrdiff_t item = begin; item < end; ++item) {
    Parts parts{item};
    const ptrdiff_t i = parts.next(f.out[1]) - f.before[1], j = parts.next(f.out[0]) - f.before[0];
    char* y = static_cast<char*>(f.y) + item * out_row;
    if (i < 0 || i >= f.in[1] || j < 0 || j >= f.in[0]) {
      __builtin_memset(y, 0, size_t(out_row));
      continue;
    }
    __builtin_memset(y, 0, size_t(before));
    const ptrdiff_t from = ((parts.rest * f.in[0] + j) * f.in[1] + i) * row;
    __builtin_memcpy(y + before, static_cast<const char*>(f.x) + from, size_t(most));
    __builtin_memset(y + before + most, 0, size_t(out_row - before - most));
  }
}

template <class T>
void conv(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& g = *static_cast<const ConvArgs*>(args);
  const ptrdiff_t rows = product(g.rows), taps = product(g.taps);
  const ptrdiff_t panels = ceil_div(g.n, g.panel);
  ptrdiff_t offsets[kConvTaps];
  for (ptrdiff_t item = begin; item < end; ++item) {
    Parts parts{item};
    const ptrdiff_t col = parts.next(g.col_blocks), pixel = parts.next(g.pixel_blocks);
    const ptrdiff_t row = parts.next(g.row_blocks), group = parts.rest;
    const ptrdiff_t j = panels * col / g.col_blocks * g.panel;
    const ptrdiff_t stop = min<ptrdiff_t>(g.n, panels * (col + 1) / g.col_blocks * g.panel);
    const ptrdiff_t first = g.pixels * pixel / g.pixel_blocks;
    const ptrdiff_t m = g.pixels * (pixel + 1) / g.pixel_blocks - first;
    const ptrdiff_t r0 = rows * row / g.row_blocks, r1 = rows * (row + 1) / g.row_blocks;
    const T* x = static_cast<const T*>(g.x) + first * g.x_pixel + group * g.group_x;
    const T* b = static_cast<const T*>(g.b) + group * g.group_b;
    T* y = static_cast<T*>(g.y) + first * g.y_pixel + group * g.n;
    const T* bias = g.bias ? static_cast<const T*>(g.bias) + group * g.n : nullptr;
    ptrdiff_t t = 0;
    do {
      const ptrdiff_t count = min<ptrdiff_t>(g.tap_block, taps - t);
      const bool last = t + count == taps;
      for (ptrdiff_t i = 0; i < count; ++i) offsets[i] = offset(g.taps, g.x_taps, t + i);
      for (ptrdiff_t at = j; at < stop; at += g.panel) {
        const ptrdiff_t cols = min<ptrdiff_t>(g.panel, stop - at), width = padded<T>(cols);
        for (ptrdiff_t r = r0; r < r1; ++r)
          g.multiply({.m = m,
                      .cols = cols,
                      .k = g.k,
                      .taps = count,
                      .offsets = offsets,
                      .a = x + offset(g.rows, g.x_rows, r),
                      .a_row = g.x_pixel,
                      .a_col = 1,
                      .b = b + at * taps * g.k + t * g.k * width,
                      .b_row = width,
                      .b_offsets = nullptr,
                      .c = y + offset(g.rows, g.y_rows, r) + at,
                      .c_row = g.y_pixel,
                      .bias = bias && last ? bias + at : nullptr,
                      .accumulate = t > 0});
      }
      t += count;
    } while (t < taps);
    if (!g.activation) continue;
    const ptrdiff_t n = stop - j, runs = n == g.y_pixel ? 1 : m;  // contiguous ones of a row
    for (ptrdiff_t r = r0; r < r1; ++r) {
      for (ptrdiff_t i = 0; i < runs; ++i) {
        char* run = reinterpret_cast<char*>(y + offset(g.rows, g.y_rows, r) + i * g.y_pixel + j);
        char* const p[] = {run, run};
        g.activation(m / runs * n, p, 0, g.params);
      }
    }
  }
}

// Pixels [first, first + count) of rows [r0, r1) of y, `cols` columns, one below the other.
template <class T>
void pack_pixels(T* to, const ConvWalk& g, const T* y, ptrdiff_t r0, ptrdiff_t r1, ptrdiff_t first,
                 ptrdiff_t count, ptrdiff_t cols) {
  for (ptrdiff_t r = r0; r < r1; ++r) {
    const T* from = y + offset(g.rows, g.y_rows, r) + first * g.y_pixel;
    for (ptrdiff_t i = 0; i < count; ++i, from += g.y_pixel)
      for (ptrdiff_t j = 0; j < cols; j += kLanes<T>, to += kLanes<T>)
        store(to, cols - j < kLanes<T> ? load_partial(from + j, cols - j) : load(from + j));
  }
}

template <class T>
void conv_weights(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& g = *static_cast<const ConvWeightsArgs*>(args);
  alignas(64) T packed[kGemmStackBytes / sizeof(T)];
  ptrdiff_t offsets[kConvTaps], y_offsets[kConvTaps];
  const ptrdiff_t rows = product(g.rows), taps = product(g.taps), panels = ceil_div(g.n, g.panel);
  const ptrdiff_t most =  // pixels at a time
      g.in_place || g.transposed ? kConvPixels : kGemmStackBytes / ptrdiff_t(sizeof(T)) / g.panel;
  const ptrdiff_t pieces = ceil_div(g.pixels, most);  // of a row
  const ptrdiff_t block = pieces > 1 ? 1 : min<ptrdiff_t>(kConvTaps, most / g.pixels);
  for (ptrdiff_t item = begin; item < end; ++item) {
    Parts parts{item};
    const ptrdiff_t col = parts.next(g.col_blocks), tap = parts.next(g.tap_blocks);
    const ptrdiff_t group = parts.next(g.groups), s = parts.rest;
    const ptrdiff_t j = panels * col / g.col_blocks * g.panel;
    const ptrdiff_t stop = min<ptrdiff_t>(g.n, panels * (col + 1) / g.col_blocks * g.panel);
    const ptrdiff_t t0 = taps * tap / g.tap_blocks, t1 = taps * (tap + 1) / g.tap_blocks;
    const T* x = static_cast<const T*>(g.x) + group * g.k;
    const T* y = static_cast<const T*>(g.y) + group * g.n;
    T* w = (s > 0 ? static_cast<T*>(g.partials) + (s - 1) * g.partial_size : static_cast<T*>(g.w)) +
           group * g.n;
    bool accumulate = g.accumulate;
    const ptrdiff_t end_row = rows * (s + 1) / g.segments;
    for (ptrdiff_t r = rows * s / g.segments, count; r < end_row; r += count) {
      count = min<ptrdiff_t>(block, end_row - r);
      for (ptrdiff_t i = 0; i < count; ++i) {
        offsets[i] = offset(g.rows, g.x_rows, r + i);
        y_offsets[i] = offset(g.rows, g.y_rows, r + i);
      }
      for (ptrdiff_t piece = 0; piece < pieces; ++piece) {
        const ptrdiff_t first = g.pixels * piece / pieces;
        const ptrdiff_t pixels = g.pixels * (piece + 1) / pieces - first;
        for (ptrdiff_t t = t0; g.transposed && t < t1; ++t)
          for (ptrdiff_t at = 0; at < g.k; at += g.panel)
            g.multiply({.m = g.n,
                        .cols = min<ptrdiff_t>(g.panel, g.k - at),
                        .k = pixels,
                        .taps = count,
                        .offsets = y_offsets,
                        .a = y + first * g.y_pixel,
                        .a_row = 1,
                        .a_col = g.y_pixel,
                        .b = x + offset(g.taps, g.x_taps, t) + first * g.x_pixel + at,
                        .b_row = g.x_pixel,
                        .b_offsets = offsets,
                        .c = w + t * g.k + at,
                        .c_row = g.w_row,
                        .bias = nullptr,
                        .accumulate = accumulate});
        for (ptrdiff_t at = j; !g.transposed && at < stop; at += g.panel) {
          const ptrdiff_t cols = min<ptrdiff_t>(g.panel, stop - at);
          const T* b = packed;
          if (g.in_place)
            b = y + at + offset(g.rows, g.y_rows, r) + first * g.y_pixel;
          else
            pack_pixels(packed, g, y + at, r, r + count, first, pixels, cols);
          for (ptrdiff_t t = t0; t < t1; ++t)
            g.multiply({.m = g.k,
                        .cols = cols,
                        .k = pixels,
                        .taps = count,
                        .offsets = offsets,
                        .a = x + offset(g.taps, g.x_taps, t) + first * g.x_pixel,
                        .a_row = 1,
                        .a_col = g.x_pixel,
                        .b = b,
                        .b_row = g.in_place ? g.y_pixel : padded<T>(cols),
                        .b_offsets = nullptr,
                        .c = w + t * g.k * g.w_row + at,
                        .c_row = g.w_row,
                        .bias = nullptr,
                        .accumulate = accumulate});
        }
        accumulate = true;
      }
    }
  }
}

// ---- depthwise ---------------------------------------------------------------------------------

// y of PX pixels and NV vectors of channels; `lanes` of the last vector exist.
template <class T, int PX, int NV>
inline void depthwise_tile(const DepthwiseArgs& g, const T* x, const T* w, T* y, ptrdiff_t lanes) {
  constexpr ptrdiff_t V = kLanes<T>;
  const auto at = [lanes](const T* p, int v) {
    return NV == 1 && lanes < V ? load_partial(p, lanes) : load(p + v * V);
  };
  Vec<T> acc[PX][NV] = {};
  for (ptrdiff_t t0 = 0; t0 < g.taps[0]; ++t0) {
    for (ptrdiff_t t1 = 0; t1 < g.taps[1]; ++t1) {
      const T* x_at = x + t0 * g.x_taps[0] + t1 * g.x_taps[1];
      const T* w_at = w + t0 * g.w_taps[0] + t1 * g.w_taps[1];
      for (ptrdiff_t t2 = 0; t2 < g.taps[2]; ++t2, x_at += g.x_taps[2], w_at += g.w_taps[2]) {
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) {
          const Vec<T> weight = at(w_at, v);
#pragma GCC unroll 4
          for (int i = 0; i < PX; ++i)
            acc[i][v] = fma(at(x_at + i * g.x_pixel, v), weight, acc[i][v]);
        }
      }
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < PX; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      if (NV == 1 && lanes < V)
        store_partial(y + i * g.y_pixel, acc[i][v], lanes);
      else
        store(y + i * g.y_pixel + v * V, acc[i][v]);
    }
  }
}

template <class T, int NV>
void depthwise_row(const DepthwiseArgs& g, const T* x, const T* w, T* y, ptrdiff_t lanes) {
  ptrdiff_t i = 0;
  for (; i + 4 <= g.pixels; i += 4)
    depthwise_tile<T, 4, NV>(g, x + i * g.x_pixel, w, y + i * g.y_pixel, lanes);
  for (; i < g.pixels; ++i)
    depthwise_tile<T, 1, NV>(g, x + i * g.x_pixel, w, y + i * g.y_pixel, lanes);
}

template <class T>
void depthwise(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& g = *static_cast<const DepthwiseArgs*>(args);
  constexpr ptrdiff_t V = kLanes<T>;
  for (ptrdiff_t r = begin; r < end; ++r) {
    const T* x = static_cast<const T*>(g.x) + offset(g.rows, g.x_rows, r);
    const T* w = static_cast<const T*>(g.w);
    T* y = static_cast<T*>(g.y) + offset(g.rows, g.y_rows, r);
    ptrdiff_t c = 0;
    for (; c + 2 * V <= g.channels; c += 2 * V) depthwise_row<T, 2>(g, x + c, w + c, y + c, V);
    for (; c < g.channels; c += V)
      depthwise_row<T, 1>(g, x + c, w + c, y + c, min<ptrdiff_t>(V, g.channels - c));
  }
}

// w (+)= sum over the pixels of rows [r0, r1) of x y, NV vectors of channels of one tap.
template <class T, int NV>
void depthwise_tap(const DepthwiseArgs& g, const T* x, const T* y, T* w, ptrdiff_t r0, ptrdiff_t r1,
                   ptrdiff_t lanes, bool accumulate) {
  constexpr ptrdiff_t V = kLanes<T>;
  const bool ragged = NV == 1 && lanes < V;
  const auto at = [=](const T* p, int v) {
    return ragged ? load_partial(p, lanes) : load(p + v * V);
  };
  Vec<T> acc[NV] = {};
  for (int v = 0; accumulate && v < NV; ++v) acc[v] = at(w, v);
  for (ptrdiff_t r = r0; r < r1; ++r) {
    const T* x_at = x + offset(g.rows, g.x_rows, r);
    const T* y_at = y + offset(g.rows, g.y_rows, r);
    for (ptrdiff_t i = 0; i < g.pixels; ++i, x_at += g.x_pixel, y_at += g.y_pixel) {
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) acc[v] = fma(at(x_at, v), at(y_at, v), acc[v]);
    }
  }
  for (int v = 0; v < NV; ++v) {
    if (ragged)
      store_partial(w, acc[v], lanes);
    else
      store(w + v * V, acc[v]);
  }
}

template <class T>
void depthwise_weights(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& g = *static_cast<const DepthwiseArgs*>(args);
  constexpr ptrdiff_t V = kLanes<T>, kBlock = kDepthwiseBytes / sizeof(T), kVectors = kBlock / V;
  const ptrdiff_t rows = product(g.rows), taps = product(g.taps);
  const ptrdiff_t blocks = ceil_div(g.channels, kBlock);
  for (ptrdiff_t item = begin; item < end; ++item) {
    const ptrdiff_t s = item / blocks, first = item % blocks * kBlock;
    const ptrdiff_t stop = min<ptrdiff_t>(g.channels, first + kBlock);
    const ptrdiff_t end_row = rows * (s + 1) / g.segments;
    const T* x = static_cast<const T*>(g.x);
    const T* y = static_cast<const T*>(g.y);
    T* w = s > 0 ? static_cast<T*>(g.partials) + (s - 1) * taps * g.channels : static_cast<T*>(g.w);
    // a row at a time for all taps, so that x and y are read from cache
    for (ptrdiff_t r = rows * s / g.segments, next; r < end_row; r = next) {
      next = r + 1;
      const bool accumulate = g.accumulate || r > rows * s / g.segments;
      for (ptrdiff_t t = 0; t < taps; ++t) {
        const T* x_at = x + offset(g.taps, g.x_taps, t);
        T* w_at = w + t * g.channels;
        if (stop - first == kBlock) {
          depthwise_tap<T, int(kVectors)>(g, x_at + first, y + first, w_at + first, r, next, V,
                                          accumulate);
        } else {
          for (ptrdiff_t c = first; c < stop; c += V)
            depthwise_tap<T, 1>(g, x_at + c, y + c, w_at + c, r, next, min<ptrdiff_t>(V, stop - c),
                                accumulate);
        }
      }
    }
  }
}

}  // namespace

extern constinit const ConvKernels conv_kernels = {
    .frame = frame,
    .conv = {conv<float>, conv<double>},
    .conv_weights = {conv_weights<float>, conv_weights<double>},
    .depthwise = {depthwise<float>, depthwise<double>},
    .depthwise_weights = {depthwise_weights<float>, depthwise_weights<double>},
};

}  // namespace pydl::PYDL_ISA
