"""Recorded training: the same bits as eager training, and what changes between steps."""

from __future__ import annotations

import gc
import os
import signal
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import pydl
from pydl import callbacks, layers, losses, metrics, models, optimizers


def data(rows: int = 100, features: int = 12, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, features), np.float32)
    return x, rng.integers(0, classes, rows)


def classifier(*inner: Any) -> models.Sequential:
    return models.Sequential(
        [layers.Dense(16, activation="relu"), *inner, layers.Dense(5, activation="softmax")]
    )


def trained(
    make: Callable[[], models.Model],
    fit: Callable[[models.Model], Any],
    eager: bool,
    **compile: Any,
) -> tuple[list[bytes], Any, models.Model]:
    """The weights, optimizer state and results of one run."""
    pydl.utils.set_random_seed(7)
    model = make()
    options = {"optimizer": "rmsprop", "loss": "sparse_categorical_crossentropy"}
    model.compile(**{**options, "metrics": ["accuracy"], **compile}, run_eagerly=eager)
    results = fit(model)
    if isinstance(results, callbacks.History):
        results = results.history
    arrays = [*model.get_weights(), *(v.numpy() for v in model.optimizer.variables)]
    return [a.tobytes() for a in arrays], results, model


def assert_same(
    make: Callable[[], models.Model],
    fit: Callable[[models.Model], Any],
    records: bool = True,
    **compile: Any,
) -> models.Model:
    """Eager and recorded runs agree byte for byte; `records`: and the second one is recorded."""
    compile = {
        key: value if callable(value) else (lambda v=value: v) for key, value in compile.items()
    }
    fresh = lambda: {key: value() for key, value in compile.items()}  # noqa: E731
    want, want_results, _ = trained(make, fit, True, **fresh())
    with warnings.catch_warnings():
        warnings.simplefilter("error" if records else "ignore")
        found, results, model = trained(make, fit, False, **fresh())
    assert found == want
    assert repr(results) == repr(want_results)
    return model


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_fit_equals_eager(threads: int) -> None:
    before = pydl.config.get_num_threads()
    pydl.config.set_num_threads(threads)
    try:
        x, y = data()
        assert_same(
            lambda: classifier(layers.Dropout(0.3), layers.BatchNormalization()),
            lambda m: m.fit(x, y, epochs=15, batch_size=16, verbose=0, validation_split=0.2),
        )
    finally:
        pydl.config.set_num_threads(before)


def one_hot_fit(model: models.Model) -> Any:
    x, y = data()
    return model.fit(x, np.eye(5, dtype=np.float32)[y], epochs=8, batch_size=16, verbose=0)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: optimizers.SGD(0.1),
        lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True, clipvalue=0.01),
        lambda: optimizers.RMSprop(centered=True, momentum=0.5),
        lambda: optimizers.Adam(clipnorm=0.1),
        lambda: optimizers.Adam(amsgrad=True, global_clipnorm=0.5),
        lambda: optimizers.AdamW(weight_decay=0.01),
        lambda: optimizers.Adagrad(),
        lambda: optimizers.Adadelta(1.0),
        lambda: optimizers.Adamax(),
        lambda: optimizers.Nadam(),
        lambda: optimizers.Lion(),
        lambda: optimizers.Adam(optimizers.schedules.ExponentialDecay(0.01, 5, 0.5)),
        lambda: optimizers.SGD(0.1, decay=0.1),
    ],
)
def test_optimizers(optimizer: Any) -> None:
    assert_same(classifier, one_hot_fit, optimizer=optimizer, loss="categorical_crossentropy")


@pytest.mark.parametrize(
    "optimizer",
    [lambda: optimizers.Adam(use_ema=True), lambda: optimizers.SGD(gradient_accumulation_steps=3)],
)
def test_optimizers_that_count_on_the_host(optimizer: Any) -> None:
    assert_same(
        classifier, one_hot_fit, records=False, optimizer=optimizer, loss="categorical_crossentropy"
    )


@pytest.mark.parametrize(
    "loss", ["mse", "mae", "huber", "log_cosh", "mape", "msle", "poisson", "kl_divergence",
             "cosine_similarity", "categorical_hinge", "categorical_crossentropy",
             "binary_crossentropy"],
)  # fmt: skip
def test_losses(loss: str) -> None:
    assert_same(classifier, one_hot_fit, loss=loss, metrics=["mae", "categorical_accuracy"])


@pytest.mark.parametrize(
    "metric",
    [
        lambda: ["sparse_top_k_categorical_accuracy"],
        lambda: [metrics.SparseCategoricalCrossentropy(), "accuracy"],
        lambda: [lambda t, p: pydl.max(p, axis=-1)],
    ],
)
def test_metrics_on_the_host_or_in_the_plan(metric: Any) -> None:
    x, y = data()
    assert_same(
        classifier, lambda m: m.fit(x, y, epochs=4, batch_size=16, verbose=0), metrics=metric
    )


def test_regularizers_constraints_and_activity() -> None:
    def make() -> models.Sequential:
        return classifier(
            layers.Dense(
                8,
                kernel_regularizer=pydl.regularizers.L1L2(1e-3, 1e-3),
                kernel_constraint=pydl.constraints.MaxNorm(0.5),
                bias_constraint="non_neg",
                activity_regularizer="l2",
                activation="tanh",
            )
        )

    x, y = data()
    assert_same(make, lambda m: m.fit(x, y, epochs=5, batch_size=16, verbose=0))


def test_weights_of_samples_and_classes() -> None:
    x, y = data()
    weights = np.linspace(0, 1, 100).astype(np.float32)
    assert_same(
        classifier,
        lambda m: m.fit(
            x, y, epochs=4, batch_size=16, verbose=0, sample_weight=weights, class_weight={1: 3.0}
        ),
        weighted_metrics=lambda: ["accuracy"],
    )


@pytest.mark.parametrize("shuffle", [True, False, "batch"])
@pytest.mark.parametrize("steps", [None, 3])
def test_orders_of_the_rows(shuffle: Any, steps: int | None) -> None:
    x, y = data()
    assert_same(
        classifier,
        lambda m: m.fit(
            x, y, epochs=4, batch_size=16, verbose=0, shuffle=shuffle, steps_per_epoch=steps
        ),
    )


def test_layouts_and_types_of_data() -> None:
    x, y = data()
    for array in (np.asfortranarray(x), x.astype(np.float64), np.repeat(x, 2, axis=0)[::2]):
        assert_same(
            classifier, lambda m, a=array: m.fit(a, y.astype(np.uint8), epochs=3, verbose=0)
        )


def test_generators_and_batches() -> None:
    x, y = data()

    def batches() -> Iterator[Any]:
        while True:
            for i in range(0, 96, 16):
                yield x[i : i + 16], y[i : i + 16]

    assert_same(classifier, lambda m: m.fit(batches(), epochs=4, steps_per_epoch=6, verbose=0))
    assert_same(
        classifier,
        lambda m: (
            [m.train_on_batch(x[:16], y[:16]) for _ in range(6)]
            + [m.test_on_batch(x[:16], y[:16]) for _ in range(4)]
            + [m.evaluate(x, y, verbose=0) for _ in range(3)]
            + [m.predict(x, batch_size=16, verbose=0).tobytes() for _ in range(3)]
            + [m.predict(x[:7], verbose=0).tobytes() for _ in range(3)]
            + [m.predict_on_batch(x[:7]).tobytes() for _ in range(3)]
        ),
    )


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


class TwoInputs(models.Model):
    """A subclass with dropout, two inputs and a loss of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = layers.Dense(8, activation="tanh"), layers.Dense(8)
        self.out = layers.Dense(5, activation="softmax")

    def call(self, inputs: Any, training: bool = False) -> Any:
        a, b = inputs
        h = self.left(a) * pydl.sigmoid(self.right(b))
        self.add_loss(pydl.mean(pydl.square(h)) * 0.1)
        return self.out(pydl.random.dropout(h, 0.2) if training else h)


def test_subclasses() -> None:
    x, y = data()
    assert_same(TwoInputs, lambda m: m.fit([x, x[:, :3]], y, epochs=5, batch_size=16, verbose=0))


class OwnStep(models.Model):
    """A model with a train_step of its own, which reads values: it stays eager."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(5)

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)

    def train_step(self, batch: Any) -> Any:
        x, y = batch
        with pydl.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        weights = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return {"loss": float(loss)}


def test_own_train_step() -> None:
    x, y = data()
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    assert_same(OwnStep, lambda m: m.fit(x, y, epochs=4, verbose=0), loss=lambda: loss, metrics=[])


class OnHost(layers.Layer):
    """A layer that computes with NumPy."""

    def call(self, inputs: Any) -> Any:
        return inputs + pydl.tensor(np.tanh(inputs.numpy()) * 0)


def test_layers_on_the_host_stay_eager_and_say_so() -> None:
    x, y = data()
    assert_same(
        lambda: classifier(OnHost()), lambda m: m.fit(x, y, epochs=3, verbose=0), records=False
    )
    model = classifier(OnHost())
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.warns(UserWarning, match=r"not recorded.*test_plans.py") as caught:
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


def test_models_are_given_back() -> None:
    x, y = data()
    alive = []
    for _ in range(3):
        model = classifier()
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(x, y, epochs=3, verbose=0)
        model.predict(x[:4], verbose=0)
        alive.append(weakref.ref(model))
        del model
    gc.collect()
    assert not any(ref() for ref in alive)


def test_memory_is_flat() -> None:
    x, y = data()
    model = classifier(layers.Dropout(0.2))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])

    def work() -> None:
        model.fit(x, y, epochs=20, batch_size=8, verbose=0)
        for _ in range(50):
            model.predict(x[:1], verbose=0)

    work()
    gc.collect()
    before = pydl._core.memory_stats()["in_use"]
    for _ in range(5):
        work()
    gc.collect()
    assert pydl._core.memory_stats()["in_use"] <= before


INNER = [
    lambda n: layers.Dense(n, activation="relu"),
    lambda n: layers.Dense(n, activation="tanh", use_bias=False),
    lambda n: layers.Dense(n, activation="gelu", kernel_regularizer="l2"),
    lambda n: layers.Dropout(n / 40),
    lambda n: layers.BatchNormalization(momentum=0.9),
    lambda n: layers.Activation("elu"),
    lambda n: layers.Dense(n + 1, activation="softmax"),
]


@settings(max_examples=30, deadline=None)
@given(
    inner=st.lists(st.tuples(st.integers(0, len(INNER) - 1), st.integers(1, 20)), max_size=5),
    batch=st.integers(1, 33),
    optimizer=st.sampled_from(["sgd", "rmsprop", "adam", "nadam", "lion", "adagrad"]),
    loss=st.sampled_from(["mse", "categorical_crossentropy", "mae", "huber", "poisson"]),
    threads=st.integers(1, 3),
)
def test_random_models(
    inner: list[tuple[int, int]], batch: int, optimizer: str, loss: str, threads: int
) -> None:
    x, y = data(50, 6)
    target = np.eye(5, dtype=np.float32)[y]
    before = pydl.config.get_num_threads()
    pydl.config.set_num_threads(threads)
    try:
        assert_same(
            lambda: models.Sequential(
                [*(INNER[kind](n) for kind, n in inner), layers.Dense(5, activation="softmax")]
            ),
            lambda m: m.fit(
                x, target, batch_size=batch, epochs=-(-100 // -(-50 // batch)), verbose=0
            ),
            optimizer=optimizer,
            loss=loss,
        )
    finally:
        pydl.config.set_num_threads(before)


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


# inputs that are mostly zeros


def words(rows: int = 60, columns: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    x = (rng.random((rows, columns)) < 0.02).astype(np.float32)
    return x, rng.integers(0, 5, rows)


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_zeros_are_left_out_with_the_same_bits(
    eager: bool, bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pydl.models import data as model_data

    x, y = words()
    made: list[Any] = []
    original = model_data.sparse_if_mostly_zeros

    def make() -> models.Sequential:
        return models.Sequential(
            [layers.Dense(16, activation="relu", use_bias=bias), layers.Dense(5, "softmax")]
        )

    def fit(model: models.Model) -> Any:
        return model.fit(x, y, epochs=5, batch_size=16, verbose=0, validation_split=0.25)

    def noted(x: Any) -> Any:
        made.append(original(x))
        return made[-1]

    monkeypatch.setattr(model_data, "sparse_if_mostly_zeros", noted)
    found = trained(make, fit, eager)
    assert [type(m) for m in made] == [pydl.SparseTensor] * 2
    monkeypatch.setattr(model_data, "sparse_if_mostly_zeros", lambda x: x)
    want = trained(make, fit, eager)
    assert found[:2] == want[:2]


def test_scipy_matrices_and_sparse_tensors() -> None:
    x, y = words()
    for matrix in (sparse.csr_matrix(x), sparse.coo_array(x), pydl.sparse.csr(x)):

        def use(m: models.Model, x: Any) -> Any:
            history = m.fit(x, y, epochs=3, batch_size=16, verbose=0).history
            predicted = [m.predict(x, batch_size=n, verbose=0).tobytes() for n in (7, 100)]
            return history, predicted, m.evaluate(x, y, verbose=0), m.train_on_batch(x, y)

        want = trained(classifier, lambda m: use(m, x), False)
        found = trained(classifier, lambda m, a=matrix: use(m, a), False)
        assert found[:2] == want[:2]


def test_sparse_inputs_that_do_not_fit() -> None:
    x, y = words()
    matrix = pydl.sparse.csr(x)
    model = models.Sequential([layers.Dropout(0.5), layers.Dense(5, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(TypeError, match="takes dense inputs"):
        model.fit(matrix, y, verbose=0)
    model.fit(x, y, epochs=2, verbose=0)
    model = classifier()
    model.compile("sgd", "mse")
    with pytest.raises(TypeError, match="y is a sparse matrix"):
        model.fit(x, pydl.sparse.csr(x[:, :5]), verbose=0)
    with pytest.raises(ValueError, match="rows"):
        model.fit(matrix[:5], y, verbose=0)


def test_plan_of_a_model_leaves_it_as_it_was() -> None:
    x, y = data()
    found = []
    for look in (False, True):
        pydl.utils.set_random_seed(3)
        model = classifier(layers.Dropout(0.3), layers.BatchNormalization())
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.build((None, 12))
        if look:
            plan = model.plan(x, y, batch_size=16)
            plan.profile(3, None)
            names = {launch.name for launch in plan.launches}
            assert {"matmul", "dropout", "update by adam", "take"} <= names
        history = model.fit(x, y, epochs=3, batch_size=16, verbose=0).history
        found.append((history, [w.tobytes() for w in model.get_weights()]))
    assert found[0] == found[1]


def test_plans_that_cannot_be() -> None:
    x, y = data()
    model = classifier(OnHost())
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(RuntimeError, match="not recorded"):
        model.plan(x, y)
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    with pytest.raises(RuntimeError, match="that fit may record"):
        model.plan(x, y)


# code of the user that counts in Python


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


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
@pytest.mark.parametrize("low", [0.0, -1.0])
def test_hinge_is_recorded(loss: str, low: float) -> None:
    x, y = data()
    target = np.where(y[:, None] > 2, 1.0, low).astype(np.float32)
    assert_same(
        lambda: models.Sequential([layers.Dense(1)]),
        lambda m: m.fit(x, target, epochs=3, verbose=0),
        loss=loss,
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


def test_predict_records_layers_that_add_losses() -> None:
    from pydl.models.plans import step_function

    x, y = data()
    model = TwoInputs()
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit([x, x[:, :3]], y, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            model.predict([x, x[:, :3]], batch_size=50, verbose=0)
    assert step_function(model, "predict", lambda *a: None).plans
