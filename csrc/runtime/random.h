// Random draws: each a function of a ticket (kernels/random.h) and of its length alone.
#pragma once

#include <cstdint>

#include "runtime/view.h"

namespace pydl {

// ticket = the state, whose step then goes up by one. Both are {seed, stream, step}; this is a
// launch, so that a repeated launch draws a new ticket.
void next_ticket(uint64_t* state, uint64_t* ticket);

enum class Distribution { kUniform, kNormal, kTruncatedNormal };

// out, contiguous float32 or float64. kUniform: [a, b), or a where a == b; the normal ones: mean a
// and standard deviation b, before the cut at two standard deviations.
void random_fill(Distribution distribution, const uint64_t* ticket, double a, double b,
                 const View& out);

// out, uint32 or uint64: random bits.
void random_bits(const uint64_t* ticket, const View& out);

// out, int32 or int64: low + a number in [0, span), span 0 standing for 2^64.
void random_integers(const uint64_t* ticket, int64_t low, uint64_t span, const View& out);

// y = x / (1 - rate) with probability 1 - rate, else 0; contiguous float32 or float64.
void dropout(const uint64_t* ticket, const View& x, double rate, const View& y);

// out (rows, samples), int64: classes drawn with the probabilities softmax(logits), (rows,
// classes).
void random_categorical(const uint64_t* ticket, const View& logits, const View& out);

// out, int64: a random order of 0 .. n - 1.
void random_permutation(const uint64_t* ticket, const View& out);

}  // namespace pydl
