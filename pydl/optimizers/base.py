"""Optimizer: what all update rules share; the arithmetic is one fused kernel per rule.

Every number of an optimizer (learning rate, step count, betas, clipping bounds) lies in one small
buffer that the kernel reads at each step, so changing one takes effect at the next step.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from pydl import _core, autograd, config
from pydl.optimizers.schedules import LearningRateSchedule
from pydl.optimizers.settings import Numbers, Setting, number
from pydl.registry import Configurable, Registry, did_you_mean, init_arguments, serialize
from pydl.tensor import Tensor, Variable, host_read
from pydl.warn import warn

# Values of `clip` in the kernel's interface.
_NO_NORM, _NORM_OF_EACH, _NORM_OF_ALL = 0, 1, 2
_STRUCTURE = ("use_ema", "ema_overwrite_frequency", "gradient_accumulation_steps")
_SGD = _core.optimizer_rules["sgd"][0], _NO_NORM  # the rule and clipping that adds gradients up


class _Group(NamedTuple):
    """Variables that are updated together, and what the kernel needs for them at each step."""

    variables: list[Variable]
    rule: int
    slots: list[np.ndarray]
    averages: list[np.ndarray]
    decays: list[bool] | None
    constrained: list[Variable]


class Optimizer(Configurable):
    """Base of the optimizers.

    One step: gradients are clipped; weights decay, w -= learning_rate * weight_decay * w; the rule
    updates them; constraints are applied; `iterations` grows by one.

    Args:
        learning_rate: Number, `LearningRateSchedule`, or function without arguments.
        weight_decay: Decoupled weight decay; None for none.
        clipnorm: Each gradient is scaled to at most this norm. At most one of the three clips.
        clipvalue: Each element of the gradients is clipped to +-clipvalue.
        global_clipnorm: All gradients are scaled by one factor to at most this norm together.
        use_ema: Keep an exponential moving average of each weight.
        ema_momentum: Its momentum.
        ema_overwrite_frequency: Every so many steps the weights become their averages; None: at
            the end of `fit` only.
        gradient_accumulation_steps: Update once in so many calls, with the mean gradient.
        name: Name; None is the class name in lower case.
        lr: Another name of `learning_rate`.
        decay: The rate is divided by 1 + decay * iterations, as in Keras before 2.11.

    Raises:
        ValueError: A setting out of range, or more than one kind of clipping.
        TypeError: A setting that is not a number, or an unknown argument.

    Subclasses name their rule and its slots; the rules are in `csrc/kernels/optimizer.cpp`.

    >>> import pydl
    >>> w = pydl.Variable([1.0, 2.0])
    >>> optimizer = pydl.optimizers.SGD(learning_rate=0.5)
    >>> optimizer.apply_gradients([(pydl.tensor([2.0, 2.0]), w)])
    >>> w
    Variable([0., 1.], requires_grad=True)
    """

    _recorded = False  # its numbers lie in the buffer
    _built_rule: str | None = None  # that there are slots for
    slot_names: ClassVar[dict[str, tuple[str, ...]]] = {}  # of each rule that the class may use

    weight_decay = Setting("weight_decay", none=0.0)
    clipvalue = Setting("clipvalue", none=np.inf)

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule | Callable[[], Any] = 0.001,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        lr: float | None = None,
        decay: float = 0.0,
        **unknown: Any,
    ) -> None:
        who = type(self).__name__
        for argument in unknown:
            choices = init_arguments(type(self))
            raise TypeError(
                f"{who}: unknown argument {argument!r}; {did_you_mean(argument, choices)}"
            )
        clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        given = [f"{key}={value}" for key, value in clips.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"{who}: at most one kind of clipping, got {' and '.join(given)}")

        self._numbers = Numbers(momentum_product=1.0)
        self._groups: dict[tuple[int, ...], _Group] = {}  # by the ids of the variables
        self._learning_rate = self._numbers.variable("learning_rate", "float64")
        self._iterations = self._numbers.variable("iterations", "int64")
        self._schedule: Callable[..., Any] | None = None
        self.name = name or who.lower()
        self.learning_rate = learning_rate if lr is None else lr
        self.decay = decay
        self.weight_decay = weight_decay
        self.clipvalue = clipvalue
        self._norm_clip = _NO_NORM
        for kind, key in ((_NORM_OF_EACH, "clipnorm"), (_NORM_OF_ALL, "global_clipnorm")):
            if clips[key] is not None:
                self._norm_clip = kind
                Optimizer._clip_bound.set(self, key, clips[key])
        self.use_ema = bool(use_ema)
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = self._count(
            "ema_overwrite_frequency", ema_overwrite_frequency
        )
        self.gradient_accumulation_steps = self._count(
            "gradient_accumulation_steps", gradient_accumulation_steps
        )
        self._variables: list[Variable] = []  # all that were updated, in order
        self._slots: dict[int, list[Variable]] = {}  # by id of the variable
        self._averages: dict[int, Variable] = {}
        self._sums: dict[int, Variable] = {}  # accumulated gradients
        self._share = Numbers(learning_rate=-1 / (self.gradient_accumulation_steps or 1))
        self._call_count = self._share.variable("iterations", "int64")
        self._driven = False  # the training loop reads the schedule, before each step
        self._no_decay: dict[int, Variable] = {}
        self._no_decay_names: list[str] = []

    decay = Setting("learning_rate_decay")
    ema_momentum = Setting("ema_momentum", 0, 1)
    _clip_bound = Setting("clipnorm")

    def _count(self, name: str, value: int | None) -> int | None:
        """Return None or a positive integer."""
        if value is not None and (isinstance(value, bool) or int(value) != value or value < 1):
            raise ValueError(
                f"{type(self).__name__}: {name} must be a positive integer or None, got {value!r}"
            )
        return None if value is None else int(value)

    # What can be read and set

    @property
    def rule(self) -> str:
        """Name of the kernel's update rule."""
        return next(iter(self.slot_names))

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the next step: a Variable, changed by assignment."""
        self._read_schedule()
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        who = type(self).__name__
        if isinstance(value, dict) or (isinstance(value, str) and ">" in value):
            value = LearningRateSchedule.from_dict(value)
        if callable(value) and not isinstance(value, Tensor):
            self._schedule = value
            return
        if self._schedule is not None:
            raise TypeError(
                f"{who}: the learning rate follows a schedule and cannot be set to {value!r}; "
                "make the optimizer with a number, or set another schedule"
            )
        rate = number(self, "learning_rate", value)
        if not rate >= 0:
            raise ValueError(f"{who}: learning_rate must not be negative, got {rate:g}")
        self._numbers["learning_rate"] = rate

    @property
    def lr(self) -> Any:
        """Another name of `learning_rate`."""
        return self.learning_rate

    @lr.setter
    def lr(self, value: Any) -> None:
        self.learning_rate = value

    @property
    def iterations(self) -> Variable:
        """The number of steps done, an integer Variable."""
        return self._iterations

    @iterations.setter
    def iterations(self, value: Any) -> None:
        self._iterations.assign(value)

    @property
    def clipnorm(self) -> float | None:
        """Bound on the norm of each gradient, or None."""
        return self._clip_bound if self._norm_clip == _NORM_OF_EACH else None

    @property
    def global_clipnorm(self) -> float | None:
        """Bound on the norm of all gradients together, or None."""
        return self._clip_bound if self._norm_clip == _NORM_OF_ALL else None

    @property
    def variables(self) -> list[Variable]:
        """The state: iterations, learning rate, then the slots of each weight."""
        found = [self._iterations, self._learning_rate]
        for variable in self._variables:
            key = id(variable)
            found += self._slots[key]
            found += [kept[key] for kept in (self._averages, self._sums) if key in kept]
        return found

    def state(self, names: Mapping[int, str]) -> dict[str, Variable]:
        """Return the Variables of the state by name; "dense/kernel/momentum" is one of the slots.

        Args:
            names: Name of each weight by its id; state of other weights is left out.
        """
        of_weights = {id(v): v for v in self.variables}
        found: dict[str, Variable] = {}
        for variable in self._variables:
            key = id(variable)
            kinds = dict(
                zip(self.slot_names[self._built_rule or ""], self._slots[key], strict=True)
            )
            for kind, kept in (("average", self._averages), ("accumulated", self._sums)):
                if key in kept:
                    kinds[kind] = kept[key]
            for kind, v in kinds.items():
                del of_weights[id(v)]
                if key in names:
                    found[f"{names[key]}/{kind}"] = v
        return {**{str(v.name): v for v in of_weights.values()}, **found}

    def _read_schedule(self) -> None:
        """Put the rate of the next step into the buffer, if it follows a schedule."""
        if self._schedule is None or self._driven:
            return
        host_read("a learning rate schedule")
        if isinstance(self._schedule, LearningRateSchedule):
            rate = self._schedule(int(self._iterations.data))
        else:
            rate = self._schedule()
        self._numbers["learning_rate"] = number(self, "the schedule's value", rate)

    @property
    def scheduled(self) -> bool:
        """Whether the learning rate follows a schedule."""
        return self._schedule is not None

    @contextlib.contextmanager
    def driven(self) -> Iterator[Callable[[], None]]:
        """Leave it to the caller to call what this gives before each step, if `scheduled`."""
        before = self._driven
        self._driven = True
        try:
            yield self._next_rate
        finally:
            self._driven = before

    def _next_rate(self) -> None:
        """Put the rate of the next step into the buffer."""
        if not self._updates_next():
            return
        self._driven = False
        try:
            self._read_schedule()
        finally:
            self._driven = True

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in _STRUCTURE:
            self._structure_changed()

    def setting_changed(self) -> None:
        """Note that a number or flag was set, which may change the rule."""
        self._groups.clear()
        if self._built_rule is not None and self._built_rule != self.rule:
            self._structure_changed()

    def _structure_changed(self) -> None:
        """Note a change of what recorded updates depend on, besides the numbers in the buffer."""
        if self._built_rule is not None:
            self._groups.clear()
            config.changed()

    def _updates_next(self) -> bool:
        """Tell whether the next call updates the weights."""
        every = self.gradient_accumulation_steps
        return every is None or self._calls + 1 == every

    @property
    def _calls(self) -> int:
        """Calls since the last update, while gradients are accumulated."""
        return int(self._call_count.data) % (self.gradient_accumulation_steps or 1)

    @_calls.setter
    def _calls(self, calls: int) -> None:
        self._call_count.assign(calls)

    # Updating

    def build(self, variables: Iterable[Variable]) -> None:
        """Make the slots of `variables`; the first update does it by itself."""
        rule = self.rule
        if rule != self._built_rule:  # a setting has changed the kind of update: start afresh
            self._slots.clear()
            self._variables.clear()
            self._structure_changed()
            self._built_rule = rule
        for variable in variables:
            key = id(variable)
            label = variable.name or "variable"
            if self.use_ema and key not in self._averages:
                self._averages[key] = Variable(variable.data, False, name=f"{label}_average")
            if self.gradient_accumulation_steps is not None and key not in self._sums:
                zeros = np.zeros_like(variable.data)
                self._sums[key] = Variable(zeros, False, name=f"{label}_gradient_accumulator")
            if key in self._slots:
                continue
            self._slots[key] = [
                Variable(self._initial_slot(slot, variable), False, name=f"{label}_{slot}")
                for slot in self.slot_names[rule]
            ]
            self._variables.append(variable)

    def _initial_slot(self, slot: str, variable: Variable) -> np.ndarray:
        """Return what a slot starts from."""
        return np.zeros_like(variable.data)

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> None:
        """Update each variable with its gradient.

        Args:
            grads_and_vars: Pairs (gradient, variable). A gradient of None leaves its variable.

        Raises:
            ValueError: All gradients are None, or a shape differs; nothing is changed.
        """
        pairs = list(grads_and_vars)
        for pair in pairs:
            if len(pair) != 2 or not isinstance(pair[1], Variable):
                kinds = ", ".join(type(part).__name__ for part in pair)
                raise TypeError(f"apply_gradients: needs pairs (gradient, Variable), got ({kinds})")
        self.apply([g for g, _ in pairs], [v for _, v in pairs])

    def apply(
        self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None
    ) -> None:
        """Update `trainable_variables` (default: those of the first update) with `grads`."""
        variables = self._variables if trainable_variables is None else trainable_variables
        if len(grads) != len(variables):
            raise ValueError(
                f"{type(self).__name__}: got {len(grads)} gradients for {len(variables)} variables"
            )
        if not len(variables):
            raise ValueError(f"{type(self).__name__}: there are no variables to update")
        accumulates = self.gradient_accumulation_steps is not None
        if self._updates_next():
            self._read_schedule()
        arrays = [g.data for g in grads if isinstance(g, Tensor)]
        if len(arrays) == len(grads) and not accumulates:
            group = self._group(variables)
            try:  # the usual case: all there, and fit for the kernel
                self._run_kernel(group, arrays)
            except ValueError:
                pass  # nothing was changed
            else:
                self._after_update(group)
                return
        pairs = [(g, v) for g, v in zip(grads, variables, strict=True) if g is not None]
        if not pairs:
            names = ", ".join(str(v.name) for v in variables)
            raise ValueError(
                f"{type(self).__name__}: no gradients for any variable ({names}); "
                "was the loss computed from them?"
            )
        if len(pairs) < len(grads):
            missing = [str(v.name) for g, v in zip(grads, variables, strict=True) if g is None]
            warn(
                f"{type(self).__name__}: no gradients for {', '.join(missing)}, which stay as they "
                "are; was the loss computed from them, and not through NumPy?"
            )
        arrays = [self._fitting(g, v) for g, v in pairs]
        self._accumulate([v for _, v in pairs], arrays)

    def _fitting(self, gradient: Any, variable: Variable) -> np.ndarray:
        """Return a gradient as the kernel takes it, or raise ValueError for another shape."""
        array = gradient.data if isinstance(gradient, Tensor) else np.asarray(gradient)
        if array.shape != variable.shape:
            raise ValueError(
                f"{type(self).__name__}: variable {variable.name or '(unnamed)'} has shape "
                f"{variable.shape}, its gradient {array.shape}"
            )
        return np.ascontiguousarray(array, variable.dtype).reshape(variable.shape)

    def _accumulate(self, variables: Sequence[Variable], gradients: list[np.ndarray]) -> None:
        """Update, or add to the gradients' sums until there are enough of them."""
        if self.gradient_accumulation_steps is None:
            self._update(variables, gradients)
            return
        self._group(variables)
        sums = [self._sums[id(v)] for v in variables]
        arrays = [total.data for total in sums]
        _core.optimizer_step(*_SGD, arrays, gradients, [], None, self._share.block)

        def update() -> None:
            self._update(variables, arrays)
            for total in sums:
                total.assign(0.0)

        _every(self.gradient_accumulation_steps, self._share, update)

    def _group(self, variables: Sequence[Variable]) -> _Group:
        """Return the group of some variables, with their slots made."""
        key = tuple(map(id, variables))
        group = self._groups.get(key)
        if group is None:
            self.build(variables)
            decays = None
            if self.weight_decay is not None and (self._no_decay or self._no_decay_names):
                decays = [self._decays(v) for v in variables]
            group = self._groups[key] = _Group(
                list(variables),
                _core.optimizer_rules[self.rule][0],
                [s.data for v in variables for s in self._slots[id(v)]],
                [self._averages[id(v)].data for v in variables] if self.use_ema else [],
                decays,
                [v for v in variables if getattr(v, "constraint", None) is not None],
            )
        return group

    def _update(self, variables: Sequence[Variable], gradients: list[np.ndarray]) -> None:
        """Update variables with gradients that fit them."""
        group = self._group(variables)
        self._run_kernel(group, gradients)
        self._after_update(group)

    def _run_kernel(self, group: _Group, gradients: list[np.ndarray]) -> None:
        """Do the step; ValueError, before any change, where a gradient does not fit."""
        _core.optimizer_step(
            group.rule,
            self._norm_clip,
            [v.data for v in group.variables],
            gradients,
            group.slots,
            group.decays,
            self._numbers.block,
            group.averages,
        )

    def _after_update(self, group: _Group) -> None:
        """Note the change; let averages replace the weights; apply the constraints."""
        for v in group.variables:
            v.changed_in_place()
        if self.use_ema and self.ema_overwrite_frequency is not None:
            replace = functools.partial(self.finalize_variable_values, group.variables)
            _every(self.ema_overwrite_frequency, self._numbers, replace)
        for v in group.constrained:
            with autograd.no_grad():
                v.assign(v.constraint(v))

    def finalize_variable_values(self, var_list: Iterable[Variable]) -> None:
        """Set the variables to their moving averages, if `use_ema`; `fit` does it at its end."""
        if self.use_ema:
            for v in var_list:
                if id(v) in self._averages:
                    v.assign(self._averages[id(v)])

    def minimize(self, loss: Any, var_list: Sequence[Variable], tape: Any = None) -> None:
        """Compute the gradients of a loss and update `var_list`.

        Args:
            loss: Function without arguments that returns the loss, or the loss itself.
            var_list: The variables to train.
            tape: The GradientTape that recorded the loss, if it is not a function.
        """
        value = loss() if callable(loss) and not isinstance(loss, Tensor) else loss
        variables = list(var_list)
        if tape is not None:
            gradients = tape.gradient(value, variables)
        else:
            gradients = autograd.gradients(value, variables)
        self.apply(gradients, variables)

    def exclude_from_weight_decay(
        self, var_list: Iterable[Variable] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Leave variables out of weight decay, by identity or where a pattern is in the name."""
        self._no_decay.update((id(v), v) for v in var_list or ())
        self._no_decay_names.extend(var_names or ())
        self._structure_changed()

    def _decays(self, variable: Variable) -> bool:
        """Tell whether weight decay reaches a variable."""
        return id(variable) not in self._no_decay and not any(
            re.search(pattern, variable.name or "") for pattern in self._no_decay_names
        )

    # Copies and configuration

    def __reduce__(self) -> Any:
        state = [v.numpy() for v in self.variables]
        no_decay = list(self._no_decay.values()), self._no_decay_names
        return _restore, (
            type(self), self.get_config(), self._variables, state, self._calls, *no_decay,
        )  # fmt: skip

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments, with the present learning rate or its schedule."""
        found = self._read_config(strict=False)
        del found["lr"]
        if self._schedule is not None:
            found["learning_rate"] = serialize(self._schedule)
        return found


def _restore(
    cls: type[Optimizer],
    config: dict[str, Any],
    variables: list[Variable],
    state: list[np.ndarray],
    calls: int,
    no_decay: list[Variable],
    no_decay_names: list[str],
) -> Optimizer:
    """Return the optimizer that a copy or a pickle describes."""
    optimizer = cls.from_config(config)
    optimizer.build(variables)
    for variable, value in zip(optimizer.variables, state, strict=True):
        variable.assign(value)
    optimizer._calls = calls
    optimizer.exclude_from_weight_decay(no_decay, no_decay_names)
    return optimizer


def _every(steps: int, numbers: Numbers, f: Callable[[], Any]) -> None:
    """Call f where the number of steps done is a multiple of `steps`; recorded as just that."""
    if not _core.begin_every(numbers.block, _core.optimizer_fields["iterations"], steps):
        return
    try:
        f()
    except _core.NotDue:  # it cannot be recorded, and must not run in this step
        if _core.end_every():
            raise
    except BaseException:
        _core.end_every()
        raise
    else:
        _core.end_every()


registry: Registry[Any] = Registry("optimizer", base=Optimizer)


def get(identifier: Any) -> Optimizer:
    """Return the optimizer for a name, a configuration, a class or an instance.

    >>> get("rmsprop").rho
    0.9

    Raises:
        ValueError: Unknown name.
        TypeError: None of these.
    """
    found = registry.get(identifier)
    if not isinstance(found, Optimizer):
        raise TypeError(f"optimizer: expected a name or an Optimizer, got {identifier!r}")
    return found


def serialize_optimizer(optimizer: Optimizer) -> dict[str, Any]:
    """Return {"class_name": ..., "config": ...} of an optimizer."""
    return serialize(optimizer)
