"""Figures of a comparison: rates against size under the machine's peak, shares of bandwidth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.cases import MATMUL, SPARSE

MARKERS = "osD^v<>"


def require(path: str) -> None:
    """SystemExit where `draw` would fail after all the measuring."""
    try:
        from matplotlib.backends import backend_agg
    except ImportError:
        raise SystemExit("--plot: needs matplotlib; pip install matplotlib") from None
    known = backend_agg.FigureCanvasAgg.get_supported_filetypes()
    if Path(path).suffix.lstrip(".") not in known:
        raise SystemExit(f"--plot: the file must end in one of {', '.join(sorted(known))}")
    if not Path(path).absolute().parent.is_dir():
        raise SystemExit(f"--plot: there is no folder {Path(path).absolute().parent}")


def draw(runs: Sequence[Mapping[str, Any]], where: Mapping[str, Any], path: str) -> None:
    """One column of panels for each number of threads, one row for each kind of limit."""
    from matplotlib.figure import Figure

    panels = [p for p in (_squares, _products, _bandwidth) if any(p(r, None) for r in runs)]
    if not panels:
        raise SystemExit("--plot: no case of this run has a limit to be drawn under")
    figure = Figure(figsize=(8 * len(runs), 4.5 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), len(runs), squeeze=False)
    for row, panel in zip(axes, panels, strict=True):
        for ax, run in zip(row, runs, strict=True):
            if panel(run, ax):
                ax.legend(fontsize="small")
            threads = f"{run['threads']} thread{'s' if run['threads'] > 1 else ''}"
            ax.set_title(f"{ax.get_title()}, {threads}")
    figure.suptitle(f"{where['cpu']}, ISA {runs[0]['pydl']['isa']}, commit {where['commit']}")
    figure.savefig(path)


def _names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row["times"]))


def _is_square(case: Mapping[str, Any]) -> bool:
    args = case["args"]
    return (
        case["kind"] == "matmul"
        and args["m"] == args["k"] == args["n"]
        and args["layout"] == "NN"
        and not args["batch"]
    )


def _rates(ax: Any, run: Mapping[str, Any], rows: Sequence[Any], line: str) -> None:
    """GFLOP/s of each framework against the edge of the cube of as much work."""
    for name, marker in zip(_names(rows), MARKERS, strict=False):
        points = sorted(
            (
                (r["case"]["flops"] / 2) ** (1 / 3),
                r["case"]["flops"] / r["times"][name]["min"] / 1e9,
            )
            for r in rows
            if name in r["times"]
        )
        x, y = zip(*points, strict=True)
        ax.plot(x, y, linestyle=line, marker=marker, markersize=4, alpha=0.8, label=name)
    peak = run["limits"]["fma 0"] / 1e9
    ax.set_ylim(0, peak)
    ax.set_xscale("log", base=2)
    ax.set_ylabel(f"GFLOP/s; top: measured peak, {peak:.0f}")
    ax.grid(alpha=0.3)


def _panel_of(
    run: Mapping[str, Any], ax: Any, rows: list[Any], line: str, title: str, x_label: str
) -> bool:
    """GFLOP/s of these rows, if there is an axis to draw on; whether there is anything to draw."""
    if ax is not None:
        ax.set_title(title)
        if rows:
            _rates(ax, run, rows, line)
            ax.set_xlabel(x_label)
    return bool(rows)


def _squares(run: Mapping[str, Any], ax: Any) -> bool:
    rows = [r for r in run["results"] if _is_square(r["case"])]
    return _panel_of(run, ax, rows, "-", "square products", "n of n x n @ n x n")


def _products(run: Mapping[str, Any], ax: Any) -> bool:
    families = (MATMUL, SPARSE)
    rows = [
        r for r in run["results"] if r["case"]["family"] in families and not _is_square(r["case"])
    ]
    label = "(m k n)^(1/3); sparse: multiply-adds of non-zero elements"
    return _panel_of(run, ax, rows, "none", "other products", label)


def _bandwidth(run: Mapping[str, Any], ax: Any) -> bool:
    rows = [r for r in run["results"] if r["case"]["bytes"] and r.get("share")]
    if ax is None or not rows:
        return bool(rows)
    names = _names(rows)
    for i, name in enumerate(names):
        places, shares = [], []
        for at, r in enumerate(rows):
            if name in r["times"]:  # the limit is that measured beside the case
                places.append(at + 0.8 * (i - (len(names) - 1) / 2) / len(names))
                own = r["times"]["pydl"]["min"]
                shares.append(r["share"] * own / r["times"][name]["min"])
        ax.bar(places, shares, 0.8 / len(names), label=name)
    ax.axhline(1, color="black", linewidth=0.8)
    ax.set_xticks(range(len(rows)), [r["case"]["name"] for r in rows], rotation=90, fontsize=7)
    ax.set_ylabel("share of the measured bandwidth")
    ax.set_title("memory")
    return True
