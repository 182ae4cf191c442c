"""What a result must carry: the CPU, how many of them, the commit."""

from __future__ import annotations

import os
import platform
import subprocess
from typing import Any

from bench import ROOT


def cpu_name() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith(("model name", "Hardware")):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cpus() -> list[int]:
    """The CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def commit() -> str:
    """Short name of the checked-out commit, with a + where files differ from it."""

    def git(*args: str) -> str:
        done = subprocess.run(("git", *args), cwd=ROOT, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        name = git("rev-parse", "--short", "HEAD")
        return (name + ("+" if git("status", "--porcelain") else "")) if name else "none"
    except OSError:
        return "none"


def describe() -> dict[str, Any]:
    return {
        "cpu": cpu_name(),
        "cpus": len(cpus()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "commit": commit(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }
