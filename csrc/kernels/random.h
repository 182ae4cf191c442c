// Random numbers as a function of a ticket and a position: what the runtime and the kernels share.
//
// The 32-bit word i of a draw is word i % 4 of Philox4x32-10's block i / 4, with the ticket's seed
// as key and (block low, block high, stream, step) as counter. A 32-bit element i takes word i, a
// 64-bit element i the words 2 i (low) and 2 i + 1. So a number depends on nothing but the ticket,
// its position and the element's width, and every draw has a fixed length.
#pragma once

#include "table.h"

namespace pydl {

// {seed, stream, step}: stream is below 256 and shares its counter word with the step's high half.
constexpr int kTicketWords = 3;
constexpr ptrdiff_t kRandomWords = 64;  // 32-bit words of one item

struct RandomArgs {
  const uint64_t* ticket;
  void* out;
  ptrdiff_t size;  // elements
  double a, b;     // low, high; mean, standard deviation
  double largest;  // uniform: the largest number below b, which rounding could pass

  void operands(auto f) const { f(ticket), f(out); }
};

// out = low + floor(r span / 2^64), r the element's 64 bits; span 0 stands for 2^64.
struct RandomIntegersArgs {
  const uint64_t* ticket;
  void* out;
  ptrdiff_t size;
  int64_t low;
  uint64_t span;

  void operands(auto f) const { f(ticket), f(out); }
};

// y = x / (1 - rate) where the element's uniform number is at least `rate`, else 0.
struct DropoutArgs {
  const uint64_t* ticket;
  const void* x;
  void* y;
  ptrdiff_t size;
  double rate;

  void operands(auto f) const { f(ticket), f(x), f(y); }
};

// out[row, sample] = first class whose cumulated weight exceeds u times the row's sum, u the 53-bit
// uniform number of element row * samples + sample. An item is one row.
struct CategoricalArgs {
  const uint64_t* ticket;
  const void* weights;  // rows x classes, not negative, with a positive finite sum
  double* cumulated;    // rows x classes
  int64_t* out;         // rows x samples
  ptrdiff_t classes, samples;

  void operands(auto f) const { f(ticket), f(weights), f(cumulated), f(out); }
};

// An item is kRandomWords words of the draw, unless said otherwise.
struct RandomKernels {
  RangeFn uniform[kFloatTypes];           // [a, b)
  RangeFn normal[kFloatTypes];            // mean a, standard deviation b
  RangeFn truncated_normal[kFloatTypes];  // the same, cut at two standard deviations
  RangeFn dropout[kFloatTypes];           // by 32-bit words for both types
  RangeFn categorical[kFloatTypes];
  RangeFn bits32, bits64;
  RangeFn integers32, integers64;  // by 64-bit elements
};

}  // namespace pydl
