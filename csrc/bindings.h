// Python objects in, Views out: what the files that bind kernels share.
#pragma once

#include <pybind11/pybind11.h>

#define PY_ARRAY_UNIQUE_SYMBOL pydl_array_api
#if !defined(PYDL_IMPORTS_NUMPY)
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

#include <optional>

#include "runtime/memory.h"
#include "runtime/view.h"

namespace pydl {

// Describes an ndarray. False for anything else, and for arrays that kernels cannot read: another
// dtype, foreign byte order, unaligned data, strides that are no multiple of the element.
bool to_view(pybind11::handle object, View& view);

// The same without noting that a kernel is about to read or write the array (see `note_operand`).
bool describe_array(pybind11::handle object, View& view);

// to_view or TypeError in the name of `who`.
View require_view(const char* who, pybind11::handle object);

// A new C-contiguous ndarray on pydl's allocator, and its View. ValueError in the name of `who` for
// more elements than memory can ever hold, MemoryError where there is none.
pybind11::object new_array(DType dtype, int ndim, const ptrdiff_t* shape, View& view,
                           const char* who = "pydl");

// `out` checked to be a writeable array of this dtype and shape (TypeError, ValueError), or a new
// array where out is None.
pybind11::object output_array(const char* who, pybind11::handle out, DType dtype, int ndim,
                              const ptrdiff_t* shape, View& view);

// A new array without axes of a float dtype, written on the host: a constant for plans.
pybind11::object new_number(DType dtype, double value);

// While this thread records a plan: keeps the array that a kernel reads or writes, unless it is a
// temporary of the plan; ends the recording if NumPy made it meanwhile.
void note_operand(PyObject* array);

// While this thread records a plan: a number of this dtype that lives as long as the plan, where
// its launches find it. Null otherwise.
char* recorded_number(DType dtype, double value);

// While one lives, this thread does not record and its arrays come from pydl's allocator.
class NotRecording {
 public:
  NotRecording();
  ~NotRecording();
  NotRecording(const NotRecording&) = delete;
  NotRecording& operator=(const NotRecording&) = delete;

 private:
  void* paused_;
};

// The memory handler and the memory of new arrays of this thread.
struct ArrayMemory {
  PyObject* handler;  // borrowed capsule
  Pool* pool;         // null: pydl's allocator
};
ArrayMemory array_memory();

// a @ b of arrays of one float dtype, two matrices or batches on either side. None for others, and
// for a batch times a matrix, which Python makes one large product.
pybind11::object multiply_matrices(pybind11::handle a, pybind11::handle b);

// True where the memory of the two may overlap in another way than element on element.
bool overlaps(const View& a, const View& b);

// Releases the GIL for work worth more than about 10 us (additions or multiply-adds).
class MaybeReleaseGil {
 public:
  explicit MaybeReleaseGil(double work) {
    if (work > 64 * 1024) release_.emplace();
  }

 private:
  std::optional<pybind11::gil_scoped_release> release_;
};

}  // namespace pydl
