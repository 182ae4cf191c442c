"""Training: steps of small and medium models, an epoch of MNIST."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bench import cases


@pytest.mark.parametrize("case", list(cases.models()), ids=lambda c: c.name)
def test_model(measure: Any, case: cases.Case) -> None:
    assert math.isfinite(measure(case))
