"""CouplingDisplay: plot how the energies of modalities affect each other."""

from typing import Any

import numpy as np

from sklearn_emma.inspection.checks import check_gated, check_names
from sklearn_emma.inspection.drawing import GRAY, Display, name_modalities
from sklearn_emma.model_selection.inside import unwrap


class CouplingDisplay(Display):
    r"""Heat map of the coupling of modalities. The color shows the coupling weight.

    Row i and column j show the weight :math:`w_{ij}` and the degree :math:`\gamma_{ij}` of the
    shared energy :math:`e_{ij} = w_{ij} e_i^{\gamma_{ij}} e_j^{1 - \gamma_{ij}}` that modality j
    adds to modality i. With a positive weight, a high energy of j increases that of i, and with a
    negative weight, decreases it. At degree 0 the shared energy depends on the energy of j
    alone, at degree 1 on that of i alone.

    Create it with :meth:`from_estimator` or :meth:`from_parameters`.

    Read more in the :doc:`user guide </guide/fitted_model>`.

    Parameters
    ----------
    coupling_weight, coupling_degree : ndarray of shape (n_modalities, n_modalities)
        Weights :math:`w_{ij}` in [-1, 1] and degrees :math:`\gamma_{ij}` in [0, 1]. The diagonals
        are ignored.
    modality_names : list of str, default=None
        Names of the modalities.

    Attributes
    ----------
    image_ : AxesImage
        Image of the weights, masked on the diagonal.
    text_ : ndarray of Text of shape (n_modalities, n_modalities)
        Numbers in the cells, None on the diagonal.
    colorbar_ : Colorbar
        Color bar of the heat map.
    ax_, figure_ : Axes, Figure
        Axes and figure of the plot.

    Examples
    --------
    >>> from sklearn_emma.inspection import CouplingDisplay
    >>> display = CouplingDisplay.from_parameters(
    ...     [[0.0, 0.3], [-0.1, 0.0]], [[0.5, 0.2], [0.8, 0.5]], modality_names=["radar", "camera"]
    ... )
    >>> display.text_[1, 0].get_text()
    'w = -0.10\nγ = 0.80'
    """

    def __init__(
        self,
        coupling_weight: np.ndarray,
        coupling_degree: np.ndarray,
        *,
        modality_names: list[str] | None = None,
    ) -> None:
        self.coupling_weight = coupling_weight
        self.coupling_degree = coupling_degree
        self.modality_names = modality_names

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> "CouplingDisplay":
        """Draw the coupling of a fitted gate.

        Parameters
        ----------
        estimator : EMMAClassifier, EMMARegressor, GatedClassifier or GatedRegressor
            Fitted estimator, or a fitted Pipeline or search that ends in one.
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a new figure.

        Returns
        -------
        CouplingDisplay
            The drawn display.

        Raises
        ------
        TypeError
            If the estimator has no gate.
        """
        estimator, _ = unwrap(estimator)
        check_gated(estimator, cls.__name__)
        return cls.from_parameters(
            estimator.coupling_weight_,
            estimator.coupling_degree_,
            modality_names=estimator.modality_names_,
            ax=ax,
        )

    @classmethod
    def from_parameters(
        cls,
        coupling_weight: Any,
        coupling_degree: Any,
        *,
        modality_names: list[str] | None = None,
        ax: Any = None,
    ) -> "CouplingDisplay":
        """Draw coupling weights and degrees.

        Parameters
        ----------
        coupling_weight, coupling_degree : array-like of shape (n_modalities, n_modalities)
            Weights and degrees.
        modality_names : list of str, default=None
            Names of the modalities.
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a new figure.

        Returns
        -------
        CouplingDisplay
            The drawn display.

        Raises
        ------
        ValueError
            If weights and degrees are not square matrices of the same size.
        """
        weight = np.asarray(coupling_weight, dtype=float)
        degree = np.asarray(coupling_degree, dtype=float)
        if weight.ndim != 2 or weight.shape[0] != weight.shape[1] or weight.shape != degree.shape:
            raise ValueError(
                "coupling_weight and coupling_degree must be of shape (n_modalities, n_modalities),"
                f" got {weight.shape} and {degree.shape}."
            )
        names = check_names(modality_names, len(weight))
        return cls(weight, degree, modality_names=names).plot(ax=ax)

    def plot(self, ax: Any = None) -> "CouplingDisplay":
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a new figure.

        Returns
        -------
        CouplingDisplay
            The drawn display.
        """
        n = len(self.coupling_weight)
        names = check_names(self.modality_names, n)
        side = 1.8 + (0.95 if n <= 6 else 0.75) * n
        ax = self._prepare(ax, figsize=(max(side + 1.0, 4.4), max(side, 3.4)))
        weight = np.ma.array(self.coupling_weight, mask=np.eye(n, dtype=bool))
        self.image_ = ax.imshow(weight, cmap="PuOr_r", vmin=-1, vmax=1)
        ax.set_facecolor("#e6e6e6")
        self.text_ = np.full((n, n), None, dtype=object)
        cell = 72 * ax.get_window_extent().width / self.figure_.dpi / n  # in points
        size = min(10.0, cell / 6.8)  # nine characters and a margin
        for i, j in np.argwhere(~weight.mask):
            self.text_[i, j] = ax.text(
                j,
                i,
                f"w = {self.coupling_weight[i, j]:.2f}\nγ = {self.coupling_degree[i, j]:.2f}",
                ha="center",
                va="center",
                color="white" if abs(self.coupling_weight[i, j]) > 0.6 else "black",
                fontsize=size,
            )
        name_modalities(ax, names)
        name_modalities(ax, names, axis="y")
        ax.set(xlabel="of modality j", ylabel="on modality i")
        ax.tick_params(length=0)
        ax.spines[:].set_color(GRAY)
        self.colorbar_ = self.figure_.colorbar(
            self.image_, ax=ax, label="coupling weight w", shrink=0.85
        )
        return self
