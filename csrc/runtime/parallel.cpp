#include "runtime/parallel.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif
#if defined(_OPENMP)
#include <omp.h>
#endif

namespace pydl {
namespace {

std::atomic<bool> g_flush{true};
std::atomic<int> g_threads{0};         // 0: not asked for yet
std::atomic<bool> g_team_used{false};  // this process has started OpenMP workers
std::atomic<bool> g_team_lost{false};  // forked from a process whose workers did not come along

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

// libgomp's workers do not survive a fork and a region would wait for them for ever.
[[maybe_unused]] void after_fork_in_child() {
  if (g_team_used.load()) g_team_lost.store(true);
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
#if defined(_OPENMP)
  int n = g_threads.load(std::memory_order_relaxed);
  if (n == 0) {
    n = default_num_threads();
    pthread_atfork(nullptr, nullptr, after_fork_in_child);
    g_threads.store(n);
  }
  return g_team_lost.load(std::memory_order_relaxed) ? 1 : n;
#else
  return 1;
#endif
}

void set_num_threads(int n) {
  num_threads();  // registers the fork handler
  g_threads.store(n);
}

bool flush_denormals() { return g_flush.load(); }
void set_flush_denormals(bool flush) { g_flush.store(flush); }

const char* threading_name() {
#if defined(_OPENMP)
  return "OpenMP";
#else
  return "none (built without OpenMP)";
#endif
}

void parallel_for(ptrdiff_t items, ptrdiff_t grain, RangeFn fn, const void* args) {
#if defined(_OPENMP)
  const ptrdiff_t chunks = (items + grain - 1) / grain;
  const int team = num_threads();
  if (chunks > 1 && team > 1 && !omp_in_parallel()) {
    g_team_used.store(true, std::memory_order_relaxed);
    std::atomic<ptrdiff_t> next{0};
#pragma omp parallel num_threads(team)
    {
      FloatMode mode;
      for (ptrdiff_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < chunks;)
        fn(args, i * grain, std::min(items, (i + 1) * grain));
    }
    return;
  }
#endif
  FloatMode mode;
  fn(args, 0, items);
}

}  // namespace pydl
