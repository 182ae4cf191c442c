"""Data sets, as NumPy arrays: `load_data()` gives `(x_train, y_train), (x_test, y_test)`.

`digits` is part of the package. The others are looked for at the path given, in the folder that the
environment variable PYDL_DATA_DIR names and in the user's cache folder, then downloaded from where
they are published; their SHA-256 is checked before they are read.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydl.datasets import boston_housing, digits, fashion_mnist, imdb, mnist, reuters

__all__ = ["boston_housing", "digits", "fashion_mnist", "imdb", "mnist", "reuters"]


def __getattr__(name: str) -> Any:
    """Imports a data set's module when it is first used."""
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
