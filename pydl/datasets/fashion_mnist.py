"""Fashion-MNIST, pictures of clothes."""

from __future__ import annotations

import gzip
import math
import zlib

import numpy as np
import numpy.typing as npt

from pydl.datasets import _fetch

_Array = npt.NDArray[np.uint8]
_TRAIN_IMAGES, _TRAIN_LABELS, _TEST_IMAGES, _TEST_LABELS = (
    _fetch.DataFile(f"fashion-mnist/{name}-ubyte.gz", sha256)
    for name, sha256 in (
        ("train-images-idx3", "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        ("train-labels-idx1", "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        ("t10k-images-idx3", "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        ("t10k-labels-idx1", "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    )
)
_LABEL_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_UNSIGNED_BYTE = 8  # the element type, third byte of an IDX file


def load_data() -> tuple[tuple[_Array, _Array], tuple[_Array, _Array]]:
    """60,000 + 10,000 pictures of clothes, 28x28 pixels with values from 0 to 255, of 10 classes.

    The four files are looked for in the sub-folder `fashion-mnist` of the folder that PYDL_DATA_DIR
    names and of the user's cache folder, then downloaded.

    Returns:
        `(x_train, y_train), (x_test, y_test)`, all uint8: images (60000, 28, 28) and
        (10000, 28, 28), labels (60000,) and (10000,).

    Raises:
        ValueError: a file is not the published one (another SHA-256).
        ConnectionError: a file is nowhere, and cannot be downloaded.

    Source: H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking
    Machine Learning Algorithms, arXiv 1708.07747, 2017, MIT licence.

    Example::

        from pydl.datasets import fashion_mnist
        (x_train, y_train), (x_test, y_test) = fashion_mnist.load_data()
        names = [fashion_mnist.get_label_names()[label] for label in y_train]
    """
    x_train, y_train, x_test, y_test = (
        read_idx(_fetch.read(file), file.name, ndim)
        for file, ndim in (
            (_TRAIN_IMAGES, 3),
            (_TRAIN_LABELS, 1),
            (_TEST_IMAGES, 3),
            (_TEST_LABELS, 1),
        )
    )
    return (x_train, y_train), (x_test, y_test)


def get_label_names() -> tuple[str, ...]:
    """The names of the 10 classes, in the order of their labels.

    Example:
        >>> from pydl.datasets import fashion_mnist
        >>> fashion_mnist.get_label_names()[9]
        'Ankle boot'
    """
    return _LABEL_NAMES


def read_idx(data: bytes, name: str, ndim: int) -> _Array:
    """The array of a gzip-compressed IDX file: bytes 0, 0, type, ndim; big-endian sizes; items."""
    try:
        raw = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{name}: must be a whole gzip file ({error})") from error
    magic = bytes((0, 0, _UNSIGNED_BYTE, ndim))
    if raw[:4] != magic:
        raise ValueError(
            f"{name}: the IDX file must begin with the bytes {magic.hex(' ')} (unsigned bytes, "
            f"{ndim} axes), got {raw[:4].hex(' ')}"
        )
    start = 4 + 4 * ndim
    if len(raw) < start:
        raise ValueError(f"{name}: the IDX header must be {start} bytes long, got {len(raw)}")
    shape = tuple(np.frombuffer(raw, dtype=">u4", count=ndim, offset=4).tolist())
    if len(raw) != start + math.prod(shape):
        raise ValueError(
            f"{name}: the IDX file must be {start} + {math.prod(shape)} bytes long for the shape "
            f"{shape}, got {len(raw)}"
        )
    return np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape).copy()
