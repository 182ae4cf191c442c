"""Data sets: what the published files hold, each argument, and files that are not what they say."""

from __future__ import annotations

import hashlib
import http.server
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from dataset_files import idx, npz, objects
from hypothesis import given
from hypothesis import strategies as st

from pydl.datasets import (
    _fetch,
    _words,
    boston_housing,
    digits,
    fashion_mnist,
    imdb,
    mnist,
    reuters,
)


@pytest.fixture
def published():
    """Calls a loader on the published files: in PYDL_DATA_DIR, the cache, or downloaded.

    The only reason to skip: PYDL_DATA_DIR is not set and there is no network. The text of the skip
    says which file is missing and where to put it.
    """

    def call(loader, **arguments):
        try:
            return loader(**arguments)
        except ConnectionError as error:
            if os.environ.get("PYDL_DATA_DIR"):
                raise
            pytest.skip(str(error))

    return call


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A data folder of its own; there is no cache and no network beside it."""
    data, cache = tmp_path / "data", tmp_path / "cache"
    data.mkdir()
    monkeypatch.setenv("PYDL_DATA_DIR", str(data))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr("pooch.os_cache", lambda project: cache / project)
    monkeypatch.setattr(_fetch, "BASE_URL", "http://127.0.0.1:1/")  # nobody listens there
    return data


@pytest.fixture
def publish(folder, monkeypatch):
    """Makes some arrays the published content of a loader's file, and puts it into the folder."""

    def call(module, **arrays):
        data = npz(**arrays)
        monkeypatch.setattr(module, "_FILE", module._FILE._replace(sha256=sha256(data)))
        (folder / module._FILE.name).write_bytes(data)
        return data

    return call


def sha256(data):
    return hashlib.sha256(data).hexdigest()


IMDB = {
    "x_train": objects([[1, 2, 3], [4, 5], [6], [7, 8, 9, 1]]),
    "y_train": np.array([0, 1, 0, 1]),
    "x_test": objects([[3], [1, 9], [2, 2, 2]]),
    "y_test": np.array([1, 0, 1]),
}
REUTERS = {"x": objects([[i + 1] * (i % 4 + 1) for i in range(10)]), "y": np.arange(10)}
BOSTON = {"x": np.arange(20.0).reshape(10, 2), "y": np.arange(10.0)}


# The published files


def test_digits():
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    for x, y, n in ((x_train, y_train, 1437), (x_test, y_test, 360)):
        assert (x.shape, y.shape) == ((n, 8, 8), (n,))
        assert x.dtype == y.dtype == np.uint8
        assert (x.min(), x.max()) == (0, 16)
        assert sorted(set(y.tolist())) == list(range(10))
    assert y_train[:10].tolist() == list(range(10))
    assert x_train[0, 0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    counts = np.bincount(np.concatenate([y_train, y_test]))
    assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    x_train[:] = 0
    assert digits.load_data()[0][0].max() == 16


@pytest.mark.parametrize(
    ("module", "first", "counts"),
    [
        (mnist, [5, 0, 4, 1, 9], [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]),
        (fashion_mnist, [9, 0, 0, 3, 0], [6000] * 10),
    ],
)
def test_image_sets(published, module, first, counts):
    (x_train, y_train), (x_test, y_test) = published(module.load_data)
    for x, y, n in ((x_train, y_train, 60000), (x_test, y_test, 10000)):
        assert (x.shape, y.shape) == ((n, 28, 28), (n,))
        assert x.dtype == y.dtype == np.uint8
        assert (x.min(), x.max()) == (0, 255)
    assert y_train[:5].tolist() == first
    assert np.bincount(y_train).tolist() == counts
    x_train[0] = 0  # may be changed


def test_fashion_mnist_label_names():
    names = fashion_mnist.get_label_names()
    assert len(names) == 10
    assert (names[0], names[9]) == ("T-shirt/top", "Ankle boot")


def test_imdb(published):
    (x_train, y_train), (x_test, y_test) = published(imdb.load_data, num_words=10000)
    for x, y in ((x_train, y_train), (x_test, y_test)):
        assert x.shape == y.shape == (25000,)
        assert (x.dtype, y.dtype) == (np.dtype(object), np.dtype(np.int64))
        assert all(type(row) is list for row in x)
        assert max(map(max, x)) == 9999
        assert np.bincount(y).tolist() == [12500, 12500]
    assert x_train[0][:10] == [1, 14, 22, 16, 43, 530, 973, 1622, 1385, 65]
    assert (len(x_train[0]), y_train[0]) == (218, 1)
    words = {rank + 3: word for word, rank in published(imdb.get_word_index).items()}
    assert len(words) == 88584
    assert [words[i] for i in x_train[0][1:6]] == ["this", "film", "was", "just", "brilliant"]


def test_reuters(published):
    (x_train, y_train), (x_test, y_test) = published(reuters.load_data, num_words=10000)
    assert x_train.shape == y_train.shape == (8982,)
    assert x_test.shape == y_test.shape == (2246,)
    assert x_train[10][:8] == [1, 245, 273, 207, 156, 53, 74, 160]
    assert y_train[10] == 3
    assert max(map(max, x_train)) == 9999
    y = np.concatenate([y_train, y_test])
    assert (y.min(), y.max()) == (0, 45)
    assert np.bincount(y)[[0, 3, 4, 45]].tolist() == [67, 3972, 2423, 19]
    words = {rank + 3: word for word, rank in published(reuters.get_word_index).items()}
    assert len(words) == 30979
    assert [words.get(i, "?") for i in x_train[0][:9]] == [
        *"???",
        "said",
        "as",
        "a",
        "result",
        "of",
        "its",
    ]


def test_reuters_label_names():
    names = reuters.get_label_names()
    assert len(set(names)) == 46
    assert names[:5] == ("cocoa", "grain", "veg-oil", "earn", "acq")


def test_boston_housing(published):
    (x_train, y_train), (x_test, y_test) = published(boston_housing.load_data)
    assert (x_train.shape, y_train.shape) == ((404, 13), (404,))
    assert (x_test.shape, y_test.shape) == ((102, 13), (102,))
    assert x_train.dtype == y_train.dtype == np.float64
    assert y_train[:3].tolist() == [15.2, 42.3, 50.0]
    y = np.concatenate([y_train, y_test])
    assert (y.min(), y.max()) == (5.0, 50.0)


# Arguments


def reference(rows, labels, num_words, skip_top, maxlen, start_char, oov_char, index_from):
    """The rules of `encode` for one part, one after the other."""
    rows = [[rank + index_from for rank in row] for row in rows]
    if start_char is not None:
        rows = [[start_char, *row] for row in rows]
    if maxlen is not None:
        short = [len(row) < maxlen for row in rows]
        rows = [row for row, keep in zip(rows, short, strict=True) if keep]
        labels = [label for label, keep in zip(labels, short, strict=True) if keep]
    if num_words is None and rows:
        num_words = max(map(max, rows))
    new = []
    for row in rows:
        inside = [(i, skip_top <= i < num_words) for i in row]
        if oov_char is None:
            new.append([i for i, keep in inside if keep])
        else:
            new.append([i if keep else oov_char for i, keep in inside])
    return new, list(labels)


@given(
    rows=st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=6), min_size=1, max_size=8),
    num_words=st.none() | st.integers(1, 40),
    skip_top=st.integers(0, 12),
    maxlen=st.none() | st.integers(1, 8),
    start_char=st.none() | st.integers(0, 50),
    oov_char=st.none() | st.integers(-1, 50),
    index_from=st.integers(0, 5),
)
def test_encode(rows, **arguments):
    labels = np.arange(len(rows))
    expected_rows, expected_labels = reference(rows, labels, **arguments)
    if not expected_rows:
        with pytest.raises(ValueError, match=r"t: no sequence is shorter than maxlen=\d"):
            _words.encode("t", [(objects(rows), labels)], **arguments)
        return
    [(x, y)] = _words.encode("t", [(objects(rows), labels)], **arguments)
    assert x.shape == y.shape
    assert x.tolist() == expected_rows
    assert y.tolist() == expected_labels


@pytest.mark.parametrize("seed", [113, 0])
def test_imdb_shuffles_train_then_test(publish, seed):
    publish(imdb, **IMDB)
    (x_train, y_train), (x_test, y_test) = imdb.load_data(
        seed=seed, num_words=9, skip_top=5, start_char=None, oov_char=0, index_from=1
    )
    rng = np.random.RandomState(seed)
    for x, y, part in ((x_train, y_train, "train"), (x_test, y_test, "test")):
        order = np.arange(len(IMDB[f"x_{part}"]))
        rng.shuffle(order)
        assert y.tolist() == IMDB[f"y_{part}"][order].tolist()
        assert x.tolist() == [
            [rank + 1 if 5 <= rank + 1 < 9 else 0 for rank in row]
            for row in IMDB[f"x_{part}"][order]
        ]


def test_imdb_largest_id_is_of_both_parts(publish):
    publish(imdb, **{**IMDB, "x_test": objects([[3], [1, 90], [2]])})
    (x_train, _), (x_test, _) = imdb.load_data()
    assert max(map(max, x_train)) == 12
    assert max(map(max, x_test)) == 6  # 93, the largest, is outside


def test_imdb_maxlen_must_leave_rows_in_both_parts(publish):
    publish(imdb, **{**IMDB, "x_test": objects([[3] * 5, [1] * 5, [2] * 5])})
    (x_train, y_train), (x_test, y_test) = imdb.load_data(maxlen=7)
    assert len(x_train) == len(y_train) == 4
    assert x_test.shape == y_test.shape == (3,)  # one-dimensional though all are of one length
    with pytest.raises(ValueError, match="no sequence is shorter than maxlen=6; raise maxlen"):
        imdb.load_data(maxlen=6)


def test_reuters_splits_what_maxlen_leaves(publish):
    publish(reuters, **REUTERS)
    order = np.arange(10)
    np.random.RandomState(5).shuffle(order)
    kept = [i for i in order if i % 4 + 2 < 5]
    (x_train, y_train), (x_test, y_test) = reuters.load_data(maxlen=5, test_split=0.3, seed=5)
    n = int(len(kept) * 0.7)
    assert y_train.tolist() == kept[:n]
    assert y_test.tolist() == kept[n:]
    assert [len(row) for row in x_train] == [i % 4 + 2 for i in kept[:n]]
    assert len(x_test) == len(kept) - n


@pytest.mark.parametrize(("test_split", "n"), [(0.2, 8), (0, 10), (0.55, 4), (0.99, 0)])
def test_boston_housing_splits_after_the_shuffle(publish, test_split, n):
    publish(boston_housing, **BOSTON)
    (x_train, y_train), (x_test, y_test) = boston_housing.load_data(test_split=test_split, seed=3)
    order = np.arange(10)
    np.random.RandomState(3).shuffle(order)
    assert (y_train.tolist(), y_test.tolist()) == (order[:n].tolist(), order[n:].tolist())
    assert x_train.tolist() == BOSTON["x"][order[:n]].tolist()
    assert x_test.tolist() == BOSTON["x"][order[n:]].tolist()


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"num_words": 0}, ValueError, "num_words must be an integer of at least 1 or None, got 0"),
        ({"num_words": 9.5}, TypeError, "num_words must be an integer of at least 1 or None"),
        ({"skip_top": -1}, ValueError, "skip_top must be an integer of at least 0, got -1"),
        ({"skip_top": None}, TypeError, "skip_top must be an integer of at least 0, got None"),
        ({"maxlen": 0}, ValueError, "maxlen must be an integer of at least 1 or None, got 0"),
        ({"start_char": "<s>"}, TypeError, "start_char must be an integer or None, got '<s>'"),
        ({"oov_char": 2.0}, TypeError, "oov_char must be an integer or None, got 2.0"),
        ({"index_from": True}, TypeError, "index_from must be an integer, got True"),
    ],
)
@pytest.mark.parametrize(("module", "arrays"), [(imdb, IMDB), (reuters, REUTERS)])
def test_word_arguments_are_checked(publish, module, arrays, arguments, error, text):
    publish(module, **arrays)
    name = module.__name__.rpartition(".")[2]
    with pytest.raises(error, match=f"^{name}.load_data: {text}"):
        module.load_data(**arguments)


@pytest.mark.parametrize("module", [reuters, boston_housing])
@pytest.mark.parametrize(
    ("value", "error"), [(1, ValueError), (-0.1, ValueError), ("a", TypeError)]
)
def test_test_split_is_checked(module, value, error):
    with pytest.raises(error, match=r"load_data: test_split must be .*\[0, 1\), got "):
        module.load_data(test_split=value)


def test_boston_housing_of_unequal_lengths(folder, tmp_path):
    mine = tmp_path / "mine.npz"
    mine.write_bytes(npz(x=np.ones((3, 2)), y=np.ones(4)))
    with pytest.raises(ValueError, match=r"as many rows, got x \(3, 2\) and y \(4,\)"):
        boston_housing.load_data(mine)


# Where a file is looked for


def test_path_is_a_file_of_the_user(folder, tmp_path):
    mine = tmp_path / "mine.npz"
    mine.write_bytes(npz(**BOSTON))
    for path in (mine, str(mine)):
        (x_train, _), _ = boston_housing.load_data(path, test_split=0)
        assert x_train.shape == (10, 2)
    mine.write_bytes(npz(x_train=BOSTON["x"], y_train=1, x_test=2, y_test=3))
    assert mnist.load_data(path=mine)[0][0].shape == (10, 2)


def test_default_path_is_not_a_file_of_the_working_directory(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("boston_housing.npz").write_bytes(npz(**BOSTON))
    with pytest.raises(ConnectionError):
        boston_housing.load_data("boston_housing.npz")
    assert boston_housing.load_data("./boston_housing.npz")[1][0].shape == (2, 2)


@pytest.mark.parametrize(("module", "arrays"), [(imdb, IMDB), (reuters, REUTERS)])
def test_pickled_file_of_the_user_must_be_the_published_one(
    folder, publish, tmp_path, module, arrays
):
    mine = tmp_path / "mine.npz"
    data = npz(**arrays)
    mine.write_bytes(data)
    with pytest.raises(ValueError, match=f"{module._FILE.sha256}, got {sha256(data)}"):
        module.load_data(path=mine)
    mine.write_bytes(publish(module, **arrays))
    (folder / module._FILE.name).unlink()
    module.load_data(path=mine)


def test_word_index_of_the_user(folder, tmp_path):
    mine = tmp_path / "index.json"
    for module in (imdb, reuters):
        mine.write_text('{"the": 1, "caf\\u00e9": 2}')
        assert module.get_word_index(mine) == {"the": 1, "caf\u00e9": 2}
        mine.write_text('{"the": 1')
        with pytest.raises(ValueError, match=r"_word_index\.json: must be a JSON file"):
            module.get_word_index(mine)
        mine.write_text('["the"]')
        with pytest.raises(ValueError, match="must hold one JSON object, of words"):
            module.get_word_index(mine)


def test_missing_path(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"mnist.npz: path must name an existing file, got"):
        mnist.load_data(tmp_path / "no.npz")
    with pytest.raises(FileNotFoundError, match=r"path must name an existing file"):
        mnist.load_data(tmp_path)
    with pytest.raises(TypeError, match=r"mnist.npz: path must be a str or a path, got int"):
        mnist.load_data(3)


def test_data_folder_must_exist(folder, monkeypatch):
    monkeypatch.setenv("PYDL_DATA_DIR", str(folder / "no"))
    with pytest.raises(NotADirectoryError, match=r"PYDL_DATA_DIR must name a folder, got '.*no'"):
        mnist.load_data()


@pytest.mark.parametrize("module", [boston_housing, fashion_mnist, imdb, mnist, reuters])
def test_no_network(folder, module):
    """Neither in the folder nor in the cache: the error says what to get, and where to put it."""
    file = fashion_mnist._TRAIN_IMAGES if module is fashion_mnist else module._FILE
    with pytest.raises(ConnectionError) as caught:
        module.load_data()
    text = str(caught.value)
    cached = folder.parent / "cache" / "pydl" / file.name
    for part in (file.name, file.sha256, file.url, str(cached), "PYDL_DATA_DIR"):
        assert part in text


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"<html>", lambda _: b""])
@pytest.mark.parametrize("module", [boston_housing, fashion_mnist, imdb, mnist, reuters])
def test_damaged_file_is_refused_before_it_is_parsed(folder, module, damage):
    file = fashion_mnist._TRAIN_IMAGES if module is fashion_mnist else module._FILE
    data = damage(npz(**BOSTON))
    (folder / "fashion-mnist").mkdir()
    (folder / file.name).write_bytes(data)
    with pytest.raises(ValueError, match=f"{file.name}: the SHA-256 of .* must be") as caught:
        module.load_data()
    assert f"must be {file.sha256}, got {sha256(data)}" in str(caught.value)
    assert file.url in str(caught.value)


@pytest.fixture
def server(folder, monkeypatch):
    """A web server on this machine that stands in for where the files are published."""
    pages, requested = {}, []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requested.append(self.path)
            body = pages.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setattr(_fetch, "BASE_URL", f"http://127.0.0.1:{httpd.server_port}/")
        yield pages, requested
        httpd.shutdown()
        thread.join()


def test_download_is_cached(folder, server, publish, capsys):
    pages, requested = server
    pages["/boston_housing.npz"] = data = publish(boston_housing, **BOSTON)
    (folder / "boston_housing.npz").unlink()
    for _ in range(2):
        assert boston_housing.load_data()[0][0].shape == (8, 2)
    assert requested == ["/boston_housing.npz"]
    assert "100%" in capsys.readouterr().err
    cached = folder.parent / "cache" / "pydl" / "boston_housing.npz"
    assert cached.read_bytes() == data
    cached.write_bytes(data[:-1])  # a damaged file in the cache is downloaded anew
    boston_housing.load_data()
    assert len(requested) == 2


def test_wrong_download_is_refused(folder, server):
    pages, _ = server
    pages["/boston_housing.npz"] = npz(**BOSTON)
    with pytest.raises(ValueError, match=boston_housing._FILE.sha256):
        boston_housing.load_data()
    assert not list((folder.parent / "cache").rglob("*.npz"))


def test_failed_download(folder, server):
    with pytest.raises(ConnectionError, match=r"imdb.npz could not be downloaded .*404"):
        imdb.load_data()


def test_fashion_mnist_has_a_folder_of_its_own(folder, server, monkeypatch):
    pages, requested = server
    for attribute, sizes in (
        ("_TRAIN_IMAGES", (3, 2, 2)),
        ("_TRAIN_LABELS", (3,)),
        ("_TEST_IMAGES", (1, 2, 2)),
        ("_TEST_LABELS", (1,)),
    ):
        data = idx(sizes, bytes(range(int(np.prod(sizes)))))
        file = getattr(fashion_mnist, attribute)
        monkeypatch.setattr(fashion_mnist, attribute, file._replace(sha256=sha256(data)))
        if "LABELS" in attribute:
            pages["/" + file.name.rpartition("/")[2]] = data
        else:
            (folder / file.name).parent.mkdir(exist_ok=True)
            (folder / file.name).write_bytes(data)
    (x_train, y_train), (x_test, y_test) = fashion_mnist.load_data()
    assert x_train.tolist() == np.arange(12).reshape(3, 2, 2).tolist()
    assert (x_test.shape, y_train.tolist(), y_test.tolist()) == ((1, 2, 2), [0, 1, 2], [0])
    assert requested == ["/train-labels-idx1-ubyte.gz", "/t10k-labels-idx1-ubyte.gz"]
    cached = folder.parent / "cache" / "pydl" / "fashion-mnist"
    assert len(list(cached.glob("*.gz"))) == 2


def test_nothing_heavy_is_imported_before_use():
    code = "import sys, pydl.datasets; print([n for n in sys.argv[1:] if n in sys.modules])"
    names = ["pooch", "requests", "tqdm", "gzip", "pydl.datasets.mnist"]
    command = [sys.executable, "-c", code, *names]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_package_lists_its_modules():
    import pydl.datasets

    assert set(pydl.datasets.__all__) <= set(dir(pydl.datasets))
    assert pydl.datasets.mnist is mnist
    with pytest.raises(AttributeError, match=r"'pydl\.datasets' has no attribute 'cifar'"):
        pydl.datasets.cifar  # noqa: B018
