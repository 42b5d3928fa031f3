"""EnergyDisplay: boxes of the energies of each modality."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from sklearn_emma import DAEEnergyScorer
from sklearn_emma.inspection import EnergyDisplay


def medians(boxes):
    return [line.get_ydata()[0] for line in boxes["medians"]]


def test_boxes_are_the_energies_of_clean_and_corrupted_samples(fitted, table, add_noise, legible):
    X, _ = table
    X_noisy = add_noise(X, "modality1", 5)
    display = legible(EnergyDisplay.from_estimator(fitted, X, X_corrupted=X_noisy))
    assert list(display.boxes_) == ["clean", "corrupted"]
    for name, samples in (("clean", X), ("corrupted", X_noisy)):
        expected = np.median(fitted.energies(samples), axis=0)
        np.testing.assert_allclose(medians(display.boxes_[name]), expected)
    ends = [line.get_ydata()[1] for line in display.boxes_["clean"]["whiskers"]]
    inside = np.mean((ends[0] <= fitted.energies(X)[:, 0]) & (fitted.energies(X)[:, 0] <= ends[1]))
    assert inside == pytest.approx(0.9, abs=0.02)
    assert [label.get_text() for label in display.ax_.get_xticklabels()] == fitted.modality_names_
    levels = [segment[0, 1] for segment in display.usual_.get_segments()]
    np.testing.assert_allclose(levels, fitted.potential_min_)
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == [
        "clean",
        "corrupted",
        "usual limit",
    ]


def test_groups_are_classes_in_their_order(fitted, table, legible):
    X, y = table
    display = legible(EnergyDisplay.from_estimator(fitted, X, groups=y))
    assert list(display.boxes_) == [0, 1]
    expected = np.median(fitted.energies(X)[np.asarray(y) == 1], axis=0)
    np.testing.assert_allclose(medians(display.boxes_[1]), expected)


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (pd.Series([2, 1, 2], dtype="Int64"), ["1", "2"]),
        (pd.Series([True, False, True], dtype="boolean"), ["False", "True"]),
        (pd.Series(["b", "a", "b"], dtype="string"), ["b", "a"]),
    ],
)
def test_nullable_groups_are_groups_like_others(groups, expected):
    display = EnergyDisplay.from_predictions(np.arange(6.0).reshape(3, 2), groups=groups)
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == expected
    assert list(map(str, display.boxes_)) == expected


def test_missing_modalities_are_counted_and_not_drawn(fitted, table, lose, legible):
    X, _ = table
    display = legible(EnergyDisplay.from_estimator(fitted, X, X_corrupted=lose(X, "modality2")))
    assert [text.get_text() for text in display.missing_] == ["missing: 100%"]
    assert display.missing_[0].get_position()[0] == pytest.approx(2.2)


def test_energies_of_a_scorer_without_groups(table, legible):
    X, _ = table
    scorer = DAEEnergyScorer("prefix", hidden_layer_sizes=(4,), max_epochs=2, random_state=0).fit(X)
    display = legible(EnergyDisplay.from_estimator(scorer, X))
    np.testing.assert_allclose(
        medians(display.boxes_[None]), np.median(scorer.transform(X), axis=0)
    )
    assert display.usual_ is None
    assert display.ax_.get_legend() is None


def test_wrong_input_is_explained(fitted, table):
    X, y = table
    with pytest.raises(ValueError, match="groups or X_corrupted, not both"):
        EnergyDisplay.from_estimator(fitted, X, groups=y, X_corrupted=X)
    with pytest.raises(TypeError, match="needs a fitted EMMAClassifier .* got LogisticRegression"):
        EnergyDisplay.from_estimator(LogisticRegression().fit(X, y), X)
    with pytest.raises(ValueError, match=r"shape \(n_samples, n_modalities\), got shape \(3,\)"):
        EnergyDisplay.from_predictions([1, 2, 3])
    with pytest.raises(ValueError, match="1 of them are not"):
        EnergyDisplay.from_predictions([[1, np.nan]])
    with pytest.raises(ValueError, match="groups must not be missing, but 1 of them are"):
        EnergyDisplay.from_predictions([[1, 2], [3, 4]], groups=[0, np.nan])
    with pytest.raises(ValueError, match=r"2 name\(s\), one per modality, got \['a'\]"):
        EnergyDisplay.from_predictions([[1, 2]], modality_names=["a"])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        EnergyDisplay.from_predictions([[1, 2]], groups=[0, 1])
    with pytest.raises(ValueError, match="one limit for each of the 2 modalities, got 3"):
        EnergyDisplay.from_predictions([[1, 2]], usual=[0, 1, 2])
