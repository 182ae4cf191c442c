"""The name under which Keras 2 scripts import `to_categorical` and `normalize`."""

from __future__ import annotations

from pydl.utils.numerical import normalize, to_categorical

__all__ = ["normalize", "to_categorical"]
