"""JAX, everything jitted; batches are on the device already."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench import data
from bench.frameworks import find

ALIASES = {
    "erf": jax.scipy.special.erf,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
    "rsqrt": jax.lax.rsqrt,
    "softsign": jax.nn.soft_sign,
}

to_numpy = np.asarray


def version() -> str:
    return jax.__version__


def _jitted(f: Callable[..., Any], *args: Any) -> Callable[[], Any]:
    compiled, on_device = jax.jit(f), [jnp.asarray(a) for a in args]
    return lambda: jax.block_until_ready(compiled(*on_device))


def unary(op: str, n: int, low: float, high: float, params: Sequence[float]) -> Any:
    f = find(op, jnp, jax.nn, **ALIASES)
    return None if f is None else _jitted(lambda x: f(x, *params), data.uniform((n,), low, high))


def binary(op: str, a: Sequence[int], b: Sequence[int], low: float, high: float) -> Any:
    f = find(op, jnp)
    operands = data.uniform(a, low, high, 0), data.uniform(b, low, high, 1)
    return None if f is None else _jitted(f, *operands)


def transpose(shape: Sequence[int], axes: Sequence[int]) -> Callable[[], Any]:
    return _jitted(lambda x: x.transpose(axes), data.uniform(shape))


def take(rows: int, columns: int, count: int) -> Callable[[], Any]:
    index = data.indices(rows, count)
    return _jitted(lambda x, i: jnp.take(x, i, axis=0), data.uniform((rows, columns)), index)


def take_train(rows: int, columns: int, count: int) -> Callable[[], Any]:
    def both(x: Any, i: Any, g: Any) -> Any:
        y, pull_back = jax.vjp(lambda x: jnp.take(x, i, axis=0), x)
        return pull_back(g)[0], y

    g = data.uniform((count, columns), seed=1)
    run = _jitted(both, data.uniform((rows, columns)), data.indices(rows, count), g)
    return lambda: run()[0]


def one_hot(n: int, classes: int) -> Callable[[], Any]:
    return _jitted(lambda i: jax.nn.one_hot(i, classes), data.indices(classes, n))


def concat(shape: Sequence[int], axis: int) -> Callable[[], Any]:
    operands = [data.uniform(shape, seed=seed) for seed in (0, 1)]
    return _jitted(lambda a, b: jnp.concatenate([a, b], axis), *operands)


def where(n: int) -> Callable[[], Any]:
    a, b, c = (data.uniform((n,), seed=seed) for seed in (0, 1, 2))
    return _jitted(jnp.where, c > 0, a, b)


def reduce(op: str, shape: Sequence[int], axis: int | None) -> Callable[[], Any]:
    f = getattr(jnp, op)
    return _jitted(lambda x: f(x, axis=axis), data.uniform(shape))


def softmax(op: str, shape: Sequence[int]) -> Callable[[], Any]:
    return _jitted(getattr(jax.nn, op), data.uniform(shape, -5, 5))


def crossentropy(shape: Sequence[int]) -> Callable[[], Any]:
    logits, _, labels = data.classes(shape)

    def loss(x: Any, t: Any) -> Any:
        return -(t * jax.nn.log_softmax(x)).sum(-1).mean()

    return _jitted(jax.grad(loss), logits, labels)


def sparse_crossentropy(shape: Sequence[int]) -> Callable[[], Any]:
    logits, labels, _ = data.classes(shape)

    def loss(x: Any, t: Any) -> Any:
        return -jnp.take_along_axis(jax.nn.log_softmax(x), t[:, None], 1).mean()

    return _jitted(jax.grad(loss), logits, labels)


def _normalized(op: str, x: Any, scale: Any, offset: Any) -> Any:
    axis = -1 if op == "layer_normalization" else 0
    mean, variance = x.mean(axis, keepdims=True), x.var(axis, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + 1e-3) * scale + offset


def normalization(op: str, shape: Sequence[int]) -> Callable[[], Any]:
    operands = data.normalization_operands(shape)[:3]
    return _jitted(lambda *operands: _normalized(op, *operands), *operands)


def normalization_train(op: str, shape: Sequence[int]) -> Callable[[], Any]:
    def train(x: Any, scale: Any, offset: Any, g: Any) -> Any:
        y, gradient = jax.vjp(lambda *operands: _normalized(op, *operands), x, scale, offset)
        return y, *gradient(g)

    run = _jitted(train, *data.normalization_operands(shape))
    return lambda: run()[1]


def matmul(m: int, k: int, n: int, layout: str, batch: int) -> Callable[[], Any]:
    def product(a: Any, b: Any) -> Any:
        return (a if layout[0] == "N" else a.mT) @ (b if layout[1] == "N" else b.mT)

    return _jitted(product, *data.factors(m, k, n, layout, batch))


def sparse_layer(batch: int, inputs: int, per_row: int, units: int, dense: bool) -> Any:
    x = data.bag_of_words(batch, inputs, per_row)
    w, g = data.uniform((inputs, units)), data.uniform((batch, units), seed=1)
    if not dense:
        return None
    compiled = jax.jit(lambda x, w, g: (x @ w, x.T @ g))
    operands = [jnp.asarray(a) for a in (x, w, g)]
    return lambda: jax.block_until_ready(compiled(*operands))[1]


def _conv(x: Any, kernel: Any, stride: int = 1, groups: int = 1) -> Any:
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def conv(x: Sequence[int], filters: int, stride: int) -> Callable[[], Any]:
    return _jitted(lambda a, w: _conv(a, w, stride), *data.conv_operands(x, filters, stride)[:2])


def conv_train(x: Sequence[int], filters: int, stride: int) -> Callable[[], Any]:
    def train(a: Any, w: Any, g: Any) -> Any:
        y, gradient = jax.vjp(lambda a, w: _conv(a, w, stride), a, w)
        return y, *gradient(g)

    run = _jitted(train, *data.conv_operands(x, filters, stride))
    return lambda: run()[2]


def depthwise(x: Sequence[int]) -> Callable[[], Any]:
    kernel = data.uniform((3, 3, x[-1], 1)).transpose(0, 1, 3, 2)
    return _jitted(lambda a, w: _conv(a, w, groups=x[-1]), data.uniform(x), kernel)


def _pooled(x: Any) -> Any:
    return jax.lax.reduce_window(x, -np.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def max_pool(x: Sequence[int]) -> Callable[[], Any]:
    return _jitted(_pooled, data.pool_operands(x)[0])


def max_pool_train(x: Sequence[int]) -> Callable[[], Any]:
    def train(a: Any, g: Any) -> Any:
        y, gradient = jax.vjp(_pooled, a)
        return y, *gradient(g)

    run = _jitted(train, *data.pool_operands(x))
    return lambda: run()[1]


def dense(batch: int, inputs: int, units: int) -> Callable[[], Any]:
    kernel, bias = data.mlp_weights((inputs, units))
    return _jitted(
        lambda x, w, b: jax.nn.relu(x @ w + b), data.uniform((batch, inputs)), kernel, bias
    )


def _mean_squared_error(z: Any, y: Any) -> Any:
    return jnp.square(z - y).mean()


def _binary_crossentropy(z: Any, y: Any) -> Any:
    return (jax.nn.softplus(z) - y * z).mean()


def _categorical_crossentropy(z: Any, y: Any) -> Any:
    return -(y * jax.nn.log_softmax(z)).sum(-1).mean()


_LOSSES = {  # on the values before sigmoid or softmax
    "mean_squared_error": _mean_squared_error,
    "binary_crossentropy": _binary_crossentropy,
    "categorical_crossentropy": _categorical_crossentropy,
}


class _Mlp:
    """Dense layers trained by RMSprop in one jitted function that donates its state."""

    def __init__(self, units: Sequence[int], hidden: str, loss: str):
        self.weights = [jnp.asarray(w) for w in data.mlp_weights(units)]
        self.velocities = [jnp.zeros_like(w) for w in self.weights]
        activation = getattr(jax.nn, hidden)
        criterion = _LOSSES[loss]

        def loss_of(weights: Any, x: Any, y: Any) -> Any:
            for i in range(0, len(weights), 2):
                x = (x if i == 0 else activation(x)) @ weights[i] + weights[i + 1]
            return criterion(x, y)

        def train(weights: Any, velocities: Any, x: Any, y: Any) -> Any:
            value, gradients = jax.value_and_grad(loss_of)(weights, x, y)
            pairs = list(zip(velocities, gradients, strict=True))
            velocities = [data.RHO * v + (1 - data.RHO) * g * g for v, g in pairs]
            weights = [
                w - data.LEARNING_RATE * g / (jnp.sqrt(v) + data.EPSILON)
                for w, v, g in zip(weights, velocities, gradients, strict=True)
            ]
            return weights, velocities, value

        self.train = jax.jit(train, donate_argnums=(0, 1))

    def step(self, x: Any, y: Any) -> Any:
        self.weights, self.velocities, value = self.train(self.weights, self.velocities, x, y)
        return value


def step(units: Sequence[int], hidden: str, output: str, loss: str, batch: int) -> Any:
    model = _Mlp(units, hidden, loss)
    pairs = itertools.cycle(
        [(jnp.asarray(x), jnp.asarray(y)) for x, y in data.batches(units, batch, loss)]
    )
    return lambda: float(model.step(*next(pairs)))


def epoch(units: Sequence[int], hidden: str, output: str, loss: str, batch: int, rows: int) -> Any:
    model, rng = _Mlp(units, hidden, loss), np.random.default_rng(0)
    x, y = data.training_set(units, rows, loss)

    def run() -> float:
        order, losses = rng.permutation(len(x)), []
        for start in range(0, len(x), batch):
            rows = order[start : start + batch]
            losses.append(model.step(x[rows], y[rows]) * len(rows))
        return float(jnp.stack(losses).sum()) / len(x)

    return run
