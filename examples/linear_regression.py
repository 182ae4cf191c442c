"""Linear regression by gradient descent, by hand: the price of a house from its number of rooms.

price = w * rooms + b. The loss is the mean squared error; its gradient says how to change w and b
to make it smaller; a step goes a little way against it, again and again. That is all training is.

    python examples/linear_regression.py
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt  # comes with: pip install 'pydl[plot]'
import numpy as np

import pydl

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--steps", type=int, default=200)
parser.add_argument("--learning-rate", type=float, default=0.1)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=Path("."), help="folder for the picture")
args = parser.parse_args()

pydl.utils.set_random_seed(args.seed)

# 404 districts of Boston in 1978: column 5 is the mean number of rooms, prices are in 1,000 $.
(features, prices), _ = pydl.datasets.boston_housing.load_data()
rooms = features[:, 5]

# Mean 0 and deviation 1: without it, w and b would pull at each other and need tiny steps.
x = pydl.tensor((rooms - rooms.mean()) / rooms.std(), dtype="float32")
y = pydl.tensor(prices, dtype="float32")

w = pydl.Variable(pydl.random.normal(()))  # a wrong line to begin with
b = pydl.Variable(0.0)
losses, lines = [], []
for step in range(args.steps):
    loss = pydl.mean((w * x + b - y) ** 2)  # forward: how wrong is the line?
    loss.backward()  # backward: w.grad = d loss / d w, b.grad = d loss / d b
    losses.append(loss.item())
    lines.append((w.numpy().item(), b.numpy().item()))
    with pydl.no_grad():  # the step itself is not part of what is differentiated
        for variable in (w, b):
            variable.assign_sub(args.learning_rate * variable.grad)
            variable.grad = None  # gradients add up otherwise
    if step in (0, 1, 2, 5, 10, 20, 50, 100):
        print(f"step {step:3}: loss {losses[-1]:7.2f}, price = {w.item():.2f} x + {b.item():.2f}")

# A line is simple enough to be solved exactly: the derivatives are zero at the best one.
slope, offset = np.polyfit(np.asarray(x), prices, 1)
print(f"least squares:              price = {slope:.2f} x + {offset:.2f}")
per_room = w.item() / rooms.std()
print(f"\nresult: {per_room:.2f} thousand dollars a room, loss {losses[-1]:.2f}; ", end="")
print(f"off the exact line by {abs(w.item() - slope):.1e} and {abs(b.item() - offset):.1e}")

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8))
left.scatter(rooms, prices, s=8, color="gray")
ends = np.array([rooms.min(), rooms.max()])
scaled = (ends - rooms.mean()) / rooms.std()
for step in (0, 2, 5, 10, args.steps - 1):
    if step < args.steps:
        left.plot(ends, lines[step][0] * scaled + lines[step][1], label=f"step {step}")
left.set(xlabel="rooms", ylabel="price, 1,000 $", title="The line as it learns")
left.legend()
right.semilogy(losses)
right.set(xlabel="step", title="Mean squared error")
right.grid(alpha=0.3)
figure.tight_layout()
args.output.mkdir(parents=True, exist_ok=True)
figure.savefig(args.output / "linear_regression.png", dpi=100)
print(f"picture: {args.output / 'linear_regression.png'}")
