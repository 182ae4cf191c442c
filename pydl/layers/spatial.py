"""What layers on sequences and images share: the order of the axes, and the number of windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydl.layers.base import Layer
from pydl.ops.windows import check_padding, count_windows, image_format, per_axis

Shape = tuple[int | None, ...]

_AXES = {1: "steps", 2: "height, width", 3: "depth, height, width"}


class Spatial(Layer):
    """Base of the layers whose input is (batch, spatial axes, channels).

    Args:
        data_format: "channels_last" or "channels_first"; None takes `config.image_data_format()`.
        **kwargs: See `Layer`.
    """

    casts_integers = True
    rank = 2  # number of spatial axes

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = image_format(type(self).__name__, data_format)

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.compute_output_shape(input_shape)

    def _split(self, shape: Sequence[int | None]) -> tuple[Shape, int | None]:
        """Return the lengths of the spatial axes, and the number of channels."""
        shape = tuple(shape)
        if len(shape) != self.rank + 2:
            names = (_AXES[self.rank], "channels")
            order = names if self.data_format == "channels_last" else names[::-1]
            hint = ""
            if len(shape) == self.rank + 1:
                axis = -1 if self.data_format == "channels_last" else 1
                hint = f"; add an axis of channels with numpy.expand_dims(x, {axis})"
            raise ValueError(
                f"{self.label}: expected {self.rank + 2} axes (batch, {', '.join(order)}), "
                f"got shape {shape}{hint}"
            )
        if self.data_format == "channels_first":
            return shape[2:], shape[1]
        return shape[1:-1], shape[-1]

    def _joined(self, batch: int | None, lengths: Sequence[int | None], channels: Any) -> Shape:
        """Return a shape in the order of the data format."""
        if self.data_format == "channels_first":
            return (batch, channels, *lengths)
        return (batch, *lengths, channels)

    @property
    def _places(self) -> tuple[int, ...]:
        """The spatial axes of an input."""
        first = 2 if self.data_format == "channels_first" else 1
        return tuple(range(first, first + self.rank))

    def _per_axis(self, name: str, value: Any) -> tuple[int, ...]:
        """Return an integer, or one for each spatial axis, as a tuple."""
        return per_axis(type(self).__name__, name, value, self.rank)

    def _windows(
        self,
        shape: Sequence[int | None],
        lengths: Shape,
        window: tuple[int, ...],
        strides: tuple[int, ...],
        dilation: tuple[int, ...],
        padding: str,
    ) -> Shape:
        """Return the number of windows on each spatial axis, None where it is not known."""
        found: list[int | None] = []
        for n, *of_axis in zip(lengths, window, strides, dilation, strict=True):
            if n is None:
                found.append(None)
                continue
            try:
                k, s, d = ((value,) for value in of_axis)
                found.append(count_windows(self.label, (n,), k, s, d, padding)[0][0])
            except ValueError as error:
                raise ValueError(f"{error}; the input has shape {tuple(shape)}") from None
        return tuple(found)

    def _padding(self, value: Any, *known: str) -> str:
        """Return the kind of padding in lower case, or raise."""
        return check_padding(type(self).__name__, value, *known)
