"""Tensor and Variable: an array, and its place in the graph of gradients.

A Tensor wraps a NumPy array and knows no operation; `pydl.ops` attaches operators and methods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from pydl import _core, check, config

MAX_DIMS = 32
DTYPES = tuple(
    np.dtype(name)
    for name in (
        [
            "bool",
            "int8",
            "int16",
            "int32",
            "int64",
            "uint8",
            "uint16",
            "uint32",
            "uint64",
            "float32",
            "float64",
        ]
    )
)
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))

# Numbers graph nodes and in-place changes in one order, so that backward can tell whether a tensor
# was changed after an operation saved it.
tick: Callable[[], int] = _core.tick

# Says that an array made while a plan records holds the same values at each step; returns it.
constant: Callable[[np.ndarray], np.ndarray] = _core.constant


def host_read(who: str) -> None:
    """Notes that the host is about to read or write values, which a plan cannot repeat."""
    if _core.recording_plan():
        _core.fail_recording(f"{who} works on the host")


class _Leaf:
    """The `_node` of a tensor that wants a gradient and was not computed from others."""

    def __repr__(self) -> str:
        return "<leaf>"


LEAF = _Leaf()


def dtype_of(dtype: Any, who: str = "tensor") -> np.dtype[Any]:
    """The NumPy dtype meant by a name, type or dtype; TypeError where kernels have none."""
    if dtype is int:
        return np.dtype(np.int64)
    if dtype is float:
        return np.dtype(config.floatx())
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found.newbyteorder("=") not in DTYPES:
        names = ", ".join(d.name for d in DTYPES)
        raise TypeError(f"{who}: dtype must be one of {names}, got {dtype!r}")
    return found.newbyteorder("=")


def is_scipy(x: Any) -> bool:
    """Whether x is one of SciPy's sparse matrices or arrays."""
    return hasattr(x, "tocsr") and hasattr(x, "nnz")


def _of_numbers(who: str, value: Any, array: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """What NumPy made of Python numbers, as a constant of `dtype`; ValueError if one cannot be."""
    kind = array.dtype.kind
    if array.dtype != dtype and dtype.kind in "iu" and kind in "biufO":
        if kind == "f" and array.size and np.abs(array).max() >= 2**53:
            array = np.asarray(value, object)  # with the integers that NumPy rounded
        check.fits(who, array, dtype)
    return constant(array.astype(dtype, copy=False) if kind in "biuf" else array)


def to_array(value: Any, dtype: Any = None, who: str = "tensor") -> np.ndarray:
    """`value` as an array that kernels can read, without a copy where possible.

    Python floats become `config.floatx()`, ints int64. Foreign byte order, unaligned data and
    odd strides are copied away. TypeError for other dtypes, ValueError for ragged nesting and for
    Python numbers that an integer dtype cannot hold.
    """
    if dtype is None and _core.readable(value):
        return value
    if isinstance(value, Tensor):
        array = value.data
    elif isinstance(value, np.ndarray):
        array = np.asarray(value)
    else:
        if isinstance(value, (list, tuple)) and any(isinstance(v, Tensor) for v in value):
            if _core.recording() and any(isinstance(v, Tensor) and v.requires_grad for v in value):
                raise TypeError(
                    f"{who}: a list of tensors that want a gradient would lose it; use stack, or "
                    "concat"
                )
            value = [np.asarray(v) for v in value]
        if is_scipy(value):
            raise TypeError(
                f"{who}: takes no SciPy matrix; use X.toarray(), or pydl.sparse.csr(X) for products"
            )
        try:
            array = np.asarray(value)
        except ValueError as error:
            raise ValueError(
                f"{who}: nested sequences must have equal lengths ({error}); "
                "pad the shorter ones first"
            ) from None
        if not hasattr(value, "__array__"):  # Python numbers, which do not change
            if dtype is not None:
                array = _of_numbers(who, value, array, dtype_of(dtype, who))
            else:
                if array.dtype == np.float64:
                    array = array.astype(config.floatx())
                constant(array)
    if dtype is not None:
        wanted = dtype_of(dtype, who)
        if array.dtype.kind not in "biuf":
            raise TypeError(f"{who}: cannot make {wanted.name} of an array of {array.dtype}")
        array = array.astype(wanted, copy=False)
    elif array.dtype not in DTYPES:
        native = array.dtype.newbyteorder("=")
        if native not in DTYPES:
            hint = ""
            if array.dtype == object:
                check.fits(who, array, np.dtype(np.int64))
                hint = "; ragged or mixed data?"
            raise TypeError(
                f"{who}: unsupported dtype {array.dtype} of shape {array.shape}{hint}; "
                "use bool, an integer, float32 or float64"
            )
        array = array.astype(native)
    if array.ndim > MAX_DIMS:
        raise ValueError(f"{who}: at most {MAX_DIMS} dimensions, got {array.ndim}")
    item = array.itemsize
    if (
        not array.flags.aligned
        or not array.dtype.isnative
        or any(stride % item for stride in array.strides)
    ):
        array = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
    return array


class Tensor:
    """An n-dimensional array that can take part in a graph of gradients.

    Args:
      data: array, nested sequence, number or Tensor. An array is shared, not copied.
      dtype: converts to this dtype; default: the array's own, `config.floatx()` for Python floats.
      requires_grad: whether `backward` shall fill `.grad`; float dtypes only.

    Raises:
      TypeError: a dtype other than bool, integer, float32, float64; requires_grad on integers.
      ValueError: ragged nesting, more than 32 dimensions, a Python number that does not fit.

    >>> import pydl
    >>> pydl.tensor([[1.0, 2.0], [3.0, 4.0]]) * 2
    Tensor([[2., 4.],
            [6., 8.]])
    """

    __slots__ = ("__weakref__", "_base", "_grad", "_mask", "_node", "_version", "data")

    data: np.ndarray
    _node: Any  # None: a constant; LEAF; or the autograd.Node that computed it
    _base: Tensor  # set on views: the tensor whose memory this one shows
    _version: int  # set by in-place changes: when the last one happened (see tick)
    _grad: Tensor | None
    _mask: Tensor  # set by layers: which positions of the first axes count

    def __init__(self, data: Any, dtype: Any = None, requires_grad: bool = False):
        self.data = to_array(data, dtype)
        self._node = None
        if requires_grad:
            self.requires_grad = True

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this tensor."""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self._node is None:
            if self.data.dtype not in _FLOATS:
                raise TypeError(
                    f"requires_grad: only float32 and float64 have gradients, got {self.dtype}; "
                    "use astype('float32') first"
                )
            self._node = LEAF
        elif not value:
            if self._node is not None and self._node is not LEAF:
                raise ValueError(
                    "requires_grad: this tensor was computed from others; "
                    "use stop_gradient(x) for a constant of the same values"
                )
            self._node = None

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` added up here, or None."""
        try:
            return self._grad
        except AttributeError:
            return None

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        self._grad = value

    @property
    def version(self) -> int:
        """When the memory behind this tensor was last changed in place; 0: never."""
        owner = getattr(self, "_base", self)
        return getattr(owner, "_version", 0)

    def changed_in_place(self) -> None:
        """Notes an in-place change of the memory that this tensor shows."""
        owner = getattr(self, "_base", self)
        owner._version = tick()

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.data.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.data.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements, a NumPy dtype."""
        return self.data.dtype

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.data.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.data.nbytes

    @property
    def device(self) -> str:
        """Where the data live: always 'cpu'."""
        return "cpu"

    def numpy(self) -> np.ndarray:
        """The values as a NumPy array that shares memory with this tensor."""
        host_read("Tensor.numpy")
        return self.data

    def item(self) -> Any:
        """The only element as a Python number; ValueError where there is not exactly one."""
        if self.data.size != 1:
            raise ValueError(f"item: needs a tensor of one element, got shape {self.shape}")
        host_read("Tensor.item")
        return self.data.item()

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers."""
        host_read("Tensor.tolist")
        return self.data.tolist()

    def __len__(self) -> int:
        if self.data.ndim == 0:
            raise TypeError("len() of a tensor without axes")
        return self.data.shape[0]

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        if self.data.size != 1:
            raise ValueError(
                f"the truth of a tensor of shape {self.shape} is ambiguous; use any() or all()"
            )
        return bool(self.item())

    def __index__(self) -> int:
        host_read("Tensor.__index__")
        return self.data.__index__()

    def __hash__(self) -> int:
        return id(self)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        host_read("NumPy")
        if dtype is not None and np.dtype(dtype) != self.data.dtype:
            if copy is False:
                raise ValueError(f"{self.dtype} as {np.dtype(dtype)} needs a copy")
            return self.data.astype(dtype)
        return self.data.copy() if copy else self.data

    def __buffer__(self, flags: int) -> memoryview:
        host_read("a buffer")
        return memoryview(self.data)  # type: ignore[arg-type]

    def __dlpack__(self, **options: Any) -> Any:
        host_read("DLPack")
        return self.data.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.data.__dlpack_device__()

    def __reduce__(self) -> Any:
        return type(self), (self.data, None, self._node is LEAF)

    def __copy__(self) -> Tensor:
        return self.__deepcopy__({})

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        return type(self)(self.data.copy(), None, self._node is LEAF)

    def _describe(self) -> str:
        details = "" if self.data.dtype == np.float32 else f", dtype={self.data.dtype}"
        return details + (", requires_grad=True" if self.requires_grad else "")

    def __repr__(self) -> str:
        host_read("printing")
        prefix = f"{type(self).__name__}("
        text = np.array2string(self.data, separator=", ", prefix=prefix)
        if self.data.size == 0:
            text = f"[], shape={self.shape}"
        return f"{prefix}{text}{self._describe()})"

    def __str__(self) -> str:
        return repr(self)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    if TYPE_CHECKING:  # attached by pydl.ops
        T: Tensor
        mT: Tensor

        def __getattr__(self, name: str) -> Callable[..., Tensor]: ...
        def __getitem__(self, key: Any) -> Tensor: ...
        def __setitem__(self, key: Any, value: Any) -> None: ...
        def __iter__(self) -> Iterator[Tensor]: ...
        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __floordiv__(self, other: Any) -> Tensor: ...
        def __rfloordiv__(self, other: Any) -> Tensor: ...
        def __mod__(self, other: Any) -> Tensor: ...
        def __rmod__(self, other: Any) -> Tensor: ...
        def __pow__(self, other: Any) -> Tensor: ...
        def __rpow__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __rmatmul__(self, other: Any) -> Tensor: ...
        def __and__(self, other: Any) -> Tensor: ...
        def __or__(self, other: Any) -> Tensor: ...
        def __xor__(self, other: Any) -> Tensor: ...
        def __invert__(self) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __pos__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __lt__(self, other: Any) -> Tensor: ...
        def __le__(self, other: Any) -> Tensor: ...
        def __gt__(self, other: Any) -> Tensor: ...
        def __ge__(self, other: Any) -> Tensor: ...
        def __eq__(self, other: Any) -> Tensor: ...  # type: ignore[override]
        def __ne__(self, other: Any) -> Tensor: ...  # type: ignore[override]


class Variable(Tensor):
    """A tensor with memory of its own that training changes in place.

    Args:
      initial_value: array, nested sequence or number; copied.
      trainable: whether gradients are recorded for it.
      dtype: default: that of the value, `config.floatx()` for Python numbers.
      name: for summaries and messages.

    >>> import pydl
    >>> v = pydl.Variable([1.0, 2.0])
    >>> v.assign_add([1.0, 1.0])
    Variable([2., 3.], requires_grad=True)
    """

    __slots__ = ("name",)

    name: str | None

    def __init__(
        self,
        initial_value: Any,
        trainable: bool = True,
        dtype: Any = None,
        name: str | None = None,
    ):
        array = to_array(initial_value, dtype, "Variable")
        if dtype is None and array.dtype.kind == "i" and not hasattr(initial_value, "dtype"):
            array = array.astype(config.floatx())  # Python integers
        self.data = np.array(array, order="C")
        self._node = None
        self.name = name
        if trainable and self.data.dtype in _FLOATS:
            self._node = LEAF

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "data" and hasattr(self, "data"):
            config.changed()  # plans hold the memory of before
        object.__setattr__(self, name, value)

    @property
    def trainable(self) -> bool:
        """Whether gradients are recorded for this variable."""
        return self._node is not None

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self.requires_grad = value
        config.changed()

    @property
    def value(self) -> Variable:
        """The variable itself (Keras's spelling)."""
        return self

    def _label(self) -> str:
        return f"variable '{self.name}'" if self.name else "variable"

    def _checked(self, value: Any, who: str) -> np.ndarray:
        wanted = self.data.dtype
        kind = wanted.kind
        if isinstance(value, Tensor):
            array = value.data
        else:
            array = np.asarray(value)
            if not hasattr(value, "__array__"):
                keep = kind != "f" and (kind == "b" or array.dtype.kind == "f")
                array = _of_numbers(who, value, array, array.dtype if keep else wanted)
        if array.dtype.kind not in "biuf":
            raise TypeError(f"{who}: needs numbers, got an array of {array.dtype}")
        if (
            kind != "f"
            and array.dtype != wanted
            and not np.can_cast(array.dtype, wanted, "same_kind")
        ):
            raise TypeError(
                f"{who}: {self._label()} has dtype {wanted}, got a value of {array.dtype}; "
                f"use astype('{wanted}') first"
            )
        if array.shape != self.shape and array.ndim:
            raise ValueError(
                f"{who}: {self._label()} has shape {self.shape}, got a value of shape {array.shape}"
            )
        return array

    def _change(self, who: str, value: Any, kernel: Any, host: Any) -> Variable:
        """Sets the values to those of `kernel(value)`, or `host(value)` for dtypes without one."""
        array = self._checked(value, who)
        data = self.data
        if array.ndim != data.ndim:
            array = np.broadcast_to(array, data.shape)
        if array.dtype != data.dtype or kernel(array) is None:
            host_read(who)
            host(array)
        self.changed_in_place()
        return self

    def assign(self, value: Any) -> Variable:
        """Sets the values; not recorded.

        ValueError where the shape differs or a Python number does not fit the dtype, TypeError for
        floats in a variable of integers.
        """
        casting: Any = "unsafe" if self.data.dtype.kind == "f" else "same_kind"
        return self._change(
            "assign",
            value,
            lambda array: _core.copy(array, self.data),
            lambda array: np.copyto(self.data, array, casting=casting),
        )

    def assign_add(self, value: Any) -> Variable:
        """Adds `value` in place; not recorded."""
        return self._change(
            "assign_add",
            value,
            lambda array: _core.add(self.data, array, self.data),
            lambda array: np.add(self.data, array, out=self.data, casting="same_kind"),
        )

    def assign_sub(self, value: Any) -> Variable:
        """Subtracts `value` in place; not recorded."""
        return self._change(
            "assign_sub",
            value,
            lambda array: _core.subtract(self.data, array, self.data),
            lambda array: np.subtract(self.data, array, out=self.data, casting="same_kind"),
        )

    def __reduce__(self) -> Any:
        return Variable, (self.data, self.trainable, None, self.name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Variable:
        return Variable(self.data, self.trainable, None, self.name)


def is_tensor(x: Any) -> bool:
    """Whether x is a Tensor (or Variable)."""
    return isinstance(x, Tensor)


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of `data`; see Tensor. A NumPy array is shared, not copied.

    >>> import pydl
    >>> pydl.tensor([1, 2, 3])
    Tensor([1, 2, 3], dtype=int64)
    """
    return Tensor(data, dtype, requires_grad)


def wrap(array: np.ndarray, node: Any = None) -> Tensor:
    """A Tensor of an array that is known to be good; the fast way."""
    t = Tensor.__new__(Tensor)
    t.data = array
    t._node = node
    return t
