"""Random numbers: functions of a seed, a counter and a position, never of threads or CPU.

Every draw takes a ticket (seed, stream, step); element i of the draw is a function of the ticket
and i alone, by the counter-based generator Philox4x32-10 (Salmon et al. 2011, "Parallel random
numbers: as easy as 1, 2, 3"). Draws without a seed take the next ticket of a global generator,
which `set_random_seed` restarts. Python's and NumPy's own generators are not used.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from pydl import _core, check, config
from pydl.autograd import op
from pydl.tensor import Tensor, constant, dtype_of, to_array, wrap

__all__ = [
    "SeedGenerator",
    "categorical",
    "dropout",
    "normal",
    "permutation",
    "randint",
    "set_random_seed",
    "shuffle",
    "truncated_normal",
    "uniform",
]

# The streams keep apart draws of one seed that different kinds of callers make.
_INTEGER_SEED, _GLOBAL, _GENERATOR = range(3)


def _checked_seed(who: str, seed: Any) -> int:
    number = check.integer(who, "seed", seed)
    if not 0 <= number < 2**64:
        raise ValueError(f"{who}: seed must be in [0, 2^64), got {number}")
    return number


class SeedGenerator:
    """A sequence of tickets: each draw that is given this as `seed` takes the next one.

    Args:
      seed: integer in [0, 2^64); None takes a number from the global generator.

    >>> import pydl
    >>> seeds = pydl.random.SeedGenerator(7)
    >>> a, b = (pydl.random.uniform((2,), seed=seeds) for _ in range(2))
    >>> bool((a == b).any())
    False
    """

    seed: int
    state: np.ndarray  # seed, stream and step of the next draw

    def __init__(self, seed: int | None = None):
        if seed is None:
            seed = int(_core.random_bits((1,), True, _global.next())[0])
        self.seed = _checked_seed("SeedGenerator", seed)
        self.state = np.array([self.seed, _GENERATOR, 0], np.uint64)

    def next(self) -> np.ndarray:
        """The next ticket: (seed, stream, step), uint64."""
        return _core.next_ticket(self.state)

    def __repr__(self) -> str:
        return f"SeedGenerator(seed={self.seed})"


_global = SeedGenerator(int.from_bytes(os.urandom(8), "little"))
_global.state[1] = _GLOBAL
_settings_of_seed = 0


def set_random_seed(seed: int) -> None:
    """Restarts pydl's global generator, and with it Python's and NumPy's, for repeatable runs.

    Args:
      seed: integer in [0, 2^64); NumPy, which takes 32 bits, gets the lower ones.

    >>> import pydl
    >>> pydl.random.set_random_seed(1)
    >>> a = pydl.random.uniform((3,))
    >>> pydl.random.set_random_seed(1)
    >>> bool((a == pydl.random.uniform((3,))).all())
    True
    """
    global _settings_of_seed
    number = _checked_seed("set_random_seed", seed)
    set_global_state((number, _GLOBAL, 0))
    _settings_of_seed += 1
    import random  # only here: it pulls in hashlib, which importing pydl should not cost

    random.seed(number)
    np.random.seed(number % 2**32)  # noqa: NPY002  (Keras's function does so too)


def global_seed() -> int:
    """The seed of the global generator: the last one set, or one drawn from the system."""
    return _global.seed


def settings_of_seed() -> int:
    """How often `set_random_seed` was called."""
    return _settings_of_seed


def global_state() -> np.ndarray:
    """A copy of the state of the global generator."""
    return _global.state.copy()


def set_global_state(state: Any) -> None:
    """Lets the global generator go on from a state that `global_state` returned."""
    _global.state[:] = state
    _global.seed = int(_global.state[0])


def reset() -> None:
    """Starts the global generator anew from its seed; `backend.clear_session` does this."""
    _global.state[2] = 0


def _ticket(who: str, seed: Any) -> np.ndarray:
    if seed is None:
        return _global.next()
    if isinstance(seed, SeedGenerator):
        return seed.next()
    return constant(np.array([_checked_seed(who, seed), _INTEGER_SEED, 0], np.uint64))


def _float64(who: str, dtype: Any) -> bool:
    if dtype is None:
        return config.floatx() == "float64"
    found = dtype_of(dtype, who)
    if found.kind != "f":
        raise TypeError(f"{who}: dtype must be float32 or float64, got {found.name}")
    return found == np.float64


def _number(who: str, name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{who}: {name} must be a number, got {value!r}") from None
    if not math.isfinite(number):
        raise ValueError(f"{who}: {name} must be finite, got {number}")
    return number


def uniform(
    shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Any = None
) -> Tensor:
    """Numbers evenly spread over [minval, maxval), in steps of 2^-24 (float64: 2^-53) of its width.

    Args:
      shape: int or sequence of ints.
      minval: lower end.
      maxval: upper end, excluded unless it equals minval.
      dtype: float32 or float64; default `config.floatx()`.
      seed: integer (the same numbers at each call), SeedGenerator, or None: the global generator.

    Raises:
      ValueError: maxval below minval.

    >>> import pydl
    >>> pydl.random.uniform((2, 3), seed=0).shape
    (2, 3)
    """
    who = "random.uniform"
    low, high = _number(who, "minval", minval), _number(who, "maxval", maxval)
    if high < low:
        raise ValueError(f"{who}: maxval must be at least minval, got [{minval}, {maxval})")
    sizes, wide = check.shape(who, shape), _float64(who, dtype)
    return wrap(_core.random_uniform(sizes, wide, _ticket(who, seed), low, high))


def normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None
) -> Tensor:
    """Normally distributed numbers, by Box and Muller (1958).

    Args:
      shape: int or sequence of ints.
      mean: expected value.
      stddev: standard deviation, at least 0.
      dtype: float32 or float64; default `config.floatx()`.
      seed: integer (the same numbers at each call), SeedGenerator, or None: the global generator.

    Raises:
      ValueError: negative stddev.

    >>> import pydl
    >>> float(abs(pydl.random.normal((10000,), 3.0, 0.5, seed=0).mean() - 3.0)) < 0.02
    True
    """
    return _normal("random.normal", _core.random_normal, shape, mean, stddev, dtype, seed)


def truncated_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None
) -> Tensor:
    """Normally distributed numbers, confined to mean +- 2 stddev; their deviation is 0.88 stddev.

    One uniform number makes one element, through the inverse of the distribution function.

    Args:
      shape: int or sequence of ints.
      mean: expected value.
      stddev: standard deviation before the cut, at least 0.
      dtype: float32 or float64; default `config.floatx()`.
      seed: integer (the same numbers at each call), SeedGenerator, or None: the global generator.

    Raises:
      ValueError: negative stddev.

    >>> import pydl
    >>> float(abs(pydl.random.truncated_normal((1000,), seed=0)).max()) <= 2.0
    True
    """
    return _normal(
        "random.truncated_normal", _core.random_truncated_normal, shape, mean, stddev, dtype, seed
    )


def _normal(
    who: str, fill: Any, shape: Any, mean: Any, stddev: Any, dtype: Any, seed: Any
) -> Tensor:
    center, deviation = _number(who, "mean", mean), _number(who, "stddev", stddev)
    if deviation < 0:
        raise ValueError(f"{who}: stddev must not be negative, got {stddev}")
    sizes, wide = check.shape(who, shape), _float64(who, dtype)
    return wrap(fill(sizes, wide, _ticket(who, seed), center, deviation))


def randint(shape: Any, minval: int, maxval: int, dtype: Any = "int32", seed: Any = None) -> Tensor:
    """Integers of [minval, maxval), each as likely as the others to (maxval - minval) / 2^64.

    Args:
      shape: int or sequence of ints.
      minval: smallest value.
      maxval: upper end, excluded.
      dtype: an integer dtype that holds the range.
      seed: integer (the same numbers at each call), SeedGenerator, or None: the global generator.

    Raises:
      ValueError: an empty range, or one that does not fit the dtype.

    >>> import pydl
    >>> sorted(set(pydl.random.randint((100,), 0, 3, seed=0).tolist()))
    [0, 1, 2]
    """
    who = "random.randint"
    low, high = check.integer(who, "minval", minval), check.integer(who, "maxval", maxval)
    found = dtype_of(dtype, who)
    if found.kind not in "iu":
        raise TypeError(f"{who}: dtype must be an integer dtype, got {found.name}")
    if high <= low:
        raise ValueError(f"{who}: maxval must be above minval, got [{low}, {high})")
    limits = np.iinfo(found)
    if low < limits.min or high > int(limits.max) + 1:
        raise ValueError(
            f"{who}: [{low}, {high}) does not fit {found.name}, "
            f"which holds [{limits.min}, {limits.max}]"
        )
    sizes = check.shape(who, shape)
    # the kernel adds modulo 2^64, so a start above int64's range may wrap around
    start = low - 2**64 if low >= 2**63 else low
    wide = found.itemsize == 8 or found == np.uint32
    drawn = _core.random_integers(sizes, wide, _ticket(who, seed), start, (high - low) % 2**64)
    return wrap(drawn.astype(found, copy=False))


def categorical(logits: Any, num_samples: int, dtype: Any = "int64", seed: Any = None) -> Tensor:
    """Classes drawn with the probabilities softmax(logits), with replacement.

    Args:
      logits: (batch, classes) of floats; -inf for a class that is never drawn.
      num_samples: draws per row.
      dtype: integer dtype of the result, (batch, num_samples).
      seed: integer (the same numbers at each call), SeedGenerator, or None: the global generator.

    >>> import pydl
    >>> pydl.random.categorical([[0.0, float("-inf")], [float("-inf"), 0.0]], 3, seed=0)
    Tensor([[0, 0, 0],
            [1, 1, 1]], dtype=int64)
    """
    who = "random.categorical"
    array = to_array(logits, None, who)
    if array.dtype.kind != "f":
        array = array.astype(config.floatx())
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"{who}: logits must have shape (batch, classes), got {array.shape}")
    samples = check.integer(who, "num_samples", num_samples)
    if samples < 0:
        raise ValueError(f"{who}: num_samples must not be negative, got {samples}")
    found = dtype_of(dtype, who)
    if found.kind not in "iu":
        raise TypeError(f"{who}: dtype must be an integer dtype, got {found.name}")
    drawn = _core.random_categorical(array, samples, _ticket(who, seed))
    return wrap(drawn.astype(found, copy=False))


def permutation(n: int, seed: Any = None) -> Tensor:
    """A random order of 0 .. n - 1, int64, by Fisher and Yates; a function of the seed and n.

    Args:
      n: number of positions.
      seed: integer (the same order at each call), SeedGenerator, or None: the global generator.

    >>> import pydl
    >>> sorted(pydl.random.permutation(4, seed=0).tolist())
    [0, 1, 2, 3]
    """
    who = "random.permutation"
    count = check.integer(who, "n", n)
    if count < 0:
        raise ValueError(f"{who}: n must not be negative, got {count}")
    return wrap(_core.random_permutation(count, _ticket(who, seed)))


@op(saves=())
def _reorder(x: np.ndarray, /, order: np.ndarray, axis: int) -> np.ndarray:
    return _core.take(x, order, axis)


@_reorder.gradient
def _(g: Tensor, y: Any, x: Tensor, order: np.ndarray, axis: int) -> Any:
    return (_reorder(g, np.argsort(order), axis),)


def shuffle(x: Any, axis: int = 0, seed: Any = None) -> Tensor:
    """x with its parts along an axis in random order, the same order for all of them.

    Args:
      x: tensor or array.
      axis: the axis whose positions are reordered.
      seed: integer (the same order at each call), SeedGenerator, or None: the global generator.

    >>> import pydl
    >>> sorted(pydl.random.shuffle(pydl.tensor([3, 1, 2]), seed=0).tolist())
    [1, 2, 3]
    """
    who = "random.shuffle"
    tensor = x if isinstance(x, Tensor) else wrap(to_array(x, None, who))
    along = check.axis(who, axis, tensor.ndim, tensor.shape)
    return _reorder(tensor, permutation(tensor.shape[along], seed).data, along)


@op(saves=("ticket",))
def _dropout(
    x: np.ndarray, ticket: np.ndarray, /, rate: float, noise_shape: tuple[int, ...] | None
) -> np.ndarray:
    if noise_shape is None:
        return _core.dropout(x, ticket, rate)
    return _core.multiply(x, _core.dropout(constant(np.ones(noise_shape, x.dtype)), ticket, rate))


@_dropout.gradient
def _(g: Tensor, y: Any, x: Tensor, ticket: Tensor, rate: float, noise_shape: Any) -> Any:
    return (_dropout(g, ticket, rate, noise_shape), None)


def dropout(
    x: Any, rate: float, *, noise_shape: Sequence[int | None] | None = None, seed: Any = None
) -> Tensor:
    """Zero with probability `rate`, else x / (1 - rate), for each element on its own.

    The gradient draws the same elements again from the counter, so that no mask is kept.

    Args:
      x: tensor of floats.
      rate: fraction to drop, in [0, 1]; 0 gives x itself.
      noise_shape: shape of the mask, which broadcasts to x; None inside takes x's size.
      seed: integer (the same mask at each call), SeedGenerator, or None: the global generator.

    Raises:
      ValueError: rate outside [0, 1], or noise_shape does not broadcast to x.
      TypeError: x is not of floats.

    Source: Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from
    overfitting".

    >>> import pydl
    >>> sorted(set(pydl.random.dropout(pydl.ones((100,)), 0.5, seed=0).tolist()))
    [0.0, 2.0]
    """
    who = "dropout"
    tensor = x if isinstance(x, Tensor) else wrap(to_array(x, None, who))
    if tensor.dtype.kind != "f":
        raise TypeError(f"{who}: needs float32 or float64, got {tensor.dtype}; cast x first")
    fraction = _number(who, "rate", rate)
    if not 0 <= fraction <= 1:
        raise ValueError(f"{who}: rate must be between 0 and 1, got {rate}")
    shape = None
    if noise_shape is not None:
        sizes = tuple(noise_shape)
        shape = tuple(n if m is None else m for m, n in zip(sizes, tensor.shape, strict=False))
        if len(sizes) != tensor.ndim or any(
            m not in (1, n) for m, n in zip(shape, tensor.shape, strict=True)
        ):
            raise ValueError(
                f"{who}: noise_shape {sizes} does not broadcast to the input shape {tensor.shape}"
            )
    if fraction == 0:
        return tensor
    return _dropout(tensor, wrap(_ticket(who, seed)), fraction, shape)
