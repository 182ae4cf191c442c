// Caching allocator: 64-byte aligned blocks in size classes, kept for reuse when freed.
#pragma once

#include <cstddef>

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

// A temporary of n elements that lives for one scope.
template <class T>
class Scratch {
 public:
  explicit Scratch(ptrdiff_t n)
      : bytes_(size_t(n) * sizeof(T)), p_(static_cast<T*>(allocate(bytes_))) {}
  ~Scratch() { release(p_, bytes_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T* get() const { return p_; }

 private:
  size_t bytes_;
  T* p_;
};

}  // namespace pydl
