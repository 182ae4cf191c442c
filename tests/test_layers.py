"""Layers: values, shapes, weights, gradients, moving statistics, arguments and error texts."""

from __future__ import annotations

import numpy as np
import pytest
from errors import raises
from hypothesis import given
from hypothesis import strategies as st
from layer_checks import check_layer

import pydl
from pydl import layers, regularizers
from pydl.layers.base import layer_names


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0)


tanh = np.tanh


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.fixture(autouse=True)
def _fresh_names():
    layer_names.reset()


# Each layer's life


@pytest.mark.parametrize(
    ("kwargs", "shape", "out", "expected"),
    [
        ({"units": 3}, (4, 5), (4, 3), lambda x, w, b: x @ w + b),
        ({"units": 3, "activation": "relu"}, (4, 5), (4, 3), lambda x, w, b: relu(x @ w + b)),
        ({"units": 1, "activation": "sigmoid"}, (4, 1), (4, 1), lambda x, w, b: sigmoid(x @ w + b)),
        ({"units": 7, "activation": "tanh"}, (2, 3, 5), (2, 3, 7), lambda x, w, b: tanh(x @ w + b)),
        ({"units": 4, "activation": "softmax"}, (3, 5), (3, 4), lambda x, w, b: softmax(x @ w + b)),
        ({"units": 2, "activation": "elu"}, (2, 2, 2, 3), (2, 2, 2, 2), None),
        ({"units": 2, "activation": "gelu"}, (2, 3), (2, 2), None),
    ],
)
def test_dense(kwargs, shape, out, expected):
    weights = {"kernel": (shape[-1], kwargs["units"]), "bias": (kwargs["units"],)}
    check_layer(layers.Dense, kwargs, shape, output_shape=out, weights=weights, expected=expected)


def test_dense_without_bias_and_with_everything_set():
    kwargs = {
        "units": 3,
        "use_bias": False,
        "activation": "swish",
        "kernel_initializer": pydl.initializers.HeNormal(seed=3),
        "kernel_regularizer": "l2",
        "activity_regularizer": regularizers.L1(0.5),
        "kernel_constraint": "max_norm",
        "input_shape": (5,),
    }
    layer = check_layer(
        layers.Dense, kwargs, (4, 5), output_shape=(4, 3), weights={"kernel": (5, 3)}
    )
    config = layer.get_config()
    assert config["activation"] == "silu"
    assert config["kernel_initializer"] == {"class_name": "HeNormal", "config": {"seed": 3}}
    assert config["kernel_regularizer"] == {"class_name": "L2", "config": {"l2": 0.01}}
    assert config["kernel_constraint"] == {
        "class_name": "MaxNorm",
        "config": {"max_value": 2, "axis": 0},
    }
    assert config["batch_input_shape"] == [None, 5]
    assert layer.bias is None


@pytest.mark.parametrize(
    ("cls", "kwargs", "expected"),
    [
        (layers.Activation, {"activation": "tanh"}, np.tanh),
        (layers.Activation, {"activation": "softmax"}, softmax),
        (layers.ReLU, {}, lambda x: np.maximum(x, 0)),
        (
            layers.ReLU,
            {"max_value": 1.0, "negative_slope": 0.5, "threshold": 0.25},
            lambda x: np.where(x >= 0.25, np.minimum(x, 1), 0.5 * (x - 0.25)),
        ),
        (layers.LeakyReLU, {}, lambda x: np.where(x > 0, x, 0.3 * x)),
        (layers.LeakyReLU, {"negative_slope": 0.1}, lambda x: np.where(x > 0, x, 0.1 * x)),
        (layers.ELU, {"alpha": 0.5}, lambda x: np.where(x > 0, x, 0.5 * np.expm1(x))),
        (layers.Softmax, {}, softmax),
        (layers.Softmax, {"axis": 1}, lambda x: np.moveaxis(softmax(np.moveaxis(x, 1, -1)), -1, 1)),
        (layers.Softmax, {"axis": (1, 2)}, lambda x: softmax(x.reshape(2, -1)).reshape(x.shape)),
        (layers.Identity, {}, lambda x: x),
        (layers.Dropout, {"rate": 0.5}, lambda x: x),
    ],
)
def test_layers_without_weights(cls, kwargs, expected):
    check_layer(cls, kwargs, (2, 3, 4), output_shape=(2, 3, 4), expected=expected)


@pytest.mark.parametrize(
    ("shared", "shape"), [(None, (3, 4)), (1, (1, 4)), ((2,), (3, 1)), ([1, 2], (1, 1))]
)
def test_prelu(shared, shape):
    check_layer(
        layers.PReLU,
        {"shared_axes": shared},
        (2, 3, 4),
        output_shape=(2, 3, 4),
        weights={"alpha": shape},
        expected=lambda x, a: np.where(x > 0, x, a * x),
    )


def test_flatten_and_reshape():
    def flatten(shape, out):
        check_layer(layers.Flatten, {}, shape, output_shape=out, expected=lambda x: x.reshape(out))

    flatten((2, 3, 4), (2, 12))
    flatten((2, 3), (2, 3))
    flatten((5,), (5, 1))
    flatten((2, 0, 4), (2, 0))
    check_layer(
        layers.Flatten,
        {"data_format": "channels_first"},
        (2, 3, 4, 5),
        output_shape=(2, 60),
        expected=lambda x: np.moveaxis(x, 1, -1).reshape(2, 60),
    )
    for target in ((4, 3), (-1, 3), (4, -1), (2, 1, 6), (-1,), (12,)):
        result = np.zeros((2, 12)).reshape(2, *target).shape
        check_layer(
            layers.Reshape,
            {"target_shape": target},
            (2, 12),
            output_shape=result,
            expected=lambda x, result=result: x.reshape(result),
        )
    assert layers.Reshape((-1, 3)).compute_output_shape((None, None, 3)) == (None, None, 3)
    assert layers.Flatten().compute_output_shape((None, None, 3)) == (None, None)
    assert layers.Flatten()(np.zeros((0, 3, 4))).shape == (0, 12)
    assert layers.Reshape((3, 4))(np.zeros((0, 12))).shape == (0, 3, 4)


@pytest.mark.parametrize(
    ("shape", "axis", "channels"), [((6, 4), -1, 4), ((3, 5, 4), -1, 4), ((3, 5, 4), 1, 5)]
)
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("scale", [True, False])
def test_batch_normalization(shape, axis, channels, training, center, scale):
    names = ["gamma"] * scale + ["beta"] * center + ["moving_mean", "moving_variance"]

    def expected(x, *weights):
        w = dict(zip(names, weights, strict=True))
        x = np.moveaxis(x, axis, -1)
        mean, variance = w["moving_mean"], w["moving_variance"]
        if training:
            over = tuple(range(x.ndim - 1))
            mean, variance = x.mean(over), x.var(over)
        y = (x - mean) / np.sqrt(variance + 1e-3) * w.get("gamma", 1.0) + w.get("beta", 0.0)
        return np.moveaxis(y, -1, axis)

    check_layer(
        layers.BatchNormalization,
        {"axis": axis, "center": center, "scale": scale},
        shape,
        output_shape=shape,
        weights=dict.fromkeys(names, (channels,)),
        trainable=center + scale,
        expected=expected,
        training=training,
    )


# Batch normalization: the moving statistics


def test_batch_normalization_moving_statistics():
    rng = np.random.default_rng(0)
    layer = layers.BatchNormalization(momentum=0.75)
    mean, variance = np.zeros(3), np.ones(3)
    for _ in range(3):
        x = rng.normal(2, 3, (16, 3)).astype(np.float32)
        layer(x, training=True)
        mean = 0.75 * mean + 0.25 * x.mean(0, dtype=np.float64)
        variance = 0.75 * variance + 0.25 * x.astype(np.float64).var(0)  # biased
        np.testing.assert_allclose(layer.moving_mean.numpy(), mean, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(layer.moving_variance.numpy(), variance, rtol=1e-5)
    y = layer(x)
    np.testing.assert_allclose(
        y.numpy(), (x - mean) / np.sqrt(variance + 1e-3), rtol=1e-5, atol=1e-5
    )


def test_batch_normalization_updates_in_place_without_a_graph():
    layer = layers.BatchNormalization()
    layer.build((None, 2))
    memory = layer.moving_mean.numpy()
    before = layer.moving_mean
    y = layer(np.float32([[1, 2], [3, 4]]), training=True)
    assert layer.moving_mean is before
    assert layer.moving_mean.numpy() is memory
    assert not layer.moving_mean.requires_grad
    assert y.requires_grad
    np.testing.assert_allclose(memory, [0.02, 0.03], rtol=1e-6)


def test_frozen_batch_normalization_uses_moving_statistics():
    layer = layers.BatchNormalization()
    x = np.float32([[1, 2], [3, 4]])
    layer(x, training=True)
    layer.trainable = False
    stored = layer.get_weights()
    y = layer(x, training=True)
    for a, b in zip(stored, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(y.numpy(), layer(x, training=False).numpy())
    layer.trainable = True
    assert np.abs(layer(x, training=True).numpy().mean(0)).max() < 1e-6


# Dropout


def test_dropout_scales_and_drops_in_training_only():
    layer = layers.Dropout(0.25, seed=1)
    x = pydl.ones((100, 1000))
    assert layer(x) is x
    assert layer(x, training=False) is x
    y = layer(x, training=True).numpy()
    values, counts = np.unique(y, return_counts=True)
    np.testing.assert_array_equal(values, np.float32([0, 1 / 0.75]))
    n = x.size
    # five standard deviations of a binomial count
    assert abs(counts[0] - 0.25 * n) < 5 * np.sqrt(0.25 * 0.75 * n)


def test_dropout_masks_are_repeatable_and_fresh():
    x = pydl.ones((8, 8))
    a, b = layers.Dropout(0.5, seed=7), layers.Dropout(0.5, seed=7)
    first, second = a(x, training=True).numpy(), a(x, training=True).numpy()
    assert (first != second).any()
    np.testing.assert_array_equal(first, b(x, training=True).numpy())
    np.testing.assert_array_equal(second, b(x, training=True).numpy())
    masks = []
    for _ in range(2):
        pydl.random.set_random_seed(3)
        masks.append(layers.Dropout(0.5)(x, training=True).numpy())
    np.testing.assert_array_equal(*masks)


def test_dropout_gradient_uses_the_same_mask():
    x = pydl.tensor(np.ones((4, 5), np.float32), requires_grad=True)
    y = layers.Dropout(0.5, seed=2)(x, training=True)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())


def test_dropout_noise_shape_and_ends():
    y = layers.Dropout(0.5, noise_shape=(None, 1, None), seed=0)(
        pydl.ones((4, 3, 50)), training=True
    ).numpy()
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1], y.shape))
    assert 0 < (y == 0).mean() < 1
    x = pydl.ones((3, 3))
    assert layers.Dropout(0)(x, training=True) is x
    np.testing.assert_array_equal(layers.Dropout(1.0)(x, training=True).numpy(), np.zeros((3, 3)))
    for rate in (-0.1, 1.5, float("nan")):
        with raises(ValueError, f"Dropout: rate must be between 0 and 1, got {rate!r}"):
            layers.Dropout(rate)
    with pytest.raises(ValueError, match="does not broadcast to the input shape"):
        layers.Dropout(0.5, noise_shape=(2,))(x, training=True)


# Names


def test_automatic_names():
    assert [layers.Dense(1).name for _ in range(3)] == ["dense", "dense_1", "dense_2"]
    assert layers.BatchNormalization().name == "batch_normalization"
    assert layers.LeakyReLU().name == "leaky_re_lu"
    assert layers.PReLU().name == "p_re_lu"
    assert layers.Dense(1, name="dense_9").name == "dense_9"
    assert layers.Dense(1).name == "dense_3"
    layer_names.reset()
    assert layers.Dense(1).name == "dense"

    class MyGRU2(layers.Layer):
        pass

    assert MyGRU2().name == "my_gru2"
    for name in ("", "a/b", 3):
        with raises(
            ValueError, f"Dense: name must be a non-empty string without '/', got {name!r}"
        ):
            layers.Dense(1, name=name)


# Arguments and shapes of the input


def test_declared_input_shapes():
    assert layers.Dense(1, input_shape=(5,)).batch_input_shape == (None, 5)
    assert layers.Dense(1, input_shape=5).batch_input_shape == (None, 5)
    assert layers.Dense(1, input_dim=5).batch_input_shape == (None, 5)
    assert layers.Dense(1, input_dim=5, input_length=7).batch_input_shape == (None, 7, 5)
    assert layers.Dense(1, input_shape=[None, 5], batch_size=2).batch_input_shape == (2, None, 5)
    assert layers.Dense(1, batch_input_shape=(2, 5)).batch_input_shape == (2, 5)
    assert layers.Dense(1).batch_input_shape is None
    for shape in ((0,), (-1, 2), (2.0,)):
        with raises(
            ValueError,
            "Dense: an input shape holds positive integers, or None for a free axis, "
            f"got {(None, *shape)}",
        ):
            layers.Dense(1, input_shape=shape)


def test_input_layer():
    symbol = layers.Input((28, 28, 1), batch_size=4, dtype="uint8", name="images")
    assert (symbol.shape, symbol.dtype, symbol.name) == ((4, 28, 28, 1), "uint8", "images")
    entry = symbol.layer
    assert entry.batch_input_shape == (4, 28, 28, 1)
    assert (entry.name, entry.input_dtype, entry.built) == ("images", "uint8", True)
    assert entry.get_config() == {
        "shape": [28, 28, 1],
        "batch_size": 4,
        "dtype": "uint8",
        "name": "images",
    }
    clone = layers.InputLayer.from_config(entry.get_config())
    assert clone.get_config() == entry.get_config()
    assert layers.Input((None, 8)).shape == (None, None, 8)
    assert layers.Input(()).shape == (None,)
    assert layers.Input((3,)).dtype == "float32"
    assert layers.Input((3,)).name == "input_layer_3"
    with raises(ValueError, "InputLayer: shape is needed, without the batch axis: Input((784,))"):
        layers.Input()
    assert layers.Input(batch_shape=(None, 8)).shape == (None, 8)
    whole = layers.InputLayer(batch_shape=(5, 2, None))
    assert (whole.shape, whole.batch_size) == ((2, None), 5)
    assert layers.InputLayer.from_config(whole.get_config()).batch_input_shape == (5, 2, None)
    text = "InputLayer: batch_shape (5, 8) says all; got shape {} and batch_size {} too"
    for twice in ((8,), None), (None, 5):
        with raises(ValueError, text.format(*twice)):
            layers.Input(*twice, batch_shape=(5, 8))


def test_argument_errors():
    for units in (-3, 0, 2.5, "3", None, True):
        with raises(ValueError, f"Dense: units must be a positive integer, got {units!r}"):
            layers.Dense(units)
    assert layers.Dense(np.int64(3)).units == 3
    with raises(
        TypeError,
        "Dense: unknown argument 'kernel_initialiser'; did you mean "
        "'kernel_initializer' or 'bias_initializer' or 'kernel_regularizer'?",
    ):
        layers.Dense(1, kernel_initialiser="zeros")
    with raises(ValueError, "unknown activation 'rellu'; did you mean 'relu' or 'relu6' or 'elu'?"):
        layers.Dense(1, activation="rellu")
    with raises(ValueError, "Dense: dtype must be float32 or float64, got int32"):
        layers.Dense(1, dtype="int32")
    with raises(ValueError, "ReLU: negative_slope must be at least 0, got -1"):
        layers.ReLU(negative_slope=-1)
    with raises(ValueError, "LeakyReLU: negative_slope must be at least 0, got -0.5"):
        layers.LeakyReLU(-0.5)
    with raises(
        ValueError,
        "Flatten: data_format must be 'channels_last' or 'channels_first', got 'channels'",
    ):
        layers.Flatten("channels")
    with raises(ValueError, "Reshape: target_shape holds sizes and at most one -1, got (-1, -1)"):
        layers.Reshape((-1, -1))
    assert layers.LeakyReLU(alpha=0.2).negative_slope == 0.2


def test_shape_errors():
    layers.Dense(1)
    layer = layers.Dense(10)
    layer.build((None, 784))
    with raises(
        ValueError,
        "Dense 'dense_1': expected 784 features on axis -1, got shape (32, 780); "
        "the layer was built for 784",
    ):
        layer(np.zeros((32, 780)))
    with pytest.raises(ValueError, match="expected 784 features"):
        layer.call_logits(pydl.zeros((2, 3)))
    with raises(
        ValueError,
        "Dense 'dense_2': expected an input of rank 2 or more with a known last axis, "
        "got shape (None,); add the missing axis with reshape",
    ):
        layers.Dense(2)(np.zeros(3))
    with raises(
        ValueError,
        "Reshape 'reshape': cannot give 12 elements of shape (12,) the shape (5, -1)",
    ):
        layers.Reshape((5, -1))(np.zeros((2, 12)))
    with raises(
        ValueError,
        "PReLU 'p_re_lu': shared_axes must be between 1 and 2 for input shape (None, 3, 4), got 3",
    ):
        layers.PReLU(shared_axes=3)(np.zeros((2, 3, 4)))
    with raises(
        ValueError,
        "PReLU 'p_re_lu_1': the axes that are not shared must be known, "
        "got shape (None, None, 4); name the free ones in shared_axes",
    ):
        layers.PReLU().build((None, None, 4))
    with raises(
        TypeError,
        "Dense 'dense_3': expected a Tensor or an array of numbers, got str",
    ):
        layers.Dense(1)("text")


def test_a_failed_build_leaves_no_weights():
    class Fails(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight((2,))
            raise RuntimeError("no")

    layer = Fails()
    with pytest.raises(RuntimeError):
        layer(np.zeros((1, 2)))
    assert not layer.built
    assert layer._weights == []


def test_a_second_build_replaces_the_weights():
    class Both(layers.Dense):
        def __init__(self, units):
            super().__init__(units)
            self.gain = self.add_weight((1,), "ones", name="gain")

        def build(self, input_shape):
            self.shift = self.add_weight((1,), "zeros", name="shift")
            super().build(input_shape)

    layer = Both(2)
    for features in (3, 4):
        layer.build((None, features))
        assert [w.shape for w in layer.weights] == [(1,), (1,), (features, 2), (2,)]
    assert layer(np.ones((5, 4))).shape == (5, 2)


# Inputs of other types


@pytest.mark.parametrize("dtype", ["float64", "int32", "uint8", "bool", "float32"])
def test_inputs_are_cast_to_the_dtype_of_the_layer(dtype):
    layer = layers.Dense(2, kernel_initializer="ones")
    assert layer(np.ones((3, 4), dtype)).dtype == np.float32
    assert layer(pydl.tensor(np.ones((3, 4), dtype))).dtype == np.float32


def test_integers_stay_integers_where_they_may_be_indices():
    class Ids(layers.Layer):
        def call(self, inputs):
            assert inputs.dtype == np.int64
            return inputs

    ids = np.arange(6).reshape(2, 3)
    assert Ids()(ids).dtype == np.int64
    assert layers.Flatten()(ids).dtype == np.int64


def test_lists_and_views_as_inputs():
    layer = layers.Dense(1, use_bias=False, kernel_initializer="ones")
    assert layer([[1.0, 2.0]]).numpy().tolist() == [[3.0]]
    x = np.arange(12.0).reshape(3, 4)
    flipped = layers.Dense(2, kernel_initializer="ones")
    np.testing.assert_array_equal(
        flipped(x[::-1, ::-1]).numpy(), np.repeat(x[::-1].sum(1, keepdims=True), 2, 1)
    )

    class Sum(layers.Layer):
        def call(self, inputs):
            a, b = inputs
            return a + b

    assert Sum()([np.ones((2, 3)), pydl.ones((2, 3))]).numpy().tolist() == [[2.0] * 3] * 2
    assert Sum().compute_output_shape([(None, 3), (None, 3)]) == (None, 3)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(1, 9), st.integers(1, 9))
def test_dense_on_any_rank(lead, features, units):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(*lead, features)).astype(np.float32)
    layer = layers.Dense(units, bias_initializer="ones")
    y = layer(x).numpy()
    kernel, bias = (w.astype(np.float64) for w in layer.get_weights())
    x64 = x.astype(np.float64)
    sizes = np.abs(x64) @ np.abs(kernel) + np.abs(bias)
    bound = (features + 2) * np.finfo(np.float32).eps * sizes
    assert (np.abs(y - (x64 @ kernel + bias)) <= bound).all()
    assert layer.compute_output_shape(x.shape) == y.shape


def test_no_layer_is_longer_than_120_lines():
    import inspect

    for name in layers.__all__:
        value = getattr(layers, name)
        if isinstance(value, type) and value is not layers.Layer:
            assert len(inspect.getsource(value).splitlines()) <= 120, name
