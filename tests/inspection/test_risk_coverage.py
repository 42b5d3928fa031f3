"""RiskCoverageDisplay: risk of accepted samples against their share."""

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator

from sklearn_emma.inspection import RiskCoverageDisplay
from sklearn_emma.metrics import area_under_risk_coverage, risk_coverage_curve
from sklearn_emma.model_selection import AbstainingClassifier


@pytest.mark.parametrize("reject_score", ["max_probability", "total_energy"])
def test_curve_is_that_of_the_metrics(trained, wide, reject_score, legible):
    X, y = wide[2:]
    display = RiskCoverageDisplay.from_estimator(trained, X, y, reject_score=reject_score)
    legible(display)
    energy = reject_score == "total_energy"
    score = trained.total_energy(X) if energy else 1 - trained.predict_proba(X).max(axis=1)
    coverage, risk, _ = risk_coverage_curve(y, trained.predict(X), score)
    np.testing.assert_allclose(display.line_.get_xdata()[1:], coverage)
    np.testing.assert_allclose(display.line_.get_ydata()[1:], risk)
    # the steps enclose the area that the legend states
    area = area_under_risk_coverage(y, trained.predict(X), score)
    x, height = display.line_.get_data()
    assert np.diff(x) @ height[1:] == pytest.approx(area)
    assert display.line_.get_label() == f"EMMAClassifier (area {area:.3f})"
    assert display.point_ is None


def test_threshold_of_an_abstaining_classifier_is_marked(trained, wide):
    X, y = wide[2:]
    clf = AbstainingClassifier(FrozenEstimator(trained), coverage=0.8, cv=2).fit(X, y)
    display = RiskCoverageDisplay.from_estimator(clf, X, y, name="of mine")
    accepted = clf.accepts(X)
    (coverage,), (risk,) = display.point_.get_data()
    assert coverage == pytest.approx(accepted.mean())
    assert risk == pytest.approx((clf.predict(X)[accepted] != y[accepted]).mean())
    assert display.line_.get_label().startswith("of mine")


def test_curves_share_axes_in_different_colors(legible):
    labels = [0, 1, 1, 0], [0, 1, 0, 1]
    one = RiskCoverageDisplay.from_predictions(*labels, [1, 2, 3, 4], name="good", threshold=2)
    two = RiskCoverageDisplay.from_predictions(*labels, [4, 3, 2, 1], name="bad", ax=one.ax_)
    legible(one)
    assert one.ax_ is two.ax_
    assert one.line_.get_color() != two.line_.get_color()
    assert one.ax_.get_ylim()[1] > 1  # the bad one is in view
    assert [text.get_text()[:4] for text in one.ax_.get_legend().get_texts()] == ["good", "bad "]
    plain = RiskCoverageDisplay(two.coverage, two.risk).plot(color="red")
    assert plain.line_.get_color() == "red"
    assert plain.ax_.get_legend() is None
    short = RiskCoverageDisplay(two.coverage, two.risk).plot(c="red", lw=4)
    assert (short.line_.get_color(), short.line_.get_linewidth()) == ("red", 4)
    straight = RiskCoverageDisplay(two.coverage, two.risk).plot(ds="default")
    assert straight.line_.get_drawstyle() == "default"
    assert two.plot(ax=straight.ax_).line_.get_color() != straight.line_.get_color()


def test_threshold_that_refuses_all_is_not_marked():
    display = RiskCoverageDisplay.from_predictions([0, 1], [0, 1], [1, 2], threshold=0)
    assert display.point_ is None
    assert display.ax_.get_ylim()[1] == 1  # no error at all


def test_wrong_input_is_explained(trained, wide):
    X, y = wide[2:]
    with pytest.raises(ValueError, match="reject_score"):
        RiskCoverageDisplay.from_estimator(trained, X, y, reject_score="energy")
    with pytest.raises(ValueError, match="reject_score is NaN"):
        RiskCoverageDisplay.from_predictions([0, 1], [0, 1], [1, np.nan])
