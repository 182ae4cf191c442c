"""Helpers around a model: labels, normalisation, bags of words."""

from __future__ import annotations

from pydl.random import set_random_seed
from pydl.registry import custom_object_scope, get_custom_objects, register_keras_serializable
from pydl.utils import np_utils
from pydl.utils.numerical import multi_hot, normalize, to_categorical

__all__ = [
    "custom_object_scope",
    "get_custom_objects",
    "multi_hot",
    "normalize",
    "np_utils",
    "register_keras_serializable",
    "set_random_seed",
    "to_categorical",
]
