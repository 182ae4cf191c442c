"""The steps of an epoch as a plan: gather, forward, loss, backward, update and metrics in C++."""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from pydl import config
from pydl.autograd import no_grad
from pydl.function import Function, Plan, recording
from pydl.metrics.base import results_as_tensors
from pydl.models.compiled import Compiled
from pydl.models.data import holds_sparse
from pydl.models.sources import ArraySource
from pydl.models.steps import Steps
from pydl.optimizers import Optimizer
from pydl.tensor import Tensor, wrap
from pydl.warn import warn

# How long one call of C++ may take before Python looks at signals and draws the progress bar.
SLICE = 0.05  # seconds


class StepPlan:
    """One kind of step (a phase, a number of rows): eager, then recorded, then repeated.

    Args:
        warm: Whether such a step has run before, so that all variables exist.
    """

    def __init__(self, warm: bool) -> None:
        self.warm = warm
        self.failure = ""
        self.where = ""
        self.plan: Plan | None = None
        self.outputs: Any = None  # of the last step
        self._made_for: Any = None

    def run(self, step: Callable[[], Any], steps: int, made_for: Any) -> int:
        """Do at least one of `steps` steps and return how many were done.

        `step` does one, made of launches alone. `made_for` is what the plan depends on: where it
        has changed, the step is recorded anew.
        """
        stale = self.plan is not None and self.plan.stale
        if made_for != self._made_for or stale:  # the next step may make variables again
            self.warm = self.warm and self._made_for is None
            self.plan, self._made_for = None, made_for
        if self.plan is not None:
            done = self.plan.run(steps, SLICE)
            self.outputs = self.plan.outputs
            return done
        if self.failure or not self.warm:
            self.warm = True
            self.outputs = step()
            return 1
        plan = Plan(step)
        self.outputs = plan.outputs
        self.failure, self.where = plan.failure, plan.where
        self.plan = None if plan.failure else plan
        return 1


class EpochPlans:
    """The plans for the batches of one source.

    Where the metrics work on the host, the rest of the step is recorded, and they follow each step.

    Args:
        model: The model, whose `_train_batch` or `_test_batch` is the step.
        compiled: Its settings.
        phase: "train" or "test".
        source: The batches.
    """

    def __init__(self, model: Any, compiled: Compiled, phase: str, source: ArraySource) -> None:
        self.compiled = compiled
        self.phase = phase
        self._source = weakref.ref(source)  # which keeps these plans
        self.logs: Mapping[str, Any] | None = None  # of a train_step or test_step of the user
        self._plans: dict[int, StepPlan] = {}  # by number of rows
        self._model = weakref.ref(model)
        self._own = own_step(model, phase)
        self._again = not_recorded if self._own else without_metrics

    def run(self, optimizer: Optimizer, rows: int, steps: int) -> int:
        """Do at least one of `steps` steps of `rows` rows each, and return how many were done."""
        plan = self._plans.get(rows)
        if plan is None:
            warm = self.phase in self.compiled.warm
            self.compiled.warm.add(self.phase)
            plan = self._plans[rows] = StepPlan(warm)
        made_for = config.version(), self._on_host
        with optimizer.driven() as before_step:
            if optimizer.scheduled:
                before_step()
                steps = 1
            step = functools.partial(self._step, rows)
            done = plan.run(step, 1 if self._on_host else steps, made_for)
        if self._own:
            self.logs = plan.outputs
        elif self._on_host and plan.outputs is not None:
            self._model()._update_metrics(self.compiled, *plan.outputs)  # type: ignore[union-attr]
        if plan.failure and self._again(self._model(), plan.failure, plan.where):
            plan.failure = ""
        return done

    @property
    def _on_host(self) -> bool:
        return self.compiled.metrics_on_host

    def _step(self, rows: int) -> Any:
        source: Any = self._source()
        batch = source.next_batch(rows)
        return one_step(self._model(), self.phase, self._own, batch, rows)


def own_step(model: Any, phase: str) -> bool:
    """Tell whether a subclass has a train_step or test_step of its own."""
    name = f"{phase}_step"
    return getattr(type(model), name) is not getattr(Steps, name)


def one_step(model: Any, phase: str, own: bool, batch: Any, rows: int) -> Any:
    """Do one step; the logs where it is the user's own, else what the metrics on the host need."""
    with results_as_tensors():
        if not own:
            step = model._train_batch if phase == "train" else model._test_batch
            return step(*batch, rows, to_record=True)
        logs = own_logs(model, phase, batch)
    model._forget_losses(model._layers_inside())
    return {name: _value(entry) for name, entry in logs.items()}


def own_logs(model: Any, phase: str, batch: Any) -> Mapping[str, Any]:
    """Do one step of the user's own and return its logs."""
    step = getattr(model, f"{phase}_step")
    if recording.layers is not None:  # it need not call the model
        recording.layers.append(model)
    with no_grad() if phase == "test" else contextlib.nullcontext():
        logs = step(pack_x_y_sample_weight(*batch))
    if not isinstance(logs, Mapping):
        raise TypeError(
            f"{type(model).__name__}: {phase}_step must return a dictionary {{name: value}}, got "
            f"{type(logs).__name__}; return {{'loss': loss}} or self.get_metrics_result()"
        )
    return logs


def _value(entry: Any) -> Any:
    """Return an entry of the logs without the graph of its gradients."""
    return wrap(entry.data) if isinstance(entry, Tensor) else entry


def pack_x_y_sample_weight(x: Any, y: Any, weight: Any) -> tuple[Any, ...]:
    """Return (x,), (x, y) or (x, y, weight)."""
    if weight is not None:
        return x, y, weight
    return (x,) if y is None else (x, y)


def without_metrics(model: Any, reason: str, where: str) -> bool:
    """Let the metrics follow on the host, if they do not yet; else warn once that steps are eager.

    Returns:
        Whether to try again to record a step.
    """
    compiled = model._compiled
    if compiled.keys and not compiled.metrics_on_host:
        compiled.leave_metrics_out()
        return True
    return not_recorded(model, reason, where)


def not_recorded(model: Any, reason: str, where: str) -> bool:
    """Warn once that steps are eager; False: no use to try again."""
    compiled = model._compiled
    if not compiled.warned:
        compiled.warned = True
        at = f" at {where}" if where else ""
        warn(f"fit: the steps of {model.name!r} are not recorded and stay eager: {reason}{at}")
    return False


class BatchStep:
    """One step on arrays of the caller, recorded where it can be.

    Args:
        model: The model.
        phase: "train" or "test".
    """

    def __init__(self, model: Any, phase: str) -> None:
        self._model = weak = weakref.ref(model)
        self._own = own = own_step(model, phase)
        again = not_recorded if own else without_metrics

        def step(model: Any, x: Any, y: Any, weight: Any, rows: int, on_host: bool) -> Any:
            return one_step(model, phase, own, (x, y, weight), rows)

        self._function = step_function(
            model, phase, step, lambda reason, where: again(weak(), reason, where)
        )
        self._built_for: Any = None

    def __call__(self, x: Any, y: Any, weight: Any, rows: int) -> Any:
        """Do the step; the logs, or None where they are those of the model."""
        model: Any = self._model()
        compiled, optimizer = model._compiled, model.optimizer
        if (compiled, optimizer, config.version()) != self._built_for:
            if compiled.trained and not self._own:
                optimizer.build(compiled.trained)
            self._built_for = compiled, optimizer, config.version()
        run_step = self._function.function if holds_sparse(x) else self._function
        on_host = compiled.metrics_on_host
        if optimizer.scheduled:
            with optimizer.driven() as before_step:
                before_step()
                outputs = run_step(x, y, weight, rows, on_host)
        else:
            outputs = run_step(x, y, weight, rows, on_host)
        if outputs is None or self._own:
            return outputs
        model._update_metrics(compiled, *outputs)
        return None


def step_on_arrays(model: Any, phase: str) -> BatchStep:
    """Return the function (x, y, weight, rows) that does one step, recorded where it can be."""
    kept = _kept.setdefault(model, {})
    found = kept.get(phase)
    if found is None:
        found = kept[phase] = BatchStep(model, phase)
    return found


_kept: weakref.WeakKeyDictionary[Any, dict[str, BatchStep]] = weakref.WeakKeyDictionary()
_functions: weakref.WeakKeyDictionary[Any, dict[str, Function]] = weakref.WeakKeyDictionary()


def step_function(
    model: Any,
    name: str,
    f: Callable[..., Any],
    on_failure: Callable[[str, str], bool] | None = None,
) -> Function:
    """Return the recorded form of f(model, ...), kept with the model under a name."""
    kept = _functions.setdefault(model, {})
    found = kept.get(name)
    if found is None:
        weak = weakref.ref(model)
        found = kept[name] = Function(lambda *args: f(weak(), *args), on_failure=on_failure)
        found.__qualname__ = f"{name} of {model.name!r}"  # type: ignore[attr-defined]
    return found
