"""``stallscan transforms``: the list, one transform, one preset, a name that there is not."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from stallscan.augment import PRESETS, Preprocessing, from_yaml, preset, transform_class
from stallscan.augment.registry import BATCHES, MODULES, batch_class
from stallscan.cli import main


def class_of(name: str) -> type:
    return batch_class(name) if name in BATCHES else transform_class(name)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["transforms", *arguments]) == 0
    return capsys.readouterr().out


def test_the_list_has_every_transform_and_preset_with_a_line_each(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = printed(capsys).splitlines()
    entries = [line.split(maxsplit=1) for line in lines if line.startswith("  ")]
    things: dict[str, object] = {name: transform_class(name) for name in MODULES}
    things |= {name: batch_class(name) for name in BATCHES}
    things |= PRESETS | {"evaluation": Preprocessing}
    assert [name for name, _ in entries] == list(things)
    for name, summary in entries:
        thing = things[name]
        first = (thing.__doc__ or "").strip().splitlines()[0]
        assert summary == first.replace("``", "`")
    assert max(map(len, lines)) <= 125


def test_the_preset_of_evaluation_shows_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert "half-pixel centres" in printed(capsys, "evaluation")


@pytest.mark.parametrize("name", [*MODULES, *BATCHES])
def test_a_transform_shows_every_option_with_default_and_meaning(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(capsys, name)
    assert text.startswith(f"{name}: ")
    options = text.partition("\nOptions:\n")[2].partition("\n\nExample:\n")
    found = {line.split()[0]: line for line in options[0].splitlines() if line[2:3] != " "}
    fields = {field.name: field for field in dataclasses.fields(class_of(name))}
    assert found.keys() == fields.keys()
    for key, line in found.items():
        default = fields[key].default
        shown = "required" if default is dataclasses.MISSING else repr(default)
        start, _, meaning = line.partition(f" {shown} ")
        assert start.split() == [key] and meaning.strip(), line
    assert ">>> " in options[2] and f"{name}(" in options[2]
    assert max(map(len, text.splitlines())) <= 110


def test_the_meaning_goes_on_in_its_column(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "Resize").splitlines()
    (number,) = (n for n, line in enumerate(lines) if line.startswith("  align_corners"))
    column = lines[number].index("keep the centres")
    assert lines[number + 1] == " " * column + "volumentations does."


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_its_yaml(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert from_yaml(printed(capsys, name)) == preset(name)


@pytest.mark.parametrize(
    ("name", "closest"), [("Rotat", "Rotate"), ("gridropout", "GridDropout"), ("heavyy", "heavy")]
)
def test_an_unknown_name_gets_the_closest(
    name: str, closest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["transforms", name]) == 2
    captured = capsys.readouterr()
    assert f"no transform or preset '{name}'; did you mean '{closest}'?" in captured.err
    assert "choose from Flip, " in captured.err and not captured.out


def test_a_name_like_no_other_gets_the_list_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transforms", "qqq"]) == 2
    message = capsys.readouterr().err
    assert "no transform or preset 'qqq'; choose from" in message
    assert all(name in message for name in (*MODULES, *BATCHES, *PRESETS))


def test_two_names_are_usage() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["transforms", "Rotate", "Flip"])
    assert caught.value.code == 2


def test_help_compiles_and_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom stallscan.cli import main\n"
        "try: main(['transforms', '--help'])\nexcept SystemExit: pass\n"
        "assert not {'numba', 'cv2', 'scipy', 'stallscan.augment.registry'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
