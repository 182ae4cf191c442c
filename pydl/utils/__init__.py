"""Helpers around a model: labels, normalisation, bags of words."""

from __future__ import annotations

from pydl.random import set_random_seed
from pydl.utils import np_utils
from pydl.utils.numerical import multi_hot, normalize, to_categorical

__all__ = ["multi_hot", "normalize", "np_utils", "set_random_seed", "to_categorical"]
