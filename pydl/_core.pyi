"""The extension module: kernels made from the table, so that their names are known at run time."""

from typing import Any

isa: str
version: str
compiler: str
built_isas: str
supported_isas: str
vector_bytes: int
ops: list[dict[str, Any]]
reductions: list[dict[str, Any]]

def __getattr__(name: str) -> Any: ...
