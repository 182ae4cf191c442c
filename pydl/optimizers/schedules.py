"""Learning rates that follow the number of steps, counted from 0."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pydl.registry import Configurable, Registry

_registry: Registry[Any] = Registry("learning rate schedule")


def _positive(owner: Any, **values: float) -> None:
    """Raise ValueError unless every value is above 0."""
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{type(owner).__name__}: {name} must be positive, got {value!r}")


class LearningRateSchedule(Configurable):
    """Base of the schedules: subclasses implement `__call__(step)`, returning the rate."""

    def __call__(self, step: Any) -> float:
        """Return the learning rate of the step that follows `step` others."""
        raise NotImplementedError(f"{type(self).__name__} must implement __call__(step)")

    @staticmethod
    def from_dict(config: Mapping[str, Any] | str) -> LearningRateSchedule:
        """Return the schedule for {"class_name": ..., "config": ...}, or the function named."""
        return _registry.get(config)


_registry.base = LearningRateSchedule


@_registry.add("exponential_decay")
class ExponentialDecay(LearningRateSchedule):
    """initial_learning_rate * decay_rate ** (step / decay_steps).

    Args:
        initial_learning_rate: The first rate.
        decay_steps: Steps in which the rate falls by the factor decay_rate.
        decay_rate: That factor.
        staircase: Round step / decay_steps down.

    >>> ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)(20)
    0.025
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str | None = None,
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name
        _positive(self, decay_steps=decay_steps)

    def __call__(self, step: Any) -> float:
        x = float(step) / self.decay_steps
        x = math.floor(x) if self.staircase else x
        return self.initial_learning_rate * self.decay_rate**x


@_registry.add("piecewise_constant_decay")
class PiecewiseConstantDecay(LearningRateSchedule):
    """values[0] up to and including step boundaries[0], then values[1] up to boundaries[1], ...

    Args:
        boundaries: Increasing step numbers.
        values: Rates, one more than boundaries.

    Raises:
        ValueError: The numbers of boundaries and values do not fit.

    >>> rate = PiecewiseConstantDecay([10, 20], [0.1, 0.01, 0.001])
    >>> rate(10), rate(11), rate(99)
    (0.1, 0.01, 0.001)
    """

    def __init__(
        self, boundaries: Sequence[float], values: Sequence[float], name: str | None = None
    ) -> None:
        if len(boundaries) + 1 != len(values):
            raise ValueError(
                f"PiecewiseConstantDecay: {len(boundaries)} boundaries need "
                f"{len(boundaries) + 1} values, got {len(values)}"
            )
        self.boundaries = list(boundaries)
        self.values = list(values)
        self.name = name

    def __call__(self, step: Any) -> float:
        return self.values[sum(float(step) > boundary for boundary in self.boundaries)]


@_registry.add("polynomial_decay")
class PolynomialDecay(LearningRateSchedule):
    """(initial - end) * (1 - step / decay_steps) ** power + end, and end after decay_steps.

    Args:
        initial_learning_rate: The first rate.
        decay_steps: Steps until the end rate.
        end_learning_rate: The last rate.
        power: Exponent; 1 is a straight line.
        cycle: Start again over 2, 3, ... times decay_steps rather than stay at the end.

    >>> PolynomialDecay(0.1, decay_steps=10, end_learning_rate=0.0)(5)
    0.05
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str | None = None,
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name
        _positive(self, decay_steps=decay_steps)

    def __call__(self, step: Any) -> float:
        steps = self.decay_steps
        if self.cycle:
            steps *= max(1, math.ceil(float(step) / steps))
        left = 1 - min(float(step), steps) / steps
        span = self.initial_learning_rate - self.end_learning_rate
        return span * left**self.power + self.end_learning_rate


@_registry.add("inverse_time_decay")
class InverseTimeDecay(LearningRateSchedule):
    """initial_learning_rate / (1 + decay_rate * step / decay_steps).

    Args:
        initial_learning_rate: The first rate.
        decay_steps: Steps that count as one.
        decay_rate: Growth of the divisor.
        staircase: Round step / decay_steps down.

    >>> InverseTimeDecay(0.1, decay_steps=1, decay_rate=0.5)(2)
    0.05
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str | None = None,
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name
        _positive(self, decay_steps=decay_steps)

    def __call__(self, step: Any) -> float:
        x = float(step) / self.decay_steps
        return self.initial_learning_rate / (
            1 + self.decay_rate * (math.floor(x) if self.staircase else x)
        )


def _half_cosine(fraction: float, alpha: float) -> float:
    """Return (1 - alpha) (1 + cos(pi fraction)) / 2 + alpha."""
    return (1 - alpha) * 0.5 * (1 + math.cos(math.pi * fraction)) + alpha


@_registry.add("cosine_decay")
class CosineDecay(LearningRateSchedule):
    """rate * ((1 - alpha) (1 + cos(pi step / decay_steps)) / 2 + alpha), after a linear warm-up.

    Args:
        initial_learning_rate: The first rate.
        decay_steps: Steps of the decay.
        alpha: The end, as a share of the highest rate.
        warmup_target: The highest rate, reached after warmup_steps; None: no warm-up.
        warmup_steps: Steps of the warm-up.

    Source: Loshchilov and Hutter 2016, "SGDR: stochastic gradient descent with warm restarts".

    >>> CosineDecay(0.1, decay_steps=10)(5)
    0.05
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str | None = None,
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps
        _positive(self, decay_steps=decay_steps)

    def __call__(self, step: Any) -> float:
        x = float(step)
        top = self.initial_learning_rate
        if self.warmup_target is not None:
            if x < self.warmup_steps:
                return top + (self.warmup_target - top) * x / self.warmup_steps
            top = self.warmup_target
            x -= self.warmup_steps
        return top * _half_cosine(min(x, self.decay_steps) / self.decay_steps, self.alpha)


@_registry.add("cosine_decay_restarts")
class CosineDecayRestarts(LearningRateSchedule):
    """Cosine decays one after the other, each t_mul times as long and m_mul times as high.

    Args:
        initial_learning_rate: The first rate.
        first_decay_steps: Steps of the first decay.
        t_mul: Growth of the lengths.
        m_mul: Growth of the heights.
        alpha: The end of each, as a share of the initial rate.

    Source: Loshchilov and Hutter 2016, "SGDR: stochastic gradient descent with warm restarts".

    >>> rate = CosineDecayRestarts(0.1, first_decay_steps=10)
    >>> rate(5), rate(10), rate(20)
    (0.05, 0.1, 0.05)
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str | None = None,
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = first_decay_steps
        self.t_mul = t_mul
        self.m_mul = m_mul
        self.alpha = alpha
        self.name = name
        _positive(self, first_decay_steps=first_decay_steps, t_mul=t_mul)

    def __call__(self, step: Any) -> float:
        x = float(step) / self.first_decay_steps
        if self.t_mul == 1.0:
            restarts = math.floor(x)
            fraction = x - restarts
        else:
            restarts = math.floor(math.log(1 - x * (1 - self.t_mul), self.t_mul) + 1e-12)
            begin = (1 - self.t_mul**restarts) / (1 - self.t_mul)
            fraction = (x - begin) / self.t_mul**restarts
        height = (1 - self.alpha) * self.m_mul**restarts
        return self.initial_learning_rate * (
            0.5 * height * (1 + math.cos(math.pi * fraction)) + self.alpha
        )
