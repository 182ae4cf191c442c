"""The same numbers as Keras 3, given the same weights and data: run where Keras is installed.

KERAS_BACKEND=jax pytest tests/test_keras_{functions,layers,training}.py. The names of both packages
are the same, so a case is a name and its arguments. "Same" is within 1e-5 of the largest value:
Keras computes in float32 as well, and its order of additions is its own.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import re
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="Keras is not installed")

TOLERANCE = 1e-5


@pytest.fixture(autouse=True)
def seeds() -> None:
    """The weights come from Keras: the same in every run."""
    keras.utils.set_random_seed(0)


def close(got: Any, want: Any, tolerance: float = TOLERANCE, scale: float = 1e-3) -> None:
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    scale = np.abs(want[np.isfinite(want)]).max(initial=scale)
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * scale)


def uniform(shape: Any, low: float = -2, high: float = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


def ids(case: Any) -> str:
    text = "-".join(str(part) for part in case if part != {})
    return re.sub(r" at 0x\w+", "", text)[:60]
