"""Reductions and running sums against NumPy in extended precision."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from arrays import FLOATS, strided_arrays
from errors import raises
from hypothesis import given
from hypothesis import strategies as st

import pydl
from pydl import _core, ops
from pydl.ops import reduce
from pydl.testing import check_gradients

NAMES = [row["name"] for row in _core.reductions]
SEARCHES = [row["name"] for row in _core.reductions if row["to_index"]]
NO_IDENTITY = [row["name"] for row in _core.reductions if not row["has_identity"]]
LANES = _core.vector_bytes // 4
# additions that one element takes part in: 256 rows of a block, folding, the tree over blocks
DEPTH = 300


def search(function: Any) -> Any:
    """NumPy's argmax or argmin over several axes, in C order over them."""

    def over_axes(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        kept = [i for i in range(x.ndim) if i not in axes]
        rows = x.transpose([*kept, *axes]).reshape([x.shape[i] for i in kept] + [-1])
        return function(rows, axis=-1)

    return over_axes


def log_sum_exp(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    m = x.max(axes, keepdims=True)
    m = np.where(np.isinf(m), 0, m)
    return np.squeeze(m, axes) + np.log(np.exp(x - m).sum(axes))


ORACLES: dict[str, Any] = {
    "argmax": search(np.argmax),
    "argmin": search(np.argmin),
    "logsumexp": log_sum_exp,
    "max": np.max,
    "mean": np.mean,
    "min": np.min,
    "prod": np.prod,
    "sum": np.sum,
    "sum_squares": lambda x, axes: (x * x).sum(axes),
    "var": np.var,
}


def error_bound(name: str, x: np.ndarray, axes: tuple[int, ...], eps: float) -> Any:
    """How far a result may be from the exact one; x in extended precision."""
    n = math.prod(x.shape[i] for i in axes)
    depth = min(n, DEPTH) + 4
    if name in ("sum", "mean"):
        return depth * eps * getattr(np.abs(x), name)(axes)
    if name == "sum_squares":
        return depth * eps * (x * x).sum(axes)
    if name == "prod":
        return (n + 1) * eps * np.abs(x.prod(axes))
    if name == "var":  # the error of the mean enters by its square
        return depth * eps * x.var(axes) + 2 * (depth * eps * np.abs(x).mean(axes)) ** 2
    if name == "logsumexp":
        return eps * (depth + 8 + math.log(n + 1) + 4 * np.abs(x).max(axes))
    return np.zeros(())


def check(name: str, x: np.ndarray, axes: tuple[int, ...]) -> None:
    got = getattr(_core, name)(x, axes, False)
    wide = x.astype(np.longdouble)
    with np.errstate(all="ignore"):
        want = np.asarray(ORACLES[name](wide, axes))
        allowed = error_bound(name, wide, axes, float(np.finfo(x.dtype).eps))
        allowed = allowed + x.size * np.finfo(x.dtype).tiny  # terms below this flush to zero
        error = np.abs(got - want)
    where = f"{name} over {axes} of {x.dtype} {x.shape} with strides {x.strides}"
    assert got.shape == want.shape, where
    assert got.dtype == (np.int64 if name in SEARCHES else x.dtype), where
    good = (error <= allowed) | (got == want) | (np.isnan(got) & np.isnan(want))
    assert good.all(), f"{where}: got {got}, expected {want}, allowed error {allowed}"


def sample(name: str, shape: tuple[int, ...], dtype: Any = np.float32, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if name == "prod":  # near 1, so that no partial product leaves the range
        return (rng.choice([-1, 1], shape) * rng.uniform(1 - 1e-3, 1 + 1e-3, shape)).astype(dtype)
    return rng.standard_normal(shape).astype(dtype)


def subsets(ndim: int) -> list[tuple[int, ...]]:
    return [axes for r in range(ndim + 1) for axes in itertools.combinations(range(ndim), r)]


def test_every_kernel_has_a_function_and_an_oracle():
    assert set(NAMES) == set(ORACLES)
    for name in [*NAMES, *reduce.__all__]:
        assert callable(getattr(pydl, name))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(5,), (3, 70), (19, 1, 4), (2, 3, 4, 17)])
def test_every_axis_subset_of_every_permutation(name, shape):
    x = sample(name, shape)
    for order in itertools.permutations(range(len(shape))):
        for axes in subsets(len(shape)):
            check(name, x.transpose(order), axes)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", FLOATS)
def test_row_lengths(name, dtype):
    lengths = {1, 2, LANES - 1, LANES, LANES + 1, 63, 64, 65, 129, 4095, 4096, 4097, 12293, 100003}
    for n in lengths:
        check(name, sample(name, (n,), dtype), (0,))
        check(name, sample(name, (3, n), dtype), (1,))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", FLOATS)
def test_column_lengths(name, dtype):
    for rows in (1, 2, 255, 256, 257, 1100):
        for columns in (1, 3, LANES - 1, LANES, LANES + 1, 63, 64, 65, 150):
            check(name, sample(name, (rows, columns), dtype), (0,))


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin"])
@pytest.mark.parametrize(("shape", "dtype"), [((4300, 1040), np.float32), ((2400, 1000), float)])
def test_long_columns(name, shape, dtype):
    rng = np.random.default_rng(3)
    x = rng.integers(-9, 10, shape).astype(dtype)  # ties
    for value in (1, math.inf, -math.inf, math.nan):
        x[rng.integers(0, shape[0], 2000), rng.integers(0, shape[1], 2000)] = value
        aligned = _core.copy(x)
        assert aligned.ctypes.data % 64 == 0
        check(name, aligned, (0,))
        check(name, x, (0,))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(300, 9008), (2, 300, 2064), (300, 1031), (1100, 4096)])
def test_columns_that_begin_anywhere_in_a_line(name, shape):
    values = sample(name, shape)
    axes = (values.ndim - 2,)
    check(name, values, axes)
    want = getattr(_core, name)(_core.copy(values), axes, False)
    memory = np.full(values.size + 48, math.nan, np.float32)
    line = -memory.ctypes.data % 64 // 4
    for after in (1, 4, 7, 8, 15):
        x = memory[line + after :][: values.size].reshape(shape)
        x[...] = values
        np.testing.assert_array_equal(getattr(_core, name)(x, axes, False), want)
        memory[...] = math.nan


@pytest.mark.parametrize("name", NAMES)
def test_layouts_that_are_copied_first(name):
    x = sample(name, (6, 40, 34))
    for view in (
        x[:, ::2, ::2],
        x[:, :, ::-1],
        x[::-1, ::-3],
        np.broadcast_to(x[:, :, :1], x.shape),
    ):
        for axes in subsets(3):
            check(name, view, axes)
    many = sample(name, (2,) * 12).transpose(np.random.default_rng(1).permutation(12))
    check(name, many, (0, 3, 4, 7, 10))
    check(name, many[::-1], tuple(range(0, 12, 2)))
    check(name, many, (5,))


@given(data=st.data())
def test_any_layout(data):
    name = data.draw(st.sampled_from([n for n in NAMES if n != "prod"]))
    dtype = data.draw(st.sampled_from(FLOATS))
    values = st.floats(-10, 10, width=32, allow_subnormal=False)
    x = data.draw(strided_arrays(dtype, elements=values))
    axes = data.draw(st.sampled_from(subsets(x.ndim)))
    if x.size or name in ("sum", "sum_squares"):
        check(name, x, axes)


@given(data=st.data())
def test_special_values(data):
    name = data.draw(st.sampled_from(NAMES))
    values = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, math.inf, -math.inf, math.nan])
    x = data.draw(strided_arrays(np.float32, max_dims=2, max_side=70, elements=values))
    axes = data.draw(st.sampled_from(subsets(x.ndim)))
    if x.size:
        check(name, x, axes)


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("axis", [0, 1])
def test_first_hit_wins_at_every_place(name, axis):
    for n in (1, LANES, 70, 300, 9000):
        for place in {0, n // 3, n - 1}:
            for value in (5.0, -5.0, math.nan):
                x = np.zeros((n, 2) if axis == 0 else (2, n), np.float32)
                line = x[:, 1] if axis == 0 else x[1]
                line[place:] = value
                check(name, x, (axis,))


def test_sums_add_in_a_tree():
    x = np.full(1_000_000, 0.1, np.float32)
    exact = math.fsum(x.tolist())
    # 64 elements a lane, 6 foldings of lanes, 8 levels of 245 chunks; half an eps each
    assert abs(pydl.sum(x).item() - exact) <= 78 * exact * np.finfo(np.float32).eps / 2


def test_variance_of_large_numbers():
    x = 1000 + np.random.default_rng(0).standard_normal((2000, 40))
    for axis in (None, 0, 1):
        got = pydl.var(x.astype(np.float32), axis).numpy()
        np.testing.assert_allclose(
            got, x.astype(np.float32).astype(np.float64).var(axis), rtol=2e-5
        )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((500_001,), (0,)),
        ((3, 100_001), (1,)),
        ((40, 5000), (1,)),
        ((5000, 70), (0,)),
        ((600, 9001), (0,)),
        ((2, 9000, 33), (1,)),
        ((300, 2, 500), (0, 2)),
        ((50, 70, 64), (1,)),
    ],
)
def test_bits_do_not_depend_on_threads(name, shape, axes):
    x = sample(name, shape)
    found = []
    for threads in (1, 2, 3):
        pydl.config.set_num_threads(threads)
        found.append(getattr(_core, name)(x, axes, False).tobytes())
    assert found[0] == found[1] == found[2]
    check(name, x, axes)


@given(data=st.data())
def test_functions_agree_with_numpy(data):
    dtype = data.draw(st.sampled_from([np.float32, np.int64, np.int8, np.uint8, np.bool_]))
    values = st.booleans() if dtype is np.bool_ else st.integers(0, 5)
    x = data.draw(strided_arrays(dtype, max_dims=3, max_side=4, elements=values))
    axis = data.draw(st.sampled_from([None, *subsets(x.ndim)]))
    keepdims = data.draw(st.booleans())
    for name in ("sum", "any", "all", "count_nonzero"):
        got = getattr(pydl, name)(x, axis, keepdims=keepdims).numpy()
        want = getattr(np, name)(x, axis=axis, keepdims=keepdims)
        np.testing.assert_array_equal(got, want)
        assert got.dtype == np.asarray(want).dtype
    if x.size:
        for name in ("max", "min"):
            got = getattr(pydl, name)(x, axis, keepdims=keepdims).numpy()
            np.testing.assert_array_equal(got, getattr(np, name)(x, axis=axis, keepdims=keepdims))
            assert got.dtype == x.dtype
        for name in ("mean", "var", "std"):
            got = getattr(pydl, name)(x, axis, keepdims=keepdims).numpy()
            want = getattr(np, name)(x.astype(np.float64), axis=axis, keepdims=keepdims)
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
            assert got.dtype == np.float32


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.bool_])
def test_positions(name, dtype):
    x = np.array([[3, 0, 3], [0, 1, 0]]).astype(dtype)
    for axis in (None, 0, 1, -1):
        for keepdims in (False, True):
            got = getattr(pydl, name)(x, axis, keepdims=keepdims).numpy()
            want = getattr(np, name)(x, axis=axis, keepdims=keepdims)
            np.testing.assert_array_equal(got, want)
            assert got.dtype == np.int64


def test_dtypes():
    small = np.array([100, 100], np.int8)
    assert pydl.sum(small).item() == 200
    assert pydl.prod(small).item() == 10_000
    assert pydl.sum(small, dtype="int8").item() == -56
    assert pydl.sum(np.array([200, 200], np.uint8)).dtype == np.uint64
    assert pydl.sum(np.ones(3, np.float32), dtype="float64").dtype == np.float64
    assert pydl.cumulative_sum(np.array([True, True])).tolist() == [1, 2]
    assert pydl.cumulative_sum(small, dtype=np.int8).dtype == np.int8
    pydl.config.set_floatx("float64")
    assert pydl.mean(small).dtype == np.float64
    assert pydl.logsumexp(small).dtype == np.float64


def test_moments_std_and_correction():
    x = np.random.default_rng(0).standard_normal((7, 5))
    mean, var = pydl.moments(x, axes=[0], keepdims=True)
    np.testing.assert_allclose(mean.numpy(), x.mean(0, keepdims=True), rtol=1e-13)
    np.testing.assert_allclose(var.numpy(), x.var(0, keepdims=True), rtol=1e-13)
    np.testing.assert_allclose(pydl.var(x, 1, correction=1).numpy(), x.var(1, ddof=1), rtol=1e-13)
    np.testing.assert_allclose(pydl.std(x, correction=1.5).numpy(), x.std(ddof=1.5), rtol=1e-13)


def test_nothing_to_reduce():
    x = np.zeros((0, 3), np.float32)
    assert pydl.sum(x).item() == 0
    assert pydl.sum(x, 0).tolist() == [0, 0, 0]
    assert pydl.prod(x, 0).tolist() == [1, 1, 1]
    assert pydl.logsumexp(x, 0).tolist() == [-math.inf] * 3
    assert np.isnan(pydl.mean(x, 0).numpy()).all()
    assert np.isnan(pydl.var(x, 0).numpy()).all()
    assert np.isnan(pydl.var(np.ones(1, np.float32), correction=1).numpy())
    for name in NO_IDENTITY:
        assert getattr(pydl, name)(x, 1).shape == (0,)
        for empty in (x, x.astype(np.int32)):
            with pytest.raises(ValueError, match=rf"{name}: nothing to reduce .* shape \(0, 3\)"):
                getattr(pydl, name)(empty, 0)
        with pytest.raises(ValueError, match=rf"{name}: nothing to reduce"):
            getattr(_core, name)(x, (0,), False)


@pytest.mark.parametrize("name", sorted({*reduce.__all__} - {"moments", "cumulative_sum"}))
def test_axis_errors(name):
    function = getattr(pydl, name)
    x = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match=rf"{name}: axis 3 is out of range for shape \(2, 3\)"):
        function(x, axis=3)
    with pytest.raises(ValueError, match=rf"{name}: axis -3 is out of range"):
        function(x, -3)
    with pytest.raises(TypeError, match=f"{name}: axis must be an integer, got 1.5"):
        function(x, 1.5)
    if name not in SEARCHES:
        with pytest.raises(ValueError, match=rf"{name}: axis \(0, -2\) names an axis twice"):
            function(x, (0, -2))


def test_other_errors():
    with pytest.raises(ValueError, match=r"cumulative_sum: axis 2 is out of range for shape"):
        pydl.cumulative_sum([1.0, 2.0], 2)
    with pytest.raises(TypeError, match="sum: dtype must be one of"):
        pydl.sum([1.0], dtype="complex64")
    with pytest.raises(TypeError, match="argmax: axis must be an integer"):
        pydl.argmax(np.ones((2, 2)), (0, 1))
    with pytest.raises(ValueError, match=r"sum: axes must lie in \[0, 1\), got 1"):
        _core.sum(np.ones(3), (1,), False)
    with pytest.raises(ValueError, match=r"cumulative_sum: axis 1 does not lie in \[0, 1\)"):
        _core.cumulative_sum(np.ones(3), 1)
    assert _core.sum(np.ones(3, np.int32), (0,), False) is None


def check_running_sum(x: np.ndarray, axis: int) -> None:
    got = pydl.cumulative_sum(x, axis).numpy()
    wide = x.astype(np.longdouble)
    blocks = 64 + x.shape[axis] / 64
    bound = blocks * np.finfo(x.dtype).eps * np.cumsum(np.abs(wide), axis)
    assert got.shape == x.shape
    assert got.dtype == x.dtype
    assert (np.abs(got - np.cumsum(wide, axis)) <= bound).all()


@given(data=st.data())
def test_running_sums(data):
    dtype = data.draw(st.sampled_from(FLOATS))
    values = st.floats(-10, 10, width=32, allow_subnormal=False)
    x = data.draw(strided_arrays(dtype, elements=values))
    for axis in range(x.ndim):
        check_running_sum(x, axis)


def test_long_running_sums():
    for shape in ((100_000,), (3, 5000), (5000, 70), (300, 7, 65)):
        x = sample("sum", shape)
        for axis in range(len(shape)):
            check_running_sum(x, axis)
            found = []
            for threads in (1, 2, 3):
                pydl.config.set_num_threads(threads)
                found.append(_core.cumulative_sum(x, axis).tobytes())
            assert found[0] == found[1] == found[2]
    many = sample("sum", (2,) * 12).transpose(np.random.default_rng(1).permutation(12))
    check_running_sum(many, 4)


def test_running_sum_options():
    x = pydl.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert pydl.cumulative_sum(x).tolist() == [1, 3, 6, 10]
    assert pydl.cumsum(x, axis=0).tolist() == [[1, 2], [4, 6]]
    assert pydl.cumulative_sum(x, axis=-1, include_initial=True).tolist() == [[0, 1, 3], [0, 3, 7]]
    assert pydl.cumulative_sum(pydl.zeros((0, 2)), 0, include_initial=True).shape == (1, 2)
    assert pydl.cumulative_sum(pydl.tensor([1, 2, 3])).dtype == np.int64


AXES = [None, 0, -1, (0, 2), (), (2, 0, 1)]


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", ["sum", "sum_squares", "mean", "prod", "max", "min", "logsumexp"])
def test_gradients(name, axis, keepdims):
    x = np.random.default_rng(0).uniform(0.5, 2, (3, 2, 4))
    check_gradients(lambda t: getattr(ops, name)(t, axis, keepdims=keepdims), x)


@pytest.mark.parametrize("axis", [None, 0, (0, 2)])
@pytest.mark.parametrize("name", ["var", "std"])
def test_gradients_of_spread(name, axis):
    x = np.random.default_rng(0).standard_normal((3, 2, 4))
    for correction in (0, 1, 0.5):
        for keepdims in (False, True):
            check_gradients(
                lambda t, c=correction, k=keepdims: getattr(ops, name)(
                    t, axis, correction=c, keepdims=k
                ),
                x,
            )


def test_gradients_of_moments():
    x = np.random.default_rng(0).standard_normal((3, 4))

    def f(t: Any) -> Any:
        mean, var = pydl.moments(t, 0, keepdims=True)
        return (t - mean) / pydl.sqrt(var + 0.1)

    check_gradients(f, x)


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("include_initial", [False, True])
def test_gradients_of_running_sums(axis, include_initial):
    x = np.random.default_rng(0).standard_normal((3, 2, 4))
    check_gradients(lambda t: pydl.cumulative_sum(t, axis, include_initial=include_initial), x)


def gradient(f: Any, x: Any) -> list[Any]:
    return pydl.grad(lambda t: pydl.sum(f(t)))(np.asarray(x, np.float32)).tolist()


def test_gradients_through_dtypes():
    assert gradient(lambda t: pydl.sum(t, dtype="float64"), [1, 2]) == [1, 1]
    assert gradient(lambda t: pydl.prod(t, dtype="float64"), [2, 3]) == [3, 2]
    assert gradient(lambda t: pydl.cumulative_sum(t, dtype="float64"), [1, 2]) == [2, 1]


def test_extremes_send_the_gradient_to_the_first():
    assert gradient(pydl.max, [[1, 3], [3, 3]]) == [[0, 1], [0, 0]]
    assert gradient(pydl.min, [[1, 0], [0, 0]]) == [[0, 1], [0, 0]]
    assert gradient(lambda t: pydl.max(t, 0), [[2, 2], [2, 3]]) == [[1, 0], [0, 1]]
    x = np.asarray([[3.0, 0], [0, 3]])
    assert gradient(lambda t: pydl.max(pydl.transpose(t), (0, 1)), x) == [[1, 0], [0, 0]]
    assert gradient(pydl.max, [1, math.nan, 2]) == [0, 1, 0]
    assert gradient(lambda t: pydl.max(t, 1), np.zeros((0, 3))) == []


def test_gradient_of_products_with_zeros():
    assert gradient(pydl.prod, [2, 0, 3]) == [0, 6, 0]
    assert gradient(pydl.prod, [0, 0, 3]) == [0, 0, 0]
    assert gradient(pydl.prod, [5]) == [1]
    assert gradient(pydl.prod, []) == []
    for n in range(1, 10):
        x = np.arange(1.0, n + 1)
        assert gradient(pydl.prod, x) == (math.factorial(n) / x).tolist()


def test_gradients_at_the_edge():
    assert gradient(pydl.std, [2, 2, 2]) == [0, 0, 0]
    assert gradient(pydl.logsumexp, [-math.inf, -math.inf]) == [0, 0]
    assert gradient(pydl.logsumexp, [-math.inf, 1]) == [0, 1]
    assert gradient(lambda t: pydl.mean(t, 0), np.zeros((0, 2))) == []


@pytest.mark.parametrize("x", [np.ones(3, np.float32), np.ones(3, int)], ids=["float", "int"])
def test_options_of_wrong_types(x: Any) -> None:
    for name in ("sum", "mean", "prod", "max", "var", "std", "argmax", "all", "logsumexp"):
        for value in ("yes", None, 1.0):
            text = f"{name}: keepdims must be True or False, got {value!r}"
            with raises(TypeError, text):
                getattr(pydl, name)(x, keepdims=value)
        assert getattr(pydl, name)(x, keepdims=np.bool_(True)).shape == (1,)
    for name in ("var", "std"):
        for value in ("a", "1", None, [1, 2]):
            with raises(TypeError, f"{name}: correction must be a number, got {value!r}"):
                getattr(pydl, name)(x, correction=value)
        assert getattr(pydl, name)(x, correction=np.float32(1)).item() == 0
