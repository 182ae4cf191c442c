"""Layers, with Keras's names, defaults, weight shapes and order of weights."""

from pydl.layers.base import Layer, deserialize
from pydl.layers.core import (
    ELU,
    Activation,
    Dense,
    Flatten,
    Identity,
    Input,
    InputLayer,
    LeakyReLU,
    PReLU,
    ReLU,
    Reshape,
    Softmax,
)
from pydl.layers.norm import BatchNormalization
from pydl.layers.regularization import Dropout
from pydl.registry import serialize

__all__ = [
    "ELU",
    "Activation",
    "BatchNormalization",
    "Dense",
    "Dropout",
    "Flatten",
    "Identity",
    "Input",
    "InputLayer",
    "Layer",
    "LeakyReLU",
    "PReLU",
    "ReLU",
    "Reshape",
    "Softmax",
    "deserialize",
    "serialize",
]
