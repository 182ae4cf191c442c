"""Saving and loading: one safetensors file a model, whole at any moment, nothing executed."""

from pydl.registry import custom_object_scope, get_custom_objects, register_keras_serializable
from pydl.saving.models import load_model, save_model

__all__ = [
    "custom_object_scope",
    "get_custom_objects",
    "load_model",
    "register_keras_serializable",
    "save_model",
]
