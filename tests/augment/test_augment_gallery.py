"""The page, its pictures and its code; the example that shows the library alone."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stallscan.augment import PRESETS, transform_class
from stallscan.augment._transform import MaskOnly, Spatial
from stallscan.augment.registry import BATCHES, MODULES
from stallscan.errors import OptionError

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "augmentation.md"
PICTURES = ROOT / "docs" / "augmentation"
NAMES = (*MODULES, *BATCHES, *PRESETS)
TEXT = PAGE.read_text(encoding="utf-8")


@cache
def example(name: str) -> ModuleType:
    """A script of examples/, imported and not run."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / f"examples/{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def phantom() -> dict[str, Any]:
    targets: dict[str, Any] = example("gallery").targets_of_phantom()
    return targets


def cells(name: str) -> list[str]:
    """The row of the table that begins with this name."""
    (row,) = re.findall(rf"^\| (?:\[`{name}`\]|`{name}` ).*$", TEXT, re.MULTILINE)
    return [cell.strip() for cell in row.strip("|").split("|")]


# The page


@pytest.mark.parametrize("name", MODULES)
def test_every_transform_has_a_row_a_section_and_its_picture(name: str) -> None:
    assert f"(#{name.lower()})" in cells(name)[0]
    (section,) = re.findall(rf"^### {name}\n(.*?)(?=^##)", TEXT, re.MULTILINE | re.DOTALL)
    words, _, picture = section.strip().rpartition("\n")
    assert len(words.split()) > 8
    assert picture == f"![{name}](augmentation/{name}.png)"


@pytest.mark.parametrize("name", MODULES)
def test_the_table_tells_what_goes_along_and_what_can_be_undone(name: str) -> None:
    _, _, targets, undone = cells(name)
    kind = transform_class(name)
    assert (targets == "all") == issubclass(kind, Spatial)
    assert targets == "mask" if issubclass(kind, MaskOnly) else targets.startswith(("all", "image"))
    needed = [field for field in dataclasses.fields(kind) if field.default is dataclasses.MISSING]
    made = kind(*[(5, 6, 7) for _ in needed], p=1.0)  # a shape, if anything
    record = made.record(0, (8, 9, 10), image=np.ones((8, 9, 10), np.uint8))
    try:
        made.inverse(record["drawn"])
    except OptionError:
        assert undone == ""
    else:
        assert undone == "yes"


def test_the_page_names_no_transform_that_there_is_not() -> None:
    assert re.findall(r"^### (.*)$", TEXT, re.MULTILINE) == list(MODULES)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_a_row_and_its_picture(name: str) -> None:
    assert len(cells(name)) == 3
    assert f"![{name}](augmentation/{name}.png)" in TEXT


@pytest.mark.parametrize("name", BATCHES)
def test_what_mixes_batches_has_its_picture(name: str) -> None:
    assert f"![{name}](augmentation/{name}.png)" in TEXT and name in example("gallery").BATCHES


def test_pictures_are_there_small_and_no_more_than_needed() -> None:
    files = list(PICTURES.iterdir())
    assert {file.name for file in files} == {f"{name}.png" for name in NAMES}
    assert all(file.stat().st_size < 80_000 for file in files)
    assert sum(file.stat().st_size for file in files) < 2_000_000


def test_links_of_the_page_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)]+)\)", TEXT):
        if link.startswith("#"):
            assert re.search(rf"^### {link[1:]}$", TEXT, re.MULTILINE | re.IGNORECASE), link
        else:
            assert (PAGE.parent / link).exists(), link


def test_the_code_of_the_page_runs() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 5
    namespace: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), namespace)
    assert namespace["out"].shape == (96, 128, 128)
    np.testing.assert_array_equal(namespace["back"], namespace["volume"])


# The gallery


def test_the_gallery_shows_every_transform_in_the_registrys_order() -> None:
    assert list(example("gallery").OPTIONS) == list(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_in_its_picture_a_transform_is_seen_to_act(name: str) -> None:
    gallery = example("gallery")
    before, after = gallery.augmented(name, phantom())
    if name in gallery.VALUES:
        assert after["image"].dtype != before["image"].dtype
        return
    different = []
    for plane in ("y–x", "z–x"):
        (old, outline), (new, mask) = gallery.cut(before, plane), gallery.cut(after, plane)
        assert mask.any() and not mask.all()  # a contour to be seen
        if issubclass(transform_class(name), MaskOnly):
            old, new = outline, mask
        different.append(new.shape != old.shape or not np.array_equal(new, old))
    assert any(different)


@pytest.mark.parametrize("name", ["Rotate", "FromFloat", "CutMix", "heavy"])
def test_pictures_can_be_made_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = example("gallery")
    monkeypatch.setattr(sys, "argv", ["gallery.py", "--out", str(tmp_path), "--only", name])
    monkeypatch.setattr(gallery, "targets_of_phantom", phantom)
    gallery.main()
    made, kept = (Image.open(folder / f"{name}.png") for folder in (tmp_path, PICTURES))
    assert made.size == kept.size
    # Fonts may be drawn otherwise elsewhere, the volumes not.
    difference = np.abs(np.asarray(made.convert("L"), float) - np.asarray(kept.convert("L")))
    assert (difference > 60).mean() < 0.02


# The library alone


def test_tips_of_the_logs_knots_lie_at_their_knots() -> None:
    wood, knots, tips = example("volumentations").log_of_wood()
    assert wood.dtype == np.uint8 and wood.shape == knots.shape
    for number, tip in enumerate(tips, 1):
        assert np.linalg.norm(np.argwhere(knots == number) - tip, axis=1).min() < 1.5


def test_the_example_writes_its_picture(tmp_path: Path) -> None:
    path = tmp_path / "new" / "log.png"
    example("volumentations").main(path)
    picture = np.asarray(Image.open(path).convert("L"))
    assert picture.shape == (720, 900) and picture.std() > 40
