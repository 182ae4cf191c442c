"""One framework in a process of its own; one JSON object a line, in and out.

    {"build": {"kind": ..., "args": ...}}   -> {"value": mean of the result, "calls": in a sample}
                                               or {"missing": true}
    {"run": seconds}                        -> {"times": [seconds a call, one for each sample]}
    {"limit": [what, bytes, seconds]}       -> {"rate": a second}, from pydl
    {"info": {}}                            -> what pydl says of itself

A request that fails is answered with {"error": text}. The first line sent is
{"ready": version, "kinds": [of cases]} or {"missing": reason}.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

SAMPLE_SECONDS = 100e-6  # far above the clock's resolution
LONG_SECONDS = 0.5  # such a call needs no calibration
WARM_SHARE = 0.1  # of a slice: another framework's data are in the caches


def sample(f: Callable[[], Any], calls: int) -> float:
    """Seconds for one call, the mean over `calls` in a row."""
    start = perf_counter()
    for _ in range(calls):
        f()
    return (perf_counter() - start) / calls


def calibrate(f: Callable[[], Any]) -> int:
    """Calls that make up one sample; warms up."""
    calls = 1
    for _ in range(3):
        if sample(f, calls) > SAMPLE_SECONDS:
            return calls
    while sample(f, calls) * calls < SAMPLE_SECONDS:
        calls *= 2
    return calls


def run(f: Callable[[], Any], calls: int, seconds: float) -> list[float]:
    """Samples taken within about `seconds`, at least one."""
    start = perf_counter()
    first = sample(f, calls)
    if first * calls > seconds * WARM_SHARE:  # too long to be thrown away
        times = [first]
    else:
        times = []
        while perf_counter() - start < seconds * WARM_SHARE:
            f()
    while not times or perf_counter() - start < seconds:
        times.append(sample(f, calls))
    return times


def limit(what: str, size: int, seconds: float) -> float:
    """What the machine can do, as pydl measures it; see Case.limit."""
    from pydl import _core

    if what == "fma":
        return _core.fma_peak(seconds)
    return {"copy": _core.copy_bandwidth, "read": _core.read_bandwidth}[what](size, seconds)


def serve(name: str, requests: Any, replies: Any) -> None:
    import numpy as np

    from bench import frameworks

    def send(reply: dict[str, Any]) -> None:
        replies.write(json.dumps(reply) + "\n")
        replies.flush()

    try:
        module = frameworks.load(name)
    except ImportError as error:
        return send({"missing": str(error)})
    send({"ready": module.version(), "kinds": ["control", *vars(module)]})
    f: Callable[[], Any] | None = None
    calls = 1
    for line in requests:
        request = json.loads(line)
        try:
            if "build" in request:
                f = None  # frees the previous case's memory first
                f = frameworks.build(module, **request["build"])
                if f is None:
                    send({"missing": True})
                    continue
                start = perf_counter()
                value = float(np.nanmean(np.asarray(module.to_numpy(f()), np.float64)))
                calls = 1 if perf_counter() - start > LONG_SECONDS else calibrate(f)
                send({"value": value, "calls": calls})
            elif "run" in request:
                if f is None:
                    raise RuntimeError("nothing is built")
                send({"times": run(f, calls, request["run"])})
            elif "limit" in request:
                send({"rate": limit(*request["limit"])})
            else:
                from pydl import config

                send(config.build_info())
        except Exception as error:  # the parent prints it and goes on with the other frameworks
            send({"error": f"{type(error).__name__}: {error}"})


def main() -> None:
    parser = argparse.ArgumentParser(description="a worker of bench.compare")
    parser.add_argument("framework")
    parser.add_argument("--cpus", default="", help="the CPUs to run on, as in 0,1")
    options = parser.parse_args()
    if options.cpus:
        os.sched_setaffinity(0, {int(c) for c in options.cpus.split(",")})
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a framework prints is no reply
    serve(options.framework, sys.stdin, replies)


if __name__ == "__main__":
    main()
