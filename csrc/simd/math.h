// Elementary functions on Vec<float> and Vec<double>: arithmetic only, no tables but one of 16 for
// pow. No branches on values, except that sin, cos, tan, pow, floor_divide and remainder of floats
// have a quicker way for the common range, and work out the other one only if a lane needs it.
//
// One algorithm serves both types where not said otherwise, with its own polynomials. "Error: f, d"
// is the largest one seen, in units of the last place of the exact result, the worse of with and
// without FMA. For float (f) with FMA docs/accuracy.md says what was tried, mostly all 2^32 inputs;
// without FMA every 257th or 509th. For double (d) random numbers of all magnitudes were tried
// against 80-bit arithmetic.
//
// Special values are those of C99: inf, nan and the sign of zero. With subnormals flushed a
// subnormal argument counts as zero and a subnormal result becomes zero; normal results are
// unaffected, because no intermediate result that matters is subnormal. All polynomials are our
// own: minimax (Remez), or rational functions fitted by iteratively reweighted least squares,
// computed with 45 to 90 digits.
#pragma once

#include "simd/activation.h"
#include "simd/exp_log.h"
#include "simd/power.h"
#include "simd/trig.h"
