#include "runtime/memory.h"

#include <atomic>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace pydl {
namespace {

constexpr size_t kSmall = 1024;             // classes of 64 bytes up to here
constexpr size_t kLarge = size_t(1) << 20;  // then four classes per power of two up to here
constexpr size_t kHuge = size_t(2) << 20;   // then multiples of 2 MiB, on huge pages where possible
constexpr size_t kMaxCachedPerClass = 64;

class SpinLock {
 public:
  void lock() {
    while (flag_.test_and_set(std::memory_order_acquire)) {
    }
  }
  void unlock() { flag_.clear(std::memory_order_release); }

 private:
  std::atomic_flag flag_ = ATOMIC_FLAG_INIT;
};

struct Guard {
  explicit Guard(SpinLock& l) : lock(l) { lock.lock(); }
  ~Guard() { lock.unlock(); }
  SpinLock& lock;
};

struct SizeClass {
  int index;  // -1: large, kept in a map by size
  size_t bytes;
};

SizeClass size_class(size_t bytes) {
  if (bytes <= kSmall) {
    const size_t n = bytes ? (bytes + 63) / 64 : 1;
    return {int(n - 1), n * 64};
  }
  if (bytes <= kLarge) {
    const int log2 = std::bit_width(bytes - 1) - 1;  // 2^log2 < bytes <= 2^(log2 + 1)
    const size_t step = size_t(1) << (log2 - 2);
    const size_t quarter = (bytes - (size_t(1) << log2) + step - 1) / step;  // 1..4
    return {int(16 + (log2 - 10) * 4 + quarter - 1), (size_t(1) << log2) + quarter * step};
  }
  return {-1, (bytes + kHuge - 1) / kHuge * kHuge};
}

constexpr int kClasses = 16 + 10 * 4;

// Never destroyed: arrays may be freed while the interpreter shuts down.
struct Cache {
  SpinLock lock;
  std::vector<void*> free[kClasses];
  std::multimap<size_t, void*> large;
  size_t large_bytes = 0;
  MemoryStats stats{};
};
Cache& cache() {
  static Cache* c = new Cache;
  return *c;
}

constexpr size_t kMaxCachedLarge = size_t(1) << 30;

struct OutOfMemory : std::bad_alloc {
  char text[64];
  explicit OutOfMemory(size_t bytes) {
    std::snprintf(text, sizeof(text), "pydl: cannot allocate %.3g GiB", double(bytes) / 0x1p30);
  }
  const char* what() const noexcept override { return text; }
};

void* from_system(size_t bytes, bool huge) {
  void* p = std::aligned_alloc(huge ? kHuge : kAlignment, bytes);
  if (!p) {
    trim_memory();
    p = std::aligned_alloc(huge ? kHuge : kAlignment, bytes);
    if (!p) throw OutOfMemory(bytes);
  }
#if defined(__linux__)
  if (huge) madvise(p, bytes, MADV_HUGEPAGE);
#endif
  return p;
}

}  // namespace

void* allocate(size_t bytes) {
  if (bytes > PTRDIFF_MAX - kHuge) throw OutOfMemory(bytes);
  const SizeClass c = size_class(bytes);
  Cache& k = cache();
  void* p = nullptr;
  {
    Guard guard(k.lock);
    if (c.index >= 0) {
      auto& list = k.free[c.index];
      if (!list.empty()) p = list.back(), list.pop_back();
    } else if (auto it = k.large.find(c.bytes); it != k.large.end()) {
      p = it->second;
      k.large.erase(it);
      k.large_bytes -= c.bytes;
    }
    if (p) k.stats.cached -= c.bytes;
    k.stats.in_use += c.bytes;
    if (k.stats.in_use > k.stats.peak) k.stats.peak = k.stats.in_use;
  }
  if (p) return p;
  try {
    p = from_system(c.bytes, c.index < 0);
  } catch (...) {
    Guard guard(k.lock);
    k.stats.in_use -= c.bytes;
    throw;
  }
  Guard guard(k.lock);
  ++k.stats.allocations;
  return p;
}

void release(void* block, size_t bytes) {
  if (!block) return;
  const SizeClass c = size_class(bytes);
  Cache& k = cache();
  {
    Guard guard(k.lock);
    k.stats.in_use -= c.bytes;
    bool kept = false;
    if (c.index >= 0) {
      auto& list = k.free[c.index];
      if ((kept = list.size() < kMaxCachedPerClass)) list.push_back(block);
    } else if ((kept = k.large_bytes + c.bytes <= kMaxCachedLarge)) {
      k.large.emplace(c.bytes, block);
      k.large_bytes += c.bytes;
    }
    if (kept) {
      k.stats.cached += c.bytes;
      return;
    }
  }
  std::free(block);
}

void trim_memory() {
  Cache& k = cache();
  Guard guard(k.lock);
  for (auto& list : k.free) {
    for (void* p : list) std::free(p);
    list.clear();
  }
  for (auto& [bytes, p] : k.large) std::free(p);
  k.large.clear();
  k.large_bytes = 0;
  k.stats.cached = 0;
}

MemoryStats memory_stats() {
  Cache& k = cache();
  Guard guard(k.lock);
  return k.stats;
}

Pool::~Pool() {
  for (auto [block, bytes] : blocks_) pydl::release(block, bytes);
}

void* Pool::allocate(size_t bytes) {
  const std::lock_guard hold(mutex_);
  if (bytes > PTRDIFF_MAX - kHuge) throw OutOfMemory(bytes);
  const size_t size = size_class(bytes).bytes;
  void* p;
  if (auto it = free_.find(size); it != free_.end()) {
    p = it->second;
    free_.erase(it);
  } else {
    blocks_.reserve(blocks_.size() + 1);
    p = pydl::allocate(size);
    blocks_.emplace_back(p, size);
    bytes_ += size;
  }
  used_[static_cast<const char*>(p)] = {size, handed_out_++};
  requested_ += size;
  return p;
}

void Pool::release(void* block, size_t bytes) {
  if (!block) return;
  const std::lock_guard hold(mutex_);
  free_.emplace(size_class(bytes).bytes, block);
  used_.erase(static_cast<const char*>(block));
}

ptrdiff_t Pool::blocks_in_use() const {
  const std::lock_guard hold(mutex_);
  return ptrdiff_t(used_.size());
}

ptrdiff_t Pool::find(const void* address) const {
  const std::lock_guard hold(mutex_);
  const auto* at = static_cast<const char*>(address);
  auto it = used_.upper_bound(at);
  if (it == used_.begin()) return -1;
  --it;
  return at < it->first + it->second.bytes ? it->second.serial : -1;
}

std::vector<ptrdiff_t> Pool::in_use() const {
  const std::lock_guard hold(mutex_);
  std::vector<ptrdiff_t> found;
  for (const auto& [block, used] : used_) found.push_back(used.serial);
  return found;
}

size_t Pool::bytes() const {
  const std::lock_guard hold(mutex_);
  return bytes_;
}

size_t Pool::requested() const {
  const std::lock_guard hold(mutex_);
  return requested_;
}

namespace {
thread_local Pool* t_pool = nullptr;
}  // namespace

Pool* thread_pool() { return t_pool; }
void set_thread_pool(Pool* pool) { t_pool = pool; }

}  // namespace pydl
