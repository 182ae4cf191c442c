"""The examples: each runs, here shortened, reaches a result, leaves its pictures, and trains to the
same bits eager and recorded."""

from __future__ import annotations

import ast
import math
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from subprocesses import run_script

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py"))
PNG = b"\x89PNG\r\n\x1a\n"


class Case(NamedTuple):
    options: str  # they shorten the example
    pattern: str  # of a number in its line "result: "
    low: float
    high: float


CASES = {
    "batch_norm": Case("--epochs 1 --layers 2 --units 32", "relu, batch norm ([.0-9]+)", 0.9, 0.99),
    "boston_housing": Case("--epochs 20", "test rows ([.0-9]+) thousand", 2, 4),
    "custom_loop": Case("--epochs 5", r"test accuracy ([.0-9]+)(?=.*last bit: True)", 0.8, 0.95),
    "digits": Case("--epochs 10", "test accuracy ([.0-9]+)", 0.85, 0.97),
    "dropout": Case("--epochs 3 --images 1000", "dropout 0.5: .* test ([.0-9]+),", 0.6, 0.85),
    "failures": Case("--epochs 4", "unscaled inputs: loss (inf) after", math.inf, math.inf),
    "fashion_mnist": Case("--epochs 1", "test accuracy ([.0-9]+)", 0.8, 0.9),
    "imdb": Case("--epochs 2 --retrain 2 --words 1000", "test accuracy ([.0-9]+)", 0.8, 0.88),
    "linear_regression": Case("--steps 100", "result: ([.0-9]+) thousand", 8.8, 8.9),
    "logistic_regression": Case("--epochs 10", "test accuracy ([.0-9]+)", 0.8, 0.99),
    "mnist": Case("--epochs 1", "test accuracy ([.0-9]+)", 0.94, 0.98),
    "overfitting": Case("--epochs 2 --words 1000", "L2 0.001 ([.0-9]+)", 0.3, 0.6),
    "relu_vs_sigmoid": Case("--epochs 1", "relu, Glorot ([.0-9]+)", 0.95, 0.98),
    "reuters": Case("--epochs 2 --retrain 4 --words 1000", "test accuracy ([.0-9]+)", 0.65, 0.8),
    "softmax": Case("--epochs 1", "test accuracy ([.0-9]+)", 0.89, 0.93),
    "tensor_basics": Case("", "result: ([0-9]+) images", 5, 5),
    "weight_init": Case("--epochs 5000", r"N\(0, 1\) loss ([.0-9]+)", 0, 0.05),
    "xor_network": Case("--epochs 4000 --hidden 8 --learning-rate 1", "loss ([.0-9]+)", 0, 0.05),
    "xor_tensorboard": Case("--epochs 30", "loss ([.0-9]+)", 0, 0.05),
    "xor_single": Case("--epochs 2000", "XOR loss ([.0-9]+)", 0.6931, 0.6933),
}


def test_every_example_has_a_case():
    if not NAMES:
        pytest.skip("needs a source checkout")
    assert sorted(CASES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_example(name, tmp_path):
    case = CASES[name]
    printed = run_script(
        EXAMPLES / f"{name}.py", *case.options.split(), "--output", "pictures", folder=tmp_path
    )
    (result,) = re.findall("^result: .*", printed, re.MULTILINE)
    number = re.search(case.pattern, result)
    assert number, result
    value = float(number[1])
    assert case.low <= value <= case.high, result
    pictures = re.findall("^picture: (.*)", printed, re.MULTILINE)
    assert sorted(pictures) == [f"pictures/{p.name}" for p in sorted(tmp_path.glob("pictures/*"))]
    assert pictures
    for picture in pictures:
        content = (tmp_path / picture).read_bytes()
        assert content.startswith(PNG)
        assert len(content) > 5000


# Options that let each take 100 steps or more.
TRAINED = {
    "batch_norm": "--epochs 1 --layers 2 --units 32",
    "boston_housing": "--epochs 2 --final-epochs 2",
    "custom_loop": "--epochs 3",
    "digits": "--epochs 3",
    "dropout": "--epochs 10 --images 1000",
    "failures": "--epochs 4",
    "fashion_mnist": "--epochs 1",
    "imdb": "--epochs 4 --retrain 2 --words 1000",
    "logistic_regression": "--epochs 12",
    "mnist": "--epochs 1",
    "overfitting": "--epochs 2 --words 1000",
    "relu_vs_sigmoid": "--epochs 1",
    "reuters": "--epochs 4 --retrain 4 --words 1000",
    "softmax": "--epochs 1",
    "weight_init": "--epochs 100",
    "xor_network": "--epochs 100",
    "xor_single": "--epochs 100",
    "xor_tensorboard": "--epochs 30",
}
UNRECORDED = {"tensor_basics", "linear_regression"}  # neither models nor functions


def test_every_example_that_records_is_compared():
    assert not NAMES or sorted(TRAINED.keys() | UNRECORDED) == NAMES


@pytest.mark.parametrize(
    "threads",
    [pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow), 3],
)
@pytest.mark.parametrize("name", sorted(TRAINED) if NAMES else [])
def test_eager_and_recorded_agree(name, threads, tmp_path):
    found = {}
    for mode, count in (("eager", 1), ("recorded", threads)):
        options = [*TRAINED[name].split(), "--output", "pictures"]
        script = Path(__file__).with_name("example_weights.py")
        printed = run_script(
            script, mode, str(count), str(EXAMPLES / f"{name}.py"), *options, folder=tmp_path
        )
        (found[mode],) = re.findall(r"variables: (\w+ of \d+), steps: (\d+), plans: (\d+)", printed)
    (weights, steps, plans), (others, other_steps, other_plans) = found.values()
    assert weights == others
    assert int(steps) == int(other_steps) >= 100
    assert int(plans) == 0 < int(other_plans)


@pytest.mark.parametrize("folds", [0, 1, 405])
def test_folds_must_fit_the_rows(folds, tmp_path):
    if not NAMES:
        pytest.skip("needs a source checkout")
    error = f"error: --folds must be 2 to 404, the number of rows, got {folds}\n"
    run_script(EXAMPLES / "boston_housing.py", "--folds", str(folds), folder=tmp_path, error=error)


@pytest.mark.parametrize("name", NAMES)
def test_example_is_short_and_says_what_it_shows(name):
    text = (EXAMPLES / f"{name}.py").read_text()
    assert 30 <= text.count("\n") <= 90
    doc = ast.get_docstring(ast.parse(text))
    assert f"python examples/{name}.py" in doc
    assert "parser.add_argument" in text


def test_the_readme_lists_every_example():
    if not NAMES:
        pytest.skip("needs a source checkout")
    rows = re.findall(r"^\| \[(\w+)\]\((\w+)\.py\) \|", (EXAMPLES / "README.md").read_text(), re.M)
    assert sorted(a for a, _ in rows) == NAMES
    assert all(a == b for a, b in rows)
