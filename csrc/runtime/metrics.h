// What metrics accumulate, as launches, so that a plan repeats them.
#pragma once

#include <cstdint>

#include "runtime/view.h"

namespace pydl {

// state[0] += factor * sum of value * weight; state[1] += factor * sum of weight, in float64. The
// arrays are contiguous floats; no weights: all 1.
void add_to_mean(const View& values, const View* weights, double factor, double* state);

// out[i] = a[i] equals b[i], as 1 or 0; a of any dtype, b bool, int64 or float, out float; all of
// one size and contiguous.
void matches(const View& a, const View& b, const View& out);

// Copies `out.size()` entries of `order`, int64, from position *cursor on, which moves behind them.
void next_rows(const View& order, int64_t* cursor, const View& out);

}  // namespace pydl
