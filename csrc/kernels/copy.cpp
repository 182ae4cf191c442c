#include "kernels/copy.h"

#include "kernels/copy_loops.h"

namespace pydl::PYDL_ISA {
namespace {

// A square of V has as many rows as V has lanes: those of short elements are of 16 bytes.
template <class T>
void block(void* to, ptrdiff_t to_row, const void* from, ptrdiff_t from_row, ptrdiff_t from_col,
           ptrdiff_t rows, ptrdiff_t cols) {
  constexpr bool kShort = sizeof(T) < 4;
  using V = typename VecOf<T, kShort ? 16 : kVectorBytes>::Type;
  copy_block<T, V>(static_cast<T*>(to), to_row, static_cast<const T*>(from), from_row, from_col,
                   rows, cols);
}

}  // namespace

extern constinit const CopyKernels copy_kernels = {
    {block<uint8_t>, block<uint16_t>, block<uint32_t>, block<uint64_t>}};

}  // namespace pydl::PYDL_ISA
