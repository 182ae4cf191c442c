"""Stochastic gradient descent, with and without momentum."""

from __future__ import annotations

from typing import Any, ClassVar

from pydl.optimizers.base import Optimizer, registry
from pydl.optimizers.settings import Flag, Setting


@registry.add("sgd")
class SGD(Optimizer):
    """w -= lr g; with momentum m = momentum m - lr g, w += m; Nesterov: w += momentum m - lr g.

    Args:
        learning_rate: lr.
        momentum: In [0, 1].
        nesterov: Look ahead by the new m.
        **common: See `Optimizer`.

    Source: Sutskever et al. 2013, "On the importance of initialization and momentum in deep
    learning".

    >>> import pydl
    >>> w = pydl.Variable([1.0])
    >>> optimizer = SGD(learning_rate=0.1, momentum=0.9)
    >>> for _ in range(2):
    ...     optimizer.apply_gradients([(pydl.tensor([1.0]), w)])
    >>> w
    Variable([0.71], requires_grad=True)
    """

    slot_names: ClassVar = {"sgd": (), "momentum": ("momentum",), "nesterov": ("momentum",)}

    momentum = Setting("beta_1", 0, 1)
    nesterov = Flag()

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, **common)
        self.momentum = momentum
        self.nesterov = nesterov

    @property
    def rule(self) -> str:
        """Name of the kernel's update rule."""
        if self.momentum == 0:
            return "sgd"
        return "nesterov" if self.nesterov else "momentum"
