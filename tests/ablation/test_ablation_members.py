"""What members of an ensemble add: alone, together, one left out, and in subsets."""

from __future__ import annotations

import dataclasses
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import matthews_corrcoef, roc_auc_score
from sklearn.model_selection import train_test_split

from drawn_vessels import DrawnVessels
from stallscan.ablation import members
from stallscan.ablation.members import examine
from stallscan.augment.evaluation import Preprocessing
from stallscan.errors import OptionError
from stallscan.inference.predictor import load_predictor
from stallscan.models import (
    EnsembleCard,
    Member,
    create_model,
    save_checkpoint,
    write_ensemble,
)
from stallscan.models.calibration import Calibration
from stallscan.models.card import ModelCard

WEIGHTS = {"one/fold0": 1.0, "one/fold1": 2.0, "two/fold0": 0.5, "two/fold1": 1.0}
VESSELS = DrawnVessels(40, brighter=3)
"""Hard enough for networks that have learnt nothing."""


def ensemble(folder: Path, weights: dict[str, float] = WEIGHTS, **more: Any) -> Path:
    options = {"in_channels": 1, "width": 0.0625}
    for number, name in enumerate(weights):
        torch.manual_seed(number)
        model = create_model("resnet18", **options)
        torch.nn.init.normal_(getattr(model, model.head_name).weight, std=1.0)
        card = ModelCard(
            name=name,
            architecture="resnet18",
            options=options,
            preprocessing=dataclasses.asdict(Preprocessing(size=(16, 32, 32), channels=("grey",))),
            threshold=0.3 + 0.1 * number,
        )
        save_checkpoint(model, card, folder / name)
    inside = tuple(Member(path, weight) for path, weight in weights.items())
    card = {"name": "four", "threshold": 0.5, "flips": 2} | more
    write_ensemble(EnsembleCard(members=inside, **card), folder)
    return folder


def asked(folder: Path, flips: int) -> np.ndarray:
    predictor = load_predictor(folder, flips=flips)
    return np.array([predictor(volume).probability for _, volume in VESSELS.volumes("outline")])


LABELS = np.array(list(VESSELS.labels.values()))


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"combine": "logit"},
        {"calibration": Calibration(slope=2.0, intercept=-0.3, stalled_share=0.5)},
    ],
)
def test_all_is_what_the_ensemble_says(tmp_path: Path, more: dict[str, Any]) -> None:
    """With weights, both ways of averaging, and calibration; members as asked alone."""
    folder = ensemble(tmp_path / "four", **more)
    table = examine(tmp_path / "out", folder, test=VESSELS).set_index("member")
    assert table.index.tolist() == [*WEIGHTS, "all"]
    for flips in (1, 2):
        said = asked(folder, flips)
        # An AUC moves by a step of 1/400 where six digits make a tie.
        assert table[f"flips{flips}_auc"]["all"] == pytest.approx(
            roc_auc_score(LABELS, said), abs=0.003
        )
        assert table[f"flips{flips}_mcc"]["all"] == pytest.approx(
            matthews_corrcoef(LABELS, said >= 0.5), abs=1e-4
        )
    alone = asked(folder / "one/fold1", 1)
    assert table["flips1_auc"]["one/fold1"] == pytest.approx(roc_auc_score(LABELS, alone), abs=1e-4)
    mcc = matthews_corrcoef(LABELS, alone >= 0.4)
    assert table["flips1_mcc"]["one/fold1"] == pytest.approx(mcc, abs=1e-4)


def test_one_left_out(tmp_path: Path) -> None:
    """Is the ensemble of the others less that of all."""
    folder = ensemble(tmp_path / "four")
    table = examine(tmp_path / "out", folder, test=VESSELS).set_index("member")
    others = {name: weight for name, weight in WEIGHTS.items() if name != "two/fold0"}
    write_ensemble(
        EnsembleCard(name="x", members=tuple(Member(*one) for one in others.items()), flips=2),
        folder,
    )
    rest = roc_auc_score(LABELS, asked(folder, 2))
    gain = rest - table["flips2_auc"]["all"]
    assert table["without_auc"]["two/fold0"] == pytest.approx(gain, abs=0.003)
    assert table["without_auc_low"]["two/fold0"] <= table["without_auc"]["two/fold0"]
    assert np.isnan(table["without_auc"]["all"])


def test_subsets_are_chosen_on_one_half_and_judged_on_the_other(tmp_path: Path) -> None:
    folder = ensemble(tmp_path / "four")
    out = tmp_path / "out"
    examine(out, folder, test=VESSELS)
    subsets = pd.read_csv(out / "subsets.csv").set_index("size")
    assert subsets.index.tolist() == [1, 2, 3, 4]
    first, second = train_test_split(np.arange(40), test_size=0.5, stratify=LABELS, random_state=0)
    files = [out / "answers" / f"{name.replace('/', '-')}-flips2.csv" for name in WEIGHTS]
    each = np.stack([pd.read_csv(path)["probability"] for path in files])
    weights = np.array(list(WEIGHTS.values()))
    for size in (1, 2, 3):
        aucs = {
            chosen: roc_auc_score(
                LABELS[first],
                np.average(each[list(chosen)], axis=0, weights=weights[list(chosen)])[first],
            )
            for chosen in combinations(range(4), size)
        }
        best = max(aucs, key=lambda chosen: aucs[chosen])
        assert subsets["chosen_auc"][size] == pytest.approx(aucs[best], abs=1e-4)
        mean = np.average(each[list(best)], axis=0, weights=weights[list(best)])
        other = roc_auc_score(LABELS[second], mean[second])
        assert subsets["other_auc"][size] == pytest.approx(other, abs=1e-4)
    enough = subsets["chosen_auc"] >= subsets["chosen_auc"][4] - 0.005
    assert subsets.index[subsets["smallest"]].tolist() == [enough.idxmax()]
    assert subsets["to_whole_auc"][4] == 0
    text = (out / "members.md").read_text()
    assert "AUC without it" in text and "The best subset of each size" in text
    assert (out / "members.png").stat().st_size > 10_000


def test_answers_are_not_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, out = ensemble(tmp_path / "four"), tmp_path / "out"
    told: list[str] = []
    before = examine(out, folder, test=VESSELS, tell=told.append)
    assert len(told) == 8 and told[3] == "member 2 of 4: one/fold1, flips: 2"
    (out / "answers" / "two-fold0-flips1.csv").unlink()
    told.clear()
    pd.testing.assert_frame_equal(examine(out, folder, test=VESSELS, tell=told.append), before)
    assert told == ["member 3 of 4: two/fold0, flips: 1"]
    monkeypatch.setattr(members, "MAX_SEARCHED", 3)
    examine(out, folder, test=VESSELS)
    assert "Too many members to try all subsets" in (out / "members.md").read_text()


def test_one_member_is_refused(tmp_path: Path) -> None:
    folder = ensemble(tmp_path / "one", {"alone": 1.0})
    with pytest.raises(OptionError, match="has one member, needed are two and more"):
        examine(tmp_path / "out", folder, test=VESSELS)
