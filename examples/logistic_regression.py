"""Logistic regression: one unit with a sigmoid tells two digits apart, and shows how.

The unit adds up the pixels, each times a weight of its own; the sigmoid turns the sum into a
probability. Its 64 weights can be looked at as an image: which pixels speak for which digit?

    python examples/logistic_regression.py --digits 3 8
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt  # comes with: pip install 'pydl[plot]'
import numpy as np

import pydl
from pydl import layers

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--digits", type=int, nargs=2, default=(3, 8), help="the two to tell apart")
parser.add_argument("--epochs", type=int, default=60)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=Path("."), help="folder for the picture")
args = parser.parse_args()

pydl.utils.set_random_seed(args.seed)

no, yes = args.digits


def two_digits(images, labels):
    """Keep the images of the two digits; their labels become 0 and 1."""
    chosen = np.isin(labels, (no, yes))
    x = images[chosen].reshape(-1, 64).astype("float32") / 16
    return x, (labels[chosen] == yes).astype("float32")


train, test = pydl.datasets.digits.load_data()
(x_train, y_train), (x_test, y_test) = two_digits(*train), two_digits(*test)
print(f"{len(x_train)} training and {len(x_test)} test images of {no} and {yes}")

# sigmoid(s) = 1 / (1 + exp(-s)). Binary crossentropy is -log of the probability that the model
# gave to the right answer: 0 when it was sure and right, without limit when it was sure and wrong.
model = pydl.Sequential([layers.Input((64,)), layers.Dense(1, activation="sigmoid")])
model.compile(pydl.optimizers.SGD(learning_rate=0.5), "binary_crossentropy", metrics=["accuracy"])
model.summary()
history = model.fit(
    x_train, y_train, epochs=args.epochs, validation_data=(x_test, y_test), verbose=0
)
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
always = max(y_test.mean(), 1 - y_test.mean())  # what the most frequent answer alone would get
print(f"\nresult: test accuracy {accuracy:.4f}, loss {loss:.4f} (guessing: {always:.2f})")

weights = model.layers[0].kernel.numpy().reshape(8, 8)
probabilities = model.predict(x_test, verbose=0)[:, 0]
unsure = np.abs(probabilities - 0.5).argmin()

figure, (curve, heat, doubt) = plt.subplots(1, 3, figsize=(11, 3.4))
curve.plot(history.history["loss"], label="training")
curve.plot(history.history["val_loss"], "--", label="test")
curve.set(xlabel="epoch", title="Binary crossentropy")
curve.legend()
limit = np.abs(weights).max()
drawn = heat.imshow(weights, cmap="RdBu_r", vmin=-limit, vmax=limit)
figure.colorbar(drawn, ax=heat)
heat.set_title(f"Weights: red speaks for {yes}, blue for {no}", fontsize=10)
doubt.imshow(x_test[unsure].reshape(8, 8), cmap="gray_r")
doubt.set_title(f"Least sure: {yes} with {probabilities[unsure]:.2f}", fontsize=10)
for axis in (heat, doubt):
    axis.set_axis_off()
figure.tight_layout()
args.output.mkdir(parents=True, exist_ok=True)
figure.savefig(args.output / "logistic_regression.png", dpi=100)
print(f"picture: {args.output / 'logistic_regression.png'}")
