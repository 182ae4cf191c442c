"""The functional faces of differentiation: grad, value_and_grad, GradientTape."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from pydl import check
from pydl.autograd import add_gradients, gradients, nested, op, recording_for_gradient
from pydl.tensor import Tensor, constant, to_array, wrap


def _flatten(nest: Any) -> list[Any]:
    if isinstance(nest, dict):
        return [leaf for key in nest for leaf in _flatten(nest[key])]
    if isinstance(nest, (list, tuple)):
        return [leaf for item in nest for leaf in _flatten(item)]
    return [nest]


def _pack(nest: Any, leaves: Iterator[Any]) -> Any:
    if isinstance(nest, dict):
        return {key: _pack(item, leaves) for key, item in nest.items()}
    if isinstance(nest, (list, tuple)):
        return type(nest)([_pack(item, leaves) for item in nest])
    return next(leaves)


@op(saves=(), view=True)
def _itself(x: np.ndarray, /) -> np.ndarray:
    """x, as another tensor: what a function is differentiated for, while x itself is watched."""
    return x


@_itself.gradient
def _(g: Tensor, y: Any, x: Tensor) -> Any:
    return (g,)


def _leaf(value: Any, keeps_graph: bool) -> Tensor:
    """A tensor to differentiate for; with `keeps_graph` gradients also flow on to the value."""
    if keeps_graph and isinstance(value, Tensor) and value._node is not None:
        return _itself(value)
    leaf = wrap(to_array(value, None, "grad"))
    leaf.requires_grad = True
    return leaf


def _or_zeros(found: Sequence[Tensor | None], sources: Sequence[Tensor]) -> list[Tensor]:
    """The gradients, zeros where a source is unconnected."""
    return [
        wrap(constant(np.zeros(s.shape, s.dtype))) if g is None else g
        for g, s in zip(found, sources, strict=True)
    ]


def value_and_grad(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, create_graph: bool = False
) -> Callable[..., Any]:
    """A function that returns (f(*args), its gradient for the arguments `argnums`).

    f must return a scalar tensor. Arguments may be nested lists, tuples or dicts of arrays; the
    gradient has the same nesting. Inside of another `grad` or tape, or with `create_graph`, the
    gradient is recorded too, so that it has gradients.

    Raises:
      ValueError: f returns no scalar tensor, or `argnums` names an argument that is not there.

    >>> import pydl
    >>> pydl.value_and_grad(lambda x: (x * x).sum())(pydl.tensor([3.0]))
    (Tensor(9.), Tensor([6.]))
    """
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        arguments = list(args)
        for i in numbers:
            if not -len(args) <= i < len(args):
                raise ValueError(f"grad: argnums {i} is out of range for {len(args)} arguments")
        with recording_for_gradient():
            graph = create_graph or nested(own=1)
            for i in numbers:
                leaves = [_leaf(leaf, graph) for leaf in _flatten(args[i])]
                arguments[i] = _pack(args[i], iter(leaves))
            value = f(*arguments, **kwargs)
            if not isinstance(value, Tensor) or value.size != 1:
                shape = getattr(value, "shape", type(value).__name__)
                raise ValueError(f"grad: the function must return a scalar tensor, got {shape}")
            sources = [leaf for i in numbers for leaf in _flatten(arguments[i])]
            found = gradients(value, sources, create_graph=graph)
        each = iter(_or_zeros(found, sources))
        packed = tuple(_pack(arguments[i], each) for i in numbers)
        return wrap(value.data), packed[0] if isinstance(argnums, int) else packed

    return wrapped


def grad(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, create_graph: bool = False
) -> Callable[..., Any]:
    """A function that returns the gradient of the scalar function f; see value_and_grad.

    Products with a SparseTensor have no second derivative: NotImplementedError.

    >>> import pydl
    >>> pydl.grad(lambda x: pydl.sum(x**3))(pydl.tensor([1.0, 2.0]))
    Tensor([ 3., 12.])
    >>> pydl.grad(pydl.grad(lambda x: x**3))(pydl.tensor(2.0))
    Tensor(12.)
    """
    with_value = value_and_grad(f, argnums, create_graph)

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return with_value(*args, **kwargs)[1]

    return wrapped


class GradientTape:
    """Records the operations in its block and differentiates them.

    Trainable Variables are watched by themselves, other tensors through `watch`. Inside of the
    block of another tape `gradient` is recorded by that one, which gives second derivatives; a
    persistent tape records its own gradients that are computed inside of its block. Products with a
    SparseTensor have no second derivative: NotImplementedError.

    Args:
      persistent: allows more than one call of `gradient`.
      watch_accessed_variables: accepted for compatibility; recording is always on for Variables.

    >>> import pydl
    >>> w = pydl.Variable(3.0)
    >>> with pydl.GradientTape() as tape:
    ...     loss = w * w
    >>> tape.gradient(loss, w)
    Tensor(6.)
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True):
        self.persistent = persistent
        self._used = False
        self._watched: list[Tensor] = []
        self._context: Any = None

    def __enter__(self) -> GradientTape:
        self._context = recording_for_gradient()
        self._context.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._context.__exit__(*error)
        self._context = None

    def watch(self, tensor: Any) -> None:
        """Records for this tensor (or nest of tensors) from now on."""
        for t in _flatten(tensor):
            if not isinstance(t, Tensor):
                raise TypeError(f"GradientTape.watch: needs a Tensor, got {type(t).__name__}")
            if t._node is None:
                t.requires_grad = True
                self._watched.append(t)

    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: str = "none",
    ) -> Any:
        """d target / d source for each source, in the same nesting.

        A target that is not a scalar is summed.

        Args:
          target: a tensor, or a nest of them, whose gradients are added up.
          sources: a tensor, or a nest of them.
          output_gradients: what flows into each target, of its shape; default 1.
          unconnected_gradients: what a source gets that no target comes from, "none" or "zero".

        Raises:
          RuntimeError: a second call, unless the tape is persistent.
          TypeError: a target or source is no Tensor.

        >>> import pydl
        >>> a, b = pydl.Variable(3.0), pydl.Variable([1.0, 2.0])
        >>> with pydl.GradientTape() as tape:
        ...     y = a * a
        >>> tape.gradient(y, [a, b], unconnected_gradients="zero")
        [Tensor(6.), Tensor([0., 0.])]
        """
        known = ("none", "zero")
        check.choice("GradientTape.gradient", "unconnected_gradients", unconnected_gradients, known)
        if self._used and not self.persistent:
            raise RuntimeError(
                "GradientTape.gradient: a tape can be used once; "
                "GradientTape(persistent=True) keeps it"
            )
        targets = _flatten(target)
        flat = _flatten(sources)
        for t in [*targets, *flat]:
            if not isinstance(t, Tensor):
                raise TypeError(f"GradientTape.gradient: needs Tensors, got {type(t).__name__}")
        graph = nested(own=0 if self._context is None or self.persistent else 1)
        self._used = True
        seeds = [None] * len(targets) if output_gradients is None else _flatten(output_gradients)
        total: list[Tensor | None] = [None] * len(flat)
        for i, (t, seed) in enumerate(zip(targets, seeds, strict=True)):
            retain = self.persistent or i + 1 < len(targets)
            for j, g in enumerate(gradients(t, flat, seed, retain, graph)):
                before = total[j]
                if g is None or before is None:
                    total[j] = before if g is None else g
                elif graph:
                    total[j] = before + g
                else:
                    total[j] = wrap(add_gradients(before.data, g.data, False))
        return _pack(
            sources, iter(total if unconnected_gradients == "none" else _or_zeros(total, flat))
        )
