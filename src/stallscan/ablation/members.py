"""What the members of an ensemble add: each alone, all together, and all but one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import rankdata
from sklearn.model_selection import train_test_split

from stallscan.ablation.members_page import draw_members, members_markdown
from stallscan.ablation.scoring import MEASURES, N_RESAMPLES, Measured, measures
from stallscan.ablation.test_set import TestSet, ask
from stallscan.errors import OptionError
from stallscan.inference.member import load_members
from stallscan.inference.predictor import Predictor
from stallscan.metrics.bootstrap import bootstrap_weights
from stallscan.models.calibration import Calibration
from stallscan.models.card import read_card
from stallscan.models.ensemble import EnsembleCard, flat_members, read_ensemble
from stallscan.training.predictions import write_table

MEMBERS, SUBSETS = "members.csv", "subsets.csv"
"""A line for each member and for all; the best subset of each size."""

TOLERANCE = 0.005
"""In AUC: a subset that is no further below the whole does as well."""

MAX_SEARCHED = 20
"""Members of which all subsets are tried: a million."""

ALL = "all"
_EPSILON = 1e-6
"""Probabilities are written with six digits."""


@dataclass(frozen=True, slots=True)
class _Member:
    """A checkpoint: its folder, weight, and how it calls alone."""

    path: Path
    name: str
    weight: float
    threshold: float
    calibration: Calibration | None

    @property
    def file(self) -> str:
        return self.name.replace("/", "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answers:
    """What the members said: ``(n_members, n)`` probabilities, uncalibrated; labels ``(n,)``."""

    labels: NDArray[np.int64]
    each: NDArray[np.float64]
    weights: NDArray[np.float64]
    card: EnsembleCard

    def mean(self, of: Sequence[int]) -> NDArray[np.float64]:
        """As the ensemble averages, of some members."""
        each, weights = self.each[list(of)], self.weights[list(of)]
        if self.card.combine == "logit":
            logits = logit(np.clip(each, _EPSILON, 1 - _EPSILON))
            mean = expit(np.average(logits, axis=0, weights=weights))
        else:
            mean = np.average(each, axis=0, weights=weights)
        return _calibrated(mean, self.card.calibration)

    def measures(self, of: Sequence[int], resamples: NDArray[np.float64]) -> Measured:
        """Of the mean of some members, at the ensemble's threshold."""
        return measures(self.labels, self.mean(of), self.card.threshold, resamples)


def examine(
    out: Path,
    folder: Path,
    *,
    test: TestSet,
    progress: Callable[[int, int], None] = lambda *_: None,
    tell: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Ask every member about the test set and write what each adds.

    A mean of some members is called stalled from the ensemble's threshold on, a member alone from
    its own. Answers that are there already are not asked for again.

    Args:
        out: folder of answers/, members.csv, subsets.csv, members.md and members.png.
        folder: of the ensemble.
        test: labelled vessels that no member has learnt.
        progress: called with vessels done and all, for each member.
        tell: takes a line for each member.

    Returns:
        members.csv: for each member and for all AUC and MCC without flips and with the ensemble's,
        and by how much the mean of the others differs from that of all (with the flips), each with
        its 95 % interval over resamples of the vessels.

    Raises:
        OptionError: an ensemble of one.
        CheckpointError: see `load_members`.
    """
    card = read_ensemble(folder)
    members = _members(folder)
    if len(members) < 2:
        raise OptionError(f"{folder}: has one member, needed are two and more")
    kinds = sorted({1, card.flips})
    asked = _ask_all(out / "answers", folder, members, kinds, test, progress, tell)
    answers = {
        flips: _Answers(
            labels=tables[0]["label"].to_numpy(),
            each=np.stack([table["probability"].to_numpy() for table in tables]),
            weights=np.array([member.weight for member in members]),
            card=card,
        )
        for flips, tables in asked.items()
    }
    table = _table(members, answers)
    write_table(table, out / MEMBERS)
    subsets = _subsets(members, answers[kinds[-1]])
    if subsets is not None:
        write_table(subsets, out / SUBSETS)
    text = members_markdown(folder.name, table, subsets, kinds, TOLERANCE)
    (out / "members.md").write_text(text, encoding="utf-8")
    draw_members(out / "members.png", folder.name, table, subsets, kinds, TOLERANCE)
    return table


def _members(folder: Path) -> list[_Member]:
    found = []
    for path, weight in flat_members(folder):
        card = read_card(path)
        name = path.relative_to(folder).as_posix()
        found.append(_Member(path, name, weight, card.threshold, card.calibration))
    return found


def _ask_all(
    place: Path,
    folder: Path,
    members: list[_Member],
    kinds: list[int],
    test: TestSet,
    progress: Callable[[int, int], None],
    tell: Callable[[str], None],
) -> dict[int, list[pd.DataFrame]]:
    """filename, label, probability: by flips, for each member."""
    loaded, card = load_members(folder)
    alone = dataclasses.replace(card, calibration=None)
    place.mkdir(parents=True, exist_ok=True)
    found: dict[int, list[pd.DataFrame]] = {flips: [] for flips in kinds}
    for number, (member, network) in enumerate(zip(members, loaded, strict=True)):
        for flips in kinds:
            path = place / f"{member.file}-flips{flips}.csv"
            if not path.exists():
                tell(f"member {number + 1} of {len(members)}: {member.name}, flips: {flips}")
                predictor = Predictor([network], alone, flips=flips)
                write_table(ask(predictor, test, "outline", progress), path)
            found[flips].append(pd.read_csv(path, dtype={"filename": str}))
    return found


def _table(members: list[_Member], answers: dict[int, _Answers]) -> pd.DataFrame:
    weights = bootstrap_weights(answers[1].labels, n_resamples=N_RESAMPLES)
    everyone = range(len(members))
    rows: list[dict[str, Any]] = [{"member": member.name} for member in members] + [{"member": ALL}]
    for flips, given in answers.items():  # fewest first
        for place, member in enumerate(members):
            own = _calibrated(given.each[place], member.calibration)
            found = measures(given.labels, own, member.threshold, weights)
            _put(rows[place], f"flips{flips}", *found)
        whole = given.measures(everyone, weights)
        _put(rows[-1], f"flips{flips}", *whole)
    for place in everyone:
        rest = given.measures([one for one in everyone if one != place], weights)
        _put(rows[place], "without", *_gain(rest, whole))
    return pd.DataFrame(rows)


def _gain(one: Measured, other: Measured) -> Measured:
    """By how much one is above another, resample by resample."""
    values = {key: one[0][key] - other[0][key] for key in MEASURES}
    return values, {key: one[1][key] - other[1][key] for key in MEASURES}


def _put(
    row: dict[str, Any],
    prefix: str,
    values: dict[str, float],
    draws: dict[str, NDArray[np.float64]],
) -> None:
    for key, value in values.items():
        low, high = np.nanquantile(draws[key], [0.025, 0.975])
        for suffix, figure in (("", value), ("_low", low), ("_high", high)):
            row[f"{prefix}_{key}{suffix}"] = round(float(figure), 4)


def _subsets(members: list[_Member], given: _Answers) -> pd.DataFrame | None:
    """The best of each size by AUC on one half of the vessels, and its figures on the other."""
    if len(members) > MAX_SEARCHED:
        return None
    chosen_on, judged_on = train_test_split(
        np.arange(len(given.labels)), test_size=0.5, stratify=given.labels, random_state=0
    )
    first, second = (
        dataclasses.replace(given, labels=given.labels[half], each=given.each[:, half])
        for half in (np.sort(chosen_on), np.sort(judged_on))
    )
    weights = bootstrap_weights(second.labels, n_resamples=N_RESAMPLES)
    whole = second.measures(range(len(members)), weights)
    rows = []
    for size in range(1, len(members) + 1):
        best, auc = _best(first, list(combinations(range(len(members)), size)))
        found = second.measures(best, weights)
        row: dict[str, Any] = {"size": size, "chosen_auc": round(auc, 4)}
        _put(row, "other", *found)
        _put(row, "to_whole", *_gain(found, whole))
        rows.append(row | {"members": " ".join(members[place].name for place in best)})
    table = pd.DataFrame(rows)
    least = table["chosen_auc"].iloc[-1] - TOLERANCE
    enough = table["size"] == table.loc[table["chosen_auc"] >= least, "size"].min()
    table.insert(1, "smallest", enough)
    return table


def _best(given: _Answers, subsets: list[tuple[int, ...]]) -> tuple[tuple[int, ...], float]:
    """Of subsets of one size, with its AUC; the first one of several."""
    stalled = given.labels == 1
    n_pairs = stalled.sum() * (~stalled).sum()
    best, best_auc = subsets[0], -1.0
    for start in range(0, len(subsets), 1024):
        part = subsets[start : start + 1024]
        means = np.stack([given.mean(subset) for subset in part])
        ranks = rankdata(means, axis=1)[:, stalled].sum(axis=1)
        aucs = (ranks - stalled.sum() * (stalled.sum() + 1) / 2) / n_pairs
        place = int(np.argmax(aucs))
        if aucs[place] > best_auc:
            best, best_auc = part[place], float(aucs[place])
    return best, best_auc


def _calibrated(
    probabilities: NDArray[np.float64], calibration: Calibration | None
) -> NDArray[np.float64]:
    if calibration is None:
        return probabilities
    return np.array([calibration(float(one)) for one in probabilities])
