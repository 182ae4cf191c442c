"""Whole models: saved, loaded, and as text."""

from __future__ import annotations

import contextlib
import importlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from pydl import random
from pydl.layers.base import layer_classes
from pydl.layers.nest import map_shapes
from pydl.layers.weights import blank_weights
from pydl.registry import custom_object_scope, serialize
from pydl.saving import container, partial, state
from pydl.saving.files import checked_path
from pydl.saving.plain import pack
from pydl.warn import warn


def save_model(model: Any, path: Any, overwrite: bool = True) -> None:
    """Write architecture, weights, compile settings and the state of the training to a file.

    See `Model.save`.
    """
    _may_write("save", path, overwrite)
    _need_weights("save", model)
    arrays, numbers = state.capture(model)
    content = {
        "kind": "model",
        "model": _architecture("save", model),
        "trainable": [layer._trainable for _, layer in state.layer_paths(model)],
        "compile": pack("save", model.get_compile_config(), "compile"),
        "trained": model._trained_flags([layer for _, layer in state.layer_paths(model)]),
        "no_decay": _no_decay(model),
        "training": numbers,
        "layers": partial.names_by_layer(model),
    }
    container.write("save", path, content, arrays)


def _no_decay(model: Any) -> tuple[list[str], list[str]]:
    """Return the weights and the patterns that the optimizer leaves out of weight decay.

    Warns if the optimizer knows Variables that are not the model's.
    """
    optimizer = model.optimizer if model.compiled else None
    if optimizer is None:
        return [], []
    names = {id(w): name for name, (_, w) in state.named_weights(model).items()}
    if any(id(v) not in names for v in optimizer._variables):
        warn(
            f"save: the optimizer of {model.name!r} also has state of variables outside the model, "
            "which the file does not hold"
        )
    return [names[i] for i in optimizer._no_decay if i in names], list(optimizer._no_decay_names)


def load_model(
    path: Any, custom_objects: Mapping[str, Any] | None = None, compile: bool = True
) -> Any:
    """Return the model that `Model.save` wrote, ready to go on with its training.

    Nothing in the file is executed: it names classes and functions, which must be pydl's,
    registered (`utils.register_keras_serializable`), or among `custom_objects`; classes are found
    also in modules that are imported. The global random generator is left as it is; see
    `Model.save`.

    Args:
        path: The file.
        custom_objects: {name: class or function} of the user.
        compile: Also restore the compile settings and the optimizer.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, was saved by a later version or by something else, or names
            a class that is not known.

    >>> import os, tempfile
    >>> from pydl import layers, models
    >>> model = models.Sequential([layers.Input((3,)), layers.Dense(2)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     model.save(path)
    ...     copy = load_model(path)
    >>> bool((copy.get_weights()[0] == model.get_weights()[0]).all())
    True
    """
    who = "load_model"
    content, arrays = container.read(who, path)
    if content.get("kind") != "model":
        raise ValueError(
            f"{who}: {str(path)!r} holds {content.get('kind')!r}, not a whole model; make the "
            "model and call model.load_weights"
        )
    # Twice, for layers that build themselves again.
    room = 2 * sum(a.nbytes for name, a in arrays.items() if name.startswith("weights/"))
    with custom_object_scope(custom_objects), _reading(who, path):
        with blank_weights(room):
            model = _from_architecture(content["model"])
        _set_trainable(model, content["trainable"], content["trained"])
        numbers = dict(content["training"])
        settings = content["compile"]
        if compile and settings is not None:
            model.compile_from_config(settings)
            model._set_trained_flags(content["trained"])
            names, patterns = content["no_decay"]
            weights = state.named_weights(model)
            model.optimizer.exclude_from_weight_decay([weights[n][1] for n in names], patterns)
        else:
            numbers.pop("gradients_accumulated", None)
        generator = arrays[state.GLOBAL_RANDOM]
        if generator.shape != (3,) or generator.dtype != np.uint64:
            raise ValueError("the state of the random generator is not one")
        state.restore(who, model, arrays, numbers)
    model._random_then = (model.epochs_done, random.settings_of_seed(), generator)
    return model


def save_weights(model: Any, path: Any, overwrite: bool = True) -> None:
    """Write the weights alone to a file. See `Model.save_weights`."""
    _may_write("save_weights", path, overwrite)
    _need_weights("save_weights", model)
    content = {"kind": "weights", "layers": partial.names_by_layer(model)}
    container.write("save_weights", path, content, state.weight_arrays(model))


def load_weights(model: Any, path: Any, skip_mismatch: bool = False, by_name: bool = False) -> None:
    """Set the weights from a file. See `Model.load_weights`."""
    who = "load_weights"
    _need_weights(who, model)
    content, arrays = container.read(who, path)
    if not (skip_mismatch or by_name):
        state.restore_weights(who, model, arrays)
        return
    if by_name and "layers" not in content:
        raise ValueError(
            f"{who}: {str(path)!r} does not say what its layers are called; load it without "
            "by_name, and save it again"
        )
    with _naming(who):
        layers = content["layers"] if by_name else None
        weights = {
            n.removeprefix("weights/"): a for n, a in state.under("weights/", arrays).items()
        }
        left_out = partial.restore_fitting(who, model, weights, layers, skip_mismatch)
    if left_out:
        warn(f"{who}: left out: {'; '.join(left_out)}")


def to_json(model: Any, **options: Any) -> str:
    """Return the architecture as text. See `Model.to_json`."""
    return json.dumps(_architecture("to_json", model), **options)


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Return a new model, with new weights, of the architecture that `to_json` described.

    Args:
        json_string: What `to_json` returned.
        custom_objects: {name: class or function} of the user.

    Raises:
        ValueError: The text is not such an architecture.

    >>> from pydl import layers, models
    >>> text = models.Sequential([layers.Input((3,)), layers.Dense(2)]).to_json()
    >>> model_from_json(text).count_params()
    8
    """
    who = "model_from_json"
    try:
        architecture = json.loads(json_string)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{who}: the text is not JSON: {error}") from error
    with custom_object_scope(custom_objects), _naming(who):
        return _from_architecture(architecture)


def clone_model(model: Any) -> Any:
    """Return a model of the same architecture with new weights; it is not compiled.

    >>> from pydl import layers, models
    >>> clone_model(models.Sequential([layers.Input((3,)), layers.Dense(2)])).output_shape
    (None, 2)
    """
    copy = type(model).from_config(model.get_config())
    return _built(copy, vars(model).get("_built_for"))


def _architecture(who: str, model: Any) -> dict[str, Any]:
    """Return class, configuration and input shape of a model as plain data."""
    try:
        config = serialize(model)
    except NotImplementedError as error:
        raise NotImplementedError(f"{who}: {error}; save_weights works without it") from error
    return {
        **pack(who, config, "model"),
        "input_shape": pack(who, vars(model).get("_built_for"), "input_shape"),
    }


def _from_architecture(architecture: Any) -> Any:
    """Return the model that `_architecture` described, built if its input shape was known."""
    importlib.import_module("pydl.models")  # which makes the classes of models known
    if not isinstance(architecture, Mapping):
        raise ValueError(f"the architecture must be a dictionary, got {architecture!r}")
    model = layer_classes.get(architecture)
    if not hasattr(model, "compile_from_config"):
        raise ValueError(f"{architecture['class_name']!r} is a layer, not a model")
    return _built(model, architecture.get("input_shape"))


def _built(model: Any, shape: Any) -> Any:
    """Return the model, built for an input shape if that is known and it is not built yet."""
    if shape is not None and not model.built:
        model.build(map_shapes(tuple, shape))
    return model


def _set_trainable(model: Any, flags: Any, trained: Any) -> None:
    """Freeze the layers that were frozen."""
    layers = [layer for _, layer in state.layer_paths(model)]
    for given in (flags, trained):
        if given is not None and [type(flag) for flag in given] != [bool] * len(layers):
            raise ValueError(f"trainable: expected {len(layers)} truth values, got {given!r:.80}")
    for layer, flag in zip(layers, flags, strict=True):
        layer._trainable = flag


def _may_write(who: str, path: Any, overwrite: bool) -> None:
    """Raise unless a file may be written there."""
    target = checked_path(who, path)
    if target.is_dir():
        raise IsADirectoryError(f"{who}: {str(path)!r} is a folder; name a file in it")
    if not overwrite and target.exists():
        raise FileExistsError(f"{who}: {str(path)!r} exists; pass overwrite=True to replace it")


def _need_weights(who: str, model: Any) -> None:
    """Raise ValueError unless the weights are made."""
    if not model.built:
        raise ValueError(
            f"{who}: {model.label} is not built, so it has no weights yet; call it on data, or "
            "model.build(input_shape), first"
        )


@contextlib.contextmanager
def _naming(who: str, where: str = "") -> Iterator[None]:
    """Turn any error about what a text or file describes into a ValueError that says so."""
    try:
        yield
    except Exception as error:  # a configuration can be wrong in any way
        text = str(error) or type(error).__name__
        if isinstance(error, KeyError):
            text = f"{text} is missing"
        raise ValueError(f"{who}: {where}{text.removeprefix(f'{who}: ')}") from error


@contextlib.contextmanager
def _reading(who: str, path: Any) -> Iterator[None]:
    """As `_naming`; leaves the global random generator as it was."""
    before = random.global_state()
    try:
        with _naming(who, f"{str(path)!r}: "):
            yield
    finally:
        random.set_global_state(before)
