#include "runtime/plan.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>

#include "runtime/parallel.h"

namespace pydl {
namespace {

thread_local Plan* t_plan = nullptr;
thread_local int t_muted = 0;  // begin_every's that are not due, and those inside of them

using Clock = std::chrono::steady_clock;

constexpr size_t kArgsAlignment = alignof(std::max_align_t);
constexpr size_t aligned(size_t bytes) {
  return (bytes + kArgsAlignment - 1) / kArgsAlignment * kArgsAlignment;
}

}  // namespace

Plan* recording_plan() { return t_plan; }
bool launches_muted() { return t_muted > 0; }

bool begin_every(const EveryArgs& every) {
  const bool due = t_muted == 0 && every.due();
  if (!due && !t_plan) return false;
  if (t_plan) t_plan->begin_every(every);
  if (!due) ++t_muted;
  return true;
}

void end_every() {
  if (t_plan) t_plan->end_every();
  if (t_muted > 0) --t_muted;  // nothing inside of what is not due is due
}

void Plan::begin() {
  t_plan = this;
  set_thread_pool(pool_.get());
}

void Plan::end() {
  t_plan = nullptr;
  set_thread_pool(nullptr);
}

void Plan::append(const Head& head, const void* args, size_t bytes) {
  constexpr size_t kHead = aligned(sizeof(Head));
  const size_t at = code_.size();
  starts_.push_back(at);
  code_.resize(at + kHead + aligned(bytes));
  Head h = head;
  h.bytes = code_.size() - at;
  std::memcpy(code_.data() + at, &h, sizeof h);
  std::memcpy(code_.data() + at + kHead, args, bytes);
}

void Plan::append(RangeFn fn, const void* args, size_t bytes, const char* type, ptrdiff_t items,
                  ptrdiff_t grain) {
  append(Head{fn, nullptr, type, items, grain, 0, 0}, args, bytes);
}

void Plan::append(CheckFn fn, const void* args, size_t bytes, const char* type) {
  append(Head{nullptr, fn, type, 0, 1, 0, 0}, args, bytes);
}

void Plan::begin_every(const EveryArgs& every) {
  open_.push_back(code_.size());
  append(Head{nullptr, nullptr, "", 0, 1, 0, 0}, &every, sizeof every);
}

void Plan::end_every() {
  if (open_.empty()) return;  // it began before the plan
  auto& head = *reinterpret_cast<Head*>(code_.data() + open_.back());
  head.skipped = code_.size() - open_.back() - head.bytes;
  open_.pop_back();
}

RecordedLaunch Plan::launch_at(const std::byte* at) {
  const auto& head = *reinterpret_cast<const Head*>(at);
  const std::byte* args = at + aligned(sizeof(Head));
  const bool every = !head.fn && !head.check;
  return {head.fn,    args,       head.type,
          head.items, head.grain, every ? reinterpret_cast<const EveryArgs*>(args) : nullptr};
}

const std::byte* Plan::run_one(const std::byte* at) const {
  const auto& head = *reinterpret_cast<const Head*>(at);
  const std::byte *args = at + aligned(sizeof(Head)), *next = at + head.bytes;
  if (head.fn)
    parallel_for(head.items, head.grain, head.fn, args);
  else if (head.check)
    head.check(args);
  else if (!reinterpret_cast<const EveryArgs*>(args)->due())
    return next + head.skipped;
  return next;
}

ptrdiff_t Plan::run(ptrdiff_t steps, double seconds) const {
  const auto start = Clock::now();
  for (ptrdiff_t step = 0; step < steps;) {
    const std::byte* at = code_.data();
    for (const std::byte* end = at + code_.size(); at < end;) at = run_one(at);
    if (++step < steps && std::chrono::duration<double>(Clock::now() - start).count() > seconds)
      return step;
  }
  return steps;
}

std::vector<double> Plan::profile(ptrdiff_t times) const {
  std::vector<double> least(starts_.size(), std::numeric_limits<double>::infinity());
  for (ptrdiff_t t = 0; t < times; ++t)
    for (size_t i = 0; i < starts_.size(); ++i) {
      const auto start = Clock::now();
      run_one(code_.data() + starts_[i]);
      const std::chrono::duration<double, std::nano> taken = Clock::now() - start;
      least[i] = std::min(least[i], taken.count());
    }
  return least;
}

}  // namespace pydl
