"""The named parts of the training videos."""

import pandas as pd
import pytest

from stallscan.data import PAPER_FLOWING, join_labels, select_subset
from stallscan.errors import OptionError, TableError


def tables(n_flowing: int, n_stalled: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    n = n_flowing + n_stalled
    names = [f"{i:06d}.mp4" for i in range(n)]
    every = {"micro": 2, "nano": 4, "tier1": 3}
    marks = {name: [i % step == 0 for i in range(n)] for name, step in every.items()}
    labels = pd.DataFrame({"filename": names, "stalled": [int(i < n_stalled) for i in range(n)]})
    return pd.DataFrame({"filename": names, **marks}), labels


@pytest.fixture(scope="module")
def many():
    return tables(PAPER_FLOWING + 500, 7)


def test_marked_subsets_keep_order_and_labels():
    table, labels = tables(6, 2)
    shuffled = table.iloc[[5, 4, 0, 2, 1, 3, 7, 6]]
    nano = select_subset(join_labels(shuffled, labels), "nano")
    assert nano["filename"].tolist() == ["000004.mp4", "000000.mp4"]
    assert nano["stalled"].tolist() == [0, 1]
    assert nano.index.tolist() == [0, 1]
    assert len(select_subset(join_labels(shuffled, labels), "micro")) == 4
    tier1 = select_subset(join_labels(shuffled, labels), "tier1")
    assert tier1["filename"].tolist() == ["000000.mp4", "000003.mp4", "000006.mp4"]
    assert tier1["stalled"].tolist() == [1, 0, 0]
    full = select_subset(join_labels(shuffled, labels), "full")
    assert full["filename"].tolist() == shuffled["filename"].tolist()


def test_the_papers_draw(many):
    table, labels = many
    paper = select_subset(join_labels(table, labels), "paper", seed=3)
    assert paper["stalled"].sum() == 7
    assert (len(paper), paper["filename"].nunique()) == (PAPER_FLOWING + 7,) * 2
    assert paper["filename"].is_monotonic_increasing
    reversed_table = join_labels(table.iloc[::-1], labels.sample(frac=1, random_state=1))
    again = select_subset(reversed_table, "paper", seed=3)
    assert again["filename"].tolist() == paper["filename"].tolist()[::-1]
    other = select_subset(join_labels(table, labels), "paper", seed=4)
    assert set(other["filename"]) != set(paper["filename"])
    # Left out are 500 of 50,500, anywhere: their mean number is that of all, ± 5 standard errors.
    left_out = sorted(set(table["filename"]).difference(paper["filename"]))
    numbers = pd.Series([int(name[:6]) for name in left_out])
    assert abs(numbers.mean() - (7 + 50_506) / 2) < 5 * 50_500 / 12**0.5 / 500**0.5


def test_exactly_enough_flowing_videos_are_enough():
    assert len(select_subset(join_labels(*tables(PAPER_FLOWING, 1)), "paper")) == PAPER_FLOWING + 1


def test_faults():
    table, labels = tables(6, 2)
    table.attrs["path"] = "train_metadata.csv"
    with pytest.raises(OptionError, match=r"'mikro'; did you mean 'micro'\? choose from nano, mic"):
        select_subset(join_labels(table, labels), "mikro")
    with pytest.raises(OptionError, match=r"'tier2'; did you mean 'tier1'\? .*, full, tier1$"):
        select_subset(join_labels(table, labels), "tier2")
    with pytest.raises(OptionError, match=r"unknown subset 'xyz'; choose from nano, micro, paper"):
        select_subset(join_labels(table, labels), "xyz")
    with pytest.raises(
        TableError, match=r"^train_m.*: has 6 flowing .* draws 50,000; choose .*full"
    ):
        select_subset(join_labels(table, labels), "paper")
    with pytest.raises(TableError, match=r"^train_metadata.csv: has no column 'nano' .*needed"):
        select_subset(join_labels(table.drop(columns="nano"), labels), "nano")
    with pytest.raises(TableError, match=r"^train_.*: none of its 8 videos is marked nano; choose"):
        select_subset(join_labels(table.assign(nano=False), labels), "nano")
    with pytest.raises(TableError, match=r"none of its 8 videos is marked tier1; choose .*full"):
        select_subset(join_labels(table.assign(tier1=False), labels), "tier1")
    with pytest.raises(TableError, match=r"^train_metadata.csv: has no column 'stalled' .*needed"):
        select_subset(table, "full")


@pytest.mark.parametrize(
    "name, n, n_stalled",
    [
        ("nano", 1_413, 706),
        ("micro", 2_399, 706),
        ("paper", 51_887, 1_887),
        ("tier1", 540_242, 706),
        ("full", 573_048, 1_887),
    ],
)
def test_the_real_subsets(real_tables, name, n, n_stalled):
    subset = select_subset(join_labels(*real_tables), name)
    assert (len(subset), subset["stalled"].sum()) == (n, n_stalled)
