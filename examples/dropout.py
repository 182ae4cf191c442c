"""Dropout: a large network on few images, with and without half of its units resting at each step.

A quarter of a million weights can learn 2,000 images by heart, and then get surer and surer of what
they get wrong. Dropout sets half of the units to 0 at random, others at each step, and doubles the
rest; no unit can count on another one, so each must be of use by itself. At test time all work.

    python examples/dropout.py
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt  # comes with: pip install 'pydl[plot]'

import pydl
from pydl import layers

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--images", type=int, default=2000, help="to train on")
parser.add_argument("--rate", type=float, default=0.5, help="share of the units that rest")
parser.add_argument("--epochs", type=int, default=60)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=Path("."), help="folder for the picture")
args = parser.parse_args()

# What the layer does, seen on ones: about half become 0, the others 2, so that the mean stays 1.
pydl.utils.set_random_seed(args.seed)
layer = layers.Dropout(0.5)
print("training: ", layer(pydl.ones((1, 8)), training=True).numpy())
print("inference:", layer(pydl.ones((1, 8)), training=False).numpy())

(x_train, y_train), (x_test, y_test) = pydl.datasets.fashion_mnist.load_data()
x_train = x_train[: args.images].reshape(-1, 784).astype("float32") / 255
y_train = y_train[: args.images]
x_test = x_test.reshape(-1, 784).astype("float32") / 255


def network(rate):
    """784-256-256-10, with dropout after each hidden layer unless the rate is 0."""
    model = pydl.Sequential([layers.Input((784,))])
    for _ in range(2):
        model.add(layers.Dense(256, activation="relu"))
        if rate:
            model.add(layers.Dropout(rate))
    model.add(layers.Dense(10, activation="softmax"))
    return model


figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8))
results = []
for name, rate, colour in (("without", 0.0, "C0"), (f"dropout {args.rate}", args.rate, "C1")):
    pydl.utils.set_random_seed(args.seed)
    model = network(rate)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    print(f"\n{name}")
    history = model.fit(
        x_train, y_train, batch_size=128, epochs=args.epochs, validation_data=(x_test, y_test)
    )
    # The accuracy in training is measured with dropout on; this one is without.
    seen = model.evaluate(x_train, y_train, verbose=0)[1]
    loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
    results.append(f"{name}: training {seen:.4f}, test {accuracy:.4f}, test loss {loss:.3f}")
    epochs = range(1, args.epochs + 1)
    for axis, key in ((left, "loss"), (right, "accuracy")):
        axis.plot(epochs, history.history[key], ":", color=colour, label=f"{name}, training")
        axis.plot(epochs, history.history[f"val_{key}"], color=colour, label=f"{name}, test")

print("\nresult: " + "; ".join(results))
left.set(title="Loss", xlabel="epoch", ylim=(0, 1.2))
right.set(title="Accuracy", xlabel="epoch", ylim=(0.7, 1.005))
for axis in (left, right):
    axis.grid(alpha=0.3)
right.legend(fontsize=8)
figure.tight_layout()
args.output.mkdir(parents=True, exist_ok=True)
figure.savefig(args.output / "dropout.png", dpi=100)
print(f"picture: {args.output / 'dropout.png'}")
