// Operands of kernels that want contiguous arrays.
#pragma once

#include <pybind11/stl.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "bindings.h"
#include "kernels/elementwise.h"
#include "runtime/dispatch.h"
#include "runtime/elementwise.h"
#include "runtime/gemm_driver.h"
#include "runtime/shape.h"

namespace pydl {

// An array as kernels want it: C-contiguous, a copy if need be.
class Input {
 public:
  Input(const char* who, pybind11::handle object) : view_(require_view(who, object)) {
    if (is_c_contiguous(view_)) return;
    const View source = view_;
    copy_ = new_array(source.dtype, source.ndim, source.shape, view_, who);
    if (source.size()) copy(source, view_);
  }
  operator const View&() const { return view_; }
  const View* operator->() const { return &view_; }
  const View* get() const { return &view_; }

 private:
  View view_;
  pybind11::object copy_;
};

[[noreturn]] inline void fail(const char* who, const char* what) {
  throw std::invalid_argument(std::string(who) + ": " + what);
}

// Runs f, which touches no Python object, without the GIL where that pays.
template <class F>
void without_gil(double work, F f) {
  MaybeReleaseGil gil(work);
  f();
}

// A float array; `like`: of the same dtype.
inline Input floats(const char* who, pybind11::handle object, const View* like = nullptr) {
  Input x(who, object);
  if (!is_float(x->dtype) || (like && x->dtype != like->dtype))
    throw pybind11::type_error(std::string(who) + ": needs float32 or float64 arrays of one dtype");
  return x;
}

// Bias (n values or None) and activation (the unary op of that index with a sequence of parameters,
// -1 for none) of a product.
inline Epilogue epilogue_of(const char* who, pybind11::handle bias, DType dtype, ptrdiff_t n,
                            int activation, pybind11::handle params) {
  Epilogue epilogue;
  if (!bias.is_none()) {
    const View v = require_view(who, bias);
    if (v.dtype != dtype || v.ndim != 1 || v.shape[0] != n || !is_c_contiguous(v))
      fail(who, "bias must be a contiguous vector of n values");
    epilogue.bias = v.data;
  }
  if (activation >= 0) {
    epilogue.activation = kernels().elementwise.unary[activation].forward[float_index(dtype)];
    const auto values = params.cast<std::vector<double>>();
    if (values.size() > size_t(kMaxParams)) fail(who, "too many parameters");
    std::copy(values.begin(), values.end(), epilogue.params);
  }
  return epilogue;
}

}  // namespace pydl
