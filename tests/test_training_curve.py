"""Ten losses of a small model, against its equations in float64 and against stored numbers."""

from __future__ import annotations

import numpy as np
import pytest

from pydl import layers, optimizers
from pydl.models import Sequential

STEPS, ROWS, CLASSES, BATCH = 10, 40, 3, 4

# Made once with the equations below; they pin the equations, which pin the library.
STORED = {
    "sgd": [
        1.4483156106119695,
        1.4994895523712228,
        1.616542178431268,
        1.1235841371748228,
        1.3406836295202103,
        1.2018178415091043,
        1.251961127768137,
        1.2104615862717376,
        1.219784281554039,
        1.4016851483191313,
    ],
    "rmsprop": [
        1.4483156106119695,
        1.5872649677290183,
        1.544316714210436,
        1.12314494038372,
        1.4156818884284559,
        1.345483627923848,
        1.2875620008021889,
        1.17890264623174,
        1.152131583293177,
        1.39664522816445,
    ],
    "adam": [
        1.4483156106119695,
        1.5721448145396615,
        1.5691870409617859,
        1.1584123745756965,
        1.4257989789100716,
        1.14808334415962,
        1.3507031186185832,
        1.1520262802029275,
        1.1552466274769149,
        1.3833001997093326,
    ],
}


def fixed(*shape, scale, shift=0.0):
    """Numbers that look random and need no generator."""
    n = np.arange(1, np.prod(shape) + 1, dtype=np.float64)
    return (np.sin(n * n * 0.7 + shift) * scale).reshape(shape)


X = fixed(ROWS, 5, scale=1.5)
LABELS = (np.arange(ROWS) * 7 // 3) % CLASSES
WEIGHTS = [
    fixed(5, 8, scale=0.6, shift=1.0),
    fixed(8, scale=0.1, shift=2.0),
    fixed(8, CLASSES, scale=0.6, shift=3.0),
    fixed(CLASSES, scale=0.1, shift=4.0),
]
L2 = 0.01


def losses_by_equations(update):
    """Losses of ten steps of 5-8 tanh-3 softmax with an L2 penalty on the first kernel."""
    w1, b1, w2, b2 = (w.copy() for w in WEIGHTS)
    state = {}
    losses = []
    for step in range(STEPS):
        part = slice(step * BATCH, (step + 1) * BATCH)
        x, labels = X[part], LABELS[part]
        h = np.tanh(x @ w1 + b1)
        z = h @ w2 + b2
        e = np.exp(z - z.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        losses.append(-np.log(p[np.arange(BATCH), labels]).mean() + L2 * np.sum(w1 * w1))
        dz = p.copy()
        dz[np.arange(BATCH), labels] -= 1
        dz /= BATCH
        da = (dz @ w2.T) * (1 - h * h)
        gradients = [x.T @ da + 2 * L2 * w1, da.sum(0), h.T @ dz, dz.sum(0)]
        w1, b1, w2, b2 = (
            w - update(g, state.setdefault(i, {}), step + 1)
            for i, (w, g) in enumerate(zip((w1, b1, w2, b2), gradients, strict=True))
        )
    return losses


def sgd(g, s, t):
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    return s["m"]


def rmsprop(g, s, t):
    s["v"] = 0.9 * s.get("v", 0) + 0.1 * g * g
    return 0.02 * g / np.sqrt(s["v"] + 1e-7)


def adam(g, s, t):
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0) + 0.001 * g * g
    return 0.05 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * s["m"] / (np.sqrt(s["v"]) + 1e-7)


CASES = {
    "sgd": (sgd, lambda: optimizers.SGD(0.1, momentum=0.9)),
    "rmsprop": (rmsprop, lambda: optimizers.RMSprop(0.02)),
    "adam": (adam, lambda: optimizers.Adam(0.05)),
}


def losses_by_fit(optimizer):
    model = Sequential(
        [
            layers.Input((5,)),
            layers.Dense(8, activation="tanh", kernel_regularizer="l2"),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    model.compile(optimizer, "sparse_categorical_crossentropy")
    model.set_weights(WEIGHTS)
    losses = []
    for step in range(STEPS):
        part = slice(step * BATCH, (step + 1) * BATCH)
        losses.append(model.train_on_batch(X[part], LABELS[part]))
    return losses, model


@pytest.mark.parametrize("case", CASES)
def test_equations_give_the_stored_numbers(case):
    np.testing.assert_allclose(losses_by_equations(CASES[case][0]), STORED[case], rtol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_ten_losses(case):
    # A step rounds each weight a few times, and a loss sums about 50 products: 10 steps of it.
    losses, _ = losses_by_fit(CASES[case][1]())
    allowed = 50 * np.finfo(np.float32).eps * np.arange(1, STEPS + 1)
    assert np.all(np.abs(np.array(losses) / STORED[case] - 1) <= allowed)


@pytest.mark.parametrize("case", CASES)
def test_fit_takes_the_same_ten_steps(case):
    losses, by_batch = losses_by_fit(CASES[case][1]())
    model = Sequential.from_config(by_batch.get_config())
    model.compile(CASES[case][1](), "sparse_categorical_crossentropy")
    model.set_weights(WEIGHTS)
    history = model.fit(X, LABELS, batch_size=BATCH, shuffle=False, verbose=0)
    np.testing.assert_allclose(history.history["loss"], np.mean(losses), rtol=1e-14)
    for a, b in zip(model.get_weights(), by_batch.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()
