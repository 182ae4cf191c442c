"""Measures the element-wise kernels and writes docs/accuracy.md: python docs/make_accuracy.py [op ...]

Names of ops measure these alone and keep the other rows. Needs the extra `test` and SciPy; all ops
take about an hour of one core.
"""

from __future__ import annotations

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
CHUNK = 2**18  # numbers at a time: their float64 values fit in L2
PAIRS = 2**26  # random pairs of a binary op, half of them in its domain, half any bits
SAMPLE = 20_000  # float64 inputs
TRIG_LIMIT = 2.0**20  # NumPy's float64 sine is no oracle far beyond
HEAD = """# Accuracy

Made by `python docs/make_accuracy.py`, which measures; see there. The unit is the distance of
neighbouring numbers at the exact result (ULP). Results below the smallest normal number may be 0.

- *float32*, one input: the largest error over **all** 2^32 inputs, against NumPy or SciPy in float64
  ({limit}). Two inputs: over 2^26 random pairs, half from the
  domain and half any bits, and all pairs of some 50 special values; `floor_divide` and `remainder`
  against NumPy in float32.
- *bound*: what the tests enforce, and what the docstring promises.
- *float64*: the largest error at 20,000 inputs of the domain and some special values, against 80-bit
  arithmetic (1,000 where it takes mpmath). No bound is promised; the tests allow 2 more than in float32.

Parameters are at their defaults. Every ISA with FMA gives the same bits.

| op | domain | float32 | bound | float64 |
|---|---|---|---|---|
"""
LIMIT = "of `sin`, `cos` and `tan`: all below 2^20 in size"

SPECIAL = np.array(
    [0, 1, 2, 3, 0.5, 1.5, 7, 10, 100, 1e-3, 1e-10, 1e10, 1e-30, 1e30, 88, 89, 127, 1.0000001]
    + [0.99999994, 3.4e38, 1.2e-38, 1e-38, 16777216, 8388609, np.inf],
    np.float64,
)
SPECIAL = np.concatenate([SPECIAL, -SPECIAL, [np.nan]])


def _gelu(x: Any) -> Any:
    return np.where(x == -np.inf, -0.0, 0.5 * x * special.erfc(-x / np.sqrt(2.0)))


# Where the tests' oracle goes number by number.
FAST: dict[str, Callable[..., Any]] = {"erf": special.erf, "gelu": _gelu}
MPMATH = ("erf", "gelu")


def oracle(name: str, inputs: tuple[np.ndarray, ...]) -> np.ndarray:
    """The exact result, in float64 for float32 inputs, in long double for float64 ones."""
    single = inputs[0].dtype == np.float32
    if name in ("floor_divide", "remainder"):
        return oracles.BINARY[name](*inputs)
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
        # |got - want| / |want| bounds the error in ULP from above; only what might be the
        # largest is looked at closely.
        error = np.abs(got - want)
        error *= 1 / np.finfo(got.dtype).epsneg
        close = error <= found * np.abs(want)
        if close.all():
            continue
        got, want = got[~close], want[~close]
        info = np.finfo(got.dtype)
        flushes = (np.abs(want) < info.tiny) & (np.abs(got) <= info.tiny)
        overflows = np.isinf(got) & (np.abs(want) > info.max * 1.0001) & (got * want > 0)
        rest = ~(flushes | overflows | (np.isnan(got) & np.isnan(want)))
        if rest.any():
            found = max(found, float(ulp_distance(got[rest], want[rest]).max()))
    return found


def all_float32(name: str) -> Iterator[tuple[np.ndarray, ...]]:
    for start in range(0, 2**32, CHUNK):
        x = np.arange(start, start + CHUNK, dtype=np.uint64).astype(np.uint32).view(np.float32)
        if name in ("sin", "cos", "tan"):
            x = x[np.abs(x) < TRIG_LIMIT]
        if x.size:
            yield (flushed(x),)


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


def measure(name: str) -> tuple[float, float]:
    row = TABLE[name]
    with np.errstate(all="ignore"):
        single = worst(name, all_float32(name) if row["kind"] == "unary" else pairs(name))
        return single, worst(name, float64_sample(name))


def digits(value: float) -> str:
    return f"{value:.3g}"


def row_text(name: str, single: str, double: str) -> str:
    row = TABLE[name]
    low, high = row["domain"]
    bound = "exact" if row["to_bool"] or row["max_ulp"] == 0 else f"{row['max_ulp']:g}"
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
    return HEAD.format(limit=LIMIT) + "\n".join(rows) + "\n"


def main(names: list[str]) -> None:
    measured = read_page()
    for name in names or order():
        single, double = measure(name)
        print(f"{name}: {single:.4f} of {TABLE[name]['max_ulp']:g}, float64 {double:.4f}", flush=True)
        if single > TABLE[name]["max_ulp"]:
            raise SystemExit(f"{name}: {single:.4f} ULP, more than the bound")
        measured[name] = (digits(single), digits(double))
        PAGE.write_text(page(measured))


if __name__ == "__main__":
    main(sys.argv[1:])
