"""pydl: deep learning on the CPU, with Keras's names and NumPy's feel."""

from __future__ import annotations

from pydl import _loader  # isort: skip  (before anything that imports _core)
from pydl import _core, config
from pydl.autograd import GradientTape, grad, no_grad, value_and_grad
from pydl.config import show_config
from pydl.ops import *  # noqa: F403
from pydl.ops import __all__ as _ops
from pydl.tensor import Tensor, Variable, is_tensor, tensor

__version__ = _core.version


def isa() -> str:
    """The instruction set of the kernels in use: 'v2', 'v3', 'v4' (x86-64 levels) or 'neon'."""
    return _core.isa


__all__ = [
    "GradientTape",
    "Tensor",
    "Variable",
    "grad",
    "is_tensor",
    "isa",
    "no_grad",
    "show_config",
    "tensor",
    "value_and_grad",
    *_ops,
]
