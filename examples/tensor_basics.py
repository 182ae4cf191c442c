"""Tensors: rank, shape, dtype, broadcasting, dot, reshape and transpose, each with what it shows.

A tensor is an array of numbers. Every layer of a network is made of the operations of this page.

    python examples/tensor_basics.py
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt  # comes with: pip install 'pydl[plot]'
import numpy as np

import pydl

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--seed", type=int, default=0, help="of the random numbers")
parser.add_argument("--output", type=Path, default=Path("."), help="folder for the picture")
args = parser.parse_args()

pydl.utils.set_random_seed(args.seed)

print("Rank: the number of axes. Shape: how long each is. Dtype: the kind of number.")
(images, labels), _ = pydl.datasets.digits.load_data()
for name, x in {
    "a scalar": pydl.tensor(12.0),
    "a vector": pydl.tensor([12.0, 3.0, 6.0, 14.0]),  # rank 1, though it has 4 dimensions
    "a matrix": pydl.tensor([[5.0, 78.0, 2.0], [6.0, 79.0, 3.0]]),
    "gray images": pydl.tensor(images),  # (samples, height, width)
    "colour images": pydl.zeros((128, 256, 256, 3)),  # (samples, height, width, channels)
}.items():
    print(f"  {name:13} rank {x.ndim}, shape {x.shape}, dtype {x.dtype}")

x = pydl.tensor(images, dtype="float32") / 16  # pixels of 0 to 16 become 0 to 1
print("\nSlices: x[10:100] is", x[10:100].shape, "and x[:, 4:, 4:], a quarter of each,", end=" ")
print(x[:, 4:, 4:].shape)

print("\nElement-wise: each number by itself, all at once.")
a = pydl.tensor([[-1.0, 2.0], [3.0, -4.0]])
print("  relu(a) keeps what is positive:", pydl.relu(a).tolist())
print("  a + a * a:", (a + a * a).tolist())

print("\nBroadcasting: the smaller operand is repeated along the axes that it lacks, or has as 1.")
big, small = pydl.random.normal((64, 3, 32, 10)), pydl.random.normal((32, 10))
print("  maximum of (64, 3, 32, 10) and (32, 10):", pydl.maximum(big, small).shape)
print("  (1, 2) * (2, 1):", (pydl.tensor([[1, 2]]) * pydl.tensor([[1], [10]])).tolist())
try:
    pydl.zeros((32, 10)) + pydl.zeros((32, 11))
except ValueError as error:
    print("  but:", error)

print("\nDot: products are summed over the last axis of a and the last but one of b.")
for left, right in [((3,), (3,)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((2, 3, 5), (5, 7))]:
    product = pydl.dot(pydl.random.normal(left), pydl.random.normal(right))
    print(f"  {left} . {right} -> {product.shape}")
# That is a Dense layer: each row of x with each column of w, and a bias that is broadcast.
w, b = pydl.random.normal((64, 10)), pydl.zeros(10)
print("  relu(dot(x, w) + b):", pydl.relu(pydl.dot(x.reshape(-1, 64), w) + b).shape)

print("\nReshape: the same numbers in the same order, in rows of another length; -1 is worked out.")
c = pydl.tensor([[0, 1], [2, 3], [4, 5]])
print("  (3, 2) -> (6, 1):", c.reshape(6, 1).tolist())
print("  (3, 2) -> (2, -1):", c.reshape(2, -1).tolist())
print("Transpose: rows become columns, so the order changes:", c.T.tolist())

# Which axis a reduction takes decides what it tells: over the samples, it draws the mean digit.
eights = pydl.tensor(x.numpy()[labels == 8])
ramp = pydl.linspace(0, 1, 8)  # broadcast along the rows: the left side of the image goes dark
pictures = {
    f"x[8], a {labels[8]}": x[8],
    "transposed": x[8].T,
    "times a ramp\n(8, 8) * (8,)": x[8] * ramp,
    "mean of all eights\n(axis 0)": pydl.mean(eights, axis=0),
    "outer product\n(8, 1) * (8,)": ramp.reshape(8, 1) * ramp,
}
figure, axes = plt.subplots(1, len(pictures), figsize=(10, 2.6))
for axis, (title, picture) in zip(axes, pictures.items(), strict=True):
    axis.imshow(np.asarray(picture), cmap="gray", vmin=0, vmax=1)
    axis.set_title(title, fontsize=9)
    axis.set_axis_off()
figure.tight_layout()
args.output.mkdir(parents=True, exist_ok=True)
figure.savefig(args.output / "tensor_basics.png", dpi=100)
print(f"\nresult: {len(pictures)} images made by slices, broadcasting and a mean")
print(f"picture: {args.output / 'tensor_basics.png'}")
