"""Keras's `backend`: settings under their old names, and `clear_session`."""

from __future__ import annotations

from pydl import random
from pydl.config import epsilon, floatx, image_data_format, set_epsilon, set_floatx
from pydl.config import set_image_data_format as set_image_data_format
from pydl.layers.base import layer_names, learning_phase, set_learning_phase

__all__ = [
    "clear_session",
    "epsilon",
    "floatx",
    "image_data_format",
    "learning_phase",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "set_learning_phase",
]


def clear_session() -> None:
    """Starts automatic layer names and the default random generator anew.

    Models that exist keep working.

    >>> import pydl
    >>> pydl.backend.clear_session()
    >>> pydl.layers.Dense(1).name
    'dense'
    """
    layer_names.reset()
    random.reset()
