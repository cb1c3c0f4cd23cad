"""The table of docs/models.md is what its script writes, for every network of the registry."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path

import pytest

from stallscan.models.figures import read_figures

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "model_page.py"


@pytest.fixture(scope="module")
def script() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("model_page", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["model_page"] = module
    spec.loader.exec_module(module)
    return module


def test_the_page_has_the_table(script: types.ModuleType) -> None:
    page = script.PAGE.read_text(encoding="utf-8")
    rows = script.table(script.read_results(script.RESULTS))
    assert script.with_table(page, rows) == page, "run: python benchmarks/model_page.py --table"
    assert rows.count("\n") == 2 + len(read_figures())


def test_every_network_was_measured(script: types.ModuleType) -> None:
    measured = script.read_results(script.RESULTS)
    assert list(measured) == list(read_figures()), "run: python benchmarks/model_page.py"
    assert all(int(row["ms"]) > 0 for row in measured.values())
    # Rounding, which 152 layers of random weights enlarge; another network is off by about 1.
    assert all(float(row["difference"]) < 1e-2 for row in measured.values())
    assert measured["densenet121"]["ratio_to_densenet121"] == "1.00"


def test_a_page_without_marks_stays_as_it_is(script: types.ModuleType) -> None:
    with pytest.raises(ValueError, match="has no line '<!-- python benchmarks"):
        script.with_table("# The zoo\n", "| a |\n")
    with pytest.raises(ValueError, match="has no line '<!-- to here"):
        script.with_table(f"# The zoo\n{script.BEGINNING}", "| a |\n")


def test_results_are_read_as_they_were_written(script: types.ModuleType, tmp_path: Path) -> None:
    rows = {
        name: dict(
            zip(script.COLUMNS, (name, "12", "1", "0.50", "1e-7", "7", "2", "1"), strict=True)
        )
        for name in ("densenet121", "resnet18")
    }
    script.write_results(tmp_path / "results.csv", rows)
    found = script.read_results(tmp_path / "results.csv")
    assert list(found) == ["resnet18", "densenet121"]  # the registry's order
    assert found == rows
    assert "| densenet121 | 11,287,553 | 40.8 | 12 | 0.50 | ImageNet-1k" in script.table(found)
    assert script.read_results(tmp_path / "none.csv") == {}
