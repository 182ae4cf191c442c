"""Plain data for JSON: arrays go to a dictionary of their own, functions become names."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

_TENSOR = "tensor:"  # the only key of a dictionary that stands for an array


def pack(who: str, value: Any, where: str, tensors: dict[str, np.ndarray] | None = None) -> Any:
    """Return numbers, strings, lists and dictionaries that JSON can hold.

    Args:
        who: Who asks, for error texts.
        value: What `registry.serialize` returned, or the state of a callback or metric.
        where: Its place, for error texts and names of arrays.
        tensors: Gets the arrays; None: they become lists.

    Raises:
        ValueError: A function that has no name.
        TypeError: Something else that cannot be saved.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [pack(who, entry, f"{where}/{i}", tensors) for i, entry in enumerate(value)]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{who}: the key {key!r} at {where} must be a string to be saved")
        return {key: pack(who, entry, f"{where}/{key}", tensors) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        if tensors is None:
            return value.tolist()
        tensors[where] = value
        return {_TENSOR: where}
    return _name(who, value, where)


def unpack(value: Any, tensors: Mapping[str, np.ndarray]) -> Any:
    """Return what `pack` was given, tuples as lists."""
    if isinstance(value, list):
        return [unpack(entry, tensors) for entry in value]
    if isinstance(value, dict):
        if set(value) == {_TENSOR}:
            return tensors[value[_TENSOR]]
        return {key: unpack(entry, tensors) for key, entry in value.items()}
    return value


def _name(who: str, value: Any, where: str) -> str:
    """Return the name that a function of the user has in a file."""
    module = getattr(value, "__module__", None) or ""
    usable = inspect.isfunction(value) and not module.startswith("pydl.")
    if usable and "<lambda>" not in value.__qualname__:
        return f"{module}>{value.__qualname__}"
    if callable(value):
        raise ValueError(
            f"{who}: {value!r} at {where} has no name that a file can hold; write it as a function "
            "with def and decorate it with @pydl.utils.register_keras_serializable(), or as a "
            "class with get_config"
        )
    raise TypeError(f"{who}: cannot save a {type(value).__name__} at {where}: {value!r}")
