"""Helpers around a model: labels, sequences, normalisation, bags of words."""

from __future__ import annotations

from pydl.random import set_random_seed
from pydl.utils import np_utils
from pydl.utils.numerical import multi_hot, normalize, to_categorical
from pydl.utils.sequences import pad_sequences

__all__ = [
    "multi_hot",
    "normalize",
    "np_utils",
    "pad_sequences",
    "set_random_seed",
    "to_categorical",
]
