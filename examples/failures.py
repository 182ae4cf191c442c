"""Four ways to fail, each with its signs and its cure.

Unscaled inputs, too large a learning rate, ReLUs that died, a validation set of unseen classes.

    python examples/failures.py
"""

import argparse
import warnings
from pathlib import Path

import matplotlib.pyplot as plt  # comes with: pip install 'pydl[plot]'
import numpy as np

import pydl
from pydl import callbacks, layers

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=Path("."), help="folder for the picture")
args = parser.parse_args()
pydl.utils.set_random_seed(args.seed)

(images, labels), _ = pydl.datasets.digits.load_data()
x = images.reshape(-1, 64).astype("float32") / 16
figure, (scale, rates, relus, split) = plt.subplots(1, 4, figsize=(16, 3.6))
results = []


def classifier(optimizer):
    """64-64-64-10 on digits."""
    kinds = ((64, "relu"), (64, "relu"), (10, "softmax"))
    model = pydl.Sequential([layers.Dense(units, activation=name) for units, name in kinds])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


print("1. Unscaled inputs: a tax of 700 makes a large error, that a larger step, and so on to nan")
(houses, prices), _ = pydl.datasets.boston_housing.load_data()
scaled = (houses - houses.mean(axis=0)) / houses.std(axis=0)
for name, features in (("unscaled", houses), ("scaled", scaled)):
    model = pydl.Sequential([layers.Input((13,)), layers.Dense(1)])
    model.compile(pydl.optimizers.SGD(0.01), "mse")
    stop = [callbacks.TerminateOnNaN()]  # says so, and does not go on with what is lost
    options = {"batch_size": 404, "epochs": 5 * args.epochs, "verbose": 0}  # a step an epoch
    losses = model.fit(features, prices, callbacks=stop, **options).history["loss"]
    results.append(f"{name} inputs: loss {losses[-1]:.4g} after {len(losses)} steps")
    scale.semilogy(range(1, len(losses) + 1), losses, "o-", markersize=3, label=name)
scale.set(title="Unscaled inputs: loss", xlabel="step")

print("2. Learning rates: too small crawls, too large leaps out of the valley and does not return")
for rate in (0.001, 0.1, 3.0):
    history = classifier(pydl.optimizers.SGD(rate)).fit(x, labels, epochs=args.epochs, verbose=0)
    results.append(f"learning rate {rate}: loss {history.history['loss'][-1]:.4f}")
    rates.plot(history.history["loss"], label=f"learning rate {rate}")
rates.set(title="Learning rate: loss (guessing: 2.3)", xlabel="epoch", ylim=(0, 5))

print("3. Dead ReLUs: units that are 0 for every input get no gradient, and stay so for ever")
for rate in (0.001, 0.1):
    model = classifier(pydl.optimizers.Adam(rate))
    model.fit(x, labels, epochs=args.epochs, verbose=0)
    hidden = model.layers[0](x).numpy()  # (1437, 64): what each unit says of each image
    dead = 1 - (hidden > 0).any(axis=0).mean()
    results.append(f"Adam {rate}: {dead:.0%} of the first layer dead")
    relus.hist((hidden > 0).mean(axis=0), bins=20, range=(0, 1), alpha=0.6, label=f"Adam {rate}")
relus.set(title="ReLUs: for which share of the images is a unit on?", ylabel="units")

print("4. validation_split takes the last rows; these are sorted by class, and pydl warns:")
order = np.argsort(labels, kind="stable")
for name, rows in (("sorted", order), ("shuffled", np.random.default_rng(0).permutation(order))):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model, options = classifier("adam"), {"epochs": args.epochs, "verbose": 0}
        history = model.fit(x[rows], labels[rows], validation_split=0.2, **options)
    print(*(f"   {warning.message}\n" for warning in caught), end="")
    accuracy = history.history["val_accuracy"]
    results.append(f"{name} labels: validation accuracy {accuracy[-1]:.4f}")
    split.plot(accuracy, label=name)
split.set(title="Sorted labels: validation accuracy", xlabel="epoch", ylim=(-0.02, 1.02))

print("\nresult: " + "; ".join(results))
for axis in (scale, rates, relus, split):
    axis.title.set_size(10)
    axis.legend(fontsize=8)
    axis.grid(alpha=0.3)
figure.tight_layout()
args.output.mkdir(parents=True, exist_ok=True)
figure.savefig(args.output / "failures.png", dpi=100)
print(f"picture: {args.output / 'failures.png'}")
