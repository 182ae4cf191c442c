#include "runtime/reduce.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "runtime/dispatch.h"
#include "runtime/elementwise.h"
#include "runtime/launch.h"
#include "runtime/memory.h"
#include "runtime/shape.h"

namespace pydl {
namespace {

constexpr ptrdiff_t kFewItems = 16;         // too few to share out evenly: parts become the items
constexpr ptrdiff_t kMostChunks = 64;       // of a launch: long ones read memory in long runs
constexpr ptrdiff_t kNarrowestBytes = 256;  // of a strip of columns
constexpr ptrdiff_t kNarrowColumns = 16;    // shorter axes are not worth keeping innermost

// Items of `work` elements each that make up `elements`.
ptrdiff_t grain_of(ptrdiff_t elements, ptrdiff_t work) {
  return std::max<ptrdiff_t>(1, elements / std::max<ptrdiff_t>(work, 1));
}

struct Axis {
  ptrdiff_t size, stride, out_stride;
};

// Axes of one kind, the outermost first.
struct Axes {
  int count = 0;
  Axis at[kMaxArrayDims];

  void push(Axis axis) { at[count++] = axis; }
  const Axis& back() const { return at[count - 1]; }
  ptrdiff_t size() const {
    ptrdiff_t n = 1;
    for (int i = 0; i < count; ++i) n *= at[i].size;
    return n;
  }
  void sort_by_stride() {
    std::stable_sort(at, at + count, [](const Axis& a, const Axis& b) {
      return std::abs(a.stride) > std::abs(b.stride);
    });
  }
  // Joins neighbours that are walked evenly, here and in the output.
  void merge() {
    int n = 0;
    for (int i = 0; i < count; ++i) {
      const Axis a = at[i];
      if (n > 0 && at[n - 1].stride == a.stride * a.size &&
          at[n - 1].out_stride == a.out_stride * a.size)
        at[n - 1] = {at[n - 1].size * a.size, a.stride, a.out_stride};
      else
        at[n++] = a;
    }
    count = n;
  }
};

bool is_reduced(uint32_t axes, int i) { return axes >> i & 1; }

// x without its axes of length 1, as kept and reduced axes in the order of memory; `ordered` leaves
// the reduced ones in C order.
struct Problem {
  const char* data;
  Axes kept, reduced;

  Problem(const View& x, uint32_t axes, bool ordered) : data(x.data) {
    ptrdiff_t out_stride = 1;
    for (int i = 0; i < x.ndim; ++i)
      if (!is_reduced(axes, i)) out_stride *= x.shape[i];
    for (int i = 0; i < x.ndim; ++i) {
      if (x.shape[i] == 1) continue;
      if (!is_reduced(axes, i)) {
        out_stride /= x.shape[i];
        kept.push({x.shape[i], x.strides[i], out_stride});
      } else if (x.strides[i] < 0 && !ordered) {  // the same elements, walked upwards
        data += (x.shape[i] - 1) * x.strides[i] * item_size(x.dtype);
        reduced.push({x.shape[i], -x.strides[i], 0});
      } else {
        reduced.push({x.shape[i], x.strides[i], 0});
      }
    }
    kept.sort_by_stride();
    kept.merge();
    if (!ordered) reduced.sort_by_stride();
    reduced.merge();
    if (reduced.count == 0) reduced.push({1, 1, 0});
  }

  // `outputs` reductions of nothing.
  explicit Problem(ptrdiff_t outputs) : data(nullptr) {
    kept.push({outputs, 0, 1});
    reduced.push({0, 1, 0});
  }

  bool is_rows() const {
    return reduced.count == 1 && reduced.back().stride == 1 && kept.count <= kMaxDims;
  }
  bool is_columns() const {
    return reduced.count == 1 && kept.count > 0 && kept.back().stride == 1 &&
           kept.count <= kMaxDims + 1;
  }
};

// x's shape with the strides of a contiguous copy that is rows, or columns where the innermost axis
// of x in memory is a long kept one.
View packed_layout(const View& x, uint32_t axes) {
  int inner = -1;
  for (int i = 0; i < x.ndim; ++i)
    if (x.shape[i] > 1 && x.strides[i] != 0 &&
        (inner < 0 || std::abs(x.strides[i]) < std::abs(x.strides[inner])))
      inner = i;
  if (inner >= 0 && (is_reduced(axes, inner) || x.shape[inner] < kNarrowColumns)) inner = -1;

  View packed = x;
  ptrdiff_t stride = 1;
  const auto place = [&](int i) {
    packed.strides[i] = stride;
    stride *= x.shape[i];
  };
  if (inner >= 0) place(inner);
  for (bool reduced : {true, false})
    for (int i = x.ndim - 1; i >= 0; --i)
      if (i != inner && is_reduced(axes, i) == reduced) place(i);
  return packed;
}

template <class Args>
void set_outer(Args& args, const Axes& axes, int count) {
  args.outer_ndim = count;
  for (int i = 0; i < count; ++i) {
    args.outer_shape[i] = axes.at[i].size;
    args.outer_stride[i] = axes.at[i].stride;
    args.outer_out_stride[i] = axes.at[i].out_stride;
  }
}

// Elements from an aligned address to x, if they are as many for every row; else 0.
ptrdiff_t lanes_before(const ReduceArgs& args, ptrdiff_t item, ptrdiff_t vector_bytes) {
  ptrdiff_t strides = args.stride;
  for (int i = 0; i < args.outer_ndim; ++i) strides |= args.outer_stride[i];
  if (strides * item % vector_bytes != 0) return 0;
  return ptrdiff_t(reinterpret_cast<uintptr_t>(args.x) % size_t(vector_bytes)) / item;
}

void run(const ReduceEntry& op, DType dtype, const Problem& problem, void* out,
         const double* params) {
  const ReduceLoops& loops = op.loops[float_index(dtype)];
  const ptrdiff_t item = item_size(dtype);
  ReduceArgs args{};
  args.x = problem.data;
  args.out = out;
  args.n = problem.reduced.back().size;
  args.stride = problem.reduced.back().stride;
  for (int i = 0; params && i < kMaxParams; ++i) args.params[i] = params[i];

  // rows: an item is a row, a part a chunk of it; columns: a block of a strip
  const bool rows = problem.is_rows() && !(args.n == 1 && problem.is_columns());
  args.columns = rows ? 1 : problem.kept.back().size;
  args.column_out_stride = rows ? 1 : problem.kept.back().out_stride;
  set_outer(args, problem.kept, problem.kept.count - !rows);
  const ptrdiff_t part = rows ? kChunkElements : kBlockRows;
  args.parts = std::max<ptrdiff_t>(1, ceil_div(args.n, part));
  const ptrdiff_t outer = problem.kept.size() / args.columns;
  const ptrdiff_t grain =
      std::max(op.info.grain, problem.kept.size() * args.n / kMostChunks);  // elements
  if (rows && (outer >= kFewItems || args.n <= 2 * op.info.grain || args.parts == 1))
    return launch(loops.rows, args, outer, grain_of(grain, args.n));

  args.strip = kStripBytes / item;
  while (args.strip > kNarrowestBytes / item &&
         outer * args.parts * ceil_div(args.columns, args.strip) < kFewItems)
    args.strip /= 2;
  if (std::min(args.strip, args.columns) * item >= kAlignedBytes)
    args.before = lanes_before(args, item, kernels().vector_bytes);
  const ptrdiff_t items = outer * args.parts * ceil_div(args.columns, args.strip);
  const ptrdiff_t work = std::min(args.n, part) * std::min(args.columns, args.strip);
  if (args.parts == 1 && op.shift < 0)
    return launch(loops.blocks, args, items, grain_of(grain, work));

  Scratch<char> shift(op.shift >= 0 ? problem.kept.size() * item : 0);
  if (op.shift >= 0) {
    run(kernels().reduce.entries[op.shift], dtype, problem, shift.get(), nullptr);
    args.shift = shift.get();
  }
  const ptrdiff_t lanes = rows ? 1 : kernels().vector_bytes / item;
  const ptrdiff_t joins = outer * ceil_div(args.before + args.columns, lanes);
  Scratch<char> slots(args.parts > 1 ? joins * args.parts * loops.slot_bytes : 0);
  args.slots = slots.get();
  launch(rows ? loops.chunks : loops.blocks, args, items, grain_of(grain, work));
  if (args.parts > 1) launch(loops.join, args, joins, grain_of(op.info.grain, args.parts * lanes));
}

}  // namespace

void reduce(const ReduceEntry& op, const View& x, uint32_t axes, const View& out,
            const double* params) {
  const ptrdiff_t outputs = out.size();
  if (outputs == 0) return;
  if (x.size() == 0) {
    if (!op.info.has_identity)
      throw std::invalid_argument(std::string(op.info.name) +
                                  ": nothing to reduce over in an array of shape " +
                                  shape_text(x.shape, x.ndim) + "; it has no identity");
    return run(op, x.dtype, Problem(outputs), out.data, params);
  }
  const Problem problem(x, axes, op.info.to_index);
  if (problem.is_rows() || problem.is_columns()) return run(op, x.dtype, problem, out.data, params);

  View packed = packed_layout(x, axes);
  Scratch<char> memory(x.size() * item_size(x.dtype));
  packed.data = memory.get();
  copy(x, packed);
  run(op, x.dtype, Problem(packed, axes, op.info.to_index), out.data, params);
}

const ReduceEntry& find_reduction(std::string_view name) {
  const ReduceKernels& table = kernels().reduce;
  for (int i = 0; i < table.count; ++i)
    if (name == table.entries[i].info.name) return table.entries[i];
  throw std::invalid_argument("no reduction is called '" + std::string(name) + "'");
}

void cumulative_sum(const View& x, int axis, const View& out) {
  if (out.size() == 0) return;
  Axes lines;
  for (int i = 0; i < x.ndim; ++i)
    if (i != axis && x.shape[i] != 1) lines.push({x.shape[i], x.strides[i], out.strides[i]});
  lines.sort_by_stride();
  lines.merge();
  const bool columns = lines.count > 0 && lines.back().stride == 1 && lines.back().out_stride == 1;
  if (lines.count - columns > kMaxDims) {
    View packed = x;
    set_c_strides(packed);
    Scratch<char> memory(x.size() * item_size(x.dtype));
    packed.data = memory.get();
    copy(x, packed);
    return cumulative_sum(packed, axis, out);
  }

  CumulativeSumArgs args{};
  args.x = x.data;
  args.out = out.data;
  args.n = x.shape[axis];
  args.stride = x.strides[axis];
  args.out_stride = out.strides[axis];
  args.columns = columns ? lines.back().size : 1;
  set_outer(args, lines, lines.count - columns);
  const ptrdiff_t strip = kCumulativeStripBytes / item_size(x.dtype);
  launch(kernels().reduce.cumulative_sum[float_index(x.dtype)], args,
         lines.size() / args.columns * ceil_div(args.columns, strip),
         grain_of(32 * 1024, args.n * std::min(args.columns, strip)));
}

}  // namespace pydl
