"""Learning from a stream: a uniform sample of it is kept, and learnt from, whatever the order."""

import math
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from sklearn_emma import DAEEnergyScorer, EMMAClassifier, EnergyView
from sklearn_emma.energy.denoising import StackedDenoising

GROUPS = {"left": [0, 1, 2], "right": [4, 3]}


def make_table(n=200, seed=0):
    """Return columns of different units, correlated within modalities."""
    rng = np.random.RandomState(seed)
    latent = rng.normal(size=(n, 2))
    X = latent[:, [0, 0, 0, 1, 1]] + 0.3 * rng.normal(size=(n, 5))
    return X * [1.0, 10.0, 0.1, 5.0, 1.0] + [0.0, 100.0, 0.0, -3.0, 2.0]


def make_scorer(modalities=GROUPS, **params):
    defaults = {"hidden_layer_sizes": (8,), "max_epochs": 3, "random_state": 0}
    return DAEEnergyScorer(modalities, **{**defaults, **params})


def stream(scorer, batches):
    for batch in batches:
        scorer.partial_fit(batch)
    return scorer


@pytest.fixture(scope="module")
def X():
    return make_table()


# Learning from it


def make_samples_to_tell():
    """Return samples that are like the training samples, and the same with noise."""
    clean = make_table(400, seed=7)
    noise = np.random.RandomState(8).normal(size=clean.shape)
    return np.concatenate([clean, clean + clean.std(axis=0) * noise])


def quality(scorer):
    return roc_auc_score(np.repeat([0, 1], 400), -scorer.score_samples(make_samples_to_tell()))


def test_a_stream_in_any_order_teaches_as_much_as_the_table():
    table = make_table(600)
    scorer = make_scorer(max_epochs=10)
    expected = quality(clone(scorer).fit(table))
    assert expected > 0.85
    for samples in (table, table[table[:, 0].argsort()]):
        assert quality(stream(clone(scorer), np.split(samples, 6))) > expected - 0.05


def test_what_was_seen_first_is_not_forgotten():
    table = make_table(300)
    early, late = table.copy(), table.copy()
    early[:, :3] += 8.0 * table.std(axis=0)[:3]
    scorer = make_scorer(max_epochs=10)
    stream(scorer, np.split(np.concatenate([early, late]), 6))
    fresh = make_table(200, seed=1)
    fresh[:100, :3] += 8.0 * table.std(axis=0)[:3]
    assert (scorer.predict(fresh[:100]) == -1).mean() < 0.25
    assert (scorer.predict(fresh[100:]) == -1).mean() < 0.25
    # while samples half way between the two were never seen
    fresh[:100, :3] -= 4.0 * table.std(axis=0)[:3]
    assert np.median(scorer.transform(fresh[:100])[:, 0]) > 3.0


def test_energies_are_in_interquartile_ranges_of_the_samples_kept(X):
    scorer = stream(make_scorer(), np.split(X, 4))
    assert scorer.n_samples_seen_ == 200
    energies = scorer.transform(X)
    np.testing.assert_allclose(np.median(energies, axis=0), 0.0, atol=1e-12)
    low, high = np.quantile(energies, [0.25, 0.75], axis=0)
    np.testing.assert_allclose(high - low, 1.0)
    held_out = (energies[:, None] == scorer.calibration_energies_).all(axis=2).any(axis=1)
    assert held_out.sum() == len(scorer.calibration_energies_)
    assert 0 < held_out.sum() < 60  # a tenth, drawn sample by sample


def test_a_stream_longer_than_the_buffer_is_sampled(X):
    scorer = stream(make_scorer(buffer_size=40), np.split(X, 5))
    assert scorer.n_samples_seen_ == 200
    kept = scorer._reservoir.samples
    assert kept.shape == (40, 5)
    assert (kept[:, None] == X).all(axis=2).any(axis=1).all()
    assert np.isfinite(scorer.transform(X)).all()
    whole = make_scorer(buffer_size=40).partial_fit(X)
    assert whole.n_samples_seen_ == 200
    assert whole._reservoir.samples.shape == (40, 5)


def test_later_calls_go_on_from_the_weights_of_earlier_ones(X):
    scorer = make_scorer(views=EnergyView("auto", n_prototypes=3), max_epochs=10)
    scorer.partial_fit(X[:100])
    first = scorer.energy_weights_
    scorer.set_params(learning_rate=1e-12).partial_fit(X[100:])
    for before, after in zip(first, scorer.energy_weights_, strict=True):
        for name in before:
            if name.startswith("members"):
                np.testing.assert_allclose(after[name], before[name], atol=1e-6)
        # what the columns are measured in follows the samples
        assert (after["coordinates.0.center"] != before["coordinates.0.center"]).any()


def test_a_call_takes_as_many_steps_as_its_samples_are_worth(X):
    scorer = make_scorer(views="coarse", max_epochs=12)
    epochs = [scorer.partial_fit(batch).n_iter_ for batch in (X[:50], X[50:100], X[100:110])]
    assert epochs == [12, 6, 1]


def test_prototypes_become_more_as_the_samples_do(X):
    scorer, n_prototypes = make_scorer(views="fine", calibration_fraction=0), []
    for batch in (X[:9], X[9:100], X[100:]):
        prototypes = scorer.partial_fit(batch).energy_weights_[0].get("members.0.prototypes", ())
        n_prototypes.append(len(prototypes))
        assert np.isfinite(scorer.transform(X)).all()
    assert n_prototypes == [0, 10, 20]


@pytest.mark.parametrize("first", [2, 3, 7])
def test_a_stream_may_begin_with_hardly_any_samples(X, first):
    scorer = make_scorer().partial_fit(X[:first])
    assert np.isfinite(scorer.transform(X)).all()
    for sample in X[first:6]:
        scorer.partial_fit(sample[None])
    scorer.partial_fit(X[6:])
    assert np.isfinite(scorer.transform(X)).all()
    assert scorer.n_samples_seen_ == 200 + max(0, first - 6)


def test_a_stream_of_single_samples_is_calibrated_too(X):
    scorer = stream(make_scorer(None, max_epochs=1), [X[:5], *X[5:65, None]])
    assert 2 <= len(scorer.calibration_energies_) <= 15
    assert (scorer.p_values(X) > 0).all()


def test_two_samples_are_enough_to_begin_with_whatever_the_random_state(X):
    for seed in range(10):
        scorer = make_scorer(None, max_epochs=1, random_state=seed).partial_fit(X[:2])
        assert np.isfinite(scorer.partial_fit(X[2:3]).transform(X)).all()


def test_p_values_of_a_stream_are_valid():
    shares = []
    for seed in range(10):
        rng = np.random.RandomState(seed)
        # only samples kept from training can tell
        by_heart = EnergyView(0.05, n_prototypes=100)
        scorer = make_scorer(None, views=by_heart, max_epochs=1, random_state=seed)
        scorer.set_params(calibration_fraction=0.5, buffer_size=150)
        stream(scorer, rng.normal(size=(4, 60, 2)))
        shares.append((scorer.p_values(rng.normal(size=(300, 2))) <= 0.2).mean())
    # some 75 samples held out, 300 fresh ones, 10 fits
    error = math.sqrt(0.16 * (1 / 75 + 1 / 300) / 10)
    assert 0.2 - 4 * error - 1 / 75 < np.mean(shares) < 0.2 + 4 * error


def test_same_random_state_same_stream_same_result(X):
    first, second, other = (
        stream(make_scorer(random_state=seed, buffer_size=60), np.split(X, 4)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.transform(X), second.transform(X))
    assert not np.allclose(first.transform(X), other.transform(X))


def test_a_pickle_in_mid_stream_goes_on_identically(X):
    scorer = make_scorer(buffer_size=80, early_stopping=True).partial_fit(X[:100])
    copy = pickle.loads(pickle.dumps(scorer))
    np.testing.assert_array_equal(copy.transform(X), scorer.transform(X))
    for batch in (X[100:150], X[150:]):
        scorer.partial_fit(batch)
        copy.partial_fit(batch)
    np.testing.assert_array_equal(copy.transform(X), scorer.transform(X))
    assert copy.n_samples_seen_ == scorer.n_samples_seen_ == 200


def test_fit_after_a_stream_starts_anew(X):
    scorer = make_scorer().partial_fit(100.0 + 50.0 * X[:, ::-1])
    scorer.fit(X)
    np.testing.assert_array_equal(scorer.transform(X), make_scorer().fit(X).transform(X))
    assert scorer.n_samples_seen_ == 200
    # nor does what follows remember the stream
    np.testing.assert_array_equal(
        scorer.partial_fit(X).transform(X), make_scorer().fit(X).partial_fit(X).transform(X)
    )


def test_a_stream_goes_on_from_a_fit(X):
    scorer = make_scorer(max_epochs=20).fit(X)
    moved = X + 4.0 * X.std(axis=0)
    before = scorer.score_samples(moved).mean()
    for _ in range(3):
        scorer.partial_fit(moved)
    assert scorer.n_samples_seen_ == 4 * len(X)
    assert scorer.score_samples(moved).mean() > before / 10  # scores are negative
    # and has not forgotten
    assert scorer.score_samples(X).mean() > before / 10
    assert (scorer.predict(X) == 1).mean() > 0.7


def test_a_fit_keeps_no_more_samples_than_the_buffer(X):
    small, large = (len(pickle.dumps(make_scorer(buffer_size=n).fit(X))) for n in (20, 200))
    assert large - small > 150 * X.shape[1] * 8
    weight = np.ones(len(X))
    weight[:150] = 0.0
    scorer = make_scorer().fit(X, sample_weight=weight).partial_fit(X[:1])
    assert scorer.n_samples_seen_ == 51


def test_a_clone_of_a_stream_starts_anew(X):
    scorer = make_scorer().partial_fit(X)
    np.testing.assert_array_equal(
        clone(scorer.partial_fit(X + 3.0)).partial_fit(X).transform(X),
        make_scorer().partial_fit(X).transform(X),
    )


def test_the_samples_of_a_stream_are_copied(X):
    batch = X.copy()
    scorer, expected = make_scorer().partial_fit(batch), make_scorer().partial_fit(X)
    batch[:] = 0.0
    for streamed in (scorer, expected):
        streamed.partial_fit(X[:50])
    np.testing.assert_array_equal(scorer.transform(X), expected.transform(X))


# What is refused, and what that leaves behind


def test_the_energies_of_a_classifier_keep_no_samples(X):
    energy = make_scorer(modalities=None)
    classifier = EMMAClassifier(
        GROUPS,
        energy=energy,
        hidden_layer_sizes=(4,),
        max_epochs=1,
        l2_regularization=1.0,
        periodic_features=False,
    )
    scorer = classifier.fit(X, X[:, 0] > 0).energy_scorers_["left"]
    before = scorer.transform(X[:, :3])
    message = "as the energy of another estimator.*Clone it, and start with fit or partial_fit"
    with pytest.raises(ValueError, match=message):
        scorer.partial_fit(X[:, :3])
    np.testing.assert_array_equal(scorer.transform(X[:, :3]), before)
    clone(scorer).partial_fit(X[:, :3])


def test_a_first_batch_of_one_sample_is_refused(X):
    scorer = make_scorer()
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        scorer.partial_fit(X[:1])
    assert not [name for name in vars(scorer) if name.endswith("_") or name == "_reservoir"]


def nothing(X):
    return X[:0]


def narrow(X):
    return X[:, :4]


def infinite(X):
    X = X.copy()
    X[3, 2] = np.inf
    return X


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (nothing, "Found array with 0 sample"),
        (narrow, "X has 4 features, but DAEEnergyScorer is expecting 5 features as input"),
        (infinite, "Input X contains infinity"),
    ],
)
def test_a_batch_that_is_refused_leaves_the_stream_as_it_was(X, spoil, message):
    scorer, other = (make_scorer(buffer_size=90).partial_fit(X[:100]) for _ in range(2))
    with pytest.raises(ValueError, match=message):
        scorer.partial_fit(spoil(X))
    assert scorer.n_samples_seen_ == 100
    np.testing.assert_array_equal(scorer.transform(X), other.transform(X))
    # and it goes on as if nothing had been
    np.testing.assert_array_equal(
        scorer.partial_fit(X[100:]).transform(X), other.partial_fit(X[100:]).transform(X)
    )


@pytest.mark.parametrize("method", ["partial_fit", "fit"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_call_leaves_the_stream_as_it_was(X, monkeypatch, method, error):
    scorer, other = (make_scorer(buffer_size=90).partial_fit(X[:100]) for _ in range(2))
    loss, calls = StackedDenoising.loss, []

    def interrupt(self, *batch):
        calls.append(None)
        if len(calls) > 4:
            raise error
        return loss(self, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(StackedDenoising, "loss", interrupt)
        with pytest.raises(error):
            getattr(scorer, method)(X[100:])
    assert len(calls) == 5
    np.testing.assert_array_equal(scorer.transform(X), other.transform(X))
    np.testing.assert_array_equal(
        scorer.partial_fit(X[100:]).transform(X), other.partial_fit(X[100:]).transform(X)
    )


def test_an_interrupted_first_call_leaves_nothing(X, monkeypatch):
    def interrupt(self, *batch):
        raise KeyboardInterrupt

    scorer = make_scorer()
    with monkeypatch.context() as patch:
        patch.setattr(StackedDenoising, "loss", interrupt)
        with pytest.raises(KeyboardInterrupt):
            scorer.partial_fit(X)
    assert vars(scorer) == vars(make_scorer())
    scorer.partial_fit(X)


def test_constant_columns_warn_at_the_first_batch_only(X):
    table = X.copy()
    table[:, 3] = 7.0
    scorer = make_scorer()
    with pytest.warns(
        UserWarning, match="Constant in the training samples.*column\\(s\\) 3"
    ) as seen:
        scorer.partial_fit(table[:100])
    assert seen[0].filename == __file__
    scorer.partial_fit(table[100:])


@pytest.mark.parametrize("change", [{"modalities": {"all": [0, 1, 2, 3, 4]}}, {"buffer_size": 20}])
def test_what_cannot_change_between_parts(change):
    scorer = make_scorer().fit(make_table())
    with pytest.raises(ValueError, match=f"{next(iter(change))} has changed since the first fit"):
        scorer.set_params(**change).partial_fit(make_table(seed=1))


def test_levels_that_come_later_are_pointed_out():
    rng = np.random.default_rng(0)

    def table(levels):
        return pd.DataFrame({"level": rng.choice(levels, 40), "x": rng.normal(size=40)})

    scorer = DAEEnergyScorer(max_epochs=2, random_state=0).partial_fit(table(["a", "b"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scorer.partial_fit(table(["b", "a"]))
    with pytest.warns(UserWarning, match=r"column\(s\) 'level' have levels that did not occur"):
        scorer.partial_fit(table(["a", "z"]))
