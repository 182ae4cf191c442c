"""Windows over images: the arguments of convolution and pooling, and the geometry they mean.

Kernels work on (batch, spatial axes, channels) throughout. Window o of an axis begins at pixel
o stride - before; its tap t reads pixel o stride + t dilation - before, or 0 outside of the image.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from pydl import check, config
from pydl.ops.elementwise import astype
from pydl.ops.promote import FLOATS, as_tensor, result_type
from pydl.ops.shape import getitem, moveaxis
from pydl.tensor import Tensor

Axes = tuple[int, ...]  # a number for each spatial axis
Geometry = tuple[Axes, Axes, Axes]  # strides, dilation, zeros before
Pooling = tuple[Axes, Axes, Axes]  # lengths of windows, strides, padding before
Key = tuple[slice, ...]  # what of a kernel

# Of strides, distances of taps and windows, so that no product of kernels leaves 64 bits.
_LONGEST = 2**31 - 1


def spatial(shape: Sequence[int]) -> Axes:
    """The lengths of the spatial axes."""
    return tuple(shape[1:-1])


def per_axis(who: str, name: str, value: Any, axes: int, least: int = 1) -> Axes:
    """An integer, or one for each spatial axis, as a tuple; `least` is the smallest allowed."""
    if type(value) is int and least <= value <= _LONGEST:
        return (value,) * axes
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes
    numbers = tuple(check.integer(who, name, v) for v in values)
    if len(numbers) != axes:
        raise ValueError(
            f"{who}: {name} must be an integer or {axes} of them, one for each spatial axis, "
            f"got {value!r}"
        )
    if any(n < least for n in numbers):
        raise ValueError(f"{who}: {name} must be {least} or more, got {value!r}")
    if any(n > _LONGEST for n in numbers):
        raise ValueError(f"{who}: {name} must be at most {_LONGEST}, got {value!r}")
    return numbers


def image_format(who: str, value: Any) -> str:
    """The order "channels_last" or "channels_first"; None is the default of `config`."""
    name = config.image_data_format() if value is None else value
    check.choice(who, "data_format", name, ("channels_last", "channels_first"))
    return name


def conv_paddings(axes: int) -> tuple[str, ...]:
    """The kinds of padding of a convolution along so many axes."""
    return ("valid", "same", "causal") if axes == 1 else ("valid", "same")


def extra_pixels(who: str, output_padding: Any, strides: Axes) -> Axes | None:
    """The `output_padding` of a transposed convolution, one for each axis; None for None."""
    if output_padding is None:
        return None
    extra = per_axis(who, "output_padding", output_padding, len(strides), 0)
    if any(e >= s for e, s in zip(extra, strides, strict=True)):
        raise ValueError(
            f"{who}: output_padding must be below strides, got {output_padding!r} and {strides}"
        )
    return extra


def check_padding(who: str, value: Any, *known: str) -> str:
    name = value.lower() if isinstance(value, str) else value
    if name not in known:
        raise ValueError(
            f"{who}: padding must be one of {', '.join(map(repr, known))}, got {value!r}"
        )
    return name


class Images:
    """The input of an operation with its channels last, and the way back."""

    def __init__(self, who: str, x: Tensor, data_format: Any):
        name = image_format(who, data_format)
        if not 3 <= x.ndim <= 5:
            raise ValueError(
                f"{who}: inputs must have a batch, one to three spatial axes and channels, "
                f"got shape {x.shape}"
            )
        if x.dtype not in FLOATS:
            raise TypeError(
                f"{who}: needs float32 or float64, got {x.dtype}; cast the inputs to a float dtype"
            )
        self.first = name == "channels_first"
        self.x = moveaxis(x, 1, -1) if self.first else x
        self.axes = x.ndim - 2
        self.lengths = spatial(self.x.shape)

    def back(self, y: Tensor) -> Tensor:
        return moveaxis(y, -1, 1) if self.first else y


def operands(who: str, *values: Any) -> list[Tensor]:
    """Tensors of the one float dtype that they promote to."""
    tensors = [as_tensor(v, who) for v in values]
    for t in tensors:
        if t.dtype not in FLOATS:
            raise TypeError(
                f"{who}: needs float32 or float64, got {t.dtype}; cast it to a float dtype"
            )
    dtype = tensors[0].dtype
    if all(t.dtype == dtype for t in tensors):
        return tensors
    dtype = result_type(*(t.data for t in tensors))
    return [t if t.dtype == dtype else astype(t, dtype) for t in tensors]


def check_kernel(who: str, images: Images, kernel: Tensor, shape: str) -> Axes:
    if kernel.ndim != images.axes + 2:
        raise ValueError(
            f"{who}: kernel must have {images.axes + 2} axes, {shape}, for inputs of shape "
            f"{images.x.shape}, got shape {kernel.shape}"
        )
    if 0 in kernel.shape[:-2]:
        raise ValueError(f"{who}: kernel has an empty spatial axis, shape {kernel.shape}")
    return kernel.shape[:-2]


def _spans(who: str, taps: Axes, dilation: Axes) -> Axes:
    """The pixels from the first tap to the last, both included."""
    spans = tuple(d * (k - 1) + 1 for k, d in zip(taps, dilation, strict=True))
    if max(spans) > _LONGEST:
        raise ValueError(
            f"{who}: a window must have at most {_LONGEST} pixels on an axis, got {spans} from "
            f"{taps} taps with dilation_rate {dilation}"
        )
    return spans


def _met(
    n: int, taps: int, count: int, stride: int, dilation: int, before: int
) -> tuple[int, int, slice]:
    """The taps that meet a pixel in some window, and dilation and zeros before for these alone.

    Tap t of window o reads pixel o stride + t dilation - before.
    """
    first = max(0, -(((count - 1) * stride - before) // dilation))
    last = min(taps, (n - 1 + before) // dilation + 1)
    if first >= last:  # one tap stays, which reads zeros
        return 1, max(1, count) * stride, slice(0, 1)
    return (
        dilation if last - first > 1 else 1,
        before - first * dilation,
        slice(first, last),
    )


def _of_taps_that_meet(
    images: Axes, taps: Axes, counts: Axes, strides: Axes, dilation: Axes, before: Axes
) -> tuple[Geometry, Key | None]:
    """The geometry of the taps that meet a pixel, and which of the kernel's they are; None: all.

    So zeros around the images cost what the images do, however far the taps lie apart.
    """
    met = [
        _met(*axis) for axis in zip(images, taps, counts, strides, dilation, before, strict=True)
    ]
    if all(key == slice(0, k) for k, (_, _, key) in zip(taps, met, strict=True)):
        return (strides, dilation, before), None
    return (strides, tuple(m[0] for m in met), tuple(m[1] for m in met)), tuple(m[2] for m in met)


def taps_in_images(images: Axes, counts: Axes, pooling: Pooling) -> tuple[Axes, Axes, Axes]:
    """Strides of a pooling; zeros before and length of its windows, of taps that meet a pixel."""
    taps, strides, before = pooling
    axes = zip(images, taps, counts, strides, (1,) * len(taps), before, strict=True)
    met = [_met(*axis) for axis in axes]
    return strides, tuple(m[1] for m in met), tuple(m[2].stop - m[2].start for m in met)


def taps_of(kernel: Tensor, met: Key | None) -> Tensor:
    return kernel if met is None else getitem(kernel, met)


@functools.lru_cache(maxsize=1024)  # of integers only
def count_windows(
    who: str, lengths: Axes, kernel: Axes, strides: Axes, dilation: Axes, padding: str
) -> tuple[Axes, Axes]:
    """How many windows there are on each axis, and how many zeros before the first pixel."""
    spans = _spans(who, kernel, dilation)
    if padding == "valid":
        counts = tuple((n - w) // s + 1 for n, w, s in zip(lengths, spans, strides, strict=True))
        if any(n < w for n, w in zip(lengths, spans, strict=True)):
            raise ValueError(
                f"{who}: a window of {spans} pixels does not fit into {lengths} with "
                "padding 'valid'; use padding='same', or larger inputs"
            )
        return counts, (0,) * len(lengths)
    counts = tuple(-(-n // s) for n, s in zip(lengths, strides, strict=True))
    if padding == "causal":
        return counts, tuple(w - 1 for w in spans)
    before = tuple(
        max((c - 1) * s + w - n, 0) // 2
        for c, s, w, n in zip(counts, strides, spans, lengths, strict=True)
    )
    return counts, before


@functools.lru_cache(maxsize=1024)
def walk(
    who: str, lengths: Axes, taps: Axes, strides: Axes, dilation: Axes, padding: str
) -> tuple[Axes, Geometry, Key | None]:
    """Lengths of a convolution, its geometry, and the taps that this is for; None: all."""
    counts, before = count_windows(who, lengths, taps, strides, dilation, padding)
    return counts, *_of_taps_that_meet(lengths, taps, counts, strides, dilation, before)


def strides_and_dilation(
    who: str, strides: Any, dilation_rate: Any, axes: int
) -> tuple[Axes, Axes]:
    strides = per_axis(who, "strides", strides, axes)
    dilation = per_axis(who, "dilation_rate", dilation_rate, axes)
    if max(strides) > 1 and max(dilation) > 1:
        raise ValueError(
            f"{who}: strides above 1 and dilation_rate above 1 exclude each other, got "
            f"{strides} and {dilation}"
        )
    return strides, dilation


@functools.lru_cache(maxsize=1024)
def transposed_walk(
    who: str,
    lengths: Axes,
    taps: Axes,
    strides: Axes,
    dilation: Axes,
    padding: str,
    extra: tuple[int | None, ...],
) -> tuple[Axes, Geometry, Key | None]:
    """Lengths of a transposed convolution; geometry and taps of the convolution."""
    spans = _spans(who, taps, dilation)
    out, before = [], []
    for n, k, span, stride, more in zip(lengths, taps, spans, strides, extra, strict=True):
        if padding == "valid":
            length = (n - 1) * stride + (max(span, stride) if more is None else span + more)
            before.append(0)
        else:
            # Keras's rule: so many zeros around the spread inputs, the larger half before
            total = stride + span - 2 if more is None else span + span % 2 - 2 + more
            length = (n - 1) * stride + 2 + total - span
            before.append(span - 1 - min(total - total // 2, span - 1))
        if length < min(n, 1):  # an empty axis may stay empty
            raise ValueError(f"{who}: nothing is left of an axis of length {n} with {k} taps")
        out.append(length)
    found = tuple(out)
    return found, *_of_taps_that_meet(found, taps, lengths, strides, dilation, tuple(before))
