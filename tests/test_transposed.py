"""Kernels over operands that lie transposed, which go by blocks of two axes: copies, loops, bounds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from subprocesses import run_script

from pydl import _core

SIDES = (1, 2, 3, 4, 5, 15, 16, 17, 33, 63, 64, 65, 127, 128, 129, 260)  # around squares and blocks
DTYPES = ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8")


@st.composite
def transposed(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shape of an array, of 1e5 elements at most, and an order of its axes."""
    shape: list[int] = []
    for _ in range(draw(st.integers(2, 4))):
        most = 100_000 // int(np.prod(shape, initial=1))
        shape.append(draw(st.sampled_from([s for s in SIDES if s <= most])))
    return tuple(shape), tuple(draw(st.permutations(range(len(shape)))))


@given(transposed(), st.sampled_from(DTYPES), st.sampled_from([1, 1, -1, 2]))
def test_transposed_copies(order: Any, dtype: str, step: int) -> None:
    shape, axes = order
    raw = np.random.default_rng(0).integers(0, 256, (*shape, np.dtype(dtype).itemsize), np.uint8)
    x = (raw[..., 0] > 99) if dtype == "?" else raw.view(dtype)[..., 0]
    for y in (x.transpose(axes), x.transpose(axes)[..., ::step], x[..., ::step].transpose(axes)):
        np.testing.assert_array_equal(_core.copy(y).tobytes(), y.tobytes())


@given(transposed(), st.data())
def test_transposed_operands(order: Any, data: st.DataObject) -> None:
    shape, axes = order
    rng = np.random.default_rng(0)
    a = rng.standard_normal(shape).astype(np.float32).transpose(axes)
    b = rng.standard_normal(a.shape).astype(np.float32)
    if data.draw(st.booleans()):  # another order
        again = data.draw(st.permutations(range(a.ndim)))
        b = np.ascontiguousarray(b.transpose(again)).transpose(np.argsort(again))
    b = b[tuple(slice(0, 1 if data.draw(st.integers(0, 3)) == 0 else None) for _ in a.shape)]
    np.testing.assert_array_equal(_core.add(a, b), a + b)
    cond = a > 0
    np.testing.assert_array_equal(_core.where(cond.T, a.T, b.T), np.where(cond.T, a.T, b.T))
    room = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), np.float32)
    _core.subtract(a, b, room[..., ::2])
    np.testing.assert_array_equal(room[..., ::2], a - b)
    assert not room[..., 1::2].any()
    room = np.zeros(a.shape[::-1], np.float32)
    _core.subtract(a, b, room.T)
    np.testing.assert_array_equal(room.T, a - b)


GUARDED = """
import ctypes, itertools, sys
import numpy as np
from pydl import _core

libc, page = ctypes.CDLL(None), 4096
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
room = 64 * page
start = libc.mmap(None, room + 2 * page, 3, 0x22, -1, 0) + page
assert libc.mprotect(start - page, page, 0) == libc.mprotect(start + room, page, 0) == 0
rng = np.random.default_rng(0)
sides = (1, 2, 3, 4, 5, 8, 9, 16, 17, 31, 64, 129)
for dtype, n, m, last in itertools.product("u1 i2 f4 f8".split(), sides, sides, (False, True)):
    bytes = n * m * np.dtype(dtype).itemsize
    memory = (ctypes.c_char * bytes).from_address(start + room - bytes if last else start)
    x = np.frombuffer(memory, dtype).reshape(n, m)
    x[...] = rng.integers(0, 100, x.shape)
    assert np.array_equal(_core.copy(x.T), x.T)
    index = rng.integers(0, n, 50)
    assert np.array_equal(_core.take(x, index, 0), x[index])
    if dtype in ("f4", "f8"):
        assert np.array_equal(_core.add(x.T, x.T), x.T + x.T)
        assert np.array_equal(_core.scatter_add(np.arange(n), x, n), x)
        assert np.array_equal(_core.negative(x.T.copy().T, x), x)  # writes there
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mmap as Linux has it")
def test_no_access_beyond_an_array(tmp_path: Path) -> None:
    """Arrays that end, or start, at a page that must not be touched."""
    script = tmp_path / "guarded.py"
    script.write_text(GUARDED)
    run_script(script, folder=tmp_path)


def test_transposed_operand_overlaps_out() -> None:
    x = np.random.default_rng(0).standard_normal((150, 150)).astype(np.float32)
    want = x + x.T
    _core.add(x, x.T, x)
    np.testing.assert_array_equal(x, want)
