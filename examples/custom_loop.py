"""A training loop of one's own: what `fit` does, in twenty lines, with GradientTape.

Written by hand one can change any part of it. `@pydl.function` records the step when it first runs
and repeats it from then on as one call of C++: the same numbers to the last bit, in less time.

    python examples/custom_loop.py
"""

import argparse
import time
from pathlib import Path

import matplotlib.pyplot as plt  # comes with: pip install 'pydl[plot]'
import numpy as np

import pydl
from pydl import layers

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=Path("."), help="folder for the picture")
args = parser.parse_args()

(x_train, y_train), (x_test, y_test) = pydl.datasets.digits.load_data()
x_train = x_train.reshape(-1, 64).astype("float32") / 16
x_test = x_test.reshape(-1, 64).astype("float32") / 16


def train(wrap):
    """Train a new network; `wrap` is what the step is decorated with. Losses, accuracy, seconds."""
    pydl.utils.set_random_seed(args.seed)
    model = pydl.Sequential(
        [
            layers.Input((64,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(10),  # scores; the loss makes probabilities of them
        ]
    )
    optimizer = pydl.optimizers.Adam()
    loss_function = pydl.losses.SparseCategoricalCrossentropy(from_logits=True)

    @wrap
    def step(x, y):
        with pydl.GradientTape() as tape:  # notes down what happens to the weights
            loss = loss_function(y, model(x, training=True))
        gradients = tape.gradient(loss, model.trainable_weights)
        optimizer.apply_gradients(zip(gradients, model.trainable_weights, strict=True))
        return loss

    order = np.random.default_rng(args.seed)
    epoch_losses = []
    start = time.perf_counter()
    for _ in range(args.epochs):
        rows = order.permutation(len(x_train))  # another order each epoch
        losses = []
        for begin in range(0, len(rows) - args.batch_size + 1, args.batch_size):
            batch = rows[begin : begin + args.batch_size]
            losses.append(step(x_train[batch], y_train[batch]).item())
        epoch_losses.append(np.mean(losses))
    seconds = time.perf_counter() - start
    with pydl.no_grad():  # nothing to differentiate from here on
        right = np.asarray(model(x_test)).argmax(axis=1) == y_test
    return epoch_losses, right.mean(), seconds


plain, plain_accuracy, plain_seconds = train(lambda step: step)
recorded, accuracy, seconds = train(pydl.function)
print(f"as it is:         {plain_seconds:.2f} s, test accuracy {plain_accuracy:.4f}")
print(f"@pydl.function:   {seconds:.2f} s, test accuracy {accuracy:.4f}")
print(f"\nresult: test accuracy {accuracy:.4f}; recorded, the steps took ", end="")
print(f"{seconds / plain_seconds:.2f} of the time, losses equal to the last bit: ", end="")
print(plain == recorded)

figure, axis = plt.subplots(figsize=(6, 3.8))
axis.semilogy(range(1, args.epochs + 1), recorded, "o-", markersize=3)
axis.set(title="Mean loss of the batches of each epoch", xlabel="epoch")
axis.grid(alpha=0.3)
figure.tight_layout()
args.output.mkdir(parents=True, exist_ok=True)
figure.savefig(args.output / "custom_loop.png", dpi=100)
print(f"picture: {args.output / 'custom_loop.png'}")
