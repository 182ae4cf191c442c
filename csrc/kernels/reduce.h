// Reductions and running sums: what the runtime and the per-ISA kernels agree on.
//
// A launch has one reduced axis of n elements and any number of kept axes, in one of two shapes:
//   rows     the reduced axis is contiguous; cut in chunks of 4096 elements
//   columns  a kept axis is contiguous; the reduced axis is cut in blocks of 256 rows
// Chunks and blocks ("parts") are joined by a fixed binary tree: neighbours in pairs, an odd last
// one moves up as it is. So the bits depend on shape and layout, not on threads or items.
#pragma once

#include "table.h"

namespace pydl {

constexpr ptrdiff_t kChunkElements = 4096;  // 16 KiB of float32: half of a 32 KiB L1
constexpr ptrdiff_t kBlockRows = 256;
constexpr ptrdiff_t kStripBytes = 16384;   // of the widest strip of columns
constexpr ptrdiff_t kAlignedBytes = 4096;  // of a strip that is worth aligned loads
constexpr ptrdiff_t kCumulativeStripBytes = 256;

struct ReduceInfo {
  const char* name = nullptr;
  bool has_identity = true;     // an empty reduction has a value
  bool to_index = false;        // the output is int64: a position in C order over the reduced axes
  ptrdiff_t grain = 32 * 1024;  // elements that are worth a thread
  Param params[kMaxParams] = {};
};

struct ReduceArgs {
  const void* x;
  void* out;
  const void* shift;  // one value per output, laid out like out; null in rows, and without a shift
  void* slots;        // [outer][part][vector of columns]

  int outer_ndim;  // kept axes outside the columns
  ptrdiff_t outer_shape[kMaxDims], outer_stride[kMaxDims], outer_out_stride[kMaxDims];
  ptrdiff_t n, stride;                   // the reduced axis; stride is 1 in rows
  ptrdiff_t columns, column_out_stride;  // the contiguous kept axis; 1 and 1 in rows
  ptrdiff_t strip;                       // columns of an item, whole vectors
  ptrdiff_t before;                      // empty lanes of the first vector: the others are aligned
  ptrdiff_t parts;                       // along n, at least 1
  double params[kMaxParams];

  void operands(auto f) const { f(x), f(out), f(shift), f(slots); }
};

struct ReduceLoops {
  RangeFn rows;    // item: one row, finished
  RangeFn chunks;  // item: (outer, part); into its slot
  RangeFn blocks;  // item: (outer, part, strip); into its slots, or finished where parts is 1
  RangeFn join;    // item: (outer, vector of columns); its slots joined, finished
  ptrdiff_t slot_bytes;
};

struct ReduceEntry {
  ReduceInfo info;
  int shift;  // index of the reduction whose result this one reads, or -1
  ReduceLoops loops[kFloatTypes];
};

// out[.., i, ..] = x[.., 0, ..] + ... + x[.., i, ..] along an axis of n elements.
struct CumulativeSumArgs {
  const void* x;
  void* out;
  int outer_ndim;
  ptrdiff_t outer_shape[kMaxDims], outer_stride[kMaxDims], outer_out_stride[kMaxDims];
  ptrdiff_t n, stride, out_stride;
  ptrdiff_t columns;  // neighbouring lines, contiguous in x and out

  void operands(auto f) const { f(x), f(out); }
};

struct ReduceKernels {
  const ReduceEntry* entries;
  int count;
  RangeFn cumulative_sum[kFloatTypes];  // item: (outer, strip)
};

}  // namespace pydl
