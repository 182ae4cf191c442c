"""Texts as lists of words, of ids, and as rows of counts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pydl import check

FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'  # all ASCII punctuation but the apostrophe

Words = Callable[[str], Iterable[str]]


def text_to_word_sequence(
    input_text: str, filters: str = FILTERS, lower: bool = True, split: str = " "
) -> list[str]:
    """The words of a text.

    Args:
        input_text: the text.
        filters: characters that separate words, besides `split`.
        lower: make the words lower case.
        split: what separates words.

    Raises:
        TypeError: `input_text` is not a text.
        ValueError: `split` is empty.

    Example:
        >>> from pydl.preprocessing.text import text_to_word_sequence
        >>> text_to_word_sequence("It's one, two, THREE!")
        ["it's", 'one', 'two', 'three']
    """
    if not isinstance(input_text, str):
        raise TypeError(f"text_to_word_sequence: expected a text, got {input_text!r}")
    _check_split("text_to_word_sequence", split)
    text = input_text.lower() if lower else input_text
    text = text.translate(dict.fromkeys(map(ord, filters), split))
    return [word for word in text.split(split) if word]


def one_hot(
    input_text: str,
    n: int,
    filters: str = FILTERS,
    lower: bool = True,
    split: str = " ",
    analyzer: Words | None = None,
) -> list[int]:
    """Ids of words by Python's `hash`, which differs from one run of Python to the next.

    The same as `hashing_trick` with its default `hash_function`; despite the name, which is
    Keras's, the result holds ids and no vectors.

    Example:
        >>> from pydl.preprocessing.text import one_hot
        >>> ids = one_hot("to be or not to be", 50)
        >>> ids[0] == ids[4], len(ids)
        (True, 6)
    """
    return hashing_trick(input_text, n, hash, filters, lower, split, analyzer)


def hashing_trick(
    text: str,
    n: int,
    hash_function: Callable[[str], int] | str | None = None,
    filters: str = FILTERS,
    lower: bool = True,
    split: str = " ",
    analyzer: Words | None = None,
) -> list[int]:
    """Ids of words without a vocabulary: hash(word) mod (n - 1) + 1, in [1, n).

    Two words can get the same id; 0 is free for padding.

    Args:
        text: the text.
        n: one more than the number of ids.
        hash_function: word -> integer; 'md5' gives the same ids in every run of Python; None:
            Python's `hash`, which does not.
        filters, lower, split: as for `text_to_word_sequence`.
        analyzer: text -> words, in place of `text_to_word_sequence`.

    Raises:
        TypeError: `text` is not a text.
        ValueError: `n` is below 2, or an unknown `hash_function`.

    Example:
        >>> from pydl.preprocessing.text import hashing_trick
        >>> hashing_trick("to be or not to be", 50, "md5")
        [15, 5, 8, 36, 15, 5]
    """
    if check.positive_integer("hashing_trick", "n", n) < 2:
        raise ValueError("hashing_trick: n must be at least 2: ids are in [1, n), got 1")
    if hash_function is None:
        hash_function = hash
    elif hash_function == "md5":
        hash_function = _md5
    elif not callable(hash_function):
        raise ValueError(
            f"hashing_trick: hash_function must be 'md5', None or a function, got {hash_function!r}"
        )
    words = analyzer(text) if analyzer else text_to_word_sequence(text, filters, lower, split)
    return [hash_function(word) % (n - 1) + 1 for word in words]


def _md5(word: str) -> int:
    """Return the MD5 digest of a word as an integer."""
    return int(hashlib.md5(word.encode(), usedforsecurity=False).hexdigest(), 16)


def _check_split(who: str, split: Any) -> None:
    """Raise unless `split` is a text that is not empty."""
    if not isinstance(split, str) or not split:
        raise ValueError(f"{who}: split must be a text that is not empty, got {split!r}")


class Tokenizer:
    """A vocabulary made of texts, which turns texts into lists of ids or rows of counts.

    Id 1 is the most frequent word, then in order of frequency; words of equal frequency stay in
    the order in which they first came. Id 0 is no word.

    Args:
        num_words: Only ids below it are used; None: all.
        filters: Characters that separate words, besides `split`.
        lower: Make the words lower case.
        split: What separates words.
        char_level: Every character is a word.
        oov_token: Gets id 1, and stands for words that are not in the vocabulary, or not below
            `num_words`; None leaves such words out.
        analyzer: Text -> words, in place of `text_to_word_sequence`.

    Attributes:
        word_index, index_word: {word: id} and {id: word}, of all words.
        word_counts: {word: how often it came}.
        word_docs, index_docs: {word: in how many texts it came}, and the same by id.
        document_count: Number of texts.

    Raises:
        TypeError: An argument of another type.
        ValueError: `num_words` is not positive, or `split` is empty.

    Example:
        >>> from pydl.preprocessing.text import Tokenizer
        >>> tokenizer = Tokenizer(num_words=4)
        >>> tokenizer.fit_on_texts(["The cat sat on the mat.", "The dog sat."])
        >>> tokenizer.texts_to_sequences(["The dog sat on the cat."])
        [[1, 2, 1, 3]]
        >>> tokenizer.texts_to_matrix(["The dog sat on the cat."], mode="count")
        array([[0., 2., 1., 1.]], dtype=float32)
    """

    def __init__(
        self,
        num_words: int | None = None,
        filters: str = FILTERS,
        lower: bool = True,
        split: str = " ",
        char_level: bool = False,
        oov_token: str | None = None,
        analyzer: Words | None = None,
        *,
        document_count: int = 0,
    ) -> None:
        if num_words is not None:
            check.positive_integer("Tokenizer", "num_words", num_words)
        _check_split("Tokenizer", split)
        if oov_token is not None and not isinstance(oov_token, str):
            raise TypeError(f"Tokenizer: oov_token must be a text, got {oov_token!r}")
        self.num_words = num_words
        self.filters = filters
        self.lower = lower
        self.split = split
        self.char_level = char_level
        self.oov_token = oov_token
        self.analyzer = analyzer
        self.document_count = document_count
        self.word_counts: dict[str, int] = {}
        self.word_docs: dict[str, int] = {}
        self.index_docs: dict[int, int] = {}
        self.word_index: dict[str, int] = {}
        self.index_word: dict[int, str] = {}

    def _words(self, who: str, texts: Iterable[Any]) -> Iterator[list[str]]:
        """Yield the words of each text; a list of words stands for itself."""
        if isinstance(texts, str) or not isinstance(texts, Iterable):
            hint = "; pass [text] for a single one" if isinstance(texts, str) else ""
            raise TypeError(f"Tokenizer.{who}: expected a list of texts, got {texts!r}{hint}")
        for i, text in enumerate(texts):
            if isinstance(text, (list, tuple)) and all(isinstance(word, str) for word in text):
                yield [word.lower() for word in text] if self.lower else list(text)
            elif not isinstance(text, str):
                raise TypeError(
                    f"Tokenizer.{who}: text {i} must be a text or a list of words, got {text!r}"
                )
            elif self.char_level:
                yield list(text.lower() if self.lower else text)
            elif self.analyzer is not None:
                yield list(self.analyzer(text))
            else:
                yield text_to_word_sequence(text, self.filters, self.lower, self.split)

    def fit_on_texts(self, texts: Iterable[str | Sequence[str]]) -> None:
        """Add texts to the vocabulary; each is a text or a list of words.

        Raises:
            TypeError: One text instead of a list of them, or something that is not a text.
        """
        for words in self._words("fit_on_texts", texts):
            self.document_count += 1
            for word in words:
                self.word_counts[word] = self.word_counts.get(word, 0) + 1
            for word in set(words):
                self.word_docs[word] = self.word_docs.get(word, 0) + 1
        by_count = sorted(self.word_counts, key=lambda word: -self.word_counts[word])
        if self.oov_token is not None:
            by_count = [self.oov_token, *(word for word in by_count if word != self.oov_token)]
        self.word_index = {word: i for i, word in enumerate(by_count, 1)}
        self.index_word = dict(enumerate(by_count, 1))
        self.index_docs = {self.word_index[word]: n for word, n in self.word_docs.items()}

    def fit_on_sequences(self, sequences: Iterable[Iterable[int]]) -> None:
        """Count in how many lists of ids each id comes, for `mode='tfidf'`, without texts."""
        for ids in _rows_of_ids("fit_on_sequences", sequences):
            self.document_count += 1
            for i in np.unique(ids).tolist():
                self.index_docs[i] = self.index_docs.get(i, 0) + 1

    def texts_to_sequences(self, texts: Iterable[str | Sequence[str]]) -> list[list[int]]:
        """Return the ids of the words of each text, without those that have none."""
        return list(self.texts_to_sequences_generator(texts))

    def texts_to_sequences_generator(
        self, texts: Iterable[str | Sequence[str]]
    ) -> Iterator[list[int]]:
        """Yield the ids of the words of each text."""
        known = {word: i for word, i in self.word_index.items() if self._used(i)}
        oov = self._oov("texts_to_sequences")
        for words in self._words("texts_to_sequences", texts):
            ids = (known.get(word, oov) for word in words)
            yield [i for i in ids if i is not None]

    def sequences_to_texts(self, sequences: Iterable[Iterable[int]]) -> list[str]:
        """Return the words of each list of ids, joined by spaces."""
        return list(self.sequences_to_texts_generator(sequences))

    def sequences_to_texts_generator(self, sequences: Iterable[Iterable[int]]) -> Iterator[str]:
        """Yield the words of each list of ids, joined by spaces."""
        known = {i: word for i, word in self.index_word.items() if self._used(i)}
        oov = self.index_word.get(self._oov("sequences_to_texts") or 0)
        for ids in _rows_of_ids("sequences_to_texts", sequences):
            words = (known.get(i, oov) for i in ids.tolist())
            yield " ".join(word for word in words if word is not None)

    def _used(self, index: int) -> bool:
        """Tell whether an id is below `num_words`."""
        return self.num_words is None or index < self.num_words

    def _oov(self, who: str) -> int | None:
        """Return the id that stands for unknown words."""
        if self.oov_token is None:
            return None
        if self.oov_token not in self.word_index:
            raise RuntimeError(f"Tokenizer.{who}: there is no vocabulary; call fit_on_texts first")
        return self.word_index[self.oov_token]

    def texts_to_matrix(
        self, texts: Iterable[str | Sequence[str]], mode: str = "binary"
    ) -> npt.NDArray[np.float32]:
        """Return a row for each text; see `sequences_to_matrix`."""
        return self.sequences_to_matrix(self.texts_to_sequences(texts), mode)

    def sequences_to_matrix(
        self, sequences: Iterable[Iterable[int]], mode: str = "binary"
    ) -> npt.NDArray[np.float32]:
        """Return a row for each list of ids, with a column for each id.

        Args:
            sequences: Lists of ids; ids that are not below `num_words` are left out.
            mode: What stands at id i that comes c times among n: 'binary' 1, 'count' c, 'freq' c/n,
                'tfidf' (1 + log c) log(1 + documents / (1 + documents with i)).

        Returns:
            A float32 NumPy array of shape (sequences, num_words), or one column more than there
            are words.

        Raises:
            TypeError: `sequences` are not lists of integers.
            ValueError: Unknown mode, a negative id, or no number of columns, or no documents for
                'tfidf'.
        """
        who = "Tokenizer.sequences_to_matrix"
        check.choice(who, "mode", mode, ("binary", "count", "freq", "tfidf"))
        if self.num_words is None and not self.word_index:
            raise ValueError(f"{who}: the number of columns is unknown; pass num_words, or fit")
        if mode == "tfidf" and not self.document_count:
            raise ValueError(f"{who}: 'tfidf' needs counts of documents; call fit_on_texts first")
        columns = len(self.word_index) + 1 if self.num_words is None else self.num_words
        rows = list(_rows_of_ids("sequences_to_matrix", sequences))
        matrix = np.zeros((len(rows), columns), np.float32)
        documents = np.zeros(columns)
        for i, count in self.index_docs.items():
            if i < columns:
                documents[i] = count
        idf = np.log1p(self.document_count / (1 + documents))
        for row, out in zip(rows, matrix, strict=True):
            ids, counts = np.unique(row[row < columns], return_counts=True)
            if mode == "binary":
                out[ids] = 1
            elif mode == "count":
                out[ids] = counts
            elif mode == "freq":
                out[ids] = counts / max(len(row), 1)
            else:
                out[ids] = (1 + np.log(counts)) * idf[ids]
        return matrix

    def get_config(self) -> dict[str, Any]:
        """Return the arguments and the vocabulary as plain data, tables as JSON texts."""
        return {
            "num_words": self.num_words,
            "filters": self.filters,
            "lower": self.lower,
            "split": self.split,
            "char_level": self.char_level,
            "oov_token": self.oov_token,
            "document_count": self.document_count,
            **{name: json.dumps(getattr(self, name)) for name in _TABLES},
        }

    def to_json(self, **kwargs: Any) -> str:
        """Return the tokenizer as JSON, for `tokenizer_from_json`; arguments as for json.dumps."""
        return json.dumps({"class_name": "Tokenizer", "config": self.get_config()}, **kwargs)


_TABLES = ("word_counts", "word_docs", "index_docs", "index_word", "word_index")


def tokenizer_from_json(json_string: str) -> Tokenizer:
    """The tokenizer that `Tokenizer.to_json`, of pydl or of Keras, wrote.

    Raises:
        ValueError: The text does not hold one.

    Example:
        >>> from pydl.preprocessing.text import Tokenizer, tokenizer_from_json
        >>> tokenizer = Tokenizer()
        >>> tokenizer.fit_on_texts(["to be or not to be"])
        >>> tokenizer_from_json(tokenizer.to_json()).word_index
        {'to': 1, 'be': 2, 'or': 3, 'not': 4}
    """
    try:
        config = dict(json.loads(json_string)["config"])
        tables = {name: json.loads(config.pop(name)) for name in _TABLES}
        tokenizer = Tokenizer(**config)
        for name, table in tables.items():
            by_id = name.startswith("index")  # JSON makes texts of integer keys
            setattr(
                tokenizer, name, {int(k): v for k, v in table.items()} if by_id else dict(table)
            )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"tokenizer_from_json: not a tokenizer: {error!r}") from error
    return tokenizer


def _rows_of_ids(who: str, sequences: Iterable[Iterable[int]]) -> Iterator[npt.NDArray[np.intp]]:
    """Yield each list of ids as an array, or raise for the first that is none."""
    if isinstance(sequences, (str, bytes)) or not isinstance(sequences, Iterable):
        raise TypeError(f"Tokenizer.{who}: expected a list of lists of ids, got {sequences!r}")
    for i, row in enumerate(sequences):
        if isinstance(row, Iterable) and not isinstance(row, (np.ndarray, str, bytes)):
            row = list(row)
        listed = np.asarray(row)
        if listed.ndim != 1 or (listed.size and listed.dtype.kind not in "iu"):
            raise TypeError(f"Tokenizer.{who}: sequence {i} must be a list of ids, got {row!r}")
        ids = listed.astype(np.intp)
        if ids.size and ids.min() < 0:
            raise ValueError(
                f"Tokenizer.{who}: ids must not be negative, got {ids[ids < 0][0]} in sequence {i}"
            )
        yield ids
