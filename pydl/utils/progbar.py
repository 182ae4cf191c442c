"""Progbar: the progress bar of `fit` for loops written by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydl.callbacks.progress import ProgbarLogger


class Progbar:
    """A progress bar with values beside it, averaged over the steps.

    Args:
        target: Number of steps, None where it is not known.
        verbose: 0 nothing, 1 a bar, 2 one line at the end.
        interval: Seconds between two drawings.
        stateful_metrics: Names of values that are shown as they come, not averaged.

    >>> bar = Progbar(3, verbose=0)
    >>> for step in range(3):
    ...     bar.add(1, values=[("loss", 1 / (step + 1))])
    """

    def __init__(
        self,
        target: int | None,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
    ) -> None:
        self.target = target
        self._stateful = set(stateful_metrics or ())
        self._sums: dict[str, tuple[float, int]] = {}
        self._seen = 0
        self._bar = ProgbarLogger(verbose, lambda _: self._means())
        self._bar.interval = interval
        self._bar.begin("Progress", target)

    def update(
        self,
        current: int,
        values: Iterable[tuple[str, Any]] | None = None,
        finalize: bool | None = None,
    ) -> None:
        """Show that `current` steps are done.

        Args:
            current: Number of steps.
            values: (name, value) of the steps since the last update.
            finalize: End the bar; None: if the target is reached.
        """
        steps = max(current - self._seen, 1)
        for name, value in values or ():
            total, count = (0.0, 0) if name in self._stateful else self._sums.get(name, (0.0, 0))
            self._sums[name] = total + float(value) * steps, count + steps
        self._seen = current
        self._bar.tick(current)
        if finalize or (finalize is None and self.target is not None and current >= self.target):
            self._bar.finish(self._means())

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Show that `n` more steps are done; see `update`."""
        self.update(self._seen + n, values)

    def _means(self) -> dict[str, float]:
        """Return the values to show."""
        return {name: total / count for name, (total, count) in self._sums.items()}
