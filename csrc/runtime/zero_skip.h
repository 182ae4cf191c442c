// Products with a dense left operand that has many zeros.
#pragma once

#include "runtime/gemm_driver.h"

namespace pydl {

// c = x @ b, then the epilogue; x has unit stride along m or k, b (k, n) and c (m, n) along n. The
// bits are those of `matmul` where b is finite, which takes what the kernels do not: more than
// kGemmSegment rows or steps, and rows of b that are no whole vectors.
void zero_skip_matmul(const View& x, const View& b, const View& c, const Epilogue& epilogue = {});

}  // namespace pydl
