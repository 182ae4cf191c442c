"""Loads the extension with the waiting policy that suits it.

libgomp reads its environment once, while it is loaded. Its default, spinning for milliseconds,
costs whole scheduler ticks on a shared machine; a short spin is nearly as fast on an idle one. The
variables are set around the import and put back, so that no child process inherits them.
"""

from __future__ import annotations

import os
import sys

_WANTED = {"GOMP_SPINCOUNT": "20000"}  # some tens of microseconds


def load() -> str:
    """Imports pydl._core; says how its threads wait."""
    ours = "OMP_WAIT_POLICY" not in os.environ and "GOMP_SPINCOUNT" not in os.environ
    loaded = any(name in sys.modules for name in ("torch", "sklearn"))
    try:
        if ours:
            os.environ.update(_WANTED)
        from pydl import _core  # noqa: F401
    finally:
        if ours:
            for name in _WANTED:
                os.environ.pop(name, None)
    if not ours:
        return "as OMP_WAIT_POLICY / GOMP_SPINCOUNT say"
    if loaded:
        return "as the library that loaded OpenMP first decided"
    return "spin some tens of microseconds, then sleep"


waiting = load()
