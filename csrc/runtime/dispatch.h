// The kernels of this process: the best ISA the CPU has, chosen once, before the first launch.
#pragma once

#include <string>

#include "table.h"

namespace pydl {

// Picks the table: the first built one that the CPU supports, or the one that PYDL_ISA names.
// Throws std::invalid_argument for a name that is not built or that the CPU cannot run, and
// std::runtime_error for a CPU below every built level.
void choose_kernels();

const KernelTable& kernels();

std::string built_isas();      // "v4, v3, v2", best first
std::string supported_isas();  // those that this CPU runs

}  // namespace pydl
