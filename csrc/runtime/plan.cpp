#include "runtime/plan.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <set>

#include "runtime/elementwise.h"
#include "runtime/parallel.h"

namespace pydl {
namespace {

thread_local Plan* t_plan = nullptr;
thread_local int t_muted = 0;  // begin_every's that are not due, and those inside of them

using Clock = std::chrono::steady_clock;

constexpr size_t kMostMerged = 32;            // launches
constexpr ptrdiff_t kMergedBytes = 1 << 20;   // less than these are found in the cache anyway
constexpr ptrdiff_t kTileBytes = 128 * 1024;  // of all operands of a tile, in L2

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

void Plan::append(const Head& head, const void* args, size_t bytes, const Operands& operands) {
  Touched& touched = touched_.emplace_back();
  touched.stays = !head.fn || !operands.declared();
  bool writes = false;
  for (const auto& operand : operands.each()) {
    writes = writes || operand.written;
    const ptrdiff_t temporary = pool_->find(operand.at);
    if (temporary >= 0)
      (operand.written ? touched.written : touched.read).push_back(temporary);
    else if (operand.written)
      touched.stays = true;
  }
  if (!operands.declared()) touched.read = pool_->in_use();
  if (!writes) touched.stays = true;
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
                  ptrdiff_t grain, const Operands& operands) {
  append(Head{fn, nullptr, type, items, grain, 0, 0, 0, 0, 0}, args, bytes, operands);
}

void Plan::append(CheckFn fn, const void* args, size_t bytes, const char* type,
                  const Operands& operands) {
  append(Head{nullptr, fn, type, 0, 1, 0, 0, 0, 0, 0}, args, bytes, operands);
}

void Plan::begin_every(const EveryArgs& every) {
  open_.push_back(code_.size());
  append(Head{nullptr, nullptr, "", 0, 1, 0, 0, 0, 0, 0}, &every, sizeof every,
         Operands::of(every));
}

void Plan::end_every() {
  if (open_.empty()) return;  // it began before the plan
  auto& head = *reinterpret_cast<Head*>(code_.data() + open_.back());
  head.skipped = code_.size() - open_.back() - head.bytes;
  open_.pop_back();
}

void Plan::drop_dead() {
  if (!open_.empty()) return;
  const std::vector<ptrdiff_t> results = pool_->in_use();
  std::set<ptrdiff_t> wanted(results.begin(), results.end());
  for (size_t i = starts_.size(); i-- > 0;) {
    Touched& t = touched_[i];
    for (ptrdiff_t temporary : t.written) t.stays = t.stays || wanted.count(temporary);
    if (!t.stays) continue;
    wanted.insert(t.read.begin(), t.read.end());
    wanted.insert(t.written.begin(), t.written.end());
  }
  std::vector<size_t> starts;
  std::vector<Touched> touched;
  std::vector<std::byte> code;
  struct Open {
    size_t at, end;  // where its head is now; where what it skips ended
  };
  std::vector<Open> open;
  const auto close = [&](size_t until) {
    for (; !open.empty() && open.back().end <= until; open.pop_back()) {
      auto& head = *reinterpret_cast<Head*>(code.data() + open.back().at);
      head.skipped = code.size() - open.back().at - head.bytes;
    }
  };
  for (size_t i = 0; i < starts_.size(); ++i) {
    close(starts_[i]);
    if (!touched_[i].stays) continue;
    const std::byte* at = code_.data() + starts_[i];
    const auto& head = *reinterpret_cast<const Head*>(at);
    if (head.skipped > 0) open.push_back({code.size(), starts_[i] + head.bytes + head.skipped});
    starts.push_back(code.size());
    touched.push_back(std::move(touched_[i]));
    code.insert(code.end(), at, at + head.bytes);
  }
  close(code_.size());
  dropped_ += ptrdiff_t(starts_.size() - starts.size());
  starts_ = std::move(starts), touched_ = std::move(touched), code_ = std::move(code);
}

void Plan::merge() {
  std::vector<size_t> group;
  for (size_t at : starts_) {
    const RecordedLaunch next = launch_at(code_.data() + at);
    const auto loop = next.fn ? elementwise_loop(next.fn, next.args) : std::nullopt;
    bool joins = loop && loop->by_items;
    if (!joins) {
      merge(group);
      group.clear();
      continue;
    }
    for (size_t one : group) {
      const RecordedLaunch before = launch_at(code_.data() + one);
      joins = joins && before.items == next.items && loops_mix(before.args, next.args);
    }
    if (!joins || group.size() == kMostMerged) {
      merge(group);
      group.clear();
    }
    group.push_back(at);
  }
  merge(group);
}

void Plan::merge(const std::vector<size_t>& group) {
  if (group.size() < 2) return;
  std::vector<const void*> args;
  for (size_t at : group) args.push_back(launch_at(code_.data() + at).args);
  auto& first = *reinterpret_cast<Head*>(code_.data() + group[0]);
  const ptrdiff_t bytes = loops_item_bytes(args.data(), ptrdiff_t(args.size()));
  if (bytes == 0 || bytes * first.items < kMergedBytes) return;
  first.merged = ptrdiff_t(group.size());
  first.tile = std::clamp<ptrdiff_t>(kTileBytes / bytes, 1024, 8192) / 64 * 64;
  ptrdiff_t grain = first.grain;
  for (size_t at : group) {
    auto& head = *reinterpret_cast<Head*>(code_.data() + at);
    grain = std::min(grain, head.grain);
    if (at != group[0]) head.merged = -1;
    keep_in_caches(code_.data() + at + aligned(sizeof(Head)));
  }
  const ptrdiff_t tiles = ceil_div(grain / first.merged, first.tile);
  first.tiles_grain = std::max<ptrdiff_t>(1, tiles) * first.tile;
}

void Plan::run_tiles(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto* first = static_cast<const std::byte*>(args);
  const auto& group = *reinterpret_cast<const Head*>(first);
  for (ptrdiff_t from = begin; from < end; from += group.tile) {
    const ptrdiff_t to = std::min(end, from + group.tile);
    const std::byte* at = first;
    for (ptrdiff_t i = 0; i < group.merged; ++i) {
      const auto& head = *reinterpret_cast<const Head*>(at);
      head.fn(at + aligned(sizeof(Head)), from, to);
      at += head.bytes;
    }
  }
}

RecordedLaunch Plan::launch_at(const std::byte* at) {
  const auto& head = *reinterpret_cast<const Head*>(at);
  const std::byte* args = at + aligned(sizeof(Head));
  const bool every = !head.fn && !head.check;
  return {head.fn,        args,       head.type,
          head.items,     head.grain, every ? reinterpret_cast<const EveryArgs*>(args) : nullptr,
          head.merged < 0};
}

const std::byte* Plan::run_one(const std::byte* at) const {
  const auto& head = *reinterpret_cast<const Head*>(at);
  const std::byte *args = at + aligned(sizeof(Head)), *next = at + head.bytes;
  if (head.merged > 0) {
    parallel_for(head.items, head.tiles_grain, run_tiles, at);
    for (ptrdiff_t i = 1; i < head.merged; ++i) next += reinterpret_cast<const Head*>(next)->bytes;
  } else if (head.fn)
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
      const std::byte* at = code_.data() + starts_[i];
      const auto start = Clock::now();
      if (reinterpret_cast<const Head*>(at)->merged >= 0) run_one(at);
      const std::chrono::duration<double, std::nano> taken = Clock::now() - start;
      least[i] = std::min(least[i], taken.count());
    }
  return least;
}

}  // namespace pydl
