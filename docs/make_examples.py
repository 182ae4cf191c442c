"""Runs the examples and writes examples/README.md: what each shows, its time, its result.

python docs/make_examples.py [NAME ...]      those named; the lines of the others stay
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import ROOT, machine

FOLDER = ROOT / "examples"
PAGE = FOLDER / "README.md"

# In the order in which a course takes them.
SECTIONS = {
    "First steps": ["digits", "tensor_basics"],
    "Learning by gradients": ["linear_regression", "logistic_regression", "softmax", "custom_loop"],
    "XOR: why there are hidden layers": ["xor_single", "xor_network", "xor_tensorboard"],
    "What makes networks learn": ["relu_vs_sigmoid", "weight_init", "batch_norm", "failures"],
    "What makes them learn too much": ["overfitting", "dropout"],
    "Four tasks, and a fifth": ["mnist", "imdb", "reuters", "boston_housing", "fashion_mnist"],
}

HEAD = """# Examples

One script each, to be read from top to bottom; each prints its result and leaves a picture. They
need matplotlib (`pip install "pydl[plot]"`), and xor_tensorboard needs tensorboard
(`pip install "pydl[tensorboard]"`). `--help` lists the options of each: `--seed` gives another run,
`--output` names the folder for the pictures. Data sets are downloaded once and kept; the digits
come with pydl.

Times and results were measured by `python docs/make_examples.py` with the default options, imports
and loading of data included, on {cpu}, {cpus} cores.
"""


def run(name: str) -> tuple[str, str]:
    """Seconds and result of an example."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, str(FOLDER / f"{name}.py"), "--output", folder],
            cwd=folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
        seconds = time.perf_counter() - start
    (result,) = re.findall("^result: (.*)", done.stdout, re.MULTILINE)
    return f"{seconds:.1f} s", result


def shows(name: str) -> str:
    """The first line of the example's docstring."""
    doc = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text())) or ""
    return doc.splitlines()[0]


def main() -> None:
    order = [name for names in SECTIONS.values() for name in names]
    found = {path.stem for path in FOLDER.glob("*.py")}
    if found != set(order):
        raise SystemExit(f"SECTIONS and the scripts differ: {found ^ set(order)}")
    text = PAGE.read_text() if PAGE.exists() else ""
    rows = re.findall(r"^\| \[(\w+)\].* \| (.*) \| (.*) \|$", text, re.MULTILINE)
    measured = {name: (seconds, result) for name, seconds, result in rows}
    for name in sys.argv[1:] or order:
        measured[name] = run(name)
        print(name, *measured[name], flush=True)
    lines = [HEAD.format(cpu=machine.cpu_name(), cpus=len(machine.cpus()))]
    for title, names in SECTIONS.items():
        lines += [f"## {title}", "", "| | shows | time | result |", "|---|---|---|---|"]
        for name in names:
            seconds, result = measured.get(name, ("", ""))
            lines.append(f"| [{name}]({name}.py) | {shows(name)} | {seconds} | {result} |")
        lines.append("")
    PAGE.write_text("\n".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    main()
