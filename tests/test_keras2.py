"""Names that scripts for Keras 2 use: backend functions, modules, Progbar, Sequence, get_file."""

from __future__ import annotations

import hashlib
import importlib

import numpy as np
import pytest

import pydl
from pydl import backend as K
from pydl import layers, models, utils


@pytest.mark.parametrize(
    "module, name",
    [
        ("utils.np_utils", "to_categorical"),
        ("utils.vis_utils", "plot_model"),
        ("utils.data_utils", "Sequence"),
        ("preprocessing.sequence", "pad_sequences"),
        ("preprocessing.text", "Tokenizer"),
        ("backend", "clear_session"),
        ("models", "Sequential"),
        ("layers", "Input"),
        ("callbacks", "TensorBoard"),
    ],
)
def test_import_paths(module, name):
    assert hasattr(importlib.import_module(f"pydl.{module}"), name)
    found = pydl
    for part in module.split("."):
        found = getattr(found, part)
    assert hasattr(found, name)


def test_every_name_that_utils_and_backend_list_is_there():
    for module in (utils, K):
        for name in module.__all__:
            assert getattr(module, name) is not None, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = utils.nothing


X = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("f4")


@pytest.mark.parametrize(
    "ours, expected",
    [
        (lambda: K.mean(K.constant(X), axis=1), X.mean(1)),
        (lambda: K.sum(K.constant(X), axis=(0, 2), keepdims=True), X.sum((0, 2), keepdims=True)),
        (lambda: K.prod(X, axis=0), X.prod(0)),
        (lambda: K.max(X, axis=-1), X.max(-1)),
        (lambda: K.square(X), X**2),
        (lambda: K.sqrt(K.abs(X)), np.sqrt(np.abs(X))),
        (lambda: K.pow(X, 3), X**3),
        (lambda: K.exp(X), np.exp(X)),
        (lambda: K.log(K.abs(X)), np.log(np.abs(X))),
        (lambda: K.maximum(X, 0.1), np.maximum(X, 0.1)),
        (lambda: K.minimum(X, 0.1), np.minimum(X, 0.1)),
        (lambda: K.clip(X, -0.5, 0.5), np.clip(X, -0.5, 0.5)),
        (lambda: K.argmax(X, axis=1), X.argmax(1)),
        (lambda: K.dot(K.constant(X), K.constant(X[0].T)), X @ X[0].T),
        (lambda: K.concatenate([X, X]), np.concatenate([X, X], -1)),
        (lambda: K.concatenate([X, X], axis=0), np.concatenate([X, X], 0)),
        (lambda: K.transpose(X[0]), X[0].T),
        (lambda: K.permute_dimensions(X, (2, 0, 1)), X.transpose(2, 0, 1)),
        (lambda: K.flatten(X), X.ravel()),
        (lambda: K.batch_flatten(K.constant(X)), X.reshape(2, 12)),
        (lambda: K.cast(X, "int32"), X.astype("int32")),
        (lambda: K.shape(X), [2, 3, 4]),
        (lambda: K.constant([1, 2], shape=(3, 2)), [[1.0, 2.0]] * 3),
    ],
)
def test_functions(ours, expected):
    np.testing.assert_allclose(np.asarray(ours()), expected, rtol=2e-6, atol=1e-7)


def test_variables():
    v = K.variable([[1, 2]], name="v")
    assert (v.dtype, v.name, K.int_shape(v), K.ndim(v)) == (np.float32, "v", (1, 2), 2)
    assert K.variable([1], dtype="float64").dtype == np.float64
    K.set_value(v, [[3, 4]])
    assert K.get_value(v).tolist() == K.eval(v).tolist() == [[3.0, 4.0]]
    assert K.eval(K.sum(v)) == 7.0 and isinstance(K.eval(K.sum(v)), np.float32)
    copy = K.get_value(v)
    copy[:] = 0
    assert K.get_value(v).tolist() == [[3.0, 4.0]]


def test_gradients():
    v, w = K.variable([1.0, 2.0]), K.variable(3.0)
    loss = K.sum(K.square(v)) * w
    found = K.gradients(loss, [v, w, K.variable(0.0)])
    assert found[0].tolist() == [6.0, 12.0] and found[1].item() == 5.0 and found[2] is None
    assert K.gradients(loss, v)[0].tolist() == [6.0, 12.0]
    with pytest.raises(TypeError, match="expected Tensors with values, got <SymbolicTensor"):
        K.gradients(K.mean(layers.Input((2,))), [v])


def test_random_numbers():
    a = K.random_normal((1000,), mean=2.0, stddev=0.1, seed=1)
    assert a.shape == (1000,) and abs(a.numpy().mean() - 2) < 0.02
    b = K.random_uniform((1000,), -1.0, 1.0, dtype="float64", seed=1)
    assert b.dtype == np.float64 and -1 <= b.numpy().min() < -0.9


def test_function():
    model = models.Sequential([layers.Input((4,)), layers.Dense(3, "relu"), layers.Dropout(0.5)])
    f = K.function([model.input, K.learning_phase()], [model.layers[0].output, model.output])
    x = X[0]
    hidden, out = f([x, 0])
    np.testing.assert_array_equal(hidden, model.layers[0](x).numpy())
    np.testing.assert_array_equal(out, hidden)
    hidden, out = f([x, 1])
    assert np.all((out == 0) | np.isclose(out, 2 * hidden)) and not np.array_equal(out, hidden)
    with pytest.raises(ValueError, match="function: takes 2 values, got 1"):
        f([x])
    a, b = K.placeholder((None, 2)), K.placeholder((None, 2))
    [value] = K.function([a, b], [K.sum(a * b, axis=-1)])([np.ones((3, 2)), np.full((3, 2), 2)])
    assert value.tolist() == [4.0, 4.0, 4.0]


# Progbar


def test_progbar(capsys):
    bar = utils.Progbar(10, verbose=1, interval=0.0, stateful_metrics=["lr"])
    bar.update(2, values=[("loss", 1.0), ("lr", 0.5)])
    bar.add(2, values=[("loss", 2.0), ("lr", 0.25)])
    bar.add(6, values=[("loss", 0.0), ("lr", 0.125)])
    last = capsys.readouterr().out.rstrip().splitlines()[-1]
    assert "10/10" in last and "loss: 0.6000" in last and "lr: 0.1250" in last
    quiet = utils.Progbar(None, verbose=0)
    quiet.add(1, [("loss", 3)])
    assert capsys.readouterr().out == ""
    lines = utils.Progbar(2, verbose=2)
    lines.add(1, [("loss", 3)])
    assert capsys.readouterr().out == ""
    lines.update(1, [("loss", 1)], finalize=True)
    assert capsys.readouterr().out.endswith("loss: 2.0000\n")


# Sequence


class Squares(utils.Sequence):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.epochs = 0

    def __len__(self):
        return 3

    def __getitem__(self, index):
        x = np.full((4, 1), index, np.float32)
        return x, x**2

    def on_epoch_end(self):
        self.epochs += 1


def test_sequence():
    model = models.Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    batches = Squares(workers=4, use_multiprocessing=True)
    model.fit(batches, epochs=2, validation_data=Squares(), verbose=0)
    assert batches.epochs == 2
    assert model.predict(batches, verbose=0).shape == (12, 1)
    assert model.fit_generator(Squares(), epochs=1, verbose=0).epoch == [0]
    assert utils.PyDataset is utils.Sequence
    for call in (len, lambda s: s[0]):
        with pytest.raises(NotImplementedError, match="Sequence must implement __"):
            call(utils.Sequence())


# get_file


def test_get_file(tmp_path, monkeypatch):
    monkeypatch.setenv("PYDL_DATA_DIR", str(tmp_path / "data"))
    cache = tmp_path / "cache"
    for folder in (tmp_path / "data", cache / "datasets", cache / "models"):
        folder.mkdir(parents=True)
    (tmp_path / "data" / "a.txt").write_text("a")
    (cache / "datasets" / "b.txt").write_text("b")
    assert utils.get_file("a.txt") == str(tmp_path / "data" / "a.txt")
    assert utils.get_file("b.txt", cache_dir=cache) == str(cache / "datasets" / "b.txt")
    assert utils.get_file(tmp_path / "data" / "a.txt", "http://x/a") == str(
        tmp_path / "data" / "a.txt"
    )
    for name in ("md5", "sha256"):
        digest = hashlib.new(name, b"a").hexdigest()
        utils.get_file("a.txt", file_hash=digest)
        utils.get_file("a.txt", md5_hash=digest.upper(), hash_algorithm=name)
        with pytest.raises(ValueError, match=f"the {name} hash of .* must be 0"):
            utils.get_file("a.txt", file_hash="0" * len(digest))
    with pytest.raises(FileNotFoundError, match=r"'c.txt' is not on this machine; put a copy of "
                       r"http://x/c.txt at .*models.c.txt, or in a folder"):  # fmt: skip
        utils.get_file("c.txt", "http://x/c.txt", cache_subdir="models", cache_dir=cache)
    with pytest.raises(ValueError, match="hash_algorithm must be 'auto' or"):
        utils.get_file("a.txt", hash_algorithm="sha")
