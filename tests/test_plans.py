"""Recorded training: the same bits as eager training; looking at plans; memory."""

from __future__ import annotations

import gc
import warnings
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_helpers import OnHost, TwoInputs, assert_same, classifier, data, one_hot_fit

import pydl
from pydl import layers, metrics, models, optimizers


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


EVERY_SO_MANY_STEPS = [
    lambda: optimizers.Adam(use_ema=True),
    lambda: optimizers.Adam(use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=3),
    lambda: optimizers.SGD(gradient_accumulation_steps=1),
    lambda: optimizers.SGD(0.1, momentum=0.5, gradient_accumulation_steps=3, clipnorm=0.1),
    lambda: optimizers.RMSprop(
        gradient_accumulation_steps=2, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2
    ),
    lambda: optimizers.SGD(
        optimizers.schedules.ExponentialDecay(0.01, 2, 0.5), gradient_accumulation_steps=3
    ),
]


@pytest.mark.parametrize("optimizer", EVERY_SO_MANY_STEPS)
def test_what_happens_every_so_many_steps(optimizer: Any) -> None:
    loss = "categorical_crossentropy"
    model = assert_same(classifier, one_hot_fit, optimizer=optimizer, loss=loss)
    x, y = data()
    assert model.plan(x, np.eye(5, dtype=np.float32)[y]).launches


@pytest.mark.parametrize("optimizer", EVERY_SO_MANY_STEPS[:5])
def test_what_happens_every_so_many_batches(optimizer: Any) -> None:
    x, y = data()
    assert_same(
        lambda: classifier(layers.Dense(6, kernel_constraint="max_norm")),
        lambda m: [m.train_on_batch(x[i : i + 9], y[i : i + 9]) for i in range(0, 90, 9)],
        optimizer=optimizer,
    )


def test_a_constraint_on_the_host_waits_until_it_is_due() -> None:
    class OnHostToo(pydl.constraints.Constraint):
        def __call__(self, w: Any) -> Any:
            return np.clip(w.numpy(), -0.1, 0.1)

    assert_same(
        lambda: classifier(layers.Dense(6, kernel_constraint=OnHostToo())),
        one_hot_fit,
        records=False,
        optimizer=lambda: optimizers.SGD(0.1, gradient_accumulation_steps=4),
        loss="categorical_crossentropy",
    )


def test_every_n_steps_in_a_plan() -> None:
    x, y = data()
    model = classifier()
    model.compile(optimizers.SGD(gradient_accumulation_steps=4), "sparse_categorical_crossentropy")
    plan = model.plan(x, y, batch_size=16)
    names = [launch.name for launch in plan.launches]
    assert names.index("every 4 steps") < len(names) - names[::-1].index("update by sgd") - 1
    lines: list[str] = []
    plan.summary(lines.append)
    plan.profile(2, lines.append)
    assert all("every 4 steps" in text for text in lines)


@pytest.mark.parametrize(
    "loss", ["mse", "mae", "huber", "log_cosh", "mape", "msle", "poisson", "kl_divergence",
             "cosine_similarity", "categorical_hinge", "categorical_crossentropy",
             "binary_crossentropy"],
)  # fmt: skip
def test_losses(loss: str) -> None:
    assert_same(classifier, one_hot_fit, loss=loss, metrics=["mae", "categorical_accuracy"])


class MeanOfLargest(metrics.Metric):
    """A metric of the user, in Variables and kernels alone."""

    def __init__(self) -> None:
        super().__init__("mean_of_largest")
        self.total = self.add_weight(name="total")
        self.rows = self.add_weight(name="rows")
        self.factor = 1.0

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.total.assign_add(pydl.sum(pydl.max(y_pred, axis=-1)) * self.factor)
        self.rows.assign_add(float(len(y_true)))

    def result(self) -> Any:
        return self.total / self.rows


@pytest.mark.parametrize(
    ("metric", "on_host"),
    [
        (lambda: ["sparse_top_k_categorical_accuracy"], True),
        (lambda: [metrics.SparseCategoricalCrossentropy(), "accuracy"], False),
        (lambda: [lambda t, p: pydl.max(p, axis=-1)], False),
        (lambda: [lambda t, p: np.max(p.numpy(), axis=-1)], True),
        (lambda: [MeanOfLargest(), "accuracy"], False),
    ],
)
def test_metrics_on_the_host_or_in_the_plan(metric: Any, on_host: bool) -> None:
    x, y = data()
    model = assert_same(
        classifier, lambda m: m.fit(x, y, epochs=4, batch_size=16, verbose=0), metrics=metric
    )
    assert model._compiled is not None
    assert model._compiled.metrics_on_host == on_host


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


def test_subclasses() -> None:
    x, y = data()
    assert_same(TwoInputs, lambda m: m.fit([x, x[:, :3]], y, epochs=5, batch_size=16, verbose=0))


@pytest.mark.parametrize("collected", [True, False])
def test_models_are_given_back(collected: bool) -> None:
    x, y = data()
    alive = []
    for _ in range(3):
        model = classifier()
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(x, y, epochs=3, verbose=0)
        model.predict(x[:4], verbose=0)
        model.evaluate(x, y, verbose=0)
        model.train_on_batch(x, y)
        alive += [weakref.ref(model), *map(weakref.ref, model.layers)]
        del model
        if not collected:  # no cycle waits for the collector
            assert not any(ref() for ref in alive)
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
