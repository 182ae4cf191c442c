"""Gradients of gradients: every operation against differences of its gradient, and the faces."""

from __future__ import annotations

import math

import numpy as np
import pytest
from errors import raises

import pydl
from pydl import _core, layers
from pydl.ops.factory import OPS
from pydl.testing import check_gradients

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape)


def check_second(f, *args):
    """The gradient of a weighted sum of f agrees with differences, as a function of `args`."""
    y = f(*[pydl.tensor(a) for a in args])
    weights = RNG.normal(size=(y[0] if isinstance(y, tuple) else y).shape)
    floats = [i for i, a in enumerate(args) if np.asarray(a).dtype.kind == "f"]

    def total(*xs):
        y = f(*xs)
        return pydl.sum((y[0] if isinstance(y, tuple) else y) * weights)

    def gradient(*xs):
        found = pydl.grad(total, argnums=floats, create_graph=True)(*xs)
        return pydl.concat([pydl.ravel(g) for g in found])

    check_gradients(gradient, *args)


UNARY = sorted(row["name"] for row in _core.ops if row["kind"] == "unary" and row["differentiable"])
BINARY = sorted(
    row["name"] for row in _core.ops if row["kind"] == "binary" and row["differentiable"]
)
DOMAINS = {row["name"]: row["domain"] for row in _core.ops}


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    low, high = DOMAINS[name]
    low, high = max(low, -3.0), min(high, 3.0)
    x = RNG.uniform(low + 0.1 * (high - low), high, (3, 4))
    check_second(OPS[name], x)
    if name in ("celu", "elu"):
        check_second(lambda x: OPS[name](x, 0.7), x)
    if name == "relu":
        check_second(lambda x: pydl.square(pydl.relu(x, 0.3, 2.0, 0.5)), x)
    if name == "clip":
        check_second(lambda x: pydl.square(pydl.clip(x, -1.0, 1.0)), x)
    # under another function, where the gradient that flows in depends on x too
    check_second(lambda x: pydl.sin(OPS[name](x * 1.01)), x)


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("shapes", [((3, 4), (3, 4)), ((3, 1), (4,)), ((), (2, 3))])
def test_binary(name, shapes):
    a, b = (RNG.uniform(0.5, 2.5, shape) for shape in shapes)
    function = getattr(pydl, name)
    check_second(function, a, b)
    check_second(lambda a, b: pydl.sin(function(a, b)), a, b)


def test_python_numbers_and_powers():
    x = RNG.uniform(0.5, 2, (4,))
    for exponent in (0.5, 1, 2, 3, 1.7, -2.0):
        check_second(lambda x, e=exponent: x**e, x)
    check_second(lambda x: 2.0**x + 3.0 / x - x * 2.0, x)


X = normal(3, 4)
FUNCTIONS = {
    "matmul": (pydl.matmul, normal(3, 4), normal(4, 2)),
    "matmul, batch": (pydl.matmul, normal(2, 3, 4), normal(4, 2)),
    "matmul, broadcast": (pydl.matmul, normal(2, 1, 3, 4), normal(3, 4, 2)),
    "matmul, vectors": (pydl.matmul, normal(4), normal(4)),
    "dot": (pydl.dot, normal(2, 3, 4), normal(4)),
    "tensordot": (pydl.tensordot, normal(2, 3, 4), normal(3, 4, 2)),
    "einsum": (lambda a, b: pydl.einsum("ij,kj->ik", a, b), normal(2, 3), normal(4, 3)),
    "outer": (pydl.outer, normal(3), normal(2)),
    "norm": (pydl.norm, X),
    "dense": (lambda x, k, b: pydl.dense(x, k, b), X, normal(4, 2), normal(2)),
    **{
        f"dense, {name}": (
            lambda x, k, b, name=name: pydl.dense(x, k, b, name), X, normal(4, 2), normal(2),
        )
        for name in ("relu", "sigmoid", "tanh", "exp", "selu", "softplus", "gelu")
    },
    "sum": (lambda x: pydl.square(pydl.sum(x, axis=1)), X),
    "sum, all": (lambda x: pydl.square(pydl.sum(x, keepdims=True)), X),
    "sum_squares": (lambda x: pydl.sum_squares(x, axis=0), X),
    "mean": (lambda x: pydl.square(pydl.mean(x, axis=0, keepdims=True)), X),
    "prod": (lambda x: pydl.prod(x, axis=1), X),
    "prod, all": (pydl.prod, X),
    "max": (lambda x: pydl.square(pydl.max(x, axis=1)), X),
    "min": (lambda x: pydl.square(pydl.min(x)), X),
    "var": (lambda x: pydl.square(pydl.var(x, axis=1)), X),
    "std": (lambda x: pydl.std(x, axis=0, correction=1), X),
    "logsumexp": (lambda x: pydl.logsumexp(x, axis=1), X),
    "cumulative_sum": (lambda x: pydl.square(pydl.cumulative_sum(x, axis=1)), X),
    "moments": (lambda x: pydl.moments(x, axes=1)[1], X),
    "l2_normalize": (pydl.l2_normalize, X),
    "reshape": (lambda x: pydl.square(pydl.reshape(x, (2, 6))), X),
    "transpose": (lambda x: pydl.square(pydl.transpose(x)), X),
    "expand_dims": (lambda x: pydl.square(pydl.expand_dims(x, 1)), X),
    "squeeze": (lambda x: pydl.square(pydl.squeeze(pydl.expand_dims(x, 1))), X),
    "broadcast_to": (lambda x: pydl.square(pydl.broadcast_to(x, (2, 3, 4))), X),
    "concat": (lambda x, y: pydl.square(pydl.concat([x, y, x], axis=1)), X, normal(3, 2)),
    "stack": (lambda x, y: pydl.square(pydl.stack([x, y], axis=1)), X, normal(3, 4)),
    "split": (lambda x: pydl.square(pydl.split(x, [1, 3], axis=1)[1]), X),
    "slice": (lambda x: pydl.square(x[::2, 1:3]), X),
    "index": (lambda x: pydl.square(x[np.array([0, 2, 0])]), X),
    "take": (lambda x: pydl.square(pydl.take(x, [1, 1, 3], axis=1)), X),
    "take_along_axis": (
        lambda x: pydl.square(pydl.take_along_axis(x, np.array([[0], [3], [1]]), 1)), X,
    ),
    "scatter_add": (
        lambda x, u: pydl.square(pydl.scatter_add(x, [0, 2, 0], u)), X, normal(3, 4),
    ),
    "sort": (lambda x: pydl.square(pydl.sort(x, axis=1)), X),
    "tile": (lambda x: pydl.square(pydl.tile(x, (2, 1))), X),
    "repeat": (lambda x: pydl.square(pydl.repeat(x, 2, axis=0)), X),
    "flip": (lambda x: pydl.square(pydl.flip(x, axis=1)), X),
    "roll": (lambda x: pydl.square(pydl.roll(x, 1, axis=1)), X),
    "pad": (lambda x: pydl.square(pydl.pad(x, (1, 2))), X),
    "copy": (lambda x: pydl.square(pydl.copy(x)), X),
    "diagonal": (lambda x: pydl.square(pydl.diagonal(x)), X),
    "where": (lambda x, y: pydl.square(pydl.where(x > 0, x * y, y)), X, normal(3, 4)),
    "softmax": (pydl.softmax, X),
    "softmax, axis": (lambda x: pydl.softmax(x, axis=0), X),
    "log_softmax": (lambda x: pydl.square(pydl.log_softmax(x)), X),
    "sparse_categorical_crossentropy_with_logits": (
        lambda x: pydl.sparse_categorical_crossentropy_with_logits([1, 0, 3], x), X,
    ),
    "categorical_crossentropy_with_logits": (
        pydl.categorical_crossentropy_with_logits, RNG.uniform(0.1, 1, (3, 4)), X,
    ),
    "binary_crossentropy_with_logits": (
        pydl.binary_crossentropy_with_logits, RNG.uniform(0.1, 1, (3, 4)), X,
    ),
    "binary_crossentropy": (
        pydl.binary_crossentropy, RNG.uniform(0.1, 0.9, (3, 4)), RNG.uniform(0.1, 0.9, (3, 4)),
    ),
    "categorical_crossentropy": (
        pydl.categorical_crossentropy, RNG.uniform(0.1, 1, (3, 4)), RNG.uniform(0.1, 0.9, (3, 4)),
    ),
    "batch_normalization": (
        lambda x, g, b: pydl.batch_normalization(x, g, b)[0], normal(6, 3), normal(3), normal(3),
    ),
    "batch_normalization, plain": (lambda x: pydl.batch_normalization(x)[0], normal(6, 3)),
    "batch_normalization_inference": (
        lambda x, m, v, g: pydl.batch_normalization_inference(x, m, v, g),
        normal(6, 3), normal(3), RNG.uniform(0.5, 2, 3), normal(3),
    ),
    "layer_normalization": (pydl.layer_normalization, normal(4, 5), normal(5), normal(5)),
    "layer_normalization, axes": (
        lambda x, g: pydl.layer_normalization(x, g, axis=(1, 2)), normal(2, 3, 4), normal(3, 4),
    ),
    "layer_normalization, plain": (
        lambda x: pydl.layer_normalization(x, axis=(1, 2)), normal(2, 3, 1),
    ),
    "conv": (pydl.conv, normal(2, 6, 2), normal(3, 2, 3)),
    "conv, images": (lambda x, k: pydl.conv(x, k, 2, "same"), normal(1, 5, 4, 2), normal(3, 2, 2, 2)),
    "conv_transpose": (lambda x, k: pydl.conv_transpose(x, k, 2), normal(1, 3, 2), normal(3, 2, 2)),
    "depthwise_conv": (pydl.depthwise_conv, normal(1, 5, 2), normal(2, 2, 2)),
    "max_pool": (lambda x: pydl.square(pydl.max_pool(x, 2)), normal(1, 6, 2)),
    "max_pool, images": (
        lambda x: pydl.square(pydl.max_pool(x, (3, 2), (2, 1), "same")), normal(2, 6, 5, 2),
    ),
    "average_pool": (lambda x: pydl.square(pydl.average_pool(x, 2)), normal(1, 6, 2)),
    "dropout": (lambda x: pydl.square(pydl.dropout(x, 0.5, seed=1)), X),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    f, *args = FUNCTIONS[name]
    check_second(f, *args)
    check_second(lambda *xs: pydl.sin(f(*xs)), *args)


def test_every_differentiable_kernel_has_a_form():
    assert set(UNARY + BINARY) - {"add", "subtract"} <= set(OPS)
    for name, op in OPS.items():
        if name not in ("add", "subtract"):
            assert op.twice and op.form is not None, name


def test_operations_that_cannot_say_so():
    text = (
        "sparse_dense: its gradient is one fused kernel, which has no gradient itself; use other "
        "operations where gradients of gradients are wanted"
    )
    sparse = pydl.SparseTensor([1.0, 2.0], [0, 1], [0, 1, 2], (2, 2))
    w = pydl.tensor(normal(2, 2), requires_grad=True)
    g = pydl.grad(lambda w: pydl.sum(pydl.square(pydl.dense(sparse, w))), create_graph=True)(w)
    expected = pydl.grad(lambda w: pydl.sum(pydl.square(pydl.dense(sparse, w))))(w)
    np.testing.assert_array_equal(g.numpy(), expected.numpy())
    with raises(NotImplementedError, text):
        pydl.sum(g).backward()


def test_gradients_of_the_user():
    @pydl.autograd.op
    def cube(x, /):
        return x**3

    @cube.gradient
    def _(g, y, x):
        return (g * pydl.square(x) * 3.0,)

    check_second(cube, normal(3))

    @pydl.autograd.op
    def raw(x, /):
        return x**3

    @raw.gradient
    def _(g, y, x):
        return (pydl.tensor(g.numpy() * 3 * x.numpy() ** 2),)

    x = pydl.tensor([2.0], requires_grad=True)
    g = pydl.grad(lambda x: pydl.sum(raw(x)), create_graph=True)(x)
    with pytest.raises(NotImplementedError, match="raw: its gradient is one fused kernel"):
        pydl.sum(g).backward()


# The faces


def test_grad_of_grad():
    f = lambda x: pydl.sin(x) * x  # noqa: E731
    x = 0.7
    values = [
        pydl.grad(f), pydl.grad(pydl.grad(f)), pydl.grad(pydl.grad(pydl.grad(f))),
    ]  # fmt: skip
    found = [g(pydl.tensor(x, dtype="float64")).item() for g in values]
    s, c = math.sin(x), math.cos(x)
    np.testing.assert_allclose(found, [s + x * c, 2 * c - x * s, -3 * s - x * c], rtol=1e-13)


def test_hessian_by_rows():
    a = normal(3, 3)
    quadratic = lambda x: pydl.sum(x * (pydl.tensor(a) @ x))  # noqa: E731
    x = pydl.tensor(normal(3))
    rows = [pydl.grad(lambda x, i=i: pydl.grad(quadratic)(x)[i])(x).numpy() for i in range(3)]
    np.testing.assert_allclose(rows, a + a.T, rtol=1e-12)


def test_nested_tapes():
    x = pydl.Variable(3.0)
    with pydl.GradientTape() as outer:
        with pydl.GradientTape() as inner:
            y = x**3
        first = inner.gradient(y, x)
    assert first.item() == 27.0
    assert outer.gradient(first, x).item() == 18.0
    with pydl.GradientTape(persistent=True) as tape:
        y = x**4
        first = tape.gradient(y, x)
        second = tape.gradient(first, x)
    assert (tape.gradient(second, x).item(), tape.gradient(y, x).item()) == (72.0, 108.0)


def test_a_tape_around_grad_reaches_variables_that_the_function_uses():
    w, x = pydl.Variable([2.0, -1.0]), pydl.Variable([1.0, 3.0])
    with pydl.GradientTape() as tape:
        g = pydl.grad(lambda v: pydl.sum(w * v**3))(x)
        penalty = pydl.sum(g**2)  # sum (3 w x^2)^2
    dw, dx = tape.gradient(penalty, [w, x])
    np.testing.assert_allclose(dw.numpy(), 18 * w.numpy() * x.numpy() ** 4, rtol=1e-6)
    np.testing.assert_allclose(dx.numpy(), 36 * w.numpy() ** 2 * x.numpy() ** 3, rtol=1e-6)


def test_backward_with_create_graph():
    x = pydl.tensor([1.0, 2.0], requires_grad=True)
    y = pydl.sum(x**3)
    y.backward(create_graph=True)
    g = x.grad
    np.testing.assert_array_equal(g.numpy(), [3, 12])
    x.grad = None
    pydl.sum(g * g).backward()  # 9 x^4
    np.testing.assert_allclose(x.grad.numpy(), [36, 288], rtol=1e-6)


def test_without_create_graph_gradients_are_constants():
    x = pydl.tensor([1.0, 2.0], requires_grad=True)
    assert not pydl.grad(lambda v: pydl.sum(v**3))(x).requires_grad
    pydl.sum(x**3).backward()
    assert not x.grad.requires_grad


def test_norm_at_zero():
    c = pydl.tensor([2.0], requires_grad=True)
    x = pydl.tensor(np.zeros((1, 3), np.float32), requires_grad=True)
    slope = pydl.grad(lambda v: pydl.sum(c * pydl.norm(v, axis=1)), create_graph=True)(x)
    pydl.sum(slope).backward()
    np.testing.assert_array_equal(c.grad.numpy(), [0])
    np.testing.assert_array_equal(x.grad.numpy(), np.zeros((1, 3)))


def test_gradient_penalty_trains_a_network():
    """The penalty of Gulrajani et al. 2017 has a gradient for the weights."""
    pydl.utils.set_random_seed(0)
    net = pydl.Sequential([layers.Input((3,)), layers.Dense(8, activation="tanh"), layers.Dense(1)])
    x = pydl.tensor(normal(6, 3).astype("f4"))

    def penalty():
        slope = pydl.grad(lambda x: pydl.sum(net(x)), create_graph=True)(x)
        return pydl.mean((pydl.norm(slope, axis=1) - 1.0) ** 2)

    values = []
    for _ in range(30):
        with pydl.GradientTape() as tape:
            loss = penalty()
        values.append(loss.item())
        for w, g in zip(net.weights, tape.gradient(loss, net.weights), strict=True):
            if g is not None:
                w.assign_sub(0.1 * g)
    assert values[-1] < 0.1 * values[0]


def test_second_derivatives_in_recorded_functions():
    w = pydl.Variable([0.3, 0.7])

    @pydl.function
    def step(x):
        return pydl.grad(
            lambda w: pydl.sum(pydl.grad(lambda v: pydl.sum(pydl.tanh(v * x)))(w) ** 2)
        )(w)

    for i in range(4):
        x = pydl.tensor([1.0 + i, 2.0])
        np.testing.assert_array_equal(step(x).numpy(), step.function(x).numpy())
    assert len(step.plans) == 1


def test_products_of_sparse_tensors_say_so_under_two_tapes():
    x, w = pydl.sparse.csr(np.eye(3, dtype=np.float32)), pydl.Variable(normal(3, 2))
    with pydl.GradientTape() as outer:
        with pydl.GradientTape() as inner:
            y = pydl.sum(pydl.square(x @ w))
        g = inner.gradient(y, w)
    np.testing.assert_allclose(g.numpy(), 2 * w.numpy(), rtol=1e-6)
    with pytest.raises(
        NotImplementedError, match=r"^sparse_dense: its gradient is one fused kernel"
    ):
        outer.gradient(g, w)
