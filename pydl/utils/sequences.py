"""Sequences of any length as one array."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pydl import check


def pad_sequences(
    sequences: Iterable[Sequence[Any] | npt.NDArray[Any]],
    maxlen: int | None = None,
    dtype: npt.DTypeLike = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: float | str = 0.0,
) -> npt.NDArray[Any]:
    """Sequences as rows of one array: cut to `maxlen`, or filled up with `value`.

    Args:
        sequences: lists, tuples or arrays of any length, the empty one included; their entries may
            be arrays of one shape.
        maxlen: the length of all rows; None: that of the longest sequence.
        dtype: of the result.
        padding: 'pre' puts the fill before the entries, 'post' after them.
        truncating: 'pre' drops the first entries of a sequence that is too long, 'post' the last.
        value: the fill.

    Returns:
        A NumPy array of shape (sequences, maxlen, ...).

    Raises:
        TypeError: `sequences` is not a list of sequences, or holds texts.
        ValueError: a value that `dtype` cannot hold, entries of unequal shapes, an unknown
            `padding` or `truncating`, a `maxlen` that is not positive, or none and no sequences.

    Example:
        >>> from pydl.utils import pad_sequences
        >>> pad_sequences([[1], [2, 3], [4, 5, 6]], maxlen=2)
        array([[0, 1],
               [2, 3],
               [5, 6]], dtype=int32)
    """
    who = "pad_sequences"
    check.choice(who, "padding", padding, ("pre", "post"))
    check.choice(who, "truncating", truncating, ("pre", "post"))
    if isinstance(sequences, (str, bytes)) or not isinstance(sequences, Iterable):
        raise TypeError(f"{who}: sequences must be a list of sequences, got {sequences!r}")
    rows = list(sequences)
    for i, row in enumerate(rows):
        if isinstance(row, (str, bytes)):
            raise TypeError(
                f"{who}: sequence {i} is the text {row!r}; make ids of texts with "
                "Tokenizer.texts_to_sequences first"
            )
        try:
            row[: len(row)]
        except (TypeError, KeyError):
            raise TypeError(f"{who}: sequence {i} must be a list, got {row!r}") from None
    if maxlen is not None:
        check.positive_integer(who, "maxlen", maxlen)
    elif not rows:
        raise ValueError(f"{who}: there are no sequences; pass maxlen to get an array of no rows")
    else:
        maxlen = max(len(row) for row in rows)
    filled = [i for i, row in enumerate(rows) if len(row)]
    shape = np.shape(rows[filled[0]][0]) if filled else ()
    fill = _hold(f"{who}: value", [value], dtype)[0]
    result = np.full((len(rows), maxlen, *shape), fill, dtype)
    for i in filled:
        row = rows[i][-maxlen:] if truncating == "pre" else rows[i][:maxlen]
        kept = _hold(f"{who}: sequence {i}", row, dtype)
        if kept.shape[1:] != shape:
            raise ValueError(
                f"{who}: the entries of sequence {i} have shape {kept.shape[1:]}, those of "
                f"sequence {filled[0]} have shape {shape}"
            )
        result[i, slice(maxlen - len(kept), None) if padding == "pre" else slice(len(kept))] = kept
    return result


def _hold(who: str, values: Any, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return values in a dtype, or raise ValueError for the first that it cannot hold."""
    kind = np.dtype(dtype).kind
    if kind not in "iu":
        try:
            return np.asarray(values, dtype)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{who}: {error}") from error
    try:
        found = np.asarray(values)
    except ValueError:  # entries of unequal lengths
        raise ValueError(f"{who}: its entries must have one shape, got {values!r}") from None
    if found.dtype.kind in "iu" and np.can_cast(found.dtype, dtype):
        return found
    if found.dtype.kind not in "biuf":
        first = found.reshape(-1)[:1].tolist()[0]
        raise ValueError(f"{who}: holds {first!r}, which is not a number; pass dtype=object")
    with np.errstate(invalid="ignore"):
        held = found.astype(dtype)
    bad = held != found
    if bad.any():
        raise ValueError(
            f"{who}: holds {found[bad][0]}, which {np.dtype(dtype)} cannot; pass another dtype"
        )
    return held
