"""MNIST handwritten digits."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from pydl.datasets import _fetch
from pydl.datasets._npz import read_npz

_Array = npt.NDArray[Any]
_FILE = _fetch.DataFile(
    "mnist.npz", "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
)


def load_data(
    path: _fetch.PathLike = "mnist.npz",
) -> tuple[tuple[_Array, _Array], tuple[_Array, _Array]]:
    """60,000 + 10,000 handwritten digits, 28x28 pixels with values from 0 to 255, of 10 classes.

    Args:
        path: leave it at its default to look in the folder that PYDL_DATA_DIR names and in the
            user's cache folder, then to download; or an existing .npz file of your own with the
            arrays x_train, y_train, x_test and y_test, whose checksum is not checked.

    Returns:
        `(x_train, y_train), (x_test, y_test)`, all uint8: images (60000, 28, 28) and
        (10000, 28, 28), labels (60000,) and (10000,).

    Raises:
        ValueError: the file is not the published one (another SHA-256), or holds other arrays.
        FileNotFoundError: `path` names no file.
        ConnectionError: the file is nowhere, and cannot be downloaded.

    Source: Y. LeCun, C. Cortes, C. Burges, The MNIST database of handwritten digits, CC BY-SA 3.0.

    Example::

        from pydl.datasets import mnist
        (x_train, y_train), (x_test, y_test) = mnist.load_data()
    """
    keys = ("x_train", "y_train", "x_test", "y_test")
    x_train, y_train, x_test, y_test = read_npz(_fetch.read(_FILE, path), _FILE.name, keys)
    return (x_train, y_train), (x_test, y_test)
