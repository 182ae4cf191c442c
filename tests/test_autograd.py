"""The graph and its three faces: backward, grad, GradientTape."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

import pydl
from pydl.testing import check_gradients


def variable(*values: float) -> pydl.Variable:
    return pydl.Variable(list(values))


def test_backward_adds_up() -> None:
    x = variable(1.0, 2.0)
    for times in (1, 2):
        (x * x).sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), times * 2 * x.numpy())


def test_a_tensor_used_often() -> None:
    x = variable(2.0)
    y = x * x + x * x * x + x
    y.sum().backward()
    assert x.grad.item() == 2 * 2 + 3 * 4 + 1


def test_gradients_of_leaves_do_not_share_memory() -> None:
    a, b = variable(1.0), variable(1.0)
    (a + b).backward(np.ones(1, np.float32))
    a.grad.numpy()[:] = 7
    assert b.grad.item() == 1


def test_backward_with_gradient() -> None:
    x = variable(1.0, 2.0)
    (x * 3).backward([1.0, 10.0])
    np.testing.assert_array_equal(x.grad.numpy(), [3, 30])


def test_three_faces_agree() -> None:
    x = variable(0.5, -1.5)

    def f(t: pydl.Tensor) -> pydl.Tensor:
        return pydl.sum(pydl.tanh(t) * t)

    f(x).backward()
    value, g = pydl.value_and_grad(f)(x)
    with pydl.GradientTape() as tape:
        loss = f(x)
    h = tape.gradient(loss, [x])[0]
    assert value.item() == loss.item()
    np.testing.assert_array_equal(x.grad.numpy(), g.numpy())
    np.testing.assert_array_equal(g.numpy(), h.numpy())
    np.testing.assert_array_equal(pydl.grad(f)(x.numpy()).numpy(), g.numpy())


def test_tape_gives_zeros_for_unconnected_sources() -> None:
    a, b = pydl.Variable([1.0, 2.0]), pydl.Variable(np.ones((2, 3)))
    c = pydl.Variable(3.0)
    with pydl.GradientTape(persistent=True) as tape:
        y = pydl.sum(a * a)
        constant = pydl.sum(pydl.ones(2))
    sources = {"a": a, "rest": [b, c]}
    none = tape.gradient(y, sources)
    assert none["rest"] == [None, None]
    zero = tape.gradient(y, sources, unconnected_gradients="zero")
    np.testing.assert_array_equal(zero["a"].numpy(), none["a"].numpy())
    for found, source in zip(zero["rest"], (b, c), strict=True):
        assert found.dtype == source.dtype
        np.testing.assert_array_equal(found.numpy(), np.zeros(source.shape))
    assert tape.gradient(constant, a) is None
    np.testing.assert_array_equal(
        tape.gradient(constant, a, unconnected_gradients="zero").numpy(), [0, 0]
    )
    text = "unconnected_gradients must be 'none' or 'zero', got None"
    with pytest.raises(ValueError, match=text):
        tape.gradient(y, a, unconnected_gradients=None)


def test_grad_arguments() -> None:
    def f(a: dict, b: pydl.Tensor) -> pydl.Tensor:
        return pydl.sum(a["w"] * b) + pydl.sum(a["list"][0])

    a = {"w": np.array([1.0, 2.0]), "list": [np.array([3.0])]}
    ga, gb = pydl.grad(f, argnums=(0, 1))(a, np.array([5.0, 6.0]))
    np.testing.assert_array_equal(ga["w"].numpy(), [5, 6])
    np.testing.assert_array_equal(ga["list"][0].numpy(), [1])
    np.testing.assert_array_equal(gb.numpy(), [1, 2])
    assert pydl.grad(lambda x, y: pydl.sum(x))(1.0, 2.0).item() == 1
    with pytest.raises(ValueError, match="grad: argnums 2 is out of range for 1 arguments"):
        pydl.grad(lambda x: x, argnums=2)(1.0)
    with pytest.raises(
        ValueError, match=r"grad: the function must return a scalar tensor, got \(2,"
    ):
        pydl.grad(lambda x: x)(np.ones(2))
    with pytest.raises(TypeError, match="only float32 and float64 have gradients"):
        pydl.grad(lambda x: pydl.sum(x))(np.array([1, 2]))


def test_tape() -> None:
    w, frozen = variable(3.0), pydl.Variable([1.0], trainable=False)
    x = pydl.tensor([2.0])
    with pydl.GradientTape() as tape:
        tape.watch(x)
        y = w * x + frozen
    grads = tape.gradient(y, {"w": w, "rest": [x, frozen, variable(1.0)]})
    assert grads["w"].item() == 2 and grads["rest"][0].item() == 3
    assert grads["rest"][1] is None and grads["rest"][2] is None
    with pytest.raises(RuntimeError, match="a tape can be used once"):
        tape.gradient(y, w)


def test_tape_intermediate_sources_and_many_targets() -> None:
    x = variable(2.0)
    with pydl.GradientTape(persistent=True) as tape:
        y = x * x
        z = y * y
    assert tape.gradient(z, y).item() == 8
    assert tape.gradient(z, x).item() == 32
    assert tape.gradient([y, z], x).item() == 4 + 32
    assert tape.gradient(z, x, output_gradients=pydl.tensor([10.0])).item() == 320
    assert tape.gradient(z, [x, y, x])[2].item() == 32


def test_tape_inside_of_no_grad_records() -> None:
    v = variable(2.0)
    with pydl.no_grad():
        assert not (v * v).requires_grad
        with pydl.GradientTape() as tape:
            y = v * v
    assert tape.gradient(y, v).item() == 4


def test_no_grad_is_restored_after_an_error_and_per_thread() -> None:
    v = variable(1.0)
    with pytest.raises(KeyError), pydl.no_grad():
        raise KeyError
    assert (v * 2).requires_grad
    seen = []
    with pydl.no_grad():
        thread = threading.Thread(target=lambda: seen.append((v * 2).requires_grad))
        thread.start()
        thread.join()
    assert seen == [True]


def test_no_grad_as_a_decorator() -> None:
    v = variable(1.0)

    @pydl.no_grad()
    def f() -> pydl.Tensor:
        return v * 2

    assert not f().requires_grad and not f().requires_grad


def test_stop_gradient() -> None:
    x = variable(3.0)
    (x * pydl.stop_gradient(x)).sum().backward()
    assert x.grad.item() == 3


def test_unused_and_integer_results() -> None:
    x = variable(1.5)
    assert not pydl.astype(x, "int32").requires_grad
    assert not (x > 1).requires_grad and not pydl.argmax(x).requires_grad
    with pytest.raises(RuntimeError, match="backward: nothing was recorded"):
        (pydl.tensor([1.0]) * 2).sum().backward()


def test_errors() -> None:
    x = variable(1.0, 2.0)
    y = x * x
    with pytest.raises(
        ValueError, match=r"backward: y has shape \(2,\); pass a gradient of that shape"
    ):
        y.backward()
    with pytest.raises(
        ValueError, match=r"backward: gradient has shape \(3,\), y has shape \(2,\)"
    ):
        y.backward([1.0, 2.0, 3.0])
    loss = y.sum()
    loss.backward()
    with pytest.raises(RuntimeError, match="this graph was already used and freed"):
        loss.backward()
    with pytest.raises(TypeError, match=r"GradientTape.watch: needs a Tensor"):
        pydl.GradientTape().watch(3)


def test_retain_graph() -> None:
    x = variable(3.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 12


@pytest.mark.parametrize("change", ["assign", "assign_add", "setitem", "view"])
def test_change_of_a_saved_tensor(change: str) -> None:
    x = variable(1.0, 2.0)
    y = (x * x).sum()
    if change == "assign":
        x.assign([5.0, 5.0])
    elif change == "assign_add":
        x.assign_add(1.0)
    elif change == "setitem":
        x[0] = 9.0
    else:
        pydl.stop_gradient(x)[0] = 9.0
    with pytest.raises(
        RuntimeError, match=r"backward: input 0 of multiply, of shape \(2,\), was changed"
    ):
        y.backward()


def test_change_of_a_tensor_that_is_not_saved() -> None:
    x = variable(1.0, 2.0)
    y = (x + x).sum()
    x.assign([5.0, 5.0])
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2)


def test_a_gradient_inside_of_the_block_of_its_tape() -> None:
    x = variable(1.0)
    with pydl.GradientTape() as tape:
        y = x * x
        g = tape.gradient(y, x)
    assert (g.item(), g.requires_grad) == (2, False)


def test_long_chains() -> None:
    x = variable(1.0)
    y = x
    for _ in range(10_000):
        y = y + 0.0
    y.sum().backward()
    assert x.grad.item() == 1
    for _ in range(100_000):  # dropped without backward: freeing must not recurse either
        y = y * 1.0
    del y


def test_graph_is_freed_without_the_collector() -> None:
    gc.disable()
    try:
        x = variable(1.0)
        y = pydl.tanh(x * 2)
        watcher = weakref.ref(y)
        loss = y.sum()
        del y
        loss.backward()
        del loss
        assert watcher() is None
    finally:
        gc.enable()


def test_scalars_keep_the_dtype() -> None:
    x = pydl.Variable(np.ones(2), dtype="float64")
    (x * 2 + 1).sum().backward()
    assert x.grad.dtype == np.float64
    a = variable(1.0, 2.0)
    (a * x).sum().backward()
    assert a.grad.dtype == np.float32 and x.grad.dtype == np.float64


def test_custom_op() -> None:
    @pydl.autograd.op(saves=("x",))
    def cube(x: np.ndarray, /) -> np.ndarray:
        return x**3

    @cube.gradient
    def _(g: pydl.Tensor, y: None, x: pydl.Tensor) -> tuple[pydl.Tensor]:
        return (g * x * x * 3,)

    check_gradients(cube, [1.0, -2.0])


def test_check_gradients_finds_a_wrong_gradient() -> None:
    @pydl.autograd.op
    def wrong(x: np.ndarray, /) -> np.ndarray:
        return x * x

    @wrong.gradient
    def _(g: pydl.Tensor, y: pydl.Tensor, x: pydl.Tensor) -> tuple[pydl.Tensor]:
        return (g * x * 2.001,)

    with pytest.raises(AssertionError, match="check_gradients: backward gives"):
        check_gradients(wrong, [1.0, -2.0])
    with pytest.raises(TypeError, match="at least one float argument"):
        check_gradients(wrong, [1])
