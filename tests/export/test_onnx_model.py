"""An exported model says what the estimator says, of samples in any state."""

import copy
import json
import sys

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV

from sklearn_emma import DAEEnergyScorer, EMMAClassifier, EMMAClassifierCV, EMMARegressor
from sklearn_emma.export import to_onnx
from sklearn_emma.monitoring import ModalityMonitor

pytest.importorskip("onnx", reason="needs onnx, of the extra onnx")

QUICK = {
    "remainder": "drop",
    "energy": DAEEnergyScorer(hidden_layer_sizes=(8,), max_epochs=3, calibration_fraction=0),
    "max_epochs": 2,
    "pretrain_epochs": 1,
    "random_state": 0,
}
# In single precision the order of the sums shows.
TOLERANCE = {"float64": 1e-9, "float32": 1e-3}


@pytest.fixture(scope="module")
def classifier(data, modalities):
    return EMMAClassifier(modalities, l2_regularization=1.0, periodic_features=True, **QUICK).fit(
        *data
    )


@pytest.fixture(scope="module")
def scorer(data, modalities):
    return DAEEnergyScorer(modalities, remainder="drop", max_epochs=2, random_state=0).fit(data[0])


def compare(outputs, estimator, samples, tolerance=1e-9):
    """Hold every output against the method of its name."""
    for name, found in outputs.items():
        expected = getattr(estimator, name)(samples)
        assert found.shape == expected.shape
        if name == "predict" and expected.dtype.kind not in "f":
            np.testing.assert_array_equal(found, expected)
        else:
            np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_classifier_answers_as_before(classifier, samples, run, dtype):
    samples = samples.astype(dtype)
    outputs = run(to_onnx(classifier, dtype), samples)
    assert list(outputs) == ["predict", "predict_proba", "attention", "energies"]
    assert outputs["predict_proba"].dtype == dtype
    compare(outputs, classifier, samples, TOLERANCE[dtype])
    missing = np.isnan(samples[:, :3]).all(axis=1)
    assert missing.any()
    assert np.isinf(outputs["energies"][missing, 0]).all()
    assert (outputs["attention"][missing, 0] == 0).all()


def test_memory_mapped_models_are_exported(classifier, samples, run, tmp_path):
    joblib.dump(classifier, tmp_path / "model.joblib")
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    compare(run(to_onnx(mapped), samples), classifier, samples)


@pytest.mark.parametrize("n_samples", [1, 3])
def test_the_number_of_samples_is_free(classifier, samples, run, n_samples):
    compare(run(to_onnx(classifier), samples[:n_samples]), classifier, samples[:n_samples])


@pytest.mark.parametrize(
    "labels",
    [["off", "on"], [False, True], [0.0, 2.0], np.array(["off", "on"], dtype=object)],
    ids=["str", "bool", "float", "object"],
)
def test_labels_are_those_of_fit(classifier, samples, run, labels):
    classifier = copy.copy(classifier)
    classifier.classes_ = np.asarray(labels)
    found = run(to_onnx(classifier), samples)["predict"]
    assert found.tolist() == classifier.predict(samples).tolist()


@pytest.mark.parametrize("columns", [None, 2, "quantile"])
def test_a_regressor_answers_as_before(data, modalities, samples, run, columns):
    X = data[0]
    y = X[:, 0] if columns != 2 else X[:, :2]
    loss = "quantile" if columns == "quantile" else "squared_error"
    regressor = EMMARegressor(
        modalities, loss=loss, l2_regularization=1.0, periodic_features=False, **QUICK
    ).fit(X, y)
    outputs = run(to_onnx(regressor), samples)
    assert ("predict_quantiles" in outputs) == (columns == "quantile")
    assert {"predict", "attention", "energies"} < set(outputs) | {""}
    compare(outputs, regressor, samples)


def test_a_search_answers_as_its_best_classifier(data, modalities, samples, run):
    search = EMMAClassifierCV(modalities, param_grid={"coldness": [0.3]}, cv=2, **QUICK)
    search.fit(*data)
    compare(run(to_onnx(search), samples), search, samples)


def test_two_modalities_of_one_width_and_no_cross_modal_energy(data, samples, run):
    X, y = data
    modalities = {"a": [0, 1, 2], "b": [3, 4, 5]}
    classifier = EMMAClassifier(
        modalities, l2_regularization=1.0, periodic_features=False, **QUICK
    ).fit(X, y)
    compare(run(to_onnx(classifier), samples), classifier, samples)


def test_modalities_of_very_different_width(run):
    random = np.random.RandomState(0)
    X = random.normal(size=(60, 30))
    modalities = {"wide": range(20), "narrow": [20], "middle": range(21, 30)}
    modalities = {name: list(columns) for name, columns in modalities.items()}
    classifier = EMMAClassifier(
        modalities, l2_regularization=1.0, periodic_features=False, **QUICK
    ).fit(X, X[:, 0] > 0)
    X[::3, 4] = X[::5, 20] = np.nan
    compare(run(to_onnx(classifier), X), classifier, X)


class Products(torch.nn.Module):
    """A network with operations that the exporter has its own translations of."""

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.last = torch.nn.Linear(sum(n_features) + 2, n_outputs)

    def forward(self, modalities):
        x = torch.cat(modalities, 1)
        features = [x, x.prod(1, keepdim=True), (x[:, :2] / 9).exp2().prod(-1).unsqueeze(1)]
        return self.last(torch.cat(features, 1).movedim(0, 1).mT)


def test_a_network_of_ones_own(data, modalities, samples, run):
    classifier = EMMAClassifier(modalities, module=Products, **QUICK).fit(*data)
    ordinary = np.abs(np.nan_to_num(samples)).max(axis=1) < 50
    compare(run(to_onnx(classifier), samples[ordinary]), classifier, samples[ordinary])


class NotTraceable(torch.nn.Module):
    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.last = torch.nn.Linear(n_features[0], n_outputs)

    def forward(self, modalities):
        return self.last(torch.special.bessel_j0(modalities[0]))


def test_a_network_that_cannot_be_translated_is_named(data, modalities):
    classifier = EMMAClassifier(modalities, module=NotTraceable, **QUICK)
    classifier.fit(data[0].astype(np.float32), data[1])
    with pytest.raises(
        ValueError, match="network .*NotTraceable.* cannot be exported to ONNX: Exporting"
    ):
        to_onnx(classifier)


class DependsOnSamples(torch.nn.Module):
    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.last = torch.nn.Linear(n_features[0], n_outputs)

    def forward(self, modalities):
        x = modalities[0]
        return self.last(-x if x.sum() > 0 else x)


class DependsOnTheirNumber(DependsOnSamples):
    def forward(self, modalities):
        x = modalities[0]
        return self.last(x) + torch.zeros(len(x), 1, dtype=x.dtype)


@pytest.mark.parametrize("module", [DependsOnSamples, DependsOnTheirNumber])
def test_python_code_that_depends_on_samples_is_refused(data, modalities, module):
    classifier = EMMAClassifier(modalities, module=module, **QUICK).fit(*data)
    message = r"network .*DependsOn.* depends on values or sizes of tensors in .*test_onnx_model.py"
    with pytest.raises(ValueError, match=message):
        to_onnx(classifier)


class Attentive(torch.nn.Module):
    """A network of layers of torch, which themselves examine the sizes of tensors."""

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.embed = torch.nn.ModuleList([torch.nn.Linear(n, 4) for n in n_features])
        self.layer = torch.nn.TransformerEncoderLayer(4, 2, 4, batch_first=True)
        self.last = torch.nn.Linear(4, n_outputs)

    def forward(self, modalities):
        embedded = [embed(x) for embed, x in zip(self.embed, modalities, strict=True)]
        return self.last(self.layer(torch.stack(embedded, 1)).mean(1))


def test_layers_of_torch_are_exported(data, modalities, run):
    classifier = EMMAClassifier(modalities, module=Attentive, **QUICK).fit(*data)
    for n_samples in (1, 5):
        some = data[0][:n_samples]
        compare(run(to_onnx(classifier), some), classifier, some)
    assert torch.backends.mha.get_fastpath_enabled()


class Smooth(DependsOnSamples):
    def forward(self, modalities):
        return self.last(torch.nn.functional.gelu(modalities[0]))


class Random(DependsOnSamples):
    def forward(self, modalities):
        return self.last(modalities[0] + torch.rand_like(modalities[0]))


def test_what_the_runtime_does_not_compute_is_refused(data, modalities, run):
    classifier = EMMAClassifier(modalities, module=Smooth, **QUICK).fit(*data)
    with pytest.raises(ValueError, match=r"Smooth.* not support .*Erf.*dtype=\"float32\""):
        to_onnx(classifier)
    some = data[0][:5].astype(np.float32)
    compare(run(to_onnx(classifier, "float32"), some), classifier, some, TOLERANCE["float32"])
    classifier = EMMAClassifier(modalities, module=Random, **QUICK).fit(*data)
    with pytest.raises(ValueError, match="computes other values of 'predict_proba'"):
        to_onnx(classifier)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_scorer_answers_as_before(scorer, data, run, dtype):
    samples = (data[0] * np.linspace(0.5, 3, len(data[0]))[:, None]).astype(dtype)
    samples[:50] = data[0][:50].astype(dtype)
    outputs = run(to_onnx(scorer, dtype), samples)
    energies = outputs.pop("energies")
    np.testing.assert_allclose(energies, scorer.transform(samples), atol=TOLERANCE[dtype])
    assert list(outputs) == ["score_samples", "p_values"]
    np.testing.assert_allclose(
        outputs["score_samples"], scorer.score_samples(samples), atol=4 * TOLERANCE[dtype]
    )
    # exactly: calibration samples are as unusual as themselves
    np.testing.assert_array_equal(outputs["p_values"], scorer.p_values(samples))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_scorer_fills_missing_values_as_before(scorer, data, run, dtype):
    samples = data[0][:60].astype(dtype)
    samples[np.random.default_rng(0).random(samples.shape) < 0.2] = np.nan
    samples[0, scorer.modality_columns_[1]] = samples[1] = np.nan
    samples[2, 10] = np.nan  # belongs to no modality
    outputs = run(to_onnx(scorer, dtype), samples)
    expected = scorer.transform(samples)
    assert np.isinf(expected[:2]).sum() == 1 + expected.shape[1]
    np.testing.assert_allclose(
        outputs["energies"], expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype]
    )
    np.testing.assert_allclose(
        outputs["score_samples"],
        scorer.score_samples(samples),
        rtol=1e-5,
        atol=4 * TOLERANCE[dtype],
    )
    np.testing.assert_array_equal(outputs["p_values"], scorer.p_values(samples))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_infinite_values_are_extreme_values_of_their_modality(scorer, data, run, dtype):
    model = to_onnx(scorer, dtype)
    X = data[0][:6].astype(dtype)
    X[:3, 0], X[3:, 7] = [np.inf, -np.inf, np.finfo(dtype).max], [np.inf, -np.inf, 1e30]
    outputs, clean = run(model, X), run(model, data[0][:6].astype(dtype))
    broken = np.repeat([[1, 0, 0, 0], [0, 0, 1, 0]], 3, axis=0).astype(bool)
    assert (outputs["energies"][broken] > 5).all()
    assert (outputs["p_values"][broken] == outputs["p_values"].min()).all()
    for name in ("energies", "p_values"):
        np.testing.assert_array_equal(outputs[name][~broken], clean[name][~broken])


def test_a_scorer_without_calibration_has_no_p_values(data, run):
    scorer = DAEEnergyScorer(calibration_fraction=0, max_epochs=1, random_state=0).fit(data[0])
    assert list(run(to_onnx(scorer), data[0])) == ["energies", "score_samples"]


def test_the_model_names_modalities_and_columns(data, modalities):
    frame = pd.DataFrame(data[0], columns=[f"column {i}" for i in range(11)])
    scorer = DAEEnergyScorer(modalities, remainder="drop", max_epochs=1).fit(frame)
    metadata = {entry.key: json.loads(entry.value) for entry in to_onnx(scorer).metadata_props}
    assert metadata == {"modalities": list(modalities), "features": list(frame.columns)}


def test_other_energies_are_refused_by_name(data, modalities):
    energy = {**dict.fromkeys("acd", QUICK["energy"]), "b": GaussianMixture(random_state=0)}
    classifier = EMMAClassifier(modalities, **QUICK | {"energy": energy}).fit(*data)
    with pytest.raises(ValueError, match=r"another energy for modality 'b' \(GaussianMixture\)"):
        to_onnx(classifier)


def test_other_estimators_are_refused():
    with pytest.raises(TypeError, match="got GaussianMixture"):
        to_onnx(GaussianMixture())
    with pytest.raises(TypeError, match="Pass its best_estimator_"):
        to_onnx(GridSearchCV(EMMAClassifier(), {}))


def test_estimators_must_be_fitted():
    with pytest.raises(NotFittedError):
        to_onnx(EMMAClassifier())


@pytest.mark.parametrize("dtype", ["float16", "int64", 3, "double precision"])
def test_other_dtypes_are_refused(scorer, dtype):
    with pytest.raises(ValueError, match="dtype must be"):
        to_onnx(scorer, dtype)


def test_without_onnx_the_extra_is_named(scorer, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"sklearn_emma\[onnx\]"):
        to_onnx(scorer)


def test_torch_is_left_as_it_was(scorer):
    with torch.inference_mode():
        to_onnx(scorer)
        assert torch.is_inference_mode_enabled()
    assert torch.get_default_dtype() == torch.float32


def test_attention_to_columns_is_refused(data, modalities):
    attentive = EMMAClassifier(
        modalities, l2_regularization=1.0, periodic_features=False, column_attention=True, **QUICK
    ).fit(*data)
    with pytest.raises(ValueError, match="column_attention=False"):
        to_onnx(attentive)


def test_a_monitor_is_no_search():
    monitor = ModalityMonitor(EMMAClassifier())
    with pytest.raises(TypeError, match="got ModalityMonitor.$"):
        to_onnx(monitor)
