"""The page about other libraries: every name of ours exists, and none is forgotten."""

from __future__ import annotations

import re
from pathlib import Path

from stallscan.augment import Compose, OneOf, SomeOf
from stallscan.augment.registry import BATCHES, MODULES

PAGE = Path(__file__).parents[2] / "docs" / "migration.md"
TEXT = PAGE.read_text(encoding="utf-8")
OURS = {*MODULES, *BATCHES, *(kind.__name__ for kind in (Compose, OneOf, SomeOf))}


def tables() -> list[list[str]]:
    """Cells of all rows of three cells, without the headings."""
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in TEXT.splitlines() if line[:1] == "|"]
    cells = [[cell.strip() for cell in row] for row in rows]
    return [row for row in cells if len(row) == 3 and row[0] not in ("theirs", "---")]


def names(cell: str) -> set[str]:
    return set(re.findall(r"`([A-Z]\w+)", cell))


def test_names_of_the_second_column_are_ours_and_the_same_means_the_first_column_s() -> None:
    assert len(tables()) > 90
    for theirs, ours, differs in tables():
        assert names(theirs), theirs
        if "the same" in ours:
            assert names(theirs) & OURS, theirs
        elif ours == "—":
            assert differs, f"{theirs}: why is there none?"
        else:
            assert names(ours) and names(ours) <= OURS, ours


def test_every_transform_of_ours_is_named() -> None:
    assert names(TEXT) >= OURS


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert (PAGE.parent / link).exists(), link
