"""Everything that can be wrong with the input of EMMAClassifier, and what the user is told."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from torch import nn

from sklearn_emma import DAEEnergyScorer
from sklearn_emma.corruption import (
    Adversarial,
    Corruption,
    Episodes,
    Mixture,
    Noise,
    SomeColumns,
    Stuck,
    Swapped,
)


@pytest.fixture
def refuse(table, quick):
    """Check that a fit is refused with a message, and that it leaves nothing behind."""
    X_default, y_default = table

    def check(match, X=None, y=None, sample_weight=None, error=ValueError, **params):
        classifier = quick(**params)
        with pytest.raises(error, match=match):
            classifier.fit(
                X_default if X is None else X,
                y_default if y is None else y,
                sample_weight=sample_weight,
            )
        assert not [name for name in vars(classifier) if name.endswith("_")]

    return check


# --- modalities ---


@pytest.mark.parametrize(
    ("modalities", "match"),
    [
        ({}, "There is no modality.*Expected None, a dict"),
        ([], "There is no modality"),
        (lambda column: None, "There is no modality.*The callable returned None"),
        ({"a": [0], "b": []}, "The modality 'b' is empty.*Give it at least one column"),
        ({"a": ["modality0__0", "modality0_1"]}, "unknown column.*Did you mean 'modality0__1'"),
        ({"a": [0, 9]}, "position 9 is out of range. The data have 9 column"),
        ({"a": [0, 1], "b": [1, 2]}, "column 'modality0__1' is in two modalities, 'a' and 'b'"),
        ({"a": [0, 1, 2]}, "6 column.s. belong to no modality: 'modality1__0'.*remainder=\"drop\""),
        ([("a", [0]), ("a", [1])], "The modality 'a' is given twice"),
        ({1: [0]}, "name must be a non-empty string, got 1"),
    ],
)
def test_modalities_that_make_no_sense(refuse, modalities, match):
    refuse(match, modalities=modalities)


def test_prefixes_of_columns_without_names(refuse, table):
    refuse('modalities="prefix" needs column names', X=table[0].to_numpy())


def test_columns_without_prefix(refuse, table):
    X = table[0].rename(columns={"modality0__0": "age"})
    refuse("1 column.s. belong to no modality: 'age'.*have no \"__\"", X=X)


def test_remainder_by_a_taken_name(refuse):
    refuse("already the name of a modality", modalities={"a": [0]}, remainder="a")


# --- X ---


def test_one_sample(refuse, table):
    X, y = table
    refuse("1 sample.*minimum of 2 is required", X=X[:1], y=y[:1])


@pytest.mark.parametrize("value", [7.0, 3.7, 9.81])
def test_constant_column_warns(table, quick, value):
    X, y = table
    constant = X.assign(modality1__1=value)
    with pytest.warns(UserWarning, match="Constant in the training samples") as record:
        classifier = quick().fit(constant, y)
    assert len(record) == 1
    assert "'modality1__1'" in str(record[0].message)
    assert classifier.scale_[4] == 1.0
    expected = classifier.predict_proba(constant)
    assert np.isfinite(expected).all()
    # the value in single precision, and a slightly different one, are the same to the classifier
    for other in (constant.astype(np.float32), constant.assign(modality1__1=value + 1e-6)):
        np.testing.assert_allclose(classifier.predict_proba(other), expected, atol=1e-4)


def test_column_without_any_value(refuse, table):
    X, y = table
    refuse("'modality1__1' hold no value at all.*Leave them out", X=X.assign(modality1__1=np.nan))
    # samples of weight zero do not count
    X, weight = X.copy(), np.ones(len(X))
    X.iloc[1:, 0], weight[0] = np.nan, 0.0
    refuse("'modality0__0' hold no value at all", X=X, sample_weight=weight)
    refuse("Column.s. 0 hold no value", X=X.to_numpy(), sample_weight=weight, modalities=None)


def test_modality_with_values_in_one_sample(refuse, table):
    X = table[0].copy()
    X.iloc[1:, :3] = np.nan
    with pytest.warns(UserWarning, match="Constant"):
        refuse("'modality0' has values in 1 sample.s.; at least 2", X=X)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinities(refuse, table, fitted, value):
    X = table[0].copy()
    X.iloc[3, 3] = value
    refuse("Input X contains infinity", X=X)
    with pytest.raises(ValueError, match="Input X contains infinity"):
        fitted.predict(X)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ("low", "could not convert string.*'low'.*Encode"),
        (pd.Timestamp("2020-01-01"), "days=1.*dt.hour"),
        ({"a": 1}, "not 'dict'.*Encode"),
    ],
    ids=["strings", "dates", "objects"],
)
def test_columns_that_hold_no_numbers(refuse, table, fitted, values, match):
    X = table[0].copy()
    X["modality0__2"] = [values] * len(X)
    if not isinstance(values, str):  # text is categories
        message = rf"[Cc]olumn\(s\) 'modality0__2' hold .*{match}"
        refuse(message, X=X, error=(TypeError, ValueError))
    with pytest.raises((TypeError, ValueError), match=r"[Cc]olumn\(s\) 'modality0__2' hold"):
        fitted.predict(X)


def test_text_among_numbers_is_no_category(refuse, table):
    X = table[0].copy()
    X["modality0__2"] = X["modality0__2"].astype(str)
    X.loc[0, "modality0__2"] = "broken"
    refuse("hold something else.*'broken'.*Use NaN for missing.*\"category\"", X=X)


def test_arrays_and_frames_that_hold_no_numbers(refuse, table):
    X = table[0].to_numpy().astype(object)
    X[2, 5] = "high"
    refuse("X must hold numbers or categories, but column.s. 5 hold", X=X, modalities=None)
    dates = np.zeros((20, 2), dtype="datetime64[s]")
    refuse(r"Column\(s\) 0, 1 hold dates", X=dates, y=np.arange(20) % 2, modalities=None)


def test_numbers_in_object_columns_are_numbers(table, quick, fitted):
    X, y = table
    classifier = quick().fit(X.astype(object), y)
    np.testing.assert_array_equal(classifier.predict_proba(X), fitted.predict_proba(X))


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_matrix])
def test_sparse_input(refuse, table, fitted, kind):
    X = kind(table[0].to_numpy())
    refuse("Sparse data was passed for X, but dense data is required", X=X, error=TypeError)


def test_complex_numbers(refuse, table):
    refuse("Complex data not supported", X=table[0].to_numpy() + 1j)


def test_tables_that_are_no_tables(refuse, table):
    X, y = table
    refuse("Expected 2D array, got 1D array", X=X.iloc[:, 0].to_numpy())
    refuse("inconsistent numbers of samples", X=X, y=y[:5])


def test_other_columns_at_prediction(fitted, table, quick):
    X, y = table
    with pytest.raises(ValueError, match="(?s)feature names should match.*now missing"):
        fitted.predict(X.iloc[:, :6])
    with pytest.raises(ValueError, match="(?s)feature names should match.*unseen at fit.*wind"):
        fitted.predict(X.rename(columns={"modality0__0": "wind"}))
    with pytest.raises(ValueError, match="(?s)must be in the same order"):
        fitted.predict(X.iloc[:, ::-1])
    array = quick(modalities={"all": slice(None)}).fit(X.to_numpy(), y)
    with pytest.raises(ValueError, match="X has 6 features, but EMMAClassifier is expecting 9"):
        array.predict(X.to_numpy()[:, :6])
    with pytest.raises(ValueError, match="0 sample"):
        fitted.predict(X[:0])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        fitted.predict(X.to_numpy())


# --- y and weights ---


def test_one_class(refuse, table):
    X, y = table
    refuse("at least two classes, but all samples.*of one class, 0", y=np.zeros(len(X), dtype=int))
    refuse("of one class, 1", sample_weight=(y == 1).astype(float))


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        ([0.0, np.nan], "Input y contains NaN"),
        ([0.5, 1.5], "Unknown label type: continuous"),
        (["a", None], "objects of type NoneType, str, but must.*Leave out samples"),
        (["a", 1], "objects of type int, str, but must.*y.astype"),
    ],
)
def test_labels_that_are_not_valid(refuse, table, labels, match):
    dtype = object if isinstance(labels[0], str) else float
    refuse(match, y=np.array(labels * (len(table[0]) // 2), dtype=dtype))


def test_no_labels_and_too_many(table, quick):
    X, y = table
    with pytest.raises(ValueError, match="requires y to be passed"):
        quick().fit(X, None)
    with pytest.raises(ValueError, match="y should be a 1d array"):
        quick().fit(X, np.column_stack([y, y]))


@pytest.mark.parametrize(
    ("weight", "match"),
    [
        (lambda n: -np.ones(n), "must not be negative, got -1"),
        (lambda n: np.zeros(n), "at least one non-zero number"),
        (lambda n: np.full(n, np.nan), "sample_weight contains NaN"),
        (lambda n: np.ones(n - 1), "sample_weight.shape"),
    ],
    ids=["negative", "zero", "nan", "short"],
)
def test_weights_that_are_not_valid(refuse, table, weight, match):
    refuse(match, sample_weight=weight(len(table[0])))


@pytest.mark.parametrize(
    "class_weight", [{0: -1.0, 1: 1.0}, {0: 0.0, 1: 0.0}, {0: np.nan, 1: 1.0}, {0: "a", 1: 1.0}]
)
def test_class_weights_that_are_not_valid(refuse, class_weight):
    refuse("class_weight must hold finite numbers that are not negative", class_weight=class_weight)


def test_class_weights_of_other_classes(refuse):
    refuse("The classes.* are not in class_weight", class_weight={"yes": 1.0})


# --- parameters ---


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("modalities", 3),
        ("modalities", "suffix"),
        ("remainder", None),
        ("module", 3),
        ("hidden_layer_sizes", 8),
        ("coldness", -0.1),
        ("coldness", np.inf),
        ("coldness", "hot"),
        ("lambda_capacity", -1.0),
        ("lambda_energy", -1.0),
        ("lambda_energy", np.nan),
        ("cross_modal", "yes"),
        ("cross_modal", None),
        ("corruption", Noise),
        ("corruption", "noise"),
        ("subset_weight", -1.0),
        ("pretrain_epochs", -1),
        ("learning_rate", 0.0),
        ("learning_rate", np.inf),
        ("l2_regularization", -1.0),
        ("l2_regularization", np.nan),
        ("l2_regularization", "strong"),
        ("max_epochs", 0),
        ("max_epochs", 1.5),
        ("batch_size", 0),
        ("batch_size", "all"),
        ("early_stopping", "yes"),
        ("validation_fraction", 0.0),
        ("validation_fraction", 1.0),
        ("n_iter_no_change", 0),
        ("tol", -1.0),
        ("class_weight", "equal"),
        ("n_jobs", 1.5),
        ("memory", 3),
        ("warm_start", "yes"),
        ("device", 3),
        ("random_state", "seed"),
        ("verbose", "loud"),
    ],
)
def test_parameters_out_of_range(refuse, name, value):
    refuse(f"The '{name}' parameter of EMMAClassifier must be", **{name: value})


@pytest.mark.parametrize("sizes", [(), (8, 0), (8.5,), [[8]], (True,)])
def test_layers_without_units(refuse, sizes):
    refuse("hidden_layer_sizes must hold at least one positive number", hidden_layer_sizes=sizes)


@pytest.mark.parametrize(
    ("corruption", "match"),
    [
        (Noise(0.5, n_corrupted=4), "n_corrupted=4 must be None or an integer from 1 to .* 3"),
        (Noise(0.5, fraction=1.5), "fraction=1.5 must be None or a number from 0 to 1"),
        (Swapped(only="radar"), "only='radar' must name at least one modality"),
        (Noise(-1.0), "sigma=-1.0 must not be negative"),
        (Mixture([]), "must be a list of at least one corruption"),
        (Episodes(Stuck()), r"have no order.*corruption=Stuck\(\)"),
        (Adversarial(0.5), "pass it as adversarial, not as corruption"),
        (Mixture([Adversarial(0.5)]), "cannot be used inside another corruption"),
        (SomeColumns(Episodes(Stuck())), "cannot be used inside another corruption"),
    ],
)
def test_corruption_out_of_range(refuse, monkeypatch, corruption, match):
    monkeypatch.delattr("sklearn_emma.base.fit_energies")  # refused before anything is trained
    refuse(match, corruption=corruption)


@pytest.mark.parametrize("adversarial", [Adversarial(-1.0), Adversarial(0.5, only="radar")])
def test_attacks_out_of_range(refuse, monkeypatch, adversarial):
    monkeypatch.delattr("sklearn_emma.base.fit_energies")
    refuse("must be positive|must name at least one modality", adversarial=adversarial)


def test_nothing_left_to_learn_from(refuse, table):
    refuse(
        "would hold out 159 of 160 samples.*Lower validation_fraction",
        early_stopping=True,
        validation_fraction=0.995,
    )


@pytest.mark.parametrize("device", ["cuda", "cuda:0", torch.device("cuda")])
@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
def test_cuda_asked_for_and_absent(refuse, device):
    refuse("is not available here. Pass device='auto'", device=device)


def test_unknown_device(refuse):
    refuse("device='tpu' is not available here", device="tpu")


# --- energy ---


class Strange(BaseEstimator):
    """An energy that returns what it is told to."""

    def __init__(self, kind="nan"):
        self.kind = kind

    def fit(self, X, y=None):
        return self

    def score_samples(self, X):
        scores = np.zeros(len(X))
        if self.kind == "nan":
            scores[0] = np.nan
        return {"nan": scores, "matrix": np.zeros((len(X), 2)), "short": scores[1:]}[self.kind]


@pytest.mark.parametrize("energy", [LogisticRegression(), "mixture", 3, {"modality0": "mixture"}])
def test_energy_without_score_samples(refuse, energy):
    refuse(
        "must be an estimator with the methods fit and score_samples",
        energy=energy,
        error=TypeError,
    )


def test_energy_given_as_a_class(refuse):
    refuse("class GaussianMixture. Pass GaussianMixture()", energy=GaussianMixture, error=TypeError)


def test_energy_with_modalities_of_its_own(refuse):
    refuse("set its modalities to None", energy=DAEEnergyScorer("prefix"))


def test_energy_that_is_infinite_everywhere(refuse):
    refuse(
        "modality 'modality0' is infinite for every training sample.*wider kernel",
        energy=Impossible(),
    )


class Impossible(BaseEstimator):
    """Finds every sample impossible."""

    def fit(self, X, y=None):
        return self

    def score_samples(self, X):
        return np.full(len(X), -np.inf)


class FailsLater(nn.Module):
    """Learns, and then returns NaN for some samples."""

    def __init__(self, n_features, n_classes):
        super().__init__()
        self.layer = nn.Linear(sum(n_features), n_classes)

    def forward(self, modalities):
        x = torch.cat(modalities, 1)
        logits = self.layer(x)
        if x.dtype == torch.float64:
            logits[:3] = torch.nan
        return logits


def test_network_that_returns_nan(table, quick):
    classifier = quick(module=FailsLater).fit(*table)
    with pytest.raises(ValueError, match="network returned values that are not finite for 3 of 5"):
        classifier.predict(table[0][:5])


def test_network_without_parameters(refuse):
    refuse("no parameters that can be trained", module=lambda n_features, n_classes: nn.Identity())


def test_energy_of_an_unknown_modality(refuse):
    energy = {"radar": GaussianMixture()}
    refuse("unknown modalities .'radar'.. The modalities are .'modality0'", energy=energy)


@pytest.mark.parametrize(
    ("kind", "match"),
    [
        ("nan", "energy of modality 'modality0', Strange, returned NaN for 1 of 160 samples"),
        ("matrix", "must return one number per sample, of shape .160,., but returned .160, 2."),
        ("short", "one number per sample, of shape .160,., but returned .159,."),
    ],
)
def test_energy_that_returns_no_energies(refuse, kind, match):
    refuse(match.replace("returned .1", "returned shape .1"), energy=Strange(kind))


# --- module ---


class Returns(nn.Module):
    """A network that returns what it is told to."""

    def __init__(self, what):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.what = what

    def forward(self, modalities):
        n_samples = len(modalities[0])
        if self.what == "three":
            return self.scale * torch.zeros(n_samples, 3)
        if self.what == "flat":
            return self.scale * torch.zeros(n_samples)
        if self.what == "list":
            return [self.scale]
        raise RuntimeError("no such layer")


@pytest.mark.parametrize(
    ("what", "match"),
    [
        ("three", "must return .* of shape .* = .3, 2., but returned shape .3, 3."),
        ("flat", "but returned shape .3,."),
        ("list", "but returned list"),
        ("error", "module failed on a list of 3 gated modalities.*no such layer.*must take"),
    ],
)
def test_network_that_returns_no_logits(refuse, what, match):
    refuse(match, module=Returns(what))


def test_factory_that_makes_no_network(refuse):
    refuse(
        "module must be a torch.nn.Module.*it returned NoneType",
        module=lambda n_features, n_classes: None,
        error=TypeError,
    )


# --- fits that do not end well ---


def test_training_that_diverges(refuse):
    refuse("Training diverged.*Lower learning_rate, which was 1e.08", learning_rate=1e8)


class Interrupt(Corruption):
    """Interrupts a fit when the failures of an epoch are drawn."""

    def _fail(self, x, mean, std, donors, generator):
        raise KeyboardInterrupt


@pytest.mark.parametrize("wider", [False, True])
def test_an_interrupt_leaves_the_fit_before_usable(table, quick, wider):
    X, y = table
    classifier = quick().fit(X, y)
    before, attributes = classifier.predict_proba(X), set(vars(classifier))
    names, n_iter = classifier.feature_names_in_.tolist(), classifier.n_iter_
    other = X.assign(modality3__0=1.0 * np.arange(len(X))) if wider else X + 1.0
    with pytest.raises(KeyboardInterrupt):
        classifier.set_params(
            corruption=Interrupt(), max_epochs=3, hidden_layer_sizes=(3, 3), coldness=9.0
        ).fit(other, 1 - y)
    assert set(vars(classifier)) == attributes
    assert classifier.feature_names_in_.tolist() == names
    assert classifier.n_features_in_ == 9
    assert classifier.n_iter_ == n_iter
    np.testing.assert_array_equal(classifier.predict_proba(X), before)


def test_an_error_leaves_the_fit_before_usable(table, quick):
    X, y = table
    classifier = quick(warm_start=True).fit(X, y)
    before = classifier.predict_proba(X)
    with pytest.raises(ValueError, match="Training diverged"):
        classifier.set_params(learning_rate=1e8).fit(X, y)
    np.testing.assert_array_equal(classifier.predict_proba(X), before)
    classifier.set_params(learning_rate=0.01).fit(X, y)
    assert not np.array_equal(classifier.predict_proba(X), before)


def test_an_interrupted_first_fit_leaves_nothing(refuse):
    refuse(None, corruption=Interrupt(), error=KeyboardInterrupt)


def test_more_modalities_than_there_are_get_a_warning(table, quick):
    X, y = table
    n_modalities = len(quick().fit(X, y).modality_names_)
    with pytest.warns(UserWarning, match=f"more than the number of modalities, {n_modalities}"):
        quick(max_modalities=n_modalities + 1).fit(X, y)


def test_a_cache_that_cannot_be_made(table, quick, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="memory=.*cannot be used as a cache folder"):
        quick(memory=str(tmp_path / "file" / "cache")).fit(*table)


def test_weights_may_be_so_large_that_their_sum_is_infinite(table, quick):
    X, y = table
    large = quick(max_epochs=1).fit(X, y, sample_weight=np.full(len(y), 1e308))
    np.testing.assert_array_equal(
        large.predict_proba(X), quick(max_epochs=1).fit(X, y).predict_proba(X)
    )


def test_devices_without_values(refuse):
    refuse("device='meta' computes no values", device="meta")
