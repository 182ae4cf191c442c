"""What `verbose` prints."""

from __future__ import annotations

import functools
import math
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from pydl.callbacks.base import Callback, Logs


class ProgbarLogger(Callback):
    """What `verbose` prints: 1 a progress bar per epoch, 2 one line per epoch.

    The bar is redrawn at most every 0.05 s; between two redraws a batch costs one look at the
    clock. `results` makes numbers of what a step returned, and is called for a redraw only.
    """

    interval = 0.05  # seconds

    def __init__(self, verbose: int, results: Callable[[Any], Logs] | None = None) -> None:
        super().__init__()
        self.verbose = verbose
        self.results = results
        self._bar: Any = None
        self._due = math.inf
        self._start = 0.0

    def begin(self, label: str, steps: int | None) -> None:
        """Start a bar or a line."""
        self._label = label
        self._done = 0
        self._start = time.perf_counter()
        if self.verbose == 1:
            # shutil also knows an answer for terminals that claim to have no columns
            size = shutil.get_terminal_size() if is_terminal() else (None, None)
            self._bar = _bar_class()(
                total=steps, desc=label, file=sys.stdout, ncols=size[0], nrows=size[1], leave=True
            )
            self._due = self._start + self.interval

    def tick(self, done: int, logs: Any = None) -> None:
        """Note that `done` steps are done, the last of which returned `logs`."""
        self._done = done
        if self._bar is None:
            return
        now = time.perf_counter()
        if now >= self._due:
            self._due = now + self.interval
            self._set(done, {} if self.results is None else self.results(logs))
            self._bar.refresh()

    def finish(self, logs: Logs) -> None:
        """End the bar or the line with the results."""
        if self._bar is not None:
            if self._bar.total is None:
                self._bar.total = self._done
            self._set(self._done, logs)
            # the whole line, where the bar that is drawn again and again was cut to the width
            line = self._bar.format_meter(**{**self._bar.format_dict, "ncols": None})
            self._bar.leave = False
            self.close()
            print(line, flush=True)
        elif self.verbose == 2:
            seconds = time.perf_counter() - self._start
            print(" - ".join([self._label, f"{seconds:.1f}s", *_texts(logs)]), flush=True)

    def _set(self, done: int, logs: Logs) -> None:
        """Give the bar what it shows when it is drawn next."""
        self._bar.n = done
        self._bar.set_postfix_str(", ".join(_texts(logs)), refresh=False)

    def close(self) -> None:
        """Close an open bar, also after an error."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
            self._due = math.inf

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        epochs = self.params.get("epochs")
        label = f"Epoch {epoch + 1}/{epochs}" if epochs else f"Epoch {epoch + 1}"
        self.begin(label, self.params.get("steps"))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.finish(logs or {})


def is_terminal() -> bool:
    """Tell whether what is printed goes to a terminal."""
    return bool(getattr(sys.stdout, "isatty", lambda: False)())


@functools.cache
def _bar_class() -> Any:
    """Return tqdm without its thread that redraws bars that stand still."""
    from tqdm.std import tqdm  # type: ignore[import-untyped]

    return type("Bar", (tqdm,), {"monitor_interval": 0})


def _texts(logs: Logs) -> list[str]:
    """Return "name: value" for each number in the logs."""
    found = []
    for key, value in logs.items():
        if isinstance(value, (int, float, np.floating, np.integer)):
            small = value != 0 and abs(float(value)) < 1e-3
            found.append(f"{key}: {value:.4e}" if small else f"{key}: {value:.4f}")
    return found
