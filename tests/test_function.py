"""Recorded functions give the bits of eager ones: arguments, variables, random numbers, threads."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from function_helpers import X, bits, recorded
from hypothesis import given, settings
from hypothesis import strategies as st

import pydl
from pydl import metrics


def test_equal_bits_and_fresh_results() -> None:
    f = lambda a, b: (pydl.tanh(a @ b) + 1.5, {"sum": pydl.sum(a * b)})  # noqa: E731
    function = pydl.function(f)
    kept = []
    for i in range(6):
        a, b = (pydl.random.normal((7, 7), seed=10 * i + j) for j in range(2))
        y, d = function(a, b)
        want, want_d = f(a, b)
        assert bits(y) == bits(want) and bits(d["sum"]) == bits(want_d["sum"])
        kept.append((y, want))
    for y, want in kept:  # results are copies, which later calls leave alone
        assert bits(y) == bits(want)
    assert len(function.plans) == 1


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_training_equals_eager(threads: int) -> None:
    before = pydl.config.get_num_threads()
    pydl.config.set_num_threads(threads)
    try:
        found = []
        for wrapper in (lambda f: f, pydl.function):
            pydl.random.set_random_seed(3)
            w = pydl.Variable(pydl.random.normal((20, 30)))
            v = pydl.Variable(pydl.random.normal((30, 4)))
            optimizer = pydl.optimizers.Adam(0.01, clipnorm=1.0)

            def step(x: Any, y: Any, w: Any = w, v: Any = v, optimizer: Any = optimizer) -> Any:
                with pydl.GradientTape() as tape:
                    h = pydl.random.dropout(pydl.relu(x @ w), 0.3)
                    loss = pydl.mean((h @ v - y) ** 2)
                optimizer.apply_gradients(zip(tape.gradient(loss, [w, v]), [w, v], strict=True))
                return loss

            f = wrapper(step)
            losses = []
            for i in range(100):
                x = pydl.random.normal((64, 20), seed=i)
                losses.append(bits(f(x, pydl.random.normal((64, 4), seed=1000 + i))))
            found.append((losses, bits(w), bits(v)))
        assert found[0] == found[1]
    finally:
        pydl.config.set_num_threads(before)


OPS = [
    lambda a, b: a + b,
    lambda a, b: a * b - 0.5,
    lambda a, b: pydl.maximum(a, b),
    lambda a, b: pydl.tanh(a @ pydl.transpose(b)) @ b,
    lambda a, b: a - pydl.mean(b, axis=0),
    lambda a, b: pydl.softmax(a) * b,
    lambda a, b: pydl.where(a > b, a, b * 2),
    lambda a, b: pydl.concatenate([a, b], axis=0)[: a.shape[0]],
    lambda a, b: pydl.sum(a) + b,
    lambda a, b: pydl.stack([a, b])[1] + pydl.reshape(a, b.shape),
]


@settings(max_examples=30, deadline=None)
@given(
    chain=st.lists(st.integers(0, len(OPS) - 1), min_size=1, max_size=6),
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
)
def test_random_functions(chain: list[int], rows: int, columns: int) -> None:
    def f(a: Any, b: Any) -> Any:
        for i in chain:
            a, b = OPS[i](a, b), a
        return a

    function = pydl.function(f)
    for i in range(4):
        a, b = (pydl.random.normal((rows, columns), seed=2 * i + j) for j in range(2))
        assert bits(function(a, b)) == bits(f(a, b))
    assert function.plans and not function.failure


def test_python_runs_in_the_first_two_calls_only() -> None:
    calls: list[int] = []

    def f(x: Any) -> Any:
        calls.append(1)
        return x + 1

    function = pydl.function(f)
    for i in range(5):
        assert function(pydl.tensor([float(i)])).item() == i + 1
    assert len(calls) == 2


# Arguments


def test_keys() -> None:
    function = pydl.function(lambda x, power=2: x**power)
    for n in (3, 4):
        for _ in range(3):
            x = pydl.random.normal((n,))
            assert bits(function(x)) == bits(x * x)
            assert bits(function(x, power=3)) == bits(x**3)
    assert len(function.plans) == 4
    x64 = pydl.ones((3,), dtype="float64")
    assert function(x64).dtype == np.float64


def test_no_grad_is_part_of_the_key() -> None:
    v = pydl.Variable([1.0])
    function = pydl.function(lambda: pydl.stop_gradient(v * 2))
    for _ in range(3):
        function()
        with pydl.no_grad():
            function()
    assert len(function.plans) == 2


def test_zeros_of_both_signs_and_nan_are_told_apart() -> None:
    function = pydl.function(lambda x, y: x * y)
    for _ in range(3):
        for y in (0.0, -0.0):
            assert np.signbit(function(X, y).numpy()).tolist() == [np.signbit(y)] * 3
        assert np.isnan(function(X, float("nan")).numpy()).all()
    assert len(function.plans) == 3


def test_arrays_lists_and_dictionaries() -> None:
    function = recorded(
        lambda pair, named: pair[0] + named["b"], [np.ones(3, np.float32), 1], {"b": pydl.ones(3)}
    )
    y = function([np.full(3, 5, np.float32), 1], {"b": pydl.ones(3)})
    np.testing.assert_array_equal(y.numpy(), [6, 6, 6])


def test_same_tensor_twice_and_views() -> None:
    function = recorded(lambda a, b: a - 2 * b, pydl.ones((4,)), pydl.ones((4,)))
    x = pydl.arange(8, dtype="float32")
    np.testing.assert_array_equal(function(x[:4], x[:4]).numpy(), -x[:4].numpy())
    np.testing.assert_array_equal(function(x[::2], x[::-2]).numpy(), x[::2] - 2 * x[::-2])


def test_labels_are_checked_at_each_call() -> None:
    x = pydl.random.normal((4, 3))
    function = recorded(
        lambda t: pydl.sparse_categorical_crossentropy_with_logits(t, x), np.array([0, 1, 2, 0])
    )
    with pytest.raises(ValueError, match="label 3 at position 1 is outside of"):
        function(np.array([0, 3, 2, 0]))
    table = pydl.random.normal((5, 2))
    take = recorded(lambda i: pydl.take(table, i, axis=0), np.array([0, 4]))
    with pytest.raises(IndexError, match="index 5 at position 0"):
        take(np.array([5, 0]))
    assert bits(take(np.array([1, -1]))) == bits(table.numpy()[[1, -1]])


# Variables, random numbers and metrics


def test_variables_are_read_at_each_call() -> None:
    v = pydl.Variable([1.0, 2.0])
    function = recorded(lambda x: pydl.stop_gradient(x * v), pydl.ones(2))
    v.assign([5.0, 6.0])
    np.testing.assert_array_equal(function(pydl.ones(2)).numpy(), [5, 6])


def test_assign_is_part_of_it() -> None:
    v, w = pydl.Variable([0.0, 0.0]), pydl.Variable(np.zeros(2, np.float32))

    def f(x: Any) -> None:
        v.assign(x)
        v.assign_add(x)
        v.assign_sub([1.0, 1.0])
        w.assign(3.0)

    function = recorded(f, pydl.ones(2))
    w.assign([7.0, 7.0])
    function(pydl.tensor([10.0, 20.0]))
    np.testing.assert_array_equal(v.numpy(), [19, 39])
    np.testing.assert_array_equal(w.numpy(), [3, 3])


def test_random_numbers_go_on() -> None:
    def draw() -> Any:
        return pydl.random.uniform((3,)), pydl.random.dropout(pydl.ones((50,)), 0.5)

    pydl.random.set_random_seed(5)
    want = [draw() for _ in range(6)]
    pydl.random.set_random_seed(5)
    function = pydl.function(draw)
    for expected in want:
        for y, e in zip(function(), expected, strict=True):
            assert bits(y) == bits(e)


class _OwnTotal(metrics.Metric):
    """A metric of the user's own, with a total that begins at 1."""

    def __init__(self) -> None:
        super().__init__()
        self.value = self.add_variable((), "ones")

    def update_state(self, x: Any) -> None:
        self.value.assign_add(pydl.sum(x))

    def result(self) -> Any:
        return self.value.numpy()


@pytest.mark.parametrize("make", [metrics.Mean, _OwnTotal])
def test_metrics_reset_and_updated_inside_are_recorded(make: Any) -> None:
    metric, eager = make(), make()

    @pydl.function
    def step(x: Any) -> None:
        metric.reset_state()
        metric.update_state(x)
        metric.update_state(x + 1)

    for i in range(5):
        x = pydl.tensor([float(i), 2.0])
        step(x)
        eager.reset_state()
        eager.update_state(x)
        eager.update_state(x + 1)
        assert metric.result() == eager.result()
    assert len(step.plans) == 1


# Methods, nesting, copies and threads


def test_run_eagerly_and_nesting() -> None:
    calls = []
    inner = pydl.function(lambda x: calls.append(1) or x * 2)

    outer = pydl.function(lambda x: inner(x) + 1)
    for _ in range(5):
        assert outer(X).tolist() == [3, 5, 7]
    assert len(outer.plans) == 1 and not inner.plans

    eager = pydl.function(run_eagerly=True)(lambda x: calls.append(1) or x)
    calls.clear()
    for _ in range(5):
        eager(X)
    assert len(calls) == 5
    with pytest.raises(TypeError, match="needs a function"):
        pydl.function(3)


def test_methods() -> None:
    class Model:
        def __init__(self, factor: float) -> None:
            self.w = pydl.Variable([factor])

        @pydl.function
        def double(self, x: Any) -> Any:
            return pydl.stop_gradient(x * self.w * 2)

    a, b = Model(1.0), Model(10.0)
    for _ in range(4):
        assert a.double(X).tolist() == [2, 4, 6]
        assert b.double(X).tolist() == [20, 40, 60]


def test_copies_and_pickles() -> None:
    import copy
    import pickle

    function = pydl.function(pydl.relu)
    function(X)
    for again in (copy.deepcopy(function), pickle.loads(pickle.dumps(function))):
        assert again(X).tolist() == X.tolist()
        assert again.__doc__ == pydl.relu.__doc__
        assert repr(again) == "<pydl.function relu>"


def test_threads_share_a_function() -> None:
    function = pydl.function(lambda x: pydl.sum(pydl.tanh(x)) + x)
    inputs = [pydl.random.normal((300,), seed=i) for i in range(8)]
    want = [bits(pydl.sum(pydl.tanh(x)) + x) for x in inputs]
    wrong: list[int] = []

    def work(i: int) -> None:
        wrong.extend(i for _ in range(50) if bits(function(inputs[i])) != want[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_a_thread_started_inside_while_recording() -> None:
    found: list[Any] = []

    def f(x: Any, depth: int = 0) -> Any:
        if depth == 0:
            thread = threading.Thread(target=lambda: found.append(function(x, 1).tolist()))
            thread.start()
            thread.join(20)
            assert not thread.is_alive(), "the recording thread and the other wait for each other"
        return x + 1

    function = pydl.function(f)
    for _ in range(3):
        function(X)
    assert found == [[2, 3, 4]] * len(found)
    assert len(found) >= 2
