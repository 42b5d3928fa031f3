"""Any estimator behind the gate: what fails is closed, what it is told, and what it returns."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import (
    BaggingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
)
from sklearn.exceptions import DataConversionWarning, UnsetMetadataPassedError
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    TunedThresholdClassifierCV,
    cross_val_score,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from sklearn_emma import (
    DAEEnergyScorer,
    EMMAClassifier,
    EMMAClassifierCV,
    EMMARegressor,
    GatedClassifier,
    GatedRegressor,
)
from sklearn_emma.corruption import Missing, Noise, VirtualAdversarial
from sklearn_emma.gated.blending import best_blend, held_out_samples, squared_error_of
from sklearn_emma.gated.estimator_traits import predicts_mean
from sklearn_emma.inspection import modality_report
from sklearn_emma.model_selection import robustness_curve

QUICK = {
    "energy": DAEEnergyScorer(hidden_layer_sizes=(8,), max_epochs=5),
    "hidden_layer_sizes": (4,),
    "pretrain_epochs": 1,
    "max_epochs": 2,
    "l2_regularization": 1.0,
    "periodic_features": False,
}


def gated(estimator=None, modalities="prefix", **params):
    estimator = LogisticRegression() if estimator is None else estimator
    gate = EMMAClassifier(**QUICK)
    return GatedClassifier(
        estimator,
        modalities,
        **({"gate": gate, "random_state": 0, "n_copies": 1, "blend": 0.0} | params),
    )


@pytest.fixture(scope="module")
def fitted(table):
    """Behind the gate is a tree, which takes NaN; to be read only."""
    return gated(DecisionTreeClassifier(max_depth=4)).fit(*table)


class Witness(ClassifierMixin, BaseEstimator):
    """Remembers what it is given."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X, y):
        self.X_, self.y_, self.classes_ = X, y, np.unique(y)
        return self

    def predict(self, X):
        self.seen_ = X
        return np.full(len(X), self.classes_[0])


# --- what the gate does ---


def test_what_fails_is_closed(wide, add_noise):
    X, y, X_test, y_test = wide
    clf = gated(gate=EMMAClassifier(**QUICK | {"energy": None}), n_copies=2).fit(X, y)
    bare = LogisticRegression().fit(X, y)
    noisy = add_noise(X_test, "modality1", 8.0)
    attention = clf.attention(noisy)
    assert attention[:, 1].mean() < 0.2 < 0.8 < attention[:, [0, 2]].mean()
    assert clf.score(noisy, y_test) > bare.score(noisy, y_test) + 0.05
    assert clf.score(X_test, y_test) > bare.score(X_test, y_test) - 0.03


@pytest.mark.parametrize("threshold", [0.5, "mean"])
def test_closed_values_do_not_matter(table, fitted, lose, threshold):
    clf = gated(DecisionTreeClassifier(max_depth=4), threshold=threshold).fit(*table)
    X = table[0].copy()
    X.loc[:, X.columns.str.startswith("modality2")] = 1e6
    assert (clf.attention(X)[:, 2] < 0.01).all()
    assert (clf.attention(lose(X, "modality2"))[:, 2] == 0).all()
    closed = clf.predict_proba(X)
    other = X.copy()
    other.loc[:, X.columns.str.startswith("modality2")] = -1e6
    np.testing.assert_allclose(clf.predict_proba(other), closed)


def test_what_the_estimator_is_given(table):
    X, y = table
    clf = gated(Witness(), n_copies=2).fit(X, y)
    witness = clf.estimator_
    assert witness.X_.shape == (3 * len(X), X.shape[1])
    assert list(witness.X_.columns) == list(X.columns)
    np.testing.assert_array_equal(witness.y_, np.tile(y, 3))
    blocks = witness.X_.to_numpy().reshape(3, len(X), 3, 3)
    gaps = np.isnan(blocks)
    assert (gaps.all(axis=3) == gaps.any(axis=3)).all()  # whole modalities are closed
    # the first table holds clean samples
    open_ = ~gaps[0].any(axis=(1, 2))
    np.testing.assert_array_equal(witness.X_.to_numpy()[: len(X)][open_], X[open_])
    assert open_.mean() > 0.7
    # in the copies half of the samples lose random modalities, and others fail
    assert gaps[1:].any(axis=(2, 3)).mean() > 0.5
    broken = X.copy()
    broken.iloc[:5, :3] = 1e6
    clf.predict(broken)
    assert np.isnan(witness.seen_.iloc[:5, :3].to_numpy()).all()
    np.testing.assert_array_equal(
        witness.seen_.iloc[:, 3:],
        np.where(np.isnan(witness.seen_.iloc[:, 3:]), np.nan, broken.iloc[:, 3:]),
    )


def test_no_copies_and_own_corruption(table):
    X, y = table
    assert len(gated(Witness(), n_copies=0).fit(X, y).estimator_.X_) == len(X)
    gate = EMMAClassifier(**QUICK, corruption=Missing(only="modality1", fraction=1.0))
    witness = gated(Witness(), gate=gate).fit(X, y).estimator_
    assert np.isnan(witness.X_.to_numpy()[len(X) :, 3:6]).all()


@pytest.mark.parametrize("closed_value", ["auto", "median", "nan"])
def test_estimators_that_refuse_nan_get_medians(table, closed_value, lose):
    X, y = table
    clf = gated(Witness() if closed_value == "nan" else None, closed_value=closed_value).fit(X, y)
    assert clf.fills_nan_ is (closed_value != "nan")
    clf.predict(lose(X, "modality0"))
    if closed_value != "nan":
        expected = X.assign(**{f"modality0__{i}": X[f"modality0__{i}"].median() for i in range(3)})
        rows = ~(clf.attention(lose(X, "modality0"))[:, 1:] <= 0.5).any(axis=1)
        np.testing.assert_allclose(
            clf.predict_proba(lose(X, "modality0"))[rows],
            clf.estimator_.predict_proba(expected)[rows],
        )


def test_columns_that_are_left_out_are_not_passed_on(table):
    X, y = table
    clf = gated(Witness(), remainder="drop").fit(X.assign(station="north"), y)
    assert list(clf.estimator_.X_.columns) == list(X.columns)
    assert clf.n_features_in_ == 10
    array = gated(Witness(), {"a": [4, 2], "b": [0]}, remainder="drop").fit(X.to_numpy(), y)
    assert isinstance(array.estimator_.X_, np.ndarray)
    assert array.estimator_.X_.shape[1] == 3


def test_pipelines_by_name(table):
    X, y = table
    by_name = ColumnTransformer([("scale", StandardScaler(), ["modality0__0", "modality2__1"])])
    clf = gated(make_pipeline(by_name, DecisionTreeClassifier(max_depth=3))).fit(X, y)
    assert clf.score(X, y) > 0.6


# --- predictions ---


def test_labels_of_any_kind(table, fitted):
    X, y = table
    names = np.array(["no", "yes"])[y]
    clf = gated(DecisionTreeClassifier(max_depth=4)).fit(X, names)
    assert clf.classes_.tolist() == ["no", "yes"]
    np.testing.assert_array_equal(clf.predict(X), np.array(["no", "yes"])[fitted.predict(X)])
    np.testing.assert_array_equal(clf.predict_proba(X), fitted.predict_proba(X))


def test_logarithms_of_probabilities_may_be_infinite(table):
    X, y = table
    clf = gated(DecisionTreeClassifier()).fit(X, y)
    probabilities = clf.predict_proba(X)
    assert (probabilities == 0).any()
    np.testing.assert_array_equal(np.exp(clf.predict_log_proba(X)) > 0, probabilities > 0)
    evidence = np.full((len(X), len(clf.modality_names_)), 2.0)
    expected = clf.predict_proba(X, evidence)
    np.testing.assert_allclose(np.exp(clf.predict_log_proba(X, evidence)), expected)


@pytest.mark.parametrize("threshold", [0.5, "mean"])
def test_classifiers_without_probabilities_vote(table, threshold):
    clf = gated(RidgeClassifier(), threshold=threshold)
    assert not hasattr(clf, "predict_proba")
    assert not hasattr(clf, "predict_log_proba")
    clf.fit(*table)
    assert clf.score(*table) > 0.8
    output = clf.readings(table[0]).output
    np.testing.assert_allclose(output.sum(axis=1), 1.0)
    np.testing.assert_array_equal(clf.classes_[output.argmax(axis=1)], clf.predict(table[0]))


def test_read_outs_are_those_of_the_gate(table, fitted):
    X = table[0]
    gate = fitted.gate_
    for name in (
        "energies",
        "attention",
        "importance",
        "modal_energy",
        "total_energy",
        "transform",
    ):
        np.testing.assert_array_equal(getattr(fitted, name)(X), getattr(gate, name)(X))
    readings = fitted.readings(X)
    np.testing.assert_array_equal(readings.attention, gate.attention(X))
    np.testing.assert_array_equal(readings.output, fitted.predict_proba(X))
    assert fitted.get_feature_names_out().tolist() == list(X.columns)
    assert fitted.predict_proba(X.astype(np.float32)).shape == (len(X), 2)


def test_evidence_closes_a_modality(table, fitted, lose):
    X = table[0]
    evidence = np.zeros((len(X), 3))
    evidence[:, 1] = np.inf
    np.testing.assert_array_equal(
        fitted.predict_proba(X, evidence), fitted.predict_proba(lose(X, "modality1"))
    )


def test_values(table, lose):
    X = table[0]
    y = X.iloc[:, :3].sum(axis=1).to_numpy()
    gate = EMMARegressor(**QUICK)
    kwargs = {"gate": gate, "random_state": 0, "threshold": "mean", "blend": 0.0}
    reg = GatedRegressor(LinearRegression(), "prefix", **kwargs).fit(X, y)
    assert reg.score(X, y) > 0.5
    assert reg.predict(X).shape == (len(X),)
    both = np.column_stack([y, -y])
    reg = GatedRegressor(DecisionTreeRegressor(), "prefix", **kwargs).fit(X, both)
    np.testing.assert_allclose(reg.predict(X)[:, 0], -reg.predict(X)[:, 1])
    assert np.isfinite(reg.predict(lose(X, "modality0"))).all()
    np.testing.assert_array_equal(reg.readings(X).output, reg.predict(X))


# --- blended with the network of the gate ---


@pytest.mark.parametrize("threshold", [pytest.param(0.5, marks=pytest.mark.slow), "mean"])
def test_targets_may_be_a_column(threshold):
    """Some regressors return one dimension for them, and the network would return two."""
    X, y = np.random.RandomState(0).normal(size=(2, 120, 4))
    y = X.sum(axis=1) + 0.1 * y[:, 0]
    gate = EMMARegressor(**QUICK)
    modalities = {"a": [0, 1], "b": [2, 3]}
    for estimator in (Ridge(), RandomForestRegressor(5, random_state=0)):
        params = {"gate": gate, "threshold": threshold, "random_state": 0}
        reg = GatedRegressor(estimator, modalities, **params)
        with pytest.warns(DataConversionWarning, match="column-vector y was passed"):
            found = reg.fit(X, y[:, None]).predict(X)
        np.testing.assert_array_equal(found, clone(reg).fit(X, y).predict(X))


class AsColumns(Ridge):
    """Predicts the same value in each of several columns."""

    def __init__(self, n_columns=1):
        super().__init__()
        self.n_columns = n_columns

    def predict(self, X):
        return np.column_stack([super().predict(X)] * self.n_columns)


@pytest.mark.parametrize("blend", [0.0, 0.5, "auto"])
def test_predictions_may_be_a_column(table, blend):
    X = table[0].to_numpy()
    y = X.sum(axis=1)
    params = {"gate": EMMARegressor(**QUICK), "blend": blend, "n_copies": 1, "random_state": 0}
    modalities = {"a": [0, 1, 2], "b": range(3, 9)}
    reg = GatedRegressor(AsColumns(), modalities, **params).fit(X, y)
    expected = GatedRegressor(Ridge(), modalities, **params).fit(X, y)
    np.testing.assert_array_equal(reg.predict(X), expected.predict(X))
    assert reg.blend_ == expected.blend_
    reg.set_params(estimator=AsColumns(2))
    message = r"must predict values of shape \(\d+,\), but AsColumns.* of shape \(\d+, 2\)"
    with pytest.raises(ValueError, match=message):
        reg.fit(X, y).predict(X)


def test_quantiles_and_medians_are_not_blended_with_means():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(600, 4))
    y = X[:, 0] + rng.exponential(size=600)
    gate = EMMARegressor(**QUICK)
    params = {"modalities": {"a": [0, 1], "b": [2, 3]}, "gate": gate, "random_state": 0}
    boosting = HistGradientBoostingRegressor(loss="quantile", quantile=0.9, max_iter=50)
    reg = GatedRegressor(make_pipeline(boosting), **params).fit(X[:400], y[:400])
    assert reg.blend_ == 0.0
    assert 0.8 < (y[400:] <= reg.predict(X[400:])).mean() < 0.97
    few = X[:60], y[:60]
    forest = RandomForestRegressor(5, criterion="absolute_error")
    assert GatedRegressor(forest, **params).fit(*few).blend_ == 0.0
    grid = {"loss": ["quantile"], "quantile": [0.9]}
    search = GridSearchCV(HistGradientBoostingRegressor(max_iter=5), grid, cv=2)
    assert GatedRegressor(search, **params).fit(*few).blend_ == 0.0
    assert GatedRegressor(forest, blend=0.5, **params).fit(*few).blend_ == 0.5
    assert GatedRegressor(RandomForestRegressor(5), **params).fit(*few).blend_ > 0.0


def test_a_blend_is_a_weighted_average(table, fitted):
    X = table[0]
    blended = clone(fitted).set_params(blend=0.25).fit(*table)
    of_both = 0.75 * fitted.predict_proba(X) + 0.25 * fitted.gate_.predict_proba(X)
    np.testing.assert_allclose(blended.predict_proba(X), of_both, rtol=1e-6)
    np.testing.assert_array_equal(
        blended.predict(X), fitted.classes_[blended.predict_proba(X).argmax(axis=1)]
    )
    network = clone(fitted).set_params(blend=1.0).fit(*table)
    np.testing.assert_allclose(network.predict_proba(X), fitted.gate_.predict_proba(X), rtol=1e-6)


class Guess(ClassifierMixin, BaseEstimator):
    """Knows nothing, or, given the training samples by heart, everything about them."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.known_ = {x.tobytes(): k for x, k in zip(np.asarray(X), y, strict=True)}
        return self

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def predict_proba(self, X):
        known = [self.known_.get(x.tobytes(), self.classes_[0]) for x in np.asarray(X)]
        return (np.array(known)[:, None] == self.classes_).astype(float)


def test_who_is_right_on_held_out_samples_decides(wide):
    X, y, *_ = wide
    gate = EMMAClassifier(**(QUICK | {"max_epochs": 20}))
    kwargs = {"gate": gate, "blend": "auto"}
    # a memory of the training samples is right on all of these, and on no others
    assert gated(Guess(), **kwargs).fit(X, y).blend_ > 0.8
    boosting = HistGradientBoostingClassifier(max_iter=20)
    lame = EMMAClassifier(**(QUICK | {"max_epochs": 1, "learning_rate": 1e-6}))
    assert gated(boosting, gate=lame, blend="auto").fit(X, y).blend_ < 0.3


def test_later_samples_are_held_out():
    classes = np.array([0, 1, 1, 1] * 20)
    held_out = held_out_samples(classes)
    assert held_out.tolist() == sorted([*range(64, 80, 4), *(i for i in range(64, 80) if i % 4)])
    many = held_out_samples(np.repeat([0, 1], 4000))
    assert len(many) == 1000
    assert many.min() == 3500
    assert len(held_out_samples(np.zeros(39, dtype=int))) == 0


def test_all_samples_are_learned_from_in_the_end(table):
    X, y = table
    clf = gated(Witness(), n_copies=0, blend="auto")
    assert len(clf.fit(X, y).estimator_.X_) == len(X)
    assert clf.blend_ == 0.0  # votes are not blended


def test_hyperparameters_of_the_network_are_chosen_on_all_samples(wide):
    X, y, *_ = wide
    gate = EMMAClassifier(**(QUICK | {"l2_regularization": "auto"}), random_state=0)
    clf = gated(gate=gate, blend="auto").fit(X, y)
    alone = clone(gate).set_params(modalities="prefix").fit(X, y)
    assert clf.gate_.l2_regularization_ == alone.l2_regularization_
    np.testing.assert_array_equal(clf.gate_.predict_proba(X), alone.predict_proba(X))


def test_a_search_as_gate_is_run_once(table, monkeypatch):
    X, y = table
    searched = []
    search = EMMAClassifierCV._search
    monkeypatch.setattr(
        EMMAClassifierCV, "_search", lambda self, *data: searched.append(1) or search(self, *data)
    )
    gate = EMMAClassifierCV(**QUICK, param_grid={"coldness": [0.1, 1.0]}, cv=2)
    clf = gated(gate=gate, blend="auto").fit(X, y)
    assert len(searched) == 1
    assert clf.gate_.best_estimator_.coldness == clf.gate_.best_params_["coldness"]


def test_too_few_samples_to_choose_on(table):
    X, y = table
    few = np.r_[np.flatnonzero(y == 0)[:60], np.flatnonzero(y == 1)[:3]]
    clf = gated(blend="auto").fit(X.iloc[few], y[few])
    assert clf.blend_ == 0.5
    assert gated(blend="auto").fit(X[:30], y[:30]).blend_ == 0.5


@pytest.mark.parametrize("weights", ["balanced", {0: 1.0, 1: 8.0}])
def test_class_weights_of_the_estimator_hold_for_the_network_and_the_blend(weights):
    rng = np.random.default_rng(0)
    y = (rng.uniform(size=600) < 0.1).astype(int)
    X = pd.DataFrame(
        rng.normal(y[:, None], 1.2, (600, 4)), columns=["a__1", "a__2", "b__1", "b__2"]
    )
    gate = EMMAClassifier(**QUICK).set_params(max_epochs=20)
    kwargs = {"gate": gate, "blend": "auto"}
    plain = gated(make_pipeline(LogisticRegression()), **kwargs).fit(X, y)
    weighted = gated(make_pipeline(LogisticRegression(class_weight=weights)), **kwargs).fit(X, y)
    assert weighted.gate_.class_weight == weights
    assert weighted.gate_.predict(X).mean() > plain.gate_.predict(X).mean() + 0.1
    assert weighted.predict(X).mean() > plain.predict(X).mean() + 0.1
    assert weighted.blend_ < 1.0
    # the gate may have its own
    own = gated(LogisticRegression(class_weight=weights), gate=clone(gate), blend=0.5)
    own.gate.set_params(class_weight={0: 1.0, 1: 2.0})
    assert own.fit(X, y).gate_.class_weight == {0: 1.0, 1: 2.0}


def test_the_blend_is_chosen_where_held_out_samples_lack_a_column(table, monkeypatch):
    X, y = table[0].copy(), table[1]
    held_out = np.r_[np.flatnonzero(y == 0)[:40], np.flatnonzero(y == 1)[:40]]
    monkeypatch.setattr("sklearn_emma.gated.base.held_out_samples", lambda *_: held_out)
    X.iloc[held_out, 0] = np.nan
    clf = gated(blend="auto").fit(X, y)
    assert 0 <= clf.blend_ <= 1


def test_values_are_blended_too(table):
    X = table[0]
    y = X.iloc[:, :3].sum(axis=1).to_numpy()
    gate = EMMARegressor(**(QUICK | {"max_epochs": 1}))
    reg = GatedRegressor(LinearRegression(), "prefix", gate=gate, random_state=0).fit(X, y)
    assert reg.blend_ < 0.5  # the sum is linear, and the network has hardly been trained
    apart = clone(reg).set_params(blend=0.0).fit(X, y).predict(X)
    expected = (1 - reg.blend_) * apart + reg.blend_ * reg.gate_.predict(X)
    np.testing.assert_allclose(reg.predict(X), expected, rtol=1e-5)


# --- as scikit-learn's estimators do ---


def test_the_same_seed_gives_the_same_fit(table, fitted):
    X, y = table
    np.testing.assert_array_equal(clone(fitted).fit(X, y).predict_proba(X), fitted.predict_proba(X))
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.predict_proba(X), fitted.predict_proba(X))
    # random states of the estimator are set, and the one given is left as it is
    assert fitted.estimator_.random_state is not None
    assert fitted.estimator.random_state is None


def test_samples_of_weight_zero_are_left_out(table, fitted):
    X, y = table
    more = pd.concat([X, 100.0 + X[:20]])
    weight = np.repeat([1.0, 0.0], [len(X), 20])
    clf = clone(fitted).fit(more, np.append(y, 1 - y[:20]), sample_weight=weight)
    np.testing.assert_array_equal(clf.predict_proba(X), fitted.predict_proba(X))
    heavy = clone(fitted).fit(X, y, sample_weight=np.where(y == 1, 50.0, 1.0))
    assert heavy.predict(X).mean() > fitted.predict(X).mean() + 0.05
    searched = GridSearchCV(DecisionTreeClassifier(random_state=0), {"max_depth": [3]}, cv=2)
    heavy = gated(searched).fit(X, y, sample_weight=np.where(y == 1, 50.0, 1.0))
    assert heavy.predict(X).mean() > fitted.predict(X).mean() + 0.05
    with pytest.raises(ValueError, match="KNeighborsClassifier does not support it"):
        gated(KNeighborsClassifier()).fit(X, y, sample_weight=1.0 + y)


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("searched", [False, True])
@pytest.mark.parametrize(
    ("kind", "inner", "gate"),
    [
        (GatedClassifier, LogisticRegression(), EMMAClassifier(**QUICK)),
        (GatedRegressor, Ridge(), EMMARegressor(**QUICK)),
    ],
)
def test_weights_reach_the_end_of_a_pipeline(table, routing, searched, kind, inner, gate):
    X, y = table[0].to_numpy(), table[1]
    weight = np.linspace(0.1, 3.0, len(y))
    modalities = {"a": [0, 1, 2], "b": range(3, 9)}

    def predict(estimator):
        model = kind(estimator, modalities, gate=gate, n_copies=1, blend=0.0, random_state=0)
        return model.fit(X, y, sample_weight=weight).predict(X)

    expected = predict(inner)
    with config_context(enable_metadata_routing=routing):
        if routing:
            inner = clone(inner).set_fit_request(sample_weight=True)
            inner.set_score_request(sample_weight=True)
        pipeline = make_pipeline("passthrough", inner)
        if searched:
            pipeline = GridSearchCV(
                pipeline, {f"{pipeline.steps[-1][0]}__fit_intercept": [True]}, cv=2
            )
        np.testing.assert_array_equal(predict(pipeline), expected)


def test_weights_that_no_step_requests(table):
    weight = np.linspace(0.1, 3.0, len(table[1]))
    with config_context(enable_metadata_routing=True):
        model = gated(make_pipeline(StandardScaler(), LogisticRegression()))
        with pytest.raises(UnsetMetadataPassedError, match="not explicitly set as requested"):
            model.fit(*table, sample_weight=weight)


def test_search_report_and_curve(table, fitted):
    X, y = table
    grid = {"threshold": [0.5, "mean"], "gate__coldness": [0.3]}
    search = GridSearchCV(gated(DecisionTreeClassifier(max_depth=4)), grid, cv=2).fit(X, y)
    report = modality_report(search, X.assign(modality1__0=50.0), reference=X)
    assert report.summary["failing"].idxmax() == "modality1"
    np.testing.assert_array_equal(report["prediction"], search.predict(X.assign(modality1__0=50.0)))
    curve = robustness_curve(
        gated(DecisionTreeClassifier(max_depth=4)), X, y, modalities="prefix", levels=[0, 4], cv=2
    )
    assert curve.test_scores.shape == (3, 2, 2)


def test_gates_that_are_refused(table):
    X, y = table
    with pytest.raises(TypeError, match="gate must be an unfitted EMMAClassifier, such as"):
        gated(gate=EMMARegressor()).fit(X, y)
    with pytest.raises(ValueError, match="gate has modalities of its own, 'prefix'. Pass them to"):
        gated(gate=EMMAClassifier("prefix")).fit(X, y)
    clf = gated(modalities={"a": [0]})
    with pytest.raises(ValueError, match="belong to no modality"):
        clf.fit(X, y)
    assert not [name for name in vars(clf) if name.endswith("_")]


def test_gaps_are_left_to_the_estimator(table, fitted):
    X, y = table
    gappy = X.copy()
    gappy.iloc[::3, 4] = np.nan
    witness = gated(Witness(), n_copies=0).fit(gappy, y).estimator_
    assert np.isnan(witness.X_.iloc[::3, 4]).all()
    assert np.isfinite(fitted.predict_proba(gappy)).all()


@pytest.mark.slow
def test_default_gate_with_boosting_and_forests(wide, add_noise):
    X, y, X_test, y_test = wide
    clf = GatedClassifier(HistGradientBoostingClassifier(), "prefix", random_state=0).fit(X, y)
    noisy = add_noise(X_test, "modality0", 8.0)
    bare = HistGradientBoostingClassifier(random_state=0).fit(X, y)
    assert clf.score(noisy, y_test) > bare.score(noisy, y_test) + 0.03
    forest = GatedRegressor(RandomForestRegressor(20), "prefix", random_state=0)
    assert cross_val_score(forest, X, X.iloc[:, 0], cv=2).min() > 0.5
    assert Noise(1.0).corrupt(X, "prefix")[0].shape == X.shape


# --- categories ---


@pytest.fixture(scope="module")
def mixed():
    """Two modalities with text, booleans and numbers, of which each tells the class."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 300)
    X = pd.DataFrame(
        {
            "a__color": np.where(rng.random(300) < 0.9, y, 1 - y),
            "a__size": y + rng.normal(size=300),
            "b__weight": y + rng.normal(size=300),
            "b__ripe": (np.where(rng.random(300) < 0.9, y, 1 - y)).astype(bool),
        }
    )
    X["a__color"] = X["a__color"].map({0: "green", 1: "red"})
    X.loc[rng.random(300) < 0.05, "a__color"] = None
    return X, y


class Spy(ClassifierMixin, BaseEstimator):
    """Remembers what it is fitted on, and takes categories if it says so."""

    def __init__(self, categorical=False, allow_nan=True):
        self.categorical = categorical
        self.allow_nan = allow_nan

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = self.categorical
        tags.input_tags.allow_nan = self.allow_nan
        return tags

    def fit(self, X, y):
        self.X_, self.classes_ = X, np.unique(y)
        return self

    def predict(self, X):
        self.asked_ = X
        return np.resize(self.classes_, len(X))


def test_estimators_of_the_other_kind_are_refused(table):
    X, y = table
    with pytest.raises(TypeError, match="must be a classifier, got Ridge.*use GatedRegressor"):
        gated(Ridge()).fit(X, y)
    with pytest.raises(TypeError, match="must be a regressor.*use GatedClassifier"):
        GatedRegressor(LogisticRegression(), "prefix").fit(X, y)
    with pytest.raises(TypeError, match="must be a regressor, got StandardScaler"):
        GatedRegressor(StandardScaler(), "prefix").fit(X, y)
    with pytest.raises(TypeError, match="must be a classifier, got StandardScaler"):
        gated(StandardScaler()).fit(X, y)
    with pytest.raises(
        ValueError, match="blend=0.5 needs a classifier with predict_proba.*blend=0"
    ):
        gated(RidgeClassifier(), blend=0.5).fit(X, y)


def test_estimators_that_hide_predict_until_they_are_fitted(table):
    X, y = table
    params = {"gate": EMMARegressor(**QUICK), "n_copies": 0, "random_state": 0}
    stack = StackingRegressor([("tree", DecisionTreeRegressor())], Ridge(), cv=2)
    reg = GatedRegressor(make_pipeline(stack), "prefix", **params).fit(X, X.iloc[:, 0])
    assert reg.score(X, X.iloc[:, 0]) > 0.5
    stack = StackingClassifier([("tree", DecisionTreeClassifier())], cv=2)
    clf = gated(stack, blend=0.5, n_copies=0).fit(X, y)
    assert clf.score(X, y) > 0.5
    np.testing.assert_allclose(clf.predict_proba(X).sum(axis=1), 1.0, rtol=1e-6)
    votes = gated(stack.set_params(final_estimator=RidgeClassifier()), n_copies=0)
    assert not hasattr(votes.fit(X, y), "predict_proba")


@pytest.mark.parametrize("blend", [0.0, 0.5])
def test_estimators_of_several_outputs_take_a_target_of_one_column(table, blend):
    X, y = table[0], table[0].to_numpy()[:, :1]
    params = {"gate": EMMARegressor(**QUICK), "blend": blend, "n_copies": 1, "random_state": 0}
    expected = GatedRegressor(Ridge(), "prefix", **params).fit(X, y.ravel()).predict(X)
    several = make_pipeline(StandardScaler(with_mean=False), MultiOutputRegressor(Ridge()))
    for estimator in (MultiOutputRegressor(Ridge()), several):
        reg = GatedRegressor(estimator, "prefix", **params)
        with pytest.warns(DataConversionWarning, match="column-vector y was passed"):
            reg.fit(X, y)
        np.testing.assert_allclose(reg.predict(X), expected, rtol=0.1, atol=0.1)


@pytest.mark.filterwarnings("ignore:None of the values")
def test_estimators_get_categories_or_indicators(mixed):
    X, y = mixed
    clf = gated(Spy(categorical=True)).fit(X, y)
    given = clf.estimator_.X_
    assert given["a__color"].dtype == pd.CategoricalDtype(["green", "red"])
    assert given.columns.tolist() == X.columns.tolist()
    # closed in some copies
    assert given["a__color"].isna().mean() > X["a__color"].isna().mean()
    clf.predict(X.assign(a__color="blue"))
    assert clf.estimator_.asked_["a__color"].isna().all()
    clf = gated(Spy(allow_nan=False)).fit(X, y)
    given = clf.estimator_.X_
    assert given.columns.tolist() == ["a__color_red", "a__size", "b__weight", "b__ripe_True"]
    assert given["a__color_red"].nunique() == 2
    assert given.notna().all(axis=None)


def test_boosting_gets_categories_and_a_forest_indicators(mixed):
    X, y = mixed
    for estimator in (HistGradientBoostingClassifier(max_iter=10), LogisticRegression()):
        clf = gated(estimator).fit(X[:200], y[:200])
        assert clf.score(X[200:], y[200:]) > 0.8
        gone = X[200:].assign(a__color=None, a__size=np.nan)
        assert clf.score(gone, y[200:]) > 0.7
    boosting = gated(HistGradientBoostingClassifier(max_iter=5)).fit(X, y).estimator_
    assert boosting.is_categorical_.tolist() == [True, False, False, True]
    array = gated(HistGradientBoostingClassifier(max_iter=10), {"a": [0, 1], "b": [2, 3]})
    assert array.fit(X.to_numpy(object), y).score(X.to_numpy(object), y) > 0.8


@pytest.mark.parametrize("positions", [[2], np.array([2]), (False, True, True, False)])
def test_positions_of_columns_are_refused_if_indicators_would_move_them(mixed, positions):
    X, y = mixed
    boosting = HistGradientBoostingClassifier(categorical_features=positions, max_iter=2)
    columns = ColumnTransformer([("scale", StandardScaler(), slice(1, 3))])
    message = "{} of the estimator refers to columns by position.*by name.*from_dtype"
    for kind, estimator, name in (
        (GatedClassifier, boosting, "categorical_features"),
        (GatedClassifier, make_pipeline(StandardScaler(), boosting), "__categorical_features"),
        (GatedRegressor, make_pipeline(StandardScaler(), columns, Ridge()), "columntransformer"),
    ):
        with pytest.raises(ValueError, match=message.format(name)):
            kind(estimator, "prefix").fit(X, y)


def test_positions_of_columns_of_numbers(mixed):
    X, y = mixed
    numbers = X[["a__size", "b__weight"]].round().clip(0, 3)
    boosting = HistGradientBoostingClassifier(categorical_features=[1], max_iter=2)
    assert gated(boosting).fit(numbers, y).estimator_.is_categorical_.tolist() == [False, True]
    boosting = HistGradientBoostingClassifier(categorical_features=["b__weight"], max_iter=2)
    clf = gated(boosting).fit(X.assign(b__weight=numbers["b__weight"]), y)
    assert clf.estimator_.is_categorical_.tolist() == [False, False, True, False]


def test_a_pipeline_with_an_encoder_gets_the_columns_by_name(mixed):
    X, y = mixed
    encoder = ColumnTransformer(
        [("level", OneHotEncoder(handle_unknown="ignore"), ["a__color", "b__ripe"])],
        remainder="passthrough",
    )
    clf = gated(make_pipeline(encoder, LogisticRegression())).fit(X, y)
    assert clf.estimator_[0].feature_names_in_.tolist() == X.columns.tolist()
    assert clf.score(X, y) > 0.8
    curve = robustness_curve(clf, X, y, modalities="prefix", levels=[0, 4], cv=2, random_state=0)
    assert np.isfinite(curve.test_scores).all()


def by_type(dtype, estimator):
    """A pipeline that encodes the columns of a type."""
    select = make_column_selector(dtype_include=dtype)
    encoder = ColumnTransformer([("level", OneHotEncoder(handle_unknown="ignore"), select)])
    return make_pipeline(encoder, estimator)


@pytest.mark.parametrize("dtype", ["object", "string", "bool", "int64"])
def test_columns_selected_by_a_type_that_they_lose_behind_the_gate(mixed, dtype):
    X = mixed[0].assign(a__size=np.arange(len(mixed[0])))
    X = X.astype({"a__color": "object" if dtype == "object" else "string"})
    message = r"'level' selects \['[ab]__\w+'\] in X, but \[\] behind the gate.*by name"
    for searched in (False, True):
        model = by_type(dtype, LogisticRegression())
        model = GridSearchCV(model, {}, cv=2) if searched else model
        with pytest.raises(ValueError, match=message):
            gated(model).fit(X, mixed[1])


def test_selectors_of_lazy_tables(mixed):
    dd = pytest.importorskip("dask.dataframe")
    X, y = mixed[0][["a__size", "b__weight"]], mixed[1]
    lazy = dd.from_pandas(X, npartitions=2)
    assert gated(LogisticRegression()).fit(lazy, y).score(X, y) > 0.6
    assert gated(by_type("float64", LogisticRegression())).fit(lazy, y).predict(X).shape == (300,)


def test_a_search_over_a_pipeline_gets_categories(mixed):
    X, y = mixed[0].astype({"a__color": "category"}), mixed[1]
    model = GridSearchCV(by_type("category", LogisticRegression()), {}, cv=2)
    clf = gated(model).fit(X[["a__color", "b__weight"]], y)
    encoder = clf.estimator_.best_estimator_[0]
    assert encoder.transformers_[0][2] == ["a__color"]
    assert clf.score(X[["a__color", "b__weight"]], y) > 0.8


@pytest.mark.parametrize("kind", [FixedThresholdClassifier, TunedThresholdClassifierCV])
def test_a_decision_threshold_belongs_around_the_gate(table, kind):
    with pytest.raises(ValueError, match=rf"{kind.__name__}\(GatedClassifier\(...\)\)"):
        gated(make_pipeline(StandardScaler(), kind(LogisticRegression())), blend="auto").fit(*table)
    assert kind(gated()).fit(*table).score(*table) > 0.8
    if kind is FixedThresholdClassifier:  # without averages, the threshold is used
        never = FixedThresholdClassifier(LogisticRegression(), threshold=1.0)
        assert (gated(never, blend=0).fit(*table).predict(table[0]) == 0).all()


@pytest.mark.parametrize(
    "inner",
    [
        GridSearchCV(RandomForestRegressor(3), {}, cv=2),
        make_pipeline(StandardScaler(), GridSearchCV(Ridge(), {}, cv=2)),
        BaggingRegressor(Ridge(), 2),
        BaggingRegressor(n_estimators=2),
    ],
)
def test_several_outputs_of_searches_and_bagging(table, inner):
    X, y = table
    Y = np.column_stack([y, 1.0 - y])
    reg = GatedRegressor(inner, "prefix", gate=EMMARegressor(**QUICK), blend=0, random_state=0)
    assert reg.fit(X, Y).predict(X).shape == Y.shape
    with pytest.raises(ValueError, match="y has 2 columns.*HistGradient.*MultiOutputRegressor"):
        clone(reg).set_params(estimator=HistGradientBoostingRegressor()).fit(X, Y)


def test_weights_that_would_need_metadata_routing_are_refused_at_once(table):
    X, y = table
    voting = VotingClassifier([("one", LogisticRegression())], voting="soft")
    heavy = gated(voting).fit(X, y, sample_weight=np.where(y == 1, 50.0, 1.0))
    assert heavy.predict(X).mean() > gated(voting).fit(X, y).predict(X).mean()
    with pytest.raises(ValueError, match="OneVsRestClassifier does not support it"):
        gated(OneVsRestClassifier(LogisticRegression())).fit(X, y, sample_weight=1.0 + y)


def test_a_modality_that_is_never_open(table):
    costs = {"modality1": 50.0, "modality2": 50.0}
    gate = EMMAClassifier(max_modalities=1, modality_costs=costs, **QUICK)
    clf = gated(HistGradientBoostingClassifier(max_iter=5), gate=gate, n_copies=0)
    with pytest.warns(UserWarning, match="closed for .* modality1, modality2 in all training"):
        clf.fit(*table)
    assert clf.score(*table) > 0.6


@pytest.mark.parametrize("factor", [1e200, 1e-200])
def test_the_blend_does_not_depend_on_the_units(factor):
    y, rng = np.linspace(-1.0, 1.0, 50), np.random.RandomState(0)
    first, second = y + 0.2 * rng.normal(size=50), y + 0.1 * rng.normal(size=50)
    losses = [squared_error_of(s * y, np.ones(50)) for s in (1.0, factor)]
    blends = [
        best_blend(s * first, s * second, loss)
        for s, loss in zip((1.0, factor), losses, strict=True)
    ]
    assert 0.5 < blends[0] < 1.0
    assert blends[1] == pytest.approx(blends[0])


@pytest.mark.parametrize("blend", [0.0, "auto"])
def test_only_the_gate_learns_from_unlabeled_samples(table, blend):
    X, y = table
    known = np.where(np.arange(len(y)) % 3 > 0, y, -1)
    gate = EMMAClassifier(adversarial=VirtualAdversarial(), **QUICK)
    classifier = gated(DecisionTreeClassifier(max_depth=4), gate=gate, blend=blend).fit(X, known)
    assert classifier.classes_.tolist() == [0, 1]
    assert classifier.estimator_.classes_.tolist() == [0, 1]
    assert classifier.predict_proba(X).shape == (len(X), 2)
    assert classifier.score(X, y) > 0.8


@pytest.mark.parametrize(("loss", "blended"), [("squared_error", True), ("quantile", False)])
def test_the_loss_tells_whether_the_mean_is_predicted(loss, blended):
    assert predicts_mean(EMMARegressor(loss=loss)) == blended


def test_positions_are_refused_if_columns_are_ignored(table):
    X, y = table
    scaled = ColumnTransformer([("scale", StandardScaler(), [1])])
    gated = GatedClassifier(
        make_pipeline(scaled, LogisticRegression()),
        {"a": [1], "b": [2, 3]},
        remainder="drop",
    )
    with pytest.raises(ValueError, match="refers to columns by position.*ignored columns are left"):
        gated.fit(X.to_numpy(), y)
