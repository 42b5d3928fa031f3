"""Predictions when a modality fails."""

from sklearn.metrics import f1_score

NAMES = ["modality0", "modality1", "modality2"]


def test_predictions_stay_good_when_a_modality_fails(variant, trained, wide, add_noise):
    _, _, X, y = wide
    ungated = variant(coldness=0.0)
    assert trained.score(X, y) > ungated.score(X, y) - 0.02
    for modality in NAMES:
        broken = add_noise(X, modality, 4)
        assert trained.score(broken, y) > 0.92
        assert trained.score(broken, y) > ungated.score(broken, y) + 0.05
        f1 = [f1_score(y, classifier.predict(broken)) for classifier in (trained, ungated)]
        assert f1[0] > f1[1] + 0.05
