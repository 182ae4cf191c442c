"""Runs a Python script as a user would, in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run_script(script: str | Path, *options: str, folder: Path, error: str = "") -> str:
    """What the script prints; it must end well, or with `error`, and warn of nothing.

    Skips only where the script needs a data set that is nowhere, PYDL_DATA_DIR is not set and there
    is no network.
    """
    warnings = [f"-Werror::{name}" for name in ("UserWarning", "RuntimeWarning")]
    done = subprocess.run(
        [sys.executable, *warnings, str(script), *options],
        cwd=folder,
        env={**os.environ, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "ConnectionError" in done.stderr and not os.environ.get("PYDL_DATA_DIR"):
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert (done.returncode == 0) != bool(error), done.stdout[-1000:] + done.stderr
    assert error in done.stderr
    return done.stdout
