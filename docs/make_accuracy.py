"""Measures the element-wise kernels, writes docs/accuracy.md: python docs/make_accuracy.py [op ...]

Names of ops measure these alone and keep the other rows. `--every N` tries every Nth float32 only,
and the row says so. Needs the extra `test` and SciPy; all ops take about half an hour of one core.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from pydl import _core
from pydl.testing import ulp_distance

DOCS = Path(__file__).parent
PAGE = DOCS / "accuracy.md"
sys.path.insert(0, str(DOCS.parent / "tests"))
import oracles  # noqa: E402

TABLE = {row["name"]: row for row in _core.ops}
CHUNK = 2**15  # numbers at a time: their float64 values fit in L2
PAIRS = 2**26  # random pairs of a binary op, half of them in its domain, half any bits
SAMPLE = 20_000  # float64 inputs
UNSEEN = 0.25  # ULP; a worst error below this counts as none
TRIG_LIMIT = 2.0**20  # NumPy's float64 sine is no oracle far beyond
HEAD = """# Accuracy

Made by `python docs/make_accuracy.py`, which measures; see there. The unit is the distance of
neighbouring numbers at the exact result (ULP). Results below the smallest normal number may be 0.

- *float32*, one input: the largest error over **all** 2^32 inputs, or every Nth where the row says
  1 in N (`sin`, `cos`, `tan`: below 2^20 in size), against NumPy or SciPy in float64. Two inputs:
  over 2^26 random pairs, half from the domain and half any bits, and all pairs of some 50 special
  values; `floor_divide` and `remainder` over the domain, against NumPy in float32.
- *bound*: what the tests enforce and the docstring promises.
- *float64*: the largest error at 20,000 inputs of the domain and some special values, against
  80-bit arithmetic (1,000 where it takes mpmath). The tests allow 2 more than in float32.

Parameters are at their defaults. Every ISA with FMA gives the same bits.

| op | domain | float32 | bound | float64 |
|---|---|---|---|---|
"""

SPECIAL = np.fromstring(
    "0 1 2 3 0.5 1.5 7 10 100 1e-3 1e-10 1e10 1e-30 1e30 88 89 127 1.0000001 0.99999994 3.4e38 "
    "1.2e-38 1e-38 16777216 8388609 inf",
    sep=" ",
)
SPECIAL = np.concatenate([SPECIAL, -SPECIAL, [np.nan]])


def _gelu(x: Any) -> Any:
    return np.where(x == -np.inf, -0.0, 0.5 * x * special.erfc(-x / np.sqrt(2.0)))


# Where the tests' oracle goes number by number.
FAST: dict[str, Callable[..., Any]] = {"erf": special.erf, "gelu": _gelu}
MPMATH = ("erf", "gelu")


def is_exact(name: str) -> bool:
    return TABLE[name]["to_bool"] or TABLE[name]["max_ulp"] == 0


def oracle(name: str, inputs: tuple[np.ndarray, ...]) -> np.ndarray:
    """The exact result, in float64 for float32 inputs, in long double for float64 ones; of exact
    ops in the inputs' own dtype."""
    single = inputs[0].dtype == np.float32
    if name in ("floor_divide", "remainder"):
        return oracles.BINARY[name](*inputs)
    if is_exact(name) and TABLE[name]["kind"] == "unary":
        return oracles.UNARY[name](inputs[0], *TABLE[name]["params"].values())
    wide = [x.astype(np.float64 if single else np.longdouble) for x in inputs]
    if len(wide) == 2:
        return oracles.BINARY[name](*wide)
    params = [float(inputs[0].dtype.type(v)) for v in TABLE[name]["params"].values()]
    function = FAST[name] if single and name in FAST else oracles.UNARY[name]
    return function(wide[0], *params)


def flushed(x: np.ndarray) -> np.ndarray:
    """x as kernels read it."""
    return np.where(np.abs(x) < np.finfo(x.dtype).tiny, np.copysign(x.dtype.type(0), x), x)


def worst(name: str, chunks: Iterator[tuple[np.ndarray, ...]]) -> float:
    """The largest error in ULP over all chunks; of a predicate, inf if it is ever wrong."""
    kernel, found = getattr(_core, name), 0.0
    for inputs in chunks:
        got, want = kernel(*inputs), oracle(name, inputs)
        if TABLE[name]["to_bool"]:
            found = found if np.array_equal(got, want) else np.inf
            continue
        if np.array_equal(got, want, equal_nan=True):
            continue
        # |got - want| / |want| bounds the error in ULP from above; only what might be the
        # largest is looked at closely.
        error = np.abs(got - want)
        error *= 1 / np.finfo(got.dtype).epsneg
        close = error <= max(found, UNSEEN) * np.abs(want)
        if close.all() or (np.isnan(got).all() and np.isnan(want).all()):
            continue
        got, want = got[~close], want[~close]
        info = np.finfo(got.dtype)
        flushes = (np.abs(want) < info.tiny) & (np.abs(got) <= info.tiny)
        overflows = np.isinf(got) & (np.abs(want) > float(info.max)) & (got * want > 0)
        rest = ~(flushes | overflows | (np.isnan(got) & np.isnan(want)))
        if rest.any():
            found = max(found, float(ulp_distance(got[rest], want[rest]).max()))
    return found


def all_float32(name: str, every: int) -> Iterator[tuple[np.ndarray, ...]]:
    for start in range(0, 2**32, CHUNK * every):
        bits = np.arange(start, min(start + CHUNK * every, 2**32), every, dtype=np.uint64)
        x = bits.astype(np.uint32).view(np.float32)
        if name in ("sin", "cos", "tan"):
            x = x[np.abs(x) < TRIG_LIMIT]
        if start >> 23 & 0xFF == 0 or every > 1:
            x = flushed(x)
        if x.size:
            yield (x,)


def pairs(name: str) -> Iterator[tuple[np.ndarray, ...]]:
    rng = np.random.default_rng(0)
    grid = flushed(SPECIAL.astype(np.float32))
    if name in ("floor_divide", "remainder"):  # as in the tests: NumPy differs by build elsewhere
        grid = grid[(np.abs(grid) < 1e3) & (np.abs(grid) > 0.1)]
    yield tuple(np.ascontiguousarray(x) for x in np.broadcast_arrays(grid[:, None], grid[None, :]))
    for start in range(0, PAIRS, CHUNK):
        if start < PAIRS // 2 or name in ("floor_divide", "remainder"):
            yield tuple(
                rng.uniform(*TABLE[name]["domain"], CHUNK).astype(np.float32) for _ in range(2)
            )
        else:
            bits = rng.integers(0, 2**32, (2, CHUNK), dtype=np.uint32).view(np.float32)
            yield flushed(bits[0]), flushed(bits[1])


def float64_sample(name: str) -> Iterator[tuple[np.ndarray, ...]]:
    row, rng = TABLE[name], np.random.default_rng(1)
    count = 1 if row["kind"] == "unary" else 2
    size = 1_000 if name in MPMATH else SAMPLE
    yield tuple(rng.uniform(*row["domain"], size) for _ in range(count))
    if count == 1:
        yield (SPECIAL,)


def measure(name: str, every: int) -> tuple[float, float]:
    unary = TABLE[name]["kind"] == "unary"
    with np.errstate(all="ignore"):
        single = worst(name, all_float32(name, every) if unary else pairs(name))
        return single, worst(name, float64_sample(name))


def digits(value: float) -> str:
    return f"{value:.3g}"


def row_text(name: str, single: str, double: str) -> str:
    row = TABLE[name]
    low, high = row["domain"]
    bound = "exact" if is_exact(name) else f"{row['max_ulp']:g}"
    return f"| `{name}` | {low:g} to {high:g} | {single} | {bound} | {double} |"


def order() -> list[str]:
    return [r["name"] for r in sorted(TABLE.values(), key=lambda r: (r["kind"], r["name"]))]


def read_page() -> dict[str, tuple[str, str]]:
    """What the page says was measured: op to float32 and float64."""
    found = {}
    for line in PAGE.read_text().splitlines() if PAGE.exists() else ():
        if line.startswith("| `"):
            name, _, single, _, double = (cell.strip() for cell in line.strip("|").split("|"))
            found[name.strip("`")] = (single, double)
    return found


def page(measured: dict[str, tuple[str, str]]) -> str:
    rows = [row_text(name, *measured[name]) for name in order() if name in measured]
    return HEAD + "\n".join(rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("ops", nargs="*", metavar="op", help="default: all")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="of the float32 inputs")
    options = parser.parse_args()
    measured = read_page()
    for name in options.ops or order():
        bound = TABLE[name]["max_ulp"]
        single, double = measure(name, options.every)
        print(f"{name}: {single:.4f} of {bound:g}, float64 {double:.4f}", flush=True)
        if single > bound:
            raise SystemExit(f"{name}: {single:.4f} ULP, more than the bound")
        partly = options.every > 1 and TABLE[name]["kind"] == "unary"
        note = f" (1 in {options.every})" if partly else ""
        measured[name] = (digits(single) + note, digits(double))
        PAGE.write_text(page(measured))


if __name__ == "__main__":
    main()
