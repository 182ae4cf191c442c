"""Products that leave out runs of zeros: the bits of the dense products."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pydl
from pydl import _core, ops
from pydl.ops.linalg import activation_arguments


def holey(rng: np.random.Generator, m: int, k: int, dtype: str, share: float) -> np.ndarray:
    x = rng.standard_normal((m, k)).astype(dtype)
    x[rng.random((m, k)) >= share] = 0
    x[:, rng.random(k) >= 0.7] = 0
    return x


def same_bits(a: np.ndarray, b: np.ndarray) -> None:
    assert a.dtype == b.dtype and a.shape == b.shape
    assert (a + 0.0).tobytes() == (b + 0.0).tobytes()  # a zero's sign may differ


@given(
    st.integers(0, 40),
    st.sampled_from([0, 1, 15, 16, 17, 48, 80, 160]),
    st.integers(0, 90),
    st.sampled_from(["float32", "float64"]),
    st.floats(0, 1),
    st.integers(0, 1000),
)
def test_bits_of_the_dense_product(
    m: int, n: int, k: int, dtype: str, share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = holey(rng, m, k, dtype, share)
    b, g = (rng.standard_normal((rows, n)).astype(dtype) for rows in (k, m))
    bias = rng.standard_normal(n).astype(dtype)
    for threads in (1, 2, 3):
        pydl.config.set_num_threads(threads)
        same_bits(_core.zero_skip_matmul(x, b), _core.matmul(x, b))
        same_bits(_core.zero_skip_matmul(x, g, True), _core.matmul(x.T, g))
        want = ops.dense(pydl.tensor(x), pydl.tensor(b), pydl.tensor(bias), "relu").numpy()
        same_bits(_core.zero_skip_matmul(x, b, False, bias, *activation_arguments("relu")), want)


@pytest.mark.parametrize("shape", [(5000, 20), (20, 5000)])
def test_more_than_a_segment_is_a_dense_product(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    x = holey(rng, *shape, "float32", 0.2)
    b, g = (rng.standard_normal((rows, 32)).astype("float32") for rows in reversed(shape))
    same_bits(_core.zero_skip_matmul(x, b), _core.matmul(x, b))
    same_bits(_core.zero_skip_matmul(x, g, True), _core.matmul(x.T, g))


def test_many_zeros_is_a_matrix_for_products() -> None:
    x = holey(np.random.default_rng(1), 9, 12, "float32", 0.3)
    matrix = pydl.sparse.ManyZeros(x)
    w = pydl.ones((12, 16))
    same_bits((matrix @ w).numpy(), _core.matmul(x, w.numpy()))
    same_bits(matrix[2:5].to_dense().numpy(), x[2:5])
    same_bits(matrix.astype("float64").to_dense().numpy(), x.astype("float64"))
    assert matrix.shape == (9, 12) and matrix.dtype == np.float32


def test_operands_that_do_not_fit() -> None:
    x = np.ones((3, 4), np.float32)
    with pytest.raises(ValueError, match="zero_skip_matmul: x must be a contiguous float matrix"):
        _core.zero_skip_matmul(x.T, np.ones((3, 16), np.float32))
    with pytest.raises(ValueError, match="zero_skip_matmul: the dense operand"):
        _core.zero_skip_matmul(x, np.ones((3, 16), np.float32))
