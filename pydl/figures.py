"""What all pictures share: matplotlib when it is wanted, a figure, its file, ends of histograms."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np


def new_figure(who: str, width: float, height: float) -> Any:
    """Return a figure of so many inches: of pyplot, so that notebooks show it, where that is used.

    Raises:
        ImportError: matplotlib is missing; it comes with `pip install 'pydl[plot]'`.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            f"{who}: needs matplotlib; install it with pip install 'pydl[plot]'"
        ) from error
    pyplot = sys.modules.get("matplotlib.pyplot")
    make = Figure if pyplot is None else pyplot.figure
    return make(figsize=(width, height))


def finish(figure: Any, path: str | Path | None, dpi: float = 120) -> Any:
    """Lay a figure out, save it if there is a path, and return it."""
    figure.tight_layout()
    if path is not None:
        figure.savefig(path, dpi=dpi)
    return figure


def histogram_range(values: np.ndarray, bins: int) -> tuple[float, float]:
    """Return the ends of a histogram of finite float64 values.

    They are the least and the greatest value where `bins` edges fit between these, as they do not
    between numbers that differ in their last bits.
    """
    low, high = float(values.min()), float(values.max())
    least = 2 * bins * float(np.spacing(max(abs(low), abs(high))))
    margin = 0.0 if high - low >= least else max(0.5 * (low == high), least)
    return low - margin, high + margin
