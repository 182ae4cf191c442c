"""From texts and lists of ids to arrays: `text` and `sequence`."""

from __future__ import annotations

from pydl.preprocessing import sequence, text

__all__ = ["sequence", "text"]
