"""What an operation does with a tensor that has no values yet: it lets the tensor note the call."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


class NoValues(TypeError):
    """Raised where values are asked of a symbolic tensor; `operand` is that tensor."""

    def __init__(self, operand: Any):
        super().__init__(
            f"{operand!r} has no values; use it as the input of a layer, of an operation of pydl, "
            "or of Model(inputs, outputs)"
        )
        self.operand = operand


def traced(function: Callable[..., Any]) -> Callable[..., Any]:
    """The operation, but a call with a symbolic tensor among its operands is noted by that one."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except NoValues as error:
            return error.operand.note(function.__name__, args, kwargs)

    call.__module__ = "pydl.ops"  # where pickle finds it
    return call
