// Softmax, cross-entropy and normalisation: what the runtime and the per-ISA kernels agree on.
//
// Matrices are rows x n or rows x columns, contiguous in C order; T is float32 or float64.
#pragma once

#include "table.h"

namespace pydl {

constexpr ptrdiff_t kStatisticsRows = 256;        // rows of one partial column sum
constexpr ptrdiff_t kStatisticsStripBytes = 128;  // columns of one item, in bytes

// softmax, log_softmax and cross-entropy of logits; an item is one row.
//   sparse: loss = log sum_j exp(x_j) - x_label
//   dense:  loss = sum_j t_j (log sum_k exp(x_k) - x_j); a class with t_j = 0 adds nothing
struct SoftmaxArgs {
  const void* x;
  void* y;  // rows x n; the probabilities in cross-entropy
  ptrdiff_t n;
  // cross-entropy only
  const void* labels;  // sparse: integers in [0, n), one a row; dense: T, rows x n
  int label_bytes;     // sparse: 1, 2, 4 or 8
  void* loss;          // T, one a row
  void* label_sums;    // dense: sum_j t_j, one a row

  void operands(auto f) const { f(x), f(y), f(labels), f(loss), f(label_sums); }
};

struct SoftmaxGradArgs {
  const void* g;
  const void* y;
  void* dx;
  ptrdiff_t n;

  void operands(auto f) const { f(g), f(y), f(dx); }
};

// Gradient of the loss with respect to the logits; an item is one row.
//   sparse: dx_j = g (p_j - [j == label]);  dense: dx_j = g (p_j sum_k t_k - t_j)
struct CrossEntropyGradArgs {
  const void* g;  // one a row
  const void* probabilities;
  const void* labels;
  int label_bytes;
  const void* label_sums;
  void* dx;
  ptrdiff_t n;

  void operands(auto f) const { f(g), f(probabilities), f(labels), f(label_sums), f(dx); }
};

// loss = max(x, 0) - x t + log1p(exp(-abs(x))) and dx = g (sigmoid(x) - t); an item is one element.
struct BinaryCrossEntropyArgs {
  const void* g;  // null in the forward pass
  const void* logits;
  const void* labels;
  void* out;

  void operands(auto f) const { f(g), f(logits), f(labels), f(out); }
};

// Column statistics: partials over blocks of kStatisticsRows rows, then merged pairwise. An item of
// a partial is one strip of kStatisticsStripBytes of one block (strips run fastest), an item of a
// merge one strip. Partials are blocks x columns and are overwritten by the merge.
struct ColumnMomentsArgs {
  const void* x;
  void* means;    // partial means
  void* squares;  // partial sums of squared deviations from them
  void* mean;
  void* variance;  // biased
  ptrdiff_t rows, columns;

  void operands(auto f) const { f(x), f(means), f(squares), f(mean), f(variance); }
};

// sum_r g and sum_r g (x - mean) scale. mean and scale belong to the columns in batch
// normalisation, where scale is 1 and not read, and to the rows in layer normalisation.
struct ColumnGradSumsArgs {
  const void* g;
  const void* x;
  const void* mean;
  const void* scale;
  void* sums_g;   // partial
  void* sums_gx;  // partial
  void* sum_g;
  void* sum_gx;
  ptrdiff_t rows, columns;

  void operands(auto f) const {
    f(g), f(x), f(mean), f(scale), f(sums_g), f(sums_gx), f(sum_g), f(sum_gx);
  }
};

// scale = gamma / sqrt(variance + epsilon); an item is one column. gamma may be null (1).
struct ScaleArgs {
  const void* variance;
  const void* gamma;
  void* scale;
  double epsilon;

  void operands(auto f) const { f(variance), f(gamma), f(scale); }
};

// y = (x - mean) scale + beta; an item is one row. beta may be null (0).
struct NormalizeArgs {
  const void* x;
  const void* mean;
  const void* scale;
  const void* beta;
  void* y;
  ptrdiff_t columns;

  void operands(auto f) const { f(x), f(mean), f(scale), f(beta), f(y); }
};

// From the column sums to the gradients and to the coefficients of
//   dx = a g + b (x - mean) + c,  a = gamma rstd,  b = -a rstd dgamma / rows,  c = -a dbeta / rows
// where rstd = 1 / sqrt(variance + epsilon); an item is one column.
struct BatchNormCoefficientsArgs {
  const void* variance;
  const void* gamma;  // may be null
  const void* dbeta;  // sum g
  void* dgamma;       // sum g (x - mean) comes in
  void* a;
  void* b;
  void* c;
  double epsilon;
  ptrdiff_t rows;

  void operands(auto f) const { f(variance), f(gamma), f(dbeta), f(dgamma), f(a), f(b), f(c); }
};

struct BatchNormGradArgs {
  const void* g;
  const void* x;
  const void* mean;
  const void* a;
  const void* b;
  const void* c;
  void* dx;
  ptrdiff_t columns;

  void operands(auto f) const { f(g), f(x), f(mean), f(a), f(b), f(c), f(dx); }
};

// y = (x - mean) rstd gamma + beta with the mean and the biased variance of each row, and
// dx = rstd (h - mean(h) - xhat mean(h xhat)), h = g gamma, xhat = (x - mean) rstd. An item is one
// row; gamma and beta may be null.
struct LayerNormArgs {
  const void* x;
  const void* gamma;
  const void* beta;
  void* y;
  void* mean;  // one a row
  void* rstd;
  double epsilon;
  ptrdiff_t n;

  void operands(auto f) const { f(x), f(gamma), f(beta), f(y), f(mean), f(rstd); }
};

struct LayerNormGradArgs {
  const void* g;
  const void* x;
  const void* gamma;
  const void* mean;
  const void* rstd;
  void* dx;
  ptrdiff_t n;

  void operands(auto f) const { f(g), f(x), f(gamma), f(mean), f(rstd), f(dx); }
};

struct NnKernels {
  RangeFn softmax[kFloatTypes];
  RangeFn log_softmax[kFloatTypes];
  RangeFn softmax_grad[kFloatTypes];      // dx = y (g - sum g y)
  RangeFn log_softmax_grad[kFloatTypes];  // dx = g - exp(y) sum g
  RangeFn sparse_cross_entropy[kFloatTypes];
  RangeFn dense_cross_entropy[kFloatTypes];
  RangeFn sparse_cross_entropy_grad[kFloatTypes];
  RangeFn dense_cross_entropy_grad[kFloatTypes];
  RangeFn binary_cross_entropy[kFloatTypes];
  RangeFn binary_cross_entropy_grad[kFloatTypes];
  RangeFn column_moments[kFloatTypes];
  RangeFn merge_moments[kFloatTypes];
  RangeFn normalization_scale[kFloatTypes];
  RangeFn normalize[kFloatTypes];
  RangeFn batch_norm_grad_sums[kFloatTypes];
  RangeFn layer_norm_grad_sums[kFloatTypes];
  RangeFn merge_grad_sums[kFloatTypes];
  RangeFn batch_norm_coefficients[kFloatTypes];
  RangeFn batch_norm_grad[kFloatTypes];
  RangeFn layer_norm[kFloatTypes];
  RangeFn layer_norm_grad[kFloatTypes];
};

}  // namespace pydl
