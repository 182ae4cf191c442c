"""What `compile` fixes: the loss and the metrics of each output, and what is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydl import _core, losses, metrics, ops
from pydl.losses import Loss
from pydl.losses.base import fit_weights
from pydl.metrics import Mean, Metric
from pydl.models.data import flatten
from pydl.registry import did_you_mean, serialize
from pydl.tensor import Tensor, Variable

# Strings that mean a loss by the shapes of the first batch.
_BY_SHAPE = ("crossentropy", "ce")


class LossTracker(Mean):
    """Mean of batch losses, weighted by the rows of the batches, in float64."""

    def add(self, loss: Tensor, rows: int) -> None:
        """Add the loss of a batch."""
        self._add(loss, None, float(rows))


def per_output(argument: str, value: Any, names: Sequence[str], single: bool) -> list[Any]:
    """Return what `compile` was given for each output, in the order of `names`.

    Args:
        argument: Its name, for error texts.
        value: None, one value, a list in output order, or a dictionary by output name.
        names: The output names.
        single: Whether a list is itself the value of the only output, as for metrics.

    Raises:
        ValueError: A name that is no output, or a list of another length.
    """
    if isinstance(value, Mapping):
        for name in value:
            if name not in names:
                raise ValueError(
                    f"compile: {argument} names {name!r}, which is no output; "
                    f"{did_you_mean(name, names)}"
                )
        return [value.get(name) for name in names]
    if isinstance(value, (list, tuple)) and not (single and len(names) == 1):
        if len(value) != len(names):
            raise ValueError(
                f"compile: {argument} has {len(value)} entries, the model has {len(names)} "
                f"outputs ({', '.join(names)})"
            )
        return list(value)
    return [value] * len(names)


def by_output(who: str, argument: str, value: Any, names: Sequence[str]) -> list[Any]:
    """Return the targets or weights of each output, in the order of `names`."""
    if isinstance(value, Mapping):
        missing = [name for name in value if name not in names]
        if missing and len(names) > 1:
            raise ValueError(
                f"{who}: {argument} names {missing[0]!r}, which is no output; "
                f"{did_you_mean(missing[0], names)}"
            )
        return list(value.values()) if len(names) == 1 else [value.get(name) for name in names]
    gaps = isinstance(value, (list, tuple)) and any(entry is None for entry in value)
    found = list(value) if gaps else flatten(value)
    if not found:
        return [None] * len(names)
    if len(found) != len(names) and not (argument == "sample_weight" and len(found) == 1):
        raise ValueError(
            f"{who}: {argument} has {len(found)} arrays, the model has {len(names)} "
            f"outputs ({', '.join(names)})"
        )
    return found * len(names) if len(found) == 1 else found


class OutputLoss:
    """The loss of one output; a string that goes by shapes waits for the first batch."""

    def __init__(self, identifier: Any, weight: Any) -> None:
        self.loss: Loss | None = None
        self.pending = isinstance(identifier, str) and identifier in _BY_SHAPE
        if identifier is not None and not self.pending:
            self.loss = losses.get(identifier)
        self.given = identifier
        try:
            self.weight = 1.0 if weight is None else float(weight)
        except (TypeError, ValueError):
            raise TypeError(
                f"compile: loss_weights must hold numbers, got {weight!r}; metrics go to metrics="
            ) from None

    def resolve(self, true_shape: tuple[int, ...], pred_shape: tuple[int, ...]) -> None:
        """Settle what a string that goes by shapes means."""
        if self.pending:
            self.loss = losses.resolve_crossentropy(true_shape, pred_shape)
            self.pending = False

    @property
    def present(self) -> bool:
        """Whether the output has a loss."""
        return self.pending or self.loss is not None


class OutputMetrics:
    """The metrics of one output, with and without sample weights.

    Args:
        plain, weighted: What `compile` got as `metrics` and `weighted_metrics` for this output.
    """

    def __init__(self, plain: Any, weighted: Any) -> None:
        self.plain = [metrics.get(m) for m in _listed(plain)]
        self.weighted = [metrics.get(m) for m in _listed(weighted)]

    @property
    def all(self) -> list[Metric]:
        """All metrics in the order of the logs."""
        return self.plain + self.weighted

    def update(self, y_true: Any, y_pred: Tensor, sample_weight: Any, mask: Any = None) -> None:
        """Add a batch to all metrics; entries that a mask leaves out have the weight 0."""
        if _core.recording_plan():
            for metric in self.all:
                metric._in_plan = True
        if mask is None:
            for metric in self.plain:
                metric.update_state(y_true, y_pred)
            for metric in self.weighted:
                metric.update_state(y_true, y_pred, sample_weight)
            return
        counted = ops.astype(mask, y_pred.dtype)
        for metric in self.plain:
            metric.update_state(y_true, y_pred, counted)
        if sample_weight is not None:
            counted = fit_weights(sample_weight, counted.shape) * counted
        for metric in self.weighted:
            metric.update_state(y_true, y_pred, counted)


def _listed(given: Any) -> list[Any]:
    """Return a list of what was given, without None."""
    listed = given if isinstance(given, (list, tuple)) else [given]
    return [entry for entry in listed if entry is not None]


class Compiled:
    """The losses and metrics of `compile`, and what belongs to them.

    The outputs are known when the model is called for the first time; `bind` then sorts losses and
    metrics to them.
    """

    def __init__(
        self,
        loss: Any,
        loss_weights: Any,
        metrics: Any,
        weighted_metrics: Any,
        run_eagerly: bool = False,
    ) -> None:
        self.arguments = {
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
        }
        self.tracker = LossTracker("loss")
        self.run_eagerly = run_eagerly
        self.warm: set[str] = set()  # phases that have run a step
        self._metrics_on_host = False
        self.warned = False  # that steps are not recorded
        self.trained: list[Variable] | None = None
        self.layers: list[Any] = []  # all layers inside the model at `compile`
        self.training: list[bool] = []  # whether each of them was trainable
        self.model_training = True  # whether the model itself was
        self.penalized: list[Any] = []  # trained weights that have a regularizer
        self.called: list[Any] = []  # all layers inside it once it is built; they may add losses
        self.names: list[str] | None = None
        self.losses: list[OutputLoss] = []
        self.metrics: list[OutputMetrics] = []
        self.output_trackers: list[LossTracker] = []
        self.keys: list[str] = []  # names of the metrics in the logs
        # Most models have one output; then errors in losses and metrics come from `compile`.
        several = isinstance(loss, (Mapping, list, tuple)) or loss_weights is not None
        if not several and not _nested(metrics) and not _nested(weighted_metrics):
            self.bind(["output"])

    def bind(self, names: Sequence[str]) -> None:
        """Sort losses and metrics to the outputs."""
        if self.names is not None:
            both_single = len(self.names) == len(names) == 1
            if both_single or self.names == list(names):
                return
        given = self.arguments
        weights = per_output("loss_weights", given["loss_weights"], names, single=False)
        chosen = per_output("loss", given["loss"], names, single=False)
        self.losses = [
            OutputLoss(loss, weight) for loss, weight in zip(chosen, weights, strict=True)
        ]
        plain = per_output("metrics", given["metrics"], names, single=True)
        weighted = per_output("weighted_metrics", given["weighted_metrics"], names, single=True)
        self.metrics = [OutputMetrics(p, w) for p, w in zip(plain, weighted, strict=True)]
        several = len(names) > 1
        self.output_trackers = [LossTracker(f"{name}_loss") for name in names] if several else []
        self.names = list(names)
        self.keys = []
        for name, output in zip(names, self.metrics, strict=True):
            prefix = f"{name}_" if several else ""
            for metric in output.plain:
                self.keys.append(_unused(f"{prefix}{metric.name}", self.keys))
            for metric in output.weighted:
                key = f"{prefix}{metric.name}"
                if key in self.keys:  # as Keras calls it
                    key = _unused(f"{prefix}weighted_{metric.name}", self.keys)
                self.keys.append(key)

    @property
    def metrics_on_host(self) -> bool:
        """Whether the metrics follow a recorded step instead of being part of it."""
        return self._metrics_on_host or not all(m.in_plans for m in self.metric_objects())

    def leave_metrics_out(self) -> None:
        """Let the metrics follow recorded steps from now on."""
        self._metrics_on_host = True
        for metric in self.metric_objects():
            metric._in_plan = False

    def metric_objects(self) -> list[Metric]:
        """Return the metrics of all outputs."""
        return [metric for output in self.metrics for metric in output.all]

    def all_metrics(self) -> list[Metric]:
        """Return what tracks the losses, and the metrics."""
        return [self.tracker, *self.output_trackers, *self.metric_objects()]

    def results(self) -> dict[str, Any]:
        """Return the values of the loss, of each output's loss, and of the metrics."""
        found: dict[str, Any] = {"loss": self.tracker.result()}
        for tracker, loss in zip(self.output_trackers, self.losses, strict=False):
            if loss.present:
                found[tracker.name] = tracker.result()
        for key, metric in zip(self.keys, self.metric_objects(), strict=True):
            found[key] = as_number(metric.result())
        return found

    def reset(self) -> None:
        """Start all values again."""
        for metric in self.all_metrics():
            metric.reset_state()


def _nested(given: Any) -> bool:
    """Tell whether metrics are given output by output."""
    return isinstance(given, Mapping) or (
        isinstance(given, (list, tuple)) and any(isinstance(m, (list, tuple)) for m in given)
    )


def _unused(name: str, taken: Sequence[str]) -> str:
    """Return a name, with _1, _2, ... where it is taken."""
    found, count = name, 0
    while found in taken:
        count += 1
        found = f"{name}_{count}"
    return found


def as_metric(given: Any) -> Any:
    """Return a metric as `compile` got it; a Loss as the metric it stands for."""
    if isinstance(given, Loss):
        config = {"fn": serialize(given), "name": given.name}
        return {"class_name": "MeanMetricWrapper", "config": config}
    return given


def from_plain(get: Callable[[Any], Any], given: Any) -> Any:
    """Return what `compile` was given, with losses or metrics in the place of configurations."""
    if isinstance(given, str):
        return get(given) if ">" in given else given
    if isinstance(given, list):
        return [from_plain(get, entry) for entry in given]
    if not isinstance(given, Mapping):
        return given
    if "class_name" in given:
        return get(given)
    return {name: from_plain(get, entry) for name, entry in given.items()}


def as_number(value: Any) -> Any:
    """Return a value of one element as a float, other values as they are."""
    if isinstance(value, float):
        return value
    if isinstance(value, Tensor):
        if _core.recording_plan():  # a later step has another value
            return value
        value = value.numpy()
    if getattr(value, "size", 1) == 1 and not isinstance(value, (str, Mapping)):
        return float(value)
    return value
