// Softmax, cross-entropy, normalisation, gather and random numbers from Python.
//
// The callers in pydl/ops and pydl/random.py check shapes and values and write the messages for
// users, but for the range of indices; what is checked here keeps a wrong call from touching
// memory.
#include <algorithm>
#include <optional>
#include <string>

#include "bind_input.h"
#include "runtime/elementwise.h"
#include "runtime/metrics.h"
#include "runtime/nn.h"
#include "runtime/random.h"
#include "runtime/shape.h"

namespace py = pybind11;

namespace pydl {
namespace {

bool same_shape(const View& a, const View& b) {
  return a.ndim == b.ndim && std::equal(a.shape, a.shape + a.ndim, b.shape);
}

// A float array of the shape of `like`.
Input matching(const char* who, py::handle object, const View& like) {
  Input x = floats(who, object, &like);
  if (!same_shape(x, like)) fail(who, "shapes differ");
  return x;
}

// A float vector of n elements; any shape of that size will do.
Input vector_of(const char* who, py::handle object, const View& like, ptrdiff_t n) {
  Input x = floats(who, object, &like);
  if (x->size() != n) fail(who, "a vector has the wrong length");
  return x;
}

std::optional<Input> optional_vector(const char* who, py::handle object, const View& like,
                                     ptrdiff_t n) {
  if (object.is_none()) return std::nullopt;
  return vector_of(who, object, like, n);
}

const View* pointer(const std::optional<Input>& x) { return x ? x->get() : nullptr; }

// A float array whose last axis is the rows'.
Input rows(const char* who, py::handle object) {
  Input x = floats(who, object);
  if (x->ndim == 0) fail(who, "needs at least one axis");
  return x;
}

ptrdiff_t columns_of(const View& x) { return x.shape[x.ndim - 1]; }

py::object like(const View& x, View& y) { return new_array(x.dtype, x.ndim, x.shape, y); }
py::object one_per_row(const View& x, View& y) {
  return new_array(x.dtype, x.ndim - 1, x.shape, y);
}
py::object vector(const View& x, ptrdiff_t n, View& y) { return new_array(x.dtype, 1, &n, y); }

bool is_integer(DType t) { return t != DType::kBool && !is_float(t); }

// One integer in [0, classes) a row.
Input labels_of(const char* who, py::handle object, const View& logits) {
  Input labels(who, object);
  if (!is_integer(labels->dtype)) throw py::type_error(std::string(who) + ": needs integer labels");
  if (columns_of(logits) == 0) fail(who, "needs a class or more");
  if (labels->size() * columns_of(logits) != logits.size()) fail(who, "needs one label a row");
  check_labels(who, labels, columns_of(logits));
  return labels;
}

// One float a row of `like`.
Input per_row(const char* who, py::handle object, const View& like) {
  Input x = floats(who, object, &like);
  if (x->size() * columns_of(like) != like.size()) fail(who, "needs one value a row");
  return x;
}

void bind_softmax(py::module_& m) {
  for (const bool log : {false, true}) {
    const char* name = log ? "log_softmax" : "softmax";
    m.def(
        name,
        [name, log](py::handle x_object) {
          const Input x = rows(name, x_object);
          View y;
          py::object result = like(x, y);
          without_gil(8.0 * double(x->size()), [&] { softmax(x, log, y); });
          return result;
        },
        py::arg("x"));
    const char* gradient = log ? "log_softmax_backward" : "softmax_backward";
    m.def(
        gradient,
        [gradient, log](py::handle g_object, py::handle y_object) {
          const Input y = rows(gradient, y_object), g = matching(gradient, g_object, y);
          View dx;
          py::object result = like(y, dx);
          without_gil(4.0 * double(y->size()), [&] { softmax_grad(g, y, log, dx); });
          return result;
        },
        py::arg("g"), py::arg("y"));
  }
}

void bind_cross_entropy(py::module_& m) {
  m.def(
      "check_labels",
      [](py::handle object, ptrdiff_t classes, const char* who) {
        const Input labels(who, object);
        if (!is_integer(labels->dtype))
          throw py::type_error(std::string(who) + ": needs integer labels");
        check_labels(who, labels, classes);
      },
      py::arg("labels"), py::arg("classes"), py::arg("who"));
  m.def(
      "check_ids",
      [](py::handle object, ptrdiff_t input_dim, const char* who) {
        const Input ids(who, object);
        if (!is_integer(ids->dtype)) throw py::type_error(std::string(who) + ": needs integer ids");
        check_ids(who, ids, input_dim);
      },
      py::arg("ids"), py::arg("input_dim"), py::arg("who"));

  // -> (loss, probabilities); `who` speaks in the message about a label out of range
  m.def(
      "sparse_crossentropy",
      [](py::handle labels_object, py::handle x, const char* who) {
        const Input logits = rows(who, x), labels = labels_of(who, labels_object, logits);
        View loss, probabilities;
        py::object losses = one_per_row(logits, loss), saved = like(logits, probabilities);
        without_gil(8.0 * double(logits->size()),
                    [&] { sparse_cross_entropy(labels, logits, loss, probabilities); });
        return std::pair(losses, saved);
      },
      py::arg("labels"), py::arg("logits"), py::arg("who"));
  m.def(
      "sparse_crossentropy_backward",
      [](py::handle g_object, py::handle p, py::handle l) {
        const char* who = "sparse_crossentropy_backward";
        const Input probabilities = rows(who, p), labels = labels_of(who, l, probabilities);
        const Input g = per_row(who, g_object, probabilities);
        View dx;
        py::object result = like(probabilities, dx);
        without_gil(double(dx.size()),
                    [&] { sparse_cross_entropy_grad(g, probabilities, labels, dx); });
        return result;
      },
      py::arg("g"), py::arg("probabilities"), py::arg("labels"));

  // -> (loss, probabilities, sums of the labels)
  m.def(
      "crossentropy",
      [](py::handle labels_object, py::handle x) {
        const char* who = "crossentropy";
        const Input logits = rows(who, x), labels = matching(who, labels_object, logits);
        if (columns_of(logits) == 0) fail(who, "needs a class or more");
        View loss, probabilities, sums;
        py::object losses = one_per_row(logits, loss), saved = like(logits, probabilities);
        py::object label_sums = one_per_row(logits, sums);
        without_gil(8.0 * double(logits->size()),
                    [&] { cross_entropy(labels, logits, loss, probabilities, sums); });
        return std::tuple(losses, saved, label_sums);
      },
      py::arg("labels"), py::arg("logits"));
  m.def(
      "crossentropy_backward",
      [](py::handle g_object, py::handle p, py::handle l, py::handle s) {
        const char* who = "crossentropy_backward";
        const Input probabilities = rows(who, p), labels = matching(who, l, probabilities);
        const Input g = per_row(who, g_object, probabilities);
        const Input sums = per_row(who, s, probabilities);
        View dx;
        py::object result = like(probabilities, dx);
        without_gil(double(dx.size()),
                    [&] { cross_entropy_grad(g, probabilities, labels, sums, dx); });
        return result;
      },
      py::arg("g"), py::arg("probabilities"), py::arg("labels"), py::arg("label_sums"));

  m.def(
      "binary_crossentropy",
      [](py::handle labels_object, py::handle x) {
        const char* who = "binary_crossentropy";
        const Input logits = floats(who, x), labels = matching(who, labels_object, logits);
        View loss;
        py::object result = like(logits, loss);
        without_gil(8.0 * double(loss.size()), [&] { binary_cross_entropy(labels, logits, loss); });
        return result;
      },
      py::arg("labels"), py::arg("logits"));
  m.def(
      "binary_crossentropy_backward",
      [](py::handle g_object, py::handle t, py::handle x) {
        const char* who = "binary_crossentropy_backward";
        const Input logits = floats(who, x), labels = matching(who, t, logits);
        const Input g = matching(who, g_object, logits);
        View dx;
        py::object result = like(logits, dx);
        without_gil(4.0 * double(dx.size()),
                    [&] { binary_cross_entropy_grad(g, labels, logits, dx); });
        return result;
      },
      py::arg("g"), py::arg("labels"), py::arg("logits"));
}

void bind_normalization(py::module_& m) {
  // over the last axis's columns -> (y, mean, variance)
  m.def(
      "batch_normalization",
      [](py::handle x_object, py::handle gamma_object, py::handle beta_object, double epsilon) {
        const char* who = "batch_normalization";
        const Input x = rows(who, x_object);
        const ptrdiff_t n = columns_of(x);
        if (x->size() == 0) fail(who, "needs at least one row");
        const auto gamma = optional_vector(who, gamma_object, x, n);
        const auto beta = optional_vector(who, beta_object, x, n);
        View y, mean, variance;
        py::object result = like(x, y), means = vector(x, n, mean),
                   variances = vector(x, n, variance);
        without_gil(3.0 * double(x->size()), [&] {
          batch_norm(x, pointer(gamma), pointer(beta), epsilon, y, mean, variance);
        });
        return std::tuple(result, means, variances);
      },
      py::arg("x"), py::arg("gamma").none(true), py::arg("beta").none(true), py::arg("epsilon"));
  // -> (dx, dgamma, dbeta)
  m.def(
      "batch_normalization_backward",
      [](py::handle g_object, py::handle x_object, py::handle mu, py::handle var,
         py::handle gamma_object, double epsilon) {
        const char* who = "batch_normalization_backward";
        const Input x = rows(who, x_object), g = matching(who, g_object, x);
        const ptrdiff_t n = columns_of(x);
        if (x->size() == 0) fail(who, "needs at least one row");
        const Input mean = vector_of(who, mu, x, n), variance = vector_of(who, var, x, n);
        const auto gamma = optional_vector(who, gamma_object, x, n);
        View dx, dgamma, dbeta;
        py::object result = like(x, dx), dgammas = vector(x, n, dgamma),
                   dbetas = vector(x, n, dbeta);
        without_gil(3.0 * double(x->size()), [&] {
          batch_norm_grad(g, x, mean, variance, pointer(gamma), epsilon, dx, dgamma, dbeta);
        });
        return std::tuple(result, dgammas, dbetas);
      },
      py::arg("g"), py::arg("x"), py::arg("mean"), py::arg("variance"), py::arg("gamma").none(true),
      py::arg("epsilon"));
  // with a given mean and variance of the columns
  m.def(
      "normalize",
      [](py::handle x_object, py::handle mu, py::handle var, py::handle gamma_object,
         py::handle beta_object, double epsilon) {
        const char* who = "normalize";
        const Input x = rows(who, x_object);
        const ptrdiff_t n = columns_of(x);
        const Input mean = vector_of(who, mu, x, n), variance = vector_of(who, var, x, n);
        const auto gamma = optional_vector(who, gamma_object, x, n);
        const auto beta = optional_vector(who, beta_object, x, n);
        View y;
        py::object result = like(x, y);
        without_gil(double(x->size()), [&] {
          if (x->size()) normalize(x, mean, variance, pointer(gamma), pointer(beta), epsilon, y);
        });
        return result;
      },
      py::arg("x"), py::arg("mean"), py::arg("variance"), py::arg("gamma").none(true),
      py::arg("beta").none(true), py::arg("epsilon"));

  // over rows of n elements -> (y, mean, rstd)
  m.def(
      "layer_normalization",
      [](py::handle x_object, ptrdiff_t n, py::handle gamma_object, py::handle beta_object,
         double epsilon) {
        const char* who = "layer_normalization";
        const Input x = floats(who, x_object);
        if (n < 1 || x->size() % n) fail(who, "rows do not fit the array");
        const auto gamma = optional_vector(who, gamma_object, x, n);
        const auto beta = optional_vector(who, beta_object, x, n);
        View y, mean, rstd;
        const ptrdiff_t count = x->size() / n;
        py::object result = like(x, y), means = vector(x, count, mean),
                   rstds = vector(x, count, rstd);
        without_gil(3.0 * double(x->size()), [&] {
          layer_norm(x, n, pointer(gamma), pointer(beta), epsilon, y, mean, rstd);
        });
        return std::tuple(result, means, rstds);
      },
      py::arg("x"), py::arg("n"), py::arg("gamma").none(true), py::arg("beta").none(true),
      py::arg("epsilon"));
  // -> (dx, dgamma, dbeta); None for the latter two unless wanted
  m.def(
      "layer_normalization_backward",
      [](py::handle g_object, py::handle x_object, ptrdiff_t n, py::handle mu,
         py::handle rstd_object, py::handle gamma_object, bool parameters) {
        const char* who = "layer_normalization_backward";
        const Input x = floats(who, x_object), g = matching(who, g_object, x);
        if (n < 1 || x->size() % n) fail(who, "rows do not fit the array");
        const ptrdiff_t count = x->size() / n;
        const Input mean = vector_of(who, mu, x, count),
                    rstd = vector_of(who, rstd_object, x, count);
        const auto gamma = optional_vector(who, gamma_object, x, n);
        View dx, dgamma, dbeta;
        py::object result = like(x, dx), dgammas = py::none(), dbetas = py::none();
        if (parameters) {
          dgammas = vector(x, n, dgamma);
          dbetas = vector(x, n, dbeta);
        }
        without_gil(4.0 * double(x->size()), [&] {
          layer_norm_grad(g, x, n, mean, rstd, pointer(gamma), dx, parameters ? &dgamma : nullptr,
                          parameters ? &dbeta : nullptr);
        });
        return std::tuple(result, dgammas, dbetas);
      },
      py::arg("g"), py::arg("x"), py::arg("n"), py::arg("mean"), py::arg("rstd"),
      py::arg("gamma").none(true), py::arg("parameters"));
}

// Checked positions on an axis of length n.
Input index_of(const char* who, py::handle object, ptrdiff_t n) {
  Input index(who, object);
  if (index->dtype != DType::kInt32 && index->dtype != DType::kInt64)
    throw py::type_error(std::string(who) + ": indices must be int32 or int64");
  check_indices(who, index, n);
  return index;
}

void bind_gather(py::module_& m) {
  // x[..., index, ...] along axis >= 0; IndexError out of range
  m.def(
      "take",
      [](py::handle x_object, py::handle index_object, int axis) {
        const Input x("take", x_object);
        if (axis < 0 || axis >= x->ndim) fail("take", "no such axis");
        const Input index = index_of("take", index_object, x->shape[axis]);
        if (x->ndim - 1 + index->ndim > kMaxArrayDims) fail("take", "too many axes");
        View shape, y;
        for (int i = 0; i < axis; ++i) shape.shape[shape.ndim++] = x->shape[i];
        for (int i = 0; i < index->ndim; ++i) shape.shape[shape.ndim++] = index->shape[i];
        for (int i = axis + 1; i < x->ndim; ++i) shape.shape[shape.ndim++] = x->shape[i];
        py::object result = new_array(x->dtype, shape.ndim, shape.shape, y, "take");
        without_gil(double(y.size()), [&] { take(x, index, axis, y); });
        return result;
      },
      py::arg("x"), py::arg("index"), py::arg("axis"));

  // The arrays, of one dtype and equal but along `axis`, one after the other.
  m.def(
      "concat",
      [](const std::vector<py::object>& arrays, int axis) {
        std::vector<View> parts;
        for (const py::object& array : arrays) parts.push_back(require_view("concat", array));
        if (parts.empty()) fail("concat", "needs at least one array");
        View shape = parts[0], y;
        if (axis < 0 || axis >= shape.ndim) fail("concat", "no such axis");
        shape.shape[axis] = 0;
        for (const View& part : parts) {
          if (part.dtype != shape.dtype || part.ndim != shape.ndim)
            fail("concat", "needs arrays of one dtype and number of axes");
          for (int i = 0; i < shape.ndim; ++i)
            if (i != axis && part.shape[i] != shape.shape[i]) fail("concat", "shapes differ");
          if (__builtin_add_overflow(shape.shape[axis], part.shape[axis], &shape.shape[axis]))
            fail("concat", "the result has too many elements for memory");
        }
        py::object result = new_array(shape.dtype, shape.ndim, shape.shape, y, "concat");
        without_gil(double(y.size()), [&] { concat(parts, axis, y); });
        return result;
      },
      py::arg("arrays"), py::arg("axis"));

  // y[index[i], ...] = sum of x[i, ...], `rows` rows; the shape of x starts with that of index
  m.def(
      "scatter_add",
      [](py::handle index_object, py::handle x_object, ptrdiff_t count) {
        const char* who = "scatter_add";
        const Input x(who, x_object), index = index_of(who, index_object, count);
        if (x->dtype != DType::kInt32 && x->dtype != DType::kInt64 && !is_float(x->dtype))
          throw py::type_error("scatter_add: needs float32, float64, int32 or int64 values");
        if (x->ndim < index->ndim ||
            !std::equal(index->shape, index->shape + index->ndim, x->shape))
          fail(who, "the shape of the values must start with that of the indices");
        View shape, y;
        shape.shape[shape.ndim++] = count;
        for (int i = index->ndim; i < x->ndim; ++i) shape.shape[shape.ndim++] = x->shape[i];
        py::object result = new_array(x->dtype, shape.ndim, shape.shape, y, who);
        without_gil(double(x->size() + y.size()), [&] { scatter_add(index, x, false, y); });
        return result;
      },
      py::arg("index"), py::arg("x"), py::arg("rows"));

  // a new last axis of `classes`, of the dtype of the array `dtype_of`
  m.def(
      "one_hot",
      [](py::handle index_object, ptrdiff_t classes, py::handle dtype_of) {
        const Input index("one_hot", index_object);
        if (index->dtype != DType::kInt32 && index->dtype != DType::kInt64)
          throw py::type_error("one_hot: indices must be int32 or int64");
        if (classes < 0 || index->ndim + 1 > kMaxArrayDims) fail("one_hot", "no such shape");
        View shape = index, y;
        shape.shape[shape.ndim++] = classes;
        const DType dtype = require_view("one_hot", dtype_of).dtype;
        py::object result = new_array(dtype, shape.ndim, shape.shape, y, "one_hot");
        without_gil(double(y.size()), [&] { one_hot(index, y); });
        return result;
      },
      py::arg("index"), py::arg("classes"), py::arg("dtype_of"));
}

uint64_t* ticket_of(const char* who, py::handle object) {
  const View v = require_view(who, object);
  if (v.dtype != DType::kUInt64 || v.size() != 3 || !is_c_contiguous(v))
    throw py::type_error(std::string(who) + ": a ticket is a uint64 array of three");
  return reinterpret_cast<uint64_t*>(v.data);
}

py::object new_random(const std::vector<ptrdiff_t>& sizes, DType dtype, View& y) {
  return new_array(dtype, int(sizes.size()), sizes.data(), y);
}

void bind_random(py::module_& m) {
  // (seed, stream, step) of the state, whose step goes up by one
  m.def(
      "next_ticket",
      [](py::handle state) {
        const ptrdiff_t n = 3;
        View ticket;
        py::object result = new_array(DType::kUInt64, 1, &n, ticket);
        next_ticket(ticket_of("next_ticket", state), reinterpret_cast<uint64_t*>(ticket.data));
        return result;
      },
      py::arg("state"));

  const auto define = [&m](const char* name, Distribution distribution) {
    m.def(
        name,
        [name, distribution](const std::vector<ptrdiff_t>& shape, bool float64, py::handle ticket,
                             double a, double b) {
          const uint64_t* numbers = ticket_of(name, ticket);
          View y;
          py::object result = new_random(shape, float64 ? DType::kFloat64 : DType::kFloat32, y);
          without_gil(4.0 * double(y.size()), [&] { random_fill(distribution, numbers, a, b, y); });
          return result;
        },
        py::arg("shape"), py::arg("float64"), py::arg("ticket"), py::arg("a"), py::arg("b"));
  };
  define("random_uniform", Distribution::kUniform);
  define("random_normal", Distribution::kNormal);
  define("random_truncated_normal", Distribution::kTruncatedNormal);

  m.def(
      "random_bits",
      [](const std::vector<ptrdiff_t>& shape, bool wide, py::handle ticket) {
        const uint64_t* numbers = ticket_of("random_bits", ticket);
        View y;
        py::object result = new_random(shape, wide ? DType::kUInt64 : DType::kUInt32, y);
        without_gil(2.0 * double(y.size()), [&] { random_bits(numbers, y); });
        return result;
      },
      py::arg("shape"), py::arg("wide"), py::arg("ticket"));

  m.def(
      "random_integers",
      [](const std::vector<ptrdiff_t>& shape, bool wide, py::handle ticket, int64_t low,
         uint64_t span) {
        const uint64_t* numbers = ticket_of("random_integers", ticket);
        View y;
        py::object result = new_random(shape, wide ? DType::kInt64 : DType::kInt32, y);
        without_gil(4.0 * double(y.size()), [&] { random_integers(numbers, low, span, y); });
        return result;
      },
      py::arg("shape"), py::arg("wide"), py::arg("ticket"), py::arg("low"), py::arg("span"));

  m.def(
      "random_categorical",
      [](py::handle logits_object, ptrdiff_t samples, py::handle ticket) {
        const char* who = "random_categorical";
        const Input logits = floats(who, logits_object);
        if (logits->ndim != 2 || logits->shape[1] < 1 || samples < 0) fail(who, "no such shape");
        const uint64_t* numbers = ticket_of(who, ticket);
        const ptrdiff_t shape[] = {logits->shape[0], samples};
        View y;
        py::object result = new_array(DType::kInt64, 2, shape, y);
        without_gil(8.0 * double(logits->size() + y.size()),
                    [&] { random_categorical(numbers, logits, y); });
        return result;
      },
      py::arg("logits"), py::arg("samples"), py::arg("ticket"));

  m.def(
      "random_permutation",
      [](ptrdiff_t n, py::handle ticket) {
        if (n < 0) fail("random_permutation", "n must not be negative");
        const uint64_t* numbers = ticket_of("random_permutation", ticket);
        View y;
        py::object result = new_array(DType::kInt64, 1, &n, y);
        without_gil(8.0 * double(n), [&] { random_permutation(numbers, y); });
        return result;
      },
      py::arg("n"), py::arg("ticket"));

  m.def(
      "dropout",
      [](py::handle x_object, py::handle ticket, double rate) {
        const Input x = floats("dropout", x_object);
        const uint64_t* numbers = ticket_of("dropout", ticket);
        View y;
        py::object result = like(x, y);
        without_gil(4.0 * double(x->size()), [&] { dropout(numbers, x, rate, y); });
        return result;
      },
      py::arg("x"), py::arg("ticket"), py::arg("rate"));
}

// A contiguous vector of n values of this dtype that a kernel writes.
char* state_of(const char* who, py::handle object, DType dtype, ptrdiff_t n) {
  const View v = require_view(who, object);
  if (v.dtype != dtype || v.size() != n || !is_c_contiguous(v)) fail(who, "no such state");
  return v.data;
}

void bind_metrics(py::module_& m) {
  // state, float64 (total, count), takes in the mean of the values
  m.def(
      "add_to_mean",
      [](py::handle values_object, py::handle weights_object, double factor, py::handle state) {
        const char* who = "add_to_mean";
        const Input values = floats(who, values_object);
        std::optional<Input> weights;
        if (!weights_object.is_none()) {
          weights = floats(who, weights_object);
          if ((*weights)->size() != values->size()) fail(who, "needs one weight a value");
        }
        auto* numbers = reinterpret_cast<double*>(state_of(who, state, DType::kFloat64, 2));
        without_gil(2.0 * double(values->size()),
                    [&] { add_to_mean(values, pointer(weights), factor, numbers); });
      },
      py::arg("values"), py::arg("weights").none(true), py::arg("factor"), py::arg("state"));
  // a == b as floats; None for dtypes of b other than bool, int64 and floats
  m.def(
      "matches",
      [](py::handle a_object, py::handle b_object, bool float64) -> py::object {
        const Input a("matches", a_object), b("matches", b_object);
        if (!is_float(b->dtype) && b->dtype != DType::kBool && b->dtype != DType::kInt64)
          return py::none();
        if (!same_shape(a, b)) fail("matches", "shapes differ");
        View y;
        py::object result =
            new_array(float64 ? DType::kFloat64 : DType::kFloat32, a->ndim, a->shape, y);
        without_gil(double(y.size()), [&] { matches(a, b, y); });
        return result;
      },
      py::arg("a"), py::arg("b"), py::arg("float64"));
  // the next n entries of order, int64, from cursor on, an int64 array of one
  m.def(
      "next_rows",
      [](py::handle order_object, py::handle cursor, ptrdiff_t n) {
        const char* who = "next_rows";
        const View order = require_view(who, order_object);
        if (order.dtype != DType::kInt64 || order.ndim != 1 || !is_c_contiguous(order) || n < 0)
          fail(who, "no such order");
        View rows;
        py::object result = new_array(DType::kInt64, 1, &n, rows);
        next_rows(order, reinterpret_cast<int64_t*>(state_of(who, cursor, DType::kInt64, 1)), rows);
        return result;
      },
      py::arg("order"), py::arg("cursor"), py::arg("n"));
}

}  // namespace

void bind_nn(py::module_& m) {
  bind_softmax(m);
  bind_cross_entropy(m);
  bind_normalization(m);
  bind_gather(m);
  bind_random(m);
  bind_metrics(m);
}

}  // namespace pydl
