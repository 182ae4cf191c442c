// Reductions and running sums on arrays of any layout.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kernels/reduce.h"
#include "runtime/view.h"

namespace pydl {

// out = op over the axes of x whose bit is set in `axes`. x is float32 or float64; out is
// C-contiguous with the shape of the other axes, of x's dtype, or int64 where op.info.to_index.
// `params`: kMaxParams values in the order of op.info.params, or null where the op has none.
// Throws std::invalid_argument where op has no identity and there is nothing to reduce.
void reduce(const ReduceEntry& op, const View& x, uint32_t axes, const View& out,
            const double* params = nullptr);

// The reduction of that name; throws std::invalid_argument where there is none.
const ReduceEntry& find_reduction(std::string_view name);

// out[.., i, ..] = x[.., 0, ..] + ... + x[.., i, ..] along `axis`; out has x's shape and dtype,
// float32 or float64, and is contiguous.
void cumulative_sum(const View& x, int axis, const View& out);

}  // namespace pydl
