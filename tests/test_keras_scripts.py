"""Scripts for Keras 2 of the four tasks run with only their import lines changed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from subprocesses import run_script

SCRIPTS = Path(__file__).resolve().parent / "keras_scripts"

# The epochs that are left, the name of the result, and where it must lie after them.
RESULTS = {
    "boston_prices": (20, "test mae", 2, 5),
    "imdb_reviews": (2, "test accuracy", 0.7, 0.88),
    "mnist_digits": (2, "test accuracy", 0.94, 0.98),
    "reuters_newswires": (2, "test accuracy", 0.5, 0.8),
}


def with_pydl(text: str) -> str:
    """The script with `keras` replaced in its import lines."""
    lines = [
        re.sub(r"\bkeras\b", "pydl", line) if re.match(r"(from|import) keras\b", line) else line
        for line in text.splitlines(keepends=True)
    ]
    return "".join(lines)


def shortened(text: str, epochs: int) -> str:
    """The script with few epochs and, where it names them, few words."""
    text = re.sub(r"(epochs?)( ?= ?)\d+", rf"\g<1>\g<2>{epochs}", text)
    return text.replace("top_words = 10000", "top_words = 1000")


@pytest.mark.parametrize("name", sorted(path.stem for path in SCRIPTS.glob("*.py")))
def test_script(name, tmp_path):
    text = (SCRIPTS / f"{name}.py").read_text()
    epochs, label, low, high = RESULTS[name]
    script = tmp_path / "script.py"
    script.write_text(shortened(with_pydl(text), epochs))
    printed = run_script(script, folder=tmp_path)
    value = float(re.search(rf"^{label}: (.*)", printed, re.MULTILINE)[1])
    assert low <= value <= high, printed


def test_every_script_has_a_result():
    assert sorted(RESULTS) == sorted(path.stem for path in SCRIPTS.glob("*.py"))
