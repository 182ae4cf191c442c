// The short way for operators: from Tensors to a Tensor with its graph node in one call. It writes
// the __slots__ of the Python classes Tensor and autograd.Node directly; what it cannot do
// (promotion, other operands) it answers with None, and Python goes the long way.
#include "bind_elementwise.h"
#include "bindings.h"
// after Python.h
#include <structmember.h>

#include "kernels/elementwise.h"
#include "runtime/dispatch.h"

namespace py = pybind11;

namespace pydl {
namespace {

thread_local bool t_recording = true;
int64_t g_clock = 0;  // guarded by the GIL

struct Slots {
  PyTypeObject* tensor = nullptr;
  PyTypeObject* node = nullptr;
  Py_ssize_t data, graph;                           // Tensor.data, Tensor._node
  Py_ssize_t op, inputs, outputs, statics, number;  // of Node
} g_slots;

PyObject*& slot(PyObject* object, Py_ssize_t offset) {
  return *reinterpret_cast<PyObject**>(reinterpret_cast<char*>(object) + offset);
}

Py_ssize_t slot_offset(py::handle type, const char* name) {
  py::object descriptor = type.attr("__dict__")[name];
  return reinterpret_cast<PyMemberDescrObject*>(descriptor.ptr())->d_member->offset;
}

bool is_tensor(PyObject* object) {
  return Py_TYPE(object) == g_slots.tensor || PyObject_TypeCheck(object, g_slots.tensor);
}

PyObject* unwrap(PyObject* object) {
  return is_tensor(object) ? slot(object, g_slots.data) : object;
}

bool wants_gradient(PyObject* object) {
  return is_tensor(object) && slot(object, g_slots.graph) != Py_None;
}

// A Tensor of this array (stolen), a constant.
PyObject* new_tensor(PyObject* array) {
  PyObject* t = g_slots.tensor->tp_alloc(g_slots.tensor, 0);
  if (!t) {
    Py_DECREF(array);
    throw py::error_already_set();
  }
  slot(t, g_slots.data) = array;
  slot(t, g_slots.graph) = Py_NewRef(Py_None);
  return t;
}

// What a node keeps of an operand: the tensor, or a constant of the result's dtype.
PyObject* kept_operand(PyObject* object, DType dtype) {
  if (is_tensor(object)) return Py_NewRef(object);
  if (PyArray_Check(object)) return new_tensor(Py_NewRef(object));
  return new_tensor(new_number(dtype, PyFloat_AsDouble(object)).release().ptr());
}

// One operator as a Python function of exactly kInputs positional arguments.
template <int kInputs>
struct Operator {
  const char* name;
  const ElementwiseLoop* loops;  // null: the matrix product
  bool takes_scalars, to_bool, differentiable, keeps_output;
  double cost;
  double params[kMaxParams];
  PyObject* call;     // the Python operation that nodes name
  PyObject* statics;  // its static arguments

  py::object apply(const py::handle (&inputs)[kInputs]) const {
    if constexpr (kInputs == 2)
      if (!loops) return multiply_matrices(inputs[0], inputs[1]);
    return run_elementwise<kInputs>(name, loops, takes_scalars, to_bool, cost, inputs, py::none(),
                                    params);
  }

  PyObject* run(PyObject* const* args) const {
    py::handle inputs[kInputs];
    for (int k = 0; k < kInputs; ++k) inputs[k] = unwrap(args[k]);
    py::object y = apply(inputs);
    if (y.is_none()) return y.release().ptr();
    bool record = differentiable && t_recording;
    if (record) {
      record = false;
      for (int k = 0; k < kInputs; ++k) record = record || wants_gradient(args[k]);
    }
    PyObject* array = y.ptr();
    py::object out = py::reinterpret_steal<py::object>(new_tensor(y.release().ptr()));
    if (record) {
      View v;
      to_view(array, v);
      py::object node = py::reinterpret_steal<py::object>(g_slots.node->tp_alloc(g_slots.node, 0));
      if (!node) throw py::error_already_set();
      slot(node.ptr(), g_slots.op) = Py_NewRef(call);
      PyObject* kept = PyTuple_New(kInputs);
      if (!kept) throw py::error_already_set();
      slot(node.ptr(), g_slots.inputs) = kept;
      for (int k = 0; k < kInputs; ++k) PyTuple_SET_ITEM(kept, k, kept_operand(args[k], v.dtype));
      slot(node.ptr(), g_slots.outputs) = Py_NewRef(keeps_output ? array : Py_None);
      slot(node.ptr(), g_slots.statics) = Py_NewRef(statics);
      slot(node.ptr(), g_slots.number) = PyLong_FromLongLong(++g_clock);
      Py_SETREF(slot(out.ptr(), g_slots.graph), node.release().ptr());
    }
    return out.release().ptr();
  }

  static PyObject* entry(PyObject* self, PyObject* const* args, Py_ssize_t count) {
    const auto* op = static_cast<const Operator*>(PyCapsule_GetPointer(self, nullptr));
    if (count != kInputs) {
      PyErr_Format(PyExc_TypeError, "%s: takes %d operands, got %zd", op->name, kInputs, count);
      return nullptr;
    }
    try {
      return op->run(args);
    } catch (py::error_already_set& e) {
      e.restore();
    } catch (const std::bad_alloc& e) {
      PyErr_SetString(PyExc_MemoryError, e.what());
    } catch (const std::exception& e) {
      PyErr_SetString(PyExc_ValueError, e.what());
    }
    return nullptr;
  }

  // Lives as long as the process: operators are made once, at import.
  static py::object make(Operator op) {
    static PyMethodDef definition = {
        "operator", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)(void)>(entry)),
        METH_FASTCALL, nullptr};
    Py_INCREF(op.call);
    Py_INCREF(op.statics);
    py::capsule self(new Operator(op));
    return py::reinterpret_steal<py::object>(PyCFunction_New(&definition, self.ptr()));
  }
};

}  // namespace

void bind_tensor(py::module_& m) {
  m.def("register_classes", [](py::type tensor, py::type node) {
    g_slots.data = slot_offset(tensor, "data");
    g_slots.graph = slot_offset(tensor, "_node");
    g_slots.op = slot_offset(node, "op");
    g_slots.inputs = slot_offset(node, "inputs");
    g_slots.outputs = slot_offset(node, "outputs");
    g_slots.statics = slot_offset(node, "static");
    g_slots.number = slot_offset(node, "number");
    g_slots.tensor = reinterpret_cast<PyTypeObject*>(tensor.inc_ref().ptr());
    g_slots.node = reinterpret_cast<PyTypeObject*>(node.inc_ref().ptr());
  });
  m.def("tick", [] { return ++g_clock; });
  m.def("recording", [] { return t_recording; });
  m.def("set_recording", [](bool on) {
    const bool before = t_recording;
    t_recording = on;
    return before;
  });
  m.def("unary_operator", [](int index, py::object call, bool keeps_output, py::dict statics) {
    const UnaryEntry& e = kernels().elementwise.unary[index];
    Operator<1> op{e.info.name,
                   e.forward,
                   false,
                   e.info.to_bool,
                   e.backward[0] != nullptr,
                   keeps_output,
                   cost_of(e.info.max_ulp),
                   {},
                   call.ptr(),
                   statics.ptr()};
    for (int i = 0; i < kMaxParams; ++i) op.params[i] = e.info.params[i].value;
    return Operator<1>::make(op);
  });
  m.def("binary_operator", [](int index, py::object call, bool keeps_output, py::dict statics) {
    const BinaryEntry& e = kernels().elementwise.binary[index];
    return Operator<2>::make({e.info.name,
                              e.forward,
                              true,
                              e.info.to_bool,
                              e.grad_a[0] != nullptr,
                              keeps_output,
                              cost_of(e.info.max_ulp),
                              {},
                              call.ptr(),
                              statics.ptr()});
  });
  m.def("matmul_operator", [](py::object call) {
    const py::dict statics;
    return Operator<2>::make(
        {"matmul", nullptr, false, false, true, false, 0, {}, call.ptr(), statics.ptr()});
  });
}

}  // namespace pydl
