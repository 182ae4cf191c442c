"""Every element-wise kernel of the table against NumPy in float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from arrays import FLOATS, SPECIAL, layouts, strided_arrays
from errors import raises
from hypothesis import given
from hypothesis import strategies as st
from oracles import BINARY, UNARY

import pydl
from pydl import _core, ops
from pydl.testing import assert_ulp, check_gradients, ulp_distance

TABLE = {row["name"]: row for row in _core.ops}
NAMES = {
    kind: [n for n, row in TABLE.items() if row["kind"] == kind] for kind in ("unary", "binary")
}
LANES = _core.vector_bytes // 4
LENGTHS = sorted({0, 1, 2, LANES - 1, LANES, LANES + 1, 3 * LANES + 5, 255, 256, 257, 1000})
FLOAT64_EXTRA_ULP = 2  # float64 kernels may be off by that much more than float32 ones


def sample(name: str, n: int, dtype: object, seed: int = 0) -> np.ndarray:
    low, high = TABLE[name]["domain"]
    return np.random.default_rng(seed).uniform(low, high, n).astype(dtype)


def expected(name: str, *inputs: np.ndarray) -> np.ndarray:
    """The exact result, in a precision above that of the inputs where NumPy has one."""
    row = TABLE[name]
    wide = [x.astype(np.float64 if x.dtype == np.float32 else np.longdouble) for x in inputs]
    with np.errstate(all="ignore"):
        if row["kind"] == "unary":
            dtype = inputs[0].dtype.type
            params = {k: float(dtype(v)) for k, v in row["params"].items()}
            return UNARY[name](wide[0], *params.values())
        return BINARY[name](*wide)


def call(name: str, *inputs: np.ndarray) -> np.ndarray:
    """The kernel itself, with its parameters at their defaults."""
    return getattr(_core, name)(*inputs)


def flushed(x: np.ndarray) -> np.ndarray:
    """x as kernels read it: numbers below the smallest normal one are zeros."""
    return np.where(np.abs(x) < np.finfo(x.dtype).tiny, np.copysign(0, x), x).astype(x.dtype)


def allowed(name: str, dtype: object) -> float:
    bound = TABLE[name]["max_ulp"]
    return bound if dtype == np.float32 else bound + FLOAT64_EXTRA_ULP


def check(name: str, *inputs: np.ndarray) -> None:
    got, want = call(name, *inputs), expected(name, *inputs)
    if TABLE[name]["to_bool"]:
        assert got.dtype == np.bool_
        np.testing.assert_array_equal(got, want)
    else:
        assert got.dtype == inputs[0].dtype
        assert_ulp(got, want, allowed(name, inputs[0].dtype))


def test_every_op_has_an_oracle_and_a_function() -> None:
    assert set(NAMES["unary"]) <= set(UNARY) and set(NAMES["binary"]) <= set(BINARY)
    for name in TABLE:
        assert callable(getattr(pydl, name)), name


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", NAMES["unary"])
def test_unary_lengths_and_layouts(name: str, dtype: object) -> None:
    for n in LENGTHS:
        check(name, sample(name, n, dtype))
    for x in layouts(sample(name, 67, dtype)).values():
        check(name, x)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", NAMES["unary"])
def test_unary_special_values(name: str, dtype: object) -> None:
    x = SPECIAL.astype(dtype)
    got, want = call(name, x), expected(name, x)
    if TABLE[name]["to_bool"]:
        np.testing.assert_array_equal(got, want)
        return
    assert_ulp(got, want, allowed(name, dtype))
    zero = (want == 0) & ~np.isnan(want) & (x == 0)
    np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(np.asarray(want)[zero]))


@pytest.mark.parametrize("name", NAMES["unary"])
def test_unary_float32_bit_patterns(name: str) -> None:
    """A stride through all finite float32 numbers, both signs; test_math covers all of them."""
    x = np.arange(0, 2**32, 65_521, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = flushed(x[np.isfinite(x)])
    if name in ("sin", "cos", "tan"):
        x = x[np.abs(x) < 2**20]
    check(name, x)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES["unary"])
def test_unary_all_float32(name: str) -> None:
    """All 2^32 inputs."""
    for start in range(0, 2**32, 2**24):
        x = np.arange(start, start + 2**24, dtype=np.uint64).astype(np.uint32).view(np.float32)
        if name in ("sin", "cos", "tan"):
            x = x[~(np.abs(x) >= 2**20)]
        check(name, flushed(x))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", NAMES["binary"])
def test_binary_lengths_and_layouts(name: str, dtype: object) -> None:
    for n in LENGTHS:
        a, b = sample(name, n, dtype, 1), sample(name, n, dtype, 2)
        check_binary(name, a, b)
        if n:
            check_binary(name, a, b[:1])
            check_binary(name, a[:1], b)
            check_binary(name, a[:1], b[:1])
    first, second = layouts(sample(name, 67, dtype, 3)), layouts(sample(name, 67, dtype, 4))
    for kind, a in first.items():
        check_binary(name, a, second[kind])
        if a.ndim == 1:
            check_binary(name, a, second["stretched"])
            check_binary(name, second["stretched"], a)
            check_binary(name, a[:, None], second["stretched_inner"])


def check_binary(name: str, a: np.ndarray, b: np.ndarray) -> None:
    if name in ("floor_divide", "remainder"):
        check_division(name, a, b)
    else:
        check(name, a, b)


def check_division(name: str, a: np.ndarray, b: np.ndarray) -> None:
    """Against NumPy in the same precision: a / b next to an integer rounds differently in others."""
    with np.errstate(all="ignore"):
        want = BINARY[name](a, b)
    np.testing.assert_array_equal(call(name, a, b), want)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", NAMES["binary"])
def test_binary_special_values(name: str, dtype: object) -> None:
    x = SPECIAL.astype(dtype)
    if name in ("floor_divide", "remainder"):
        x = x[np.isfinite(x) & (np.abs(x) < 1e3) & (np.abs(x) > 0.1)]
        check_division(name, x[:, None], x[None, :])
        return
    a, b = np.broadcast_arrays(x[:, None], x[None, :])
    check(name, a, b)


@pytest.mark.parametrize("name", ["add", "maximum", "less", "power"])
@given(data=st.data())
def test_broadcasting(name: str, data: st.DataObject) -> None:
    """Operands whose shapes agree after axes were dropped or set to length 1."""
    positive = st.floats(0.125, 8, width=32)
    full = data.draw(strided_arrays(np.float32, elements=positive))
    axes = data.draw(st.lists(st.booleans(), min_size=full.ndim, max_size=full.ndim))
    other = full[(..., *(slice(0, 1) if cut else slice(None) for cut in axes))]
    drop = data.draw(st.integers(0, full.ndim))
    while drop and all(n == 1 for n in other.shape[:1]) and other.ndim:
        other, drop = other[0], drop - 1
    for a, b in ((full, other), (other, full)):
        a, b = np.asarray(a), np.asarray(b)
        got = call(name, a, b)
        assert got.shape == np.broadcast_shapes(a.shape, b.shape)
        want = expected(name, a, b)
        if TABLE[name]["to_bool"]:
            np.testing.assert_array_equal(got, want)
        else:
            assert_ulp(got, want, allowed(name, np.float32))


@pytest.fixture
def streaming() -> Iterator[None]:
    """All outputs are stored past the caches, as else only those that fill the last level."""
    _core.set_stream_limit(1)
    yield
    _core.set_stream_limit(0)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", TABLE)
@pytest.mark.usefixtures("streaming")
def test_streaming_does_not_change_bits(name: str, dtype: type) -> None:
    count = 1 if TABLE[name]["kind"] == "unary" else 2
    for n in (1, 5, 16 * LANES, 1013):
        inputs = [sample(name, n, dtype, k) for k in range(count)]
        want = [call(name, *(x[i : i + 1] for x in inputs))[0] for i in range(n)]
        np.testing.assert_array_equal(call(name, *inputs), want)
        for offset in (0, 1, 3):  # outputs that start within a line, and what lies around them
            room = np.full(n + 8, 7, np.bool_ if TABLE[name]["to_bool"] else dtype)
            getattr(_core, name)(*inputs, out=room[offset : offset + n])
            np.testing.assert_array_equal(room[offset : offset + n], want)
            assert (room[:offset] == room[-1]).all() and (room[offset + n :] == room[-1]).all()


@pytest.mark.usefixtures("streaming")
def test_streaming_in_place_and_rows() -> None:
    x = sample("exp", 6000, np.float32).reshape(3, 2000)
    want = np.concatenate(
        [call("exp", x[i, j : j + 7]) for i in range(3) for j in range(0, 2000, 7)]
    )
    wide = np.zeros((3, 2011), np.float32)
    _core.exp(x, out=wide[:, 5:2005])
    np.testing.assert_array_equal(wide[:, 5:2005].ravel(), want)
    assert not wide[:, :5].any() and not wide[:, 2005:].any()
    _core.exp(x, out=x)
    np.testing.assert_array_equal(x.ravel(), want)


# Inputs of the slow way (far from 0, not finite, ...) among those of the common one.
RARE = {
    "sin": (1e5, -3e7, np.inf, np.nan),
    "cos": (1e5, -3e7, np.inf, np.nan),
    "tan": (1e5, -3e7, np.inf, np.nan),
    "log": (0, -1, 1e-40, np.inf, np.nan),
    "log2": (0, -1, 1e-40, np.inf, np.nan),
    "log10": (0, -1, 1e-40, np.inf, np.nan),
    "log1p": (-1, -2, 1e8, -1e-30, np.inf, np.nan),
}
RARE_PAIRS = {
    "power": ((0, 2), (-2, 3), (-2, 0.5), (2, 1e12), (np.inf, -1), (1.5, np.nan), (1e-40, 0.5)),
    "floor_divide": ((1e20, 3), (-1e-30, 5e30), (5, 1e-35), (1, 0), (7, np.inf), (np.nan, 2)),
    "remainder": ((1e20, 3), (-1e-30, 5e30), (5, 1e-35), (1, 0), (7, np.inf), (np.nan, 2)),
}


@pytest.mark.parametrize("name", [*RARE, *RARE_PAIRS])
def test_bits_do_not_depend_on_neighbours(name: str) -> None:
    """A block without rare inputs takes a quicker way; its bits must be those of the general one."""
    rare = [(v,) for v in RARE[name]] if name in RARE else list(RARE_PAIRS[name])
    inputs = [sample(name, 16 * LANES, np.float32, k) for k in range(len(rare[0]))]
    want = call(name, *inputs)
    for values in rare:
        mixed = [x.copy() for x in inputs]
        for x, v in zip(mixed, values, strict=True):
            x[3::LANES] = v
        got = call(name, *mixed)
        kept = np.arange(want.size) % LANES != 3
        np.testing.assert_array_equal(got[kept], want[kept])
        alone = call(name, *(np.float32([v]) for v in values))
        np.testing.assert_array_equal(got[~kept], np.repeat(alone, (~kept).sum()))


@given(x=strided_arrays(np.float32))
def test_layout_does_not_change_bits(x: np.ndarray) -> None:
    for name in ("exp", "tanh"):
        np.testing.assert_array_equal(call(name, x), call(name, np.ascontiguousarray(x)))


def test_many_axes() -> None:
    """More axes than one launch holds, none of which merge."""
    x = np.random.default_rng(0).standard_normal((2,) * 12).astype(np.float32)
    y = x.transpose(0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11)
    np.testing.assert_array_equal(call("add", x, y), x + y)
    z = np.zeros((1,) * 32, np.float32)
    assert call("add", z, z).shape == (1,) * 32


@pytest.mark.parametrize("name", TABLE)
def test_out(name: str) -> None:
    function, row = getattr(pydl, name), TABLE[name]
    inputs = [sample(name, 7, np.float32, k) for k in range(1 if row["kind"] == "unary" else 2)]
    want = function(*inputs)
    array = np.empty(7, want.dtype)
    got = function(*inputs, out=array)
    assert isinstance(got, pydl.Tensor) and np.shares_memory(got.numpy(), array)
    np.testing.assert_array_equal(array, want.numpy())
    room = pydl.tensor(np.zeros((7, 2), want.dtype))
    view = room[:, 1]
    version = room.version
    assert function(*inputs, out=view) is view and room.version > version
    np.testing.assert_array_equal(room.numpy()[:, 1], want.numpy())
    assert not room.numpy()[:, 0].any()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda x, y: pydl.exp(x, y),
            "exp: unexpected argument after 1 of them; takes x, out=None",
        ),
        (
            lambda x, y: pydl.round(x, 2),
            "round: unexpected argument after 1 of them; takes x, out=None",
        ),
        (
            lambda x, y: pydl.elu(x, y),
            "elu: alpha must be a number, got array([0., 0.], dtype=float32)",
        ),
        (lambda x, y: pydl.elu(x, alpha="a"), "elu: alpha must be a number, got 'a'"),
        (
            lambda x, y: pydl.elu(x, 1, alpha=2),
            "elu: unexpected argument 'alpha'; takes x, alpha, out=None",
        ),
        (
            lambda x, y: pydl.relu(x, y),
            "relu: negative_slope must be a number, got array([0., 0.], dtype=float32)",
        ),
        (lambda x, y: pydl.relu(x, threshold=None), "relu: threshold must be a number, got None"),
    ],
)
def test_parameters_are_numbers(call: Any, text: str) -> None:
    """An array is no parameter: `out` has a name, so that what it holds is never recorded."""
    with raises(TypeError, text):
        call(pydl.Variable([1.0, 2.0]), np.zeros(2, np.float32))


def test_bounds_of_nan() -> None:
    x, nan = pydl.tensor([1.0, 2.0]), float("nan")
    for bounds in ((nan, 2.0), (0.0, nan), (np.float32(nan), None), (pydl.tensor(nan), 3.0)):
        assert np.isnan(pydl.clip(x, *bounds).numpy()).all()
    with raises(ValueError, "relu: max_value must be None or at least 0, got nan"):
        pydl.relu(x, max_value=nan)


def test_out_of_other_dtypes_and_own_operand() -> None:
    out = np.empty((2, 3), np.int64)
    pydl.add([[1], [2]], np.arange(3), out=out)
    np.testing.assert_array_equal(out, [[1, 2, 3], [2, 3, 4]])
    x = pydl.tensor([1.0, 2.0, 3.0])
    assert pydl.power(x, 3, out=x) is x
    np.testing.assert_array_equal(x.numpy(), [1, 8, 27])
    pydl.subtract(x[1:], x[:-1], out=x[1:])  # reads what it overwrites
    np.testing.assert_array_equal(x.numpy(), [1, 7, 19])
    for f in (pydl.clip, pydl.positive):
        np.testing.assert_array_equal(f(x, out=np.empty(3, np.float32)).numpy(), x.numpy())
    np.testing.assert_array_equal(pydl.clip(np.arange(3), 1, out=out[0]).numpy(), [1, 1, 2])
    np.testing.assert_array_equal(pydl.relu(-x, 0.5, out=x).numpy(), [-0.5, -3.5, -9.5])
    np.testing.assert_array_equal(pydl.leaky_relu(x, 2.0, out=x).numpy(), [-1, -7, -19])
    np.testing.assert_array_equal(pydl.relu6(-x, out=x).numpy(), [1, 6, 6])


def test_refused_out() -> None:
    x = pydl.tensor([1.0, 2.0])
    fixed = np.zeros(2, np.float32)
    fixed.flags.writeable = False
    for out, error, text in (
        ([0.0, 0.0], TypeError, "exp: out must be a Tensor or an array, got list"),
        (np.zeros(3, np.float32), ValueError, "exp: out must have shape (2,), got (3,)"),
        (np.zeros(2), TypeError, "exp: out must have dtype float32, got float64"),
        (fixed, ValueError, "exp: out is read-only"),
    ):
        with raises(error, text):
            pydl.exp(x, out=out)
    whole = np.arange(2)
    for wrong, error, text in (
        (np.zeros(3, np.int64), ValueError, "add: out must have shape (2,), got (3,)"),
        (np.zeros(2), TypeError, "add: out must have dtype int64, got float64"),
    ):
        with raises(error, text):
            pydl.add(whole, whole, out=wrong)
    text = (
        "exp: what is written to out is not recorded, but an operand or out wants a gradient; "
        "leave out away, or do it under no_grad()"
    )
    w = pydl.Variable([1.0, 2.0])
    for operand, out in ((w, np.zeros(2, np.float32)), (x, w)):
        with raises(RuntimeError, text):
            pydl.exp(operand, out=out)
    with pydl.no_grad():
        assert pydl.exp(w, out=w) is w
    np.testing.assert_array_equal(w.numpy(), pydl.exp(x).numpy())


@pytest.mark.parametrize("name", [n for n in NAMES["unary"] if TABLE[n]["differentiable"]])
def test_unary_gradients(name: str) -> None:
    row = TABLE[name]
    x = sample(name, 31, np.float64, 5)
    params = list(row["params"].values())
    kinks = list(row["kinks"]) + [v for v in params if np.isfinite(v)] + [-v for v in params]
    for kink in kinks:
        x = x[np.abs(x - kink) > 1e-2]
    if name in ("ceil", "floor", "round", "trunc"):
        x = x[np.abs(x * 2 - np.round(x * 2)) > 1e-2]
    function = getattr(ops, {"relu": "relu"}.get(name, name))
    if name == "clip":
        check_gradients(lambda t: ops.clip(t, -1.0, 2.0), x[np.abs(x - 2) > 1e-2])
        return
    check_gradients(function, x)


@pytest.mark.parametrize("name", [n for n in NAMES["binary"] if TABLE[n]["differentiable"]])
@pytest.mark.parametrize("shapes", [((4, 5), (4, 5)), ((4, 5), (5,)), ((4, 1), (1, 5)), ((), (3,))])
def test_binary_gradients(name: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    rng = np.random.default_rng(6)
    a, b = (rng.uniform(0.5, 3, s) for s in shapes)
    if name in ("floor_divide", "remainder"):
        b = b + 3.25  # the quotient stays away from integers
    check_gradients(getattr(pydl, name), a, b)


def test_gradient_at_the_kinks() -> None:
    x = pydl.tensor([0.0], requires_grad=True)
    for function in (pydl.relu, pydl.abs):
        x.grad = None
        function(x).sum().backward()
        assert x.grad.item() == 0
    x = pydl.tensor([np.inf, -np.inf, 6.0], requires_grad=True)
    pydl.relu(x).sum().backward()
    assert x.grad.tolist() == [1, 0, 1]
    x.grad = None
    pydl.relu6(x).sum().backward()
    assert x.grad.tolist() == [0, 0, 0]
    a, b = (pydl.tensor([1.0], requires_grad=True) for _ in range(2))
    pydl.maximum(a, b).sum().backward()
    assert (a.grad.item(), b.grad.item()) == (1, 0)


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "maximum", "less", "equal"])
@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8", "bool"])
def test_integers_go_through_numpy(name: str, dtype: str) -> None:
    if name == "subtract" and dtype == "bool":
        with pytest.raises(TypeError):
            pydl.subtract(np.array([True]), np.array([False]))
        return
    a, b = np.array([0, 1, 3], dtype), np.array([1, 1, 2], dtype)
    got = getattr(pydl, name)(a, b)
    want = BINARY[name](a, b)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got.numpy(), want)


def test_promotion() -> None:
    f32, f64, i32, i64 = (pydl.ones(2, dtype=d) for d in ("float32", "float64", "int32", "int64"))
    assert (f32 + f64).dtype == np.float64
    assert (i32 + i64).dtype == np.int64
    assert (f32 + 1).dtype == np.float32 and (f32 + 1.5).dtype == np.float32
    assert (i64 + 1).dtype == np.int64 and (i64 + 1.5).dtype == np.float32
    assert (i64 / i64).dtype == np.float32 and pydl.exp(i64).dtype == np.float32
    assert (f32 + np.float64(1)).dtype == np.float64
    assert (pydl.ones(2, dtype="bool") + 1).dtype == np.int64
    assert (f32 == 1).dtype == np.bool_
    for number in (300, -1):
        with pytest.raises(ValueError, match=f"add: the number {number} does not fit uint8"):
            pydl.ones(2, dtype="uint8") + number


def test_out_and_overlap() -> None:
    x = np.arange(10, dtype=np.float32)
    _core.add(x[1:], x[:-1], x[1:])
    np.testing.assert_array_equal(x, [0, 1, 3, 5, 7, 9, 11, 13, 15, 17])
    y = np.empty((4, 3), np.float32).T
    _core.exp(np.zeros((3, 4), np.float32), y)
    np.testing.assert_array_equal(y, 1)


def test_bad_out() -> None:
    x = np.ones(3, np.float32)
    locked = np.ones(3, np.float32)
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="add: out is read-only"):
        _core.add(x, x, locked)
    with pytest.raises(ValueError, match=r"add: out must have shape \(3,\), got \(4,\)"):
        _core.add(x, x, np.ones(4, np.float32))
    with pytest.raises(TypeError, match="add: out must have dtype float32, got float64"):
        _core.add(x, x, np.ones(3))
    np.testing.assert_array_equal(locked, 1)


def test_errors() -> None:
    text = r"add: shapes \(32, 10\) and \(32, 11\) do not broadcast: axis -1 is 10 against 11"
    with pytest.raises(ValueError, match=text):
        pydl.ones((32, 10)) + pydl.ones((32, 11))
    with pytest.raises(TypeError, match="exp: unsupported dtype object"):
        pydl.exp(np.array([object()]))
    with pytest.raises(TypeError, match="add: unsupported dtype complex128"):
        pydl.add(np.ones(2, complex), 1)
    with pytest.raises(ValueError, match="relu: max_value must be None or at least 0, got -1"):
        pydl.relu([1.0], max_value=-1)


def test_foreign_byte_order_and_misaligned() -> None:
    x = np.arange(5, dtype=">f4")
    np.testing.assert_array_equal(pydl.square(x).numpy(), np.arange(5.0) ** 2)
    raw = np.zeros(21, np.uint8)
    odd = raw[1:].view(np.float32)
    np.testing.assert_array_equal(pydl.exp(odd).numpy(), 1)


def test_denormals() -> None:
    tiny = np.full(40, 1e-40, np.float32)
    assert (call("multiply", tiny, np.ones(40, np.float32)) == 0).all()
    pydl.config.set_denormals("keep")
    np.testing.assert_array_equal(call("multiply", tiny, np.ones(40, np.float32)), tiny)
    np.testing.assert_array_equal(tiny * np.float32(1), tiny)  # NumPy's own mode is untouched


def test_ulp_distance() -> None:
    one = np.float32(1)
    assert ulp_distance(np.nextafter(one, np.float32(2)), 1.0) == 1
    assert ulp_distance(np.float32(np.inf), 3.4028236e38) == 0
    assert ulp_distance(np.float32(np.nan), 1.0) == np.inf
    assert ulp_distance(np.float32(0), 1e-42) == 0
