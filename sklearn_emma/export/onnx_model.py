"""Export a fitted estimator as an ONNX model: to_onnx."""

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from sklearn_emma.classifier import EMMAClassifier
from sklearn_emma.energy.scorer import DAEEnergyScorer
from sklearn_emma.export.modules import PredictorModule, ScorerModule
from sklearn_emma.export.runtime import check_in_runtime
from sklearn_emma.export.tracing import trace
from sklearn_emma.gate.build_predictor import is_built_in
from sklearn_emma.regressor import EMMARegressor

if TYPE_CHECKING:
    from onnx import ModelProto

_PRECISIONS = {"float64": torch.float64, "float32": torch.float32}


def to_onnx(estimator: Any, dtype: Any = "float64") -> "ModelProto":
    """Export a fitted estimator to ONNX, from raw columns to predictions.

    The model runs with onnxruntime, without torch, scikit-learn and this package. The export needs
    the extra ``onnx``.

    Read more in the :doc:`how-to guide </howto/onnx>`.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted estimator. Every energy must be a :class:`~sklearn_emma.DAEEnergyScorer`. A custom
        network must be traceable by torch: its Python code must not depend on values or sizes of
        tensors.
    dtype : {"float64", "float32"}, default="float64"
        Dtype of the samples that the model takes. As in the estimator, samples in float32 are
        evaluated in single precision.

    Returns
    -------
    onnx.ModelProto
        ONNX model, which ``onnx.save`` writes to a file. Its input "X", of shape (n_samples,
        n_features), has the columns in the order of fit. Columns that belong to no modality are
        ignored. NaN marks missing values. A categorical column holds codes: the position of a level
        in the ``categories_`` of the estimator, counted from zero, or the number of levels for an
        unseen level. The outputs have the names, shapes and values of methods of the estimator:

        * EMMAClassifier: "predict", "predict_proba", "attention", "energies";
        * EMMARegressor: "predict", "predict_quantiles" (with ``loss="quantile"``), "attention",
          "energies";
        * DAEEnergyScorer: "energies" (as returned by ``transform``), "score_samples" and, if there
          are calibration energies, "p_values".

        The metadata are JSON lists. "modalities" holds the names of the modalities and "features"
        the names of the columns, if they are known. If there are categorical columns, "categories"
        holds the list of levels of each column, or null for a numerical column.

    Raises
    ------
    ImportError
        If the package onnx is not installed.
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If the estimator is none of these three classes.
    ValueError
        If an energy is not a :class:`~sklearn_emma.DAEEnergyScorer`, if a modality is a signal or
        an image, if the estimator was fitted with ``column_attention=True``, if torch cannot trace
        a custom network or onnxruntime, if it is installed, does not compute the same, if `dtype`
        is not valid, or if a level is neither a string, a number nor a boolean.

    Notes
    -----
    Samples are not validated. A wrong number of columns is an error of the runtime, and so is a
    table without rows, except for a scorer. Infinite values are treated as extreme values.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma import DAEEnergyScorer
    >>> from sklearn_emma.export import to_onnx
    >>> X = np.random.default_rng(0).normal(size=(100, 4))
    >>> scorer = DAEEnergyScorer({"left": [0, 1], "right": [2, 3]}, max_epochs=2, random_state=0)
    >>> model = to_onnx(scorer.fit(X))
    >>> [output.name for output in model.graph.output]
    ['energies', 'score_samples', 'p_values']
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            "to_onnx needs the package onnx. Install it with pip install 'sklearn_emma[onnx]'."
        ) from error

    if not isinstance(estimator, EMMAClassifier | EMMARegressor | DAEEnergyScorer):
        is_search = hasattr(estimator, "refit") and hasattr(estimator, "cv")
        advice = " Pass its best_estimator_." if is_search else ""
        raise TypeError(
            "Only EMMAClassifier, EMMARegressor and DAEEnergyScorer can be exported to ONNX, got "
            f"{type(estimator).__name__}.{advice}"
        )
    check_is_fitted(estimator)
    precision = _precision(dtype)
    example = torch.zeros(2, estimator.n_features_in_, dtype=precision)
    if isinstance(estimator, DAEEnergyScorer):
        model = onnx.load_from_string(trace(ScorerModule(estimator, precision), example))
    else:
        model = onnx.load_from_string(_trace_predictor(estimator, example))
    if isinstance(estimator, EMMAClassifier):
        _add_labels(model, estimator.classes_)
    metadata: dict[str, list] = {"modalities": estimator.modality_names_}
    if hasattr(estimator, "feature_names_in_"):
        metadata["features"] = estimator.feature_names_in_.tolist()
    if estimator.categories_:
        metadata["categories"] = _levels(estimator)
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in metadata.items()})
    onnx.checker.check_model(model)
    return model


def _levels(estimator: Any) -> list[list | None]:
    """Return the levels of each column, or None for a numerical column."""
    levels = [estimator.categories_.get(column) for column in range(estimator.n_features_in_)]
    for known in levels:
        for level in known or ():
            if not isinstance(level, str | bool | int | float):
                raise ValueError(
                    "Levels of categorical columns must be strings, numbers or booleans in an "
                    f"ONNX model, but there is {level!r} of type {type(level).__name__}. Convert "
                    'the column before fit, for instance with .astype(str).astype("category").'
                )
    return levels


def _precision(dtype: Any) -> torch.dtype:
    """Return the torch dtype in which samples of a NumPy dtype are evaluated."""
    try:
        return _PRECISIONS["" if dtype is None else np.dtype(dtype).name]
    except (KeyError, TypeError) as error:
        raise ValueError(f'dtype must be "float64" or "float32", got {dtype!r}.') from error


def _trace_predictor(estimator: EMMAClassifier | EMMARegressor, example: torch.Tensor) -> bytes:
    """Convert a classifier or regressor to ONNX."""
    module = PredictorModule(estimator, example.dtype)
    if is_built_in(estimator.module):
        return trace(module, example)
    try:
        model = trace(module, example)
        check_in_runtime(model, module, _ordinary_samples(estimator).to(example.dtype))
    except Exception as error:
        raise ValueError(
            f"The network {estimator.module!r} cannot be exported to ONNX: "
            f"{str(error).partition(chr(10))[0]}"
        ) from error
    return model


def _ordinary_samples(estimator: EMMAClassifier | EMMARegressor) -> torch.Tensor:
    """Return a few samples, similar to the training samples."""
    normal = np.random.RandomState(0).normal(size=(8, estimator.n_features_in_))
    samples = estimator.mean_ + estimator.scale_ * normal
    samples[:, list(estimator.categories_)] = 0.0
    return torch.from_numpy(samples)


def _add_labels(model: "ModelProto", classes: np.ndarray) -> None:
    """Add an output with the most probable class before the other outputs."""
    from onnx import helper, numpy_helper

    labels = classes.astype(object) if classes.dtype.kind in "OU" else classes
    table = numpy_helper.from_array(labels, "classes")
    graph = model.graph
    graph.initializer.append(table)
    best = helper.make_node("ArgMax", ["predict_proba"], ["best_class"], axis=1, keepdims=0)
    label = helper.make_node("Gather", ["classes", "best_class"], ["predict"])
    graph.node.extend([best, label])
    outputs = [
        helper.make_tensor_value_info("predict", table.data_type, ["n_samples"]),
        *graph.output,
    ]
    del graph.output[:]
    graph.output.extend(outputs)
