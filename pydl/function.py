"""Recorded functions: the launches of one call, repeated as one call of C++."""

from __future__ import annotations

import collections
import functools
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from pydl import _core, autograd, config
from pydl.tensor import Tensor, Variable, to_array, wrap

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_MOST_PLANS = 16  # that one function keeps, the least recently used goes first
_MOST_KEYS = 64  # kinds of arguments after which a function is not worth recording


def _where() -> str:
    """File and line of the innermost code outside of pydl."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


_core.on_failed_recording(_where)


def _leaves(nest: Any) -> Iterator[Any]:
    if isinstance(nest, Mapping):
        for value in nest.values():
            yield from _leaves(value)
    elif isinstance(nest, (list, tuple)):
        for value in nest:
            yield from _leaves(value)
    else:
        yield nest


def _map(f: Callable[[Any], Any], nest: Any) -> Any:
    if isinstance(nest, Mapping):
        return {key: _map(f, value) for key, value in nest.items()}
    if isinstance(nest, (list, tuple)):
        found = [_map(f, value) for value in nest]
        return type(nest)(*found) if hasattr(nest, "_fields") else type(nest)(found)
    return f(nest)


def _constant(x: Any) -> Any:
    """A tensor without its graph; anything else as it is."""
    return wrap(x.data) if isinstance(x, Tensor) and not isinstance(x, Variable) else x


def _copy(x: Any) -> Any:
    """A tensor's values as they are now; anything else as it is."""
    if not isinstance(x, Tensor) or isinstance(x, Variable):
        return x
    return wrap(_core.copy(x.data))


class Plan:
    """The launches of one call of a function, and what they read and write.

    `outputs` is what the call returned; `run` repeats the launches, which computes it anew.
    """

    def __init__(self, step: Callable[[], Any]):
        """Calls `step` and records it; `failure` says why it cannot be repeated, "" if it can."""
        self.lock = threading.Lock()
        self.core = _core.Plan()
        self.core.begin()
        try:
            results = step()
        finally:
            self.core.end()
        nodes = [x._node for x in _leaves(results) if isinstance(x, Tensor)]
        graph = any(isinstance(node, autograd.Node) and node.inputs for node in nodes)
        self.outputs = results if graph or self.core.failure else _map(_constant, results)
        del results, nodes
        self.run: Callable[..., int] = self.core.run
        self.failure: str = self.core.failure or self._escapes(graph)
        self.where: str = self.core.where

    def _escapes(self, graph: bool) -> str:
        """Why the results cannot be those of later runs, or ""; `graph`: they want a gradient."""
        if graph:
            return "its result still wants a gradient; call it under no_grad()"
        owners = set()
        for x in _leaves(self.outputs):
            if not isinstance(x, Tensor):
                if isinstance(x, (np.ndarray, np.generic)):
                    return "it returns a NumPy array"
                continue
            origin, owner = self.core.origin(x.data)
            if origin == "host":
                return "it returns values that NumPy computed"
            if origin == "temporary":
                owners.add(owner)
        if self.core.blocks_in_use > len(owners):
            import gc  # a cycle may hold what nobody can reach

            gc.collect()
        if self.core.blocks_in_use > len(owners):
            return (
                "a tensor made inside is kept elsewhere (in an attribute, a list, or as the .grad "
                "of a variable)"
            )
        return ""

    def results(self) -> Any:
        """Copies of the outputs of the last run."""
        return _map(_copy, self.outputs)


class _Entry:
    """What a function keeps for one kind of arguments."""

    __slots__ = ("buffers", "calls", "plan")

    def __init__(self) -> None:
        self.calls = 0
        self.plan: Plan | None = None
        self.buffers: list[np.ndarray] = []


class Function:
    """What `function` returns; `plans` lists what it has recorded."""

    def __init__(
        self,
        f: Callable[..., Any],
        run_eagerly: bool = False,
        on_failure: Callable[[str, str], bool] | None = None,
    ):
        """`on_failure(reason, where)` is asked whether to try again; it warns in our place."""
        functools.update_wrapper(self, f)
        self.function = f
        self.run_eagerly = run_eagerly
        self.failure = ""  # why it is not recorded
        self._on_failure = on_failure
        self._entries: collections.OrderedDict[Any, _Entry] = collections.OrderedDict()
        self._keys = 0
        self._version = config.version()
        self._lock = threading.RLock()

    @property
    def plans(self) -> list[Plan]:
        """The plans recorded and still kept, the one used last at the end."""
        return [e.plan for e in self._entries.values() if e.plan is not None]

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.run_eagerly or self.failure or _core.recording_plan():
            return self.function(*args, **kwargs)
        nest = (args, kwargs) if kwargs else args
        arrays: list[np.ndarray] = []
        try:
            key = (autograd.recording(), _key(nest, arrays))
            if self._version != config.version():  # plans of before do not hold any more
                self._version = config.version()
                self._entries.clear()
            entry = self._entries.get(key)
        except TypeError as error:
            self._fail(f"an argument cannot be told from others ({error})", "")
            return self.function(*args, **kwargs)
        with self._lock:
            if entry is None:
                entry = self._new_entry(key)
            plan = entry.plan
            if plan is not None:
                for array, buffer in zip(arrays, entry.buffers, strict=True):
                    _core.copy(array, buffer)
                plan.run()
                return plan.results()
            entry.calls += 1
            if entry.calls > 1 and not self.failure:  # the first call may make variables
                return self._record(entry, args, kwargs, arrays)
        return self.function(*args, **kwargs)

    def _new_entry(self, key: Any) -> _Entry:
        self._keys += 1
        if self._keys > _MOST_KEYS and not self.plans:
            self._fail(f"{_MOST_KEYS} calls had as many kinds of arguments", "")
        entry = self._entries[key] = _Entry()
        if len(self._entries) > _MOST_PLANS:
            self._entries.popitem(last=False)
        return entry

    def _record(self, entry: _Entry, args: Any, kwargs: Any, arrays: list[np.ndarray]) -> Any:
        entry.buffers = [_core.copy(array) for array in arrays]
        each = iter(entry.buffers)
        inputs = _map(lambda x: wrap(next(each)) if _is_input(x) else x, (args, kwargs))
        plan = Plan(lambda: self.function(*inputs[0], **inputs[1]))
        if plan.failure:
            self._fail(plan.failure, plan.where)
            return plan.outputs
        entry.plan = plan
        return plan.results()

    def _fail(self, reason: str, where: str) -> None:
        if self._on_failure is not None:
            self.failure = "" if self._on_failure(reason, where) else reason
            return
        self.failure = reason
        name = getattr(self.function, "__qualname__", repr(self.function))
        at = f" at {where}" if where else ""
        warnings.warn(
            f"pydl.function: {name} is not recorded and stays eager: {reason}{at}", stacklevel=4
        )


def _is_input(x: Any) -> bool:
    return isinstance(x, (Tensor, np.ndarray)) and not isinstance(x, Variable)


def _key(nest: Any, arrays: list[np.ndarray]) -> Any:
    """What makes calls alike; the arrays of the arguments are added to `arrays`."""
    if isinstance(nest, Tensor):
        if isinstance(nest, Variable):
            return nest
        if nest._node is not None:
            raise TypeError("a tensor that wants a gradient")
        array = nest.data
    elif isinstance(nest, np.ndarray):
        array = to_array(nest)
    elif isinstance(nest, Mapping):
        return tuple((key, _key(value, arrays)) for key, value in nest.items())
    elif isinstance(nest, (list, tuple)):
        return (type(nest), *[_key(value, arrays) for value in nest])
    else:
        hash(nest)
        return type(nest), nest
    arrays.append(array)
    return array.shape, array.dtype


def function(f: Callable[..., Any] | None = None, *, run_eagerly: bool = False) -> Any:
    """Makes a function that is recorded and then repeated without Python, with the same bits.

    The first call with arguments of a kind (shapes, dtypes, other values) runs as it is, the
    second is recorded, later ones repeat its launches as one call of C++. What the function does
    besides kernels (printing, appending to a list, Python's own numbers) happens in the first two
    calls only. Arrays among the arguments are copied in, results are copied out.

    A function that looks at values (`float(t)`, `t.numpy()`, `if t > 0`), computes with NumPy, or
    keeps a tensor made inside is not repeatable: it warns once, says where, and stays as it is.

    Args:
      f: the function; it may change Variables.
      run_eagerly: never record.

    >>> import pydl
    >>> w = pydl.Variable(1.0)
    >>> @pydl.function
    ... def step(x):
    ...     with pydl.GradientTape() as tape:
    ...         loss = (w * x - 2.0) ** 2
    ...     w.assign_sub(0.1 * tape.gradient(loss, w))
    ...     return loss
    >>> [round(step(pydl.tensor(1.0)).item(), 4) for _ in range(4)]
    [1.0, 0.64, 0.4096, 0.2621]
    >>> step.plans[0].core.launches > 0
    True
    """
    if f is None:
        return functools.partial(function, run_eagerly=run_eagerly)
    if not callable(f):
        raise TypeError(f"function: needs a function, got {type(f).__name__}")
    return Function(f, run_eagerly)
