"""Warnings that show the line of the user's code, however deep inside pydl they arise."""

from __future__ import annotations

import os
import sys
import warnings

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


def _depth() -> int:
    """How many frames the innermost code outside of pydl lies above the caller."""
    depth = 1
    frame = sys._getframe(depth)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
        depth += 1
    return depth - 1


def user_line() -> str:
    """File and line of the innermost code outside of pydl."""
    frame = sys._getframe(_depth())
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def warn(message: str) -> None:
    """Give a UserWarning that shows that line."""
    warnings.warn(message, stacklevel=_depth() + 1)
