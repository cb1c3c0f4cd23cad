"""A table of results as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from stallscan.ablation.table import AblationTable

_COLUMNS = {
    "val_auc": "AUC, validation",
    "val_mcc": "MCC, validation",
    "test_auc": "AUC, test",
    "test_mcc": "MCC, test",
}
_PAPER = {
    "paper_auc": "AUC (paper)",
    "paper_mcc": "MCC (paper)",
    "paper_mcc_test": "MCC, test (paper)",
}


def to_markdown(table: AblationTable, results: pd.DataFrame) -> str:
    """Title, rows, and how to read them; columns of which nothing is there are left out."""
    there = [key for key in (*_COLUMNS, *_PAPER) if results[key].notna().any()]
    words = _COLUMNS | _PAPER
    head = ["row", "seeds", *(words[key] for key in there), "s", "M parameters", "GMACs"]
    lines = [f"# {table.title}", "", table.source, "", line(head), line(["---"] * len(head))]
    for _, row in results.iterrows():
        cells = [row["row"], str(row["seeds"]), *(_cell(row, key) for key in there)]
        cells += [
            _number(row["seconds"], "{:.0f}"),
            _number(row["parameters"] / 1e6, "{:.2f}"),
            _number(row["gmacs"], "{:.2f}"),
        ]
        lines.append(line(cells))
    lines += [
        "",
        "Means over seeds; in brackets 95 % of their bootstrap over vessels. MCC: in validation at "
        "the best threshold, in the test at that one. s: training of one seed, epochs times the "
        "median epoch.",
        "",
    ]
    return "\n".join(lines)


def line(cells: list[str]) -> str:
    """A row of a table."""
    return f"| {' | '.join(cells)} |"


def _cell(row: pd.Series[Any], key: str) -> str:
    value = _number(row[key], "{:.3f}")
    low = row.get(f"{key}_low")
    if value == "–" or low is None or pd.isna(low):
        return value
    return f"{value} ({low:.3f}–{row[f'{key}_high']:.3f})"


def _number(value: float | None, form: str) -> str:
    return "–" if value is None or pd.isna(value) else form.format(value)
