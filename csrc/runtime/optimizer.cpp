#include "runtime/optimizer.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/dispatch.h"
#include "runtime/launch.h"
#include "runtime/memory.h"

namespace pydl {
namespace {

constexpr ptrdiff_t kUpdateGrain = 16 * 1024;  // elements; 12 to 32 bytes of traffic each
constexpr ptrdiff_t kNormGrain = 8;            // chunks of kNormChunk elements

struct BeginArgs {
  Rule rule;
  OptimizerState* state;

  void operands(auto f) const { f(state); }
};

// Counts the step and computes its coefficients; their order is the rule's, see the kernels.
void begin_step(const void* args, ptrdiff_t, ptrdiff_t) {
  const auto& a = *static_cast<const BeginArgs*>(args);
  OptimizerState& s = *a.state;
  const double lr = s.learning_rate / (1 + s.learning_rate_decay * double(s.iterations));
  const double t = double(s.iterations += 1);
  const double b1 = s.beta_1, b2 = s.beta_2;
  double* c = s.numbers.coefficients;
  s.numbers.decay = lr * s.weight_decay;
  s.numbers.clip = s.clipvalue;
  s.average.coefficients[0] = t > 1 ? 1 - s.ema_momentum : 1;
  s.average.decay = 0;
  s.average.clip = std::numeric_limits<double>::infinity();
  const auto set = [c](auto... values) {
    const double list[] = {values...};
    std::copy(std::begin(list), std::end(list), c);
  };
  switch (a.rule) {
    case Rule::kSgd:
    case Rule::kMomentum:
    case Rule::kNesterov:
      return set(lr, b1);
    case Rule::kRmsprop:
    case Rule::kRmspropMomentum:
    case Rule::kRmspropCentered:
    case Rule::kRmspropCenteredMomentum:
      return set(lr, b1, 1 - b1, s.epsilon, s.momentum);
    case Rule::kAdagrad:
      return set(lr, s.epsilon);
    case Rule::kAdadelta:
      return set(lr, b1, 1 - b1, s.epsilon);
    case Rule::kAdam:
    case Rule::kAmsgrad:
      return set(lr * std::sqrt(1 - std::pow(b2, t)) / (1 - std::pow(b1, t)), 1 - b1, 1 - b2,
                 s.epsilon);
    case Rule::kAdamax:
      return set(lr / (1 - std::pow(b1, t)), 1 - b1, b2, s.epsilon);
    case Rule::kNadam: {
      // Dozat's momentum schedule: it warms up from b1 / 2 to b1
      const double now = b1 * (1 - 0.5 * std::pow(0.96, t));
      const double next = b1 * (1 - 0.5 * std::pow(0.96, t + 1));
      const double product = s.momentum_product *= now;
      return set(lr * next / (1 - product * next), lr * (1 - now) / (1 - product), 1 - b1, 1 - b2,
                 1 / (1 - std::pow(b2, t)), s.epsilon);
    }
    case Rule::kLion:
      return set(lr, b1, 1 - b1, b2, 1 - b2);
    case Rule::kAverage:
      return;  // has numbers of its own
  }
}

struct ScaleArgs {
  const double* partials;
  const OptimizerState* state;
  double* scales;
  ptrdiff_t ends[kMaxUpdateTensors];  // partials of each tensor and of those before it

  void operands(auto f) const { f(partials), f(state), f(scales); }
};

double tree_sum(const double* x, ptrdiff_t n) {
  if (n <= 2) return n == 2 ? x[0] + x[1] : n == 1 ? x[0] : 0;
  const ptrdiff_t half = n / 2;
  return tree_sum(x, half) + tree_sum(x + half, n - half);
}

// scales[i] = clipnorm / max(norm of tensor i, clipnorm); a nan in the gradient stays one.
void scale_range(const void* args, ptrdiff_t begin, ptrdiff_t end) {
  const auto& a = *static_cast<const ScaleArgs*>(args);
  for (ptrdiff_t i = begin; i < end; ++i) {
    const ptrdiff_t first = i ? a.ends[i - 1] : 0;
    const double norm = std::sqrt(tree_sum(a.partials + first, a.ends[i] - first));
    const double bound = a.state->clipnorm;
    a.scales[i] = norm <= bound ? 1 : bound / norm;
  }
}

ptrdiff_t chunk_count(const Update& u) { return (u.size + kNormChunk - 1) / kNormChunk; }

// Calls f(first, last) for runs of at most kMaxUpdateTensors updates of one dtype.
template <class F>
void for_each_launch(const std::vector<Update>& updates, F f) {
  for (size_t first = 0; first < updates.size();) {
    size_t last = first + 1;
    while (last < updates.size() && last - first < size_t(kMaxUpdateTensors) &&
           updates[last].dtype == updates[first].dtype)
      ++last;
    f(first, last);
    first = last;
  }
}

// Fills scales: one for each update, or one for all of them if `global`.
void norm_scales(const std::vector<Update>& updates, bool global, const OptimizerState* state,
                 double* partials, double* scales) {
  ptrdiff_t done = 0;
  for_each_launch(updates, [&](size_t first, size_t last) {
    SquareSumArgs sums;
    ScaleArgs each{partials + done, state, scales + first, {}};
    sums.partials = partials + done;
    sums.count = int(last - first);
    ptrdiff_t end = 0;
    for (size_t i = first; i < last; ++i) {
      end += chunk_count(updates[i]);
      sums.tensors[i - first] = {updates[i].gradient, updates[i].size, end};
      each.ends[i - first] = end;
    }
    const int type = float_index(updates[first].dtype);
    launch(kernels().optimizer.square_sum[type], sums, end, kNormGrain);
    if (!global) launch(scale_range, each, sums.count, kMaxUpdateTensors);
    done += end;
  });
  if (global) launch(scale_range, ScaleArgs{partials, state, scales, {done}}, 1, 1);
}

}  // namespace

void optimizer_step(Rule rule, NormClip clip, const std::vector<Update>& updates,
                    OptimizerState* state) {
  launch(begin_step, BeginArgs{rule, state}, 1, 1);

  const bool by_norm = clip != NormClip::kNone && !updates.empty();
  ptrdiff_t chunks = 0;
  for (const Update& u : updates) chunks += by_norm ? chunk_count(u) : 0;
  const Scratch<double> partials(chunks), scales(by_norm ? ptrdiff_t(updates.size()) : 0);
  if (by_norm) norm_scales(updates, clip == NormClip::kGlobal, state, partials.get(), scales.get());

  for_each_launch(updates, [&](size_t first, size_t last) {
    UpdateArgs args, averages{&state->average, 0, {}};
    args.numbers = &state->numbers;
    args.count = int(last - first);
    ptrdiff_t end = 0, average_end = 0;
    for (size_t i = first; i < last; ++i) {
      const Update& u = updates[i];
      UpdateTensor& t = args.tensors[i - first];
      t.weight = u.weight;
      t.gradient = u.gradient;
      std::copy(std::begin(u.slots), std::end(u.slots), t.slots);
      t.gradient_scale = !by_norm ? nullptr : scales.get() + (clip == NormClip::kEach ? i : 0);
      t.end = end += u.size;
      t.decays = u.decays;
      if (u.average)
        averages.tensors[averages.count++] = {
            u.average, u.weight, {}, nullptr, average_end += u.size, false};
    }
    const auto& update = kernels().optimizer.update;
    const int type = float_index(updates[first].dtype);
    launch(update[int(rule)][type], args, end, kUpdateGrain);
    launch(update[int(Rule::kAverage)][type], averages, average_end, kUpdateGrain);
  });
}

}  // namespace pydl
