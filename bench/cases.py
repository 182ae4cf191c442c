"""What is measured: the cases, shared by the comparison with other frameworks and by pytest.

A case names its `kind`, a function of every module in `frameworks/` that can do it, and the
keyword arguments of that function; both travel to other processes as JSON.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench import course

ELEMENTWISE, COPY, REDUCE, NN, MATMUL, SPARSE, CONV, MODELS, CONTROL = (
    "elementwise",
    "copy",
    "reduce",
    "nn",
    "matmul",
    "sparse",
    "conv",
    "models",
    "control",
)
FAMILIES = {
    "ops": (ELEMENTWISE, COPY, REDUCE, NN),
    "all": (ELEMENTWISE, COPY, REDUCE, NN, MATMUL, SPARSE, CONV, MODELS),
}
FAMILIES |= {name: (name,) for name in FAMILIES["all"]}

FLOAT = 4  # bytes
IN_L2 = 1 << 15  # floats of one array: three of them fill 384 KiB
OUT_OF_CACHE = 1 << 24  # 64 MiB an array: twice the L3 of most
BANDWIDTH_BYTES = 16 * 1024  # below this a call's fixed cost is what is seen

# Arguments after the arrays, where the defaults would leave nothing to do.
OP_ARGUMENTS: dict[str, tuple[float, ...]] = {"clip": (-1.0, 1.0)}
# Ranges of the operands, where the op's own domain is meant for either operand alone.
OP_DOMAINS: dict[str, tuple[float, float]] = {"power": (0.1, 3.0)}


@dataclass(frozen=True)
class Case:
    """One thing to measure.

    Attributes:
      name: unique among all cases.
      family: elementwise, copy, reduce, nn, matmul, sparse, conv, models or control.
      kind: name of the function that builds it, in each module of `frameworks/`.
      args: keyword arguments of that function.
      flops: floating-point operations of a call, where the FMA peak is the limit.
      bytes: bytes that a call must read and write, where bandwidth is the limit.
      reads: whether reading alone is the limit.
      seconds: rough time of one call, where a single call outlasts the usual slice.
      repeats: how many times a call does what is named; times, flops and bytes are of one.
    """

    name: str
    family: str
    kind: str
    args: Mapping[str, Any] = field(default_factory=dict)
    flops: float = 0
    bytes: float = 0
    reads: bool = False
    seconds: float = 0
    repeats: int = 1

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def limit(self) -> tuple[str, int] | None:
        """What bounds the speed: fma (flop/s of a core), or read or copy of arrays of n bytes."""
        if self.flops:
            return "fma", 0
        if self.bytes < BANDWIDTH_BYTES:
            return None
        return ("read", int(self.bytes)) if self.reads else ("copy", int(self.bytes) // 2)


def control() -> Case:
    """Interpreter, cache and memory work that no framework takes part in: the same everywhere."""
    return Case("control", CONTROL, "control")


def _text(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _traffic(*shapes: Sequence[int]) -> float:
    return float(FLOAT * sum(math.prod(s) for s in shapes))


def _binary(
    op: str, a: tuple[int, ...], b: tuple[int, ...], domain: Sequence[float], to_bool: bool = False
) -> Case:
    out = tuple(max(m, n) for m, n in zip(a, (1,) * (len(a) - len(b)) + b, strict=True))
    written = math.prod(out) * (1 if to_bool else FLOAT)
    shapes = _text(a) if a == b else f"{_text(a)}_{_text(b)}"
    args = {"op": op, "a": a, "b": b, "low": domain[0], "high": domain[1]}
    return Case(f"{op}-{shapes}", ELEMENTWISE, "binary", args, bytes=_traffic(a, b) + written)


def table_case(row: Mapping[str, Any], n: int) -> Case:
    """One op of the element-wise table on n floats."""
    op = row["name"]
    low, high = OP_DOMAINS.get(op, row["domain"])
    if row["kind"] == "binary":
        return _binary(op, (n,), (n,), (low, high), row["to_bool"])
    args = {"op": op, "n": n, "low": low, "high": high, "params": OP_ARGUMENTS.get(op, ())}
    written = n * (1 if row["to_bool"] else FLOAT)
    return Case(f"{op}-{n}", ELEMENTWISE, "unary", args, bytes=n * FLOAT + written)


def elementwise(table: Sequence[Mapping[str, Any]]) -> Iterator[Case]:
    """Every op of `table` in and out of cache, calls on 8 floats, broadcasting."""
    yield _binary("add", (8,), (8,), (-1, 1))
    yield Case("add-8-recorded", ELEMENTWISE, "recorded_add", {"n": 8})
    yield _binary("maximum", (64, 3, 32, 10), (32, 10), (-1, 1))
    yield _binary("add", (128, 512), (512,), (-1, 1))
    for row in table:
        for n in (IN_L2, OUT_OF_CACHE):
            yield table_case(row, n)


def copy() -> Iterator[Case]:
    """What only moves elements: transposes, rows by index and back, one-hot, concat, where."""
    for shape, axes in (
        ((512, 512), (1, 0)),
        ((2048, 2048), (1, 0)),
        ((32, 28, 28, 64), (0, 3, 1, 2)),  # images to channels first, and back
        ((32, 64, 28, 28), (0, 2, 3, 1)),
        ((32, 3, 224, 224), (0, 2, 3, 1)),
        ((64, 128, 8, 64), (0, 2, 1, 3)),  # heads of attention
    ):
        name = f"transpose-{_text(shape)}-{''.join(map(str, axes))}"
        args: dict[str, Any] = {"shape": shape, "axes": axes}
        yield Case(name, COPY, "transpose", args, bytes=_traffic(shape, shape))
    for rows, columns, count in ((10000, 64, 512 * 80), (10000, 16, 512 * 80), (60000, 784, 128)):
        args = {"rows": rows, "columns": columns, "count": count}
        taken, name = (count, columns), f"{_text((rows, columns))}-{count}"
        yield Case(f"take-{name}", COPY, "take", args, bytes=_traffic(taken, taken))
        if count > rows:  # words; a batch of rows has no gradient
            traffic = _traffic(taken, taken, taken, (rows, columns))
            yield Case(f"take-train-{name}", COPY, "take_train", args, bytes=traffic)
    for n, classes in ((60000, 10), (512, 1000)):
        args = {"n": n, "classes": classes}
        # Written only: the limit is of copying half as many.
        traffic = _traffic((n, classes), (2 * n,))
        yield Case(f"one_hot-{_text((n, classes))}", COPY, "one_hot", args, bytes=traffic)
    for shape, axis in (((512, 512), 1), ((128, 28, 28, 32), 3), ((2048, 2048), 0)):
        args, traffic = {"shape": shape, "axis": axis}, 4 * _traffic(shape)
        yield Case(f"concat-{_text(shape)}-axis{axis}", COPY, "concat", args, bytes=traffic)
    for n in (IN_L2, OUT_OF_CACHE):
        yield Case(f"where-{n}", COPY, "where", {"n": n}, bytes=_traffic((3 * n,)) + n)


def reduce() -> Iterator[Case]:
    """Of rows, of columns and of everything, which is one long vector."""
    axes = {"all": None, "rows": 1, "columns": 0}
    for shape in ((512, 512), (8192, 4096)):
        for op in ("sum", "mean", "max", "argmax", "var"):
            for what, axis in axes.items():
                name = f"{op}-{what}-{_text(shape)}"
                args = {"op": op, "shape": shape, "axis": axis}
                yield Case(name, REDUCE, "reduce", args, bytes=_traffic(shape), reads=True)


def nn() -> Iterator[Case]:
    """Softmax, crossentropy and normalization, alone and with their gradients."""
    shapes = ((128, 10), (512, 46), (512, 1000), (4096, 64))
    for op in ("softmax", "log_softmax"):
        for shape in shapes:
            args = {"op": op, "shape": shape}
            yield Case(f"{op}-{_text(shape)}", NN, "softmax", args, bytes=_traffic(shape, shape))
    for kind in ("crossentropy", "sparse_crossentropy"):
        for shape in shapes:
            # Labels and logits are read, the gradient is written.
            labels = shape if kind == "crossentropy" else (2 * shape[0],)
            traffic = _traffic(shape, labels, shape)
            yield Case(f"{kind}-train-{_text(shape)}", NN, kind, {"shape": shape}, bytes=traffic)
    for op in ("layer_normalization", "batch_normalization"):
        for shape in ((128, 512), (512, 1000), (4096, 64)):
            args = {"op": op, "shape": shape}
            name, both = f"{op}-{_text(shape)}", _traffic(shape, shape)
            yield Case(name, NN, "normalization", args, bytes=both)
            name = f"{op}-train-{_text(shape)}"
            yield Case(name, NN, "normalization_train", args, bytes=2 * both + _traffic(shape))


def _matmul(m: int, k: int, n: int, layout: str = "NN", batch: int = 0) -> Case:
    args = {"m": m, "k": k, "n": n, "layout": layout, "batch": batch}
    name = (f"{batch}x" if batch else "") + f"{m}x{k}@{k}x{n}"
    flops = 2.0 * max(batch, 1) * m * k * n
    return Case(name if layout == "NN" else f"{name}-{layout}", MATMUL, "matmul", args, flops=flops)


SQUARES = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
NETWORKS = (
    (13, 64, 64, 1),
    (784, 512, 10),
    (784, 256, 256, 10),
    (512, 512, 512, 512, 512),
    (10000, 16, 16, 1),
    (10000, 64, 64, 46),
)
BATCHES = (1, 16, 32, 128, 512)


def _layer_products(units: Sequence[int], batch: int) -> Iterator[Case]:
    """Of one training step: y = x w, dw = x^T g, and dx = g w^T but for the first layer."""
    for i, (inputs, outputs) in enumerate(itertools.pairwise(units)):
        yield _matmul(batch, inputs, outputs)
        yield _matmul(inputs, batch, outputs, "TN")
        if i > 0:
            yield _matmul(batch, outputs, inputs, "NT")


def matmul_shapes() -> Iterator[Case]:
    """Products as m x k @ k x n; N: a row-major operand, T: the transpose of one."""
    for size in SQUARES:
        yield _matmul(size, size, size)
    for size in (256, 512, 1024):
        for layout in ("NT", "TN", "TT"):
            yield _matmul(size, size, size, layout)
    for units in NETWORKS:
        for batch in BATCHES:
            yield from _layer_products(units, batch)
    yield _matmul(128, 64, 128, batch=64)  # attention: queries times keys, weights times values
    yield _matmul(128, 64, 128, "NT", batch=64)
    yield _matmul(128, 128, 64, batch=64)
    for m, k, n in ((16, 4096, 1024), (512, 10000, 16), (512, 16, 10000), (64, 64, 4096)):
        yield _matmul(m, k, n)
    yield _matmul(64, 4096, 64)
    yield _matmul(25088, 576, 64)  # convolutions as products of patches
    yield _matmul(6272, 1152, 128)
    for size in (1024, 4096):
        yield _matmul(1, size, size)
        yield _matmul(size, size, 1)


def matmul() -> Iterator[Case]:
    """Each shape once, and whole dense layers."""
    yield from {case.name: case for case in matmul_shapes()}.values()
    for batch, inputs, units in ((1, 13, 64), (32, 784, 512), (128, 784, 512)):
        args = {"batch": batch, "inputs": inputs, "units": units}
        flops = 2.0 * batch * inputs * units
        yield Case(f"dense-relu-{batch}x{inputs}x{units}", MATMUL, "dense", args, flops=flops)


def sparse() -> Iterator[Case]:
    """Product and gradient of the kernel; peers multiply dense, or by their own sparse matrices."""
    for units in (16, 64):
        for dense in (True, False):
            args = {"batch": 512, "inputs": 10000, "per_row": 150, "units": units, "dense": dense}
            name = f"sparse-512x10000x{units}-150-a-row" + ("" if dense else "-own-sparse")
            yield Case(name, SPARSE, "sparse_layer", args, flops=4.0 * 512 * 150 * units)


def conv() -> Iterator[Case]:
    """3x3 convolutions with padding "same", alone and with both gradients, and 2x2 pooling."""
    for batch, side, channels, filters, stride in (
        (32, 28, 1, 32, 1),
        (32, 28, 32, 64, 1),
        (32, 28, 64, 64, 1),
        (32, 14, 128, 128, 1),
        (32, 7, 256, 256, 1),
        (32, 28, 64, 128, 2),
        (1, 28, 32, 64, 1),
    ):
        args = {"x": (batch, side, side, channels), "filters": filters, "stride": stride}
        shape = f"{_text(args['x'])}-{filters}" + (f"-stride{stride}" if stride > 1 else "")  # type: ignore[arg-type]
        out = -(-side // stride)
        flops = 2.0 * batch * out * out * 9 * channels * filters
        yield Case(f"conv3x3-{shape}", CONV, "conv", args, flops=flops)
        yield Case(f"conv3x3-train-{shape}", CONV, "conv_train", args, flops=3 * flops)
    for x in ((32, 28, 28, 64), (128, 28, 28, 32)):
        half = (x[0], x[1] // 2, x[2] // 2, x[3])
        traffic = _traffic(x, half)
        yield Case(f"depthwise3x3-{_text(x)}", CONV, "depthwise", {"x": x}, bytes=_traffic(x, x))
        yield Case(f"max_pool2x2-{_text(x)}", CONV, "max_pool", {"x": x}, bytes=traffic)
        both = 2 * traffic + _traffic(x)
        yield Case(f"max_pool2x2-train-{_text(x)}", CONV, "max_pool_train", {"x": x}, bytes=both)


XOR = {"units": (2, 8, 1), "hidden": "tanh", "output": "sigmoid", "loss": "binary_crossentropy"}
BOSTON = {
    "units": (13, 64, 64, 1),
    "hidden": "relu",
    "output": "linear",
    "loss": "mean_squared_error",
}
MNIST = {
    "units": (784, 512, 10),
    "hidden": "relu",
    "output": "softmax",
    "loss": "categorical_crossentropy",
}


def _mlp_flops(units: Sequence[int], batch: int) -> float:
    """Of the products of one training step; the first layer needs no gradient of its input."""
    pairs = [m * n for m, n in itertools.pairwise(units)]
    return 2.0 * batch * (3 * sum(pairs) - pairs[0])


def models() -> Iterator[Case]:
    """Training steps, steps inside of an epoch, and the four tasks of the course, end to end.

    A step: forward, loss, backward, RMSprop update, the loss on the host. Inside of an epoch: the
    rows are shuffled and gathered, the loss stays.
    """
    for name, model, batch in (("xor", XOR, 4), ("boston", BOSTON, 1), ("mnist", MNIST, 128)):
        units: Sequence[int] = model["units"]  # type: ignore[assignment]
        yield Case(
            f"step-{name}-{'-'.join(map(str, units))}-batch{batch}",
            MODELS,
            "step",
            {**model, "batch": batch},
            flops=_mlp_flops(units, batch),
        )
    for name, model, batch, rows in (
        ("xor", XOR, 4, 8000),
        ("boston", BOSTON, 1, 2000),
        ("mnist", MNIST, 128, 60000),
    ):
        units = model["units"]  # type: ignore[assignment]
        steps = -(-rows // batch)
        yield Case(
            f"fit-{name}-{'-'.join(map(str, units))}-batch{batch}",
            MODELS,
            "epoch",
            {**model, "rows": rows, "batch": batch},
            flops=_mlp_flops(units, rows) / steps,
            seconds=2,
            repeats=steps,
        )
    for name in course.TASKS:
        yield Case(f"course-{name}", MODELS, "course_task", {"name": name}, seconds=2)


def all_cases(table: Sequence[Mapping[str, Any]]) -> list[Case]:
    """Every case once; `table` is `pydl._core.ops`."""
    found: dict[str, Case] = {}
    builders = (elementwise(table), copy(), reduce(), nn(), matmul(), sparse(), conv(), models())
    for case in itertools.chain(*builders):
        if found.setdefault(case.name, case) is not case:
            raise ValueError(f"bench: two cases are called {case.name}")
    return list(found.values())
