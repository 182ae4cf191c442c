"""Launches that a plan leaves out, since nothing reads what they write."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import numpy as np
import pytest
from function_helpers import bits, recorded
from hypothesis import given, settings
from hypothesis import strategies as st

import pydl

X = pydl.random.normal((3, 3), seed=0)


def names(function: Any) -> list[str]:
    return [launch.name for launch in function.plans[0].launches]


def test_what_is_not_returned_is_left_out() -> None:
    def f(x: Any) -> Any:
        pydl.exp(x @ x) + pydl.sum(x)
        return pydl.tanh(x)

    function = recorded(f, X)
    assert names(function) == ["tanh"]
    lines: list[str] = []
    function.plans[0].summary(lines.append)
    assert "that nothing reads" in lines[0]
    assert bits(function(X * 2)) == bits(f(X * 2))


def test_changes_of_variables_stay() -> None:
    v = pydl.Variable(np.zeros(X.shape, np.float32))

    def f(x: Any) -> Any:
        v.assign_add(pydl.exp(x))
        pydl.exp(v)  # left out
        return x * 2

    function = recorded(f, X)
    assert len(names(function)) == 3
    before = v.numpy().copy()
    function(X)
    assert bits(v) == bits(before + np.asarray(pydl.exp(X)))


def test_random_numbers_that_nobody_wants_are_still_drawn() -> None:
    def f(x: Any) -> Any:
        pydl.random.normal((50,))
        return pydl.random.uniform((3,)) + x[0, 0]

    pydl.utils.set_random_seed(3)
    want = [bits(f(X)) for _ in range(5)]
    function = pydl.function(f)
    pydl.utils.set_random_seed(3)
    assert [bits(function(X)) for _ in range(5)] == want
    assert "random normal" not in names(function)


def test_checks_stay() -> None:
    def f(x: Any, labels: Any) -> Any:
        pydl.losses.sparse_categorical_crossentropy(labels, x)
        return x * 2

    labels = pydl.tensor(np.zeros(len(X), np.int64))
    function = recorded(f, X, labels)
    assert names(function)[0].startswith("check")
    with pytest.raises(ValueError, match="1000000"):
        function(X, labels + 10**6)


def test_gradients_that_are_not_applied_are_left_out() -> None:
    v, w = (pydl.Variable(pydl.random.normal((16, 16), seed=i)) for i in range(2))

    def f(x: Any, applied: int) -> Any:
        with pydl.GradientTape() as tape:
            loss = pydl.sum(pydl.square(x @ v @ w))
        gradients = tape.gradient(loss, [v, w])
        v.assign_sub(gradients[0] * 0.01)
        if applied > 1:
            w.assign_sub(gradients[1] * 0.01)
        return loss

    x = pydl.random.normal((8, 16), seed=2)
    one, both = (recorded(lambda x, n=n: f(x, n), x) for n in (1, 2))
    assert names(both).count("matmul") == 5
    assert names(one).count("matmul") == 4


def test_what_is_written_in_part_or_in_place_stays() -> None:
    index = pydl.tensor(np.array([1, 0, 1]))

    def f(x: Any) -> Any:
        a = pydl.concatenate([pydl.exp(x), pydl.tanh(x)], axis=0)
        b = a[2:] + a[:-2]
        return pydl.take(b, index, axis=0)

    function = recorded(f, X)
    assert bits(function(X * 3)) == bits(f(X * 3))


OPERATIONS = [
    lambda a, b: pydl.exp(-pydl.abs(a)),
    lambda a, b: a * b + 1,
    lambda a, b: pydl.softmax(a) - b,
    lambda a, b: a @ pydl.transpose(b) @ a,
    lambda a, b: a + pydl.sum(b, axis=0),
    lambda a, b: pydl.cumsum(a, axis=1) * 0.1,
    lambda a, b: pydl.concatenate([a[:, ::2], b[:, 1::2]], axis=1),
    lambda a, b: pydl.where(a > b, a, pydl.mean(b)),
    lambda a, b: a[::-1] / (pydl.abs(b) + 1),
    lambda a, b: pydl.logsumexp(a, axis=-1, keepdims=True) + b,
    lambda a, b: pydl.relu(b) - a,
]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(OPERATIONS) - 1), st.integers(0, 1000), st.integers(0, 1000)),
        min_size=1,
        max_size=14,
    ),
    st.lists(st.integers(0, 1000), min_size=1, max_size=2),
    st.sampled_from([(1, 1), (5, 6), (33, 40), (300, 260)]),
    st.integers(1, 3),
)
def test_random_programs(program: Any, returned: Any, shape: Any, threads: int) -> None:
    """Steps that take any earlier values; some of the values are returned, one is kept."""
    total = pydl.Variable(np.zeros(shape, np.float32), trainable=False)

    def f(x: Any, y: Any) -> Any:
        values = [x, y]
        for which, a, b in program:
            a, b = values[a % len(values)], values[b % len(values)]
            values.append(OPERATIONS[which](a, b))
        total.assign_add(values[returned[0] % len(values)])
        return [values[i % len(values)] for i in returned]

    x, y = (pydl.random.normal(shape, seed=i) for i in range(2))
    want = [[bits(v) for v in f(x * k, y)] for k in range(4)]
    want_total = bits(total)
    total.assign(np.zeros(shape, np.float32))
    before = pydl.config.get_num_threads()
    pydl.config.set_num_threads(threads)
    try:
        function = pydl.function(f)
        assert [[bits(v) for v in function(x * k, y)] for k in range(4)] == want
        assert bits(total) == want_total
        assert not function.failure
    finally:
        pydl.config.set_num_threads(before)


def test_every_kernel_lists_its_operands() -> None:
    """No pointer among the arguments of a kernel is forgotten."""
    root = pathlib.Path(__file__).parent.parent / "csrc"
    seen = 0
    for path in [*root.glob("kernels/*.h"), *root.glob("runtime/*.cpp"), root / "runtime/plan.h"]:
        if path.name == "bench.cpp":  # measures the machine, no part of a step
            continue
        for name, body in re.findall(
            r"^struct (\w+Args)\b[^{;]*\{(.*?)^\};", path.read_text(), re.S | re.M
        ):
            operands = re.search(r"void operands\(auto f\) const \{(.*)\}", body, re.S)
            assert operands, f"{path.name}: {name} lists no operands"
            pointers = re.findall(r"^ +(?:const )?\w+\* (\w+)(?:\[\w+\])?;", body, re.M)
            assert pointers
            for pointer in pointers:
                assert re.search(rf"\b{pointer}\b", operands[1]), f"{path.name}: {name}.{pointer}"
            seen += 1
    assert seen > 35
