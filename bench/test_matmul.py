"""Matrix products: squares, skinny ones, transposed operands, dense and sparse layers."""

from __future__ import annotations

from typing import Any

import pytest

from bench import cases


@pytest.mark.parametrize("case", list(cases.matmul()), ids=lambda c: c.name)
def test_matmul(measure: Any, case: cases.Case) -> None:
    args = case.args
    if case.kind == "matmul":
        shape = ((args["batch"],) if args["batch"] else ()) + (args["m"], args["n"])
    else:
        shape = (args["batch"], args["units"])
    assert measure(case).shape == shape


@pytest.mark.parametrize("case", list(cases.sparse()), ids=lambda c: c.name)
def test_sparse(measure: Any, case: cases.Case) -> None:
    assert measure(case).shape == (case.args["inputs"], case.args["units"])
