"""XOR with a hidden layer: two units draw a line each, a third one combines what they say.

The hidden units move the four points to where one line is enough; the picture shows the plane
before and after. About 3 seeds in 8 get stuck with two hidden units (try a few); with --hidden 8
nearly all arrive.

    python examples/xor_network.py --seed 1
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt  # comes with: pip install 'pydl[plot]'
import numpy as np

import pydl
from pydl import layers

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--hidden", type=int, default=2, help="hidden units")
parser.add_argument("--epochs", type=int, default=10001)
parser.add_argument("--learning-rate", type=float, default=0.1)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=Path("."), help="folder for the picture")
args = parser.parse_args()

pydl.utils.set_random_seed(args.seed)

x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype="float32")
y = np.array([[0], [1], [1], [0]], dtype="float32")

# If both hidden units began with the same weights they would get the same gradients and stay equal
# for ever; random ones tell them apart. N(0, 1) is large enough for a network as small as this.
normal = pydl.initializers.RandomNormal(mean=0.0, stddev=1.0)
model = pydl.Sequential(
    [
        layers.Input((2,)),
        layers.Dense(
            args.hidden, activation="sigmoid", kernel_initializer=normal, bias_initializer=normal
        ),
        layers.Dense(1, activation="sigmoid", kernel_initializer=normal, bias_initializer=normal),
    ]
)
model.compile(pydl.optimizers.SGD(args.learning_rate), "binary_crossentropy", metrics=["accuracy"])
model.summary()

# Each epoch is one step on all four points.
history = model.fit(x, y, epochs=args.epochs, batch_size=4, verbose=0)
loss, accuracy = model.evaluate(x, y, verbose=0)
outputs = model.predict(x, verbose=0)[:, 0]
print(f"\nresult: loss {loss:.4f}, accuracy {accuracy:.2f}, outputs {outputs.round(3)}")
if accuracy < 1:
    print("stuck: some point is on the wrong side, and no small step helps; try another --seed")

hidden, output = model.layers
side = np.linspace(-0.5, 1.5, 101, dtype="float32")
plane = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)

figure, (before, after, curve) = plt.subplots(1, 3, figsize=(12, 3.7))
probability = model.predict(plane, batch_size=len(plane), verbose=0).reshape(101, 101)
before.contourf(side, side, probability, levels=np.linspace(0, 1, 11), cmap="RdBu_r", alpha=0.6)
for unit in range(args.hidden):  # where the unit is undecided: its sum is 0, its sigmoid 0.5
    (w1, w2), b = hidden.kernel.numpy()[:, unit], hidden.bias.numpy()[unit]
    before.plot(side, -(w1 * side + b) / w2, "k--", linewidth=1)
before.scatter(*x.T, c=y[:, 0], cmap="RdBu_r", edgecolor="black", s=80)
before.set(title="The inputs, and the line of each hidden unit", ylim=(-0.5, 1.5))

moved = hidden(x).numpy()  # a layer can be called: what the hidden units say of the four points
unit = np.linspace(-0.1, 1.1, 2)
w, b = output.kernel.numpy()[:, 0], output.bias.numpy()[0]
after.plot(unit, -(w[0] * unit + w[2:].sum() / 2 + b) / w[1], "k--", linewidth=1)
after.scatter(*moved[:, :2].T, c=y[:, 0], cmap="RdBu_r", edgecolor="black", s=80)
for (h1, h2), point in zip(moved[:, :2], x.astype(int), strict=True):
    after.annotate(str(tuple(point.tolist())), (h1, h2), xytext=(6, 4), textcoords="offset points")
after.set(title="What two hidden units make of them", xlim=(-0.15, 1.3), ylim=(-0.15, 1.15))
curve.plot(history.history["loss"])
curve.set(title="Loss: long flat, then it falls", xlabel="epoch")
figure.tight_layout()
args.output.mkdir(parents=True, exist_ok=True)
figure.savefig(args.output / "xor_network.png", dpi=100)
print(f"picture: {args.output / 'xor_network.png'}")
