#include "runtime/gemm_driver.h"

#include <algorithm>
#include <cstdlib>

#include "kernels/gemm.h"
#include "runtime/dispatch.h"
#include "runtime/launch.h"
#include "runtime/memory.h"
#include "runtime/shape.h"

namespace pydl {
namespace {

// Work in multiply-adds. One thread does 2.6e5 in less time than a second one takes to wake up.
constexpr double kSerialWork = 2.6e5;
constexpr double kItemWork = 1e6;          // of one item, where there is enough for several
constexpr ptrdiff_t kLeastRun = 512;       // columns in an item where one row reads all of B,
constexpr ptrdiff_t kLeastRunFar = 2048;   // and where B (more bytes than kPackedBytes) is in DRAM
constexpr ptrdiff_t kMostItems = 64;       // of one product
constexpr ptrdiff_t kPackedRows = 288;     // from here on B is packed once for all rows
constexpr ptrdiff_t kPackedBytes = 8 << 20;   // of B packed, and of A copied, at a time
constexpr ptrdiff_t kPartialBytes = 32 << 20;  // of partial sums of long chains at a time

ptrdiff_t ceil_div(ptrdiff_t a, ptrdiff_t b) { return (a + b - 1) / b; }

// Rows this far apart (in bytes) fall into few cache sets.
bool bad_stride(ptrdiff_t elements, ptrdiff_t item) { return elements * item % 1024 == 0; }

struct Gemm {
  GemmArgs args;
  const GemmKernels& kernels;
  int type;
  ptrdiff_t item;  // bytes

  void* at(const void* p, ptrdiff_t elements) const {
    return const_cast<char*>(static_cast<const char*>(p)) + elements * item;
  }
  double work() const { return double(args.m) * double(args.n) * double(args.k); }
};

// Packing B in a launch of its own pays where many rows use it.
bool worth_packing(const GemmArgs& g) { return g.m >= kPackedRows && g.n >= 48 && g.k > 0; }

ptrdiff_t batch_items(const GemmArgs& args) {
  ptrdiff_t n = 1;
  for (int axis = 0; axis < args.batch_axes; ++axis) n *= args.batch_shape[axis];
  return n;
}

// Cuts C into row_blocks x col_blocks: enough items to share, none so small that sharing costs.
void cut(Gemm& gemm, ptrdiff_t most_rows, ptrdiff_t others) {
  GemmArgs& g = gemm.args;
  const double work = gemm.work();
  const ptrdiff_t wanted = std::clamp<ptrdiff_t>(ptrdiff_t(work / kItemWork), 1, kMostItems);
  g.row_blocks = ceil_div(g.m, most_rows);
  const bool far = g.n * g.k * gemm.item > kPackedBytes;
  const ptrdiff_t least = g.m > 1 ? g.panel : far ? kLeastRunFar : kLeastRun;
  g.col_blocks = std::clamp<ptrdiff_t>(wanted / (g.row_blocks * others), 1, ceil_div(g.n, least));
}

void launch_tiles(const Gemm& gemm) {
  const GemmArgs& g = gemm.args;
  const ptrdiff_t blocks = g.segments * g.row_blocks * g.col_blocks;
  const ptrdiff_t items = batch_items(g) * blocks;
  const double item_work = std::max(1.0, gemm.work() / double(blocks));
  const double total = item_work * double(items);
  const ptrdiff_t grain =
      total <= kSerialWork ? items : std::max<ptrdiff_t>(1, ptrdiff_t(kSerialWork / 2 / item_work));
  launch(gemm.kernels.tiles[gemm.type], g, items, grain);
}

// No packing ahead and no allocation: each item packs the panels of B that need it on its stack.
void straight(Gemm& gemm) {
  GemmArgs& g = gemm.args;
  const GemmBlocks& blocks = gemm.kernels.blocks[gemm.type];
  const ptrdiff_t lanes = gemm.kernels.lanes[gemm.type];
  g.panel = g.m >= 4 ? blocks.nr : g.m == 1 ? 8 * lanes : g.m == 2 ? 4 * lanes : 3 * lanes;
  g.panel = std::max(g.panel, blocks.nr);
  g.pack_panels = g.b_col != 1 || g.m >= 48 || (g.m >= 12 && bad_stride(g.b_row, gemm.item));
  // Short k leaves room for several panels; tall A prefers long k, as C is loaded less often.
  const ptrdiff_t room = kGemmStackBytes / (g.panel * gemm.item);
  g.stack_panels = std::clamp<ptrdiff_t>(room / std::min<ptrdiff_t>(g.k + !g.k, g.m >= 48 ? 512 : 128), 1, 8);
  cut(gemm, kPackedRows, batch_items(g) * g.segments);
  launch_tiles(gemm);
}

// B, and A where its layout is unkind to the cache, are packed in a launch of their own.
void packed(const Gemm& whole) {
  const GemmArgs& w = whole.args;
  const GemmBlocks& blocks = whole.kernels.blocks[whole.type];
  const ptrdiff_t nc =
      std::clamp<ptrdiff_t>(kPackedBytes / (w.k * whole.item), blocks.nr, blocks.nc) / blocks.nr *
      blocks.nr;
  const bool copy_a = w.a_col != 1 || bad_stride(w.a_row, whole.item);
  // An odd number of cache lines a row: rows that follow each other fall into different sets.
  const ptrdiff_t line = ptrdiff_t(kAlignment) / whole.item;
  const ptrdiff_t copy_row = (ceil_div(w.k, line) | 1) * line;
  const ptrdiff_t most_rows =
      copy_a ? std::max(blocks.mc, kPackedBytes / (copy_row * whole.item)) : w.m;
  const ptrdiff_t row_passes = ceil_div(w.m, most_rows), col_passes = ceil_div(w.n, nc);
  const ptrdiff_t pass_rows = ceil_div(w.m, row_passes);
  const ptrdiff_t pass_cols = ceil_div(ceil_div(w.n, col_passes), blocks.nr) * blocks.nr;
  Scratch<char> panels(pass_cols * w.k * whole.item);
  Scratch<char> rows(copy_a ? pass_rows * copy_row * whole.item : 0);

  for (ptrdiff_t j = 0; j < w.n; j += pass_cols) {
    for (ptrdiff_t i = 0; i < w.m; i += pass_rows) {
      Gemm pass = whole;
      GemmArgs& g = pass.args;
      g.m = std::min(pass_rows, w.m - i);
      g.n = std::min(pass_cols, w.n - j);
      g.c = whole.at(w.c, i * w.c_row + j);
      g.bias = w.bias ? whole.at(w.bias, j) : nullptr;
      g.panel = blocks.nr;
      GemmPackArgs pack = {};
      pack.a = g.a = whole.at(w.a, i * w.a_row);
      pack.b = whole.at(w.b, j * w.b_col);
      pack.b_panels = panels.get();
      pack.m = g.m, pack.n = g.n, pack.k = g.k;
      pack.a_row = w.a_row, pack.a_col = w.a_col, pack.b_row = w.b_row, pack.b_col = w.b_col;
      pack.a_copy_row = copy_row;
      pack.panel = g.panel;
      pack.b_items = i == 0 ? ceil_div(g.n, kGemmPackPanels * g.panel) : 0;
      if (copy_a) {
        pack.a_copy = rows.get();
        g.a = rows.get();
        g.a_row = copy_row;
        g.a_col = 1;
      }
      const ptrdiff_t items = pack.b_items + (copy_a ? ceil_div(g.m, kGemmCopyRows) : 0);
      if (items > 0) launch(whole.kernels.pack[whole.type], pack, items, 1);
      g.b = panels.get();
      g.b_packed = true;
      cut(pass, blocks.mc, 1);
      launch_tiles(pass);
    }
  }
}

// Chains longer than a segment: partial sums, then their tree.
void segmented(const Gemm& whole) {
  const GemmArgs& w = whole.args;
  const ptrdiff_t row_bytes = (w.segments - 1) * w.n * whole.item;
  const ptrdiff_t pass_rows =
      ceil_div(w.m, ceil_div(w.m, std::max<ptrdiff_t>(96, kPartialBytes / row_bytes)));
  Scratch<char> partials(pass_rows * row_bytes);
  for (ptrdiff_t i = 0; i < w.m; i += pass_rows) {
    Gemm pass = whole;
    GemmArgs& g = pass.args;
    g.m = std::min(pass_rows, w.m - i);
    g.a = whole.at(w.a, i * w.a_row);
    g.c = whole.at(w.c, i * w.c_row);
    g.partials = partials.get();
    if (w.n == 1) {
      launch(whole.kernels.rows[whole.type], g, g.m * g.segments, 16);
    } else if (!worth_packing(g)) {
      straight(pass);
    } else {
      for (ptrdiff_t s = 0; s < w.segments; ++s) {
        Gemm part = pass;
        GemmArgs& h = part.args;
        const ptrdiff_t from = s * kGemmSegment;
        h.segments = 1;
        h.k = std::min(kGemmSegment, w.k - from);
        h.a = whole.at(g.a, from * w.a_col);
        h.b = whole.at(w.b, from * w.b_row);
        h.bias = nullptr;
        h.activation = nullptr;
        if (s > 0) {
          h.c = whole.at(g.partials, (s - 1) * g.m * g.n);
          h.c_row = g.n;
          h.accumulate = false;
        }
        packed(part);
      }
    }
    GemmCombineArgs tree = {g.c, g.partials, w.bias, g.m, g.n, w.c_row, w.segments, w.activation, {}};
    std::copy_n(w.params, kMaxParams, tree.params);
    const double row_work = double(row_bytes / whole.item);
    launch(whole.kernels.combine[whole.type], tree, g.m,
           std::max<ptrdiff_t>(1, ptrdiff_t(32768 / row_work)));
  }
}

// One matrix product, or a batch of short ones.
void multiply(Gemm& gemm) {
  GemmArgs& g = gemm.args;
  if (g.segments > 1) return segmented(gemm);
  if (g.n == 1) {
    const ptrdiff_t grain = std::max<ptrdiff_t>(8, ptrdiff_t(kSerialWork / double(g.k + 64)));
    return launch(gemm.kernels.rows[gemm.type], g, g.m, grain);
  }
  if (g.batch_axes == 0 && worth_packing(g)) return packed(gemm);
  straight(gemm);
}

}  // namespace

void matmul(const View& a, const View& b, const View& c, bool accumulate,
            const Epilogue& epilogue) {
  const int row = c.ndim - 2, col = c.ndim - 1;
  Gemm gemm{{}, kernels().gemm, float_index(c.dtype), c.dtype == DType::kFloat64 ? 8 : 4};
  GemmArgs& g = gemm.args;
  g.a = a.data, g.b = b.data, g.c = c.data;
  g.m = c.shape[row], g.n = c.shape[col], g.k = a.shape[col];
  g.a_row = a.strides[row], g.a_col = a.strides[col];
  g.b_row = b.strides[row], g.b_col = b.strides[col];
  g.c_row = c.strides[row];
  g.accumulate = accumulate;
  g.bias = epilogue.bias;
  g.activation = epilogue.activation;
  std::copy_n(epilogue.params, kMaxParams, g.params);
  g.row_blocks = g.col_blocks = 1;
  g.segments = std::max<ptrdiff_t>(1, ceil_div(g.k, kGemmSegment));
  if (c.size() == 0) return;
  if (c.ndim == 2) return multiply(gemm);

  View outer[3] = {a, b, c};
  for (View& v : outer) v.ndim = c.ndim - 2;
  LoopNest nest = merge_axes(outer, 3);
  // Matrices that share b and follow each other evenly in a and c are one taller matrix.
  int first = 0;
  for (; first < nest.ndim; ++first) {
    const ptrdiff_t* s[3] = {nest.strides[0], nest.strides[1], nest.strides[2]};
    if (nest.shape[first] == 1) continue;
    if (g.m == 1) g.a_row = s[0][first], g.c_row = s[2][first];
    if (s[1][first] != 0 || s[0][first] != g.m * g.a_row || s[2][first] != g.m * g.c_row) break;
    g.m *= nest.shape[first];
  }
  // What one launch takes of the rest, and a loop here over the others.
  const bool one_by_one = g.n == 1 || g.segments > 1 || worth_packing(g);
  g.batch_axes = one_by_one ? 0 : std::min(nest.ndim - first, kGemmBatchAxes);
  for (int axis = 0; axis < g.batch_axes; ++axis) {
    g.batch_shape[axis] = nest.shape[first + axis];
    g.batch_a[axis] = nest.strides[0][first + axis];
    g.batch_b[axis] = nest.strides[1][first + axis];
    g.batch_c[axis] = nest.strides[2][first + axis];
  }
  first += g.batch_axes;
  ptrdiff_t index[kMaxArrayDims] = {};
  for (;;) {
    Gemm one = gemm;
    multiply(one);
    int axis = first;
    for (; axis < nest.ndim; ++axis) {
      const bool wraps = ++index[axis] == nest.shape[axis];
      const ptrdiff_t steps = wraps ? 1 - nest.shape[axis] : 1;
      if (wraps) index[axis] = 0;
      g.a = gemm.at(g.a, steps * nest.strides[0][axis]);
      g.b = gemm.at(g.b, steps * nest.strides[1][axis]);
      g.c = gemm.at(g.c, steps * nest.strides[2][axis]);
      if (!wraps) break;
    }
    if (axis == nest.ndim) return;
  }
}

}  // namespace pydl
