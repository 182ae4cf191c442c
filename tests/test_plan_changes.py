"""Recorded training where something changes, counts in Python, fails or is interrupted."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import numpy as np
import pytest
from plan_helpers import OnHost, assert_same, classifier, data

import pydl
from pydl import callbacks, layers, losses, metrics, models, optimizers


class Changing(callbacks.Callback):
    """Changes what may change between steps or epochs."""

    def __init__(self, batch: Any = None, epoch: Any = None) -> None:
        super().__init__()
        if batch is not None:
            self.on_train_batch_end = lambda i, logs=None: batch(self.model, i)
        self.epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.epoch is not None:
            self.epoch(self.model, epoch)


def set_rate(model: Any, i: int) -> None:
    model.optimizer.learning_rate = 0.01 / (1 + i)


def set_dropout(model: Any, i: int) -> None:
    model.layers[1].rate = 0.1 * (i % 5)


def set_momentum(model: Any, i: int) -> None:
    model.optimizer.momentum = 0.1 * i


def freeze(model: Any, i: int) -> None:
    model.layers[1].trainable = i % 2 == 0


def set_weights(model: Any, i: int) -> None:
    model.set_weights([w * 0.9 for w in model.get_weights()])


@pytest.mark.parametrize("change", [set_rate, set_dropout, set_momentum, freeze, set_weights])
@pytest.mark.parametrize("when", ["batch", "epoch"])
def test_changes_take_effect(change: Any, when: str) -> None:
    x, y = data()
    assert_same(
        lambda: classifier(layers.Dropout(0.5), layers.BatchNormalization()),
        lambda m: m.fit(
            x, y, epochs=6, batch_size=16, verbose=0, callbacks=[Changing(**{when: change})]
        ),
        optimizer=lambda: optimizers.SGD(0.01, momentum=0.5),
    )


def test_learning_rate_needs_no_new_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    from pydl.models import plans

    made = []

    class Counted(plans.Plan):
        def __init__(self, step: Any) -> None:
            made.append(1)
            super().__init__(step)

    monkeypatch.setattr(plans, "Plan", Counted)
    x, y = data(96)
    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=6, batch_size=16, verbose=0, callbacks=[Changing(epoch=set_rate)])
    assert len(made) == 1
    model.fit(x[:90], y[:90], epochs=6, batch_size=16, verbose=0)
    assert len(made) == 3  # the last batch, which is shorter, has its own


def test_early_stopping_and_batch_logs() -> None:
    x, y = data()
    logs: list[str] = []

    def fit(model: models.Model) -> Any:
        stop = callbacks.EarlyStopping("loss", patience=1, min_delta=0.5)
        seen = callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs_=None: logs.append(f"{batch} {logs_}")
        )
        history = model.fit(x, y, epochs=50, batch_size=16, verbose=0, callbacks=[stop, seen])
        found = list(logs)
        logs.clear()
        return history.history, found

    assert_same(classifier, fit)


def test_nan_ends_recorded_training() -> None:
    x, y = data()
    x[37] = np.nan

    def fit(m: models.Model) -> Any:
        hooks = [callbacks.TerminateOnNaN()]
        history = m.fit(x, y, epochs=4, batch_size=16, verbose=0, shuffle=False, callbacks=hooks)
        return history.epoch, history.history, int(m.optimizer.iterations.data)

    model = assert_same(classifier, fit)
    assert int(model.optimizer.iterations.data) == 3


class OwnStep(models.Model):
    """A model with a train_step of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(5)
        self.drop = layers.Dropout(0.2)

    def call(self, inputs: Any) -> Any:
        return self.dense(self.drop(inputs))

    def train_step(self, batch: Any) -> Any:
        x, y, *weight = batch
        with pydl.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred, *weight)
        weights = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return self.logs(loss, x, y, y_pred)

    def logs(self, loss: Any, x: Any, y: Any, y_pred: Any) -> Any:
        return {"loss": loss}


class OwnMetrics(OwnStep):
    """It keeps trackers of its own, and has a test_step too."""

    def __init__(self) -> None:
        super().__init__()
        self.mean_loss = metrics.Mean("loss")
        self.accuracy = metrics.SparseCategoricalAccuracy("share")

    @property
    def metrics(self) -> Any:
        return [self.mean_loss, self.accuracy]

    def logs(self, loss: Any, x: Any, y: Any, y_pred: Any) -> Any:
        self.mean_loss.update_state(loss)
        self.accuracy.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}

    def test_step(self, batch: Any) -> Any:
        x, y = batch
        y_pred = self(x, training=False)
        return self.logs(self.compute_loss(x, y, y_pred), x, y, y_pred)


class OfKeras(OwnStep):
    """Its logs are those of compute_metrics."""

    def logs(self, loss: Any, x: Any, y: Any, y_pred: Any) -> Any:
        self._compiled.tracker.add(loss, len(x))  # type: ignore[union-attr]
        return self.compute_metrics(x, y, y_pred)


class ReadsValues(OwnStep):
    """A step that reads values stays eager."""

    def logs(self, loss: Any, x: Any, y: Any, y_pred: Any) -> Any:
        return {"loss": float(loss)}


def own_loss() -> Any:
    return losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.mark.parametrize("make", [OwnStep, OwnMetrics, OfKeras])
def test_own_steps_are_recorded(make: Any) -> None:
    x, y = data()
    weight = np.linspace(0, 1, 100).astype(np.float32)

    def work(m: models.Model) -> Any:
        found: list[Any] = []
        seen = callbacks.LambdaCallback(on_train_batch_end=lambda i, logs: found.append(logs))
        for hooks in ([], [seen]):
            history = m.fit(x, y, epochs=4, batch_size=16, verbose=0, callbacks=hooks)
            found.append(history.history)
        found.append(m.fit(x, y, epochs=3, validation_split=0.5, verbose=0).history)
        found.append([m.evaluate(x, y, batch_size=16, verbose=0) for _ in range(3)])
        found += [m.train_on_batch(x[:9], y[:9]) for _ in range(5)]
        found += [m.test_on_batch(x[:9], y[:9]) for _ in range(4)]
        if make is OwnStep:
            found.append(m.fit(x, y, sample_weight=weight, epochs=2, verbose=0).history)
        return found

    model = assert_same(make, work, loss=own_loss)
    assert model.plan(x, y, batch_size=16).launches


def test_own_steps_that_read_values_stay_eager() -> None:
    x, y = data()
    assert_same(
        ReadsValues, lambda m: m.fit(x, y, epochs=4, verbose=0), records=False, loss=own_loss
    )
    model = ReadsValues()
    model.compile("sgd", own_loss())
    with pytest.warns(UserWarning, match=r"not recorded.*test_plan_changes.py") as caught:
        model.fit(x, y, epochs=3, verbose=0)
    assert len(caught) == 1


class TwoOptimizers(OwnStep):
    """It counts steps in an attribute, and has another optimizer besides that of compile."""

    def __init__(self) -> None:
        super().__init__()
        self.other = optimizers.SGD(0.1)
        self.steps = 0

    def train_step(self, batch: Any) -> Any:
        self.steps += 1
        x, y = batch
        with pydl.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        weights = self.trainable_variables
        self.other.apply(tape.gradient(loss, weights), weights)
        return {"loss": loss * self.steps}


def set_other_momentum(model: Any, i: int) -> None:
    model.other.momentum = 0.5 * (i % 3)


def test_what_own_steps_keep_in_python() -> None:
    x, y = data()
    assert_same(
        TwoOptimizers,
        lambda m: [m.fit(x, y, epochs=4, verbose=0).history, m.steps],
        records=False,
        loss=own_loss,
    )


class OtherOptimizer(TwoOptimizers):
    """Without the count."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "steps" or not hasattr(self, "steps"):
            super().__setattr__(name, value)


def test_another_optimizer_changes_its_rule() -> None:
    x, y = data()
    assert_same(
        OtherOptimizer,
        lambda m: (
            m.fit(x, y, epochs=9, verbose=0, callbacks=[Changing(epoch=set_other_momentum)]).history
        ),
        loss=own_loss,
    )


def test_layers_on_the_host_stay_eager_and_say_so() -> None:
    x, y = data()
    assert_same(
        lambda: classifier(OnHost()), lambda m: m.fit(x, y, epochs=3, verbose=0), records=False
    )
    model = classifier(OnHost())
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.warns(UserWarning, match=r"not recorded.*plan_helpers.py") as caught:
        model.fit(x, y, epochs=3, verbose=0)
    assert len(caught) == 1


def test_labels_out_of_range_in_a_later_batch() -> None:
    x, y = data(64)
    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy")
    bad = y.copy()
    bad[-1] = 5
    with pytest.raises(ValueError, match="label 5 at position"):
        model.fit(x, bad, epochs=1, batch_size=8, verbose=0, shuffle=False)
    model.fit(x, y, epochs=1, batch_size=8, verbose=0)


def test_interrupt() -> None:
    x, y = data(20000)
    model = classifier(layers.Dense(64))
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=1, verbose=0)
    main = threading.main_thread().ident
    assert main is not None
    timer = threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT))
    # the parent may have had it ignored, as shells do for jobs in the background
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(x, y, epochs=500, batch_size=1, verbose=0)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not pydl._core.recording_plan()
    model.fit(x, y, epochs=1, verbose=0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_goes_on() -> None:
    x, y = data()
    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=3, verbose=0)
    child = os.fork()
    if child == 0:
        try:
            model.fit(x, y, epochs=3, verbose=0)
            model.predict(x[:3], verbose=0)
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


class Share(metrics.Metric):
    """A mean that keeps its count in Python."""

    def __init__(self) -> None:
        super().__init__("share")
        self.total, self.n = self.add_weight(name="total"), 0

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.total.assign_add(pydl.mean(pydl.max(y_pred, axis=-1)))
        self.n += 1

    def result(self) -> Any:
        return self.total / max(self.n, 1)

    def reset_state(self) -> None:
        self.total.assign(0.0)
        self.n = 0


class Above(metrics.Metric):
    """The share of predictions above a bound, which a callback changes."""

    def __init__(self) -> None:
        super().__init__("above")
        self.total, self.bound = self.add_weight(name="total"), 0.1

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.total.assign_add(pydl.mean((y_pred > self.bound).astype("float32")))

    def result(self) -> Any:
        return self.total


def test_metrics_whose_attributes_change() -> None:
    x, y = data()

    def set_bound(model: Any, i: int) -> None:
        model.metrics[1].bound = 0.1 + 0.1 * i

    assert_same(
        classifier,
        lambda m: m.fit(x, y, epochs=6, verbose=0, callbacks=[Changing(epoch=set_bound)]),
        metrics=lambda: [Above()],
    )


def test_metrics_that_count_in_python() -> None:
    x, y = data()
    assert_same(
        classifier,
        lambda m: (m.fit(x, y, epochs=3, verbose=0).history, m.evaluate(x, y, verbose=0)),
        metrics=lambda: [Share(), "accuracy"],
    )


class Counting(layers.Layer):
    """A layer whose output depends on how often it was called."""

    def __init__(self) -> None:
        super().__init__()
        self._calls = 0

    def call(self, inputs: Any) -> Any:
        self._calls += 1
        return inputs * (1.0 / self._calls)


class Scaled(layers.Layer):
    """A layer with a private factor, which a callback changes."""

    def __init__(self) -> None:
        super().__init__()
        self._factor = 1.0

    def call(self, inputs: Any) -> Any:
        return inputs * self._factor


def set_factor(model: Any, i: int) -> None:
    model.layers[1]._factor = 1.0 + i


def test_layers_with_state_in_python() -> None:
    x, y = data()
    assert_same(
        lambda: classifier(Counting()), lambda m: m.fit(x, y, epochs=3, verbose=0), records=False
    )
    assert_same(
        lambda: classifier(Scaled()),
        lambda m: m.fit(x, y, epochs=4, verbose=0, callbacks=[Changing(batch=set_factor)]),
    )


def test_changes_between_fits_need_no_warning() -> None:
    x, y = data()

    def fit(m: models.Model) -> Any:
        found = [m.fit(x, y, epochs=2, verbose=0).history]
        m.optimizer.momentum = 0.9
        found.append(m.fit(x, y, epochs=2, verbose=0).history)
        m.optimizer.nesterov = True
        return [*found, m.fit(x, y, epochs=2, verbose=0).history]

    assert_same(classifier, fit, optimizer=lambda: optimizers.SGD(0.01))


class Holds(layers.Layer):
    """A layer that reads numbers from lists and dictionaries."""

    def __init__(self, penalty: bool = True) -> None:
        super().__init__()
        self.penalty = penalty
        self.cfg: dict[str, Any] = {"k": 1.0, "deep": {"list": [1.0, 2.0]}, "on": {"scale"}}
        self.scales = [1.0]

    def call(self, x: Any) -> Any:
        k = self.cfg["k"] * self.cfg["deep"]["list"][1] * self.scales[0]
        if self.penalty:
            self.add_loss(k * pydl.mean(pydl.square(x)))
        return x * k if "scale" in self.cfg["on"] else x


def _held(model: Any) -> Holds:
    return next(layer for layer in model._flatten_layers() if isinstance(layer, Holds))


CONTAINER_CHANGES: list[Any] = [
    lambda m, i: _held(m).cfg.update(k=0.1 * i),
    lambda m, i: _held(m).cfg["deep"]["list"].__setitem__(1, 0.5 * i),
    lambda m, i: _held(m).cfg["on"].symmetric_difference_update({"scale"}),
    lambda m, i: _held(m).scales.insert(0, 0.3 * i),
]


@pytest.mark.parametrize("change", CONTAINER_CHANGES)
@pytest.mark.parametrize("when", ["batch", "epoch"])
@pytest.mark.parametrize("inside", [False, True])
def test_changed_lists_and_dictionaries_take_effect(change: Any, when: str, inside: bool) -> None:
    x, y = data()
    assert_same(
        lambda: classifier(models.Sequential([Holds()]) if inside else Holds()),
        lambda m: m.fit(
            x, y, epochs=6, batch_size=16, verbose=0, callbacks=[Changing(**{when: change})]
        ),
    )


class HoldsItself(OwnStep):
    """A train_step that reads a dictionary of the model, which it does not call."""

    def __init__(self) -> None:
        super().__init__()
        self.cfg = {"k": 1.0}
        self.inner = classifier()

    def train_step(self, batch: Any) -> Any:
        x, y = batch
        with pydl.GradientTape() as tape:
            loss = self.cfg["k"] * losses.SparseCategoricalCrossentropy()(y, self.inner(x))
        weights = self.inner.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return {"loss": loss}


def test_a_dictionary_of_the_model_itself() -> None:
    x, y = data()
    assert_same(
        HoldsItself,
        lambda m: m.fit(
            x, y, epochs=6, batch_size=16, verbose=0,
            callbacks=[Changing(epoch=lambda m, i: m.cfg.update(k=0.3 * i))],
        ),
    )  # fmt: skip


@pytest.mark.parametrize("method", ["predict_on_batch", "test_on_batch", "function"])
def test_changed_dictionaries_in_single_calls(method: str) -> None:
    x = np.ones((4, 3), np.float32)
    model = models.Sequential([Holds(penalty=method != "function")])
    model.compile("sgd", "mse")
    by_function = pydl.function(lambda t: model(t))
    for i in range(12):
        k = model.layers[0].cfg["k"] = 1.0 + i // 4
        if method == "predict_on_batch":
            found = model.predict_on_batch(x)[0, 0]
        elif method == "function":
            found = by_function(pydl.tensor(x)).numpy()[0, 0]
        else:
            found = model.test_on_batch(x, x)
        want = (2 * k - 1) ** 2 + 2 * k if method == "test_on_batch" else 2 * k
        assert found == want
    assert by_function.failure == "" and len(by_function.plans) == (method == "function")


def test_large_containers_are_compared_in_part() -> None:
    layer = Holds(penalty=False)
    layer.table = {i: [i] * 3 for i in range(10_000)}
    layer.mixed = [np.zeros(3), np.float32(2.0), layers.Dense(1), {"nan": float("nan")}]
    f = pydl.function(lambda t: layer(t))
    for _ in range(4):
        f(pydl.ones((2, 3)))
    plan = f.plans[0]
    assert not plan.stale
    layer.mixed[1] = np.float32(2.0)
    assert not plan.stale
    layer.mixed[1] = np.float32(2.5)
    assert plan.stale
    f(pydl.ones((2, 3)))
    f(pydl.ones((2, 3)))
    assert f.plans[0] is not plan
    layer.table[0][0] = -1
    assert f.plans[0].stale
    layer.table[0][0] = 0
    assert not f.plans[0].stale
    layer.table[9_999][0] = -1
    assert not f.plans[0].stale
