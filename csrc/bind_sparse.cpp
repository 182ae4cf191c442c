// Products with a sparse left operand from Python. pydl.sparse has checked the CSR arrays.
#include <pybind11/stl.h>

#include "bind_input.h"
#include "bindings.h"
#include "runtime/shape.h"
#include "runtime/sparse.h"
#include "runtime/zero_skip.h"

namespace py = pybind11;

namespace pydl {
namespace {

void require(bool valid, const char* who, const char* what) {
  if (!valid) throw std::invalid_argument(std::string(who) + ": " + what);
}

View vector_of(const char* who, const char* what, py::handle object, DType dtype) {
  const View v = require_view(who, object);
  require(v.dtype == dtype && v.ndim == 1 && is_c_contiguous(v), who, what);
  return v;
}

// A matrix of k columns; with `rows` its rows in that order, which are checked.
Csr csr_of(const char* who, py::handle values_object, py::handle columns_object,
           py::handle start_object, ptrdiff_t k, py::handle rows_object) {
  const View values = require_view(who, values_object);
  require(is_float(values.dtype) && values.ndim == 1 && is_c_contiguous(values), who,
          "values must be a contiguous float vector");
  const View columns =
      vector_of(who, "columns must be a contiguous int32 vector", columns_object, DType::kInt32);
  const View start =
      vector_of(who, "start must be a contiguous int64 vector", start_object, DType::kInt64);
  const auto* bounds = reinterpret_cast<const int64_t*>(start.data);
  const ptrdiff_t rows = start.shape[0] - 1;
  require(rows >= 0 && bounds[0] == 0 && bounds[rows] == values.shape[0] &&
              columns.shape[0] == values.shape[0],
          who, "values, columns and start do not fit together");
  Csr a{{values.data, reinterpret_cast<const int32_t*>(columns.data), bounds, nullptr, rows, k},
        values.dtype,
        double(values.shape[0]) / double(rows > 0 ? rows : 1)};
  if (!rows_object.is_none()) {
    const View selected =
        vector_of(who, "rows must be a contiguous int64 vector", rows_object, DType::kInt64);
    a.args.rows = reinterpret_cast<const int64_t*>(selected.data);
    a.args.m = selected.shape[0];
    for (ptrdiff_t i = 0; i < a.args.m; ++i)
      if (a.args.rows[i] < 0 || a.args.rows[i] >= rows)
        throw py::index_error(std::string(who) + ": row " + std::to_string(a.args.rows[i]) +
                              " does not lie in [0, " + std::to_string(rows) + ")");
  }
  return a;
}

// A matrix of `rows` rows with unit stride along them.
View dense_of(const char* who, py::handle object, DType dtype, ptrdiff_t rows) {
  const View v = require_view(who, object);
  require(v.dtype == dtype && v.ndim == 2 && v.shape[0] == rows &&
              (v.size() == 0 || v.shape[1] == 1 || v.strides[1] == 1),
          who, "the dense operand must be a matrix of fitting height with contiguous rows");
  return v;
}

}  // namespace

void bind_sparse(py::module_& m) {
  // -> (values, columns, start) of the elements of a float matrix that are not zero
  m.def(
      "csr_of_dense",
      [](py::handle object) {
        const NotRecording pause;  // the number of elements is not known before
        const Input x = floats("csr_of_dense", object);
        require(x->ndim == 2 && x->shape[1] <= INT32_MAX, "csr_of_dense", "needs a matrix");
        const ptrdiff_t bounds = x->shape[0] + 1;
        View start_view, values_view{}, columns_view{};
        py::object start = new_array(DType::kInt64, 1, &bounds, start_view), values, columns;
        const auto longer = [](py::object& array, View& view, DType dtype, ptrdiff_t n) {
          View next;
          py::object copy = new_array(dtype, 1, &n, next);
          if (array) std::memcpy(next.data, view.data, size_t(view.size() * item_size(dtype)));
          array = std::move(copy), view = next;
        };
        auto* first = reinterpret_cast<int64_t*>(start_view.data);
        without_gil(double(x->size()), [&] {
          csr_of_dense(x, first, [&](ptrdiff_t n) {
            const py::gil_scoped_acquire gil;
            longer(values, values_view, x->dtype, n);
            longer(columns, columns_view, DType::kInt32, n);
            return CsrRoom{values_view.data, reinterpret_cast<int32_t*>(columns_view.data)};
          });
        });
        const py::slice found(0, first[x->shape[0]], 1);
        return std::tuple(py::object(values[found]), py::object(columns[found]), start);
      },
      py::arg("x"));

  const auto values = py::arg("values"), columns = py::arg("columns"), start = py::arg("start");
  const auto k = py::arg("k"), rows = py::arg("rows");

  // act(a @ b + bias) for the matrix a (m, k) in CSR form, or for its rows `rows`.
  m.def(
      "csr_matmul",
      [](py::handle values, py::handle columns, py::handle start, ptrdiff_t k, py::handle rows,
         py::handle b_object, py::handle bias, int activation, py::handle params) {
        const char* who = "csr_matmul";
        const Csr a = csr_of(who, values, columns, start, k, rows);
        const View b = dense_of(who, b_object, a.dtype, k);
        const Epilogue epilogue = epilogue_of(who, bias, a.dtype, b.shape[1], activation, params);
        const ptrdiff_t shape[] = {a.args.m, b.shape[1]};
        View c;
        py::object result = new_array(a.dtype, 2, shape, c);
        MaybeReleaseGil gil(a.per_row * double(c.size()));
        csr_matmul(a, b, c, epilogue);
        return result;
      },
      values, columns, start, k, rows, py::arg("b"), py::arg("bias") = py::none(),
      py::arg("activation") = -1, py::arg("params") = py::tuple());

  // a^T @ g, of shape (k, n).
  m.def(
      "csr_matmul_gradient",
      [](py::handle values, py::handle columns, py::handle start, ptrdiff_t k, py::handle rows,
         py::handle g_object) {
        const char* who = "csr_matmul_gradient";
        const Csr a = csr_of(who, values, columns, start, k, rows);
        const View g = dense_of(who, g_object, a.dtype, a.args.m);
        const ptrdiff_t shape[] = {k, g.shape[1]};
        View c;
        py::object result = new_array(a.dtype, 2, shape, c);
        MaybeReleaseGil gil(a.per_row * double(g.size()) + double(c.size()));
        csr_matmul_gradient(a, g, c);
        return result;
      },
      values, columns, start, k, rows, py::arg("g"));

  // act(x @ b + bias) for a contiguous matrix x with many zeros, or for its transpose.
  m.def(
      "zero_skip_matmul",
      [](py::handle x_object, py::handle b_object, bool transposed, py::handle bias, int activation,
         py::handle params) {
        const char* who = "zero_skip_matmul";
        View x = require_view(who, x_object);
        require(is_float(x.dtype) && x.ndim == 2 && is_c_contiguous(x), who,
                "x must be a contiguous float matrix");
        x.strides[0] = x.shape[1], x.strides[1] = 1;
        if (transposed) std::swap(x.shape[0], x.shape[1]), std::swap(x.strides[0], x.strides[1]);
        const View b = dense_of(who, b_object, x.dtype, x.shape[1]);
        const Epilogue epilogue = epilogue_of(who, bias, b.dtype, b.shape[1], activation, params);
        const ptrdiff_t shape[] = {x.shape[0], b.shape[1]};
        View c;
        py::object result = new_array(b.dtype, 2, shape, c);
        MaybeReleaseGil gil(double(x.shape[1]) * double(c.size()));
        zero_skip_matmul(x, b, c, epilogue);
        return result;
      },
      py::arg("x"), py::arg("b"), py::arg("transposed") = false, py::arg("bias") = py::none(),
      py::arg("activation") = -1, py::arg("params") = py::tuple());
}

}  // namespace pydl
