#include "runtime/parallel.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <new>
#include <string>
#include <system_error>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#include <sys/syscall.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace pydl {
namespace {

std::atomic<bool> g_flush{true};
std::atomic<int> g_threads{0};  // 0: not asked for yet

// Round to nearest, all exceptions masked; flush-to-zero and denormals-are-zero as configured.
class FloatMode {
 public:
#if defined(__x86_64__)
  FloatMode() : saved_(_mm_getcsr()) {
    const unsigned wanted = g_flush.load(std::memory_order_relaxed) ? 0x9fc0u : 0x1f80u;
    if ((saved_ & 0xffc0u) != wanted) _mm_setcsr(wanted), changed_ = true;
  }
  ~FloatMode() {
    if (changed_) _mm_setcsr(saved_);
  }

 private:
  unsigned saved_;
  bool changed_ = false;
#elif defined(__aarch64__)
  FloatMode() {
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved_));
    const uint64_t wanted = g_flush.load(std::memory_order_relaxed) ? uint64_t(1) << 24 : 0;
    __asm__ volatile("msr fpcr, %0" : : "r"(wanted));
  }
  ~FloatMode() { __asm__ volatile("msr fpcr, %0" : : "r"(saved_)); }

 private:
  uint64_t saved_;
#endif
};

inline void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

using Clock = std::chrono::steady_clock;

// How long a worker spins for the next launch before it sleeps. Kernels of one step follow each
// other within microseconds; a longer spin would take the core from others (docs/design.md).
constexpr auto kSpin = std::chrono::microseconds(50);

// Lets Linux 6.12 and later cut the time of this thread in slices of 100 us rather than of some
// milliseconds. Where others want the cores too, it is due at once when it is woken and runs while
// its caller does, not after it; its share of the time stays the same.
void ask_for_short_slices() {
#if defined(__linux__) && defined(SYS_sched_setattr)
  struct {  // sched_attr of the kernel, its first version
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
  } attributes{};
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return;
  if (attributes.policy != SCHED_OTHER) return;
  attributes.runtime = 100'000;  // ns
  syscall(SYS_sched_setattr, 0, &attributes, 0);
#endif
}

// Threads that claim the chunks of one launch at a time.
//
// The chunks are cut into one share for each thread of the team, neighbours together, so that the
// same thread meets the same part of an array in one launch after the other and finds it in its own
// caches. Who is done with its share goes on with those of the others.
//
// A share holds (launch number, chunks left), and a claim is a compare-and-swap on it. A share with
// an earlier number is one that nobody has touched in this launch, which cannot end before all its
// chunks are done: a claim that succeeds has read the launch that it belongs to, and a thread that
// comes late finds a later number, or nothing left. The caller claims too and waits only for chunks
// that somebody is working on, never for a worker that has not started.
class Pool {
 public:
  // False where another launch is under way: the caller then works alone.
  bool run(ptrdiff_t items, ptrdiff_t grain, ptrdiff_t chunks, RangeFn fn, const void* args,
           int team) {
    if (!busy_.try_lock()) return false;
    std::lock_guard<std::mutex> hold(busy_, std::adopt_lock);
    grow(team - 1);
    const uint64_t number = (ticket_.load(std::memory_order_relaxed) >> kCountBits) + 1;
    items_.store(items, std::memory_order_relaxed);
    grain_.store(grain, std::memory_order_relaxed);
    chunks_.store(chunks, std::memory_order_relaxed);
    fn_.store(fn, std::memory_order_relaxed);
    args_.store(args, std::memory_order_relaxed);
    done_.store(0, std::memory_order_relaxed);
    ticket_.store(number << kCountBits | uint64_t(team), std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) > 0) {
      signal_.fetch_add(1, std::memory_order_release);
      signal_.notify_all();
    }
    work(number, team, 0);
    wait_until_done(uint32_t(chunks));
    return true;
  }

  static constexpr int kMostThreads = 1024;
  static constexpr ptrdiff_t kMostChunks = 0xffff;  // of a launch

 private:
  static constexpr int kCountBits = 16;  // of chunks left, or of a team; above them the number

  struct alignas(64) Share {
    std::atomic<uint64_t> left{0};
  };

  // Claims and runs chunks of this launch until none is left, those of share `own` first.
  void work(uint64_t number, int team, int own) {
    uint32_t mine = 0;
    for (int turn = 0; turn < team; ++turn) {
      const int share = (own + turn) % team;
      std::atomic<uint64_t>& left = shares_[share].left;
      for (uint64_t seen = left.load(std::memory_order_acquire);;) {
        const uint64_t at = seen >> kCountBits;
        const ptrdiff_t chunks = chunks_.load(std::memory_order_relaxed);
        const ptrdiff_t end = chunks * (share + 1) / team, all = end - chunks * share / team;
        const ptrdiff_t n = at == number ? ptrdiff_t(seen & kMostChunks) : at < number ? all : 0;
        if (n == 0) break;
        const uint64_t next = number << kCountBits | uint64_t(n - 1);
        if (!left.compare_exchange_weak(seen, next, std::memory_order_acq_rel)) continue;
        const ptrdiff_t grain = grain_.load(std::memory_order_relaxed), begin = (end - n) * grain;
        fn_.load(std::memory_order_relaxed)(
            args_.load(std::memory_order_relaxed), begin,
            std::min(items_.load(std::memory_order_relaxed), begin + grain));
        ++mine;
        seen = left.load(std::memory_order_acquire);
      }
    }
    if (mine == 0) return;
    const uint32_t done = done_.fetch_add(mine, std::memory_order_seq_cst) + mine;
    if (waited_for_.load(std::memory_order_seq_cst) == done) done_.notify_one();
  }

  // Spins, then yields, as a worker may need this very core. Where that took long, others want the
  // cores as well: a yield costs the rest of a time slice, but who sleeps is woken before them.
  void wait_until_done(uint32_t chunks) {
    uint32_t done;
    for (int turn = 0; (done = done_.load(std::memory_order_acquire)) != chunks; ++turn) {
      pause();
      if (turn < kPatience) continue;
      if (crowded_ > 0) {
        waited_for_.store(chunks, std::memory_order_seq_cst);
        while ((done = done_.load(std::memory_order_seq_cst)) != chunks)
          done_.wait(done, std::memory_order_acquire);
        waited_for_.store(0, std::memory_order_relaxed);
        --crowded_;
        return;
      }
      const auto start = Clock::now();
      std::this_thread::yield();
      if (Clock::now() - start > kSlice) crowded_ = kCrowdedLaunches;
    }
  }

  void grow(int wanted) {
    for (; workers_ < wanted; ++workers_) {
      try {
        std::thread([this, id = workers_] { serve(id); }).detach();
      } catch (const std::system_error&) {
        return;  // no more threads to be had: fewer do the work
      }
    }
  }

  void serve(int id) {
    ask_for_short_slices();
    uint64_t last = 0;  // no launch: the one that made this worker may be open already
    for (;;) {
      last = wait_for_launch(last);
      const int team = int(last & kMostChunks);
      if (id + 1 < team) {
        FloatMode mode;
        work(last >> kCountBits, team, id + 1);
      }
    }
  }

  // The ticket of a launch that is not `last`.
  uint64_t wait_for_launch(uint64_t last) {
    const auto start = Clock::now();
    for (int turn = 1;; ++turn) {
      if (const uint64_t now = ticket_.load(std::memory_order_acquire); now != last) return now;
      pause();
      if (turn % 64 == 0 && Clock::now() - start > kSpin) break;
    }
    for (;;) {
      const uint32_t signal = signal_.load(std::memory_order_acquire);
      sleepers_.fetch_add(1, std::memory_order_seq_cst);
      const uint64_t now = ticket_.load(std::memory_order_seq_cst);
      if (now == last) signal_.wait(signal, std::memory_order_acquire);
      sleepers_.fetch_sub(1, std::memory_order_relaxed);
      if (const uint64_t later = ticket_.load(std::memory_order_acquire); later != last)
        return later;
    }
  }

  static constexpr int kPatience = 2048;  // turns of some 40 ns
  static constexpr auto kSlice = std::chrono::microseconds(200);
  static constexpr int kCrowdedLaunches = 1000;

  std::mutex busy_;
  int workers_ = 0, crowded_ = 0;  // launches that are to sleep while they wait
  // The launch under way. A thread that comes late may read another's, and then claims nothing.
  std::atomic<ptrdiff_t> items_{0}, grain_{0}, chunks_{0};
  std::atomic<RangeFn> fn_{nullptr};
  std::atomic<const void*> args_{nullptr};
  alignas(64) std::atomic<uint64_t> ticket_{0};  // launch number, threads of its team
  alignas(64) std::atomic<uint32_t> done_{0};    // chunks
  std::atomic<uint32_t> waited_for_{0};          // by a caller that sleeps
  alignas(64) std::atomic<uint32_t> signal_{0};
  std::atomic<int> sleepers_{0};
  Share shares_[kMostThreads];
};

// Never destroyed: workers may still wait on it while the process ends. Made anew in a forked
// child, whose workers did not come along.
Pool* g_pool = nullptr;
std::once_flag g_pool_once;

Pool& pool() {
  std::call_once(g_pool_once, [] {
    g_pool = new Pool;
    pthread_atfork(nullptr, nullptr, [] { g_pool = new Pool; });
  });
  return *g_pool;
}

// CPUs granted by a control group (v2, then v1), or 0 where there is no limit.
double quota_cpus() {
  double quota = 0, period = 0;
  if (std::ifstream v2("/sys/fs/cgroup/cpu.max"); v2) {
    std::string first;
    if (v2 >> first >> period && first != "max" && period > 0)
      return std::atof(first.c_str()) / period;
    return 0;
  }
  std::ifstream q("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), p("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  return q >> quota && p >> period && quota > 0 && period > 0 ? quota / period : 0;
}

}  // namespace

int default_num_threads() {
  long n = sysconf(_SC_NPROCESSORS_ONLN);
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) n = CPU_COUNT(&set);
#endif
  if (const double quota = quota_cpus(); quota > 0) n = std::min(n, long(std::ceil(quota)));
  if (const char* text = std::getenv("OMP_NUM_THREADS")) {
    const long asked = std::strtol(text, nullptr, 10);
    if (asked >= 1) n = std::min(n, asked);
  }
  return int(std::max(1L, n));
}

int num_threads() {
  int n = g_threads.load(std::memory_order_relaxed);
  if (n == 0) g_threads.store(n = default_num_threads());
  return n;
}

void set_num_threads(int n) { g_threads.store(n); }

bool flush_denormals() { return g_flush.load(); }
void set_flush_denormals(bool flush) { g_flush.store(flush); }

void parallel_for(ptrdiff_t items, ptrdiff_t grain, RangeFn fn, const void* args) {
  FloatMode mode;
  if (items > grain) {
    grain = std::max(grain, ceil_div(items, Pool::kMostChunks));
    const ptrdiff_t chunks = ceil_div(items, grain);
    const int most = std::min(num_threads(), Pool::kMostThreads);
    const int team = int(std::min<ptrdiff_t>(most, chunks));
    if (team > 1 && pool().run(items, grain, chunks, fn, args, team)) return;
  }
  fn(args, 0, items);
}

}  // namespace pydl
