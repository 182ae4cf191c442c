"""Handwritten digits in a second: 1,797 images of 8 x 8 pixels that come with pydl.

Trains a small network, prints its test accuracy, and draws two pictures: how loss and accuracy
went, and the digits it got wrong.

    python examples/digits.py
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt  # comes with: pip install 'pydl[plot]'
import numpy as np

import pydl
from pydl import layers

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=40)
parser.add_argument("--seed", type=int, default=0, help="same seed, same result to the last bit")
parser.add_argument("--output", type=Path, default=Path("."), help="folder for the pictures")
args = parser.parse_args()

pydl.utils.set_random_seed(args.seed)

# 1,437 images to learn from; the last 360 to test on.
(x_train, y_train), (x_test, y_test) = pydl.datasets.digits.load_data()
print(f"{len(x_train)} training images, {len(x_test)} test images of shape {x_train.shape[1:]}")

# Pixels are 0 to 16; networks learn best from numbers around 0 to 1.
x_train = x_train.astype("float32") / 16
x_test = x_test.astype("float32") / 16

model = pydl.Sequential(
    [
        layers.Input((8, 8)),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dropout(0.2),  # a fifth of the units rest at each step: less learning by heart
        layers.Dense(10, activation="softmax"),  # ten probabilities, one a digit
    ]
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.summary()

history = model.fit(
    x_train, y_train, epochs=args.epochs, batch_size=32, validation_data=(x_test, y_test)
)

loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
predicted = model.predict(x_test, verbose=0).argmax(axis=1)
wrong = np.flatnonzero(predicted != y_test)
print(f"\nresult: test accuracy {accuracy:.4f}, loss {loss:.4f};", end=" ")
print(f"{len(wrong)} of {len(y_test)} test digits are wrong")

args.output.mkdir(parents=True, exist_ok=True)
history.plot(path=args.output / "digits_curves.png")

figure, axes = plt.subplots(3, 8, figsize=(8, 4))
for axis in axes.flat:
    axis.set_axis_off()
for axis, i in zip(axes.flat, wrong, strict=False):
    axis.imshow(x_test[i], cmap="gray_r")
    axis.set_title(f"{y_test[i]}, not {predicted[i]}", fontsize=8)
figure.suptitle(f"Misclassified test digits ({len(wrong)} of {len(y_test)})")
figure.tight_layout()
figure.savefig(args.output / "digits_misclassified.png", dpi=100)
for name in ("digits_curves.png", "digits_misclassified.png"):
    print(f"picture: {args.output / name}")
