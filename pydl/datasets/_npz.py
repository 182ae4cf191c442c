"""Reads the arrays of an .npz file that is already in memory."""

from __future__ import annotations

import io
import pickle
import zipfile
import zlib
from collections.abc import Collection, Sequence
from typing import IO, Any

import numpy as np
import numpy.typing as npt


def read_npz(
    data: bytes, name: str, keys: Sequence[str], objects: Collection[str] = ()
) -> list[npt.NDArray[Any]]:
    """The arrays `keys`. Those also in `objects` are pickled: pass only data that was checked."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile as error:
        raise ValueError(f"{name}: must be an .npz archive ({error})") from error
    with archive:
        held = [member.removesuffix(".npy") for member in archive.namelist()]
        arrays = []
        for key in keys:
            if key not in held:
                raise ValueError(
                    f"{name}: must hold the arrays {', '.join(keys)}, got {', '.join(held)}"
                )
            try:
                with archive.open(f"{key}.npy") as stream:
                    if key in objects:
                        arrays.append(_read_objects(stream))
                    else:
                        arrays.append(np.lib.format.read_array(stream, allow_pickle=False))
            except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
                raise ValueError(f"{name}: cannot read the array {key!r}: {error}") from error
    return arrays


# NumPy 1 writes numpy.core, NumPy 2 numpy._core; both are read by either.
_RECONSTRUCT: Any = np.empty(0).__reduce__()[0]
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Builds NumPy arrays of lists and numbers, and calls nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise ValueError(
                f"a pickled array may hold lists and numbers only, got {module}.{name}"
            ) from None


def _read_objects(stream: IO[bytes]) -> npt.NDArray[Any]:
    """One pickled object array, in the .npy format 1.0."""
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f"the .npy version must be (1, 0), got {version}")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype != np.dtype(object):
        raise ValueError(f"dtype must be object, got {dtype}")
    array = _ArrayUnpickler(stream).load()
    if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype != dtype:
        raise ValueError(f"the pickle must hold an object array of shape {shape}")
    return array
