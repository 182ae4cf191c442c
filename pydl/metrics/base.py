"""Metric: a value accumulated over batches, in float64 and outside the graph of gradients."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from pydl import _core, initializers, losses, ops
from pydl import config as settings
from pydl.autograd import no_grad
from pydl.losses.base import fit_weights
from pydl.losses.functions import as_samples, as_tensor
from pydl.ops.promote import FLOATS
from pydl.registry import Configurable, Registry, snake_case
from pydl.tensor import Tensor, Variable, constant, host_read, wrap

registry: Registry[Any] = Registry("metric")
Self = TypeVar("Self", bound="MeanMetricWrapper")
_NOTHING = np.zeros(2)  # the total and the count of no batches


class _Reading(threading.local):
    """How one thread reads metrics."""

    as_tensors = False


_reading = _Reading()


@contextlib.contextmanager
def results_as_tensors() -> Iterator[None]:
    """Let recorded steps compute results: for logs, of which nobody asks the type.

    Elsewhere a result is a number, which ends the recording.
    """
    before, _reading.as_tensors = _reading.as_tensors, True
    try:
        yield
    finally:
        _reading.as_tensors = before


class Metric(Configurable):
    """Base of the metrics: `update_state` accumulates, `result` reads, `reset_state` starts again.

    Args:
        name: Name; None makes one from the class.
        dtype: Float type of the state that `add_variable` makes.

    >>> class Largest(Metric):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.value = self.add_variable((), "zeros", name="value")
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self.value.assign(max(self.value.item(), y_pred.max().item()))
    ...     def result(self):
    ...         return self.value.item()
    >>> Largest()([0.0], Tensor([3.0]))
    3.0
    """

    _unrecorded = frozenset({"_in_plan"})
    _in_plan = False  # a plan has recorded an update

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        self.name: str = name or snake_case(type(self).__name__)
        self.dtype = dtype
        self._variables: list[tuple[Variable, np.ndarray]] = []  # with the initial values

    def __setattr__(self, name: str, value: Any) -> None:
        if self._in_plan or _core.recording_plan():
            if hasattr(self, name) and name not in self._unrecorded:
                settings.changed()
        object.__setattr__(self, name, value)

    @property
    def in_plans(self) -> bool:
        """Whether recorded steps may update it; of the user's own code that is tried."""
        return not type(self).update_state.__module__.startswith("pydl.")

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Add a batch: `update_state(y_true, y_pred, sample_weight=None)`."""
        raise NotImplementedError(f"{type(self).__name__} must implement update_state")

    def result(self) -> Any:
        """Return the value over all batches since the last reset."""
        raise NotImplementedError(f"{type(self).__name__} must implement result")

    def reset_state(self) -> None:
        """Forget all batches."""
        for variable, initial in self._variables:
            variable.assign(initial)

    def add_variable(
        self,
        shape: Sequence[int] = (),
        initializer: Any = "zeros",
        dtype: Any = None,
        name: str | None = None,
    ) -> Variable:
        """Return a Variable that `reset_state` sets back to its initial value."""
        value = initializers.get(initializer)(shape, dtype or self.dtype)  # type: ignore[misc]
        variable = Variable(value, trainable=False, name=name)
        self._variables.append((variable, np.array(variable.numpy())))
        return variable

    def add_weight(self, *args: Any, **kwargs: Any) -> Variable:
        """The same as `add_variable`."""
        return self.add_variable(*args, **kwargs)

    @property
    def variables(self) -> list[Variable]:
        """The Variables made by `add_variable`."""
        return [variable for variable, _ in self._variables]

    def get_state(self) -> dict[str, Any]:
        """Return what the batches left: Variables, and attributes that are numbers or arrays."""
        kinds = (int, float, np.ndarray, tuple, type(None))
        found = {name: value for name, value in vars(self).items() if isinstance(value, kinds)}
        return {**found, "_variables": [variable.data for variable in self.variables]}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` returned."""
        for variable, value in zip(self.variables, state["_variables"], strict=True):
            variable.assign(value)
        for name in set(state) & set(vars(self)) - {"_variables"}:
            value, now = state[name], getattr(self, name)
            if isinstance(now, np.ndarray) and np.shape(value) == now.shape:
                now[...] = value  # recorded steps know this array
            elif hasattr(now, "_fields"):
                setattr(self, name, type(now)(*value))
            elif isinstance(now, tuple):
                setattr(self, name, tuple(value))
            else:
                setattr(self, name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch and return the value over all batches."""
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments as plain data, so that `from_config` makes a copy."""
        return self._read_config(strict=type(self).get_config is Metric.get_config)


registry.base = Metric


def _as_floats(value: Any) -> Tensor:
    """Return a Tensor, array or number as a Tensor of floats; float64 where it was of no Tensor."""
    if isinstance(value, Tensor) and value.dtype.kind == "f":
        return value
    array = value.data if isinstance(value, Tensor) else np.asarray(value)
    return wrap(array if array.dtype in FLOATS else array.astype(np.float64))


def to_array(value: Any) -> np.ndarray:
    """Return a Tensor, array or number as an array."""
    return value.numpy() if isinstance(value, Tensor) else np.asarray(value)


def weights_for(sample_weight: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return weights in float64, spread over per-sample values of `shape`."""
    weights = fit_weights(as_tensor(to_array(sample_weight).astype(np.float64)), shape)
    return np.broadcast_to(weights.numpy(), shape)


@registry.add("sum")
class Sum(Metric):
    """Sum of all values, weighted.

    >>> Sum()([1.0, 2.0])
    3.0
    """

    def __init__(self, name: str | None = "sum", dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.total = 0.0

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        array = to_array(values)
        if sample_weight is not None:
            array = array * weights_for(sample_weight, array.shape)
        self.total += float(array.sum(dtype=np.float64))

    def result(self) -> float:
        host_read("Metric.result")
        return self.total

    def reset_state(self) -> None:
        self.total = 0.0


class _Average(Metric):
    """A weighted mean of values: sum(w v) / sum(w); 0 before the first."""

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self._state = constant(np.zeros(2))  # total and count, which kernels add to

    @property
    def total(self) -> float:
        """sum(w v) since the last reset."""
        host_read("Metric.total")
        return float(self._state[0])

    @property
    def count(self) -> float:
        """sum(w) since the last reset."""
        host_read("Metric.count")
        return float(self._state[1])

    in_plans = True

    def _add(self, values: Any, sample_weight: Any, factor: float = 1.0) -> None:
        """Add values to the mean; `factor` multiplies all weights."""
        tensor = _as_floats(values)
        weights = None
        if sample_weight is not None:
            fitting = fit_weights(_as_floats(sample_weight), tensor.shape)
            weights = np.broadcast_to(fitting.data, tensor.shape)
        _core.add_to_mean(tensor.data, weights, factor, self._state)

    def result(self) -> Any:
        if _reading.as_tensors and _core.recording_plan():
            total, count = wrap(self._state[0:1]).reshape(()), wrap(self._state[1:2]).reshape(())
            return ops.where(count != 0, total / count, 0.0)
        host_read("Metric.result")
        total, count = self._state
        return float(total / count) if count else 0.0

    def reset_state(self) -> None:
        _core.copy(_NOTHING, self._state)


@registry.add("mean")
class Mean(_Average):
    """Mean of all values: sum(w v) / sum(w); 0 before the first.

    >>> mean = Mean()
    >>> mean.update_state([1.0, 2.0])
    >>> mean([6.0])
    3.0
    """

    def __init__(self, name: str | None = "mean", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        self._add(values, sample_weight)


class MeanMetricWrapper(_Average):
    """Mean of a function (y_true, y_pred) -> values per sample.

    Args:
        fn: The function.
        name: Name; None takes the function's.
        dtype: See `Metric`.
        **kwargs: Passed to `fn`.

    >>> from pydl import ops
    >>> MeanMetricWrapper(lambda t, p: ops.abs(t - p), "distance")([1.0], Tensor([3.0]))
    2.0
    """

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", type(fn).__name__), dtype)
        self.fn = fn
        self._kwargs = kwargs

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        with no_grad():
            y_true, y_pred = as_samples(self.fn, y_true, y_pred)
            values = self.fn(y_true, y_pred, **self._kwargs)
        self._add(values, sample_weight)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments as plain data, so that `from_config` makes a copy."""
        return {**super().get_config(), **self._kwargs}

    @classmethod
    def from_config(cls: type[Self], config: dict[str, Any]) -> Self:
        """Return a new object made with the arguments in `config`."""
        fn = config.get("fn")
        if isinstance(fn, Mapping):  # a loss
            return cls(**{**config, "fn": losses.get(fn).call})
        return cls(**config if fn is None else {**config, "fn": registry.function(fn)})


registry.register(MeanMetricWrapper, "MeanMetricWrapper", listed=False)


class NamedMetric(MeanMetricWrapper):
    """Mean of the class's own function, with the arguments that `options` names."""

    function: Callable[..., Any]
    options: tuple[str, ...] = ()

    def __init__(self, name: str | None = None, dtype: Any = None, **options: Any) -> None:
        for option, value in options.items():
            setattr(self, option, value)
        super().__init__(
            type(self).function, name or snake_case(type(self).__name__), dtype, **options
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments as plain data, so that `from_config` makes a copy."""
        return {"name": self.name, "dtype": self.dtype, **self._kwargs}
