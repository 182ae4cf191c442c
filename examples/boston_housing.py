"""House prices: regression with so few rows that the validation set has to be everywhere.

404 rows are too few to keep some apart: which ones would change the score. In k-fold validation
each quarter is kept apart once, and the four scores are averaged. (The data are of 1978, and one
column describes the inhabitants' skin colour: good for exercises only.)

    python examples/boston_housing.py
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt  # comes with: pip install 'pydl[plot]'
import numpy as np

import pydl
from pydl import layers

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--folds", type=int, default=4)
parser.add_argument("--epochs", type=int, default=300, help="of each fold")
parser.add_argument("--final-epochs", type=int, default=80, help="on all rows")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=Path("."), help="folder for the picture")
args = parser.parse_args()

pydl.utils.set_random_seed(args.seed)

(x_train, y_train), (x_test, y_test) = pydl.datasets.boston_housing.load_data()
print(f"{len(x_train)} rows to train on, {len(x_test)} to test, {x_train.shape[1]} features")
if not 2 <= args.folds <= len(x_train):
    parser.error(f"--folds must be 2 to {len(x_train)}, the number of rows, got {args.folds}")

# Features of other sizes (a tax of 700, a share of 0.5) get mean 0 and deviation 1. The test rows
# are scaled by the numbers of the training rows: nothing may be learned from them, not even a mean.
mean, deviation = x_train.mean(axis=0), x_train.std(axis=0)
x_train = (x_train - mean) / deviation
x_test = (x_test - mean) / deviation


def network():
    """13-64-64-1. No activation at the end: a price can be any number."""
    model = pydl.Sequential([layers.Input((13,))])
    model.add(layers.Dense(64, activation="relu"))
    model.add(layers.Dense(64, activation="relu"))
    model.add(layers.Dense(1))
    # Trained on squared errors; told in absolute ones: 2.5 means 2,500 dollars.
    model.compile("rmsprop", "mse", metrics=["mae"])
    return model


rows = len(x_train) // args.folds
after = min(100, args.epochs)
errors = []
for fold in range(args.folds):
    kept = np.zeros(len(x_train), dtype=bool)
    kept[fold * rows : (fold + 1) * rows] = True
    x, y, held_out = x_train[~kept], y_train[~kept], (x_train[kept], y_train[kept])
    model = network()  # a new one: the last one has seen these rows
    history = model.fit(x, y, batch_size=1, epochs=args.epochs, validation_data=held_out, verbose=0)
    errors.append(history.history["val_mae"])
    print(f"fold {fold + 1}: error {errors[-1][after - 1]:.3f} after {after} epochs")
curve = np.mean(errors, axis=0)

# The curve is too noisy to see where it is lowest: each point is averaged with those before it.
smooth = [curve[0]]
for point in curve[1:]:
    smooth.append(0.9 * smooth[-1] + 0.1 * point)
print(f"lowest, smoothed, after {np.argmin(smooth) + 1} epochs")

model = network()
model.fit(x_train, y_train, batch_size=16, epochs=args.final_epochs, verbose=0)
_, test_error = model.evaluate(x_test, y_test, verbose=0)
guess = np.abs(y_test - y_train.mean()).mean()
print(f"\nresult: mean error of {args.folds} folds {curve[after - 1]:.3f};", end=" ")
print(f"of the test rows {test_error:.3f} thousand dollars (guessing the mean: {guess:.2f})")

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8))
left.plot(range(1, args.epochs + 1), curve, color="lightgray", label="mean of the folds")
left.plot(range(1, args.epochs + 1), smooth, label="smoothed")
left.set(title="Validation error", xlabel="epoch", ylabel="1,000 $", ylim=(2, 4))
left.legend()
right.scatter(y_test, model.predict(x_test, verbose=0)[:, 0], s=10)
right.plot([5, 50], [5, 50], color="gray", linewidth=1)
right.set(title="Test rows", xlabel="price, 1,000 $", ylabel="predicted")
figure.tight_layout()
args.output.mkdir(parents=True, exist_ok=True)
figure.savefig(args.output / "boston_housing.png", dpi=100)
print(f"picture: {args.output / 'boston_housing.png'}")
