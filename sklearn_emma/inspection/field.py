"""VectorFieldDisplay: where a denoising autoencoder pulls rows to."""

import numpy as np

from sklearn_emma.energy.readouts import ScoredModalities
from sklearn_emma.inspection.checks import check_member
from sklearn_emma.inspection.drawing import COLORS, Display, despine
from sklearn_emma.inspection.plane import check_grid, draw_rows, label_columns, make_grid


class VectorFieldDisplay(Display):
    r"""The pull :math:`r(x) - x` of an energy over the plane of two columns, as arrows.

    By default arrows are as long as the square root of the pull, so that weak ones can be seen.
    Make one with :meth:`from_estimator` or :meth:`from_grid`.

    Parameters
    ----------
    xx0, xx1 : ndarray of shape (n_rows, n_columns)
        Coordinates of a grid.
    field0, field1 : ndarray of shape (n_rows, n_columns)
        The pull along each column.
    X : ndarray of shape (n_samples, 2), default=None
        Rows to be drawn with it.
    column_names : list of str, default=None
        Names of the two columns.

    Attributes
    ----------
    quiver_ : Quiver
        The arrows.
    points_ : PathCollection or None
        The rows.
    ax_, figure_ : Axes, Figure
        Where it is drawn.

    See Also
    --------
    EnergyLandscapeDisplay : The energy that the pull descends.

    Examples
    --------
    >>> from sklearn_emma import DAEEnergyScorer
    >>> from sklearn_emma.datasets import make_circle
    >>> from sklearn_emma.inspection import VectorFieldDisplay
    >>> X, _ = make_circle(300, random_state=0)
    >>> scorer = DAEEnergyScorer(max_epochs=10, random_state=0).fit(X)
    >>> display = VectorFieldDisplay.from_estimator(scorer, X, grid_resolution=12)
    >>> display.quiver_.U.shape
    (144,)
    """

    def __init__(self, xx0, xx1, field0, field1, *, X=None, column_names=None):
        self.xx0 = xx0
        self.xx1 = xx1
        self.field0 = field0
        self.field1 = field1
        self.X = X
        self.column_names = column_names

    @classmethod
    def from_estimator(
        cls, estimator, X, *, grid_resolution=24, margin=0.15, scale="sqrt", ax=None
    ):
        """Compute the pull on a grid around rows, and draw it.

        Parameters
        ----------
        estimator : DAEEnergyScorer
            Fitted on two columns.
        X : array-like or DataFrame of shape (n_samples, 2)
            Rows, usually the training rows.
        grid_resolution : int, default=24
            Arrows in each direction.
        margin : float, default=0.15
            What is added around the rows, as a fraction of their range.
        scale : "sqrt" or "linear", default="sqrt"
            How the length of an arrow depends on the pull.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        VectorFieldDisplay
            The drawn Display.

        Raises
        ------
        TypeError
            If the estimator is no DAEEnergyScorer.
        ValueError
            If there are not two columns.
        """
        if not isinstance(estimator, ScoredModalities):
            raise TypeError(
                f"VectorFieldDisplay draws reconstructions, of a fitted DAEEnergyScorer, got "
                f"{estimator!r}."
            )
        xx0, xx1, points, rows = make_grid(estimator, X, grid_resolution, margin, cls.__name__)
        pull = estimator.reconstruct(points) - np.asarray(points)
        return cls.from_grid(
            xx0,
            xx1,
            *pull.T.reshape(2, *xx0.shape),
            X=rows,
            column_names=getattr(estimator, "feature_names_in_", None),
            scale=scale,
            ax=ax,
        )

    @classmethod
    def from_grid(
        cls, xx0, xx1, field0, field1, *, X=None, column_names=None, scale="sqrt", ax=None
    ):
        """Draw a field that is known already.

        Parameters
        ----------
        xx0, xx1 : array-like of shape (n_rows, n_columns)
            Coordinates of a grid.
        field0, field1 : array-like of shape (n_rows, n_columns)
            The pull along each column.
        X : array-like of shape (n_samples, 2), default=None
            Rows to be drawn with it.
        column_names : list of str, default=None
            Names of the two columns.
        scale : "sqrt" or "linear", default="sqrt"
            How the length of an arrow depends on the pull.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        VectorFieldDisplay
            The drawn Display.

        Raises
        ------
        ValueError
            If the arrays differ in shape.
        """
        arrays = check_grid(xx0, xx1, field0=field0, field1=field1)
        X = None if X is None else np.asarray(X, dtype=float)
        return cls(*arrays, X=X, column_names=column_names).plot(ax=ax, scale=scale)

    def plot(self, ax=None, *, scale="sqrt"):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a figure.
        scale : "sqrt" or "linear", default="sqrt"
            How the length of an arrow depends on the pull.

        Returns
        -------
        VectorFieldDisplay
            The drawn Display.

        Raises
        ------
        ValueError
            If `scale` is none of the above.
        """
        check_member(scale, ("sqrt", "linear"), "scale")
        ax = self._prepare(ax, figsize=(5.6, 5.0))
        u, v = self.field0.ravel(), self.field1.ravel()
        if scale == "sqrt":
            length = np.hypot(u, v)
            root = np.sqrt(np.where(length > 0, length, 1.0))
            u, v = u / root, v / root
        self.points_ = draw_rows(ax, self.X, COLORS[1], alpha=0.6)
        self.quiver_ = ax.quiver(
            self.xx0.ravel(), self.xx1.ravel(), u, v, color="#222222", angles="xy", width=0.0035
        )
        label_columns(ax, self.column_names)
        despine(ax)
        return self
