"""Tables on the screen and beside the other results."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


def show_and_write(table: pd.DataFrame, path: Path, title: str) -> None:
    """Print a table under its title and write it as CSV with four significant digits."""
    with pd.option_context("display.width", 200, "display.max_columns", 30):
        print(f"\n{title}\n{table.to_string(index=False, na_rep='', float_format='{:.4g}'.format)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, float_format="%.4g", lineterminator="\n")
