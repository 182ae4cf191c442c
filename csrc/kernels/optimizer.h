// Optimizer updates: each step reads and writes every weight once, many tensors in one launch.
#pragma once

#include "table.h"

namespace pydl {

constexpr int kMaxSlots = 3;            // moving averages that a rule keeps for each weight
constexpr int kMaxUpdateTensors = 24;   // tensors of one launch; more of them take more launches
constexpr int kMaxCoefficients = 6;     // numbers that a rule computes once per step
constexpr ptrdiff_t kNormChunk = 4096;  // elements of one partial sum of squares

// Every update rule, in the order of `kRules`.
enum class Rule : uint8_t {
  kSgd,
  kMomentum,
  kNesterov,
  kRmsprop,
  kRmspropMomentum,
  kRmspropCentered,
  kRmspropCenteredMomentum,
  kAdagrad,
  kAdadelta,
  kAdam,
  kAmsgrad,
  kAdamax,
  kNadam,
  kLion,
  kAverage
};

struct RuleInfo {
  const char* name;
  int slots;
};

constexpr RuleInfo kRules[] = {{"sgd", 0},
                               {"momentum", 1},
                               {"nesterov", 1},
                               {"rmsprop", 1},
                               {"rmsprop_momentum", 2},
                               {"rmsprop_centered", 2},
                               {"rmsprop_centered_momentum", 3},
                               {"adagrad", 1},
                               {"adadelta", 2},
                               {"adam", 2},
                               {"amsgrad", 3},
                               {"adamax", 2},
                               {"nadam", 2},
                               {"lion", 1},
                               {"average", 0}};
constexpr int kRuleCount = sizeof kRules / sizeof kRules[0];

// What changes from step to step, computed by the step's first launch and read by the others.
struct StepNumbers {
  double coefficients[kMaxCoefficients];
  double decay;  // learning rate times weight decay
  double clip;   // bound on abs(gradient); infinity where there is none
};

struct UpdateTensor {
  void* weight;
  const void* gradient;
  void* slots[kMaxSlots];
  const double* gradient_scale;  // null: 1
  ptrdiff_t end;                 // elements of this tensor and of those before it
  bool decays;
};

// One item is one element of the tensors laid end to end.
struct UpdateArgs {
  const StepNumbers* numbers;
  int count;
  UpdateTensor tensors[kMaxUpdateTensors];

  void operands(auto f) const {
    f(numbers);
    for (int i = 0; i < count; ++i) {
      const UpdateTensor& t = tensors[i];
      f(t.weight), f(t.gradient), f(t.gradient_scale);
      for (void* slot : t.slots) f(slot);
    }
  }
};

// One item is one chunk of kNormChunk elements; no chunk holds elements of two tensors.
struct SquareSumArgs {
  double* partials;  // one for each chunk
  int count;
  struct {
    const void* x;
    ptrdiff_t size;
    ptrdiff_t end;  // chunks of this tensor and of those before it
  } tensors[kMaxUpdateTensors];

  void operands(auto f) const {
    f(partials);
    for (int i = 0; i < count; ++i) f(tensors[i].x);
  }
};

struct OptimizerKernels {
  RangeFn update[kRuleCount][kFloatTypes];
  RangeFn square_sum[kFloatTypes];
};

}  // namespace pydl
