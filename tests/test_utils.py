"""to_categorical, normalize and multi_hot, against their formulas in plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import pydl.utils
from pydl.utils import multi_hot, normalize, to_categorical

# to_categorical


@given(
    labels=hnp.arrays(
        st.sampled_from(["int8", "uint8", "int64", "uint64", "float32", "float64", ">i4"]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        elements=st.integers(0, 9),
    ),
    num_classes=st.integers(10, 12),
    dtype=st.sampled_from([np.float32, np.float64, np.int64, bool]),
)
def test_to_categorical(labels, num_classes, dtype):
    y = to_categorical(labels, num_classes, dtype)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    assert y.dtype == dtype
    assert y.shape == (*labels.shape, num_classes)
    np.testing.assert_array_equal(y, labels[..., np.newaxis] == np.arange(num_classes))


def test_to_categorical_defaults():
    y = to_categorical([0, 3, 1])
    assert (y.dtype, y.shape) == (np.dtype(np.float32), (3, 4))
    assert to_categorical([[0], [3]]).tolist() == to_categorical([0, 3]).tolist()
    assert to_categorical(2).tolist() == [0, 0, 1]
    assert to_categorical([True, False]).tolist() == [[0, 1], [1, 0]]
    assert to_categorical([], 3).shape == (0, 3)
    assert to_categorical(np.arange(6)[::-2], 6).argmax(axis=1).tolist() == [5, 3, 1]


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (([0, 2, -1],), ValueError, r"labels must be at least 0, got x\[2\] = -1"),
        (([0, -1], 3), ValueError, r"must be in \[0, num_classes\) = \[0, 3\), got x\[1\] = -1"),
        (([[0, 1], [1, 3]], 3), ValueError, r"\[0, num_classes\) = \[0, 3\), got x\[1\]\[1\] = 3"),
        (([0, 300], 256), ValueError, r"got x\[1\] = 300"),
        ((np.uint64([2**64 - 1]), 3), ValueError, r"got x\[0\] = 18446744073709551615"),
        (([0, 1.5],), ValueError, r"labels must be whole numbers, got x\[1\] = 1.5"),
        (([0, np.nan], 3), ValueError, r"labels must be whole numbers, got x\[1\] = nan"),
        (([np.inf],), ValueError, r"labels must be whole numbers, got x\[0\] = inf"),
        (([1e300],), ValueError, r"labels must be whole numbers, got x\[0\] = 1e\+300"),
        (([],), ValueError, r"x has no labels, shape \(0,\); pass num_classes"),
        (([0], 0), ValueError, "num_classes must be a positive integer, got 0"),
        (([0], 2.0), TypeError, r"num_classes must be a positive integer, got 2\.0"),
        (([0], True), TypeError, "num_classes must be a positive integer, got True"),
        ((["a"],), TypeError, "labels must be whole numbers, got dtype <U1"),
        (([None],), TypeError, "labels must be whole numbers, got dtype object"),
        (([1j],), TypeError, "labels must be whole numbers, got dtype complex128"),
    ],
)
def test_to_categorical_faults(arguments, error, text):
    with pytest.raises(error, match=f"^to_categorical: .*{text}$"):
        to_categorical(*arguments)


def test_np_utils_is_an_alias():
    assert pydl.utils.np_utils.to_categorical is to_categorical
    assert pydl.utils.np_utils.normalize is normalize


# normalize


@given(
    x=hnp.arrays(
        st.sampled_from([np.float32, np.float64]),
        hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5),
        elements=st.floats(-100, 100, width=32),
    ),
    order=st.sampled_from([0.5, 1, 2, 3, np.inf]),
    data=st.data(),
)
def test_normalize(x, order, data):
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    y = normalize(x, axis, order)
    assert (y.dtype, y.shape) == (x.dtype, x.shape)
    wide = np.abs(x.astype(np.longdouble))
    if order == np.inf:
        norm = wide.max(axis=axis, keepdims=True, initial=0)
    else:
        norm = (wide**order).sum(axis=axis, keepdims=True) ** (1 / np.longdouble(order))
    expected = x / np.where(norm == 0, 1, norm)
    # In float64: one power and n additions, raised to 1 / order, two divisions; then one rounding.
    n = x.shape[axis]
    bound = (n + 8) * max(1, 1 / order) * np.finfo(np.float64).eps
    bound = bound * np.abs(expected) + np.spacing(np.abs(expected).astype(x.dtype))
    assert (np.abs(y - expected) <= bound).all()


def test_normalize_defaults():
    assert normalize([[3, 4], [0, 0]]).tolist() == [[0.6, 0.8], [0, 0]]
    assert normalize(np.float32([[3, 4]])).dtype == np.float32
    assert normalize([[3, 1], [4, 0]], axis=0).tolist() == [[0.6, 1], [0.8, 0]]
    assert normalize([1, -3], order=1).tolist() == [0.25, -0.75]


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_normalize_neither_overflows_nor_underflows(scale):
    np.testing.assert_array_max_ulp(normalize([3 * scale, 4 * scale]), np.array([0.6, 0.8]), 2)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (([1.0], 1), ValueError, r"axis 1 is out of range for x of shape \(1,\)"),
        ((1.0,), ValueError, r"axis -1 is out of range for x of shape \(\)"),
        (([1.0], None), TypeError, "axis must be an integer, got None"),
        (([1.0], -1, 0), ValueError, "order must be a positive number, got 0"),
        (([1.0], -1, np.nan), ValueError, "order must be a positive number, got nan"),
        (([1.0], -1, "fro"), TypeError, "order must be a positive number, got 'fro'"),
        ((["a"],), TypeError, "x must hold real numbers, got dtype <U1"),
    ],
)
def test_normalize_faults(arguments, error, text):
    with pytest.raises(error, match=f"^normalize: {text}$"):
        normalize(*arguments)


# multi_hot


def reversed_bytes(row):
    return np.array(row, np.uint8)[::-1]


def read_only_big_endian(row):
    ids = np.array(row, ">i8")
    ids.flags.writeable = False
    return ids


@given(
    rows=st.lists(st.lists(st.integers(0, 8), max_size=7), max_size=6),
    kind=st.sampled_from([list, tuple, np.array, reversed_bytes, read_only_big_endian]),
    dimension=st.integers(9, 11),
)
def test_multi_hot(rows, kind, dimension):
    y = multi_hot([kind(row) for row in rows], dimension)
    assert (y.dtype, y.shape) == (np.dtype(np.float32), (len(rows), dimension))
    assert y.tolist() == [[float(j in row) for j in range(dimension)] for row in rows]


def test_multi_hot_takes_any_iterable_of_rows():
    expected = [[1, 0, 1], [0, 1, 0]]
    rows = np.fromiter([[0, 2], [1]], dtype=object, count=2)
    assert multi_hot(rows, 3).tolist() == expected
    assert multi_hot(iter([range(0, 3, 2), np.uint64([1])]), 3).tolist() == expected
    assert multi_hot(np.array([[0, 2], [1, 1]]), 3).tolist() == expected
    assert multi_hot([], 3).shape == (0, 3)
    assert multi_hot([[], ()], 3).tolist() == [[0, 0, 0]] * 2


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (([[0], [1, 3]], 3), ValueError, r"\[0, 3\), got 3 at row 1, position 1"),
        (([[0, -1]], 3), ValueError, r"ids must be in .*, got -1 at row 0, position 1"),
        ((np.uint8([[0, 255]]), 3), ValueError, r"got 255 at row 0, position 1"),
        (([[2**63]], 3), ValueError, r"got 9223372036854775808 at row 0, position 0"),
        (([[0], [1.0]], 3), TypeError, "row 1 must hold integer ids, got dtype float64"),
        (([[True]], 3), TypeError, "row 0 must hold integer ids, got dtype bool"),
        (([["a"]], 3), TypeError, "row 0 must hold integer ids, got dtype <U1"),
        (([1, 2], 3), TypeError, "row 0 must be a sequence of ids, got 1"),
        ((["ab"], 3), TypeError, "row 0 must be a sequence of ids, got 'ab'"),
        (([{1}], 3), TypeError, r"row 0 must be a sequence of ids, got \{1\}"),
        (([[[1]]], 3), TypeError, r"row 0 must be a sequence of ids, got \[\[1\]\]"),
        (([[0]], 0), ValueError, "dimension must be a positive integer, got 0"),
        (([[0]], 3.0), TypeError, "dimension must be a positive integer, got 3.0"),
    ],
)
def test_multi_hot_faults(arguments, error, text):
    with pytest.raises(error, match=f"^multi_hot: .*{text}$"):
        multi_hot(*arguments)
