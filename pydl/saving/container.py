"""The file: safetensors, with the plain part as JSON in its metadata, and a checksum of both.

Any reader of safetensors finds the arrays by name. The file is written here, through one
descriptor that is locked, synced and renamed, and read by the `safetensors` package, whose checks
of sizes and offsets come before anything is made of the bytes.
"""

from __future__ import annotations

import errno
import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pydl import _core
from pydl.saving.files import checked_path, replace_file

FORMAT_VERSION = 1
_HEADER_LIMIT = 100_000_000  # of the safetensors package
_DTYPES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "int64": "I64", "int32": "I32",
    "int16": "I16", "int8": "I8", "uint64": "U64", "uint32": "U32", "uint16": "U16",
    "uint8": "U8", "bool": "BOOL",
}  # fmt: skip


def write(who: str, path: Any, content: Mapping[str, Any], tensors: Mapping[str, Any]) -> None:
    """Write plain data and arrays to a file.

    Raises:
        ValueError: The ending of the path is that of another format, or the plain data are too
            long.
        TypeError: An array of a dtype that the format lacks.
        OSError: See `replace_file`.
    """
    target = checked_path(who, path)
    # Wide numbers first, so that all of them are aligned.
    names = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    arrays = {}
    for name in names:
        array = tensors[name]
        if array.dtype.name not in _DTYPES:
            raise TypeError(f"{who}: {name} has dtype {array.dtype}, which cannot be saved")
        little = array.dtype.newbyteorder("<")
        arrays[name] = np.ascontiguousarray(array, little).reshape(array.shape)
    text = json.dumps(content, separators=(",", ":"))
    header: dict[str, Any] = {
        "__metadata__": {
            "format": "pydl",
            "format_version": str(FORMAT_VERSION),
            "pydl_version": _core.version,
            "content": text,
            "checksum": _checksum(text, arrays),
        }
    }
    offset = 0
    for name, array in arrays.items():
        header[name] = {
            "dtype": _DTYPES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    head = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    head += b" " * (-len(head) % 8)
    if len(head) > _HEADER_LIMIT:
        raise ValueError(
            f"{who}: the configuration takes {len(head):,} bytes, more than {_HEADER_LIMIT:,}; "
            "is a large array an argument of a layer or initializer?"
        )
    chunks = [len(head).to_bytes(8, "little"), head, *map(_bytes, arrays.values())]
    replace_file(who, target, chunks)


def read(who: str, path: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the plain data and the arrays of a file that `write` made.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, was not made by pydl, or by a later version.
    """
    source = checked_path(who, path)
    if not source.exists():
        raise FileNotFoundError(errno.ENOENT, f"{who}: there is no file", str(source))
    if not source.is_file():
        raise ValueError(f"{who}: {str(source)!r} is not a file")
    from safetensors import SafetensorError, safe_open  # only here: importing pydl stays quick

    try:
        with safe_open(os.fspath(source), framework="numpy") as file:
            metadata = _checked_metadata(who, source, file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, TypeError, AttributeError, KeyError) as error:
        raise _damaged(who, source, str(error)) from error
    text = metadata.get("content", "")
    if metadata.get("checksum") != _checksum(text, tensors):
        raise _damaged(who, source, "its bytes are not those that were written")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(who, source, str(error)) from error
    if not isinstance(content, dict):
        raise _damaged(who, source, "its content is no dictionary")
    return content, tensors


def _checked_metadata(who: str, path: Path, metadata: dict[str, str]) -> dict[str, str]:
    """Return the metadata of a file that this version of pydl can read."""
    if metadata.get("format") != "pydl":
        raise ValueError(
            f"{who}: {str(path)!r} is a safetensors file that pydl did not save; its arrays can be "
            "read with safetensors.numpy.load_file and given to set_weights"
        )
    version = metadata.get("format_version", "")
    if not version.isascii() or not version.isdigit() or len(version) > 9:
        raise _damaged(who, path, f"its format version is {version[:20]!r}")
    if int(version) > FORMAT_VERSION:
        raise ValueError(
            f"{who}: {str(path)!r} was saved by pydl {metadata.get('pydl_version')} in format "
            f"{version}, this is pydl {_core.version}, which reads formats up to {FORMAT_VERSION}; "
            "upgrade pydl"
        )
    return metadata


def _damaged(who: str, path: Path, what: str) -> ValueError:
    """Return the error for a file that is not as it was written."""
    return ValueError(f"{who}: {str(path)!r} is damaged, or no safetensors file: {what}")


def _bytes(array: np.ndarray) -> Any:
    """Return the memory of a contiguous array as bytes."""
    return memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]


def _checksum(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    """Return a checksum of the plain part, and of names, types, shapes and bytes of the arrays."""
    total = zlib.crc32(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        total = zlib.crc32(f"{name} {array.dtype.name} {array.shape}".encode(), total)
        total = zlib.crc32(_bytes(array), total)
    return f"crc32:{total:08x}"
