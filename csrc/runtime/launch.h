// The one way a kernel starts: a range function, a block of plain arguments, a number of items.
#pragma once

#include <cstddef>
#include <type_traits>

#include "runtime/parallel.h"

namespace pydl {

// Runs fn over `items` items, in parallel chunks of `grain` items (see parallel_for). `args` holds
// pointers, sizes, strides and parameters by value, so that a launch can be copied and repeated.
template <class Args>
void launch(RangeFn fn, const Args& args, ptrdiff_t items, ptrdiff_t grain) {
  static_assert(std::is_trivially_copyable_v<Args>);
  if (items > 0) parallel_for(items, grain, fn, &args);
}

}  // namespace pydl
