#include "runtime/plan_text.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "kernels/conv.h"
#include "kernels/elementwise.h"
#include "kernels/gather.h"
#include "kernels/gemm.h"
#include "kernels/nn.h"
#include "kernels/optimizer.h"
#include "kernels/pool.h"
#include "kernels/random.h"
#include "kernels/reduce.h"
#include "kernels/sparse.h"
#include "kernels/zero_skip.h"
#include "runtime/dispatch.h"
#include "runtime/elementwise.h"

namespace pydl {
namespace {

using Names = std::unordered_map<const void*, std::string>;

template <class F>
const void* key(F* function) {
  return reinterpret_cast<const void*>(function);
}

// Functions that stand in the table of kernels.
Names table_names() {
  Names found;
  const KernelTable& k = kernels();
  const auto add = [&](const auto& functions, const std::string& name) {
    for (auto* f : functions)
      if (f) found.emplace(key(f), name);
  };
  const auto add_one = [&](auto* f, const char* name) { found.emplace(key(f), name); };
  for (int i = 0; i < k.elementwise.unary_count; ++i) {
    const UnaryEntry& e = k.elementwise.unary[i];
    add(e.forward, e.info.name);
    add(e.backward, std::string(e.info.name) + " gradient");
  }
  for (int i = 0; i < k.elementwise.binary_count; ++i) {
    const BinaryEntry& e = k.elementwise.binary[i];
    add(e.forward, e.info.name);
    add(e.grad_a, std::string(e.info.name) + " gradient");
    add(e.grad_b, std::string(e.info.name) + " gradient");
  }
  add(k.elementwise.where, "where");
  add(k.gemm.tiles, "matmul");
  add(k.gemm.rows, "matmul, one column");
  add(k.gemm.pack, "matmul, pack");
  add(k.gemm.combine, "matmul, add segments");
  for (int i = 0; i < k.reduce.count; ++i) {
    const ReduceEntry& e = k.reduce.entries[i];
    for (const ReduceLoops& loops : e.loops) {
      const std::string name = e.info.name;
      add(std::initializer_list<RangeFn>{loops.rows}, name);
      add(std::initializer_list<RangeFn>{loops.chunks, loops.blocks}, name + " of parts");
      add(std::initializer_list<RangeFn>{loops.join}, name + ", join parts");
    }
  }
  add(k.reduce.cumulative_sum, "cumulative_sum");
  add(k.nn.softmax, "softmax");
  add(k.nn.log_softmax, "log_softmax");
  add(k.nn.softmax_grad, "softmax gradient");
  add(k.nn.log_softmax_grad, "log_softmax gradient");
  add(k.nn.sparse_cross_entropy, "sparse crossentropy");
  add(k.nn.dense_cross_entropy, "crossentropy");
  add(k.nn.sparse_cross_entropy_grad, "sparse crossentropy gradient");
  add(k.nn.dense_cross_entropy_grad, "crossentropy gradient");
  add(k.nn.binary_cross_entropy, "binary crossentropy");
  add(k.nn.binary_cross_entropy_grad, "binary crossentropy gradient");
  add(k.nn.column_moments, "moments of columns");
  add(k.nn.merge_moments, "moments, join parts");
  add(k.nn.normalization_scale, "normalization scale");
  add(k.nn.normalize, "normalize");
  add(k.nn.batch_norm_grad_sums, "batch_normalization sums");
  add(k.nn.layer_norm_grad_sums, "layer_normalization sums");
  add(k.nn.merge_grad_sums, "normalization sums, join parts");
  add(k.nn.batch_norm_coefficients, "batch_normalization coefficients");
  add(k.nn.batch_norm_grad, "batch_normalization gradient");
  add(k.nn.layer_norm, "layer_normalization");
  add(k.nn.layer_norm_grad, "layer_normalization gradient");
  add_one(k.gather.take, "take");
  add(k.gather.scatter_add, "scatter_add");
  add_one(k.gather.one_hot, "one_hot");
  add(k.random.uniform, "random uniform");
  add(k.random.normal, "random normal");
  add(k.random.truncated_normal, "random truncated_normal");
  add(k.random.dropout, "dropout");
  add(k.random.categorical, "random categorical");
  for (int rule = 0; rule < kRuleCount; ++rule)
    add(k.optimizer.update[rule], std::string("update by ") + kRules[rule].name);
  add(k.optimizer.square_sum, "norms of gradients");
  add(k.sparse.product, "sparse matmul");
  add_one(k.sparse.bounds, "sparse matmul gradient, bounds");
  add(k.sparse.gradient, "sparse matmul gradient");
  add(k.zero_skip.steps, "matmul without zeros, steps");
  add(k.zero_skip.product, "matmul without zeros");
  add_one(k.conv.frame, "conv, frame of zeros");
  add(k.conv.conv, "conv");
  add(k.conv.conv_weights, "conv gradient of kernel");
  add(k.conv.depthwise, "depthwise_conv");
  add(k.conv.depthwise_weights, "depthwise_conv gradient of kernel");
  add(k.pool.max, "max_pool");
  add(k.pool.average, "average_pool");
  add(k.pool.max_grad, "max_pool gradient");
  add(k.pool.average_grad, "average_pool gradient");
  return found;
}

// "Ticket" of a text with "... Args = pydl::{anonymous}::TicketArgs]".
std::string short_type(std::string_view text) {
  text.remove_prefix(std::min(text.size(), text.find("Args = ") + 7));
  text = text.substr(0, text.find_first_of(";]"));
  if (const size_t at = text.rfind(':'); at != text.npos) text.remove_prefix(at + 1);
  if (text.ends_with("Args")) text.remove_suffix(4);
  std::string name;
  for (char c : text) {
    if (c >= 'A' && c <= 'Z') {
      if (!name.empty()) name += ' ';
      c = char(c - 'A' + 'a');
    }
    name += c;
  }
  return name;
}

void set_work(const RecordedLaunch& launch, LaunchText& text) {
  const KernelTable& k = kernels();
  const double items = double(launch.items);
  for (int type = 0; type < kFloatTypes; ++type) {
    const double item = type == 0 ? 4 : 8;
    if (launch.fn == k.gemm.tiles[type] || launch.fn == k.gemm.rows[type]) {
      const auto& g = *static_cast<const GemmArgs*>(launch.args);
      double products = 1;
      for (int axis = 0; axis < g.batch_axes; ++axis) products *= double(g.batch_shape[axis]);
      const double m = double(g.m), n = double(g.n), p = double(g.k);
      text.flops = 2 * products * m * n * p;
      text.bytes = item * products * (m * p + p * n + m * n);
    }
    for (int rule = 0; rule < kRuleCount; ++rule)
      if (launch.fn == k.optimizer.update[rule][type])
        text.bytes = items * item * (3 + 2 * kRules[rule].slots);
  }
  if (launch.fn == k.gather.take)
    text.bytes = 2 * items * double(static_cast<const TakeArgs*>(launch.args)->slice_bytes);
}

}  // namespace

std::vector<LaunchText> describe(const Plan& plan) {
  static const Names names = table_names();
  std::vector<LaunchText> found;
  plan.for_each([&](const RecordedLaunch& launch) {
    LaunchText& text = found.emplace_back();
    text.items = launch.items;
    text.merged = launch.merged;
    text.chunks = (launch.items + launch.grain - 1) / launch.grain;
    if (launch.every) {
      text.name = "every " + std::to_string(launch.every->every) + " steps";
      return;
    }
    if (!launch.fn) {
      text.name = "check " + short_type(launch.type);
      return;
    }
    const void* function = key(launch.fn);
    if (const auto loop = elementwise_loop(launch.fn, launch.args)) {
      function = key(loop->loop);
      text.bytes = loop->bytes;
    } else {
      set_work(launch, text);
    }
    const auto name = names.find(function);
    text.name = name != names.end() ? name->second : short_type(launch.type);
    if (text.name == "elementwise") text.name = "copy";
  });
  return found;
}

}  // namespace pydl
