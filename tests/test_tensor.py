"""Tensor and Variable: construction, attributes, indexing, printing, exchange with NumPy."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from arrays import strided_arrays
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import pydl


def test_numpy_in_and_out_without_a_copy() -> None:
    x = np.arange(6.0)
    t = pydl.tensor(x)
    assert np.shares_memory(t.numpy(), x) and t.dtype == np.float64
    assert np.shares_memory(np.asarray(t), x)
    assert np.shares_memory(np.from_dlpack(t), x)


def test_default_dtypes() -> None:
    assert pydl.tensor([1.0]).dtype == np.float32
    assert pydl.tensor([1]).dtype == np.int64
    assert pydl.tensor([True]).dtype == np.bool_
    assert pydl.tensor([[1, 2.5]]).dtype == np.float32
    assert pydl.tensor(np.float64(1)).dtype == np.float64
    pydl.config.set_floatx("float64")
    assert pydl.tensor([1.0]).dtype == np.float64
    assert pydl.zeros(2).dtype == np.float64


def test_attributes() -> None:
    t = pydl.tensor([[1.0, 2.0, 3.0]])
    assert (t.ndim, t.shape, t.size, len(t), t.itemsize, t.nbytes) == (2, (1, 3), 3, 1, 4, 12)
    assert t.T.shape == (3, 1) and t.mT.shape == (3, 1) and t.device == "cpu"
    assert pydl.tensor(3.5).item() == 3.5 and float(pydl.tensor([2])) == 2.0
    assert [5, 6][pydl.tensor(1)] == 6
    assert t.tolist() == [[1, 2, 3]]
    assert [row.shape for row in t] == [(3,)]
    assert t in {t} and hash(t) == hash(t)


def test_printing() -> None:
    assert repr(pydl.tensor([1.0, 2.0])) == "Tensor([1., 2.])"
    assert repr(pydl.tensor([1])) == "Tensor([1], dtype=int64)"
    assert repr(pydl.tensor([1.0], requires_grad=True)) == "Tensor([1.], requires_grad=True)"
    assert repr(pydl.zeros((0, 3))) == "Tensor([], shape=(0, 3))"
    assert f"{pydl.tensor(0.5):.2f}" == "0.50"


def test_numpy_operators_give_tensors() -> None:
    a, t = np.ones(3, np.float32), pydl.tensor([1.0, 2.0, 3.0])
    for result in (a * t, t * a, a + t, a - t, a / t, np.float32(2) * t, a @ t, np.exp(t)):
        assert type(result) is pydl.Tensor
    np.testing.assert_array_equal((a - t).numpy(), [0, -1, -2])
    assert isinstance(np.sum(t.numpy()), np.floating)
    v = pydl.Variable([1.0])
    with pytest.raises(TypeError, match=r"numpy.arctan2: a tensor that wants a gradient"):
        np.arctan2(v, 1.0)


@given(x=strided_arrays(np.float32), data=st.data())
def test_indexing_follows_numpy(x: np.ndarray, data: st.DataObject) -> None:
    key = data.draw(hnp.basic_indices(x.shape, allow_newaxis=True))
    got = pydl.tensor(x)[key]
    np.testing.assert_array_equal(got.numpy(), x[key])
    if x.ndim and x.shape[0]:
        rows = data.draw(hnp.arrays(np.int64, 4, elements=st.integers(-x.shape[0], x.shape[0] - 1)))
        np.testing.assert_array_equal(pydl.tensor(x)[rows].numpy(), x[rows])
        np.testing.assert_array_equal(pydl.tensor(x)[pydl.tensor(rows)].numpy(), x[rows])
    mask = x > 0
    np.testing.assert_array_equal(pydl.tensor(x)[mask].numpy(), x[mask])


def test_indexing_errors() -> None:
    t = pydl.zeros((2, 3))
    with pytest.raises(IndexError, match=r"index 5 is out of bounds .*; the shape is \(2, 3\)"):
        t[5]
    with pytest.raises(TypeError, match=r"indexing: .* got 1\.5"):
        t[1.5]
    with pytest.raises(TypeError, match="indexing: an index array must hold integers or bool"):
        t[np.array([0.5])]


def test_setitem() -> None:
    t = pydl.zeros(3)
    t[1] = 5
    t[pydl.tensor([True, False, False])] = pydl.tensor([2.0])
    np.testing.assert_array_equal(t.numpy(), [2, 5, 0])
    with pytest.raises(ValueError, match="read-only"):
        pydl.broadcast_to(t, (2, 3))[0, 0] = 1
    v = pydl.Variable([1.0, 2.0])
    with pytest.raises(RuntimeError, match="was computed from tensors that want a gradient"):
        (v * 2)[0] = 1.0


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="tensor: nested sequences must have equal lengths"):
        pydl.tensor([[1, 2], [3]])
    with pytest.raises(TypeError, match="tensor: unsupported dtype object"):
        pydl.tensor(np.array([None]))
    with pytest.raises(TypeError, match="unsupported dtype <U1"):
        pydl.tensor(["a"])
    with pytest.raises(TypeError, match="dtype must be one of bool, int8"):
        pydl.tensor([1.0], dtype="complex64")
    with pytest.raises(TypeError, match="dtype must be one of"):
        pydl.tensor([1.0], dtype="float16")
    with pytest.raises(TypeError, match=r"only float32 and float64 have gradients, got int64"):
        pydl.tensor([1], requires_grad=True)
    with pytest.raises(ValueError, match="ambiguous"):
        bool(pydl.zeros(2))
    with pytest.raises(ValueError, match="item: needs a tensor of one element"):
        pydl.zeros(2).item()
    if hasattr(np, "ndarray") and int(np.__version__.split(".")[0]) >= 2:
        with pytest.raises(ValueError, match="at most 32 dimensions, got 33"):
            pydl.tensor(np.zeros((1,) * 33))
    with pytest.raises(ValueError, match="at most 32 dimensions, got 33"):
        pydl.expand_dims(pydl.zeros((1,) * 32), 0)


@pytest.mark.parametrize("shape", [(-1,), (2, -3)])
def test_negative_sizes(shape: tuple[int, ...]) -> None:
    for make in (pydl.zeros, pydl.ones, lambda s: pydl.full(s, 1.0)):
        with pytest.raises(ValueError, match="sizes must not be negative"):
            make(shape)


def test_sizes_that_overflow() -> None:
    with pytest.raises(ValueError, match="too many elements"):
        pydl.zeros((2**40, 2**40))
    with pytest.raises((ValueError, MemoryError)):
        pydl.broadcast_to(pydl.zeros(1), (2**40, 2**40)) + 1


def test_variable() -> None:
    v = pydl.Variable([[1.0, 2.0]], name="w")
    source = np.ones((1, 2), np.float32)
    v.assign(source)
    source[:] = 7
    np.testing.assert_array_equal(v.numpy(), 1)
    before = v.numpy()
    v.assign_add([[1.0, 1.0]]).assign_sub(0.5)
    np.testing.assert_array_equal(v.numpy(), 1.5)
    assert v.numpy() is before and v.value is v and v.trainable and v.name == "w"
    with pytest.raises(
        ValueError, match=r"assign: variable 'w' has shape \(1, 2\), got a value of"
    ):
        v.assign([1.0, 2.0, 3.0])
    with pytest.raises(TypeError, match="assign: needs numbers"):
        v.assign("x")
    assert pydl.Variable(0).dtype == np.float32 and pydl.Variable([1, 2]).dtype == np.float32
    assert not pydl.Variable([1.0], trainable=False).requires_grad


def test_copies_and_pickles() -> None:
    v = pydl.Variable([1.0, 2.0], name="w")
    for other in (copy.copy(v), copy.deepcopy(v), pickle.loads(pickle.dumps(v))):
        assert type(other) is pydl.Variable and other.name == "w" and other.trainable
        other.assign([0.0, 0.0])
    np.testing.assert_array_equal(v.numpy(), [1, 2])
    t = pickle.loads(pickle.dumps(pydl.tensor([1.0], requires_grad=True)))
    assert t.requires_grad and t.item() == 1


def test_arrays_own_their_memory() -> None:
    """Results live on pydl's allocator, and NumPy may resize and free them as its own."""
    y = (pydl.ones(1000) + 1).numpy()
    assert y.flags.owndata and y.ctypes.data % 64 == 0
    z = pydl.exp(pydl.zeros(4)).numpy().copy()
    z.resize(8, refcheck=False)
    y.resize(2000, refcheck=False)
    np.testing.assert_array_equal(y[:1000], 2)
    pydl.ones(1000) + 1
    stats = pydl._core.memory_stats()
    for _ in range(100):
        pydl.ones(1000) + 1
    assert pydl._core.memory_stats()["allocations"] == stats["allocations"]


def test_elements_stay_tensors_in_every_operation() -> None:
    """x[0] holds an array without axes, as tensor(value) does, whatever is done with it."""
    x = pydl.Variable([0.5, 0.25, 0.75])
    element, value = x[0], pydl.tensor(0.5)
    for shown in (element, x[-1], x[pydl.tensor(0)], pydl.unstack(x)[0], next(iter(x))):
        assert type(shown.numpy()) is np.ndarray and shown.shape == ()
    assert pydl.squeeze(x[:1]).shape == ()
    names = [row["name"] for row in pydl._core.ops if row["kind"] == "unary"]
    for name in [*names, "sum", "prod", "mean", "max", "min", "std", "var", "logsumexp", "copy"]:
        function = getattr(pydl, name)
        np.testing.assert_array_equal(function(element).numpy(), function(value).numpy(), name)
    for name in (row["name"] for row in pydl._core.ops if row["kind"] == "binary"):
        function = getattr(pydl, name)
        np.testing.assert_array_equal(function(element, 2.0).numpy(), function(value, 2.0).numpy())
    assert (pydl.tensor([3, 4])[0] / 2).item() == 1.5
    assert pydl.tensor([3, 4])[0].astype("float32").dtype == np.float32
    assert np.asarray(pydl.tensor([1.0, 2.0])[0]).shape == ()
    rosenbrock = pydl.grad(lambda w: (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2)
    np.testing.assert_allclose(rosenbrock(np.array([1.5, 2.0])).numpy(), [151, -50], rtol=1e-12)


def test_numpy_functions_of_tensors() -> None:
    t = pydl.tensor([[1.0, 2.0], [3.0, 4.0]])
    for function in (np.mean, np.sum, np.max, np.min, np.std, np.var, np.prod, np.any, np.all):
        got = function(t)
        assert type(got) is pydl.Tensor
        np.testing.assert_allclose(got.numpy(), function(t.numpy()), rtol=1e-6)
    assert np.concatenate([t, t]).shape == (4, 2) and np.median(t).item() == 2.5
    assert np.shape(pydl.Variable([1.0])) == (1,) and np.allclose(t, t)
    w = pydl.Variable([2.0, 1.0])
    (pydl.sum(w) + pydl.sum(np.dot(w, w))).backward()
    np.testing.assert_array_equal(w.grad.numpy(), [5, 3])
    with pytest.raises(TypeError, match=r"numpy\.cumprod: a tensor that wants a gradient cannot"):
        np.cumprod(w)


def test_gradients_are_not_dropped_silently() -> None:
    w = pydl.Variable([1.0, 2.0])
    x = pydl.zeros(2)
    with pytest.raises(RuntimeError, match="the value wants a gradient, which an assignment would"):
        x[0] = w[0] * 2
    with pytest.raises(TypeError, match="a list of tensors that want a gradient would lose it"):
        pydl.tensor([w[0] * 2, w[1]])
    x[0] = pydl.stop_gradient(w[0] * 2)
    np.testing.assert_array_equal(x.numpy(), [2, 0])


def test_in_place_operators() -> None:
    v, before = pydl.Variable([1.0, 2.0]), None
    before = v
    with pydl.no_grad():
        v -= 0.5
        v *= 2
    assert v is before and v.trainable
    np.testing.assert_array_equal(v.numpy(), [1, 3])
    with pytest.raises(RuntimeError, match=r"v \+= x: would change a Variable in place"):
        v += 1.0
    counter = pydl.Variable([0.0], trainable=False)
    counter += 1
    assert counter.item() == 1
    t = pydl.tensor([1.0])
    other = t
    t += 1
    assert t.item() == 2 and other.item() == 1


def test_wrong_number_of_operands() -> None:
    a, b = np.ones(2), np.ones(2)
    with pytest.raises(TypeError):
        pydl.logical_not(a, b)
    np.testing.assert_array_equal(b, 1)
    with pytest.raises(TypeError, match=r"exp: unexpected argument 'where'; takes x"):
        pydl.exp(a, where=b)
    with pytest.raises(ValueError, match="power: integers to the negative power -1"):
        pydl.power(np.array([2]), np.array([-1]))


def test_operations_can_be_pickled() -> None:
    for function in (pydl.exp, pydl.add, pydl.relu, pydl.sum, pydl.matmul):
        assert pickle.loads(pickle.dumps(function)) is function
