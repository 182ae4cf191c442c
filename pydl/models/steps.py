"""One step of training: what `compile` sets, the loss of a batch, the update, the metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydl import _core, activations, autograd, losses, metrics, ops, optimizers
from pydl.autograd import no_grad
from pydl.layers.base import Layer, mask_of
from pydl.metrics import Metric
from pydl.models.compiled import (
    Compiled,
    OutputLoss,
    as_metric,
    as_number,
    by_output,
    from_plain,
)
from pydl.models.data import flatten, map_leaves
from pydl.registry import serialize
from pydl.tensor import Tensor, Variable

_ACTIVATIONS: dict[str, Callable[[Any], Tensor]] = {
    "softmax": activations.softmax,
    "sigmoid": activations.sigmoid,
}


class Steps(Layer):
    """What a model does with one batch."""

    _compiled: Compiled | None = None
    _emit_logits: tuple[bool, ...] = ()  # for which outputs `call` shall leave out the activation
    stop_training = False
    optimizer: Any = None
    loss: Any = None  # as given to `compile`

    # compile

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = None,
    ) -> None:
        """Set how the model is trained.

        Which weights are trained is settled here: freezing a layer later counts for this model
        only after the next `compile`. The weights keep their values; metrics start again.

        Args:
            optimizer: Name or Optimizer.
            loss: Name, Loss or function (y_true, y_pred) -> one value per sample; for several
                outputs a list in their order or a dictionary by their names.
            loss_weights: Factors of the losses of several outputs.
            metrics: Names, metrics or functions; for several outputs a list of lists or a
                dictionary. 'accuracy' is chosen by the shapes of the first batch.
            weighted_metrics: Metrics that take the sample weights into account; one of a name that
                `metrics` has too is called "weighted_" and that name.
            run_eagerly: Run every step in Python. By default `fit`, `evaluate` and `predict` record
                a step and repeat it as one call of C++, with the same bits; see `pydl.function`.
                Python code in layers, losses, metrics and a `train_step` of one's own then runs in
                two steps only: what it counts in lists, globals or closures needs this argument.
                Changed attributes of layers and losses are noticed, and so are changes of the lists
                and dictionaries in attributes of layers, as far as `pydl.function` says.
            steps_per_execution, jit_compile: Accepted; they do not change results.

        Raises:
            ValueError: Unknown name of an optimizer, loss or metric.
        """
        if isinstance(metrics, (str, Metric)) or callable(metrics):
            metrics = [metrics]
        self.optimizer = optimizers.get(optimizer)
        self.loss = loss
        compiled = Compiled(loss, loss_weights, metrics, weighted_metrics, bool(run_eagerly))
        compiled.layers = self._layers_inside()
        compiled.training = [layer._trainable for layer in compiled.layers]
        compiled.model_training = self._trainable
        names = self.output_names
        if names:
            compiled.bind(names)
        self._compiled = compiled
        self.stop_training = False
        if self.built:
            self._settle(compiled)

    def get_compile_config(self) -> dict[str, Any] | None:
        """Return what `compile` was given as plain data, or None before it."""
        if self._compiled is None:
            return None
        given = self._compiled.arguments
        return {
            "optimizer": serialize(self.optimizer),
            "loss": serialize(given["loss"]),
            "loss_weights": serialize(given["loss_weights"]),
            "metrics": serialize(map_leaves(as_metric, given["metrics"])),
            "weighted_metrics": serialize(map_leaves(as_metric, given["weighted_metrics"])),
            "run_eagerly": self._compiled.run_eagerly,
        }

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compile the model with what `get_compile_config` returned."""
        self.compile(
            **{
                **config,
                "optimizer": optimizers.get(config["optimizer"]),
                "loss": from_plain(losses.get, config["loss"]),
                "metrics": from_plain(metrics.get, config["metrics"]),
                "weighted_metrics": from_plain(metrics.get, config["weighted_metrics"]),
            }
        )

    def _trained_flags(self, layers: list[Layer]) -> list[bool] | None:
        """Return whether each layer was trainable at `compile`, None before it."""
        if self._compiled is None:
            return None
        training = self._training()
        return [training.get(id(layer), layer._trainable) for layer in layers]

    def _set_trained_flags(self, flags: list[bool]) -> None:
        """Train what was trained when `_trained_flags` returned these."""
        compiled = self._need_compiled("load_model")
        compiled.layers = self._layers_inside()
        compiled.model_training, *compiled.training = flags
        self._settle(compiled)

    def _training(self) -> dict[int, bool]:
        """Return whether layers were trainable at `compile`, by their ids."""
        compiled = self._need_compiled("compile")
        at_compile = zip(compiled.layers, compiled.training, strict=True)
        training = {id(layer): flag for layer, flag in at_compile}
        training[id(self)] = compiled.model_training
        return training

    def _layers_inside(self) -> list[Layer]:
        """Return all layers of the model but itself, which `compile` must not keep alive."""
        return [layer for layer in self._flatten_layers() if layer is not self]

    def _settle(self, compiled: Compiled) -> None:
        """List what is trained, as it was at `compile`."""
        training = self._training()
        found: dict[int, Variable] = {}
        for layer in self._walk(lambda layer: training.get(id(layer), layer._trainable)):
            found.update((id(w), w) for w in layer._own_weights() if w.trainable)
        compiled.trained = list(found.values())
        compiled.penalized = [
            w for w in compiled.trained if getattr(w, "regularizer", None) is not None
        ]
        compiled.called = self._layers_inside()

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called."""
        return self._compiled is not None

    def _need_compiled(self, who: str) -> Compiled:
        """Return the compile settings, or raise RuntimeError in the name of a method."""
        if self._compiled is None:
            raise RuntimeError(
                f"{who}: the model {self.name!r} is not compiled; call "
                "model.compile(optimizer=..., loss=...) first"
            )
        return self._compiled

    @property
    def metrics(self) -> list[Metric]:
        """The loss tracker, the metrics of `compile`, and metrics held by attributes.

        A subclass that keeps its own trackers overrides it; `fit` resets what it returns.
        """
        found: list[Metric] = []
        if self._compiled is not None:
            found += self._compiled.all_metrics()
        found += self._metrics_in_attributes()
        return list({id(metric): metric for metric in found}.values())

    def _metrics_in_attributes(self) -> list[Metric]:
        return [value for value in vars(self).values() if isinstance(value, Metric)]

    def _other_metrics(self) -> list[Metric]:
        """Return the metrics that are not of `compile`."""
        own = type(self).metrics is not Steps.metrics
        found = self.metrics if own else self._metrics_in_attributes()
        if not found or self._compiled is None:
            return found
        known = {id(metric) for metric in self._compiled.all_metrics()}
        return [metric for metric in found if id(metric) not in known]

    @property
    def metrics_names(self) -> list[str]:
        """The names of what `evaluate` returns, in its order."""
        return list(self.get_metrics_result())

    def reset_metrics(self) -> None:
        """Start the loss and all metrics again."""
        if self._compiled is not None:
            self._compiled.reset()
        for metric in self._other_metrics():
            metric.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """Return the loss and the metrics over the batches since the last reset."""
        found = {} if self._compiled is None else self._compiled.results()
        for metric in self._other_metrics():
            found[metric.name] = as_number(metric.result())
        return found

    # One step

    def train_step(self, data: Any) -> dict[str, Any]:
        """Train on one batch and return the values to show; subclasses may override it.

        Args:
            data: (x,), (x, y) or (x, y, sample_weight), Tensors.
        """
        x, y, weight = unpack_x_y_sample_weight(data)
        self._train_batch(x, y, weight, row_count(x))
        return self.get_metrics_result()

    def test_step(self, data: Any) -> dict[str, Any]:
        """Evaluate one batch and return the values to show; subclasses may override it."""
        x, y, weight = unpack_x_y_sample_weight(data)
        self._test_batch(x, y, weight, row_count(x))
        return self.get_metrics_result()

    def predict_step(self, data: Any) -> Any:
        """Return the predictions for one batch; subclasses may override it."""
        x, _, _ = unpack_x_y_sample_weight(data)
        return self(x, training=False)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Return the loss of a batch, penalties included; subclasses may override it."""
        compiled = self._need_compiled("compute_loss")
        total, _ = self._output_losses(compiled, y, y_pred, sample_weight)
        return self._with_penalties(compiled, total)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Add a batch to the metrics and return all values; subclasses may override it."""
        compiled = self._need_compiled("compute_metrics")
        self._update_metrics(compiled, y, y_pred, sample_weight)
        return self.get_metrics_result()

    def _train_batch(self, x: Any, y: Any, weight: Any, rows: int, to_record: bool = False) -> Any:
        """Forward, loss, gradients, update, metrics.

        With `to_record`, metrics that work on the host are left out, and what they need returned.
        """
        compiled = self._need_compiled("train_step")
        y_pred, loss, parts = self._forward(compiled, x, y, weight, True)
        trained = compiled.trained
        if trained:
            self.optimizer.apply(autograd.gradients(loss, trained), trained)
        return self._track(compiled, y, y_pred, weight, loss, parts, rows, x, to_record)

    def _test_batch(self, x: Any, y: Any, weight: Any, rows: int, to_record: bool = False) -> Any:
        """Forward with inference behaviour, loss, metrics; as `_train_batch`."""
        compiled = self._need_compiled("test_step")
        with no_grad():
            y_pred, loss, parts = self._forward(compiled, x, y, weight, False)
        return self._track(compiled, y, y_pred, weight, loss, parts, rows, x, to_record)

    def _forward(
        self, compiled: Compiled, x: Any, y: Any, weight: Any, training: bool
    ) -> tuple[Any, Tensor, list[Tensor | None]]:
        """Return the predictions, the loss, and the losses of several outputs.

        Where the last activation and the loss belong together, the loss is computed from what the
        activation gets, and the predictions apart from the graph.
        """
        if type(self).compute_loss is not Steps.compute_loss:
            y_pred = self(x, training=training)
            loss = self.compute_loss(
                x=x, y=y, y_pred=y_pred, sample_weight=weight, training=training
            )
            return y_pred, loss, []
        names = self._logits_with(compiled, y)
        if not any(names):
            y_pred = self(x, training=training)
            total, parts = self._output_losses(compiled, y, y_pred, weight)
        else:
            logits = self._call_for_logits(x, training, names)
            total, parts = self._output_losses(compiled, y, logits, weight, names)
            y_pred = None
            overridden = type(self).compute_metrics is not Steps.compute_metrics
            if compiled.keys or overridden:
                each = iter(names)
                with no_grad():
                    y_pred = map_leaves(lambda x: _activated(x, next(each)), logits)
        return y_pred, self._with_penalties(compiled, total), parts

    @property
    def logits_activations(self) -> list[str | None]:
        """For each output, the activation that training may leave to the loss."""
        return [self.logits_activation]

    def _logits_with(self, compiled: Compiled, y: Any) -> list[str | None]:
        """Return for each output the last activation if its loss has a form that includes it."""
        names = self.logits_activations
        if not any(names) or len(names) != len(compiled.losses):
            return []
        return [
            self._activation_with(output, name, y if len(names) == 1 else None)
            for output, name in zip(compiled.losses, names, strict=True)
        ]

    def _activation_with(self, output: OutputLoss, name: str | None, y: Any) -> str | None:
        """Return the last activation if the loss has a form that includes it, else None."""
        if name is None:
            return None
        if output.pending and isinstance(y, Tensor) and self.built:
            output.resolve(y.shape, self.output_shape)
        loss = output.loss
        return name if loss is not None and loss.logits_activation == name else None

    def _call_for_logits(self, x: Any, training: bool, names: list[str | None]) -> Any:
        """Return the outputs, in place of those that have a name what the activation gets."""
        self._emit_logits = tuple(name is not None for name in names)
        try:
            return self(x, training=training)
        finally:
            self._emit_logits = ()

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs, empty where only a call tells them."""
        return []

    def _output_names(self, y_pred: Any) -> list[str]:
        """Return the names of the outputs."""
        if self.output_names:
            return self.output_names
        if isinstance(y_pred, Mapping):
            return list(y_pred)
        count = len(flatten(y_pred))
        return [self.name] if count == 1 else [f"output_{i + 1}" for i in range(count)]

    def _by_output(
        self, compiled: Compiled, y: Any, y_pred: Any, weight: Any
    ) -> tuple[list[Any], list[Any], list[Any]]:
        """Return the targets, predictions and weights of each output."""
        plain = (
            isinstance(y_pred, Tensor) and isinstance(y, Tensor) and not isinstance(weight, list)
        )
        if plain and len(compiled.losses) == 1:  # the usual case
            return [y], [y_pred], [weight]
        names = self._output_names(y_pred)
        compiled.bind(names)
        targets = by_output("fit", "y", y, names)
        return targets, flatten(y_pred), by_output("fit", "sample_weight", weight, names)

    def _output_losses(
        self,
        compiled: Compiled,
        y: Any,
        y_pred: Any,
        weight: Any,
        logits: Sequence[str | None] = (),
    ) -> tuple[Tensor | None, list[Tensor | None]]:
        """Return the weighted sum of the outputs' losses, and each of them.

        Where `logits` names an activation, `y_pred` is what that one gets.
        """
        targets, outputs, weights = self._by_output(compiled, y, y_pred, weight)
        total: Tensor | None = None
        parts: list[Tensor | None] = []
        names = logits or [None] * len(outputs)
        each = zip(compiled.losses, targets, outputs, weights, names, strict=True)
        for output, target, prediction, w, name in each:
            if not output.present:
                parts.append(None)
                continue
            if target is None:
                raise ValueError(
                    "fit, evaluate: the loss needs targets and y is missing; pass y (and "
                    "validation_data=(x, y) to validate), or override train_step"
                )
            if output.pending:
                output.resolve(target.shape, prediction.shape)
            loss: Any = output.loss
            mask = mask_of(prediction)
            masked = {} if mask is None else {"mask": mask}
            if name is not None:
                value = loss.call_with_logits(target, prediction, w, **masked)
            else:
                value = loss(target, prediction, w, **masked)
            if value.size != 1:
                raise ValueError(
                    f"compile: the loss must reduce to one number, got shape {value.shape}; use "
                    "reduction='sum_over_batch_size'"
                )
            parts.append(value)
            part = value if output.weight == 1.0 else value * output.weight
            total = part if total is None else total + part
        return total, parts

    def _with_penalties(self, compiled: Compiled, total: Tensor | None) -> Tensor:
        """Return the loss plus the regularisation and what layers added."""
        if compiled.trained is None:
            self._settle(compiled)
        for layer in (self, *compiled.called):
            if layer._added_losses and layer._losses_number >= layer._call_number:
                layer._losses_unread = False
                for added in layer._added_losses:
                    total = added if total is None else total + added
        for w in compiled.penalized:
            penalty = w.regularizer(w)
            total = penalty if total is None else total + penalty
        if total is None:
            raise ValueError(
                f"compile: the model {self.name!r} has no loss; pass loss= to compile, call "
                "add_loss in a layer, or override train_step"
            )
        return total

    def _track(
        self,
        compiled: Compiled,
        y: Any,
        y_pred: Any,
        weight: Any,
        loss: Tensor,
        parts: list[Tensor | None],
        rows: int,
        x: Any,
        to_record: bool,
    ) -> Any:
        """Add a batch to the loss and the metrics.

        Returns:
            (y, y_pred, weight, masks) where the metrics follow on the host, else None.
        """
        compiled.tracker.add(loss, rows)
        for tracker, part in zip(compiled.output_trackers, parts, strict=False):
            if part is not None:
                tracker.add(part, rows)
        if type(self).compute_metrics is not Steps.compute_metrics:
            self.compute_metrics(x, y, y_pred, weight)
        elif to_record and compiled.metrics_on_host:
            return y, map_leaves(ops.stop_gradient, y_pred), weight, masks_of(y_pred)
        elif compiled.keys or not compiled.names:
            self._update_metrics(compiled, y, y_pred, weight)
        self._forget_losses(compiled.called)
        return None

    def _forget_losses(self, layers: list[Layer]) -> None:
        """While a plan records: drop what layers added to the loss, which must not outlive it."""
        if _core.recording_plan():
            for layer in (self, *layers):
                layer._added_losses.clear()

    def _update_metrics(
        self, compiled: Compiled, y: Any, y_pred: Any, weight: Any, masks: Any = None
    ) -> None:
        """Add a batch to the metrics of each output; `masks` are those of the predictions."""
        targets, outputs, weights = self._by_output(compiled, y, y_pred, weight)
        if masks is None:
            masks = masks_of(y_pred)
        with no_grad():
            each = zip(compiled.metrics, targets, outputs, weights, masks, strict=True)
            for metric, target, prediction, w, mask in each:
                if target is not None:
                    metric.update(target, prediction, w, mask)


def _activated(logits: Tensor, name: str | None) -> Tensor:
    """Return the predictions for what an activation gets; without a name they are that."""
    if name is None:
        return ops.stop_gradient(logits)
    outputs = _ACTIVATIONS[name](logits)
    mask = mask_of(logits)
    if mask is not None:
        outputs._mask = mask
    return outputs


def masks_of(y_pred: Any) -> list[Any]:
    """Return the mask of each output, None where all entries count."""
    return [mask_of(output) for output in flatten(y_pred)]


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """Return the x, y and sample weights of what `train_step` gets, None for what is missing."""
    parts = tuple(data) if isinstance(data, (tuple, list)) else (data,)
    return (*parts, None, None)[:3]


def row_count(nest: Any) -> int:
    """Return the number of rows of a batch."""
    if isinstance(nest, Tensor):  # the usual case
        return len(nest.data)
    leaves = flatten(nest)
    return len(leaves[0]) if leaves else 0
