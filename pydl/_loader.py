"""Loads the extension, or says why it is not there.

In a source folder the extension is missing. Where Python finds that folder first (it was started
there), the extension of the installed package serves.
"""

from __future__ import annotations

import os

import pydl

_folder = os.path.dirname(os.path.abspath(__file__))
_in_source_folder = not any(name.startswith("_core.cpython") for name in os.listdir(_folder))
if _in_source_folder:
    import pkgutil

    pydl.__path__ = pkgutil.extend_path(pydl.__path__, "pydl")

try:
    from pydl import _core  # noqa: F401
except ImportError as error:
    if not _in_source_folder:
        raise
    raise ImportError(
        f"pydl: the extension is not built, and Python found the source folder {_folder} first; "
        "install the package: pip install ."
    ) from error
