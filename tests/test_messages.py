"""What users read when something is wrong: who speaks, what must hold, what came."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from errors import raises

import pydl

LARGE = pydl.broadcast_to(pydl.ones(1), (2**45,))  # more than any memory holds
COLUMN = pydl.broadcast_to(pydl.ones(1), (2**32, 1))

# ---- memory --------------------------------------------------------------------------------------

NO_MEMORY = [
    (lambda: LARGE + 1, "add: cannot allocate 1.31e+05 GiB for shape (35184372088832,) of float32"),
    (lambda: pydl.exp(LARGE), "exp: cannot allocate 1.31e+05 GiB for shape (35184372088832,) of float32"),
    (lambda: LARGE < 1, "less: cannot allocate 3.28e+04 GiB for shape (35184372088832,) of bool"),
    (lambda: pydl.relu(LARGE, 0.1), "relu: cannot allocate 1.31e+05 GiB for shape (35184372088832,) of float32"),
    (lambda: pydl.matmul(COLUMN[: 2**30], pydl.ones((1, 2**16))), "matmul: cannot allocate 2.62e+05 GiB for shape (1073741824, 65536) of float32"),
    (lambda: pydl.sum(pydl.broadcast_to(LARGE, (2, 2**45)), axis=0), "sum: cannot allocate 1.31e+05 GiB for shape (35184372088832,) of float32"),
    (lambda: pydl.take(pydl.ones((1, 2**16)), np.broadcast_to(0, 2**24), axis=0), "take: cannot allocate 4.1e+03 GiB for shape (16777216, 65536) of float32"),
]  # fmt: skip
TOO_LARGE = [
    (lambda: COLUMN + COLUMN.T, "add: shape (4294967296, 4294967296) has too many elements for memory"),
    (lambda: pydl.where(True, COLUMN, COLUMN.T), "where: shape (4294967296, 4294967296) has too many elements for memory"),
    (lambda: COLUMN @ COLUMN.T, "matmul: shape (4294967296, 4294967296) has too many elements for memory"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), NO_MEMORY, ids=[m[1].split(":")[0] for m in NO_MEMORY])
def test_no_memory(call: Any, text: str) -> None:
    with raises(MemoryError, text):
        call()


@pytest.mark.parametrize(("call", "text"), TOO_LARGE, ids=[m[1].split(":")[0] for m in TOO_LARGE])
def test_too_many_elements(call: Any, text: str) -> None:
    with raises(ValueError, text):
        call()
