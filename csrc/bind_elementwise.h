// Runs one element-wise loop on Python operands.
#pragma once

#include <stdexcept>

#include "bindings.h"
#include "runtime/elementwise.h"
#include "runtime/shape.h"

namespace pydl {

inline bool is_python_number(pybind11::handle h) {
  return PyFloat_CheckExact(h.ptr()) || PyLong_CheckExact(h.ptr());
}

// An operand of an element-wise op: an array, or a Python number that takes the arrays' dtype.
struct Operand {
  View view;
  bool number = false;
  double value = 0;
  union {
    float f32;
    double f64;
  };

  bool read(pybind11::handle h) {
    if (to_view(h, view)) return true;
    if (!(number = is_python_number(h))) return false;
    value = PyFloat_AsDouble(h.ptr());
    if (value != -1 || !PyErr_Occurred()) return true;
    PyErr_Clear();  // an integer beyond all floats, which Python handles
    return false;
  }
  void settle(DType dtype) {
    if (!number) return;
    view.ndim = 0;
    view.dtype = dtype;
    if (char* kept = recorded_number(dtype, value)) {
      view.data = kept;
    } else if (dtype == DType::kFloat32) {
      f32 = float(value);
      view.data = reinterpret_cast<char*>(&f32);
    } else {
      f64 = value;
      view.data = reinterpret_cast<char*>(&f64);
    }
  }
};

// Runs one element-wise loop. None where the operands are not all of one float dtype: the caller
// then promotes, or hands the op to NumPy.
template <size_t kInputs>
pybind11::object run_elementwise(const char* who, const ElementwiseLoop* loops, bool takes_scalars,
                                 bool to_bool, double cost,
                                 const pybind11::handle (&inputs)[kInputs], pybind11::handle out,
                                 const double* params) {
  Operand operands[kInputs];
  bool found = false;
  DType dtype = DType::kFloat32;
  for (size_t k = 0; k < kInputs; ++k) {
    if (!operands[k].read(inputs[k])) return pybind11::none();
    if (operands[k].number) continue;
    if (!is_float(operands[k].view.dtype) || (found && operands[k].view.dtype != dtype))
      return pybind11::none();
    found = true;
    dtype = operands[k].view.dtype;
  }
  if (!found) return pybind11::none();
  const View* views[kInputs];
  for (size_t k = 0; k < kInputs; ++k) {
    operands[k].settle(dtype);
    views[k] = &operands[k].view;
  }
  View shape;
  broadcast_shape(who, views, kInputs, shape);
  View all[kInputs + 1];
  View& y = all[kInputs];
  const DType y_dtype = to_bool ? DType::kBool : dtype;
  pybind11::object result = output_array(who, out, y_dtype, shape.ndim, shape.shape, y);
  bool safe = true;
  for (size_t k = 0; k < kInputs; ++k) {
    all[k] = broadcast_to(*views[k], shape.shape, shape.ndim);
    safe = safe && (out.is_none() || !overlaps(all[k], y));
  }
  const ptrdiff_t n = shape.size();
  if (n == 0) return result;
  View target = y;
  pybind11::object temporary;
  if (!safe) temporary = new_array(y_dtype, shape.ndim, shape.shape, y, who);
  {
    MaybeReleaseGil gil(double(n) * cost);
    elementwise(loops[float_index(dtype)], takes_scalars, all, kInputs + 1, params, cost);
    if (!safe) copy(y, target);
  }
  return result;
}

inline double cost_of(double max_ulp) {
  return max_ulp > 0.5 ? 4 : 1;
}  // a polynomial, not an instruction

}  // namespace pydl
