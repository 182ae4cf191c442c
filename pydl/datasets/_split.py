"""What the data sets that are published in one piece share: the split into training and test."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]


def check_test_split(who: str, test_split: float) -> None:
    """The share of the rows that are for testing leaves some to train on."""
    if isinstance(test_split, bool) or not isinstance(test_split, (int, float)):
        raise TypeError(f"{who}: test_split must be a number in [0, 1), got {test_split!r}")
    if not 0 <= test_split < 1:
        raise ValueError(f"{who}: test_split must be in [0, 1), got {test_split}")


def split(x: Array, y: Array, test_split: float) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """The first int(n (1 - test_split)) rows to train on, and the others."""
    n = int(len(x) * (1 - test_split))
    return (x[:n], y[:n]), (x[n:], y[n:])
