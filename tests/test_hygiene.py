"""What the compiled kernels must not do to others: weak symbols, initialisers, floating-point mode."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pydl

ROOT = Path(__file__).resolve().parent.parent
OBJECTS = sorted(ROOT.glob("build/*/CMakeFiles/kernels_*.dir/csrc/kernels/*.o"))
needs_objects = pytest.mark.skipif(
    not OBJECTS or not shutil.which("nm"),
    reason="reads the objects that `pip install .` leaves in build/ of a source checkout",
)


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout + done.stderr


def isa_of(path: Path) -> str:
    return re.search(r"kernels_(\w+)\.dir", str(path))[1]


@needs_objects
@pytest.mark.parametrize("path", OBJECTS, ids=lambda p: f"{isa_of(p)}-{p.name}")
def test_symbols(path: Path) -> None:
    """One copy of a weak function would serve every ISA; each object may define its tables only."""
    lines = subprocess.run(["nm", "-C", path], capture_output=True, text=True, check=True).stdout
    for line in lines.splitlines():
        kind, name = re.match(r"[0-9a-f]* +(\S) (.*)", line).groups()
        assert kind not in "WwVvu", f"weak symbol {name}"
        if kind in "TDRBC":
            assert re.fullmatch(rf"pydl::{isa_of(path)}::(\w+_)?kernels", name), (
                f"stray name {name}"
            )
        elif kind == "U":
            own = name.startswith(f"pydl::{isa_of(path)}::")
            assert own or name in {"memcpy", "memmove", "memset", "_GLOBAL_OFFSET_TABLE_"}, name
    sections = subprocess.run(["objdump", "-h", path], capture_output=True, text=True, check=True)
    assert ".init_array" not in sections.stdout and ".ctors" not in sections.stdout


FLOAT_MODE = """
import threading
import numpy as np
def keeps():
    x = np.full(64, 1e-40, np.float32)
    return bool((x * np.float32(1) == x).all())
assert keeps()
import pydl
assert keeps(), "import"
pydl.exp(pydl.ones(100_000)); pydl.ones((300, 300)) @ pydl.ones((300, 300))
assert keeps(), "kernels"
seen = []
t = threading.Thread(target=lambda: seen.append(keeps())); t.start(); t.join()
assert seen == [True], "threads"
print("kept")
"""


def test_floating_point_mode_is_untouched() -> None:
    assert run(FLOAT_MODE) == "kept\n"


def test_environment_is_untouched() -> None:
    code = (
        "import os; a = dict(os.environ); import pydl; assert a == dict(os.environ); print('same')"
    )
    assert run(code) == "same\n"


def test_isa_is_chosen_by_the_environment() -> None:
    for isa in pydl._core.supported_isas.split(", "):
        assert run("import pydl; print(pydl.isa())", PYDL_ISA=isa) == f"{isa}\n"
    assert (
        run("import pydl; print(pydl.isa())", PYDL_ISA="")
        == f"{pydl._core.supported_isas.split(', ')[0]}\n"
    )
    text = run("import pydl", PYDL_ISA="v9")
    assert f"PYDL_ISA must be one of {pydl._core.built_isas} (built), got 'v9'" in text
    for isa in set(pydl._core.built_isas.split(", ")) - set(pydl._core.supported_isas.split(", ")):
        assert f"PYDL_ISA={isa}: this CPU supports {pydl._core.supported_isas}" in run(
            "import pydl", PYDL_ISA=isa
        )


def test_threads_follow_the_environment() -> None:
    code = "import pydl; print(pydl.config.get_num_threads())"
    assert run(code, OMP_NUM_THREADS="1") == "1\n"


def test_fork() -> None:
    """A child of a process that used threads has none of its workers, and makes its own."""
    code = """
import os
import pydl
pydl.config.set_num_threads(3)
x = pydl.ones(2_000_000)
pydl.exp(x)
pid = os.fork()
if pid == 0:
    pydl.exp(x)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    assert run(code).splitlines()[-1] == "0"


def test_show_config(capsys: pytest.CaptureFixture[str]) -> None:
    pydl.show_config()
    text = capsys.readouterr().out
    for word in ("pydl", pydl.isa(), "threads", "compiler", "OpenMP", pydl.__version__):
        assert word in text
