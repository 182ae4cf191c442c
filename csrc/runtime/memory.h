// Caching allocator: 64-byte aligned blocks in size classes, kept for reuse when freed.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <vector>

namespace pydl {

constexpr size_t kAlignment = 64;

void* allocate(size_t bytes);             // throws std::bad_alloc; never null, also for 0 bytes
void release(void* block, size_t bytes);  // bytes as given to allocate
void trim_memory();                       // hands every cached block back to the system

struct MemoryStats {
  size_t in_use, peak, cached;  // bytes
  size_t allocations;           // calls that had to ask the system
};
MemoryStats memory_stats();

// Memory of one plan: blocks go back to the pool, and to the system only with it.
class Pool {
 public:
  Pool() = default;
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  void* allocate(size_t bytes);
  void release(void* block, size_t bytes);

  ptrdiff_t blocks_in_use() const;
  // The serial number, from 0, of what was handed out and holds this address; -1: nothing does.
  ptrdiff_t find(const void* address) const;
  std::vector<ptrdiff_t> in_use() const;  // serial numbers
  size_t bytes() const;                   // of all blocks
  size_t requested() const;               // bytes handed out since the pool was made

 private:
  mutable std::mutex mutex_;
  std::multimap<size_t, void*> free_;
  std::vector<std::pair<void*, size_t>> blocks_;
  struct Used {
    size_t bytes;
    ptrdiff_t serial;
  };
  std::map<const char*, Used> used_;
  ptrdiff_t handed_out_ = 0;
  size_t bytes_ = 0, requested_ = 0;
};

// Where temporaries of this thread come from; null: from `allocate`.
Pool* thread_pool();
void set_thread_pool(Pool* pool);

// A temporary of n elements that lives for one scope.
template <class T>
class Scratch {
 public:
  explicit Scratch(ptrdiff_t n)
      : bytes_(size_t(n) * sizeof(T)),
        pool_(thread_pool()),
        p_(static_cast<T*>(pool_ ? pool_->allocate(bytes_) : allocate(bytes_))) {}
  ~Scratch() {
    if (pool_)
      pool_->release(p_, bytes_);
    else
      release(p_, bytes_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T* get() const { return p_; }

 private:
  size_t bytes_;
  Pool* pool_;
  T* p_;
};

}  // namespace pydl
