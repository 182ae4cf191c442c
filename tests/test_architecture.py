"""The layers of the code: an import goes down the table of docs/design.md, never up, never round."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "pydl"

# From the bottom up; a module may import from its own row and from rows above it in this list.
LAYERS = [
    ["_core", "_loader"],
    ["config", "check", "figures", "warn"],
    ["tensor", "sparse"],
    ["autograd", "tape", "function"],
    ["ops", "random"],
    ["testing"],
    ["registry"],
    ["activations", "initializers", "regularizers", "constraints"],
    ["layers", "losses", "metrics", "optimizers"],
    ["saving", "tensorboard"],
    ["callbacks"],
    ["models"],
    ["datasets", "utils", "preprocessing", "backend"],
]
LEVEL = {name: i for i, row in enumerate(LAYERS) for name in row}


def modules() -> dict[str, Path]:
    if not PACKAGE.is_dir():
        pytest.skip("needs a source checkout")
    return {
        ".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p
        for p in sorted(PACKAGE.rglob("*.py"))
    }


def imports(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    """Modules of pydl that this one imports while it is loaded (not inside functions)."""
    found: set[str] = set()
    pending: list[ast.AST] = [ast.parse(path.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            found.update(a.name for a in node.names if a.name.split(".")[0] == "pydl")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pydl":
            for a in node.names:
                full = f"{node.module}.{a.name}"
                found.add(full if full in known or full == "pydl._core" else node.module)
        pending.extend(ast.iter_child_nodes(node))
    return found - {name}


def part(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def test_imports_go_down() -> None:
    known = modules()
    for name, path in known.items():
        if name == "pydl":
            continue
        assert part(name) in LEVEL, f"{name} has no row in the table of layers"
        for other in imports(name, path, known):
            assert other != "pydl" or name == "pydl._loader", f"{name} imports the whole package"
            if other == "pydl":
                continue
            assert LEVEL[part(other)] <= LEVEL[part(name)], (
                f"{name} imports {other}, which is above"
            )


def test_no_cycles() -> None:
    known = modules()
    graph = {n: imports(n, p, known) & set(known) for n, p in known.items() if n != "pydl"}
    # a package's __init__ gathers its modules; they do not count as importing it back
    graph = {n: {o for o in others if not n.startswith(o + ".")} for n, others in graph.items()}
    done: set[str] = set()
    while graph:
        free = {n for n, others in graph.items() if others <= done}
        assert free, f"cycle among {sorted(graph)}"
        done |= free
        graph = {n: others for n, others in graph.items() if n not in free}


def test_examples_use_the_public_package_only() -> None:
    examples = sorted((ROOT / "examples").glob("*.py"))
    if not examples:
        pytest.skip("needs a source checkout")
    for path in examples:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert not any(a.name.startswith("_") for a in node.names), path
                assert node.module.split(".")[0] in ("pydl", "pathlib", "__future__"), path
        assert "pydl._" not in path.read_text()


def test_kernels_know_no_runtime() -> None:
    """csrc/simd, ops, kernels: no standard library beyond sizes, no threads, no Python."""
    folders = [ROOT / "csrc" / name for name in ("simd", "ops", "kernels")]
    files = [p for folder in folders for p in sorted(folder.glob("*"))]
    if not files:
        pytest.skip("needs a source checkout")
    allowed = {"cstddef", "cstdint", "immintrin.h", "arm_neon.h"}
    for path in files:
        text = path.read_text()
        for system, own in re.findall(r'#include (?:<([^>]+)>|"([^"]+)")', text):
            assert not system or system in allowed, f"{path.name} includes <{system}>"
            assert not own.startswith(("runtime/", "bind")), f"{path.name} includes {own}"
        assert "std::" not in text and "omp" not in re.findall(r"#pragma (\w+)", text), path.name
    isa_free = [p for p in files if p.parent.name != "simd" and p.name != "gemm.cpp"]
    for path in isa_free:
        assert not re.search(r"#if.*__(AVX|SSE|ARM|FMA)", path.read_text()), path.name


def test_only_parallel_knows_threads() -> None:
    for path in (ROOT / "csrc").rglob("*.*"):
        if path.name != "parallel.cpp":
            assert not re.search(
                r"#pragma omp|omp\.h|std::thread|<thread>|pthread", path.read_text()
            ), path
