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

// Bits of numbers: all 0 for +0 alone. -0 is not left out.
template <class Word>
inline Word word_at(const void* at) {
  Word word;
  __builtin_memcpy(&word, at, sizeof(Word));
  return word;
}

// The steps p < k, in order, where any of `height` elements a[r * a_row + p] has bits; their
// number.
template <class T>
ptrdiff_t steps_along_k(const T* a, ptrdiff_t a_row, ptrdiff_t height, ptrdiff_t k, int32_t* to) {
  using Word = Element<Bits<Vec<T>>>;
  Word any[kGemmSegment];
  const T* row[kSkipHeight];
  for (ptrdiff_t r = 0; r < kSkipHeight; ++r) row[r] = a + min(r, height - 1) * a_row;
  for (ptrdiff_t p = 0; p < k; ++p)
    any[p] = word_at<Word>(row[0] + p) | word_at<Word>(row[1] + p) | word_at<Word>(row[2] + p) |
             word_at<Word>(row[3] + p) | word_at<Word>(row[4] + p) | word_at<Word>(row[5] + p);
  ptrdiff_t count = 0;
  for (ptrdiff_t p = 0; p < k; ++p) {
    to[count] = int32_t(p);
    count += any[p] != 0;
  }
  return count;
}

// The same of elements a[r + p * a_col], in words of 8 bytes, of which the last may overlap.
template <class T, class Word = uint64_t>
ptrdiff_t steps_along_m(const T* a, ptrdiff_t a_col, ptrdiff_t height, ptrdiff_t k, int32_t* to) {
  constexpr ptrdiff_t each = sizeof(Word) / sizeof(T), words = kSkipHeight / each;
  if constexpr (each > 1)
    if (height < each) return steps_along_m<T, uint32_t>(a, a_col, height, k, to);
  ptrdiff_t at[words], count = 0;
  for (ptrdiff_t w = 0; w < words; ++w) at[w] = min(w * each, height - each);
  for (ptrdiff_t p = 0; p < k; ++p, a += a_col) {
    Word any = 0;
#pragma GCC unroll 6
    for (ptrdiff_t w = 0; w < words; ++w) any |= word_at<Word>(a + at[w]);
    to[count] = int32_t(p);
    count += any != 0;
  }
  return count;
}

template <class T>
void steps(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& g = *static_cast<const ZeroSkipArgs*>(args);
  for (ptrdiff_t s = begin; s < end; ++s) {
    const auto [row, height] = strip_of(g, s);
    const T* a = static_cast<const T*>(g.a) + row * g.a_row;
    int32_t* to = g.steps + s * g.k;
    g.counts[s] = int32_t(g.a_col == 1 ? steps_along_k(a, g.a_row, height, g.k, to)
                                       : steps_along_m(a, g.a_col, height, g.k, to));
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
      panel.k = g.counts[s], panel.taps = 1;
      panel.steps = g.steps + s * g.k;
      panel.a = static_cast<const T*>(g.a) + row * g.a_row;
      panel.a_row = g.a_row, panel.a_col = g.a_col;
      panel.b = static_cast<const T*>(g.b) + j, panel.b_row = g.b_row;
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
