"""Cross-validation of settings: one fold fitted and scored, and the results of all."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import accuracy_score, make_scorer

from sklearn_emma.folds import (
    FoldData,
    FoldOutcome,
    check_best_index,
    check_failures,
    check_refit,
    format_results,
    score_fold,
    score_names,
)

SETTINGS = [{"coldness": 0.1}, {"coldness": 1.0, "lambda_energy": 0.5}]


def accuracy(estimator, X, y, sample_weight=None):
    return accuracy_score(y, estimator.predict(X), sample_weight=sample_weight)


def outcome(scores, errors=(), fit_time=4.0, score_times=(1.0, 3.0)):
    return FoldOutcome(list(scores), list(errors), fit_time, np.array(score_times))


# --- one fold ---


@pytest.fixture(scope="module")
def fold(table):
    order = np.random.default_rng(0).permutation(len(table[1]))
    return order[:100], order[100:]


@pytest.fixture(scope="module")
def classifier(quick):
    return quick(max_epochs=3, pretrain_epochs=1, cross_modal=False)


def test_every_setting_is_fitted_on_one_part_and_scored_on_the_other(classifier, table, fold):
    X, y = table
    train, test = fold
    seen = []

    def score(estimator, X, y):
        seen.append(estimator.coldness)
        assert len(X) == len(y) == len(test)
        assert X.index.tolist() == table[0].index[test].tolist()
        return {"accuracy": accuracy(estimator, X, y), "minus": -accuracy(estimator, X, y)}

    found = score_fold(classifier, SETTINGS, score, FoldData(X, y, None, False), fold)
    assert seen == [0.1, 1.0]
    assert found.errors == []
    assert found.fit_time > 0
    assert (found.score_times > 0).all()
    for setting, scores in zip(SETTINGS, found.scores, strict=True):
        alone = classifier.__class__(**classifier.get_params(deep=False) | setting)
        expected = accuracy(alone.fit(X.iloc[train], y.iloc[train]), X.iloc[test], y.iloc[test])
        assert scores == {"accuracy": pytest.approx(expected), "minus": pytest.approx(-expected)}


def test_weights_are_those_of_the_samples(classifier, table, fold):
    X, y = table
    train, test = fold
    weight = np.random.default_rng(1).integers(1, 5, len(y)).astype(float)
    seen = []

    def score(estimator, X, y, sample_weight=None):
        seen.append(sample_weight)
        return accuracy(estimator, X, y, sample_weight)

    (setting,) = settings = [{"coldness": 0.3}]
    weighted = score_fold(classifier, settings, score, FoldData(X, y, weight, True), fold)
    score_fold(classifier, settings, score, FoldData(X, y, weight, False), fold)
    np.testing.assert_array_equal(seen[0], weight[test])
    assert seen[1] is None
    alone = classifier.__class__(**classifier.get_params(deep=False) | setting)
    alone.fit(X.iloc[train], y.iloc[train], sample_weight=weight[train])
    expected = accuracy(alone, X.iloc[test], y.iloc[test], weight[test])
    assert weighted.scores == [{"score": pytest.approx(expected)}]


def test_a_fit_that_fails_has_no_score(classifier, table, fold):
    settings = [{"lambda_energy": 0.0}, {"lambda_energy": 1e39}]
    found = score_fold(classifier, settings, accuracy, FoldData(*table, None, False), fold)
    assert set(found.scores[0]) == {"score"}
    assert found.scores[1] is None
    (error,) = found.errors
    assert "Training diverged" in str(error)


def test_a_fold_that_cannot_be_learned_from_has_an_error_for_every_setting(classifier, table, fold):
    X, y = table
    one_class = np.flatnonzero(y == 0)
    data = FoldData(X, y, None, False)
    found = score_fold(classifier, SETTINGS, accuracy, data, (one_class, fold[1]))
    assert found.scores == [None, None]
    assert ["at least two classes" in str(error) for error in found.errors] == [True, True]


def test_a_scorer_that_fails_gives_nan(classifier, table, fold):
    def fail(estimator, X, y):
        raise RuntimeError("no ruler at hand")

    data = FoldData(*table, None, False)
    with pytest.warns(UserWarning, match="Scoring failed.*RuntimeError: no ruler at hand"):
        found = score_fold(classifier, [{"coldness": 0.1}], fail, data, fold)
    assert np.isnan(found.scores[0]["score"])
    assert found.errors == []


def test_scorers_of_scikit_learn_are_taken(classifier, table, fold):
    scorer = make_scorer(accuracy_score)
    data = FoldData(*table, None, False)
    found = score_fold(classifier, [{"coldness": 0.1}], scorer, data, fold)
    assert 0.3 < found.scores[0]["score"] <= 1.0


# --- fits that failed ---


def test_fits_that_failed_are_warned_of_once():
    first, second = ValueError("too fast"), ValueError("too slow")
    outcomes = [
        outcome([{"score": 1.0}, {"score": 1.0}]),
        outcome([{"score": 1.0}, None], [first]),
        outcome([None, None], [second, second]),
    ]
    with pytest.warns(FitFailedWarning) as record:
        check_failures(outcomes)
    (warning,) = record
    assert "3 of 6 fits failed, whose scores are NaN" in str(warning.message)
    assert "The first error was: too fast" in str(warning.message)
    check_failures(outcomes[:1])  # warnings are errors here


def test_when_all_fits_failed_the_first_error_is_raised():
    errors = ValueError("too fast"), ValueError("too slow")
    with pytest.raises(ValueError, match="too fast"):
        check_failures([outcome([None], errors[:1]), outcome([None], errors[1:])])


# --- results ---


def test_results_have_the_names_and_values_of_grid_search():
    outcomes = [
        outcome([{"score": 0.5}, {"score": 0.75}]),
        outcome([{"score": 0.75}, {"score": 1.0}], fit_time=8.0, score_times=(3.0, 3.0)),
    ]
    results = format_results(SETTINGS, outcomes)
    assert list(results) == [
        "mean_fit_time",
        "std_fit_time",
        "mean_score_time",
        "std_score_time",
        "param_coldness",
        "param_lambda_energy",
        "params",
        "split0_test_score",
        "split1_test_score",
        "mean_test_score",
        "std_test_score",
        "rank_test_score",
    ]
    assert results["mean_fit_time"].tolist() == [3.0, 3.0]
    assert results["std_fit_time"].tolist() == [1.0, 1.0]
    assert results["mean_score_time"].tolist() == [2.0, 3.0]
    assert results["std_score_time"].tolist() == [1.0, 0.0]
    assert results["param_coldness"].tolist() == [0.1, 1.0]
    assert results["param_lambda_energy"].tolist() == [None, 0.5]
    assert results["params"] == SETTINGS
    assert results["split0_test_score"].tolist() == [0.5, 0.75]
    assert results["split1_test_score"].tolist() == [0.75, 1.0]
    assert results["mean_test_score"].tolist() == [0.625, 0.875]
    assert results["std_test_score"].tolist() == [0.125, 0.125]
    assert results["rank_test_score"].tolist() == [2, 1]
    assert results["rank_test_score"].dtype == np.int32


def test_settings_without_a_score_come_last():
    outcomes = [outcome([{"score": -3.0}, None]), outcome([{"score": -4.0}, {"score": 1.0}])]
    with pytest.warns(UserWarning, match="test scores are non-finite"):
        results = format_results(SETTINGS, outcomes)
    assert results["rank_test_score"].tolist() == [1, 2]
    assert np.isnan(results["mean_test_score"]).tolist() == [False, True]
    nameless = [outcome([{"score": np.nan}, {"score": np.nan}])]
    with pytest.warns(UserWarning, match="non-finite"):
        assert format_results(SETTINGS, nameless)["rank_test_score"].tolist() == [1, 1]


def test_equal_scores_share_a_rank():
    results = format_results(SETTINGS, [outcome([{"score": 0.5}, {"score": 0.5}])])
    assert results["rank_test_score"].tolist() == [1, 1]


def test_several_scores_have_columns_of_their_own():
    outcomes = [outcome([{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 0.0}])]
    results = format_results(SETTINGS, outcomes)
    assert results["rank_test_a"].tolist() == [2, 1]
    assert results["rank_test_b"].tolist() == [1, 2]
    assert "mean_test_score" not in results


def test_names_of_scores_are_known_though_a_scorer_or_a_fit_failed():
    scores = {"a": 1.0, "b": 2.0}
    outcomes = [outcome([None, {"score": np.nan}]), outcome([{"score": np.nan}, scores])]
    assert score_names(outcomes) == ["a", "b"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        results = format_results(SETTINGS, outcomes)
    assert np.isnan(results["split0_test_a"]).all()
    assert results["split1_test_b"][1] == 2.0


# --- what decides ---


@pytest.mark.parametrize("refit", ["a", False, len])
def test_one_of_several_scores_may_decide_or_none_or_a_function(refit):
    check_refit(refit, ["a", "b"])


@pytest.mark.parametrize("refit", ["c", True, 3, None])
def test_nothing_else_may_decide_between_several_scores(refit):
    with pytest.raises(ValueError, match=r"refit must be the name.*The scores are \['a', 'b'\]"):
        check_refit(refit, ["a", "b"])


def test_a_best_index_is_the_position_of_a_setting():
    check_best_index(0, 2)
    check_best_index(np.int64(1), 2)
    for wrong in (0.0, "0", None):
        with pytest.raises(TypeError, match="must return an integer"):
            check_best_index(wrong, 2)
    for wrong in (-1, 2):
        with pytest.raises(IndexError, match="there are 2 settings"):
            check_best_index(wrong, 2)
