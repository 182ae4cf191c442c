"""Same bits for any number of threads: every kernel, both precisions."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from arrays import FLOATS

import pydl
from pydl import _core

rng = np.random.default_rng(0)


def same_bits(compute: Callable[[], object]) -> None:
    results = []
    for threads in (1, 2, 3):
        pydl.config.set_num_threads(threads)
        out = compute()
        out = out if isinstance(out, tuple) else (out,)
        results.append([np.asarray(x).tobytes() for x in out])
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("row", _core.ops, ids=lambda row: row["name"])
def test_elementwise(row: dict, dtype: object) -> None:
    low, high = row["domain"]
    a, b, g = (rng.uniform(low, high, (301, 333)).astype(dtype) for _ in range(3))
    kernel = getattr(_core, row["name"])
    if row["kind"] == "unary":
        same_bits(lambda: kernel(a))
        if row["differentiable"]:
            params = row["params"].values()
            same_bits(lambda: getattr(_core, row["name"] + "_backward")(g, a, kernel(a), *params))
        return
    same_bits(lambda: kernel(a, b))
    same_bits(lambda: kernel(a.T, b[:1].T))
    if row["differentiable"]:
        y = kernel(a, b)
        same_bits(lambda: getattr(_core, row["name"] + "_grad_a")(g, a, b, y))
        same_bits(lambda: getattr(_core, row["name"] + "_grad_b")(g, a, b, y))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "shapes",
    [
        ((301, 333), (333, 257)),
        ((8, 5000), (5000, 16)),
        ((128, 784), (784, 512)),
        ((3, 100, 70), (70, 90)),
        ((16, 64, 32), (16, 32, 64)),
        ((1, 1024), (1024, 1024)),
        ((1024, 1024), (1024, 1)),
    ],
)
def test_matmul(shapes: tuple[tuple[int, ...], ...], dtype: object) -> None:
    a, b = (rng.standard_normal(s).astype(dtype) for s in shapes)
    same_bits(lambda: pydl.matmul(a, b))
    a_t, b_t = np.swapaxes(a, -1, -2).copy(), np.swapaxes(b, -1, -2).copy()
    same_bits(lambda: pydl.matmul(np.swapaxes(a_t, -1, -2), np.swapaxes(b_t, -1, -2)))


def transposed(x: np.ndarray) -> np.ndarray:
    return x.T.copy().T


def upwards(x: np.ndarray) -> np.ndarray:
    """The same rows, the last one first in memory."""
    return x[::-1].copy()[::-1]


def among_nan(x: np.ndarray) -> np.ndarray:
    """The same rows inside of an array of nan, off any alignment."""
    wide = np.full((x.shape[0] + 2, x.shape[1] + 3), np.nan, x.dtype)
    wide[1:-1, 1:-2] = x
    return wide[1:-1, 1:-2]


def upside_down(x: np.ndarray) -> np.ndarray:
    """The same rows, the last one first in memory."""
    return x[::-1].copy()[::-1]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "shape",
    [
        (1, 64, 70),  # one row
        (1, 512, 33),
        (1, 300, 1200),
        (1, 100, 150),
        (2, 100, 150),
        (2, 100, 33),
        (3, 100, 131),
        (1, 9000, 10),
        (1, 17000, 3),
        (5, 70, 3),
        (100, 40, 10),  # narrow
        (300, 130, 7),
        (50, 1024, 46),
        (70, 33, 1),  # a vector
        (70, 65, 1),
        (3, 5000, 1),
        (64, 700, 64),
        (300, 100, 130),  # packed
        (310, 260, 70),
        (1030, 520, 64),
    ],
    ids=str,
)
def test_matmul_paths(shape: tuple[int, int, int], dtype: object) -> None:
    """The layout chooses the path, but no bit: every element is the same chain."""
    m, k, n = shape
    a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    want = _core.matmul(a, b).tobytes()
    nan = np.full_like(a, np.nan)
    for threads in (1, 2, 3, 4):
        pydl.config.set_num_threads(threads)
        for left in (a, transposed(a), among_nan(a), among_nan(a.T).T, upwards(a)):
            for right in (b, transposed(b), among_nan(b), among_nan(b.T).T, upwards(b)):
                _core.matmul(nan, b)  # leaves its memory to the next result
                assert _core.matmul(left, right).tobytes() == want


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("m", [1, 2, 3, 7, 64])
def test_matmul_of_one_row_repeated(m: int, dtype: object) -> None:
    a, row = rng.standard_normal((m, 100)).astype(dtype), rng.standard_normal(133).astype(dtype)
    b = np.broadcast_to(row, (100, 133))
    for n in (33, 64, 128, 131):
        assert _core.matmul(a, b[:, :n]).tobytes() == _core.matmul(a, b[:, :n].copy()).tobytes()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("row", _core.reductions, ids=lambda row: row["name"])
def test_reductions(row: dict, dtype: object) -> None:
    x = rng.uniform(0.5, 1.5, (97, 1031)).astype(dtype)
    for axes in ((0, 1), (0,), (1,)):
        same_bits(lambda axes=axes: getattr(_core, row["name"])(x, axes, False))
    large = np.resize(x, (1100, 4096))  # out of cache, where some walk the columns row by row
    same_bits(lambda: getattr(_core, row["name"])(large, (0,), False))


@pytest.mark.parametrize("dtype", FLOATS)
def test_training_step(dtype: object) -> None:
    def train() -> tuple[np.ndarray, ...]:
        pydl.utils.set_random_seed(3)
        pydl.config.set_floatx(np.dtype(dtype).name)
        model = pydl.Sequential(
            [
                pydl.layers.Dense(96, activation="relu", input_shape=(50,)),
                pydl.layers.BatchNormalization(),
                pydl.layers.Dropout(0.3),
                pydl.layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy")
        x = np.random.default_rng(1).standard_normal((600, 50)).astype(dtype)
        y = np.arange(600) % 10
        model.fit(x, y, batch_size=256, epochs=2, verbose=0)
        return tuple(model.get_weights())

    same_bits(train)


def test_changing_number_of_threads() -> None:
    """Every chunk is done once, also where threads come that missed many launches, or go."""
    x = rng.standard_normal((4096, 64)).astype(np.float32)
    expected = pydl.softmax(x).numpy().tobytes()
    for threads in (2, 7, 2, 3, 1000, 1, 16, 2) * 5:
        pydl.config.set_num_threads(threads)
        for _ in range(20):
            assert pydl.softmax(x).numpy().tobytes() == expected


SLICES = """
import ctypes, os, time
import numpy as np
import pydl

def slice_of(thread):  # in ns, by the system call sched_getattr
    attributes = (ctypes.c_uint64 * 6)()
    assert ctypes.CDLL(None).syscall(315, thread, attributes, 48, 0) == 0
    return attributes[3]

before = slice_of(0)
threads = set(os.listdir("/proc/self/task"))
pydl.config.set_num_threads(3)
pydl.negative(np.ones(1 << 22, np.float32))
workers = [int(t) for t in set(os.listdir("/proc/self/task")) - threads]
deadline = time.monotonic() + 10  # a worker asks when it first runs
while any(slice_of(t) == before for t in workers) and time.monotonic() < deadline:
    time.sleep(0.001)
print(before, slice_of(0), *map(slice_of, workers))
"""


@pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="a system call by its number"
)
def test_workers_ask_for_short_slices() -> None:
    """The scheduler's slice of each worker is 100 us; the caller's stays as it is."""
    done = subprocess.run(
        [sys.executable, "-c", SLICES], capture_output=True, text=True, check=True, timeout=60
    )
    before, caller, *workers = map(int, done.stdout.split())
    if before == 0:
        pytest.skip("before Linux 6.12 the scheduler has no slices to ask for")
    assert caller == before
    assert workers == [100_000, 100_000]
