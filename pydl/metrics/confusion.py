"""Metrics made of true and false positives and negatives at thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pydl import check, config
from pydl.losses.functions import align
from pydl.metrics.base import Metric, registry, to_array, weights_for
from pydl.tensor import host_read


class Counts(NamedTuple):
    """Weighted numbers of entries, one per threshold."""

    tp: np.ndarray
    fp: np.ndarray
    tn: np.ndarray
    fn: np.ndarray

    def plus(self, other: Counts) -> Counts:
        """Return the sums of both counts."""
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))


def count(
    who: str,
    y_true: Any,
    y_pred: Any,
    thresholds: np.ndarray,
    sample_weight: Any = None,
    top_k: int | None = None,
    class_id: int | None = None,
) -> Counts:
    """Count the entries: predicted positive where y_pred > threshold, true where y_true is not 0.

    Args:
        who: Name for error texts.
        y_true: Labels 0 and 1.
        y_pred: Scores of the same shape.
        thresholds: Thresholds in any order.
        sample_weight: One weight per sample or entry.
        top_k: Only the k largest predictions of each row can be positive.
        class_id: Only this index of the last axis counts.
    """
    true, pred = to_array(y_true), to_array(y_pred)
    shapes = true.shape, pred.shape
    true, pred = align(true, pred)
    if true.shape != pred.shape:
        raise ValueError(
            f"{who}: y_true has shape {shapes[0]}, y_pred has shape {shapes[1]}; they must be equal"
        )
    if top_k is not None:
        if pred.ndim < 2 or pred.shape[-1] < top_k:
            raise ValueError(
                f"{who}: top_k={top_k} needs predictions of {top_k} classes or more, got shape "
                f"{pred.shape}"
            )
        # Stable: of equal predictions the first ones count.
        best = np.argsort(-pred, axis=-1, kind="stable")[..., :top_k]
        kept = np.full(pred.shape, -np.inf, dtype=pred.dtype)
        np.put_along_axis(kept, best, np.take_along_axis(pred, best, axis=-1), axis=-1)
        pred = kept
    weights = np.ones(true.shape)
    if sample_weight is not None:
        weights = weights_for(sample_weight, true.shape)
    if class_id is not None:
        if not -true.shape[-1] <= class_id < true.shape[-1]:
            raise ValueError(
                f"{who}: class_id must be below {true.shape[-1]}, the number of classes, "
                f"got {class_id}"
            )
        true, pred, weights = true[..., class_id], pred[..., class_id], weights[..., class_id]
    positive = (true != 0).ravel()
    scores, weights = pred.ravel(), weights.ravel()
    limits = thresholds.astype(scores.dtype if scores.dtype.kind == "f" else np.float64)
    order = np.argsort(limits, kind="stable")
    # How many thresholds lie strictly below each score: the score is positive at those.
    below = np.searchsorted(limits[order], scores, side="left")
    above: list[np.ndarray] = []
    for chosen in (positive, ~positive):
        histogram = np.bincount(below[chosen], weights[chosen], minlength=len(limits) + 1)
        at_least = np.cumsum(histogram[::-1])[::-1]
        in_order = np.empty(len(limits))
        in_order[order] = at_least[1:]
        above += [in_order, at_least[0] - in_order]
    tp, fn, fp, tn = above
    return Counts(tp, fp, tn, fn)


def _ratio(numerator: Any, denominator: Any) -> np.ndarray:
    """Return numerator / denominator, 0 where the denominator is 0."""
    zero = np.equal(denominator, 0)
    return np.where(zero, 0.0, numerator / np.where(zero, 1.0, denominator))


class _CountingMetric(Metric):
    """A metric of the counts at thresholds.

    Args:
        thresholds: One threshold or several; None is 0.5, or every score if `top_k` is given.
        top_k: Only the k largest predictions of each row can be positive.
        class_id: Only this index of the last axis counts.
        name, dtype: See `Metric`.
    """

    counts: Counts

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype)
        if top_k is not None and top_k < 1:
            raise ValueError(f"{type(self).__name__}: top_k must be at least 1, got {top_k}")
        self.thresholds = thresholds
        self.top_k = top_k
        self.class_id = class_id
        default = 0.5 if top_k is None else -np.inf
        self._limits = np.atleast_1d(
            np.asarray(default if thresholds is None else thresholds, float)
        )
        self.reset_state()

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        found = count(
            type(self).__name__,
            y_true,
            y_pred,
            self._limits,
            sample_weight,
            self.top_k,
            self.class_id,
        )
        self.counts = self.counts.plus(found)

    def reset_state(self) -> None:
        self.counts = Counts(*(np.zeros(len(self._limits)) for _ in range(4)))

    def _value(self, counts: Counts) -> np.ndarray:
        """Return the metric at each threshold."""
        raise NotImplementedError(f"{type(self).__name__} must implement _value(counts)")

    def result(self) -> Any:
        """Return the value, or an array of one value per threshold if several were given."""
        host_read("Metric.result")
        value = self._value(self.counts)
        return float(value[0]) if len(value) == 1 else value


class _OneCount(_CountingMetric):
    """One of the counts.

    Args:
        thresholds: One threshold or several; None is 0.5.
        name, dtype: See `Metric`.
    """

    field: str

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(thresholds, None, None, name, dtype)

    def _value(self, counts: Counts) -> np.ndarray:
        return getattr(counts, self.field)


@registry.add("true_positives")
class TruePositives(_OneCount):
    """Number of positive entries that are predicted so.

    >>> TruePositives()([0, 1, 1], [0.9, 0.8, 0.2])
    1.0
    """

    field = "tp"


@registry.add("false_positives")
class FalsePositives(_OneCount):
    """Number of negative entries predicted positive."""

    field = "fp"


@registry.add("true_negatives")
class TrueNegatives(_OneCount):
    """Number of negative entries that are predicted so."""

    field = "tn"


@registry.add("false_negatives")
class FalseNegatives(_OneCount):
    """Number of positive entries predicted negative."""

    field = "fn"


@registry.add("precision")
class Precision(_CountingMetric):
    """Share of the entries predicted positive that are positive: tp / (tp + fp).

    >>> Precision()([0, 1, 1], [0.9, 0.8, 0.2])
    0.5
    """

    def _value(self, counts: Counts) -> np.ndarray:
        return _ratio(counts.tp, counts.tp + counts.fp)


@registry.add("recall")
class Recall(_CountingMetric):
    """Share of the positive entries that are predicted positive: tp / (tp + fn).

    >>> Recall()([0, 1, 1], [0.9, 0.8, 0.2])
    0.5
    """

    def _value(self, counts: Counts) -> np.ndarray:
        return _ratio(counts.tp, counts.tp + counts.fn)


@registry.add("auc", "AUC")
class AUC(Metric):
    """Area under a curve over thresholds, a measure of how well scores order two classes.

    Args:
        num_thresholds: How many thresholds divide [0, 1].
        curve: "ROC" (recall over false positive rate) or "PR" (precision over recall).
        summation_method: "interpolation" (trapezoids; for PR the exact curve between two points),
            "minoring" or "majoring" (rectangles below or above the curve).
        name, dtype: See `Metric`.
        thresholds: Thresholds inside (0, 1) instead of evenly divided ones.
        from_logits: Whether predictions are logits, to which the sigmoid is applied.

    Source: Davis and Goadrich 2006, "The relationship between precision-recall and ROC curves".

    >>> AUC()([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9])
    0.75
    """

    counts: Counts

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name, dtype)
        check.choice("AUC", "curve", curve, ("ROC", "PR"))
        methods = ("interpolation", "minoring", "majoring")
        if summation_method not in methods:
            raise ValueError(
                f"AUC: summation_method must be one of {methods}, got {summation_method!r}"
            )
        if thresholds is None:
            if num_thresholds < 2:
                raise ValueError(f"AUC: num_thresholds must be at least 2, got {num_thresholds}")
            inner = np.arange(1, num_thresholds - 1) / (num_thresholds - 1)
        else:
            inner = np.sort(np.asarray(thresholds, dtype=np.float64))
            if inner.size and not (inner[0] >= 0 and inner[-1] <= 1):
                raise ValueError(f"AUC: thresholds must be in [0, 1], got {list(thresholds)}")
        self.num_thresholds = num_thresholds
        self.curve = curve
        self.summation_method = summation_method
        self.thresholds = None if thresholds is None else list(thresholds)
        self.from_logits = from_logits
        # The ends lie outside [0, 1], so that all scores and none are positive there.
        self._limits = np.concatenate([[-config.epsilon()], inner, [1.0 + config.epsilon()]])
        self.reset_state()

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        pred = to_array(y_pred)
        if self.from_logits:
            pred = 0.5 * (1.0 + np.tanh(0.5 * pred))
        elif pred.size and not (pred.min() >= 0 and pred.max() <= 1):
            raise ValueError(
                f"AUC: predictions must be in [0, 1], got {pred.min()} to {pred.max()}; "
                "pass from_logits=True for logits"
            )
        found = count("AUC", y_true, pred, self._limits, sample_weight)
        self.counts = self.counts.plus(found)

    def reset_state(self) -> None:
        self.counts = Counts(*(np.zeros(len(self._limits)) for _ in range(4)))

    def result(self) -> float:
        host_read("Metric.result")
        tp, fp, tn, fn = self.counts
        recall = _ratio(tp, tp + fn)
        if self.curve == "ROC":
            x, y = _ratio(fp, fp + tn), recall
        elif self.summation_method == "interpolation":
            return _precision_recall_area(self.counts)
        else:
            x, y = recall, _ratio(tp, tp + fp)
        if self.summation_method == "interpolation":
            heights = (y[:-1] + y[1:]) / 2
        else:
            pick = np.minimum if self.summation_method == "minoring" else np.maximum
            heights = pick(y[:-1], y[1:])
        return float(((x[:-1] - x[1:]) * heights).sum())


def _precision_recall_area(counts: Counts) -> float:
    """Return the area under precision over recall.

    Between two thresholds tp grows linearly with p = tp + fp: tp = slope p + c. The precision's
    integral over tp is then slope (dtp + c log(p_start / p_end)), divided by all positives.
    """
    tp, fp, _, fn = counts
    p = tp + fp
    dtp = tp[:-1] - tp[1:]
    slope = _ratio(dtp, p[:-1] - p[1:])
    intercept = tp[1:] - slope * p[1:]
    both = (p[:-1] > 0) & (p[1:] > 0)
    ratio = np.where(both, p[:-1] / np.where(both, p[1:], 1.0), 1.0)
    return float(_ratio(slope * (dtp + intercept * np.log(ratio)), tp[1:] + fn[1:]).sum())


@registry.add("f1_score")
class F1Score(Metric):
    """2 precision recall / (precision + recall) for each class of one-hot targets.

    Args:
        average: None (one value per class), "micro" (all counts together), "macro" (mean over the
            classes) or "weighted" (mean weighted by the number of positives).
        threshold: Predictions above it are positive; None takes the largest of each row.
        name, dtype: See `Metric`.

    >>> F1Score("micro")([[1, 0], [0, 1]], [[0.9, 0.1], [0.8, 0.2]])
    0.5
    """

    _tp: Any
    _positive: Any  # predicted
    _true: Any

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype)
        choices = (None, "micro", "macro", "weighted")
        if average not in choices:
            raise ValueError(f"F1Score: average must be one of {choices}, got {average!r}")
        self.average = average
        self.threshold = threshold
        self.reset_state()

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        true, pred = to_array(y_true).astype(np.float64), to_array(y_pred)
        if true.ndim != 2 or true.shape != pred.shape:
            raise ValueError(
                f"F1Score: y_true and y_pred must have one shape (samples, classes), got "
                f"{true.shape} and {pred.shape}"
            )
        if self.threshold is None:
            positive = (pred >= pred.max(axis=-1, keepdims=True)) & (np.abs(pred) > 1e-9)
        else:
            positive = pred > self.threshold
        weights = np.ones(true.shape)
        if sample_weight is not None:
            weights = weights_for(sample_weight, true.shape)
        axis = None if self.average == "micro" else 0
        self._tp = self._tp + (weights * positive * true).sum(axis=axis)
        self._positive = self._positive + (weights * positive).sum(axis=axis)
        self._true = self._true + (weights * true).sum(axis=axis)

    def reset_state(self) -> None:
        self._tp = self._positive = self._true = 0.0

    def result(self) -> Any:
        host_read("Metric.result")
        scores = _ratio(2.0 * self._tp, self._positive + self._true)
        if self.average is None:
            return scores
        if self.average == "weighted":
            return float(_ratio(scores * self._true, np.sum(self._true)).sum())
        return float(np.mean(scores))


@registry.add("mean_io_u", "mean_iou")
class MeanIoU(Metric):
    """Mean over the classes of tp / (tp + fp + fn), for integer labels and predictions.

    Args:
        num_classes: Number of classes; classes that never occur do not count.
        name, dtype: See `Metric`.

    >>> round(MeanIoU(2)([0, 0, 1, 1], [0, 1, 0, 1]), 4)
    0.3333
    """

    def __init__(self, num_classes: int, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.num_classes = num_classes
        self.reset_state()

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        true, pred = (to_array(y).astype(np.int64) for y in (y_true, y_pred))
        self._matrix += _pairs("MeanIoU", true, pred, self.num_classes, sample_weight)

    def reset_state(self) -> None:
        self._matrix = np.zeros((self.num_classes, self.num_classes))

    def result(self) -> float:
        host_read("Metric.result")
        tp = np.diagonal(self._matrix)
        union = self._matrix.sum(axis=0) + self._matrix.sum(axis=1) - tp
        seen = union > 0
        return float((tp[seen] / union[seen]).mean()) if seen.any() else 0.0


def confusion_matrix(
    y_true: Any, y_pred: Any, num_classes: int | None = None, sample_weight: Any = None
) -> np.ndarray:
    """Count how often each class was taken for each: m[i, j] = rows of class i predicted as j.

    Args:
        y_true: Labels, whole numbers of shape (n,) or (n, 1); or one-hot rows (n, classes).
        y_pred: Labels; or scores (n, classes), of which the largest counts; or of shape (n, 1)
            and not whole, of which those above 0.5 are class 1.
        num_classes: Number of classes; None: as many as the data show.
        sample_weight: Weights (n,) that are added up in place of ones.

    Returns:
        A (classes, classes) array: integers, or floats where there are weights.

    Raises:
        ValueError: Numbers of rows that differ, or a label out of range.

    >>> confusion_matrix([0, 1, 1, 2], [0, 1, 2, 2])
    array([[1, 0, 0],
           [0, 1, 1],
           [0, 0, 1]])
    """
    who = "confusion_matrix"
    true, pred = (_labels(who, name, y) for name, y in (("y_true", y_true), ("y_pred", y_pred)))
    if len(true) != len(pred):
        raise ValueError(f"{who}: y_true has {len(true)} rows, y_pred has {len(pred)}")
    if num_classes is None:
        widths = [np.shape(y)[1] for y in (y_true, y_pred) if np.ndim(y) == 2]
        num_classes = max([int(y.max()) + 1 for y in (true, pred) if y.size] + widths, default=0)
    return _pairs(who, true, pred, num_classes, sample_weight)


def _labels(who: str, name: str, y: Any) -> np.ndarray:
    """Return the class of each row of labels, one-hot rows or scores."""
    array = to_array(y)
    if array.ndim == 2 and array.shape[1] > 1:
        return array.argmax(axis=1)
    if array.size != len(np.atleast_1d(array)):
        raise ValueError(f"{who}: {name} must be (n,), (n, 1) or (n, classes), got {array.shape}")
    flat = array.reshape(-1)
    if flat.dtype.kind == "f" and not np.array_equal(flat, np.floor(flat)):
        return (flat > 0.5).astype(np.int64)
    return flat.astype(np.int64)


def _pairs(
    who: str, true: np.ndarray, pred: np.ndarray, num_classes: int, sample_weight: Any
) -> np.ndarray:
    """Return how often, or with which total weight, each pair of labels comes."""
    for name, labels in (("y_true", true), ("y_pred", pred)):
        if labels.size and not (labels.min() >= 0 and labels.max() < num_classes):
            raise ValueError(
                f"{who}: {name} must be in [0, {num_classes}), got {labels.min()} to {labels.max()}"
            )
    weights = None if sample_weight is None else weights_for(sample_weight, true.shape).ravel()
    pairs = true.ravel() * num_classes + pred.ravel()
    found = np.bincount(pairs, weights, minlength=num_classes**2)
    return found.reshape(num_classes, num_classes)
