"""The readers of .npz and IDX files: hostile pickles, damaged files, other content."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import zipfile

import numpy as np
import pytest
from dataset_files import idx, npz, objects

from pydl.datasets._npz import read_npz
from pydl.datasets.fashion_mnist import read_idx


def pickled(member, shape=(1,)):
    """The bytes of an .npz file whose array x, by its header of objects, is the pickle `member`."""
    stream = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("x.npy", stream.getvalue() + member)
    return archive.getvalue()


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_object_arrays_of_either_numpy(module):
    rows = objects([[1, 2], [], [300, 70000]])
    data = pickle.dumps(rows, protocol=3)  # names modules as text up to a newline
    assert data.count(b"core.multiarray\n") == 1
    for written in (b"numpy.core.multiarray", b"numpy._core.multiarray"):
        data = data.replace(b"c" + written, b"c" + module)
    [read] = read_npz(pickled(data, (3,)), "f", ["x"], objects=["x"])
    assert read.dtype == object
    assert read.tolist() == rows.tolist()


class Hostile:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (os.system, r"(posix|nt)\.system"),
        (eval, r"(builtins|__builtin__)\.eval"),
        (np.load, r"numpy(\.lib\.npyio)?\.load"),
        (getattr, r"(builtins|__builtin__)\.getattr"),
    ],
)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_hostile_pickle_is_refused(function, name, protocol, tmp_path):
    mark = tmp_path / "ran"
    data = pickle.dumps([Hostile(function, f"open({str(mark)!r}, 'w')")], protocol)
    text = "f: cannot read the array 'x': a pickled array may hold lists and numbers only, got "
    with pytest.raises(ValueError, match=text + name):
        read_npz(pickled(data), "f", ["x"], objects=["x"])
    assert not mark.exists()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (pickle.dumps([1]), r"the pickle must hold an object array of shape \(1,\)"),
        (pickle.dumps(np.ones(1)), r"the pickle must hold an object array of shape \(1,\)"),
        (pickle.dumps(objects([[1], [2]])), r"the pickle must hold an object array of shape"),
        (b"", "Ran out of input|EOF"),
    ],
)
def test_pickle_of_something_else_is_refused(data, text):
    with pytest.raises(ValueError, match=f"f: cannot read the array 'x': .*({text})"):
        read_npz(pickled(data), "f", ["x"], objects=["x"])


def test_pickle_is_not_read_where_none_is_expected():
    with pytest.raises(ValueError, match="f: cannot read the array 'x': Object arrays cannot be"):
        read_npz(pickled(pickle.dumps(objects([[1]]))), "f", ["x"])


def test_npz_faults():
    with pytest.raises(ValueError, match=r"f: must be an .npz archive"):
        read_npz(b"no archive", "f", ["x"])
    with pytest.raises(ValueError, match=r"f: must hold the arrays x, z, got x, y"):
        read_npz(npz(x=1, y=2), "f", ["x", "z"])
    with pytest.raises(ValueError, match=r"f: cannot read the array 'x': dtype must be object"):
        read_npz(npz(x=[1]), "f", ["x"], objects=["x"])
    data = bytearray(npz(x=np.arange(1000)))
    data[2000] ^= 1
    with pytest.raises(ValueError, match=r"f: cannot read the array 'x': Bad CRC-32"):
        read_npz(bytes(data), "f", ["x"])


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"no gzip", "f: must be a whole gzip file"),
        (idx((2, 1, 2), bytes(4))[:-9], "f: must be a whole gzip file"),
        (b"", r"must begin with the bytes 00 00 08 03 .*, got $"),
        (idx((2, 1, 2), bytes(4), kind=13), r"must begin with the bytes 00 00 08 03 .*00 00 0d 03"),
        (idx((4,), bytes(4)), r"must begin with the bytes 00 00 08 03 .*00 00 08 01"),
        (idx((2, 1, 2), bytes(3)), r"must be 16 \+ 4 bytes long for the shape \(2, 1, 2\), got 19"),
        (idx((2, 1, 2), bytes(5)), r"must be 16 \+ 4 bytes long for the shape \(2, 1, 2\), got 21"),
        (gzip.compress(bytes((0, 0, 8, 3, 0, 0)), mtime=0), "header must be 16 bytes long, got 6"),
    ],
    ids=["text", "cut", "empty", "float", "vector", "short", "long", "header"],
)
def test_idx_faults(data, text):
    with pytest.raises(ValueError, match=text):
        read_idx(data, "f", 3)
