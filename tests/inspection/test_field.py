"""VectorFieldDisplay and EnergyLandscapeDisplay: the plane of two columns."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture

from sklearn_emma import DAEEnergyScorer, EMMAClassifier
from sklearn_emma.datasets import make_circle
from sklearn_emma.inspection import EnergyLandscapeDisplay, VectorFieldDisplay


@pytest.fixture(scope="module")
def circle():
    X, _ = make_circle(400, random_state=0)
    return pd.DataFrame(X, columns=["east", "north"])


@pytest.fixture(scope="module")
def scorer(circle):
    return DAEEnergyScorer(hidden_layer_sizes=(16,), max_epochs=15, random_state=0).fit(circle)


def test_arrows_point_to_where_rows_are_pulled(scorer, circle, legible):
    display = VectorFieldDisplay.from_estimator(
        scorer, circle, grid_resolution=9, margin=0.5, scale="linear"
    )
    legible(display)
    points = pd.DataFrame({"east": display.xx0.ravel(), "north": display.xx1.ravel()})
    pull = scorer.reconstruct(points) - points.to_numpy()
    np.testing.assert_allclose(np.column_stack([display.quiver_.U, display.quiver_.V]), pull)
    np.testing.assert_allclose(display.quiver_.get_offsets(), points)
    corner = display.quiver_.U[0], display.quiver_.V[0]
    assert min(corner) > 0  # from below left towards the circle
    assert len(display.points_.get_offsets()) == 400
    assert display.ax_.get_xlabel() == "east"


def test_arrows_are_as_long_as_the_square_root_of_the_pull():
    xx0, xx1 = np.meshgrid([0.0, 1.0], [0.0, 1.0])
    display = VectorFieldDisplay.from_grid(xx0, xx1, 4 * np.ones((2, 2)), np.zeros((2, 2)))
    np.testing.assert_allclose(display.quiver_.U, 2)
    assert display.points_ is None
    display = VectorFieldDisplay.from_grid(xx0, xx1, np.zeros((2, 2)), np.zeros((2, 2)))
    np.testing.assert_allclose(display.quiver_.U, 0)
    with pytest.raises(ValueError, match="scale='log' must be 'sqrt' or 'linear'"):
        display.plot(scale="log")


@pytest.mark.parametrize("quantity", ["energy", "reconstruction_error"])
def test_heat_map_is_the_energy_or_the_error(scorer, circle, quantity, legible):
    display = EnergyLandscapeDisplay.from_estimator(
        scorer, circle, quantity=quantity, grid_resolution=30
    )
    legible(display)
    points = pd.DataFrame({"east": display.xx0.ravel(), "north": display.xx1.ravel()})
    measure = scorer.transform if quantity == "energy" else scorer.reconstruction_error
    np.testing.assert_allclose(display.surface_.get_array().ravel(), measure(points)[:, 0])


def test_landscape_of_any_energy(circle, legible):
    mixture = GaussianMixture(4, random_state=0).fit(circle.to_numpy())
    display = EnergyLandscapeDisplay.from_estimator(mixture, circle.to_numpy(), grid_resolution=10)
    legible(display)
    points = np.column_stack([display.xx0.ravel(), display.xx1.ravel()])
    np.testing.assert_allclose(display.values.ravel(), -mixture.score_samples(points))
    assert display.ax_.get_xlabel() == "column 0"


def test_landscape_of_a_classifier_is_its_total_energy(circle):
    clf = EMMAClassifier(
        {"east": ["east"], "north": ["north"]},
        energy=GaussianMixture(2),
        hidden_layer_sizes=(2,),
        max_epochs=1,
        pretrain_epochs=0,
        random_state=0,
    ).fit(circle, circle["east"] > 0)
    display = EnergyLandscapeDisplay.from_estimator(clf, circle, grid_resolution=5)
    points = pd.DataFrame({"east": display.xx0.ravel(), "north": display.xx1.ravel()})
    np.testing.assert_allclose(display.values.ravel(), clf.total_energy(points))


def test_messages_for_people(scorer, circle, fitted, table):
    with pytest.raises(TypeError, match="fitted DAEEnergyScorer, got GaussianMixture"):
        VectorFieldDisplay.from_estimator(GaussianMixture(), circle)
    with pytest.raises(TypeError, match="needs a fitted DAEEnergyScorer, got GaussianMixture"):
        EnergyLandscapeDisplay.from_estimator(
            GaussianMixture(), circle, quantity="reconstruction_error"
        )
    with pytest.raises(TypeError, match="with a score_samples method"):
        EnergyLandscapeDisplay.from_estimator(LogisticRegression(), circle)
    with pytest.raises(ValueError, match=r"fitted on 9 column\(s\)"):
        EnergyLandscapeDisplay.from_estimator(fitted, table[0])
    with pytest.raises(ValueError, match="grid_resolution=1 must be an integer of at least 2"):
        VectorFieldDisplay.from_estimator(scorer, circle, grid_resolution=1)
    with pytest.raises(ValueError, match="margin=-1 must be"):
        EnergyLandscapeDisplay.from_estimator(scorer, circle, margin=-1)
    with pytest.raises(ValueError, match="matrices of one shape"):
        EnergyLandscapeDisplay.from_grid(np.ones((2, 2)), np.ones((2, 2)), np.ones(2))
