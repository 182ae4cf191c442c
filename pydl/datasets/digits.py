"""Handwritten digits of 8x8 pixels, part of the package."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import numpy.typing as npt

from pydl.datasets._npz import read_npz

_Array = npt.NDArray[np.uint8]
_TEST_ROWS = 360


def load_data() -> tuple[tuple[_Array, _Array], tuple[_Array, _Array]]:
    """1,797 handwritten digits, 8x8 pixels with values from 0 to 16, of 10 classes.

    The split is fixed: the last 360 rows of the file, in its order, are the test set.

    Returns:
        `(x_train, y_train), (x_test, y_test)`, all uint8: images (1437, 8, 8) and (360, 8, 8),
        labels (1437,) and (360,).

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine
    Learning Repository, 1998 (test part), CC BY 4.0.

    Example:
        >>> from pydl.datasets import digits
        >>> (x_train, y_train), (x_test, y_test) = digits.load_data()
        >>> x_train.shape, x_test.shape
        ((1437, 8, 8), (360, 8, 8))
        >>> y_train[:5].tolist()
        [0, 1, 2, 3, 4]
    """
    data = files("pydl.datasets").joinpath("digits.npz").read_bytes()
    images, labels = read_npz(data, "digits.npz", ("images", "labels"))
    n = len(images) - _TEST_ROWS
    return (images[:n], labels[:n]), (images[n:], labels[n:])
