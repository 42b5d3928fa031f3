"""Tables as users have them: masked arrays, tensors, ignored columns, clear errors."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.utils._param_validation import InvalidParameterError

from sklearn_emma import (
    DAEEnergyScorer,
    EMMAClassifier,
    EMMAClassifierCV,
    EMMARegressor,
    SignalEnergyScorer,
)
from sklearn_emma.corruption import Noise
from sklearn_emma.inspection import modality_report
from sklearn_emma.tables import blank, check_unique_names, plain_array, plain_target

MODALITIES = {"a": [0, 1, 2], "b": [3, 4, 5], "c": [6, 7, 8]}
SCORER = {"hidden_layer_sizes": (8,), "max_epochs": 3, "random_state": 0}


@pytest.fixture(scope="module")
def array(table):
    return table[0].to_numpy()


# --- masked arrays ---


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.int8, bool, object])
def test_masked_values_are_missing(dtype):
    X = np.ma.masked_array([[1, 0], [0, 1]], mask=[[0, 1], [0, 0]], dtype=dtype)
    plain = plain_array(X)
    assert not isinstance(plain, np.ma.MaskedArray)
    np.testing.assert_array_equal(plain.astype(float), [[1.0, np.nan], [0.0, 1.0]])
    if np.dtype(dtype).kind == "f":
        assert plain.dtype == dtype
    assert not X.mask[0, 0]
    # without a mask it is what it was
    assert plain_array(np.ma.masked_array([[1, 2]])).dtype == np.int_


def test_the_mask_counts(array, table, quick):
    mask = np.zeros(array.shape, dtype=bool)
    mask[:20, 3:6] = True
    masked = np.ma.masked_array(array, mask)
    gaps = np.where(mask, np.nan, array)
    classifier = quick(modalities=MODALITIES).fit(masked, table[1])
    expected = quick(modalities=MODALITIES).fit(gaps, table[1])
    np.testing.assert_array_equal(classifier.predict_proba(masked), expected.predict_proba(gaps))
    assert (classifier.attention(masked)[:20, 1] == 0).all()
    np.testing.assert_array_equal(
        Noise(2.0).corrupt(masked, MODALITIES, random_state=0)[0],
        Noise(2.0).corrupt(gaps, MODALITIES, random_state=0)[0],
    )
    scorers = [DAEEnergyScorer(max_epochs=1, random_state=0).fit(X) for X in (masked, gaps)]
    energies = [scorer.transform(X) for scorer, X in zip(scorers, (masked, gaps), strict=True)]
    np.testing.assert_array_equal(*energies)


def test_masked_labels_and_weights_are_refused(array, table, quick):
    y = np.ma.masked_array(table[1], mask=np.arange(len(array)) < 3)
    with pytest.raises(ValueError, match=r"with 3 value\(s\) masked. Leave out samples without"):
        quick(modalities=MODALITIES).fit(array, y)
    y.mask[:] = False
    assert type(plain_target(y)) is np.ndarray
    assert plain_target(None) is None


# --- tensors ---


def test_tensors_are_read_as_arrays():
    values = torch.tensor([[1.5, 2.0]])
    for tensor in (values.clone().requires_grad_(), values.bfloat16(), values.half()):
        np.testing.assert_array_equal(plain_array(tensor), values.numpy())
    assert plain_array(values.double()).dtype == np.float64
    assert plain_array(values.bfloat16()).dtype == np.float32
    assert plain_array(torch.tensor([[1, 2]])).dtype == np.int64
    with pytest.raises(TypeError, match=r"Sparse data was passed.*X.to_dense\(\)"):
        plain_array(values.to_sparse())


def test_tensors_that_require_gradients_are_fitted(array, table, quick):
    X = torch.tensor(array, requires_grad=True)
    classifier = quick(modalities=MODALITIES).fit(X, torch.tensor(table[1]))
    expected = quick(modalities=MODALITIES).fit(array, table[1])
    np.testing.assert_array_equal(classifier.predict_proba(X), expected.predict_proba(array))
    rounded = X.detach().bfloat16()
    np.testing.assert_array_equal(
        classifier.predict_proba(rounded), expected.predict_proba(rounded.float().numpy())
    )


# --- names ---


@pytest.mark.parametrize("modalities", ["prefix", MODALITIES])
def test_columns_of_the_same_name_are_refused(table, quick, modalities):
    X = table[0].rename(columns={"modality0__1": "modality0__0"})
    message = "Several columns of X have the same name: 'modality0__0'. Rename them"
    for fit in (
        quick(modalities=modalities).fit,
        EMMAClassifierCV(modalities).fit,
        DAEEnergyScorer(modalities).fit,
    ):
        with pytest.raises(ValueError, match=message):
            fit(X, table[1])
    with pytest.raises(ValueError, match=message):
        Noise(1.0).corrupt(X, modalities)
    check_unique_names(table[0])
    check_unique_names(X.to_numpy())


# --- ignored columns ---


def spoilt(X, frame="pandas"):
    """Return a table with further columns that hold no numbers, or none that can be used."""
    n = len(X)
    strange = {
        "station": ["north"] * n,
        "time": [pd.Timestamp("2020-01-01")] * n,
        "broken": [np.inf, np.nan] * (n // 2),
    }
    columns = {name: X[name].to_numpy() for name in X.columns} | strange
    if frame == "polars":
        return pytest.importorskip("polars").DataFrame(columns)
    return pd.DataFrame(columns) if frame == "pandas" else pd.DataFrame(columns).to_numpy(object)


def test_columns_of_polars_that_are_left_out_may_have_any_type(table, quick):
    polars = pytest.importorskip("polars")
    X, y = table
    n = len(X)
    vectors = polars.Series([[1.0, 2.0]] * n, dtype=polars.Array(polars.Float64, 2))
    large = polars.Series([1] * n, dtype=polars.Int128)
    more = {"vector": vectors, "pair": [{"a": 1, "b": 2}] * n, "large": large, "list": [[1, 2]] * n}
    wide = polars.DataFrame({name: X[name].to_numpy() for name in X} | more)
    classifier = quick(remainder="drop").fit(wide, y)
    expected = quick().fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(classifier.predict_proba(wide), expected)
    with pytest.raises(ValueError, match="'vector'"):
        quick(modalities={"a": [0, 1], "b": ["vector"]}, remainder="drop").fit(wide, y)


@pytest.mark.parametrize("frame", ["pandas", "polars", "array"])
def test_columns_that_are_left_out_may_hold_anything(table, quick, frame):
    X, y = table
    spoilt_X = spoilt(X, frame)
    modalities = MODALITIES if frame == "array" else "prefix"
    classifier = quick(modalities=modalities, remainder="drop").fit(spoilt_X, y)
    expected = quick().fit(X, y)
    np.testing.assert_array_equal(classifier.predict_proba(spoilt_X), expected.predict_proba(X))
    np.testing.assert_array_equal(classifier.transform(spoilt_X), expected.transform(X))
    assert classifier.n_features_in_ == 12
    if frame != "array":
        assert classifier.feature_names_in_[-1] == "broken"
    scorer = DAEEnergyScorer(modalities, remainder="drop", **SCORER).fit(spoilt_X)
    np.testing.assert_array_equal(
        scorer.transform(spoilt_X), DAEEnergyScorer("prefix", **SCORER).fit(X).transform(X)
    )


def test_columns_that_are_used_must_hold_numbers_all_the_same(table, quick):
    X = spoilt(table[0]).assign(modality0__1=pd.Timestamp("2020-01-01"))
    with pytest.raises(ValueError, match=r"Column\(s\) 'modality0__1' hold dates"):
        quick(remainder="drop").fit(X, table[1])
    with pytest.raises(ValueError, match=r"Column\(s\) 'time' hold dates"):
        quick().fit(spoilt(table[0]), table[1])


def test_blank_columns_leave_the_table_as_it_is(table):
    X = spoilt(table[0])
    for given in (X, spoilt(table[0], "polars"), X.to_numpy(object)):
        np.testing.assert_array_equal(np.asarray(blank(given, [9, 11]))[:, [9, 11]], 0.0)
        assert np.asarray(given)[0, 9] == "north"


# --- errors ---


def test_the_error_for_infinity_names_the_columns(table, fitted, array):
    X = table[0].copy()
    X.iloc[3, 4], X.iloc[5, 0] = np.inf, np.inf
    names = r"'modality0__0', 'modality1__1'. Replace such values, by NaN if"
    with pytest.raises(ValueError, match=rf"Input X contains infinity.*column\(s\) {names}"):
        fitted.predict(X)
    with pytest.raises(ValueError, match=r"infinity.*column\(s\) 0, 4.*or leave them out"):
        SignalEnergyScorer((1, 10)).fit(X.to_numpy())


def test_a_modality_whose_columns_are_absent(table, fitted, quick, array):
    X = table[0]
    few = X.drop(columns=[name for name in X if name.startswith("modality1")])
    with pytest.raises(ValueError, match=r"(?s)now missing.*modality 'modality1' are absent.*NaN"):
        fitted.predict(few)
    added = few.reindex(columns=fitted.feature_names_in_)
    assert (fitted.attention(added)[:, 1] == 0).all()
    with pytest.raises(ValueError, match="(?s)now missing") as raised:
        fitted.predict(X.drop(columns="modality1__0"))
    assert "absent" not in str(raised.value)
    classifier = quick(modalities=MODALITIES).fit(array, table[1])
    with pytest.raises(
        ValueError, match=r"X has 6 features.*pass its columns nevertheless, filled with NaN"
    ):
        classifier.predict(array[:, :6])
    with pytest.raises(ValueError, match="X has 10 features") as raised:
        classifier.predict(np.column_stack([array, array[:, 0]]))
    assert "absent" not in str(raised.value)


def test_absent_modalities_are_missing_where_that_is_allowed(table, fitted):
    X = table[0]
    absent = [name for name in X if name.startswith("modality1")]
    expected = fitted.predict_proba(X.assign(**dict.fromkeys(absent, np.nan)))
    allowing = copy.deepcopy(fitted).set_params(missing_modalities="allow")
    few = X.drop(columns=absent)
    np.testing.assert_array_equal(allowing.predict_proba(few), expected)
    np.testing.assert_array_equal(allowing.predict_proba(few[few.columns[::-1]]), expected)
    assert (allowing.attention(few)[:, 1] == 0).all()
    assert (modality_report(allowing, few).worst["modality"] == "modality1").all()
    np.testing.assert_array_equal(allowing.predict_proba(X), fitted.predict_proba(X))
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({name: few[name].to_numpy() for name in few})
    np.testing.assert_array_equal(allowing.predict_proba(frame), expected)
    # some columns of a modality are lacking by mistake, and so is any other table
    with pytest.raises(ValueError, match="now missing:\n- modality1__0"):
        allowing.predict(X.drop(columns="modality1__0"))
    with pytest.raises(ValueError, match="unseen at fit time"):
        allowing.predict(few.assign(more=0.0))
    with pytest.raises(ValueError, match='missing_modalities="allow"'):
        fitted.predict(few)
    with pytest.raises(InvalidParameterError, match="missing_modalities"):
        EMMAClassifier(missing_modalities="maybe").fit(X, table[1])


def test_an_absent_modality_may_have_categories(quick):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a__x": rng.normal(size=80), "b__level": list("pqrs") * 20})
    classifier = quick(missing_modalities="allow").fit(X, X["a__x"] > 0)
    gone = classifier.attention(X[["a__x"]])
    np.testing.assert_array_equal(gone, classifier.attention(X.assign(b__level=None)))
    assert (gone[:, 1] == 0).all()


@pytest.mark.parametrize("estimator", [EMMAClassifier, EMMARegressor])
def test_one_modality_of_several_columns_warns(estimator, array, table):
    quick = {"energy": DAEEnergyScorer(**SCORER), "pretrain_epochs": 1, "max_epochs": 1}
    model = estimator(
        hidden_layer_sizes=(4,),
        l2_regularization=1.0,
        periodic_features=False,
        random_state=0,
        **quick,
    )
    with pytest.warns(UserWarning, match="modalities=None makes one modality of all 9") as record:
        model.fit(array, table[1])
    assert record[0].filename == __file__
    model.fit(array[:, :1], table[1])  # warnings are errors here
    model.set_params(modalities={"all": slice(None)}).fit(array, table[1])


def test_arrow_tables_go_wherever_pandas_goes(table, fitted, quick):
    pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow")
    X, y = table
    arrow = pyarrow.Table.from_pandas(X, preserve_index=False)
    np.testing.assert_array_equal(fitted.predict_proba(arrow), fitted.predict_proba(X))
    again = quick().fit(arrow, pyarrow.chunked_array([pyarrow.array(y)]))
    assert again.feature_names_in_.tolist() == X.columns.tolist()
    np.testing.assert_array_equal(again.predict_proba(arrow), fitted.predict_proba(X))


def test_null_in_an_arrow_table_is_missing(table, fitted):
    pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow")
    X = table[0].copy()
    X.iloc[::3, 1] = np.nan
    arrow = pyarrow.Table.from_pandas(X, preserve_index=False)  # NaN becomes null
    assert arrow.column(1).null_count
    np.testing.assert_array_equal(fitted.energies(arrow), fitted.energies(X))


def test_a_missing_column_of_an_arrow_table_is_named(table, fitted):
    pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow")
    arrow = pyarrow.Table.from_pandas(table[0].iloc[:, 1:], preserve_index=False)
    with pytest.raises(ValueError, match=table[0].columns[0]):
        fitted.predict(arrow)


def test_masked_text_is_missing():
    text = np.array([["u", "v"], ["w", "u"]])
    table = plain_array(np.ma.masked_array(text, [[False, True], [False, False]]))
    assert table[0, 0] == "u"
    assert np.isnan(table[0, 1])


@pytest.mark.parametrize("kind", ["Categorical", "Enum"])
def test_categories_of_polars_stay_categories(kind):
    polars = pytest.importorskip("polars")
    dtype = polars.Categorical if kind == "Categorical" else polars.Enum(["0", "1", "2"])
    values = np.resize(["0", "2", "1"], 60)
    table = polars.DataFrame({"a__k": values, "b__x": np.arange(60.0)}).with_columns(
        polars.col("a__k").cast(dtype)
    )
    scorer = DAEEnergyScorer("prefix", max_epochs=1).fit(table)
    assert [list(levels) for levels in scorer.categories_.values()] == [["0", "1", "2"]]


def test_na_of_pandas_in_numbers_of_objects(table, quick):
    X, y = table
    objects = X.astype(object)
    objects.iloc[::9, 0] = pd.NA
    classifier = quick().fit(objects, y)
    gaps = X.copy()
    gaps.iloc[::9, 0] = np.nan
    np.testing.assert_array_equal(classifier.predict_proba(objects), classifier.predict_proba(gaps))


def test_labels_and_weights_that_are_missing_are_named(table, quick):
    X, y = table
    labels = pd.Series(np.where(y, "p", "q"), index=y.index)
    for dtype in ("string", "category"):
        with pytest.raises(ValueError, match="Input y contains NaN"):
            quick().fit(X, labels.astype(dtype).where(np.arange(len(y)) > 3))
    weight = np.ma.masked_array(np.ones(len(y)), np.arange(len(y)) < 2)
    with pytest.raises(ValueError, match=r"sample_weight is a masked array, with 2 value"):
        quick().fit(X, y, sample_weight=weight)
