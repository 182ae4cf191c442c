"""Helpers around a model: labels, sequences, bags of words, data, pictures, a progress bar."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pydl.random import set_random_seed
from pydl.registry import custom_object_scope, get_custom_objects, register_keras_serializable
from pydl.utils import np_utils
from pydl.utils.data_utils import PyDataset, Sequence, get_file
from pydl.utils.numerical import multi_hot, normalize, to_categorical
from pydl.utils.sequences import pad_sequences

if TYPE_CHECKING:
    from pydl.utils.plotting import plot_activations, plot_confusion_matrix
    from pydl.utils.progbar import Progbar
    from pydl.utils.vis_utils import model_to_dot, plot_model

# Loaded when first used: they need models.
_LAZY = {
    "Progbar": "progbar",
    "model_to_dot": "vis_utils",
    "plot_activations": "plotting",
    "plot_confusion_matrix": "plotting",
    "plot_model": "vis_utils",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY.values():
        return importlib.import_module(f"pydl.utils.{name}")
    if name not in _LAZY:
        raise AttributeError(f"module 'pydl.utils' has no attribute {name!r}")
    return getattr(importlib.import_module(f"pydl.utils.{_LAZY[name]}"), name)


__all__ = [
    "Progbar",
    "PyDataset",
    "Sequence",
    "custom_object_scope",
    "get_custom_objects",
    "get_file",
    "model_to_dot",
    "multi_hot",
    "normalize",
    "np_utils",
    "pad_sequences",
    "plot_activations",
    "plot_confusion_matrix",
    "plot_model",
    "register_keras_serializable",
    "set_random_seed",
    "to_categorical",
]
