"""Boston house prices of the 1970s, for regression."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pydl.datasets import _fetch
from pydl.datasets._npz import read_npz
from pydl.datasets._split import check_test_split, split

_Array = npt.NDArray[Any]
_FILE = _fetch.DataFile(
    "boston_housing.npz", "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5"
)


def load_data(
    path: _fetch.PathLike = "boston_housing.npz",
    test_split: float = 0.2,
    seed: int | None = 113,
) -> tuple[tuple[_Array, _Array], tuple[_Array, _Array]]:
    """506 districts of Boston: 13 features, and the median price of a house in $1,000.

    One feature, column 11, was made from the share of black residents. The data are here to test
    regression with; do not take them for a model of house prices.

    Args:
        path: leave it at its default to look in the folder that PYDL_DATA_DIR names and in the
            user's cache folder, then to download; or an existing .npz file of your own with the
            arrays x and y, whose checksum is not checked.
        test_split: the share of the rows, after the shuffle, that is the test set.
        seed: for `numpy.random.RandomState`, which shuffles the rows. None: another order at each
            call.

    Returns:
        `(x_train, y_train), (x_test, y_test)`, all float64: features (404, 13) and (102, 13),
        targets (404,) and (102,) with the defaults.

    Raises:
        ValueError: the file is not the published one (another SHA-256) or holds other arrays, or
            `test_split` is not in [0, 1).
        FileNotFoundError: `path` names no file.
        ConnectionError: the file is nowhere, and cannot be downloaded.

    Source: D. Harrison and D. Rubinfeld, Hedonic prices and the demand for clean air, Journal of
    Environmental Economics and Management 5, 1978; StatLib, Carnegie Mellon University.

    Example::

        from pydl.datasets import boston_housing
        (x_train, y_train), (x_test, y_test) = boston_housing.load_data()
    """
    check_test_split("boston_housing.load_data", test_split)
    x, y = read_npz(_fetch.read(_FILE, path), _FILE.name, ("x", "y"))
    if x.shape[:1] != y.shape[:1]:
        raise ValueError(
            f"{_FILE.name}: x and y must have as many rows, got x {x.shape} and y {y.shape}"
        )
    order = np.random.RandomState(seed).permutation(len(x))
    return split(x[order], y[order], test_split)
