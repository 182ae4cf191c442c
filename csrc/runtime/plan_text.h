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
};

std::vector<LaunchText> describe(const Plan& plan);

}  // namespace pydl
