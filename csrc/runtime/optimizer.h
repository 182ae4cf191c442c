// One optimizer step over a list of weights: clipping, decay and update.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/optimizer.h"
#include "runtime/view.h"

namespace pydl {

// Settings and state of one optimizer, in one buffer of 8-byte fields, so that a step that is run
// again sees what was changed since; `kOptimizerFields` names them for the owner of the buffer.
struct OptimizerState {
  double learning_rate;
  double learning_rate_decay;  // the rate is divided by 1 + this * iterations
  int64_t iterations;          // steps done
  double weight_decay;
  double clipvalue;  // infinity where there is none
  double clipnorm;
  double beta_1;  // also momentum of SGD, rho of RMSprop and Adadelta
  double beta_2;
  double momentum;  // of RMSprop
  double epsilon;
  double momentum_product;  // product of Nadam's momenta so far
  double ema_momentum;      // of the weights' moving averages
  StepNumbers numbers;      // derived, see kernels/optimizer.h
  StepNumbers average;      // derived, of the moving averages
};

constexpr const char* kOptimizerFields[] = {"learning_rate",    "learning_rate_decay",
                                            "iterations",       "weight_decay",
                                            "clipvalue",        "clipnorm",
                                            "beta_1",           "beta_2",
                                            "momentum",         "epsilon",
                                            "momentum_product", "ema_momentum"};

enum class NormClip : uint8_t { kNone, kEach, kGlobal };

struct Update {
  DType dtype;  // of all its arrays, which are contiguous
  ptrdiff_t size;
  void* weight;
  const void* gradient;
  void* slots[kMaxSlots];
  void* average;  // moving average of the weight; null: none
  bool decays;
};

// g *= clipnorm / max(norm, clipnorm) as asked, g clipped to +-clipvalue, w -= lr weight_decay w,
// then the rule, then the moving average, which is the weight after the first step; gradients are
// left as they are. Counts the step in state->iterations.
void optimizer_step(Rule rule, NormClip clip, const std::vector<Update>& updates,
                    OptimizerState* state);

}  // namespace pydl
