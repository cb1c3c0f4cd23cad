"""Tables as files: rows stand at both scales, and say what differs."""

from __future__ import annotations

from typing import Any

import pytest

from stallscan.ablation.table import TABLES, AblationTable, Row, load_table
from stallscan.errors import OptionError
from stallscan.training.network import empty_network, typical_size
from stallscan.training.recipe_files import RECIPES


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("scale", ["paper", "small"])
def test_every_row_stands(name: str, scale: Any) -> None:
    table = load_table(name).at(scale)
    seen = []
    for row in table.trained:
        recipe = table.recipe(row, scale, phantom=True)
        empty_network(recipe).feature_size(typical_size(recipe))
        keys = {key: one for key, one in recipe.to_dict().items() if key != "about"}
        seen.append((row.fold, keys))
    assert all(one not in seen[:number] for number, one in enumerate(seen))
    assert {row.recipe for row in table.trained} <= set(RECIPES)


def test_small_rows_differ_as_the_papers_do() -> None:
    """By architecture, share of stalled ones and augmentation, in every pair of rows of Table 4."""
    table = load_table("4")
    for one, other in zip(table.trained, table.trained[1:], strict=False):
        differing = []
        for scale in ("paper", "small"):
            pair = [table.recipe(row, scale) for row in (one, other)]  # type: ignore[arg-type]
            differing.append(
                (
                    pair[0].must_model.architecture == pair[1].must_model.architecture,
                    pair[0].sampler.stalled_share == pair[1].sampler.stalled_share,
                    _is_heavy(pair[0]) == _is_heavy(pair[1]),
                )
            )
        assert differing[0] == differing[1], (one.name, other.name)


def _is_heavy(recipe: Any) -> bool:
    return bool(recipe.augmentation.preset != "mirror3")


def test_figures_of_the_paper() -> None:
    """Two that are easily mixed up."""
    rows = {row.name: row.paper for row in load_table("4").rows}
    assert rows["DenseNet121, heavy, sampler"].mcc_test == 0.8129
    assert rows["DenseNet121, tier1, extra heavy, sampler"].mcc_test == 0.8436
    assert rows["DenseNet169, heavy"].auc is None
    assert [row.paper.auc for row in load_table("2").rows] == [0.9073, 0.9665]


def test_overrides_come_last() -> None:
    table = load_table("2")
    recipe = table.recipe(table.rows[0], "small", ["stop.max_epochs=1"])
    assert recipe.stop.max_epochs == 1 and recipe.augmentation is None
    assert recipe.data.scenes is None
    assert table.recipe(table.rows[0], "small", phantom=True).data.scenes is not None


def test_what_is_wrong_is_refused() -> None:
    with pytest.raises(OptionError, match=r"--table is '5'.*allowed are 2, 3, 4"):
        load_table("5")
    with pytest.raises(OptionError, match="needed is either recipe or of"):
        Row(name="x")
    trained = Row(name="x", recipe="smoke")
    with pytest.raises(OptionError, match="y is of 'z', which is no row"):
        AblationTable(title="", source="", rows=(trained, Row(name="y", of=("z",))))
    with pytest.raises(OptionError, match="not told apart"):
        AblationTable(title="", source="", rows=(trained, Row(name="X!", recipe="smoke")))
