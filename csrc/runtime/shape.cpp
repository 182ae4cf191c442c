#include "runtime/shape.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

namespace pydl {

std::string shape_text(const ptrdiff_t* shape, int ndim) {
  std::string text = "(";
  for (int i = 0; i < ndim; ++i) {
    if (i) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + (ndim == 1 ? ",)" : ")");
}

void broadcast_shape(const char* who, const View* const* views, int count, View& out) {
  out.ndim = 0;
  for (int v = 0; v < count; ++v) out.ndim = std::max(out.ndim, views[v]->ndim);
  for (int axis = 1; axis <= out.ndim; ++axis) {  // counted from the right
    ptrdiff_t length = 1;
    for (int v = 0; v < count; ++v) {
      if (views[v]->ndim < axis) continue;
      const ptrdiff_t n = views[v]->shape[views[v]->ndim - axis];
      if (n == length || n == 1) continue;
      if (length != 1) {
        std::string text = std::string(who) + ": shapes ";
        for (int w = 0; w < count; ++w) {
          if (w) text += w + 1 < count ? ", " : " and ";
          text += shape_text(views[w]->shape, views[w]->ndim);
        }
        throw std::invalid_argument(text + " do not broadcast: axis -" + std::to_string(axis) +
                                    " is " + std::to_string(length) + " against " +
                                    std::to_string(n));
      }
      length = n;
    }
    out.shape[out.ndim - axis] = length;
  }
  set_c_strides(out);
}

void matmul_shape(const View& a, const View& b, View& out) {
  const ptrdiff_t m = a.shape[a.ndim - 2], k = a.shape[a.ndim - 1];
  const ptrdiff_t k_b = b.shape[b.ndim - 2], n = b.shape[b.ndim - 1];
  const auto both = [&] {
    return shape_text(a.shape, a.ndim) + " @ " + shape_text(b.shape, b.ndim);
  };
  if (k != k_b)
    throw std::invalid_argument("matmul: inner sizes differ, " + both() + ": " + std::to_string(k) +
                                " against " + std::to_string(k_b));
  View batch_a = a, batch_b = b;
  batch_a.ndim -= 2;
  batch_b.ndim -= 2;
  const View* batches[] = {&batch_a, &batch_b};
  try {
    broadcast_shape("matmul", batches, 2, out);
  } catch (const std::invalid_argument&) {
    throw std::invalid_argument("matmul: leading axes do not broadcast, " + both());
  }
  out.shape[out.ndim++] = m;
  out.shape[out.ndim++] = n;
  set_c_strides(out);
}

View broadcast_to(const View& v, const ptrdiff_t* shape, int ndim) {
  View out;
  out.data = v.data;
  out.dtype = v.dtype;
  out.ndim = ndim;
  const int added = ndim - v.ndim;
  for (int i = 0; i < ndim; ++i) {
    out.shape[i] = shape[i];
    out.strides[i] = i < added || v.shape[i - added] == 1 ? 0 : v.strides[i - added];
  }
  return out;
}

LoopNest merge_axes(const View* operands, int count) {
  const View& out = operands[count - 1];
  int order[kMaxArrayDims];  // axes by stride, an insertion sort
  int n = 0;
  for (int i = out.ndim - 1; i >= 0; --i) {
    if (out.shape[i] == 1) continue;
    int at = n++;
    for (; at > 0 && std::abs(out.strides[order[at - 1]]) > std::abs(out.strides[i]); --at)
      order[at] = order[at - 1];
    order[at] = i;
  }

  LoopNest nest;
  for (int i = 0; i < n; ++i) {
    const int axis = order[i];
    bool merges = nest.ndim > 0;
    for (int k = 0; merges && k < count; ++k) {
      const int last = nest.ndim - 1;
      merges = operands[k].strides[axis] == nest.strides[k][last] * nest.shape[last];
    }
    if (merges) {
      nest.shape[nest.ndim - 1] *= out.shape[axis];
      continue;
    }
    nest.shape[nest.ndim] = out.shape[axis];
    for (int k = 0; k < count; ++k) nest.strides[k][nest.ndim] = operands[k].strides[axis];
    ++nest.ndim;
  }
  if (nest.ndim == 0) {  // one element
    nest.ndim = 1;
    nest.shape[0] = 1;
    for (int k = 0; k < count; ++k) nest.strides[k][0] = 1;
  }
  return nest;
}

void set_c_strides(View& v) {
  ptrdiff_t stride = 1;
  for (int i = v.ndim - 1; i >= 0; --i) {
    v.strides[i] = stride;
    stride *= v.shape[i];
  }
}

bool is_c_contiguous(const View& v) {
  ptrdiff_t stride = 1;
  for (int i = v.ndim - 1; i >= 0; --i) {
    if (v.shape[i] != 1 && v.strides[i] != stride) return v.size() == 0;
    stride *= v.shape[i];
  }
  return true;
}

}  // namespace pydl
