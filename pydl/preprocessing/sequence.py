"""The name under which scripts for Keras 2 import `pad_sequences`."""

from __future__ import annotations

from pydl.utils.sequences import pad_sequences

__all__ = ["pad_sequences"]
