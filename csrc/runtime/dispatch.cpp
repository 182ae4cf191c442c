#include "runtime/dispatch.h"

#include <cstdlib>
#include <stdexcept>

namespace pydl {

#define PYDL_DECLARE(isa)           \
  namespace isa {                   \
  extern const KernelTable kernels; \
  }
#if defined(__x86_64__)
#if defined(PYDL_HAVE_V4)
PYDL_DECLARE(v4)
#endif
PYDL_DECLARE(v3)
PYDL_DECLARE(v2)
#elif defined(__aarch64__)
PYDL_DECLARE(neon)
#else
#error "pydl builds for x86-64 and arm64"
#endif

namespace {

struct Candidate {
  const KernelTable* table;
  bool (*runs_here)();
};

#if defined(__x86_64__)
bool has_v2() { return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt"); }
bool has_v3() {
  return has_v2() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi2");
}
[[maybe_unused]] bool has_v4() {
  return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}
const Candidate kCandidates[] = {
#if defined(PYDL_HAVE_V4)
    {&v4::kernels, has_v4},
#endif
    {&v3::kernels, has_v3},
    {&v2::kernels, has_v2},
};
#else
const Candidate kCandidates[] = {{&neon::kernels, [] { return true; }}};
#endif

const KernelTable* g_kernels = nullptr;

std::string names(bool supported_only) {
  std::string text;
  for (const Candidate& c : kCandidates) {
    if (supported_only && !c.runs_here()) continue;
    if (!text.empty()) text += ", ";
    text += c.table->isa;
  }
  return text;
}

}  // namespace

std::string built_isas() { return names(false); }
std::string supported_isas() { return names(true); }

void choose_kernels() {
#if defined(__x86_64__)
  __builtin_cpu_init();
#endif
  const char* asked = std::getenv("PYDL_ISA");
  const std::string wanted = asked ? asked : "";
  for (const Candidate& c : kCandidates) {
    if (wanted.empty() ? !c.runs_here() : wanted != c.table->isa) continue;
    if (!c.runs_here())
      throw std::invalid_argument("PYDL_ISA=" + wanted + ": this CPU supports " + supported_isas());
    g_kernels = c.table;
    return;
  }
  if (!wanted.empty())
    throw std::invalid_argument("PYDL_ISA must be one of " + built_isas() + " (built), got '" +
                                wanted + "'");
  throw std::runtime_error("pydl needs a CPU with SSE4.2 (x86-64-v2) or newer");
}

const KernelTable& kernels() { return *g_kernels; }

}  // namespace pydl
