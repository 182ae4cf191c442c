"""Texts and sequences: Tokenizer, text_to_word_sequence, hashing, pad_sequences, as in Keras."""

from __future__ import annotations

import json

import numpy as np
import pytest

import pydl
from pydl.preprocessing import sequence, text
from pydl.utils import pad_sequences

TEXTS = [
    "The cat sat on the mat.",
    "The dog ate my homework; the cat didn't!",
    "",
    "my\tdog -- MY DOG -- sat\non_the mat",
    ["The", "list", "of", "Words", "cat"],
]
MODES = ("binary", "count", "freq", "tfidf")
SETTINGS = [
    {},
    {"num_words": 5},
    {"oov_token": "<?>"},
    {"num_words": 5, "oov_token": "<?>"},
    {"char_level": True, "num_words": 12},
    {"lower": False, "filters": ".;!"},
    {"split": "_"},
    {"num_words": 1},
    {"analyzer": str.split},
]


def fitted(module, settings):
    tokenizer = module.Tokenizer(**settings)
    tokenizer.fit_on_texts(TEXTS)
    tokenizer.fit_on_texts(iter(TEXTS[:2]))
    return tokenizer


def test_known_results() -> None:
    """What Keras 3.15's legacy Tokenizer gives."""
    tokenizer = fitted(text, {"num_words": 6, "oov_token": "<?>"})
    assert tokenizer.word_index == {
        "<?>": 1, "the": 2, "cat": 3, "dog": 4, "my": 5, "sat": 6, "on": 7, "mat": 8, "ate": 9,
        "homework": 10, "didn't": 11, "list": 12, "of": 13, "words": 14,
    }  # fmt: skip
    assert tokenizer.document_count == 7
    assert tokenizer.word_counts["the"] == 10 and tokenizer.word_docs["the"] == 6
    assert tokenizer.index_docs[4] == 3
    assert tokenizer.texts_to_sequences(["The cat, a dog", ["my", "MAT"], ""]) == [
        [2, 3, 1, 4],
        [5, 1],
        [],
    ]
    assert tokenizer.sequences_to_texts([[2, 3, 1, 4], (8, 99, 0), []]) == [
        "the cat <?> dog",
        "<?> <?> <?>",
        "",
    ]
    matrix = tokenizer.texts_to_matrix(["the the cat"], mode="tfidf")
    assert matrix.dtype == np.float32
    expected = [0, 0, (1 + np.log(2)) * np.log(1 + 7 / 7), np.log(1 + 7 / 6), 0, 0]
    np.testing.assert_allclose(matrix, [expected], rtol=1e-6)


@pytest.mark.parametrize("settings", SETTINGS)
def test_equal_to_keras(settings) -> None:
    keras = pytest.importorskip("keras.src.legacy.preprocessing.text")
    ours, theirs = fitted(text, settings), fitted(keras, settings)
    for name in ("word_index", "index_word", "word_counts", "word_docs", "index_docs"):
        assert getattr(ours, name) == dict(getattr(theirs, name)), name
    assert list(ours.word_counts) == list(theirs.word_counts)
    new = [*TEXTS, "An unknown dog", ["cat", "Unheard"]]
    ids = ours.texts_to_sequences(new)
    assert ids == theirs.texts_to_sequences(new)
    odd = [*ids, [0, 3, 77], []]
    assert ours.sequences_to_texts(odd) == theirs.sequences_to_texts(odd)
    ours.fit_on_sequences(ids)
    theirs.fit_on_sequences(ids)
    for mode in MODES:
        np.testing.assert_allclose(
            ours.sequences_to_matrix(odd, mode), theirs.sequences_to_matrix(odd, mode), rtol=1e-6
        )
    if "analyzer" not in settings:
        for name, value in ours.get_config().items():
            theirs_too = theirs.get_config()[name]
            tables = isinstance(value, str) and value.startswith("{")
            assert (json.loads(value) if tables else value) == (
                json.loads(theirs_too) if tables else theirs_too
            )
        back = text.tokenizer_from_json(theirs.to_json())
        assert back.texts_to_sequences(new) == ids
    for t in TEXTS[:4]:
        for kwargs in ({}, {"lower": False}, {"filters": "", "split": "a"}):
            expected = keras.text_to_word_sequence(t, **kwargs)
            assert text.text_to_word_sequence(t, **kwargs) == expected
        assert text.hashing_trick(t, 9, "md5") == keras.hashing_trick(t, 9, "md5")
        assert text.one_hot(t, 9) == keras.one_hot(t, 9)


def test_modes_agree_with_counts() -> None:
    tokenizer = fitted(text, {})
    ids = tokenizer.texts_to_sequences(TEXTS)
    count = tokenizer.sequences_to_matrix(ids, "count")
    assert count.shape == (5, len(tokenizer.word_index) + 1)
    np.testing.assert_array_equal(tokenizer.texts_to_matrix(TEXTS), count > 0)
    np.testing.assert_allclose(
        tokenizer.texts_to_matrix(TEXTS, "freq"),
        count / np.maximum(count.sum(1, keepdims=True), 1),
        rtol=1e-6,
    )
    np.testing.assert_array_equal(pydl.utils.multi_hot(ids, count.shape[1]), count > 0)


def test_json_round_trip() -> None:
    tokenizer = fitted(text, {"num_words": 5, "oov_token": "<?>", "char_level": False})
    back = text.tokenizer_from_json(tokenizer.to_json())
    assert vars(back) == vars(tokenizer)
    for broken in ("{}", "[1]", '{"config": 3}', '{"config": {"word_index": "{}"}}'):
        with pytest.raises(ValueError, match="tokenizer_from_json: not a tokenizer"):
            text.tokenizer_from_json(broken)


def test_an_out_of_vocabulary_word_that_also_occurs() -> None:
    tokenizer = text.Tokenizer(oov_token="cat")
    tokenizer.fit_on_texts(["the the cat"])
    assert tokenizer.word_index == {"cat": 1, "the": 2}
    assert tokenizer.texts_to_sequences(["the dog"]) == [[2, 1]]


def test_hashing() -> None:
    ids = text.hashing_trick("to be or not to be", 4, "md5")
    assert ids[0] == ids[4] and set(ids) <= {1, 2, 3}
    assert text.hashing_trick("a bb", 100, len) == [2, 3]
    assert text.hashing_trick("a bb", 100, len, analyzer=lambda t: [t]) == [5]


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: text.Tokenizer(num_words=0), ValueError, "num_words must be a positive"),
        (lambda: text.Tokenizer(num_words=2.5), TypeError, "num_words must be a positive"),
        (lambda: text.Tokenizer(split=""), ValueError, "split must be a text that is not"),
        (lambda: text.Tokenizer(oov_token=1), TypeError, "oov_token must be a text"),
        (lambda: text.Tokenizer().fit_on_texts("one text"), TypeError, "pass .text. for a single"),
        (lambda: text.Tokenizer().fit_on_texts(3), TypeError, "expected a list of texts, got 3"),
        (lambda: text.Tokenizer().fit_on_texts(["a", 3]), TypeError, "text 1 must be a text"),
        (lambda: text.Tokenizer().fit_on_texts([None]), TypeError, "text 0 must be a text"),
        (lambda: text.Tokenizer(oov_token="?").texts_to_sequences(["a"]), RuntimeError, "fit_on"),
        (lambda: text.Tokenizer().texts_to_matrix(["a"]), ValueError, "number of columns"),
        (lambda: text.Tokenizer(3).texts_to_matrix(["a"], "tfidf"), ValueError, "documents"),
        (lambda: text.Tokenizer(3).texts_to_matrix(["a"], "tf"), ValueError, "mode must be 'binary'"),
        (lambda: text.Tokenizer(3).sequences_to_matrix([[1, -2]]), ValueError, "got -2 in sequence 0"),
        (lambda: text.Tokenizer(3).sequences_to_matrix([[1.5]]), TypeError, "sequence 0 must be a"),
        (lambda: text.Tokenizer(3).sequences_to_matrix(["ab"]), TypeError, "sequence 0 must be a"),
        (lambda: text.Tokenizer(3).sequences_to_matrix([1, 2]), TypeError, "sequence 0 must be a"),
        (lambda: text.Tokenizer(3).sequences_to_matrix("ab"), TypeError, "list of lists of ids"),
        (lambda: text.Tokenizer(3).sequences_to_texts([[[1]]]), TypeError, "sequence 0 must be a"),
        (lambda: text.text_to_word_sequence(["a"]), TypeError, "expected a text"),
        (lambda: text.text_to_word_sequence("a", split=""), ValueError, "split"),
        (lambda: text.hashing_trick("a", 1), ValueError, "n must be at least 2"),
        (lambda: text.hashing_trick("a", 2.0), TypeError, "n must be a positive integer"),
        (lambda: text.hashing_trick("a", 9, "sha"), ValueError, "hash_function must be 'md5'"),
        (lambda: pad_sequences("abc"), TypeError, "must be a list of sequences, got 'abc'"),
        (lambda: pad_sequences(["abc"]), TypeError, "the text 'abc'; make ids of texts"),
        (lambda: pad_sequences([1, 2]), TypeError, "sequence 0 must be a list, got 1"),
        (lambda: pad_sequences([{1: 2}]), TypeError, "sequence 0 must be a list"),
        (lambda: pad_sequences([np.array(1)]), TypeError, "sequence 0 must be a list"),
        (lambda: pad_sequences([]), ValueError, "no sequences; pass maxlen"),
        (lambda: pad_sequences([[1]], maxlen=0), ValueError, "maxlen must be a positive"),
        (lambda: pad_sequences([[1]], maxlen=-3), ValueError, "maxlen must be a positive"),
        (lambda: pad_sequences([[1]], maxlen=2.0), TypeError, "maxlen must be a positive"),
        (lambda: pad_sequences([[1]], padding="left"), ValueError, "padding must be 'pre' or 'post'"),
        (lambda: pad_sequences([[1]], truncating=1), ValueError, "truncating must be 'pre' or"),
        (lambda: pad_sequences([[1], [0.5]]), ValueError, "sequence 1: holds 0.5, which int32"),
        (lambda: pad_sequences([[2**40]]), ValueError, "holds 1099511627776, which int32 cannot"),
        (lambda: pad_sequences([[-1]], dtype="uint8"), ValueError, "holds -1, which uint8 cannot"),
        (lambda: pad_sequences([[float("nan")]]), ValueError, "holds nan"),
        (lambda: pad_sequences([["a"]]), ValueError, "holds 'a', which is not a number"),
        (lambda: pad_sequences([[None]]), ValueError, "holds None, which is not a number"),
        (lambda: pad_sequences([[1]], value=0.5), ValueError, "value: holds 0.5"),
        (lambda: pad_sequences([[[1, 2]], [[1]]]), ValueError, "entries of sequence 1 have shape"),
        (lambda: pad_sequences([[[1, 2], [1]]]), ValueError, "sequence 0: "),
    ],
)  # fmt: skip
def test_bad_input(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()


ROWS = [[1, 2, 3], [], [4], [5, 6, 7, 8, 9]]


@pytest.mark.parametrize("padding", ["pre", "post"])
@pytest.mark.parametrize("truncating", ["pre", "post"])
@pytest.mark.parametrize("maxlen", [None, 1, 3, 5, 7])
def test_pad_sequences(padding, truncating, maxlen) -> None:
    length = maxlen or 5
    expected = []
    for row in ROWS:
        row = row[max(len(row) - length, 0) :] if truncating == "pre" else row[:length]
        fill = [-1] * (length - len(row))
        expected.append(fill + row if padding == "pre" else row + fill)
    given = [ROWS, tuple(map(tuple, ROWS)), [np.array(r, int) for r in ROWS]]
    given.append(np.array([np.array(r, int) for r in ROWS], object))
    for rows in given:
        for dtype in ("int32", "float32", "uint8", "int64", object):
            value = 255 if dtype == "uint8" else -1
            y = pad_sequences(rows, maxlen, dtype, padding, truncating, value)
            assert y.dtype == dtype
            np.testing.assert_array_equal(y, np.where(np.array(expected) < 0, value, expected))


def test_pad_sequences_is_as_in_keras() -> None:
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 99, n) for n in rng.integers(0, 12, 50)]
    vectors = [rng.normal(size=(n, 3)) for n in rng.integers(0, 12, 50)]
    for kwargs in (
        {},
        {"maxlen": 6},
        {"maxlen": 6, "padding": "post", "value": 7},
        {"maxlen": 6, "truncating": "post"},
    ):
        theirs = keras.utils.pad_sequences(rows, **kwargs)
        np.testing.assert_array_equal(pad_sequences(rows, **kwargs), theirs)
        assert pad_sequences(rows, **kwargs).dtype == theirs.dtype
        theirs = keras.utils.pad_sequences(vectors, dtype="float32", **kwargs)
        np.testing.assert_array_equal(pad_sequences(vectors, dtype="float32", **kwargs), theirs)


def test_pad_sequences_of_other_things() -> None:
    assert pad_sequences([], maxlen=4).shape == (0, 4)
    assert pad_sequences([[], []]).shape == (2, 0)
    words = pad_sequences([["a"], ["b", "c"]], dtype=object, value="")
    assert words.tolist() == [["", "a"], ["b", "c"]]
    assert pad_sequences(iter([[1.0]])).tolist() == [[1]]
    assert pydl.preprocessing.sequence.pad_sequences is sequence.pad_sequences is pad_sequences
