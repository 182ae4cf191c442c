"""Ctrl-C while a model is saved."""

from __future__ import annotations

import os

import pytest

from pydl import layers, models


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_the_file_of_before_stays(step, tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    model = models.Sequential([layers.Input((3,)), layers.Dense(2)])
    model.save(path)
    before = path.read_bytes()
    model.set_weights([w + 1 for w in model.get_weights()])

    def interrupted(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.save(path)
    assert os.listdir(tmp_path) == [path.name]
    assert path.read_bytes() == before
    model.save(path)
    assert path.read_bytes() != before
