"""XOR in TensorBoard: watch the loss fall, the weights grow and the plane take its colours.

Training writes numbers, histograms and pictures into a folder; TensorBoard shows them in a browser,
while the training runs or later:

    python examples/xor_tensorboard.py
    tensorboard --logdir logs
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt  # comes with: pip install 'pydl[plot]'
import numpy as np

import pydl
from pydl import callbacks, layers
from pydl.tensorboard import SummaryWriter  # comes with: pip install 'pydl[tensorboard]'

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=100, help="of 100 steps each")
parser.add_argument("--learning-rate", type=float, default=0.1)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=Path("."), help="folder for the picture")
parser.add_argument("--logs", type=Path, default=Path("logs"), help="folder for TensorBoard")
args = parser.parse_args()
pydl.utils.set_random_seed(args.seed)

x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype="float32")
y = np.array([[0], [1], [1], [0]], dtype="float32")
side = np.linspace(-0.5, 1.5, 64, dtype="float32")
plane = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)

normal = pydl.initializers.RandomNormal(stddev=1.0)
initial = {"kernel_initializer": normal, "bias_initializer": normal}
model = pydl.Sequential([layers.Input((2,))], name="xor")
for name in ("first", "second", "third"):  # TensorBoard sorts its histograms under these names
    model.add(layers.Dense(10, activation="sigmoid", name=name, **initial))
model.add(layers.Dense(1, activation="sigmoid", name="output", **initial))
model.compile(pydl.optimizers.SGD(args.learning_rate), "binary_crossentropy", metrics=["accuracy"])

# The callback writes the loss, accuracy and learning rate of each epoch, histograms of all weights
# and the graph of the layers. With the settings in the folder's name, runs can be compared.
run = args.logs / f"rate{args.learning_rate}-seed{args.seed}"
board = callbacks.TensorBoard(run, histogram_freq=10)

# A writer of one's own takes anything: here what each hidden unit says, and the plane as an image.
writer = SummaryWriter(run / "own")
planes = []


def look(epoch, logs):
    """Write the activations of the hidden layers and the output over the plane."""
    if epoch % 10 == 0 or epoch == args.epochs - 1:
        signal = plane
        for layer in model.layers:
            signal = layer(signal).numpy()
            writer.histogram(f"activations/{layer.name}", signal, epoch)
        planes.append(signal.reshape(64, 64)[::-1])
        writer.image("output over the plane", planes[-1], epoch)
        writer.scalar("spread of the outputs", signal.max() - signal.min(), epoch)


# One epoch is 100 steps on the four points: they are repeated and taken in batches of four.
history = model.fit(
    np.tile(x, (100, 1)),
    np.tile(y, (100, 1)),
    batch_size=4,
    shuffle=False,
    epochs=args.epochs,
    verbose=0,
    callbacks=[board, callbacks.LambdaCallback(on_epoch_end=look)],
)
writer.close()
loss, accuracy = model.evaluate(x, y, verbose=0)
files = sorted(run.glob("**/events.out.tfevents.*"))
print(f"result: loss {loss:.4f}, accuracy {accuracy:.2f}; {len(files)} files for TensorBoard")
print(f"logs: {run}; now run: tensorboard --logdir {args.logs}")

figure, axes = plt.subplots(1, 4, figsize=(12, 3.2))
for axis, i in zip(axes, (0, 1, len(planes) - 1), strict=False):
    axis.imshow(planes[i], cmap="RdBu_r", vmin=0, vmax=1, extent=(-0.5, 1.5, -0.5, 1.5))
    axis.scatter(*x.T, c=y[:, 0], cmap="RdBu_r", edgecolor="black")
    axis.set_title(f"output after {min(i * 10, args.epochs - 1) + 1} epochs", fontsize=10)
axes[3].plot(range(1, args.epochs + 1), history.history["loss"])
axes[3].set(title="loss", xlabel="epoch")
figure.tight_layout()
args.output.mkdir(parents=True, exist_ok=True)
figure.savefig(args.output / "xor_tensorboard.png", dpi=100)
print(f"picture: {args.output / 'xor_tensorboard.png'}")
