"""The training loop: fit, evaluate, predict and their one-batch forms."""

from __future__ import annotations

import functools
import itertools
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pydl import random
from pydl.autograd import no_grad
from pydl.callbacks import CallbackList, History, ProgbarLogger
from pydl.callbacks.progress import is_terminal
from pydl.function import Plan
from pydl.layers.base import ADD_LOSS_HINT, Layer
from pydl.layers.core import Dense
from pydl.metrics.base import results_as_tensors
from pydl.models import data, sources
from pydl.models.compiled import as_number
from pydl.models.data import as_arrays
from pydl.models.plans import (
    EpochPlans,
    one_step,
    own_logs,
    own_step,
    step_function,
    step_on_arrays,
)
from pydl.models.sources import ArraySource, Source
from pydl.models.steps import Steps, row_count
from pydl.tensor import Tensor
from pydl.warn import warn


class Trainer(Steps):
    """What a model does with many batches."""

    history: History | None = None
    epochs_done = 0  # of the training so far; a saved model keeps it
    _start_at: tuple[int, int] | None = None  # epoch and batch where a callback lets `fit` begin
    # Epochs done, how often a seed was set, and the global random generator of a saved model.
    _random_then: tuple[int, int, np.ndarray] | None = None

    def _step(self, phase: str) -> Callable[..., Any]:
        """Return the function (x, y, weight, rows) -> logs or None that does one step."""
        if self._records():
            return step_on_arrays(self, phase)
        if not own_step(self, phase):
            return self._train_batch if phase == "train" else self._test_batch
        return lambda x, y, weight, rows: own_logs(self, phase, (x, y, weight))

    def _run(
        self,
        source: Source,
        epoch: int,
        phase: str,
        callbacks: CallbackList,
        bar: ProgbarLogger,
        done: int = 0,
    ) -> dict[str, Any] | None:
        """Run the steps of an epoch, of which some may be done.

        Returns:
            The values to show, or None where there was no batch.
        """
        if self._records() and isinstance(source, ArraySource):
            return self._run_plans(source, epoch, phase, callbacks, bar, done)
        step = self._step(phase)
        begin, end = f"on_{phase}_batch_begin", f"on_{phase}_batch_end"
        hears_begin, hears_end = callbacks.listens(begin), callbacks.listens(end)
        logs: Any = None
        for x, y, weight, rows in itertools.islice(source.batches(epoch), done, None):
            if hears_begin:
                callbacks.batch(begin, done, {})
            logs = step(x, y, weight, rows)
            if hears_end:
                callbacks.batch(
                    end, done, self._logs(logs), functools.partial(tuple, (x, y, weight))
                )
            done += 1
            bar.tick(done, logs)
            if self.stop_training and phase == "train":
                break
        source.epoch_end()
        return self._logs(logs) if done else None

    def _records(self) -> bool:
        """Tell whether steps may be recorded."""
        return self._compiled is not None and not self._compiled.run_eagerly

    def _run_plans(
        self,
        source: ArraySource,
        epoch: int,
        phase: str,
        callbacks: CallbackList,
        bar: ProgbarLogger,
        done: int,
    ) -> dict[str, Any]:
        """Run the steps of an epoch through plans; the values to show."""
        compiled = self._need_compiled("fit")
        plans = source.plans
        if plans is None or plans.compiled is not compiled:
            plans = source.plans = EpochPlans(self, compiled, phase, source)
        begin, end = f"on_{phase}_batch_begin", f"on_{phase}_batch_end"
        hears_begin, hears_end = callbacks.listens(begin), callbacks.listens(end)
        if phase == "train" and compiled.trained and not own_step(self, phase):
            self.optimizer.build(compiled.trained)
        source.start(epoch, done)
        total = source.steps or 0
        while done < total and not (self.stop_training and phase == "train"):
            if hears_begin:
                callbacks.batch(begin, done, {})
            rows = source.rows_of(done)
            alike = total - done if source.rows_of(total - 1) == rows else total - done - 1
            done += plans.run(
                self.optimizer, rows, 1 if hears_begin or hears_end else max(alike, 1)
            )
            if hears_end:
                again = functools.partial(source.again, done - 1)
                callbacks.batch(end, done - 1, self._logs(plans.logs), again)
            bar.tick(done, plans.logs)
        source.warn_if_short()
        source.epoch_end()
        return self._logs(plans.logs)

    def _logs(self, logs: Any) -> dict[str, Any]:
        """Return what a step returned as numbers; the metrics' values for None."""
        if logs is None:
            return self.get_metrics_result()
        return {key: as_number(value) for key, value in logs.items()}

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | str = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
        nb_epoch: int | None = None,
    ) -> History:
        """Train the model.

        Args:
            x: Array, list or dictionary of arrays; or a generator, iterable or object with
                `__len__` and `__getitem__` that hands out (x, y) or (x, y, sample_weight).
            y: Targets.
            batch_size: Rows of a batch, 32 by default; the last batch is smaller and is used.
            epochs: Number of the last epoch.
            verbose: 0 nothing, 1 a progress bar, 2 one line per epoch; 'auto' is 1, or 2 where the
                output is not a terminal.
            callbacks: Callbacks, run in order, then History, then the progress bar.
            validation_split: The last part of the rows, cut off before any shuffling, is for
                validation.
            validation_data: (x, y), (x, y, sample_weight) or a generator; wins over the split.
            shuffle: True: a new order of the rows each epoch, given by the global seed and the
                number of the epoch; "batch": only inside the batches.
            class_weight: {class: weight} of the samples' losses.
            sample_weight: Weights of the samples' losses; the divisor stays their number.
            initial_epoch: Number of epochs done before. The order of the rows goes on from there;
                on a loaded model, `initial_epoch=model.epochs_done` goes on with the same bits as
                if the training had not stopped.
            steps_per_epoch, validation_steps: Batches of an epoch and of a validation.
            validation_batch_size: Default: batch_size.
            validation_freq: Validate every so many epochs, or after the epochs in this list,
                counted from 1.
            nb_epoch: Older name of `epochs`.

        Returns:
            History: `history.history` maps names to the values of the epochs.

        Raises:
            RuntimeError: `compile` was not called.
            ValueError: Data that do not fit together.

        >>> from pydl import layers, models
        >>> model = models.Sequential([layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> history = model.fit([[0.0], [1.0]], [[0.0], [1.0]], epochs=3, verbose=0)
        >>> len(history.history["loss"])
        3
        """
        self._need_training("fit")
        epochs = _non_negative("epochs", epochs if nb_epoch is None else nb_epoch)
        initial_epoch = _non_negative("initial_epoch", initial_epoch)
        if shuffle not in (True, False, "batch"):
            raise ValueError(f"fit: shuffle must be True, False or 'batch', got {shuffle!r}")
        shuffle = shuffle if shuffle == "batch" else bool(shuffle)
        self._continue_random(initial_epoch)
        source, held_out = sources.training_source(
            x, y, sample_weight, class_weight, batch_size, steps_per_epoch, shuffle,
            validation_split if validation_data is None else 0.0,
        )  # fmt: skip
        if validation_data is None:
            validation_data = held_out
        val_source = None
        if validation_data is not None:
            val_source = sources.validation_source(
                validation_data, validation_batch_size or batch_size, validation_steps
            )
        self._build_for(source)
        self._refuse_lost_losses("fit")
        self._leave_out_zeros(source)
        if val_source is not None:
            self._leave_out_zeros(val_source)

        verbose = _verbosity(verbose)
        bar = ProgbarLogger(verbose, self._logs)
        quiet = ProgbarLogger(0)
        history = History()
        params = {
            "verbose": verbose,
            "epochs": epochs,
            "steps": source.steps,
            "do_validation": val_source is not None,
        }
        hooks = CallbackList(callbacks, self, params, last=[history, bar])
        self.history = history
        self.stop_training = False
        logs: dict[str, Any] | None = {}
        try:
            self.epochs_done = initial_epoch
            hooks.on_train_begin({})
            begin, batch = self._start_at or (initial_epoch, 0)
            self._start_at = None
            for epoch in range(begin, epochs):
                self.reset_metrics()
                hooks.on_epoch_begin(epoch, {})
                with sources.positions_in_batch():
                    logs = self._run(source, epoch, "train", hooks, bar, batch)
                batch = 0
                if logs is None:
                    break
                self.epochs_done = epoch + 1
                if val_source is not None and _validates(epoch, validation_freq):
                    results = self._evaluate(val_source, hooks, quiet)
                    logs.update((f"val_{key}", value) for key, value in results.items())
                hooks.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
            if epochs > initial_epoch and self._compiled is not None:
                self.optimizer.finalize_variable_values(self._compiled.trained or [])
            hooks.on_train_end(logs or {})
        finally:
            bar.close()
        return history

    def _continue_random(self, initial_epoch: int) -> None:
        """Where a saved training goes on, let the global random numbers go on as well."""
        if self._random_then is not None:
            epochs_done, settings_of_seed, state = self._random_then
            if 0 < initial_epoch == epochs_done and settings_of_seed == random.settings_of_seed():
                random.set_global_state(state)
            self._random_then = None

    def _first_dense(self) -> list[Dense]:
        """Return the Dense layers that the only input goes to, [] if it goes elsewhere too."""
        return []

    def _leave_out_zeros(self, source: Source) -> None:
        """Let a source hold a matrix of many zeros in a form that leaves them out, if that pays.

        Products have the same bits either way, as long as the weights are finite: a zero left out
        would have made nan of inf.
        """
        plain = (
            type(self).compute_loss is Steps.compute_loss
            and type(self).compute_metrics is Steps.compute_metrics
            and type(self).train_step is Trainer.train_step
            and type(self).test_step is Trainer.test_step
        )
        if not plain or not isinstance(source, ArraySource) or not (layers := self._first_dense()):
            return
        if all(np.isfinite(w.numpy()).all() for d in layers for w in d.weights):
            source.x = data.leaving_out_zeros(source.x, min(layer.units for layer in layers))

    def _need_training(self, who: str) -> None:
        """Raise unless the model can be trained: compiled, or with a train_step of its own."""
        if self._compiled is None and type(self).train_step is Trainer.train_step:
            self._need_compiled(who)

    def _refuse_lost_losses(self, who: str) -> None:
        """Raise where `add_loss` was called outside of a call, so that no step would see it."""
        called = self._compiled.called if self._compiled is not None else self._layers_inside()
        for layer in (self, *called):
            if layer._losses_unread:
                layer._losses_unread = False
                raise ValueError(
                    f"{who}: add_loss of {layer.label} was called outside of its call, so it would "
                    f"not count; {ADD_LOSS_HINT}"
                )

    def _build_for(self, source: Source) -> None:
        """Build the model for the first batch, so that callbacks see its weights."""
        if not self.built and type(self).call is not Layer.call:
            with no_grad():
                self(source.first()[0], training=False)
        compiled = self._compiled
        if compiled is not None:
            if compiled.trained is None:
                self._settle(compiled)
            if not compiled.trained and type(self).train_step is Trainer.train_step:
                warn(f"fit: the model {self.name!r} has no trainable weights")

    def _evaluate(self, source: Source, hooks: CallbackList, bar: ProgbarLogger) -> dict[str, Any]:
        """Return the loss and the metrics over a source."""
        hooks.on_test_begin({})
        self.reset_metrics()
        with sources.positions_in_batch():
            logs = self._run(source, 0, "test", hooks, bar) or {}
        hooks.on_test_end(logs)
        return logs

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Return the loss and the metrics over data, with inference behaviour.

        Args:
            x, y, batch_size, verbose, sample_weight, callbacks: As for `fit`.
            steps: Batches to use; None: all.
            return_dict: Return {name: value}.

        Returns:
            The loss, or [loss, metric, ...] where there are metrics; several outputs: the total
            loss, each output's loss, then the metrics. `metrics_names` names them.
        """
        if self._compiled is None and type(self).test_step is Trainer.test_step:
            self._need_compiled("evaluate")
        self._refuse_lost_losses("evaluate")
        source = sources.make_source("evaluate", x, y, sample_weight, batch_size, steps)
        if steps is None:  # all data are read
            self._leave_out_zeros(source)
        bar = self._short_bar(verbose, source, "Evaluation")
        hooks = CallbackList(callbacks, self, {"verbose": verbose, "steps": source.steps})
        try:
            logs = self._evaluate(source, hooks, bar)
            bar.finish(logs)
        finally:
            bar.close()
        return logs if return_dict else _values(logs)

    def _short_bar(self, verbose: Any, source: Source, label: str) -> ProgbarLogger:
        """Return the bar of an evaluation or prediction; with 'auto' one batch shows nothing."""
        level = _verbosity(verbose)
        if verbose == "auto" and source.steps == 1:
            level = 0
        bar = ProgbarLogger(level, self._logs if label == "Evaluation" else None)
        bar.begin(label, source.steps)
        return bar

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Return the predictions for all rows of `x`, batch by batch.

        Args:
            x, batch_size, verbose, callbacks: As for `fit`.
            steps: Batches to use; None: all.

        Returns:
            A float array with one row per sample; a list or dictionary for several outputs.
        """
        if callbacks is None and steps is None and verbose in ("auto", 0) and _is_array(x):
            if 0 < len(x) <= sources.check_batch_size("predict", batch_size):
                return self.predict_on_batch(x)  # one batch that nobody watches
        source = sources.make_source("predict", x, None, None, batch_size, steps)
        bar = self._short_bar(verbose, source, "Prediction")
        hooks = CallbackList(callbacks, self, {"verbose": verbose, "steps": source.steps})
        hears_begin = hooks.listens("on_predict_batch_begin")
        hears_end = hooks.listens("on_predict_batch_end")
        forward = self._forward_function()
        outputs: list[Any] = []
        try:
            hooks.on_predict_begin({})
            with no_grad(), sources.positions_in_batch():
                for batch, _, _, _ in source.batches(0):
                    if hears_begin:
                        hooks.batch("on_predict_batch_begin", len(outputs), {})
                    result = forward(batch)
                    arrays = data.map_leaves(np.asarray, result)
                    if hears_end:
                        hooks.batch("on_predict_batch_end", len(outputs), {"outputs": arrays})
                    outputs.append(arrays)
                    bar.tick(len(outputs))
            hooks.on_predict_end({})
            bar.finish({})
        finally:
            bar.close()
        if not outputs:
            raise ValueError("predict: x has no batches")
        return _concatenate(outputs)

    def _forward_function(self) -> Callable[[Any], Any]:
        """Return the function of a batch that `predict` calls, recorded where it can be."""
        if type(self).predict_step is not Trainer.predict_step:
            return lambda batch: self.predict_step((batch,))
        if self._compiled is not None and self._compiled.run_eagerly:
            return lambda batch: self(batch, training=False)
        recorded = step_function(self, "predict", _predict, lambda reason, where: False)
        return lambda batch: (recorded.function if data.holds_sparse(batch) else recorded)(batch)

    # Looking at a step

    def plan(
        self, x: Any, y: Any = None, batch_size: int | None = None, sample_weight: Any = None
    ) -> Plan:
        """Return the recorded training step for batches of these data, to look at.

        The plan lists its kernels (`summary`), measures them (`profile`), and draws them in time
        (`timeline`). Weights, optimizer, metrics and random numbers are left as they were.

        Args:
            x, y, batch_size, sample_weight: As for `fit`; at least one whole batch.

        Raises:
            RuntimeError: The step cannot be recorded; the text says why.

        >>> from pydl import layers, models
        >>> model = models.Sequential([layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> plan = model.plan([[1.0, 3.0]], [[2.0]])
        >>> "square" in [launch.name for launch in plan.launches]
        True
        """
        self._need_training("plan")
        source = sources.make_source("plan", x, y, sample_weight, batch_size)
        if not isinstance(source, ArraySource) or not self._records():
            raise RuntimeError("plan: needs arrays, and a model that fit may record")
        self._build_for(source)
        compiled = self._need_compiled("plan")
        self._leave_out_zeros(source)
        self.optimizer.build(compiled.trained or [])
        rows = source.rows_of(0)

        own = own_step(self, "train")

        def step() -> Any:
            batch = source.next_batch(rows)
            if own:
                return one_step(self, "train", own, batch, rows)
            return self._train_batch(*batch, rows)

        source.start(0)
        with self.optimizer.driven() as before_step, results_as_tensors():
            if self.optimizer.scheduled:
                before_step()
            plan = Plan(step, lambda: source.start(0), restorable=True)
        plan.restore()
        if plan.failure:
            at = f" at {plan.where}" if plan.where else ""
            raise RuntimeError(f"plan: the step is not recorded: {plan.failure}{at}")
        return plan

    # One batch

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Train on one batch and return its loss, and metrics, as `evaluate` does."""
        self._need_training("train_on_batch")
        return self._one_batch("train", x, y, sample_weight, class_weight, return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Return the loss, and metrics, of one batch, as `evaluate` does."""
        if self._compiled is None and type(self).test_step is Trainer.test_step:
            self._need_compiled("test_on_batch")
        return self._one_batch("test", x, y, sample_weight, None, return_dict)

    def _one_batch(
        self, phase: str, x: Any, y: Any, weight: Any, class_weight: Any, return_dict: bool
    ) -> Any:
        """Run one step on all rows of the data."""
        who = f"{phase}_on_batch"
        self._refuse_lost_losses(who)
        x, y, weight = sources.arrays_of(who, x, y, weight)
        weight = data.combine_weights(who, y, weight, class_weight)
        batch = tuple(data.tensors(nest) for nest in (x, y, weight))
        self.reset_metrics()
        logs = self._logs(self._step(phase)(*batch, row_count(x)))
        return logs if return_dict else _values(logs)

    def predict_on_batch(self, x: Any) -> Any:
        """Return the predictions for one batch."""
        batch = data.tensors(as_arrays(x, "predict_on_batch", "x"))
        with no_grad():
            result = self._forward_function()(batch)
        if isinstance(result, Tensor) and result.data.ndim:  # the usual case
            return np.array(result.data)
        return _concatenate([data.map_leaves(np.asarray, result)])


def _is_array(x: Any) -> bool:
    """Tell whether `x` is one array with a batch axis."""
    return isinstance(x, (np.ndarray, Tensor)) and x.ndim > 0


def _predict(model: Trainer, batch: Any) -> Any:
    """Return the predictions for a batch."""
    outputs = model(batch, training=False)
    model._forget_losses(model._layers_inside())
    return outputs


def _values(logs: dict[str, Any]) -> Any:
    """Return the only value, or the list of all."""
    values = list(logs.values())
    return values[0] if len(values) == 1 else values


def _concatenate(outputs: list[Any]) -> Any:
    """Return the batches of predictions as arrays of their own, in the nest of the outputs."""
    first = outputs[0]
    if isinstance(first, Mapping):
        return {key: _concatenate([o[key] for o in outputs]) for key in first}
    if isinstance(first, (list, tuple)):
        return [_concatenate([o[i] for o in outputs]) for i in range(len(first))]
    return np.concatenate(outputs) if first.ndim else np.array(outputs)


def _verbosity(verbose: Any) -> int:
    """Return 0, 1 or 2."""
    if verbose == "auto":
        notebook = "ipykernel" in sys.modules
        return 1 if is_terminal() or notebook else 2
    if verbose not in (0, 1, 2):
        raise ValueError(f"verbose must be 0, 1, 2 or 'auto', got {verbose!r}")
    return int(verbose)


def _non_negative(name: str, value: Any) -> int:
    """Return an integer that is at least 0."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise ValueError(f"fit: {name} must be an integer of at least 0, got {value!r}")
    return int(value)


def _validates(epoch: int, frequency: Any) -> bool:
    """Tell whether there is a validation after this epoch."""
    if isinstance(frequency, (int, np.integer)):
        if frequency < 1:
            raise ValueError(f"fit: validation_freq must be at least 1, got {frequency}")
        return (epoch + 1) % int(frequency) == 0
    return epoch + 1 in frequency
