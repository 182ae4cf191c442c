"""The pages that scripts in docs/ make of the table of kernels are in step with it; the README runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pydl import _core

DOCS = Path(__file__).parent.parent / "docs"
TABLE = {row["name"]: row for row in _core.ops}


def rows(page: str) -> dict[str, list[str]]:
    """The cells of each row by the op's name."""
    found = {}
    for line in (DOCS / page).read_text().splitlines():
        if line.startswith("| `"):
            name, *cells = (c.strip() for c in re.split(r"(?<!\\)\|", line.strip("|")))
            assert name.strip("`") not in found, f"{page} has {name} twice"
            found[name.strip("`")] = cells
    return found


@pytest.mark.parametrize("page", ["ops.md", "accuracy.md"])
def test_every_op_has_a_row(page: str) -> None:
    names = sorted(TABLE, key=lambda name: (TABLE[name]["kind"] != "binary", name))
    assert list(rows(page)) == names, f"run docs/make_{page[:-3]}.py"


def test_bounds() -> None:
    for name, cells in rows("ops.md").items():
        assert cells[-1] == f"{TABLE[name]['max_ulp']:g}", name
    for name, (domain, measured, bound, _) in rows("accuracy.md").items():
        row = TABLE[name]
        low, high = row["domain"]
        exact = row["to_bool"] or row["max_ulp"] == 0
        assert (domain, bound) == (
            f"{low:g} to {high:g}",
            "exact" if exact else f"{row['max_ulp']:g}",
        ), name
        assert float(measured.split()[0]) <= row["max_ulp"], name


def test_the_tour_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    match = re.search(
        r"^## A tour\n\n```python\n(.*?)^```", (DOCS.parent / "README.md").read_text(), re.M | re.S
    )
    assert match
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "tour"}
    exec(compile(match.group(1), "README.md", "exec"), names)
    losses = [float(names["step"](names["x"])) for _ in range(4)]
    assert losses == sorted(losses, reverse=True)
    assert {"curves.png", "digits.safetensors"} <= {p.name for p in tmp_path.iterdir()}
