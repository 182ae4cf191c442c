// Threads: the only place that knows them.
#pragma once

#include <cstddef>

#include "table.h"

namespace pydl {

// Runs fn(args, begin, end) over [0, items) in chunks of `grain` items (the last one shorter).
//
// One chunk, or one thread, runs on the caller alone. Otherwise a pool of threads claims fixed
// chunks one by one, the caller among them, so nobody waits for a worker that has not started. A
// kernel must give the same bits for any partition. Every chunk runs with round-to-nearest and,
// unless `set_flush_denormals(false)`, denormals flushed to zero; the caller's mode is restored
// afterwards.
void parallel_for(ptrdiff_t items, ptrdiff_t grain, RangeFn fn, const void* args);

int num_threads();
void set_num_threads(int n);  // n >= 1
int default_num_threads();    // min(affinity, container's CPU quota, OMP_NUM_THREADS)

bool flush_denormals();
void set_flush_denormals(bool flush);

}  // namespace pydl
