"""Paths, disks and killed writers; files that are damaged, foreign, hostile or of another model."""

from __future__ import annotations

import errno
import os
import subprocess
import time

import numpy as np
import pytest
from errors import raises
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file
from saving_helpers import bits, everything, network, start

from pydl import layers, optimizers
from pydl.models import Sequential, load_model
from pydl.saving import container, files

# Writing


def test_path_endings(tmp_path):
    model = network()
    for name in ("model.keras", "model.h5", "MODEL.H5", "model.weights.h5", "m.hdf5"):
        for call in (model.save, model.save_weights, model.load_weights, load_model):
            with pytest.raises(
                ValueError, match=r"format of Keras.*use the ending '\.safetensors'"
            ):
                call(tmp_path / name)
    with pytest.raises(TypeError, match="expected a path, got int 3"):
        model.save(3)
    model.save(str(tmp_path / "without an ending"))
    assert bits(load_model(os.fspath(tmp_path / "without an ending"))) == bits(model)
    with pytest.raises(IsADirectoryError, match="name a file in it"):
        model.save(tmp_path)
    with pytest.raises(FileNotFoundError, match="folder must exist"):
        model.save(tmp_path / "none" / "m.safetensors")
    for call in (load_model, model.load_weights):
        with pytest.raises(FileNotFoundError, match="there is no file"):
            call(tmp_path / "none.safetensors")
        with pytest.raises(ValueError, match="is not a file"):
            call(tmp_path)


def test_overwrite_modes_and_links(tmp_path, path):
    model = network()
    model.save(path)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask()
    with pytest.raises(FileExistsError, match="pass overwrite=True"):
        model.save(path, overwrite=False)
    with pytest.raises(FileExistsError):
        model.save_weights(path, overwrite=False)
    path.chmod(0o640)
    link = tmp_path / "link.safetensors"
    link.symlink_to(path)
    model.save(link)
    assert link.is_symlink() and path.stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir(tmp_path)) == ["link.safetensors", "model.safetensors"]


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_not_built(path):
    model = Sequential([layers.Dense(2)])
    text = "is not built, so it has no weights yet; call it on data, or model.build"
    for call in (model.save, model.save_weights, model.load_weights):
        with pytest.raises(ValueError, match=text):
            call(path)
    assert not path.exists()


def full_disk(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_failing_disk_leaves_the_file_of_before(step, path, monkeypatch):
    model = network()
    model.save(path)
    before = path.read_bytes()
    model.set_weights([w + 1 for w in model.get_weights()])
    with monkeypatch.context() as patch:
        patch.setattr(files.os, step, full_disk)
        with pytest.raises(
            OSError, match=r"save: cannot write .*: No space left on device"
        ) as info:
            model.save(path)
    assert info.value.errno == errno.ENOSPC
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]


def test_a_write_of_some_bytes_goes_on(path, monkeypatch):
    model = network()
    write = os.write
    monkeypatch.setattr(files.os, "write", lambda fd, view: write(fd, view[:7]))
    model.save(path)
    assert bits(load_model(path)) == bits(model)


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"needs the permission to mount a small tmpfs: {error}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(small_disk):
    path = small_disk / "model.safetensors"
    model = network()
    model.save(path)
    before = path.read_bytes()
    large = Sequential([layers.Input((200,)), layers.Dense(200)])
    with pytest.raises(OSError, match=r"save: cannot write .*: No space left on device"):
        large.save(path)
    assert path.read_bytes() == before and os.listdir(small_disk) == [path.name]
    model.save(path)


def test_leftovers_of_killed_writers_go_away(path):
    for name in (".model.safetensors.0a0a0a0a.tmp", ".other.safetensors.0a0a0a0a.tmp"):
        (path.parent / name).write_bytes(b"half")
    held, name = files._new_file(path)  # a writer at work
    network().save(path)
    assert sorted(os.listdir(path.parent)) == sorted(
        [".other.safetensors.0a0a0a0a.tmp", os.path.basename(name), path.name]
    )
    os.close(held)


SAVE_IN_A_LOOP = """
import sys
import numpy as np
from pydl import layers, models

model = models.Sequential([layers.Input((300,)), layers.Dense(300)])
for i in range(10**9):
    model.set_weights([np.full_like(w, i) for w in model.get_weights()])
    model.save(sys.argv[1])
    print(i, flush=True)
"""


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_at_any_moment(kills, path):
    rng = np.random.default_rng(kills)
    last = -1
    for _ in range(kills):
        child = start(SAVE_IN_A_LOOP, path)
        child.stdout.readline()
        time.sleep(rng.uniform(0, 0.05))
        child.kill()
        done = child.communicate()[0].split()
        values = [np.unique(w) for w in load_model(path).get_weights()]
        assert len(values[0]) == 1 and values[0] == values[1]
        assert values[0] >= (int(done[-1]) if done else 0)
        last = values[0]
    assert last >= 0
    network().save(path)
    assert os.listdir(path.parent) == [path.name]


# Bad files


def rewritten(path, change):
    """Change the content of a file, with a checksum that fits."""
    content, arrays = container.read("test", path)
    change(content, arrays)
    container.write("test", path, content, arrays)


@given(st.data())
def test_damaged_bytes(tmp_path_factory, data):
    """A changed file raises ValueError, or is the model that was saved."""
    path = tmp_path_factory.mktemp("damaged") / "model.safetensors"
    model = small_model()
    model.save(path)
    good = path.read_bytes()
    bad = bytearray(good)
    kind = data.draw(st.sampled_from(["flip", "cut", "insert", "zero"]))
    at = data.draw(st.integers(0, 2**16)) % len(good)  # the length goes with automatic names
    if kind == "flip":
        bad[at] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        del bad[at:]
    elif kind == "insert":
        bad[at:at] = data.draw(st.binary(min_size=1, max_size=9))
    else:
        bad[at : at + 64] = bytes(len(bad[at : at + 64]))
    path.write_bytes(bad)
    try:
        copy = load_model(path)
    except ValueError as error:
        assert str(path) in str(error)
    else:
        assert everything(copy) == everything(model)
    before = bits(model)
    try:
        model.load_weights(path)
    except ValueError as error:
        assert str(error).startswith("load_weights: ")
    assert bits(model) == before


def small_model():
    model = Sequential([layers.Input((2,)), layers.Dense(2), layers.Dropout(0.5, seed=1)])
    model.compile(optimizers.Adam(), "mse")
    model.train_on_batch(np.ones((2, 2), "f4"), np.ones((2, 2), "f4"))
    return model


@given(st.binary(max_size=200))
def test_foreign_bytes(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("foreign") / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"load_model: .* is damaged, or no safetensors file"):
        load_model(path)


@pytest.mark.parametrize(
    "head",
    [
        (2**63).to_bytes(8, "little"),
        (10**11).to_bytes(8, "little") + b"{}",
        b"\x02" + bytes(7) + b"{}",
        (10**5).to_bytes(8, "little") + b"[" * 10**5,
        (10**5).to_bytes(8, "little") + b'{"a":' * 20000,
    ],
)
def test_hostile_headers(head, path):
    path.write_bytes(head)
    with pytest.raises(ValueError, match="load_model: "):
        load_model(path)


def test_other_safetensors_files(path):
    save_file({"kernel": np.zeros(3, "f4")}, path)
    for metadata in (None, {"format": "pt"}):
        save_file({"kernel": np.zeros(3, "f4")}, path, metadata)
        for call in (load_model, network().load_weights):
            with pytest.raises(ValueError, match=r"that pydl did not save.*load_file"):
                call(path)
    network().save_weights(path)
    with pytest.raises(ValueError, match=r"holds 'weights', not a whole model.*load_weights"):
        load_model(path)


def test_newer_versions(path, monkeypatch):
    model = network()
    monkeypatch.setattr(container, "FORMAT_VERSION", 7)
    model.save(path)
    monkeypatch.undo()
    for call in (load_model, model.load_weights):
        with pytest.raises(
            ValueError, match=r"in format 7, .* reads formats up to 1; upgrade pydl"
        ):
            call(path)


BOMB = '{"a":' * 5000 + "1" + "}" * 5000


@pytest.mark.parametrize("text", [BOMB, "[" * 100_000, "[]", "9" * 5000, "{", "\\ud800", ""])
def test_hostile_json(text, path):
    arrays = {"weights/a": np.zeros(1, "f4")}
    metadata = {"format": "pydl", "format_version": "1", "content": text}
    save_file(arrays, path, {**metadata, "checksum": container._checksum(text, arrays)})
    with pytest.raises(ValueError, match="load_model: "):
        load_model(path)
    save_file(arrays, path, {**metadata, "checksum": "none"})
    with pytest.raises(ValueError, match="its bytes are not those that were written"):
        load_model(path)


def first_layer(content):
    return content["model"]["config"]["layers"][1]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda c, a: c.pop("model"), "'model' is missing"),
        (lambda c, a: c.pop("training"), "'training' is missing"),
        (lambda c, a: c.update(model=[1]), "the architecture must be a dictionary"),
        (
            lambda c, a: c.update(model={"class_name": "Dense", "config": {"units": 2}}),
            "not a model",
        ),
        (lambda c, a: c.update(trainable=[True]), "trainable: expected 4 truth values"),
        (lambda c, a: c.update(trained=[1, 1, 1]), "trainable: expected 4 truth values"),
        (lambda c, a: first_layer(c).update(class_name="Dens"), "did you mean 'Dense'"),
        (lambda c, a: first_layer(c).update(class_name="os>system"), r"\{'system': system\}"),
        (lambda c, a: first_layer(c).update(class_name=["Dense"]), "unhashable"),
        (lambda c, a: first_layer(c).update(class_name="glorot_uniform"), "unknown layer class"),
        (lambda c, a: first_layer(c).update(config=3), "not iterable"),
        (lambda c, a: first_layer(c)["config"].update(units=-1), "positive integer"),
        (lambda c, a: first_layer(c)["config"].update(units=10**15), "more memory than"),
        (lambda c, a: first_layer(c)["config"].update(units=3), r"\(2, 3\).*\(2, 2\)"),
        (lambda c, a: first_layer(c)["config"].update(dtype="float64"), "float64.*float32"),
        (lambda c, a: first_layer(c)["config"].update(shell="rm"), "unknown argument 'shell'"),
        (lambda c, a: first_layer(c)["config"].update(name=None), None),
        (lambda c, a: c["model"]["config"].update(build_input_shape="abc"), None),
        (lambda c, a: c["model"].update(input_shape={"a": 3}), None),
        (lambda c, a: c["compile"].update(optimizer="adamm"), "did you mean"),
        (
            lambda c, a: c["compile"].update(optimizer={"class_name": "SGD", "config": {}}),
            "no 'optimizer/dense",
        ),
        (
            lambda c, a: c["compile"].update(loss={"class_name": "Dense", "config": {}}),
            "unknown loss",
        ),
        (lambda c, a: c["compile"].update(evil=1), "evil"),
        (lambda c, a: c["training"].update(epochs_done="x"), "must be numbers"),
        (lambda c, a: c["training"].update(gradients_accumulated=-1), "must be numbers"),
        (
            lambda c, a: a.pop("weights/dense/bias"),
            "the weight bias of Dense 'd' is not in the file",
        ),
        (lambda c, a: a.pop("optimizer/iterations"), "'optimizer/iterations' of Adam is not in"),
        (lambda c, a: a.pop("random/global"), "'random/global' is missing"),
        (lambda c, a: a.pop("random/dropout/seed_generator"), "seed_generator is not in the file"),
        (lambda c, a: a.update({"random/global": np.zeros(2)}), "is not one"),
        (lambda c, a: a.update({"weights/x": np.zeros(2)}), "the model has no 'weights/x'"),
        (
            lambda c, a: a.update({"weights/dense/kernel": np.zeros((2, 2), "i4")}),
            "is of float32, in the file it is of int32",
        ),
        (
            lambda c, a: a.update({"optimizer/dense/kernel/momentum": np.zeros((3, 2), "f4")}),
            r"'optimizer/dense/kernel/momentum' of Adam has shape \(2, 2\), in the file it has \(3, 2\)",
        ),
    ],
)
def test_hostile_content(change, text, path):
    model = Sequential([layers.Input((2,)), layers.Dense(2, name="d"), layers.Dropout(0.5)])
    model.compile(optimizers.Adam(), "mse")
    model.train_on_batch(np.ones((2, 2), "f4"), np.ones((2, 2), "f4"))
    model.save(path)
    rewritten(path, change)
    if text is None:  # harmless
        assert bits(load_model(path)) == bits(model)
        return
    with pytest.raises(ValueError, match=text) as info:
        load_model(path)
    assert str(info.value).startswith("load_model: ")


def test_weights_of_another_model(path):
    network().save_weights(path)
    model = Sequential([layers.Input((6,)), layers.Dense(9, name="wide"), layers.Dense(1)])
    before = bits(model)
    with raises(
        ValueError,
        "load_weights: the weight kernel of Dense 'wide' has shape (6, 9), in the file it has (6, 8)",
    ):
        model.load_weights(path)
    with pytest.raises(ValueError, match="has 8 arrays where the model has 2"):
        Sequential([layers.Input((6,)), layers.Dense(8)]).load_weights(path)
    with pytest.raises(ValueError, match="of Dense 'more' is not in the file, which has 8 arrays"):
        copy = network()
        copy.add(layers.Dense(1, name="more"))
        copy.load_weights(path)
    assert bits(model) == before
