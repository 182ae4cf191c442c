"""Adam and its relatives: running means of the gradient and of its size."""

from __future__ import annotations

from typing import Any, ClassVar

from pydl.optimizers.base import Optimizer, registry
from pydl.optimizers.settings import Flag, Setting
from pydl.tensor import Variable


class _TwoBetas(Optimizer):
    """What the family shares: beta_1, beta_2 and epsilon."""

    beta_1 = Setting("beta_1", 0, 1, open_end=True)
    beta_2 = Setting("beta_2", 0, 1, open_end=True)
    epsilon = Setting("epsilon")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, **common)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon


@registry.add("adam")
class Adam(_TwoBetas):
    """m += (1 - b1) (g - m); v += (1 - b2) (g^2 - v);
    w -= lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + epsilon), with t the step from 1.

    Args:
        learning_rate: lr.
        beta_1: b1, in [0, 1).
        beta_2: b2, in [0, 1).
        epsilon: Outside the root.
        amsgrad: Use the largest v so far.
        **common: See `Optimizer`.

    Source: Kingma and Ba 2014, "Adam: a method for stochastic optimization"; amsgrad: Reddi et al.
    2018, "On the convergence of Adam and beyond".

    >>> import pydl
    >>> w = pydl.Variable([1.0, 1.0])
    >>> Adam(learning_rate=0.5).apply_gradients([(pydl.tensor([50.0, -100.0]), w)])
    >>> w
    Variable([0.5, 1.5], requires_grad=True)
    """

    slot_names: ClassVar = {
        "adam": ("momentum", "velocity"),
        "amsgrad": ("momentum", "velocity", "velocity_hat"),
    }

    amsgrad = Flag()

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **common)
        self.amsgrad = amsgrad

    @property
    def rule(self) -> str:
        """Name of the kernel's update rule."""
        return "amsgrad" if self.amsgrad else "adam"


@registry.add("adamw")
class AdamW(Adam):
    """Adam with decoupled weight decay, w -= lr weight_decay w before each update.

    Args:
        learning_rate: lr.
        weight_decay: Default 0.004.
        **common: See `Adam` and `Optimizer`.

    Source: Loshchilov and Hutter 2019, "Decoupled weight decay regularization".
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float | None = 0.004,
        *args: Any,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, *args, weight_decay=weight_decay, **common)


@registry.add("adamax")
class Adamax(_TwoBetas):
    """m += (1 - b1) (g - m); u = max(b2 u, abs(g)); w -= lr m / ((1 - b1^t) (u + epsilon)).

    Args:
        learning_rate: lr.
        beta_1: b1, in [0, 1).
        beta_2: b2, in [0, 1).
        epsilon: Added to u.
        **common: See `Optimizer`.

    Source: Kingma and Ba 2014, section 7.
    """

    slot_names: ClassVar = {"adamax": ("momentum", "norm")}


@registry.add("nadam")
class Nadam(_TwoBetas):
    """Adam with Nesterov momentum: w -= lr mhat / (sqrt(v / (1 - b2^t)) + epsilon), where
    mu_t = b1 (1 - 0.5 * 0.96^t) and mhat = mu_{t+1} m / (1 - mu_1 ... mu_{t+1})
    + (1 - mu_t) g / (1 - mu_1 ... mu_t).

    Args:
        learning_rate: lr.
        beta_1: b1, in [0, 1).
        beta_2: b2, in [0, 1).
        epsilon: Outside the root.
        **common: See `Optimizer`.

    Source: Dozat 2016, "Incorporating Nesterov momentum into Adam".
    """

    slot_names: ClassVar = {"nadam": ("momentum", "velocity")}

    def __init__(self, *args: Any, **common: Any) -> None:
        super().__init__(*args, **common)
        self._momentum_product = self._numbers.variable("momentum_product", "float64")

    @property
    def variables(self) -> list[Variable]:
        """The state: iterations, learning rate, product of the momenta, then the slots."""
        first, rate, *slots = super().variables
        return [first, rate, self._momentum_product, *slots]


@registry.add("lion")
class Lion(Optimizer):
    """w -= lr sign(b1 m + (1 - b1) g); m = b2 m + (1 - b2) g.

    Args:
        learning_rate: lr.
        beta_1: b1, in [0, 1].
        beta_2: b2, in [0, 1].
        **common: See `Optimizer`.

    Source: Chen et al. 2023, "Symbolic discovery of optimization algorithms".
    """

    slot_names: ClassVar = {"lion": ("momentum",)}

    beta_1 = Setting("beta_1", 0, 1)
    beta_2 = Setting("beta_2", 0, 1)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, **common)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
