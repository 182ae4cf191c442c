#include "runtime/sparse.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "kernels/gemm.h"
#include "runtime/dispatch.h"
#include "runtime/elementwise.h"
#include "runtime/launch.h"
#include "runtime/memory.h"

namespace pydl {
namespace {

constexpr double kBoundWork = 8;                 // of one step in the search for bounds
constexpr ptrdiff_t kBlockBytes = 128 * 1024;    // of the gradient, added to in L2
constexpr ptrdiff_t kFewBlocks = 8;              // a gradient that is worth sharing has as many
constexpr ptrdiff_t kScratchBytes = 32 << 20;    // of partial sums, and of bounds, at a time
constexpr ptrdiff_t kCompressBytes = 64 * 1024;  // of a dense matrix read by one thread
constexpr ptrdiff_t kPassBytes = 2 << 20;        // of it between two copies of what was found

}  // namespace

void csr_matmul(const Csr& a, const View& b, const View& c, const Epilogue& epilogue) {
  if (c.size() == 0) return;
  CsrProductArgs args{};
  args.a = a.args;
  args.b = b.data, args.c = c.data;
  args.bias = epilogue.bias;
  args.n = c.shape[1];
  args.b_row = b.strides[0], args.c_row = c.strides[0];
  args.activation = epilogue.activation;
  std::copy_n(epilogue.params, kMaxParams, args.params);
  launch(kernels().sparse.product[float_index(a.dtype)], args, args.a.m,
         product_grain(double(args.n) * (a.per_row + 1), args.a.m));
}

void csr_matmul_gradient(const Csr& a, const View& g, const View& c) {
  if (c.size() == 0) return;
  const ptrdiff_t item = item_size(a.dtype), m = a.args.m, k = a.args.k, n = c.shape[1];
  CsrGradientArgs args{};
  args.a = a.args;
  args.g = g.data, args.c = c.data;
  args.n = n;
  args.g_row = g.strides[0];
  const ptrdiff_t sum_bytes = n == 1 ? kCsrLaneBytes : n * item;  // of a column of A
  const double work = double(m) * a.per_row * double(n) + double(k * sum_bytes / item);
  const ptrdiff_t most_blocks = std::max(kFewBlocks, kScratchBytes / 8 / std::max<ptrdiff_t>(m, 1));
  ptrdiff_t block = std::max<ptrdiff_t>(kBlockBytes / sum_bytes, ceil_div(k, most_blocks));
  if (work > 2 * kThreadWork) block = std::min(block, ceil_div(k, kFewBlocks));
  args.block = ptrdiff_t(std::bit_ceil(size_t(block)));
  args.blocks = ceil_div(k, args.block);

  Scratch<int64_t> bounds(m * (args.blocks + 1));
  args.bounds = bounds.get();
  launch(kernels().sparse.bounds, args, m,
         product_grain(kBoundWork * (a.per_row + double(args.blocks)), m));

  const ptrdiff_t segments = std::max<ptrdiff_t>(1, ceil_div(m, kGemmSegment));
  const ptrdiff_t scratch = (segments - 1) * n * item + (n == 1 ? kCsrLaneBytes : 0);
  const ptrdiff_t pass =  // blocks
      std::clamp<ptrdiff_t>(kScratchBytes / std::max<ptrdiff_t>(scratch * args.block, 1), 1,
                            args.blocks);
  args.partial_size = pass * args.block * n;
  Scratch<char> partials((segments - 1) * args.partial_size * item);
  Scratch<char> lanes(n == 1 ? pass * args.block * kCsrLaneBytes : 0);
  args.partials = partials.get();
  args.lanes = lanes.get();
  for (; args.first_block < args.blocks; args.first_block += pass)
    launch(kernels().sparse.gradient[float_index(a.dtype)], args,
           std::min(pass, args.blocks - args.first_block),
           product_grain(work / double(args.blocks), args.blocks));
}

void csr_of_dense(const View& x, int64_t* start, const std::function<CsrRoom(ptrdiff_t)>& grow) {
  const ptrdiff_t m = x.shape[0], k = x.shape[1];
  const ptrdiff_t item = item_size(x.dtype), row_bytes = std::max<ptrdiff_t>(1, k * item);
  const ptrdiff_t pass = std::max<ptrdiff_t>(1, std::min(m, kPassBytes / row_bytes));  // rows
  const int type = float_index(x.dtype);
  Scratch<char> values(pass * row_bytes);
  Scratch<int32_t> columns(pass * k), counts(pass);
  ptrdiff_t room = 0;
  CsrRoom to = grow(room);
  start[0] = 0;
  for (ptrdiff_t first = 0; first < m; first += pass) {
    const ptrdiff_t rows = std::min(pass, m - first);
    const char* at = static_cast<const char*>(x.data) + first * row_bytes;
    launch(kernels().sparse.compress[type],
           CompressArgs{at, values.get(), columns.get(), counts.get(), k}, rows,
           std::max<ptrdiff_t>(1, kCompressBytes / row_bytes));
    for (ptrdiff_t i = 0; i < rows; ++i) start[first + i + 1] = start[first + i] + counts.get()[i];
    const ptrdiff_t found = start[first + rows];
    if (found > room) {  // as if the rest were like this, but not for the sake of a few full rows
      const double all = 1.05 * double(found) * double(m) / double(first + rows);
      room = std::max(found, ptrdiff_t(std::min(all, 16.0 * double(found))));
      to = grow(room);
    }
    for (ptrdiff_t i = 0; i < rows; ++i) {
      const ptrdiff_t n = counts.get()[i], place = start[first + i];
      std::memcpy(static_cast<char*>(to.values) + place * item, values.get() + i * row_bytes,
                  size_t(n * item));
      std::memcpy(to.columns + place, columns.get() + i * k, size_t(n) * sizeof(int32_t));
    }
  }
}

}  // namespace pydl
