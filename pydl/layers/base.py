"""Layer: weights made on the first call, frozen or trained, saved and restored by name.

A layer is three methods: `__init__` stores arguments, `build(input_shape)` makes the weights and
`call(inputs, training=False)` computes. `__call__` does what all layers share around them.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from pydl import ops, regularizers
from pydl.autograd import no_grad
from pydl.function import recording
from pydl.layers.arguments import declared_shape, float_dtype
from pydl.layers.nest import batch_free_shape, held, map_shapes, map_tensors, merge_shapes
from pydl.layers.symbolic import Node, Spec, SymbolicTensor, holds_symbols, nodes_of, replaced
from pydl.layers.weights import WeightOwner
from pydl.registry import NameCounter, Registry, class_name, snake_case
from pydl.sparse import SparseTensor
from pydl.tensor import Tensor

layer_classes: Registry[type[Layer]] = Registry("layer class")
layer_names = NameCounter()


class _CallState(threading.local):
    """What the layers being called share on one thread."""

    depth = 0  # how many calls enclose this one
    number = 0  # of the outermost call
    training: bool | None = None  # of the innermost call


_state = _CallState()
_call_numbers = itertools.count(1)
_learning_phase = False
ADD_LOSS_HINT = (
    "call self.add_loss(...) in the call of a layer of the model, such as one that takes what the "
    "loss is made of and returns its input"
)
_TRIAL_SIZES = 2, 3  # of free axes, where only a run of a layer tells the shape of its output


def set_learning_phase(value: bool | int) -> None:
    """Set what `training` is where no caller says: 0 (inference, the default) or 1."""
    global _learning_phase
    if value not in (0, 1):
        raise ValueError(f"set_learning_phase: expected 0 or 1, got {value!r}")
    _learning_phase = bool(value)


def learning_phase() -> bool:
    """Return what `training` is where no caller says."""
    return _learning_phase


def _recording_build(build: Callable[..., None]) -> Any:
    """Wrap a `build` so that it marks the layer built.

    A build that fails leaves no weights behind, and one that is repeated replaces them.
    """

    @functools.wraps(build)
    def wrapper(self: Layer, input_shape: Any = None, *args: Any, **kwargs: Any) -> None:
        if self._building:  # super().build(...)
            build(self, input_shape, *args, **kwargs)
            return
        if self.built:
            del self._weights[self._weights_before_build :]
        self._weights_before_build = len(self._weights)
        self._building = True
        try:
            build(self, input_shape, *args, **kwargs)
        except BaseException:
            del self._weights[self._weights_before_build :]
            self.built = False
            raise
        finally:
            self._building = False
        self.built = True
        if input_shape is not None:
            self._built_for = input_shape

    return wrapper


class Layer(WeightOwner):
    """Base class of the layers and models.

    Attributes that are Variables or Layers, also inside lists, tuples and dictionaries, belong to
    the layer: their weights are trained, counted and saved with it.

    Args:
        activity_regularizer: Penalty on the output, divided by the batch size.
        trainable: False freezes the weights.
        dtype: Float type of the weights and of the computation; None takes `config.floatx()`.
        name: Name; None makes one from the class: "dense", "dense_1", ...
        input_shape, input_dim, batch_input_shape: Shape of the first layer's input; the first two
            without the batch axis.

    Raises:
        TypeError: Unknown argument.

    >>> import pydl
    >>> class Scale(Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight((input_shape[-1],), "ones", name="factor")
    ...     def call(self, inputs):
    ...         return inputs * self.factor
    >>> layer = Scale()
    >>> layer(pydl.ones((2, 3))).shape, layer.count_params()
    ((2, 3), 3)
    """

    _unrecorded = frozenset(
        {"_building", "_built_for", "_call_number", "_emit_logits", "_entry", "_losses_number",
         "_losses_unread", "_makes_mask", "_nodes", "_random_then", "_shape", "_start_at",
         "_weights_before_build", "built", "epochs_done", "history", "stop_training",
         "supports_masking"}
    )  # fmt: skip
    # Lists of the library's own, which recorded steps need not compare.
    _unwatched = frozenset({"_added_losses", "_entries", "_layers", "_nodes", "_weights"})
    supports_masking = False
    # Layers that compute with floats set this: integer inputs are then cast like other floats.
    casts_integers = False
    # Layers whose input is integers, as ids, set this: models then do not cast those to floats.
    takes_integers = False

    _built_for: Any  # the input shape, once built
    _building = False
    _losses_unread = False  # added outside of a call, and nobody has looked at them
    _weights_before_build = 0
    _takes_sparse = False  # the input may be a SparseTensor
    _takes_training = False
    _takes_mask = False
    _makes_mask = False  # `compute_mask` returns one where none came in
    _default_training: bool | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if ">" not in class_name(cls):
            layer_classes.register(cls, cls.__name__)
        if "build" in vars(cls):
            cls.build = _recording_build(vars(cls)["build"])  # type: ignore[method-assign]
        parameters = inspect.signature(cls.call).parameters
        cls._takes_training = "training" in parameters
        cls._takes_mask = "mask" in parameters
        default = parameters["training"].default if cls._takes_training else None
        cls._default_training = True if default is True else None

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if name is None:
            name = layer_names.next(snake_case(type(self).__name__.lstrip("_")))
        elif not isinstance(name, str) or not name or "/" in name:
            raise ValueError(
                f"{type(self).__name__}: name must be a non-empty string without '/', got {name!r}"
            )
        self.name = name
        self.built = False
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self._trainable = bool(trainable)
        self._dtype = float_dtype(type(self), dtype)
        self._weights = []
        self._added_losses: list[Any] = []
        self._losses_number = 0  # the outermost call the added losses belong to
        self._call_number = 0  # the last outermost call this layer took part in
        self.batch_input_shape = declared_shape(type(self), kwargs)

    def __getattr__(self, name: str) -> Any:
        who = type(self).__name__
        if name in ("_weights", "_trainable", "_dtype", "name", "built"):
            if "_call_number" not in vars(self):
                raise RuntimeError(
                    f"{who}: call super().__init__() in __init__ before the layer is used"
                )
        elif name in ("input_shape", "output_shape") and not self.built:
            raise AttributeError(f"{self.label}: has no {name} before it is built")
        elif name in ("input", "inputs", "output", "outputs") and hasattr(type(self), name):
            raise AttributeError(
                f"{self.label}: has no {name} before it is part of a model whose input shape is "
                "known; call it on Input(shape), or put it into a Sequential that is built"
            )
        hint = "" if vars(self).get("built", True) else "; the layer is not built yet"
        raise AttributeError(f"{who!r} object has no attribute {name!r}{hint}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name!r}, built={self.built}>"

    @property
    def dtype(self) -> str:
        """Name of the float type of the weights."""
        return self._dtype.name

    # Building

    @_recording_build
    def build(self, input_shape: Any) -> None:
        """Make the weights for `input_shape` (batch axis included, None where free)."""

    # Calling

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; subclasses implement `call(self, inputs, training=False)`."""
        raise NotImplementedError(f"{type(self).__name__} must implement call(inputs)")

    def __call__(
        self, inputs: Any, *args: Any, training: bool | None = None, mask: Any = None, **kwargs: Any
    ) -> Any:
        """Return the output for `inputs`: a Tensor or array, or a list or dictionary of them.

        Builds the layer on the first call. `training` that is not given is taken from the layer
        inside whose `call` this one is called, and is False outermost.
        """
        if type(inputs) is not Tensor or inputs.dtype != self._dtype:
            if type(inputs) is not Tensor and holds_symbols((inputs, args, kwargs)):
                return self._note_call(inputs, args, {"training": training, "mask": mask, **kwargs})
            inputs = self._as_tensors(inputs)
        if not self.built:
            self.build(batch_free_shape(inputs))
        given = mask
        if given is None:  # a Tensor is the usual case
            given = getattr(inputs, "_mask", None) if type(inputs) is Tensor else mask_of(inputs)
        state = _state
        outer = state.training
        if training is None:
            training = outer
            if training is None:
                training = self._default_training or _learning_phase
        if self._takes_training:
            kwargs["training"] = training
        if given is not None and self._takes_mask:
            kwargs["mask"] = given
        if not state.depth:
            state.number = next(_call_numbers)
        self._call_number = state.number
        if recording.layers is not None:
            recording.layers.append(self)
        state.training = training
        state.depth += 1
        try:
            outputs = self.call(inputs, *args, **kwargs)
            if self.activity_regularizer is not None:
                self._add_activity_loss(outputs)
        finally:
            state.depth -= 1
            state.training = outer
        if given is not None or self._makes_mask:
            outputs = self._marked(outputs, inputs, given)
        return outputs

    def _marked(self, outputs: Any, inputs: Any, mask: Any) -> Any:
        """Return the outputs with the mask that goes with them."""
        found = self.compute_mask(inputs, mask)
        if found is None:
            if outputs is inputs and isinstance(outputs, Tensor):  # whose mask ends here
                return ops.reshape(outputs, outputs.shape)
            return outputs
        if isinstance(outputs, Tensor):
            outputs._mask = found
            return outputs
        several = isinstance(found, (list, tuple))
        for i, output in enumerate(outputs):
            one = found[i] if several else found
            if one is not None:
                output._mask = one
        return outputs

    def _note_call(self, inputs: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Return the symbolic outputs for symbolic inputs; builds the layer."""
        kwargs = {key: value for key, value in kwargs.items() if value is not None}
        try:
            spec = self._output_spec(inputs, args, kwargs)
        except ValueError as error:
            before = inputs.layer if isinstance(inputs, SymbolicTensor) else None
            if before is None or before.batch_input_shape is not None or "follows" in str(error):
                raise
            raise ValueError(
                f"{error}; it follows {before.label}, whose output is {inputs.shape}"
            ) from error
        return Node(self, (inputs, *args), kwargs, spec).outputs

    def _output_spec(self, inputs: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Return shape and dtype of each output for symbolic inputs; builds the layer."""
        if type(self).compute_output_shape is not Layer.compute_output_shape:
            if not self.built:
                self.build(batch_free_shape(inputs))
            first = next(iter(held(inputs, SymbolicTensor)))
            dtype = self._output_dtype(first.dtype)
            shape = self.compute_output_shape(map_tensors(lambda t: t.shape, inputs))
            return map_shapes(lambda s: Spec(s, dtype), shape)
        shapes = [t.shape for t in held((inputs, args, kwargs), SymbolicTensor)]
        trials = []
        for free in _TRIAL_SIZES:
            with _trying(free, shapes):
                trials.append(self._trial(free, inputs, args, kwargs))
        return _merged_specs(*trials)

    def _output_dtype(self, dtype: str) -> str:
        """Return the dtype of the output for an input of this one."""
        floats = self.casts_integers or np.dtype(dtype).kind == "f"
        return self.dtype if floats else dtype

    def _trial(self, free: int, inputs: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Return the output for zeros, free axes having the size `free`."""
        zeros = functools.partial(replaced, lambda t: _zeros(t.shape, free, t.dtype))
        values = zeros((inputs, *args), SymbolicTensor)
        named = {**zeros(kwargs, SymbolicTensor), "training": False}
        with no_grad():
            return self(*values, **named)

    @property
    def input(self) -> Any:
        """The symbolic input of the layer's first call in a model, or several of them."""
        return self._first_call.input

    @property
    def output(self) -> Any:
        """The symbolic output of the layer's first call in a model, or several of them.

        `Model(model.input, layer.output)` computes what a layer inside a model returns.
        """
        return self._first_call.outputs

    @property
    def _first_call(self) -> Node:
        """The layer's first call on symbolic tensors; __getattr__ says so if there is none."""
        nodes = nodes_of(self)
        if not nodes:
            raise AttributeError
        return nodes[0]

    @property
    def logits_activation(self) -> str | None:
        """The activation that `call_logits` leaves out: "softmax", "sigmoid", or None."""
        return None

    def call_logits(self, inputs: Tensor) -> Tensor:
        """Return the output before the activation that `logits_activation` names."""
        raise NotImplementedError(f"{self.label}: has no softmax or sigmoid to leave out")

    def logits(self, inputs: Any) -> Tensor:
        """Return `call_logits` of inputs as `__call__` takes them, with the mask of the output."""
        inputs = self._as_tensors(inputs)
        outputs = self.call_logits(inputs)
        mask = mask_of(inputs)
        if mask is not None:
            return self._marked(outputs, inputs, mask)
        return outputs

    def _as_tensors(self, inputs: Any) -> Any:
        """Return arrays as Tensors, with floats cast to the layer's type."""
        if isinstance(inputs, SparseTensor):
            if not self._takes_sparse:
                raise TypeError(
                    f"{self.label}: takes dense inputs, got a SparseTensor; use x.to_dense(), or "
                    "begin with a Dense layer"
                )
            return inputs.astype(self._dtype)
        if isinstance(inputs, Tensor):
            kind = inputs.dtype.kind
            if kind == "f" or (self.casts_integers and kind in "iub"):
                return inputs if inputs.dtype == self._dtype else inputs.astype(self._dtype)
            return inputs
        if isinstance(inputs, Mapping):
            return {key: self._as_tensors(value) for key, value in inputs.items()}
        if isinstance(inputs, (list, tuple)) and any(
            isinstance(entry, (Tensor, np.ndarray)) for entry in inputs
        ):
            return type(inputs)(self._as_tensors(entry) for entry in inputs)
        array = np.asarray(inputs)
        if array.dtype.kind not in "fiub":
            raise TypeError(
                f"{self.label}: expected a Tensor or an array of numbers, "
                f"got {type(inputs).__name__}"
                + ("; put both into a Sequential" if isinstance(inputs, WeightOwner) else "")
            )
        return self._as_tensors(Tensor(array))

    # Losses

    def add_loss(self, loss: Any) -> None:
        """Add a scalar to the loss of this call; called inside `call`.

        In a loop or `train_step` of one's own it may also be called after the layer, before
        `losses` or `compute_loss` is read; what is added counts until the next call.

        Args:
            loss: A Tensor of one value.

        Raises:
            ValueError: A symbolic tensor or a function, of which no call computes a value.
        """
        if isinstance(loss, SymbolicTensor) or callable(loss):
            kind = "a symbolic tensor" if isinstance(loss, SymbolicTensor) else "a function"
            raise ValueError(f"{self.label}: add_loss needs a Tensor, got {kind}; {ADD_LOSS_HINT}")
        self._losses_unread = not _state.depth
        if self._losses_number != _state.number:
            self._added_losses.clear()
            self._losses_number = _state.number
        self._added_losses.append(loss)

    def _add_activity_loss(self, outputs: Any) -> None:
        """Add the activity penalty of each output, divided by its batch size."""
        for output in outputs if isinstance(outputs, (list, tuple)) else (outputs,):
            batch = max(output.shape[0], 1) if output.ndim else 1
            self.add_loss(self.activity_regularizer(output) / batch)  # type: ignore[misc]

    @property
    def losses(self) -> list[Any]:
        """Penalties of the trainable weights, and what the last call added with `add_loss`."""
        layers = self._flatten_layers()
        for layer in layers:
            if layer._losses_unread:
                layer._losses_unread = False
        found = [
            loss
            for layer in layers
            if layer._losses_number >= self._call_number
            for loss in layer._added_losses
        ]
        for weight in self.trainable_weights:
            penalty = getattr(weight, "regularizer", None)
            if penalty is not None:
                found.append(penalty(weight))
        return found

    # Shapes

    @property
    def input_shape(self) -> Any:
        """Shape the layer was built for, None for free axes."""
        return self._built_for  # set by build; else __getattr__ says so

    @property
    def output_shape(self) -> Any:
        """Shape of the output for `input_shape`."""
        return self.compute_output_shape(self.input_shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the output, None for free axes.

        This default runs the layer on zeros of two sizes; an axis that differs is free.
        """
        if not self.built:
            self.build(input_shape)
        shapes: list[Any] = []
        given: list[Any] = []
        map_shapes(given.append, input_shape)
        for free in _TRIAL_SIZES:
            zeros = functools.partial(_zeros, free=free, dtype=self.dtype)
            with no_grad(), _trying(free, given):
                shapes.append(
                    map_tensors(
                        lambda t: t.shape, self(map_shapes(zeros, input_shape), training=False)
                    )
                )
        return merge_shapes(*shapes)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return the mask that goes with the output."""
        return mask if self.supports_masking else None

    # Configuration

    @property
    def registered_name(self) -> str:
        """Name under which saved configurations refer to the class."""
        return class_name(type(self))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments as plain data, so that `from_config` makes a copy.

        Raises:
            NotImplementedError: An argument is not stored under its name.
        """
        values = self._read_config(strict=type(self).get_config is Layer.get_config)
        # A constructor that takes this argument passes its keywords on to Layer's.
        if self.batch_input_shape is not None and "activity_regularizer" in values:
            values["batch_input_shape"] = list(self.batch_input_shape)
        return values


layer_classes.base = Layer


def deserialize(config: Mapping[str, Any]) -> Layer:
    """Return the layer for {"class_name": ..., "config": ...}, as `registry.serialize` makes it."""
    return layer_classes.get(config)


def mask_of(inputs: Any) -> Any:
    """Return the mask that a Tensor carries, a list of them for several, or None."""
    if isinstance(inputs, Tensor):
        return getattr(inputs, "_mask", None)
    if isinstance(inputs, (list, tuple)):
        masks = [mask_of(entry) for entry in inputs]
        return None if all(mask is None for mask in masks) else masks
    return None


def _merged_specs(a: Any, b: Any) -> Any:
    """Return the specs of outputs, an axis being free where two trials differ."""
    if isinstance(a, Mapping):
        return {key: _merged_specs(a[key], b[key]) for key in a}
    if isinstance(a, (list, tuple)):
        return [_merged_specs(m, n) for m, n in zip(a, b, strict=True)]
    return Spec(merge_shapes(a.shape, b.shape), a.dtype.name)


@contextlib.contextmanager
def _trying(free: int, shapes: Iterable[Any]) -> Iterator[None]:
    """Let errors say that a size stood for the free axes of some shapes."""
    try:
        yield
    except (ValueError, IndexError) as error:
        free_shapes = dict.fromkeys(str(shape) for shape in shapes if None in shape)
        if not free_shapes or "; tried with " in str(error):
            raise
        kind = IndexError if isinstance(error, IndexError) else ValueError
        raise kind(
            f"{error}; tried with {free} in place of None in {', '.join(free_shapes)}"
        ) from error


def _zeros(shape: Any, free: int, dtype: str) -> Tensor:
    """Return zeros of a shape whose free axes have the size `free`."""
    return ops.zeros(tuple(free if n is None else n for n in shape), dtype=dtype)
