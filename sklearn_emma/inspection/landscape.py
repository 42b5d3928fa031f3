"""EnergyLandscapeDisplay: the energy over the plane of two columns."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_emma.energy.fit import check_energy, energy_of
from sklearn_emma.energy.readouts import ScoredModalities
from sklearn_emma.inspection.checks import check_member
from sklearn_emma.inspection.drawing import Display, label_powers
from sklearn_emma.inspection.plane import check_grid, draw_rows, label_columns, make_grid

_QUANTITIES = ("energy", "reconstruction_error")


class EnergyLandscapeDisplay(Display):
    r"""Energy, or squared reconstruction norm, over the plane of two columns: dark is likely.

    Make one with :meth:`from_estimator` or :meth:`from_grid`.

    Parameters
    ----------
    xx0, xx1 : ndarray of shape (n_rows, n_columns)
        Coordinates of a grid.
    values : ndarray of shape (n_rows, n_columns)
        Energies, or errors.
    quantity : "energy" or "reconstruction_error", default="energy"
        What the values are. Colours follow an inverse hyperbolic sine for energies, a logarithm for
        errors.
    X : ndarray of shape (n_samples, 2), default=None
        Rows to be drawn with it.
    column_names : list of str, default=None
        Names of the two columns.

    Attributes
    ----------
    surface_ : QuadMesh
        The heat map.
    points_ : PathCollection or None
        The rows.
    colorbar_ : Colorbar
        What the colours mean.
    ax_, figure_ : Axes, Figure
        Where it is drawn.

    See Also
    --------
    VectorFieldDisplay : The direction in which the energy falls.

    Examples
    --------
    >>> from sklearn.mixture import GaussianMixture
    >>> from sklearn_emma.datasets import make_circle
    >>> from sklearn_emma.inspection import EnergyLandscapeDisplay
    >>> X, _ = make_circle(300, random_state=0)
    >>> mixture = GaussianMixture(8, random_state=0).fit(X)
    >>> display = EnergyLandscapeDisplay.from_estimator(mixture, X, grid_resolution=50)
    >>> display.surface_.get_array().shape
    (50, 50)
    """

    def __init__(self, xx0, xx1, values, *, quantity="energy", X=None, column_names=None):
        self.xx0 = xx0
        self.xx1 = xx1
        self.values = values
        self.quantity = quantity
        self.X = X
        self.column_names = column_names

    @classmethod
    def from_estimator(
        cls, estimator, X, *, quantity="energy", grid_resolution=150, margin=0.15, ax=None
    ):
        """Compute energies on a grid around rows, and draw them.

        Parameters
        ----------
        estimator : estimator
            Fitted on two columns: a DAEEnergyScorer, or any with ``score_samples``, of which the
            energy is the negative. Of an EMMAClassifier or EMMARegressor the total energy is drawn.
        X : array-like or DataFrame of shape (n_samples, 2)
            Rows, usually the training rows.
        quantity : "energy" or "reconstruction_error", default="energy"
            What to draw; errors are those of a DAEEnergyScorer.
        grid_resolution : int, default=150
            Points in each direction.
        margin : float, default=0.15
            What is added around the rows, as a fraction of their range.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        EnergyLandscapeDisplay
            The drawn Display.

        Raises
        ------
        TypeError
            If the estimator has no energy, or no reconstruction error.
        ValueError
            If there are not two columns.
        """
        check_member(quantity, _QUANTITIES, "quantity")
        if quantity == "reconstruction_error" and not isinstance(estimator, ScoredModalities):
            raise TypeError(
                f"quantity={quantity!r} needs a fitted DAEEnergyScorer, got {estimator!r}."
            )
        if not hasattr(estimator, "total_energy"):
            check_energy(estimator, [])
        check_is_fitted(estimator)
        xx0, xx1, points, rows = make_grid(estimator, X, grid_resolution, margin, cls.__name__)
        if quantity == "reconstruction_error":
            values = estimator.reconstruction_error(points).sum(axis=1)
        elif hasattr(estimator, "total_energy"):
            values = estimator.total_energy(points)
        else:
            values, _ = energy_of(estimator, points)
        return cls.from_grid(
            xx0,
            xx1,
            values.reshape(xx0.shape),
            quantity=quantity,
            X=rows,
            column_names=getattr(estimator, "feature_names_in_", None),
            ax=ax,
        )

    @classmethod
    def from_grid(cls, xx0, xx1, values, *, quantity="energy", X=None, column_names=None, ax=None):
        """Draw values that are known already.

        Parameters
        ----------
        xx0, xx1 : array-like of shape (n_rows, n_columns)
            Coordinates of a grid.
        values : array-like of shape (n_rows, n_columns)
            Energies, or errors.
        quantity : "energy" or "reconstruction_error", default="energy"
            What the values are.
        X : array-like of shape (n_samples, 2), default=None
            Rows to be drawn with it.
        column_names : list of str, default=None
            Names of the two columns.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        EnergyLandscapeDisplay
            The drawn Display.

        Raises
        ------
        ValueError
            If the arrays differ in shape, or `quantity` is none of the above.
        """
        check_member(quantity, _QUANTITIES, "quantity")
        arrays = check_grid(xx0, xx1, values=values)
        X = None if X is None else np.asarray(X, dtype=float)
        return cls(*arrays, quantity=quantity, X=X, column_names=column_names).plot(ax=ax)

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        EnergyLandscapeDisplay
            The drawn Display.
        """
        ax = self._prepare(ax, figsize=(6.2, 5.0))
        self.surface_ = ax.pcolormesh(
            self.xx0, self.xx1, self.values, norm=self._norm(), cmap="viridis", rasterized=True
        )
        self.points_ = draw_rows(ax, self.X, "white", alpha=0.7)
        label_columns(ax, self.column_names)
        label = {"energy": "energy", "reconstruction_error": "squared reconstruction norm"}
        self.colorbar_ = self.figure_.colorbar(
            self.surface_, ax=ax, label=label[self.quantity], pad=0.02
        )
        if self.quantity == "energy":
            norm = self.surface_.norm
            label_powers(self.colorbar_.ax.yaxis, norm.vmin, norm.vmax)
        return self

    def _norm(self):
        from matplotlib.colors import AsinhNorm, LogNorm

        finite = self.values[np.isfinite(self.values)]
        if self.quantity == "energy":
            return AsinhNorm(vmin=finite.min(), vmax=finite.max())
        low = max(finite.min(), 1e-6 * finite.max(), np.finfo(float).tiny)
        return LogNorm(vmin=low, vmax=max(finite.max(), 10 * low), clip=True)
