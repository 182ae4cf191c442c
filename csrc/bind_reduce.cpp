// Reductions and running sums from Python.
#include <string>

#include "bindings.h"
#include "runtime/dispatch.h"
#include "runtime/reduce.h"

namespace py = pybind11;

namespace pydl {
namespace {

// Axes as a mask; they must lie in [0, ndim).
uint32_t to_mask(const char* who, const py::tuple& axes, int ndim) {
  uint32_t mask = 0;
  for (py::handle h : axes) {
    const int axis = h.cast<int>();
    if (axis < 0 || axis >= ndim)
      throw std::invalid_argument(std::string(who) + ": axes must lie in [0, " +
                                  std::to_string(ndim) + "), got " + std::to_string(axis));
    mask |= uint32_t(1) << axis;
  }
  return mask;
}

py::object run(const ReduceEntry& op, py::handle object, const py::tuple& axes, bool keepdims,
               const double* params) {
  View x;
  if (!to_view(object, x) || !is_float(x.dtype)) return py::none();
  const uint32_t mask = to_mask(op.info.name, axes, x.ndim);
  ptrdiff_t shape[kMaxArrayDims];
  int ndim = 0;
  for (int i = 0; i < x.ndim; ++i) {
    const bool reduced = mask >> i & 1;
    if (!reduced || keepdims) shape[ndim++] = reduced ? 1 : x.shape[i];
  }
  View out;
  py::object result =
      new_array(op.info.to_index ? DType::kInt64 : x.dtype, ndim, shape, out, op.info.name);
  MaybeReleaseGil release(double(x.size()));
  reduce(op, x, mask, out, params);
  return result;
}

}  // namespace

void bind_reduce(py::module_& m) {
  const ReduceKernels& k = kernels().reduce;
  py::list table;
  for (int i = 0; i < k.count; ++i) {
    const ReduceEntry& op = k.entries[i];
    const ReduceInfo& info = op.info;
    const auto x = py::arg("x"), axes = py::arg("axes");
    const auto keepdims = py::arg("keepdims") = false;
    static_assert(kMaxParams == 3);
    if (!info.params[0].name)
      m.def(
          info.name,
          [&op](py::handle x, const py::tuple& axes, bool keepdims) {
            return run(op, x, axes, keepdims, nullptr);
          },
          x, axes, keepdims);
    else
      m.def(
          info.name,
          [&op](py::handle x, const py::tuple& axes, bool keepdims, double a, double b, double c) {
            const double params[kMaxParams] = {a, b, c};
            return run(op, x, axes, keepdims, params);
          },
          x, axes, keepdims, py::arg(info.params[0].name) = info.params[0].value,
          py::arg("b") = info.params[1].value, py::arg("c") = info.params[2].value);
    py::dict row;
    row["name"] = info.name;
    row["has_identity"] = info.has_identity;
    row["to_index"] = info.to_index;
    table.append(row);
  }
  m.attr("reductions") = table;

  m.def(
      "cumulative_sum",
      [](py::handle object, int axis) -> py::object {
        View x, out;
        if (!to_view(object, x) || !is_float(x.dtype)) return py::none();
        if (axis < 0 || axis >= x.ndim)
          throw std::invalid_argument("cumulative_sum: axis " + std::to_string(axis) +
                                      " does not lie in [0, " + std::to_string(x.ndim) + ")");
        py::object result = new_array(x.dtype, x.ndim, x.shape, out, "cumulative_sum");
        MaybeReleaseGil release(double(x.size()));
        cumulative_sum(x, axis, out);
        return result;
      },
      py::arg("x"), py::arg("axis"));
}

}  // namespace pydl
