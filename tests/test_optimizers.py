"""Optimizers: each rule against its formula in float64; clipping, decay, settings, errors."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pydl
from pydl import _core, layers, optimizers, registry
from pydl.optimizers import schedules

STEPS = 5
SHAPES = [(37, 5), (5,), (1,), (3, 2, 2), (0, 4), ()]


# The rules as formulas: (w, g, slots, t, settings) -> w. `s` maps names to arrays, zeros at first.


def sgd(w, g, s, t, o):
    if o.momentum == 0:
        return w - o.lr * g
    s["m"] = o.momentum * s["m"] - o.lr * g
    return w + (o.momentum * s["m"] - o.lr * g if o.nesterov else s["m"])


def rmsprop(w, g, s, t, o):
    s["v"] = o.rho * s["v"] + (1 - o.rho) * g * g
    size = s["v"]
    if o.centered:
        s["a"] = o.rho * s["a"] + (1 - o.rho) * g
        size = s["v"] - s["a"] ** 2
    u = o.lr * g / np.sqrt(size + o.epsilon)
    if o.momentum == 0:
        return w - u
    s["m"] = o.momentum * s["m"] + u
    return w - s["m"]


def adagrad(w, g, s, t, o):
    s["a"] = (s["a"] if t > 1 else np.full_like(w, o.initial_accumulator_value)) + g * g
    return w - o.lr * g / np.sqrt(s["a"] + o.epsilon)


def adadelta(w, g, s, t, o):
    s["a"] = o.rho * s["a"] + (1 - o.rho) * g * g
    d = -np.sqrt(s["D"] + o.epsilon) / np.sqrt(s["a"] + o.epsilon) * g
    s["D"] = o.rho * s["D"] + (1 - o.rho) * d * d
    return w + o.lr * d


def adam(w, g, s, t, o):
    s["m"] = s["m"] + (1 - o.beta_1) * (g - s["m"])
    s["v"] = s["v"] + (1 - o.beta_2) * (g * g - s["v"])
    v = s["v"]
    if getattr(o, "amsgrad", False):
        v = s["h"] = np.maximum(s["h"], v)
    rate = o.lr * math.sqrt(1 - o.beta_2**t) / (1 - o.beta_1**t)
    return w - rate * s["m"] / (np.sqrt(v) + o.epsilon)


def adamax(w, g, s, t, o):
    s["m"] = s["m"] + (1 - o.beta_1) * (g - s["m"])
    s["u"] = np.maximum(o.beta_2 * s["u"], np.abs(g))
    return w - o.lr * s["m"] / ((1 - o.beta_1**t) * (s["u"] + o.epsilon))


def nadam(w, g, s, t, o):
    def mu(i):
        return o.beta_1 * (1 - 0.5 * 0.96**i)

    now = math.prod(mu(i) for i in range(1, t + 1))
    s["m"] = s["m"] + (1 - o.beta_1) * (g - s["m"])
    s["v"] = s["v"] + (1 - o.beta_2) * (g * g - s["v"])
    mhat = mu(t + 1) * s["m"] / (1 - now * mu(t + 1)) + (1 - mu(t)) * g / (1 - now)
    return w - o.lr * mhat / (np.sqrt(s["v"] / (1 - o.beta_2**t)) + o.epsilon)


def lion(w, g, s, t, o):
    direction = np.sign(o.beta_1 * s["m"] + (1 - o.beta_1) * g)
    s["m"] = o.beta_2 * s["m"] + (1 - o.beta_2) * g
    return w - o.lr * direction


CASES = {
    "sgd": (optimizers.SGD, sgd, {}),
    "momentum": (optimizers.SGD, sgd, {"momentum": 0.9}),
    "nesterov": (optimizers.SGD, sgd, {"momentum": 0.9, "nesterov": True}),
    "rmsprop": (optimizers.RMSprop, rmsprop, {}),
    "rmsprop_momentum": (optimizers.RMSprop, rmsprop, {"momentum": 0.8}),
    "rmsprop_centered": (optimizers.RMSprop, rmsprop, {"centered": True}),
    "rmsprop_both": (optimizers.RMSprop, rmsprop, {"centered": True, "momentum": 0.8}),
    "adagrad": (optimizers.Adagrad, adagrad, {}),
    "adadelta": (optimizers.Adadelta, adadelta, {"learning_rate": 1.0}),
    "adam": (optimizers.Adam, adam, {}),
    "amsgrad": (optimizers.Adam, adam, {"amsgrad": True, "beta_2": 0.5}),
    "adamw": (optimizers.AdamW, adam, {}),
    "adamax": (optimizers.Adamax, adamax, {}),
    "nadam": (optimizers.Nadam, nadam, {}),
    "lion": (optimizers.Lion, lion, {}),
}


class Settings:
    """The optimizer's settings as plain numbers."""

    def __init__(self, optimizer):
        self.lr = float(optimizer.learning_rate)
        for name in optimizer.get_config():
            if name != "learning_rate":
                setattr(self, name, getattr(optimizer, name))


def data(dtype, shapes=SHAPES, seed=0):
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=s).astype(dtype) for s in shapes]
    gradients = [[rng.normal(size=s).astype(dtype) for s in shapes] for _ in range(STEPS)]
    return weights, gradients


def run(optimizer, weights, gradients):
    variables = [pydl.Variable(w, dtype=w.dtype) for w in weights]
    for step in gradients:
        optimizer.apply_gradients(zip(step, variables, strict=True))
    return [v.numpy() for v in variables]


def reference(formula, o, weights, gradients, clip=lambda gs: gs, decay=0.0):
    ws = [w.astype(np.float64) for w in weights]
    slots = [dict.fromkeys("maDvhu", np.zeros_like(w)) for w in ws]
    for t, step in enumerate(gradients, 1):
        for i, g in enumerate(clip([g.astype(np.float64) for g in step])):
            w = ws[i] - o.lr * decay * ws[i]
            ws[i] = formula(w, g, slots[i], t, o)
    return ws


def close(found, expected, dtype, scale=1.0):
    """Each step rounds a handful of times, relative to the weight and to the size of the step."""
    eps = np.finfo(dtype).eps
    for f, e in zip(found, expected, strict=True):
        assert f.dtype == dtype
        np.testing.assert_array_less(np.abs(f - e), 16 * STEPS * eps * (np.abs(e) + scale) + 1e-300)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_rule_follows_its_formula(case, dtype):
    cls, formula, options = CASES[case]
    weights, gradients = data(dtype)
    optimizer = cls(**options)
    decay = optimizer.weight_decay or 0.0
    expected = reference(formula, Settings(optimizer), weights, gradients, decay=decay)
    close(run(optimizer, weights, gradients), expected, dtype)
    assert int(optimizer.iterations) == STEPS


@pytest.mark.parametrize("case", CASES)
def test_same_bits_for_any_number_of_threads(case):
    cls, _, options = CASES[case]
    shapes = [(300, 257), (70001,), (3,)]
    weights, gradients = data("float32", shapes)
    before = pydl.config.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            pydl.config.set_num_threads(threads)
            optimizer = cls(**options, global_clipnorm=1.0)
            found.append([w.tobytes() for w in run(optimizer, weights, gradients)])
    finally:
        pydl.config.set_num_threads(before)
    assert found[0] == found[1] == found[2]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 200), st.integers(0, 3), st.sampled_from(["float32", "float64"]))
def test_any_length_and_position_updates_each_weight_alike(n, offset, dtype):
    rng = np.random.default_rng(n)
    memory = rng.normal(size=n + offset).astype(dtype)
    weight, gradient = memory[offset:], rng.normal(size=n).astype(dtype)
    whole = pydl.Variable(weight, dtype=dtype)
    optimizers.Adam(0.1).apply_gradients([(gradient, whole)])
    singles = [pydl.Variable(weight[i : i + 1], dtype=dtype) for i in range(n)]
    if n:
        optimizers.Adam(0.1).apply([gradient[i : i + 1] for i in range(n)], singles)
    assert whole.numpy().tobytes() == b"".join(v.numpy().tobytes() for v in singles)


def test_many_tensors_of_both_types_are_updated_in_one_step():
    rng = np.random.default_rng(0)
    values = [rng.normal(size=i % 7).astype("float32" if i % 3 else "float64") for i in range(120)]
    variables = [pydl.Variable(v, dtype=v.dtype) for v in values]
    optimizers.SGD(0.5).apply([np.ones_like(v) for v in values], variables)
    for v, before in zip(variables, values, strict=True):
        np.testing.assert_array_equal(v.numpy(), before - before.dtype.type(0.5))


def norm(arrays):
    return math.sqrt(sum(float(np.sum(np.square(a, dtype=np.float64))) for a in arrays))


CLIPS = {
    "clipnorm": lambda gs, c: [g * c / max(norm([g]), c) for g in gs],
    "global_clipnorm": lambda gs, c: [g * c / max(norm(gs), c) for g in gs],
    "clipvalue": lambda gs, c: [np.clip(g, -c, c) for g in gs],
}


@pytest.mark.parametrize("bound", [0.3, 4.0, 1e6])
@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clipping(clip, bound, dtype):
    shapes = [*SHAPES, (123, 81)]
    weights, gradients = data(dtype, shapes)
    optimizer = optimizers.SGD(0.1, **{clip: bound})
    expected = reference(
        sgd, Settings(optimizer), weights, gradients, lambda gs: CLIPS[clip](gs, bound)
    )
    kept = [[g.copy() for g in step] for step in gradients]
    close(run(optimizer, weights, gradients), expected, dtype)
    assert getattr(optimizer, clip) == bound
    for step, copies in zip(gradients, kept, strict=True):  # gradients are only read
        for g, before in zip(step, copies, strict=True):
            np.testing.assert_array_equal(g, before)


def test_norm_of_gradients_whose_squares_overflow_float32():
    v = pydl.Variable([0.0, 0.0])
    optimizers.SGD(1.0, clipnorm=1.0).apply([np.float32([3e30, 4e30])], [v])
    np.testing.assert_allclose(v.numpy(), [-0.6, -0.8], rtol=4 * np.finfo("f4").eps)


def test_nan_gradient_stays_visible_when_clipped():
    for clip in CLIPS:
        v = pydl.Variable([1.0, 1.0])
        optimizers.SGD(1.0, **{clip: 1.0}).apply([np.float32([np.nan, 0.5])], [v])
        assert np.isnan(v.numpy()[0])


@pytest.mark.parametrize("make", [optimizers.SGD, optimizers.RMSprop, optimizers.Adam])
def test_weight_of_inf_stays_without_decay(make):
    w = pydl.Variable(np.full(20, np.inf, np.float32))
    make().apply_gradients([(pydl.zeros(20), w)])
    assert (w.numpy() == np.inf).all()


def test_centered_rmsprop_of_a_constant_gradient_stays_finite():
    v = pydl.Variable(np.ones(100, "f4"))
    optimizer = optimizers.RMSprop(1e-6, centered=True, rho=0.5)
    for _ in range(100):
        optimizer.apply([np.full(100, 1e4, "f4") * (1 + np.arange(100, dtype="f4") / 7)], [v])
    assert np.isfinite(v.numpy()).all()


def test_only_one_kind_of_clipping():
    with pytest.raises(ValueError, match="Adam: at most one kind of clipping, got clipnorm=1"):
        optimizers.Adam(clipnorm=1.0, clipvalue=0.5)


def test_weight_decay_is_decoupled_and_can_leave_variables_out():
    kernel, bias = pydl.Variable([2.0], name="kernel"), pydl.Variable([2.0], name="bias")
    optimizer = optimizers.SGD(0.5, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.apply([np.float32([1.0])] * 2, [kernel, bias])
    assert kernel.item() == 2.0 - 0.5 * 0.5 * 2.0 - 0.5 and bias.item() == 1.5
    optimizer = optimizers.AdamW(weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=[bias])
    optimizer.apply([np.float32([0.0])] * 2, [kernel, bias])
    assert bias.item() == 1.5 and kernel.item() < 1.0


def test_learning_rate_is_read_at_each_step():
    v = pydl.Variable([0.0])
    optimizer = optimizers.SGD(lr=1.0)
    assert float(optimizer.learning_rate) == float(optimizer.lr) == 1.0
    optimizer.apply([np.float32([1.0])], [v])
    optimizer.learning_rate = 0.5
    optimizer.apply([np.float32([1.0])], [v])
    optimizer.lr = 0.25
    optimizer.apply([np.float32([1.0])], [v])
    optimizer.learning_rate.assign(0.125)
    optimizer.apply([np.float32([1.0])], [v])
    assert v.item() == -1.875
    assert optimizer.variables[0] is optimizer.iterations and int(optimizer.iterations) == 4


def test_other_settings_are_read_at_each_step():
    v = pydl.Variable([0.0])
    optimizer = optimizers.SGD(1.0, momentum=0.5)
    optimizer.apply([np.float32([1.0])], [v])
    optimizer.momentum = 0.0  # another rule: starts afresh
    optimizer.apply([np.float32([1.0])], [v])
    assert v.item() == -2.0
    optimizer.momentum = 0.25
    optimizer.apply([np.float32([1.0])], [v])
    optimizer.apply([np.float32([1.0])], [v])
    assert v.item() == -2.0 - 1.0 - 1.25


def test_decay_divides_the_rate_by_the_steps():
    v = pydl.Variable([0.0], dtype="float64")
    optimizer = optimizers.SGD(1.0, decay=0.5)
    for _ in range(3):
        optimizer.apply([np.float64([1.0])], [v])
    assert v.item() == -(1 + 1 / 1.5 + 1 / 2)


def test_schedule_is_read_before_the_step_is_counted():
    v = pydl.Variable([0.0], dtype="float64")
    optimizer = optimizers.SGD(schedules.ExponentialDecay(1.0, 1, 0.5))
    for t in range(3):
        assert float(optimizer.learning_rate) == 0.5**t
        optimizer.apply([np.float64([1.0])], [v])
    assert v.item() == -1.75
    with pytest.raises(TypeError, match="follows a schedule and cannot be set"):
        optimizer.learning_rate = 0.1
    same = optimizers.SGD.from_config(optimizer.get_config())
    same.iterations = 2
    assert float(same.learning_rate) == 0.25


def test_function_as_learning_rate():
    rates = iter([1.0, 0.5])
    v = pydl.Variable([0.0])
    optimizer = optimizers.SGD(lambda: next(rates))
    optimizer.apply([np.float32([1.0])], [v])
    optimizer.apply([np.float32([1.0])], [v])
    assert v.item() == -1.5


@pytest.mark.parametrize(
    ("schedule", "steps", "values"),
    [
        (schedules.ExponentialDecay(1.0, 2, 0.25), [0, 1, 2], [1, 0.5, 0.25]),
        (schedules.ExponentialDecay(1.0, 2, 0.25, staircase=True), [1, 2, 3], [1, 0.25, 0.25]),
        (schedules.PiecewiseConstantDecay([1, 2], [3.0, 2.0, 1.0]), [0, 1, 2, 3], [3, 3, 2, 1]),
        (schedules.PolynomialDecay(1.0, 4, 0.0, power=2.0), [0, 2, 4, 9], [1, 0.25, 0, 0]),
        (schedules.PolynomialDecay(1.0, 4, 0.0, cycle=True), [4, 6, 8, 10], [0, 0.25, 0, 1 / 6]),
        (schedules.InverseTimeDecay(1.0, 2, 1.0), [0, 2, 6], [1, 0.5, 0.25]),
        (schedules.InverseTimeDecay(1.0, 2, 1.0, staircase=True), [1, 3], [1, 0.5]),
        (schedules.CosineDecay(1.0, 4, alpha=0.5), [0, 2, 4, 8], [1, 0.75, 0.5, 0.5]),
        (
            schedules.CosineDecay(0.0, 4, warmup_target=1.0, warmup_steps=2),
            [0, 1, 2, 4, 6],
            [0, 0.5, 1, 0.5, 0],
        ),
        (
            schedules.CosineDecayRestarts(1.0, 2, m_mul=0.5),
            [0, 1, 2, 4, 6],
            [1, 0.5, 0.5, 0.25, 0.25],
        ),
        (schedules.CosineDecayRestarts(1.0, 2, t_mul=1.0), [0, 1, 2, 3], [1, 0.5, 1, 0.5]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_schedules(schedule, steps, values):
    np.testing.assert_allclose([schedule(s) for s in steps], values, atol=1e-15)
    same = schedules.LearningRateSchedule.from_dict(registry.serialize(schedule))
    assert [same(s) for s in steps] == [schedule(s) for s in steps]


def test_gradients_of_other_layouts_and_types():
    g = np.arange(12.0).reshape(4, 3)
    expected = -g.T.astype("f4")
    for gradient in (g.T, pydl.tensor(g).T, np.ascontiguousarray(g.T).astype("f4"), g.T.tolist()):
        v = pydl.Variable(np.zeros((3, 4), "f4"))
        optimizers.SGD(1.0).apply([gradient], [v])
        np.testing.assert_array_equal(v.numpy(), expected)
    v = pydl.Variable(np.zeros((3, 4), "f4"))
    optimizers.SGD(1.0).apply([np.broadcast_to(np.float32(2), (3, 4))], [v])
    np.testing.assert_array_equal(v.numpy(), np.full((3, 4), -2, "f4"))


def test_gradient_of_none_leaves_its_variable():
    a, b = pydl.Variable([1.0]), pydl.Variable([1.0])
    optimizer = optimizers.RMSprop()
    optimizer.apply_gradients([(None, a), (np.float32([1.0]), b)])
    assert a.item() == 1.0 and b.item() < 1.0
    with pytest.raises(ValueError, match="RMSprop: there are no variables to update"):
        optimizers.RMSprop().apply([])
    with pytest.raises(ValueError, match="RMSprop: no gradients for any variable"):
        optimizer.apply_gradients([(None, a), (None, b)])


def test_shape_of_a_gradient_is_checked_before_anything_changes():
    a, b = pydl.Variable([1.0]), pydl.Variable([1.0, 2.0], name="bias")
    optimizer = optimizers.SGD()
    with pytest.raises(
        ValueError, match=r"SGD: variable bias has shape \(2,\), its gradient \(3,\)"
    ):
        optimizer.apply([np.ones(1, "f4"), np.ones(3, "f4")], [a, b])
    wide = pydl.Variable(np.zeros((3, 4), "f4"))
    with pytest.raises(ValueError, match=r"has shape \(3, 4\), its gradient \(4, 3\)"):
        optimizer.apply([pydl.tensor(np.ones((4, 3), "f4"))], [wide])
    with pytest.raises(ValueError, match="SGD: got 1 gradients for 2 variables"):
        optimizer.apply([np.ones(1, "f4")], [a, b])
    assert a.item() == 1.0 and int(optimizer.iterations) == 0


def test_new_variables_may_come_later():
    a, b = pydl.Variable([0.0]), pydl.Variable([0.0])
    optimizer = optimizers.SGD(1.0, momentum=0.5)
    optimizer.apply([np.float32([1.0])], [a])
    optimizer.apply([np.float32([1.0])] * 2, [a, b])
    assert a.item() == -2.5 and b.item() == -1.0
    assert [v.shape for v in optimizer.variables] == [(), (), (1,), (1,)]


def test_minimize_with_a_function_and_with_a_tape():
    w = pydl.Variable([2.0])
    optimizers.SGD(0.25).minimize(lambda: (w * w).sum(), [w])
    assert w.item() == 1.0
    with pydl.GradientTape() as tape:
        loss = (w * w).sum()
    optimizers.SGD(0.25).minimize(loss, [w], tape=tape)
    assert w.item() == 0.5


def test_constraint_comes_after_the_update():
    layer = layers.Dense(1, use_bias=False, kernel_constraint="non_neg")
    layer.build((None, 2))
    layer.kernel.assign([[0.5], [2.0]])
    optimizers.SGD(1.0).apply([np.ones((2, 1), "f4")], [layer.kernel])
    np.testing.assert_array_equal(layer.kernel.numpy(), [[0.0], [1.0]])


def test_gradient_accumulation_updates_with_the_mean():
    v = pydl.Variable([0.0])
    optimizer = optimizers.SGD(1.0, gradient_accumulation_steps=2)
    for g in (1.0, 3.0, 5.0):
        optimizer.apply([np.float32([g])], [v])
    assert v.item() == -2.0 and int(optimizer.iterations) == 1
    optimizer.apply([np.float32([7.0])], [v])
    assert v.item() == -8.0


def test_moving_average_of_the_weights():
    v = pydl.Variable([0.0])
    optimizer = optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5)
    for _ in range(3):
        optimizer.apply([np.float32([1.0])], [v])
    assert v.item() == -3.0  # the average starts as the first -1, then -1.5, -2.25
    optimizer.finalize_variable_values([v])
    assert v.item() == -2.25
    v = pydl.Variable([0.0])
    optimizer = optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2)
    for _ in range(2):
        optimizer.apply([np.float32([1.0])], [v])
    assert v.item() == -1.5


def test_a_step_asks_the_system_for_no_memory():
    weights, gradients = data("float32", [(300, 100), (100,), (7,)])
    variables = [pydl.Variable(w) for w in weights]
    optimizer = optimizers.Adam(global_clipnorm=1.0)
    tensors = [pydl.tensor(g) for g in gradients[0]]
    optimizer.apply(tensors, variables)
    before = _core.memory_stats()
    for _ in range(50):
        optimizer.apply(tensors, variables)
    assert _core.memory_stats() == before


def test_change_in_place_is_noted():
    w = pydl.Variable([2.0])
    y = (w * w).sum()
    optimizers.SGD(0.25).apply([np.float32([1.0])], [w])
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


@pytest.mark.parametrize("case", CASES)
def test_config_makes_the_same_optimizer(case):
    cls, _, options = CASES[case]
    optimizer = cls(**{"learning_rate": 0.125, "clipnorm": 2.0, "name": "mine", **options})
    config = optimizer.get_config()
    same = cls.from_config(config)
    assert same.get_config() == config and same.rule == optimizer.rule
    weights, gradients = data("float32")
    for a, b in zip(run(optimizer, weights, gradients), run(same, weights, gradients), strict=True):
        assert a.tobytes() == b.tobytes()
    assert optimizers.get(optimizers.serialize(optimizer)).get_config() == config


@pytest.mark.parametrize("how", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
@pytest.mark.parametrize("case", CASES)
def test_copies_go_on_by_themselves(case, how):
    cls, _, options = CASES[case]
    weights, gradients = data("float32")
    variables = [pydl.Variable(w) for w in weights]
    optimizer = cls(**options, clipnorm=1.0)
    optimizer.apply(gradients[0], variables)
    copied, variables2 = how((optimizer, variables))
    for o, vs in ((optimizer, variables), (copied, variables2)):
        o.learning_rate = 0.125
        for step in gradients[1:]:
            o.apply(step, vs)
    for a, b in zip(variables + optimizer.variables, variables2 + copied.variables, strict=True):
        assert a is not b and a.numpy().tobytes() == b.numpy().tobytes()


def test_names():
    for name, cls in {
        "sgd": optimizers.SGD,
        "rmsprop": optimizers.RMSprop,
        "RMSprop": optimizers.RMSprop,
        "adam": optimizers.Adam,
        "adamw": optimizers.AdamW,
        "adagrad": optimizers.Adagrad,
        "adadelta": optimizers.Adadelta,
        "adamax": optimizers.Adamax,
        "nadam": optimizers.Nadam,
        "lion": optimizers.Lion,
    }.items():
        assert type(optimizers.get(name)) is cls
    assert isinstance(optimizers.get(optimizers.Adam), optimizers.Adam)
    adam_ = optimizers.Adam()
    assert optimizers.get(adam_) is adam_
    with pytest.raises(ValueError, match="unknown optimizer 'adan'; did you mean 'adam'"):
        optimizers.get("adan")
    with pytest.raises(TypeError, match="optimizer"):
        optimizers.get(3)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: optimizers.SGD(-1), ValueError, "SGD: learning_rate must not be negative, got -1"),
        (lambda: optimizers.SGD("x"), TypeError, "SGD: learning_rate must be a number, got 'x'"),
        (
            lambda: optimizers.SGD(momentum=2),
            ValueError,
            r"SGD: momentum must be in \[0, 1\], got 2",
        ),
        (lambda: optimizers.Adam(beta_1=1), ValueError, r"Adam: beta_1 must be in \[0, 1\), got 1"),
        (lambda: optimizers.Adam(beta_2="a"), TypeError, "Adam: beta_2 must be a number, got 'a'"),
        (
            lambda: optimizers.Adam(learning_rat=1),
            TypeError,
            "Adam: unknown argument 'learning_rat'; did you mean 'learning_rate'",
        ),
        (
            lambda: optimizers.SGD(gradient_accumulation_steps=0),
            ValueError,
            "SGD: gradient_accumulation_steps must be a positive integer or None, got 0",
        ),
        (
            lambda: schedules.PiecewiseConstantDecay([1], [1.0]),
            ValueError,
            "PiecewiseConstantDecay: 1 boundaries need 2 values, got 1",
        ),
        (
            lambda: schedules.CosineDecay(1.0, 0),
            ValueError,
            "CosineDecay: decay_steps must be positive, got 0",
        ),
    ],
)
def test_errors(make, error, text):
    with pytest.raises(error, match=text):
        make()
