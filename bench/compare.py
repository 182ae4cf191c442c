"""pydl beside NumPy, PyTorch, JAX and Keras: `python -m bench.compare [family ...]`.

Every framework runs in a process of its own. They take turns in a random order in each of several
rounds, so that a noisy minute of the machine hits all alike; the others are stopped meanwhile, as
threads of some libraries go on spinning after their work. The ratio is the best peer's least time
over pydl's: above 1 pydl is faster. Shares are of the machine's limit as measured in the same
rounds. Frameworks that are not installed are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from bench import ROOT, cases, course, machine, plot
from bench.cases import Case
from bench.frameworks import FRAMEWORKS, PEERS

ROUNDS = 5
LIMIT_SECONDS = 0.05
RANDOM = ("epoch", "course_task")  # kinds whose results depend on an order or initial weights
CLOSE = 0.95  # ratios below this are listed at the end
VALUE_TOLERANCE = 1e-3  # of the mean of a result: coarse, it finds peers that do something else
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# Would change how a peer runs, or which kernels its library picks.
CLEARED = (
    "OPENBLAS_CORETYPE",
    "OMP_WAIT_POLICY",
    "GOMP_SPINCOUNT",
    "KMP_BLOCKTIME",
    "XLA_FLAGS",
    "OMP_PROC_BIND",
    "GOMP_CPU_AFFINITY",
    "KMP_AFFINITY",
)


def environment(name: str, threads: int) -> dict[str, str]:
    """The environment of a worker."""
    env = {k: v for k, v in os.environ.items() if k not in CLEARED}
    env.update({k: str(threads) for k in THREAD_VARIABLES})
    env.update(FRAMEWORKS[name].environment)
    env["TF_CPP_MIN_LOG_LEVEL"] = "2"
    env["CUDA_VISIBLE_DEVICES"] = ""
    if threads == 1:
        env["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    env["PYTHONPATH"] = os.pathsep.join(p for p in (env.get("PYTHONPATH", ""), str(ROOT)) if p)
    return env


class Worker:
    """One framework's process."""

    def __init__(self, name: str, python: str, threads: int):
        self.name = name
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed in close)
        allowed = machine.cpus()
        command = [python, "-m", "bench.worker", name]
        if threads < len(allowed):
            command += ["--cpus", ",".join(map(str, allowed[-threads:]))]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            cwd=tempfile.gettempdir(),
            env=environment(name, threads),
        )
        first = self.read()
        self.version: str | None = first.get("ready")
        self.reason = first.get("missing") or first.get("error")
        self.kinds = set(first.get("kinds", ()))
        if self.version is not None:
            self.signal("SIGSTOP")

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        self.process.wait()
        self.errors.seek(0)
        last = (self.errors.read().strip().splitlines() or ["no message"])[-1]
        return {"error": f"the process ended ({self.process.returncode}): {last}"}

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.signal("SIGCONT")
        with contextlib.suppress(BrokenPipeError):  # `read` tells why
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        reply = self.read()
        self.signal("SIGSTOP")
        return reply

    def signal(self, name: str) -> None:
        if hasattr(signal, name):  # not on Windows
            self.process.send_signal(getattr(signal, name))

    def close(self) -> None:
        self.signal("SIGCONT")
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        self.process.wait()
        self.errors.close()


@contextlib.contextmanager
def team(names: Sequence[str], peer_python: str, threads: int) -> Iterator[dict[str, Worker]]:
    """The workers that start; says why the others do not."""
    found: dict[str, Worker] = {}
    try:
        for name in names:
            worker = Worker(name, sys.executable if name == "pydl" else peer_python, threads)
            if worker.version is None:
                print(f"{name}: left out, {worker.reason}")
                worker.close()
                if name == "pydl":
                    raise SystemExit(1)
            else:
                found[name] = worker
        yield found
    finally:
        for worker in found.values():
            worker.close()


def measure(
    case: Case, workers: dict[str, Worker], limits: Limits, seconds: float, rng: random.Random
) -> tuple[dict[str, list[float]], float, list[str]]:
    """Times of a call by framework, the machine's limit, and remarks.

    Remarks are errors, and results that differ from pydl's. The limit is nan where none applies.
    """
    limit = math.nan
    times: dict[str, list[float]] = {}
    values: dict[str, float] = {}
    remarks: list[str] = []
    for name, worker in workers.items():
        if case.kind not in worker.kinds:
            continue
        reply = worker.ask(build={"kind": case.kind, "args": case.args})
        if "error" in reply:
            remarks.append(f"{name}: {reply['error']}")
        elif "missing" not in reply:
            times[name] = []
            values[name] = reply["value"]
    rounds = ROUNDS if seconds > 5 * case.seconds else math.ceil(seconds / case.seconds)
    if case.kind == "course_task":  # minutes with some frameworks
        rounds = 1
    for _ in range(rounds):
        order = list(times)
        rng.shuffle(order)
        for name in order:
            reply = workers[name].ask(run=seconds / rounds)
            if "error" in reply:
                remarks.append(f"{name}: {reply['error']}")
                del times[name]
            else:
                times[name] += [t / case.repeats for t in reply["times"]]
                if name == "pydl" and case.limit is not None:
                    rate = limits.of(*case.limit, share=1 / rounds)
                    limit = rate if math.isnan(limit) else max(rate, limit)
    reference = values.get("pydl", math.nan)
    for name, value in values.items():
        if case.kind not in RANDOM and not math.isclose(
            value, reference, rel_tol=VALUE_TOLERANCE, abs_tol=VALUE_TOLERANCE
        ):
            remarks.append(f"{name}: mean of the result {value:.6g}, pydl's {reference:.6g}")
    return times, limit, remarks


def summary(times: Sequence[float]) -> dict[str, float]:
    """Least, median and 90th percentile of the seconds a call, and the number of samples."""
    ordered = sorted(times)
    return {
        "min": ordered[0],
        "median": statistics.median(ordered),
        "p90": ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))],
        "samples": len(ordered),
    }


class Limits:
    """The machine's limits for these threads, and the best of them seen."""

    def __init__(self, worker: Worker, threads: int, seconds: float):
        self.worker, self.threads, self.seconds = worker, threads, seconds
        self.best: dict[tuple[str, int], float] = {}

    def of(self, what: str, size: int = 0, share: float = 1) -> float:
        """flop/s of all threads, or bytes/s of copying or reading `size` bytes, measured now.

        Args:
          share: of the seconds that it may take.
        """
        reply = self.worker.ask(limit=(what, size, self.seconds * share))
        if "error" in reply:
            raise SystemExit(reply["error"])
        rate = reply["rate"] * (self.threads if what == "fma" else 1)
        self.best[what, size] = max(rate, self.best.get((what, size), 0))
        return rate


def clock(seconds: float) -> str:
    """Three digits and a unit."""
    for unit, factor in (("ns", 1e9), ("us", 1e6), ("ms", 1e3)):
        if seconds * factor < 999.5:
            return (
                f"{seconds * factor:.3g} {unit}"
                if seconds * factor < 99.95
                else (f"{seconds * factor:.0f} {unit}")
            )
    return f"{seconds:.3g} s"


def geometric_mean(values: Sequence[float]) -> float:
    return math.exp(statistics.fmean(map(math.log, values)))


class Report:
    """Prints results as they come and keeps them for --json."""

    def __init__(self, workers: dict[str, Worker], threads: int):
        self.workers, self.threads = workers, threads
        self.names: list[str] = []
        self.rows: list[dict[str, Any]] = []
        self.family = ""

    def add(
        self, case: Case, times: dict[str, list[float]], limit: float, remarks: list[str]
    ) -> None:
        row: dict[str, Any] = {"case": case.to_json(), "remarks": remarks}
        row["times"] = {name: summary(t) for name, t in times.items()}
        peers = {n: row["times"][n]["min"] for n in times if n != "pydl"}
        text, part = "", math.nan
        if "pydl" in times:
            own = row["times"]["pydl"]["min"]
            if case.limit is not None:
                work, unit = (case.flops, "GFLOP/s") if case.flops else (case.bytes, "GB/s")
                text, part = f"{work / own / 1e9:.1f} {unit}", work / own / limit
            row["share"] = None if math.isnan(part) else part
            if peers:
                row["best_peer"] = min(peers, key=peers.__getitem__)
                row["ratio"] = peers[row["best_peer"]] / own
        self.rows.append(row)
        if case.family != self.family:
            self.family = case.family
            self.names = [n for n, w in self.workers.items() if case.kind in w.kinds]
            self._head()
        cells = [f"{case.name:36s}"]
        for name in self.names:
            t = row["times"].get(name)
            text_of = f"{clock(t['min'])} {clock(t['median'])}" if t else "-"
            cells.append(f"{text_of:>17s}")
        ratio = f"{row['ratio']:.2f} {row['best_peer']}" if "ratio" in row else "-"
        cells.append(f"{ratio:>13s} {text:>14s}" + ("" if math.isnan(part) else f" {part:5.0%}"))
        print(" ".join(cells), flush=True)
        for remark in remarks:
            print(f"    {remark}")

    def _head(self) -> None:
        names = " ".join(f"{n + ' min, med':>17s}" for n in self.names)
        plural = "s" if self.threads > 1 else ""
        title = f"{self.family}, {self.threads} thread{plural}"
        print(f"\n{title:36s} {names} {'best peer':>13s} {'pydl':>14s} limit")

    def close(self) -> None:
        """Geometric means, losses, and how much the control says the machine swayed."""
        print()
        for family in dict.fromkeys(r["case"]["family"] for r in self.rows):
            if family == cases.CONTROL:
                continue
            ratios = [
                r["ratio"] for r in self.rows if r["case"]["family"] == family and "ratio" in r
            ]
            if ratios:
                print(
                    f"{family}: {len(ratios)} cases, best peer / pydl: geometric mean "
                    f"{geometric_mean(ratios):.2f}, least {min(ratios):.2f}"
                )
                self._losses(family)
        noise = self.noise()
        print(
            f"control (the same work in every process): least times within {noise['least']:.0%}, "
            f"medians up to {noise['median']:.0%} above them"
        )

    def _losses(self, family: str) -> None:
        rows = [r for r in self.rows if r["case"]["family"] == family and "ratio" in r]
        below = sorted((r for r in rows if r["ratio"] < CLOSE), key=lambda r: r["ratio"])
        if below:
            print(f"    below {CLOSE}: {len(below)} of {len(rows)}")
        for r in below:
            print(f"    {r['ratio']:.2f} {r['case']['name']} {r['best_peer']}")

    def noise(self) -> dict[str, float]:
        controls = [
            t
            for r in self.rows
            if r["case"]["family"] == cases.CONTROL
            for t in r["times"].values()
        ]
        least = [t["min"] for t in controls]
        return {
            "least": max(least) / min(least) - 1,
            "median": max(t["median"] for t in controls) / min(least) - 1,
        }


def compare(selected: Sequence[Case], options: argparse.Namespace, threads: int) -> dict[str, Any]:
    """Measures the cases with one number of threads and prints the table."""
    rng = random.Random(options.seed)
    with team(("pydl", *options.peers), options.peer_python, threads) as workers:
        info = workers["pydl"].ask(info={})
        limits = Limits(workers["pydl"], threads, min(LIMIT_SECONDS, options.time))
        print(
            "\n"
            + ", ".join(f"{name} {w.version}" for name, w in workers.items())
            + f"; pydl: ISA {info['isa']}, {info['threads']} threads, {info['compiler']}"
        )
        small, large = cases.FLOAT * cases.IN_L2, cases.FLOAT * cases.OUT_OF_CACHE
        print(
            f"limits: {limits.of('fma') / 1e9:.1f} GFLOP/s; in L2 and out of cache copy "
            f"{limits.of('copy', small) / 1e9:.1f} and {limits.of('copy', large) / 1e9:.1f} "
            f"GB/s, read {limits.of('read', small) / 1e9:.1f} and "
            f"{limits.of('read', large) / 1e9:.1f}"
        )
        report = Report(workers, threads)
        control = cases.control()
        for case in (control, *selected, control):
            seconds = max(options.time, 3 * case.seconds if not options.quick else 0)
            report.add(case, *measure(case, workers, limits, seconds, rng))
        report.close()
        return {
            "threads": threads,
            "versions": {name: w.version for name, w in workers.items()},
            "pydl": info,
            "limits": {f"{what} {size}": rate for (what, size), rate in limits.best.items()},
            "noise": report.noise(),
            "results": report.rows,
        }


def numbers(text: str) -> list[int]:
    found = [int(t) for t in text.split(",")]
    if not all(1 <= n <= len(machine.cpus()) for n in found):
        raise argparse.ArgumentTypeError(f"between 1 and {len(machine.cpus())}, got {text}")
    return found


def names(text: str) -> list[str]:
    found = [t for t in text.split(",") if t and t != "pydl"]
    for name in found:
        if name not in FRAMEWORKS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(FRAMEWORKS)}")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    available = len(machine.cpus())
    parser = argparse.ArgumentParser(
        prog="python -m bench.compare", description=(__doc__ or "").split("\n\n")[1]
    )
    parser.add_argument(
        "families",
        nargs="*",
        metavar="family",
        default=["all"],
        help=f"{', '.join(cases.FAMILIES)} (default all)",
    )
    parser.add_argument(
        "--threads",
        type=numbers,
        default=[available],
        metavar="N,N",
        help=f"numbers of threads, one table each (default {available})",
    )
    parser.add_argument(
        "--peers",
        type=names,
        default=list(PEERS),
        metavar="NAME,NAME",
        help=f"of {', '.join(n for n in FRAMEWORKS if n != 'pydl')}",
    )
    parser.add_argument(
        "--peer-python",
        default=sys.executable,
        metavar="PATH",
        help="interpreter that has the peers installed (default this one)",
    )
    parser.add_argument(
        "--time",
        type=float,
        metavar="SECONDS",
        help="for each framework and case (default 0.5, quick 0.02)",
    )
    parser.add_argument("--quick", action="store_true", help="only check that everything runs")
    parser.add_argument("--filter", default="", metavar="TEXT", help="cases with TEXT in the name")
    parser.add_argument("--json", metavar="FILE", help="also write everything measured to FILE")
    parser.add_argument(
        "--plot", metavar="FILE", help="draw GFLOP/s and shares of bandwidth (needs matplotlib)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the order of frameworks")
    options = parser.parse_args(arguments)
    for family in options.families:
        if family not in cases.FAMILIES:
            parser.error(f"{family!r} is none of {', '.join(cases.FAMILIES)}")
    if options.plot:
        plot.require(options.plot)
    if options.time is None:
        options.time = 0.02 if options.quick else 0.5

    from pydl import _core

    wanted = {f for name in options.families for f in cases.FAMILIES[name]}
    selected = [
        c for c in cases.all_cases(_core.ops) if c.family in wanted and options.filter in c.name
    ]
    if any(c.kind == "course_task" for c in selected):
        os.environ[course.VARIABLE] = course.prepare() or ""
    where = machine.describe()
    print(
        f"{where['cpu']}, {where['cpus']} CPUs, {where['system']}, Python {where['python']}, "
        f"commit {where['commit']}, load {where['load']:.1f}"
    )
    runs = [compare(selected, options, n) for n in options.threads]
    if options.plot:
        plot.draw(runs, where, options.plot)
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"machine": where, "runs": runs}, file, indent=1)


if __name__ == "__main__":
    main()
