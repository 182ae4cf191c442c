"""Small files in the formats of the data sets, for the tests."""

from __future__ import annotations

import gzip
import io

import numpy as np


def npz(**arrays):
    """The bytes of an .npz file."""
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def objects(rows):
    """A one-dimensional array of lists."""
    return np.fromiter(rows, dtype=object, count=len(rows))


def idx(sizes, items, kind=8):
    """The bytes of a gzip-compressed IDX file."""
    head = bytes((0, 0, kind, len(sizes))) + np.array(sizes, ">u4").tobytes()
    return gzip.compress(head + items, mtime=0)
