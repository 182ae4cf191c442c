#include "runtime/elementwise.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <set>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

#include "kernels/copy.h"
#include "kernels/elementwise.h"
#include "runtime/dispatch.h"
#include "runtime/launch.h"
#include "runtime/shape.h"

namespace pydl {
namespace {

constexpr ptrdiff_t kTile = 256;              // elements of a row staged at a time
constexpr ptrdiff_t kBlockBytes = 64 * 1024;  // of what is transposed on the stack; half: a block
constexpr ptrdiff_t kBlockColumns = 128;      // at most, where one operand is transposed
constexpr ptrdiff_t kShortRow = 8192;         // bytes; longer rows are copied one by one
constexpr ptrdiff_t kShortBlock = 4096;       // bytes of rows that are worth a block
constexpr ptrdiff_t kGrainElements = 32 * 1024;  // additions that are worth a thread
constexpr ptrdiff_t kStreamGrain = 256 * 1024;   // longer runs, where memory sets the pace

struct ElementwiseArgs {
  ElementwiseLoop loop;
  int count;
  int ndim;
  bool takes_scalars;
  bool streams;             // the output is to bypass the caches
  bool moves;               // a block is copied to where it belongs, not through rows
  unsigned transposed;      // bit k: operand k has unit stride along axis 1, not along axis 0
  ptrdiff_t columns, rows;  // of a block of axes 0 and 1, if one is transposed
  uint8_t item[kMaxOperands];
  ptrdiff_t shape[kMaxDims];
  ptrdiff_t strides[kMaxOperands][kMaxDims];  // in bytes
  char* data[kMaxOperands];
  double params[kMaxParams];

  void operands(auto f) const {
    for (int k = 0; k < count - 1; ++k) f(static_cast<const char*>(data[k]));
    f(data[count - 1]);
  }
};

template <class T>
void strided_copy(char* to, ptrdiff_t to_step, const char* from, ptrdiff_t from_step, ptrdiff_t n) {
  for (ptrdiff_t i = 0; i < n; ++i) {
    T v;
    std::memcpy(&v, from + i * from_step, sizeof v);
    std::memcpy(to + i * to_step, &v, sizeof v);
  }
}

void strided_copy(int item, char* to, ptrdiff_t to_step, const char* from, ptrdiff_t from_step,
                  ptrdiff_t n) {
  switch (item) {
    case 1:
      return strided_copy<uint8_t>(to, to_step, from, from_step, n);
    case 2:
      return strided_copy<uint16_t>(to, to_step, from, from_step, n);
    case 4:
      return strided_copy<uint32_t>(to, to_step, from, from_step, n);
    default:
      return strided_copy<uint64_t>(to, to_step, from, from_step, n);
  }
}

// Loops over operands of that many bytes in all leave a result that is in no cache when it is read
// next. A plain store reads the line that it fills first; a store past the caches saves that. A
// constant, because what the system tells of the last level may be that of all sockets and guests
// together.
constexpr double kStreamLimit = 48 << 20;
std::atomic<double> g_stream_limit{kStreamLimit};

// What was stored past the caches is seen by others before what is stored later.
void end_of_streams() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

// One run along the innermost axis, all contiguous or scalar.
void run_loop(const ElementwiseArgs& a, char* const* p, ptrdiff_t n, unsigned scalars) {
  if (!a.streams) return a.loop(n, p, scalars, a.params);
  // up to the first whole line of the output, then along lines
  const int out = a.count - 1;
  const auto off = ptrdiff_t(-reinterpret_cast<uintptr_t>(p[out]) % 64);
  const ptrdiff_t head = std::min(n, off / a.item[out]);
  if (head > 0) a.loop(head, p, scalars, a.params);
  char* q[kMaxOperands];
  for (int k = 0; k < a.count; ++k) q[k] = p[k] + (scalars >> k & 1 ? 0 : head * a.item[k]);
  a.loop(n - head, q, scalars | kStreams, a.params);
}

// One run along the innermost axis; operands that are not contiguous pass through a tile.
void run_row(const ElementwiseArgs& a, char* const* p, ptrdiff_t n) {
  const int out = a.count - 1;
  unsigned scalars = 0, staged = 0;
  for (int k = 0; k < a.count; ++k) {
    const ptrdiff_t stride = a.strides[k][0];
    if (stride == a.item[k] || n == 1) continue;
    if (stride == 0 && k != out && a.takes_scalars)
      scalars |= 1u << k;
    else
      staged |= 1u << k;
  }
  if (!staged) return run_loop(a, p, n, scalars);

  alignas(64) char tiles[kMaxOperands][kTile * 8];
  for (ptrdiff_t done = 0; done < n; done += kTile) {
    const ptrdiff_t m = std::min(kTile, n - done);
    char* q[kMaxOperands];
    for (int k = 0; k < a.count; ++k) {
      q[k] = p[k] + done * a.strides[k][0];
      if (!(staged >> k & 1)) continue;
      if (k != out) strided_copy(a.item[k], tiles[k], a.item[k], q[k], a.strides[k][0], m);
      q[k] = tiles[k];
    }
    a.loop(m, q, scalars, a.params);
    if (staged >> out & 1)
      strided_copy(a.item[out], p[out] + done * a.strides[out][0], a.strides[out][0], tiles[out],
                   a.item[out], m);
  }
}

// Elements [begin, end) in the order of the merged axes, the innermost first.
void elementwise_range(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const ElementwiseArgs*>(args);
  ptrdiff_t index[kMaxDims];
  char* p[kMaxOperands];
  for (int k = 0; k < a.count; ++k) p[k] = a.data[k];
  for (ptrdiff_t axis = 0, rest = begin; axis < a.ndim; ++axis) {
    index[axis] = rest % a.shape[axis];
    rest /= a.shape[axis];
    for (int k = 0; k < a.count; ++k) p[k] += index[axis] * a.strides[k][axis];
  }
  for (ptrdiff_t left = end - begin; left > 0;) {
    const ptrdiff_t n = std::min(left, a.shape[0] - index[0]);
    run_row(a, p, n);
    left -= n;
    if (left == 0) break;
    for (int k = 0; k < a.count; ++k) p[k] -= index[0] * a.strides[k][0];
    index[0] = 0;
    for (int axis = 1; axis < a.ndim; ++axis) {
      for (int k = 0; k < a.count; ++k) p[k] += a.strides[k][axis];
      if (++index[axis] < a.shape[axis]) break;
      for (int k = 0; k < a.count; ++k) p[k] -= a.shape[axis] * a.strides[k][axis];
      index[axis] = 0;
    }
  }
  if (a.streams) end_of_streams();
}

// Blocks [begin, end) of axes 0 and 1. What is transposed is copied into rows first.
void elementwise_blocks(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const ElementwiseArgs*>(args);
  const int out = a.count - 1;
  ElementwiseArgs inner = a;  // of a block
  bool dense = true;          // rows follow each other without gaps
  for (int k = 0; k < a.count; ++k) {
    ptrdiff_t* stride = inner.strides[k];
    if (a.transposed >> k & 1) stride[0] = a.item[k], stride[1] = a.columns * stride[0];
    dense = dense && a.shape[0] == a.columns && stride[1] == a.columns * stride[0];
  }
  alignas(64) char blocks[kBlockBytes];
  for (ptrdiff_t t = begin; t < end; ++t) {
    char* p[kMaxOperands];
    for (int k = 0; k < a.count; ++k) p[k] = a.data[k];
    ptrdiff_t rest = t, size[2];
    for (int axis = 0; axis < a.ndim; ++axis) {
      const ptrdiff_t step = axis == 0 ? a.columns : axis == 1 ? a.rows : 1;
      const ptrdiff_t count = ceil_div(a.shape[axis], step), at = rest % count * step;
      rest /= count;
      if (axis < 2) size[axis] = std::min(step, a.shape[axis] - at);
      for (int k = 0; k < a.count; ++k) p[k] += at * a.strides[k][axis];
    }
    const auto copy_block = [&](int k, char* to, ptrdiff_t to_row) {
      kernels().copy.block[std::countr_zero(unsigned(a.item[k]))](
          to, to_row, p[k], a.strides[k][1] / a.item[k], a.strides[k][0] / a.item[k], size[1],
          size[0]);
    };
    if (a.moves) {
      copy_block(0, p[1], a.strides[1][1] / a.item[1]);
      continue;
    }
    char* rows = blocks;
    for (int k = 0; k < out; ++k) {
      if (!(a.transposed >> k & 1)) continue;
      copy_block(k, rows, a.columns);
      p[k] = rows;
      rows += a.rows * inner.strides[k][1];
    }
    if (dense) size[0] *= size[1], size[1] = 1;
    for (ptrdiff_t i = 0; i < size[1]; ++i) {
      run_row(inner, p, size[0]);
      for (int k = 0; k < a.count; ++k) p[k] += inner.strides[k][1];
    }
  }
}

// Read and written for one result.
double bytes_of_result(const ElementwiseArgs& a) {
  double bytes = 0;
  for (int k = 0; k < a.count; ++k)
    for (int axis = 0; axis < a.ndim; ++axis)
      if (a.strides[k][axis] != 0) {  // a repeated operand stays in cache
        bytes += a.item[k];
        break;
      }
  return bytes;
}

void copy_loop_1(ptrdiff_t n, char* const* p, unsigned, const double*) {
  std::memmove(p[1], p[0], n);
}
void copy_loop_2(ptrdiff_t n, char* const* p, unsigned, const double*) {
  std::memmove(p[1], p[0], 2 * n);
}
void copy_loop_4(ptrdiff_t n, char* const* p, unsigned, const double*) {
  std::memmove(p[1], p[0], 4 * n);
}
void copy_loop_8(ptrdiff_t n, char* const* p, unsigned, const double*) {
  std::memmove(p[1], p[0], 8 * n);
}
constexpr ElementwiseLoop kCopyLoops[] = {copy_loop_1, copy_loop_2, copy_loop_4, copy_loop_8};

}  // namespace

std::optional<LoopInfo> elementwise_loop(RangeFn fn, const void* args) {
  if (fn != elementwise_range && fn != elementwise_blocks) return std::nullopt;
  const auto& a = *static_cast<const ElementwiseArgs*>(args);
  double results = 1;
  for (int axis = 0; axis < a.ndim; ++axis) results *= double(a.shape[axis]);
  return LoopInfo{a.loop, results * bytes_of_result(a), fn == elementwise_range};
}

namespace {

// The bytes between the first and the last that operand k touches.
struct Extent {
  const char *begin, *end;
};
Extent extent(const ElementwiseArgs& a, int k) {
  Extent e{a.data[k], a.data[k] + a.item[k]};
  for (int axis = 0; axis < a.ndim; ++axis) {
    const ptrdiff_t way = (a.shape[axis] - 1) * a.strides[k][axis];
    (way < 0 ? e.begin : e.end) += way;
  }
  return e;
}

// Whether item i of operand k lies i elements behind the first.
bool is_linear(const ElementwiseArgs& a, int k) {
  ptrdiff_t step = a.item[k];
  for (int axis = 0; axis < a.ndim; step *= a.shape[axis++])
    if (a.strides[k][axis] != step) return false;
  return true;
}

// Whether to go by blocks of two axes: where an input is contiguous along another axis than the
// innermost, which becomes the second one; and where short rows are copied, which cost little more
// than a call each.
bool plan_blocks(ElementwiseArgs& a) {
  const auto transposed = [&](int k, int axis) {
    return a.shape[axis] > 1 && a.strides[k][axis] == a.item[k] && a.strides[k][0] != 0 &&
           a.strides[k][0] != a.item[k];
  };
  int second = 0, item = 1;
  for (int k = 0; k < a.count - 1 && second == 0; ++k)
    for (int axis = 1; axis < a.ndim; ++axis)
      if (transposed(k, axis)) second = axis;
  const bool copies = std::find(kCopyLoops, std::end(kCopyLoops), a.loop) != std::end(kCopyLoops);
  if (second == 0 && copies && a.ndim > 1 && a.shape[0] * a.item[0] <= kShortRow) {
    const auto bytes = [&](int axis) {
      return std::min(a.shape[0] * a.shape[axis] * a.item[0], kShortBlock);
    };
    second = 1;
    for (int axis = 2; axis < a.ndim; ++axis)
      if (bytes(axis) > bytes(second)) second = axis;
  }
  if (second == 0) return false;
  std::swap(a.shape[1], a.shape[second]);
  for (int k = 0; k < a.count; ++k) std::swap(a.strides[k][1], a.strides[k][second]);
  a.transposed = 0;
  for (int k = 0; k < a.count; ++k) {
    item = std::max<int>(item, a.item[k]);
    if (k + 1 < a.count && transposed(k, 1)) a.transposed |= 1u << k;
  }
  // Rows of a transposed copy that meet in few sets of L1 are better written one by one: 2048 x
  // 2048 floats take 0.55 ms then, 0.85 otherwise.
  a.moves =
      copies && a.strides[1][0] == a.item[1] && !(a.transposed && a.strides[1][1] % 1024 == 0);
  const ptrdiff_t most = kBlockBytes / std::max(2, std::popcount(a.transposed)) / item;
  const auto squares = [](ptrdiff_t n) { return n < 16 ? n : n / 16 * 16; };
  a.columns = std::min(a.shape[0], a.transposed ? kBlockColumns : most);
  a.rows = std::min(a.shape[1], squares(most / a.columns));
  a.columns = std::min(a.shape[0], squares(most / a.rows));
  a.streams = false;
  return true;
}

}  // namespace

bool loops_mix(const void* earlier, const void* later) {
  const auto& a = *static_cast<const ElementwiseArgs*>(earlier);
  const auto& b = *static_cast<const ElementwiseArgs*>(later);
  for (int i = 0; i < a.count; ++i)
    for (int j = 0; j < b.count; ++j) {
      if (i != a.count - 1 && j != b.count - 1) continue;  // both are read
      const Extent x = extent(a, i), y = extent(b, j);
      if (x.end <= y.begin || y.end <= x.begin) continue;
      if (a.data[i] != b.data[j] || a.item[i] != b.item[j] || !is_linear(a, i) || !is_linear(b, j))
        return false;
    }
  return true;
}

ptrdiff_t loops_item_bytes(const void* const* args, ptrdiff_t count) {
  std::set<const char*> known;
  ptrdiff_t bytes = 0;
  for (ptrdiff_t i = 0; i < count; ++i) {
    const auto& a = *static_cast<const ElementwiseArgs*>(args[i]);
    for (int k = 0; k < a.count; ++k)
      if (is_linear(a, k) && known.insert(a.data[k]).second) bytes += a.item[k];
  }
  return bytes;
}

void keep_in_caches(void* args) { static_cast<ElementwiseArgs*>(args)->streams = false; }

void set_stream_limit(double bytes) { g_stream_limit.store(bytes > 0 ? bytes : kStreamLimit); }

int item_size(DType dtype) {
  constexpr int kSizes[] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 4, 8};
  return kSizes[int(dtype)];
}

void elementwise(ElementwiseLoop loop, bool takes_scalars, const View* operands, int count,
                 const double* params, double cost) {
  const LoopNest nest = merge_axes(operands, count);
  ElementwiseArgs args;
  args.loop = loop;
  args.count = count;
  args.takes_scalars = takes_scalars;
  args.ndim = std::min(nest.ndim, kMaxDims);
  ptrdiff_t items = 1;
  for (int axis = 0; axis < args.ndim; ++axis) {
    args.shape[axis] = nest.shape[axis];
    items *= nest.shape[axis];
  }
  for (int k = 0; k < count; ++k) {
    const int item = item_size(operands[k].dtype);
    args.item[k] = uint8_t(item);
    args.data[k] = operands[k].data;
    for (int axis = 0; axis < args.ndim; ++axis)
      args.strides[k][axis] = nest.strides[k][axis] * item;
  }
  // An input in the same place brings the lines in anyway.
  args.streams =
      double(items) * bytes_of_result(args) >= g_stream_limit.load(std::memory_order_relaxed);
  for (int k = 0; k + 1 < count; ++k)
    args.streams = args.streams && operands[k].data != operands[count - 1].data;
  for (int i = 0; i < kMaxParams; ++i) args.params[i] = params ? params[i] : 0;
  ptrdiff_t grain =
      args.streams ? kStreamGrain
                   : std::max<ptrdiff_t>(256, ptrdiff_t(double(kGrainElements) / cost) / 16 * 16);
  RangeFn fn = elementwise_range;
  if (items > 0 && plan_blocks(args)) {
    fn = elementwise_blocks;
    grain = std::max<ptrdiff_t>(1, grain / (args.rows * args.columns));
    items = ceil_div(args.shape[0], args.columns) * ceil_div(args.shape[1], args.rows);
    for (int axis = 2; axis < args.ndim; ++axis) items *= args.shape[axis];
  }
  if (nest.ndim <= kMaxDims) return launch(fn, args, items, grain);

  // More axes than a launch holds: one launch for each position on the outer ones.
  ptrdiff_t index[kMaxArrayDims] = {};
  for (int i = 0; i < nest.ndim; ++i)
    if (nest.shape[i] == 0) return;
  for (;;) {
    launch(fn, args, items, grain);
    int axis = kMaxDims;
    for (; axis < nest.ndim; ++axis) {
      for (int k = 0; k < count; ++k) args.data[k] += nest.strides[k][axis] * args.item[k];
      if (++index[axis] < nest.shape[axis]) break;
      for (int k = 0; k < count; ++k)
        args.data[k] -= nest.shape[axis] * nest.strides[k][axis] * args.item[k];
      index[axis] = 0;
    }
    if (axis == nest.ndim) return;
  }
}

void copy(const View& x, const View& y) {
  const View operands[] = {x, y};
  elementwise(kCopyLoops[std::countr_zero(unsigned(item_size(x.dtype)))], false, operands, 2);
}

void cast(const View& x, const View& y) {
  const View operands[] = {x, y};
  elementwise(kernels().elementwise.cast[int(x.dtype)][float_index(y.dtype)], false, operands, 2);
}

}  // namespace pydl
