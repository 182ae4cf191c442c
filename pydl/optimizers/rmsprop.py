"""Rules that divide by a running size of each weight's gradient."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from pydl.optimizers.base import Optimizer, registry
from pydl.optimizers.settings import Flag, Setting, number
from pydl.tensor import Variable


@registry.add("rmsprop")
class RMSprop(Optimizer):
    """v = rho v + (1 - rho) g^2; u = lr g / sqrt(v + epsilon); w -= u.

    Args:
        learning_rate: lr.
        rho: Decay of the mean square, in [0, 1).
        momentum: Above 0: m = momentum m + u, w -= m.
        epsilon: Inside the root.
        centered: Use the variance v - a^2 in place of v, with a = rho a + (1 - rho) g.
        **common: See `Optimizer`.

    Source: Tieleman and Hinton 2012, "Lecture 6.5 - rmsprop"; centered: Graves 2013, "Generating
    sequences with recurrent neural networks".

    >>> import pydl
    >>> w = pydl.Variable([1.0, 1.0])
    >>> RMSprop(learning_rate=0.1, rho=0.75).apply_gradients([(pydl.tensor([1.0, 100.0]), w)])
    >>> w
    Variable([0.8, 0.8], requires_grad=True)
    """

    slot_names: ClassVar = {
        "rmsprop": ("velocity",),
        "rmsprop_momentum": ("velocity", "momentum"),
        "rmsprop_centered": ("velocity", "average_gradient"),
        "rmsprop_centered_momentum": ("velocity", "average_gradient", "momentum"),
    }

    rho = Setting("beta_1", 0, 1, open_end=True)
    momentum = Setting("momentum", 0, 1)
    centered = Flag()
    epsilon = Setting("epsilon")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, **common)
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered

    @property
    def rule(self) -> str:
        """Name of the kernel's update rule."""
        return (
            "rmsprop"
            + ("_centered" if self.centered else "")
            + ("_momentum" if self.momentum > 0 else "")
        )


@registry.add("adagrad")
class Adagrad(Optimizer):
    """a += g^2; w -= lr g / sqrt(a + epsilon).

    Args:
        learning_rate: lr.
        initial_accumulator_value: What a starts from.
        epsilon: Inside the root.
        **common: See `Optimizer`.

    Source: Duchi et al. 2011, "Adaptive subgradient methods for online learning and stochastic
    optimization".
    """

    slot_names: ClassVar = {"adagrad": ("accumulator",)}

    epsilon = Setting("epsilon")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, **common)
        self.initial_accumulator_value = number(
            self, "initial_accumulator_value", initial_accumulator_value
        )
        if not self.initial_accumulator_value >= 0:
            raise ValueError(
                "Adagrad: initial_accumulator_value must not be negative, "
                f"got {initial_accumulator_value}"
            )
        self.epsilon = epsilon

    def _initial_slot(self, slot: str, variable: Variable) -> np.ndarray:
        return np.full_like(variable.data, self.initial_accumulator_value)


@registry.add("adadelta")
class Adadelta(Optimizer):
    """a = rho a + (1 - rho) g^2; d = -sqrt(D + epsilon) / sqrt(a + epsilon) g;
    D = rho D + (1 - rho) d^2; w += lr d.

    Args:
        learning_rate: lr; 1.0 is the rule of the paper.
        rho: Decay of the mean squares, in [0, 1).
        epsilon: Inside the roots.
        **common: See `Optimizer`.

    Source: Zeiler 2012, "ADADELTA: an adaptive learning rate method".
    """

    slot_names: ClassVar = {"adadelta": ("accumulated_gradient", "accumulated_step")}

    rho = Setting("beta_1", 0, 1, open_end=True)
    epsilon = Setting("epsilon")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, **common)
        self.rho = rho
        self.epsilon = epsilon
