#include "runtime/gemm_driver.h"

#include <algorithm>
#include <optional>

#include "kernels/gemm.h"
#include "runtime/dispatch.h"
#include "runtime/launch.h"
#include "runtime/memory.h"
#include "runtime/shape.h"

namespace pydl {
namespace {

constexpr double kSerialWork = 2 * kThreadWork;
constexpr double kItemWork = 1e6;               // of one item, where there is enough for several
constexpr ptrdiff_t kNarrow = 16;               // columns
constexpr ptrdiff_t kMostItems = 64;            // of one product
constexpr ptrdiff_t kFewRows = 32;              // of an item, at least
constexpr ptrdiff_t kPackedRows = 256;          // rows that pay for packing B in memory
constexpr ptrdiff_t kCopyColumns = 64;          // of A in one item of `pack`
constexpr ptrdiff_t kInPlaceBytes = 128 << 10;  // of a panel of B read in place
constexpr ptrdiff_t kPackedBytes = 8 << 20;     // of A copied at a time: in L3
constexpr ptrdiff_t kPartialBytes = 32 << 20;   // of partial sums of long chains at a time

struct Gemm : GemmArgs {
  const GemmKernels& kernels = pydl::kernels().gemm;
  int type;
  ptrdiff_t item;  // bytes
  bool packs;      // an item of `tiles` packs its panels of B

  template <class P>
  void advance(P*& p, ptrdiff_t elements) const {
    p = const_cast<char*>(static_cast<const char*>(p)) + elements * item;
  }
  bool many_rows() const {  // that meet a B worth packing
    return m >= kPackedRows && n >= 48 && batch_axes == 0 && n * k * item > kGemmStackBytes;
  }
  // `most` rows of the product, from row i.
  Gemm rows(ptrdiff_t i, ptrdiff_t most) const {
    Gemm g = *this;
    g.m = std::min(most, m - i);
    g.advance(g.a, i * a_row);
    g.advance(g.c, i * c_row);
    if (partials) g.advance(g.partials, i * n);
    return g;
  }
};

// Cuts C into blocks, enough to share and none so small that sharing costs, and computes them.
void launch_tiles(Gemm& g) {
  ptrdiff_t products = g.segments;
  for (int axis = 0; axis < g.batch_axes; ++axis) products *= g.batch_shape[axis];
  const double work = double(g.m) * double(g.n) * double(g.k) / double(g.segments);
  const double item_work = g.m == 1 ? kItemWork / 8 : kItemWork;  // one row waits for memory
  const double all = work * double(products);
  const double wanted =
      std::max(std::min(double(kMostItems), all / item_work), std::min(2.0, all / kSerialWork));
  // One row reads all of B: in runs of 1 KiB from cache, of 8 KiB from memory.
  const ptrdiff_t run = (g.n * g.k * g.item > kPackedBytes ? 8192 : 1024) / g.item;
  g.row_blocks = g.many_rows() ? 1 : ceil_div(g.m, kPackedRows);
  g.col_blocks = std::clamp<ptrdiff_t>(ptrdiff_t(wanted) / (g.row_blocks * products), 1,
                                       ceil_div(g.n, g.m == 1 ? std::max(run, g.panel) : g.panel));
  // Where columns are not enough, rows are cut too; each of these blocks packs B again if need be.
  const double enough = std::min(wanted, g.packs ? 4.0 : 8.0);
  g.row_blocks = std::clamp(ptrdiff_t(enough) / (g.col_blocks * products), g.row_blocks,
                            std::max(g.row_blocks, g.m / kFewRows));
  const ptrdiff_t blocks = g.row_blocks * g.col_blocks, items = products * blocks;
  g.grain = all <= kSerialWork ? items : product_grain(work / double(blocks), items);
  std::optional<Scratch<char>> panels;
  if (g.packs) g.panels = panels.emplace(g.room * g.item * ceil_div(items, g.grain)).get();
  launch(g.kernels.tiles[g.type], static_cast<const GemmArgs&>(g), items, g.grain);
}

// C^T = B^T A^T, where a narrow product would leave the lanes of a tile empty and A^T has
// contiguous rows. An element's chain is the same.
void transpose(Gemm& g) {
  std::swap(g.a, g.b);
  std::swap(g.m, g.n);
  std::swap(g.a_row, g.b_col);
  std::swap(g.a_col, g.b_row);
  std::swap(g.c_row, g.c_col);
  std::swap(g.batch_a, g.batch_b);
}

// How B is read: a panel at a time in place, or panels that each block of columns packs once and
// that stay in L2 while all of A passes by. Packing pays where columns of B are contiguous, or
// where many rows of A meet rows of B that cross cache lines, crowd few sets of L1, or are many
// themselves.
void plan_panels(Gemm& g) {
  const GemmBlocks& blocks = g.kernels.blocks[g.type];
  const ptrdiff_t lanes = g.kernels.lanes[g.type], bytes = g.b_row * g.item;
  // Few rows leave registers for a wider tile; few steps are a matter of storing C in long runs.
  constexpr ptrdiff_t kVectors[] = {1, 8, 4, 3};
  g.panel = std::max(blocks.nr, lanes * (g.k <= 2 ? 8 : g.m < 4 ? kVectors[g.m] : 1));
  g.packs = g.b_col != 1 || (g.k >= 64 && g.many_rows()) ||
            (g.m >= 48 && (bytes % 64 != 0 || bytes % 4096 == 0)) ||
            (g.n % lanes != 0 && g.b_row <= 0);  // a last vector would never end inside of B
  g.room = std::min(g.packs ? blocks.room : kInPlaceBytes / g.item,
                    g.panel * std::clamp<ptrdiff_t>(g.k, 1, kGemmSegment));
}

// Many rows of an A^T that is far and has many rows itself: a launch before copies it.
void launch_copied(Gemm& g) {
  const ptrdiff_t line = ptrdiff_t(kAlignment) / g.item;
  const ptrdiff_t row = (ceil_div(g.k, line) | 1) * line;  // an odd number of cache lines
  const ptrdiff_t rows = ceil_div(g.m, ceil_div(g.m * row * g.item, kPackedBytes));
  Scratch<char> copy(rows * row * g.item);
  GemmArgs pack{};
  pack.panels = copy.get(), pack.pack_row = row, pack.pack_step = pack.panel = kCopyColumns;
  pack.n = g.k, pack.b_row = g.a_row, pack.b_col = g.a_col;
  for (ptrdiff_t i = 0; i < g.m; i += rows) {
    Gemm p = g.rows(i, rows);
    pack.b = p.a, pack.k = p.m;
    launch(g.kernels.pack[g.type], pack, ceil_div(g.k, kCopyColumns), 1);
    p.a = copy.get(), p.a_row = row, p.a_col = 1;
    launch_tiles(p);
  }
}

void run(Gemm& g) {
  if (1 < g.n && g.n < kNarrow && g.n % g.kernels.lanes[g.type] && g.m > 2 * g.n && g.a_row == 1 &&
      g.k >= 8 && g.segments == 1 && !g.bias && !g.activation)
    transpose(g);
  if (g.n == 1)
    launch(g.kernels.rows[g.type], static_cast<const GemmArgs&>(g), g.m * g.segments,
           std::max<ptrdiff_t>(8, ptrdiff_t(kSerialWork) / (std::min(g.k, kGemmSegment) + 64)));
  else {
    plan_panels(g);
    const bool near = g.a_row == 1 && (g.k <= 128 || g.m * g.k * g.item <= 2 << 20);
    if (g.many_rows() && g.a_col != 1 && !near) return launch_copied(g);
    launch_tiles(g);
  }
}

// One product, or a batch of those that need no memory.
void multiply(Gemm& g) {
  if (g.segments == 1) return run(g);
  const ptrdiff_t row_bytes = (g.segments - 1) * g.n * g.item;
  const ptrdiff_t rows = std::min(g.m, std::max<ptrdiff_t>(kPackedRows, kPartialBytes / row_bytes));
  Scratch<char> partials(rows * row_bytes);
  for (ptrdiff_t i = 0; i < g.m; i += rows) {
    Gemm p = g.rows(i, rows);
    p.partials = partials.get();
    p.partial_size = rows * g.n;
    run(p);
    launch(p.kernels.combine[p.type], static_cast<const GemmArgs&>(p), p.m,
           std::max<ptrdiff_t>(1, 32768 * p.item / row_bytes));
  }
}

}  // namespace

ptrdiff_t product_grain(double work, ptrdiff_t items) {
  const double grain = kThreadWork / std::max(work, 1.0);
  return std::max<ptrdiff_t>(1, ptrdiff_t(std::min(grain, double(items))));
}

void matmul(const View& a, const View& b, const View& c, const Epilogue& epilogue) {
  if (c.size() == 0) return;
  const int row = c.ndim - 2, col = c.ndim - 1;
  Gemm g{};
  g.type = float_index(c.dtype);
  g.item = c.dtype == DType::kFloat64 ? 8 : 4;
  g.a = a.data, g.b = b.data, g.c = c.data;
  g.m = c.shape[row], g.n = c.shape[col], g.k = a.shape[col];
  g.a_row = a.strides[row], g.a_col = a.strides[col];
  g.b_row = b.strides[row], g.b_col = b.strides[col], g.c_row = c.strides[row], g.c_col = 1;
  g.segments = std::max<ptrdiff_t>(1, ceil_div(g.k, kGemmSegment));
  g.bias = epilogue.bias;
  g.activation = epilogue.activation;
  std::copy_n(epilogue.params, kMaxParams, g.params);
  if (c.ndim == 2) return multiply(g);

  View outer[3] = {a, b, c};
  for (View& v : outer) v.ndim = c.ndim - 2;
  const LoopNest nest = merge_axes(outer, 3);
  int axis = 0;
  // Matrices that share b and follow each other evenly in a and c are one taller matrix.
  for (; axis < nest.ndim; ++axis) {
    const ptrdiff_t a_step = nest.strides[0][axis], c_step = nest.strides[2][axis];
    if (nest.shape[axis] == 1) continue;
    if (nest.strides[1][axis] != 0) break;
    if (g.m == 1) g.a_row = a_step, g.c_row = c_step;
    if (a_step != g.m * g.a_row || c_step != g.m * g.c_row) break;
    g.m *= nest.shape[axis];
  }
  const bool one_by_one = g.n == 1 || g.segments > 1 || g.many_rows();
  for (; !one_by_one && axis < nest.ndim && g.batch_axes < kGemmBatchAxes; ++axis) {
    g.batch_shape[g.batch_axes] = nest.shape[axis];
    g.batch_a[g.batch_axes] = nest.strides[0][axis];
    g.batch_b[g.batch_axes] = nest.strides[1][axis];
    g.batch_c[g.batch_axes++] = nest.strides[2][axis];
  }
  ptrdiff_t others = 1;  // a launch each
  for (int i = axis; i < nest.ndim; ++i) others *= nest.shape[i];
  for (ptrdiff_t z = 0; z < others; ++z) {
    Gemm one = g;
    for (ptrdiff_t i = axis, rest = z; i < nest.ndim; rest /= nest.shape[i++]) {
      const ptrdiff_t at = rest % nest.shape[i];
      one.advance(one.a, at * nest.strides[0][i]);
      one.advance(one.b, at * nest.strides[1][i]);
      one.advance(one.c, at * nest.strides[2][i]);
    }
    multiply(one);
  }
}

}  // namespace pydl
