#include "runtime/nn.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

#include "kernels/gather.h"
#include "kernels/nn.h"
#include "runtime/dispatch.h"
#include "runtime/elementwise.h"
#include "runtime/launch.h"
#include "runtime/memory.h"
#include "runtime/shape.h"

namespace pydl {
namespace {

constexpr ptrdiff_t kRowElements = 16 * 1024;    // softmax and row statistics worth a thread
constexpr ptrdiff_t kCheapElements = 32 * 1024;  // a few additions and products each
constexpr ptrdiff_t kGatherBytes = 128 * 1024;   // moved by one thread

ptrdiff_t last_axis(const View& v) { return v.ndim ? v.shape[v.ndim - 1] : 1; }
ptrdiff_t row_count(const View& v, ptrdiff_t n) { return n ? v.size() / n : 0; }

// Rows that hold `elements`: a multiple of 16, so that kernels that take one row in each lane fill
// their registers.
ptrdiff_t row_grain(ptrdiff_t n, ptrdiff_t elements) {
  const ptrdiff_t rows = std::max<ptrdiff_t>(1, elements / std::max<ptrdiff_t>(1, n));
  return rows < 16 ? rows : rows / 16 * 16;
}

const NnKernels& nn() { return kernels().nn; }
const void* data_or_null(const View* v) { return v ? v->data : nullptr; }

ptrdiff_t blocks_of(ptrdiff_t rows) { return (rows + kStatisticsRows - 1) / kStatisticsRows; }

ptrdiff_t strips_of(const View& v, ptrdiff_t columns) {
  const ptrdiff_t strip = kStatisticsStripBytes / item_size(v.dtype);
  return (columns + strip - 1) / strip;
}
constexpr ptrdiff_t kBlockGrain = 4;   // blocks of one strip: 32 Ki float32 elements
constexpr ptrdiff_t kMergeGrain = 64;  // strips

int integer_bytes(const View& v) { return item_size(v.dtype); }

// Integers that must lie in [low, high).
struct RangeArgs {
  char who[48];
  DType dtype;
  const void* values;
  ptrdiff_t count;
  ptrdiff_t columns;  // the last of two axes or more, else 0
  int64_t low, high;

  RangeArgs(const char* name, const View& v, int64_t low, int64_t high)
      : dtype(v.dtype),
        values(v.data),
        count(v.size()),
        columns(v.ndim > 1 ? v.shape[v.ndim - 1] : 0),
        low(low),
        high(high) {
    std::strncpy(who, name, sizeof who - 1)[sizeof who - 1] = 0;
  }

  void operands(auto f) const { f(values); }
};

// Calls f(text of the value, its position) for the first integer out of range.
template <class F>
void find_out_of_range(const RangeArgs& a, F f) {
  with_integer(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* p = static_cast<const T*>(a.values);
    const auto span = uint64_t(a.high - a.low);
    for (ptrdiff_t i = 0; i < a.count; ++i)  // as unsigned numbers those below are large
      if (uint64_t(int64_t(p[i])) - uint64_t(a.low) >= span) f(std::to_string(p[i]), i);
  });
}

void labels_in_range(const void* args) {
  const auto& a = *static_cast<const RangeArgs*>(args);
  find_out_of_range(a, [&](const std::string& value, ptrdiff_t i) {
    const std::string classes = std::to_string(a.high);
    throw std::invalid_argument(std::string(a.who) + ": label " + value + " at position " +
                                std::to_string(i) + " is outside of [0, " + classes +
                                "), the range of " + classes + " classes");
  });
}

void ids_in_range(const void* args) {
  const auto& a = *static_cast<const RangeArgs*>(args);
  find_out_of_range(a, [&](const std::string& value, ptrdiff_t i) {
    std::string position = std::to_string(i);
    if (a.columns) {
      position = std::string(1, '[').append(std::to_string(i / a.columns));
      position.append(", ").append(std::to_string(i % a.columns)).append("]");
    }
    throw std::invalid_argument(std::string(a.who) + ": id " + value + " at position " + position +
                                " is outside of [0, " + std::to_string(a.high) +
                                "), input_dim being " + std::to_string(a.high));
  });
}

void indices_in_range(const void* args) {
  const auto& a = *static_cast<const RangeArgs*>(args);
  find_out_of_range(a, [&](const std::string& value, ptrdiff_t i) {
    throw std::out_of_range(std::string(a.who) + ": index " + value + " at position " +
                            std::to_string(i) + " is out of range for an axis of length " +
                            std::to_string(a.high));
  });
}

struct ColumnSums {
  const View &g, &x, &mean;
  const View* scale;  // by row, in layer normalisation
  void *sum_g, *sum_gx;
};

void column_grad_sums(const ColumnSums& s, ptrdiff_t columns) {
  const int type = float_index(s.x.dtype);
  const ptrdiff_t rows = row_count(s.x, columns), blocks = blocks_of(rows);
  const ptrdiff_t strips = strips_of(s.x, columns);
  const ptrdiff_t partial_bytes = blocks * columns * item_size(s.x.dtype);
  const Scratch<char> partials(2 * partial_bytes);
  const ColumnGradSumsArgs args{s.g.data,       s.x.data,
                                s.mean.data,    data_or_null(s.scale),
                                partials.get(), partials.get() + partial_bytes,
                                s.sum_g,        s.sum_gx,
                                rows,           columns};
  launch((s.scale ? nn().layer_norm_grad_sums : nn().batch_norm_grad_sums)[type], args,
         blocks * strips, kBlockGrain);
  launch(nn().merge_grad_sums[type], args, strips, kMergeGrain);
}

}  // namespace

void softmax(const View& x, bool log, const View& y) {
  const ptrdiff_t n = last_axis(x);
  const SoftmaxArgs args{x.data, y.data, n, nullptr, 0, nullptr, nullptr};
  launch((log ? nn().log_softmax : nn().softmax)[float_index(x.dtype)], args, row_count(x, n),
         row_grain(n, kRowElements));
}

void softmax_grad(const View& g, const View& y, bool log, const View& dx) {
  const ptrdiff_t n = last_axis(y);
  const SoftmaxGradArgs args{g.data, y.data, dx.data, n};
  launch((log ? nn().log_softmax_grad : nn().softmax_grad)[float_index(y.dtype)], args,
         row_count(y, n), row_grain(n, log ? kRowElements : kCheapElements));
}

void check_labels(const char* who, const View& labels, ptrdiff_t classes) {
  check(labels_in_range, RangeArgs(who, labels, 0, classes));
}

void check_ids(const char* who, const View& ids, ptrdiff_t input_dim) {
  check(ids_in_range, RangeArgs(who, ids, 0, input_dim));
}

void sparse_cross_entropy(const View& labels, const View& logits, const View& loss,
                          const View& probabilities) {
  const ptrdiff_t n = last_axis(logits);
  const SoftmaxArgs args{logits.data,           probabilities.data, n,      labels.data,
                         integer_bytes(labels), loss.data,          nullptr};
  launch(nn().sparse_cross_entropy[float_index(logits.dtype)], args, row_count(logits, n),
         row_grain(n, kRowElements));
}

void sparse_cross_entropy_grad(const View& g, const View& probabilities, const View& labels,
                               const View& dx) {
  const ptrdiff_t n = last_axis(dx);
  const CrossEntropyGradArgs args{
      g.data, probabilities.data, labels.data, integer_bytes(labels), nullptr, dx.data, n};
  launch(nn().sparse_cross_entropy_grad[float_index(dx.dtype)], args, row_count(dx, n),
         row_grain(n, kCheapElements));
}

void cross_entropy(const View& labels, const View& logits, const View& loss,
                   const View& probabilities, const View& label_sums) {
  const ptrdiff_t n = last_axis(logits);
  const SoftmaxArgs args{logits.data, probabilities.data, n, labels.data, 0,
                         loss.data,   label_sums.data};
  launch(nn().dense_cross_entropy[float_index(logits.dtype)], args, row_count(logits, n),
         row_grain(n, kRowElements));
}

void cross_entropy_grad(const View& g, const View& probabilities, const View& labels,
                        const View& label_sums, const View& dx) {
  const ptrdiff_t n = last_axis(dx);
  const CrossEntropyGradArgs args{
      g.data, probabilities.data, labels.data, 0, label_sums.data, dx.data, n};
  launch(nn().dense_cross_entropy_grad[float_index(dx.dtype)], args, row_count(dx, n),
         row_grain(n, kCheapElements));
}

void binary_cross_entropy(const View& labels, const View& logits, const View& loss) {
  const BinaryCrossEntropyArgs args{nullptr, logits.data, labels.data, loss.data};
  launch(nn().binary_cross_entropy[float_index(logits.dtype)], args, logits.size(), kRowElements);
}

void binary_cross_entropy_grad(const View& g, const View& labels, const View& logits,
                               const View& dx) {
  const BinaryCrossEntropyArgs args{g.data, logits.data, labels.data, dx.data};
  launch(nn().binary_cross_entropy_grad[float_index(logits.dtype)], args, logits.size(),
         kRowElements);
}

void normalize(const View& x, const View& mean, const View& variance, const View* gamma,
               const View* beta, double epsilon, const View& y) {
  const int type = float_index(x.dtype);
  const ptrdiff_t columns = last_axis(x);
  const Scratch<char> scale(columns * item_size(x.dtype));
  launch(nn().normalization_scale[type],
         ScaleArgs{variance.data, data_or_null(gamma), scale.get(), epsilon}, columns,
         kCheapElements);
  const NormalizeArgs args{x.data, mean.data, scale.get(), data_or_null(beta), y.data, columns};
  launch(nn().normalize[type], args, row_count(x, columns), row_grain(columns, kCheapElements));
}

void batch_norm(const View& x, const View* gamma, const View* beta, double epsilon, const View& y,
                const View& mean, const View& variance) {
  const int type = float_index(x.dtype);
  const ptrdiff_t columns = last_axis(x), rows = row_count(x, columns), blocks = blocks_of(rows);
  const ptrdiff_t strips = strips_of(x, columns);
  const ptrdiff_t partial_bytes = blocks * columns * item_size(x.dtype);
  {
    const Scratch<char> partials(2 * partial_bytes);
    const ColumnMomentsArgs args{x.data,    partials.get(), partials.get() + partial_bytes,
                                 mean.data, variance.data,  rows,
                                 columns};
    launch(nn().column_moments[type], args, blocks * strips, kBlockGrain);
    launch(nn().merge_moments[type], args, strips, kMergeGrain);
  }
  normalize(x, mean, variance, gamma, beta, epsilon, y);
}

void batch_norm_grad(const View& g, const View& x, const View& mean, const View& variance,
                     const View* gamma, double epsilon, const View& dx, const View& dgamma,
                     const View& dbeta) {
  const int type = float_index(x.dtype);
  const ptrdiff_t columns = last_axis(x), rows = row_count(x, columns);
  column_grad_sums({g, x, mean, nullptr, dbeta.data, dgamma.data}, columns);
  const ptrdiff_t bytes = columns * item_size(x.dtype);
  const Scratch<char> coefficients(3 * bytes);
  char *a = coefficients.get(), *b = a + bytes, *c = b + bytes;
  const BatchNormCoefficientsArgs args{
      variance.data, data_or_null(gamma), dbeta.data, dgamma.data, a, b, c, epsilon, rows};
  launch(nn().batch_norm_coefficients[type], args, columns, kCheapElements);
  launch(nn().batch_norm_grad[type],
         BatchNormGradArgs{g.data, x.data, mean.data, a, b, c, dx.data, columns}, rows,
         row_grain(columns, kCheapElements));
}

void layer_norm(const View& x, ptrdiff_t n, const View* gamma, const View* beta, double epsilon,
                const View& y, const View& mean, const View& rstd) {
  const LayerNormArgs args{
      x.data, data_or_null(gamma), data_or_null(beta), y.data, mean.data, rstd.data, epsilon, n};
  launch(nn().layer_norm[float_index(x.dtype)], args, row_count(x, n), row_grain(n, kRowElements));
}

void layer_norm_grad(const View& g, const View& x, ptrdiff_t n, const View& mean, const View& rstd,
                     const View* gamma, const View& dx, const View* dgamma, const View* dbeta) {
  const LayerNormGradArgs args{g.data,  x.data, data_or_null(gamma), mean.data, rstd.data,
                               dx.data, n};
  launch(nn().layer_norm_grad[float_index(x.dtype)], args, row_count(x, n),
         row_grain(n, kRowElements));
  if (dgamma && dbeta) column_grad_sums({g, x, mean, &rstd, dbeta->data, dgamma->data}, n);
}

void check_indices(const char* who, const View& index, ptrdiff_t n) {
  check(indices_in_range, RangeArgs(who, index, -n, n));
}

// Items of so many bytes that make a chunk.
static ptrdiff_t gather_grain(ptrdiff_t bytes) {
  return std::max<ptrdiff_t>(1, kGatherBytes / std::max<ptrdiff_t>(8, bytes));
}

void take(const View& x, const View& index, int axis, const View& out) {
  ptrdiff_t outer = 1, inner = item_size(x.dtype);
  for (int i = 0; i < axis; ++i) outer *= x.shape[i];
  for (int i = axis + 1; i < x.ndim; ++i) inner *= x.shape[i];
  const ptrdiff_t count = index.size();
  const TakeArgs args{x.data, index.data, integer_bytes(index), out.data, x.shape[axis],
                      count,  inner};
  if (inner > 0) launch(kernels().gather.take, args, outer * count, gather_grain(inner));
}

void concat(const std::vector<View>& parts, int axis, const View& out) {
  if (out.size() == 0) return;
  ptrdiff_t rows = 1, inner = item_size(out.dtype);
  for (int i = 0; i < axis; ++i) rows *= out.shape[i];
  for (int i = axis + 1; i < out.ndim; ++i) inner *= out.shape[i];
  const ptrdiff_t row_bytes = out.shape[axis] * inner;
  char* to = out.data;
  if (rows > 1 && row_bytes <= kGatherBytes &&
      std::all_of(parts.begin(), parts.end(), is_c_contiguous)) {
    for (auto part = parts.begin(); part != parts.end();) {
      ConcatArgs args{{}, {}, 0, to, row_bytes};
      for (; part != parts.end() && args.count < kConcatParts; ++part) {
        if (part->size() == 0) continue;
        args.parts[args.count] = part->data;
        to += args.bytes[args.count++] = part->shape[axis] * inner;
      }
      if (args.count > 0) launch(kernels().gather.concat, args, rows, gather_grain(row_bytes));
    }
    return;
  }
  View place = out;
  for (const View& part : parts) {
    place.shape[axis] = part.shape[axis];
    place.data = to;
    if (part.size()) copy(part, place);
    to += part.shape[axis] * inner;
  }
}

void scatter_add(const View& index, const View& x, bool accumulate, const View& out) {
  constexpr ptrdiff_t kMostChunks = 4;  // each of which walks the whole index
  const ptrdiff_t rows = out.shape[0], columns = rows ? out.size() / rows : 0;
  const ScatterAddArgs args{x.data,  index.data, integer_bytes(index), out.data, rows, index.size(),
                            columns, accumulate};
  const int type = out.dtype == DType::kFloat32   ? kScatterFloat32
                   : out.dtype == DType::kFloat64 ? kScatterFloat64
                   : out.dtype == DType::kInt32   ? kScatterInt32
                                                  : kScatterInt64;
  const ptrdiff_t chunks =
      std::clamp<ptrdiff_t>((index.size() + rows) * columns / kCheapElements, 1, kMostChunks);
  if (columns > 0)
    launch(kernels().gather.scatter_add[type], args, rows, (rows + chunks - 1) / chunks);
}

void one_hot(const View& index, const View& out) {
  OneHotArgs args{index.data,     integer_bytes(index), out.data,
                  last_axis(out), item_size(out.dtype), {}};
  if (out.dtype == DType::kFloat32) {
    const float one = 1;
    std::memcpy(args.one, &one, sizeof one);
  } else if (out.dtype == DType::kFloat64) {
    const double one = 1;
    std::memcpy(args.one, &one, sizeof one);
  } else {
    args.one[0] = 1;  // the lowest byte of an integer
  }
  if (args.classes > 0)
    launch(kernels().gather.one_hot, args, index.size(),
           gather_grain(args.classes * args.element_bytes));
}

}  // namespace pydl
