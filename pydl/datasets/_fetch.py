"""Finds, downloads and checks the files of the data sets.

A file is read once, whole, and hashed before it is parsed: the bytes that were checked are the
bytes that are parsed.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple, Union

PathLike = Union[str, "os.PathLike[str]"]

BASE_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
DATA_DIR_VARIABLE = "PYDL_DATA_DIR"


class DataFile(NamedTuple):
    """A published file. `name` is its place below a data folder."""

    name: str
    sha256: str
    pickled: bool = False

    @property
    def url(self) -> str:
        return BASE_URL + self.name.rpartition("/")[2]


def read(file: DataFile, path: PathLike | None = None) -> bytes:
    """The bytes of `file`, looked for as the package docstring says.

    A `path` other than `file.name` is a file of the user's own: it may differ from the published
    one, unless that one is pickled, since unpickling what nobody has checked is not safe.
    """
    if path is not None and not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{file.name}: path must be a str or a path, got {type(path).__name__}")
    if path is not None and os.fspath(path) != file.name:
        own = Path(path).expanduser()
        if not own.is_file():
            raise FileNotFoundError(
                f"{file.name}: path must name an existing file, got {os.fspath(path)!r}; leave "
                f"path out to look in {DATA_DIR_VARIABLE} and the cache folder, or to download"
            )
        return _checked(own, file) if file.pickled else own.read_bytes()
    folder = os.environ.get(DATA_DIR_VARIABLE)
    if folder:
        if not os.path.isdir(folder):
            raise NotADirectoryError(f"{DATA_DIR_VARIABLE} must name a folder, got {folder!r}")
        found = Path(folder, file.name)
        if found.exists():
            return _checked(found, file)
    return _checked(_cached(file), file)


def _checked(path: Path, file: DataFile) -> bytes:
    """The bytes at `path`; raises ValueError unless they are those of the published file."""
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != file.sha256:
        raise ValueError(
            f"{file.name}: the SHA-256 of {path} must be {file.sha256}, got {sha256}; the file is "
            f"damaged or not the published one: replace it with {file.url}"
        )
    return data


def _cached(file: DataFile) -> Path:
    """The path of `file` in the user's cache folder, downloaded unless it is there already."""
    import pooch  # type: ignore[import-untyped]

    path = Path(pooch.os_cache("pydl"), file.name)
    try:
        pooch.retrieve(
            file.url,
            known_hash=f"sha256:{file.sha256}",
            fname=path.name,
            path=path.parent,
            progressbar=True,
        )
    except PermissionError:  # the cache folder cannot be written; the message names it
        raise
    except OSError as error:
        raise ConnectionError(
            f"{file.name} could not be downloaded from {file.url} ({error}); get it from that "
            f"address by other means (SHA-256 {file.sha256}) and put it at {path}, or at "
            f"{file.name} in a folder that the environment variable {DATA_DIR_VARIABLE} names"
        ) from error
    return path
