"""One module for each framework, with a function for each kind of case that it can do.

Such a function returns a callable that does the work once, finished when it returns, and returns
the result; or None where the framework lacks the op. `to_numpy` turns the result into an array,
`version` tells the framework's version.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Framework:
    """A module of this package and the environment that it runs in."""

    module: str
    environment: dict[str, str] = field(default_factory=dict)


FRAMEWORKS = {
    "pydl": Framework("pydl"),
    "numpy": Framework("numpy"),
    "torch": Framework("torch"),
    "jax": Framework("jax", {"JAX_PLATFORMS": "cpu"}),
    "keras": Framework("keras", {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}),
    "keras-torch": Framework("keras", {"KERAS_BACKEND": "torch"}),
    "keras-tensorflow": Framework("keras", {"KERAS_BACKEND": "tensorflow"}),
}
PEERS = ("numpy", "torch", "jax", "keras")


def load(name: str) -> ModuleType:
    """The module of a framework; ImportError where that is not installed."""
    return importlib.import_module(f"{__name__}.{FRAMEWORKS[name].module}")


def build(module: ModuleType, kind: str, args: dict[str, Any]) -> Callable[[], Any] | None:
    """The callable of one case, or None where the framework cannot do it."""
    if kind == "control":
        return control()
    function = getattr(module, kind, None)
    return None if function is None else function(**args)


def gradient(leaves: Sequence[Any], forward: Callable[[], Any], g: Any = None) -> Any:
    """The gradient of the first leaf, computed with those of the others, by `backward`."""

    def run() -> Any:
        for leaf in leaves:
            leaf.grad = None
        forward().backward(g)
        return leaves[0].grad

    return run


def control() -> Callable[[], Any]:
    """A loop of the interpreter and copies in cache and in memory, about 100 us in all."""
    small, large = np.zeros(1 << 14, np.uint8), np.zeros(1 << 20, np.uint8)

    def run() -> int:
        total = 0
        for i in range(1000):
            total += i & 3
        small.copy()
        large.copy()
        return total

    return run


def find(name: str, *places: Any, **aliases: Any) -> Any:
    """The function `name` of the first place that has it, or its alias; None if there is none."""
    if name in aliases:
        return aliases[name]
    for place in places:
        if hasattr(place, name):
            return getattr(place, name)
    return None
