"""Runs an example and prints a digest of every variable that it made, as they are in the end.

python example_weights.py eager|recorded THREADS EXAMPLE.py OPTIONS...
"""

from __future__ import annotations

import functools
import hashlib
import runpy
import sys
from typing import Any

import numpy as np

import pydl
from pydl.function import Function, Plan


def collecting(cls: type) -> list[Any]:
    """All objects of the class from now on; none is freed."""
    found: list[Any] = []
    init = cls.__init__

    @functools.wraps(init)
    def collect(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        found.append(self)

    cls.__init__ = collect
    return found


def main() -> None:
    mode, threads, script = sys.argv[1:4]
    sys.argv = sys.argv[3:]
    pydl.config.set_num_threads(int(threads))
    variables = collecting(pydl.Variable)
    optimizers = collecting(pydl.optimizers.Optimizer)
    plans = collecting(Plan)
    if mode == "eager":
        compile = pydl.Model.compile
        pydl.Model.compile = functools.partialmethod(compile, run_eagerly=True)
        init = Function.__init__
        Function.__init__ = lambda self, f, *_, **__: init(self, f, run_eagerly=True)
    runpy.run_path(script, run_name="__main__")
    digest = hashlib.sha256()
    for variable in variables:
        digest.update(np.ascontiguousarray(variable.numpy()).tobytes())
    steps = sum(int(optimizer.iterations.item()) for optimizer in optimizers)
    print(
        f"variables: {digest.hexdigest()} of {len(variables)}, steps: {steps}, plans: {len(plans)}"
    )


if __name__ == "__main__":
    main()
