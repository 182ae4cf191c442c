"""Overfitting: networks of three sizes on film reviews, and two cures, L2 and dropout.

A network with room for it learns its training data by heart, noise and all. On reviews it has not
seen it then gets surer and wronger: the validation loss rises while the training loss goes to 0.

    python examples/overfitting.py
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt  # comes with: pip install 'pydl[plot]'
import numpy as np

import pydl
from pydl import layers, regularizers

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--words", type=int, default=10000, help="keep the most frequent")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=Path("."), help="folder for the picture")
args = parser.parse_args()

# The test set only watches here: nothing is chosen by it, so it may serve as validation set.
(train_words, y_train), (test_words, y_test) = pydl.datasets.imdb.load_data(num_words=args.words)
x_train = pydl.utils.multi_hot(train_words, args.words)
held_out = (pydl.utils.multi_hot(test_words, args.words), y_test)


def network(units, l2=0.0, dropout=0.0):
    """10000-units-units-1. L2 adds l2 * sum(w ** 2) to the loss: large weights must be worth it."""
    penalty = regularizers.L2(l2) if l2 else None
    model = pydl.Sequential([layers.Input((args.words,))])
    for _ in range(2):
        model.add(layers.Dense(units, activation="relu", kernel_regularizer=penalty))
        if dropout:
            model.add(layers.Dropout(dropout))
    model.add(layers.Dense(1, activation="sigmoid"))
    return model


figure, axes = plt.subplots(1, 2, figsize=(11, 4))
panels = {
    "Size": {
        "4 units": {"units": 4},
        "16 units": {"units": 16},
        "128 units": {"units": 128},
    },
    "Cures, 16 units": {
        "none": {"units": 16},
        "L2 0.001": {"units": 16, "l2": 0.001},
        "dropout 0.5": {"units": 16, "dropout": 0.5},
    },
}
done, results = {}, []
for axis, (title, variants) in zip(axes, panels.items(), strict=True):
    for colour, (name, options) in enumerate(variants.items()):
        key = str(options)
        if key not in done:  # 16 units without a cure are in both panels
            pydl.utils.set_random_seed(args.seed)
            model = network(**options)
            model.compile("rmsprop", "binary_crossentropy", metrics=["accuracy"])
            done[key] = model.fit(
                x_train, y_train, batch_size=512, epochs=args.epochs, validation_data=held_out,
                verbose=0,
            ).history  # fmt: skip
            loss = done[key]["val_loss"]
            print(
                f"{name:12} {model.count_params():9,} weights, training accuracy "
                f"{done[key]['accuracy'][-1]:.4f}; validation loss least {min(loss):.3f} "
                f"after epoch {np.argmin(loss) + 1}, last {loss[-1]:.3f}"
            )
            results.append(f"{name} {loss[-1]:.3f}")
        epochs = range(1, args.epochs + 1)
        axis.plot(epochs, done[key]["val_loss"], color=f"C{colour}", label=name)
        axis.plot(epochs, done[key]["loss"], ":", color=f"C{colour}")
    axis.set(title=f"{title}: loss, dotted in training", xlabel="epoch", ylim=(0, 1))
    axis.legend()
    axis.grid(alpha=0.3)

print("\nresult: last validation loss: " + ", ".join(results))
figure.tight_layout()
args.output.mkdir(parents=True, exist_ok=True)
figure.savefig(args.output / "overfitting.png", dpi=100)
print(f"picture: {args.output / 'overfitting.png'}")
