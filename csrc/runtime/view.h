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

// As NumPy calls it.
inline const char* dtype_name(DType t) {
  constexpr const char* kNames[] = {"bool",   "int8",   "int16",  "int32",   "int64",  "uint8",
                                    "uint16", "uint32", "uint64", "float32", "float64"};
  return kNames[int(t)];
}

// Index into the kernels' [kFloatTypes] arrays.
inline int float_index(DType t) { return t == DType::kFloat64; }
inline bool is_float(DType t) { return t >= DType::kFloat32; }

// Calls f(T()) with the integer type of a dtype.
template <class F>
auto with_integer(DType dtype, F f) {
  switch (dtype) {
    case DType::kInt8:
      return f(int8_t());
    case DType::kInt16:
      return f(int16_t());
    case DType::kInt32:
      return f(int32_t());
    case DType::kInt64:
      return f(int64_t());
    case DType::kUInt16:
      return f(uint16_t());
    case DType::kUInt32:
      return f(uint32_t());
    case DType::kUInt64:
      return f(uint64_t());
    default:
      return f(uint8_t());
  }
}

// Calls f(T()) with the type of a dtype.
template <class F>
auto with_dtype(DType dtype, F f) {
  switch (dtype) {
    case DType::kBool:
      return f(bool());
    case DType::kFloat32:
      return f(float());
    case DType::kFloat64:
      return f(double());
    default:
      return with_integer(dtype, f);
  }
}

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
