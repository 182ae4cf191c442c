"""Models: Sequential, functional ones, and Model for subclasses; all train with compile and fit."""

from pydl.models.base import Model
from pydl.models.functional import Functional
from pydl.models.sequential import Sequential
from pydl.models.steps import unpack_x_y_sample_weight

__all__ = ["Functional", "Model", "Sequential", "unpack_x_y_sample_weight"]
