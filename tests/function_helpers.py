"""Recorded functions, for the tests of pydl.function."""

from __future__ import annotations

from typing import Any

import numpy as np

import pydl
from pydl.function import Function

X = pydl.tensor([1.0, 2.0, 3.0])


def bits(x: Any) -> bytes:
    return np.asarray(x).tobytes()


def recorded(f: Any, *args: Any) -> Function:
    """f after enough calls that it must be replayed."""
    function = pydl.function(f)
    for _ in range(3):
        function(*args)
    assert not function.failure, function.failure
    assert len(function.plans) == 1
    return function
