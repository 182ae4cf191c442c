// What a plan holds, for people.
#pragma once

#include <string>
#include <vector>

#include "runtime/plan.h"

namespace pydl {

struct LaunchText {
  std::string name;
  ptrdiff_t items, chunks;
  double flops, bytes;  // 0: not known
  bool merged;          // runs tile by tile with the launch before
};

std::vector<LaunchText> describe(const Plan& plan);

}  // namespace pydl
