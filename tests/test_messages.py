"""What users read when something is wrong: who speaks, what must hold, what came."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest
from errors import raises

import pydl
from pydl import optimizers

NAN = float("nan")
MATRIX, SQUARE = pydl.ones((2, 3)), pydl.ones((2, 2))
LARGE = pydl.broadcast_to(pydl.ones(1), (2**45,))  # more than any memory holds
COLUMN = pydl.broadcast_to(pydl.ones(1), (2**32, 1))
BYTES = "which holds [0, 255]"


def zeros(dtype: str) -> pydl.Variable:
    return pydl.Variable([0, 0], dtype=dtype)


def put(key: Any, value: Any, dtype: str = "uint8") -> None:
    pydl.zeros(2, dtype)[key] = value


# ---- numbers that a dtype cannot hold ------------------------------------------------------------

MISFITS = [
    (lambda: pydl.tensor(2**40, "int32"), "tensor: the number 1099511627776 does not fit int32, which holds [-2147483648, 2147483647]"),
    (lambda: pydl.tensor([300], dtype="uint8"), f"tensor: the number 300 does not fit uint8, {BYTES}"),
    (lambda: pydl.tensor([[0], [-1]], "uint8"), f"tensor: the number -1 does not fit uint8, {BYTES}"),
    (lambda: pydl.tensor([2**63 + 1, 5, -1], "uint64"), "tensor: the number -1 does not fit uint64, which holds [0, 18446744073709551615]"),
    (lambda: pydl.tensor([2**63, 5], "int64"), "tensor: the number 9223372036854775808 does not fit int64, which holds [-9223372036854775808, 9223372036854775807]"),
    (lambda: pydl.tensor([2**70], "uint8"), f"tensor: the number {2**70} does not fit uint8, {BYTES}"),
    (lambda: pydl.tensor(2**70), f"tensor: the number {2**70} does not fit int64, which holds [-9223372036854775808, 9223372036854775807]"),
    (lambda: pydl.tensor([1.0, NAN], dtype="int32"), "tensor: the number nan does not fit int32, which holds [-2147483648, 2147483647]"),
    (lambda: pydl.tensor([-np.inf], dtype="int8"), "tensor: the number -inf does not fit int8, which holds [-128, 127]"),
    (lambda: pydl.tensor([1e30], dtype="int64"), "tensor: the number 1e+30 does not fit int64, which holds [-9223372036854775808, 9223372036854775807]"),
    (lambda: pydl.tensor([256.0], dtype="uint8"), f"tensor: the number 256.0 does not fit uint8, {BYTES}"),
    (lambda: pydl.full((2,), 300, "uint8"), f"full: the number 300 does not fit uint8, {BYTES}"),
    (lambda: pydl.Variable([300], dtype="uint8"), f"Variable: the number 300 does not fit uint8, {BYTES}"),
    (lambda: zeros("int32").assign([2**40, 2]), "assign: the number 1099511627776 does not fit int32, which holds [-2147483648, 2147483647]"),
    (lambda: zeros("int32").assign_add([2**40, 2]), "assign_add: the number 1099511627776 does not fit int32, which holds [-2147483648, 2147483647]"),
    (lambda: zeros("uint8").assign_sub(300), f"assign_sub: the number 300 does not fit uint8, {BYTES}"),
    (lambda: pydl.arange(254, 258, dtype="uint8"), f"arange: the number 257 does not fit uint8, {BYTES}"),
    (lambda: pydl.arange(-2.0, 1.0, dtype="uint8"), f"arange: the number -2.0 does not fit uint8, {BYTES}"),
    (lambda: pydl.linspace(0, 300, 3, dtype="uint8"), f"linspace: the number 300.0 does not fit uint8, {BYTES}"),
    (lambda: put(slice(None), 300), f"x[key] = value: the number 300 does not fit uint8, {BYTES}"),
    (lambda: put(slice(None), [1, 300]), f"x[key] = value: the number 300 does not fit uint8, {BYTES}"),
    (lambda: put(0, NAN), f"x[key] = value: the number nan does not fit uint8, {BYTES}"),
    (lambda: put(0, 2**2000, "float32"), "x[key] = value: an integer of 2001 bits does not fit float32"),
    (lambda: pydl.ones(2) * 10**400, "multiply: an integer of 1329 bits does not fit float32"),
    (lambda: pydl.where([True], pydl.ones(1, "int8"), 300), "where: the number 300 does not fit int8, which holds [-128, 127]"),
    (lambda: pydl.pad(pydl.ones(2, "uint8"), 1, constant_values=300), f"pad: the number 300 does not fit uint8, {BYTES}"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), MISFITS, ids=[m[1][:40] for m in MISFITS])
def test_numbers_that_do_not_fit(call: Any, text: str) -> None:
    with raises(ValueError, text):
        call()


def test_numbers_that_fit() -> None:
    cases: list[tuple[Any, str]] = [
        ([0, 255], "uint8"),
        ([-128, 127], "int8"),
        ([255.9, -0.9, 1.5], "uint8"),  # fractions fall off
        ([2**64 - 1, 5], "uint64"),
        ([2**53 + 1, 1.5], "int64"),
        ([2**63 - 1, -(2**63)], "int64"),
        ([[True], [False]], "uint8"),
        ([], "uint8"),
        (255, "uint8"),
    ]
    for value, dtype in cases:
        x = pydl.tensor(value, dtype)
        want = [[int(v) for v in row] if isinstance(row, list) else int(row) for row in value] \
            if isinstance(value, list) else value  # fmt: skip
        assert x.dtype == dtype and x.tolist() == want
    assert pydl.tensor([300, 0], "bool").tolist() == [True, False]
    assert pydl.arange(254, 256, dtype="uint8").tolist() == [254, 255]
    v = zeros("uint8")
    assert v.assign([255, 1]).tolist() == [255, 1]  # NumPy would make int64 of it, and refuse
    assert v.assign_sub(1).tolist() == [254, 0]


def test_arrays_wrap_as_in_numpy() -> None:
    wide = np.array([300, -1, 2**40])
    want = wide.astype(np.uint8)
    for x in (wide, pydl.tensor(wide)):
        np.testing.assert_array_equal(pydl.tensor(x, "uint8").numpy(), want)
        np.testing.assert_array_equal(pydl.astype(x, "uint8").numpy(), want)
    assert pydl.tensor(np.int64(300), "uint8").item() == 44
    assert pydl.Variable([0], dtype="int32").assign(np.array([2**40 + 1])).tolist() == [1]


COMPARISONS = {
    "equal": operator.eq,
    "not_equal": operator.ne,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
}


@pytest.mark.parametrize("name", COMPARISONS)
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "uint64"])
def test_comparisons_with_any_integer_are_exact(name: str, dtype: str) -> None:
    compare, info = COMPARISONS[name], np.iinfo(dtype)
    values = [[info.min, 0, info.max]]
    x = pydl.tensor(values, dtype)
    for number in (info.min - 1, info.min, info.max, info.max + 1, 300, -1, -(2**70), 10**400):
        want = [[compare(v, number) for v in row] for row in values]
        swapped = [[compare(number, v) for v in row] for row in values]
        assert compare(x, number).tolist() == getattr(pydl, name)(x, number).tolist() == want
        assert compare(number, x).tolist() == getattr(pydl, name)(number, x).tolist() == swapped
        assert compare(x, number).dtype == np.bool_
    assert getattr(pydl, name)(2**71, 2**70).item() is compare(2**71, 2**70)
    assert compare(pydl.zeros((0, 2), dtype), 2**70).shape == (0, 2)


# ---- memory --------------------------------------------------------------------------------------

NO_MEMORY = [
    (lambda: LARGE + 1, "add: cannot allocate 1.31e+05 GiB for shape (35184372088832,) of float32"),
    (lambda: pydl.exp(LARGE), "exp: cannot allocate 1.31e+05 GiB for shape (35184372088832,) of float32"),
    (lambda: LARGE < 1, "less: cannot allocate 3.28e+04 GiB for shape (35184372088832,) of bool"),
    (lambda: pydl.relu(LARGE, 0.1), "relu: cannot allocate 1.31e+05 GiB for shape (35184372088832,) of float32"),
    (lambda: pydl.matmul(COLUMN[: 2**30], pydl.ones((1, 2**16))), "matmul: cannot allocate 2.62e+05 GiB for shape (1073741824, 65536) of float32"),
    (lambda: pydl.sum(pydl.broadcast_to(LARGE, (2, 2**45)), axis=0), "sum: cannot allocate 1.31e+05 GiB for shape (35184372088832,) of float32"),
    (lambda: pydl.take(pydl.ones((1, 2**16)), np.broadcast_to(0, 2**24), axis=0), "take: cannot allocate 4.1e+03 GiB for shape (16777216, 65536) of float32"),
]  # fmt: skip
TOO_LARGE = [
    (lambda: COLUMN + COLUMN.T, "add: shape (4294967296, 4294967296) has too many elements for memory"),
    (lambda: pydl.where(True, COLUMN, COLUMN.T), "where: shape (4294967296, 4294967296) has too many elements for memory"),
    (lambda: COLUMN @ COLUMN.T, "matmul: shape (4294967296, 4294967296) has too many elements for memory"),
    (lambda: pydl.repeat(pydl.ones(3), 2**62), "repeat: shape (13835058055282163712,) has too many elements for memory"),
    (lambda: pydl.repeat(pydl.ones(3), [2**62, 2**62, 0]), "repeat: shape (9223372036854775808,) has too many elements for memory"),
    (lambda: pydl.pad(pydl.ones(3), 2**62), f"pad: shape ({2**63 + 3},) has too many elements for memory"),
    (lambda: pydl.pad(pydl.ones(3), 2**70), f"pad: shape ({2**71 + 3},) has too many elements for memory"),
    (lambda: pydl.sequence_mask([1], 2**62), f"sequence_mask: shape (1, {2**62}) has too many elements for memory"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), NO_MEMORY, ids=[m[1].split(":")[0] for m in NO_MEMORY])
def test_no_memory(call: Any, text: str) -> None:
    with raises(MemoryError, text):
        call()


@pytest.mark.parametrize(("call", "text"), TOO_LARGE, ids=[m[1].split(":")[0] for m in TOO_LARGE])
def test_too_many_elements(call: Any, text: str) -> None:
    with raises(ValueError, text):
        call()


# ---- other values and types ----------------------------------------------------------------------

VALUES = [
    (lambda: optimizers.SGD(clipnorm=-1), "SGD: clipnorm must be in [0, inf), got -1"),
    (lambda: optimizers.SGD(clipvalue=-1), "SGD: clipvalue must be in [0, inf), got -1"),
    (lambda: optimizers.Adam(global_clipnorm=-1), "Adam: global_clipnorm must be in [0, inf), got -1"),
    (lambda: pydl.searchsorted(pydl.ones(1), 1.0, side="up"), "searchsorted: side must be 'left' or 'right', got 'up'"),
    (lambda: pydl.searchsorted(SQUARE, 1.0), "searchsorted: x must be a vector, got shape (2, 2)"),
    (lambda: pydl.where([True, False], pydl.ones(3, "int8"), 3), "where: shapes (2,), (3,) and () do not broadcast: axis -1 is 2 against 3"),
    (lambda: put(slice(None), [1, 2, 3]), "x[key] = value: a value of shape (3,) does not stretch to (2,), the shape of x[key]"),
    (lambda: pydl.transpose(MATRIX, (0, 0)), "transpose: axes (0, 0) is no order of the 2 axes of (2, 3)"),
    (lambda: pydl.transpose(MATRIX, (0, 2)), "transpose: axis 2 is out of range for shape (2, 3)"),
    (lambda: pydl.stack([MATRIX], axis=3), "stack: axis 3 is out of range for 3 axes"),
    (lambda: pydl.tensordot(SQUARE, SQUARE, axes=([0, 0], [0, 1])), "tensordot: axis (0, 0) names an axis twice"),
    (lambda: pydl.tensordot(SQUARE, SQUARE, axes=([0, 1], [1, -1])), "tensordot: axis (1, -1) names an axis twice"),
    (lambda: pydl.vecdot(pydl.ones(2), pydl.ones(3)), "vecdot: shapes (2,) and (3,) do not broadcast: axis -1 is 2 against 3"),
    (lambda: pydl.vecdot(pydl.ones(2), pydl.ones(2), axis=3), "vecdot: axis 3 is out of range for 1 axes"),
    (lambda: pydl.sequence_mask([1], -2), "sequence_mask: sizes must not be negative, got shape (1, -2)"),
]  # fmt: skip
TYPES = [
    (lambda: optimizers.SGD(global_clipnorm="a"), "SGD: global_clipnorm must be a number, got 'a'"),
    (lambda: pydl.split(pydl.ones(6), 2.5), "split: sections must be an integer, got 2.5"),
    (lambda: pydl.reshape(pydl.ones(6), 2.5), "reshape: shape must be an integer or a sequence of integers, got 2.5"),
    (lambda: pydl.ones(6).reshape(None), "reshape: shape must be an integer or a sequence of integers, got None"),
    (lambda: pydl.transpose(MATRIX, 2.5), "transpose: axes must be an integer or a sequence of integers, got 2.5"),
    (lambda: pydl.stack([MATRIX], axis=1.5), "stack: axis must be an integer, got 1.5"),
    (lambda: pydl.stack(5), "stack: needs a sequence of arrays, got 5"),
    (lambda: pydl.concat(5), "concat: needs a sequence of arrays, got 5"),
    (lambda: pydl.tensordot(SQUARE, SQUARE, axes=1.5), "tensordot: axes must be an integer, or axes of a and axes of b, got 1.5"),
    (lambda: pydl.tensordot(SQUARE, SQUARE, axes=([0],)), "tensordot: axes must be an integer, or axes of a and axes of b, got ([0],)"),
    (lambda: pydl.pad(pydl.ones(2), 1.7), "pad: pad_width must be an integer, got 1.7"),
    (lambda: pydl.pad(pydl.ones(2), (1, 2.5)), "pad: pad_width must be an integer, got 2.5"),
    (lambda: pydl.pad(pydl.ones(2), None), "pad: pad_width must be an integer, got None"),
    (lambda: pydl.pad(pydl.ones(2), 1, constant_values="a"), "pad: constant_values must be a number, got 'a'"),
    (lambda: pydl.sequence_mask([1], 2.5), "sequence_mask: maxlen must be an integer, got 2.5"),
    (lambda: pydl.sign([True]), "sign: needs numbers, got bool; use astype('int32') first"),
    (lambda: pydl.negative([True]), "negative: needs numbers, got bool; use astype('int32') first"),
    (lambda: pydl.subtract([True], [True]), "subtract: needs numbers, got bool; use astype('int32') first"),
    (lambda: zeros("int32").assign([1.5, 2]), "assign: variable has dtype int32, got a value of float64; use astype('int32') first"),
    (lambda: pydl.Variable([True], dtype="bool", name="on").assign([1]), "assign: variable 'on' has dtype bool, got a value of int64; use astype('bool') first"),
    (lambda: pydl.dense(MATRIX, pydl.ones((3, 2)), None, 5), "dense: activation must be None, a name or a function of tensors, got 5"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), VALUES, ids=[m[1][:30] for m in VALUES])
def test_values(call: Any, text: str) -> None:
    with raises(ValueError, text):
        call()


@pytest.mark.parametrize(("call", "text"), TYPES, ids=[m[1][:30] for m in TYPES])
def test_types(call: Any, text: str) -> None:
    with raises(TypeError, text):
        call()


@pytest.mark.parametrize("name", ["rellu", "add", "where", "mean", "clip_by_norm"])
def test_names_that_are_no_activation(name: str) -> None:
    text = (
        "dense: activation must be the name of an element-wise op of one operand, 'linear', "
        f"'softmax', 'log_softmax', or a function, as those of pydl.activations; got '{name}'"
    )
    for bias in (None, pydl.ones(2)):
        with raises(ValueError, text):
            pydl.dense(MATRIX, pydl.ones((3, 2)), bias, name)
