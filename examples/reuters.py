"""Newswires: which of 46 topics? Many classes, a baseline, and a layer that is too narrow.

Some topics have thousands of newswires and some a dozen, so what guessing gets is worth a look
before any result is praised.

    python examples/reuters.py
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt  # comes with: pip install 'pydl[plot]'
import numpy as np

import pydl
from pydl import layers
from pydl.datasets import reuters

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=20, help="of the first training")
parser.add_argument("--retrain", type=int, default=9, help="epochs of the last one")
parser.add_argument("--words", type=int, default=10000, help="keep the most frequent")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=Path("."), help="folder for the picture")
args = parser.parse_args()

# 8,982 newswires to train on and 2,246 to test, as bags of the 10,000 most frequent words.
(words, train_labels), (test_words, test_labels) = reuters.load_data(num_words=args.words)
topics = reuters.get_label_names()
x_train = pydl.utils.multi_hot(words, args.words)
x_test = pydl.utils.multi_hot(test_words, args.words)
frequent = np.bincount(train_labels).argsort()[::-1][:3]
for i in frequent:
    print(f"{(train_labels == i).mean():.0%} are about {topics[i]}")

y_train = pydl.utils.to_categorical(train_labels)  # rows of 46: one 1, the rest 0

# Baselines: labels in another order are right by chance; always the same topic does better.
shuffled = np.random.default_rng(args.seed).permutation(test_labels)
chance, always = (shuffled == test_labels).mean(), (test_labels == frequent[0]).mean()
print(f"right by chance {chance:.1%}, always '{topics[frequent[0]]}' {always:.1%}")


def network(middle=64, loss="categorical_crossentropy"):
    """10000-64-middle-46. What `middle` cannot hold is lost to the layer after it."""
    pydl.utils.set_random_seed(args.seed)  # the same start for each
    model = pydl.Sequential([layers.Input((args.words,))])
    model.add(layers.Dense(64, activation="relu"))
    model.add(layers.Dense(middle, activation="relu"))
    model.add(layers.Dense(46, activation="softmax"))
    model.compile("rmsprop", loss, metrics=["accuracy"])
    return model


x_val, y_val = x_train[:1000], y_train[:1000]  # to watch; the other 7,982 are for training
x, y, labels = x_train[1000:], y_train[1000:], train_labels[1000:]
figure, axes = plt.subplots(1, 2, figsize=(10, 3.8))
best = []
for name, middle, batch_size in (("64 units", 64, 512), ("bottleneck: 4 units", 4, 128)):
    print(f"\n{name} in the middle layer")
    history = network(middle).fit(
        x, y, batch_size=batch_size, epochs=args.epochs, validation_data=(x_val, y_val)
    )
    best.append(max(history.history["val_accuracy"]))
    for axis, key in zip(axes, ("loss", "accuracy"), strict=True):
        epochs = range(1, args.epochs + 1)
        (line,) = axis.plot(epochs, history.history[f"val_{key}"], label=f"{name}, validation")
        axis.plot(epochs, history.history[key], ":", c=line.get_color(), label=f"{name}, training")

print(f"\nAnew for {args.retrain} epochs, after which the validation loss of 64 units rises:")
# Plain numbers as labels go with another name of the loss; the values are the same.
for kind, targets in (("", y), ("sparse_", labels)):
    model = network(loss=f"{kind}categorical_crossentropy")
    model.fit(x, targets, batch_size=512, epochs=args.retrain, verbose=0)
    probabilities = model.predict(x_test, batch_size=512, verbose=0)  # (2246, 46)
    accuracy = (probabilities.argmax(axis=1) == test_labels).mean()
    print(f"{model.loss}: test accuracy {accuracy:.4f}")
first = probabilities[0].argsort()[::-1][:3]
print("first test newswire:", [f"{topics[i]} {probabilities[0, i]:.3f}" for i in first])
print(f"\nresult: best validation accuracy {best[0]:.4f}, bottleneck {best[1]:.4f};", end=" ")
print(f"retrained: test accuracy {accuracy:.4f} (guessing: {always:.2f})")

for axis, key in zip(axes, ("loss", "accuracy"), strict=True):
    axis.set(title=key, xlabel="epoch", xlim=(0, args.epochs + 1))
    axis.grid(alpha=0.3)
axes[0].legend(fontsize=8)
figure.tight_layout()
args.output.mkdir(parents=True, exist_ok=True)
figure.savefig(args.output / "reuters.png", dpi=100)
print(f"picture: {args.output / 'reuters.png'}")
