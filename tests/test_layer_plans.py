"""Every layer trains in recorded steps with the bits of eager ones, and for any number of threads."""

from __future__ import annotations

import numpy as np
import pytest
from plan_helpers import assert_same

import pydl
from pydl import layers

RNG = np.random.default_rng(0)
X = RNG.standard_normal((24, 8, 8, 2), np.float32)
Y = RNG.integers(0, 5, 24)

STACKS = {
    "scaling": lambda: [
        layers.Rescaling(0.5, [0.1, 0.2]),
        layers.Normalization(mean=[0.0, 1.0], variance=[1.0, 2.0]),
        layers.GaussianNoise(0.1),
        layers.GaussianDropout(0.1),
        layers.SpatialDropout2D(0.3),
    ],
    "convolution": lambda: [
        layers.ZeroPadding2D(1),
        layers.Conv2D(4, 3, strides=2, activation="relu"),
        layers.BatchNormalization(),
        layers.Conv2DTranspose(4, 2, strides=2),
        layers.DepthwiseConv2D(3, padding="same", activation="tanh"),
        layers.SeparableConv2D(3, 2),
        layers.Cropping2D(1),
    ],
    "pooling": lambda: [
        layers.MaxPooling2D(),
        layers.UpSampling2D(),
        layers.AveragePooling2D(3, 1, "same"),
        layers.UpSampling2D(2, interpolation="bilinear"),
        layers.GlobalAveragePooling2D(),
    ],
    "sequences": lambda: [
        layers.Reshape((16, 8)),
        layers.Conv1D(4, 3, padding="causal"),
        layers.DepthwiseConv1D(2),
        layers.SeparableConv1D(4, 2),
        layers.ZeroPadding1D(1),
        layers.UpSampling1D(2),
        layers.Cropping1D((1, 0)),
        layers.MaxPooling1D(2),
        layers.AveragePooling1D(2),
        layers.Masking(),
        layers.SpatialDropout1D(0.2),
        layers.Permute((2, 1)),
        layers.GlobalMaxPooling1D(),
        layers.RepeatVector(3),
    ],
    "normalization": lambda: [
        layers.GroupNormalization(2),
        layers.LayerNormalization(axis=(2, 3)),
        layers.RMSNormalization(),
        layers.UnitNormalization(),
        layers.ActivityRegularization(0.01, 0.01),
        layers.Lambda(lambda x: x * 3.0),
    ],
}


@pytest.mark.parametrize("name", STACKS)
def test_recorded_as_eager(name):
    def make():
        return pydl.Sequential(
            [*STACKS[name](), layers.Flatten(), layers.Dense(5, activation="softmax")]
        )

    weights = []
    before = pydl.config.get_num_threads()
    try:
        for threads in (1, 2, 3):
            pydl.config.set_num_threads(threads)
            model = assert_same(make, lambda m: m.fit(X, Y, epochs=3, batch_size=8, verbose=0))
            weights.append([w.tobytes() for w in model.get_weights()])
    finally:
        pydl.config.set_num_threads(before)
    assert weights[0] == weights[1] == weights[2]
