"""PyTorch, eager; batches are tensors already."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from bench import data
from bench.frameworks import find, gradient

ALIASES = {
    "divide": torch.div,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "hard_sigmoid": F.hardsigmoid,
    "hard_silu": F.hardswish,
    "hard_tanh": F.hardtanh,
    "equal": torch.eq,  # torch.equal compares whole tensors
    "power": torch.pow,
    "reciprocal": torch.reciprocal,
}


def version() -> str:
    return torch.__version__


def to_numpy(x: Any) -> np.ndarray:
    return x.detach().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)


def _uniform(*args: Any) -> torch.Tensor:
    return torch.from_numpy(data.uniform(*args))


def unary(op: str, n: int, low: float, high: float, params: Sequence[float]) -> Any:
    f, x = find(op, torch, F, **ALIASES), _uniform((n,), low, high)
    return None if f is None else lambda: f(x, *params)


def binary(op: str, a: Sequence[int], b: Sequence[int], low: float, high: float) -> Any:
    f, x, y = find(op, torch, **ALIASES), _uniform(a, low, high, 0), _uniform(b, low, high, 1)
    if op == "add":
        return lambda: x + y
    return None if f is None else lambda: f(x, y)


def recorded_add(n: int) -> Callable[[], Any]:
    x, y = (_uniform((n,), -1, 1, seed).requires_grad_() for seed in (0, 1))
    return lambda: x + y


def transpose(shape: Sequence[int], axes: Sequence[int]) -> Callable[[], Any]:
    x = _uniform(shape).permute(*axes)
    return lambda: x.contiguous()


def take(rows: int, columns: int, count: int) -> Callable[[], Any]:
    x, index = _uniform((rows, columns)), torch.from_numpy(data.indices(rows, count))
    return lambda: F.embedding(index, x)


def take_train(rows: int, columns: int, count: int) -> Callable[[], Any]:
    x = _uniform((rows, columns)).requires_grad_()
    index = torch.from_numpy(data.indices(rows, count))
    return gradient([x], lambda: F.embedding(index, x), _uniform((count, columns), -1, 1, 1))


def one_hot(n: int, classes: int) -> Callable[[], Any]:
    index = torch.from_numpy(data.indices(classes, n))
    return lambda: F.one_hot(index, classes).float()


def concat(shape: Sequence[int], axis: int) -> Callable[[], Any]:
    operands = [_uniform(shape, -1, 1, seed) for seed in (0, 1)]
    return lambda: torch.cat(operands, dim=axis)


def where(n: int) -> Callable[[], Any]:
    a, b, c = (_uniform((n,), -1, 1, seed) for seed in (0, 1, 2))
    positive = c > 0
    return lambda: torch.where(positive, a, b)


def reduce(op: str, shape: Sequence[int], axis: int | None) -> Callable[[], Any]:
    x, var = _uniform(shape), functools.partial(torch.var, correction=0)
    f = find(op, torch, max=torch.amax, var=var)
    return (lambda: f(x)) if axis is None else (lambda: f(x, dim=axis))


def softmax(op: str, shape: Sequence[int]) -> Callable[[], Any]:
    f, x = getattr(torch, op), _uniform(shape, -5, 5)
    return lambda: f(x, dim=-1)


def crossentropy(shape: Sequence[int]) -> Callable[[], Any]:
    logits, _, labels = map(torch.from_numpy, data.classes(shape))
    logits.requires_grad_()
    return gradient([logits], lambda: F.cross_entropy(logits, labels))


def sparse_crossentropy(shape: Sequence[int]) -> Callable[[], Any]:
    logits, labels, _ = map(torch.from_numpy, data.classes(shape))
    logits.requires_grad_()
    return gradient([logits], lambda: F.cross_entropy(logits, labels))


def _normalized(op: str, x: torch.Tensor, scale: torch.Tensor, offset: torch.Tensor) -> Any:
    if op == "layer_normalization":
        return F.layer_norm(x, x.shape[1:], scale, offset, 1e-3)
    return F.batch_norm(x, None, None, scale, offset, training=True, eps=1e-3)


def normalization(op: str, shape: Sequence[int]) -> Callable[[], Any]:
    operands = [torch.from_numpy(a) for a in data.normalization_operands(shape)[:3]]
    return lambda: _normalized(op, *operands)


def normalization_train(op: str, shape: Sequence[int]) -> Callable[[], Any]:
    *leaves, g = map(torch.from_numpy, data.normalization_operands(shape))
    for leaf in leaves:
        leaf.requires_grad_()
    return gradient(leaves, lambda: _normalized(op, *leaves), g)


def matmul(m: int, k: int, n: int, layout: str, batch: int) -> Callable[[], Any]:
    a, b = map(torch.from_numpy, data.factors(m, k, n, layout, batch))
    a = a if layout[0] == "N" else a.mT
    b = b if layout[1] == "N" else b.mT
    return lambda: a @ b


def sparse_layer(batch: int, inputs: int, per_row: int, units: int, dense: bool) -> Any:
    x = torch.from_numpy(data.bag_of_words(batch, inputs, per_row))
    w, g = _uniform((inputs, units)), _uniform((batch, units), -1, 1, 1)
    if dense:
        return lambda: (x @ w, x.mT @ g)[1]
    rows, transposed = x.to_sparse_csr(), x.mT.to_sparse_csr()  # the latter for nothing
    return lambda: (rows @ w, transposed @ g)[1]


def dense(batch: int, inputs: int, units: int) -> Callable[[], Any]:
    x = _uniform((batch, inputs))
    kernel, bias = map(torch.from_numpy, data.mlp_weights((inputs, units)))
    weight = kernel.T.contiguous()  # nn.Linear's layout
    return lambda: F.linear(x, weight, bias).relu_()


def _channels_last(a: np.ndarray) -> torch.Tensor:
    """(batch, height, width, channels) as torch sees it: the same memory."""
    return torch.from_numpy(a).permute(0, 3, 1, 2)


def _kernel(a: np.ndarray) -> torch.Tensor:
    kernel = torch.from_numpy(a).permute(3, 2, 0, 1)
    return kernel.contiguous(memory_format=torch.channels_last)


def _conv(x: torch.Tensor, kernel: torch.Tensor, stride: int, groups: int = 1) -> torch.Tensor:
    if stride == 1:
        return F.conv2d(x, kernel, padding=1, groups=groups)
    extra = [max(-(-n // stride) * stride - stride + 3 - n, 0) for n in x.shape[2:]]
    pads = [(e // 2, e - e // 2) for e in extra]  # "same" has more zeros after than before
    return F.conv2d(F.pad(x, (*pads[1], *pads[0])), kernel, stride=stride)


def conv(x: Sequence[int], filters: int, stride: int) -> Callable[[], Any]:
    images, kernel, _ = data.conv_operands(x, filters, stride)
    tx, tw = _channels_last(images), _kernel(kernel)
    return lambda: _conv(tx, tw, stride).permute(0, 2, 3, 1)


def conv_train(x: Sequence[int], filters: int, stride: int) -> Callable[[], Any]:
    images, kernel, g = data.conv_operands(x, filters, stride)
    tx, tw, tg = _channels_last(images), _kernel(kernel), _channels_last(g)
    tx.requires_grad_(), tw.requires_grad_()
    run = gradient([tw, tx], lambda: _conv(tx, tw, stride), tg)
    return lambda: run().permute(2, 3, 1, 0)


def depthwise(x: Sequence[int]) -> Callable[[], Any]:
    images, kernel = data.uniform(x), data.uniform((3, 3, x[-1], 1))
    tx, tw = _channels_last(images), torch.from_numpy(kernel).permute(2, 3, 0, 1).contiguous()
    return lambda: _conv(tx, tw, 1, x[-1]).permute(0, 2, 3, 1)


def max_pool(x: Sequence[int]) -> Callable[[], Any]:
    images = _channels_last(data.pool_operands(x)[0])
    return lambda: F.max_pool2d(images, 2).permute(0, 2, 3, 1)


def max_pool_train(x: Sequence[int]) -> Callable[[], Any]:
    images, g = map(_channels_last, data.pool_operands(x))
    images.requires_grad_()
    run = gradient([images], lambda: F.max_pool2d(images, 2), g)
    return lambda: run().permute(0, 2, 3, 1)


_LAYERS = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}
_LOSSES = {  # on the values before sigmoid or softmax
    "mean_squared_error": F.mse_loss,
    "binary_crossentropy": F.binary_cross_entropy_with_logits,
    "categorical_crossentropy": F.cross_entropy,
}


def _train(units: Sequence[int], hidden: str, loss: str) -> Callable[[Any, Any], torch.Tensor]:
    layers: list[torch.nn.Module] = []
    weights = iter(map(torch.from_numpy, data.mlp_weights(units)))
    for m, n in itertools.pairwise(units):
        linear = torch.nn.Linear(m, n)
        with torch.no_grad():
            linear.weight.copy_(next(weights).T)
            linear.bias.copy_(next(weights))
        layers += [linear, _LAYERS[hidden]()]
    model = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.RMSprop(
        model.parameters(), lr=data.LEARNING_RATE, alpha=data.RHO, eps=data.EPSILON
    )
    criterion = _LOSSES[loss]

    def train(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        value = criterion(model(x), y)
        value.backward()
        optimizer.step()
        return value.detach()

    return train


def step(units: Sequence[int], hidden: str, output: str, loss: str, batch: int) -> Any:
    train = _train(units, hidden, loss)
    pairs = itertools.cycle(
        [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in data.batches(units, batch, loss)]
    )
    return lambda: train(*next(pairs)).item()


def epoch(units: Sequence[int], hidden: str, output: str, loss: str, batch: int, rows: int) -> Any:
    train = _train(units, hidden, loss)
    x, y = map(torch.from_numpy, data.training_set(units, rows, loss))

    def run() -> float:
        order, total = torch.randperm(len(x)), torch.zeros(())
        for rows in order.split(batch):
            total += train(x[rows], y[rows]) * len(rows)
        return total.item() / len(x)

    return run
