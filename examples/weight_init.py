"""Initial values decide: a deep sigmoid network learns XOR from N(0, 1), and not from Glorot.

Glorot's rule keeps the size of signals where activations are straight around 0, as tanh is. Through
a sigmoid (0.5 at 0, slope 0.25) they shrink: after three layers every input looks the same, and the
gradients are as small. Weights of N(0, 1), three times as large, make up for much of the slope.

    python examples/weight_init.py
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt  # comes with: pip install 'pydl[plot]'
import numpy as np

import pydl
from pydl import layers

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=10001)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=Path("."), help="folder for the picture")
args = parser.parse_args()

x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype="float32")
y = np.array([[0], [1], [1], [0]], dtype="float32")
points = np.random.default_rng(args.seed).random((1000, 2), dtype="float32")  # of the unit square

starts = {
    "Glorot": {"kernel_initializer": "glorot_uniform", "bias_initializer": "zeros"},
    "N(0, 1)": {
        "kernel_initializer": pydl.initializers.RandomNormal(stddev=1.0),
        "bias_initializer": pydl.initializers.RandomNormal(stddev=1.0),
    },
}
figure, axes = plt.subplots(2, 4, figsize=(13, 5.5))
results = []
for row, (name, initial) in zip(axes, starts.items(), strict=True):
    pydl.utils.set_random_seed(args.seed)
    model = pydl.Sequential(
        [
            layers.Input((2,)),
            layers.Dense(10, activation="sigmoid", **initial),
            layers.Dense(10, activation="sigmoid", **initial),
            layers.Dense(10, activation="sigmoid", **initial),
            layers.Dense(1, activation="sigmoid", **initial),
        ]
    )
    # Before training: how much do the units of each layer change when the input does?
    signal = points
    for axis, layer in zip(row, model.layers[:3], strict=False):
        signal = layer(signal).numpy()  # (1000, 10)
        spread = signal.std(axis=0).mean()
        print(f"{name}, {layer.name}: a unit's output varies by {spread:.4f} over the inputs")
        axis.hist((signal - signal.mean(axis=0)).ravel(), bins=51, range=(-0.2, 0.2))
        axis.set_title(f"{name}, {layer.name}: deviation {spread:.4f}", fontsize=9)

    with pydl.GradientTape() as tape:
        loss = pydl.mean(pydl.losses.binary_crossentropy(y, model(x)))
    gradient = tape.gradient(loss, model.layers[0].kernel).numpy()
    print(f"{name}: mean gradient of the first layer {np.abs(gradient).mean():.1e}")

    model.compile(pydl.optimizers.SGD(0.1), "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=args.epochs, batch_size=4, verbose=0)
    loss, accuracy = model.evaluate(x, y, verbose=0)
    outputs = model.predict(x, verbose=0)[:, 0]
    print(f"{name}: loss {loss:.4f}, accuracy {accuracy:.2f}, outputs {outputs.round(4)}\n")
    results.append(f"{name} loss {loss:.4f}, accuracy {accuracy:.2f}")
    row[3].plot(history.history["loss"])
    row[3].set(title=f"{name}: loss over {args.epochs} epochs", ylim=(0, 1))

print("result: " + "; ".join(results))
figure.suptitle("Activations of 1,000 inputs before training, less each unit's mean; and the loss")
figure.tight_layout()
args.output.mkdir(parents=True, exist_ok=True)
figure.savefig(args.output / "weight_init.png", dpi=100)
print(f"picture: {args.output / 'weight_init.png'}")
