// Elementary functions on Vec<float> and Vec<double>: arithmetic only, no tables, no branches on
// values except for the rare huge argument of sin, cos and tan.
//
// One algorithm serves both types, with its own polynomials. Errors are the largest seen, in units
// of the last place of the exact result: over all 2^32 inputs for float ("f"), over random samples
// against 113-bit arithmetic for double ("d"). Special values are those of C99: inf, nan and the
// sign of zero. With subnormals flushed a subnormal argument counts as zero and a subnormal result
// becomes zero; nothing else changes, because no intermediate result is subnormal. All polynomials
// are our own: minimax (Remez), or rational functions fitted by iteratively reweighted least
// squares, computed with 45 to 90 digits.
#pragma once

#include "simd/activation.h"
#include "simd/exp_log.h"
#include "simd/power.h"
#include "simd/trig.h"
