"""check_layer: the whole life of a layer, from its arguments to a restored copy."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import pydl
from pydl import layers, models
from pydl.autograd import gradients, no_grad


def check_layer(
    layer_class: type[layers.Layer],
    init_kwargs: dict[str, Any],
    input_shape: tuple[int, ...],
    *,
    output_shape: tuple[int, ...],
    weights: dict[str, tuple[int, ...]] | None = None,
    trainable: int | None = None,
    expected: Callable[..., np.ndarray] | None = None,
    training: bool = False,
    differentiable: bool = True,
) -> layers.Layer:
    """Run a layer in float64 from building to restoring, and return it.

    Args:
        layer_class: The class.
        init_kwargs: Its arguments.
        input_shape: Shape of the input, batch axis first.
        output_shape: Shape of the output.
        weights: Name and shape of each weight, in order.
        trainable: How many of them are trainable; None means all.
        expected: NumPy function of (inputs, *weights) that the output must equal.
        training: Mode of the comparison and of the gradients.
        differentiable: Whether to check gradients and a training step.
    """
    weights = weights or {}
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal(input_shape)
    layer = layer_class(**init_kwargs, dtype="float64")
    assert not layer.built or not weights

    _check_building(layer, inputs, output_shape, weights, trainable)
    for weight in layer.weights:  # away from zeros and ones, where a mistake may not show
        weight.assign(weight.numpy() + rng.uniform(0.1, 0.3, weight.shape))
    values = layer.get_weights()
    if expected is not None:
        with no_grad():
            outputs = layer(inputs, training=training).numpy()
        wanted = expected(inputs, *values)
        scale = max(1.0, np.abs(inputs).max(initial=0)) * max(
            [1.0, *(np.abs(v).max() for v in values)]
        )
        bound = 64 * np.finfo(np.float64).eps * scale * max(input_shape[-1:], default=1)
        np.testing.assert_allclose(outputs, wanted, rtol=0, atol=bound)
    layer.set_weights(values)
    if differentiable:
        _check_gradients(layer, inputs, values, training, rng)
        _check_training_step(layer, inputs)
    _check_round_trip(layer, inputs)
    return layer


def _check_building(
    layer: layers.Layer,
    inputs: np.ndarray,
    output_shape: tuple[int, ...],
    weights: dict[str, tuple[int, ...]],
    trainable: int | None,
) -> None:
    """Shapes, names, order and numbers of weights, and the shape promised without running."""
    batch_free = (None, *inputs.shape[1:])
    assert layer.compute_output_shape(inputs.shape) == output_shape
    outputs = layer(inputs)
    assert layer.built
    assert outputs.shape == output_shape
    assert layer.input_shape == batch_free
    assert layer.output_shape == (None, *output_shape[1:])
    assert [w.name for w in layer.weights] == list(weights)
    assert [w.shape for w in layer.weights] == list(weights.values())
    count = len(weights) if trainable is None else trainable
    assert layer.trainable_weights == layer.weights[:count]
    assert layer.non_trainable_weights == layer.weights[count:]
    assert layer.count_params() == sum(int(np.prod(s)) for s in weights.values())
    layer.trainable = False
    assert layer.trainable_weights == []
    assert layer.non_trainable_weights == layer.weights
    layer.trainable = True
    assert layer.trainable_weights == layer.weights[:count]


def _check_gradients(
    layer: layers.Layer,
    inputs: np.ndarray,
    values: Sequence[np.ndarray],
    training: bool,
    rng: np.random.Generator,
) -> None:
    """Compare backward with central differences along a random direction, weights and inputs."""
    trained = layer.trainable_weights
    places = [i for i, w in enumerate(layer.weights) if any(w is t for t in trained)]
    direction = [rng.standard_normal(np.shape(values[i])) for i in places]
    input_direction = rng.standard_normal(inputs.shape)

    def run(step: float, cotangent: np.ndarray | None = None) -> Any:
        moved = list(values)
        for place, change in zip(places, direction, strict=True):
            moved[place] = values[place] + step * change
        layer.set_weights(moved)
        x = pydl.tensor(inputs + step * input_direction, requires_grad=cotangent is not None)
        outputs = layer(x, training=training)
        if cotangent is None:
            return outputs.numpy()
        return gradients(outputs, [x, *trained], cotangent)

    with no_grad():
        cotangent = rng.standard_normal(run(0.0).shape)
        step = 1e-5
        # The difference of two values each rounded to eps |phi|, divided by 2 step; plus the third
        # derivative times step^2.
        phi = {t: float((cotangent * run(t)).sum()) for t in (-step, -step / 2, step / 2, step)}
    coarse = (phi[step] - phi[-step]) / (2 * step)
    fine = (phi[step / 2] - phi[-step / 2]) / step
    found = run(0.0, cotangent)
    along = [input_direction, *direction]
    terms = [g.numpy() * d for g, d in zip(found, along, strict=True) if g is not None]
    exact = float(sum(t.sum() for t in terms))
    size = float(sum(np.abs(t).sum() for t in terms)) + max(map(abs, phi.values()))
    rounding = 256 * np.finfo(np.float64).eps * size / step
    assert abs(exact - fine) <= 4 * abs(fine - coarse) + rounding, (exact, fine, coarse)
    layer.set_weights(values)


def _check_training_step(layer: layers.Layer, inputs: np.ndarray) -> None:
    """One step of gradient descent on the sum of squares lowers it."""
    trained = layer.trainable_weights
    if not trained:
        return

    def loss() -> pydl.Tensor:
        return pydl.mean(pydl.square(layer(inputs, training=True)))

    with pydl.GradientTape() as tape:
        before = loss()
    grads = tape.gradient(before, trained)
    assert all(g is not None for g in grads)
    size = sum(float((g.numpy() ** 2).sum()) for g in grads)
    start = layer.get_weights()
    for weight, gradient in zip(trained, grads, strict=True):
        weight.assign_sub(1e-4 * gradient.numpy() / max(size, 1e-12) ** 0.5)
    with no_grad():
        assert loss().item() < before.item()
    layer.set_weights(start)


def _check_round_trip(layer: layers.Layer, inputs: np.ndarray) -> None:
    """The configuration is plain data and, with the weights, makes an equal layer."""
    config = layer.get_config()
    assert json.loads(json.dumps(config)) == config
    copies = [
        type(layer).from_config(config),
        layers.deserialize(json.loads(json.dumps(layers.serialize(layer)))),
    ]
    with no_grad():
        outputs = layer(inputs).numpy()
        for copy in copies:
            assert type(copy) is type(layer)
            assert copy.name == layer.name
            assert copy.get_config() == config
            copy(inputs)
            copy.set_weights(layer.get_weights())
            np.testing.assert_array_equal(copy(inputs).numpy(), outputs)
        if isinstance(inputs, np.ndarray) and inputs.size:
            model = models.Sequential([copies[0]])
            model(inputs)
            with tempfile.TemporaryDirectory() as folder:
                model.save(f"{folder}/model.safetensors")
                saved = models.load_model(f"{folder}/model.safetensors")
            assert saved.get_config() == model.get_config()
            np.testing.assert_array_equal(saved.layers[0](inputs).numpy(), outputs)
