"""Writes docs/ops.md, the table of element-wise kernels: python docs/make_ops.py"""

from __future__ import annotations

from pathlib import Path

import pydl
from pydl import _core


def rows() -> str:
    lines = [
        "# Element-wise kernels",
        "",
        "Made by `python docs/make_ops.py` from the table of kernels. ULP: largest error in",
        "float32 against float64, over all inputs.",
        "",
        "| op | computes | parameters | gradient reads | ULP |",
        "|---|---|---|---|---|",
    ]
    for row in sorted(_core.ops, key=lambda r: (r["kind"], r["name"])):
        function = getattr(pydl.ops.elementwise, row["name"], None) or getattr(pydl, row["name"])
        hidden = getattr(pydl.ops.elementwise, "_" + row["name"], None)
        text = ((hidden or function).__doc__ or "").splitlines()[0]
        text = text.split(", element by element")[0].removesuffix(".")
        params = ", ".join(f"{k} = {v:g}" for k, v in row.get("params", {}).items())
        if not row["differentiable"]:
            reads = "no gradient"
        elif row["kind"] == "binary":
            reads = "a, b, y"
        else:
            reads = ", ".join(row["saves"]) or "nothing"
        cells = (f"`{row['name']}`", text.replace("|", r"\|"), params, reads, f"{row['max_ulp']:g}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("ops.md").write_text(rows())
