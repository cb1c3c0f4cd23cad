"""Tables as files: `tables/*.yaml` (read without torch)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from stallscan.errors import OptionError
from stallscan.training._fields import build, closest
from stallscan.training.recipe import Recipe
from stallscan.training.recipe_files import load_recipe

_FOLDER = Path(__file__).parent / "tables"

TABLES = tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))
"""Names of the tables."""

Scale = Literal["paper", "small"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What the paper has for a row; None where it has nothing.

    Attributes:
        auc: on its validation set.
        mcc: likewise.
        mcc_test: on the competition's test set.
    """

    auc: float | None = None
    mcc: float | None = None
    mcc_test: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row: a network that is trained, or an average of others'.

    Attributes:
        name: in the table.
        recipe: by which it is trained at the paper's scale.
        set: keys of the recipe that differ; ``model.pretrained: frames`` is `teach_by_frames`.
        small: keys that differ at small scale, from `AblationTable.small`; null: not there.
        fold: that is held out.
        of: names of rows whose networks are averaged instead of training one.
        flips: mirrored copies of a test volume that are averaged.
        paper: its figures.
    """

    name: str
    recipe: str | None = None
    set: dict[str, Any] = field(default_factory=dict)
    small: dict[str, Any] | None = field(default_factory=dict)
    fold: int = 0
    of: tuple[str, ...] = ()
    flips: int = 1
    paper: Published = field(default_factory=Published)

    def __post_init__(self) -> None:
        if (self.recipe is None) == (not self.of):
            raise OptionError(f"{self.name}: needed is either recipe or of, and not both")

    @property
    def folder(self) -> str:
        """Its name as one of a folder."""
        words = "".join(letter if letter.isalnum() else " " for letter in self.name.lower())
        return "-".join(words.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Small:
    """What all rows have in common at small scale.

    Attributes:
        recipe: by which all are trained.
        set: keys of it that differ.
        phantom: further ones where the data are phantoms.
    """

    recipe: str = "cpu-small"
    set: dict[str, Any] = field(default_factory=dict)
    phantom: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AblationTable:
    """Rows that are compared.

    Attributes:
        title: a line.
        source: where the paper has it, and what is not said there.
        small: for rows at small scale.
        rows: in the paper's order.
    """

    title: str
    source: str
    small: Small = field(default_factory=Small)
    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        names = [row.name for row in self.rows]
        folders = [row.folder for row in self.rows]
        if len(set(folders)) < len(folders):
            raise OptionError(f"rows {', '.join(names)} are not told apart by their names")
        for row in self.rows:
            for name in row.of:
                if name not in names or self.row(name).of:
                    raise OptionError(f"{row.name} is of {name!r}, which is no row that is trained")

    def row(self, name: str) -> Row:
        """By its name."""
        return next(row for row in self.rows if row.name == name)

    @property
    def trained(self) -> tuple[Row, ...]:
        """Rows that have networks of their own."""
        return tuple(row for row in self.rows if not row.of)

    def at(self, scale: Scale) -> AblationTable:
        """The rows that there are at a scale."""
        rows = [row for row in self.rows if scale == "paper" or row.small is not None]
        return dataclasses.replace(self, rows=tuple(rows))

    def recipe(
        self, row: Row, scale: Scale, overrides: Iterable[str] = (), *, phantom: bool = False
    ) -> Recipe:
        """How a row is trained.

        Args:
            row: one that is.
            scale: paper, or small.
            overrides: ``key=value``, after all others.
            phantom: whether the data are phantoms.
        """
        assert row.recipe is not None
        if scale == "paper":
            found = load_recipe(row.recipe, overrides, row.set)
        else:
            assert row.small is not None
            keys = self.small.set | (self.small.phantom if phantom else {}) | row.small
            found = load_recipe(self.small.recipe, overrides, keys)
        if not isinstance(found, Recipe):
            raise OptionError(f"{row.name}: {row.recipe} is an ensemble; name a recipe of one")
        return found


def load_table(name: str) -> AblationTable:
    """A table in the box.

    Raises:
        OptionError: there is none of that name.
    """
    if name not in TABLES:
        raise OptionError(
            f"--table is {name!r}; {closest(name, TABLES)}allowed are {', '.join(TABLES)}"
        )
    values = yaml.safe_load((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return build(AblationTable, values, f"table {name}")
