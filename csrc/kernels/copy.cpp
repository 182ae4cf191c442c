#include "kernels/copy.h"

#include "kernels/copy_loops.h"

namespace pydl::PYDL_ISA {
namespace {

// Rows of two or three columns, as those of images with three channels, which are dense in `to`:
// what a square of four has beyond them is overwritten by the next rows. Returns the rows copied.
template <class T, class V>
ptrdiff_t to_narrow(T* to, const T* from, ptrdiff_t from_col, ptrdiff_t rows, ptrdiff_t cols) {
  constexpr ptrdiff_t kSide = sizeof(V) / sizeof(T);
  ptrdiff_t i = 0;
  for (V square[kSide]; i + kSide < rows; i += kSide) {
    for (ptrdiff_t q = 0; q < kSide; ++q)
      __builtin_memcpy(&square[q], from + i + min(q, cols - 1) * from_col, sizeof(V));
    transpose(square);
    for (ptrdiff_t q = 0; q < kSide; ++q)
      __builtin_memcpy(to + (i + q) * cols, &square[q], sizeof(V));
  }
  return i;
}

// The other way: columns of two or three rows, dense in `from`. Returns the columns copied.
template <class T, class V>
ptrdiff_t from_narrow(T* to, ptrdiff_t to_row, const T* from, ptrdiff_t rows, ptrdiff_t cols) {
  constexpr ptrdiff_t kSide = sizeof(V) / sizeof(T);
  ptrdiff_t j = 0;
  for (; j + kSide < cols; j += kSide) {
    const Transposed<V, T> square(from + j * rows, rows);
    for (ptrdiff_t q = 0; q < rows; ++q)
      __builtin_memcpy(to + q * to_row + j, &square.row[q], sizeof(V));
  }
  return j;
}

template <class T>
void block(void* to_block, ptrdiff_t to_row, const void* from_block, ptrdiff_t from_row,
           ptrdiff_t from_col, ptrdiff_t rows, ptrdiff_t cols) {
  T* to = static_cast<T*>(to_block);
  const T* from = static_cast<const T*>(from_block);
  // A square of V has as many rows as V has lanes: those of short elements are of 16 bytes.
  using Small = typename VecOf<T, 16>::Type;
  using V = typename VecOf<T, sizeof(T) < 4 ? 16 : kVectorBytes>::Type;
  if constexpr (sizeof(T) == 4) {
    if (from_row == 1 && to_row == cols && 1 < cols && cols < 4) {
      const ptrdiff_t done = to_narrow<T, Small>(to, from, from_col, rows, cols);
      to += done * cols, from += done, rows -= done;
    } else if (from_row == 1 && from_col == rows && 1 < rows && rows < 4) {
      const ptrdiff_t done = from_narrow<T, Small>(to, to_row, from, rows, cols);
      to += done, from += done * rows, cols -= done;
    }
  }
  copy_block<T, V>(to, to_row, from, from_row, from_col, rows, cols);
}

}  // namespace

extern constinit const CopyKernels copy_kernels = {
    {block<uint8_t>, block<uint16_t>, block<uint32_t>, block<uint64_t>}};

}  // namespace pydl::PYDL_ISA
