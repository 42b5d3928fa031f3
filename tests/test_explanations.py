"""What is said of tables that are none, and of those that are not like the one of fit."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sklearn_emma import DAEEnergyScorer, EMMAClassifier, EMMARegressor, SignalEnergyScorer
from sklearn_emma.corruption import Noise

FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 4)), columns=list("abcd"))
MODALITIES = {"first": [0, 1], "second": [2, 3]}
NO_TABLES = {
    "dict": (FRAME.to_dict("list"), r"is a dict. Pass pandas.DataFrame\(X\)"),
    "list of dicts": (FRAME.to_dict("records"), r"is a list of dicts. Pass pandas.DataFrame"),
    "list of frames": (
        [FRAME[["a"]], FRAME[["b", "c"]]],
        r"is a list of tables. Pass one table, for instance pandas.concat",
    ),
    "list of arrays": ([FRAME.to_numpy(), FRAME.to_numpy()[:, :1]], "is a list of tables"),
    "records": (FRAME.to_records(), r"is a structured array. Pass pandas.DataFrame"),
    "none": (None, "is None. Pass a DataFrame or an array of shape"),
    "string": ("table.csv", "is 'table.csv', a string or path, not a table.*pandas.read_csv"),
    "path": (Path("table.csv"), "is .*, a string or path, not a table.*pandas.read_csv"),
    "iterator": (iter(FRAME.to_numpy()), r"is an iterator, .*Pass list\(X\)"),
}


@pytest.fixture(scope="module")
def scorer():
    return DAEEnergyScorer(MODALITIES, hidden_layer_sizes=(4,), max_epochs=1).fit(FRAME)


def each_use(scorer):
    """Return what takes a table."""
    y = np.arange(20) % 2
    return {
        "classifier": lambda X: EMMAClassifier(MODALITIES).fit(X, y),
        "regressor": lambda X: EMMARegressor(MODALITIES).fit(X, y),
        "scorer": DAEEnergyScorer(MODALITIES).fit,
        "signal": SignalEnergyScorer((1, 4)).fit,
        "prediction": scorer.score_samples,
        "corruption": lambda X: Noise().corrupt(X, MODALITIES),
    }


@pytest.mark.parametrize("use", ["classifier", "regressor", "scorer", "signal", "prediction"])
@pytest.mark.parametrize(("X", "message"), NO_TABLES.values(), ids=NO_TABLES)
def test_what_is_no_table(scorer, use, X, message):
    with pytest.raises(TypeError, match=f"X must be a table, but {message}"):
        each_use(scorer)[use](X)


@pytest.mark.parametrize(("X", "message"), NO_TABLES.values(), ids=NO_TABLES)
def test_what_is_no_table_is_not_corrupted(scorer, X, message):
    with pytest.raises(TypeError, match=message):
        each_use(scorer)["corruption"](X)
    if X is not None:
        with pytest.raises(TypeError, match="reference must be a table"):
            Noise().corrupt(FRAME, MODALITIES, reference=X)


@pytest.mark.parametrize("use", ["classifier", "scorer", "prediction", "corruption"])
def test_lazy_frame(scorer, use):
    X = pytest.importorskip("polars").from_pandas(FRAME).lazy()
    with pytest.raises(TypeError, match=r"LazyFrame without values. Pass X.collect\(\)"):
        each_use(scorer)[use](X)


@pytest.mark.parametrize("use", ["classifier", "scorer", "prediction"])
def test_no_columns(scorer, use):
    with pytest.raises(ValueError, match=r"0 feature\(s\) \(shape=\(20, 0\)\).*has no columns"):
        each_use(scorer)[use](FRAME[[]])


@pytest.mark.parametrize("use", ["classifier", "scorer", "prediction", "corruption"])
def test_rows_of_different_lengths(scorer, use):
    with pytest.raises(ValueError, match="rows of one length, but they have from 3 to 4 values"):
        each_use(scorer)[use]([[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0]])


@pytest.mark.parametrize("kind", ["pandas", "polars"])
@pytest.mark.parametrize(
    ("names", "what"),
    [
        (list("badc"), "the columns of fit in another order"),
        (list("xabcd"), "more columns than at"),
    ],
)
def test_the_columns_of_fit_are_chosen_from_others(scorer, kind, names, what):
    """What the message says to pass is what is expected."""
    X = FRAME.assign(x=1.0)[names]
    if kind == "polars":
        X = pytest.importorskip("polars").from_pandas(X)
    with pytest.raises(ValueError, match="feature names should match") as caught:
        scorer.score_samples(X)
    assert f"X has {what}" in str(caught.value)
    advice = str(caught.value).partition("Pass ")[2].partition(", where")[0]
    np.testing.assert_array_equal(
        scorer.score_samples(eval(advice, {"X": X, "estimator": scorer})),
        scorer.score_samples(FRAME),
    )


@pytest.fixture(scope="module")
def with_text():
    X = FRAME.set_axis(["a__1", "a__2", "b__1", "c__1"], axis=1)
    return X.assign(b__text=np.array(["red", "green"])[np.arange(20) % 2])


def test_text_in_other_columns_than_at_fit(with_text, quick):
    scorer = DAEEnergyScorer("prefix", hidden_layer_sizes=(4,), max_epochs=1).fit(with_text)
    clf = quick(max_epochs=1).fit(with_text, np.arange(20) % 2)
    message = "^The feature names should match(.|\\n)*"
    for read in (scorer.score_samples, clf.predict):
        with pytest.raises(ValueError, match=message + "in another order. Pass X.list"):
            read(with_text[with_text.columns[::-1]])
        with pytest.raises(ValueError, match=message + "missing:\\n- b__1"):
            read(with_text.drop(columns="b__1"))
        with pytest.raises(
            ValueError, match="must hold numbers in the columns .* 'a__2' hold something"
        ):
            read(with_text.assign(a__2="red"))
    with pytest.raises(ValueError, match=message + 'modality .a. are.*missing_modalities="allow"'):
        clf.predict(with_text.iloc[:, 2:])


def test_gaps_where_none_may_be():
    complete = np.random.default_rng(0).normal(size=(20, 4))
    gaps = complete.copy()
    gaps[3, 1] = np.nan
    scorer = SignalEnergyScorer((1, 4), max_epochs=1, random_state=0).fit(complete)
    message = r"NaN: column\(s\) 1. SignalEnergyScorer does not accept missing values"
    for call in (scorer.fit, scorer.score_samples, scorer.transform):
        with pytest.raises(ValueError, match=message) as caught:
            call(gaps)
        assert "HistGradientBoosting" not in str(caught.value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("estimator", [EMMAClassifier, EMMARegressor])
def test_values_to_predict_are_not_blamed_on_columns(estimator, value):
    y = np.arange(20) % 2.0
    y[3] = value
    with pytest.raises(ValueError, match="Input y contains .*Leave out samples") as caught:
        estimator(MODALITIES).fit(FRAME, y)
    assert "column" not in str(caught.value)
