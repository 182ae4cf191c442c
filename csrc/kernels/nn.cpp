#include "kernels/nn.h"

#include "kernels/normalization_loops.h"
#include "kernels/softmax_loops.h"

namespace pydl::PYDL_ISA {

extern constinit const NnKernels nn_kernels = {
    .softmax = {softmax_rows<float, Head::kSoftmax>, softmax_rows<double, Head::kSoftmax>},
    .log_softmax = {softmax_rows<float, Head::kLogSoftmax>,
                    softmax_rows<double, Head::kLogSoftmax>},
    .softmax_grad = {softmax_grad_rows<float, false>, softmax_grad_rows<double, false>},
    .log_softmax_grad = {softmax_grad_rows<float, true>, softmax_grad_rows<double, true>},
    .sparse_cross_entropy = {softmax_rows<float, Head::kSparse>,
                             softmax_rows<double, Head::kSparse>},
    .dense_cross_entropy = {softmax_rows<float, Head::kDense>, softmax_rows<double, Head::kDense>},
    .sparse_cross_entropy_grad = {sparse_cross_entropy_grad<float>,
                                  sparse_cross_entropy_grad<double>},
    .dense_cross_entropy_grad = {dense_cross_entropy_grad<float>, dense_cross_entropy_grad<double>},
    .binary_cross_entropy = {binary_cross_entropy<float, false>,
                             binary_cross_entropy<double, false>},
    .binary_cross_entropy_grad = {binary_cross_entropy<float, true>,
                                  binary_cross_entropy<double, true>},
    .column_moments = {column_moments<float>, column_moments<double>},
    .merge_moments = {merge_moments<float>, merge_moments<double>},
    .normalization_scale = {normalization_scale<float>, normalization_scale<double>},
    .normalize = {normalize<float>, normalize<double>},
    .batch_norm_grad_sums = {column_grad_sums<float, false>, column_grad_sums<double, false>},
    .layer_norm_grad_sums = {column_grad_sums<float, true>, column_grad_sums<double, true>},
    .merge_grad_sums = {merge_grad_sums<float>, merge_grad_sums<double>},
    .batch_norm_coefficients = {batch_norm_coefficients<float>, batch_norm_coefficients<double>},
    .batch_norm_grad = {batch_norm_grad<float>, batch_norm_grad<double>},
    .layer_norm = {layer_norm<float>, layer_norm<double>},
    .layer_norm_grad = {layer_norm_grad<float>, layer_norm_grad<double>}};

}  // namespace pydl::PYDL_ISA
