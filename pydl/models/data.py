"""Where batches come from: arrays, generators, or objects that hand out batches by number.

A source yields (x, y, sample_weight), each a Tensor, a nest of Tensors, or None, and the number of
rows. Arrays are cut into views where rows are consecutive; shuffled rows are gathered.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from pydl import _core, config, random
from pydl.layers.nest import map_tensors
from pydl.sparse import SparseTensor, csr, is_sparse
from pydl.tensor import to_array, wrap

Batch = tuple[Any, Any, Any, int]

DEFAULT_BATCH_SIZE = 32
_SHUFFLE_STREAM = 3  # keeps the orders apart from other draws of the global seed


def flatten(nest: Any) -> list[Any]:
    """Return the leaves of nested lists, tuples and dictionaries, in order; [] for None."""
    if nest is None:
        return []
    if isinstance(nest, Mapping):
        return [leaf for value in nest.values() for leaf in flatten(value)]
    if isinstance(nest, (list, tuple)):
        return [leaf for value in nest for leaf in flatten(value)]
    return [nest]


def map_leaves(f: Callable[[Any], Any], nest: Any) -> Any:
    """Return the same nest with `f` applied to its leaves; None stays."""
    return None if nest is None else map_tensors(f, nest)


def _named(nest: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield (name, leaf) for each leaf: "x", or "x[0]", "x['age']"."""
    if isinstance(nest, Mapping):
        for key, value in nest.items():
            yield from _named(value, f"{name}[{key!r}]")
    elif isinstance(nest, (list, tuple)):
        for i, value in enumerate(nest):
            yield from _named(value, f"{name}[{i}]")
    elif nest is not None:
        yield name, nest


def as_arrays(value: Any, who: str, name: str) -> Any:
    """Return data of the user as arrays that kernels can read, in the nest they came in.

    A list or tuple is several inputs if it holds arrays, and one array otherwise. Nothing is
    copied where it can be helped.

    Raises:
        TypeError: Not numbers.
        ValueError: Ragged lists, or no batch axis.
    """
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {key: as_arrays(v, who, f"{name}[{key!r}]") for key, v in value.items()}
    if isinstance(value, (list, tuple)) and any(np.ndim(v) for v in value if _is_array(v)):
        return [as_arrays(v, who, f"{name}[{i}]") for i, v in enumerate(value)]
    if is_sparse(value):
        if not name.startswith("x"):
            dense = "to_dense" if isinstance(value, SparseTensor) else "toarray"
            raise TypeError(f"{who}: {name} is a sparse matrix; pass {name}.{dense}()")
        return csr(value)
    if isinstance(value, np.ndarray) and value.dtype == np.float16:
        value = value.astype(config.floatx())
    array = to_array(value, None, f"{who}: {name}")
    if array.ndim == 0:
        raise ValueError(f"{who}: {name} needs a batch axis, got the single value {array}")
    return array


def _is_array(value: Any) -> bool:
    """Tell whether a value is an array of some library rather than plain Python data."""
    return hasattr(value, "__array__")


def holds_sparse(nest: Any) -> bool:
    """Tell whether any leaf is a sparse matrix."""
    return any(isinstance(leaf, SparseTensor) for leaf in flatten(nest))


# A matrix has so many columns, and at most this share of elements that are not zero, where sparse
# products are clearly faster than dense ones.
_SPARSE_COLUMNS = 256
_SPARSE_SHARE = 0.05
_SAMPLED_ROWS = 64


def sparse_if_mostly_zeros(x: Any) -> Any:
    """Return a matrix of floats in sparse form if that is worth it, anything else as it is."""
    if not isinstance(x, np.ndarray) or x.ndim != 2 or x.dtype.kind != "f":
        return x
    if x.shape[1] < _SPARSE_COLUMNS or not x.flags.c_contiguous:
        return x
    sample = x[:: max(1, len(x) // _SAMPLED_ROWS)][:_SAMPLED_ROWS]
    if np.count_nonzero(sample) > _SPARSE_SHARE * sample.size:
        return x
    found = csr(x)
    return found if found.nnz <= _SPARSE_SHARE * x.size else x


def as_floats(array: Any) -> Any:
    """Return floats in the default float type; integers and bools as they are."""
    if isinstance(array, SparseTensor):
        return array.astype(config.floatx())
    if array.dtype.kind != "f" or array.dtype == config.floatx():
        return array
    return _core.cast(array, config.floatx() == "float64")


def tensors(nest: Any) -> Any:
    """Return arrays as Tensors, floats in the default float type."""
    if isinstance(nest, np.ndarray):  # the usual case first
        return wrap(as_floats(nest))
    return map_leaves(
        lambda x: as_floats(x) if isinstance(x, SparseTensor) else wrap(as_floats(x)), nest
    )


def check_rows(who: str, **nests: Any) -> int:
    """Return the number of rows of all arrays, or raise ValueError that names two that differ."""
    first_name, rows = "", -1
    for argument, nest in nests.items():
        for name, array in _named(nest, argument):
            if rows < 0:
                first_name, rows = name, len(array)
            elif len(array) != rows:
                raise ValueError(f"{who}: {first_name} has {rows} rows, {name} has {len(array)}")
    return max(rows, 0)


def permutation(epoch: int, n: int) -> np.ndarray:
    """Return the order of `n` rows in an epoch, a function of the global seed and the epoch."""
    seeds = random.SeedGenerator(random.global_seed())
    seeds.state[1:] = _SHUFFLE_STREAM, epoch
    return random.permutation(n, seeds).data


def _contiguous(array: Any) -> Any:
    """Return an array that kernels gather rows from; a sparse matrix in the default float type."""
    sparse = isinstance(array, SparseTensor)
    return as_floats(array) if sparse else np.ascontiguousarray(array)


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

    def start(self, epoch: int) -> None:
        """Begin an epoch whose batches `next_batch` makes."""
        if self._next is None:
            self.x, self.y, self.sample_weight = (
                map_leaves(_contiguous, nest) for nest in (self.x, self.y, self.sample_weight)
            )
            self._next = np.empty(self.rows, np.int64), np.zeros(1, np.int64)
        order, cursor = self._next
        order[:] = self._order(epoch)
        cursor[0] = 0

    def next_batch(self, rows: int) -> tuple[Any, Any, Any]:
        """Return the next `rows` rows; made of launches alone, so that it can be recorded."""
        return self._rows(_core.next_rows(*self._next, rows))

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
        self._iterator: Iterator[Any] | None = None
        self._peeked: list[Any] = []
        self.asked = steps

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch."""
        done = 0
        for item in self._items(epoch):
            yield self._unpack(item)
            done += 1
            if done == self.steps:
                break
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


def warn_short(who: str, done: int) -> None:
    """Warn that the data ended before the asked number of steps."""
    warnings.warn(
        f"{who}: the data ended after {done} steps; give steps_per_epoch * epochs batches, "
        "or let the generator run for ever",
        stacklevel=2,
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
    if _is_array(x) or is_sparse(x):
        return False
    return (
        hasattr(x, "__next__")
        or hasattr(x, "__iter__")
        or (hasattr(x, "__len__") and hasattr(x, "__getitem__"))
    )


def split(
    who: str, x: Any, y: Any, sample_weight: Any, fraction: float
) -> tuple[tuple[Any, Any, Any], tuple[Any, Any, Any]]:
    """Return the first floor(n (1 - fraction)) rows and the rest, as views."""
    if not 0 <= fraction < 1:
        raise ValueError(f"{who}: validation_split must be in [0, 1), got {fraction}")
    n = check_rows(who, x=x, y=y, sample_weight=sample_weight)
    at = math.floor(n * (1 - fraction))
    if at == 0 or at == n:
        raise ValueError(
            f"{who}: validation_split={fraction} of {n} rows leaves no rows "
            f"{'to train on' if at == 0 else 'to validate on'}"
        )
    nests = (x, y, sample_weight)
    head = tuple(map_leaves(lambda a: a[:at], nest) for nest in nests)
    tail = tuple(map_leaves(lambda a: a[at:], nest) for nest in nests)
    return head, tail


def sorted_by_class(y: Any) -> bool:
    """Tell whether labels (integers, or one-hot rows) come class by class."""
    if not isinstance(y, np.ndarray) or len(y) < 3:
        return False
    labels = _class_of(y)
    if labels is None:
        return False
    return bool(np.all(labels[1:] >= labels[:-1]) and labels[0] != labels[-1])


def _class_of(y: np.ndarray) -> np.ndarray | None:
    """Return the class of each row, None if `y` does not hold classes."""
    if y.ndim == 2 and y.shape[1] > 1:
        return y.argmax(axis=1)
    if y.size != len(y):
        return None
    flat = y.reshape(-1)
    if flat.dtype.kind == "f" and not np.all(flat == np.floor(flat)):
        return None
    return flat


def combine_weights(
    who: str, y: Any, sample_weight: Any, class_weight: Mapping[int, float] | None
) -> Any:
    """Return the weights of the samples times those of their classes.

    Raises:
        ValueError: The classes of `y` cannot be told.
    """
    if class_weight is None:
        return sample_weight
    if not isinstance(class_weight, Mapping):
        raise TypeError(f"{who}: class_weight must be a dictionary, got {class_weight!r}")
    if not isinstance(y, np.ndarray):
        raise ValueError(f"{who}: class_weight needs one array of labels y")
    labels = _class_of(y)
    if labels is None:
        raise ValueError(
            f"{who}: class_weight needs one class for each row of y, "
            f"got y of shape {y.shape} and dtype {y.dtype}; use sample_weight"
        )
    weights = np.ones(len(labels), config.floatx())
    for label, weight in class_weight.items():
        weights[labels == int(label)] = weight
    if sample_weight is None:
        return weights
    given = as_floats(sample_weight)
    return given * weights.reshape((-1,) + (1,) * (given.ndim - 1))
