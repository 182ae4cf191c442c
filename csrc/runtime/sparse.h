// Products with a sparse left operand.
#pragma once

#include <functional>

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

// Where the elements of a matrix go: values, and their columns.
struct CsrRoom {
  void* values;
  int32_t* columns;
};

// The elements of x (m x k, contiguous) that are not zero, and where the m + 1 rows of them start.
// x is read from memory once: `grow(n)` returns room for n elements, with those already found.
void csr_of_dense(const View& x, int64_t* start, const std::function<CsrRoom(ptrdiff_t)>& grow);

}  // namespace pydl
