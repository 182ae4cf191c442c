// Rows taken from and added into a table by index, rows put side by side.
#pragma once

#include "table.h"

namespace pydl {

// Indices are int32 or int64, contiguous. A negative one counts from the end; the caller has
// checked the range.

// out[o, i, :] = table[o, index[i], :]; an item is one (o, i). Slices are plain bytes.
struct TakeArgs {
  const void* table;
  const void* index;
  int index_bytes;
  void* out;
  ptrdiff_t table_rows, index_count;
  ptrdiff_t slice_bytes;

  void operands(auto f) const { f(table), f(index), f(out); }
};

// out[index[i], :] += x[i, :], i in order; an item is one row of out, which is zeroed first unless
// `accumulate`. Every range of items walks the whole index.
struct ScatterAddArgs {
  const void* x;
  const void* index;
  int index_bytes;
  void* out;
  ptrdiff_t out_rows, index_count;
  ptrdiff_t columns;
  bool accumulate;

  void operands(auto f) const { f(x), f(index), f(out); }
};

// out[i, :] = 0 but `one` at index[i], nothing where index[i] is outside [0, classes); an item is
// one i. Elements are plain bytes, 1, 2, 4 or 8 of them.
struct OneHotArgs {
  const void* index;
  int index_bytes;
  void* out;
  ptrdiff_t classes;
  int element_bytes;
  char one[8];

  void operands(auto f) const { f(index), f(out); }
};

constexpr int kConcatParts = 8;

// out[row, :] = the rows of the parts one after the other; an item is a row. All are plain bytes.
struct ConcatArgs {
  const void* parts[kConcatParts];
  ptrdiff_t bytes[kConcatParts];  // of a row of a part
  int count;
  void* out;
  ptrdiff_t row_bytes;  // from row to row of out

  void operands(auto f) const {
    for (int k = 0; k < count; ++k) f(parts[k]);
    f(out);
  }
};

enum ScatterType { kScatterFloat32, kScatterFloat64, kScatterInt32, kScatterInt64, kScatterTypes };

struct GatherKernels {
  RangeFn take;
  RangeFn scatter_add[kScatterTypes];
  RangeFn one_hot;
  RangeFn concat;
};

}  // namespace pydl
