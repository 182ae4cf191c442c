// Optimizer steps from Python: lists of arrays become `Update`s.
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>

#include "bindings.h"
#include "runtime/optimizer.h"
#include "runtime/shape.h"

namespace py = pybind11;

namespace pydl {
namespace {

constexpr size_t kFields = sizeof(OptimizerState) / 8;
constexpr const char* kName = "optimizer_step";

// A contiguous float32 or float64 array.
View block(py::handle array) {
  const View v = require_view(kName, array);
  if (!is_float(v.dtype) || !is_c_contiguous(v))
    throw std::invalid_argument(std::string(kName) + ": arrays must be contiguous floats");
  return v;
}

// slots: kRules[rule].slots arrays for each weight, laid end to end; decays: one truth value for
// each weight, or None where all decay; averages: an array for each weight, or none at all.
void step(int rule, int clip, const py::list& weights, const py::list& gradients,
          const py::list& slots, const std::optional<py::list>& decays, py::handle state,
          const py::list& averages) {
  const size_t count = weights.size();
  if (rule < 0 || rule >= kRuleCount || clip < 0 || clip > int(NormClip::kGlobal))
    throw std::invalid_argument(std::string(kName) + ": unknown rule or clipping");
  const size_t per_weight = size_t(kRules[rule].slots);
  const View state_view = require_view(kName, state);
  if (state_view.dtype != DType::kFloat64 || !is_c_contiguous(state_view))
    throw std::invalid_argument(std::string(kName) + ": the state must be contiguous float64");
  if (gradients.size() != count || slots.size() != count * per_weight ||
      (decays && decays->size() != count) || (averages.size() && averages.size() != count) ||
      size_t(state_view.size()) != kFields)
    throw std::invalid_argument(std::string(kName) + ": lists of different lengths");
  std::vector<Update> updates(count);
  double elements = 0;
  for (size_t i = 0; i < count; ++i) {
    const View weight = block(weights[i]);
    const ptrdiff_t size = weight.size();
    const auto like_weight = [&](py::handle array) -> void* {
      const View v = block(array);
      if (v.dtype != weight.dtype || v.ndim != weight.ndim ||
          !std::equal(v.shape, v.shape + v.ndim, weight.shape))
        throw std::invalid_argument(std::string(kName) +
                                    ": a gradient or slot does not fit its weight");
      return v.data;
    };
    Update& u = updates[i];
    u.dtype = weight.dtype;
    u.size = size;
    u.weight = weight.data;
    u.gradient = like_weight(gradients[i]);
    for (size_t k = 0; k < per_weight; ++k) u.slots[k] = like_weight(slots[i * per_weight + k]);
    u.average = averages.size() ? like_weight(averages[i]) : nullptr;
    u.decays = !decays || (*decays)[i].cast<bool>();
    elements += double(size);
  }
  auto* numbers = reinterpret_cast<OptimizerState*>(state_view.data);
  MaybeReleaseGil release(elements);
  optimizer_step(Rule(rule), NormClip(clip), updates, numbers);
}

}  // namespace

void bind_optimizer(py::module_& m) {
  py::dict rules;
  for (int i = 0; i < kRuleCount; ++i) rules[kRules[i].name] = py::make_tuple(i, kRules[i].slots);
  m.attr("optimizer_rules") = rules;
  py::dict fields;
  for (size_t i = 0; i < std::size(kOptimizerFields); ++i) fields[kOptimizerFields[i]] = i;
  m.attr("optimizer_fields") = fields;
  m.attr("optimizer_state_size") = kFields;
  m.def(kName, &step, py::arg("rule"), py::arg("clip"), py::arg("weights"), py::arg("gradients"),
        py::arg("slots"), py::arg("decays").none(true), py::arg("state"),
        py::arg("averages") = py::list());
}

}  // namespace pydl
