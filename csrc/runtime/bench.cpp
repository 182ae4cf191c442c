#include "runtime/bench.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

#include "runtime/dispatch.h"
#include "runtime/memory.h"
#include "runtime/parallel.h"

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace pydl {
namespace {

constexpr double kSampleSeconds = 200e-6;  // far above the clock's resolution and a wake-up

double now() {
  using Clock = std::chrono::steady_clock;
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

// The highest rate at which repeated calls of `pass` do their `work`, sampled over `seconds`.
template <class Pass>
double best_rate(double work, double seconds, Pass pass) {
  const double end = now() + seconds;
  double best = 0;
  for (ptrdiff_t calls = 1;;) {
    const double start = now();
    for (ptrdiff_t i = 0; i < calls; ++i) pass();
    const double stop = now();
    if (stop - start < kSampleSeconds) {
      calls *= 2;
      continue;
    }
    best = std::max(best, work * double(calls) / (stop - start));
    if (stop >= end) return best;
  }
}

struct CopyArgs {
  char* to;
  const char* from;
  ptrdiff_t bytes;   // in all
  ptrdiff_t shares;  // equal parts, multiples of 64 bytes but for the last; item: one of them
};

struct Range {
  ptrdiff_t begin, end;
};

Range share_of(const CopyArgs& a, ptrdiff_t i) {
  const ptrdiff_t size = (a.bytes / a.shares + 63) / 64 * 64;
  return {std::min(a.bytes, i * size), std::min(a.bytes, (i + 1) * size)};
}

void copy_share(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const CopyArgs*>(args);
  for (ptrdiff_t i = begin; i < end; ++i) {
    const Range r = share_of(a, i);
    std::memcpy(a.to + r.begin, a.from + r.begin, size_t(r.end - r.begin));
  }
}

constexpr ptrdiff_t kPrefetch = 64;  // 16-byte words ahead of a load

// Stores that bypass the caches save reading the lines that they fill: the limit out of cache.
void stream_share(const void* args, ptrdiff_t begin, ptrdiff_t end) {
#if defined(__x86_64__)
  const auto& a = *static_cast<const CopyArgs*>(args);
  for (ptrdiff_t i = begin; i < end; ++i) {
    const Range r = share_of(a, i);
    ptrdiff_t at = r.begin;
    for (; at + 64 <= r.end; at += 64) {
      const auto* from = reinterpret_cast<const __m128i*>(a.from + at);
      auto* to = reinterpret_cast<__m128i*>(a.to + at);
      __builtin_prefetch(from + kPrefetch);
      const __m128i v0 = _mm_load_si128(from), v1 = _mm_load_si128(from + 1);
      const __m128i v2 = _mm_load_si128(from + 2), v3 = _mm_load_si128(from + 3);
      _mm_stream_si128(to, v0);
      _mm_stream_si128(to + 1, v1);
      _mm_stream_si128(to + 2, v2);
      _mm_stream_si128(to + 3, v3);
    }
    std::memcpy(a.to + at, a.from + at, size_t(r.end - at));
  }
  _mm_sfence();
#else
  copy_share(args, begin, end);
#endif
}

// xor of all words, of four stretches side by side: one stream of misses leaves half of the
// bandwidth of L3 unused. Eight chains, so that loads and not the chain set the pace.
void read_share(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  typedef uint64_t Words __attribute__((vector_size(16)));
  constexpr int kStreams = 4;
  const auto& a = *static_cast<const CopyArgs*>(args);
  Words sum[2 * kStreams] = {};
  for (ptrdiff_t i = begin; i < end; ++i) {
    const Range r = share_of(a, i);
    const ptrdiff_t stretch = (r.end - r.begin) / (64 * kStreams) * 64;
    for (ptrdiff_t at = 0; at < stretch; at += 32)
      for (int k = 0; k < kStreams; ++k) {
        const auto* from = reinterpret_cast<const Words*>(a.from + r.begin + k * stretch + at);
        sum[2 * k] ^= from[0];
        sum[2 * k + 1] ^= from[1];
      }
  }
  Words total{};
  for (const Words& s : sum) total ^= s;
  __asm__ volatile("" : : "m"(total));  // counts as a use
}

void require(bool valid, const char* who) {
  if (!valid) throw std::invalid_argument(std::string(who) + ": bytes must be at least 4096");
}

// The better of one thread and all of them: the limit at sizes that are not worth a wake-up.
double best_of_threads(RangeFn fn, CopyArgs args, double work, double seconds) {
  const ptrdiff_t threads = num_threads();
  const double part = threads > 1 ? seconds / 2 : seconds;
  args.shares = 1;
  double best = best_rate(work, part, [&] { parallel_for(1, 1, fn, &args); });
  args.shares = threads;
  if (threads > 1)
    best = std::max(best, best_rate(work, part, [&] { parallel_for(threads, 1, fn, &args); }));
  return best;
}

}  // namespace

double fma_peak(double seconds) {
  const KernelTable& k = kernels();
  constexpr ptrdiff_t kIterations = 20000;  // some tens of microseconds
  double sink = 0;
  return best_rate(k.fma_peak_flops * kIterations, seconds,
                   [&] { k.fma_peak(kIterations, &sink); });
}

double copy_bandwidth(ptrdiff_t bytes, double seconds) {
  require(bytes >= 4096, "copy_bandwidth");
  Scratch<char> from(bytes), to(bytes);
  std::memset(from.get(), 1, size_t(bytes));
  std::memset(to.get(), 1, size_t(bytes));
  const CopyArgs args{to.get(), from.get(), bytes, 1};
  return std::max(best_of_threads(copy_share, args, 2.0 * double(bytes), seconds / 2),
                  best_of_threads(stream_share, args, 2.0 * double(bytes), seconds / 2));
}

double read_bandwidth(ptrdiff_t bytes, double seconds) {
  require(bytes >= 4096, "read_bandwidth");
  Scratch<char> from(bytes);
  std::memset(from.get(), 1, size_t(bytes));
  return best_of_threads(read_share, {nullptr, from.get(), bytes, 1}, double(bytes), seconds);
}

}  // namespace pydl
