"""Batch normalisation: deep networks on MNIST with and without it, with sigmoids and with ReLUs.

Each unit's sums are shifted and scaled over the batch to mean 0 and variance 1, then by two learned
numbers, gamma and beta. So every layer gets inputs of a size that it can work with, however the
layers before it change; a sigmoid stays where it is steep. Eight layers of sigmoids hardly learn
without it. ReLUs that start from Glorot's values do well by themselves: not every cure is needed.

    python examples/batch_norm.py
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt  # comes with: pip install 'pydl[plot]'
import numpy as np

import pydl
from pydl import layers

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--layers", type=int, default=8, help="hidden layers")
parser.add_argument("--units", type=int, default=128, help="of each")
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=Path("."), help="folder for the picture")
args = parser.parse_args()

# What the layer does in training, seen on one unit and a batch of four.
batch = np.array([[2.0], [4.0], [6.0], [8.0]], dtype="float32")
print(
    "before:",
    batch.ravel(),
    " after:",
    layers.BatchNormalization()(batch, training=True).numpy().ravel(),
)
# In inference there may be no batch at all: moving averages of mean and variance take its place.

(x_train, y_train), (x_test, y_test) = pydl.datasets.mnist.load_data()
x_train = x_train.reshape(-1, 784).astype("float32") / 255
x_test = x_test.reshape(-1, 784).astype("float32") / 255


def network(activation, normalised):
    """Hidden layers of Dense, perhaps BatchNormalization, and the activation after it."""
    model = pydl.Sequential([layers.Input((784,))])
    for _ in range(args.layers):
        model.add(layers.Dense(args.units))
        if normalised:
            model.add(layers.BatchNormalization())
        model.add(layers.Activation(activation))
    model.add(layers.Dense(10, activation="softmax"))
    return model


figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), sharey=True)
results = []
for axis, activation in zip(axes, ("sigmoid", "relu"), strict=True):
    for normalised in (False, True):
        name = f"{activation}, {'batch norm' if normalised else 'without'}"
        pydl.utils.set_random_seed(args.seed)
        model = network(activation, normalised)
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        # The loss of each step, not only of each epoch: it begins to fall within the first one.
        seen = []
        note = pydl.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: seen.append(logs["loss"])  # noqa: B023
        )
        print(f"\n{name}: {model.count_params():,} weights")
        history = model.fit(
            x_train, y_train, batch_size=128, epochs=args.epochs,
            validation_data=(x_test, y_test), callbacks=[note],
        )  # fmt: skip
        axis.plot(np.arange(len(seen)), seen, label=name)
        accuracy = history.history["val_accuracy"]
        results.append(f"{name} {accuracy[0]:.4f}")
    axis.set(title=f"{args.layers} layers of {args.units}, {activation}", xlabel="step")
    axis.legend()
    axis.grid(alpha=0.3)

print("\nresult: test accuracy after one epoch: " + "; ".join(results))
axes[0].set_ylabel("mean loss since the epoch began")
figure.tight_layout()
args.output.mkdir(parents=True, exist_ok=True)
figure.savefig(args.output / "batch_norm.png", dpi=100)
print(f"picture: {args.output / 'batch_norm.png'}")
