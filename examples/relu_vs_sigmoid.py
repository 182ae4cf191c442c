"""ReLU against sigmoid: the same network on MNIST, and the gradients that reach its first layer.

A sigmoid's slope is 0.25 at most and almost 0 for large sums, so what comes back through it gets
smaller with each layer. A ReLU's slope is 1 where it is on: gradients pass through unchanged.

    python examples/relu_vs_sigmoid.py
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt  # comes with: pip install 'pydl[plot]'
import numpy as np

import pydl
from pydl import layers

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=Path("."), help="folder for the picture")
args = parser.parse_args()

(x_train, y_train), (x_test, y_test) = pydl.datasets.mnist.load_data()
x_train = x_train.reshape(-1, 784).astype("float32") / 255
x_test = x_test.reshape(-1, 784).astype("float32") / 255

small = pydl.initializers.RandomNormal(stddev=0.05)
networks = {
    "sigmoid, N(0, 0.05)": ("sigmoid", small),
    "relu, N(0, 0.05)": ("relu", small),
    "relu, Glorot": ("relu", "glorot_uniform"),
}
# The last layer has no softmax: it gives scores ("logits"), and the loss takes care of the rest.
loss_function = pydl.losses.SparseCategoricalCrossentropy(from_logits=True)

figure, (curves, gradients) = plt.subplots(1, 2, figsize=(10, 3.8))
results = []
for place, (name, (activation, initializer)) in enumerate(networks.items()):
    pydl.utils.set_random_seed(args.seed)  # the same start and the same batches for all
    model = pydl.Sequential(
        [
            layers.Input((784,)),
            layers.Dense(256, activation=activation, kernel_initializer=initializer),
            layers.Dense(256, activation=activation, kernel_initializer=initializer),
            layers.Dense(10, kernel_initializer=initializer),
        ]
    )
    # The gradient of each layer's weights before any training, on 1,000 images.
    with pydl.GradientTape() as tape:
        loss = loss_function(y_train[:1000], model(x_train[:1000]))
    kernels = [layer.kernel for layer in model.layers]
    sizes = [np.sqrt(np.mean(g.numpy() ** 2)) for g in tape.gradient(loss, kernels)]
    print(f"{name}: root mean square gradient of each layer", " ".join(f"{s:.1e}" for s in sizes))
    gradients.bar(np.arange(3) + 0.25 * place, sizes, width=0.25, label=name)

    model.compile("adam", loss_function, metrics=["accuracy"])
    history = model.fit(
        x_train, y_train, batch_size=128, epochs=args.epochs, validation_data=(x_test, y_test)
    )
    accuracies = history.history["val_accuracy"]
    curves.plot(range(1, args.epochs + 1), accuracies, "o-", label=name)
    results.append(f"{name} {accuracies[0]:.4f}")

print("\nresult: test accuracy after one epoch: " + "; ".join(results))
curves.set(title="Test accuracy", xlabel="epoch", xticks=range(1, args.epochs + 1))
curves.legend()
curves.grid(alpha=0.3)
gradients.set(title="Gradients before training", yscale="log")
gradients.set_xticks(np.arange(3) + 0.25, ["first layer", "second", "last"])
gradients.legend(fontsize=8)
figure.tight_layout()
args.output.mkdir(parents=True, exist_ok=True)
figure.savefig(args.output / "relu_vs_sigmoid.png", dpi=100)
print(f"picture: {args.output / 'relu_vs_sigmoid.png'}")
