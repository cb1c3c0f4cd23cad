"""Folds: even where they are stratified, whole projects where they are grouped."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import KFold, StratifiedGroupKFold, StratifiedKFold

from stallscan.data import FOLD_KINDS, assign_folds
from stallscan.errors import OptionError, TableError


def table(cells: dict[tuple[str, int], int]) -> pd.DataFrame:
    """As many videos as are said of each project and label, in a mixed order."""
    rows = [cell for cell, n in cells.items() for _ in range(n)]
    mixed = np.random.default_rng(5).permutation(len(rows))
    return pd.DataFrame(
        {
            "filename": [f"{100_000 + i}.mp4" for i in range(len(rows))],
            "project_id": pd.Categorical([rows[i][0] for i in mixed]),
            "stalled": [rows[i][1] for i in mixed],
        }
    )


USUAL = table({(p, s): n for p in "ABCDEFG" for s, n in ((0, 40), (1, 4))})


def spread(folds, *keys):
    """Largest minus smallest count over the folds, for each cell."""
    return pd.crosstab(folds, list(keys)).apply(np.ptp)


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(
        st.tuples(st.sampled_from("ABCD"), st.sampled_from([0, 1])), st.integers(0, 9), min_size=1
    ),
    st.integers(2, 7),
    st.integers(0, 2**31 - 1),
)
def test_stratified_folds_are_even_in_every_respect(cells, n_folds, seed):
    videos = table({("A", 0): 7, ("B", 1): 7, **{(p + "'", s): n for (p, s), n in cells.items()}})
    folds = assign_folds(videos, n_folds=n_folds, seed=seed)
    assert folds.shape == (len(videos),) and folds.dtype == np.int64
    assert set(folds) == set(range(n_folds))
    assert np.ptp(np.bincount(folds)) <= 1
    assert spread(folds, videos["stalled"]).max() <= 1
    assert spread(folds, videos["project_id"].astype(str), videos["stalled"]).max() <= 1


def test_cells_smaller_than_the_folds_do_not_pile_up():
    # scikit-learn refuses this table: no cell has five members.
    videos = table({(p, s): n for p in "ABCDEFGHIJ" for s, n in ((0, 3), (1, 1))})
    folds = assign_folds(videos)
    counts = pd.crosstab(folds, videos["stalled"])
    assert counts[0].tolist() == [6] * 5 and counts[1].tolist() == [2] * 5
    cell = videos["project_id"].astype(str) + videos["stalled"].astype(str)
    with pytest.raises(ValueError, match="n_splits"):
        next(StratifiedKFold(5).split(cell, cell))


def test_stratified_folds_are_shuffled_within_their_cells():
    folds = [assign_folds(USUAL, seed=seed) for seed in range(40)]
    assert (folds[0] == assign_folds(USUAL, seed=0)).all()
    together = np.mean([f[:, None] == f for f in folds], axis=0)  # of two videos
    cell = USUAL["project_id"].astype(str) + USUAL["stalled"].astype(str)
    flowing = np.flatnonzero((cell == "A0").to_numpy())
    pairs = together[np.ix_(flowing, flowing)][np.triu_indices(40, 1)]
    assert pairs.max() < 0.65  # by chance 7/39: 40 draws do not reach 0.65
    assert abs(pairs.mean() - 7 / 39) < 1e-9  # each fold has 8 of the 40


def test_without_projects_the_label_alone_is_stratified():
    videos = USUAL.drop(columns="project_id")
    folds = assign_folds(videos, n_folds=4)
    assert pd.crosstab(folds, videos["stalled"])[1].tolist() == [7] * 4
    # One project for all is no project.
    assert (folds == assign_folds(videos.assign(project_id="P"), n_folds=4)).all()


def test_grouped_folds_keep_projects_whole_and_are_scikit_learns():
    folds = assign_folds(USUAL, by="project", n_folds=3, seed=1)
    assert (pd.crosstab(USUAL["project_id"], folds) > 0).sum(axis=1).eq(1).all()
    assert np.bincount(folds).min() > 0
    splits = StratifiedGroupKFold(3, shuffle=True, random_state=1).split(
        USUAL, USUAL["stalled"], USUAL["project_id"]
    )
    for fold, (_, held_out) in enumerate(splits):
        assert (folds[held_out] == fold).all()


def test_plain_folds_are_the_winners():
    folds = assign_folds(USUAL, by="plain")
    for fold, (_, held_out) in enumerate(KFold(5, shuffle=True, random_state=42).split(USUAL)):
        assert (folds[held_out] == fold).all()


@pytest.mark.parametrize("by", FOLD_KINDS)
def test_the_order_of_the_rows_does_not_matter(by):
    mixed = np.random.default_rng(0).permutation(len(USUAL))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folds = assign_folds(USUAL, by=by)
        again = assign_folds(USUAL.iloc[mixed], by=by)
    assert (again == folds[mixed]).all()


FAULTS = {
    "unknown": ({"by": "projects"}, OptionError, r"'projects'; did you mean 'project'\? choose fr"),
    "far": ({"by": "x"}, OptionError, "kind of folds 'x'; choose from stratified, project, plain"),
    "one fold": ({"n_folds": 1}, OptionError, "n_folds is 1, allowed are 2 and above"),
    "few stalled": (
        {"n_folds": 29},
        OptionError,
        "29 folds need as many stalled videos, the table has 28 of its 308; ask for fewer",
    ),
    "few projects": (
        {"n_folds": 8, "by": "project"},
        OptionError,
        r"need as many projects, the table has 7 \(A, B, C …\); ask for fewer",
    ),
}


@pytest.mark.parametrize("options, kind, message", FAULTS.values(), ids=FAULTS)
def test_faults(options, kind, message):
    with pytest.raises(kind, match=message):
        assign_folds(USUAL, **options)


@pytest.mark.parametrize(
    "column, by", [("filename", "plain"), ("stalled", "stratified"), ("project_id", "project")]
)
def test_missing_columns(column, by):
    with pytest.raises(TableError, match=rf"^the table: has no column '{column}' .*needed are"):
        assign_folds(USUAL.drop(columns=column), by=by)


def test_a_fold_without_a_label_is_refused():
    videos = table({("A", 0): 40, ("B", 0): 40, ("C", 1): 8})
    with pytest.raises(
        OptionError, match=r"fold \d of 3 \(project\) has no (stalled|flowing) vide"
    ):
        assign_folds(videos, by="project", n_folds=3)
    few = table({("A", 0): 300, ("A", 1): 5})
    with pytest.raises(
        OptionError, match=r"fold \d of 5 \(plain\) has no stalled video .* 5; ask "
    ):
        assign_folds(few, by="plain")
    all_stalled = USUAL[USUAL["stalled"] == 1]
    with pytest.raises(OptionError, match=r"as many flowing videos, the table has 0 of its 28"):
        assign_folds(all_stalled, by="plain")


def test_as_many_folds_as_stalled_videos_will_do():
    videos = table({("A", 0): 300, ("A", 1): 5})
    assert pd.crosstab(assign_folds(videos), videos["stalled"])[1].tolist() == [1] * 5


@pytest.mark.parametrize("by", FOLD_KINDS)
def test_the_real_table(real_tables, by):
    metadata, labels = real_tables
    videos = metadata.assign(stalled=labels["stalled"])
    folds = assign_folds(videos, by=by)
    stalled = np.bincount(folds, videos["stalled"])
    if by == "stratified":
        assert stalled.tolist() == [377, 378, 378, 377, 377]
        assert spread(folds, videos["project_id"], videos["stalled"]).max() <= 1
    if by == "project":
        assert pd.Series(folds).groupby(videos["project_id"], observed=True).nunique().eq(1).all()
        assert stalled.min() > 300
    if by == "plain":
        assert (np.bincount(folds) >= 114_609).all()
