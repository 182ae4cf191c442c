#include "kernels/zero_skip.h"

#include "simd/vec.h"

namespace pydl::PYDL_ISA {
namespace {

struct Strip {
  ptrdiff_t row, height;
};

inline Strip strip_of(const ZeroSkipArgs& g, ptrdiff_t s) {
  const ptrdiff_t row = g.m * s / g.strips;
  return {row, g.m * (s + 1) / g.strips - row};
}

// The bits of a number: 0 for +0 alone. -0 is not left out.
inline uint32_t word_at(const float* a) { return __builtin_bit_cast(uint32_t, *a); }
inline uint64_t word_at(const double* a) { return __builtin_bit_cast(uint64_t, *a); }
template <class T>
using Word = decltype(word_at(static_cast<const T*>(nullptr)));

// any[p] tells whether step p has bits: of rows that are contiguous along k,
template <class T>
void find_in_rows(const T* a, ptrdiff_t a_row, ptrdiff_t height, ptrdiff_t k, Word<T>* any) {
  const T* row[kSkipHeight];
  for (ptrdiff_t r = 0; r < kSkipHeight; ++r) row[r] = a + min(r, height - 1) * a_row;
  for (ptrdiff_t p = 0; p < k; ++p)
    any[p] = word_at(row[0] + p) | word_at(row[1] + p) | word_at(row[2] + p) | word_at(row[3] + p) |
             word_at(row[4] + p) | word_at(row[5] + p);
}

// and along m.
template <class T>
inline void find_in_columns(const T* a, ptrdiff_t a_col, ptrdiff_t height, ptrdiff_t k,
                            Word<T>* any) {
  for (ptrdiff_t p = 0; p < k; ++p, a += a_col) {
    any[p] = 0;
    for (ptrdiff_t r = 0; r < height; ++r) any[p] |= word_at(a + r);
  }
}

template <class T>
void steps(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& g = *static_cast<const ZeroSkipArgs*>(args);
  Word<T> any[kGemmSegment];
  for (ptrdiff_t s = begin; s < end; ++s) {
    const auto [row, height] = strip_of(g, s);
    const T* a = static_cast<const T*>(g.a) + row * g.a_row;
    if (g.a_col == 1)
      find_in_rows(a, g.a_row, height, g.k, any);
    else if (height == kSkipHeight)
      find_in_columns(a, g.a_col, kSkipHeight, g.k, any);
    else
      find_in_columns(a, g.a_col, height, g.k, any);
    ptrdiff_t *a_step = g.a_steps + s * g.k, *b_step = g.b_steps + s * g.k, count = 0;
    for (ptrdiff_t p = 0; p < g.k; ++p) {
      a_step[count] = p * g.a_col;
      b_step[count] = p * g.b_row;
      count += any[p] != 0;
    }
    g.counts[s] = count;
  }
}

template <class T>
void product(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& g = *static_cast<const ZeroSkipArgs*>(args);
  for (ptrdiff_t item = begin; item < end; ++item) {
    const ptrdiff_t s = item % g.strips, first = item / g.strips * g.block;
    const ptrdiff_t stop = min<ptrdiff_t>(g.n, first + g.block);
    const auto [row, height] = strip_of(g, s);
    T* c = static_cast<T*>(g.c) + row * g.c_row;
    for (ptrdiff_t j = first; j < stop; j += g.panel) {
      GemmPanel panel{};
      panel.m = height, panel.cols = min<ptrdiff_t>(g.panel, stop - j);
      panel.k = 1, panel.taps = g.counts[s];
      panel.offsets = g.a_steps + s * g.k, panel.b_offsets = g.b_steps + s * g.k;
      panel.a = static_cast<const T*>(g.a) + row * g.a_row;
      panel.a_row = g.a_row;
      panel.b = static_cast<const T*>(g.b) + j;
      panel.c = c + j, panel.c_row = g.c_row;
      if (g.bias) panel.bias = static_cast<const T*>(g.bias) + j;
      g.multiply(panel);
    }
    for (ptrdiff_t r = 0; g.activation && r < height; ++r) {
      char* const y = reinterpret_cast<char*>(c + r * g.c_row + first);
      char* const p[] = {y, y};
      g.activation(stop - first, p, 0, g.params);
    }
  }
}

}  // namespace

extern constinit const ZeroSkipKernels zero_skip_kernels = {
    .steps = {steps<float>, steps<double>},
    .product = {product<float>, product<double>},
};

}  // namespace pydl::PYDL_ISA
