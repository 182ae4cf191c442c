"""NumPy: its ufuncs, and training written out by hand."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bench import data
from bench.frameworks import find

to_numpy = np.asarray


def version() -> str:
    return np.__version__


def _relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def unary(op: str, n: int, low: float, high: float, params: Sequence[float]) -> Any:
    f, x = find(op, np, relu=_relu, sigmoid=_sigmoid), data.uniform((n,), low, high)
    return None if f is None else lambda: f(x, *params)


def binary(op: str, a: Sequence[int], b: Sequence[int], low: float, high: float) -> Any:
    f, x, y = find(op, np), data.uniform(a, low, high, 0), data.uniform(b, low, high, 1)
    if op == "add":
        return lambda: x + y
    return None if f is None else lambda: f(x, y)


def transpose(shape: Sequence[int], axes: Sequence[int]) -> Callable[[], Any]:
    x = data.uniform(shape).transpose(axes)
    return lambda: np.ascontiguousarray(x)


def take(rows: int, columns: int, count: int) -> Callable[[], Any]:
    x, index = data.uniform((rows, columns)), data.indices(rows, count)
    return lambda: np.take(x, index, axis=0)


def take_train(rows: int, columns: int, count: int) -> Callable[[], Any]:
    index, g = data.indices(rows, count), data.uniform((count, columns), seed=1)

    def run() -> np.ndarray:
        total = np.zeros((rows, columns), np.float32)
        np.add.at(total, index, g)
        return total

    return run


def one_hot(n: int, classes: int) -> Callable[[], Any]:
    index, ones = data.indices(classes, n), np.eye(classes, dtype=np.float32)
    return lambda: ones[index]


def concat(shape: Sequence[int], axis: int) -> Callable[[], Any]:
    operands = [data.uniform(shape, seed=seed) for seed in (0, 1)]
    return lambda: np.concatenate(operands, axis)


def where(n: int) -> Callable[[], Any]:
    a, b, c = (data.uniform((n,), seed=seed) for seed in (0, 1, 2))
    positive = c > 0
    return lambda: np.where(positive, a, b)


def reduce(op: str, shape: Sequence[int], axis: int | None) -> Callable[[], Any]:
    f, x = getattr(np, op), data.uniform(shape)
    return lambda: f(x, axis=axis)


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    e /= e.sum(-1, keepdims=True)
    return e


def _log_softmax(x: np.ndarray) -> np.ndarray:
    z = x - x.max(-1, keepdims=True)
    z -= np.log(np.exp(z).sum(-1, keepdims=True))
    return z


def softmax(op: str, shape: Sequence[int]) -> Callable[[], Any]:
    f = {"softmax": _softmax, "log_softmax": _log_softmax}[op]
    x = data.uniform(shape, -5, 5)
    return lambda: f(x)


def matmul(m: int, k: int, n: int, layout: str, batch: int) -> Callable[[], Any]:
    a, b = data.factors(m, k, n, layout, batch)
    a = a if layout[0] == "N" else np.swapaxes(a, -1, -2)
    b = b if layout[1] == "N" else np.swapaxes(b, -1, -2)
    return lambda: a @ b


def sparse_layer(batch: int, inputs: int, per_row: int, units: int, dense: bool) -> Any:
    x = data.bag_of_words(batch, inputs, per_row)
    w, g = data.uniform((inputs, units)), data.uniform((batch, units), seed=1)
    if not dense:
        try:
            from scipy import sparse
        except ImportError:
            return None
        x = sparse.csr_array(x)
    return lambda: (x @ w, x.T @ g)[1]


def dense(batch: int, inputs: int, units: int) -> Callable[[], Any]:
    x = data.uniform((batch, inputs))
    kernel, bias = data.mlp_weights((inputs, units))

    def run() -> np.ndarray:
        y = x @ kernel
        y += bias
        return np.maximum(y, 0, out=y)

    return run


_ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": _relu,
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "softmax": _softmax,
    "linear": lambda x: x,
}


class _Mlp:
    """Dense layers trained by RMSprop; an update reuses its buffers."""

    def __init__(self, units: Sequence[int], hidden: str, output: str, loss: str):
        self.hidden, self.output, self.loss = hidden, output, loss
        self.weights = data.mlp_weights(units)
        self.velocities = [np.zeros_like(w) for w in self.weights]
        self.scratch = [np.empty_like(w) for w in self.weights]

    def step(self, x: np.ndarray, y: np.ndarray) -> float:
        w, layers = self.weights, len(self.weights) // 2
        values = [x]
        for i in range(layers):
            z = values[-1] @ w[2 * i]
            z += w[2 * i + 1]
            values.append(_ACTIVATIONS[self.output if i + 1 == layers else self.hidden](z))
        p = values[-1]
        value = self._loss(p, y)
        g = p - y  # of sigmoid and softmax with their cross-entropies, and of half the square
        g *= (2 if self.loss == "mean_squared_error" else 1) / len(x)
        for i in reversed(range(layers)):
            kernel_gradient, bias_gradient = values[i].T @ g, g.sum(0)
            if i:
                g = g @ w[2 * i].T
                h = values[i]
                g *= h > 0 if self.hidden == "relu" else 1 - h * h
            self._update(2 * i, kernel_gradient)
            self._update(2 * i + 1, bias_gradient)
        return value

    def _loss(self, p: np.ndarray, y: np.ndarray) -> float:
        if self.loss == "mean_squared_error":
            return float(np.square(p - y).mean())
        p = np.clip(p, data.EPSILON, 1 - data.EPSILON)
        if self.loss == "binary_crossentropy":
            return float(-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean())
        return float(-(y * np.log(p)).sum() / len(y))

    def _update(self, i: int, g: np.ndarray) -> None:
        v, t = self.velocities[i], self.scratch[i]
        v *= data.RHO
        np.multiply(g, g, out=t)
        t *= 1 - data.RHO
        v += t
        np.sqrt(v, out=t)
        t += data.EPSILON
        np.divide(g, t, out=t)
        t *= data.LEARNING_RATE
        self.weights[i] -= t


def step(units: Sequence[int], hidden: str, output: str, loss: str, batch: int) -> Any:
    model = _Mlp(units, hidden, output, loss)
    pairs = itertools.cycle(data.batches(units, batch, loss))
    return lambda: model.step(*next(pairs))


def epoch(units: Sequence[int], hidden: str, output: str, loss: str, batch: int, rows: int) -> Any:
    model, rng = _Mlp(units, hidden, output, loss), np.random.default_rng(0)
    x, y = data.training_set(units, rows, loss)

    def run() -> float:
        order, total = rng.permutation(len(x)), 0.0
        for start in range(0, len(x), batch):
            rows = order[start : start + batch]
            total += model.step(x[rows], y[rows]) * len(rows)
        return total / len(x)

    return run
