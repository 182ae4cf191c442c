// The limits of this machine, measured: what the times of kernels are compared with.
#pragma once

#include <cstddef>

namespace pydl {

// Each is the best of the samples taken within about `seconds`.

// Float32 operations a second of one core on registers alone.
double fma_peak(double seconds);

// Bytes read plus bytes written a second while `bytes` bytes are copied by at most num_threads().
double copy_bandwidth(ptrdiff_t bytes, double seconds);

// Bytes read a second while `bytes` bytes are read again and again by at most num_threads().
double read_bandwidth(ptrdiff_t bytes, double seconds);

}  // namespace pydl
