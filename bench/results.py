"""The reference results of the course, over several seeds, beside the published ones.

    python -m bench.results                                  all tasks with pydl
    python -m bench.results --tasks boston,imdb --seeds 0,1     some of them
    python -m bench.results --keras PYTHON                   and Keras, in that interpreter

Needs PYDL_DATA_DIR. Each run of a task is a line of bench/results/FRAMEWORK.jsonl, which takes the
place of an older line of the same task and seed; docs/results.md is made of these files. One text
trains with pydl and with Keras, which share names.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median
from typing import Any

import numpy as np

from bench import ROOT, course, machine

FOLDER = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "results.md"
BEGIN, END = "<!-- made by python -m bench.results -->", "<!-- end of what it makes -->"

Values = dict[str, float]
load = lru_cache(maxsize=1)(course.load)


# The tasks: (keras, seed) -> values. `keras` is pydl or Keras.


def digits(keras: Any, seed: int) -> Values:
    x, y, rows = _images()
    model = course.classifier(keras, (512, 10), "softmax")
    model.compile("rmsprop", "categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x[:rows], y[:rows], epochs=5, batch_size=128, verbose=0).history
    loss, accuracy = model.evaluate(x[rows:], y[rows:], verbose=0)
    return {
        "training accuracy": history["accuracy"][-1],
        "training loss": history["loss"][-1],
        "test accuracy": accuracy,
        "test loss": loss,
    }


@lru_cache(maxsize=1)
def _images() -> tuple[np.ndarray, np.ndarray, int]:
    d = course.load("mnist")
    return d["x"].reshape(-1, 784).astype(np.float32) / 255, np.eye(10, dtype="f4")[d["y"]], 60000


@lru_cache(maxsize=1)
def _bags(name: str) -> tuple[np.ndarray, np.ndarray, int]:
    d = course.load(name)
    y = d["y"].astype(np.float32) if name == "imdb" else np.eye(46, dtype="f4")[d["y"]]
    return course.words(d["x"]), y, int(d["rows"])


def _reviews(
    keras: Any, epochs: int, training: slice, held_out: slice | None, model: Any = None
) -> tuple[Any, dict[str, list[float]]]:
    """A network on film reviews, 10000-16-16-1 unless one is given, and its history."""
    x, y, _ = _bags("imdb")
    model = model or course.classifier(keras, (16, 16, 1), "sigmoid")
    model.compile(keras.optimizers.RMSprop(0.001), "binary_crossentropy", metrics=["accuracy"])
    validation = None if held_out is None else (x[held_out], y[held_out])
    history = model.fit(
        x[training], y[training], epochs=epochs, batch_size=512, verbose=0,
        validation_data=validation,
    ).history  # fmt: skip
    return model, history


def imdb(keras: Any, seed: int) -> Values:
    _, history = _reviews(keras, 20, slice(10000, 25000), slice(0, 10000))
    return {**_best(history), "training accuracy": history["accuracy"][-1]}


def imdb_retrained(keras: Any, seed: int) -> Values:
    x, y, rows = _bags("imdb")
    model, _ = _reviews(keras, 4, slice(0, rows), None)
    loss, accuracy = model.evaluate(x[rows:], y[rows:], batch_size=512, verbose=0)
    return {"test accuracy": accuracy, "test loss": loss}


def imdb_regularised(keras: Any, seed: int) -> Values:
    layers = keras.layers
    rows = _bags("imdb")[2]
    found = {}
    for name in ("plain", "L2", "dropout"):
        keras.utils.set_random_seed(seed)
        model = keras.models.Sequential()
        for _ in range(2):
            penalty = keras.regularizers.L2(0.001) if name == "L2" else None
            model.add(layers.Dense(16, activation="relu", kernel_regularizer=penalty))
            if name == "dropout":
                model.add(layers.Dropout(0.5))
        model.add(layers.Dense(1, activation="sigmoid"))
        _, history = _reviews(keras, 20, slice(0, rows), slice(rows, 2 * rows), model)
        found[name] = history["val_loss"][-1]
    return found


def imdb_embedding(keras: Any, seed: int) -> Values:
    layers = keras.layers
    d = load("imdb")
    model = keras.models.Sequential(
        [layers.Embedding(10000, 8), layers.Flatten(), layers.Dense(1, activation="sigmoid")]
    )
    model.compile("rmsprop", "binary_crossentropy", metrics=["accuracy"])
    rows = int(d["rows"])
    x, y = d["last20"][:rows].astype(np.int32), d["y"][:rows].astype(np.float32)
    return _best(model.fit(x, y, epochs=10, batch_size=32, validation_split=0.2, verbose=0).history)


def _best(history: dict[str, Sequence[float]]) -> Values:
    return {
        "best validation accuracy": max(history["val_accuracy"]),
        "last validation accuracy": history["val_accuracy"][-1],
        "least validation loss": min(history["val_loss"]),
        "last validation loss": history["val_loss"][-1],
    }


def _newswires(keras: Any, middle: int, epochs: int, batch_size: int, sparse: bool = False) -> Any:
    x, y, rows = _bags("reuters")
    model = course.classifier(keras, (64, middle, 46), "softmax")
    loss = "sparse_categorical_crossentropy" if sparse else "categorical_crossentropy"
    model.compile("rmsprop", loss, metrics=["accuracy"])
    targets = y.argmax(axis=1) if sparse else y
    history = model.fit(
        x[1000:rows], targets[1000:rows], epochs=epochs, batch_size=batch_size, verbose=0,
        validation_data=(x[:1000], targets[:1000]),
    ).history  # fmt: skip
    return model, history


def reuters(keras: Any, seed: int) -> Values:
    return _best(_newswires(keras, 64, 20, 512)[1])


def reuters_retrained(keras: Any, seed: int) -> Values:
    x, y, rows = _bags("reuters")
    model, history = _newswires(keras, 64, 8, 512)
    loss, accuracy = model.evaluate(x[rows:], y[rows:], batch_size=512, verbose=0)
    keras.utils.set_random_seed(seed)
    _, sparse = _newswires(keras, 64, 8, 512, sparse=True)
    apart = max(
        abs(a - b) for key in history for a, b in zip(history[key], sparse[key], strict=True)
    )
    return {"test accuracy": accuracy, "test loss": loss, "sparse labels": apart}


def reuters_bottleneck(keras: Any, seed: int) -> Values:
    return _best(_newswires(keras, 4, 20, 128)[1])


def _prices(keras: Any, x: Any, y: Any, epochs: int, batch_size: int) -> Any:
    model = course.classifier(keras, (64, 64, 1), "linear")
    model.compile("rmsprop", "mse", metrics=["mae"])
    model.fit(x, y, epochs=epochs, batch_size=batch_size, verbose=0)
    return model


def boston(keras: Any, seed: int) -> Values:
    d = load("boston")
    x, y = d["x"].astype(np.float32), d["y"].astype(np.float32)
    errors = []
    for fold in np.split(np.arange(404), 4):
        rest = np.delete(np.arange(404), fold)
        model = _prices(keras, x[rest], y[rest], 100, 1)
        errors.append(model.evaluate(x[fold], y[fold], verbose=0)[1])
    return {**{f"fold {i + 1}": e for i, e in enumerate(errors)}, "mean": float(np.mean(errors))}


def boston_final(keras: Any, seed: int) -> Values:
    d = {name: array.astype(np.float32) for name, array in load("boston").items()}
    model = _prices(keras, d["x"], d["y"], 80, 16)
    return {"test mae": model.evaluate(d["x_test"], d["y_test"], verbose=0)[1]}


XOR_X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
XOR_Y = np.array([[0], [1], [1], [0]], np.float32)


def _xor(keras: Any, units: tuple[int, ...], steps: int, glorot: bool = False) -> Values:
    """Trains a network of sigmoids by `steps` steps on all four points: loss, accuracy, outputs."""
    normal = keras.initializers.RandomNormal
    model = keras.models.Sequential()
    for n in units:
        initial = {} if glorot else {
            "kernel_initializer": normal(0.0, 1.0), "bias_initializer": normal(0.0, 1.0)
        }  # fmt: skip
        model.add(keras.layers.Dense(n, activation="sigmoid", **initial))
    model.compile(keras.optimizers.SGD(0.1), "binary_crossentropy", metrics=["accuracy"])
    # The four points again and again, in batches of four: one step each, in one epoch.
    model.fit(
        np.tile(XOR_X, (steps, 1)),
        np.tile(XOR_Y, (steps, 1)),
        batch_size=4,
        shuffle=False,
        verbose=0,
    )
    loss, accuracy = model.evaluate(XOR_X, XOR_Y, verbose=0)
    outputs = np.asarray(model(XOR_X))[:, 0]
    return {
        "loss": loss,
        "accuracy": accuracy,
        **{f"output {i}": float(o) for i, o in enumerate(outputs)},
    }


def xor_single(keras: Any, seed: int) -> Values:
    found = _xor(keras, (1,), 10000)
    outputs = [value for key, value in found.items() if key.startswith("output")]
    return {
        **found,
        "loss off log 2": abs(found["loss"] - float(np.log(2))),
        "outputs off 0.5": max(abs(o - 0.5) for o in outputs),
    }


def xor_small(keras: Any, seed: int) -> Values:
    nets = 80 if keras.__name__ == "pydl" else 10  # networks of this seed
    found: dict[str, list[bool]] = {"N(0, 1)": [], "Glorot": []}
    for i in range(nets):
        for name, solved in found.items():
            keras.utils.set_random_seed(seed * nets + i)
            solved.append(_xor(keras, (2, 1), 10001, glorot=name == "Glorot")["accuracy"] == 1)
    return {name: float(np.mean(solved)) for name, solved in found.items()}


def xor_deep(keras: Any, seed: int) -> Values:
    found = _xor(keras, (10, 10, 10, 1), 10001)
    keras.utils.set_random_seed(seed)
    return {**found, "Glorot loss": _xor(keras, (10, 10, 10, 1), 10001, glorot=True)["loss"]}


def one_epoch(keras: Any, seed: int) -> Values:
    layers = keras.layers
    x, y, rows = _images()
    normal = keras.initializers.RandomNormal(0.0, 0.05)
    variants: dict[str, tuple[int, int, str, Any, Any]] = {
        "sigmoid": (2, 256, "sigmoid", normal, None),
        "relu": (2, 256, "relu", normal, None),
        "relu Glorot": (2, 256, "relu", "glorot_uniform", None),
        "4x512": (4, 512, "relu", "glorot_uniform", None),
        "4x512 dropout": (4, 512, "relu", "glorot_uniform", "dropout"),
        "4x512 batch norm": (4, 512, "relu", "glorot_uniform", "batch norm"),
    }
    found = {}
    for name, (depth, units, activation, initial, extra) in variants.items():
        keras.utils.set_random_seed(seed)
        model = keras.models.Sequential()
        for _ in range(depth):
            model.add(layers.Dense(units, kernel_initializer=initial))
            if extra == "batch norm":
                model.add(layers.BatchNormalization())
            model.add(layers.Activation(activation))
            if extra == "dropout":
                model.add(layers.Dropout(0.5))
        model.add(layers.Dense(10, kernel_initializer=initial))
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(0.001), loss, metrics=["accuracy"])
        model.fit(x[:rows], y[:rows], epochs=1, batch_size=128, verbose=0)
        found[name] = model.evaluate(x[rows:], y[rows:], batch_size=1000, verbose=0)[1]
    return found


TASKS: dict[str, Callable[[Any, int], Values]] = {
    f.__name__: f
    for f in (
        digits, imdb, imdb_retrained, imdb_regularised, imdb_embedding, reuters, reuters_retrained,
        reuters_bottleneck, boston, boston_final, xor_single, xor_small, xor_deep, one_epoch,
    )
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A line of the table: a value of a task, what was published, and where the median must lie."""

    title: str
    task: str
    key: str
    published: str
    low: float
    high: float


def _near(title: str, key: str, first: float, second: float) -> Row:
    low, high = sorted((first, second))
    published = f"{first} / {second}"
    return Row(f"MNIST, 1 epoch: {title}", "one_epoch", key, published, low - 0.01, high + 0.01)


ROWS = [
    Row("digits: test accuracy", "digits", "test accuracy", "0.9777 / 0.9789", 0.976, 0.984),
    Row("reviews: best validation accuracy", "imdb", "best validation accuracy", "0.8908 / 0.8897",
        0.883, 0.893),
    Row("reviews: least validation loss", "imdb", "least validation loss", "0.2735 / 0.2840",
        0.265, 0.290),
    Row("reviews, retrained: test accuracy", "imdb_retrained", "test accuracy", "0.8850 / 0.8735",
        0.870, 0.890),
    Row("reviews, 20 words through an embedding: best validation accuracy", "imdb_embedding",
        "best validation accuracy", "0.7594 / 0.7538", 0.745, 0.765),
    Row("newswires: best validation accuracy", "reuters", "best validation accuracy",
        "0.815 / 0.815", 0.80, 0.83),
    Row("newswires, retrained: test accuracy", "reuters_retrained", "test accuracy",
        "0.7769 / 0.7756", 0.770, 0.800),
    Row("newswires, retrained: sparse labels, largest difference", "reuters_retrained",
        "sparse labels", "", 0.0, 0.0),
    Row("newswires, 4 units: best validation accuracy", "reuters_bottleneck",
        "best validation accuracy", "0.711 / 0.715", 0.55, 0.75),
    Row("prices, 4 folds: mean absolute error", "boston", "mean", "2.384 / 2.395", 2.2, 2.6),
    Row("prices, final: test mean absolute error", "boston_final", "test mae", "2.553 / 2.675",
        2.4, 3.0),
    Row("XOR, one unit: loss, off log 2", "xor_single", "loss off log 2", "0", 0.0, 1e-4),
    Row("XOR, one unit: outputs, off 0.5", "xor_single", "outputs off 0.5", "0", 0.0, 1e-4),
    Row("XOR, 2-2-1, N(0, 1): share of the seeds that solve it", "xor_small", "N(0, 1)", "0.63",
        0.53, 0.73),
    Row("XOR, 2-2-1, Glorot: share of the seeds that solve it", "xor_small", "Glorot", "0.74",
        0.64, 0.84),
    Row("XOR, 2-10-10-10-1, N(0, 1): loss", "xor_deep", "loss", "0.0012", 0.0, 0.005),
    Row("XOR, 2-10-10-10-1, Glorot: loss (does not converge)", "xor_deep", "Glorot loss", "0.693",
        0.6, 0.7),
    _near("256-256 sigmoid N(0, 0.05)", "sigmoid", 0.923, 0.924),
    _near("256-256 relu N(0, 0.05)", "relu", 0.960, 0.956),
    _near("256-256 relu Glorot", "relu Glorot", 0.961, 0.961),
    _near("4x512 relu Glorot", "4x512", 0.969, 0.968),
    _near("the same, dropout 0.5", "4x512 dropout", 0.949, 0.956),
    _near("the same, batch norm", "4x512 batch norm", 0.975, 0.969),
    Row("reviews, test set as validation, plain: last loss", "imdb_regularised", "plain",
        "0.769 / 0.973", 0.0, float("inf")),
    Row("the same, dropout 0.5", "imdb_regularised", "dropout", "0.536 / 0.575", 0.0, float("inf")),
    Row("the same, L2 0.001", "imdb_regularised", "L2", "0.420 / 0.441", 0.0, float("inf")),
]  # fmt: skip

# What must hold between medians: the text, and groups of (task, key), each below the next one.
RELU_NETWORKS = ("relu", "relu Glorot", "4x512", "4x512 dropout", "4x512 batch norm")
ORDERS = [
    ("the bottleneck is below the wide network",
     [[("reuters_bottleneck", "best validation accuracy")],
      [("reuters", "best validation accuracy")]]),
    ("L2 < dropout < plain", [[("imdb_regularised", k)] for k in ("L2", "dropout", "plain")]),
    ("sigmoid is below every relu network of one epoch",
     [[("one_epoch", "sigmoid")], [("one_epoch", k) for k in RELU_NETWORKS]]),
]  # fmt: skip


def read(framework: str) -> dict[str, list[dict[str, Any]]]:
    """The lines of a framework's file by task, in the order of the seeds."""
    path = FOLDER / f"{framework}.jsonl"
    found: dict[str, list[dict[str, Any]]] = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        record = json.loads(line)
        found.setdefault(record["task"], []).append(record)
    return found


def write(framework: str, record: dict[str, Any]) -> None:
    """Put a line into a framework's file, in place of an older one of the same task and seed."""
    records = read(framework)
    lines = records.setdefault(record["task"], [])
    lines[:] = sorted(
        [r for r in lines if r["seed"] != record["seed"]] + [record], key=lambda r: r["seed"]
    )
    FOLDER.mkdir(exist_ok=True)
    text = "".join(json.dumps(r) + "\n" for task in TASKS if task in records for r in records[task])
    (FOLDER / f"{framework}.jsonl").write_text(text)


def work(framework: str, tasks: Sequence[str], seeds: Sequence[int]) -> None:
    """Run tasks in this process."""
    keras = importlib.import_module(framework)
    commit = machine.commit()  # before the first result changes a file
    for name in tasks:
        for seed in seeds:
            keras.utils.set_random_seed(seed)
            start = time.perf_counter()
            values = TASKS[name](keras, seed)
            seconds = time.perf_counter() - start
            record = {
                "task": name, "seed": seed, "values": values, "seconds": round(seconds, 2),
                "version": keras.__version__, "commit": commit, "cpu": machine.cpu_name(),
            }  # fmt: skip
            if framework == "keras":
                record["version"] += f" ({keras.backend.backend()})"
            write(framework, record)
            text = ", ".join(f"{key} {value:.4g}" for key, value in values.items())
            print(f"{framework} {name} seed {seed} ({seconds:.1f} s): {text}", flush=True)


def _values(records: dict[str, list[dict[str, Any]]], task: str, key: str) -> list[float]:
    return [r["values"][key] for r in records.get(task, []) if key in r["values"]]


def _cell(values: Sequence[float]) -> str:
    if not values:
        return "not measured"
    if min(values) == max(values):
        return f"{values[0]:.4g}"
    return f"{median(values):.4g} ({min(values):.4g} to {max(values):.4g})"


def _band(row: Row) -> str:
    if row.high == float("inf"):
        return ""
    return f"{row.low:.4g}" if row.low == row.high else f"{row.low:.4g} to {row.high:.4g}"


def table() -> str:
    """The part of docs/results.md that is made of the files."""
    ours, theirs = read("pydl"), read("keras")
    about = [r for records in ours.values() for r in records]
    peers = {f"Keras {r['version']}" for records in theirs.values() for r in records}
    lines = [
        BEGIN,
        "",
        f"| | pydl: median (least to largest) | band | | published | {', '.join(sorted(peers))} |",
        "|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        values = _values(ours, row.task, row.key)
        verdict = ""
        if values and _band(row):
            verdict = "in" if row.low <= median(values) <= row.high else "**out**"
        lines.append(
            f"| {row.title} | {_cell(values)} | {_band(row)} | {verdict} | {row.published} | "
            f"{_cell(_values(theirs, row.task, row.key))} |"
        )
    lines += ["", "Of the medians:", ""]
    for text, order in ORDERS:
        lines.append(f"- {text}: {_in_order(ours, order)}.")
    seeds = sorted({r["seed"] for r in about})
    commits = sorted({r["commit"] for r in about})
    cpus = sorted({r["cpu"] for r in about})
    lines += [
        "",
        f"Seeds {', '.join(map(str, seeds))}; {', '.join(cpus)}; commit {', '.join(commits)}.",
    ]
    fewer = {name: len(records) for name, records in theirs.items() if len(records) < len(seeds)}
    if fewer:
        lines.append(
            "Keras ran fewer seeds of " + ", ".join(f"{k} ({n})" for k, n in fewer.items()) + "."
        )
    lines += ["", END]
    return "\n".join(lines)


def _in_order(records: dict[str, list[dict[str, Any]]], groups: list[list[Any]]) -> str:
    medians = []
    for group in groups:
        values = [_values(records, task, key) for task, key in group]
        if not all(values):
            return "not measured"
        medians.append([median(v) for v in values])
    holds = all(max(a) < min(b) for a, b in itertools.pairwise(medians))
    figures = " < ".join("/".join(f"{m:.4g}" for m in group) for group in medians)
    return figures if holds else f"**does not hold**: {figures}"


def write_page() -> None:
    """Put the table into docs/results.md; what stands around it stays."""
    text = PAGE.read_text() if PAGE.exists() else f"# Results\n\n{BEGIN}\n{END}\n"
    head, rest = text.split(BEGIN)
    PAGE.write_text(head + table() + rest.split(END)[1])
    print(f"wrote {PAGE.relative_to(ROOT)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", default=",".join(TASKS), help="names, separated by commas")
    parser.add_argument("--seeds", default="0,1,2,3,4", help="numbers, separated by commas")
    parser.add_argument("--keras", metavar="PYTHON", help="an interpreter that has Keras")
    parser.add_argument("--only", choices=["pydl", "keras"], help="only this framework")
    parser.add_argument("--page", action="store_true", help="only make the page of the files")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    tasks = args.tasks.split(",")
    unknown = [name for name in tasks if name not in TASKS]
    if unknown:
        parser.error(f"unknown tasks {unknown}; there are {', '.join(TASKS)}")
    seeds = [int(seed) for seed in args.seeds.split(",")]
    if args.worker:
        work("keras", tasks, seeds)
        return
    if not args.page:
        if not os.environ.get(course.VARIABLE):
            os.environ[course.VARIABLE] = course.prepare() or parser.error(
                "PYDL_DATA_DIR is not set"
            )
        if args.only != "keras":
            work("pydl", tasks, seeds)
        if args.keras:
            command = [args.keras, "-m", "bench.results", "--worker"]
            command += ["--tasks", args.tasks, "--seeds", args.seeds]
            environment = {"KERAS_BACKEND": "jax", **os.environ}
            subprocess.run(command, cwd=ROOT, env=environment, check=True)
    write_page()


if __name__ == "__main__":
    sys.exit(main())
