"""How kernels fare beside other programs: `python -m bench.busy`.

Mean times of calls of 20 us to 2 ms, alone and beside one endless loop for each core, which shares
the core with the threads of the kernel: 2 is fair. The frameworks take turns in processes of their
own, as in `bench.compare`.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence

from bench import cases, machine
from bench.cases import Case
from bench.compare import Worker, clock, geometric_mean, names, team

CASES = (
    "256x256@256x256",
    "512x512@512x512",
    "128x784@784x512",
    "softmax-512x1000",
    "log_softmax-4096x64",
    "layer_normalization-512x1000",
    "batch_normalization-train-512x1000",
    "conv3x3-1x28x28x32-64",
    "max_pool2x2-32x28x28x64",
    "depthwise3x3-32x28x28x64",
    "step-mnist-784-512-10-batch128",
    "fit-mnist-784-512-10-batch128",
)
ROUNDS = 3


@contextlib.contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """That many endless loops, one on each of the first cores."""
    loops = [
        subprocess.Popen(
            [sys.executable, "-c", f"import os\nos.sched_setaffinity(0, {{{cpu}}})\nwhile 1: pass"]
        )
        for cpu in machine.cpus()[:count]
    ]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def mean_time(worker: Worker, case: Case, seconds: float) -> float:
    """Of a call, or of one of the steps that a call consists of."""
    reply = worker.ask(run=max(seconds, case.seconds))
    if "error" in reply:
        raise SystemExit(f"{worker.name}: {reply['error']}")
    return statistics.fmean(reply["times"]) / case.repeats


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.busy", description=(__doc__ or "").split("\n\n")[1]
    )
    parser.add_argument("--peers", type=names, default=["torch"], metavar="NAME,NAME")
    parser.add_argument("--peer-python", default=sys.executable, metavar="PATH")
    parser.add_argument("--time", type=float, default=1.0, metavar="SECONDS", help="of a round")
    options = parser.parse_args(arguments)
    cores = len(machine.cpus())
    info = machine.describe()
    print(f"{info['cpu']}, {cores} threads, {cores} endless loops; means of {ROUNDS} rounds")
    from pydl import _core

    found = {case.name: case for case in cases.all_cases(_core.ops)}
    ratios: dict[str, list[float]] = {}
    with team(("pydl", *options.peers), options.peer_python, cores) as workers:
        for name in CASES:
            case, cells = found[name], []
            for framework, worker in workers.items():
                if "value" not in worker.ask(build={"kind": case.kind, "args": case.args}):
                    continue
                alone, beside = [], []
                for _ in range(ROUNDS):
                    alone.append(mean_time(worker, case, options.time))
                    with busy_processes(cores):
                        beside.append(mean_time(worker, case, options.time))
                idle, shared = statistics.fmean(alone), statistics.fmean(beside)
                ratios.setdefault(framework, []).append(shared / idle)
                times = f"{clock(idle)} {clock(shared)}"
                cells.append(f"{framework} {times:>17s} {shared / idle:6.2f}")
            print(f"{name:36s} " + "   ".join(cells), flush=True)
    for framework, values in ratios.items():
        print(
            f"{framework}: times beside the loops over times alone, geometric mean "
            f"{geometric_mean(values):.2f}, worst {max(values):.2f}"
        )


if __name__ == "__main__":
    main()
