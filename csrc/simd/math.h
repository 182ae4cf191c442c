// Elementary functions on Vec<float> and Vec<double>: arithmetic only, no tables, no branches on
// values except for the rare huge argument of sin, cos and tan.
//
// One algorithm serves both types, with its own polynomials. "Error: f, d" is the largest one seen,
// in units of the last place of the exact result, the worse of with and without FMA. For float (f)
// exp, expm1, log, log1p, tanh, sigmoid, erf, sin, cos and gelu were tried on all 2^32 inputs with
// FMA; everything else on every 257th or 509th, pow on random pairs. For double (d) random numbers
// of all magnitudes were tried against 80-bit arithmetic.
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
