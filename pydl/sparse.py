"""Sparse matrices: the left operand of a product, as rows of non-zero elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from pydl import _core, check, config
from pydl.tensor import Tensor, dtype_of, host_read, is_scipy, to_array, wrap

_MAX_COLUMNS = 2**31 - 1  # columns are int32


class SparseTensor:
    """A constant matrix that stores its non-zero elements only: compressed sparse rows, CSR.

    Row i holds `data[indptr[i]:indptr[i + 1]]` in the columns `indices[indptr[i]:indptr[i + 1]]`.

    Args:
      data: (nnz,), the elements, row by row; numbers become float32 or float64. Zeros may be
        stored.
      indices: (nnz,), integers, the column of each; they ascend within a row.
      indptr: (rows + 1,), integers, where the rows start, and nnz.
      shape: (rows, columns).
      dtype: float32 or float64; default: that of data, `config.floatx()` for integers.

    The arrays are copied, and not to be changed. `sparse.csr` makes one of a dense array or of a
    SciPy matrix. There is no gradient with respect to the elements.

    Raises:
      TypeError: indices that are no integers, or a dtype that is no float.
      ValueError: sizes that do not fit, columns out of range, unsorted or twice in a row.

    >>> import pydl
    >>> x = pydl.SparseTensor([1.0, 2.0, 3.0], [0, 2, 1], [0, 2, 3], (2, 3))
    >>> x.to_dense()
    Tensor([[1., 0., 2.],
            [0., 3., 0.]])
    >>> x @ pydl.ones((3, 1))
    Tensor([[3.],
            [3.]])
    """

    __slots__ = ("__weakref__", "data", "indices", "indptr", "shape")

    data: np.ndarray
    indices: np.ndarray  # int32
    indptr: np.ndarray  # int64
    shape: tuple[int, int]
    __array_ufunc__ = None  # so that ndarray @ x comes to __rmatmul__

    def __init__(self, data: Any, indices: Any, indptr: Any, shape: Any, dtype: Any = None):
        sizes = check.shape("SparseTensor", shape)
        if len(sizes) != 2:
            raise ValueError(f"SparseTensor: shape must be (rows, columns), got {sizes}")
        values = to_array(data, None, "SparseTensor")
        wanted = values.dtype if values.dtype.kind == "f" else config.floatx()
        wanted = dtype_of(wanted if dtype is None else dtype, "SparseTensor")
        if wanted.kind != "f":
            raise TypeError(f"SparseTensor: dtype must be float32 or float64, got {wanted}")
        columns, start = _integers("indices", indices), _integers("indptr", indptr)
        if values.ndim != 1 or values.shape != columns.shape:
            raise ValueError(
                f"SparseTensor: data and indices must be vectors of one length, got shapes "
                f"{values.shape} and {columns.shape}"
            )
        _check_csr(columns, start, sizes)
        self._set(
            values.astype(wanted),
            columns.astype(np.int32),
            start.astype(np.int64),
            (sizes[0], sizes[1]),
        )

    def _set(
        self, data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, shape: tuple[int, int]
    ) -> None:
        self.data, self.indices, self.indptr, self.shape = data, indices, indptr, shape
        for array in (data, indices, indptr):  # kernels rely on the checks
            array.flags.writeable = False

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements, float32 or float64."""
        return self.data.dtype

    @property
    def ndim(self) -> int:
        """Number of axes: 2."""
        return 2

    @property
    def nnz(self) -> int:
        """Number of stored elements."""
        return self.data.size

    @property
    def nbytes(self) -> int:
        """Bytes of the three arrays."""
        return self.data.nbytes + self.indices.nbytes + self.indptr.nbytes

    @property
    def requires_grad(self) -> bool:
        """False: a sparse matrix is a constant."""
        return False

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value:
            raise TypeError(
                "requires_grad: a SparseTensor is a constant; use to_dense() for a tensor that "
                "can have a gradient"
            )

    def to_dense(self) -> Tensor:
        """All elements as a Tensor."""
        dense = np.zeros(self.shape, self.dtype)
        dense[self._row_numbers(), self.indices] = self.data
        return wrap(dense)

    def astype(self, dtype: Any) -> SparseTensor:
        """The same matrix as float32 or float64."""
        wanted = dtype_of(dtype, "astype")
        if wanted == self.dtype:
            return self
        return SparseTensor(self.data, self.indices, self.indptr, self.shape, wanted)

    def __getitem__(self, key: Any) -> SparseTensor:
        """Some rows: a slice, a vector of row numbers or a mask.

        >>> import pydl
        >>> pydl.sparse.csr(pydl.eye(3))[[2, 0]].to_dense()
        Tensor([[0., 0., 1.],
                [1., 0., 0.]])
        """
        rows = self._row_indices(key)
        start = self.indptr[rows]
        counts = self.indptr[rows + 1] - start
        indptr = np.zeros(rows.size + 1, np.int64)
        np.cumsum(counts, out=indptr[1:])
        elements = np.arange(indptr[-1]) + np.repeat(start - indptr[:-1], counts)
        part = object.__new__(SparseTensor)
        part._set(self.data[elements], self.indices[elements], indptr, (rows.size, self.shape[1]))
        return part

    def _take_rows(self, rows: np.ndarray) -> SparseTensor:
        """The rows of these numbers (int64, in range), without a copy; for products only."""
        return _Rows(self, rows)

    def _row_indices(self, key: Any) -> np.ndarray:
        if isinstance(key, (int, np.integer, tuple)) or key is None or key is Ellipsis:
            raise TypeError(
                f"SparseTensor: takes whole rows, by a slice or a vector, got {key!r}; use "
                "to_dense() for more"
            )
        index = key if isinstance(key, slice) else np.asarray(key)
        rows = np.arange(self.shape[0])[index]
        if rows.ndim != 1:
            raise TypeError(f"SparseTensor: rows must be a vector, got shape {rows.shape}")
        return rows

    def _row_numbers(self) -> np.ndarray:
        """The row of each element."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Any:
        raise TypeError("SparseTensor: cannot be iterated; take slices of rows, or use to_dense()")

    def __matmul__(self, other: Any) -> Tensor:
        from pydl.ops.linalg import matmul

        return matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        from pydl.ops.linalg import matmul

        return matmul(other, self)

    def _product(self, b: np.ndarray, bias: np.ndarray | None, *epilogue: Any) -> np.ndarray:
        """x @ b (+ bias, then the activation) for arrays of x's dtype; see `_core.csr_matmul`."""
        return _core.csr_matmul(
            self.data, self.indices, self.indptr, self.shape[1], None, _rows(b), bias, *epilogue
        )

    def _transposed_product(self, g: np.ndarray) -> np.ndarray:
        """x.T @ g for an array of x's dtype: the gradient of `_product` with respect to b."""
        return _core.csr_matmul_gradient(
            self.data, self.indices, self.indptr, self.shape[1], None, _rows(g)
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise TypeError("a SparseTensor is no dense array; use to_dense()")

    def __reduce__(self) -> Any:
        return SparseTensor, (self.data, self.indices, self.indptr, self.shape)

    def __repr__(self) -> str:
        share = self.nnz / max(self.shape[0] * self.shape[1], 1)
        return f"SparseTensor(shape={self.shape}, nnz={self.nnz} ({share:.2%}), {self.dtype})"


class _Rows(SparseTensor):
    """Some rows of a matrix, by reference. The row numbers may change between products."""

    __slots__ = ("matrix", "rows")

    def __init__(self, matrix: SparseTensor, rows: np.ndarray):
        self.matrix, self.rows = matrix, rows
        self.data, self.indices, self.indptr = matrix.data, matrix.indices, matrix.indptr
        self.shape = (rows.size, matrix.shape[1])

    def _product(self, b: np.ndarray, bias: np.ndarray | None, *epilogue: Any) -> np.ndarray:
        return _core.csr_matmul(
            self.data, self.indices, self.indptr, self.shape[1], self.rows, _rows(b), bias,
            *epilogue,
        )  # fmt: skip

    def _transposed_product(self, g: np.ndarray) -> np.ndarray:
        return _core.csr_matmul_gradient(
            self.data, self.indices, self.indptr, self.shape[1], self.rows, _rows(g)
        )

    def whole(self) -> SparseTensor:
        """The rows as a matrix of their own."""
        return self.matrix[self.rows]

    @property
    def nnz(self) -> int:
        return self.whole().nnz

    def to_dense(self) -> Tensor:
        return self.whole().to_dense()

    def astype(self, dtype: Any) -> SparseTensor:
        return self if np.dtype(dtype) == self.dtype else self.whole().astype(dtype)

    def __getitem__(self, key: Any) -> SparseTensor:
        return self.whole()[key]

    def __reduce__(self) -> Any:
        return self.whole().__reduce__()


class ManyZeros(SparseTensor):
    """A dense matrix, by reference, whose products leave out runs of zeros; for products only.

    Six rows leave out the columns where all of them are zero, and in the transposed product six
    neighbouring columns the rows. `pydl.models` makes them.
    """

    __slots__ = ()

    def __init__(self, array: np.ndarray):
        self.data = array
        self.shape = (array.shape[0], array.shape[1])

    @property
    def nbytes(self) -> int:
        return self.data.nbytes

    def to_dense(self) -> Tensor:
        return wrap(self.data)

    def astype(self, dtype: Any) -> SparseTensor:
        if np.dtype(dtype) == self.dtype:
            return self
        return ManyZeros(_core.cast(self.data, np.dtype(dtype) == np.float64))

    def __getitem__(self, key: Any) -> SparseTensor:
        return ManyZeros(np.ascontiguousarray(self.data[key]))

    def _take_rows(self, rows: np.ndarray) -> SparseTensor:
        return ManyZeros(_core.take(self.data, rows, 0))

    def _product(self, b: np.ndarray, bias: np.ndarray | None, *epilogue: Any) -> np.ndarray:
        return _core.zero_skip_matmul(self.data, _rows(b), False, bias, *epilogue)

    def _transposed_product(self, g: np.ndarray) -> np.ndarray:
        return _core.zero_skip_matmul(self.data, _rows(g), True)

    def __reduce__(self) -> Any:
        return ManyZeros, (self.data,)


def _rows(x: np.ndarray) -> np.ndarray:
    """x with contiguous rows."""
    return x if x.shape[1] <= 1 or x.strides[1] == x.itemsize else np.ascontiguousarray(x)


def _integers(name: str, value: Any) -> np.ndarray:
    array = to_array(value, None, "SparseTensor")
    if array.size == 0 and not hasattr(value, "dtype"):
        return array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise TypeError(f"SparseTensor: {name} must be integers, got {array.dtype}")
    return array


def _check_start(start: np.ndarray, least: int, most: int) -> None:
    """Raise ValueError unless `start` ascends from 0 to a number in [least, most]."""
    if start[0] != 0 or not least <= start[-1] <= most or (start[1:] < start[:-1]).any():
        raise ValueError(
            f"SparseTensor: indptr must ascend from 0 to the number of elements, {most}"
        )


def _check_csr(columns: np.ndarray, start: np.ndarray, shape: tuple[int, ...]) -> None:
    who, (rows, width) = "SparseTensor", shape
    if width > _MAX_COLUMNS:
        raise ValueError(f"{who}: at most {_MAX_COLUMNS} columns, got shape {shape}")
    if start.shape != (rows + 1,):
        raise ValueError(
            f"{who}: indptr must have {rows + 1} elements for {rows} rows, got shape {start.shape}"
        )
    _check_start(start, columns.size, columns.size)
    if columns.size == 0:
        return

    def place(element: int) -> str:
        return f"row {int(np.searchsorted(start, element, 'right')) - 1}"

    outside = (columns < 0) | (columns >= width)
    if outside.any():
        at = int(outside.argmax())
        raise ValueError(
            f"{who}: indices must lie in [0, {width}), got {columns[at]} in {place(at)}"
        )
    falls = columns[1:] <= columns[:-1]
    inner = start[(start > 0) & (start < columns.size)]
    falls[inner - 1] = False  # from one row to the next
    if falls.any():
        at = int(falls.argmax()) + 1
        what = "twice" if columns[at] == columns[at - 1] else f"after {columns[at - 1]}"
        raise ValueError(
            f"{who}: indices must ascend within a row, got {columns[at]} {what} in {place(at)}; "
            "SciPy's sum_duplicates() sorts and merges"
        )


def csr(x: Any, dtype: Any = None) -> SparseTensor:
    """The non-zero elements of a matrix: a dense array or Tensor, or a SciPy sparse matrix.

    nan counts as an element. A SparseTensor stays as it is. Elements that a SciPy matrix holds
    unsorted or twice, as its products do, are sorted and summed in a copy.

    Raises:
      TypeError: x wants a gradient, or its dtype is none that pydl has.
      ValueError: x is no matrix.

    >>> import pydl
    >>> pydl.sparse.csr([[0.0, 2.0], [0.0, 0.0]])
    SparseTensor(shape=(2, 2), nnz=1 (25.00%), float32)
    """
    if isinstance(x, SparseTensor):
        return x if dtype is None else x.astype(dtype)
    if is_scipy(x):
        x = x.tocsr()
        _check_start(x.indptr, 0, x.indices.size)  # before SciPy relies on it
        if not x.has_canonical_format:
            x = x.copy()
            x.sum_duplicates()
        return SparseTensor(x.data, x.indices, x.indptr, x.shape, dtype)
    if isinstance(x, Tensor) and x.requires_grad:
        raise TypeError(
            "csr: x wants a gradient, which a sparse matrix has none of; use stop_gradient(x)"
        )
    array = to_array(x, None, "csr")
    if array.ndim != 2:
        raise ValueError(f"csr: needs a matrix, got shape {array.shape}")
    if array.shape[1] > _MAX_COLUMNS:
        raise ValueError(f"csr: at most {_MAX_COLUMNS} columns, got shape {array.shape}")
    host_read("sparse.csr")
    if array.dtype.kind != "f":
        array = array.astype(config.floatx())
    found = object.__new__(SparseTensor)
    values, columns, start = _core.csr_of_dense(array)
    found._set(values, columns, start, (array.shape[0], array.shape[1]))
    return found if dtype is None else found.astype(dtype)


def is_sparse(x: Any) -> bool:
    """Whether x is a SparseTensor, or what `csr` makes one of without looking for zeros.

    >>> import pydl
    >>> pydl.sparse.is_sparse(pydl.sparse.csr(pydl.eye(2)))
    True
    """
    return isinstance(x, SparseTensor) or is_scipy(x)
