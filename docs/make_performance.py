"""Writes docs/performance.md from files that `python -m bench.compare ... --json FILE` wrote.

python docs/make_performance.py FILE.json [FILE.json ...]
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parent / "performance.md"

HEAD = """# Performance

How fast pydl is beside the peers that its users have, on one machine. Made by
`python docs/make_performance.py` from the files of

    python -m bench.compare FAMILY --threads 1,2 --json FILE

Every framework runs in a process of its own; they take turns in a random order, in several rounds,
and the others are stopped meanwhile. Times are the least of all samples of a call from Python. The
ratio is the best peer's time over pydl's: above 1 pydl is faster. The share is of the FMA peak of
the threads' cores, or of the bandwidth of copying (or reading) as many bytes, the best of those
measured in the same rounds. The machine is a shared one: single figures move by some per cent
between runs, and by much more where another job took a core. Tables of v3 are of AVX2 code on the
same machine, beside PyTorch alone, which uses AVX-512 there; their share is of v3's own peak.
"""


def clock(seconds: float) -> str:
    for unit, factor in (("ns", 1e9), ("us", 1e6), ("ms", 1e3)):
        if seconds * factor < 999.5:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s"


def geometric_mean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def table(run: dict[str, Any], family: str) -> list[str]:
    """The rows of one family with one number of threads."""
    rows = [r for r in run["results"] if r["case"]["family"] == family and "pydl" in r["times"]]
    names = [n for n in run["versions"] if any(n in r["times"] for r in rows)]
    threads = run["threads"]
    isa = run["pydl"]["isa"]
    lines = [f"### {family}, {threads} thread{'s' if threads > 1 else ''}, {isa}", ""]
    ratios = [r["ratio"] for r in rows if r.get("ratio")]
    if ratios:
        behind = sum(ratio < 0.95 for ratio in ratios)
        lines += [
            f"{len(ratios)} cases with a peer: geometric mean of the ratio "
            f"{geometric_mean(ratios):.2f}, least {min(ratios):.2f}, below 0.95: {behind}.",
            "",
        ]
    lines += [
        f"| case | {' | '.join(names)} | ratio | share |",
        "|---|" + "---|" * (len(names) + 2),
    ]
    for r in rows:
        cells = [clock(r["times"][n]["min"]) if n in r["times"] else "" for n in names]
        ratio = f"{r['ratio']:.2f}" if r.get("ratio") else ""
        share = f"{r['share']:.0%}" if r.get("share") else ""
        lines.append(f"| {r['case']['name']} | {' | '.join(cells)} | {ratio} | {share} |")
    return [*lines, ""]


def page(files: list[dict[str, Any]]) -> str:
    lines = [HEAD]
    for file in files:
        machine = file["machine"]
        for run in file["runs"]:
            limits = {k: v / 1e9 for k, v in run["limits"].items()}
            versions = ", ".join(f"{n} {v}" for n, v in run["versions"].items())
            families = dict.fromkeys(r["case"]["family"] for r in run["results"])
            for family in families:
                if family == "control":
                    continue
                lines += table(run, family)
            lines += [
                f"{machine['cpu']}, {machine['cpus']} CPUs, {machine['system']}, Python "
                f"{machine['python']}, commit {machine['commit']}; {versions}; ISA "
                f"{run['pydl']['isa']}; peak {limits['fma 0']:.0f} GFLOP/s.",
                "",
            ]
    return "\n".join(lines)


def main() -> None:
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    files = [json.loads(Path(name).read_text()) for name in sys.argv[1:]]
    PAGE.write_text(page(files).rstrip() + "\n")


if __name__ == "__main__":
    main()
