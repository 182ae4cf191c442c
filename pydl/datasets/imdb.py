"""IMDB film reviews, as sequences of words, good or bad."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pydl.datasets import _fetch, _words
from pydl.datasets._npz import read_npz

_Array = npt.NDArray[Any]
_FILE = _fetch.DataFile(
    "imdb.npz", "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f", pickled=True
)
_WORD_INDEX = _fetch.DataFile(
    "imdb_word_index.json", "027313fe9a320280f3bf0fac5baf58c4a683cf39a7ed9c3d3d3912bde4284cf6"
)


def load_data(
    path: _fetch.PathLike = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int | None = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> tuple[tuple[_Array, _Array], tuple[_Array, _Array]]:
    """25,000 + 25,000 film reviews, as lists of word ids, labelled 0 (bad) or 1 (good).

    The id of a word is its rank by frequency, from 1, plus `index_from`. With the defaults 0 is
    free for padding, 1 starts a review and 2 stands for a word that was left out.

    Args:
        path: leave it at its default to look in the folder that PYDL_DATA_DIR names and in the
            user's cache folder, then to download; or an existing copy of the published file. Its
            arrays are pickled, so a file with another checksum is refused.
        num_words: ids of `num_words` and more become `oov_char`. None: the largest id there is, so
            that this one alone becomes `oov_char`.
        skip_top: ids below `skip_top` become `oov_char`, `start_char` too.
        maxlen: keeps the reviews of fewer than `maxlen` ids, `start_char` counted.
        seed: for `numpy.random.RandomState`, which shuffles the training and then the test set.
            None: another order at each call.
        start_char: put in front of each review, or None.
        oov_char: takes the place of the ids that are left out. None: nothing does.
        index_from: added to each rank.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: object arrays of lists of int, and int64 labels.

    Raises:
        ValueError: the file is not the published one (another SHA-256), an argument is out of
            range, or no review is short enough for `maxlen`.
        FileNotFoundError: `path` names no file.
        ConnectionError: the file is nowhere, and cannot be downloaded.

    Source: A. Maas et al., Learning Word Vectors for Sentiment Analysis, ACL 2011.

    Example::

        from pydl.datasets import imdb
        (x_train, y_train), (x_test, y_test) = imdb.load_data(num_words=10000)
    """
    keys = ("x_train", "y_train", "x_test", "y_test")
    x_train, y_train, x_test, y_test = read_npz(
        _fetch.read(_FILE, path), _FILE.name, keys, objects=("x_train", "x_test")
    )
    rng = np.random.RandomState(seed)
    train = rng.permutation(len(x_train))
    test = rng.permutation(len(x_test))
    train_part, test_part = _words.encode(
        "imdb.load_data",
        [(x_train[train], y_train[train]), (x_test[test], y_test[test])],
        num_words,
        skip_top,
        maxlen,
        start_char,
        oov_char,
        index_from,
    )
    return train_part, test_part


def get_word_index(path: _fetch.PathLike = "imdb_word_index.json") -> dict[str, int]:
    """The rank by frequency, from 1, of each of the 88,584 words.

    The id that `load_data` gives a word is its rank plus `index_from`, which is 3 by default.

    Args:
        path: leave it at its default to look where `load_data` looks, or an existing JSON file of
            your own, whose checksum is not checked.

    Raises:
        ValueError: the file is not the published one (another SHA-256), or no index of words.
        FileNotFoundError: `path` names no file.
        ConnectionError: the file is nowhere, and cannot be downloaded.

    Example::

        words = {rank + 3: word for word, rank in imdb.get_word_index().items()}
        print(" ".join(words.get(i, "?") for i in x_train[0]))
    """
    return _words.read_word_index(_WORD_INDEX, path)
