"""How the weights of a layer start: classes, snake_case strings, callables or arrays.

An initializer is called with `(shape, dtype)` and returns a Tensor. Without a `seed` it draws from
the global generator, so `pydl.utils.set_random_seed` fixes all of them together; with an integer
`seed` every call of that initializer returns the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pydl import config, ops, random
from pydl.registry import Configurable, Registry
from pydl.tensor import Tensor

_registry: Registry[Any] = Registry("initializer")

# Standard deviation of a standard normal cut off at two standard deviations.
_TRUNCATED_STDDEV = 0.87962566103423978


class Initializer(Configurable):
    """Base of the initializers: subclasses implement `__call__(shape, dtype=None)`."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """Return the initial value of a weight."""
        raise NotImplementedError(f"{type(self).__name__} must implement __call__(shape, dtype)")


def _non_negative(owner: Initializer, **values: float) -> None:
    """Raise ValueError unless every value is a number >= 0."""
    for name, value in values.items():
        if not value >= 0:
            raise ValueError(f"{type(owner).__name__}: {name} must be at least 0, got {value!r}")


@_registry.add("zeros", "zero")
class Zeros(Initializer):
    """All zeros.

    >>> Zeros()((2,)).numpy()
    array([0., 0.], dtype=float32)
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        return ops.zeros(shape, dtype=dtype or config.floatx())


@_registry.add("ones", "one")
class Ones(Initializer):
    """All ones."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        return ops.ones(shape, dtype=dtype or config.floatx())


@_registry.add("constant")
class Constant(Initializer):
    """One value everywhere, or a full array such as a trained embedding matrix.

    Args:
        value: A number, or an array that broadcasts to the shape of the weight.

    Raises:
        ValueError: The array does not fit the shape asked for.

    >>> Constant([[1, 2]])((1, 2)).numpy()
    array([[1., 2.]], dtype=float32)
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        value = np.asarray(self.value, dtype=dtype or config.floatx())
        shape = tuple(shape)
        try:
            filled = np.broadcast_to(value, shape)
        except ValueError:
            raise ValueError(
                f"Constant: the value has shape {value.shape}, the weight has shape {shape}"
            ) from None
        return Tensor(filled.copy())


@_registry.add("identity")
class Identity(Initializer):
    """gain * I, for a square or rectangular matrix.

    >>> Identity(2.0)((2, 2)).numpy()
    array([[2., 0.],
           [0., 2.]], dtype=float32)
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        if len(shape) != 2:
            raise ValueError(f"Identity: the weight must be a matrix, got shape {tuple(shape)}")
        return Tensor(self.gain * np.eye(shape[0], shape[1]), dtype or config.floatx())


@_registry.add("random_normal", "normal")
class RandomNormal(Initializer):
    """Normal distribution.

    Args:
        mean: Mean.
        stddev: Standard deviation, at least 0.
        seed: Integer or `SeedGenerator`; None draws from the global generator.
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        _non_negative(self, stddev=stddev)
        self.mean = mean
        self.stddev = stddev
        self.seed = seed

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        return random.normal(
            shape, self.mean, self.stddev, dtype=dtype or config.floatx(), seed=self.seed
        )


@_registry.add("truncated_normal")
class TruncatedNormal(RandomNormal):
    """Normal distribution; values beyond two standard deviations from the mean are drawn again."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        return random.truncated_normal(
            shape, self.mean, self.stddev, dtype=dtype or config.floatx(), seed=self.seed
        )


@_registry.add("random_uniform", "uniform")
class RandomUniform(Initializer):
    """Uniform distribution over [minval, maxval).

    Args:
        minval: Lower end, included.
        maxval: Upper end, not included, at least `minval`.
        seed: Integer or `SeedGenerator`; None draws from the global generator.
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None:
        if not maxval >= minval:
            raise ValueError(
                f"RandomUniform: maxval must be at least minval, got {minval!r} and {maxval!r}"
            )
        self.minval = minval
        self.maxval = maxval
        self.seed = seed

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        return random.uniform(
            shape, self.minval, self.maxval, dtype=dtype or config.floatx(), seed=self.seed
        )


def compute_fans(shape: Sequence[int]) -> tuple[int, int]:
    """Return (fan_in, fan_out) of a weight: the receptive field times the last two axes.

    >>> compute_fans((784, 512)), compute_fans((3, 3, 16, 32)), compute_fans((7,))
    ((784, 512), (144, 288), (7, 7))
    """
    if len(shape) == 0:
        return 1, 1
    if len(shape) == 1:
        return shape[0], shape[0]
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


@_registry.add("variance_scaling")
class VarianceScaling(Initializer):
    """Variance scaled by the size of the weight: s = scale / max(1, fan).

    "truncated_normal" has the standard deviation sqrt(s) after truncation, "untruncated_normal"
    sqrt(s), and "uniform" spans [-sqrt(3 s), sqrt(3 s)).

    Args:
        scale: Factor of the variance, above 0.
        mode: "fan_in", "fan_out" or "fan_avg" (their mean).
        distribution: "truncated_normal" (also "normal"), "untruncated_normal" or "uniform".
        seed: Integer or `SeedGenerator`; None draws from the global generator.

    Source: He et al. 2015, "Delving Deep into Rectifiers", section 2.2.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
    ) -> None:
        if not scale > 0:
            raise ValueError(f"{type(self).__name__}: scale must be above 0, got {scale!r}")
        modes = ("fan_in", "fan_out", "fan_avg")
        if mode not in modes:
            raise ValueError(f"{type(self).__name__}: mode must be one of {modes}, got {mode!r}")
        distributions = ("truncated_normal", "normal", "untruncated_normal", "uniform")
        if distribution not in distributions:
            raise ValueError(
                f"{type(self).__name__}: distribution must be one of {distributions}, "
                f"got {distribution!r}"
            )
        self.scale = scale
        self.mode = mode
        self.distribution = distribution
        self.seed = seed

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        dtype = dtype or config.floatx()
        fan_in, fan_out = compute_fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return random.uniform(shape, -limit, limit, dtype=dtype, seed=self.seed)
        if self.distribution == "untruncated_normal":
            return random.normal(shape, 0.0, math.sqrt(variance), dtype=dtype, seed=self.seed)
        stddev = math.sqrt(variance) / _TRUNCATED_STDDEV
        return random.truncated_normal(shape, 0.0, stddev, dtype=dtype, seed=self.seed)


@_registry.add("glorot_uniform")
class GlorotUniform(VarianceScaling):
    """Uniform over [-l, l), l = sqrt(6 / (fan_in + fan_out)); also called Xavier.

    Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward
    neural networks".

    >>> bool(abs(GlorotUniform(seed=0)((2, 4)).numpy()).max() <= 1.0)
    True
    """

    def __init__(self, seed: Any = None) -> None:
        super().__init__(1.0, "fan_avg", "uniform", seed)


@_registry.add("glorot_normal")
class GlorotNormal(VarianceScaling):
    """Truncated normal of variance 2 / (fan_in + fan_out); also called Xavier."""

    def __init__(self, seed: Any = None) -> None:
        super().__init__(1.0, "fan_avg", "truncated_normal", seed)


@_registry.add("he_normal")
class HeNormal(VarianceScaling):
    """Truncated normal of variance 2 / fan_in, made for relu (He et al. 2015)."""

    def __init__(self, seed: Any = None) -> None:
        super().__init__(2.0, "fan_in", "truncated_normal", seed)


@_registry.add("he_uniform")
class HeUniform(VarianceScaling):
    """Uniform over [-l, l), l = sqrt(6 / fan_in), made for relu (He et al. 2015)."""

    def __init__(self, seed: Any = None) -> None:
        super().__init__(2.0, "fan_in", "uniform", seed)


@_registry.add("lecun_normal")
class LecunNormal(VarianceScaling):
    """Truncated normal of variance 1 / fan_in (LeCun et al. 1998, "Efficient BackProp")."""

    def __init__(self, seed: Any = None) -> None:
        super().__init__(1.0, "fan_in", "truncated_normal", seed)


@_registry.add("lecun_uniform")
class LecunUniform(VarianceScaling):
    """Uniform over [-l, l), l = sqrt(3 / fan_in) (LeCun et al. 1998, "Efficient BackProp")."""

    def __init__(self, seed: Any = None) -> None:
        super().__init__(1.0, "fan_in", "uniform", seed)


@_registry.add("orthogonal")
class Orthogonal(Initializer):
    """gain * Q of the QR decomposition of a normal matrix, columns signed by the diagonal of R.

    A weight of more than two axes is taken as a matrix of all axes but the last by the last; the
    shorter side is orthonormal.

    Args:
        gain: Factor.
        seed: Integer or `SeedGenerator`; None draws from the global generator.

    Source: Saxe et al. 2013, "Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks".

    >>> q = Orthogonal(seed=0)((4, 3)).numpy()
    >>> bool(abs(q.T @ q - np.eye(3)).max() < 1e-6)
    True
    """

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        self.gain = gain
        self.seed = seed

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        shape = tuple(shape)
        if len(shape) < 2:
            raise ValueError(f"Orthogonal: the weight needs two axes or more, got shape {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        tall = (max(rows, columns), min(rows, columns))
        normal = random.normal(tall, 0.0, 1.0, dtype="float64", seed=self.seed).numpy()
        q, r = np.linalg.qr(normal)
        q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
        q = q.T if rows < columns else q
        return Tensor((self.gain * q).reshape(shape).astype(dtype or config.floatx()))


def get(identifier: Any) -> Callable[..., Any] | None:
    """Return the initializer for a string, configuration, class, callable or array.

    Raises:
        ValueError: Unknown string, with close matches.
        TypeError: Something else.

    >>> get("he_normal")
    HeNormal(seed=None)
    """
    if identifier is None:
        return None
    if isinstance(identifier, (np.ndarray, Tensor)):
        return Constant(identifier)
    return _registry.get(identifier)


# Keras also writes the classes as functions: `initializers.he_normal(seed=1)`.
zeros = Zeros
ones = Ones
constant = Constant
identity = Identity
random_normal = RandomNormal
random_uniform = RandomUniform
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling
glorot_uniform = GlorotUniform
glorot_normal = GlorotNormal
he_normal = HeNormal
he_uniform = HeUniform
lecun_normal = LecunNormal
lecun_uniform = LecunUniform
orthogonal = Orthogonal
