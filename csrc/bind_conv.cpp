// Convolution and pooling from Python.
//
// The callers in pydl/ops/convolution.py check shapes and write the messages for users; what is
// checked here keeps a wrong call from touching memory.
#include <algorithm>
#include <cmath>
#include <vector>

#include "bind_input.h"
#include "runtime/conv.h"

namespace py = pybind11;

namespace pydl {
namespace {

using Sizes = std::vector<ptrdiff_t>;

// A number for each spatial axis, the last ones of `to`; the others stay.
void set_axes(const char* who, const Sizes& from, int axes, ptrdiff_t least, ptrdiff_t* to) {
  if (int(from.size()) != axes) fail(who, "needs one number for each spatial axis");
  for (int i = 0; i < axes; ++i) {
    if (from[i] < least) fail(who, "a number is too small");
    to[kSpatialAxes - axes + i] = from[i];
  }
}

// What does not come from the arrays: strides, dilation and pixels before the first.
ConvShape geometry(const char* who, int ndim, const Sizes& strides, const Sizes& dilation,
                   const Sizes& before) {
  const int axes = ndim - 2;
  if (axes < 1 || axes > kSpatialAxes) fail(who, "needs 1, 2 or 3 spatial axes");
  ConvShape s{};
  for (int i = 0; i < kSpatialAxes; ++i) {
    s.in[i] = s.out[i] = s.kernel[i] = s.stride[i] = s.dilation[i] = 1;
    s.before[i] = 0;
  }
  set_axes(who, strides, axes, 1, s.stride);
  set_axes(who, dilation, axes, 1, s.dilation);
  set_axes(who, before, axes, PTRDIFF_MIN, s.before);
  return s;
}

Sizes spatial(const View& v, int first) {
  return Sizes(v.shape + first, v.shape + first + (v.ndim - 2));
}

// Channels, filters and groups from a kernel (..., channels / groups, filters).
void set_channels(const char* who, ConvShape& s, const View& w, ptrdiff_t groups) {
  if (groups < 1) fail(who, "needs a group or more");
  s.groups = groups;
  s.channels = w.shape[w.ndim - 2] * groups;
  s.filters = w.shape[w.ndim - 1];
  if (s.filters % groups) fail(who, "filters must be a multiple of groups");
}

py::object new_images(const View& like, ptrdiff_t images, const Sizes& lengths, ptrdiff_t channels,
                      View& y) {
  Sizes shape{images};
  shape.insert(shape.end(), lengths.begin(), lengths.end());
  shape.push_back(channels);
  return new_array(like.dtype, int(shape.size()), shape.data(), y);
}

// Refuses a geometry whose positions could leave 64 bits.
void require_range(const char* who, const ConvShape& s) {
  for (int i = 0; i < kSpatialAxes; ++i) {
    const double x = double(s.in[i]) + double(s.out[i]) * double(s.stride[i]) +
                     double(s.kernel[i]) * double(s.dilation[i]) + std::abs(double(s.before[i]));
    if (x > 0x1p61) fail(who, "a number is too large");
  }
}

double work_of(const ConvShape& s) {
  double work = double(s.images) * double(s.filters) * double(s.channels) / double(s.groups);
  for (int i = 0; i < kSpatialAxes; ++i) work *= double(s.out[i]) * double(s.kernel[i]);
  return work;
}

void bind_convolution(py::module_& m) {
  // act(conv(x, w) + bias), `lengths` pixels on each axis; act the unary op of that index
  m.def(
      "conv",
      [](py::handle x_object, py::handle w_object, py::handle bias, const Sizes& lengths,
         const Sizes& strides, const Sizes& dilation, const Sizes& before, int activation,
         py::handle params) {
        const char* who = "conv";
        const Input x = floats(who, x_object), w = floats(who, w_object, x.get());
        ConvShape s = geometry(who, x->ndim, strides, dilation, before);
        const ptrdiff_t channels = x->shape[x->ndim - 1];
        if (w->ndim != x->ndim || w->shape[w->ndim - 2] < 1 || channels % w->shape[w->ndim - 2])
          fail(who, "the kernel does not fit");
        set_channels(who, s, w, std::max<ptrdiff_t>(1, channels / w->shape[w->ndim - 2]));
        if (s.channels != channels) fail(who, "the kernel does not fit");
        s.images = x->shape[0];
        set_axes(who, spatial(x, 1), x->ndim - 2, 0, s.in);
        set_axes(who, spatial(w, 0), x->ndim - 2, 1, s.kernel);
        set_axes(who, lengths, x->ndim - 2, 0, s.out);
        require_range(who, s);
        const Epilogue epilogue = epilogue_of(who, bias, x->dtype, s.filters, activation, params);
        View y;
        py::object result = new_images(x, s.images, lengths, s.filters, y);
        without_gil(work_of(s), [&] { conv(s, x, w, y, epilogue); });
        return result;
      },
      py::arg("x"), py::arg("w"), py::arg("bias").none(true), py::arg("lengths"),
      py::arg("strides"), py::arg("dilation"), py::arg("before"), py::arg("activation") = -1,
      py::arg("params") = py::tuple());

  // of sum(g conv(x, w)) for x, `lengths` pixels on each axis
  m.def(
      "conv_input_grad",
      [](py::handle g_object, py::handle w_object, const Sizes& lengths, const Sizes& strides,
         const Sizes& dilation, const Sizes& before, ptrdiff_t groups) {
        const char* who = "conv_input_grad";
        const Input g = floats(who, g_object), w = floats(who, w_object, g.get());
        ConvShape s = geometry(who, g->ndim, strides, dilation, before);
        if (w->ndim != g->ndim) fail(who, "the kernel does not fit");
        set_channels(who, s, w, groups);
        if (s.filters != g->shape[g->ndim - 1]) fail(who, "the kernel does not fit");
        s.images = g->shape[0];
        set_axes(who, lengths, g->ndim - 2, 0, s.in);
        set_axes(who, spatial(w, 0), g->ndim - 2, 1, s.kernel);
        set_axes(who, spatial(g, 1), g->ndim - 2, 0, s.out);
        require_range(who, s);
        View dx;
        py::object result = new_images(g, s.images, lengths, s.channels, dx);
        without_gil(work_of(s), [&] { conv_input_grad(s, g, w, dx); });
        return result;
      },
      py::arg("g"), py::arg("w"), py::arg("lengths"), py::arg("strides"), py::arg("dilation"),
      py::arg("before"), py::arg("groups"));

  // of sum(g conv(x, w)) for w, `lengths` taps on each axis
  m.def(
      "conv_kernel_grad",
      [](py::handle x_object, py::handle g_object, const Sizes& lengths, const Sizes& strides,
         const Sizes& dilation, const Sizes& before, ptrdiff_t groups) {
        const char* who = "conv_kernel_grad";
        const Input x = floats(who, x_object), g = floats(who, g_object, x.get());
        ConvShape s = geometry(who, x->ndim, strides, dilation, before);
        if (g->ndim != x->ndim || g->shape[0] != x->shape[0]) fail(who, "x and g do not fit");
        s.images = x->shape[0];
        s.groups = groups;
        s.channels = x->shape[x->ndim - 1];
        s.filters = g->shape[x->ndim - 1];
        if (groups < 1 || s.channels % groups || s.filters % groups)
          fail(who, "channels and filters must be multiples of groups");
        set_axes(who, spatial(x, 1), x->ndim - 2, 0, s.in);
        set_axes(who, lengths, x->ndim - 2, 1, s.kernel);
        set_axes(who, spatial(g, 1), x->ndim - 2, 0, s.out);
        require_range(who, s);
        Sizes shape = lengths;
        shape.insert(shape.end(), {s.channels / groups, s.filters});
        View dw;
        py::object result = new_array(x->dtype, x->ndim, shape.data(), dw);
        without_gil(work_of(s), [&] { conv_kernel_grad(s, x, g, dw); });
        return result;
      },
      py::arg("x"), py::arg("g"), py::arg("lengths"), py::arg("strides"), py::arg("dilation"),
      py::arg("before"), py::arg("groups"));
}

// The shape of a depthwise convolution: a kernel (..., channels).
ConvShape depthwise_shape(const char* who, const View& x, const Sizes& kernel, const Sizes& in,
                          const Sizes& out, const Sizes& strides, const Sizes& dilation,
                          const Sizes& before) {
  ConvShape s = geometry(who, x.ndim, strides, dilation, before);
  s.images = x.shape[0];
  s.channels = s.filters = s.groups = x.shape[x.ndim - 1];
  set_axes(who, in, x.ndim - 2, 0, s.in);
  set_axes(who, kernel, x.ndim - 2, 1, s.kernel);
  set_axes(who, out, x.ndim - 2, 0, s.out);
  require_range(who, s);
  return s;
}

void bind_depthwise(py::module_& m) {
  // as conv, conv_input_grad; a kernel (..., channels)
  for (const bool gradient : {false, true}) {
    const char* who = gradient ? "depthwise_conv_input_grad" : "depthwise_conv";
    m.def(
        who,
        [who, gradient](py::handle x_object, py::handle w_object, const Sizes& lengths,
                        const Sizes& strides, const Sizes& dilation, const Sizes& before) {
          const Input x = floats(who, x_object), w = floats(who, w_object, x.get());
          if (w->ndim != x->ndim - 1 || w->shape[w->ndim - 1] != x->shape[x->ndim - 1])
            fail(who, "the kernel does not fit");
          const Sizes kernel(w->shape, w->shape + w->ndim - 1), mine = spatial(x, 1);
          const ConvShape s = depthwise_shape(who, x, kernel, gradient ? lengths : mine,
                                              gradient ? mine : lengths, strides, dilation, before);
          View y;
          py::object result = new_images(x, s.images, lengths, s.channels, y);
          without_gil(work_of(s),
                      [&] { (gradient ? depthwise_conv_input_grad : depthwise_conv)(s, x, w, y); });
          return result;
        },
        py::arg("x"), py::arg("w"), py::arg("lengths"), py::arg("strides"), py::arg("dilation"),
        py::arg("before"));
  }
  m.def(
      "depthwise_conv_kernel_grad",
      [](py::handle x_object, py::handle g_object, const Sizes& lengths, const Sizes& strides,
         const Sizes& dilation, const Sizes& before) {
        const char* who = "depthwise_conv_kernel_grad";
        const Input x = floats(who, x_object), g = floats(who, g_object, x.get());
        if (g->ndim != x->ndim || g->shape[0] != x->shape[0] ||
            g->shape[g->ndim - 1] != x->shape[x->ndim - 1])
          fail(who, "x and g do not fit");
        const ConvShape s = depthwise_shape(who, x, lengths, spatial(x, 1), spatial(g, 1), strides,
                                            dilation, before);
        Sizes shape = lengths;
        shape.push_back(s.channels);
        View dw;
        py::object result = new_array(x->dtype, x->ndim - 1, shape.data(), dw);
        without_gil(work_of(s), [&] { depthwise_conv_kernel_grad(s, x, g, dw); });
        return result;
      },
      py::arg("x"), py::arg("g"), py::arg("lengths"), py::arg("strides"), py::arg("dilation"),
      py::arg("before"));
}

// The shape of a pooling of x, no window of which lies outside altogether.
ConvShape pool_shape(const char* who, const View& like, const Sizes& in, const Sizes& out,
                     const Sizes& window, const Sizes& strides, const Sizes& before) {
  ConvShape s = depthwise_shape(who, like, window, in, out, strides, Sizes(in.size(), 1), before);
  for (int i = 0; i < kSpatialAxes; ++i)
    if (s.before[i] < 0 || s.before[i] >= s.kernel[i] || s.out[i] < 1 ||
        (s.out[i] - 1) * s.stride[i] - s.before[i] >= s.in[i])
      fail(who, "a window lies outside");
  return s;
}

void bind_pooling(py::module_& m) {
  for (const bool max : {false, true}) {
    const char* who = max ? "max_pool" : "average_pool";
    m.def(
        who,
        [who, max](py::handle x_object, const Sizes& lengths, const Sizes& window,
                   const Sizes& strides, const Sizes& before) {
          const Input x = floats(who, x_object);
          if (x->ndim < 3) fail(who, "needs a spatial axis");
          const ConvShape s = pool_shape(who, x, spatial(x, 1), lengths, window, strides, before);
          View y;
          py::object result = new_images(x, s.images, lengths, s.channels, y);
          without_gil(work_of(s), [&] { pool(s, max, x, y); });
          return result;
        },
        py::arg("x"), py::arg("lengths"), py::arg("window"), py::arg("strides"), py::arg("before"));
  }
  m.def(
      "max_pool_backward",
      [](py::handle g_object, py::handle x_object, py::handle y_object, const Sizes& window,
         const Sizes& strides, const Sizes& before) {
        const char* who = "max_pool_backward";
        const Input x = floats(who, x_object), y = floats(who, y_object, x.get());
        const Input g = floats(who, g_object, x.get());
        if (x->ndim < 3 || y->ndim != x->ndim || g->ndim != x->ndim ||
            !std::equal(y->shape, y->shape + y->ndim, g->shape) || y->shape[0] != x->shape[0] ||
            y->shape[y->ndim - 1] != x->shape[x->ndim - 1])
          fail(who, "shapes differ");
        const ConvShape s =
            pool_shape(who, x, spatial(x, 1), spatial(y, 1), window, strides, before);
        View dx;
        py::object result = new_array(x->dtype, x->ndim, x->shape, dx);
        without_gil(work_of(s), [&] { max_pool_grad(s, g, x, y, dx); });
        return result;
      },
      py::arg("g"), py::arg("x"), py::arg("y"), py::arg("window"), py::arg("strides"),
      py::arg("before"));
  m.def(
      "average_pool_backward",
      [](py::handle g_object, const Sizes& lengths, const Sizes& window, const Sizes& strides,
         const Sizes& before) {
        const char* who = "average_pool_backward";
        const Input g = floats(who, g_object);
        if (g->ndim < 3) fail(who, "needs a spatial axis");
        const ConvShape s = pool_shape(who, g, lengths, spatial(g, 1), window, strides, before);
        View dx;
        py::object result = new_images(g, s.images, lengths, s.channels, dx);
        without_gil(work_of(s), [&] { average_pool_grad(s, g, dx); });
        return result;
      },
      py::arg("g"), py::arg("lengths"), py::arg("window"), py::arg("strides"), py::arg("before"));
}

}  // namespace

void bind_conv(py::module_& m) {
  bind_convolution(m);
  bind_depthwise(m);
  bind_pooling(m);
}

}  // namespace pydl
