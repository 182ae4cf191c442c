"""MNIST: 60,000 handwritten digits, the first network of every course.

784 pixels, 512 hidden units, 10 classes; RMSprop, 5 epochs, batches of 128: about 98% of the 10,000
test digits are right. The data are downloaded once (11 MB) and kept.

    python examples/mnist.py
"""

import argparse
import time
from pathlib import Path

import pydl
from pydl import layers

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=Path("."), help="folder for the picture")
args = parser.parse_args()

pydl.utils.set_random_seed(args.seed)

(train_images, train_labels), (test_images, test_labels) = pydl.datasets.mnist.load_data()

# Each image becomes a row of 784 numbers between 0 and 1, each label a row of ten: one 1, nine 0.
x_train = train_images.reshape((60000, 28 * 28)).astype("float32") / 255
x_test = test_images.reshape((10000, 28 * 28)).astype("float32") / 255
y_train = pydl.utils.to_categorical(train_labels)
y_test = pydl.utils.to_categorical(test_labels)

model = pydl.Sequential(
    [
        layers.Dense(512, activation="relu", input_shape=(28 * 28,)),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])
model.summary()

start = time.perf_counter()
history = model.fit(x_train, y_train, epochs=args.epochs, batch_size=128)
seconds = time.perf_counter() - start

test_loss, test_accuracy = model.evaluate(x_test, y_test, verbose=0)
# After a few epochs training accuracy is higher: the network knows those digits. The gap is called
# overfitting.
accuracy = history.history["accuracy"][-1]
print(f"\n{seconds:.1f} s; training accuracy minus the test's: {accuracy - test_accuracy:+.4f}")
print(f"result: test accuracy {test_accuracy:.4f}, loss {test_loss:.4f}")

args.output.mkdir(parents=True, exist_ok=True)
history.plot(path=args.output / "mnist.png")
print(f"picture: {args.output / 'mnist.png'}")
