// View: the runtime's idea of an array; it owns nothing.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pydl {

constexpr int kMaxArrayDims = 32;

enum class DType : uint8_t {
  kBool,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kUInt8,
  kUInt16,
  kUInt32,
  kUInt64,
  kFloat32,
  kFloat64
};

// Index into the kernels' [kFloatTypes] arrays.
inline int float_index(DType t) { return t == DType::kFloat64; }
inline bool is_float(DType t) { return t >= DType::kFloat32; }

struct View {
  char* data = nullptr;
  DType dtype = DType::kFloat32;
  int ndim = 0;
  // The first ndim entries hold; the rest is not initialised, which keeps small calls cheap.
  ptrdiff_t shape[kMaxArrayDims];
  ptrdiff_t strides[kMaxArrayDims];  // in elements; negative and zero allowed

  View() {}

  ptrdiff_t size() const {
    ptrdiff_t n = 1;
    for (int i = 0; i < ndim; ++i) n *= shape[i];
    return n;
  }
};

}  // namespace pydl
