"""Pictures and tables of models: plot_model, plot_activations, the confusion matrix, debug."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import pydl
from pydl import layers, metrics, models, utils
from pydl.layers.graph import inner_layers, layer_edges, layer_graph, watch_calls

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="needs graphviz")


class Branches(models.Model):
    """A model whose edges only a run shows: also through operations, and past a Dropout."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.left = layers.Dense(3, "relu", name="left")
        self.right = layers.Dense(3, name="right")
        self.drop = layers.Dropout(0.5, name="drop")
        self.unused = layers.Dense(1, name="unused")
        self.out = layers.Dense(1, name="out")

    def call(self, x):
        h = self.left(x)
        return self.out(h * 2 + self.drop(self.right(h - x[:, :3])))


def nested():
    inner = models.Sequential(
        [layers.Dense(4, "relu", name="a"), layers.Dense(3, name="b")], name="inner"
    )
    return models.Sequential(
        [layers.Input((2,), name="in"), layers.Dense(5, name="first"), inner, layers.Dense(1, name="last")],
        name="outer",
    )  # fmt: skip


def names(pairs):
    return [(layer.name, [source.name for source in sources]) for layer, sources in pairs]


# The graph of a model


def test_layer_edges_of_a_chain():
    assert names(layer_edges(nested())) == [
        ("in", []),
        ("first", ["in"]),
        ("inner", ["first"]),
        ("last", ["inner"]),
    ]
    unbuilt = models.Sequential([layers.Dense(2, name="a"), layers.Dense(1, name="b")])
    assert names(layer_edges(unbuilt)) == [("a", []), ("b", ["a"])]


def test_layer_edges_of_a_subclass():
    model = Branches()
    assert all(sources == [] for _, sources in layer_edges(model))
    model(np.ones((2, 4), np.float32))
    weights = model.get_weights()
    assert names(layer_edges(model)) == [
        ("left", []),
        ("right", ["left"]),
        ("drop", ["right"]),
        ("out", ["left", "drop"]),
        ("unused", []),
    ]
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_layer_graph():
    layers_, edges = layer_graph(nested(), expand=True)
    assert list(layers_) == ["in", "first", "inner/a", "inner/b", "last"]
    assert set(edges) == {
        ("in", "first"), ("first", "inner/a"), ("inner/a", "inner/b"), ("inner/b", "last"),
    }  # fmt: skip
    layers_, edges = layer_graph(nested())
    assert list(layers_) == ["in", "first", "inner", "last"] and len(edges) == 3


def functional():
    """A functional model with a shared layer inside another with two outputs."""
    a, b = layers.Input((3,), name="a"), layers.Input((2,), name="b")
    shared = layers.Dense(4, "relu", name="shared")
    left, right = shared(a), shared(layers.Dense(3, name="wide")(b))
    inner = models.Model([a, b], layers.Concatenate(name="both")([left, right]), name="inner")
    x, y = layers.Input((3,), name="x"), layers.Input((2,), name="y")
    both = inner([x, y])
    skip = layers.Dense(8, name="skip")(both)
    out = layers.Dense(1, name="out")(layers.Add(name="sum")([skip, both]) * 2.0)
    return models.Model([x, y], [out, both], name="outer")


def test_layer_edges_of_a_functional_model():
    model = functional()
    times = model.layers[-2].name
    assert names(layer_edges(model)) == [
        ("x", []),
        ("y", []),
        ("inner", ["x", "y"]),
        ("skip", ["inner"]),
        ("sum", ["skip", "inner"]),
        (times, ["sum"]),
        ("out", [times]),
    ]
    assert names(layer_edges(model.get_layer("inner"))) == [
        ("a", []),
        ("b", []),
        ("shared", ["a", "wide"]),
        ("wide", ["b"]),
        ("both", ["shared"]),
    ]
    inside = models.Model(model.output[1], model.output[0])
    assert [source for layer, source in names(layer_edges(inside)) if layer == "skip"] == [
        [inside.layers[0].name]
    ]


def test_layer_graph_of_a_functional_model():
    model = functional()
    times = model.layers[-2].name
    layers_, edges = layer_graph(model, expand=True)
    assert set(layers_) == {
        "x", "y", "inner/shared", "inner/wide", "inner/both", "skip", "sum", times, "out",
    }  # fmt: skip
    assert set(edges) == {
        ("x", "inner/shared"), ("y", "inner/wide"), ("inner/wide", "inner/shared"),
        ("inner/shared", "inner/both"), ("inner/both", "skip"), ("inner/both", "sum"),
        ("skip", "sum"), ("sum", times), (times, "out"),
    }  # fmt: skip
    # an output that is used inside as well
    a = layers.Input((2,))
    first = layers.Dense(3, name="first")(a)
    inner = models.Model(a, [first, layers.Dense(2, name="second")(first)], name="inner")
    x = layers.Input((2,), name="x")
    end = layers.Concatenate(name="end")(inner(x))
    edges = layer_graph(models.Model(x, end), expand=True)[1]
    assert {("inner/first", "end"), ("inner/second", "end")} <= set(edges)


def test_pictures_of_a_functional_model(tmp_path):
    model = functional()
    utils.plot_model(model, tmp_path / "m.svg", show_shapes=True, expand_nested=True)
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(20, 3)), rng.normal(size=(20, 2))]
    model.compile("sgd", ["mse", "mse"])
    figure = utils.plot_activations(model, x, [np.ones((20, 1)), np.ones((20, 8))])
    titles = [axes.get_title().partition(":")[0] for axes in figure.axes[:14]]
    assert titles.count("inner/shared") == 1 and titles.count("gradient") == 7
    shared = figure.axes[titles.index("inner/shared")]
    assert sum(p.get_height() for p in shared.patches) == 2 * 20 * 4  # both calls
    rows = model.debug(x, print_fn=lambda text: None)
    assert [r.layer for r in rows].count("inner/shared") == 2


def test_watch_calls_leaves_no_trace():
    model = nested()
    before = [dict(vars(layer)) for _, layer in inner_layers(model)]
    x = np.ones((2, 2), np.float32)
    with (
        pytest.raises(ZeroDivisionError),
        watch_calls(layer for _, layer in inner_layers(model)) as calls,
    ):
        y = model(x)
        raise ZeroDivisionError
    assert [call.layer.name for call in calls] == ["first", "a", "b", "last"]
    assert calls[-1].outputs is y
    changes = {"_call_number"}
    for (_, layer), old in zip(inner_layers(model), before, strict=True):
        assert {k: v for k, v in vars(layer).items() if k not in changes} == {
            k: v for k, v in old.items() if k not in changes
        }


# plot_model


def test_model_to_dot():
    source = utils.model_to_dot(
        nested(), show_shapes=True, show_dtype=True, show_layer_names=True, rankdir="LR",
        expand_nested=True, dpi=96, show_layer_activations=True, show_trainable=True,
    ).to_string()  # fmt: skip
    for text in (
        "rankdir=LR", "dpi=96", "first (Dense)", "in (InputLayer)", "Input shape: (None, 2)",
        "Output shape: (None, 5)", "Dtype: float32", "Activation: relu", "Trainable",
        'label="inner"',
    ):  # fmt: skip
        assert text in source, text
    assert source.count(" -> ") == 4
    plain = utils.model_to_dot(nested()).to_string()
    assert plain.count(" -> ") == 3 and "first" not in plain and "shape:" not in plain


@needs_dot
@pytest.mark.parametrize("suffix", ["png", "svg", "pdf", "jpg", "dot", "PNG"])
def test_plot_model(tmp_path, suffix):
    file = tmp_path / f"model.{suffix}"
    utils.plot_model(nested(), file, show_shapes=True, show_layer_names=True, expand_nested=True)
    start = {"png": b"\x89PNG", "pdf": b"%PDF", "jpg": b"\xff\xd8", "dot": b"digraph"}
    data = file.read_bytes()
    if suffix == "svg":
        texts = {e.text for e in ET.fromstring(data).iter() if e.tag.endswith("text")}
        assert {"first (Dense)", "a (Dense)", "inner", "Output shape: (None, 1)"} <= texts
    else:
        assert data.startswith(start[suffix.lower()])


@needs_dot
def test_dot_shows_itself_in_notebooks():
    assert "<svg" in utils.plot_model(nested(), None)._repr_mimebundle_()["image/svg+xml"]
    with pytest.raises(ValueError, match=r"Dot.render: dot failed"):
        utils.vis_utils.Dot("digraph {").render()


@pytest.mark.parametrize("rankdir", ["TB", "LR", "BT", "RL"])
def test_plot_model_without_graphviz(tmp_path, monkeypatch, rankdir):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    file = tmp_path / "model.svg"
    model = Branches(name="branches")
    model(np.ones((2, 4), np.float32))
    dot = utils.plot_model(model, file, rankdir=rankdir, show_layer_names=True)
    text = file.read_text()
    for name in ("left", "right", "drop", "unused", "out"):
        assert f"<!-- {name} (" in text
    assert dot._repr_mimebundle_() == {"text/plain": dot.source}
    with pytest.raises(FileNotFoundError, match="install graphviz"):
        dot.render()


def test_places_without_graphviz(monkeypatch):
    from pydl.utils import vis_utils

    boxes = {name: [name] for name in "abcd"}
    edges = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("a", "d"), ("a", "a")]
    for rankdir, axis, sign in (("TB", 1, -1), ("BT", 1, 1), ("LR", 0, 1), ("RL", 0, -1)):
        figure = vis_utils._draw(boxes, edges, rankdir)
        place = {t.get_text(): t.get_position() for t in figure.axes[0].texts if t.get_text()}
        a, b, c, d = (sign * place[name][axis] for name in "abcd")
        assert a < b == c < d
        assert place["b"] != place["c"]


def test_names_with_odd_characters():
    model = models.Sequential(
        [layers.Input((2,)), models.Sequential([layers.Dense(1, name='<a & "b">')], name='x"\\y')]
    )
    dot = utils.model_to_dot(model, show_layer_names=True, expand_nested=True)
    assert "&lt;a &amp; &quot;b&quot;&gt; (Dense)" in dot.source
    if shutil.which("dot"):
        assert b"<svg" in dot.render()


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: utils.plot_model(3), TypeError, "plot_model: expected a model, got int"),
        (lambda: utils.model_to_dot(layers.Dense(1)), TypeError, "expected a model, got Dense"),
        (lambda: utils.plot_model(nested(), rankdir="UP"), ValueError, "rankdir must be 'TB' or"),
        (lambda: utils.plot_model(nested(), "a.txt"), ValueError, "to_file must end in .png"),
        (lambda: utils.plot_model(models.Sequential()), ValueError, "has no layers yet"),
        (lambda: utils.plot_activations(3, [[1.0]]), TypeError, "expected a model, got int"),
        (lambda: utils.plot_activations(nested(), [[1.0, 2.0]], [[1.0]]), RuntimeError, "compile"),
        (lambda: utils.plot_confusion_matrix([0, 1], [0]), ValueError, "y_true has 2 rows, y_pred"),
        (lambda: utils.plot_confusion_matrix([0, 2], [0, 1], ["a", "b"]), ValueError, "must be in"),
    ],
)  # fmt: skip
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    "call", ["plot_activations(model, [[1.0]])", "plot_confusion_matrix([0], [0])"]
)
def test_without_matplotlib(call):
    code = (
        "import sys; sys.modules['matplotlib.figure'] = None\n"
        "import pydl; from pydl.utils import *\n"
        "model = pydl.Sequential([pydl.layers.Dense(1)])\n"
        f"try: {call}\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    who = call.partition("(")[0]
    assert (
        done.stdout.strip() == f"{who}: needs matplotlib; install it with pip install 'pydl[plot]'"
    )


# plot_activations


def deep(activation, **compile_args):
    model = models.Sequential(
        [layers.Dense(20, activation, name=f"h{i}") for i in range(4)]
        + [layers.Dense(3, "softmax", name="out")]
    )
    model.compile("sgd", "sparse_categorical_crossentropy", **compile_args)
    return model


def test_plot_activations(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 8)).astype(np.float32), rng.integers(0, 3, 50)
    model = deep("sigmoid")
    figure = utils.plot_activations(model, x, y, path=tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000
    weights = model.get_weights()
    utils.plot_activations(model, x, y)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    axes = np.array(figure.axes).reshape(5, 2)
    titles = [ax.get_title() for ax in axes[:, 0]]
    assert [title.partition(":")[0] for title in titles] == ["h0", "h1", "h2", "h3", "out"]
    outputs = model(x).numpy()
    counted = sum(p.get_height() for p in axes[-1, 0].patches)
    assert counted == outputs.size
    assert f"mean {outputs.mean(dtype=float):.3g}" in titles[-1]
    # gradient of the loss by the logits of the last layer: (p - onehot) / rows
    expected = np.abs(outputs - np.eye(3)[y]) / 50
    title = axes[-1, 1].get_title()
    assert float(title.split("magnitude ")[1].split(",")[0]) == pytest.approx(
        expected.mean(), rel=1e-2
    )
    sizes = [float(ax.get_title().split("magnitude ")[1].split(",")[0]) for ax in axes[:, 1]]
    assert sizes[0] < sizes[3] / 50  # they vanish
    assert len({ax.get_xlim() for ax in axes[:, 1]}) == 1


def test_plot_activations_of_dead_frozen_and_broken_layers():
    x = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
    y = np.zeros(30, int)
    model = deep("relu")
    model(x)
    bias = model.layers[0].get_weights()
    bias[1][:] = -100
    model.layers[0].set_weights(bias)
    model.layers[0].trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    axes = np.array(utils.plot_activations(model, x, y).axes).reshape(5, 2)
    assert "zeros 100%" in axes[0, 0].get_title()
    assert "gradient" in axes[0, 1].get_title() and "no gradient" not in axes[0, 1].get_title()
    x[0, 0] = np.nan
    figure = utils.plot_activations(model, x)
    assert len(figure.axes) == 5 and "20 not finite" in figure.axes[0].get_title()


def test_plot_activations_of_a_subclass_and_of_integers():
    model = Branches()
    model.compile("sgd", "mse")
    figure = utils.plot_activations(model, np.ones((4, 4), int), np.ones((4, 1)))
    assert len(figure.axes) == 8


# The confusion matrix


def test_confusion_matrix():
    rng = np.random.default_rng(0)
    true, pred = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    expected = np.zeros((4, 4), int)
    for t, p in zip(true, pred, strict=True):
        expected[t, p] += 1
    found = metrics.confusion_matrix(true, pred)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype.kind == "i"
    one_hot, scores = np.eye(4)[true], np.eye(4)[pred] * 0.5 + 0.1
    for t in (true[:, None], one_hot, pydl.tensor(one_hot), true.astype(float)):
        for p in (pred.tolist(), scores):
            np.testing.assert_array_equal(metrics.confusion_matrix(t, p), expected)
    assert metrics.confusion_matrix(true, pred, 6).shape == (6, 6)
    weights = rng.random(200)
    weighted = metrics.confusion_matrix(true, pred, sample_weight=weights)
    np.testing.assert_allclose(weighted.sum(), weights.sum())
    np.testing.assert_allclose(weighted[1, 2], weights[(true == 1) & (pred == 2)].sum())
    assert metrics.confusion_matrix([0, 1, 1], [[0.2], [0.9], [0.5]]).tolist() == [[1, 0], [1, 1]]
    assert metrics.confusion_matrix([], []).shape == (0, 0)
    # columns that never occur are kept
    assert metrics.confusion_matrix([0, 1], np.eye(5)[:2]).shape == (5, 5)
    for bad in (([-1], [0], None), ([0, 5], [0, 1], 3), ([[0, 1]], [[[1]], [[2]]], None)):
        with pytest.raises(ValueError, match="confusion_matrix: "):
            metrics.confusion_matrix(*bad)


def test_plot_confusion_matrix(tmp_path):
    true, pred = [0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 2, 0]
    names = ["cat", "dog", "a bird"]
    figure = utils.plot_confusion_matrix(true, pred, names, path=tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_xticklabels()] == names
    assert axes.get_title() == "6 rows, 66.67% right"
    assert [t.get_text() for t in axes.texts] == ["1", "1", "1", "1", "2"]
    np.testing.assert_allclose(
        axes.images[0].get_array(), [[0.5, 0.5, 0], [0, 1, 0], [1 / 3, 0, 2 / 3]]
    )
    shares = utils.plot_confusion_matrix(true, pred, normalize=True).axes[0]
    assert [t.get_text() for t in shares.texts] == ["0.50", "0.50", "1.00", "0.33", "0.67"]


# debug


def test_debug(capsys):
    model = nested()
    x = np.random.default_rng(0).normal(size=(10, 2)).astype(np.float32)
    rows = model.debug(x)
    assert [(r.layer, r.type, r.shape) for r in rows] == [
        ("first", "Dense", (10, 5)),
        ("inner/a", "Dense", (10, 4)),
        ("inner/b", "Dense", (10, 3)),
        ("last", "Dense", (10, 1)),
    ]
    outputs = model(x).numpy().astype(float)
    assert rows[-1].mean == pytest.approx(outputs.mean()) and rows[-1].std == pytest.approx(
        outputs.std()
    )
    hidden = np.maximum(model.layers[0](x).numpy() @ model.layers[1].layers[0].kernel.numpy(), 0)
    assert rows[1].zeros == pytest.approx((hidden == 0).mean())
    text = capsys.readouterr().out.splitlines()
    assert text[0].split() == [
        "Layer",
        "(type)",
        "Output",
        "Mean",
        "Std",
        "Zeros",
        "Dead",
        "NaN",
        "Inf",
    ]
    assert len(text) == 6 and text[2].startswith("first (Dense)    (10, 5)")


def test_debug_finds_dead_and_broken_layers():
    model = nested()
    model.layers[1].layers[0].bias.assign(np.full(4, -1e3, np.float32))
    texts = []
    x = np.ones((5, 2), np.float32)
    rows = model.debug(x, print_fn=texts.append)
    assert rows[1].dead == rows[1].zeros == 1.0 and rows[0].dead == 0.0
    assert "inner/a: 100% of the units are 0 for every row; dead ReLUs learn nothing" in texts[0]
    x[0, 0], x[1, 0] = np.inf, np.nan
    rows = model.debug(x, print_fn=texts.append)
    assert rows[0].inf + rows[0].nan == 10 and math.isfinite(rows[0].mean)
    assert "first: the first output that is not finite" in texts[1]
    assert "not finite" not in texts[0] and texts[1].count("the first output") == 1
    empty = model.debug(x[:0], print_fn=texts.append)
    assert empty[0].shape == (0, 5) and math.isnan(empty[0].mean)


def test_activations_that_differ_in_their_last_bits():
    model = models.Sequential([layers.Input((1,)), layers.Activation("linear")])
    x = np.array([[1], [np.nextafter(np.float32(1), np.float32(2))]], np.float32)
    figure = utils.plot_activations(model, x)
    assert sum(patch.get_height() for patch in figure.axes[0].patches) == 2
