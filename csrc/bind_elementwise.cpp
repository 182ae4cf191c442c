// Binds every element-wise kernel of the table under its name.
#include "bind_elementwise.h"

#include <string>

#include "kernels/elementwise.h"
#include "runtime/dispatch.h"

namespace py = pybind11;

namespace pydl {
namespace {

template <class Info>
py::dict describe(const Info& info, const char* kind) {
  py::dict d;
  d["name"] = info.name;
  d["kind"] = kind;
  d["domain"] = py::make_tuple(info.domain[0], info.domain[1]);
  d["max_ulp"] = info.max_ulp;
  d["differentiable"] = info.differentiable && !info.to_bool;
  d["to_bool"] = info.to_bool;
  return d;
}

const char* saves_text(Saves s) {
  constexpr const char* kNames[] = {"", "x", "y", "xy"};
  return kNames[int(s)];
}

// Functions of one, two or three scalar parameters, which Python may pass by name.
template <class F>
void define_with_params(py::module_& m, const char* name, const Param* params, F f,
                        py::arg first = py::arg("x")) {
  const py::arg_v out = py::arg("out") = py::none();
  const auto p = [&](int i) { return py::arg(params[i].name) = params[i].value; };
  if (!params[0].name)
    m.def(name, [f](py::handle x, py::handle out) { return f(x, out, nullptr); }, first, out);
  else if (!params[1].name)
    m.def(
        name,
        [f](py::handle x, double a, py::handle out) {
          const double v[kMaxParams] = {a};
          return f(x, out, v);
        },
        first, p(0), out);
  else if (!params[2].name)
    m.def(
        name,
        [f](py::handle x, double a, double b, py::handle out) {
          const double v[kMaxParams] = {a, b};
          return f(x, out, v);
        },
        first, p(0), p(1), out);
  else
    m.def(
        name,
        [f](py::handle x, double a, double b, double c, py::handle out) {
          const double v[kMaxParams] = {a, b, c};
          return f(x, out, v);
        },
        first, p(0), p(1), p(2), out);
}

}  // namespace

void bind_elementwise(py::module_& m, py::list& ops) {
  const ElementwiseKernels& k = kernels().elementwise;
  for (int i = 0; i < k.unary_count; ++i) {
    const UnaryEntry& e = k.unary[i];
    const double cost = cost_of(e.info.max_ulp);
    define_with_params(m, e.info.name, e.info.params,
                       [&e, cost](py::handle x, py::handle out, const double* params) {
                         return run_elementwise(e.info.name, e.forward, false, e.info.to_bool, cost,
                                                {x}, out, params);
                       });
    py::dict d = describe(e.info, "unary");
    d["saves"] = saves_text(e.info.saves);
    py::list kinks;
    for (int j = 0; j < e.info.kinks.count; ++j) kinks.append(e.info.kinks.at[j]);
    d["kinks"] = kinks;
    py::dict params;
    for (const Param& p : e.info.params)
      if (p.name) params[p.name] = p.value;
    d["params"] = params;
    ops.append(d);
    if (!e.backward[0]) continue;
    const std::string name = std::string(e.info.name) + "_backward";
    m.def(
        name.c_str(),
        [&e, cost, name](py::handle g, py::handle x, py::handle y, double a, double b, double c) {
          const double params[kMaxParams] = {a, b, c};
          return run_elementwise(name.c_str(), e.backward, false, false, cost,
                                 {g, x.is_none() ? g : x, y.is_none() ? g : y}, py::none(), params);
        },
        py::arg("g"), py::arg("x"), py::arg("y"), py::arg("a") = 0.0, py::arg("b") = 0.0,
        py::arg("c") = 0.0);
  }
  for (int i = 0; i < k.binary_count; ++i) {
    const BinaryEntry& e = k.binary[i];
    const double cost = cost_of(e.info.max_ulp);
    m.def(
        e.info.name,
        [&e, cost](py::handle a, py::handle b, py::handle out) {
          return run_elementwise(e.info.name, e.forward, true, e.info.to_bool, cost, {a, b}, out,
                                 nullptr);
        },
        py::arg("a"), py::arg("b"), py::arg("out") = py::none());
    ops.append(describe(e.info, "binary"));
    if (!e.grad_a[0]) continue;
    const auto define_gradient = [&](const char* suffix, const ElementwiseLoop* loops) {
      const std::string name = std::string(e.info.name) + suffix;
      m.def(name.c_str(),
            [loops, cost, name](py::handle g, py::handle a, py::handle b, py::handle y) {
              return run_elementwise(name.c_str(), loops, false, false, cost, {g, a, b, y},
                                     py::none(), nullptr);
            });
    };
    define_gradient("_grad_a", e.grad_a);
    define_gradient("_grad_b", e.grad_b);
  }

  m.def("set_stream_limit", set_stream_limit);

  m.def("where", [](py::handle cond, py::handle a, py::handle b) -> py::object {
    View c;
    Operand x[2];
    if (!to_view(cond, c) || c.dtype != DType::kBool || !x[0].read(a) || !x[1].read(b))
      return py::none();
    if (x[0].number && x[1].number) return py::none();
    const DType dtype = x[x[0].number].view.dtype;
    if (!is_float(dtype) || (!x[0].number && !x[1].number && x[1].view.dtype != dtype))
      return py::none();
    for (Operand& o : x) o.settle(dtype);
    const View* views[] = {&c, &x[0].view, &x[1].view};
    View shape;
    broadcast_shape("where", views, 3, shape);
    View all[4];
    for (int i = 0; i < 3; ++i) all[i] = broadcast_to(*views[i], shape.shape, shape.ndim);
    py::object result = new_array(dtype, shape.ndim, shape.shape, all[3], "where");
    if (shape.size() == 0) return result;
    MaybeReleaseGil gil(double(shape.size()));
    elementwise(kernels().elementwise.where[float_index(dtype)], false, all, 4);
    return result;
  });

  m.def("cast", [](py::handle object, bool to_float64) -> py::object {
    View x, y;
    if (!to_view(object, x)) return py::none();
    py::object result =
        new_array(to_float64 ? DType::kFloat64 : DType::kFloat32, x.ndim, x.shape, y);
    if (x.size() == 0) return result;
    MaybeReleaseGil gil(double(x.size()));
    cast(x, y);
    return result;
  });

  // A C-contiguous copy, or a copy into `out`.
  m.def(
      "copy",
      [](py::handle object, py::handle out) -> py::object {
        View x, y;
        if (!to_view(object, x)) return py::none();
        py::object result = output_array("copy", out, x.dtype, x.ndim, x.shape, y);
        if (x.size() == 0) return result;
        View target = y;
        const bool safe = out.is_none() || !overlaps(x, y);
        py::object temporary;
        if (!safe) temporary = new_array(x.dtype, x.ndim, x.shape, y);
        MaybeReleaseGil gil(double(x.size()));
        copy(x, y);
        if (!safe) copy(y, target);
        return result;
      },
      py::arg("x"), py::arg("out") = py::none());
}

}  // namespace pydl
