"""The plans of a function: which it keeps, their memory, loops in tiles, looking at them."""

from __future__ import annotations

import gc
import itertools
import json
from typing import Any

import numpy as np
import pytest
from function_helpers import X, bits, recorded

import pydl
from pydl import _core

# Which plans are kept


def test_many_kinds_of_arguments() -> None:
    function = pydl.function(lambda x: x * 2)
    for n in range(40):  # more kinds than plans are kept
        for _ in range(3):
            assert function(pydl.ones((n,))).shape == (n,)
    assert len(function.plans) <= 16
    once = pydl.function(lambda x: x * 2)
    with pytest.warns(UserWarning, match="as many kinds"):
        for n in range(80):
            once(pydl.ones((n,)))


def test_plans_used_least_recently_go_first() -> None:
    function = pydl.function(lambda x: x * 2)
    for _ in range(3):
        function(pydl.ones((100,)))
    for n in range(1, 40):
        for _ in range(2):
            function(pydl.ones((n,)))
        function(pydl.ones((100,)))  # in use all the time
        assert function.plans[-1].outputs.shape == (100,)
    assert len(function.plans) <= 16


def test_a_second_model_leaves_plans_alone() -> None:
    model = pydl.Sequential([pydl.layers.Dense(3), pydl.layers.Dropout(0.5)])
    model.compile("adam", "mse")
    function = recorded(lambda x: x * 2, X)
    plan = function.plans[0]
    pydl.Sequential([pydl.layers.Dense(3), pydl.layers.Dense(2)])
    pydl.optimizers.Adam()
    model.fit(np.ones((4, 2)), np.ones((4, 3)), epochs=3, verbose=0)
    function(X)
    assert function.plans == [plan]


def test_objects_made_inside_are_no_change() -> None:
    x, y = pydl.random.normal((8, 3), seed=0), pydl.random.normal((8, 3), seed=1)

    def f(x: Any, y: Any) -> Any:
        penalty = pydl.regularizers.L2(0.1)
        return pydl.losses.MeanSquaredError()(y, x) + penalty(x)

    function = recorded(f, x, y)
    assert bits(function(y, x)) == bits(f(y, x))


def test_memory_is_given_back() -> None:
    gc.collect()
    before = _core.memory_stats()["in_use"]
    function = recorded(lambda x: pydl.exp(x) @ x, pydl.ones((300, 300)))
    result = function(pydl.ones((300, 300)))
    bound = _core.memory_stats()["in_use"]
    for _ in range(100):
        result = function(pydl.ones((300, 300)))
    assert _core.memory_stats()["in_use"] <= bound + result.nbytes
    del function, result
    gc.collect()
    assert _core.memory_stats()["in_use"] <= before


# Tiles


def test_neighbouring_loops_run_tile_by_tile() -> None:
    def f(x: Any, y: Any, bias: Any) -> Any:
        a = pydl.tanh(x * 2 + bias)
        b = pydl.where(a > 0, a, y) / (pydl.abs(y) + 1)
        c = pydl.cumsum(b, axis=1)
        return a - b * 3 + c, pydl.exp(b[:, ::-1] - 1) * y

    for shape in ((700, 501), (30, 20)):
        arguments = [pydl.random.normal(s) for s in (shape, shape, shape[1:])]
        function = recorded(f, *arguments)
        merged = [launch.merged for launch in function.plans[0].launches]
        assert any(merged) == (shape[0] == 700)
        for threads in (1, 2, 3):
            before = pydl.config.get_num_threads()
            pydl.config.set_num_threads(threads)
            try:
                for y, want in zip(function(*arguments), f(*arguments), strict=True):
                    assert bits(y) == bits(want)
            finally:
                pydl.config.set_num_threads(before)
    lines: list[str] = []
    recorded(f, *(pydl.ones(s) for s in ((700, 501), (700, 501), (501,)))).plans[0].summary(
        lines.append
    )
    assert "\n+ " in lines[0]


def test_loops_that_read_what_was_written_elsewhere_stay_apart() -> None:
    x = pydl.random.normal((400000,))
    v = pydl.Variable(np.zeros(400000, np.float32), trainable=False)

    def shifted(x: Any) -> Any:
        v.assign(x + 1)
        v.assign(v[::-1] * 2)
        w = pydl.concatenate([v[1:], v[:1]], axis=0)
        return w + v[0]

    function = recorded(shifted, x)
    got = bits(function(x))
    assert got == bits(shifted(x))


# Looking at plans


def test_launches_over_transposed_operands_have_names() -> None:
    function = pydl.function(lambda x, y: pydl.exp(x.T) + y)
    x, y = pydl.ones((30, 20)), pydl.ones((20, 30))
    for _ in range(3):
        function(x, y)
    launches = [(launch.name, launch.bytes) for launch in function.plans[0].launches]
    assert launches == [("exp", 2 * 600 * 4), ("add", 3 * 600 * 4)]


def test_summary_profile_and_timeline(tmp_path: Any) -> None:
    w = pydl.Variable(pydl.random.normal((64, 64), seed=0))

    def f(x: Any) -> Any:
        w.assign_add(pydl.tanh(x @ w))
        return pydl.stop_gradient(pydl.sum(w, axis=0))

    plan = recorded(f, pydl.ones((64, 64))).plans[0]
    names = [launch.name for launch in plan.launches]
    assert names[:3] == ["matmul", "tanh", "add"]
    assert names[3].startswith("sum")
    assert plan.launches[0].flops == 2 * 64**3
    assert plan.launches[2].bytes == 3 * 64 * 64 * 4
    texts: list[str] = []
    plan.summary(texts.append)
    assert all(name in texts[0] for name in names)
    assert f"{len(names)} launches" in texts[0]
    before = bits(w)
    seconds = plan.profile(3, texts.append)
    assert bits(w) == before  # although the plan changes it
    assert len(seconds) == len(names) and all(0 < s < 1 for s in seconds)
    assert "GFLOP/s" in texts[1]
    plan.timeline(tmp_path / "plan.json", 2)
    events = json.loads((tmp_path / "plan.json").read_text())["traceEvents"]
    assert [e["name"] for e in events] == names
    for first, second in itertools.pairwise(events):
        assert second["ts"] == pytest.approx(first["ts"] + first["dur"])
    with pytest.raises(ValueError, match="times must be at least 1"):
        plan.profile(0)
