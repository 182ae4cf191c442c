"""Recorded functions: the launches of one call, repeated as one call of C++."""

from __future__ import annotations

import collections
import functools
import inspect
import json
import math
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pydl import _core, autograd, check, config
from pydl.tensor import Tensor, Variable, to_array, wrap
from pydl.warn import user_line, warn

_MOST_PLANS = 16  # that one function keeps, the least recently used goes first
_SMALL_BYTES = 16 * 1024  # below this the fixed cost of a launch is what is seen
_PLAIN = frozenset((int, bool, str, type(None)))  # equal values are the same argument
_RESULTS = (int, float, complex, str, bytes, type(None))  # besides tensors: nobody changes them
_MOST_WATCHED = 256  # entries of one list or dictionary in a layer
_MOST_KEYS = 64  # kinds of arguments after which a function is not worth recording


_core.on_failed_recording(user_line)


def _host_draws() -> Any:
    """What changes when Python's or NumPy's global generator is asked for numbers."""
    python, numpy = sys.modules.get("random"), sys.modules.get("numpy.random")
    drawn: list[Any] = [] if python is None else [python.getstate()]
    if numpy is not None:
        state = numpy.get_state(legacy=False)["state"]
        drawn += [state["pos"], state["key"][0]]
    return drawn


def _leaves(nest: Any) -> Iterator[Any]:
    if isinstance(nest, (list, tuple)):
        for value in nest:
            yield from _leaves(value)
    elif isinstance(nest, Mapping):
        for value in nest.values():
            yield from _leaves(value)
    else:
        yield nest


def _map(f: Callable[[Any], Any], nest: Any) -> Any:
    if nest is None or isinstance(nest, Tensor):  # the usual cases first
        return f(nest)
    if isinstance(nest, (list, tuple)):
        found = [_map(f, value) for value in nest]
        return type(nest)(*found) if hasattr(nest, "_fields") else type(nest)(found)
    if isinstance(nest, Mapping):
        return {key: _map(f, value) for key, value in nest.items()}
    return f(nest)


def _constant(x: Any) -> Any:
    """A tensor without its graph; anything else as it is."""
    return wrap(x.data) if isinstance(x, Tensor) and not isinstance(x, Variable) else x


def _copy(x: Any) -> Any:
    """A tensor's values as they are now; anything else as it is."""
    if not isinstance(x, Tensor) or isinstance(x, Variable):
        return x
    return wrap(_core.copy(x.data))


class _Recording(threading.local):
    """What one thread records now."""

    layers: list[Any] | None = None  # those called, while it records


recording = _Recording()


def _frozen(x: Any, room: Iterator[Any]) -> Any:
    """What equals that of the same nest later unless somebody has changed it.

    Objects are known by their identity, and so is what is left when there is no more room.
    """
    if next(room, None) is None:
        return id(x)
    if isinstance(x, float):
        return float, x.hex()
    if isinstance(x, (*_RESULTS, np.generic)):
        return type(x), x
    if isinstance(x, dict):
        return dict, *[(_frozen(key, room), _frozen(value, room)) for key, value in x.items()]
    if isinstance(x, (list, tuple)):
        return list, *[_frozen(value, room) for value in x]
    if isinstance(x, (set, frozenset)):
        return set, *[_frozen(value, room) for value in x]
    return id(x)


class _Watched(NamedTuple):
    """A list, dictionary or set in an attribute of a layer, as a recording found it."""

    owner: weakref.ref[Any]
    name: str
    value: Any

    @property
    def now(self) -> Any:
        """What it is now."""
        return _frozen(vars(self.owner()).get(self.name), iter(range(_MOST_WATCHED)))


def _watched(called: list[Any]) -> list[_Watched]:
    """The lists, dictionaries and sets in the attributes of layers and of those inside them."""
    layers = {id(inner): inner for layer in called for inner in layer._flatten_layers()}
    found = [
        _Watched(weakref.ref(layer), name, None)
        for layer in layers.values()
        for name, value in vars(layer).items()
        if isinstance(value, (list, dict, set)) and name not in layer._unwatched
    ]
    return [watched._replace(value=watched.now) for watched in found]


class Launch(NamedTuple):
    """One launch of a plan, as `Plan.launches` describes it."""

    name: str
    items: int
    chunks: int  # that threads may share
    flops: float  # 0 where they are not known
    bytes: float  # read and written; 0 where they are not known
    merged: bool  # runs tile by tile with the launch before, whose results are still in the cache

    @property
    def label(self) -> str:
        """The name, marked where the launch is merged with the one before."""
        return f"+ {self.name}" if self.merged else self.name


class Plan:
    """The launches of one call of a function, and what they read and write.

    `outputs` is what the call returned; `run` repeats the launches, which computes it anew.

    Args:
      step: is called and recorded; `failure` says why it cannot be repeated, "" if it can.
      rewind: called before each repetition that looks at the plan, as by `profile`.
      restorable: whether `restore` shall undo the call.

    >>> import pydl
    >>> f = pydl.function(lambda x: pydl.tanh(x @ x) + 1)
    >>> for _ in range(2):
    ...     _ = f(pydl.ones((4, 4)))
    >>> [launch.name for launch in f.plans[0].launches]
    ['matmul', 'tanh', 'add']
    """

    def __init__(
        self,
        step: Callable[[], Any],
        rewind: Callable[[], None] | None = None,
        restorable: bool = False,
    ):
        self._rewind = rewind
        self.core = _core.Plan(restorable)
        draws = _host_draws()
        called: list[Any] = []
        recording.layers = called
        self.core.begin()
        try:
            results = step()
        finally:
            self.core.end()
            recording.layers = None
        self._watched = _watched(called)
        drawn = "it draws from Python's or NumPy's random numbers" if _host_draws() != draws else ""
        nodes = [x._node for x in _leaves(results) if isinstance(x, Tensor)]
        graph = any(isinstance(node, autograd.Node) and node.inputs for node in nodes)
        self.outputs = results if graph or self.core.failure else _map(_constant, results)
        del results, nodes
        self.run: Callable[..., int] = self.core.run
        self.failure: str = self.core.failure or drawn or self._escapes(graph)
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
                if not isinstance(x, _RESULTS):
                    return f"it returns an object of type {type(x).__name__}, made once"
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

    @property
    def stale(self) -> bool:
        """Whether a list, dictionary or set in an attribute of a layer has changed since."""
        return any(w.owner() is not None and w.now != w.value for w in self._watched)

    @property
    def launches(self) -> list[Launch]:
        """The launches in their order."""
        return [Launch(*row) for row in self.core.describe()]

    def restore(self) -> None:
        """Undoes the recorded call; for plans made with `restorable`."""
        self.core.restore()

    def summary(self, print_fn: Callable[[str], Any] = print) -> None:
        """Prints the launches: kernel, items, chunks that threads may share, work."""
        rows = [
            (r.label, str(r.items), str(r.chunks), _quantity(r.flops), _quantity(r.bytes))
            for r in self.launches
        ]
        core = self.core
        reused = core.requested_bytes / core.bytes if core.bytes else 1.0
        flops = _quantity(sum(r.flops for r in self.launches)) or "0"
        dropped = f" ({core.dropped} more that nothing reads are left out)" if core.dropped else ""
        print_fn(
            _table(("kernel", "items", "chunks", "flop", "bytes"), rows)
            + f"\n{len(rows)} launches{dropped}, {flops} flop; "
            f"{_quantity(core.bytes) or '0 '}B of buffers, "
            f"used {reused:.1f} times on average"
        )

    def profile(
        self, times: int = 20, print_fn: Callable[[str], Any] | None = print
    ) -> list[float]:
        """Seconds of each launch, the least of `times` repetitions; prints them with their rates.

        The share is of the measured FMA peak, or of the bandwidth of copying as many bytes, of as
        many threads as there are chunks. Merged launches are measured together, as the first of
        them. Arrays that the plan changes get their values back.

        Raises:
          ValueError: times below 1.
        """
        check.integer("Plan.profile", "times", times)
        if times < 1:
            raise ValueError(f"Plan.profile: times must be at least 1, got {times}")
        self.core.save()
        try:
            best = [math.inf] * self.core.launches
            for _ in range(times):
                if self._rewind is not None:
                    self._rewind()
                best = list(map(min, best, self.core.profile(1)))
        finally:
            self.core.restore()
        seconds = [t * 1e-9 for t in best]
        if print_fn is not None:
            print_fn(self._profile_text(seconds))
        return seconds

    def _profile_text(self, seconds: list[float]) -> str:
        limits = _Limits()
        rows = []
        total = sum(seconds) or math.inf
        for launch, t in zip(self.launches, seconds, strict=True):
            if launch.merged:
                rows.append((launch.label, "", "", "", ""))
                continue
            rate, share = limits.of(launch, t)
            part = f"{t / total:.0%}"
            rows.append((launch.label, f"{t * 1e6:.2f}", part, rate, share))
        text = _table(("kernel", "us", "part", "rate", "share of peak"), rows)
        return f"{text}\n{sum(seconds) * 1e6:.2f} us in {len(rows)} launches"

    def timeline(self, path: str | os.PathLike[str], times: int = 20) -> None:
        """Writes the profile as a file for chrome://tracing or Perfetto (ui.perfetto.dev)."""
        seconds = self.profile(times, None)
        events, start = [], 0.0
        for i, (launch, t) in enumerate(zip(self.launches, seconds, strict=True)):
            arguments = {**launch._asdict(), "position": i}
            events.append(
                {"name": launch.name, "cat": "kernel", "ph": "X", "pid": 1, "tid": 1,
                 "ts": start, "dur": t * 1e6, "args": arguments}
            )  # fmt: skip
            start += t * 1e6
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": events, "displayTimeUnit": "ns"}, file, indent=1)

    def results(self) -> Any:
        """Copies of the outputs of the last run."""
        return _map(_copy, self.outputs)


class _Limits:
    """What the machine can do, measured once for each number of threads and size."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, int], float] = {}

    def _measured(self, what: str, size: int) -> float:
        key = what, size
        if key not in self._found:
            rate = _core.fma_peak(0.02) if what == "fma" else _core.copy_bandwidth(size, 0.02)
            self._found[key] = rate
        return self._found[key]

    def of(self, launch: Launch, seconds: float) -> tuple[str, str]:
        """The rate of a launch and its share of what is possible, as texts."""
        seconds = max(seconds, 1e-9)  # the clock's own step
        if launch.flops:
            threads = min(_core.num_threads(), launch.chunks)
            peak = self._measured("fma", 0) * threads
            rate = launch.flops / seconds
            return f"{rate / 1e9:.1f} GFLOP/s", f"{rate / peak:.0%}"
        if launch.bytes < _SMALL_BYTES:  # the fixed cost is what is seen
            return "", ""
        rate = launch.bytes / seconds
        size = 2 ** round(math.log2(launch.bytes / 2))
        return f"{rate / 1e9:.1f} GB/s", f"{rate / self._measured('copy', size):.0%}"


def _quantity(x: float) -> str:
    """1.23 M, and nothing for 0."""
    if not x:
        return ""
    power = min(int(math.log10(x)) // 3, 4)
    return f"{x / 1000**power:.3g} {' kMGT'[power]}".replace("  ", " ")


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = []
    for row in (head, *rows):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    rule = "-" * max(map(len, lines))
    return "\n".join([lines[0], rule, *lines[1:], rule])


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
        self.run_eagerly = bool(run_eagerly)
        self.failure = ""  # why it is not recorded
        self._on_failure = on_failure
        self._entries: collections.OrderedDict[Any, _Entry] = collections.OrderedDict()
        self._keys = 0
        self._version = config.version()
        self._records = False  # on some thread, now
        self._lock = threading.RLock()

    @property
    def plans(self) -> list[Plan]:
        """The plans recorded and still kept, the one used last at the end."""
        return [e.plan for e in self._entries.values() if e.plan is not None]

    def __repr__(self) -> str:
        return f"<pydl.function {self._name}>"

    def __reduce__(self) -> Any:
        return Function, (self.function, self.run_eagerly, self._on_failure)

    @property
    def _name(self) -> str:
        return getattr(self, "__qualname__", None) or repr(self.function)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # a thread that the recorded call waits for must not wait for that call
        if self.run_eagerly or self.failure or self._records or _core.recording_plan():
            return self.function(*args, **kwargs)
        nest = (args, kwargs) if kwargs else args
        arrays: list[np.ndarray] = []
        try:
            key = (autograd.recording(), _key(nest, arrays))
            if self._version != config.version():  # plans of before do not hold any more
                self._version = config.version()
                self._entries.clear()
                self._keys = 0
            entry = self._entries.get(key)
        except TypeError as error:
            self._fail(f"an argument cannot be told from others ({error})", "")
            return self.function(*args, **kwargs)
        with self._lock:
            if entry is None:
                entry = self._new_entry(key)
            else:
                self._entries.move_to_end(key)
            plan = entry.plan
            if plan is not None and plan._watched and plan.stale:
                plan, entry.plan, entry.calls = None, None, 0
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

        def own(x: Any) -> Any:
            if not _is_input(x):
                return x
            return wrap(next(each)) if isinstance(x, Tensor) else next(each)

        inputs = _map(own, (args, kwargs))
        self._records = True
        try:
            plan = Plan(lambda: self.function(*inputs[0], **inputs[1]))
        finally:
            self._records = False
        changed = False  # arguments, in place
        for array, buffer in zip(arrays, entry.buffers, strict=True):
            if array.flags.writeable and array.tobytes() != buffer.tobytes():
                changed = True
                np.copyto(array, buffer)
        if changed and not plan.failure:
            plan.failure = "it changes an argument in place"
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
        at = f" at {where}" if where else ""
        warn(f"pydl.function: {self._name} is not recorded and stays eager: {reason}{at}")


def _is_input(x: Any) -> bool:
    return isinstance(x, (Tensor, np.ndarray)) and not isinstance(x, Variable)


def _key(nest: Any, arrays: list[np.ndarray]) -> Any:
    """What makes calls alike; the arrays of the arguments are added to `arrays`."""
    kind = type(nest)
    if kind in _PLAIN:
        return kind, nest
    if kind is tuple or kind is list:
        return kind, *[_key(value, arrays) for value in nest]
    if isinstance(nest, Tensor):
        if isinstance(nest, Variable):
            return nest
        if nest._node is not None:
            raise TypeError("a tensor that wants a gradient")
        array = nest.data
    elif isinstance(nest, np.ndarray):
        array = to_array(nest)
    elif isinstance(nest, (list, tuple)):
        return kind, *[_key(value, arrays) for value in nest]
    elif isinstance(nest, Mapping):
        return tuple((key, _key(value, arrays)) for key, value in nest.items())
    elif kind is float:
        return float, nest.hex()  # tells the signs of zero apart, and knows nan again
    else:
        hash(nest)
        return kind, nest
    arrays.append(array)
    return array.shape, array.dtype


def function(f: Callable[..., Any] | None = None, *, run_eagerly: bool = False) -> Any:
    """Makes a function that is recorded and then repeated without Python, with the same bits.

    The first call with arguments of a kind (shapes, dtypes, other values) runs as it is, the
    second is recorded, later ones repeat its launches as one call of C++. What the function does
    besides kernels (printing, appending to a list, counting in Python) happens in the first two
    calls only, and what it reads besides its arguments and Variables (globals, closures, arrays
    changed by NumPy) keeps the value of the second call, as with TensorFlow's function: pass what
    changes as an argument, or keep it in a Variable. Arrays among the arguments are copied in,
    results are copied out.

    Noticed, and recorded anew: a setting of `pydl.config`; an attribute that is replaced in a
    layer, loss, optimizer or another object of pydl; and for the layers called inside, the first
    256 entries of each list, dictionary or set in their attributes. Objects in those, arrays and
    tensors included, are noticed when replaced, not when changed in place.

    A function that looks at values (`float(t)`, `t.numpy()`, `if t > 0`, `metric.result()`),
    computes with NumPy, draws from `random` or `np.random`, changes an argument in place, or keeps
    a tensor made inside is not repeatable: it warns once, says where, and stays as it is. So does
    one that returns anything but tensors, numbers, strings, None, and lists, tuples or dictionaries
    of them: an iterator would be used up by the first caller.

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
    >>> len(step.plans[0].launches)
    7
    """
    if f is None:
        return functools.partial(function, run_eagerly=run_eagerly)
    if not callable(f):
        raise TypeError(f"function: needs a function, got {type(f).__name__}")
    if inspect.isgeneratorfunction(f) or inspect.iscoroutinefunction(f):
        raise TypeError(
            "function: a generator or coroutine cannot be repeated; decorate the function of "
            "tensors that it calls"
        )
    return Function(f, run_eagerly)
