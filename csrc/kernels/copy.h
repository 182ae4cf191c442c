// Copies of blocks of elements, whose type is but a number of bytes.
#pragma once

#include "table.h"

namespace pydl {

// to[i * to_row + j] = from[i * from_row + j * from_col] for i < rows, j < cols.
using CopyBlockFn = void (*)(void* to, ptrdiff_t to_row, const void* from, ptrdiff_t from_row,
                             ptrdiff_t from_col, ptrdiff_t rows, ptrdiff_t cols);

struct CopyKernels {
  CopyBlockFn block[4];  // of elements of 1, 2, 4 and 8 bytes
};

}  // namespace pydl
