"""The pages that scripts in docs/ make of the table of kernels are in step with it."""

from __future__ import annotations

import re
from pathlib import Path

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
