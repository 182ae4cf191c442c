"""Operands, weights and data sets of the cases: the same numbers for every framework."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

LEARNING_RATE, RHO, EPSILON = 1e-3, 0.9, 1e-7  # Keras's defaults of RMSprop
BATCHES = 8  # a step walks round them


def uniform(shape: Sequence[int], low: float = -1, high: float = 1, seed: int = 0) -> np.ndarray:
    """float32 in [low, high)."""
    rng = np.random.default_rng(seed)
    return (low + (high - low) * rng.random(shape, np.float32)).astype(np.float32)


def factors(m: int, k: int, n: int, layout: str, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """The operands of an m x k x n product as they lie in memory, row-major; T: transposed."""
    a = (m, k) if layout[0] == "N" else (k, m)
    b = (k, n) if layout[1] == "N" else (n, k)
    many = (batch,) if batch else ()
    return uniform((*many, *a), seed=0), uniform((*many, *b), seed=1)


def indices(most: int, count: int) -> np.ndarray:
    """int64 in [0, most)."""
    return np.random.default_rng(2).integers(0, most, count)


def bag_of_words(batch: int, inputs: int, per_row: int) -> np.ndarray:
    """Ones in `per_row` random places of each row."""
    rng = np.random.default_rng(0)
    x = np.zeros((batch, inputs), np.float32)
    for row in x:
        row[rng.choice(inputs, per_row, replace=False)] = 1
    return x


def classes(shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits, a label of each row, and the labels as one-hot rows."""
    labels = np.random.default_rng(1).integers(0, shape[1], shape[0])
    return uniform(shape, -5, 5), labels, np.eye(shape[1], dtype=np.float32)[labels]


def normalization_operands(shape: Sequence[int]) -> list[np.ndarray]:
    """Rows, scale and offset of the columns, and the gradient of the output."""
    width = (shape[1],)
    return [
        uniform(shape),
        uniform(width, 0.5, 1.5, 1),
        uniform(width, seed=2),
        uniform(shape, seed=3),
    ]


def conv_operands(x: Sequence[int], filters: int, stride: int) -> list[np.ndarray]:
    """Images, a 3x3 kernel, and the gradient of their convolution with padding "same"."""
    kernel = (3, 3, x[-1], filters)
    out = (x[0], -(-x[1] // stride), -(-x[2] // stride), filters)
    return [uniform(shape, seed=seed) for seed, shape in enumerate((x, kernel, out))]


def pool_operands(x: Sequence[int]) -> list[np.ndarray]:
    """Images, and the gradient of their pooling by 2."""
    return [uniform(x, seed=0), uniform((x[0], x[1] // 2, x[2] // 2, x[3]), seed=1)]


def mlp_weights(units: Sequence[int]) -> list[np.ndarray]:
    """kernel, bias, kernel, bias, ...: Glorot uniform and zeros."""
    weights = []
    for seed, (m, n) in enumerate(itertools.pairwise(units)):
        limit = (6 / (m + n)) ** 0.5
        weights += [uniform((m, n), -limit, limit, seed), np.zeros(n, np.float32)]
    return weights


def targets(rows: int, width: int, loss: str, seed: int) -> np.ndarray:
    """Random ones that no small model can learn, so that gradients never vanish."""
    rng = np.random.default_rng(seed)
    if loss == "categorical_crossentropy":
        return np.eye(width, dtype=np.float32)[rng.integers(0, width, rows)]
    if loss == "binary_crossentropy":
        return rng.integers(0, 2, (rows, width)).astype(np.float32)
    return rng.standard_normal((rows, width), np.float32)


def batches(units: Sequence[int], batch: int, loss: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """BATCHES pairs (x, y) of one training step."""
    pairs = []
    for seed in range(BATCHES):
        if units[0] == 2 and batch == 4:
            x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
        else:
            x = uniform((batch, units[0]), 0, 1, seed)
        pairs.append((x, targets(batch, units[-1], loss, seed)))
    return pairs


def training_set(units: Sequence[int], rows: int, loss: str) -> tuple[np.ndarray, np.ndarray]:
    """x and y of an epoch: the digits for networks that take them, else random numbers."""
    if units[0] == 784:
        return digits(rows)
    return uniform((rows, units[0]), 0, 1), targets(rows, units[-1], loss, 0)


def digits(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """MNIST's training images as (rows, 784) in [0, 1] and one-hot labels, float32.

    From mnist.npz in the folder that PYDL_DATA_DIR names; without it, random images of which a
    fifth of the pixels is not zero, as in MNIST.
    """
    path = Path(os.environ.get("PYDL_DATA_DIR", ""), "mnist.npz")
    if path.is_file():
        with np.load(path, allow_pickle=False) as file:
            x, labels = file["x_train"][:rows], file["y_train"][:rows]
        x = x.reshape(len(x), -1).astype(np.float32) / 255
        return x, np.eye(10, dtype=np.float32)[labels]
    x = uniform((rows, 784)) * (uniform((rows, 784), 0, 1, 1) < 0.2)
    return np.abs(x), targets(rows, 10, "categorical_crossentropy", 0)
