// Matmul: copies into panels, register tiles, blocks of tiles. Contract: docs/kernels.md.
//
// Every element of C is one chain c = fma(a[i,k], b[k,j], c) over increasing k, so the choice of
// tile, block, packing and partition never changes a bit.
#include "kernels/gemm.h"

#include "kernels/copy_loops.h"
#include "kernels/gemv.h"

namespace pydl::PYDL_ISA {
namespace {

constexpr int kMaxRows = 12, kMaxVectors = 8;  // of a tile

// Rows of the tallest tile that is `nv` vectors wide: its accumulators, a row of B and a broadcast
// element of A fit the registers (16; 32 on v4 and NEON). Block sizes are those of float32.
#if defined(__AVX512F__) || defined(__ARM_NEON)
constexpr int kTileRows[kMaxVectors + 1] = {0, 12, 12, 8, 6, 4, 3, 2, 2};
constexpr int kMainVectors = kVectorBytes == 64 ? 4 : 3;
constexpr ptrdiff_t kKc = kVectorBytes == 64 ? 2048 : 512;
constexpr ptrdiff_t kRoom = (kVectorBytes == 64 ? 512 : 192) << 10;
#else
constexpr int kTileRows[kMaxVectors + 1] = {0, 12, 6, 4, 2, 1, 1, 1, 1};
constexpr int kMainVectors = 2;
constexpr ptrdiff_t kKc = 2048, kRoom = 192 << 10;
#endif

template <class T>
constexpr GemmBlocks kBlocks = {kMainVectors * kLanes<T>, kKc, kRoom / ptrdiff_t(sizeof(T))};

// ---- copies ------------------------------------------------------------------------------------

// k rows of a panel of B, padded with zeros to whole vectors.
template <class T>
void pack_panel(T* to, const T* b, ptrdiff_t b_row, ptrdiff_t b_col, ptrdiff_t k, ptrdiff_t cols) {
  const ptrdiff_t width = padded<T>(cols);
  for (ptrdiff_t i = 1; cols < width && i <= k; ++i) store(to + i * width - kLanes<T>, Vec<T>{});
  copy_block(to, width, b, b_row, b_col, k, cols);
}

template <class T>
void pack(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& g = *static_cast<const GemmArgs*>(args);
  for (ptrdiff_t t = begin; t < end; ++t) {
    const ptrdiff_t cols = min<ptrdiff_t>(g.panel, g.n - t * g.panel);
    const T* b = static_cast<const T*>(g.b) + t * g.panel * g.b_col;
    T* to = static_cast<T*>(g.panels) + t * g.pack_step;
    if (g.pack_row)
      copy_block(to, g.pack_row, b, g.b_row, g.b_col, g.k, cols);
    else
      pack_panel(to + g.pack_first * padded<T>(cols), b, g.b_row, g.b_col, g.k, cols);
  }
}

// ---- register tiles ----------------------------------------------------------------------------

template <class T>
using Tile = void (*)(const GemmPanel& g, const T* a, T* c, ptrdiff_t c_row, const T* bias);

constexpr int kIntoL2 = 2;        // third argument of __builtin_prefetch
constexpr ptrdiff_t kAhead = 16;  // rows of B, where a tile packs them

// The strip of MR rows of `g` that starts at a and c, NV vectors wide, of which the last may have
// fewer columns in c. The next strip of A is fetched meanwhile if so wished. PACK: what is read of
// b is stored in g.packed.
template <class T, int MR, int NV, bool PACK = false>
void tile(const GemmPanel& g, const T* a, T* c, ptrdiff_t c_row, const T* bias) {
  constexpr ptrdiff_t V = kLanes<T>;
  const ptrdiff_t run = g.fetch_next ? ptrdiff_t(64 / sizeof(T)) : g.k;  // a cache line of A
  const ptrdiff_t last = g.cols - (NV - 1) * V;
  const auto lanes = [=](int v) { return v < NV - 1 ? V : last; };
  Vec<T> acc[MR][NV];
  if (g.accumulate)
    for_each_vector<MR, NV>(
        [&](int i, int v) { acc[i][v] = load_up_to(c + i * c_row + v * V, lanes(v)); });
  else
    for_each_vector<MR, NV>([&](int i, int v) { acc[i][v] = Vec<T>{}; });
  const ptrdiff_t a_row = g.a_row, a_col = g.a_col, b_row = g.b_row;
  const T* b = static_cast<const T*>(g.b);
  [[maybe_unused]] T* packed = static_cast<T*>(g.packed);
  const auto step = [&](const T* x_at, const T* b_at) {
    Vec<T> row[NV], x;
    for_each_vector<1, NV>([&](int, int v) {
      row[v] = load(b_at + v * V);
      if constexpr (PACK) {
        __builtin_prefetch(b_at + kAhead * b_row + v * V);
        store(packed + v * V, row[v]);
      }
    });
    if constexpr (PACK) packed += NV * V;
    for_each_vector<MR, NV>([&](int i, int v) {
      if (v == 0) x = broadcast(x_at[i * a_row]);
      acc[i][v] = fma(x, row[v], acc[i][v]);
    });
  };
  if (!PACK && g.steps)
    for (ptrdiff_t t = 0; t < g.k; ++t) step(a + g.steps[t] * a_col, b + g.steps[t] * b_row);
  else
    for (ptrdiff_t t = 0; t < g.taps; ++t) {
      const T* x_at = g.offsets ? a + g.offsets[t] : a;
      if (g.b_offsets) b = static_cast<const T*>(g.b) + g.b_offsets[t];
      for (ptrdiff_t left = g.k; left > 0; left -= run) {
        if (g.fetch_next)
          for_each_vector<MR, 1>(
              [&](int i, int) { __builtin_prefetch(x_at + (MR + i) * a_row, 0, kIntoL2); });
        for (ptrdiff_t p = min(left, run); p > 0; --p, x_at += a_col, b += b_row) step(x_at, b);
      }
    }
  const auto finish = [&](auto lanes) {
    if (bias)
      for_each_vector<MR, NV>(
          [&](int i, int v) { acc[i][v] += load_up_to(bias + v * V, lanes(v)); });
    for_each_vector<MR, NV>(
        [&](int i, int v) { store_up_to(c + i * c_row + v * V, acc[i][v], lanes(v)); });
  };
  last == V ? finish([](int) { return V; }) : finish(lanes);
}

template <class T>
struct Tiles {
  Tile<T> at[kMaxVectors + 1][kMaxRows + 1] = {};  // [vectors][rows]
  Tile<T> packing[kMaxRows + 1] = {};              // of the main width

  template <int NV = kMaxVectors, int MR = kTileRows[NV]>
  constexpr void fill() {
    if constexpr (MR > 0) {
      at[NV][MR] = tile<T, MR, NV>;
      if constexpr (NV == kMainVectors) packing[MR] = tile<T, MR, NV, true>;
      fill<NV, MR - 1>();
    } else if constexpr (NV > 1) {
      fill<NV - 1>();
    }
  }
  constexpr Tiles() { fill(); }
};

template <class T>
constexpr Tiles<T> kTiles;

// ---- blocks ------------------------------------------------------------------------------------

// See GemmPanel.
template <class T>
void multiply_panel(const GemmPanel& panel) {
  GemmPanel g = panel;
  const ptrdiff_t width = padded<T>(g.cols), nv = width / kLanes<T>;
  const ptrdiff_t strips = ceil_div(g.m, kTileRows[nv]);
  const ptrdiff_t low = g.m / strips, higher = g.m % strips;  // `higher` strips of low + 1 rows
  const bool transposed = g.c_col != 1;
  alignas(64) T block[kMaxRows * kMaxVectors * kLanes<T>];  // of C, to be stored transposed
  const ptrdiff_t to_row = transposed ? width : g.c_row;
  const Tile<T>* tiles = g.packed ? kTiles<T>.packing : kTiles<T>.at[nv];
  const T *a = static_cast<const T*>(g.a), *bias = static_cast<const T*>(g.bias);
  T* c = static_cast<T*>(g.c);
  for (ptrdiff_t s = 0; s < strips; ++s) {
    const ptrdiff_t mr = low + (s < higher);
    if (transposed && g.accumulate) copy_block(block, width, c, g.c_row, g.c_col, mr, g.cols);
    tiles[mr](g, a, transposed ? block : c, to_row, bias);
    if (transposed) copy_block(c, g.c_col, block, 1, width, g.cols, mr);
    if (g.packed) {
      g.b = g.packed, g.b_row = width, g.packed = nullptr;
      tiles = kTiles<T>.at[nv];
    }
    a += mr * g.a_row;
    c += mr * g.c_row;
  }
}

// m rows of columns [j, end) of one product, k steps starting with `first`; c and bias are those of
// column 0, a is that of step `first`.
template <class T>
void multiply_block(const GemmArgs& g, T* room, ptrdiff_t m, ptrdiff_t j, ptrdiff_t end,
                    ptrdiff_t first, ptrdiff_t k, const T* a, const T* b, T* c, ptrdiff_t c_row,
                    const T* bias) {
  constexpr ptrdiff_t V = kLanes<T>;
  const bool row = g.b_col == 1 && g.n >= kLongRow<T>;
  if (m == 1 && k > 0 && (row || (g.b_row == 1 && k >= V && !bias))) {
    alignas(64) T x[kGemmSegment];
    if (g.a_col != 1) copy_block(x, 0, a, 0, g.a_col, 1, k);
    const T *x_at = g.a_col == 1 ? a : x, *b_at = b + first * g.b_row;
    for (; row && j < end; j += kRowColumns)
      multiply_row(min(kRowColumns, end - j), k, x_at, b_at + j, g.b_row, c + j,
                   bias ? bias + j : nullptr);
    if (row) return;
    const ptrdiff_t n = (end - j) / V * V;
    multiply_row_transposed(n, k, x_at, b_at + j * g.b_col, g.b_col, c + j);
    j += n;
  }
  // Rows of B after which a last vector cannot be read in place, as it ends after B does.
  const ptrdiff_t over = room ? 0 : padded<T>(g.n) - g.n;
  const ptrdiff_t inside = over ? g.k - ceil_div(over, g.b_row) - first : k;
  alignas(64) T stack[V * V * kMaxVectors];  // for these rows
  const ptrdiff_t kc = ceil_div(k, ceil_div(k + !k, g.room / g.panel));
  ptrdiff_t p = 0;
  do {
    ptrdiff_t steps = min<ptrdiff_t>(kc, k - p);
    if (p < inside) steps = min(steps, inside - p);
    for (ptrdiff_t at = j; at < end; at += g.panel) {
      const ptrdiff_t cols = min<ptrdiff_t>(g.panel, end - at), width = padded<T>(cols);
      const T* from = b + (first + p) * g.b_row + at * g.b_col;
      T* packed = room ? room : cols < width && p >= inside ? stack : nullptr;
      // A whole panel is packed by its first strip, which hides the time that B takes to come; a
      // short one leaves nothing to hide it behind.
      const bool fuse =
          room && steps >= 64 && g.b_col == 1 && g.c_col == 1 && cols == kMainVectors * V;
      const bool reads = packed && !fuse;
      if (reads) pack_panel(packed, from, g.b_row, g.b_col, steps, cols);
      multiply_panel<T>({.m = m,
                         .cols = cols,
                         .k = steps,
                         .taps = 1,
                         .offsets = nullptr,
                         .a = a + p * g.a_col,
                         .a_row = g.a_row,
                         .a_col = g.a_col,
                         .b = reads ? packed : from,
                         .b_row = reads ? width : g.b_row,
                         .b_offsets = nullptr,
                         .c = c + at * g.c_col,
                         .c_row = c_row,
                         .c_col = g.c_col,
                         .bias = bias && p + steps == k ? bias + at : nullptr,
                         .accumulate = p > 0,
                         .fetch_next = room && g.a_col == 1,
                         .packed = fuse ? packed : nullptr});
    }
    p += steps;
  } while (p < k);
}

// Row i of the sum of segment s, and the stride to the next row.
template <class T>
inline T* part(const GemmArgs& g, ptrdiff_t s, ptrdiff_t i, ptrdiff_t* row) {
  *row = s > 0 ? g.n : g.c_row;
  return (s > 0 ? static_cast<T*>(g.partials) + (s - 1) * g.partial_size : static_cast<T*>(g.c)) +
         i * *row;
}

template <class T>
void activate(const GemmArgs& g, T* c, ptrdiff_t c_row, ptrdiff_t m, ptrdiff_t n) {
  if (!g.activation) return;
  const ptrdiff_t runs = c_row == n ? 1 : m;
  for (ptrdiff_t i = 0; i < runs; ++i, c += c_row) {
    char* const p[] = {reinterpret_cast<char*>(c), reinterpret_cast<char*>(c)};
    g.activation(m / runs * n, p, 0, g.params);
  }
}

// One row times a B of one vector: the segments [begin, end) side by side, as the FMAs of a single
// chain would wait for each other.
template <class T>
void multiply_segments(const GemmArgs& g, ptrdiff_t begin, ptrdiff_t end) {
  constexpr int kChains = 4;
  for (ptrdiff_t s = begin, c_row; s < end; s += kChains) {
    const ptrdiff_t first = s * kGemmSegment;
    Vec<T> sums[kChains] = {};
    add_segments<kChains>(sums, 0, min(g.k, end * kGemmSegment) - first,
                          static_cast<const T*>(g.a) + first * g.a_col, g.a_col,
                          static_cast<const T*>(g.b) + first * g.b_row, g.b_row, g.n);
    for (int i = 0; i < min<ptrdiff_t>(kChains, end - s); ++i)
      store_up_to(part<T>(g, s + i, 0, &c_row), sums[i], g.n);
  }
}

template <class T>
void tiles(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& g = *static_cast<const GemmArgs*>(args);
  if (g.m == 1 && g.segments > 1 && g.b_col == 1 && g.n <= kLanes<T>)
    return multiply_segments<T>(g, begin, end);
  const ptrdiff_t panels = ceil_div(g.n, g.panel);
  T* room = g.panels ? static_cast<T*>(g.panels) + begin / g.grain * g.room : nullptr;
  for (ptrdiff_t t = begin, blocks; t < end; t += blocks) {
    ptrdiff_t rest = t;
    const auto next = [&](ptrdiff_t count) {
      const ptrdiff_t at = count > 1 ? rest % count : 0;
      if (count > 1) rest /= count;
      return at;
    };
    const ptrdiff_t col = next(g.col_blocks), row = next(g.row_blocks), s = next(g.segments);
    blocks = min(end - t, g.col_blocks - col);  // neighbours are one wide block
    const ptrdiff_t j = panels * col / g.col_blocks * g.panel;
    const ptrdiff_t stop = min<ptrdiff_t>(g.n, panels * (col + blocks) / g.col_blocks * g.panel);
    const ptrdiff_t i = g.m * row / g.row_blocks, m = g.m * (row + 1) / g.row_blocks - i;
    const ptrdiff_t first = s * kGemmSegment;
    const T* a = static_cast<const T*>(g.a) + i * g.a_row + first * g.a_col;
    const T* b = static_cast<const T*>(g.b);
    ptrdiff_t c_row;
    T* c = part<T>(g, s, i, &c_row);
    for (int axis = 0; axis < g.batch_axes; ++axis) {
      const ptrdiff_t at = next(g.batch_shape[axis]);
      a += at * g.batch_a[axis];
      b += at * g.batch_b[axis];
      c += at * g.batch_c[axis];
    }
    const bool whole = g.segments == 1;
    multiply_block(g, room, m, j, stop, first, min<ptrdiff_t>(kGemmSegment, g.k - first), a, b, c,
                   c_row, whole ? static_cast<const T*>(g.bias) : nullptr);
    if (whole) activate(g, c + j, c_row, m, stop - j);
  }
}

// ---- n == 1 ------------------------------------------------------------------------------------

template <class T>
void rows(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  constexpr int kMost = 256 / sizeof(T);  // virtual lanes
  constexpr ptrdiff_t kGroup = 4 * kLanes<T>;
  const auto& g = *static_cast<const GemmArgs*>(args);
  alignas(64) T x[kGemmSegment], copied[kGemmSegment], y[kMost * kGroup];
  ptrdiff_t ready = -1;  // segment whose x is in place
  for (ptrdiff_t t = begin, group; t < end; t += group) {
    const ptrdiff_t s = t / g.m, i = t % g.m, from = s * kGemmSegment;
    const ptrdiff_t k = min<ptrdiff_t>(kGemmSegment, g.k - from);
    if (s != ready) {
      copy_block(x, 0, static_cast<const T*>(g.b) + from * g.b_row, 0, g.b_row, 1, k);
      for (ptrdiff_t pad = k; pad % kMost || pad == 0; ++pad) x[pad] = 0;
      ready = s;
    }
    const T* a = static_cast<const T*>(g.a) + i * g.a_row + from * g.a_col;
    group = min<ptrdiff_t>(g.m - i, end - t);
    const int lanes = k <= kMost / 4 ? kMost / 4 : k <= kMost / 2 ? kMost / 2 : kMost;
    if (g.a_col != 1 && g.a_row == 1) {
      group = min<ptrdiff_t>(group, kGroup);
      dot_columns(group, k, lanes, a, g.a_col, x, y);
    } else {
      group = min<ptrdiff_t>(group, g.a_col == 1 ? kLanes<T> : 1);
      if (g.a_col != 1) copy_block(copied, 0, a, 0, g.a_col, 1, k), a = copied;
      const auto sum = lanes == kMost       ? dot_rows<T, kMost>
                       : lanes == kMost / 2 ? dot_rows<T, kMost / 2>
                                            : dot_rows<T, kMost / 4>;
      sum(group, k, a, g.a_row, x, y);
    }
    ptrdiff_t c_row;
    T* c = part<T>(g, s, i, &c_row);
    for (ptrdiff_t r = 0; r < group; ++r) {
      if (g.bias && g.segments == 1) y[r] += *static_cast<const T*>(g.bias);
      c[r * c_row] = y[r];
    }
    if (g.segments == 1) activate(g, c, c_row, group, 1);
  }
}

// ---- segments of k -----------------------------------------------------------------------------

// The tree: with p[0] = c, first p[i] += p[i + 1] for even i, then p[i] += p[i + 2], and so on.
template <class T>
void combine(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& g = *static_cast<const GemmArgs*>(args);
  const auto add = [&](T* to, const T* from) {
    for (ptrdiff_t j = 0; j < g.n; ++j) to[j] += from[j];
  };
  for (ptrdiff_t i = begin, row; i < end; ++i) {
    T* c = part<T>(g, 0, i, &row);
    for (ptrdiff_t step = 1; step < g.segments; step *= 2)
      for (ptrdiff_t s = 0; s + step < g.segments; s += 2 * step)
        add(part<T>(g, s, i, &row), part<T>(g, s + step, i, &row));
    if (g.bias) add(c, static_cast<const T*>(g.bias));
    activate(g, c, g.n, 1, g.n);
  }
}

}  // namespace

extern constinit const GemmKernels gemm_kernels = {
    .blocks = {kBlocks<float>, kBlocks<double>},
    .lanes = {kLanes<float>, kLanes<double>},
    .panel = {multiply_panel<float>, multiply_panel<double>},
    .tiles = {tiles<float>, tiles<double>},
    .rows = {rows<float>, rows<double>},
    .pack = {pack<float>, pack<double>},
    .combine = {combine<float>, combine<double>},
};

}  // namespace pydl::PYDL_ISA
