"""Pass fit parameters of a meta-estimator to its estimator and to its splitter; its folds."""

from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.base import is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils.metadata_routing import UNUSED, MetadataRouter, MethodMapping, process_routing

from sklearn_emma.compat import _check_method_params


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
        router = MetadataRouter(owner=type(self).__name__).add_self_request(self)
        router.add(
            estimator=self.estimator, method_mapping=MethodMapping().add(caller="fit", callee="fit")
        )
        if not isinstance(self.cv, str):
            router.add(
                splitter=self.cv, method_mapping=MethodMapping().add(caller="fit", callee="split")
            )
        return router

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
