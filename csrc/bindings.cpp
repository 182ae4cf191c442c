// The extension module: walks the table of kernels; no arithmetic, no shape rules.
#define PYDL_IMPORTS_NUMPY
#include <malloc.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>

#include "bind_elementwise.h"
#include "bind_input.h"
#include "kernels/elementwise.h"
#include "kernels/gemm.h"
#include "runtime/dispatch.h"
#include "runtime/elementwise.h"
#include "runtime/gemm_driver.h"
#include "runtime/memory.h"
#include "runtime/parallel.h"
#include "runtime/plan.h"
#include "runtime/shape.h"

namespace py = pybind11;

namespace pydl {
namespace {

constexpr int kNumpyTypes[] = {NPY_BOOL,   NPY_INT8,    NPY_INT16,  NPY_INT32,
                               NPY_INT64,  NPY_UINT8,   NPY_UINT16, NPY_UINT32,
                               NPY_UINT64, NPY_FLOAT32, NPY_FLOAT64};

bool to_dtype(int numpy_type, DType& dtype) {
  if (numpy_type == NPY_LONGLONG) numpy_type = NPY_INT64;  // two names of one type on Linux
  if (numpy_type == NPY_ULONGLONG) numpy_type = NPY_UINT64;
  for (int i = 0; i < int(std::size(kNumpyTypes)); ++i)
    if (kNumpyTypes[i] == numpy_type) return dtype = DType(i), true;
  return false;
}

// Arrays own blocks of pydl's allocator through NumPy's memory handler (NEP 49), so that an array
// needs no second Python object to keep its memory.
void* handler_malloc(void*, size_t size) {
  try {
    return allocate(size);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void* handler_calloc(void* context, size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return nullptr;
  void* p = handler_malloc(context, bytes);
  return p ? std::memset(p, 0, bytes) : nullptr;
}
// ndarray.resize does not tell the old size, so the old block goes back to the system.
void* handler_realloc(void* context, void* old, size_t size) {
  void* p = handler_malloc(context, size);
  if (p && old) {
    std::memcpy(p, old, std::min(size, malloc_usable_size(old)));
    std::free(old);
  }
  return p;
}
void handler_free(void*, void* p, size_t size) { release(p, size); }

PyDataMem_Handler g_handler = {
    "pydl", 1, {nullptr, handler_malloc, handler_calloc, handler_realloc, handler_free}};
PyObject* g_handler_capsule = nullptr;

// act(a @ b + bias) of operands of one float dtype.
py::object multiply(const View& a, const View& b, py::handle bias, int activation,
                    py::handle params) {
  View shape, y;
  matmul_shape(a, b, shape);
  const Epilogue epilogue =
      epilogue_of("matmul", bias, a.dtype, shape.shape[shape.ndim - 1], activation, params);
  py::object result = new_array(a.dtype, shape.ndim, shape.shape, y, "matmul");
  if (y.size() == 0) return result;
  MaybeReleaseGil gil(double(y.size()) * double(a.shape[a.ndim - 1]));
  if (shape.ndim == 2) {
    matmul(a, b, y, epilogue);
    return result;
  }
  // the operands with the batch axes of the result
  const auto with_batch = [&](const View& v) {
    View batch = v;
    batch.ndim -= 2;
    View full = broadcast_to(batch, shape.shape, shape.ndim - 2);
    for (int i = v.ndim - 2; i < v.ndim; ++i) {
      full.shape[full.ndim] = v.shape[i];
      full.strides[full.ndim++] = v.strides[i];
    }
    return full;
  };
  matmul(with_batch(a), with_batch(b), y, epilogue);
  return result;
}

bool read_factors(py::handle a_object, py::handle b_object, View& a, View& b) {
  return to_view(a_object, a) && to_view(b_object, b) && is_float(a.dtype) && a.dtype == b.dtype;
}

void bind_matmul(py::module_& m) {
  // act(a @ b + bias): a (..., m, k), b (..., k, n), bias (n,), act the unary op of that index.
  m.def(
      "matmul",
      [](py::handle a_object, py::handle b_object, py::handle bias, int activation,
         py::handle params) -> py::object {
        View a, b;
        if (!read_factors(a_object, b_object, a, b)) return py::none();
        return multiply(a, b, bias, activation, params);
      },
      py::arg("a"), py::arg("b"), py::arg("bias") = py::none(), py::arg("activation") = -1,
      py::arg("params") = py::tuple());
}

void bind_settings(py::module_& m) {
  m.def("readable", [](py::handle object) {  // an array that kernels take as it is
    View v;
    return PyArray_CheckExact(object.ptr()) && describe_array(object, v);
  });
  m.def("empty", [](const py::tuple& shape, py::handle like) {  // of the dtype of `like`
    View v, y;
    if (!describe_array(like, v) || shape.size() > size_t(kMaxArrayDims))
      throw py::type_error("empty: needs an array and a shape");
    for (size_t i = 0; i < shape.size(); ++i) y.shape[i] = shape[i].cast<ptrdiff_t>();
    return new_array(v.dtype, int(shape.size()), y.shape, y);
  });
  m.def("num_threads", num_threads);
  m.def("set_num_threads", set_num_threads);
  m.def("default_num_threads", default_num_threads);
  m.def("flush_denormals", flush_denormals);
  m.def("set_flush_denormals", set_flush_denormals);
  m.def("trim_memory", trim_memory);
  m.def("memory_stats", [] {
    const MemoryStats s = memory_stats();
    py::dict d;
    d["in_use"] = s.in_use;
    d["peak"] = s.peak;
    d["cached"] = s.cached;
    d["allocations"] = s.allocations;
    return d;
  });
  m.attr("isa") = kernels().isa;
  m.attr("vector_bytes") = kernels().vector_bytes;
  m.attr("built_isas") = built_isas();
  m.attr("supported_isas") = supported_isas();
  m.attr("compiler") = PYDL_COMPILER;
  m.attr("version") = PYDL_VERSION;
}

void* import_numpy() {
  import_array1(nullptr);
  return &g_handler;
}

}  // namespace

py::object multiply_matrices(py::handle a_object, py::handle b_object) {
  View a, b;
  if (!read_factors(a_object, b_object, a, b) || a.ndim < 2 || b.ndim < 2 ||
      (a.ndim > 2 && b.ndim == 2))
    return py::none();
  return multiply(a, b, py::none(), -1, py::none());
}

bool to_view(py::handle object, View& view) {
  if (!describe_array(object, view)) return false;
  if (recording_plan()) note_operand(object.ptr());
  return true;
}

bool describe_array(py::handle object, View& view) {
  if (!PyArray_Check(object.ptr())) return false;
  auto* array = reinterpret_cast<PyArrayObject*>(object.ptr());
  if (!to_dtype(PyArray_TYPE(array), view.dtype) || !PyArray_ISALIGNED(array) ||
      PyArray_ISBYTESWAPPED(array))
    return false;
  view.data = PyArray_BYTES(array);
  view.ndim = PyArray_NDIM(array);
  if (view.ndim > kMaxArrayDims) return false;
  const ptrdiff_t item = item_size(view.dtype);
  for (int i = 0; i < view.ndim; ++i) {
    view.shape[i] = PyArray_DIM(array, i);
    const ptrdiff_t bytes = PyArray_STRIDE(array, i);
    if (bytes % item) return false;
    view.strides[i] = bytes / item;
  }
  return true;
}

View require_view(const char* who, py::handle object) {
  View view;
  if (!to_view(object, view))
    throw py::type_error(std::string(who) + ": needs an aligned array of bool, int or float, got " +
                         std::string(py::str(py::type::of(object))));
  return view;
}

namespace {

[[noreturn]] void too_large(const char* who, const View& v) {
  throw std::invalid_argument(std::string(who) + ": shape " + shape_text(v.shape, v.ndim) +
                              " has too many elements for memory");
}

[[noreturn]] void no_memory(const char* who, const View& v, size_t bytes) {
  char size[32];
  std::snprintf(size, sizeof(size), "%.3g", double(bytes) / 0x1p30);
  const std::string text = std::string(who) + ": cannot allocate " + size + " GiB for shape " +
                           shape_text(v.shape, v.ndim) + " of " + dtype_name(v.dtype);
  py::set_error(PyExc_MemoryError, text.c_str());
  throw py::error_already_set();
}

}  // namespace

py::object new_array(DType dtype, int ndim, const ptrdiff_t* shape, View& view, const char* who) {
  view.dtype = dtype;
  view.ndim = ndim;
  npy_intp dims[kMaxArrayDims];
  ptrdiff_t most = item_size(dtype);
  bool empty = false, fits = true;
  for (int i = 0; i < ndim; ++i) {
    const ptrdiff_t n = view.shape[i] = dims[i] = shape[i];
    empty |= n == 0;
    fits &= !__builtin_mul_overflow(most, n | (n == 0), &most);
  }
  if (!fits) too_large(who, view);
  set_c_strides(view);
  const size_t bytes = empty ? 0 : size_t(most);
  const ArrayMemory memory = array_memory();
  try {
    view.data = static_cast<char*>(memory.pool ? memory.pool->allocate(bytes) : allocate(bytes));
  } catch (const std::bad_alloc&) {
    no_memory(who, view, bytes);
  }
  PyObject* array = PyArray_New(&PyArray_Type, ndim, dims, kNumpyTypes[int(dtype)], nullptr,
                                view.data, 0, NPY_ARRAY_CARRAY, nullptr);
  if (!array) {
    memory.pool ? memory.pool->release(view.data, bytes) : release(view.data, bytes);
    throw py::error_already_set();
  }
  auto* fields = reinterpret_cast<PyArrayObject_fields*>(array);
  fields->flags |= NPY_ARRAY_OWNDATA;
  fields->mem_handler = Py_NewRef(memory.handler);
  return py::reinterpret_steal<py::object>(array);
}

py::object new_number(DType dtype, double value) {
  View v;
  py::object array = [&] {
    const NotRecording pause;
    return new_array(dtype, 0, nullptr, v);
  }();
  if (dtype == DType::kFloat32)
    *reinterpret_cast<float*>(v.data) = float(value);
  else
    *reinterpret_cast<double*>(v.data) = value;
  return array;
}

py::object output_array(const char* who, py::handle out, DType dtype, int ndim,
                        const ptrdiff_t* shape, View& view) {
  if (out.is_none()) return new_array(dtype, ndim, shape, view, who);
  view = require_view(who, out);
  const std::string name = std::string(who) + ": out ";
  if (!PyArray_ISWRITEABLE(reinterpret_cast<PyArrayObject*>(out.ptr())))
    throw std::invalid_argument(name + "is read-only");
  if (view.dtype != dtype)
    throw py::type_error(name + "must have dtype " + dtype_name(dtype) + ", got " +
                         dtype_name(view.dtype));
  if (view.ndim != ndim || !std::equal(shape, shape + ndim, view.shape))
    throw std::invalid_argument(name + "must have shape " + shape_text(shape, ndim) + ", got " +
                                shape_text(view.shape, view.ndim));
  return py::reinterpret_borrow<py::object>(out);
}

bool overlaps(const View& a, const View& b) {
  if (a.data == b.data && a.ndim == b.ndim && a.dtype == b.dtype &&
      std::equal(a.strides, a.strides + a.ndim, b.strides))
    return false;
  const auto extent = [](const View& v, const char*& low, const char*& high) {
    low = high = v.data;
    const ptrdiff_t item = item_size(v.dtype);
    for (int i = 0; i < v.ndim; ++i) {
      if (v.shape[i] == 0) return high = low, void();
      const ptrdiff_t span = (v.shape[i] - 1) * v.strides[i] * item;
      (span < 0 ? low : high) += span;
    }
    high += item;
  };
  const char *a0, *a1, *b0, *b1;
  extent(a, a0, a1);
  extent(b, b0, b1);
  return a0 < b1 && b0 < a1;
}

void bind_bench(py::module_& m);
void bind_conv(py::module_& m);
void bind_elementwise(py::module_& m, py::list& ops);
void bind_nn(py::module_& m);
void bind_optimizer(py::module_& m);
void bind_plan(py::module_& m, PyObject* handler);
void bind_reduce(py::module_& m);
void bind_sparse(py::module_& m);
void bind_tensor(py::module_& m);

}  // namespace pydl

PYBIND11_MODULE(_core, m) {
  using namespace pydl;
  m.doc() = "pydl's kernels. None instead of a result: not for these dtypes.";
  if (!import_numpy()) throw py::error_already_set();
  g_handler_capsule = PyCapsule_New(&g_handler, "mem_handler", nullptr);
  if (!g_handler_capsule) throw py::error_already_set();
  try {
    choose_kernels();
  } catch (const std::exception& e) {
    throw py::import_error(e.what());
  }
  py::list ops;
  bind_elementwise(m, ops);
  bind_matmul(m);
  bind_reduce(m);
  bind_sparse(m);
  bind_nn(m);
  bind_conv(m);
  bind_optimizer(m);
  bind_plan(m, g_handler_capsule);
  bind_tensor(m);
  bind_bench(m);
  bind_settings(m);
  m.attr("ops") = ops;
}
