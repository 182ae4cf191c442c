"""Models: Sequential, and Model for subclasses; both train with compile and fit."""

from pydl.models.base import Model
from pydl.models.sequential import Sequential
from pydl.models.steps import unpack_x_y_sample_weight

__all__ = ["Model", "Sequential", "unpack_x_y_sample_weight"]
