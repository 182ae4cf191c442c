"""Matrix products: squares, skinny ones, transposed operands, dense layers."""

from __future__ import annotations

from typing import Any

import pytest

from bench import cases


@pytest.mark.parametrize("case", list(cases.matmul()), ids=lambda c: c.name)
def test_matmul(measure: Any, case: cases.Case) -> None:
    args = case.args
    shape = (args["m"], args["n"]) if case.kind == "matmul" else (args["batch"], args["units"])
    assert measure(case).shape == shape
