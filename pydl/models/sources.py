"""Where batches come from: arrays, generators, or objects that hand out batches by number.

A source yields (x, y, sample_weight), each a Tensor, a nest of Tensors, or None, and the number of
rows. Arrays are cut into views where rows are consecutive; shuffled rows are gathered.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from pydl import _core, random
from pydl.check import positive_integer
from pydl.models.data import (
    as_arrays,
    as_floats,
    check_rows,
    combine_weights,
    is_array,
    map_leaves,
    sorted_by_class,
    split,
    tensors,
)
from pydl.sparse import ManyZeros, SparseTensor, is_sparse
from pydl.tensor import wrap
from pydl.warn import warn

Batch = tuple[Any, Any, Any, int]


DEFAULT_BATCH_SIZE = 32
_SHUFFLE_STREAM = 3  # keeps the orders apart from other draws of the global seed


def permutation(epoch: int, n: int) -> np.ndarray:
    """Return the order of `n` rows in an epoch, a function of the global seed and the epoch."""
    seeds = random.SeedGenerator(random.global_seed())
    seeds.state[1:] = _SHUFFLE_STREAM, epoch
    return random.permutation(n, seeds).data


def _contiguous(array: Any) -> Any:
    """Return an array that kernels gather rows from; a sparse matrix in the default float type."""
    if isinstance(array, ManyZeros):
        return array
    return as_floats(array) if isinstance(array, SparseTensor) else np.ascontiguousarray(array)


class ArraySource:
    """Batches of arrays in memory.

    Args:
        who: Who asks, for error texts.
        x, y, sample_weight: What `as_arrays` returns.
        batch_size: Rows of a batch; the last batch is smaller.
        shuffle: True: a new order of all rows each epoch; "batch": of the rows inside each batch.
        steps: Batches of an epoch; None: all.
    """

    def __init__(
        self,
        who: str,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        batch_size: int | None = None,
        shuffle: bool | str = False,
        steps: int | None = None,
    ) -> None:
        self.rows = check_rows(who, x=x, y=y, sample_weight=sample_weight)
        if self.rows == 0:
            raise ValueError(f"{who}: x has no rows")
        self.who = who
        self.x, self.y, self.sample_weight = x, y, sample_weight
        self.batch_size = check_batch_size(who, batch_size)
        self.shuffle = shuffle
        self.available = math.ceil(self.rows / self.batch_size)
        self.steps: int | None = self.available if steps is None else min(steps, self.available)
        self.short = steps is not None and steps > self.available
        self.plans: Any = None  # of the training loop, see models.plans
        self._next: Any = None  # the order of the rows, and how many of them are used

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch."""
        order = self._order(epoch) if self.shuffle else None
        for i in range(self.steps or 0):
            begin, end = self._bounds(i)
            rows = slice(begin, end) if order is None else order[begin:end]
            yield (*self._rows(rows), end - begin)
        self.warn_if_short()

    def _bounds(self, i: int) -> tuple[int, int]:
        """Return where batch `i` begins and ends in the order of the rows."""
        return i * self.batch_size, min((i + 1) * self.batch_size, self.rows)

    def _order(self, epoch: int) -> np.ndarray:
        """Return the order of the rows in an epoch."""
        if self.shuffle is True:
            return permutation(epoch, self.rows)
        order = np.arange(self.rows)
        if self.shuffle == "batch":
            for i in range(self.available):
                begin, end = self._bounds(i)
                order[begin:end] = begin + permutation(epoch * self.available + i, end - begin)
        return order

    def start(self, epoch: int, batch: int = 0) -> None:
        """Begin an epoch whose batches, from `batch` on, `next_batch` makes."""
        if self._next is None:
            self.x, self.y, self.sample_weight = (
                map_leaves(_contiguous, nest) for nest in (self.x, self.y, self.sample_weight)
            )
            self._next = np.empty(self.rows, np.int64), np.zeros(1, np.int64)
        order, cursor = self._next
        order[:] = self._order(epoch)
        cursor[0] = min(batch * self.batch_size, self.rows)

    def next_batch(self, rows: int) -> tuple[Any, Any, Any]:
        """Return the next `rows` rows; made of launches alone, so that it can be recorded."""
        return self._rows(_core.next_rows(*self._next, rows))

    def again(self, i: int) -> tuple[Any, Any, Any]:
        """Return batch `i` of the epoch that `start` began."""
        begin, end = self._bounds(i)
        return self._rows(self._next[0][begin:end])

    def rows_of(self, i: int) -> int:
        """Return the number of rows of batch `i`."""
        begin, end = self._bounds(i)
        return end - begin

    def _rows(self, rows: slice | np.ndarray) -> tuple[Any, Any, Any]:
        """Return some rows of x, y and the weights: views for a slice, else gathered."""

        def cut(array: Any) -> Any:
            if isinstance(array, SparseTensor):
                return as_floats(array[rows] if isinstance(rows, slice) else array._take_rows(rows))
            if isinstance(rows, slice) or not array.flags.c_contiguous:
                part = array[rows]
            else:
                part = _core.take(array, rows, 0)
            return wrap(as_floats(part))

        x, y, weight = self.x, self.y, self.sample_weight
        return (
            cut(x) if isinstance(x, np.ndarray) else map_leaves(cut, x),
            cut(y) if isinstance(y, np.ndarray) else map_leaves(cut, y),
            None if weight is None else map_leaves(cut, weight),
        )

    def first(self) -> Batch:
        """Return a first batch, for building the model."""
        end = min(self.batch_size, self.rows)
        return (*self._rows(slice(0, end)), end)

    def epoch_end(self) -> None:
        """Note the end of an epoch."""

    def warn_if_short(self) -> None:
        """Warn if more steps were asked for than there are batches."""
        if self.short:
            warn_short(self.who, self.available)


class StreamSource:
    """Batches that a generator, an iterable or a `Sequence`-like object hands out.

    Args:
        who: Who asks, for error texts.
        data: Yields (x,), (x, y), (x, y, sample_weight), or x alone.
        steps: Batches of an epoch; None: until the data end.
        shuffle: Take the items of a `Sequence`-like object in a new order each epoch.
        class_weight: See `fit`.
    """

    def __init__(
        self,
        who: str,
        data: Any,
        steps: int | None = None,
        shuffle: bool | str = False,
        class_weight: Mapping[int, float] | None = None,
    ) -> None:
        self.who = who
        self.data = data
        self.class_weight = class_weight
        self.indexed = hasattr(data, "__len__") and hasattr(data, "__getitem__")
        self.shuffle = shuffle is True and self.indexed
        self.steps = steps
        if self.indexed:
            if len(data) == 0:
                raise ValueError(f"{who}: x has no batches")
            self.steps = len(data) if steps is None else min(steps, len(data))
        self._started = False  # has handed out a batch
        self._iterator: Iterator[Any] | None = None
        self._peeked: list[Any] = []
        self.asked = steps

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch."""
        done = 0
        for item in self._items(epoch):
            self._started = True
            yield self._unpack(item)
            done += 1
            if done == self.steps:
                break
        if not self._started:
            raise ValueError(f"{self.who}: x has no batches")
        wanted = self.asked if self.asked is not None else 1
        if done < wanted:
            warn_short(self.who, done)

    def _items(self, epoch: int) -> Iterator[Any]:
        """Yield what the data hand out in an epoch."""
        if self.indexed:
            count = len(self.data)
            order = permutation(epoch, count) if self.shuffle else range(count)
            for i in order:
                yield self.data[int(i)]
            return
        if self._iterator is None:
            self._iterator = iter(self.data)
        yield from self._drain()
        # An iterable starts again; an iterator is used up and `iter` returns itself.
        self._iterator = None if iter(self.data) is not self.data else self._iterator

    def _drain(self) -> Iterator[Any]:
        """Yield what is left of the iterator, first what `first` looked at."""
        while True:
            if self._peeked:
                yield self._peeked.pop()
                continue
            try:
                item = next(self._iterator)  # type: ignore[arg-type]
            except StopIteration:
                return
            yield item

    def first(self) -> Batch:
        """Return a first batch, for building the model; it comes again in the first epoch."""
        if self.indexed:
            return self._unpack(self.data[0])
        if not self._peeked:
            self._iterator = iter(self.data)
            try:
                self._peeked.append(next(self._iterator))
            except StopIteration:
                raise ValueError(f"{self.who}: x has no batches") from None
        return self._unpack(self._peeked[0])

    def _unpack(self, item: Any) -> Batch:
        """Return a batch of what the data handed out."""
        parts = tuple(item) if isinstance(item, tuple) else (item,)
        if isinstance(item, list) and len(item) in (2, 3) and self.who != "predict":
            parts = tuple(item)
        if not 1 <= len(parts) <= 3:
            raise ValueError(
                f"{self.who}: a generator yields (x, y) or (x, y, sample_weight), "
                f"got a tuple of {len(parts)}"
            )
        x, y, weight = (*parts, None, None)[:3]
        x = as_arrays(x, self.who, "x")
        y = as_arrays(y, self.who, "y")
        weight = as_arrays(weight, self.who, "sample_weight")
        rows = check_rows(self.who, x=x, y=y, sample_weight=weight)
        weight = combine_weights(self.who, y, weight, self.class_weight)
        return tensors(x), tensors(y), tensors(weight), rows

    def epoch_end(self) -> None:
        """Tell the data that an epoch is over."""
        if hasattr(self.data, "on_epoch_end"):
            self.data.on_epoch_end()


Source = ArraySource | StreamSource


@contextlib.contextmanager
def positions_in_batch() -> Iterator[None]:
    """Say in errors about a label, id or index that its position is that in a batch."""
    try:
        yield
    except (ValueError, IndexError) as error:
        where = r"(: (?:label|id|index) \S+ at position (?:\d+|\[\d+, \d+\]))"
        text = re.sub(where, r"\1 of the batch", str(error), count=1)
        if text != str(error):
            error.args = (text,)
        raise


def warn_short(who: str, done: int) -> None:
    """Warn that the data ended before the asked number of steps."""
    warn(
        f"{who}: the data ended after {done} steps; give steps_per_epoch * epochs batches, "
        "or let the generator run for ever"
    )


def check_batch_size(who: str, batch_size: Any) -> int:
    """Return the batch size, 32 for None, or raise unless it is a positive integer."""
    if batch_size is None:
        return DEFAULT_BATCH_SIZE
    if (
        isinstance(batch_size, bool)
        or not isinstance(batch_size, (int, np.integer))
        or (batch_size < 1)
    ):
        raise ValueError(f"{who}: batch_size must be a positive integer, got {batch_size!r}")
    return int(batch_size)


def is_stream(x: Any) -> bool:
    """Tell whether `x` hands out batches by itself."""
    if x is None or isinstance(x, (list, tuple, Mapping, str, bytes)):
        return False
    if is_array(x) or is_sparse(x):
        return False
    return (
        hasattr(x, "__next__")
        or hasattr(x, "__iter__")
        or (hasattr(x, "__len__") and hasattr(x, "__getitem__"))
    )


def arrays_of(who: str, x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
    """Return the data of the user as arrays whose rows fit together."""
    if x is None:
        raise ValueError(f"{who}: x is missing")
    arrays = tuple(
        as_arrays(value, who, name)
        for value, name in ((x, "x"), (y, "y"), (sample_weight, "sample_weight"))
    )
    check_rows(who, x=arrays[0], y=arrays[1], sample_weight=arrays[2])
    return arrays


def make_source(
    who: str,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    batch_size: int | None = None,
    steps: int | None = None,
    shuffle: bool | str = False,
    class_weight: Mapping[int, float] | None = None,
) -> Source:
    """Return the batches of what a method was given."""
    if steps is not None:
        steps = positive_integer(who, "steps_per_epoch" if who == "fit" else "steps", steps)
    if is_stream(x):
        for name, value in (("y", y), ("sample_weight", sample_weight)):
            if value is not None:
                raise ValueError(
                    f"{who}: {name} must be None where x hands out batches; yield (x, y) or "
                    "(x, y, sample_weight)"
                )
        return StreamSource(who, x, steps, shuffle, class_weight)
    arrays = arrays_of(who, x, y, sample_weight)
    weight = combine_weights(who, arrays[1], arrays[2], class_weight)
    return ArraySource(who, arrays[0], arrays[1], weight, batch_size, shuffle, steps)


def training_source(
    x: Any,
    y: Any,
    sample_weight: Any,
    class_weight: Mapping[int, float] | None,
    batch_size: int | None,
    steps: int | None,
    shuffle: bool | str,
    validation_split: float,
) -> tuple[Source, Any]:
    """Return the batches to train on, and what `validation_split` holds out of the arrays."""
    if not validation_split:
        source = make_source("fit", x, y, sample_weight, batch_size, steps, shuffle, class_weight)
        return source, None
    if is_stream(x):
        raise ValueError("fit: validation_split needs arrays; pass validation_data")
    arrays = arrays_of("fit", x, y, sample_weight)
    if sorted_by_class(arrays[1]):
        _warn_sorted()
    kept, held_out = split("fit", *arrays, validation_split)
    source = make_source("fit", *kept, batch_size, steps, shuffle, class_weight)
    return source, held_out


def validation_source(validation_data: Any, batch_size: int | None, steps: int | None) -> Source:
    """Return the batches of `validation_data`."""
    if steps is not None:
        steps = positive_integer("fit", "validation_steps", steps)
    if is_stream(validation_data):
        return StreamSource("fit", validation_data, steps)
    if not isinstance(validation_data, (tuple, list)) or not 1 <= len(validation_data) <= 3:
        raise ValueError(
            "fit: validation_data must be (x, y), (x, y, sample_weight) or a generator, "
            f"got {type(validation_data).__name__}"
        )
    x, y, weight = (*validation_data, None, None)[:3]
    return make_source("fit: validation_data", x, y, weight, batch_size, steps)


_warned_sorted = False


def _warn_sorted() -> None:
    """Warn once that a split of sorted labels holds out whole classes."""
    global _warned_sorted
    if not _warned_sorted:
        _warned_sorted = True
        warn(
            "fit: validation_split takes the last rows and the labels are sorted by class, so "
            "training and validation see different classes; shuffle x and y together first"
        )
