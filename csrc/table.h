// The contract between the per-ISA kernels and the rest of the library: plain C types, no logic.
//
// Everything compiled once per ISA (simd/, ops/, kernels/) is reached through one `KernelTable` per
// ISA. Sizes and strides are `ptrdiff_t` and count elements, never bytes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pydl {

constexpr int kMaxDims = 8;      // axes of a launch after merging; arrays have up to 32
constexpr int kMaxOperands = 5;  // inputs and output of one element-wise launch
constexpr int kMaxParams = 3;    // scalar parameters of one op
constexpr int kSpatialAxes = 3;  // of a convolution; missing ones have length 1
constexpr int kFloatTypes = 2;   // kernels exist for float32 (index 0) and float64 (index 1)

static inline constexpr ptrdiff_t ceil_div(ptrdiff_t a, ptrdiff_t b) { return (a + b - 1) / b; }

// One range of work of a launch: items [begin, end) of what `args` describes.
using RangeFn = void (*)(const void* args, ptrdiff_t begin, ptrdiff_t end);

// n elements of an element-wise op. p holds the inputs, then the output, all contiguous; bit i of
// `flags` says that operand i is one value to be repeated (honoured where the entry says so), and
// kStreams that the output should bypass the caches: it then starts on a line of 64 bytes.
using ElementwiseLoop = void (*)(ptrdiff_t n, char* const* p, unsigned flags, const double* params);
constexpr unsigned kStreams = 1u << kMaxOperands;

enum class Saves : uint8_t { kNone, kInput, kOutput, kBoth };  // what a gradient needs again

struct Param {
  const char* name = nullptr;
  double value = 0;  // default
};

// Points where the derivative jumps; tests keep away from them.
struct Kinks {
  double at[4] = {};
  int count = 0;
  consteval Kinks() = default;
  consteval Kinks(double a) : at{a}, count(1) {}
  consteval Kinks(double a, double b) : at{a, b}, count(2) {}
};

struct UnaryInfo {
  const char* name = nullptr;
  Saves saves = Saves::kInput;
  double domain[2] = {-10, 10};  // where tests and benches sample
  double max_ulp = 0.5;          // float32, against float64, over the whole domain of the function
  Kinks kinks = {};
  Param params[kMaxParams] = {};
  bool differentiable = true;
  bool to_bool = false;  // the output is bool
};

struct BinaryInfo {
  const char* name = nullptr;
  double domain[2] = {-10, 10};
  double max_ulp = 0.5;
  bool differentiable = true;
  bool to_bool = false;
};

struct UnaryEntry {
  UnaryInfo info;
  ElementwiseLoop forward[kFloatTypes];   // x -> y
  ElementwiseLoop backward[kFloatTypes];  // g, x, y -> dx; null where not differentiable
};

struct BinaryEntry {
  BinaryInfo info;
  ElementwiseLoop forward[kFloatTypes];  // a, b -> y
  ElementwiseLoop grad_a[kFloatTypes];   // g, a, b, y -> da
  ElementwiseLoop grad_b[kFloatTypes];   // g, a, b, y -> db
};

struct GemmKernels;
struct ReduceKernels;
struct NnKernels;
struct GatherKernels;
struct CopyKernels;
struct RandomKernels;
struct OptimizerKernels;
struct ConvKernels;
struct PoolKernels;
struct ElementwiseKernels;
struct SparseKernels;
struct ZeroSkipKernels;

// All kernels of one ISA.
struct KernelTable {
  const char* isa;   // "v2", "v3", "v4" (x86-64 levels), "neon"
  int vector_bytes;  // width of a register
  const ElementwiseKernels& elementwise;
  const ReduceKernels& reduce;
  const GemmKernels& gemm;
  const NnKernels& nn;
  const GatherKernels& gather;
  const CopyKernels& copy;
  const RandomKernels& random;
  const OptimizerKernels& optimizer;
  const SparseKernels& sparse;
  const ConvKernels& conv;
  const PoolKernels& pool;
  const ZeroSkipKernels& zero_skip;
  void (*fma_peak)(ptrdiff_t iterations, double* sink);  // float32 FMAs in registers only
  double fma_peak_flops;                                 // floating-point operations an iteration
};

}  // namespace pydl
