"""The script that looks for names of other libraries on the page, without the libraries."""

from __future__ import annotations

import runpy
import sys
import types
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def script() -> dict[str, Any]:
    return runpy.run_path(str(BENCHMARKS / "migration.py"))


@pytest.mark.parametrize(("extra", "code"), [([], 0), (["RandomUnheardOf"], 1)])
def test_a_name_that_is_not_on_the_page_is_told(
    extra: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    found = script()
    found["LIBRARIES"].clear()
    found["LIBRARIES"]["MONAI"] = lambda: ["RandFlip", "DualTransform", *extra]
    assert found["main"]() == code
    told = f"MONAI: {1 + len(extra)} transforms, not named: {', '.join(extra)}\n"
    assert capsys.readouterr().out == told


def test_public_classes_of_a_module_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    transforms = types.ModuleType("volumentations.augmentations.transforms")
    for name, module in (("Rotate", transforms.__name__), ("_Hidden", transforms.__name__)):
        setattr(transforms, name, type(name, (), {"__module__": module}))
    transforms.Base = type("Base", (), {"__module__": "elsewhere"})  # type: ignore[attr-defined]
    parent = types.ModuleType("volumentations.augmentations")
    parent.transforms = transforms  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "volumentations", types.ModuleType("volumentations"))
    monkeypatch.setitem(sys.modules, parent.__name__, parent)
    assert script()["volumentations_3d"]() == ["Rotate"]
