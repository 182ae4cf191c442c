"""Fashion-MNIST: ten kinds of clothes, harder than digits; which are taken for which?

The data have the shape of MNIST: 60,000 images of 28 x 28 pixels. The confusion matrix shows what
one number, the accuracy, cannot: a shirt is taken for a T-shirt or a coat, never for a boot.

    python examples/fashion_mnist.py
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt  # comes with: pip install 'pydl[plot]'
import numpy as np

import pydl
from pydl import layers

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=Path("."), help="folder for the pictures")
args = parser.parse_args()

pydl.utils.set_random_seed(args.seed)

(train_images, train_labels), (test_images, test_labels) = pydl.datasets.fashion_mnist.load_data()
names = pydl.datasets.fashion_mnist.get_label_names()
x_train = train_images.astype("float32") / 255
x_test = test_images.astype("float32") / 255

model = pydl.Sequential(
    [
        layers.Input((28, 28)),
        layers.Flatten(),
        layers.Dense(256, activation="relu"),
        layers.Dropout(0.3),
        layers.Dense(128, activation="relu"),
        layers.Dropout(0.3),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.summary()

# The last 10,000 training images are kept to watch, so that the test set stays unseen to the end.
# Training stops when they have not got better for three epochs, and the best weights come back.
history = model.fit(
    x_train,
    train_labels,
    batch_size=128,
    epochs=args.epochs,
    validation_split=1 / 6,
    callbacks=[pydl.callbacks.EarlyStopping(patience=3, restore_best_weights=True)],
)
loss, accuracy = model.evaluate(x_test, test_labels, verbose=0)
predicted = model.predict(x_test, verbose=0).argmax(axis=1)

# Row: what it is. Column: what it was taken for.
confusion = np.zeros((10, 10), dtype=int)
np.add.at(confusion, (test_labels, predicted), 1)
recall = confusion.diagonal() / confusion.sum(axis=1)
for name, share in zip(names, recall, strict=True):
    print(f"{name:12} {share:.1%} found")
mistakes = confusion - np.diag(confusion.diagonal())
worst = np.unravel_index(mistakes.argmax(), mistakes.shape)
print(f"\nresult: test accuracy {accuracy:.4f}, loss {loss:.4f}; ", end="")
print(
    f"most frequent mistake: {names[worst[0]]} taken for {names[worst[1]]}, {mistakes.max()} times"
)

args.output.mkdir(parents=True, exist_ok=True)
history.plot(path=args.output / "fashion_mnist_curves.png")
figure, axis = plt.subplots(figsize=(6.5, 5.5))
axis.imshow(confusion, cmap="Blues")
axis.set(xlabel="taken for", ylabel="it is", xticks=range(10), yticks=range(10))
axis.set_xticklabels(names, rotation=45, ha="right")
axis.set_yticklabels(names)
for i, j in np.ndindex(10, 10):
    colour = "white" if confusion[i, j] > 500 else "black"
    axis.text(j, i, confusion[i, j], ha="center", va="center", fontsize=7, color=colour)
figure.tight_layout()
figure.savefig(args.output / "fashion_mnist_confusion.png", dpi=100)
for name in ("fashion_mnist_curves.png", "fashion_mnist_confusion.png"):
    print(f"picture: {args.output / name}")
