"""SummaryWriter and the TensorBoard callback: what they write, read back by tensorboard itself."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest

import pydl
from pydl import callbacks, layers, models
from pydl.tensorboard import SummaryWriter

pytest.importorskip("tensorboard")
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.graph_pb2 import GraphDef


def read(folder) -> EventAccumulator:
    return EventAccumulator(
        str(folder), {"tensors": 0, "scalars": 0, "histograms": 0, "images": 0}
    ).Reload()


def scalars(folder, tag):
    return [(event.step, event.value) for event in read(folder).Scalars(tag)]


def graph_of(folder) -> dict:
    return {node.name: node for node in GraphDef.FromString(read(folder)._graph).node}


def xor(**kwargs):
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 8, np.float32)
    model = models.Sequential(
        [
            layers.Input((2,), name="in"),
            layers.Dense(4, "sigmoid", name="hidden"),
            layers.Dense(1, "sigmoid", name="out"),
        ]
    )
    model.compile(pydl.optimizers.SGD(0.5), "binary_crossentropy", metrics=["accuracy"], **kwargs)
    return model, x, (x[:, :1] != x[:, 1:]).astype(np.float32)


# SummaryWriter


def test_scalars(tmp_path):
    with SummaryWriter(tmp_path / "new" / "run") as writer:
        for step, value in enumerate([1, 0.5, np.float64(0.25), pydl.tensor(0.125), [0.0]]):
            writer.scalar("loss/train", value, step)
        writer.scalar("loss/train", float("inf"), np.int64(9))
    found = scalars(tmp_path / "new" / "run", "loss/train")
    assert found == [(0, 1.0), (1, 0.5), (2, 0.25), (3, 0.125), (4, 0.0), (9, float("inf"))]
    [file] = (tmp_path / "new" / "run").iterdir()
    assert file.name.startswith("events.out.tfevents.")


def test_histogram(tmp_path):
    values = np.random.default_rng(0).normal(size=(50, 20)).astype(np.float32)
    with SummaryWriter(tmp_path) as writer:
        writer.histogram("w", pydl.tensor(values), 3)
        writer.histogram("w", [np.nan, 2, 2, np.inf, 2], 4, buckets=5)
        with pytest.warns(UserWarning, match="'w' has no finite values at step 5"):
            writer.histogram("w", [np.nan], 5)
    first, second = read(tmp_path).Histograms("w")
    assert first.step == 3
    found = first.histogram_value
    assert (found.min, found.max, found.num) == (values.min(), values.max(), 1000)
    np.testing.assert_allclose(found.sum, values.sum(dtype=np.float64), rtol=1e-9)
    np.testing.assert_allclose(found.sum_squares, (values.astype(float) ** 2).sum(), rtol=1e-9)
    counts, edges = np.histogram(values, 30)
    # tensorboard puts an edge before the first bucket
    filled = np.array(found.bucket)
    assert filled.sum() == 1000 and sorted(filled[filled > 0]) == sorted(counts[counts > 0])
    np.testing.assert_allclose(found.bucket_limit[-1], edges[-1])
    assert second.histogram_value.num == 3 and second.histogram_value.min == 2


@pytest.mark.parametrize(
    "shape, mode", [((4, 6), "L"), ((4, 6, 1), "L"), ((4, 6, 3), "RGB"), ((2, 4, 6, 4), "RGBA")]
)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_image(tmp_path, shape, mode, dtype):
    pixels = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    given = pixels if dtype == "uint8" else pixels.astype(dtype) / 255
    with SummaryWriter(tmp_path) as writer:
        writer.image("picture", given, 7)
    [event] = read(tmp_path).Tensors("picture")
    width, height, *files = event.tensor_proto.string_val
    assert (event.step, width, height) == (7, b"6", b"4")
    several = pixels if len(shape) == 4 else pixels[None]
    assert len(files) == len(several)
    for file, expected in zip(files, several, strict=True):
        image = Image.open(io.BytesIO(file))
        assert image.mode == mode
        np.testing.assert_array_equal(np.asarray(image).reshape(expected.shape), expected)
    assert read(tmp_path).SummaryMetadata("picture").plugin_data.plugin_name == "images"


def test_image_clips(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.image("p", [[-1.0, 0.5, 2.0, np.nan]], 0)
    [event] = read(tmp_path).Tensors("p")
    image = np.asarray(Image.open(io.BytesIO(event.tensor_proto.string_val[2])))
    assert image.tolist() == [[0, 128, 255, 0]]


def test_graph(tmp_path):
    inner = models.Sequential(
        [layers.Dense(3, "relu", name="a"), layers.Dense(2, name="b")], name="inner"
    )
    model = models.Sequential(
        [layers.Input((5,), name="in"), inner, layers.Dropout(0.5, name="drop")], name="outer"
    )  # fmt: skip
    with SummaryWriter(tmp_path) as writer:
        writer.graph(model)
    nodes = graph_of(tmp_path)
    assert {name: (node.op, list(node.input)) for name, node in nodes.items()} == {
        "in": ("InputLayer", []),
        "inner/a": ("Dense", ["in"]),
        "inner/b": ("Dense", ["inner/a"]),
        "drop": ("Dropout", ["inner/b"]),
    }
    a = nodes["inner/a"].attr
    assert [d.size for d in a["_output_shapes"].list.shape[0].dim] == [-1, 3]
    assert (a["activation"].s, a["params"].s) == (b"relu", b"18")
    assert a["weights"].s == b"kernel (5, 3), bias (3,)"


def test_graph_of_a_model_that_is_not_built(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.graph(models.Sequential([layers.Dense(3, name="a"), layers.Dense(2, name="b")]))
    nodes = graph_of(tmp_path)
    assert list(nodes["b"].input) == ["a"] and not nodes["b"].attr["_output_shapes"].list.shape


def test_embedding(tmp_path):
    from google.protobuf import text_format
    from tensorboard.plugins.projector import ProjectorConfig

    matrix = np.arange(6, dtype=np.float32).reshape(3, 2)
    with SummaryWriter(tmp_path) as writer:
        writer.embedding("words", matrix, "labels.tsv")
        writer.embedding("other/words", matrix)
        writer.embedding("words", matrix + 1)
    config = text_format.Parse((tmp_path / "projector_config.pbtxt").read_text(), ProjectorConfig())
    assert [(e.tensor_name, e.tensor_path, e.metadata_path) for e in config.embeddings] == [
        ("words", "words.tsv", "labels.tsv"),
        ("other/words", "other_words.tsv", ""),
    ]
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "words.tsv"), matrix + 1)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda w: w.scalar("a", [1, 2], 0), TypeError, "'a' must be one number, got shape"),
        (lambda w: w.scalar("a", "x", 0), TypeError, "SummaryWriter.scalar: 'a'"),
        (lambda w: w.scalar("", 1, 0), TypeError, "tag must be a text"),
        (lambda w: w.scalar("a", 1, 0.5), TypeError, "step must be an integer, got 0.5"),
        (lambda w: w.histogram("a", [1], 0, buckets=0), ValueError, "buckets must be a positive"),
        (lambda w: w.image("a", np.zeros((2, 2, 2)), 0), ValueError, "'a' must be .H, W."),
        (lambda w: w.image("a", np.zeros((0, 2)), 0), ValueError, "'a' must be .H, W."),
        (lambda w: w.graph(3), TypeError, "expected a model, got int"),
        (lambda w: w.embedding("a", [1.0]), ValueError, "must be .n, size., got"),
    ],
)  # fmt: skip
def test_bad_input(tmp_path, call, error, message):
    with SummaryWriter(tmp_path) as writer, pytest.raises(error, match=message):
        call(writer)


def test_a_closed_writer(tmp_path):
    writer = SummaryWriter(tmp_path)
    writer.scalar("a", 1, 0)
    writer.flush()
    assert scalars(tmp_path, "a") == [(0, 1.0)]
    writer.close()
    writer.close()
    for call in (lambda: writer.scalar("a", 1, 0), writer.flush, lambda: writer.graph(xor()[0])):
        with pytest.raises(ValueError, match="is closed"):
            call()


@pytest.mark.parametrize("first", [1.0, -1e20, 1e300, 0.0, 1e-30])
def test_histogram_of_numbers_that_differ_in_their_last_bits(first, tmp_path):
    values = np.array([first, np.nextafter(first, 1e308), np.nextafter(first, 1e308)])
    with SummaryWriter(tmp_path) as writer:
        writer.histogram("w", values, 0)
        writer.histogram("w", values[1:], 1)
    for event, given in zip(read(tmp_path).Histograms("w"), (values, values[1:]), strict=True):
        found = event.histogram_value
        assert (found.num, found.min, found.max) == (len(given), given[0], given[-1])
        assert sum(found.bucket) == len(given)


def test_without_the_package(tmp_path):
    code = (
        "import sys; sys.modules['tensorboard'] = None\n"
        "import pydl; callback = pydl.callbacks.TensorBoard('logs')\n"
        "try: pydl.tensorboard.SummaryWriter('logs')\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.strip() == (
        "SummaryWriter: needs the package tensorboard; install it with "
        "pip install 'pydl[tensorboard]'"
    ), done.stderr
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_found_before_the_first_epoch(tmp_path):
    code = (
        "import sys; sys.modules['tensorboard'] = None\n"
        "import numpy as np, pydl\n"
        "model = pydl.Sequential([pydl.Input((2,)), pydl.layers.Dense(1)])\n"
        "model.compile('sgd', 'mse')\n"
        "callback = pydl.callbacks.TensorBoard('logs', write_graph=False)\n"
        "show = pydl.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: print('epoch'))\n"
        "try: model.fit(np.ones((2, 2)), np.ones((2, 1)), verbose=0, callbacks=[callback, show])\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.strip() == (
        "SummaryWriter: needs the package tensorboard; install it with "
        "pip install 'pydl[tensorboard]'"
    ), done.stderr


def test_nothing_is_imported_before_use(tmp_path):
    code = (
        f"import sys, pydl; pydl.callbacks; pydl.tensorboard; print('tensorboard' in sys.modules)\n"
        f"pydl.tensorboard.SummaryWriter({str(tmp_path)!r}).close()\n"
        "print('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


# The callback


def test_epochs(tmp_path):
    model, x, y = xor()
    history = model.fit(
        x, y, batch_size=8, epochs=3, verbose=0, validation_data=(x, y),
        callbacks=[callbacks.TensorBoard(tmp_path)],
    ).history  # fmt: skip
    assert sorted(p.name for p in tmp_path.iterdir()) == ["train", "validation"]
    tags = read(tmp_path / "train").Tags()
    assert sorted(tags["scalars"]) == ["epoch_accuracy", "epoch_learning_rate", "epoch_loss"]
    assert tags["graph"] and not tags["histograms"] and not tags["tensors"]
    for key in ("loss", "accuracy"):
        for run, prefix in (("train", ""), ("validation", "val_")):
            expected = np.float32(history[prefix + key]).tolist()
            assert scalars(tmp_path / run, f"epoch_{key}") == list(enumerate(expected))
        found = scalars(tmp_path / "validation", f"evaluation_{key}_vs_iterations")
        steps = [4, 8, 12]
        assert found == list(zip(steps, np.float32(history[f"val_{key}"]).tolist(), strict=True))
    assert scalars(tmp_path / "train", "epoch_learning_rate") == [(0, 0.5), (1, 0.5), (2, 0.5)]
    nodes = graph_of(tmp_path / "train")
    assert list(nodes["out"].input) == ["hidden"] and list(nodes["hidden"].input) == ["in"]


@pytest.mark.parametrize("eagerly", [False, True])
def test_batches(tmp_path, eagerly):
    model, x, y = xor(run_eagerly=eagerly)
    seen = []
    watch = callbacks.LambdaCallback(on_train_batch_end=lambda b, logs: seen.append(logs["loss"]))
    board = callbacks.TensorBoard(
        tmp_path, update_freq=3, write_graph=False, write_steps_per_second=True
    )
    model.fit(x, y, batch_size=8, epochs=3, verbose=0, callbacks=[board, watch])
    assert scalars(tmp_path / "train", "batch_loss") == [
        (n, np.float32(seen[n - 1])) for n in (3, 6, 9, 12)
    ]
    assert not read(tmp_path / "train").Tags()["graph"]
    for tag, count in (("batch_steps_per_second", 4), ("epoch_steps_per_second", 3)):
        found = scalars(tmp_path / "train", tag)
        assert len(found) == count and all(value > 0 for _, value in found)


def test_batch_hooks_only_where_they_are_wanted(tmp_path):
    def listens(callback):
        return callbacks.CallbackList(callback, None, {}).listens("on_train_batch_end")

    assert not listens(callbacks.TensorBoard(tmp_path))
    assert listens(callbacks.TensorBoard(tmp_path, update_freq="batch"))

    class Mine(callbacks.TensorBoard):
        def on_train_batch_end(self, batch, logs=None):
            pass

    assert listens(Mine(tmp_path))


def test_histograms_and_images(tmp_path):
    model, x, y = xor()
    board = callbacks.TensorBoard(tmp_path, histogram_freq=2, write_images=True)
    model.fit(x, y, epochs=4, verbose=0, callbacks=[board])
    found = read(tmp_path / "train")
    assert sorted(found.Tags()["histograms"]) == [
        f"{layer}/{weight}/histogram"
        for layer in ("hidden", "out")
        for weight in ("bias", "kernel")
    ]
    events = found.Histograms("hidden/kernel/histogram")
    assert [event.step for event in events] == [0, 2]
    assert [event.histogram_value.num for event in events] == [8, 8]
    sizes = {
        tag: [int(s) for s in found.Tensors(tag)[0].tensor_proto.string_val[:2]]
        for tag in found.Tags()["tensors"]
    }
    assert sizes == {
        "hidden/kernel/image": [4, 2], "hidden/bias/image": [4, 1], "out/kernel/image": [4, 1],
    }  # fmt: skip


def test_evaluate_and_training_again(tmp_path):
    model, x, y = xor()
    board = callbacks.TensorBoard(tmp_path)
    model.fit(x, y, verbose=0, callbacks=[board])
    loss, _ = model.evaluate(x, y, verbose=0, callbacks=[board])
    assert scalars(tmp_path / "validation", "evaluation_loss_vs_iterations") == [
        (1, np.float32(loss))
    ]
    model.fit(x, y, verbose=0, initial_epoch=1, epochs=2, callbacks=[board])
    # TensorBoard reads the files of one second in the order of their names: number 10 before 9.
    assert sorted(step for step, _ in scalars(tmp_path / "train", "epoch_loss")) == [0, 1]


def test_training_that_ends_with_an_error(tmp_path):
    model, x, y = xor()
    board = callbacks.TensorBoard(tmp_path)

    def fail(epoch, logs):
        if epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.fit(
            x, y, epochs=3, verbose=0,
            callbacks=[board, callbacks.LambdaCallback(on_epoch_end=fail)],
        )  # fmt: skip
    assert len(scalars(tmp_path / "train", "epoch_loss")) == 2
    model.fit(x, y, verbose=0, callbacks=[board])
    assert len(scalars(tmp_path / "train", "epoch_loss")) == 3


@pytest.mark.filterwarnings("ignore:SummaryWriter.histogram")
def test_weights_that_are_nan(tmp_path):
    model, x, y = xor()
    board = callbacks.TensorBoard(tmp_path, histogram_freq=1, write_images=True)
    model.fit(x * np.nan, y, verbose=0, callbacks=[board])
    assert np.isnan(scalars(tmp_path / "train", "epoch_loss")[0][1])


@pytest.mark.parametrize(
    "kwargs, error, message",
    [
        ({"histogram_freq": -1}, ValueError, "histogram_freq must not be negative"),
        ({"histogram_freq": 0.5}, TypeError, "histogram_freq must be an integer"),
        ({"update_freq": "epochs"}, ValueError, "update_freq must be 'epoch', 'batch' or an int"),
        ({"update_freq": 0}, ValueError, "update_freq must be a positive integer"),
        ({"profile_batch": (2, 3)}, ValueError, "profile_batch must be 0"),
    ],
)
def test_bad_arguments(kwargs, error, message):
    with pytest.raises(error, match=message):
        callbacks.TensorBoard(**kwargs)
