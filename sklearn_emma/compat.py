"""All imports of private scikit-learn functions, with the reason for each of them."""

from inspect import signature
from typing import Any

from sklearn import get_config

# Validation of parameters during fit, with the messages of scikit-learn.
from sklearn.base import _fit_context

# Whether a scorer takes sample weights, and the scorers of several metrics.
from sklearn.metrics._scorer import _BaseScorer, _MultimetricScorer, _PassthroughScorer

# The base class of all searches over hyperparameters.
from sklearn.model_selection._search import BaseSearchCV

# Indexing of samples for tables of any type.
from sklearn.utils import _safe_indexing

# Column specifications must mean exactly what they mean to ColumnTransformer.
from sklearn.utils._indexing import _get_column_indices
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

# The container that a transformer was asked to return.
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping

# Splitting of samples and metadata, as in cross_validate.
from sklearn.utils.metaestimators import _safe_split

# Validation of sample weights, features and their names, with the messages of scikit-learn.
from sklearn.utils.validation import (
    _check_feature_names_in,
    _check_method_params,
    _check_n_features,
    _check_sample_weight,
    _num_samples,
)

__all__ = [
    "BaseSearchCV",
    "HasMethods",
    "Interval",
    "StrOptions",
    "_check_feature_names_in",
    "_check_method_params",
    "_check_n_features",
    "_check_sample_weight",
    "_fit_context",
    "_get_column_indices",
    "_get_output_config",
    "_num_samples",
    "_safe_indexing",
    "_safe_split",
    "scorers_of",
    "weighs_scores",
]


def scorers_of(scorer: Any) -> Any:
    """Return a scorer, or a dict of scorers if it computes several scores.

    Parameters
    ----------
    scorer : callable
        Result of :func:`sklearn.metrics.check_scoring`.

    Returns
    -------
    callable or dict of str to callable
        As the attribute ``scorer_`` of GridSearchCV.
    """
    if not isinstance(scorer, _MultimetricScorer):
        return scorer
    return dict(scorer._scorers)  # noqa: SLF001


def weighs_scores(scorer: Any) -> bool:
    """Return whether GridSearchCV passes sample weights to a scorer.

    Parameters
    ----------
    scorer : callable
        The scorer.

    Returns
    -------
    bool
        With metadata routing, True if the scorer requests sample weights, like ``score`` of a
        classifier, or if one of several scorers does. Without metadata routing, True if the scorer
        accepts sample weights, but always False before scikit-learn 1.7.

    Raises
    ------
    UnsetMetadataPassedError
        With metadata routing, if it is not set whether the scorer requests sample weights (from
        scikit-learn 1.7 on).
    """
    if get_config()["enable_metadata_routing"]:
        if isinstance(scorer, _PassthroughScorer):
            return True
        several = scorers_of(scorer)
        if isinstance(several, dict):
            # all are asked, so that each request that is not set is an error
            return max(list(map(weighs_scores, several.values())))
        router = MetadataRouter(owner="EMMAClassifierCV").add(
            scorer=scorer, method_mapping=MethodMapping().add(caller="fit", callee="score")
        )
        routed = router.route_params(caller="fit", params={"sample_weight": 1.0})
        return "sample_weight" in routed["scorer"]["score"]
    accepts = getattr(scorer, "_accept_sample_weight", None)
    if accepts is not None:
        return bool(accepts())
    return hasattr(_BaseScorer, "_accept_sample_weight") and (
        "sample_weight" in signature(scorer).parameters
    )
