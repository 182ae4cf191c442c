"""XOR with a single unit: it cannot be learned, however long one trains.

XOR is 1 where exactly one of two inputs is 1. A unit with a sigmoid draws one straight line through
the plane and says 1 on one side of it; no line has (0, 1) and (1, 0) on one side, (0, 0) and (1, 1)
on the other. The best that is left is to say 0.5 everywhere: a loss of log 2 = 0.6931.

    python examples/xor_single.py
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt  # comes with: pip install 'pydl[plot]'
import numpy as np

import pydl
from pydl import layers

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=10000)
parser.add_argument("--seed", type=int, default=0, help="it fails with every seed")
parser.add_argument("--output", type=Path, default=Path("."), help="folder for the picture")
args = parser.parse_args()

pydl.utils.set_random_seed(args.seed)

x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype="float32")
truths = {
    "AND": np.array([[0], [0], [0], [1]], dtype="float32"),  # a line can do that
    "XOR": np.array([[0], [1], [1], [0]], dtype="float32"),
}

figure, axes = plt.subplots(1, 3, figsize=(11, 3.5))
side = np.linspace(-0.5, 1.5, 101, dtype="float32")
plane = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)  # 101 * 101 points
results = []
for axis, (name, y) in zip(axes, truths.items(), strict=False):
    # output = sigmoid(w1 * x1 + w2 * x2 + b): 2 weights and a bias
    model = pydl.Sequential([layers.Input((2,)), layers.Dense(1, activation="sigmoid")])
    model.compile(pydl.optimizers.SGD(0.5), "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=args.epochs, batch_size=4, verbose=0)
    loss, accuracy = model.evaluate(x, y, verbose=0)
    outputs = model.predict(x, verbose=0)[:, 0]
    weights, bias = model.get_weights()
    print(f"{name}: loss {loss:.4f}, accuracy {accuracy:.2f}, outputs {outputs.round(4)},", end=" ")
    print(f"weights {weights.ravel().round(2) + 0}, bias {bias[0]:.2f}")
    results.append(f"{name} loss {loss:.4f}, outputs {outputs.round(3)}")

    probability = model.predict(plane, batch_size=len(plane), verbose=0).reshape(101, 101)
    axis.contourf(side, side, probability, levels=np.linspace(0, 1, 11), cmap="RdBu_r", alpha=0.6)
    axis.scatter(*x.T, c=y[:, 0], cmap="RdBu_r", edgecolor="black", s=80)
    axis.set(title=f"{name}: what the unit says", xlabel="first input", ylabel="second input")
    axes[2].semilogx(range(1, args.epochs + 1), history.history["loss"], label=name)

# XOR's accuracy means nothing: on which side of 0.5 an output lies is rounding of its last digit.
print("\nresult: " + "; ".join(results))
axes[2].axhline(np.log(2), color="gray", linestyle=":", label="log 2")
axes[2].set(title="Loss", xlabel="epoch")
axes[2].legend()
figure.tight_layout()
args.output.mkdir(parents=True, exist_ok=True)
figure.savefig(args.output / "xor_single.png", dpi=100)
print(f"picture: {args.output / 'xor_single.png'}")
