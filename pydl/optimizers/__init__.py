"""Optimizers: they change weights by their gradients."""

from pydl.optimizers import schedules
from pydl.optimizers.adam import Adam, Adamax, AdamW, Lion, Nadam
from pydl.optimizers.base import Optimizer, get
from pydl.optimizers.base import serialize_optimizer as serialize
from pydl.optimizers.rmsprop import Adadelta, Adagrad, RMSprop
from pydl.optimizers.sgd import SGD

deserialize = get

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]
