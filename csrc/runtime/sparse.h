// Products with a sparse left operand.
#pragma once

#include "kernels/sparse.h"
#include "runtime/gemm_driver.h"

namespace pydl {

// Rows of a matrix in CSR form with float values; the caller has checked that columns ascend and
// lie in [0, args.k), and that args.rows lie in the matrix.
struct Csr {
  CsrArgs args;
  DType dtype;
  double per_row;  // elements, on average
};

// c = a @ b, then the epilogue; b (k, n) and c (m, n) have unit stride along n.
void csr_matmul(const Csr& a, const View& b, const View& c, const Epilogue& epilogue = {});

// c = a^T @ g; g (m, n) has unit stride along n, c (k, n) is contiguous.
void csr_matmul_gradient(const Csr& a, const View& g, const View& c);

// The elements of x (m x k, contiguous) that are not zero: first where the rows start, m + 1
// numbers, then, into arrays of start[m] elements, their values and columns.
void csr_count(const View& x, int64_t* start);
void csr_compress(const View& x, int64_t* start, const View& values, int32_t* columns);

}  // namespace pydl
