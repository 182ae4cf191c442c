"""What the text data sets share: rows of word ranks to rows of word ids, and word indexes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt

from pydl.datasets import _fetch

Array = npt.NDArray[Any]


def encode(
    who: str,
    parts: Sequence[tuple[Array, Array]],
    num_words: int | None,
    skip_top: int,
    maxlen: int | None,
    start_char: int | None,
    oov_char: int | None,
    index_from: int,
) -> list[tuple[Array, Array]]:
    """Turns each part, rows of word ranks and their labels, into rows of ids and their labels.

    In this order: a row is start_char and then rank + index_from for each word; rows of maxlen ids
    or more are left out; ids outside [skip_top, num_words) become oov_char, or are left out where
    that is None. num_words None is the largest id that is left, which itself is then outside.
    """
    for argument, value, least, optional in (
        ("num_words", num_words, 1, True),
        ("skip_top", skip_top, 0, False),
        ("maxlen", maxlen, 1, True),
        ("start_char", start_char, None, True),
        ("oov_char", oov_char, None, True),
        ("index_from", index_from, None, False),
    ):
        _check_integer(who, argument, value, least, optional)
    head = [] if start_char is None else [start_char]
    if maxlen is not None:
        parts = [_shorter(rows, labels, maxlen - len(head)) for rows, labels in parts]
        if not all(len(rows) for rows, _ in parts):
            raise ValueError(f"{who}: no sequence is shorter than maxlen={maxlen}; raise maxlen")
    # Ranks are looked up, not computed: every row then shares the int objects of one list.
    largest_rank = max(max(row) for rows, _ in parts for row in rows)
    ids = range(index_from, largest_rank + index_from + 1)
    end = num_words if num_words is not None else max([*head, ids[-1]])
    table = [i if skip_top <= i < end else oov_char for i in ids]
    first = [i if skip_top <= i < end else oov_char for i in head]
    encoded = []
    for rows, labels in parts:
        new = (first + [table[rank] for rank in row] for row in rows)
        if oov_char is None:
            new = ([i for i in row if i is not None] for row in new)
        encoded.append((np.fromiter(new, dtype=object, count=len(rows)), labels))
    return encoded


def read_word_index(file: _fetch.DataFile, path: _fetch.PathLike | None) -> dict[str, int]:
    """The word-to-rank dictionary that `file` holds as JSON."""
    try:
        index = json.loads(_fetch.read(file, path))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file.name}: must be a JSON file ({error})") from error
    if not isinstance(index, dict) or not all(isinstance(rank, int) for rank in index.values()):
        raise ValueError(f"{file.name}: must hold one JSON object, of words to whole numbers")
    return index


def _shorter(rows: Array, labels: Array, length: int) -> tuple[Array, Array]:
    """The rows of fewer than `length` words, and their labels."""
    keep = np.fromiter((len(row) < length for row in rows), dtype=bool, count=len(rows))
    return rows[keep], labels[keep]


def _check_integer(
    who: str, argument: str, value: object, least: int | None, optional: bool
) -> None:
    if value is None and optional:
        return
    must = "an integer" if least is None else f"an integer of at least {least}"
    must += " or None" if optional else ""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{who}: {argument} must be {must}, got {value!r}")
    if least is not None and value < least:
        raise ValueError(f"{who}: {argument} must be {must}, got {value!r}")
