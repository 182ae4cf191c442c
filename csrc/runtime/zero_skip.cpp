#include "runtime/zero_skip.h"

#include <algorithm>

#include "kernels/zero_skip.h"
#include "runtime/dispatch.h"
#include "runtime/elementwise.h"
#include "runtime/launch.h"
#include "runtime/memory.h"

namespace pydl {
namespace {

constexpr ptrdiff_t kBlockBytes = 512 * 1024;  // of b that meet all strips: in L2

}  // namespace

void zero_skip_matmul(const View& x, const View& b, const View& c, const Epilogue& epilogue) {
  if (c.size() == 0) return;
  const int type = float_index(c.dtype);
  const GemmKernels& gemm = kernels().gemm;
  const ptrdiff_t n = c.shape[1];
  if (n == 1 || n % gemm.lanes[type] || std::max(x.shape[0], x.shape[1]) > kGemmSegment)
    return matmul(x, b, c, epilogue);
  ZeroSkipArgs g{};
  g.a = x.data, g.b = b.data, g.c = c.data, g.bias = epilogue.bias;
  g.m = c.shape[0], g.n = n, g.k = b.shape[0];
  g.a_row = x.strides[0], g.a_col = x.strides[1];
  g.b_row = b.strides[0], g.c_row = c.strides[0];
  g.strips = ceil_div(g.m, kSkipHeight);
  g.multiply = gemm.panel[type];
  g.panel = gemm.blocks[type].nr;
  const ptrdiff_t columns = kBlockBytes / item_size(c.dtype) / std::max<ptrdiff_t>(g.k, 1);
  g.block = std::max<ptrdiff_t>(1, columns / g.panel) * g.panel;
  g.activation = epilogue.activation;
  std::copy_n(epilogue.params, kMaxParams, g.params);

  Scratch<int32_t> steps(g.strips * (g.k + 1));
  g.steps = steps.get();
  g.counts = g.steps + g.strips * g.k;
  const double strip = double(g.k * kSkipHeight);
  launch(kernels().zero_skip.steps[type], g, g.strips, product_grain(4 * strip, g.strips));
  const ptrdiff_t items = ceil_div(g.n, g.block) * g.strips;
  launch(kernels().zero_skip.product[type], g, items,
         product_grain(strip * double(std::min(g.block, g.n)) / 2, items));
}

}  // namespace pydl
