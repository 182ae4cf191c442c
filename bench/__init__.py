"""Benchmarks: `pytest bench/ --benchmark-only` and `python -m bench.compare`.

cases.py says what is measured, frameworks/ how each framework does it. A checkout holds pydl's
sources without the extension, so an installed pydl comes before the checkout on the path.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

for _path in [p for p in sys.path if Path(p).resolve() == ROOT]:
    sys.path.remove(_path)
    sys.path.append(str(ROOT))
