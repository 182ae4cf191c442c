"""Metrics: values over batches, weights, the choice of accuracy by shapes, and error texts."""

from __future__ import annotations

import json

import numpy as np
import pytest
from errors import raises
from hypothesis import given
from hypothesis import strategies as st

import pydl
from pydl import losses, metrics

LABELS = np.array([0, 1, 2, 2, 1])
ONE_HOT = np.eye(3)[LABELS]
SCORES = np.array(
    [[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.1, 0.2, 0.7], [0.4, 0.4, 0.2], [0.1, 0.8, 0.1]],
    np.float32,
)


# Accumulation


def test_mean_and_sum():
    for weights in (None, [1.0, 0.0, 3.0]):
        w = np.ones(3) if weights is None else np.array(weights)
        mean, total = metrics.Mean(), metrics.Sum()
        for values in ([1.0, 2.0, 3.0], [4.0, 5.0, 9.0]):
            mean.update_state(values, weights)
            total.update_state(values, weights)
        every = np.array([1.0, 2, 3, 4, 5, 9])
        w = np.tile(w, 2)
        assert mean.result() == (every * w).sum() / w.sum()
        assert total.result() == (every * w).sum()
        mean.reset_state()
        total.reset_state()
        assert (mean.result(), total.result()) == (0.0, 0.0)
    assert metrics.Mean()(pydl.tensor(3.0)) == 3.0
    assert isinstance(metrics.Mean()(np.float32([1.5])), float)


def test_state_is_float64():
    mean, total = metrics.Mean(), metrics.Sum()
    for metric in (mean, total):
        metric.update_state(np.float32([2.0**25]))
        metric.update_state(np.ones(4, np.float32))
    assert total.result() == 2.0**25 + 4
    assert mean.result() == (2.0**25 + 4) / 5
    half = metrics.Mean()
    half.update_state(np.full(3, 65504, np.float16))
    assert half.result() == 65504


@pytest.mark.parametrize(
    "name",
    [
        "binary_accuracy",
        "categorical_accuracy",
        "mse",
        "mae",
        "categorical_crossentropy",
        "root_mean_squared_error",
        "precision",
        "recall",
        "true_positives",
        "auc",
        "r2_score",
        "f1_score",
    ],
)
def test_batches_add_up_and_weights_count(name):
    rng = np.random.default_rng(0)
    t = np.eye(3)[rng.integers(0, 3, 20)]
    p = rng.dirichlet(np.ones(3), 20)
    whole, parts, repeated = metrics.get(name), metrics.get(name), metrics.get(name)
    whole.update_state(t, p)
    for start, stop in ((0, 7), (7, 8), (8, 20)):
        parts.update_state(t[start:stop], p[start:stop])
    np.testing.assert_allclose(parts.result(), whole.result(), rtol=1e-6)
    whole.reset_state()
    weights = rng.integers(0, 3, 20)
    whole.update_state(t, p, weights)
    repeated.update_state(np.repeat(t, weights, 0), np.repeat(p, weights, 0))
    np.testing.assert_allclose(whole.result(), repeated.result(), rtol=1e-6)


def test_custom_metric_with_variables():
    class Count(metrics.Metric):
        def __init__(self, name="count"):
            super().__init__(name)
            self.seen = self.add_weight(shape=(), initializer="ones", name="seen")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.seen.assign_add(len(y_true))

        def result(self):
            return self.seen.item()

    count = Count()
    assert count([1, 2, 3], [0, 0, 0]) == 4.0
    assert count.variables == [count.seen]
    count.reset_state()
    assert count.result() == 1.0
    with raises(NotImplementedError, "Metric must implement result"):
        metrics.Metric().result()


# Accuracies


def test_binary_accuracy_is_strict():
    metric = metrics.BinaryAccuracy()
    t, p = np.array([1, 1, 0, 0]), np.float32([0.5, 0.51, 0.5, 0.51])
    assert metric(t, p) == 0.5
    metric.reset_state()
    assert metric(t[:, None], p) == 0.5
    assert metrics.BinaryAccuracy(threshold=0.4)(t, p) == 0.5
    matrix = np.array([[1, 0], [1, 1]])
    assert metrics.BinaryAccuracy()(matrix, [[0.9, 0.1], [0.2, 0.8]]) == 0.75
    assert metrics.binary_accuracy(matrix, [[0.9, 0.1], [0.2, 0.8]]).shape == (2, 2)
    with raises(
        ValueError,
        "binary_accuracy: y_true has shape (3,), y_pred has shape (2, 1); they must be equal",
    ):
        metrics.BinaryAccuracy()(np.zeros(3), np.zeros((2, 1)))


def test_categorical_accuracies():
    # row 3 has equal scores for 0 and 1: the first one counts
    assert metrics.CategoricalAccuracy()(ONE_HOT, SCORES) == 3 / 5
    assert metrics.SparseCategoricalAccuracy()(LABELS, SCORES) == 3 / 5
    assert metrics.SparseCategoricalAccuracy()(LABELS[:, None], SCORES) == 3 / 5
    assert metrics.SparseCategoricalAccuracy()([0], [[0.5, 0.5]]) == 1
    assert metrics.SparseCategoricalAccuracy()([1], [[0.5, 0.5]]) == 0
    weights = [0, 2, 1, 1, 0]
    assert metrics.SparseCategoricalAccuracy()(LABELS, SCORES, weights) == 1 / 4
    steps = metrics.SparseCategoricalAccuracy()
    assert steps(LABELS.reshape(1, 5), SCORES.reshape(1, 5, 3)) == 3 / 5
    with raises(
        ValueError,
        "sparse_categorical_accuracy: y_true must hold one label for each of (5,), got shape (4,)",
    ):
        metrics.SparseCategoricalAccuracy()(LABELS[:4], SCORES)


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_top_k(k):
    rng = np.random.default_rng(k)
    labels = rng.integers(0, 6, 50)
    scores = rng.integers(0, 5, (50, 6)).astype(np.float32)  # with ties
    expected = np.mean([(row > row[i]).sum() < k for i, row in zip(labels, scores, strict=True)])
    assert metrics.SparseTopKCategoricalAccuracy(k)(labels, scores) == pytest.approx(expected)
    assert metrics.TopKCategoricalAccuracy(k)(np.eye(6)[labels], scores) == pytest.approx(expected)
    assert metrics.SparseTopKCategoricalAccuracy(k)([6, -1], scores[:2]) == 0


def test_exact_accuracy():
    assert metrics.Accuracy()([1, 2, 3], [1, 0, 3]) == pytest.approx(2 / 3)
    assert metrics.Accuracy().name == "accuracy"


@pytest.mark.parametrize(
    ("true", "pred", "expected"),
    [
        ((8,), (8, 1), metrics.BinaryAccuracy),
        ((8, 1), (8, 1), metrics.BinaryAccuracy),
        ((8, 4, 1), (8, 4, 1), metrics.BinaryAccuracy),
        ((8,), (8, 10), metrics.SparseCategoricalAccuracy),
        ((8, 1), (8, 10), metrics.SparseCategoricalAccuracy),
        ((8, 4), (8, 4, 10), metrics.SparseCategoricalAccuracy),
        ((8, 10), (8, 10), metrics.CategoricalAccuracy),
        ((8, 2), (8, 2), metrics.CategoricalAccuracy),
    ],
)
@pytest.mark.parametrize("name", ["accuracy", "acc"])
def test_accuracy_by_shape(true, pred, expected, name):
    resolved = metrics.resolve_accuracy(true, pred, name)
    assert type(resolved) is expected
    assert resolved.name == name
    metric = metrics.get(name)
    assert (metric.name, metric.result()) == (name, 0.0)
    metric.reset_state()
    rng = np.random.default_rng(0)
    t, p = rng.integers(0, 2, true), rng.uniform(size=pred)
    assert metric(t, p) == expected()(t, p)
    assert type(metric.metric) is expected
    metric.reset_state()
    assert metric.result() == 0.0


def test_crossentropy_by_shape():
    for name in ("crossentropy", "ce"):
        metric = metrics.get(name)
        value = metric(LABELS, SCORES)
        assert metric.name == name
        assert value == pytest.approx(losses.SparseCategoricalCrossentropy()(LABELS, SCORES).item())


# Losses as metrics


def test_every_loss_is_a_metric():
    rng = np.random.default_rng(1)
    p = rng.uniform(0.1, 0.9, (6, 4)).astype(np.float32)
    t = np.eye(4, dtype=np.float32)[rng.integers(0, 4, 6)]
    names = losses._registry.names()
    assert len(names) == 16
    for name in names:
        loss = losses.get(name)
        metric = metrics.get(name)
        y = t.argmax(-1) if name.startswith("sparse") else t
        expected = loss(y, p).item() * (-1 if name == "cosine_similarity" else 1)
        assert metric.name == name
        np.testing.assert_allclose(metric(y, p), expected, rtol=1e-6)
        np.testing.assert_allclose(metrics.get(type(loss).fn)(y, p), loss(y, p).item(), rtol=1e-6)
        np.testing.assert_allclose(metrics.get(loss)(y, p), loss(y, p).item(), rtol=1e-6)


def test_options_of_crossentropies():
    x = np.random.default_rng(2).normal(size=(5, 3)).astype(np.float32)
    for metric, loss, t in (
        (
            metrics.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
            losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
            ONE_HOT,
        ),
        (
            metrics.SparseCategoricalCrossentropy(from_logits=True),
            losses.SparseCategoricalCrossentropy(from_logits=True),
            LABELS,
        ),
        (
            metrics.BinaryCrossentropy(from_logits=True),
            losses.BinaryCrossentropy(from_logits=True),
            ONE_HOT,
        ),
    ):
        np.testing.assert_allclose(metric(t, x), loss(t, x).item(), rtol=1e-6)


def test_metrics_record_no_graph():
    w = pydl.Variable(np.ones((3, 1), np.float32))
    y_pred = pydl.matmul(np.float32(SCORES), w)
    metric = metrics.get("mse")
    metric(LABELS, y_pred)
    assert isinstance(metric.total, float)


def test_vectors_hold_one_sample_per_entry():
    metric = metrics.get("mse")
    metric.update_state([0.0], [1.0])
    metric.update_state([0.0, 0.0, 0.0], [3.0, 3.0, 3.0])
    assert metric.result() == 28 / 4
    assert metrics.get("mae")([0.0, 0.0], [1.0, 3.0], [3.0, 1.0]) == 1.5


def test_regression_metrics():
    rng = np.random.default_rng(3)
    t, p = rng.normal(5, 1, (40, 3)), rng.normal(5, 1, (40, 3))
    np.testing.assert_allclose(
        metrics.RootMeanSquaredError()(t, p), np.sqrt(((t - p) ** 2).mean()), rtol=1e-12
    )
    scores = 1 - ((t - p) ** 2).sum(0) / ((t - t.mean(0)) ** 2).sum(0)
    variance = ((t - t.mean(0)) ** 2).sum(0)
    for how, expected in (
        ("uniform_average", scores.mean()),
        ("variance_weighted_average", (scores * variance).sum() / variance.sum()),
        (None, scores),
    ):
        np.testing.assert_allclose(metrics.R2Score(how)(t, p), expected, rtol=1e-12)
    adjusted = 1 - (1 - scores.mean()) * 39 / (40 - 2 - 1)
    np.testing.assert_allclose(metrics.R2Score(num_regressors=2)(t, p), adjusted, rtol=1e-12)
    far = metrics.R2Score()(t[:, 0] + 1e6, p[:, 0] + 1e6)  # no cancellation
    np.testing.assert_allclose(far, scores[0], rtol=1e-6)
    assert metrics.R2Score().result() == 0.0
    cosine = (t * p).sum(-1) / np.sqrt((t**2).sum(-1) * (p**2).sum(-1))
    np.testing.assert_allclose(metrics.CosineSimilarity()(t, p), cosine.mean(), rtol=1e-12)
    with pytest.raises(ValueError, match="R2Score: class_aggregation must be one of"):
        metrics.R2Score("mean")
    with raises(ValueError, "R2Score: num_regressors must be at least 0, got -1"):
        metrics.R2Score(num_regressors=-1)


# Counts


def by_hand(t, p, w, threshold):
    positive, true = p > threshold, t != 0
    return (
        (w * (positive & true)).sum(),
        (w * (positive & ~true)).sum(),
        (w * (~positive & ~true)).sum(),
        (w * (~positive & true)).sum(),
    )


@given(
    st.integers(0, 30),
    st.lists(st.sampled_from([0, 0.1, 0.25, 0.5, 0.9, 1]), min_size=1),
    st.data(),
)
def test_counts(n, thresholds, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    t = rng.integers(0, 2, n)
    p = rng.choice([0, 0.1, 0.25, 0.3, 0.5, 0.7, 1], n)
    w = rng.integers(0, 4, n).astype(float)
    expected = np.array([by_hand(t, p, w, threshold) for threshold in thresholds])
    for i, cls in enumerate(
        (
            metrics.TruePositives,
            metrics.FalsePositives,
            metrics.TrueNegatives,
            metrics.FalseNegatives,
        )
    ):
        found = cls(thresholds)(t, p, w)
        np.testing.assert_allclose(np.atleast_1d(found), expected[:, i])
    tp, fp, _, fn = expected.T
    with np.errstate(invalid="ignore"):
        precision, recall = np.nan_to_num(tp / (tp + fp)), np.nan_to_num(tp / (tp + fn))
    np.testing.assert_allclose(np.atleast_1d(metrics.Precision(thresholds)(t, p, w)), precision)
    np.testing.assert_allclose(np.atleast_1d(metrics.Recall(thresholds)(t, p, w)), recall)


def test_thresholds_are_strict_in_the_dtype_of_the_scores():
    for threshold in (0.1, 0.3, 0.5, 0.7):
        score = np.float32([threshold])
        assert metrics.TruePositives(threshold)([1], score) == 0
        assert metrics.TruePositives(threshold)([1], np.nextafter(score, np.float32(1))) == 1


def test_top_k_and_class_id():
    t = np.array([[0, 1, 1], [1, 0, 0]])
    p = np.array([[0.2, 0.7, 0.6], [0.9, 0.8, 0.1]])
    assert metrics.Precision(top_k=1)(t, p) == 1.0
    assert metrics.Recall(top_k=1)(t, p) == pytest.approx(2 / 3)
    assert metrics.Precision(top_k=2)(t, p) == pytest.approx(3 / 4)
    assert metrics.Precision(class_id=1)(t, p) == 0.5
    assert metrics.Recall(class_id=2)(t, p) == 1.0
    with raises(ValueError, "Precision: class_id must be below 3, the number of classes, got 3"):
        metrics.Precision(class_id=3)(t, p)
    with raises(
        ValueError,
        "Recall: top_k=4 needs predictions of 4 classes or more, got shape (2, 3)",
    ):
        metrics.Recall(top_k=4)(t, p)
    with raises(ValueError, "Precision: top_k must be at least 1, got 0"):
        metrics.Precision(top_k=0)
    with raises(
        ValueError,
        "Precision: y_true has shape (2, 3), y_pred has shape (2, 2); they must be equal",
    ):
        metrics.Precision()(t, p[:, :2])


@pytest.mark.parametrize("curve", ["ROC", "PR"])
@pytest.mark.parametrize("method", ["interpolation", "minoring", "majoring"])
def test_auc(curve, method):
    rng = np.random.default_rng(5)
    t = rng.integers(0, 2, 300)
    p = np.clip(rng.normal(0.4 + 0.2 * t, 0.2), 0, 1)
    limits = np.array([-1e-7, *(np.arange(1, 49) / 49), 1 + 1e-7])
    tp, fp, tn, fn = np.array([by_hand(t, p, np.ones(300), limit) for limit in limits]).T
    recall = tp / (tp + fn)
    if curve == "PR" and method == "interpolation":
        # precision along tp = slope (tp + fp) + intercept, integrated over 2000 points
        area = 0.0
        for i in range(len(limits) - 1):
            if tp[i] == tp[i + 1]:
                continue
            share = np.linspace(0, 1, 2001)
            a, b = tp[i + 1] + share * (tp[i] - tp[i + 1]), fp[i + 1] + share * (fp[i] - fp[i + 1])
            with np.errstate(invalid="ignore"):
                y = a / (a + b)
            y[0] = y[1] if a[0] + b[0] == 0 else y[0]
            area += ((y[1:] + y[:-1]) / 2 * np.diff(a)).sum() / t.sum()
        expected, tolerance = area, 1e-4
    else:
        x = fp / (fp + tn) if curve == "ROC" else recall
        with np.errstate(invalid="ignore"):
            y = recall if curve == "ROC" else np.nan_to_num(tp / (tp + fp))
        height = {
            "interpolation": (y[1:] + y[:-1]) / 2,
            "minoring": np.minimum(y[1:], y[:-1]),
            "majoring": np.maximum(y[1:], y[:-1]),
        }[method]
        expected, tolerance = ((x[:-1] - x[1:]) * height).sum(), 1e-12
    found = metrics.AUC(50, curve, method)(t, p)
    assert found == pytest.approx(expected, abs=tolerance)


def test_auc_of_ranks():
    rng = np.random.default_rng(6)
    t = rng.integers(0, 2, 400)
    p = rng.integers(0, 200, 400) / 200  # apart by more than the thresholds are
    pairs = p[t == 1][:, None] - p[t == 0][None]
    ranks = (pairs > 0).mean() + (pairs == 0).mean() / 2
    assert metrics.AUC(2001)(t, p) == pytest.approx(ranks, abs=1e-12)
    logits = np.log(np.clip(p, 1e-6, 1 - 1e-6) / (1 - np.clip(p, 1e-6, 1 - 1e-6)))
    assert metrics.AUC(2001, from_logits=True)(t, logits) == pytest.approx(ranks, abs=1e-3)
    assert metrics.AUC(thresholds=[0.5])([0, 1], [0.2, 0.9]) == 1.0
    with pytest.raises(ValueError, match=r"AUC: predictions must be in \[0, 1\], got -1.0 to 2.0"):
        metrics.AUC()([0, 1], [-1.0, 2.0])
    for kwargs, text in (
        ({"curve": "roc"}, "AUC: curve must be 'ROC' or 'PR', got 'roc'"),
        ({"num_thresholds": 1}, "AUC: num_thresholds must be at least 2, got 1"),
        ({"thresholds": [2.0]}, "AUC: thresholds must be in [0, 1], got [2.0]"),
    ):
        with raises(ValueError, text):
            metrics.AUC(**kwargs)


@pytest.mark.parametrize("average", [None, "micro", "macro", "weighted"])
@pytest.mark.parametrize("threshold", [None, 0.4])
def test_f1_score(average, threshold):
    rng = np.random.default_rng(8)
    t = np.eye(4)[rng.integers(0, 3, 60)]  # class 3 never occurs
    p = rng.dirichlet(np.ones(4), 60)
    positive = p >= p.max(-1, keepdims=True) if threshold is None else p > threshold
    axis = None if average == "micro" else 0
    tp, predicted, true = (
        (positive * t).sum(axis),
        positive.sum(axis),
        t.sum(axis),
    )
    scores = 2 * tp / np.maximum(predicted + true, 1)
    expected = {
        None: scores,
        "micro": scores,
        "macro": np.mean(scores),
        "weighted": np.sum(scores * true) / np.sum(true),
    }[average]
    np.testing.assert_allclose(metrics.F1Score(average, threshold)(t, p), expected, rtol=1e-12)


def test_mean_iou():
    t, p = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 2])
    assert metrics.MeanIoU(4)(t, p) == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    assert metrics.MeanIoU(4)(t, p, [1, 0, 1, 1, 1]) == 1.0
    assert metrics.MeanIoU(2).result() == 0.0
    with raises(ValueError, "MeanIoU: y_true must be in [0, 2), got 0 to 2"):
        metrics.MeanIoU(2)(t, p)


# Names and configurations


def test_names():
    for name in ("mse", "mae", "acc", "accuracy", "bce", "mean_squared_error", "rmse", "AUC"):
        assert metrics.get(name).name == name
    assert metrics.get(metrics.AUC).name == "auc"
    assert metrics.TruePositives().name == "true_positives"
    assert metrics.Precision(name="p").name == "p"

    def distance(y_true, y_pred):
        return pydl.abs(y_true - y_pred)

    metric = metrics.get(distance)
    assert metric.name == "distance"
    assert metric([[1.0], [2.0]], [[2.0], [4.0]]) == 1.5
    assert metric([[1.0]], [[1.0]]) == 1.0
    with raises(
        ValueError,
        "unknown metric 'acuracy'; did you mean 'accuracy' or 'Accuracy' or 'binary_accuracy'?",
    ):
        metrics.get("acuracy")
    with raises(TypeError, "metric: expected a name, an instance or a callable, got int 3"):
        metrics.get(3)


@pytest.mark.parametrize("name", [n for n in metrics.__all__ if n[0].isupper()])
def test_configurations(name):
    cls = getattr(metrics, name)
    arguments = {"MeanMetricWrapper": (metrics.mean_squared_error,), "MeanIoU": (3,)}
    metric = cls(*arguments.get(name, ()))
    config = metric.get_config()
    clone = cls.from_config(config)
    assert clone.get_config() == config
    if name != "MeanMetricWrapper":
        assert json.loads(json.dumps(config)) == config
