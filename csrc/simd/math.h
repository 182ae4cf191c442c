// Elementary functions on Vec<float> and Vec<double>: arithmetic only, no tables, no branches on
// values except for the rare huge argument of sin, cos and tan.
//
// One algorithm serves both types, with its own polynomials. "Error: f, d" is the largest one seen,
// with FMA or without, in units of the last place of the exact result. For float (f) all 2^32
// inputs were tried, or every 257th for sinh, cosh, tan, log2, log10, mish, silu, softplus and
// gelu_tanh; for double (d) random ones of all magnitudes,
// against 80-bit arithmetic. Special values are those of C99: inf, nan and the sign of zero.
// With subnormals flushed a subnormal argument counts as zero and a subnormal result becomes zero;
// normal results are unaffected, because no intermediate result that matters is subnormal. All
// polynomials are our own: minimax (Remez), or rational functions fitted by iteratively reweighted
// least squares, computed with 45 to 90 digits.
#pragma once

#include "simd/activation.h"
#include "simd/exp_log.h"
#include "simd/power.h"
#include "simd/trig.h"
