// A plan: the launches of one training step, recorded once and repeated without Python.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/memory.h"
#include "table.h"

namespace pydl {

// Where every so many steps: due when *counter is a multiple of `every`.
struct EveryArgs {
  const int64_t* counter;
  int64_t every;
  bool due() const { return *counter % every == 0; }

  void operands(auto f) const { f(counter); }
};

// Memory that a launch reads, or writes and perhaps reads: any address inside of it.
class Operands {
 public:
  struct One {
    const void* at;
    bool written;
  };

  // The arguments of a kernel list them as `void operands(auto f) const`, which calls f(pointer)
  // for each; a pointer to const is read.
  template <class Args>
  static Operands of(const Args& args) {
    Operands found;
    found.declared_ = requires { args.operands(Collect{nullptr}); };
    if constexpr (requires { args.operands(Collect{nullptr}); }) args.operands(Collect{&found});
    return found;
  }

  bool declared() const { return declared_; }  // else it may be everything
  const std::vector<One>& each() const { return each_; }

 private:
  struct Collect {
    Operands* to;
    void operator()(const void* p) const { add(p, false); }
    void operator()(void* p) const { add(p, true); }
    void add(const void* p, bool written) const {
      if (p) to->each_.push_back({p, written});
    }
  };

  std::vector<One> each_;
  bool declared_ = false;
};

// Throws where what `args` describes does not hold; see `check` in runtime/launch.h.
using CheckFn = void (*)(const void* args);

// One launch of a plan.
struct RecordedLaunch {
  RangeFn fn;  // null: a check, or the begin of what happens every so many steps
  const void* args;
  const char* type;
  ptrdiff_t items, grain;
  const EveryArgs* every;  // of the latter, else null
  bool merged;             // runs tile by tile with the launch before
};

// While it records, every launch of its thread is appended to it as well as run, and temporaries
// come from its pool, so that their addresses stay good. Memory that is freed while it records is
// used again by later launches: reference counts plan the buffers.
class Plan {
 public:
  Plan() : pool_(std::make_shared<Pool>()) {}
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  void begin();  // records the launches of this thread until `end`
  void end();

  // `type`: text that names the type of the arguments.
  void append(RangeFn fn, const void* args, size_t bytes, const char* type, ptrdiff_t items,
              ptrdiff_t grain, const Operands& operands);
  void append(CheckFn fn, const void* args, size_t bytes, const char* type,
              const Operands& operands);

  // What is appended between the two runs only in steps in which `every` is due. They may nest.
  void begin_every(const EveryArgs& every);
  void end_every();

  // Once all is recorded: forgets launches that only write temporaries which no launch that stays
  // reads. Temporaries that are in use now are results. Checks stay.
  void drop_dead();

  // The same: lets neighbouring element-wise launches over more memory than the caches
  // of a core hold run tile by tile, so that each finds what the one before has written.
  void merge();

  // Repeats everything `steps` times, or until `seconds` are over; the number of steps done.
  ptrdiff_t run(ptrdiff_t steps, double seconds) const;

  // Nanoseconds of each launch, the least of `times` runs; of merged ones all for the first.
  std::vector<double> profile(ptrdiff_t times) const;

  // Calls f(launch) for each launch in order.
  template <class F>
  void for_each(F f) const {
    for (size_t at : starts_) f(launch_at(code_.data() + at));
  }

  const std::shared_ptr<Pool>& pool() const { return pool_; }
  ptrdiff_t launches() const { return ptrdiff_t(starts_.size()); }
  ptrdiff_t dropped() const { return dropped_; }

 private:
  struct Head {
    RangeFn fn;     // null: a check
    CheckFn check;  // null too: EveryArgs follow
    const char* type;
    ptrdiff_t items, grain;
    size_t bytes;      // with the arguments that follow
    size_t skipped;    // behind them, where EveryArgs are not due
    ptrdiff_t merged;  // launches from here on that run tile by tile; -1: one of them, not first
    ptrdiff_t tile, tiles_grain;  // items
  };
  static void run_tiles(const void* args, ptrdiff_t begin, ptrdiff_t end);
  void merge(const std::vector<size_t>& group);
  void append(const Head& head, const void* args, size_t bytes, const Operands& operands);
  const std::byte* run_one(const std::byte* at) const;  // what comes next
  static RecordedLaunch launch_at(const std::byte* at);

  std::shared_ptr<Pool> pool_;
  std::vector<size_t> starts_, open_;  // of all; of what begin_every began
  std::vector<std::byte> code_;

  // What each launch touches: temporaries by their serial numbers in the pool.
  struct Touched {
    std::vector<ptrdiff_t> read, written;  // what is written may be read too
    bool stays = false;                    // it writes other memory, or none, or is not known
  };
  std::vector<Touched> touched_;
  ptrdiff_t dropped_ = 0;
};

// The plan that this thread records, or null.
Plan* recording_plan();

// Runs what follows, up to `end_every`, only where `every` is due; a plan that records notes it
// down in either case. False, and no `end_every`: there is nothing to do.
bool begin_every(const EveryArgs& every);
void end_every();

// Whether launches are noted down but not run, since they are not due.
bool launches_muted();

}  // namespace pydl
