"""Models beside an estimator: built once, and again when what they come from is replaced."""

import gc
import pickle
import weakref

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from sklearn_emma.engine.cache import cached, preset


class Owner(BaseEstimator):
    pass


class Model:
    pass


@pytest.fixture
def built():
    return []


@pytest.fixture
def build(built):
    def make():
        built.append(Model())
        return built[-1]

    return make


def test_a_model_is_built_once(built, build):
    owner, weights = Owner(), np.zeros(3)
    models = [cached(owner, "energy", (weights,), build) for _ in range(3)]
    assert models == [built[0]] * 3
    assert len(built) == 1


def test_a_model_is_built_again_when_an_attribute_is_replaced(built, build):
    owner, weights, scale = Owner(), np.zeros(3), np.ones(3)
    first = cached(owner, "energy", (weights, scale), build)
    # an equal one is another one
    second = cached(owner, "energy", (weights, scale.copy()), build)
    assert [first, second] == built
    assert cached(owner, "energy", (), build) not in (first, second)


def test_estimators_and_keys_have_models_of_their_own(built, build):
    first, second, weights = Owner(), Owner(), np.zeros(3)
    models = {
        cached(owner, key, (weights,), build) for owner in (first, second) for key in ("a", "b")
    }
    assert models == set(built)
    assert len(built) == 4


def test_a_model_may_be_set(built, build):
    owner, weights, model = Owner(), np.zeros(3), Model()
    preset(owner, "energy", (weights,), model)
    assert cached(owner, "energy", (weights,), build) is model
    assert cached(owner, "energy", (weights.copy(),), build) is built[0]


def test_what_fails_to_build_is_not_remembered(build):
    def fail():
        raise KeyboardInterrupt

    owner = Owner()
    with pytest.raises(KeyboardInterrupt):
        cached(owner, "energy", (), fail)
    assert isinstance(cached(owner, "energy", (), build), Model)


def test_models_vanish_with_their_estimator_and_are_no_part_of_it(build):
    owner = Owner()
    before = pickle.dumps(owner)
    model = weakref.ref(cached(owner, "energy", (np.zeros(3),), lambda: Model()))
    assert model() is not None
    assert pickle.dumps(owner) == before
    del owner
    gc.collect()
    assert model() is None
