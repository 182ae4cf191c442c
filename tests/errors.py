"""Error texts, compared in full."""

from __future__ import annotations

import re
from typing import Any

import pytest


def raises(error: type[Exception], text: str) -> Any:
    """Return pytest.raises for exactly this text."""
    return pytest.raises(error, match="^" + re.escape(text) + "$")
