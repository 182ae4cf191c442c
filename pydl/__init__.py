"""pydl: deep learning on the CPU, with Keras's names and NumPy's feel."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pydl import _loader  # isort: skip  (before anything that imports _core)
from pydl import _core, autograd, config, sparse
from pydl.autograd import no_grad
from pydl.config import show_config
from pydl.function import function
from pydl.ops import *  # noqa: F403
from pydl.ops import __all__ as _ops
from pydl.sparse import SparseTensor
from pydl.tape import GradientTape, grad, value_and_grad
from pydl.tensor import Tensor, Variable, is_tensor, tensor

if TYPE_CHECKING:
    from pydl import (
        activations,
        backend,
        callbacks,
        constraints,
        datasets,
        initializers,
        layers,
        losses,
        metrics,
        models,
        optimizers,
        preprocessing,
        random,
        regularizers,
        saving,
        tensorboard,
        testing,
        utils,
    )
    from pydl.layers import Input, Layer
    from pydl.models import Model, Sequential

__version__: str = _core.version

# Loaded when first used, so that `import pydl` stays quick: module, or the module that holds it.
_LAZY: dict[str, str | None] = {
    "activations": None,
    "backend": None,
    "callbacks": None,
    "constraints": None,
    "datasets": None,
    "initializers": None,
    "layers": None,
    "losses": None,
    "metrics": None,
    "models": None,
    "optimizers": None,
    "preprocessing": None,
    "random": None,
    "regularizers": None,
    "saving": None,
    "tensorboard": None,
    "testing": None,
    "utils": None,
    "Input": "layers",
    "Layer": "layers",
    "Model": "models",
    "Sequential": "models",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'pydl' has no attribute {name!r}")
    holder = _LAZY[name]
    module = importlib.import_module(f"pydl.{holder or name}")
    value = module if holder is None else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


def isa() -> str:
    """The instruction set of the kernels in use: 'v2', 'v3', 'v4' (x86-64 levels) or 'neon'."""
    return _core.isa


__all__ = [
    "GradientTape",
    "Input",
    "Layer",
    "Model",
    "Sequential",
    "SparseTensor",
    "Tensor",
    "Variable",
    "activations",
    "autograd",
    "backend",
    "callbacks",
    "config",
    "constraints",
    "datasets",
    "function",
    "grad",
    "initializers",
    "is_tensor",
    "isa",
    "layers",
    "losses",
    "metrics",
    "models",
    "no_grad",
    "optimizers",
    "preprocessing",
    "random",
    "regularizers",
    "saving",
    "show_config",
    "sparse",
    "tensor",
    "tensorboard",
    "testing",
    "utils",
    "value_and_grad",
    *_ops,
]
