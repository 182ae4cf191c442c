"""What cannot be recorded stays eager, with a warning; what changes between calls is seen."""

from __future__ import annotations

import collections
import random
import warnings
from typing import Any

import numpy as np
import pytest
from function_helpers import X, bits, recorded

import pydl
from pydl import _core, metrics

# Work on the host


def stays_eager(f: Any, *args: Any, reason: str) -> None:
    """f gives right results although it cannot be recorded, warns once and says where."""
    function = pydl.function(f)
    first = function(*args)
    with pytest.warns(UserWarning, match=reason) as caught:
        second = function(*args)
    if "host" in reason:
        assert "test_function_limits.py" in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        third = function(*args)
    assert not function.plans
    for y in (second, third):
        np.testing.assert_array_equal(np.asarray(y), np.asarray(first))


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


def _drawn(x: Any) -> Any:
    return x + float(np.random.rand()) * 0 + random.random() * 0  # noqa: NPY002


def test_random_numbers_of_the_host() -> None:
    stays_eager(_drawn, X, reason="draws from Python's or NumPy's")


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


# Arguments and results


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


def test_what_cannot_be_decorated() -> None:
    def numbers(x: Any) -> Any:
        yield x

    async def later(x: Any) -> Any:
        return x

    for f in (numbers, later):
        with pytest.raises(TypeError, match="generator or coroutine"):
            pydl.function(f)


# Changed settings


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


def test_a_setting_changed_inside() -> None:
    layer = pydl.layers.Dropout(0.5)

    def f(x: Any) -> Any:
        layer.rate = 0.5
        return layer(x, training=False)

    function = pydl.function(f)
    for _ in range(4):  # each call drops the plan of the one before, and none is ever made
        assert function(X).tolist() == X.tolist()
    assert not function.plans


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


def test_a_variable_with_another_array() -> None:
    w = pydl.Variable([1.0, 1.0])
    function = recorded(lambda x: pydl.stop_gradient(x * w), pydl.ones(2))
    for i in range(5):
        w.data = w.data * 2
        assert function(pydl.ones(2)).tolist() == [2.0 ** (i + 1)] * 2
    w.data = np.ones((3, 2), np.float32)
    assert function(pydl.ones(2)).shape == (3, 2)


# Errors


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
