// Shape rules: broadcasting, merging of axes.
#pragma once

#include <cstddef>
#include <string>

#include "runtime/view.h"
#include "table.h"

namespace pydl {

std::string shape_text(const ptrdiff_t* shape, int ndim);  // "(32, 10)"

// Shape of the result of broadcasting `count` views together, written to out.shape and out.ndim.
// Throws std::invalid_argument that names `who`, the shapes and the axis.
void broadcast_shape(const char* who, const View* const* views, int count, View& out);

// Shape of a @ b for operands of at least two axes: leading axes broadcast as batch.
// Throws std::invalid_argument that names both shapes.
void matmul_shape(const View& a, const View& b, View& out);

// The same array seen as `ndim` axes of `shape`: axes added on the left, stretched by zero strides.
View broadcast_to(const View& v, const ptrdiff_t* shape, int ndim);

// Loop nest over several operands of one shape, innermost axis first.
struct LoopNest {
  int ndim = 0;
  ptrdiff_t shape[kMaxArrayDims];
  ptrdiff_t strides[kMaxOperands][kMaxArrayDims];
};

// Drops axes of length 1, orders the axes by the output's strides (the last operand), and merges
// neighbours that every operand walks evenly.
LoopNest merge_axes(const View* operands, int count);

// Contiguous strides of v's shape in C order.
void set_c_strides(View& v);
bool is_c_contiguous(const View& v);

}  // namespace pydl
