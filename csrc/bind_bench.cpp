// The machine's limits from Python.
#include <pybind11/pybind11.h>

#include "runtime/bench.h"

namespace py = pybind11;

namespace pydl {

void bind_bench(py::module_& m) {
  const py::call_guard<py::gil_scoped_release> release;
  m.def("fma_peak", fma_peak, py::arg("seconds") = 0.2, release);
  m.def("copy_bandwidth", copy_bandwidth, py::arg("bytes"), py::arg("seconds") = 0.2, release);
  m.def("read_bandwidth", read_bandwidth, py::arg("bytes"), py::arg("seconds") = 0.2, release);
}

}  // namespace pydl
