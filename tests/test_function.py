"""Recorded functions: the same bits as eager ones, and every hazard of recording."""

from __future__ import annotations

import collections
import gc
import itertools
import json
import random
import threading
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pydl
from pydl import _core, metrics
from pydl.function import Function


def bits(x: Any) -> bytes:
    return np.asarray(x).tobytes()


def recorded(f: Any, *args: Any) -> Function:
    """f after enough calls that it must be replayed."""
    function = pydl.function(f)
    for _ in range(3):
        function(*args)
    assert not function.failure, function.failure
    assert len(function.plans) == 1
    return function


def stays_eager(f: Any, *args: Any, reason: str) -> None:
    """f gives right results although it cannot be recorded, warns once and says where."""
    function = pydl.function(f)
    first = function(*args)
    with pytest.warns(UserWarning, match=reason) as caught:
        second = function(*args)
    if "host" in reason:
        assert "test_function.py" in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        third = function(*args)
    assert not function.plans
    for y in (second, third):
        np.testing.assert_array_equal(np.asarray(y), np.asarray(first))


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


def test_trainable_changes_the_plan() -> None:
    v = pydl.Variable([1.0])

    def f() -> Any:
        with pydl.GradientTape() as tape:
            y = v * 2.0
        g = tape.gradient(y, v)
        return pydl.zeros(1) if g is None else g

    function = pydl.function(f)
    for _ in range(3):
        assert function().item() == 2
    v.trainable = False
    for _ in range(3):
        assert function().item() == 0


def test_no_grad_is_part_of_the_key() -> None:
    v = pydl.Variable([1.0])
    function = pydl.function(lambda: pydl.stop_gradient(v * 2))
    for _ in range(3):
        function()
        with pydl.no_grad():
            function()
    assert len(function.plans) == 2


# what cannot be recorded

X = pydl.tensor([1.0, 2.0, 3.0])


def _branch(x: Any) -> Any:
    return x + 1 if pydl.sum(x) > 0 else x


def _item(x: Any) -> Any:
    return x * pydl.max(x).item()


def _number(x: Any) -> Any:
    return x * float(pydl.max(x))


def _array(x: Any) -> Any:
    return x + np.sin(x.numpy())


def _raw_data(x: Any) -> Any:
    return x + pydl.tensor(np.sin((x * 2).data))


def _sorted(x: Any) -> Any:
    return pydl.sort(x) + 1


def _assigned(x: Any) -> Any:
    y = x * 1
    y[0] = 5.0
    return y


def _printed(x: Any) -> Any:
    repr(x * 2)
    return x


@pytest.mark.parametrize(
    "f", [_branch, _item, _number, _array, _raw_data, _sorted, _assigned, _printed]
)
def test_host_work_stays_eager(f: Any) -> None:
    stays_eager(f, X, reason="host|NumPy")


def test_tensors_that_outlive_the_call() -> None:
    kept: list[Any] = []

    def f(x: Any) -> Any:
        y = x * 2
        kept.append(y)
        return y + 1

    stays_eager(f, X, reason="kept elsewhere")
    assert [k.tolist() for k in kept] == [[2, 4, 6]] * 3


def test_gradients_left_behind() -> None:
    v = pydl.Variable([1.0, 2.0, 3.0])

    def f(x: Any) -> Any:
        pydl.sum(x * v).backward()
        return x + 1

    stays_eager(f, X, reason="kept elsewhere")
    np.testing.assert_array_equal(v.grad.numpy(), 3 * X.numpy())


def test_results_that_want_a_gradient() -> None:
    v = pydl.Variable([1.0, 2.0, 3.0])
    function = pydl.function(lambda x: x * v)
    function(X)
    with pydl.GradientTape() as tape, pytest.warns(UserWarning, match="wants a gradient"):
        y = pydl.sum(function(X))
    np.testing.assert_array_equal(tape.gradient(y, v).numpy(), X.numpy())
    with pydl.GradientTape() as tape:
        y = pydl.sum(function(X))
    np.testing.assert_array_equal(tape.gradient(y, v).numpy(), X.numpy())


def test_numpy_results() -> None:
    stays_eager(lambda x: np.ones(2), X, reason="returns a NumPy array")


@pytest.mark.parametrize(
    "f",
    [
        lambda x: map(lambda v: v + 1, [x, x]),
        lambda x: (v + 1 for v in (x, x)),
        lambda x: [x + 1, iter([x + 1])][1],
        lambda x: {1: iter([x, x])}[1],
    ],
)
def test_iterators_are_made_at_each_call(f: Any) -> None:
    function = pydl.function(f)
    want = [bits(y) for y in f(pydl.tensor([2.0]))]
    with pytest.warns(UserWarning, match="it returns an object of type") as caught:
        for _ in range(5):
            assert [bits(y) for y in function(pydl.tensor([2.0]))] == want
    assert len(caught) == 1


@pytest.mark.parametrize("holder", [set, collections.deque, dict.fromkeys])
def test_objects_returned_are_made_at_each_call(holder: Any) -> None:
    function = pydl.function(lambda x: (x + 1, holder([1, 2])))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(4):
            made = function(pydl.tensor([2.0]))[1]
            assert made == holder([1, 2])
            made.clear()


def test_arguments_without_hash() -> None:
    function = pydl.function(lambda x, s: x + len(s))
    with pytest.warns(UserWarning, match="cannot be told"):
        assert function(X, {1, 2}).tolist() == [3, 4, 5]


def test_arguments_that_want_a_gradient() -> None:
    function = pydl.function(lambda x: x * 2)
    x = pydl.tensor([1.0], requires_grad=True)
    with pytest.warns(UserWarning, match="wants a gradient"):
        function(x).sum().backward()
    assert x.grad.item() == 2


def test_a_setting_changed_inside() -> None:
    layer = pydl.layers.Dropout(0.5)

    def f(x: Any) -> Any:
        layer.rate = 0.5
        return layer(x, training=False)

    function = pydl.function(f)
    for _ in range(4):  # each call drops the plan of the one before, and none is ever made
        assert function(X).tolist() == X.tolist()
    assert not function.plans


def test_errors_leave_it_usable() -> None:
    fails = [True]

    def f(x: Any) -> Any:
        y = x * 2
        if fails[0]:
            raise KeyError("no")
        return y

    function = pydl.function(f)
    for _ in range(3):
        with pytest.raises(KeyError):
            function(X)
    fails[0] = False
    for _ in range(3):
        assert function(X).tolist() == [2, 4, 6]
    assert not _core.recording_plan()
    assert function.plans


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


def test_many_kinds_of_arguments() -> None:
    function = pydl.function(lambda x: x * 2)
    for n in range(40):  # more kinds than plans are kept
        for _ in range(3):
            assert function(pydl.ones((n,))).shape == (n,)
    assert len(function.plans) <= 16
    once = pydl.function(lambda x: x * 2)
    with pytest.warns(UserWarning, match="as many kinds"):
        for n in range(80):
            once(pydl.ones((n,)))


def test_memory_is_given_back() -> None:
    gc.collect()
    before = _core.memory_stats()["in_use"]
    function = recorded(lambda x: pydl.exp(x) @ x, pydl.ones((300, 300)))
    result = function(pydl.ones((300, 300)))
    bound = _core.memory_stats()["in_use"]
    for _ in range(100):
        result = function(pydl.ones((300, 300)))
    assert _core.memory_stats()["in_use"] <= bound + result.nbytes
    del function, result
    gc.collect()
    assert _core.memory_stats()["in_use"] <= before


def test_neighbouring_loops_run_tile_by_tile() -> None:
    def f(x: Any, y: Any, bias: Any) -> Any:
        a = pydl.tanh(x * 2 + bias)
        b = pydl.where(a > 0, a, y) / (pydl.abs(y) + 1)
        c = pydl.cumsum(b, axis=1)
        return a - b * 3 + c, pydl.exp(b[:, ::-1] - 1) * y

    for shape in ((700, 501), (30, 20)):
        arguments = [pydl.random.normal(s) for s in (shape, shape, shape[1:])]
        function = recorded(f, *arguments)
        merged = [launch.merged for launch in function.plans[0].launches]
        assert any(merged) == (shape[0] == 700)
        for threads in (1, 2, 3):
            before = pydl.config.get_num_threads()
            pydl.config.set_num_threads(threads)
            try:
                for y, want in zip(function(*arguments), f(*arguments), strict=True):
                    assert bits(y) == bits(want)
            finally:
                pydl.config.set_num_threads(before)
    lines: list[str] = []
    recorded(f, *(pydl.ones(s) for s in ((700, 501), (700, 501), (501,)))).plans[0].summary(
        lines.append
    )
    assert "\n+ " in lines[0]


def test_loops_that_read_what_was_written_elsewhere_stay_apart() -> None:
    x = pydl.random.normal((400000,))
    v = pydl.Variable(np.zeros(400000, np.float32), trainable=False)

    def shifted(x: Any) -> Any:
        v.assign(x + 1)
        v.assign(v[::-1] * 2)
        w = pydl.concatenate([v[1:], v[:1]], axis=0)
        return w + v[0]

    function = recorded(shifted, x)
    got = bits(function(x))
    assert got == bits(shifted(x))


def test_python_runs_in_the_first_two_calls_only() -> None:
    calls: list[int] = []

    def f(x: Any) -> Any:
        calls.append(1)
        return x + 1

    function = pydl.function(f)
    for i in range(5):
        assert function(pydl.tensor([float(i)])).item() == i + 1
    assert len(calls) == 2


def test_settings_of_an_optimizer_that_change_its_rule() -> None:
    def train(eagerly: bool) -> list[float]:
        w, optimizer = pydl.Variable([1.0]), pydl.optimizers.SGD(0.1)

        @pydl.function(run_eagerly=eagerly)
        def step(x: Any) -> None:
            with pydl.GradientTape() as tape:
                loss = pydl.sum((w * x - 2.0) ** 2)
            optimizer.apply(tape.gradient(loss, [w]), [w])

        found = []
        for i in range(20):
            if i == 4:
                optimizer.learning_rate = 0.05
            if i == 8:
                optimizer.momentum = 0.9
            if i == 12:
                optimizer.nesterov = True
            if i == 16:
                optimizer.use_ema, optimizer.ema_overwrite_frequency = True, 2
            step(pydl.tensor([1.0]))
            found.append(w.item())
        assert eagerly or len(step.plans) == 1
        return found

    assert train(False) == train(True)


def test_failed_checks_change_nothing_later() -> None:
    v = pydl.Variable([0.0])

    def f(t: Any) -> Any:
        loss = pydl.sparse_categorical_crossentropy_with_logits(t, pydl.ones((2, 3)))
        v.assign_add([1.0])
        return loss

    function = recorded(f, np.array([0, 1]))
    with pytest.raises(ValueError, match="label"):
        function(np.array([0, 9]))
    assert v.item() == 3


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


def _drawn(x: Any) -> Any:
    return x + float(np.random.rand()) * 0 + random.random() * 0  # noqa: NPY002


def test_random_numbers_of_the_host() -> None:
    stays_eager(_drawn, X, reason="draws from Python's or NumPy's")


def test_arguments_changed_in_place() -> None:
    def positive(a: Any) -> Any:
        a[a < 0] = 0.0
        return pydl.sum(a)

    def added(a: np.ndarray) -> Any:
        a += 1
        return pydl.sum(pydl.tensor(a))

    for f, make, want in (
        (positive, lambda: pydl.tensor([-1.0, 2.0]), [0, 2]),
        (added, lambda: np.array([1.0, 2.0], np.float32), [2, 3]),
    ):
        function = pydl.function(f)
        with pytest.warns(UserWarning, match="host|in place"):
            for _ in range(4):
                a = make()
                function(a)
                assert a.tolist() == want


def test_a_variable_with_another_array() -> None:
    w = pydl.Variable([1.0, 1.0])
    function = recorded(lambda x: pydl.stop_gradient(x * w), pydl.ones(2))
    for i in range(5):
        w.data = w.data * 2
        assert function(pydl.ones(2)).tolist() == [2.0 ** (i + 1)] * 2
    w.data = np.ones((3, 2), np.float32)
    assert function(pydl.ones(2)).shape == (3, 2)


def test_what_cannot_be_decorated() -> None:
    def numbers(x: Any) -> Any:
        yield x

    async def later(x: Any) -> Any:
        return x

    for f in (numbers, later):
        with pytest.raises(TypeError, match="generator or coroutine"):
            pydl.function(f)


def test_copies_and_pickles() -> None:
    import copy
    import pickle

    function = pydl.function(pydl.relu)
    function(X)
    for again in (copy.deepcopy(function), pickle.loads(pickle.dumps(function))):
        assert again(X).tolist() == X.tolist()
        assert again.__doc__ == pydl.relu.__doc__
        assert repr(again) == "<pydl.function relu>"


# what a function keeps


def test_plans_used_least_recently_go_first() -> None:
    function = pydl.function(lambda x: x * 2)
    for _ in range(3):
        function(pydl.ones((100,)))
    for n in range(1, 40):
        for _ in range(2):
            function(pydl.ones((n,)))
        function(pydl.ones((100,)))  # in use all the time
        assert function.plans[-1].outputs.shape == (100,)
    assert len(function.plans) <= 16


def test_changed_settings_are_no_new_kinds_of_arguments() -> None:
    layer = pydl.layers.Dropout(0.5)
    function = pydl.function(lambda x: layer(x, training=False) + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for i in range(100):  # more than the kinds that a function gives up at
            layer.rate = 0.5 / (1 + i)
            assert function(X).tolist() == [2, 3, 4]
    for _ in range(3):
        function(X)
    assert function.plans


def test_zeros_of_both_signs_and_nan_are_told_apart() -> None:
    function = pydl.function(lambda x, y: x * y)
    for _ in range(3):
        for y in (0.0, -0.0):
            assert np.signbit(function(X, y).numpy()).tolist() == [np.signbit(y)] * 3
        assert np.isnan(function(X, float("nan")).numpy()).all()
    assert len(function.plans) == 3


def test_objects_made_inside_are_no_change() -> None:
    x, y = pydl.random.normal((8, 3), seed=0), pydl.random.normal((8, 3), seed=1)

    def f(x: Any, y: Any) -> Any:
        penalty = pydl.regularizers.L2(0.1)
        return pydl.losses.MeanSquaredError()(y, x) + penalty(x)

    function = recorded(f, x, y)
    assert bits(function(y, x)) == bits(f(y, x))


def test_a_second_model_leaves_plans_alone() -> None:
    model = pydl.Sequential([pydl.layers.Dense(3), pydl.layers.Dropout(0.5)])
    model.compile("adam", "mse")
    function = recorded(lambda x: x * 2, X)
    plan = function.plans[0]
    pydl.Sequential([pydl.layers.Dense(3), pydl.layers.Dense(2)])
    pydl.optimizers.Adam()
    model.fit(np.ones((4, 2)), np.ones((4, 3)), epochs=3, verbose=0)
    function(X)
    assert function.plans == [plan]


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


# looking at plans


def test_summary_profile_and_timeline(tmp_path: Any) -> None:
    w = pydl.Variable(pydl.random.normal((64, 64), seed=0))

    def f(x: Any) -> Any:
        w.assign_add(pydl.tanh(x @ w))
        return pydl.stop_gradient(pydl.sum(w, axis=0))

    plan = recorded(f, pydl.ones((64, 64))).plans[0]
    names = [launch.name for launch in plan.launches]
    assert names[:3] == ["matmul", "tanh", "add"]
    assert names[3].startswith("sum")
    assert plan.launches[0].flops == 2 * 64**3
    assert plan.launches[2].bytes == 3 * 64 * 64 * 4
    texts: list[str] = []
    plan.summary(texts.append)
    assert all(name in texts[0] for name in names)
    assert f"{len(names)} launches" in texts[0]
    before = bits(w)
    seconds = plan.profile(3, texts.append)
    assert bits(w) == before  # although the plan changes it
    assert len(seconds) == len(names) and all(0 < s < 1 for s in seconds)
    assert "GFLOP/s" in texts[1]
    plan.timeline(tmp_path / "plan.json", 2)
    events = json.loads((tmp_path / "plan.json").read_text())["traceEvents"]
    assert [e["name"] for e in events] == names
    for first, second in itertools.pairwise(events):
        assert second["ts"] == pytest.approx(first["ts"] + first["dur"])
    with pytest.raises(ValueError, match="times must be at least 1"):
        plan.profile(0)


def _labels_and_scores(i: int) -> tuple[pydl.Tensor, pydl.Tensor]:
    rng = np.random.default_rng(i)
    scores = pydl.tensor(rng.random((6, 2), np.float32))
    return pydl.tensor(rng.integers(0, 2, 6)), scores


_METRICS = {
    "mean": (metrics.Mean, lambda m, y, p: m.update_state(p)),
    "sum": (metrics.Sum, lambda m, y, p: m.update_state(p)),
    "mse": (metrics.MeanSquaredError, lambda m, y, p: m.update_state(p[:, 0], p[:, 1])),
    "rmse": (metrics.RootMeanSquaredError, lambda m, y, p: m.update_state(p[:, 0], p[:, 1])),
    "r2": (metrics.R2Score, lambda m, y, p: m.update_state(p[:, :1], p[:, 1:])),
    "binary": (metrics.BinaryAccuracy, lambda m, y, p: m.update_state(y, p[:, 0])),
    "sparse": (metrics.SparseCategoricalAccuracy, lambda m, y, p: m.update_state(y, p)),
    "precision": (metrics.Precision, lambda m, y, p: m.update_state(y, p[:, 0])),
    "auc": (metrics.AUC, lambda m, y, p: m.update_state(y, p[:, 0])),
    "iou": (lambda: metrics.MeanIoU(2), lambda m, y, p: m.update_state(y, y * y)),
}


@pytest.mark.parametrize("name", _METRICS)
@pytest.mark.parametrize("outside", [False, True])
def test_metrics_read_inside_end_the_recording(name: str, outside: bool) -> None:
    make, update = _METRICS[name]
    metric, eager = make(), make()

    @pydl.function
    def step(y: Any, p: Any) -> Any:
        if not outside:
            update(metric, y, p)
        return metric.result(), p * metric.result()

    with pytest.warns(UserWarning, match="host|NumPy|attribute") as caught:
        for i in range(5):
            y, p = _labels_and_scores(i)
            if outside:
                update(metric, y, p)
            found, product = step(y, p)
            update(eager, y, p)
            assert type(found) is float
            assert found == eager.result()
            assert bits(product) == bits(p * eager.result())
    assert len(caught) == 1


def test_totals_read_inside_end_the_recording() -> None:
    metric = metrics.Mean()
    step = pydl.function(lambda x: (metric.update_state(x), metric.total, metric.count)[1:])
    with pytest.warns(UserWarning, match=r"Metric\.total works on the host"):
        found = [step(pydl.tensor([float(i)])) for i in range(4)]
    assert found == [(0.0, 1.0), (1.0, 2.0), (3.0, 3.0), (6.0, 4.0)]


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
