"""Metadata routing: who gets which parameter of a fit with folds; the folds themselves."""

from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.base import is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils.metadata_routing import UNUSED, MetadataRouter, MethodMapping, process_routing

from sklearn_emma.compat import _check_method_params


def fit_router(owner: str, estimator: Any, cv: Any) -> MetadataRouter:
    """Return the routing of metadata to ``fit`` of an estimator, and to a splitter.

    Parameters
    ----------
    owner : str
        Name of what routes, for messages.
    estimator : estimator
        The estimator.
    cv : int, cross-validation splitter, iterable, "prefit" or None
        The splitter.

    Returns
    -------
    MetadataRouter
        The routing.
    """
    router = MetadataRouter(owner=owner)
    router.add(estimator=estimator, method_mapping=MethodMapping().add(caller="fit", callee="fit"))
    if not isinstance(cv, str):
        router.add(splitter=cv, method_mapping=MethodMapping().add(caller="fit", callee="split"))
    return router


def requested_by(estimator: Any, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters that a method of an estimator requests, with metadata routing.

    Parameters
    ----------
    estimator : estimator
        The estimator.
    method : str
        Name of the method.
    params : dict
        Parameters, None if they are not given.

    Returns
    -------
    dict
        The requested ones.

    Raises
    ------
    UnsetMetadataPassedError
        If it is not set whether the estimator requests a parameter that is given.
    """
    router = MetadataRouter(owner=type(estimator).__name__).add(
        estimator=estimator, method_mapping=MethodMapping().add(caller=method, callee=method)
    )
    return dict(router.route_params(caller=method, params=params)["estimator"][method])


class RoutesFit:
    """Mixin for estimators that fit `estimator` in the folds of `cv`, with metadata routing."""

    __metadata_request__fit = {"groups": UNUSED}  # passed on to the splitter, not used otherwise

    def get_metadata_routing(self: Any) -> MetadataRouter:
        """Return the routing of metadata: to ``fit`` of `estimator`, and to the splitter `cv`.

        Returns
        -------
        MetadataRouter
            The routing, see the `user guide
            <https://scikit-learn.org/stable/metadata_routing.html>`_ of scikit-learn.
        """
        router = fit_router(type(self).__name__, self.estimator, self.cv)
        return router.add_self_request(self)

    def _route(
        self, X: Any, sample_weight: Any, groups: Any, fit_params: dict
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the parameters of ``fit`` of the estimator, and those of the splitter."""
        if get_config()["enable_metadata_routing"]:
            given = {"sample_weight": sample_weight, "groups": groups, **fit_params}
            given = {name: value for name, value in given.items() if value is not None}
            routed = process_routing(self, "fit", **given)
            of_fit, of_split = routed.estimator.fit, routed.splitter.split
        else:
            of_fit, of_split = dict(fit_params), {"groups": groups}
            if sample_weight is not None:
                of_fit["sample_weight"] = sample_weight
        return _check_method_params(X, of_fit), of_split

    def _folds(
        self: Any, X: Any, y: np.ndarray, of_split: dict[str, Any], usable: np.ndarray
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the folds of `cv`, with the usable samples of each test part; none is empty."""
        splits = check_cv(self.cv, y, classifier=is_classifier(self)).split(X, y, **of_split)
        folds = [(train, np.asarray(test)[usable[test]]) for train, test in splits]
        folds = [fold for fold in folds if len(fold[1])]
        if not folds:
            raise ValueError("No held-out sample has a label. Leave out samples without labels.")
        return folds
