"""Film reviews: is it praise or blame? Two classes, and a network that learns its reviews by heart.

1. Reviews become bags of words. 2. Train for 20 epochs while 10,000 reviews, kept apart, watch.
3. Their curves turn after a few epochs: train anew for so many only. 4. Test, once.

    python examples/imdb.py
"""

import argparse
from pathlib import Path

import numpy as np

import pydl
from pydl import layers

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=20, help="of the first training")
parser.add_argument("--retrain", type=int, default=4, help="epochs of the second one")
parser.add_argument("--words", type=int, default=10000, help="keep the most frequent")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=Path("."), help="folder for the picture")
args = parser.parse_args()

pydl.utils.set_random_seed(args.seed)

# 25,000 reviews to train on and 25,000 to test, half of them good. Each is a list of words, given
# by their rank in frequency; those beyond the 10,000 most frequent are left out.
(train_words, y_train), (test_words, y_test) = pydl.datasets.imdb.load_data(num_words=args.words)
names = {rank + 3: word for word, rank in pydl.datasets.imdb.get_word_index().items()}


def text(review):
    """The words of a review; 0, 1 and 2 stand for padding, its start and a cut word."""
    return " ".join(names.get(i, "?") for i in review[1:])


print(f"a {'good' if y_train[0] else 'bad'} one: {text(train_words[0])[:200]} ...\n")

# A network wants numbers in rows of one length: 10,000 zeros and ones, is the word there or not?
# The order of the words is lost, and it works all the same.
x_train = pydl.utils.multi_hot(train_words, args.words)
x_test = pydl.utils.multi_hot(test_words, args.words)


def network():
    """10000-16-16-1; the sigmoid's output is the probability of praise."""
    model = pydl.Sequential([layers.Input((args.words,))])
    model.add(layers.Dense(16, activation="relu"))
    model.add(layers.Dense(16, activation="relu"))
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile("rmsprop", "binary_crossentropy", metrics=["accuracy"])
    return model


model = network()
model.summary()
held_out = (x_train[:10000], y_train[:10000])
history = model.fit(
    x_train[10000:], y_train[10000:], batch_size=512, epochs=args.epochs, validation_data=held_out
)
val_loss, val_accuracy = history.history["val_loss"], history.history["val_accuracy"]
best = int(np.argmin(val_loss))
print(f"\nvalidation loss is least, {val_loss[best]:.4f}, after epoch {best + 1}; then it rises to")
print(f"{val_loss[-1]:.4f} while training accuracy goes to {history.history['accuracy'][-1]:.4f}:")
print("the network learns the reviews rather than what makes them good.")

print(f"\nAnew, on all 25,000 reviews, for {args.retrain} epochs:")
model = network()
model.fit(x_train, y_train, batch_size=512, epochs=args.retrain)
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)

probabilities = model.predict(x_test, batch_size=512, verbose=0)[:, 0]
sure = np.abs(probabilities - 0.5) > 0.4
for i in (probabilities.argmax(), probabilities.argmin()):
    print(f"{probabilities[i]:.4f}: {text(test_words[i])[:160]} ...")
print(f"sure (below 0.1 or above 0.9) of {sure.mean():.0%}, and right about", end=" ")
print(f"{((probabilities > 0.5) == y_test)[sure].mean():.1%} of them")
print(f"\nresult: best validation accuracy {max(val_accuracy):.4f},", end=" ")
print(f"least loss {min(val_loss):.4f};", end=" ")
print(f"retrained: test accuracy {accuracy:.4f}, loss {loss:.4f} (guessing: 0.5)")

args.output.mkdir(parents=True, exist_ok=True)
history.plot(path=args.output / "imdb.png")
print(f"picture: {args.output / 'imdb.png'}")
