"""Tables with text, categories, booleans, nullable numbers and dates, as users have them."""

import pickle

import numpy as np
import pandas as pd
import pytest

from sklearn_emma import (
    DAEEnergyScorer,
    EMMAClassifier,
    EMMAClassifierCV,
    EMMARegressor,
)
from sklearn_emma.categories import decode, encode, find_levels, is_date
from sklearn_emma.corruption import Adversarial
from sklearn_emma.inspection import modality_report

BRIEF = {
    "energy": DAEEnergyScorer(hidden_layer_sizes=(4,), max_epochs=2),
    "hidden_layer_sizes": (8,),
    "l2_regularization": 1.0,
    "periodic_features": False,
    "max_epochs": 3,
    "pretrain_epochs": 2,
    "learning_rate": 0.03,
    "random_state": 0,
}
QUICK = {
    "energy": DAEEnergyScorer(hidden_layer_sizes=(16,), max_epochs=10),
    "hidden_layer_sizes": (16,),
    "l2_regularization": 1.0,
    "periodic_features": False,
    "max_epochs": 20,
    "pretrain_epochs": 2,
    "random_state": 0,
}


def make_mixed(n_samples, seed):
    """Return three modalities that know of one of four groups, each with a category."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 4, n_samples)

    def category(levels):
        known = rng.random(n_samples) < 0.8
        return np.array(levels, dtype=object)[np.where(known, group, rng.integers(0, 4, n_samples))]

    table = pd.DataFrame(
        {
            "shop__city": category(["Bonn", "Oslo", "Rome", "Paris"]),
            "shop__sales": group + rng.normal(size=n_samples),
            "buyer__job": pd.array(category(["cook", "nurse", "judge", "smith"]), dtype="string"),
            "buyer__children": pd.array(group + rng.integers(0, 3, n_samples), dtype="Int64"),
            "buyer__member": (group > 1) ^ (rng.random(n_samples) < 0.1),
            "product__grade": pd.Categorical(
                category(["low", "mid", "high", "top"]), ["low", "mid", "high", "top", "never"]
            ),
            "product__price": -group + rng.normal(size=n_samples),
            "product__new": pd.array((group % 2 == 0), dtype="boolean"),
        }
    )
    for name in ("shop__city", "buyer__children", "product__new"):
        table.loc[rng.random(n_samples) < 0.05, name] = None
    return table, (group > 1).astype(int)


@pytest.fixture(scope="module")
def mixed():
    return make_mixed(400, 0)


@pytest.fixture(scope="module")
def other():
    return make_mixed(200, 1)


@pytest.fixture(scope="module")
def classifier(mixed):
    return EMMAClassifier("prefix", **QUICK).fit(*mixed)


@pytest.fixture(scope="module")
def scorer(mixed):
    X = mixed[0].dropna()
    return DAEEnergyScorer("prefix", max_epochs=40, random_state=0).fit(X)


# --- columns ---


def test_levels_of_every_kind_of_column(mixed):
    levels = find_levels(mixed[0], range(8))
    assert levels == {
        0: ["Bonn", "Oslo", "Paris", "Rome"],
        2: ["cook", "judge", "nurse", "smith"],
        4: [False, True],
        5: ["low", "mid", "high", "top"],  # in the order of the categories, those that occur
        7: [False, True],
    }


@pytest.mark.parametrize(
    "values",
    [
        [1.0, 2.0],
        pd.array([1, None], dtype="Int64"),
        np.array([1, 2.5], dtype=object),
        np.array(["1", "2.5"], dtype=object),
        np.array(["1", "2", "3", "?"], dtype=object),
        np.array([None, np.nan], dtype=object),
        [1j, 2j],
        [{"a": 1}, {}],
    ],
    ids=["floats", "integers", "objects", "text", "a stray mark", "nothing", "complex", "dicts"],
)
def test_what_is_not_categorical(values):
    assert find_levels(pd.DataFrame({"a": values}), [0]) == {}


def test_categories_may_be_numbers():
    X = pd.DataFrame({"a": pd.Categorical([3, 1, 3])})
    levels = find_levels(X, [0])
    assert levels == {0: [1, 3]}
    codes = encode(pd.DataFrame({"a": [1.0, 3.0, 2.0, np.nan]}), levels)["a"]
    np.testing.assert_array_equal(codes, [0, 1, 2, np.nan])


@pytest.mark.parametrize("kind", [object, "string", "category", bool, "boolean"])
def test_codes_and_back(kind):
    levels = [False, True] if kind in (bool, "boolean") else ["a", "b"]
    column = pd.Series([levels[1], levels[0], levels[1]]).astype(kind)
    codes = encode(pd.DataFrame({"x": column}), {0: levels})["x"].to_numpy()
    back = decode(codes, levels, column)
    assert back.dtype == column.dtype
    assert back.tolist() == column.tolist()
    gaps = decode(np.array([np.nan, 1.0]), levels, column)
    assert gaps.isna().tolist() == [True, False]
    assert gaps.dtype == ("boolean" if kind is bool else column.dtype)


@pytest.mark.parametrize(
    "values",
    [
        pd.to_datetime(["2020-01-01", None]),
        pd.to_timedelta([1, 2], unit="D"),
        pd.period_range("2020", periods=2, freq="D"),
        pd.Categorical(pd.to_datetime(["2020-01-01", "2020-01-02"])),
        np.array([None, pd.Timestamp("2020-01-01")], dtype=object),
        pd.to_datetime(["2020-01-01", "2020-01-02"]).date,
    ],
    ids=["dates", "durations", "periods", "categories", "timestamps", "objects"],
)
def test_dates_are_refused_with_advice(values):
    X = pd.DataFrame({"a__x": [0.0, 1.0], "a__when": values})
    assert is_date(X["a__when"])
    message = r"Column\(s\) 'a__when' hold dates.*reference\) / pd.Timedelta.*remainder=\"drop\""
    for estimator in (EMMAClassifier("prefix"), DAEEnergyScorer("prefix")):
        with pytest.raises(ValueError, match=message):
            estimator.fit(X, [0, 1])


# --- estimators ---


def test_a_mixed_table_is_learned_from(classifier, mixed, other):
    assert classifier.n_features_in_ == 8
    assert classifier.feature_names_in_.tolist() == mixed[0].columns.tolist()
    assert [len(columns) for columns in classifier.modality_columns_] == [2, 3, 3]
    assert classifier.mean_.shape == classifier.median_.shape == (8,)
    assert classifier.score(*other) > 0.85
    counts = {column: count.sum() for column, count in classifier.category_counts_.items()}
    assert counts == {j: mixed[0].iloc[:, j].notna().sum() for j in classifier.categories_}


@pytest.mark.filterwarnings("ignore:None of the values")
@pytest.mark.parametrize(
    ("i", "column"), [(0, "shop__city"), (1, "buyer__job"), (2, "product__grade")]
)
def test_a_level_never_seen_closes_its_modality_and_is_named(classifier, other, i, column):
    X = other[0].assign(**{column: "strange"})
    before, after = classifier.attention(other[0]), classifier.attention(X)
    assert after[:, i].mean() < 0.2 < 0.7 < before[:, i].mean()
    assert (classifier.energies(X)[:, i] > classifier.energies(other[0])[:, i]).all()
    assert classifier.score(X, other[1]) > 0.8
    worst = modality_report(classifier, X).worst
    assert (worst["columns"].str.startswith(column)).mean() > 0.9


def test_a_column_of_unknown_levels_is_warned_of(classifier, other):
    X = other[0]
    with pytest.warns(UserWarning, match="'shop__city' is a known.*'Bonn'.*spelling") as record:
        classifier.predict(X.assign(shop__city=X["shop__city"].str.upper()))
    assert record[0].filename == __file__
    # few samples may well have others, and some may have them among many
    classifier.predict(X.iloc[:5].assign(shop__city="Ulm"))
    classifier.predict(X.assign(shop__city=["Ulm"] * (len(X) - 1) + ["Bonn"]))


@pytest.mark.parametrize("levels", [[1, 2], [10, 20], [False, True], [0.5, 2.5]])
def test_levels_that_are_numbers_are_known_in_tables_of_numbers(levels):
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=200)
    X = pd.DataFrame({"a__x": rng.normal(size=200) + y, "b__x": rng.normal(size=200) + y})
    values = np.array(levels)[np.where(rng.random(200) < 0.9, y, 1 - y)]
    X.insert(0, "a__code", pd.Categorical(values))
    with_names = EMMAClassifier("prefix", **BRIEF).fit(X, y)
    expected = with_names.predict_proba(X)
    for table in (
        X.assign(a__code=values),
        X.assign(a__code=values.astype(float)),
        X.assign(a__code=pd.array(values.astype(float), dtype="Float64")),
    ):
        np.testing.assert_array_equal(with_names.predict_proba(table), expected)
    plain = EMMAClassifier({"a": [0, 1], "b": [2]}, **BRIEF).fit(X.to_numpy(object), y)
    if plain.categories_:  # of booleans
        as_floats = X.assign(a__code=values).to_numpy(float)
        found = plain.predict_proba(X.to_numpy(object))
        np.testing.assert_array_equal(plain.predict_proba(as_floats), found)


def test_missing_levels_count_as_one_missing_value(classifier, other):
    X = other[0].copy()
    X["shop__city"], X["shop__sales"] = "Bonn", 0.0
    gaps = [X.assign(shop__city=None), X.assign(shop__sales=np.nan)]
    of_category, of_number = (classifier.readings(table).gap_energy[:, 0] for table in gaps)
    np.testing.assert_allclose(of_category, of_number)
    assert (classifier.attention(X.assign(shop__city=None, shop__sales=np.nan))[:, 0] == 0).all()


def test_tables_of_other_kinds_give_the_same(classifier, mixed, other):
    X = other[0]
    expected = classifier.predict_proba(X)
    plain = X.astype({name: object for name in X if name != "shop__sales"})
    np.testing.assert_array_equal(classifier.predict_proba(plain), expected)
    # without names
    array = EMMAClassifier({"a": [0, 1], "b": [2, 3, 4], "c": [5, 6, 7]}, **BRIEF)
    array.fit(mixed[0].to_numpy(dtype=object), mixed[1])
    assert array.n_features_in_ == 8
    assert list(array.categories_) == [0, 2, 4, 5, 7]
    assert array.score(X.to_numpy(dtype=object), other[1]) > 0.8
    rows = X.iloc[:3].astype(object).where(X.iloc[:3].notna(), np.nan).to_numpy().tolist()
    np.testing.assert_array_equal(array.predict(rows), array.predict(np.array(rows, object)))


def test_polars_and_arrow_tables_give_the_same(classifier, other):
    X = other[0]
    columns = {n: X[n].astype(object).where(X[n].notna(), None).tolist() for n in X}
    polars = pytest.importorskip("polars")
    expected = classifier.predict_proba(X)
    np.testing.assert_array_equal(classifier.predict_proba(polars.DataFrame(columns)), expected)
    pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow")
    np.testing.assert_array_equal(classifier.predict_proba(pyarrow.table(columns)), expected)


def test_gated_indicators_have_names(classifier, other):
    gated = classifier.transform(other[0])
    names = classifier.get_feature_names_out()
    assert gated.shape == (200, len(names)) == (200, 17)
    assert names[:5].tolist() == [
        *("shop__city_Bonn", "shop__city_Oslo", "shop__city_Paris", "shop__city_Rome"),
        "shop__sales",
    ]
    assert "buyer__member_True" in names
    assert "buyer__member_False" not in names


def test_samples_without_weight_have_no_levels(mixed):
    X, y = mixed
    X = pd.concat([X, X.iloc[:5].assign(shop__city="Ulm")], ignore_index=True)
    weight = np.r_[np.ones(400), np.zeros(5)]
    weighted = EMMAClassifier("prefix", **BRIEF).fit(X, np.r_[y, y[:5]], weight)
    plain = EMMAClassifier("prefix", **BRIEF).fit(*mixed)
    np.testing.assert_allclose(
        weighted.predict_proba(X.iloc[-5:]), plain.predict_proba(X.iloc[-5:]), atol=1e-5
    )


def test_pickles_and_float32_and_chunks(classifier, other):
    X = other[0]
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.predict_proba(X), classifier.predict_proba(X))
    few = np.vstack([classifier.predict_proba(X.iloc[:7]), classifier.predict_proba(X.iloc[7:])])
    np.testing.assert_allclose(few, classifier.predict_proba(X), atol=1e-12)


def test_warm_start_needs_the_same_levels(classifier, mixed):
    X, y = mixed
    warm = EMMAClassifier("prefix", warm_start=True, **BRIEF).fit(X, y)
    warm.fit(X, y)
    with pytest.raises(ValueError, match="categories_ was"):
        warm.fit(X.assign(shop__city=X["shop__city"].replace("Bonn", "Ulm")), y)


def test_regressor_and_search(mixed, other):
    reg = EMMARegressor("prefix", **BRIEF).fit(mixed[0], 3.0 * mixed[1])
    assert reg.score(other[0], 3.0 * other[1]) > 0.4
    search = EMMAClassifierCV("prefix", param_grid={"coldness": [0.3, 1.0]}, cv=2, **BRIEF)
    assert search.fit(*mixed).score(*other) > 0.85


def test_columns_without_categories_are_as_before(table, quick, fitted):
    assert fitted.categories_ == fitted.category_counts_ == {}
    nullable = table[0].convert_dtypes(dtype_backend="numpy_nullable")
    again = quick().fit(nullable, table[1])
    np.testing.assert_array_equal(again.predict_proba(nullable), fitted.predict_proba(table[0]))


def test_booleans_are_standardized_as_numbers_are(mixed):
    X, y = mixed
    X = X[["shop__sales", "buyer__member", "product__price"]]
    modalities = {"a": ["shop__sales", "buyer__member"], "b": ["product__price"]}
    as_category = EMMAClassifier(modalities, **BRIEF).fit(X, y)
    as_number = EMMAClassifier(modalities, **BRIEF).fit(X.astype(float), y)
    x = as_category.transform(X) / as_category.attention(X)[:, [0, 0, 1]]
    z = as_number.transform(X.astype(float)) / as_number.attention(X.astype(float))[:, [0, 0, 1]]
    np.testing.assert_allclose(x, z)


@pytest.mark.parametrize(
    "estimator", [EMMAClassifier("prefix", **BRIEF), DAEEnergyScorer("prefix")]
)
def test_names_of_samples_are_no_categories(estimator, mixed):
    X = pd.DataFrame(
        {"a__name": [f"n{i}" for i in range(90)], "b__x": mixed[0]["shop__sales"][:90]}
    )
    estimator.set_params(max_epochs=1)
    with pytest.warns(
        UserWarning, match="Nearly every training sample.*'a__name'.*Leave out names"
    ) as record:
        estimator.fit(X, mixed[1][:90])
    assert record[0].filename == __file__
    # new names are as usual as those seen
    read = estimator.energies if hasattr(estimator, "energies") else estimator.transform
    np.testing.assert_array_equal(read(X.assign(a__name="new")), read(X))


@pytest.mark.parametrize("form", ["{:.2f}", "{:.2f} V", "{:,.0f}"])
def test_numbers_written_as_text_are_noticed(form, mixed):
    values = 1e6 * np.random.RandomState(0).standard_normal(90)
    text = [form.format(value) for value in values]
    if form == "{:.2f}":
        text = [value.replace(".", ",") for value in text]
    text[5] = "n/a"
    X = pd.DataFrame({"a__x": text, "b__x": mixed[0]["shop__sales"][:90]})
    for estimator in (DAEEnergyScorer("prefix", max_epochs=1), EMMAClassifier("prefix", **BRIEF)):
        with pytest.warns(UserWarning, match="'a__x' look like numbers written as text") as record:
            estimator.fit(X, mixed[1][:90])
        assert record[0].filename == __file__
        assert not any("Nearly every" in str(warning.message) for warning in record)


def test_categories_may_look_like_numbers(mixed):
    codes = pd.Series([str(i % 30) for i in range(90)], dtype="category")
    meant = pd.Series([f"{i % 30} V" for i in range(90)], dtype="category")
    rooms = [f"{i % 30}{'ab'[i % 2]}" for i in range(90)]
    X = pd.DataFrame({"a__code": codes, "a__meant": meant, "a__room": rooms})
    X["b__x"] = mixed[0]["shop__sales"][:90]
    scorer = DAEEnergyScorer("prefix", max_epochs=1).fit(X)  # warnings are errors
    assert len(scorer.categories_) == 3


# --- scorer ---


@pytest.mark.filterwarnings("ignore:None of the values")
def test_energies_of_categories(scorer, other):
    X = other[0].dropna()
    strange = X.assign(shop__city="Atlantis")
    usual, unusual = scorer.transform(X), scorer.transform(strange)
    assert unusual[:, 0].min() > np.quantile(usual[:, 0], 0.9)
    np.testing.assert_array_equal(usual[:, 1:], unusual[:, 1:])
    assert (scorer.predict(strange) == -1).mean() > 0.95
    assert (scorer.predict(X) == -1).mean() < 0.2
    shares = scorer.attribution(strange)
    assert shares.shape == X.shape
    assert (shares.argmax(axis=1) == 0).mean() > 0.95
    np.testing.assert_array_equal(scorer.energy_gradient(X)[:, [0, 2, 4, 5, 7]], 0.0)
    codes = scorer.nearest_typical(X)[:, 5]
    assert set(codes) <= {0.0, 1.0, 2.0, 3.0}
    assert scorer.reconstruct(X).shape == X.shape
    complete = other[0].notna().all(axis=1)
    energies = scorer.transform(other[0])
    np.testing.assert_allclose(energies[complete], usual)
    assert not np.isnan(energies).any()


def test_an_unusual_combination_of_levels_has_more_energy(other):
    rng = np.random.default_rng(0)
    level = rng.integers(0, 3, 1000)
    X = pd.DataFrame({"a": np.array(list("xyz"))[level], "b": np.array(list("pqr"))[level]})
    scorer = DAEEnergyScorer(max_epochs=30, random_state=0).fit(X)
    fitting = scorer.transform(pd.DataFrame({"a": list("xyz"), "b": list("pqr")}))
    strange = scorer.transform(pd.DataFrame({"a": list("xyz"), "b": list("qrp")}))
    assert strange.min() > fitting.max() + 1


@pytest.mark.filterwarnings("ignore:None of the values")
def test_partial_fit_keeps_the_levels_of_the_first_call(other):
    X = other[0].dropna()
    first, rest = X.iloc[:80], X.iloc[80:].assign(shop__city="Ulm")
    scorer = DAEEnergyScorer("prefix", max_epochs=5, random_state=0).partial_fit(first)
    before = scorer.categories_
    with pytest.warns(UserWarning, match="'shop__city' is a known level") as warned:
        scorer.partial_fit(rest)
    assert len(warned) == 1
    assert scorer.categories_ == before
    assert scorer.n_samples_seen_ == len(X)
    # a level that comes later stays one that was never seen
    assert scorer.attribution(rest)[:, 0].min() > 1.0


# --- what takes numbers only ---


def test_gradients_and_attacks_refuse_categories(mixed):
    X, y = mixed[:2]
    params = {"energy": DAEEnergyScorer(max_epochs=1), "pretrain_epochs": 1, "max_epochs": 1}
    classifier = EMMAClassifier("prefix", l2_regularization=1.0, periodic_features=False, **params)
    with pytest.raises(ValueError, match=r"adversarial=Adversarial\(\) needs columns of numbers"):
        classifier.set_params(adversarial=Adversarial()).fit(X, y)
    classifier.set_params(adversarial=None).fit(X, y)
    with pytest.raises(ValueError, match="The gradient of the loss needs columns of numbers"):
        classifier.loss_gradient(X, y)
