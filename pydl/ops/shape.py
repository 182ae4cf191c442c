"""Operations that move data or show it in another shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pydl import _core, check
from pydl.autograd import op, recording
from pydl.ops.elementwise import astype
from pydl.ops.promote import as_tensor, cast, number, result_type
from pydl.ops.unbroadcast import unbroadcast
from pydl.tensor import MAX_DIMS, Tensor, constant, host_read, to_array, wrap


def contiguous(array: np.ndarray) -> np.ndarray:
    """The array itself if it is C-contiguous, else a copy that is."""
    return array if array.flags.c_contiguous else _core.copy(array)


def filled(shape: tuple[int, ...], value: float, dtype: np.dtype[Any]) -> np.ndarray:
    """A new array of one value, written by a kernel."""
    return _core.copy(np.broadcast_to(constant(np.asarray(value, dtype)), shape))


def _same_size(who: str, shape: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...]:
    size, rest, free = math.prod(shape), math.prod(wanted), wanted.count(-1)
    if free > 1 or min(wanted, default=0) < -1:
        raise ValueError(f"{who}: at most one size may be -1, got {wanted}")
    if free:
        rest = -rest
        if rest == 0 or size % rest:
            raise ValueError(
                f"{who}: cannot fill -1 in {wanted}: {size} elements of shape {shape} "
                f"are no multiple of {rest}"
            )
        return tuple(size // rest if n == -1 else n for n in wanted)
    if rest != size:
        raise ValueError(
            f"{who}: shape {shape} has {size} elements, the new shape {wanted} has {rest}"
        )
    return wanted


@op(saves=(), view=True)
def _reshape(x: np.ndarray, /, shape: tuple[int, ...]) -> np.ndarray:
    return contiguous(x).reshape(shape)


@_reshape.gradient
def _(g: Tensor, y: Any, x: Tensor, shape: Any) -> Any:
    return (_reshape(g, x.shape),)


def reshape(x: Any, /, *shape: Any, copy: bool | None = None) -> Tensor:
    """The elements of x, in C order, as another shape; one size may be -1.

    A view where x is contiguous. ValueError where the sizes do not fit.

    >>> import pydl
    >>> pydl.reshape(pydl.arange(6), (3, -1))
    Tensor([[0, 1],
            [2, 3],
            [4, 5]], dtype=int64)
    """
    x = as_tensor(x, "reshape")
    wanted = check.integers("reshape", "shape", shape[0] if len(shape) == 1 else shape)
    wanted = _same_size("reshape", x.shape, wanted)
    if len(wanted) > MAX_DIMS:
        raise ValueError(f"reshape: at most {MAX_DIMS} dimensions, got {len(wanted)}")
    if copy:
        return _reshape(_copy(x), wanted)
    return _reshape(x, wanted)


@op(saves=())
def _copy(x: np.ndarray, /) -> np.ndarray:
    return _core.copy(x)


@_copy.gradient
def _(g: Tensor, y: Any, x: Tensor) -> Any:
    return (g,)


def copy(x: Any, /) -> Tensor:
    """A contiguous copy of x with memory of its own."""
    return _copy(x)


def ravel(x: Any, /) -> Tensor:
    """x as one axis."""
    return reshape(x, (-1,)) if as_tensor(x, "ravel").size else reshape(x, (0,))


def flatten(x: Any, /) -> Tensor:
    """x as one axis (ravel under NumPy's other name)."""
    return ravel(x)


@op(saves=(), view=True)
def _permute(x: np.ndarray, /, axes: tuple[int, ...]) -> np.ndarray:
    return x.transpose(axes)


@_permute.gradient
def _(g: Tensor, y: Any, x: Tensor, axes: tuple[int, ...]) -> Any:
    return (_permute(g, tuple(int(i) for i in np.argsort(axes))),)


def permute_dims(x: Any, /, axes: Sequence[int]) -> Tensor:
    """The axes of x in another order; a view."""
    return _ordered("permute_dims", as_tensor(x, "permute_dims"), axes)


def _ordered(who: str, x: Tensor, axes: Any) -> Tensor:
    names = axes if isinstance(axes, (tuple, list)) else check.integers(who, "axes", axes)
    found = tuple(check.axis(who, a, x.ndim, x.shape) for a in names)
    if sorted(found) != list(range(x.ndim)):
        raise ValueError(
            f"{who}: axes {tuple(names)} is no order of the {x.ndim} axes of {x.shape}"
        )
    return _permute(x, found)


def transpose(x: Any, /, *axes: Any) -> Tensor:
    """The axes of x in the order `axes`, reversed by default; a view.

    >>> import pydl
    >>> pydl.transpose(pydl.zeros((2, 3))).shape
    (3, 2)
    """
    x = as_tensor(x, "transpose")
    order = axes[0] if len(axes) == 1 else axes or None
    return _ordered("transpose", x, tuple(reversed(range(x.ndim))) if order is None else order)


def matrix_transpose(x: Any, /) -> Tensor:
    """The last two axes of x swapped; a view."""
    x = as_tensor(x, "matrix_transpose")
    if x.ndim < 2:
        raise ValueError(f"matrix_transpose: needs two axes or more, got shape {x.shape}")
    return _permute(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def swapaxes(x: Any, /, axis1: int, axis2: int) -> Tensor:
    """Two axes of x swapped; a view."""
    x = as_tensor(x, "swapaxes")
    order = list(range(x.ndim))
    i, j = (check.axis("swapaxes", a, x.ndim, x.shape) for a in (axis1, axis2))
    order[i], order[j] = j, i
    return _permute(x, tuple(order))


def moveaxis(x: Any, source: Any, destination: Any, /) -> Tensor:
    """Axes of x moved to other places, the rest in their order; a view."""
    x = as_tensor(x, "moveaxis")
    pairs = [v if isinstance(v, (tuple, list)) else (v,) for v in (source, destination)]
    if len(pairs[0]) != len(pairs[1]):
        raise ValueError(f"moveaxis: {len(pairs[0])} sources, {len(pairs[1])} destinations")
    from_axes, to_axes = (
        [check.axis("moveaxis", a, x.ndim, x.shape) for a in values] for values in pairs
    )
    if len(set(from_axes)) < len(from_axes) or len(set(to_axes)) < len(to_axes):
        raise ValueError(f"moveaxis: an axis is named twice in {source}, {destination}")
    order = [i for i in range(x.ndim) if i not in from_axes]
    for to, origin in sorted(zip(to_axes, from_axes, strict=True)):
        order.insert(to, origin)
    return _permute(x, tuple(order))


def squeeze(x: Any, /, axis: Any = None) -> Tensor:
    """x without its axes of length 1, or without those named; a view.

    >>> import pydl
    >>> pydl.squeeze(pydl.zeros((1, 3, 1))).shape
    (3,)
    """
    x = as_tensor(x, "squeeze")
    if axis is None:
        chosen = tuple(i for i, n in enumerate(x.shape) if n == 1)
    else:
        chosen = check.axes("squeeze", axis, x.ndim, x.shape)
        for i in chosen:
            if x.shape[i] != 1:
                raise ValueError(
                    f"squeeze: axis {i} of shape {x.shape} has length {x.shape[i]}, not 1"
                )
    return _reshape_view(x, tuple(n for i, n in enumerate(x.shape) if i not in chosen))


def expand_dims(x: Any, /, axis: Any = 0) -> Tensor:
    """x with new axes of length 1 at the places `axis` of the result; a view.

    >>> import pydl
    >>> pydl.expand_dims(pydl.zeros((3,)), -1).shape
    (3, 1)
    """
    x = as_tensor(x, "expand_dims")
    values = axis if isinstance(axis, (tuple, list)) else (axis,)
    ndim = x.ndim + len(values)
    chosen = check.axes("expand_dims", tuple(values), ndim)
    rest = iter(x.shape)
    return _reshape_view(
        x, check.shape("expand_dims", tuple(1 if i in chosen else next(rest) for i in range(ndim)))
    )


@op(saves=(), view=True)
def _reshape_view(x: np.ndarray, /, shape: tuple[int, ...]) -> np.ndarray:
    return x.reshape(shape)  # only axes of length 1 come and go: never a copy


@_reshape_view.gradient
def _(g: Tensor, y: Any, x: Tensor, shape: Any) -> Any:
    return (_reshape(g, x.shape),)


@op(saves=(), view=True)
def _broadcast_to(x: np.ndarray, /, shape: tuple[int, ...]) -> np.ndarray:
    return np.broadcast_to(x, shape)


@_broadcast_to.gradient
def _(g: Tensor, y: Any, x: Tensor, shape: Any) -> Any:
    return (unbroadcast(g, x),)


def broadcast_to(x: Any, /, shape: Any) -> Tensor:
    """x stretched to `shape`; a read-only view with zero strides.

    >>> import pydl
    >>> pydl.broadcast_to(pydl.tensor([1.0, 2.0]), (2, 2))
    Tensor([[1., 2.],
            [1., 2.]])
    """
    x = as_tensor(x, "broadcast_to")
    wanted = check.shape("broadcast_to", shape)
    try:
        return _broadcast_to(x, wanted)
    except ValueError:
        raise ValueError(f"broadcast_to: shape {x.shape} does not stretch to {wanted}") from None


def broadcast_arrays(*arrays: Any) -> list[Tensor]:
    """The arrays stretched to their common shape; read-only views."""
    tensors = [as_tensor(a, "broadcast_arrays") for a in arrays]
    try:
        shape = np.broadcast_shapes(*(t.shape for t in tensors))
    except ValueError:
        shapes = ", ".join(str(t.shape) for t in tensors)
        raise ValueError(f"broadcast_arrays: shapes {shapes} do not broadcast") from None
    return [broadcast_to(t, shape) for t in tensors]


@op(variadic=True, saves=())
def _concat(arrays: list[np.ndarray], /, axis: int) -> np.ndarray:
    return _core.concat(arrays, axis)


@_concat.gradient(twice=True)
def _(g: Tensor, y: Any, *arrays: Tensor, axis: int) -> Any:
    pieces, start = [], 0
    for a in arrays:
        key = (slice(None),) * axis + (slice(start, start + a.shape[axis]),)
        start += a.shape[axis]
        pieces.append(_slice(g, key) if recording() else wrap(g.data[key]))
    return tuple(pieces)


def concat(arrays: Sequence[Any], /, axis: int | None = 0) -> Tensor:
    """The arrays one after the other along an existing axis; None flattens them first.

    >>> import pydl
    >>> pydl.concat([pydl.tensor([1.0]), pydl.tensor([2.0, 3.0])])
    Tensor([1., 2., 3.])
    """
    tensors = _of_one_dtype("concat", arrays)
    if axis is None:
        tensors, axis = [ravel(t) for t in tensors], 0
    first = tensors[0].shape
    axis = check.axis("concat", axis, len(first), first)
    for t in tensors[1:]:
        if len(t.shape) != len(first) or any(
            i != axis and m != n for i, (m, n) in enumerate(zip(first, t.shape, strict=True))
        ):
            raise ValueError(
                f"concat: shapes {first} and {t.shape} differ on more than axis {axis}"
            )
    return _concat(tensors, axis)


def _of_one_dtype(who: str, arrays: Sequence[Any]) -> list[Tensor]:
    if not hasattr(arrays, "__iter__"):
        raise TypeError(f"{who}: needs a sequence of arrays, got {arrays!r}")
    tensors = [as_tensor(a, who) for a in arrays]
    if not tensors:
        raise ValueError(f"{who}: needs at least one array, got none")
    dtype = result_type(*(t.data for t in tensors))
    return [astype(t, dtype) for t in tensors]


def stack(arrays: Sequence[Any], /, axis: int = 0) -> Tensor:
    """The arrays, of one shape, along a new axis.

    >>> import pydl
    >>> pydl.stack([pydl.zeros(3), pydl.ones(3)]).shape
    (2, 3)
    """
    tensors = _of_one_dtype("stack", arrays)
    for t in tensors[1:]:
        if t.shape != tensors[0].shape:
            raise ValueError(f"stack: shapes {tensors[0].shape} and {t.shape} differ")
    axis = check.axis("stack", axis, tensors[0].ndim + 1)
    return concat([expand_dims(t, axis) for t in tensors], axis)


_MOST_PARTS = 2**20  # of an empty axis, which any number divides


def split(x: Any, indices_or_sections: Any, /, axis: int = 0) -> list[Tensor]:
    """x cut along an axis: into so many equal parts, or at the given positions; views.

    >>> import pydl
    >>> [part.shape for part in pydl.split(pydl.zeros((6, 2)), 3)]
    [(2, 2), (2, 2), (2, 2)]
    """
    x = as_tensor(x, "split")
    axis = check.axis("split", axis, x.ndim, x.shape)
    n = x.shape[axis]
    if isinstance(indices_or_sections, int) or np.ndim(indices_or_sections) == 0:
        parts = check.integer("split", "sections", indices_or_sections)
        if parts < 1 or n % parts:
            raise ValueError(
                f"split: axis {axis} of length {n} does not split into {parts} equal parts"
            )
        if parts > max(n, _MOST_PARTS):
            raise ValueError(f"split: at most {_MOST_PARTS} parts of an empty axis, got {parts}")
        cuts = [i * (n // parts) for i in range(1, parts)]
    else:
        cuts = [check.integer("split", "indices", i) for i in indices_or_sections]
    edges = [0, *cuts, n]
    return [
        _slice(x, (slice(None),) * axis + (slice(a, b),))
        for a, b in zip(edges[:-1], edges[1:], strict=True)
    ]


def unstack(x: Any, /, axis: int = 0) -> tuple[Tensor, ...]:
    """The parts of x along an axis, without that axis; views."""
    x = as_tensor(x, "unstack")
    axis = check.axis("unstack", axis, x.ndim, x.shape)
    return tuple(_slice(x, (slice(None),) * axis + (i,)) for i in range(x.shape[axis]))


def _slice_array(x: np.ndarray, key: Any) -> np.ndarray:
    # an ellipsis at the end keeps an array without axes from becoming a NumPy scalar
    return x[key] if Ellipsis in key else x[(*key, ...)]


@op(saves=(), view=True)
def _slice(x: np.ndarray, /, key: Any) -> np.ndarray:
    return _slice_array(x, key)


@_slice.gradient
def _(g: Tensor, y: Any, x: Tensor, key: Any) -> Any:
    return (_unslice(g, x.shape, key),)


@op(saves=())
def _unslice(g: np.ndarray, /, shape: tuple[int, ...], key: Any) -> np.ndarray:
    dx = filled(shape, 0, g.dtype)
    _core.copy(g, _slice_array(dx, key))
    return dx


@_unslice.gradient
def _(d: Tensor, y: Any, g: Tensor, shape: tuple[int, ...], key: Any) -> Any:
    return (_slice(d, key),)


def tile(x: Any, repetitions: Any, /) -> Tensor:
    """x repeated as a whole, `repetitions` times along each axis.

    >>> import pydl
    >>> pydl.tile(pydl.tensor([1, 2]), 2)
    Tensor([1, 2, 1, 2], dtype=int64)
    """
    x = as_tensor(x, "tile")
    counts = check.shape("tile", repetitions)
    ndim = max(x.ndim, len(counts))
    counts = (1,) * (ndim - len(counts)) + counts
    shape = (1,) * (ndim - x.ndim) + x.shape
    inner = _reshape(x, tuple(m for n in shape for m in (1, n)))
    check.shape("tile", tuple(c * n for c, n in zip(counts, shape, strict=True)))
    full = broadcast_to(inner, tuple(m for c, n in zip(counts, shape, strict=True) for m in (c, n)))
    return _reshape(full, tuple(c * n for c, n in zip(counts, shape, strict=True)))


def repeat(x: Any, repeats: Any, /, axis: int | None = None) -> Tensor:
    """Each element of x repeated along an axis; None flattens first.

    >>> import pydl
    >>> pydl.repeat(pydl.tensor([1, 2]), 2)
    Tensor([1, 1, 2, 2], dtype=int64)
    """
    x = as_tensor(x, "repeat")
    if axis is None:
        x, axis = ravel(x), 0
    axis = check.axis("repeat", axis, x.ndim, x.shape)
    counts = to_array(repeats, None, "repeat")
    if counts.dtype.kind not in "iu" or (counts < 0).any():
        raise ValueError(f"repeat: repeats must be integers of at least 0, got {repeats!r}")
    if counts.ndim and counts.shape not in ((1,), (x.shape[axis],)):
        raise ValueError(f"repeat: {counts.shape} repeats for axis {axis} of shape {x.shape}")
    sizes = list(x.data.shape)
    positions = np.arange(sizes[axis])
    sizes[axis] = int(np.broadcast_to(counts, sizes[axis]).sum(dtype=np.float64))
    check.shape("repeat", sizes)
    positions = np.repeat(positions, counts)
    return _index(x, (slice(None),) * axis + (positions,))


def flip(x: Any, /, axis: Any = None) -> Tensor:
    """x with the order reversed along the axes (all by default); a view."""
    x = as_tensor(x, "flip")
    chosen = check.axes("flip", axis, x.ndim, x.shape)
    return _slice(x, tuple(slice(None, None, -1 if i in chosen else 1) for i in range(x.ndim)))


def roll(x: Any, shift: Any, /, axis: Any = None) -> Tensor:
    """x moved by `shift` places along axes, what falls out comes in again; None: flattened.

    >>> import pydl
    >>> pydl.roll(pydl.tensor([1, 2, 3]), 1)
    Tensor([3, 1, 2], dtype=int64)
    """
    x = as_tensor(x, "roll")
    if axis is None:
        return reshape(roll(ravel(x), shift, 0), x.shape) if x.size else x
    names = axis if isinstance(axis, (tuple, list)) else (axis,)
    shifts = shift if isinstance(shift, (tuple, list)) else (shift,) * len(names)
    if len(shifts) != len(names):
        raise ValueError(f"roll: {len(shifts)} shifts for {len(names)} axes")
    for s, a in zip(shifts, names, strict=True):
        a = check.axis("roll", a, x.ndim, x.shape)
        n = x.shape[a]
        cut = -check.integer("roll", "shift", s) % n if n else 0
        head, tail = split(x, [cut], axis=a)
        x = concat([tail, head], a)
    return x


@op(saves=())
def _pad(x: np.ndarray, /, widths: Any, value: float) -> np.ndarray:
    sizes = tuple(before + n + after for (before, after), n in zip(widths, x.shape, strict=True))
    check.fits("pad", value, x.dtype)
    y = filled(check.shape("pad", sizes), value, x.dtype)
    _core.copy(x, _slice_array(y, _inside(widths, x.shape)))
    return y


def _inside(widths: Any, shape: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(before, before + n) for (before, _), n in zip(widths, shape, strict=True))


@_pad.gradient
def _(g: Tensor, y: Any, x: Tensor, widths: Any, value: float) -> Any:
    return (_slice(g, _inside(widths, x.shape)),)


def pad(x: Any, pad_width: Any, /, mode: str = "constant", constant_values: float = 0.0) -> Tensor:
    """x with `pad_width` = (before, after), or one such pair an axis, filled with a constant.

    >>> import pydl
    >>> pydl.pad(pydl.tensor([1.0]), (1, 2))
    Tensor([0., 1., 0., 0.])
    """
    x = as_tensor(x, "pad")
    if mode != "constant":
        raise ValueError(f"pad: mode must be 'constant', got {mode!r}")
    try:
        pairs = np.broadcast_to(np.asarray(pad_width, object), (x.ndim, 2))
    except ValueError:
        raise ValueError(f"pad: pad_width must fit ({x.ndim}, 2), got {pad_width!r}") from None
    before, after = ([check.integer("pad", "pad_width", p[i]) for p in pairs] for i in (0, 1))
    if min(before + after, default=0) < 0:
        raise ValueError(f"pad: pad_width must not be negative, got {pad_width!r}")
    check.number("pad", "constant_values", constant_values)
    return _pad(x, tuple(zip(before, after, strict=True)), constant_values)


@op(saves=())
def _index(x: np.ndarray, /, key: Any) -> np.ndarray:
    return x[key]


@_index.gradient
def _(g: Tensor, y: Any, x: Tensor, key: Any) -> Any:
    return (_unindex(g, x.shape, key),)


@op(saves=())
def _unindex(g: np.ndarray, /, shape: tuple[int, ...], key: Any) -> np.ndarray:
    dx = np.zeros(shape, g.dtype)
    np.add.at(dx, key, g)
    return dx


@_unindex.gradient
def _(d: Tensor, y: Any, g: Tensor, shape: tuple[int, ...], key: Any) -> Any:
    return (_index(d, key),)


def _plain_key(key: Any) -> tuple[Any, bool]:
    """The key with arrays for tensors and lists, and whether it only selects a view."""
    parts = key if isinstance(key, tuple) else (key,)
    plain: list[Any] = []
    basic = True
    for part in parts:
        if isinstance(part, (Tensor, np.ndarray, list)):
            array = part.data if isinstance(part, Tensor) else np.asarray(part)
            if array.size == 0 and not isinstance(part, (Tensor, np.ndarray)):
                array = array.astype(np.int64)
            if array.dtype.kind not in "biu":
                raise TypeError(
                    f"indexing: an index array must hold integers or bool, got {array.dtype}"
                )
            basic = False
            plain.append(array)
        elif part is None or part is Ellipsis or isinstance(part, slice):
            plain.append(part)
        elif isinstance(part, (bool, np.bool_)):
            basic = False
            plain.append(part)
        elif hasattr(part, "__index__"):
            plain.append(part.__index__())
        else:
            raise TypeError(
                "indexing: an index is an integer, slice, ..., None, or an array of integers or "
                f"bool, got {part!r}"
            )
    return tuple(plain), basic


def getitem(x: Tensor, key: Any) -> Tensor:
    """x[key] with NumPy's rules; a view where only integers, slices, ... and None are used."""
    plain, basic = _plain_key(key)
    try:
        return (_slice if basic else _index)(x, plain)
    except IndexError as error:
        raise IndexError(f"indexing: {error}; the shape is {x.shape}") from None


def setitem(x: Tensor, key: Any, value: Any) -> None:
    """x[key] = value, in place and not recorded; RuntimeError on tensors computed from others."""
    from_others = x._node is not None and type(x._node).__name__ == "Node"
    if from_others:
        raise RuntimeError(
            "x[key] = value: x was computed from tensors that want a gradient; "
            "use where or scatter_add, or change a stop_gradient(x).copy()"
        )
    if isinstance(value, Tensor) and value.requires_grad and recording():
        raise RuntimeError(
            "x[key] = value: the value wants a gradient, which an assignment would drop; build x "
            "with stack, concat, where or scatter_add, or assign stop_gradient(value)"
        )
    if not x.data.flags.writeable:
        raise ValueError("x[key] = value: the memory of x is read-only; use copy() first")
    who, dtype = "x[key] = value", x.data.dtype
    host_read(who)
    plain, _ = _plain_key(key)
    if isinstance(value, (bool, int, float)):
        source = number(who, value, dtype)
    else:
        source = cast(to_array(value, None if hasattr(value, "__array__") else dtype, who), dtype)
    try:
        x.data[plain] = source
    except IndexError as error:
        raise IndexError(f"indexing: {error}; the shape is {x.shape}") from None
    except ValueError:
        raise ValueError(
            f"{who}: a value of shape {source.shape} does not stretch to "
            f"{x.data[plain].shape}, the shape of x[key]"
        ) from None
    x.changed_in_place()
