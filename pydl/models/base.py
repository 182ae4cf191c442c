"""Model: a layer that can be trained, summarised and asked for its parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from pydl.layers.base import Layer
from pydl.layers.nest import batch_free_shape
from pydl.models.data import as_arrays, tensors
from pydl.models.debug import LayerOutput, debug_rows, debug_table, find_nonfinite
from pydl.models.keras2 import Keras2Methods
from pydl.models.summary import summarize
from pydl.models.trainer import Trainer
from pydl.registry import did_you_mean
from pydl.saving import models as saving

if TYPE_CHECKING:
    from pydl.models.functional import Functional


_GRAPH = frozenset(("inputs", "outputs", "input", "output"))  # arguments that make a Functional


class Model(Keras2Methods, Trainer):
    """A layer made of layers, with a training loop.

    `Model(inputs, outputs)` makes a model of layers that were called on symbolic tensors from
    `Input`; both may be lists or dictionaries. See `pydl.models.Functional`.

    Subclasses make their layers in `__init__` and use them in `call`; `train_step`, `test_step`,
    `predict_step`, `compute_loss` and `compute_metrics` can be overridden for other kinds of
    training. A model can be a layer of another model.

    Args:
        trainable: False freezes the weights.
        dtype: Float type of the weights.
        name: Name; None makes one from the class.

    >>> import pydl
    >>> class Pair(Model):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden = pydl.layers.Dense(4, activation="relu")
    ...         self.out = pydl.layers.Dense(1)
    ...     def call(self, inputs, training=False):
    ...         return self.out(self.hidden(inputs))
    >>> model = Pair()
    >>> model(pydl.ones((8, 3))).shape
    (8, 1)
    """

    _takes_sparse = True  # it is the first layer that decides

    def __new__(cls, *args: Any, **kwargs: Any) -> Model:
        """Return a `Functional` where `Model` itself is called with inputs and outputs."""
        if cls is Model and (args or not _GRAPH.isdisjoint(kwargs)):
            from pydl.models.functional import Functional

            return super().__new__(Functional)
        return super().__new__(cls)

    def __init__(
        self,
        *graph: Any,
        trainable: bool = True,
        dtype: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if graph or not _GRAPH.isdisjoint(
            kwargs
        ):  # super().__init__(inputs, outputs) of a subclass
            from pydl.models.functional import Functional, functional_class

            self.__class__ = functional_class(cast(Any, type(self)))
            Functional.__init__(
                cast("Functional", self), *graph, trainable=trainable, name=name, **kwargs
            )
            return
        super().__init__(trainable=trainable, dtype=dtype, name=name, **kwargs)

    def _marked(self, outputs: Any, inputs: Any, mask: Any) -> Any:
        """Return the outputs with the masks that the layers inside gave them."""
        return outputs

    def build(self, input_shape: Any) -> None:
        """Make the weights by calling the model on zeros of `input_shape` (batch axis included)."""
        self.built = True  # the layers inside build themselves during the call
        self.compute_output_shape(input_shape)

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the output for `inputs`; the first call makes the weights."""
        if not self.built and getattr(type(self).build, "__wrapped__", None) is _MODEL_BUILD:
            self.built = True  # the layers inside build themselves during the call
            try:
                outputs = super().__call__(inputs, *args, **kwargs)
            except BaseException:
                self.built = False
                raise
            self._built_for = batch_free_shape(self._as_tensors(inputs))
            return outputs
        return super().__call__(inputs, *args, **kwargs)

    @property
    def layers(self) -> list[Layer]:
        """The layers held by attributes, in the order they were set."""
        found: dict[int, Layer] = {id(layer): layer for layer in self._sublayers()}
        return list(found.values())

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return the layer of this name, or at this position in `layers`.

        Raises:
            ValueError: There is none, or neither or both arguments are given.
        """
        if (name is None) == (index is None):
            raise ValueError("get_layer: pass either name or index")
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(
                    f"get_layer: index {index} is out of range for {len(layers)} layers"
                )
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        names = [layer.name for layer in layers]
        raise ValueError(
            f"get_layer: {self.name!r} has no layer {name!r}; {did_you_mean(str(name), names)}"
        )

    def save(self, filepath: Any, overwrite: bool = True) -> None:
        """Write architecture, weights, compile settings and the state of the training to one file.

        `models.load_model` makes the model anew. The state is that of the optimizer, of the random
        generators of the layers, and the number of epochs done: after
        `fit(..., initial_epoch=model.epochs_done)` the loaded model has the same bits as if the
        training had not stopped. Such a `fit` also lets the global random generator go on, unless
        `set_random_seed` was called after loading. The file is in the safetensors format. It takes
        the place of an older one when it is complete, so the path holds a whole file at any moment.

        Args:
            filepath: The file, best with the ending ".safetensors".
            overwrite: False raises where there is a file.

        Raises:
            ValueError: The model is not built, a configuration holds a function without a name, or
                the path ends as a file of Keras does. Nothing is written.
            NotImplementedError: A class of the user needs `get_config`.
            OSError: The file cannot be written; the one of before is as it was.
        """
        saving.save_model(self, filepath, overwrite)

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Write the weights to a safetensors file; see `save` for the arguments and errors.

        The names are made of classes, as "sequential/dense_1/kernel", whatever the layers are
        called.
        """
        saving.save_weights(self, filepath, overwrite)

    def load_weights(
        self, filepath: Any, skip_mismatch: bool = False, by_name: bool = False
    ) -> None:
        """Set the weights from a file of `save_weights` or `save`.

        Args:
            filepath: The file.
            skip_mismatch: Leave layers out whose weights differ from those in the file in number,
                shape or type, with a warning that names them.
            by_name: Set the layers of `layers` that are called as one of the saved model, whatever
                their places, and leave the others as they are. A model inside the model is one
                layer.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file is damaged, or its weights do not fit those of the model, which
                must be built, or with `skip_mismatch` or `by_name` no layer does; nothing is
                changed.

        >>> import os, tempfile
        >>> from pydl import Input, Sequential, layers
        >>> trained = Sequential([Input((3,)), layers.Dense(4, name="body"), layers.Dense(2)])
        >>> other = Sequential([Input((3,)), layers.Dense(4, name="body"), layers.Dense(5)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "weights.safetensors")
        ...     trained.save_weights(path)
        ...     other.load_weights(path, by_name=True)
        >>> bool((other.get_weights()[0] == trained.get_weights()[0]).all())
        True
        """
        saving.load_weights(self, filepath, skip_mismatch, by_name)

    def to_json(self, **kwargs: Any) -> str:
        """Return class, configuration and input shape as text, for `models.model_from_json`.

        Args:
            **kwargs: Passed to `json.dumps`.
        """
        return saving.to_json(self, **kwargs)

    def summary(
        self,
        line_length: int | None = None,
        print_fn: Callable[[str], Any] | None = None,
        show_trainable: bool = False,
        expand_nested: bool = False,
    ) -> None:
        """Print the layers, their output shapes and the numbers of weights.

        Args:
            line_length: Width of the table.
            print_fn: Called with the text; None prints it.
            show_trainable: Add a column that tells which layers are trained.
            expand_nested: Show the layers of models inside the model below them.
        """
        text = summarize(self, line_length, show_trainable, expand_nested)
        (print if print_fn is None else print_fn)(text)

    def _find_nonfinite(self, batch: Any, before: Any) -> tuple[str | None, str]:
        """Return where the first nan of a step arose; see `debug.find_nonfinite`."""
        return find_nonfinite(self, batch, before)

    def debug(self, x: Any, print_fn: Callable[[str], Any] | None = None) -> list[LayerOutput]:
        """Print what the layers make of some rows, and return it as rows.

        For each output of each layer: shape, mean, standard deviation, share of zeros, share of
        units that are 0 for every row, and how many values are nan or infinite.

        Args:
            x: Input, as for `predict_on_batch`; runs as one batch, with inference behaviour.
            print_fn: Called with the text; None prints it.

        >>> import pydl
        >>> model = pydl.Sequential([pydl.layers.Dense(2, "relu", kernel_initializer="ones")])
        >>> rows = model.debug([[1.0, 3.0], [2.0, 0.0]], print_fn=lambda text: None)
        >>> rows[0].shape, rows[0].mean, rows[0].std
        ((2, 2), 3.0, 1.0)
        """
        rows = debug_rows(self, tensors(as_arrays(x, "debug", "x")))
        (print if print_fn is None else print_fn)(debug_table(rows))
        return rows


_MODEL_BUILD = Model.build.__wrapped__  # type: ignore[attr-defined]
