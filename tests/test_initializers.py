"""Initializers: their laws, their seeds, and what `get` accepts; regularizers and constraints."""

from __future__ import annotations

import inspect
import json
import math

import numpy as np
import pytest
from errors import raises

import pydl
import pydl.testing
from pydl import constraints, initializers, regularizers

SHAPE = (200, 300)
STDDEV_OF_TRUNCATED = 0.87962566103423978


def moments_agree(sample, mean, stddev, kurtosis):
    """Check mean and standard deviation within five standard errors."""
    n = sample.size
    assert abs(sample.mean() - mean) < 5 * stddev / math.sqrt(n)
    # Var(s^2) = sigma^4 (kurtosis - 1) / n
    assert abs(sample.var() / stddev**2 - 1) < 5 * math.sqrt((kurtosis - 1) / n)


def normal_cdf(x):
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def distance_to(cdf, sample):
    """Return the Kolmogorov-Smirnov distance times sqrt(n); above 2.3 has probability 5e-5."""
    ordered = np.sort(sample.ravel())
    expected = np.array([cdf(v) for v in ordered])
    steps = np.arange(len(ordered) + 1) / len(ordered)
    worst = max((steps[1:] - expected).max(), (expected - steps[:-1]).max())
    return worst * math.sqrt(len(ordered))


def test_constants():
    assert initializers.Zeros()((2, 3)).numpy().tolist() == [[0] * 3] * 2
    assert initializers.Ones()((2,)).numpy().tolist() == [1, 1]
    assert initializers.Constant(2.5)((2,)).numpy().tolist() == [2.5, 2.5]
    assert initializers.Zeros()(()).numpy().shape == ()
    assert initializers.Identity(3.0)((2, 3)).numpy().tolist() == [[3, 0, 0], [0, 3, 0]]
    matrix = np.arange(6.0).reshape(2, 3)
    value = initializers.Constant(matrix)((2, 3))
    assert value.dtype == np.float32
    np.testing.assert_array_equal(value.numpy(), matrix)
    value.numpy()[:] = 0
    assert matrix[1, 2] == 5
    np.testing.assert_array_equal(initializers.get(matrix)((2, 3)).numpy(), matrix)
    np.testing.assert_array_equal(initializers.get(pydl.tensor(matrix))((2, 3)).numpy(), matrix)
    with raises(ValueError, "Constant: the value has shape (2, 3), the weight has shape (3, 2)"):
        initializers.Constant(matrix)((3, 2))
    with raises(ValueError, "Identity: the weight must be a matrix, got shape (2,)"):
        initializers.Identity()((2,))


def test_fans():
    assert initializers.compute_fans((784, 512)) == (784, 512)
    assert initializers.compute_fans((7,)) == (7, 7)
    assert initializers.compute_fans((3, 3, 16, 32)) == (144, 288)
    assert initializers.compute_fans(()) == (1, 1)


def test_uniform_laws():
    for name, limit in (
        ("random_uniform", 0.05),
        ("glorot_uniform", math.sqrt(6 / 500)),
        ("he_uniform", math.sqrt(6 / 200)),
        ("lecun_uniform", math.sqrt(3 / 200)),
    ):
        x = type(initializers.get(name))(seed=11)(SHAPE).numpy().astype(np.float64)
        assert x.min() >= -limit * (1 + 1e-6)
        assert x.max() < limit * (1 + 1e-6)
        assert distance_to(lambda v, limit=limit: min(max((v / limit + 1) / 2, 0), 1), x) < 2.3
        moments_agree(x, 0, limit / math.sqrt(3), 1.8)
    x = initializers.RandomUniform(2.0, 3.0, seed=1)((1000,)).numpy()
    assert x.min() >= 2
    assert x.max() < 3


def test_normal_laws():
    for init, stddev in (
        (initializers.RandomNormal(seed=3), 0.05),
        (
            initializers.VarianceScaling(3.0, "fan_out", "untruncated_normal", seed=4),
            math.sqrt(3 / 300),
        ),
    ):
        x = init(SHAPE).numpy().astype(np.float64)
        assert distance_to(lambda v, s=stddev: normal_cdf(v / s), x) < 2.3
        moments_agree(x, 0, stddev, 3)
        assert np.abs(x).max() > 2.5 * stddev
    x = initializers.RandomNormal(1.0, 2.0, seed=5)((20000,)).numpy().astype(np.float64)
    moments_agree(x, 1, 2, 3)


def test_truncated_normal_laws():
    for name, variance in (
        ("glorot_normal", 2 / 500),
        ("he_normal", 2 / 200),
        ("lecun_normal", 1 / 200),
        ("variance_scaling", 1 / 200),
        ("truncated_normal", (0.05 * STDDEV_OF_TRUNCATED) ** 2),
    ):
        x = type(initializers.get(name))(seed=7)(SHAPE).numpy().astype(np.float64)
        stddev = math.sqrt(variance)
        parent = stddev / STDDEV_OF_TRUNCATED
        assert np.abs(x).max() <= 2 * parent * (1 + 1e-6)
        low, high = normal_cdf(-2), normal_cdf(2)

        def cdf(v, parent=parent, low=low, high=high):
            return min(max((normal_cdf(v / parent) - low) / (high - low), 0), 1)

        assert distance_to(cdf, x) < 2.3
        moments_agree(x, 0, stddev, 2.37)


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (3, 3, 2, 5), (2, 2, 8), (1, 4)])
def test_orthogonal(shape):
    x = initializers.Orthogonal(gain=2.0, seed=1)(shape, "float64").numpy()
    assert x.shape == shape
    matrix = x.reshape(-1, shape[-1]) / 2
    if matrix.shape[0] < matrix.shape[1]:
        matrix = matrix.T
    n = matrix.shape[1]
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(n), atol=64 * n * np.finfo(float).eps)


def test_orthogonal_is_signed_by_the_diagonal_of_r():
    # The first column is then the normal draw itself, scaled to length 1.
    x = initializers.Orthogonal(seed=9)((6, 4), "float64").numpy()
    normal = pydl.random.normal((6, 4), 0.0, 1.0, dtype="float64", seed=9).numpy()
    np.testing.assert_allclose(x[:, 0], normal[:, 0] / np.linalg.norm(normal[:, 0]), atol=1e-14)
    with raises(ValueError, "Orthogonal: the weight needs two axes or more, got shape (4,)"):
        initializers.Orthogonal()((4,))


RANDOM = sorted(
    name
    for name, value in vars(initializers).items()
    if name[0].isupper()
    and isinstance(value, type)
    and "seed" in inspect.signature(value).parameters
)


@pytest.mark.parametrize("name", RANDOM)
def test_seeds(name):
    cls = getattr(initializers, name)
    seeded = cls(seed=3)
    a, b = seeded((4, 5)).numpy(), seeded((4, 5)).numpy()
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(a, cls(seed=3)((4, 5)).numpy())
    assert (a != cls(seed=4)((4, 5)).numpy()).any()
    assert a.dtype == np.float32
    assert seeded((4, 5), "float64").numpy().dtype == np.float64

    free = cls()
    draws = []
    for _ in range(2):
        pydl.random.set_random_seed(17)
        draws.append([free((4, 5)).numpy() for _ in range(2)])
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0][0] != draws[0][1]).any()


def test_floatx_is_the_default_dtype():
    pydl.config.set_floatx("float64")
    for name in ("zeros", "ones", "constant", "identity", *map(str.lower, RANDOM)):
        assert initializers.get(name)((3, 3)).dtype == np.float64, name


def test_configurations():
    for name in {*RANDOM, "Zeros", "Ones", "Constant", "Identity"}:
        init = getattr(initializers, name)()
        config = json.loads(json.dumps({"class_name": name, "config": init.get_config()}))
        clone = initializers.get(config)
        assert type(clone) is type(init)
        assert clone.get_config() == init.get_config()
    array = initializers.Constant(np.eye(2))
    clone = initializers.Constant.from_config(json.loads(json.dumps(array.get_config())))
    np.testing.assert_array_equal(clone((2, 2)).numpy(), np.eye(2))


def test_get():
    assert isinstance(initializers.get("normal"), initializers.RandomNormal)
    assert isinstance(initializers.get("uniform"), initializers.RandomUniform)
    assert isinstance(initializers.get("GlorotUniform"), initializers.GlorotUniform)
    assert isinstance(initializers.get(initializers.Ones), initializers.Ones)
    assert initializers.get(None) is None
    assert initializers.get(np.zeros).__name__ == "zeros"
    assert initializers.he_normal(seed=1).seed == 1
    with raises(
        ValueError,
        "unknown initializer 'glorot_unifrom'; did you mean 'glorot_uniform' or "
        "'glorot_normal' or 'random_uniform'?",
    ):
        initializers.get("glorot_unifrom")
    with pytest.raises(ValueError, match="unknown initializer 'xyzzy'; known: 'constant', 'glorot"):
        initializers.get("xyzzy")
    with raises(
        TypeError, "initializer: expected a name, an instance or a callable, got float 1.5"
    ):
        initializers.get(1.5)


def test_argument_errors():
    with raises(ValueError, "RandomNormal: stddev must be at least 0, got -1"):
        initializers.RandomNormal(stddev=-1)
    with raises(ValueError, "RandomUniform: maxval must be at least minval, got 1.0 and 0.0"):
        initializers.RandomUniform(1.0, 0.0)
    with raises(ValueError, "VarianceScaling: scale must be above 0, got 0"):
        initializers.VarianceScaling(0)
    with raises(
        ValueError,
        "VarianceScaling: mode must be one of ('fan_in', 'fan_out', 'fan_avg'), got 'fan'",
    ):
        initializers.VarianceScaling(mode="fan")
    with pytest.raises(ValueError, match="VarianceScaling: distribution must be one of"):
        initializers.VarianceScaling(distribution="cauchy")


# Regularizers


def test_penalties():
    w = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    l1, l2 = np.abs(w.astype(np.float64)).sum(), (w.astype(np.float64) ** 2).sum()
    for regularizer, expected in (
        (regularizers.L1(0.5), 0.5 * l1),
        (regularizers.L2(0.25), 0.25 * l2),
        (regularizers.L1L2(0.5, 0.25), 0.5 * l1 + 0.25 * l2),
        (regularizers.L1L2(l1=0.5), 0.5 * l1),
        (regularizers.L1L2(l2=0.25), 0.25 * l2),
        (regularizers.L1L2(), 0.0),
        (regularizers.l1(), 0.01 * l1),
        (regularizers.l2(), 0.01 * l2),
        (regularizers.l1_l2(), 0.01 * l1 + 0.01 * l2),
        (regularizers.get("l1"), 0.01 * l1),
        (regularizers.get("l2"), 0.01 * l2),
        (regularizers.get("l1_l2"), 0.01 * l1 + 0.01 * l2),
        (regularizers.get("L1L2"), 0.0),
    ):
        penalty = regularizer(pydl.tensor(w))
        assert penalty.shape == ()
        np.testing.assert_allclose(penalty.item(), expected, rtol=w.size * 2**-24)
        clone = regularizers.get(
            {"class_name": type(regularizer).__name__, "config": regularizer.get_config()}
        )
        assert clone(pydl.tensor(w)).item() == penalty.item()


def test_penalty_gradients_and_errors():
    w = np.array([[1.0, -2.0], [0.5, 3.0]])
    pydl.testing.check_gradients(regularizers.L1L2(0.3, 0.7), w)

    def odd(w):
        return pydl.sum(w)

    assert regularizers.get(odd) is odd
    assert regularizers.get(None) is None
    for value in (-1.0, float("nan"), float("inf")):
        with raises(ValueError, f"L2: l2 must be finite and at least 0, got {value!r}"):
            regularizers.L2(value)
    with raises(TypeError, "L1: l1 must be a number, got 'a'"):
        regularizers.L1("a")
    with raises(ValueError, "unknown regularizer 'l3'; known: 'L1L2', 'l1', 'l2'"):
        regularizers.get("l3")


# Constraints


def test_constraints():
    w = np.random.default_rng(1).normal(0, 2, (6, 5))
    norm = np.sqrt((w**2).sum(0, keepdims=True))
    eps = 1e-7
    for constraint, expected in (
        (constraints.MaxNorm(1.5), w * np.clip(norm, 0, 1.5) / (norm + eps)),
        (constraints.max_norm(), w * np.clip(norm, 0, 2) / (norm + eps)),
        (constraints.NonNeg(), np.maximum(w, 0)),
        (constraints.UnitNorm(), w / (norm + eps)),
        (
            constraints.MinMaxNorm(0.5, 1.0, rate=0.25),
            w * (0.25 * np.clip(norm, 0.5, 1.0) + 0.75 * norm) / (norm + eps),
        ),
        (constraints.UnitNorm(axis=[0, 1]), w / (np.sqrt((w**2).sum()) + eps)),
    ):
        y = constraint(pydl.tensor(w))
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-14, atol=1e-15)
        clone = constraints.get(
            {"class_name": type(constraint).__name__, "config": constraint.get_config()}
        )
        np.testing.assert_array_equal(clone(pydl.tensor(w)).numpy(), y.numpy())
    assert isinstance(constraints.get("non_neg"), constraints.NonNeg)
    assert constraints.get(None) is None
    with raises(
        ValueError, "unknown constraint 'maxnrm'; did you mean 'max_norm' or 'min_max_norm'?"
    ):
        constraints.get("maxnrm")
