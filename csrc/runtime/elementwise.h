// Element-wise launches on operands of any layout.
#pragma once

#include <optional>

#include "runtime/view.h"
#include "table.h"

namespace pydl {

// operands[count - 1] = loop(operands[0 .. count - 2]). Every operand has the output's shape
// (see broadcast_to); the output has no zero strides and overlaps an input only where both walk
// the same addresses. `takes_scalars`: the loop honours its `scalars` argument. `cost` is the
// loop's cost per element relative to an addition, for the choice of the grain.
void elementwise(ElementwiseLoop loop, bool takes_scalars, const View* operands, int count,
                 const double* params = nullptr, double cost = 1);

// y = x, element by element, of any dtype; y contiguous or strided, of x's shape.
void copy(const View& x, const View& y);

// y = x as y's dtype, which is float32 or float64.
void cast(const View& x, const View& y);

// Loops over operands of that many bytes in all store past the caches; 0: the default, 48 MiB.
void set_stream_limit(double bytes);

int item_size(DType dtype);  // bytes

// If `fn` is the launch of a loop: the loop, the bytes that all of it reads and writes, and whether
// it walks items one by one (else blocks of two axes).
struct LoopInfo {
  ElementwiseLoop loop;
  double bytes;
  bool by_items;
};
std::optional<LoopInfo> elementwise_loop(RangeFn fn, const void* args);

// Whether two launches of loops over as many items, one after the other, may run tile by tile:
// what one of them writes, the other walks item by item in the same way or does not touch.
bool loops_mix(const void* earlier, const void* later);

// Bytes of an item of such launches together, a repeated operand once. `keep` lets them store into
// the caches, where the next one reads.
ptrdiff_t loops_item_bytes(const void* const* args, ptrdiff_t count);
void keep_in_caches(void* args);

}  // namespace pydl
