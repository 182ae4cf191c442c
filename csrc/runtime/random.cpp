#include "runtime/random.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "kernels/random.h"
#include "runtime/dispatch.h"
#include "runtime/elementwise.h"
#include "runtime/launch.h"
#include "runtime/memory.h"
#include "runtime/nn.h"

namespace pydl {
namespace {

constexpr ptrdiff_t kGrain = 8 * 1024 / kRandomWords;  // items worth a thread

ptrdiff_t items_of(ptrdiff_t size, int element_bytes) {
  const ptrdiff_t per_item = kRandomWords * 4 / element_bytes;
  return (size + per_item - 1) / per_item;
}

struct TicketArgs {
  uint64_t* state;
  uint64_t* ticket;

  void operands(auto f) const { f(state), f(ticket); }
};

void take_ticket(const void* args, ptrdiff_t, ptrdiff_t) {
  const auto& a = *static_cast<const TicketArgs*>(args);
  std::copy_n(a.state, kTicketWords, a.ticket);
  ++a.state[2];
}

template <class T>
double largest_below(double b) {
  return std::nextafter(T(b), -std::numeric_limits<T>::infinity());
}

struct ShuffleArgs {
  const uint64_t* bits;
  int64_t* order;
  ptrdiff_t n;

  void operands(auto f) const { f(bits), f(order); }
};

// Fisher and Yates, in Durstenfeld's form (1964); one item.
void shuffle(const void* args, ptrdiff_t, ptrdiff_t) {
  const auto& a = *static_cast<const ShuffleArgs*>(args);
  for (ptrdiff_t i = 0; i < a.n; ++i) a.order[i] = i;
  for (ptrdiff_t i = a.n - 1; i > 0; --i) {
    const auto j = uint64_t((unsigned __int128)(a.bits[i]) * uint64_t(i + 1) >> 64);
    std::swap(a.order[i], a.order[j]);
  }
}

}  // namespace

void next_ticket(uint64_t* state, uint64_t* ticket) {
  launch(take_ticket, TicketArgs{state, ticket}, 1, 1);
}

void random_fill(Distribution distribution, const uint64_t* ticket, double a, double b,
                 const View& out) {
  const RandomKernels& k = kernels().random;
  const RangeFn* fill = distribution == Distribution::kUniform  ? k.uniform
                        : distribution == Distribution::kNormal ? k.normal
                                                                : k.truncated_normal;
  double largest = b;
  if (distribution == Distribution::kUniform && a < b)
    largest = out.dtype == DType::kFloat32 ? largest_below<float>(b) : largest_below<double>(b);
  const RandomArgs args{ticket, out.data, out.size(), a, b, largest};
  launch(fill[float_index(out.dtype)], args, items_of(out.size(), item_size(out.dtype)), kGrain);
}

void random_bits(const uint64_t* ticket, const View& out) {
  const RandomKernels& k = kernels().random;
  const RandomArgs args{ticket, out.data, out.size(), 0, 0, 0};
  launch(out.dtype == DType::kUInt64 ? k.bits64 : k.bits32, args,
         items_of(out.size(), item_size(out.dtype)), kGrain);
}

void random_integers(const uint64_t* ticket, int64_t low, uint64_t span, const View& out) {
  const RandomKernels& k = kernels().random;
  const RandomIntegersArgs args{ticket, out.data, out.size(), low, span};
  launch(out.dtype == DType::kInt64 ? k.integers64 : k.integers32, args,
         items_of(out.size(), sizeof(int64_t)), kGrain);
}

void dropout(const uint64_t* ticket, const View& x, double rate, const View& y) {
  const DropoutArgs args{ticket, x.data, y.data, x.size(), rate};
  launch(kernels().random.dropout[float_index(x.dtype)], args, items_of(x.size(), sizeof(uint32_t)),
         kGrain);
}

void random_categorical(const uint64_t* ticket, const View& logits, const View& out) {
  const ptrdiff_t rows = logits.shape[0], classes = logits.shape[1], samples = out.shape[1];
  const Scratch<char> weights(logits.size() * item_size(logits.dtype));
  const Scratch<double> cumulated(logits.size());
  View probabilities = logits;
  probabilities.data = weights.get();
  softmax(logits, false, probabilities);
  const CategoricalArgs args{ticket,          weights.get(),
                             cumulated.get(), reinterpret_cast<int64_t*>(out.data),
                             classes,         samples};
  const ptrdiff_t work = std::max<ptrdiff_t>(1, classes + 32 * samples);  // per row
  launch(kernels().random.categorical[float_index(logits.dtype)], args, rows,
         std::max<ptrdiff_t>(1, 16 * 1024 / work));
}

void random_permutation(const uint64_t* ticket, const View& out) {
  const ptrdiff_t n = out.size();
  const Scratch<uint64_t> bits(n);
  View words;
  words.data = reinterpret_cast<char*>(bits.get());
  words.dtype = DType::kUInt64;
  words.ndim = 1;
  words.shape[0] = n;
  words.strides[0] = 1;
  random_bits(ticket, words);
  launch(shuffle, ShuffleArgs{bits.get(), reinterpret_cast<int64_t*>(out.data), n}, 1, 1);
}

}  // namespace pydl
