// Softmax, cross-entropy, normalisation and gather launches.
//
// All Views are C-contiguous, but the parts of `concat`. Rows run along the last axis: an array of
// shape (..., n) is a matrix rows x n. Every array of one call has one float dtype, labels and
// indices aside.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/view.h"

namespace pydl {

// y = softmax(x), or its logarithm.
void softmax(const View& x, bool log, const View& y);
void softmax_grad(const View& g, const View& y, bool log, const View& dx);

// Throws std::invalid_argument in the name of `who` if a label is outside [0, classes); it names
// the first such label and its position.
void check_labels(const char* who, const View& labels, ptrdiff_t classes);

// The same for the ids of an embedding with `input_dim` rows.
void check_ids(const char* who, const View& ids, ptrdiff_t input_dim);

// loss = log sum_j exp(x_j) - x_label for each row. The labels, one a row, have been checked.
void sparse_cross_entropy(const View& labels, const View& logits, const View& loss,
                          const View& probabilities);
void sparse_cross_entropy_grad(const View& g, const View& probabilities, const View& labels,
                               const View& dx);

// loss = sum_j t_j (log sum_k exp(x_k) - x_j) for each row; label_sums receives sum_j t_j.
void cross_entropy(const View& labels, const View& logits, const View& loss,
                   const View& probabilities, const View& label_sums);
void cross_entropy_grad(const View& g, const View& probabilities, const View& labels,
                        const View& label_sums, const View& dx);

// loss = max(x, 0) - x t + log1p(exp(-abs(x))), element by element.
void binary_cross_entropy(const View& labels, const View& logits, const View& loss);
void binary_cross_entropy_grad(const View& g, const View& labels, const View& logits,
                               const View& dx);

// Normalisation. gamma and beta may be absent (null); then they count as 1 and 0.
// y = gamma (x - mean) / sqrt(variance + epsilon) + beta; here mean and variance are those of each
// column over the rows, the variance being the biased one.
void batch_norm(const View& x, const View* gamma, const View* beta, double epsilon, const View& y,
                const View& mean, const View& variance);
void batch_norm_grad(const View& g, const View& x, const View& mean, const View& variance,
                     const View* gamma, double epsilon, const View& dx, const View& dgamma,
                     const View& dbeta);
// The same with a given mean and variance.
void normalize(const View& x, const View& mean, const View& variance, const View* gamma,
               const View* beta, double epsilon, const View& y);

// The same with the mean and the biased variance of each row of n elements, gamma and beta having n
// too. mean and rstd = 1 / sqrt(variance + epsilon) receive one value a row.
void layer_norm(const View& x, ptrdiff_t n, const View* gamma, const View* beta, double epsilon,
                const View& y, const View& mean, const View& rstd);
// dgamma and dbeta may be null.
void layer_norm_grad(const View& g, const View& x, ptrdiff_t n, const View& mean, const View& rstd,
                     const View* gamma, const View& dx, const View* dgamma, const View* dbeta);

// Throws std::out_of_range in the name of `who` if an index is outside [-n, n).
void check_indices(const char* who, const View& index, ptrdiff_t n);

// out[..., i, ...] = x[..., index[i], ...] along `axis`, of any dtype. index is a checked int32 or
// int64 array of any shape, whose axes replace `axis` in out.
void take(const View& x, const View& index, int axis, const View& out);

// The parts, of any one dtype and layout, one after the other along an axis.
void concat(const std::vector<View>& parts, int axis, const View& out);

// out[index[i], ...] += x[i, ...], i in order; out is zeroed first unless `accumulate`. float32,
// float64, int32 or int64.
void scatter_add(const View& index, const View& x, bool accumulate, const View& out);

// out[..., j] = 1 where j == index[...], else 0; out is of any dtype.
void one_hot(const View& index, const View& out);

}  // namespace pydl
