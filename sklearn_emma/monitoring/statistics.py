r"""What a single sample tells about each of its modalities: ten statistics.

With :math:`z_i` the standardised values of modality i, :math:`\Sigma_i` their covariance, and
:math:`\hat z_i` their linear prediction from the other modalities:

1. own energy, on the scale of the gate, and 2. disagreement with the others, in nats;
3. 4. the largest of both among the other modalities;
5. the matched filter of a common offset,
   :math:`1^T \Sigma_i^{-1} z_i / \sqrt{1^T \Sigma_i^{-1} 1}`;
6. scale: :math:`\log \overline{z_i^2}`; 7. :math:`\log z_i^T \Sigma_i^{-1} z_i / D_i`;
8. to 10. location and scale given the others: :math:`\overline{z_i \hat z_i}`,
   :math:`\log \overline{(z_i - \hat z_i)^2}`, :math:`\log \overline{\hat z_i^2}`.

Sources: matched filter, T² and the regression on other sensors are those of multivariate process
control; Montgomery, D. C. (2009). Introduction to statistical quality control, chapter 11.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import RidgeCV

from sklearn_emma.nn.evidence_price import NAT

#: Standard deviations beyond which a modality is no better a witness of the others.
_LIMIT = 4.0
_FLOOR = 0.01
N_STATISTICS = 10


def read_energies(estimator: Any, X: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return what an estimator says of each modality.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples.

    Returns
    -------
    energy : ndarray of shape (n_samples, n_modalities)
        Own energy, on the scale of the gate or of the training samples.
    disagreement : ndarray of shape (n_samples, n_modalities)
        With the other modalities, in nats; zero where the estimator does not measure it.
    """
    if not hasattr(estimator, "readings"):
        energy = np.asarray(estimator.transform(X))
        return energy, np.zeros_like(energy)
    readings = estimator.readings(X)
    scale = estimator.potential_scale_
    energy = (readings.own_energy - estimator.potential_min_) / scale
    return energy, readings.cross_modal_energy / (NAT * scale)


class SampleStatistics:
    """Statistics of samples, in units of clean ones.

    Parameters
    ----------
    modalities : list of ndarray of shape (n_samples, n_features)
        Clean samples; NaN marks missing values.

    Attributes
    ----------
    means_, scales_ : list of ndarray of shape (n_features,)
        Of each modality.
    varies_ : list of ndarray of bool of shape (n_features,)
        False for constant features.
    precisions_ : list of ndarray of shape (n_features, n_features)
        Inverse covariances of the standardised values, shrunken.
    predictions_ : list of ndarray of shape (n_other_features, n_features)
        Ridge regressions of each modality on the others.
    """

    def __init__(self, modalities: Sequence[np.ndarray]) -> None:
        self.means_ = [np.nan_to_num(np.nanmean(x, axis=0)) for x in modalities]
        deviations = [np.nan_to_num(np.nanstd(x, axis=0)) for x in modalities]
        self.varies_ = [std > 0 for std in deviations]
        self.scales_ = [np.where(std > 0, std, 1.0) for std in deviations]
        standard = self.standardise(modalities)
        self.precisions_ = [LedoitWolf().fit(z).precision_ for z in standard]
        penalties = np.logspace(-1, 4, 11)
        self.predictions_ = [
            RidgeCV(penalties).fit(others, z).coef_.reshape(z.shape[1], -1).T
            if (others := _others(standard, i)).shape[1]
            else np.zeros((0, z.shape[1]))
            for i, z in enumerate(standard)
        ]

    def standardise(self, modalities: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Standardise modalities; what is missing becomes the mean.

        Parameters
        ----------
        modalities : list of ndarray of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        list of ndarray of shape (n_samples, n_features)
            In standard deviations of the clean samples.
        """
        triples = zip(modalities, self.means_, self.scales_, strict=True)
        return [np.nan_to_num((x - mean) / scale, posinf=0, neginf=0) for x, mean, scale in triples]

    def __call__(
        self, standard: Sequence[np.ndarray], energy: np.ndarray, disagreement: np.ndarray
    ) -> np.ndarray:
        """Compute the statistics of samples.

        Parameters
        ----------
        standard : list of ndarray of shape (n_samples, n_features)
            Standardised modalities.
        energy, disagreement : ndarray of shape (n_samples, n_modalities)
            As :func:`read_energies` returns them.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities, 10)
            The statistics.
        """
        energy = np.arcsinh(energy)
        n_samples, n_modalities = energy.shape
        found = np.empty((n_samples, n_modalities, N_STATISTICS))
        found[..., 0], found[..., 1] = energy, disagreement
        found[..., 2], found[..., 3] = _largest_other(energy), _largest_other(disagreement)
        for i, z in enumerate(standard):
            weighted = z @ self.precisions_[i]
            direction = self.precisions_[i].sum()
            predicted = _others(standard, i) @ self.predictions_[i]
            found[:, i, 4] = np.arcsinh(weighted.sum(1) / np.sqrt(direction))
            found[:, i, 5] = _log_mean(z * z)
            found[:, i, 6] = _log_mean(weighted * z)
            found[:, i, 7] = np.arcsinh(3 * (z * predicted).mean(1))
            found[:, i, 8] = _log_mean((z - predicted) ** 2)
            found[:, i, 9] = _log_mean(predicted**2)
        return found


def _others(standard: Sequence[np.ndarray], i: int) -> np.ndarray:
    """Return the features of all modalities but one, no more than a few deviations off."""
    rest = [z for j, z in enumerate(standard) if j != i]
    return np.clip(np.hstack(rest), -_LIMIT, _LIMIT) if rest else standard[i][:, :0]


def _largest_other(values: np.ndarray) -> np.ndarray:
    """Return, for each column, the largest value in the other columns."""
    if values.shape[1] == 1:
        return np.zeros_like(values)
    order = np.partition(values, -2, axis=1)
    first, second = order[:, -1:], order[:, -2:-1]
    return np.where(values == first, second, first)


def _log_mean(squares: np.ndarray) -> np.ndarray:
    """Return the logarithm of the mean over features, from a floor."""
    return np.log(np.maximum(squares.mean(1), 0.0) + _FLOOR)
