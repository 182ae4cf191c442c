"""Files that are whole at any moment: written beside, synced, and put in place by a rename."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_OTHER_FORMATS = (".keras", ".h5", ".hdf5")


def checked_path(who: str, path: Any) -> Path:
    """Return a path, or raise ValueError if it ends as a file of another format does."""
    try:
        found = Path(os.fspath(path))
    except TypeError:
        raise TypeError(f"{who}: expected a path, got {type(path).__name__} {path!r}") from None
    if found.suffix.lower() in _OTHER_FORMATS:
        raise ValueError(
            f"{who}: {str(path)!r} ends in {found.suffix!r}, a format of Keras that pydl does not "
            "use; use the ending '.safetensors'"
        )
    return found


def replace_file(who: str, path: Path, chunks: Iterable[Any]) -> None:
    """Write a file that holds `chunks`, buffers of bytes, in the place of the one of before.

    Whoever opens the path finds the old file or the new one, whole, also if the process is killed
    or the disk is full.

    Raises:
        OSError: The file cannot be written; the one of before is as it was.
    """
    target = Path(os.path.realpath(path))
    try:
        _remove_leftovers(target)
        descriptor, temporary = _new_file(target)
        try:
            for chunk in chunks:
                view = memoryview(chunk).cast("B")
                while view:
                    view = view[os.write(descriptor, view) :]
            with contextlib.suppress(OSError):  # no file of before, or no modes to set
                os.fchmod(descriptor, target.stat().st_mode & 0o7777)
            os.fsync(descriptor)
            os.replace(temporary, target)  # still locked, so that nobody takes it for a leftover
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        finally:
            os.close(descriptor)
        _sync_folder(target.parent)
    except OSError as error:
        hint = "; the folder must exist" if error.errno == errno.ENOENT else ""
        raise OSError(
            error.errno, f"{who}: cannot write {str(path)!r}: {error.strerror or error}{hint}"
        ) from error


def _new_file(target: Path) -> tuple[int, str]:
    """Return the descriptor and the name of a new, locked file beside the target."""
    while True:
        name = str(target.with_name(f".{target.name}.{os.urandom(4).hex()}.tmp"))
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_CLOEXEC", 0)
        descriptor = os.open(name, flags, 0o666)
        _lock(descriptor)
        if os.path.exists(name):
            return descriptor, name
        os.close(descriptor)  # taken for a leftover before it was locked


def _lock(descriptor: int) -> bool:
    """Lock an open file; False if another process has it, or the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_leftovers(target: Path) -> None:
    """Remove what writers of the target that were killed have left: nobody holds the lock."""
    pattern = glob.escape(str(target.parent / f".{target.name}")) + ".*.tmp"
    for name in glob.glob(pattern):
        with contextlib.suppress(OSError):
            descriptor = os.open(name, os.O_WRONLY)
            try:
                if _lock(descriptor):
                    os.unlink(name)
            finally:
                os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Make the rename last; file systems that cannot sync a folder are left alone."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
