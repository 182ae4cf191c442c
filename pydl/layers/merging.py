"""Layers that make one output of several inputs, and their function forms in lower case."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from pydl import check, ops
from pydl.layers import masks
from pydl.layers.base import Layer
from pydl.layers.nest import is_shape
from pydl.tensor import Tensor

Shape = tuple[int | None, ...]


class Merge(Layer):
    """Base of the layers that merge inputs element by element, with broadcasting.

    Inputs of fewer axes get axes of length 1 behind the batch. Masks: a position of the output
    counts where it counts in any input; without a mask in one input, the output has none.

    Subclasses implement `_merge(tensors)`.
    """

    supports_masking = True
    _least = 2
    _most: int | None = None

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(input_shape)

    def _check_count(self, given: Any, one: bool) -> list[Any]:
        """Return the inputs, or their shapes, as a list."""
        count = 1 if one else len(given)
        if one or count < self._least or (self._most is not None and count > self._most):
            amount = "2 inputs" if self._most else f"{self._least} or more inputs"
            what = f"one of shape {tuple(given)}" if one else str(count)
            raise ValueError(f"{self.label}: expected a list of {amount}, got {what}")
        return list(given.values()) if isinstance(given, dict) else list(given)

    def call(self, inputs: Any, mask: Any = None) -> Tensor:
        tensors = self._check_count(
            inputs.shape if isinstance(inputs, Tensor) else inputs, isinstance(inputs, Tensor)
        )
        self.compute_output_shape([x.shape for x in tensors])
        given = mask if isinstance(mask, (list, tuple)) else [None] * len(tensors)
        wide = max(x.ndim for x in tensors)
        tensors = [
            x
            if x.ndim == wide
            else ops.reshape(x, (x.shape[0], *(1,) * (wide - x.ndim), *x.shape[1:]))
            for x in tensors
        ]
        return self._merge_masked(tensors, list(given))

    def _merge_masked(self, tensors: list[Tensor], given: list[Any]) -> Tensor:
        """Return the output for inputs of one rank and their masks."""
        return self._merge(tensors)

    def _merge(self, tensors: list[Tensor]) -> Tensor:
        """Return the output for inputs of one rank."""
        raise NotImplementedError(f"{type(self).__name__} must implement _merge(tensors)")

    def compute_output_shape(self, input_shape: Any) -> Shape:
        shapes = self._check_count(input_shape, is_shape(input_shape))
        wide = max(map(len, shapes))
        padded = [(s[0], *(1,) * (wide - len(s)), *s[1:]) for s in map(tuple, shapes)]
        found: list[int | None] = []
        for axis, sizes in enumerate(zip(*padded, strict=True)):
            known = {n for n in sizes if n is not None and (n != 1 or axis == 0)}
            if len(known) > 1:
                raise ValueError(
                    f"{self.label}: shapes {', '.join(map(str, shapes))} do not fit together on "
                    f"axis {axis}"
                )
            free = None if None in sizes else 1
            found.append(known.pop() if known else free)
        return tuple(found)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        if not isinstance(mask, (list, tuple)) or any(m is None for m in mask):
            return None
        found = mask[0]
        for other in mask[1:]:
            found = masks.either(found, other)
        return found


class _Folded(Merge):
    """A merge by an operation of two tensors, from the first input to the last."""

    _operation: Callable[[Any, Any], Tensor]

    def _merge(self, tensors: list[Tensor]) -> Tensor:
        found = tensors[0]
        for x in tensors[1:]:
            found = type(self)._operation(found, x)
        return found


class Add(_Folded):
    """y = x1 + x2 + ...

    >>> import pydl
    >>> Add()([pydl.ones((1, 2)), pydl.ones((1, 2))]).numpy()
    array([[2., 2.]], dtype=float32)
    """

    _operation = staticmethod(ops.add)


class Subtract(_Folded):
    """y = x1 - x2, of two inputs.

    >>> import pydl
    >>> Subtract()([pydl.ones((1, 2)), pydl.ones((1, 2))]).numpy()
    array([[0., 0.]], dtype=float32)
    """

    _operation = staticmethod(ops.subtract)
    _most = 2


class Multiply(_Folded):
    """y = x1 x2 ..., element by element; a masked position counts as 1.

    >>> import pydl
    >>> Multiply()([pydl.full((1, 2), 2.0), pydl.full((1, 2), 3.0)]).numpy()
    array([[6., 6.]], dtype=float32)
    """

    _operation = staticmethod(ops.multiply)

    def _merge_masked(self, tensors: list[Tensor], given: list[Any]) -> Tensor:
        spread = [
            None if m is None else masks.spread(m, x) for x, m in zip(tensors, given, strict=True)
        ]
        kept = [
            x if m is None else ops.where(m, x, 1.0) for x, m in zip(tensors, spread, strict=True)
        ]
        y = self._merge(kept)
        found = self.compute_mask(tensors, given)
        return y if found is None else ops.where(masks.spread(found, y), y, 0.0)


class Average(_Folded):
    """y = (x1 + x2 + ...) / n.

    >>> import pydl
    >>> Average()([pydl.ones((1, 2)), pydl.zeros((1, 2))]).numpy()
    array([[0.5, 0.5]], dtype=float32)
    """

    _operation = staticmethod(ops.add)

    def _merge(self, tensors: list[Tensor]) -> Tensor:
        return super()._merge(tensors) / float(len(tensors))


class _Extreme(_Folded):
    """The largest or smallest of the inputs; a masked position gives way to the other input."""

    def _merge_masked(self, tensors: list[Tensor], given: list[Any]) -> Tensor:
        y, mask = tensors[0], given[0]
        for x, other in zip(tensors[1:], given[1:], strict=True):
            left, right = y, x
            if other is not None:
                right = ops.where(masks.spread(other, x), x, y)
            if mask is not None:
                left = ops.where(masks.spread(mask, y), y, right)
            mask = None if mask is None or other is None else masks.either(mask, other)
            y = type(self)._operation(left, right)
        return y


class Maximum(_Extreme):
    """y = max(x1, x2, ...), element by element.

    >>> import pydl
    >>> Maximum()([pydl.ones((1, 2)), pydl.zeros((1, 2))]).numpy()
    array([[1., 1.]], dtype=float32)
    """

    _operation = staticmethod(ops.maximum)


class Minimum(_Extreme):
    """y = min(x1, x2, ...), element by element.

    >>> import pydl
    >>> Minimum()([pydl.ones((1, 2)), pydl.zeros((1, 2))]).numpy()
    array([[0., 0.]], dtype=float32)
    """

    _operation = staticmethod(ops.minimum)


class Concatenate(Merge):
    """The inputs one after the other along an axis.

    Args:
        axis: The axis, which is not the batch.
        **kwargs: See `Layer`.

    >>> import pydl
    >>> Concatenate()([pydl.ones((1, 2)), pydl.zeros((1, 1))]).numpy()
    array([[1., 1., 0.]], dtype=float32)
    """

    _least = 1

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = check.integer("Concatenate", "axis", axis)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        shapes = [tuple(s) for s in self._check_count(input_shape, is_shape(input_shape))]
        rank = len(shapes[0])
        axis = check.axis(self.label, self.axis, rank, shapes[0])
        found = list(shapes[0])
        for shape in shapes[1:]:
            fits = len(shape) == rank and all(
                i == axis or m is None or n is None or m == n
                for i, (m, n) in enumerate(zip(found, shape, strict=False))
            )
            if not fits:
                raise ValueError(
                    f"{self.label}: shapes {', '.join(map(str, shapes))} differ on another axis "
                    f"than {axis}"
                )
            sizes = found[axis], shape[axis]
            found = [n if m is None else m for m, n in zip(found, shape, strict=True)]
            found[axis] = None if None in sizes else sum(sizes)
        return tuple(found)

    def _merge(self, tensors: list[Tensor]) -> Tensor:
        return ops.concat(tensors, axis=self.axis)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        if not isinstance(mask, (list, tuple)) or all(m is None for m in mask):
            return None
        rank = inputs[0].ndim
        if self.axis % rank == rank - 1 and all(m is not None and m.ndim < rank for m in mask):
            return super().compute_mask(inputs, mask)
        wide = [
            ops.ones(x.shape)
            if m is None
            else ops.broadcast_to(masks.as_floats(masks.spread(m, x)), x.shape)
            for x, m in zip(inputs, mask, strict=True)
        ]
        return masks.any_last(ops.concat(wide, axis=self.axis))


class Dot(Merge):
    """Sums of products of two inputs over one axis of each, sample by sample.

    The output has the other axes of the first input, then those of the second; at least one.

    Args:
        axes: The axis of both, or (axis of the first, axis of the second); not the batch.
        normalize: Whether to divide each vector along the axis by its length first: the cosine.
        **kwargs: See `Layer`.

    >>> import pydl
    >>> Dot(axes=1)([pydl.ones((2, 3)), pydl.ones((2, 3))]).numpy()
    array([[3.],
           [3.]], dtype=float32)
    """

    _most = 2

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        several = isinstance(axes, (list, tuple))
        if several and len(axes) != 2:  # type: ignore[arg-type]
            raise ValueError(f"Dot: axes must be an axis, or one for each input, got {axes!r}")
        self.axes = (
            tuple(check.integer("Dot", "axes", a) for a in axes)  # type: ignore[union-attr]
            if several
            else check.integer("Dot", "axes", axes)
        )
        self.normalize = normalize

    def _axes_of(self, shapes: Sequence[Any]) -> tuple[int, int]:
        """Return the axis of each input that is summed over."""
        pair = self.axes if isinstance(self.axes, tuple) else (self.axes, self.axes)
        first, second = (
            check.axis(self.label, a, len(s), s) for a, s in zip(pair, shapes, strict=True)
        )
        if 0 in (first, second):
            raise ValueError(f"{self.label}: axes {self.axes} name the batch axis")
        return first, second

    def compute_output_shape(self, input_shape: Any) -> Shape:
        shapes = [tuple(s) for s in self._check_count(input_shape, is_shape(input_shape))]
        first, second = self._axes_of(shapes)
        sizes = shapes[0][first], shapes[1][second]
        if None not in sizes and sizes[0] != sizes[1]:
            raise ValueError(
                f"{self.label}: shapes {shapes[0]} and {shapes[1]} have {sizes[0]} elements on "
                f"axis {first} and {sizes[1]} on axis {second}"
            )
        rest = [n for i, n in enumerate(shapes[0]) if i != first]
        rest += [n for i, n in enumerate(shapes[1]) if i not in (0, second)]
        return (*rest, 1) if len(rest) == 1 else tuple(rest)

    def call(self, inputs: Any, mask: Any = None) -> Tensor:
        a, b = self._check_count(inputs, isinstance(inputs, Tensor))
        shape = self.compute_output_shape([a.shape, b.shape])
        first, second = self._axes_of([a.shape, b.shape])
        if self.normalize:
            a, b = ops.l2_normalize(a, axis=first), ops.l2_normalize(b, axis=second)
        a, b = ops.moveaxis(a, first, -1), ops.moveaxis(b, second, 1)
        left = ops.reshape(a, (a.shape[0], math.prod(a.shape[1:-1]), a.shape[-1]))
        right = ops.reshape(b, (*b.shape[:2], math.prod(b.shape[2:])))
        return ops.reshape(ops.matmul(left, right), shape)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None


def add(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Return `Add(**kwargs)(inputs)`."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Return `Subtract(**kwargs)(inputs)`."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Return `Multiply(**kwargs)(inputs)`."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Return `Average(**kwargs)(inputs)`."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Return `Maximum(**kwargs)(inputs)`."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Return `Minimum(**kwargs)(inputs)`."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs: Any) -> Any:
    """Return `Concatenate(axis, **kwargs)(inputs)`."""
    return Concatenate(axis, **kwargs)(inputs)


def dot(inputs: Sequence[Any], axes: int | Sequence[int] = -1, **kwargs: Any) -> Any:
    """Return `Dot(axes, **kwargs)(inputs)`."""
    return Dot(axes, **kwargs)(inputs)
