// Matmul: register tiles, packing of panels, blocks of tiles. Contract: docs/kernels.md.
//
// Every element of C is one chain c = fma(a[i,k], b[k,j], c) over increasing k, so the choice of
// tile, block, packing and partition never changes a bit.
#include "kernels/gemm.h"

#include "simd/vec.h"

namespace pydl::PYDL_ISA {
namespace {

constexpr int kMaxRows = 12;    // of a tile
constexpr int kMaxVectors = 8;  // of a tile, side by side


// Rows of the tallest tile that is `nv` vectors wide. Accumulators, the row of B and one broadcast
// element of A fit the registers (16, or 32 on v4 and NEON); from two vectors on at least 8 chains.
#if defined(__AVX512F__)
constexpr int kTileRows[kMaxVectors + 1] = {0, 12, 12, 8, 6, 4, 3, 2, 2};
constexpr int kMainVectors = 4;
constexpr ptrdiff_t kKc = 512, kMc = 192;
#elif defined(__ARM_NEON)
constexpr int kTileRows[kMaxVectors + 1] = {0, 12, 12, 8, 6, 4, 3, 2, 2};
constexpr int kMainVectors = 3;
constexpr ptrdiff_t kKc = 640, kMc = 120;
#elif defined(__FMA__)
constexpr int kTileRows[kMaxVectors + 1] = {0, 12, 6, 4, 2, 1, 1, 1, 1};
constexpr int kMainVectors = 2;
constexpr ptrdiff_t kKc = 2048, kMc = 96;
#else
constexpr int kTileRows[kMaxVectors + 1] = {0, 8, 4, 3, 2, 1, 1, 1, 1};
constexpr int kMainVectors = 2;
constexpr ptrdiff_t kKc = 2048, kMc = 96;
#endif

template <class T>
constexpr GemmBlocks kBlocks = {kTileRows[kMainVectors], kMainVectors * kLanes<T>,
                                kKc, kMc * 4 / ptrdiff_t(sizeof(T)), 4096};

// ---- copies ------------------------------------------------------------------------------------

// n elements; short runs cost a few moves, not a call.
template <class T>
inline void copy_run(T* to, const T* from, ptrdiff_t n) {
  for (; n >= kLanes<T>; n -= kLanes<T>, to += kLanes<T>, from += kLanes<T>) store(to, load(from));
#pragma GCC unroll 4
  for (ptrdiff_t half = kLanes<T> / 2; half > 0; half /= 2) {
    if (n & half) {
      __builtin_memcpy(to, from, size_t(half) * sizeof(T));
      to += half;
      from += half;
    }
  }
}

template <class T>
inline void zero_run(T* to, ptrdiff_t n) {
  for (ptrdiff_t i = 0; i < n; ++i) {
    to[i] = 0;
    __asm__ volatile("" ::: "memory");  // keeps GCC from calling memset for a few elements
  }
}

constexpr int kQuadBytes = 16;  // a 128-bit lane, the unit of transposition
template <class T>
constexpr int kQuad = kQuadBytes / sizeof(T);

// The quads at `from`, from + step, ..., side by side in a V.
template <class V>
inline V load_quads(const Element<V>* from, ptrdiff_t step) {
  if constexpr (sizeof(V) == kQuadBytes) {
    V v;
    __builtin_memcpy(&v, from, sizeof v);
    return v;
  } else {
    typedef Element<V> Half __attribute__((vector_size(sizeof(V) / 2)));
    constexpr int n = sizeof(Half) / sizeof(Element<V>);
    const Half low = load_quads<Half>(from, step);
    const Half high = load_quads<Half>(from + n / kQuad<Element<V>> * step, step);
    if constexpr (n == 2) return __builtin_shufflevector(low, high, 0, 1, 2, 3);
    if constexpr (n == 4) return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7);
    if constexpr (n == 8)
      return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  }
}

// to[i * to_row + j] = from[j * from_row + i] for i < q = 16 / sizeof(T), j < kLanes.
template <class T>
inline void transpose_strip(T* to, ptrdiff_t to_row, const T* from, ptrdiff_t from_row) {
  constexpr int n = int(kLanes<T>);
  Vec<T> r[kQuad<T>];
#pragma GCC unroll 4
  for (int i = 0; i < kQuad<T>; ++i)
    r[i] = load_quads<Vec<T>>(from + i * from_row, kQuad<T> * from_row);
  const auto pick = [](Vec<T> a, Vec<T> b, auto lane) {  // within each quad
    Bits<Vec<T>> index{};
    for (int i = 0; i < n; ++i) index[i] = i / kQuad<T> * kQuad<T> + lane(i % kQuad<T>);
    return Vec<T>(__builtin_shuffle(a, b, index));
  };
  if constexpr (kQuad<T> == 2) {
    store(to, pick(r[0], r[1], [](int i) { return i * n; }));
    store(to + to_row, pick(r[0], r[1], [](int i) { return 1 + i * n; }));
  } else {
    const auto low = [](int i) { return i / 2 + i % 2 * n; };  // a0 b0 a1 b1
    const auto high = [](int i) { return 2 + i / 2 + i % 2 * n; };
    const auto left = [](int i) { return i < 2 ? i : n + i - 2; };  // a0 a1 b0 b1
    const auto right = [](int i) { return i < 2 ? i + 2 : n + i; };
    const Vec<T> low01 = pick(r[0], r[1], low), high01 = pick(r[0], r[1], high);
    const Vec<T> low23 = pick(r[2], r[3], low), high23 = pick(r[2], r[3], high);
    store(to, pick(low01, low23, left));
    store(to + to_row, pick(low01, low23, right));
    store(to + 2 * to_row, pick(high01, high23, left));
    store(to + 3 * to_row, pick(high01, high23, right));
  }
}

// to[i * to_row + j] = from[i * from_row + j * from_col] for i < rows, j < cols.
template <class T>
void copy_block(T* to, ptrdiff_t to_row, const T* from, ptrdiff_t from_row, ptrdiff_t from_col,
                ptrdiff_t rows, ptrdiff_t cols) {
  if (from_col == 1 && cols == kMainVectors * kLanes<T>) {  // a panel
    for (ptrdiff_t i = 0; i < rows; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < kMainVectors; ++v)
        store(to + i * to_row + v * kLanes<T>, load(from + i * from_row + v * kLanes<T>));
    return;
  }
  if (from_col == 1) {
    for (ptrdiff_t i = 0; i < rows; ++i) copy_run(to + i * to_row, from + i * from_row, cols);
    return;
  }
  constexpr ptrdiff_t q = kQuad<T>;
  ptrdiff_t strips = 0, whole = 0;  // rows and columns done by transposition
  if (from_row == 1) {
    strips = rows / q * q;
    whole = cols / kLanes<T> * kLanes<T>;
    for (ptrdiff_t j = 0; j < whole; j += kLanes<T>)
      for (ptrdiff_t i = 0; i < strips; i += q)
        transpose_strip(to + i * to_row + j, to_row, from + i + j * from_col, from_col);
  }
  for (ptrdiff_t i = 0; i < rows; ++i)
    for (ptrdiff_t j = i < strips ? whole : 0; j < cols; ++j)
      to[i * to_row + j] = from[i * from_row + j * from_col];
}

// Columns that the panel of `cols` columns has in memory; those that do not exist are zero.
template <class T>
inline ptrdiff_t padded(ptrdiff_t cols) {
  return (cols + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
}

// k rows of n columns of B into panels of `panel` columns, each k x panel. Walks a few rows over
// all panels at a time, so that long runs of B are read in order.
template <class T>
void pack_panels(T* to, ptrdiff_t panel, const T* b, ptrdiff_t b_row, ptrdiff_t b_col, ptrdiff_t k,
                 ptrdiff_t n) {
  constexpr ptrdiff_t kRows = 64 / sizeof(T);  // a cache line, where rows are contiguous along k
  for (ptrdiff_t p = 0; p < k; p += kRows) {
    const ptrdiff_t rows = k - p < kRows ? k - p : kRows;
    for (ptrdiff_t j = 0; j < n; j += panel) {
      const ptrdiff_t cols = n - j < panel ? n - j : panel, width = padded<T>(cols);
      T* at = to + j * k + p * width;
      copy_block(at, width, b + p * b_row + j * b_col, b_row, b_col, rows, cols);
      for (ptrdiff_t i = 0; cols < width && i < rows; ++i) zero_run(at + i * width + cols, width - cols);
    }
  }
}

template <class T>
void pack(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& g = *static_cast<const GemmPackArgs*>(args);
  const auto* a = static_cast<const T*>(g.a);
  const auto* b = static_cast<const T*>(g.b);
  for (ptrdiff_t t = begin; t < end; ++t) {
    if (t < g.b_items) {
      const ptrdiff_t most = kGemmPackPanels * g.panel, j = t * most, left = g.n - j;
      pack_panels(static_cast<T*>(g.b_panels) + j * g.k, g.panel, b + j * g.b_col, g.b_row, g.b_col,
                  g.k, left < most ? left : most);
    } else {
      const ptrdiff_t i = (t - g.b_items) * kGemmCopyRows, left = g.m - i;
      copy_block(static_cast<T*>(g.a_copy) + i * g.a_copy_row, g.a_copy_row, a + i * g.a_row,
                 g.a_row, g.a_col, left < kGemmCopyRows ? left : kGemmCopyRows, g.k);
    }
  }
}

// ---- register tiles ----------------------------------------------------------------------------

template <class T>
using Tile = void (*)(ptrdiff_t k, const T* a, ptrdiff_t a_row, ptrdiff_t a_col, const T* b,
                      ptrdiff_t b_row, T* c, ptrdiff_t c_row, const T* bias, bool accumulate);

// c[i,j] (+)= sum_p a[i,p] b[p,j] (+ bias[j]) for i < MR, j < NV vectors, p < k.
template <class T, int MR, int NV>
void tile(ptrdiff_t k, const T* a, ptrdiff_t a_row, ptrdiff_t a_col, const T* b, ptrdiff_t b_row,
          T* c, ptrdiff_t c_row, const T* bias, bool accumulate) {
  constexpr ptrdiff_t V = kLanes<T>;
  Vec<T> acc[MR][NV];
  if (accumulate) {
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 16
      for (int v = 0; v < NV; ++v) acc[i][v] = load(c + i * c_row + v * V);
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 16
      for (int v = 0; v < NV; ++v) acc[i][v] = Vec<T>{};
  }
  for (ptrdiff_t p = 0; p < k; ++p, a += a_col, b += b_row) {
    Vec<T> row[NV];
#pragma GCC unroll 16
    for (int v = 0; v < NV; ++v) row[v] = load(b + v * V);
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      const Vec<T> x = broadcast(a[i * a_row]);
#pragma GCC unroll 16
      for (int v = 0; v < NV; ++v) acc[i][v] = fma(x, row[v], acc[i][v]);
    }
  }
  if (bias) {
#pragma GCC unroll 16
    for (int v = 0; v < NV; ++v) {
      const Vec<T> x = load(bias + v * V);
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) acc[i][v] += x;
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 16
    for (int v = 0; v < NV; ++v) store(c + i * c_row + v * V, acc[i][v]);
}

template <class T>
struct Tiles {
  Tile<T> at[kMaxVectors + 1][kMaxRows + 1];  // [vectors][rows]
};

template <class T, int NV, int MR>
constexpr void fill_tiles(Tiles<T>& tiles) {
  if constexpr (MR > 0) {
    tiles.at[NV][MR] = tile<T, MR, NV>;
    fill_tiles<T, NV, MR - 1>(tiles);
  } else if constexpr (NV > 1) {
    fill_tiles<T, NV - 1, kTileRows[NV - 1]>(tiles);
  }
}

template <class T>
constexpr Tiles<T> make_tiles() {
  Tiles<T> tiles{};
  fill_tiles<T, kMaxVectors, kTileRows[kMaxVectors]>(tiles);
  return tiles;
}

template <class T>
constexpr Tiles<T> kTiles = make_tiles<T>();

// ---- blocks ------------------------------------------------------------------------------------

// Rows of C times one panel of B, k steps. `cols` of the panel's nv vectors exist in C.
template <class T>
void panel_times_rows(ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t k, const T* a, ptrdiff_t a_row,
                      ptrdiff_t a_col, const T* b, ptrdiff_t b_row, T* c, ptrdiff_t c_row,
                      const T* bias, bool accumulate) {
  const ptrdiff_t nv = (cols + kLanes<T> - 1) / kLanes<T>, width = nv * kLanes<T>;
  const ptrdiff_t tallest = kTileRows[nv];
  const ptrdiff_t strips = (rows + tallest - 1) / tallest;
  const ptrdiff_t low = rows / strips, higher = rows % strips;  // `higher` strips of low + 1 rows
  if (cols == width) {
    for (ptrdiff_t s = 0; s < strips; ++s) {
      const ptrdiff_t mr = low + (s < higher);
      kTiles<T>.at[nv][mr](k, a, a_row, a_col, b, b_row, c, c_row, bias, accumulate);
      a += mr * a_row;
      c += mr * c_row;
    }
    return;
  }
  // The ragged last vector goes through a tile on the stack.
  alignas(64) T edge[kMaxRows * kMainVectors * kLanes<T> > 2 * kMaxVectors * kLanes<T>
                         ? kMaxRows * kMainVectors * kLanes<T>
                         : 2 * kMaxVectors * kLanes<T>];
  alignas(64) T edge_bias[kMaxVectors * kLanes<T>];
  if (bias) {
    zero_run(edge_bias + cols, width - cols);
    copy_run(edge_bias, bias, cols);
    bias = edge_bias;
  }
  for (ptrdiff_t i = 0; accumulate && i < tallest; ++i) zero_run(edge + i * width + cols, width - cols);
  for (ptrdiff_t s = 0; s < strips; ++s) {
    const ptrdiff_t mr = low + (s < higher);
    for (ptrdiff_t i = 0; accumulate && i < mr; ++i) copy_run(edge + i * width, c + i * c_row, cols);
    kTiles<T>.at[nv][mr](k, a, a_row, a_col, b, b_row, edge, width, bias, accumulate);
    for (ptrdiff_t i = 0; i < mr; ++i) copy_run(c + i * c_row, edge + i * width, cols);
    a += mr * a_row;
    c += mr * c_row;
  }
}

// One row times a wide B with contiguous rows: c[j] (+)= sum_p a[p] b[p,j] (+ bias[j]), n whole
// vectors. Reads K rows of B side by side from end to end, as memory likes it; c stays in L1.
template <class T>
void row_times_matrix(ptrdiff_t n, ptrdiff_t k, const T* a, ptrdiff_t a_col, const T* b,
                      ptrdiff_t b_row, T* c, const T* bias, bool accumulate) {
  constexpr int K = 8;
  const auto add_rows = [&]<int ROWS>() {
    for (ptrdiff_t j = 0; j < n; j += kLanes<T>) {
      Vec<T> acc = accumulate ? load(c + j) : Vec<T>{};
#pragma GCC unroll 8
      for (int i = 0; i < ROWS; ++i) acc = fma(broadcast(a[i * a_col]), load(b + i * b_row + j), acc);
      store(c + j, acc);
    }
    a += ROWS * a_col;
    b += ROWS * b_row;
    accumulate = true;
  };
  ptrdiff_t p = 0;
  for (; p + K <= k; p += K) add_rows.template operator()<K>();
  for (; p < k; ++p) add_rows.template operator()<1>();
  for (ptrdiff_t j = 0; bias && j < n; j += kLanes<T>) store(c + j, load(c + j) + load(bias + j));
}

// Rows [0, m) and columns [j, j + n) of one product, k steps from `from`.
template <class T>
struct Block {
  const T* a;
  const T* b;
  T* c;
  const T* bias;
  ptrdiff_t c_row, m, j, n, from, k;
  bool accumulate;
};

template <class T>
void multiply_block(const GemmArgs& g, Block<T> w) {
  if (w.m == 1 && g.b_col == 1 && w.n > kMaxVectors * kLanes<T> && w.k > 0) {
    const ptrdiff_t n = w.n / kLanes<T> * kLanes<T>;
    row_times_matrix(n, w.k, w.a + w.from * g.a_col, g.a_col, w.b + w.from * g.b_row + w.j, g.b_row,
                     w.c + w.j, w.bias ? w.bias + w.j : nullptr, w.accumulate);
    w.j += n;
    w.n -= n;
    if (w.n == 0) return;
  }
  alignas(64) T packed[kGemmStackBytes / sizeof(T)];
  constexpr ptrdiff_t kRoom = kGemmStackBytes / sizeof(T);
  const ptrdiff_t kc_most = g.b_packed ? kBlocks<T>.kc : kRoom / (g.panel * g.stack_panels);
  const ptrdiff_t blocks = w.k > kc_most ? (w.k + kc_most - 1) / kc_most : 1;
  const ptrdiff_t kc = (w.k + blocks - 1) / blocks;
  const bool on_stack = !g.b_packed && g.pack_panels;
  const ptrdiff_t step = on_stack ? g.panel * g.stack_panels : g.panel;
  ptrdiff_t p = 0;
  do {
    const ptrdiff_t k = w.k - p < kc ? w.k - p : kc;
    const T* bias = p + k == w.k ? w.bias : nullptr;
    const T* a = w.a + (w.from + p) * g.a_col;
    for (ptrdiff_t j = w.j, end = w.j + w.n; j < end; j += step) {
      const ptrdiff_t n = end - j < step ? end - j : step;
      const T* b = w.b + (w.from + p) * g.b_row + j * g.b_col;
      const bool pack = on_stack || (!g.b_packed && n % kLanes<T>);
      if (pack) pack_panels(packed, g.panel, b, g.b_row, g.b_col, k, n);
      for (ptrdiff_t at = 0; at < n; at += g.panel) {
        const ptrdiff_t cols = n - at < g.panel ? n - at : g.panel, width = padded<T>(cols);
        const T* panel = pack ? packed + at * k
                         : g.b_packed ? w.b + j * g.k + (w.from + p) * width
                                      : b;
        panel_times_rows(w.m, cols, k, a, g.a_row, g.a_col, panel,
                         pack || g.b_packed ? width : g.b_row, w.c + j + at, w.c_row,
                         bias ? bias + j + at : nullptr, p > 0 || w.accumulate);
      }
    }
    p += k;
  } while (p < w.k);
}

template <class T>
void activate_rows(ElementwiseLoop activation, const double* params, T* c, ptrdiff_t c_row,
                   ptrdiff_t m, ptrdiff_t n) {
  if (!activation) return;
  if (c_row == n) {
    n *= m;
    m = 1;
  }
  for (ptrdiff_t i = 0; i < m; ++i) {
    char* const p[] = {reinterpret_cast<char*>(c + i * c_row), reinterpret_cast<char*>(c + i * c_row)};
    activation(n, p, 0, params);
  }
}

template <class T>
void tiles(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& g = *static_cast<const GemmArgs*>(args);
  const ptrdiff_t panels = (g.n + g.panel - 1) / g.panel;
  for (ptrdiff_t t = begin; t < end; ++t) {
    Block<T> w{static_cast<const T*>(g.a), static_cast<const T*>(g.b), static_cast<T*>(g.c),
               static_cast<const T*>(g.bias), g.c_row, g.m, 0, g.n, 0, g.k, g.accumulate};
    ptrdiff_t rest = t;
    if (g.col_blocks > 1) {
      const ptrdiff_t at = rest % g.col_blocks;
      rest /= g.col_blocks;
      w.j = panels * at / g.col_blocks * g.panel;
      const ptrdiff_t stop = panels * (at + 1) / g.col_blocks * g.panel;
      w.n = (stop < g.n ? stop : g.n) - w.j;
    }
    ptrdiff_t first_row = 0;
    if (g.row_blocks > 1) {
      const ptrdiff_t at = rest % g.row_blocks;
      rest /= g.row_blocks;
      first_row = g.m * at / g.row_blocks;
      w.m = g.m * (at + 1) / g.row_blocks - first_row;
    }
    ElementwiseLoop activation = g.activation;
    if (g.segments > 1) {
      const ptrdiff_t s = rest % g.segments;
      rest /= g.segments;
      w.from = s * kGemmSegment;
      w.k = s + 1 < g.segments ? kGemmSegment : g.k - w.from;
      w.bias = nullptr;
      activation = nullptr;
      if (s > 0) {
        w.c = static_cast<T*>(g.partials) + (s - 1) * g.m * g.n;
        w.c_row = g.n;
        w.accumulate = false;
      }
    }
    for (int axis = 0; axis < g.batch_axes; ++axis) {
      const ptrdiff_t at = rest % g.batch_shape[axis];
      rest /= g.batch_shape[axis];
      w.a += at * g.batch_a[axis];
      w.b += at * g.batch_b[axis];
      w.c += at * g.batch_c[axis];
    }
    w.a += first_row * g.a_row;
    w.c += first_row * w.c_row;
    multiply_block(g, w);
    activate_rows(activation, g.params, w.c + w.j, w.c_row, w.m, w.n);
  }
}

// ---- n == 1 ------------------------------------------------------------------------------------

// sum_k a[k] x[k] over virtual lanes: lane l adds the products of k = l, l + LANES, ... as one FMA
// chain, then halves are added until one lane is left. x is padded with zeros to whole lanes.
template <class T, int LANES>
T dot(ptrdiff_t k, const T* a, const T* x) {
  constexpr int V = int(kLanes<T>);
  constexpr int NV = LANES / V;
  static_assert(NV >= 1);
  Vec<T> acc[NV] = {};
  for (; k >= LANES; k -= LANES, a += LANES, x += LANES)
#pragma GCC unroll 16
    for (int v = 0; v < NV; ++v) acc[v] = fma(load(a + v * V), load(x + v * V), acc[v]);
  if (k > 0) {
    T tail[LANES] = {};
    copy_run(tail, a, k);
#pragma GCC unroll 16
    for (int v = 0; v < NV; ++v) acc[v] = fma(load(tail + v * V), load(x + v * V), acc[v]);
  }
#pragma GCC unroll 8
  for (int half = NV / 2; half > 0; half /= 2)
#pragma GCC unroll 16
    for (int v = 0; v < half; ++v) acc[v] += acc[v + half];
  Vec<T> sum = acc[0];
#pragma GCC unroll 8
  for (int half = V / 2; half > 0; half /= 2) {
    Bits<Vec<T>> other{};
    for (int i = 0; i < V; ++i) other[i] = i ^ half;
    sum += Vec<T>(__builtin_shuffle(sum, other));
  }
  return sum[0];
}

// c[i] (+)= sum_k a[i,k] x[k] (+ bias), then the activation.
template <class T>
void rows(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  constexpr int kLanesMost = 256 / sizeof(T);
  constexpr int kGroup = kQuad<T>;  // rows copied at a time where a has no unit stride along k
  const auto& g = *static_cast<const GemmArgs*>(args);
  alignas(64) T x[kGemmSegment];
  alignas(64) T copied[kGroup * kGemmSegment];
  ptrdiff_t ready = -1;  // segment whose x is in place
  for (ptrdiff_t t = begin; t < end;) {
    const ptrdiff_t s = t / g.m, i = t % g.m, from = s * kGemmSegment;
    const ptrdiff_t k = s + 1 < g.segments ? kGemmSegment : g.k - from;
    if (s != ready) {
      copy_block(x, 0, static_cast<const T*>(g.b) + from * g.b_row, 0, g.b_row, 1, k);
      zero_run(x + k, (kLanesMost - k % kLanesMost) % kLanesMost);
      ready = s;
    }
    const T* a = static_cast<const T*>(g.a) + i * g.a_row + from * g.a_col;
    ptrdiff_t a_row = g.a_row, group = g.m - i < end - t ? g.m - i : end - t;
    if (g.a_col != 1) {
      group = group < kGroup ? group : kGroup;
      copy_block(copied, kGemmSegment, a, g.a_row, g.a_col, group, k);
      a = copied;
      a_row = kGemmSegment;
    }
    T* c = static_cast<T*>(g.c) + i * g.c_row;
    ptrdiff_t c_row = g.c_row;
    if (s > 0) {
      c = static_cast<T*>(g.partials) + (s - 1) * g.m + i;
      c_row = 1;
    }
    const auto sum = k <= kLanesMost / 4   ? dot<T, kLanesMost / 4>
                     : k <= kLanesMost / 2 ? dot<T, kLanesMost / 2>
                                           : dot<T, kLanesMost>;
    const T bias = g.bias && g.segments == 1 ? *static_cast<const T*>(g.bias) : T(0);
    for (ptrdiff_t r = 0; r < group; ++r) {
      T y = sum(k, a + r * a_row, x);
      if (s == 0 && g.accumulate) y += c[r * c_row];
      c[r * c_row] = g.bias && g.segments == 1 ? y + bias : y;
    }
    if (g.segments == 1)
      activate_rows(g.activation, g.params, c, c_row, group, 1);
    t += group;
  }
}

// ---- segments of k -----------------------------------------------------------------------------

// The tree: with p[0] = c, first p[i] += p[i + 1] for even i, then p[i] += p[i + 2], and so on.
template <class T>
void combine(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& g = *static_cast<const GemmCombineArgs*>(args);
  const auto add = [&](T* to, const T* from) {
    for (ptrdiff_t j = 0; j < g.n; ++j) to[j] += from[j];
  };
  for (ptrdiff_t i = begin; i < end; ++i) {
    T* c = static_cast<T*>(g.c) + i * g.c_row;
    const auto part = [&](ptrdiff_t s) {
      return s == 0 ? c : static_cast<T*>(g.partials) + ((s - 1) * g.m + i) * g.n;
    };
    for (ptrdiff_t step = 1; step < g.segments; step *= 2)
      for (ptrdiff_t s = 0; s + step < g.segments; s += 2 * step) add(part(s), part(s + step));
    if (g.bias) add(c, static_cast<const T*>(g.bias));
    activate_rows(g.activation, g.params, c, g.n, 1, g.n);
  }
}

// ---- the machine's peak ------------------------------------------------------------------------

constexpr int kPeakChains = 12;  // enough for 2 FMAs a cycle of latency up to 6

void fma_peak(ptrdiff_t iterations, double* sink) {
  using V = Vec<float>;
  V acc[kPeakChains];
  const V x = broadcast(0.5f), y = broadcast(1.0f);
#pragma GCC unroll 16
  for (int c = 0; c < kPeakChains; ++c) acc[c] = broadcast(float(c));
  for (ptrdiff_t i = 0; i < iterations; ++i)
#pragma GCC unroll 16
    for (int c = 0; c < kPeakChains; ++c) acc[c] = fma(acc[c], x, y);
  V sum{};
  for (int c = 0; c < kPeakChains; ++c) sum += acc[c];
  *sink = double(sum[0]);
}

}  // namespace

extern constinit const GemmKernels gemm_kernels = {
    {kBlocks<float>, kBlocks<double>},
    {kLanes<float>, kLanes<double>},
    {tiles<float>, tiles<double>},
    {rows<float>, rows<double>},
    {pack<float>, pack<double>},
    {combine<float>, combine<double>},
    fma_peak,
    2.0 * kPeakChains * kLanes<float>,
};

}  // namespace pydl::PYDL_ISA
