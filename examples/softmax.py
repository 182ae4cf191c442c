"""Softmax: scores become probabilities. One layer of it reads 92 of 100 handwritten digits.

softmax(s)_i = exp(s_i) / sum_j exp(s_j): all positive, the sum is 1, the largest score wins.

    python examples/softmax.py
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt  # comes with: pip install 'pydl[plot]'
import numpy as np

import pydl
from pydl import layers

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=Path("."), help="folder for the picture")
args = parser.parse_args()

pydl.utils.set_random_seed(args.seed)
np.set_printoptions(precision=3, suppress=True)

scores = pydl.tensor([1.0, 2.0, 4.0])
print("softmax([1, 2, 4]):    ", pydl.softmax(scores).numpy())
print("the same plus 100 each:", pydl.softmax(scores + 100).numpy(), " only differences count")
print("the same times 3:      ", pydl.softmax(scores * 3).numpy(), " surer")
print("the same divided by 10:", pydl.softmax(scores / 10).numpy(), " almost even")
# exp(1000) is inf in any float, and inf / inf is nan. So the largest score is subtracted first.
print("softmax([1000, 1001]): ", pydl.softmax(pydl.tensor([1000.0, 1001.0])).numpy())

# The gradient of the crossentropy -log(p[right answer]) by the scores is simply p - y.
s = pydl.Variable(scores)
loss = -pydl.log_softmax(s)[1]
loss.backward()
print("\nright answer 1, loss", f"{loss.item():.3f}, gradient p - y:", s.grad.numpy())

(train_images, y_train), (test_images, y_test) = pydl.datasets.mnist.load_data()
x_train = train_images.reshape(-1, 784).astype("float32") / 255
x_test = test_images.reshape(-1, 784).astype("float32") / 255

# Softmax regression: ten scores, each a weighted sum of the pixels. Labels stay numbers 0 to 9,
# which is what "sparse" means; categorical_crossentropy would want rows of ten, one of them 1.
model = pydl.Sequential([layers.Input((784,)), layers.Dense(10, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x_train, y_train, batch_size=128, epochs=args.epochs, validation_data=(x_test, y_test))
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"\nresult: test accuracy {accuracy:.4f}, loss {loss:.4f}")

probabilities = model.predict(x_test, verbose=0)
wrong = np.flatnonzero(probabilities.argmax(axis=1) != y_test)
sure = wrong[probabilities[wrong].max(axis=1).argmax()]  # wrong, and yet very sure

figure = plt.figure(figsize=(11, 4.2))
grid = figure.add_gridspec(2, 8)
weights = model.layers[0].kernel.numpy().reshape(28, 28, 10)
for digit in range(10):
    axis = figure.add_subplot(grid[digit // 5, digit % 5])
    # Red: ink here speaks for the digit. The zero's middle is blue.
    axis.imshow(weights[:, :, digit], cmap="RdBu_r", vmin=-0.5, vmax=0.5)
    axis.set_title(f"weights of {digit}", fontsize=9)
    axis.set_axis_off()
axis = figure.add_subplot(grid[0, 5:])
axis.imshow(test_images[sure], cmap="gray_r")
axis.set_title(f"a {y_test[sure]}, surely taken for another", fontsize=9)
axis.set_axis_off()
axis = figure.add_subplot(grid[1, 5:])
axis.bar(range(10), probabilities[sure])
axis.set_xticks(range(10))
axis.set_title("its ten probabilities", fontsize=9)
figure.tight_layout()
args.output.mkdir(parents=True, exist_ok=True)
figure.savefig(args.output / "softmax.png", dpi=100)
print(f"picture: {args.output / 'softmax.png'}")
