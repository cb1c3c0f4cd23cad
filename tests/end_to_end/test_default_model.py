"""The model in the box."""

from __future__ import annotations

from sklearn.metrics import roc_auc_score

import stallscan
from stallscan.models.box import find_model
from stallscan.simulate.phantom import phantom_roi
from stallscan.types import Label

UNSEEN_SEED = 4_242_424


def test_it_tells_stalled_from_flowing_on_unseen_phantoms() -> None:
    predictor = stallscan.load_predictor(flips=1)
    labels = [Label(index % 2) for index in range(30)]
    probabilities = [
        predictor(phantom_roi((UNSEEN_SEED, index), label)[0]).probability
        for index, label in enumerate(labels)
    ]
    # 0.98 with eight flips (model card); far above chance and above the persistence score.
    assert roc_auc_score(labels, probabilities) > 0.88


def test_all_shipped_weights_together_stay_small() -> None:
    weights = find_model().parent.rglob("*.safetensors")
    assert 0 < sum(path.stat().st_size for path in weights) <= 25e6


def test_its_card_says_what_it_is() -> None:
    card = stallscan.load_predictor().card
    assert card.training["data"].startswith("stallscan phantom")
    assert "Not validated on real data" in card.notes
    assert "Not validated on real data" in (find_model() / "README.md").read_text()
