// Pooling: windows of pixels, the channels in the lanes.
#include "kernels/pool.h"

#include "simd/vec.h"

namespace pydl::PYDL_ISA {
namespace {

// The part of a window that lies inside the image.
struct Window {
  ptrdiff_t first[kSpatialAxes], last[kSpatialAxes];  // [first, last) on each axis
  ptrdiff_t steps[kSpatialAxes];                      // of x, in elements
  ptrdiff_t pixels() const {
    return (last[0] - first[0]) * (last[1] - first[1]) * (last[2] - first[2]);
  }
  // f(offset) for its pixels in order
  template <class F>
  void for_each(F f) const {
    for (ptrdiff_t i = first[0]; i < last[0]; ++i)
      for (ptrdiff_t j = first[1]; j < last[1]; ++j) {
        ptrdiff_t at = i * steps[0] + j * steps[1] + first[2] * steps[2];
        for (ptrdiff_t k = first[2]; k < last[2]; ++k, at += steps[2]) f(at);
      }
  }
};

inline void clip(const PoolArgs& p, int axis, ptrdiff_t at, Window& w) {
  const ptrdiff_t first = at * p.stride[axis] - p.before[axis], last = first + p.window[axis];
  w.first[axis] = first < 0 ? 0 : first;
  w.last[axis] = last > p.in[axis] ? p.in[axis] : last;
}

inline ptrdiff_t product(const ptrdiff_t* n) { return n[0] * n[1] * n[2]; }

// f(window, pixel of y) for the pixels of an item; x and y start with the item's image.
template <class F>
inline void for_each_window(const PoolArgs& p, ptrdiff_t row, F f) {
  ptrdiff_t first[kSpatialAxes] = {}, last[kSpatialAxes];
  for (int axis = 0; axis < kSpatialAxes; ++axis) last[axis] = p.out_lengths[axis];
  if (!p.whole) first[p.cut] = row, last[p.cut] = row + 1;
  Window w;
  w.steps[2] = p.channels;
  w.steps[1] = p.in[2] * w.steps[2];
  w.steps[0] = p.in[1] * w.steps[1];
  for (ptrdiff_t i = first[0]; i < last[0]; ++i) {
    clip(p, 0, i, w);
    for (ptrdiff_t j = first[1]; j < last[1]; ++j) {
      clip(p, 1, j, w);
      for (ptrdiff_t k = first[2]; k < last[2]; ++k) {
        clip(p, 2, k, w);
        f(w, (i * p.out_lengths[1] + j) * p.out_lengths[2] + k);
      }
    }
  }
}

// f.operator()<NV>(c, lanes) for the channels: blocks of NV vectors, of which `lanes` of the last
// exist.
template <class T, class F>
inline void for_each_channels(ptrdiff_t channels, F f) {
  constexpr ptrdiff_t V = kLanes<T>;
  ptrdiff_t c = 0;
  for (; c + 4 * V <= channels; c += 4 * V) f.template operator()<4>(c, V);
  for (; c < channels; c += V) f.template operator()<1>(c, channels - c < V ? channels - c : V);
}

template <int NV, class T>
inline Vec<T> get(const T* p, int v, ptrdiff_t lanes) {
  return NV == 1 && lanes < kLanes<T> ? load_partial(p, lanes) : load(p + v * kLanes<T>);
}

template <int NV, class T>
inline void put(T* p, int v, Vec<T> x, ptrdiff_t lanes) {
  if (NV == 1 && lanes < kLanes<T>)
    store_partial(p, x, lanes);
  else
    store(p + v * kLanes<T>, x);
}

template <class T, bool kMax>
void pool(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& p = *static_cast<const PoolArgs*>(args);
  const ptrdiff_t rows = p.whole ? 1 : p.out_lengths[p.cut];
  for (ptrdiff_t item = begin; item < end; ++item) {
    const ptrdiff_t image = item / rows;
    const T* x = static_cast<const T*>(p.x) + image * product(p.in) * p.channels;
    T* y = static_cast<T*>(p.out) + image * product(p.out_lengths) * p.channels;
    for_each_window(p, item % rows, [&](const Window& w, ptrdiff_t pixel) {
      const T count = T(w.pixels());
      for_each_channels<T>(p.channels, [&]<int NV>(ptrdiff_t c, ptrdiff_t lanes) {
        Vec<T> acc[NV];
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) acc[v] = broadcast(kMax ? T(-__builtin_inf()) : T(0));
        w.for_each([&](ptrdiff_t at) {
#pragma GCC unroll 4
          for (int v = 0; v < NV; ++v) {
            const Vec<T> value = get<NV>(x + at + c, v, lanes);
            if constexpr (kMax)
              acc[v] = max(acc[v], value);
            else
              acc[v] += value;
          }
        });
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v)
          put<NV>(y + pixel * p.channels + c, v, kMax ? acc[v] : acc[v] / count, lanes);
      });
    });
  }
}

template <class T, bool kMax>
void pool_grad(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& p = *static_cast<const PoolArgs*>(args);
  const ptrdiff_t rows = p.whole ? 1 : p.out_lengths[p.cut];
  for (ptrdiff_t item = begin; item < end; ++item) {
    const ptrdiff_t image = item / rows, row = item % rows;
    const ptrdiff_t x_image = image * product(p.in) * p.channels;
    const ptrdiff_t y_image = image * product(p.out_lengths) * p.channels;
    const T* x = static_cast<const T*>(p.x) + (kMax ? x_image : 0);
    const T* y = static_cast<const T*>(p.y) + (kMax ? y_image : 0);
    const T* g = static_cast<const T*>(p.g) + y_image;
    T* dx = static_cast<T*>(p.out) + x_image;
    // the item's own rows of dx start from 0; the axes before `cut` have length 1
    ptrdiff_t row_size = p.channels, from = 0, to = p.in[p.cut];
    for (int axis = p.cut + 1; axis < kSpatialAxes; ++axis) row_size *= p.in[axis];
    if (row > 0) from = row * p.stride[p.cut] - p.before[p.cut];
    if (row + 1 < rows) to = (row + 1) * p.stride[p.cut] - p.before[p.cut];
    __builtin_memset(dx + from * row_size, 0, size_t((to - from) * row_size) * sizeof(T));
    for_each_window(p, row, [&](const Window& w, ptrdiff_t pixel) {
      const T count = T(w.pixels());
      for_each_channels<T>(p.channels, [&]<int NV>(ptrdiff_t c, ptrdiff_t lanes) {
        const ptrdiff_t out = pixel * p.channels + c;
        Vec<T> share[NV], most[NV];
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) {
          share[v] = get<NV>(g + out, v, lanes);
          if constexpr (kMax)
            most[v] = get<NV>(y + out, v, lanes);
          else
            share[v] /= count;
        }
        w.for_each([&](ptrdiff_t at) {
#pragma GCC unroll 4
          for (int v = 0; v < NV; ++v) {
            Vec<T> add = share[v];
            if constexpr (kMax) {  // to the first pixel that is the largest, or nan
              const Vec<T> value = get<NV>(x + at + c, v, lanes);
              const auto hit = (value == most[v]) | (value != value);
              add = select(hit, share[v], Vec<T>{});
              share[v] = select(hit, Vec<T>{}, share[v]);
            }
            T* const to = dx + at + c;
            put<NV>(to, v, get<NV>(to, v, lanes) + add, lanes);
          }
        });
      });
    });
  }
}

}  // namespace

extern constinit const PoolKernels pool_kernels = {
    .max = {pool<float, true>, pool<double, true>},
    .average = {pool<float, false>, pool<double, false>},
    .max_grad = {pool_grad<float, true>, pool_grad<double, true>},
    .average_grad = {pool_grad<float, false>, pool_grad<double, false>},
};

}  // namespace pydl::PYDL_ISA
