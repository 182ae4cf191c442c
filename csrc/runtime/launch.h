// The one way a kernel starts: a range function, a block of plain arguments, a number of items.
#pragma once

#include <cstddef>
#include <type_traits>

#include "runtime/parallel.h"
#include "runtime/plan.h"

namespace pydl {

// Runs fn over `items` items, in parallel chunks of `grain` items (see parallel_for). `args` holds
// pointers, sizes, strides and parameters by value, so that a launch can be copied and repeated;
// what changes from step to step lies in the memory that it points to. `args.operands` lists the
// pointers (see Operands); without it a launch counts as one that may read and write everything.
template <class Args>
void launch(RangeFn fn, const Args& args, ptrdiff_t items, ptrdiff_t grain) {
  static_assert(std::is_trivially_copyable_v<Args>);
  if (items <= 0) return;
  if (!launches_muted()) parallel_for(items, grain, fn, &args);
  if (Plan* plan = recording_plan())
    plan->append(fn, &args, sizeof args, __PRETTY_FUNCTION__, items, grain, Operands::of(args));
}

// Throws where the values that `args` describes are not fit for the launches that follow; a plan
// checks them again at each step.
template <class Args>
void check(CheckFn fn, const Args& args) {
  static_assert(std::is_trivially_copyable_v<Args>);
  if (!launches_muted()) fn(&args);
  if (Plan* plan = recording_plan())
    plan->append(fn, &args, sizeof args, __PRETTY_FUNCTION__, Operands::of(args));
}

}  // namespace pydl
