"""Settings of `pytest bench/ --benchmark-only`: short enough to run in a few minutes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import pydl
from bench import frameworks, machine
from bench.cases import FLOAT, IN_L2, OUT_OF_CACHE, Case
from bench.worker import limit

MAX_TIME = 0.15  # seconds a case, unless --benchmark-max-time says otherwise


def pytest_configure(config: pytest.Config) -> None:
    given = any(str(a).startswith("--benchmark-max-time") for a in config.invocation_params.args)
    if not given and hasattr(config.option, "benchmark_max_time"):
        config.option.benchmark_max_time = MAX_TIME


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict) -> None:
    machine_info["bench"] = machine.describe()
    machine_info["pydl"] = pydl.config.build_info()
    machine_info["limits"] = {
        "fma": limit("fma", 0, 0.1),
        "copy in L2": limit("copy", FLOAT * IN_L2, 0.1),
        "copy out of cache": limit("copy", FLOAT * OUT_OF_CACHE, 0.1),
    }


@pytest.fixture
def measure(benchmark: Any) -> Callable[[Case], Any]:
    """Measures a case with pydl and returns its result."""

    def run(case: Case) -> Any:
        f = frameworks.build(frameworks.load("pydl"), case.kind, dict(case.args))
        assert f is not None, f"{case.name}: frameworks/pydl.py has no {case.kind}"
        benchmark.group = case.family
        f()
        if case.seconds:
            rounds = min(3, benchmark._min_rounds)
            result = benchmark.pedantic(f, rounds=rounds)
        else:
            result = benchmark(f)
        if benchmark.stats is not None:  # None with --benchmark-disable
            least = benchmark.stats.stats.min / case.repeats
            benchmark.extra_info["GFLOP/s"] = case.flops / least / 1e9
            benchmark.extra_info["GB/s"] = case.bytes / least / 1e9
        return result

    return run
