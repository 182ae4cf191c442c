"""Sparse matrices: products with the bits of the dense ones, construction, errors."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from arrays import FLOATS
from errors import raises
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import pydl
from pydl import _core
from pydl.sparse import SparseTensor, csr
from pydl.testing import check_gradients

rng = np.random.default_rng(0)


def mostly_zeros(rows: int, columns: int, share: float, dtype: Any = np.float32) -> np.ndarray:
    keep = rng.random((rows, columns)) < share
    return np.where(keep, rng.standard_normal((rows, columns)), 0).astype(dtype)


def arrays(x: SparseTensor) -> tuple[Any, ...]:
    return x.data, x.indices, x.indptr, x.shape[1]


def same_bits(got: np.ndarray, want: np.ndarray) -> None:
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    assert got.tobytes() == want.tobytes()


SHAPES = [  # m, k, n, share
    (1, 1, 1, 1.0),
    (3, 5, 2, 0.5),
    (7, 40, 3, 0.3),
    (64, 300, 10, 0.1),
    (50, 4096, 46, 0.02),
    (40, 4097, 64, 0.02),
    (30, 13000, 65, 0.01),  # segments of k
    (20, 20000, 1, 0.01),
    (9, 15, 1, 0.5),
    (9, 30, 1, 0.5),
    (9000, 70, 5, 0.05),  # segments of the gradient's chain
    (9000, 70, 1, 0.05),
    (4100, 3, 1, 0.3),
    (100, 900, 200, 0.05),
    (200, 30, 333, 0.0),
]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bits_of_the_dense_products(shape: tuple[int, int, int, float], dtype: Any) -> None:
    m, k, n, share = shape
    dense = mostly_zeros(m, k, share, dtype)
    x = csr(dense)
    b, g = rng.standard_normal((k, n)).astype(dtype), rng.standard_normal((m, n)).astype(dtype)
    rows = rng.integers(0, m, m // 2 + 1)
    want = _core.matmul(dense, b), _core.matmul(dense.T, g)
    some = np.ascontiguousarray(dense[rows])
    for threads in (1, 2, 3):
        pydl.config.set_num_threads(threads)
        same_bits(_core.csr_matmul(*arrays(x), None, b), want[0])
        same_bits(_core.csr_matmul_gradient(*arrays(x), None, g), want[1])
        same_bits(_core.csr_matmul(*arrays(x), rows, b), _core.matmul(some, b))
        same_bits(
            _core.csr_matmul_gradient(*arrays(x), rows, g[rows]),
            _core.matmul(some.T, g[rows]),
        )


@given(data=st.data())
def test_products_of_any_shape(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(FLOATS))
    m, k, n = (data.draw(st.integers(0, 40)) for _ in range(3))
    dense = mostly_zeros(m, k, data.draw(st.sampled_from([0, 0.1, 0.6, 1])), dtype)
    x, b = csr(dense), rng.standard_normal((k, n)).astype(dtype)
    wide = np.zeros((k, 2 * n + 1), dtype)
    wide[:, 1 : n + 1] = b
    for operand in (b, np.asfortranarray(b), wide[:, 1 : n + 1]):
        same_bits(pydl.matmul(x, operand).numpy(), _core.matmul(dense, b))
        error = np.abs(pydl.matmul(x, operand).numpy() - dense.astype(np.float64) @ b)
        bound = (k + 2) * np.finfo(dtype).eps * (np.abs(dense).astype(np.float64) @ np.abs(b))
        assert (error <= bound).all()


def test_many_segments_and_passes() -> None:
    """More partial sums than are kept at a time, blocks wider than the cache asks for."""
    m, k, n = 8200, 9000, 900
    x = csr(mostly_zeros(m, k, 2e-4))
    g = rng.standard_normal((m, n)).astype(np.float32)
    some = np.ascontiguousarray(x.to_dense().numpy()[:, ::97])
    same_bits(x._transposed_product(g)[::97], _core.matmul(some.T, g))


def test_what_the_zeros_would_have_done() -> None:
    """A zero times inf or nan is nan, which the sparse product does not meet."""
    dense = np.array([[0.0, 1.0]], np.float32)
    b = np.array([[np.inf, np.nan], [1.0, 2.0]], np.float32)
    assert np.isnan(pydl.matmul(dense, b).numpy()).all()
    assert pydl.matmul(csr(dense), b).tolist() == [[1.0, 2.0]]
    stored = SparseTensor([0.0, 1.0], [0, 1], [0, 2], (1, 2))
    assert np.isnan((stored @ b).numpy()).all()
    # a product that underflows to -0 keeps its sign, which the dense product's next step takes
    tiny = np.array([[-1e-30, 0.0]], np.float32)
    b = np.array([[1e-30], [1.0]], np.float32).repeat(2, axis=1)
    assert (csr(tiny) @ b).tolist() == [[0.0, 0.0]]
    assert (np.signbit((csr(tiny) @ b).numpy()) == (pydl.isa() != "v2")).all()  # v2 has no FMA
    assert not np.signbit(pydl.matmul(tiny, b).numpy()).any()
    # stored and unstored negative zeros change nothing
    zeros = np.array([[-0.0, -0.0, 2.0]], np.float32)
    b = np.array([[1.0, -1.0], [-2.0, 2.0], [0.0, -0.0]], np.float32)
    for x in (csr(zeros), SparseTensor(zeros[0], [0, 1, 2], [0, 3], (1, 3))):
        same_bits((x @ b).numpy(), pydl.matmul(zeros, b).numpy())


@pytest.mark.parametrize("n", [1, 5])
def test_gradients(n: int) -> None:
    x = csr(mostly_zeros(6, 9, 0.4, np.float64))
    b, bias = rng.standard_normal((9, n)), rng.standard_normal(n)
    check_gradients(lambda b: pydl.matmul(x, b), b)
    check_gradients(lambda b: x @ b, b[:, 0])
    check_gradients(lambda b, c: pydl.dense(x, b, c, "tanh"), b, bias)
    check_gradients(lambda b, c: pydl.dense(x, b, c, pydl.gelu), b, bias)


@pytest.mark.parametrize("activation", [None, "relu", "sigmoid", "elu", "gelu"])
def test_dense_layer_has_the_same_bits(activation: str | None) -> None:
    dense = mostly_zeros(70, 5000, 0.02)
    found = []
    for x in (dense, csr(dense)):
        kernel = pydl.tensor(np.full((5000, 17), 0.1, np.float32), requires_grad=True)
        bias = pydl.tensor(np.linspace(-1, 1, 17, dtype=np.float32), requires_grad=True)
        y = pydl.dense(x, kernel, bias, activation)
        (y * y).sum().backward()
        found.append([a.numpy().tobytes() for a in (y, kernel.grad, bias.grad)])
    assert found[0] == found[1]


def test_construction() -> None:
    x = SparseTensor([1, 2, 3], [0, 2, 1], [0, 2, 2, 3], (3, 3))
    assert x.to_dense().tolist() == [[1, 0, 2], [0, 0, 0], [0, 3, 0]]
    assert (x.dtype, x.nnz, x.ndim, len(x), x.shape) == (np.float32, 3, 2, 3, (3, 3))
    assert x.nbytes == 3 * 4 + 3 * 4 + 4 * 8
    assert repr(x) == "SparseTensor(shape=(3, 3), nnz=3 (33.33%), float32)"
    assert x.astype("float64").dtype == np.float64
    assert x.astype("float32") is x
    assert csr(x) is x
    assert csr(x, "float64").dtype == np.float64
    for other in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x), csr(x.to_dense())):
        assert other.to_dense().tolist() == x.to_dense().tolist()
    empty = SparseTensor([], [], [0], (0, 4))
    assert (empty @ pydl.ones((4, 2))).shape == (0, 2)
    assert csr(np.zeros((3, 0))).to_dense().shape == (3, 0)
    assert csr(np.array([[np.nan, -0.0]])).nnz == 1
    with pytest.raises(ValueError, match="read-only"):
        x.indices[0] = 100


def test_rows() -> None:
    dense = mostly_zeros(12, 20, 0.3)
    x = csr(dense)
    mask = np.arange(12) % 3 == 0
    for key in (slice(2, 7), slice(None, None, -2), [3, 3, -1], np.array([0]), mask, slice(5, 5)):
        np.testing.assert_array_equal(x[key].to_dense().numpy(), dense[key])
    for key in (3, (0, 1), None, ...):
        with pytest.raises(TypeError, match="SparseTensor: takes whole rows"):
            x[key]
    with pytest.raises(TypeError, match="cannot be iterated"):
        iter(x)
    with pytest.raises(IndexError):
        x[[12]]


def test_scipy() -> None:
    dense = mostly_zeros(12, 20, 0.3, np.float64)
    w = pydl.ones((20, 3))
    for kind in (sparse.csr_array, sparse.csr_matrix, sparse.coo_array, sparse.csc_array):
        x = csr(kind(dense))
        np.testing.assert_array_equal(x.to_dense().numpy(), dense)
        assert pydl.matmul(kind(dense), w).dtype == np.float64
        np.testing.assert_allclose(pydl.dense(kind(dense), w).numpy(), dense @ w.numpy())
    unsorted = sparse.dok_array((2, 5))
    for column in (4, 0, 2):
        unsorted[1, column] = column + 1
    np.testing.assert_array_equal(csr(unsorted).to_dense().numpy(), unsorted.toarray())
    product = sparse.csr_array(dense) @ sparse.csr_array(dense.T)
    np.testing.assert_allclose(csr(product).to_dense().numpy(), dense @ dense.T)
    assert csr(sparse.csr_array(np.eye(2, dtype=np.int64))).dtype == np.float32


def test_scipy_matrices_that_are_not_canonical() -> None:
    """Are sorted and summed in a copy; a SparseTensor's own constructor refuses them."""
    data, indices, indptr = np.array([1.0, 2.0, 4.0]), np.array([1, 1, 0]), np.array([0, 3])
    for kind in (sparse.csr_array, sparse.csr_matrix):
        x = kind((data.copy(), indices.copy(), indptr.copy()), shape=(1, 2))
        assert csr(x).to_dense().tolist() == [[4, 3]]
        assert (x.data.tolist(), x.indices.tolist()) == (data.tolist(), indices.tolist())
        assert pydl.matmul(x, np.ones((2, 1))).tolist() == [[7]]
    with pytest.raises(ValueError, match=r"got 1 twice in row 0; SciPy's sum_duplicates\(\)"):
        SparseTensor(data, indices, indptr, (1, 2))


def test_scipy_matrices_where_dense_ones_are_meant() -> None:
    hint = "takes no SciPy matrix; use X.toarray(), or pydl.sparse.csr(X) for products"
    for x in (sparse.csr_array(np.eye(2)), sparse.dok_matrix((2, 2))):
        for who, call in {
            "tensor": lambda x: pydl.tensor(x),
            "relu": pydl.relu,
            "sum": pydl.sum,
            "add": lambda x: pydl.add(x, 1),
        }.items():
            with raises(TypeError, f"{who}: {hint}"):
                call(x)
        with raises(TypeError, f"tensor: {hint}"):
            pydl.tensor(x, "float32")


def test_promotion() -> None:
    x = csr(np.eye(3, dtype=np.float32))
    assert pydl.matmul(x, np.ones((3, 2), np.float64)).dtype == np.float64
    assert pydl.matmul(x, np.ones((3, 2), np.int8)).dtype == np.float32
    assert pydl.matmul(x, [[1.0], [2.0], [3.0]]).tolist() == [[1], [2], [3]]


def make(
    data: Any = (1.0, 2.0), indices: Any = (0, 1), indptr: Any = (0, 1, 2), **more: Any
) -> Any:
    return SparseTensor(list(data), list(indices), list(indptr), more.pop("shape", (2, 3)), **more)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: make(indices=(0, 3)), ValueError,
         "SparseTensor: indices must lie in [0, 3), got 3 in row 1"),
        (lambda: make(indices=(-1, 0)), ValueError,
         "SparseTensor: indices must lie in [0, 3), got -1 in row 0"),
        (lambda: make(indices=(2, 1), indptr=(0, 2, 2)), ValueError,
         "SparseTensor: indices must ascend within a row, got 1 after 2 in row 0; SciPy's "
         "sum_duplicates() sorts and merges"),
        (lambda: make(indices=(1, 1), indptr=(0, 0, 2)), ValueError,
         "SparseTensor: indices must ascend within a row, got 1 twice in row 1; SciPy's "
         "sum_duplicates() sorts and merges"),
        (lambda: make(indices=(0.0, 1.0)), TypeError,
         "SparseTensor: indices must be integers, got float32"),
        (lambda: make(indptr=(0, 1)), ValueError,
         "SparseTensor: indptr must have 3 elements for 2 rows, got shape (2,)"),
        (lambda: make(indptr=(0, 2, 1)), ValueError,
         "SparseTensor: indptr must ascend from 0 to the number of elements, 2"),
        (lambda: make(indptr=(0, 3, 2)), ValueError,
         "SparseTensor: indptr must ascend from 0 to the number of elements, 2"),
        (lambda: make(data=(1.0,)), ValueError,
         "SparseTensor: data and indices must be vectors of one length, got shapes (1,) and (2,)"),
        (lambda: make(shape=(2, 3, 4)), ValueError,
         "SparseTensor: shape must be (rows, columns), got (2, 3, 4)"),
        (lambda: make(shape=(2, 2**31)), ValueError,
         "SparseTensor: at most 2147483647 columns, got shape (2, 2147483648)"),
        (lambda: make(dtype="int32"), TypeError,
         "SparseTensor: dtype must be float32 or float64, got int32"),
        (lambda: csr(np.ones(3)), ValueError, "csr: needs a matrix, got shape (3,)"),
        (lambda: csr(pydl.tensor([[1.0]], requires_grad=True)), TypeError,
         "csr: x wants a gradient, which a sparse matrix has none of; use stop_gradient(x)"),
        (lambda: setattr(make(), "requires_grad", True), TypeError,
         "requires_grad: a SparseTensor is a constant; use to_dense() for a tensor that can have a "
         "gradient"),
        (lambda: make() @ pydl.ones((2, 2)), ValueError,
         "matmul: sparse (2, 3) @ (2, 2): the right operand must be a matrix or vector of 3 rows"),
        (lambda: make() @ pydl.ones((1, 3, 2)), ValueError,
         "matmul: sparse (2, 3) @ (1, 3, 2): the right operand must be a matrix or vector of 3 "
         "rows"),
        (lambda: pydl.ones((2, 2)) @ make(), TypeError,
         "matmul: a sparse matrix must be the left operand; use to_dense() on the right"),
        (lambda: np.ones((2, 2)) @ make(), TypeError,
         "matmul: a sparse matrix must be the left operand; use to_dense() on the right"),
        (lambda: make() @ make(), TypeError,
         "matmul: a sparse matrix must be the left operand; use to_dense() on the right"),
        (lambda: pydl.dense(make(), pydl.ones((2, 2))), ValueError,
         "dense: x of shape (2, 3) does not fit a kernel of shape (2, 2)"),
        (lambda: np.asarray(make()), TypeError,
         "a SparseTensor is no dense array; use to_dense()"),
    ],
)  # fmt: skip
def test_errors(call: Any, error: type[Exception], text: str) -> None:
    with raises(error, text):
        call()


def test_errors_of_the_kernels() -> None:
    x = make()
    b, g = np.ones((3, 2), np.float32), np.ones((2, 2), np.float32)
    with raises(IndexError, "csr_matmul: row 2 does not lie in [0, 2)"):
        _core.csr_matmul(*arrays(x), np.array([0, 2]), b)
    with raises(IndexError, "csr_matmul_gradient: row -1 does not lie in [0, 2)"):
        _core.csr_matmul_gradient(*arrays(x), np.array([0, -1]), g)
    with pytest.raises(ValueError, match="rows must be a contiguous int64 vector"):
        _core.csr_matmul(*arrays(x), np.array([0, 1], np.int32), b)
    for wrong in (b.astype(np.float64), b[:2], np.asfortranarray(b), b[0]):
        with pytest.raises(ValueError, match="the dense operand must be a matrix"):
            _core.csr_matmul(*arrays(x), None, wrong)
    with pytest.raises(ValueError, match="values, columns and start do not fit together"):
        _core.csr_matmul(x.data, x.indices, x.indptr[:-1], 3, None, b)


def test_a_scipy_matrix_with_wrong_indptr_is_refused_before_scipy_reads_it() -> None:
    broken = sparse.csr_matrix(mostly_zeros(6, 9, 0.4))
    broken.indptr[2] = 10**6
    with pytest.raises(ValueError, match="SparseTensor: indptr must ascend from 0 to the number"):
        csr(broken)
