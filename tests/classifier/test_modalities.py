"""Groups of columns in every form."""

import numpy as np
import pytest
from sklearn.compose import make_column_selector

NAMES = ["modality0", "modality1", "modality2"]


def is_modality(i):
    return make_column_selector(pattern=f"^modality{i}__")


FORMS = {
    "dict of names": {name: [f"{name}__{j}" for j in range(3)] for name in NAMES},
    "list of pairs": [(name, [f"{name}__{j}" for j in range(3)]) for name in NAMES],
    "callable": lambda column: column.split("__")[0],
    "positions": {name: [3 * i, 3 * i + 1, 3 * i + 2] for i, name in enumerate(NAMES)},
    "slices": {name: slice(3 * i, 3 * i + 3) for i, name in enumerate(NAMES)},
    "slices of names": {name: slice(f"{name}__0", f"{name}__2") for name in NAMES},
    "masks": {name: (np.arange(9) // 3 == i) for i, name in enumerate(NAMES)},
    "selectors": {name: is_modality(i) for i, name in enumerate(NAMES)},
}


@pytest.mark.parametrize("form", FORMS)
def test_modalities_in_every_form(table, quick, fitted, form, same_predictions):
    X, y = table
    classifier = quick(modalities=FORMS[form]).fit(X, y)
    assert classifier.modality_names_ == NAMES
    assert same_predictions(classifier, fitted, X)


@pytest.mark.parametrize("form", ["positions", "slices", "masks"])
def test_modalities_of_arrays_and_lists(table, quick, fitted, form):
    X, y = table
    for array in (X.to_numpy(), X.to_numpy().tolist(), np.asfortranarray(X)[:, :]):
        classifier = quick(modalities=FORMS[form]).fit(array, y.to_list())
        np.testing.assert_array_equal(classifier.predict_proba(array), fitted.predict_proba(X))


def test_modalities_of_polars_frames(table, quick, fitted):
    polars = pytest.importorskip("polars")
    X, y = table
    frame = polars.DataFrame({name: X[name].to_numpy() for name in X})
    for form in ("prefix", FORMS["dict of names"], FORMS["callable"], FORMS["slices"]):
        classifier = quick(modalities=form).fit(frame, polars.Series(y.to_numpy()))
        assert classifier.feature_names_in_.tolist() == list(X)
        np.testing.assert_array_equal(classifier.predict_proba(frame), fitted.predict_proba(X))


def test_leftover_columns_dropped_or_gathered(table, quick):
    X, y = table
    two = {name: FORMS["dict of names"][name] for name in NAMES[:2]}
    dropped = quick(modalities=two, remainder="drop").fit(X, y)
    assert dropped.modality_names_ == NAMES[:2]
    assert dropped.transform(X).shape == (len(X), 6)
    other = X.copy()
    other.iloc[:, 6:] = np.nan
    assert np.array_equal(dropped.predict_proba(X), dropped.predict_proba(other))
    gathered = quick(modalities=two, remainder="rest").fit(X, y)
    assert gathered.modality_names_ == [*NAMES[:2], "rest"]
    assert gathered.modality_columns_[2].tolist() == [6, 7, 8]


def test_columns_of_no_modality_do_not_matter(table, quick):
    X, y = table
    wider = X.assign(id=7.0, empty=np.nan)
    classifier = quick(modalities={"a": slice(0, 3), "b": slice(3, 9)}, remainder="drop").fit(
        wider, y
    )
    other = wider.assign(id=-1e9, empty=3.0)
    np.testing.assert_array_equal(classifier.predict_proba(wider), classifier.predict_proba(other))
