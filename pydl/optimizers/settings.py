"""Where an optimizer keeps its numbers: one small buffer that the kernel reads at each step."""

from __future__ import annotations

from typing import Any

import numpy as np

from pydl import _core
from pydl.tensor import Variable


class Numbers:
    """The buffer of one kernel state: float64 fields, `iterations` int64, read at each step."""

    def __init__(self, **values: float) -> None:
        self.block = np.zeros(_core.optimizer_state_size)
        self["clipvalue"] = np.inf
        for name, value in values.items():
            self[name] = value

    def __getitem__(self, name: str) -> float:
        return float(self.block[_core.optimizer_fields[name]])

    def __setitem__(self, name: str, value: float) -> None:
        self.block[_core.optimizer_fields[name]] = value

    def variable(self, name: str, dtype: str) -> Variable:
        """Return a 0-d Variable of the field's own memory."""
        index = _core.optimizer_fields[name]
        variable = Variable(0, trainable=False, dtype=dtype, name=name)
        field = self.block[index : index + 1].view(dtype).reshape(())
        object.__setattr__(variable, "data", field)  # new, so that no plan knows it
        return variable


class Setting:
    """A number kept in the optimizer's buffer.

    Args:
        field: Name in the buffer.
        low, high: Allowed range, `low <= value <= high`; `value < high` if `open_end`.
        none: What the buffer holds where the setting is None; without it None is not allowed.
    """

    def __init__(
        self,
        field: str,
        low: float = 0.0,
        high: float = np.inf,
        *,
        open_end: bool = False,
        none: float | None = None,
    ) -> None:
        self.field = field
        self.low = low
        self.high = high
        self.open_end = open_end
        self.none = none

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, optimizer: Any, owner: type) -> Any:
        if optimizer is None:
            return self
        value = optimizer._numbers[self.field]
        return None if value == self.none else value

    def __set__(self, optimizer: Any, value: Any) -> None:
        self.set(optimizer, self.name, value)

    def set(self, optimizer: Any, name: str, value: Any) -> None:
        """Set the number; messages call it `name`."""
        if value is None and self.none is not None:
            value = self.none
        else:
            value = number(optimizer, name, value)
            below = value < self.high if self.open_end else value <= self.high
            if not (self.low <= value and below):
                bracket = ")" if self.open_end or np.isinf(self.high) else "]"
                raise ValueError(
                    f"{type(optimizer).__name__}: {name} must be in "
                    f"[{self.low:g}, {self.high:g}{bracket}, got {value:g}"
                )
        optimizer._numbers[self.field] = value
        optimizer.setting_changed()


class Flag:
    """A truth value that has a part in the choice of the rule."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.attribute = f"_{name}"

    def __get__(self, optimizer: Any, owner: type) -> Any:
        return self if optimizer is None else getattr(optimizer, self.attribute)

    def __set__(self, optimizer: Any, value: Any) -> None:
        setattr(optimizer, self.attribute, bool(value))
        optimizer.setting_changed()


def number(owner: Any, name: str, value: Any) -> float:
    """Return `value` as a float, or raise TypeError in the name of the owner's class."""
    try:
        if isinstance(value, str):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{type(owner).__name__}: {name} must be a number, got {value!r}") from None
