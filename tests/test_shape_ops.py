"""Shape, index, creation and matrix operations against NumPy, and their gradients."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import numpy as np
import pytest
from arrays import FLOATS, strided_arrays
from errors import raises
from hypothesis import given
from hypothesis import strategies as st

import pydl
from pydl import _core
from pydl.ops import elementwise
from pydl.testing import check_gradients

rng = np.random.default_rng(0)


def same(got: Any, want: Any) -> None:
    want = np.asarray(want)
    assert got.shape == want.shape
    np.testing.assert_array_equal(got.numpy(), want)


@given(x=strided_arrays(np.float32), data=st.data())
def test_shapes_follow_numpy(x: np.ndarray, data: st.DataObject) -> None:
    t = pydl.tensor(x)
    same(pydl.reshape(t, (-1,)) if x.size else pydl.ravel(t), x.reshape(-1))
    axes = data.draw(st.permutations(range(x.ndim)))
    same(pydl.permute_dims(t, axes), x.transpose(axes))
    same(t.T, x.T)
    same(pydl.flip(t), np.flip(x))
    same(pydl.squeeze(t), np.squeeze(x))
    same(pydl.copy(t), x)
    if x.ndim:
        axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
        same(pydl.flip(t, axis), np.flip(x, axis))
        same(pydl.roll(t, 2, axis), np.roll(x, 2, axis))
        same(pydl.expand_dims(t, axis), np.expand_dims(x, axis))
        same(pydl.concat([t, t], axis), np.concatenate([x, x], axis))
        same(pydl.stack([t, t], axis), np.stack([x, x], axis))
        same(pydl.repeat(t, 2, axis), np.repeat(x, 2, axis))
        same(pydl.moveaxis(t, axis, 0), np.moveaxis(x, axis, 0))
        same(pydl.sort(t, axis), np.sort(x, axis))
        same(pydl.argsort(t, axis), np.argsort(x, axis, kind="stable"))
        same(pydl.stack(pydl.unstack(t, axis), axis) if x.shape[axis] else t, x)
        if x.shape[axis]:
            index = data.draw(st.lists(st.integers(-x.shape[axis], x.shape[axis] - 1), max_size=4))
            same(pydl.take(t, index, axis), np.take(x, np.array(index, int), axis))
    same(pydl.tile(t, (2, 1)), np.tile(x, (2, 1)))
    same(pydl.pad(t, 1), np.pad(x, 1) if x.ndim else x)


def test_views_share_memory() -> None:
    t = pydl.zeros((4, 3))
    for view in (t.T, t[1:], t.reshape(12), pydl.squeeze(t[:1]), pydl.split(t, 2)[0], t[..., None]):
        assert np.shares_memory(view.numpy(), t.numpy())


def test_reshape_examples() -> None:
    assert pydl.zeros((3, 2)).reshape((6, 1)).shape == (6, 1)
    assert pydl.zeros((2, 2, 3)).reshape(-1, 3).shape == (4, 3)
    assert pydl.zeros((2, 2, 3)).reshape((-1, 1, 3)).shape == (4, 1, 3)
    assert pydl.transpose(pydl.zeros((2, 3, 4))).shape == (4, 3, 2)


GRADIENTS = {
    "reshape": lambda x: pydl.reshape(x, (4, 3)),
    "transpose": lambda x: pydl.transpose(x) * 2,
    "concat": lambda x: pydl.concat([x, x * 2], 1),
    "stack": lambda x: pydl.stack([x, x * 2], 1),
    "split": lambda x: pydl.split(x, [1, 2], axis=1)[1],
    "tile": lambda x: pydl.tile(x, (2, 3)),
    "repeat": lambda x: pydl.repeat(x, [1, 0, 2, 3], axis=1),
    "flip": lambda x: pydl.flip(x, 0),
    "roll": lambda x: pydl.roll(x, 1),
    "pad": lambda x: pydl.pad(x, ((1, 0), (2, 1))),
    "broadcast_to": lambda x: pydl.broadcast_to(x, (2, 3, 4)),
    "squeeze": lambda x: pydl.squeeze(x[:, :1], 1),
    "expand_dims": lambda x: pydl.expand_dims(x, (0, 2)),
    "slice": lambda x: x[1:, ::-2],
    "index": lambda x: x[[0, 0, 2], [1, 1, 3]],
    "mask": lambda x: x[np.arange(12).reshape(3, 4) % 3 == 0],
    "take": lambda x: pydl.take(x, [[3, 0], [0, 1]], axis=1),
    "take_along_axis": lambda x: pydl.take_along_axis(x, np.array([[0, 1], [1, 1], [3, 2]]), 1),
    "sort": lambda x: pydl.sort(x, axis=0),
    "top_k": lambda x: pydl.top_k(x, 2)[0],
    "diagonal": pydl.diagonal,
    "tril": pydl.tril,
    "astype": lambda x: pydl.astype(x, "float64"),
    "clip": lambda x: pydl.clip(x, -0.513, 0.487),
    "where": lambda x: pydl.where(np.arange(4) % 2 == 0, x, x * x),
    "norm": lambda x: pydl.norm(x, axis=1),
    "segment_sum": lambda x: pydl.segment_sum(x, [1, 0, 1]),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name: str) -> None:
    check_gradients(GRADIENTS[name], rng.standard_normal((3, 4)))


def test_scatter_add() -> None:
    x, updates = rng.standard_normal((4, 3)), rng.standard_normal((2, 2, 3))
    index = np.array([[0, 3], [3, -1]])
    want = x.copy()
    np.add.at(want, index, updates)
    size = np.abs(x)
    np.add.at(size, index, np.abs(updates))
    error = np.abs(pydl.scatter_add(x, index, updates).numpy() - want)
    assert (error <= 4 * np.finfo(np.float64).eps * size).all()  # four additions, in another order
    check_gradients(lambda a, b: pydl.scatter_add(a, index, b), x, updates)


@pytest.mark.parametrize("dtype", [*FLOATS, "int64", "bool", "uint8"])
def test_one_hot(dtype: Any) -> None:
    got = pydl.one_hot(np.array([[0, 2], [5, -1]]), 3, dtype=dtype)
    want = np.array([[[1, 0, 0], [0, 0, 1]], [[0, 0, 0], [0, 0, 0]]], dtype)
    assert got.dtype == np.dtype(dtype)
    same(got, want)
    same(pydl.one_hot([1, 0], 2, axis=0), [[0, 1], [1, 0]])


def bound(a: np.ndarray, b: np.ndarray, dtype: Any) -> np.ndarray:
    """n eps |a| |b|: the error bound of a dot product of n terms."""
    n = a.shape[-1]
    return 2 * (n + 2) * np.finfo(dtype).eps * np.matmul(np.abs(a), np.abs(b)) + 1e-300


@pytest.mark.parametrize("dtype", FLOATS)
@given(data=st.data())
def test_matmul(dtype: Any, data: st.DataObject) -> None:
    """Any shapes and layouts, leading axes that broadcast, vectors."""
    m, k, n = (data.draw(st.integers(0, 40)) for _ in range(3))
    batch = data.draw(st.sampled_from([(), (3,), (2, 3), (2, 1)]))
    other = data.draw(st.sampled_from([(), (3,), (1, 3), (2, 3)]))
    seed = np.random.default_rng(data.draw(st.integers(0, 99)))

    def operand(shape: tuple[int, ...]) -> np.ndarray:
        x = seed.standard_normal(shape).astype(dtype)
        kind = data.draw(st.sampled_from(["c", "t", "reversed", "strided", "stretched"]))
        if kind == "t":
            x = np.swapaxes(np.ascontiguousarray(np.swapaxes(x, -1, -2)), -1, -2)
        elif kind == "reversed":
            x = x[..., ::-1, :]
        elif kind == "strided":
            x = np.repeat(x, 2, axis=-1)[..., ::2]
        elif kind == "stretched":
            x = np.broadcast_to(x[..., :1], x.shape)
        return x

    a, b = operand((*batch, m, k)), operand((*other, k, n))
    got = pydl.matmul(a, b)
    want = np.matmul(a.astype(np.float64), b.astype(np.float64))
    assert got.dtype == dtype and got.shape == want.shape
    wide = a.astype(np.float64), b.astype(np.float64)
    assert (np.abs(got.numpy() - want) <= bound(*wide, dtype)).all()


@pytest.mark.parametrize(
    "shapes",
    [((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((4, 2, 3), (3,)), ((3,), (4, 3, 2))],
)
def test_matmul_of_vectors(shapes: tuple[tuple[int, ...], ...]) -> None:
    a, b = (rng.standard_normal(s) for s in shapes)
    np.testing.assert_allclose(pydl.matmul(a, b).numpy(), a @ b, rtol=1e-13)
    check_gradients(pydl.matmul, a, b)


@pytest.mark.parametrize(
    "shapes",
    [((4, 3), (3, 5)), ((2, 4, 3), (3, 5)), ((2, 4, 3), (2, 3, 5)), ((2, 1, 4, 3), (7, 3, 5))],
)
def test_matmul_gradients(shapes: tuple[tuple[int, ...], ...]) -> None:
    check_gradients(pydl.matmul, *(rng.standard_normal(s) for s in shapes))


@pytest.mark.parametrize("dtype", ["bool", "int16", "float32", "float64"])
def test_concat_of_many_parts(dtype: str) -> None:
    """Rows side by side in one pass, at most eight parts at a time; long ones each by itself."""
    for shape, count, axis in (
        ((5, 3, 2), 9, 1),
        ((4, 7), 17, 1),
        ((3, 40000), 3, 1),
        ((9,), 3, 0),
    ):
        parts = [
            rng.integers(0, 100, (*shape[:axis], k % 4 * shape[axis], *shape[axis + 1 :]))
            for k in range(count)
        ]
        parts = [part.astype(dtype) for part in parts]
        same(pydl.concat(parts, axis), np.concatenate(parts, axis))
        strided = [np.repeat(part, 2, axis)[(slice(None),) * axis + (slice(None, None, 2),)]
                   for part in parts]  # fmt: skip
        same(pydl.concat(strided, axis), np.concatenate(parts, axis))
    none = np.empty((2**40, 0), dtype)
    assert pydl.concat([none, none], 1).shape == none.shape  # walks no row
    with raises(ValueError, "concat: the result has too many elements for memory"):
        pydl.concat([np.broadcast_to(none[:1, :0].sum().astype("u1"), (2**62,))] * 2)


@pytest.mark.parametrize("dtype", FLOATS)
def test_row_of_a_product_with_a_transpose(dtype: Any) -> None:
    """One row takes another way than several; its bits are theirs, wherever the matrix lies."""
    rows = rng.standard_normal((3, 600)).astype(dtype)
    room = rng.standard_normal(100 * 600 + 4).astype(dtype)
    for k, n, first in itertools.product(
        (1, 7, 15, 16, 17, 33, 64, 100, 128, 129, 256, 300, 513, 600),
        (2, 7, 8, 16, 17, 32, 33, 48, 100),
        (0, 1, 4),
    ):
        b = room[first : first + n * k].reshape(n, k).T
        whole = _core.matmul(rows[:, :k], b)
        for i in range(3):
            row = _core.matmul(rows[i : i + 1, :k], b)
            np.testing.assert_array_equal(row[0], whole[i], f"{k} {n} {first}")


def test_large_products() -> None:
    """By random projections: (A B) t = A (B t), within the bound."""
    for m, k, n in ((300, 5000, 70), (1024, 300, 600), (1, 700, 900), (900, 700, 1)):
        a, b = (rng.standard_normal(s).astype(np.float32) for s in ((m, k), (k, n)))
        wide_a, wide_b, t = a.astype(float), b.astype(float), rng.standard_normal(n)
        error = np.abs(pydl.matmul(a, b).numpy().astype(float) @ t - wide_a @ (wide_b @ t))
        assert (error <= bound(wide_a, wide_b, np.float32) @ np.abs(t)).all()


def test_matmul_of_integers_and_infinities() -> None:
    same(pydl.matmul(np.array([[1, 2]]), np.array([[3], [4]])), [[11]])
    y = pydl.matmul(np.array([[np.inf, 1.0]], np.float32), np.array([[0.0], [1.0]], np.float32))
    assert np.isnan(y.item())


def test_dot_in_any_rank() -> None:
    for sa, sb in (
        ((3,), (3,)),
        ((2, 3), (3, 4)),
        ((2, 3, 4), (4,)),
        ((2, 3, 4), (5, 4, 6)),
        ((), (3,)),
    ):
        a, b = rng.standard_normal(sa), rng.standard_normal(sb)
        np.testing.assert_allclose(pydl.dot(a, b).numpy(), np.dot(a, b), rtol=1e-12)
    check_gradients(pydl.dot, rng.standard_normal((2, 3, 4)), rng.standard_normal((5, 4, 6)))


@pytest.mark.parametrize("axes", [0, 1, ([1, 0], [0, 1]), ([0], [1])])
def test_tensordot(axes: Any) -> None:
    a, b = rng.standard_normal((4, 4)), rng.standard_normal((4, 4))
    np.testing.assert_allclose(
        pydl.tensordot(a, b, axes).numpy(), np.tensordot(a, b, axes), rtol=1e-12
    )
    check_gradients(lambda x, y: pydl.tensordot(x, y, axes), a, b)


@pytest.mark.parametrize(
    "text",
    ["ij,jk->ik", "ij,jk", "ii->i", "ii", "ij->ji", "ij,ij->", "i,j->ij", "bij,bjk->bik",
     "...ij,jk->...ik", "ij,kj,lk->il", "ijk->k", "iij,j->i", "ij,kl->"],
)  # fmt: skip
def test_einsum(text: str) -> None:
    terms = text.split("->")[0].split(",")
    sizes = dict(zip("ijklb", (3, 3, 4, 2, 5), strict=True)) | {"j": 3}
    operands = [
        rng.standard_normal(
            tuple([2, 3] if "." in t else []) + tuple(sizes[c] for c in t.replace(".", ""))
        )
        for t in terms
    ]
    want = np.einsum(text, *operands)
    got = pydl.einsum(text, *operands)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-10, atol=1e-12)
    check_gradients(lambda *xs: pydl.einsum(text, *xs), *operands)


@pytest.mark.parametrize(
    "activation",
    [
        None,
        "relu",
        "tanh",
        "sigmoid",
        "gelu",
        "leaky_relu",
        "relu6",
        "softmax",
        pydl.relu,
        pydl.elu,
    ],
)
@pytest.mark.parametrize("shape", [(5, 4), (2, 5, 4), (4,)])
def test_dense(activation: Any, shape: tuple[int, ...]) -> None:
    x, kernel, bias = (
        rng.standard_normal(shape),
        rng.standard_normal((4, 3)),
        rng.standard_normal(3),
    )
    z = pydl.tensor(x @ kernel + bias)
    function = getattr(pydl, activation) if isinstance(activation, str) else activation
    want = z if function is None else function(z)
    got = pydl.dense(x, kernel, bias, activation)
    np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-12, atol=1e-14)
    constants = pydl.dense(*map(pydl.tensor, (x, kernel, bias)), activation)  # the short way
    np.testing.assert_array_equal(constants.numpy(), got.numpy())
    check_gradients(lambda *p: pydl.dense(*p, activation), x, kernel, bias)
    check_gradients(lambda *p: pydl.dense(*p, None, activation), x, kernel)


def test_activations_by_name_have_the_bits_of_the_functions() -> None:
    x, kernel, bias = (
        pydl.tensor(rng.standard_normal(shape).astype(np.float32) * 4)
        for shape in ((33, 20), (20, 17), (17,))
    )
    z = pydl.dense(x, kernel, bias)
    same(pydl.dense(x, kernel, bias, "linear"), z.numpy())
    names = set(pydl.activations.__all__) & {*elementwise.__all__, "softmax", "log_softmax"}
    assert {"relu", "sigmoid", "leaky_relu", "relu6", "softmax"} < names
    for name in (*sorted(names), "exp", "isnan", "sign"):
        function = getattr(pydl, name)
        want = function(z).numpy()
        for activation in (name, function):
            got = pydl.dense(x, kernel, bias, activation)
            assert got.dtype == want.dtype
            same(got, want)


@pytest.mark.parametrize("ord", [1, 2, 3, np.inf])
def test_norm(ord: Any) -> None:
    x = rng.standard_normal((3, 4))
    np.testing.assert_allclose(
        pydl.norm(x, ord, axis=1).numpy(), np.linalg.norm(x, ord, axis=1), rtol=1e-12
    )


def test_creation() -> None:
    same(pydl.arange(2, 8, 3), np.arange(2, 8, 3))
    same(pydl.arange(5, 0, -2), np.arange(5, 0, -2))
    same(pydl.eye(2, 3, k=1), np.eye(2, 3, k=1))
    same(pydl.linspace(0, 1, 5), np.linspace(0, 1, 5))
    same(pydl.linspace(pydl.tensor(0.0), pydl.tensor(1), 3), [0, 0.5, 1])
    same(pydl.linspace(pydl.tensor([0.0, 1.0]), 2, 3), [[0, 1], [1, 1.5], [2, 2]])
    same(pydl.full_like(pydl.zeros(2), 3), [3, 3])
    assert pydl.arange(3.0).dtype == np.float32 and pydl.arange(3).dtype == np.int64
    same(pydl.triu(pydl.ones((3, 3))), np.triu(np.ones((3, 3))))
    for k in (-3, -1, 0, 1, 9):
        for x in (np.full((2, 3, 4), -np.inf), np.array([[np.nan, 1], [2, np.nan]])):
            same(pydl.triu(x, k=k), np.triu(x, k))
            same(pydl.tril(x, k=k), np.tril(x, k))
    for dtype in (np.bool_, np.uint8, np.int64, np.float64):
        same(pydl.triu(np.ones((3, 2), dtype)), np.triu(np.ones((3, 2), dtype)))
    x = pydl.tensor(np.ones((2, 2)), requires_grad=True)
    pydl.tril(x).backward(pydl.tensor([[1.0, np.inf], [np.nan, 1.0]], dtype="float64"))
    np.testing.assert_array_equal(x.grad.numpy(), [[1, 0], [np.nan, 1]])


def test_gradient_of_norm_is_zero_at_zero() -> None:
    x = pydl.tensor([[0.0, 0.0], [3.0, 4.0]])
    for order in (1, 2, 3, np.inf):
        slope = pydl.grad(lambda v, order=order: pydl.sum(pydl.norm(v, order, axis=1)))(x)
        np.testing.assert_array_equal(slope.numpy()[0], 0)
    check_gradients(lambda v: pydl.norm(v, axis=1), rng.normal(size=(3, 4)))


def test_search_and_rank() -> None:
    x = np.array([[3.0, 1.0, 3.0], [0.0, 5.0, 2.0]])
    values, places = pydl.top_k(x, 2)
    same(values, [[3, 3], [5, 2]])
    same(places, [[0, 2], [1, 2]])
    same(pydl.sort(x, descending=True), np.sort(x)[:, ::-1])
    same(pydl.nonzero(pydl.tensor([0, 3, 0]))[0], [1])
    same(pydl.unique_values(pydl.tensor([2, 1, 2])), [1, 2])


MESSAGES = [
    (lambda: pydl.zeros((2, 3)) @ pydl.zeros((4, 5)),
     "matmul: inner sizes differ, (2, 3) @ (4, 5): 3 against 4"),
    (lambda: pydl.zeros((2, 2, 3)) @ pydl.zeros((3, 3, 4)), "matmul: leading axes do not broadcast"),
    (lambda: pydl.matmul(1.0, pydl.ones(3)), "matmul: operands need an axis"),
    (lambda: pydl.zeros(6).reshape(4, 2), "reshape: shape (6,) has 6 elements, the new shape (4, 2) has 8"),
    (lambda: pydl.zeros(6).reshape(4, -1), "reshape: cannot fill -1 in (4, -1)"),
    (lambda: pydl.zeros(6).reshape(-1, -1), "reshape: at most one size may be -1"),
    (lambda: pydl.zeros((2, 3)).transpose(0, 0), "transpose: axes (0, 0) is no order of the 2 axes"),
    (lambda: pydl.zeros((2, 3)).transpose(0, 2), "transpose: axis 2 is out of range for shape (2, 3)"),
    (lambda: pydl.squeeze(pydl.zeros((2, 3)), 0), "squeeze: axis 0 of shape (2, 3) has length 2, not 1"),
    (lambda: pydl.concat([pydl.zeros((2, 3)), pydl.zeros((2, 4))]), "concat: shapes (2, 3) and (2, 4)"),
    (lambda: pydl.concat([]), "concat: needs at least one array, got none"),
    (lambda: pydl.stack([pydl.zeros(2), pydl.zeros(3)]), "stack: shapes (2,) and (3,) differ"),
    (lambda: pydl.split(pydl.zeros(5), 2), "split: axis 0 of length 5 does not split into 2 equal"),
    (lambda: pydl.broadcast_to(pydl.zeros(3), (2, 4)), "broadcast_to: shape (3,) does not stretch to"),
    (lambda: pydl.dense(pydl.zeros((2, 3)), pydl.zeros((4, 5))), "dense: x of shape (2, 3) does not fit"),
    (lambda: pydl.dense(np.zeros((2, 3)), np.zeros((3, 5)), np.zeros(4)), "dense: bias of shape (4,)"),
    (lambda: pydl.einsum("ij,jk", pydl.zeros((2, 2))), "einsum: 2 terms in 'ij,jk', 1 operands"),
    (lambda: pydl.einsum("ij", pydl.zeros(2)), "einsum: 'ij' has 2 axes, the operand has shape (2,)"),
    (lambda: pydl.repeat(pydl.zeros(2), -1), "repeat: repeats must be integers of at least 0"),
    (lambda: pydl.scatter_add(pydl.zeros(2), [0], pydl.zeros((2,))), "scatter_add: updates must have"),
    (lambda: pydl.arange(0, 1, 0), "arange: step must not be 0"),
    (lambda: pydl.top_k(pydl.zeros(2), 3), "top_k: k=3 for a last axis of length 2"),
    (lambda: pydl.dot(pydl.zeros(2), pydl.zeros(3)), "dot: sizes differ, (2,) . (3,): 2 against 3"),
    (lambda: pydl.split(pydl.zeros((0,)), 2**63), "split: at most 1048576 parts of an empty axis, got 9223372036854775808"),
    (lambda: pydl.split(pydl.zeros(()), 2**31, 0), "split: axis 0 is out of range for shape ()"),
    (lambda: pydl.segment_sum(pydl.zeros(3), [0, 1]), "segment_sum: ids of shape (2,) do not fit data of shape (3,), whose first axes they must have"),
    (lambda: pydl.segment_sum(pydl.zeros(2), [0, -1]), "segment_sum: ids must not be negative, got -1"),
    (lambda: pydl.segment_sum(pydl.zeros(2), [0, 1], -1), "segment_sum: num_segments must not be negative, got -1"),
    (lambda: pydl.tensor([1, 2]) + pydl.tensor([1, 2, 3]), "add: shapes (2,) and (3,) do not broadcast: axis -1 is 2 against 3"),
    (lambda: pydl.maximum(np.ones((2, 3), int), np.ones((3, 1, 4), int)), "maximum: shapes (2, 3) and (3, 1, 4) do not broadcast: axis -1 is 3 against 4"),
    (lambda: pydl.bitwise_and(np.ones((2, 3), bool), np.ones((4, 3), bool)), "bitwise_and: shapes (2, 3) and (4, 3) do not broadcast: axis -2 is 2 against 4"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), MESSAGES, ids=[m[1].split(":")[0] for m in MESSAGES])
def test_errors(call: Any, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        call()


def test_index_errors() -> None:
    with pytest.raises(
        IndexError, match="take: index 3 at position 0 is out of range for an axis of length 3"
    ):
        pydl.take(pydl.zeros(3), [3])
    with pytest.raises(IndexError, match="take: index -4 at position 0 is out of range"):
        pydl.take(pydl.zeros(3), -4)
    with pytest.raises(TypeError, match="take: indices must be integers, got float64"):
        pydl.take(pydl.zeros(3), np.array([0.5]))
    with raises(IndexError, "segment_sum: id 5 is out of range for 3 segments"):
        pydl.segment_sum(pydl.zeros(2), [0, 5], 3)


def test_type_errors() -> None:
    for ids in ([0.0, 1.0], [math.nan, 0.0], [True, False]):
        dtype = np.asarray(ids).dtype if isinstance(ids[0], bool) else "float32"
        with raises(TypeError, f"segment_sum: ids must be integers, got {dtype}"):
            pydl.segment_sum(pydl.zeros(2), ids)
    with raises(TypeError, "segment_sum: num_segments must be an integer, got 2.5"):
        pydl.segment_sum(pydl.zeros(2), [0, 1], 2.5)
    with raises(TypeError, "einsum: subscripts must be a string, as 'ij,jk->ik', got a Tensor"):
        pydl.einsum(pydl.ones((2, 2)), pydl.ones((2, 2)))
    with raises(TypeError, "linspace: cannot make float64 of an array of <U1"):
        pydl.linspace(0, "a", 3)


def test_empty_segments() -> None:
    same(pydl.segment_sum(pydl.zeros((0, 2)), []), np.zeros((0, 2)))
    same(pydl.segment_sum(pydl.zeros((0, 2)), [], 3), np.zeros((3, 2)))


def test_parts_of_an_empty_axis() -> None:
    assert [p.shape for p in pydl.split(pydl.zeros((2, 0)), 3, 1)] == [(2, 0)] * 3
