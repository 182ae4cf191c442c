"""Reuters newswires, as sequences of words, of 46 topics."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pydl.datasets import _fetch, _words
from pydl.datasets._npz import read_npz
from pydl.datasets._split import check_test_split, split

_Array = npt.NDArray[Any]
_FILE = _fetch.DataFile(
    "reuters.npz", "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916", pickled=True
)
_WORD_INDEX = _fetch.DataFile(
    "reuters_word_index.json", "9b56000edc4b34a32e89fd5a23b2605594682c74efcf7d8f4e2a5514b771e633"
)
# fmt: off
_LABEL_NAMES = (
    "cocoa", "grain", "veg-oil", "earn", "acq", "wheat", "copper", "housing", "money-supply",
    "coffee", "sugar", "trade", "reserves", "ship", "cotton", "carcass", "crude", "nat-gas", "cpi",
    "money-fx", "interest", "gnp", "meal-feed", "alum", "oilseed", "gold", "tin", "strategic-metal",
    "livestock", "retail", "ipi", "iron-steel", "rubber", "heat", "jobs", "lei", "bop", "zinc",
    "orange", "pet-chem", "dlr", "gas", "silver", "wpi", "hog", "lead",
)
# fmt: on


def load_data(
    path: _fetch.PathLike = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int | None = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> tuple[tuple[_Array, _Array], tuple[_Array, _Array]]:
    """11,228 newswires, as lists of word ids, labelled with their topic, 0 to 45.

    The id of a word is its rank by frequency, from 1, plus `index_from`. With the defaults 0 is
    free for padding, 1 starts a newswire and 2 stands for a word that was left out.

    Args:
        path: leave it at its default to look in the folder that PYDL_DATA_DIR names and in the
            user's cache folder, then to download; or an existing copy of the published file. Its
            arrays are pickled, so a file with another checksum is refused.
        num_words: ids of `num_words` and more become `oov_char`. None: the largest id there is, so
            that this one alone becomes `oov_char`.
        skip_top: ids below `skip_top` become `oov_char`, `start_char` too.
        maxlen: keeps the newswires of fewer than `maxlen` ids, `start_char` counted.
        test_split: the share of the newswires kept, after the shuffle, that is the test set.
        seed: for `numpy.random.RandomState`, which shuffles all newswires before the split. None:
            another order at each call.
        start_char: put in front of each newswire, or None.
        oov_char: takes the place of the ids that are left out. None: nothing does.
        index_from: added to each rank.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: object arrays of lists of int, and int64 labels,
        8,982 and 2,246 with the defaults.

    Raises:
        ValueError: the file is not the published one (another SHA-256), an argument is out of
            range, or no newswire is short enough for `maxlen`.
        FileNotFoundError: `path` names no file.
        ConnectionError: the file is nowhere, and cannot be downloaded.

    Source: D. Lewis, Reuters-21578 text categorization test collection, Distribution 1.0, 1997.

    Example::

        from pydl.datasets import reuters
        (x_train, y_train), (x_test, y_test) = reuters.load_data(num_words=10000)
    """
    check_test_split("reuters.load_data", test_split)
    x, y = read_npz(_fetch.read(_FILE, path), _FILE.name, ("x", "y"), objects=("x",))
    order = np.random.RandomState(seed).permutation(len(x))
    [(x, y)] = _words.encode(
        "reuters.load_data",
        [(x[order], y[order])],
        num_words,
        skip_top,
        maxlen,
        start_char,
        oov_char,
        index_from,
    )
    return split(x, y, test_split)


def get_word_index(path: _fetch.PathLike = "reuters_word_index.json") -> dict[str, int]:
    """The rank by frequency, from 1, of each of the 30,979 words.

    The id that `load_data` gives a word is its rank plus `index_from`, which is 3 by default.

    Args:
        path: leave it at its default to look where `load_data` looks, or an existing JSON file of
            your own, whose checksum is not checked.

    Raises:
        ValueError: the file is not the published one (another SHA-256), or no index of words.
        FileNotFoundError: `path` names no file.
        ConnectionError: the file is nowhere, and cannot be downloaded.

    Example::

        words = {rank + 3: word for word, rank in reuters.get_word_index().items()}
        print(" ".join(words.get(i, "?") for i in x_train[0]))
    """
    return _words.read_word_index(_WORD_INDEX, path)


def get_label_names() -> tuple[str, ...]:
    """The names of the 46 topics, in the order of their labels.

    Example:
        >>> from pydl.datasets import reuters
        >>> reuters.get_label_names()[3]
        'earn'
    """
    return _LABEL_NAMES
