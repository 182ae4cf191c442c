"""Models: Sequential, functional ones, and Model for subclasses; all train with compile and fit."""

from pydl.models.base import Model
from pydl.models.functional import Functional
from pydl.models.sequential import Sequential
from pydl.models.steps import unpack_x_y_sample_weight
from pydl.saving.models import clone_model, load_model, model_from_json, save_model

__all__ = [
    "Functional",
    "Model",
    "Sequential",
    "clone_model",
    "load_model",
    "model_from_json",
    "save_model",
    "unpack_x_y_sample_weight",
]
