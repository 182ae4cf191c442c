"""The examples in the docstrings of every module."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import pydl

MODULES = sorted(m.name for m in pkgutil.walk_packages(pydl.__path__, "pydl."))


@pytest.mark.parametrize("name", ["pydl", *(n for n in MODULES if not n.endswith("._core"))])
def test_examples(name: str) -> None:
    pydl.utils.set_random_seed(0)
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


def test_every_public_function_has_a_docstring() -> None:
    for name in pydl.__all__:
        value = getattr(pydl, name)
        assert (value.__doc__ or "").strip(), name
