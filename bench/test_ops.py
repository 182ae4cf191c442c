"""Element-wise ops, copies, reductions, softmax, convolution, pooling; a control without pydl."""

from __future__ import annotations

from typing import Any

import pytest

from bench import cases
from pydl import _core


@pytest.mark.parametrize("case", [cases.control()], ids=lambda c: c.name)
def test_control(measure: Any, case: cases.Case) -> None:
    measure(case)


def _benched() -> set[str]:
    return {c.args["op"] for c in cases.elementwise(_core.ops) if "op" in c.args}


def test_every_op_has_a_bench(benchmark: Any) -> None:
    """A benchmark by itself, of the making of the cases, so that --benchmark-only runs it."""
    assert benchmark(_benched) >= {row["name"] for row in _core.ops}


@pytest.mark.parametrize("case", list(cases.elementwise(_core.ops)), ids=lambda c: c.name)
def test_elementwise(measure: Any, case: cases.Case) -> None:
    measure(case)


@pytest.mark.parametrize("case", list(cases.copy()), ids=lambda c: c.name)
def test_copy(measure: Any, case: cases.Case) -> None:
    measure(case)


@pytest.mark.parametrize("case", list(cases.reduce()), ids=lambda c: c.name)
def test_reduce(measure: Any, case: cases.Case) -> None:
    measure(case)


@pytest.mark.parametrize("case", list(cases.nn()), ids=lambda c: c.name)
def test_nn(measure: Any, case: cases.Case) -> None:
    assert measure(case).shape == tuple(case.args["shape"])


@pytest.mark.parametrize("case", list(cases.conv()), ids=lambda c: c.name)
def test_conv(measure: Any, case: cases.Case) -> None:
    measure(case)
