from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

import pydl

settings.register_profile(
    "default",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("default")


@pytest.fixture(autouse=True)
def _restored_settings():
    """Tests may change threads and other settings; the next test finds the defaults."""
    threads = pydl.config.get_num_threads()
    yield
    pydl.config.set_num_threads(threads)
    pydl.config.set_denormals("flush")
    pydl.config.set_floatx("float32")
    pydl.config.set_epsilon(1e-7)


@pytest.fixture
def path(tmp_path):
    """Where a test saves its model, in a folder of its own."""
    return tmp_path / "model.safetensors"
