"""Settings of the library: default dtype, fuzz factor, threads, denormals."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from pydl import _core

_floatx = "float32"
_epsilon = 1e-7
_image_data_format = "channels_last"
_version = 0


def version() -> int:
    """Grows with every change that recorded steps depend on: of settings, layers and losses."""
    return _version


def changed() -> None:
    """Notes such a change; plans recorded before do not hold any more."""
    global _version
    _version += 1
    if _core.recording_plan():
        _core.fail_recording("a setting, or an attribute of a layer or loss, changes inside")


def floatx() -> str:
    """The default float dtype, 'float32' unless changed."""
    return _floatx


def set_floatx(dtype: str) -> None:
    """Sets the default float dtype: 'float32' or 'float64'."""
    global _floatx
    if dtype not in ("float32", "float64"):
        raise ValueError(f"set_floatx: must be 'float32' or 'float64', got {dtype!r}")
    _floatx = dtype
    changed()


def epsilon() -> float:
    """The fuzz factor that keeps logarithms and divisions finite, 1e-7 unless changed."""
    return _epsilon


def set_epsilon(value: float) -> None:
    """Sets the fuzz factor, a positive number."""
    global _epsilon
    if not value > 0:
        raise ValueError(f"set_epsilon: must be positive, got {value}")
    _epsilon = float(value)
    changed()


def image_data_format() -> str:
    """Layout of image batches: always 'channels_last', (batch, height, width, channels)."""
    return _image_data_format


def set_image_data_format(data_format: str) -> None:
    """Accepts 'channels_last'; ValueError for another layout."""
    if data_format != "channels_last":
        raise ValueError(
            f"set_image_data_format: only 'channels_last' is supported, got {data_format!r}"
        )


def get_num_threads() -> int:
    """The number of threads that kernels use."""
    return _core.num_threads()


def set_num_threads(n: int) -> None:
    """Sets the number of threads, 1 or more. Results have the same bits for any number."""
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise ValueError(f"set_num_threads: must be a positive integer, got {n!r}")
    if n > 1024:
        raise ValueError(f"set_num_threads: at most 1024, got {n}")
    _core.set_num_threads(int(n))


def set_denormals(mode: str) -> None:
    """'flush' (default): kernels take numbers below 1.2e-38 for zero; 'keep': they do not."""
    if mode not in ("flush", "keep"):
        raise ValueError(f"set_denormals: must be 'flush' or 'keep', got {mode!r}")
    _core.set_flush_denormals(mode == "flush")


def trim_memory() -> None:
    """Hands memory that freed tensors left for reuse (at most 1 GiB) back to the system."""
    _core.trim_memory()


def build_info() -> dict[str, Any]:
    """What show_config prints, as a dictionary."""
    return {
        "pydl": _core.version,
        "isa": _core.isa,
        "isas built": _core.built_isas,
        "isas supported": _core.supported_isas,
        "threads": _core.num_threads(),
        "threading": "own pool of threads; no OpenMP",
        "denormals": "flush" if _core.flush_denormals() else "keep",
        "compiler": _core.compiler,
        "numpy": np.__version__,
        "python": sys.version.split()[0],
    }


def show_config() -> None:
    """Prints the version, the instruction set in use, threads and compiler."""
    for key, value in build_info().items():
        print(f"{key:15s} {value}")
