// The machine's peak: as many FMAs as it can do.
#pragma once

#include "kernels/transpose.h"

namespace pydl::PYDL_ISA {
namespace {

constexpr int kPeakChains = 12;  // enough for two FMAs a cycle of latency up to 6
constexpr double kFmaPeakFlops = 2.0 * kPeakChains * kLanes<float>;

void fma_peak(ptrdiff_t iterations, double* sink) {
  Vec<float> acc[kPeakChains], sum = {};
  const Vec<float> x = broadcast(0.5f), y = broadcast(1.0f);
  for_each_vector<1, kPeakChains>([&](int, int c) { acc[c] = broadcast(float(c)); });
  for (ptrdiff_t i = 0; i < iterations; ++i)
    for_each_vector<1, kPeakChains>([&](int, int c) { acc[c] = fma(acc[c], x, y); });
  for_each_vector<1, kPeakChains>([&](int, int c) { sum += acc[c]; });
  *sink = double(sum[0]);
}

}  // namespace
}  // namespace pydl::PYDL_ISA
