"""Training: steps of small and medium models, epochs, the tasks of the course."""

from __future__ import annotations

import math
import os
from typing import Any

import pytest

from bench import cases, course


@pytest.fixture(scope="module", autouse=True)
def course_data() -> None:
    os.environ[course.VARIABLE] = course.prepare() or ""


@pytest.mark.parametrize("case", list(cases.models()), ids=lambda c: c.name)
def test_model(measure: Any, case: cases.Case) -> None:
    if case.kind == "course_task" and not os.environ[course.VARIABLE]:
        pytest.skip("needs the data sets in PYDL_DATA_DIR")
    assert math.isfinite(measure(case))
