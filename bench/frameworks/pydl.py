"""pydl, through its public functions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import pydl
from bench import course, data
from bench.frameworks import gradient


def version() -> str:
    return pydl.__version__


def to_numpy(x: Any) -> np.ndarray:
    return np.asarray(x.numpy() if isinstance(x, pydl.Tensor) else x)


def unary(op: str, n: int, low: float, high: float, params: Sequence[float]) -> Callable[[], Any]:
    f, x = getattr(pydl, op), pydl.tensor(data.uniform((n,), low, high))
    return (lambda: f(x, *params)) if params else (lambda: f(x))


def binary(op: str, a: Sequence[int], b: Sequence[int], low: float, high: float) -> Any:
    f = getattr(pydl, op)
    x, y = pydl.tensor(data.uniform(a, low, high, 0)), pydl.tensor(data.uniform(b, low, high, 1))
    return (lambda: x + y) if op == "add" else (lambda: f(x, y))


def recorded_add(n: int) -> Callable[[], Any]:
    x = pydl.tensor(data.uniform((n,), seed=0), requires_grad=True)
    y = pydl.tensor(data.uniform((n,), seed=1), requires_grad=True)
    return lambda: x + y


def transpose(shape: Sequence[int], axes: Sequence[int]) -> Callable[[], Any]:
    x = pydl.permute_dims(pydl.tensor(data.uniform(shape)), axes)
    return lambda: x.copy()


def take(rows: int, columns: int, count: int) -> Callable[[], Any]:
    x, index = pydl.tensor(data.uniform((rows, columns))), data.indices(rows, count)
    return lambda: pydl.take(x, index, axis=0)


def take_train(rows: int, columns: int, count: int) -> Callable[[], Any]:
    x = pydl.tensor(data.uniform((rows, columns)), requires_grad=True)
    index, g = data.indices(rows, count), pydl.tensor(data.uniform((count, columns), seed=1))
    return gradient([x], lambda: pydl.take(x, index, axis=0), g)


def one_hot(n: int, classes: int) -> Callable[[], Any]:
    index = pydl.tensor(data.indices(classes, n))
    return lambda: pydl.one_hot(index, classes)


def concat(shape: Sequence[int], axis: int) -> Callable[[], Any]:
    operands = [pydl.tensor(data.uniform(shape, seed=seed)) for seed in (0, 1)]
    return lambda: pydl.concat(operands, axis=axis)


def where(n: int) -> Callable[[], Any]:
    a, b, c = (pydl.tensor(data.uniform((n,), seed=seed)) for seed in (0, 1, 2))
    positive = c > 0
    return lambda: pydl.where(positive, a, b)


def reduce(op: str, shape: Sequence[int], axis: int | None) -> Callable[[], Any]:
    f, x = getattr(pydl, op), pydl.tensor(data.uniform(shape))
    return lambda: f(x, axis=axis)


def softmax(op: str, shape: Sequence[int]) -> Callable[[], Any]:
    f, x = getattr(pydl, op), pydl.tensor(data.uniform(shape, -5, 5))
    return lambda: f(x)


def crossentropy(shape: Sequence[int]) -> Callable[[], Any]:
    logits, _, labels = data.classes(shape)
    x, t = pydl.tensor(logits, requires_grad=True), pydl.tensor(labels)
    f = pydl.categorical_crossentropy_with_logits
    return gradient([x], lambda: pydl.mean(f(t, x)))


def sparse_crossentropy(shape: Sequence[int]) -> Callable[[], Any]:
    logits, labels, _ = data.classes(shape)
    x, f = pydl.tensor(logits, requires_grad=True), pydl.sparse_categorical_crossentropy_with_logits
    return gradient([x], lambda: pydl.mean(f(labels, x)))


def _normalized(op: str, *operands: pydl.Tensor) -> pydl.Tensor:
    if op == "layer_normalization":
        return pydl.layer_normalization(*operands)
    return pydl.batch_normalization(*operands)[0]


def normalization(op: str, shape: Sequence[int]) -> Callable[[], Any]:
    operands = [pydl.tensor(a) for a in data.normalization_operands(shape)[:3]]
    return lambda: _normalized(op, *operands)


def normalization_train(op: str, shape: Sequence[int]) -> Callable[[], Any]:
    *arrays, g = data.normalization_operands(shape)
    leaves = [pydl.tensor(a, requires_grad=True) for a in arrays]
    return gradient(leaves, lambda: _normalized(op, *leaves), pydl.tensor(g))


def matmul(m: int, k: int, n: int, layout: str, batch: int) -> Callable[[], Any]:
    a, b = map(pydl.tensor, data.factors(m, k, n, layout, batch))
    a = a if layout[0] == "N" else a.mT
    b = b if layout[1] == "N" else b.mT
    return lambda: a @ b


def sparse_layer(
    batch: int, inputs: int, per_row: int, units: int, dense: bool
) -> Callable[[], Any]:
    x = pydl.sparse.csr(data.bag_of_words(batch, inputs, per_row))
    w = pydl.tensor(data.uniform((inputs, units)), requires_grad=True)
    g = pydl.tensor(data.uniform((batch, units), seed=1))
    return gradient([w], lambda: x @ w, g)


def dense(batch: int, inputs: int, units: int) -> Callable[[], Any]:
    x = pydl.tensor(data.uniform((batch, inputs)))
    kernel, bias = map(pydl.tensor, data.mlp_weights((inputs, units)))
    return lambda: pydl.dense(x, kernel, bias, activation="relu")


def conv(x: Sequence[int], filters: int, stride: int) -> Callable[[], Any]:
    images, kernel, _ = map(pydl.tensor, data.conv_operands(x, filters, stride))
    return lambda: pydl.conv(images, kernel, stride, "same")


def conv_train(x: Sequence[int], filters: int, stride: int) -> Callable[[], Any]:
    arrays = data.conv_operands(x, filters, stride)
    images, kernel = (pydl.tensor(a, requires_grad=True) for a in arrays[:2])
    g = pydl.tensor(arrays[2])
    return gradient([kernel, images], lambda: pydl.conv(images, kernel, stride, "same"), g)


def depthwise(x: Sequence[int]) -> Callable[[], Any]:
    images, kernel = (pydl.tensor(data.uniform(s)) for s in (x, (3, 3, x[-1], 1)))
    return lambda: pydl.depthwise_conv(images, kernel, padding="same")


def max_pool(x: Sequence[int]) -> Callable[[], Any]:
    images = pydl.tensor(data.pool_operands(x)[0])
    return lambda: pydl.max_pool(images, 2)


def max_pool_train(x: Sequence[int]) -> Callable[[], Any]:
    images, g = data.pool_operands(x)
    tx = pydl.tensor(images, requires_grad=True)
    return gradient([tx], lambda: pydl.max_pool(tx, 2), pydl.tensor(g))


def _model(units: Sequence[int], hidden: str, output: str, loss: str, metrics: list[str]) -> Any:
    from pydl import layers, models, optimizers

    activations = [hidden] * (len(units) - 2) + [output]
    model = models.Sequential(
        [
            layers.Input((units[0],)),
            *(layers.Dense(n, activation=a) for n, a in zip(units[1:], activations, strict=True)),
        ]
    )
    optimizer = optimizers.RMSprop(data.LEARNING_RATE, rho=data.RHO, epsilon=data.EPSILON)
    model.compile(optimizer=optimizer, loss=loss, metrics=metrics)
    model.set_weights(data.mlp_weights(units))
    return model


def step(units: Sequence[int], hidden: str, output: str, loss: str, batch: int) -> Any:
    model = _model(units, hidden, output, loss, [])
    pairs = itertools.cycle(data.batches(units, batch, loss))
    return lambda: model.train_on_batch(*next(pairs))


def course_task(name: str) -> Callable[[], float] | None:
    from pydl import layers, models  # noqa: F401  (attributes of pydl from now on)

    return course.task(pydl, name)


def epoch(units: Sequence[int], hidden: str, output: str, loss: str, batch: int, rows: int) -> Any:
    model = _model(units, hidden, output, loss, ["accuracy"])
    x, y = data.training_set(units, rows, loss)
    return lambda: model.fit(x, y, batch_size=batch, epochs=1, verbose=0).history["loss"][-1]
