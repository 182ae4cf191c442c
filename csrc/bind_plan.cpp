// Recording from Python: what a plan must keep alive, and what may not go into one.
//
// Arrays that kernels meet while a plan records are one of three. Temporaries were made by kernels
// and own memory of the plan's pool. Arrays from before, such as weights, are kept as long as the
// plan. Arrays that NumPy made meanwhile hold values computed on the host, which a repeated step
// would not compute again: they end the recording, unless `constant` says that they are not.
// NumPy's memory handler (NEP 49) tells them apart.
#include <cstring>
#include <deque>
#include <memory>
#include <stdexcept>
#include <unordered_set>

#include "bindings.h"
// after Python.h
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "runtime/plan.h"
#include "runtime/plan_text.h"

namespace py = pybind11;

namespace pydl {
namespace {

PyObject* g_handler = nullptr;  // of arrays outside of plans
py::object* g_where = nullptr;  // function: "file:line" of the user's code that runs now

// A memory handler that lives as long as its capsule, which every array of it holds.
struct PlanHandler {
  PyDataMem_Handler handler;  // first: the capsule points at it
  std::shared_ptr<Pool> pool;

  // Of what NumPy makes while a plan records: like all other arrays, with another capsule.
  static PyObject* of_host() {
    const auto* usual =
        static_cast<PyDataMem_Handler*>(PyCapsule_GetPointer(g_handler, "mem_handler"));
    return capsule(new PlanHandler{*usual, nullptr});
  }

  // Of temporaries: memory of the plan's pool. ndarray.resize is refused.
  static PyObject* of_temporaries(std::shared_ptr<Pool> pool) {
    auto* h = new PlanHandler{{"pydl_plan", 1, {}}, std::move(pool)};
    PyDataMemAllocator& a = h->handler.allocator;
    a.ctx = h->pool.get();
    a.malloc = [](void* ctx, size_t size) -> void* {
      try {
        return static_cast<Pool*>(ctx)->allocate(size);
      } catch (const std::bad_alloc&) {
        return nullptr;
      }
    };
    a.calloc = [](void*, size_t, size_t) -> void* { return nullptr; };
    a.realloc = [](void*, void*, size_t) -> void* { return nullptr; };
    a.free = [](void* ctx, void* p, size_t size) { static_cast<Pool*>(ctx)->release(p, size); };
    return capsule(h);
  }

 private:
  static PyObject* capsule(PlanHandler* h) {
    return PyCapsule_New(h, "mem_handler", [](PyObject* capsule) {
      delete static_cast<PlanHandler*>(PyCapsule_GetPointer(capsule, "mem_handler"));
    });
  }
};

// Leaves code that is noted down but not run; see begin_every.
struct NotDue : std::runtime_error {
  NotDue() : std::runtime_error("pydl: not due in this step") {}
};

class Recorder;
thread_local Recorder* t_recorder = nullptr;

class Recorder {
 public:
  explicit Recorder(bool restorable)
      : restorable_(restorable),
        temporary_(py::reinterpret_steal<py::object>(PlanHandler::of_temporaries(plan_.pool()))),
        host_(py::reinterpret_steal<py::object>(PlanHandler::of_host())) {
    if (!temporary_ || !host_) throw py::error_already_set();
  }
  ~Recorder() { end(); }

  void begin() {
    if (t_recorder || begun_) throw std::logic_error("Plan.begin: a plan records already");
    begun_ = true;
    saved_ = py::reinterpret_steal<py::object>(PyDataMem_SetHandler(host_.ptr()));
    if (!saved_) throw py::error_already_set();
    resume();
  }

  void end() {
    stop();
    if (saved_ && failure_.empty()) {
      plan_.drop_dead();
      plan_.merge();
    }
    if (saved_) Py_XDECREF(PyDataMem_SetHandler(saved_.ptr()));
    saved_ = py::object();
  }

  void resume() {
    t_recorder = this;
    plan_.begin();
  }
  void stop() {
    if (t_recorder != this) return;
    t_recorder = nullptr;
    plan_.end();
  }

  // The step goes on unrecorded. What is not due must not go on at all.
  void fail(const std::string& reason) {
    if (t_recorder != this) return;
    stop();
    failure_ = reason;
    if (g_where) where_ = (*g_where)().cast<std::string>();
    if (launches_muted()) throw NotDue();
  }

  // The array that owns the memory which this one shows.
  static PyArrayObject* owner_of(PyObject* object) {
    auto* owner = reinterpret_cast<PyArrayObject*>(object);
    while (PyArray_BASE(owner) && PyArray_Check(PyArray_BASE(owner)))
      owner = reinterpret_cast<PyArrayObject*>(PyArray_BASE(owner));
    return owner;
  }
  bool is_temporary(PyArrayObject* owner) const {
    return PyArray_HANDLER(owner) == temporary_.ptr();
  }
  bool is_from_host(PyArrayObject* owner) const {
    return PyArray_HANDLER(owner) == host_.ptr() &&
           !known_.count(reinterpret_cast<PyObject*>(owner));
  }

  void note(PyObject* object) {
    PyArrayObject* owner = owner_of(object);
    if (is_temporary(owner)) return;
    if (is_from_host(owner)) return fail("a kernel gets values that NumPy computed inside");
    keep(reinterpret_cast<PyObject*>(owner));
  }

  void keep(PyObject* object) {
    if (!known_.insert(object).second) return;
    kept_.push_back(py::reinterpret_borrow<py::object>(object));
    if (restorable_) save(kept_.back());
  }

  // Notes the present values of the arrays from before, for `restore`. With `restorable` that
  // happens when each is first met.
  void save_all() {
    before_.clear();
    for (const py::object& array : kept_) save(array);
  }
  void restore() const {
    for (const auto& [array, copy] : before_)
      if (PyArray_CopyInto(reinterpret_cast<PyArrayObject*>(array.ptr()),
                           reinterpret_cast<PyArrayObject*>(copy.ptr())) < 0)
        throw py::error_already_set();
  }

  char* number(DType dtype, double value) {
    double& slot = numbers_.emplace_back(value);
    if (dtype == DType::kFloat32) {
      const auto narrow = float(value);
      std::memcpy(&slot, &narrow, sizeof narrow);
    }
    return reinterpret_cast<char*>(&slot);
  }

  ArrayMemory memory() const { return {temporary_.ptr(), plan_.pool().get()}; }

  // "temporary", "host" or "kept", see above; the identity of the array that owns the memory.
  std::pair<const char*, size_t> origin(py::array array) const {
    PyArrayObject* owner = owner_of(array.ptr());
    const char* kind = is_temporary(owner) ? "temporary" : is_from_host(owner) ? "host" : "kept";
    return {kind, reinterpret_cast<size_t>(owner)};
  }

  Plan plan_;
  std::string failure_, where_;

 private:
  void save(const py::object& object) {
    auto* array = reinterpret_cast<PyArrayObject*>(object.ptr());
    if (!PyArray_Check(object.ptr()) || !PyArray_ISWRITEABLE(array)) return;
    const NotRecording pause;
    PyObject* copy = PyArray_NewCopy(array, NPY_KEEPORDER);
    if (!copy) throw py::error_already_set();
    before_.emplace_back(object, py::reinterpret_steal<py::object>(copy));
  }

  const bool restorable_;
  std::vector<std::pair<py::object, py::object>> before_;  // arrays and their earlier values
  py::object temporary_, host_, saved_;
  bool begun_ = false;
  std::vector<py::object> kept_;
  std::unordered_set<PyObject*> known_;
  std::deque<double> numbers_;
};

}  // namespace

void note_operand(PyObject* array) {
  if (t_recorder) t_recorder->note(array);
}

char* recorded_number(DType dtype, double value) {
  return t_recorder ? t_recorder->number(dtype, value) : nullptr;
}

ArrayMemory array_memory() {
  return t_recorder ? t_recorder->memory() : ArrayMemory{g_handler, nullptr};
}

NotRecording::NotRecording() : paused_(t_recorder) {
  if (t_recorder) t_recorder->stop();
}
NotRecording::~NotRecording() {
  if (paused_) static_cast<Recorder*>(paused_)->resume();
}

void bind_plan(py::module_& m, PyObject* handler) {
  g_handler = handler;
  m.def("on_failed_recording", [](py::object where) { g_where = new py::object(where); });
  m.def("recording_plan", [] { return t_recorder != nullptr; });
  m.def("fail_recording", [](const std::string& reason) {
    if (t_recorder) t_recorder->fail(reason);
  });
  py::register_exception<NotDue>(m, "NotDue");
  // Whether to run what follows, up to end_every: it is due, as block[index], int64, is a multiple
  // of `every`, or a plan records it.
  m.def("begin_every", [](py::array block, py::ssize_t index, int64_t every) {
    const View view = require_view("begin_every", block);
    if (every < 1 || index < 0 || index >= view.size())
      throw std::invalid_argument("begin_every: needs a field of the block and a positive number");
    return begin_every({reinterpret_cast<const int64_t*>(view.data) + index, every});
  });
  m.def("end_every", [] {
    end_every();
    return launches_muted();
  });
  // The array itself, which holds the same values at each step although it was made inside.
  m.def("constant", [](py::array array) {
    if (t_recorder) t_recorder->keep(reinterpret_cast<PyObject*>(Recorder::owner_of(array.ptr())));
    return array;
  });
  py::class_<Recorder>(m, "Plan")
      .def(py::init<bool>(), py::arg("restorable") = false)
      .def("begin", &Recorder::begin)
      .def("end", &Recorder::end)
      .def("origin", &Recorder::origin)
      .def_readonly("failure", &Recorder::failure_)
      .def_readonly("where", &Recorder::where_)
      .def_property_readonly("launches", [](const Recorder& r) { return r.plan_.launches(); })
      .def_property_readonly("dropped", [](const Recorder& r) { return r.plan_.dropped(); })
      .def_property_readonly("blocks_in_use",
                             [](const Recorder& r) { return r.plan_.pool()->blocks_in_use(); })
      .def_property_readonly("bytes", [](const Recorder& r) { return r.plan_.pool()->bytes(); })
      .def_property_readonly("requested_bytes",
                             [](const Recorder& r) { return r.plan_.pool()->requested(); })
      .def(
          "run",
          [](const Recorder& r, ptrdiff_t steps, double seconds) {
            py::gil_scoped_release release;
            return r.plan_.run(steps, seconds);
          },
          py::arg("steps") = 1, py::arg("seconds") = 1e30)
      // (name, items, chunks, flops, bytes, merged) of each launch; 0 where the work is not known
      .def("describe",
           [](const Recorder& r) {
             py::list found;
             for (const LaunchText& t : describe(r.plan_))
               found.append(py::make_tuple(t.name, t.items, t.chunks, t.flops, t.bytes, t.merged));
             return found;
           })
      .def("save", &Recorder::save_all)
      .def("restore", &Recorder::restore)
      .def("profile", [](const Recorder& r, ptrdiff_t times) {
        py::gil_scoped_release release;
        return r.plan_.profile(times);
      });
}

}  // namespace pydl
