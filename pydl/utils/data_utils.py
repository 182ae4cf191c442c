"""Batches made by number, and files kept on this machine."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from pydl import check


class Sequence:
    """Batches by number: a subclass says how many there are, and makes each.

    `fit`, `evaluate` and `predict` take such objects, and any other with these methods.

    Args:
        workers, use_multiprocessing, max_queue_size: Accepted; batches are made as they are used.

    >>> class Squares(Sequence):
    ...     def __len__(self):
    ...         return 3
    ...     def __getitem__(self, index):
    ...         x = np.arange(4.0).reshape(4, 1) + 4 * index
    ...         return x, x**2
    >>> import numpy as np
    >>> [float(x.sum()) for x, y in Squares()]
    [6.0, 22.0, 38.0]
    """

    def __init__(
        self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10
    ) -> None:
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __len__(self) -> int:
        """Return the number of batches."""
        raise NotImplementedError(f"{type(self).__name__} must implement __len__(self)")

    def __getitem__(self, index: int) -> Any:
        """Return batch `index`: (x, y) or (x, y, sample_weight)."""
        raise NotImplementedError(f"{type(self).__name__} must implement __getitem__(self, index)")

    def __iter__(self) -> Any:
        """Yield the batches of an epoch."""
        return (self[i] for i in range(len(self)))

    def on_epoch_end(self) -> None:
        """Run after each epoch, for example to shuffle."""


PyDataset = Sequence  # the name in Keras 3


def get_file(
    fname: str | Path,
    origin: str | None = None,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    cache_dir: str | Path | None = None,
) -> str:
    """The path of a file on this machine; nothing is downloaded.

    Looked for at `fname` in the folder that the environment variable PYDL_DATA_DIR names, then in
    `cache_subdir` of the cache folder.

    Args:
        fname: Name of the file, or its whole path.
        origin: Its address on the net, for the error text.
        md5_hash: The same as `file_hash`.
        file_hash: What the MD5 or SHA-256 hash of the file must be.
        cache_subdir: Folder inside the cache folder.
        hash_algorithm: 'md5', 'sha256', or 'auto': by the length of the hash.
        cache_dir: The cache folder; None: the user's cache folder for pydl.

    Raises:
        FileNotFoundError: There is none; the text says where to put it.
        ValueError: It has another hash.
    """
    check.choice("get_file", "hash_algorithm", hash_algorithm, ("auto", "md5", "sha256"))
    places = []
    folder = os.environ.get("PYDL_DATA_DIR")
    if folder and cache_dir is None:
        places.append(Path(folder, fname))
    if cache_dir is None:
        import pooch  # type: ignore[import-untyped]

        cache_dir = pooch.os_cache("pydl")
    places.append(Path(cache_dir).expanduser() / cache_subdir / fname)
    found = next((place for place in places if place.exists()), None)
    if found is None:
        of = f" of {origin}" if origin else ""
        raise FileNotFoundError(
            f"get_file: {str(fname)!r} is not on this machine; put a copy{of} at {places[-1]}, or "
            "in a folder that the environment variable PYDL_DATA_DIR names"
        )
    wanted = file_hash or md5_hash
    if wanted:
        md5 = hash_algorithm == "md5" or (hash_algorithm == "auto" and len(wanted) == 32)
        data = found.read_bytes()
        digest = hashlib.md5(data, usedforsecurity=False) if md5 else hashlib.sha256(data)
        if digest.hexdigest() != wanted.lower():
            raise ValueError(
                f"get_file: the {digest.name} hash of {found} must be {wanted}, got "
                f"{digest.hexdigest()}; the file is damaged or another one"
            )
    return str(found)
