"""Training on inputs that are mostly zeros: the bits of dense training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from plan_helpers import classifier, trained
from scipy import sparse

import pydl
from pydl import layers, models


def words(rows: int = 60, columns: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    x = (rng.random((rows, columns)) < 0.02).astype(np.float32)
    return x, rng.integers(0, 5, rows)


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_zeros_are_left_out_with_the_same_bits(
    eager: bool, bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pydl.models import data as model_data

    x, y = words()
    made: list[Any] = []
    original = model_data.leaving_out_zeros

    def make() -> models.Sequential:
        return models.Sequential(
            [layers.Dense(16, activation="relu", use_bias=bias), layers.Dense(5, "softmax")]
        )

    def fit(model: models.Model) -> Any:
        return model.fit(x, y, epochs=5, batch_size=16, verbose=0, validation_split=0.25)

    def noted(*arguments: Any) -> Any:
        made.append(original(*arguments))
        return made[-1]

    monkeypatch.setattr(model_data, "leaving_out_zeros", noted)
    found = trained(make, fit, eager)
    assert [type(m) for m in made] == [pydl.SparseTensor] * 2
    monkeypatch.setattr(model_data, "leaving_out_zeros", lambda x, _: x)
    want = trained(make, fit, eager)
    assert found[:2] == want[:2]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("eager", [True, False])
def test_runs_of_zeros_are_left_out_with_the_same_bits(
    eager: bool, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pydl.models import data as model_data

    rng = np.random.default_rng(2)
    x = rng.random((70, 288)).astype(dtype)
    x[:, 60:] = 0
    x[:, 150:170] = rng.random((70, 20)) < 0.1
    y = rng.integers(0, 5, 70)
    made: list[Any] = []
    original = model_data.leaving_out_zeros

    def make() -> models.Sequential:
        return models.Sequential(
            [layers.Dense(128, activation="relu"), layers.Dense(5, activation="softmax")]
        )

    def use(model: models.Model) -> Any:
        history = model.fit(x, y, epochs=3, batch_size=16, verbose=0, validation_split=0.3)
        return history.history, model.evaluate(x, y, verbose=0)

    def noted(*arguments: Any) -> Any:
        made.append(original(*arguments))
        return made[-1]

    monkeypatch.setattr(model_data, "leaving_out_zeros", noted)
    found = trained(make, use, eager)
    assert [type(m) for m in made] == [pydl.sparse.ManyZeros] * 3
    monkeypatch.setattr(model_data, "leaving_out_zeros", lambda x, _: x)
    want = trained(make, use, eager)
    assert found[:2] == want[:2]


def test_where_runs_of_zeros_are_left_out() -> None:
    from pydl.models.data import leaving_out_zeros

    half = np.zeros((64, 512), np.float32)
    half[:, ::12] = 1
    assert isinstance(leaving_out_zeros(half, 128), pydl.sparse.ManyZeros)
    assert leaving_out_zeros(half, 64) is half  # few units
    full = np.ones((64, 512), np.float32)
    assert leaving_out_zeros(full, 128) is full
    few = np.zeros((64, 512), np.float32)
    assert leaving_out_zeros(few, 128).nnz == 0


def test_scipy_matrices_and_sparse_tensors() -> None:
    x, y = words()
    for matrix in (sparse.csr_matrix(x), sparse.coo_array(x), pydl.sparse.csr(x)):

        def use(m: models.Model, x: Any) -> Any:
            history = m.fit(x, y, epochs=3, batch_size=16, verbose=0).history
            predicted = [m.predict(x, batch_size=n, verbose=0).tobytes() for n in (7, 100)]
            return history, predicted, m.evaluate(x, y, verbose=0), m.train_on_batch(x, y)

        want = trained(classifier, lambda m: use(m, x), False)
        found = trained(classifier, lambda m, a=matrix: use(m, a), False)
        assert found[:2] == want[:2]


def test_sparse_inputs_that_do_not_fit() -> None:
    x, y = words()
    matrix = pydl.sparse.csr(x)
    model = models.Sequential([layers.Dropout(0.5), layers.Dense(5, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(TypeError, match="takes dense inputs"):
        model.fit(matrix, y, verbose=0)
    model.fit(x, y, epochs=2, verbose=0)
    model = classifier()
    model.compile("sgd", "mse")
    with pytest.raises(TypeError, match="y is a sparse matrix"):
        model.fit(x, pydl.sparse.csr(x[:, :5]), verbose=0)
    with pytest.raises(ValueError, match="rows"):
        model.fit(matrix[:5], y, verbose=0)


@pytest.mark.parametrize("share", [0.02, 0.3])
@pytest.mark.parametrize("functional", [True, False])
def test_a_weight_of_inf_is_not_left_out(share: float, functional: bool) -> None:
    x = np.random.default_rng(0).random((64, 300)).astype(np.float32)
    x[:, int(share * 300) :] = 0
    dense = [layers.Dense(128, activation="relu"), layers.Dense(3)]
    if functional:
        inputs = layers.Input((300,))
        model = models.Model(inputs, dense[1](dense[0](inputs)))
    else:
        model = models.Sequential(dense)
    model.compile("sgd", "mse")
    model.build((None, 300))
    weights = model.get_weights()
    weights[0][299, 3] = np.inf  # 0 * inf is nan
    model.set_weights(weights)
    y = np.zeros((64, 3), np.float32)
    assert np.isnan(model.predict(x, verbose=0)).any()
    assert np.isnan(model.evaluate(x, y, verbose=0))
    assert np.isnan(model.fit(x, y, verbose=0).history["loss"][0])
