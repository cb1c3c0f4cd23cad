"""A description as text for the terminal, and as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from stallscan.report.description import Description

TITLES = {
    "subsets": "Videos and classes",
    "resolutions": "Resolutions, width×height (the paper's Table 1)",
    "frames": "Frames a video",
    "roi_sizes": "ROI sizes in voxels (the paper's Figure 2)",
    "outlines": "Outlines, by verdict",
    "flags": "Suspect frames, by flag",
    "projects": "Projects",
}


def text_of(description: Description) -> str:
    """All tables, then the notes."""
    parts = []
    for name, title in TITLES.items():
        if name in description.tables:
            parts.append(f"{title}\n{_plain(description.tables[name])}")
    if description.notes:
        parts.append("\n".join(f"- {note}" for note in description.notes))
    return "\n\n".join(parts) + "\n"


def write_tables(description: Description, folder: Path) -> list[Path]:
    """One CSV a table, and all of it as describe.txt."""
    paths = []
    for name in TITLES:
        if name in description.tables:
            paths.append(folder / f"{name}.csv")
            description.tables[name].to_csv(paths[-1], lineterminator="\n")
    paths.append(folder / "describe.txt")
    paths[-1].write_text(text_of(description), encoding="utf-8")
    return paths


def _plain(table: pd.DataFrame) -> str:
    """Right-aligned columns, thousands separated, nothing for what is unknown."""
    cells = table.reset_index().astype(object)
    header = [str(column).replace("_", " ") for column in cells.columns]
    rows = [[_cell(value) for value in row] for row in cells.itertuples(index=False)]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = []
    for row in (header, *rows):
        first, *others = zip(row, widths, strict=True)
        words = [first[0].ljust(first[1]), *(word.rjust(width) for word, width in others)]
        lines.append("  " + "  ".join(words).rstrip())
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None or value is pd.NA or value != value:
        return ""
    if isinstance(value, float):
        return f"{value:,g}" if abs(value) < 1e6 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
