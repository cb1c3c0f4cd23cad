"""ensemble.json: what was written comes back, weights nest, and what makes no sense is refused."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stallscan.errors import CheckpointError
from stallscan.models import (
    EnsembleCard,
    Member,
    flat_members,
    is_ensemble,
    read_ensemble,
    write_ensemble,
)
from stallscan.models.ensemble import FORMAT, MAX_DEPTH, model_files

CARD = EnsembleCard(
    name="three folds",
    members=(Member("fold0", 3), Member("fold1"), Member("Maus α/fold 2", 0.5)),
    combine="logit",
    threshold=0.37,
    flips=4,
    metrics={"out_of_fold": {"auc": 0.91}},
    training={"seed": 3},
    notes="Für Tests.",
)

Build = Callable[..., Path]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """A function that makes an ensemble of folders: path → weight, or → (weight, its members)."""

    def make(members: dict[str, Any], folder: Path = tmp_path / "ens", **values: Any) -> Path:
        listed = []
        for path, value in members.items():
            weight, inner = value if isinstance(value, tuple) else (value, None)
            (folder / path).mkdir(parents=True)
            if inner is not None:
                make(inner, folder / path)
            listed.append(Member(path, weight))
        write_ensemble(EnsembleCard(name="e", members=tuple(listed), **values), folder)
        return folder

    return make


def shares(folder: Path) -> dict[str, float]:
    return {place.relative_to(folder).as_posix(): share for place, share in flat_members(folder)}


# --- The file ---------------------------------------------------------------------------------


def test_a_card_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "ens"
    assert not is_ensemble(folder)
    write_ensemble(CARD, folder)
    assert is_ensemble(folder) and read_ensemble(folder) == CARD
    assert [path.name for path in folder.iterdir()] == ["ensemble.json"]
    text = (folder / "ensemble.json").read_text()
    assert json.loads(text) == json.loads(json.dumps({"format": FORMAT, **asdict(CARD)}))
    write_ensemble(read_ensemble(folder), folder)
    assert (folder / "ensemble.json").read_text() == text


def test_a_file_by_hand_needs_three_keys(tmp_path: Path) -> None:
    text = '{"format": 1, "name": "Maus α", "members": [{"path": "./a/"}, {"path": "ü"}]}'
    (tmp_path / "ensemble.json").write_text(text, encoding="utf-8")
    card = read_ensemble(tmp_path)
    assert card == EnsembleCard(name="Maus α", members=(Member("./a/", 1.0), Member("ü", 1.0)))
    assert (card.combine, card.threshold, card.flips) == ("probability", 0.5, 8)


def test_a_kill_while_writing_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_ensemble(CARD, tmp_path)

    def torn(path: Path, text: str, **options: Any) -> None:
        path.write_bytes(text.encode()[:40])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", torn)
    with pytest.raises(KeyboardInterrupt):
        write_ensemble(replace(CARD, name="other"), tmp_path)
    assert read_ensemble(tmp_path) == CARD


BAD: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no members": ({"members": []}, ["members is ", "one or more", "correct"]),
    "parent": (
        {"members": [{"path": "../b"}]},
        ["'../b'", "inside this one", "without ..", "copy the checkpoint there"],
    ),
    "hidden parent": ({"members": [{"path": "a/../../b"}]}, ["'a/../../b'", "without .."]),
    "absolute": ({"members": [{"path": "/a"}]}, ["'/a'", "relative to it", "copy"]),
    "itself": ({"members": [{"path": "."}]}, ["'.'", "inside this one"]),
    "empty path": ({"members": [{"path": ""}]}, ["''", "inside this one"]),
    "backslash": ({"members": [{"path": "a\\b"}]}, [r"'a\\b'", "with /"]),
    "zero byte": ({"members": [{"path": "a\0b"}]}, [r"'a\x00b'", "inside this one"]),
    "half a character": ({"members": [{"path": "a\ud800"}]}, [r"'a\ud800'", "inside this one"]),
    "path of a number": ({"members": [{"path": 3}]}, ["path of a member is 3", "inside this one"]),
    "twice": (
        {"members": [{"path": "a"}, {"path": "b"}, {"path": "a"}]},
        ["'a' is listed twice", "once", "raise its weight"],
    ),
    "twice in other words": (
        {"members": [{"path": "a"}, {"path": ".//a/"}]},
        ["'.//a/' is listed twice", "once"],
    ),
    **{
        f"weight {weight!r}": (
            {"members": [{"path": "a", "weight": weight}]},
            [f"weight of 'a' is {weight!r}", "finite numbers above 0", "take the member off"],
        )
        for weight in (0, -1.0, float("nan"), float("inf"), "1", None, True, 10**400)
    },
    "unknown combine": (
        {"combine": "logits"},
        ["combine is 'logits'", "probability and logit", "correct ensemble.json"],
    ),
    **{
        f"threshold {threshold!r}": (
            {"threshold": threshold},
            [f"threshold is {threshold!r}", "0 to 1", "correct ensemble.json"],
        )
        for threshold in (1.2, -0.1, float("nan"), "half", None, True)
    },
    "flips": ({"flips": 3}, ["flips is 3", "1, 2, 4 and 8"]),
    "flips not whole": ({"flips": 4.0}, ["flips is 4.0", "1, 2, 4 and 8"]),
    "no name": ({"name": " "}, ["name is ' '", "one line of text"]),
    "name of two lines": ({"name": "a\nb"}, [r"name is 'a\nb'", "one line of text"]),
    "name of a number": ({"name": 7}, ["name is 7", "one line of text"]),
    "metrics": ({"metrics": [1]}, ["metrics is [1]", "JSON objects"]),
    "training": ({"training": "long"}, ["training is 'long'", "JSON objects"]),
    "notes": ({"notes": None}, ["notes is None", "texts"]),
    "licence": ({"licence": 1}, ["licence is 1", "texts"]),
}

NOT_A_CARD: dict[str, tuple[dict[str, Any], list[str]]] = {
    "members of names": (
        {"members": ["a"]},
        ["member 1 is 'a'", "a JSON object with path, weight", "correct"],
    ),
    "members of one": ({"members": {"path": "a"}}, ["members is {'path': 'a'}", "one or more"]),
    "unknown key": (
        {"treshold": 0.5},
        ["unknown key 'treshold'", "did you mean 'threshold'?", "name, members, combine"],
    ),
    "very unknown key": ({"xyz": 0.5}, ["unknown key 'xyz'; allowed are name, members"]),
    "unknown key of a member": (
        {"members": [{"path": "a"}, {"path": "b", "wieght": 2}]},
        ["member 2 has the unknown key 'wieght'", "did you mean 'weight'?", "path, weight"],
    ),
    "member without path": (
        {"members": [{"weight": 2}]},
        ["member 1 has the keys weight", "needed is also path", "add it"],
    ),
    "without name": ({"name": ...}, ["has the keys members", "needed is also name", "add it"]),
    "without members": ({"members": ...}, ["has the keys name", "needed is also members"]),
    "no format": ({"format": ...}, ["its format is not 1", '"format": 1', "upgrade"]),
    "newer format": ({"format": 2}, ["its format is not 1", "upgrade"]),
}

GOOD = {"format": FORMAT, "name": "e", "members": [{"path": "a"}]}


@pytest.mark.parametrize("cause", BAD | NOT_A_CARD)
def test_nonsense_is_refused(cause: str, tmp_path: Path) -> None:
    changes, expected = (BAD | NOT_A_CARD)[cause]
    fields = {key: value for key, value in (GOOD | changes).items() if value is not ...}
    (tmp_path / "ensemble.json").write_text(json.dumps(fields))
    with pytest.raises(CheckpointError) as caught:
        read_ensemble(tmp_path)
    for part in (f"{tmp_path / 'ensemble.json'}: ", *expected):
        assert part in str(caught.value)


@pytest.mark.parametrize("cause", BAD)
def test_nonsense_is_not_written(cause: str, tmp_path: Path) -> None:
    changes, expected = BAD[cause]
    values = {"name": "e", "members": GOOD["members"]} | changes
    values["members"] = tuple(Member(**member) for member in values["members"])
    with pytest.raises(CheckpointError) as caught:
        write_ensemble(EnsembleCard(**values), tmp_path / "ens")
    for part in (f"{tmp_path / 'ens' / 'ensemble.json'}: ", *expected):
        assert part in str(caught.value)
    assert not (tmp_path / "ens").exists()


@pytest.mark.parametrize("content", [b"", b"{'name'", b"\xff\xfe\x00", b"{"])
def test_what_is_not_json_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "ensemble.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"ensemble\.json: cannot be read as JSON .*anew"):
        read_ensemble(tmp_path)


@pytest.mark.parametrize("content", [b"[1]", b"7", b"null", b'[["name", "e"]]'])
def test_json_that_is_no_object_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "ensemble.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"needed is a JSON object with name, members"):
        read_ensemble(tmp_path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"ensemble\.json: cannot be read .*No such file"):
        read_ensemble(tmp_path)


def test_a_folder_is_a_checkpoint_or_an_ensemble(tmp_path: Path, build: Build) -> None:
    folder = build({"a": 1})
    (folder / "model.json").touch()
    for act in (flat_members, read_ensemble, lambda folder: write_ensemble(CARD, folder)):
        with pytest.raises(CheckpointError) as caught:
            act(folder)
        for part in (f"{folder / 'ensemble.json'}: model.json lies beside it", "one of the two"):
            assert part in str(caught.value)


# --- Members and their weights ----------------------------------------------------------------


def test_a_checkpoint_is_its_own_member(tmp_path: Path) -> None:
    assert flat_members(tmp_path / "nowhere") == [(tmp_path / "nowhere", 1.0)]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ((1, 1), (0.5, 0.5)),
        ((3, 1), (0.75, 0.25)),
        ((0.1,), (1.0,)),
        ((1e308, 1e308, 1e308), (1 / 3,) * 3),
        ((1.7e308, 5e-324), (1.0, 0.0)),
        ((10**308, 10**308), (0.5, 0.5)),
    ],
)
def test_weights_are_shares(
    weights: tuple[float, ...], expected: tuple[float, ...], build: Build
) -> None:
    folder = build({f"m{index}": weight for index, weight in enumerate(weights)})
    assert tuple(shares(folder).values()) == pytest.approx(expected, rel=1e-15)


def test_an_ensemble_shares_its_weight_out(build: Build) -> None:
    """Fold a counts 3/4: its snapshots 1/4 of that, and 3/4, of which one half each."""
    deepest = {"t1": 5, "t2": 5}
    folder = build({"a": (3, {"s1": 10, "x/s2": (30, deepest)}), "b": 1})
    exact = {
        "a/s1": Fraction(3, 4) * Fraction(1, 4),
        "a/x/s2/t1": Fraction(3, 4) * Fraction(3, 4) * Fraction(1, 2),
        "a/x/s2/t2": Fraction(3, 4) * Fraction(3, 4) * Fraction(1, 2),
        "b": Fraction(1, 4),
    }
    found = shares(folder)
    assert list(found) == list(exact)
    assert found == {path: pytest.approx(float(share), abs=1e-15) for path, share in exact.items()}


@settings(deadline=None, max_examples=30)
@given(
    weights=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=6),
    scale=st.floats(1e-6, 1e6),
    data=st.data(),
)
def test_only_ratios_count_and_no_order(
    weights: list[float],
    scale: float,
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("ens")
    members = [Member(f"m{index}", weight) for index, weight in enumerate(weights)]
    for member in members:
        (folder / member.path).mkdir()
    write_ensemble(EnsembleCard(name="e", members=tuple(members)), folder)
    first = shares(folder)
    assert sum(first.values()) == pytest.approx(1.0, abs=1e-14)
    assert list(first.values()) == pytest.approx(list(np.array(weights) / np.sum(weights)))
    mixed = data.draw(st.permutations(members))
    write_ensemble(EnsembleCard(name="e", members=tuple(mixed)), folder)
    assert shares(folder) == first
    scaled = tuple(Member(member.path, member.weight * scale) for member in members)
    write_ensemble(EnsembleCard(name="e", members=scaled), folder)
    assert shares(folder) == pytest.approx(first, rel=1e-12)


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        flat_members(folder)
    return str(caught.value)


@pytest.mark.parametrize("what", ["nothing", "a file", "a link to nothing", "a link to itself"])
def test_a_missing_member_is_named(what: str, build: Build) -> None:
    folder = build({"a": 1, "b": 1})
    (folder / "b").rmdir()
    if what == "a file":
        (folder / "b").touch()
    elif what != "nothing":
        (folder / "b").symlink_to("b" if what.endswith("itself") else "c")
    message = refusal(folder)
    for part in (f"{folder / 'ensemble.json'}: ", "'b' is missing", "checkpoint folder", "copy it"):
        assert part in message


@pytest.mark.parametrize("target", ["elsewhere", "ens", ".", "ens-twin/c"])
def test_a_link_that_leads_outside_is_refused(target: str, tmp_path: Path, build: Build) -> None:
    folder = build({"a": 1, "b": 1})
    (tmp_path / target).mkdir(exist_ok=True, parents=True)
    (folder / "b").rmdir()
    (folder / "b").symlink_to(tmp_path / target)
    message = refusal(folder)
    for part in ("ens/ensemble.json: ", "'b' is a link", str(tmp_path / target), "copy the"):
        assert part in message


def test_an_ensemble_is_closed_towards_the_one_above_it(build: Build) -> None:
    """What lists only its own can be copied to another place as it is."""
    folder = build({"a": 1, "b": (1, {"c": 1})})
    (folder / "b" / "c").rmdir()
    (folder / "b" / "c").symlink_to(folder / "a")
    assert "b/ensemble.json: the member 'c' is a link" in refusal(folder)


def test_links_inside_are_followed_and_the_ensemble_may_itself_be_one(
    tmp_path: Path, build: Build
) -> None:
    folder = build({"a": 1, "b": 3})
    (folder / "b").rename(folder / "epoch17")
    (folder / "b").symlink_to("epoch17")
    (tmp_path / "link").symlink_to(folder)
    assert shares(tmp_path / "link") == {"a": 0.25, "b": 0.75}


def test_a_checkpoint_counts_once(build: Build) -> None:
    folder = build({"a": 1, "b": 1, "c": (1, {"d": 1})})
    (folder / "b").rmdir()
    (folder / "b").symlink_to("a")
    message = refusal(folder)
    for part in ("ens/ensemble.json: ", "'a' and 'b' are the same", "each once", "its weight"):
        assert part in message
    write_ensemble(
        EnsembleCard(name="e", members=(Member("a"), Member("c"), Member("c/d"))), folder
    )
    assert "'c/d' and 'c/d' are the same" in refusal(folder)


def test_nested_ensembles_average_the_same(build: Build) -> None:
    folder = build({"a": 1, "b": (1, {"c": 1})}, combine="logit")
    message = refusal(folder)
    for part in ("combine is 'logit'", "'b' has 'probability'", "the same in both", "correct"):
        assert part in message
    write_ensemble(replace(read_ensemble(folder / "b"), combine="logit"), folder / "b")
    assert shares(folder) == {"a": 0.5, "b/c": 0.5}


def test_a_damaged_ensemble_within_one_is_named(build: Build) -> None:
    folder = build({"a": 1, "b": (1, {"c": 1})})
    (folder / "b" / "ensemble.json").write_text("{")
    assert f"{folder / 'b' / 'ensemble.json'}: cannot be read" in refusal(folder)


@pytest.mark.parametrize("extra", [0, 1])
def test_ensembles_nest_only_so_deep(extra: int, build: Build) -> None:
    members: dict[str, Any] = {"m": 1}
    for _ in range(MAX_DEPTH - 1 + extra):
        members = {"m": (1, members)}
    folder = build(members)
    if extra == 0:
        assert list(shares(folder).values()) == [1.0]
        return
    message = refusal(folder)
    for part in (
        f"at level {MAX_DEPTH + 1}",
        f"allowed are {MAX_DEPTH} levels",
        "list its members",
    ):
        assert part in message


def test_all_files_that_decide_are_listed(build: Build, tmp_path: Path) -> None:
    folder = build({"a": 1, "b": (1, {"c": 1})})
    found = [path.relative_to(folder).as_posix() for path in model_files(folder)]
    names = ("model.json", "weights.safetensors")
    checkpoints = [[f"{member}/{name}" for name in names] for member in ("a", "b/c")]
    assert found == ["ensemble.json", *checkpoints[0], "b/ensemble.json", *checkpoints[1]]
    assert model_files(tmp_path / "x") == [tmp_path / "x" / name for name in names]


def test_the_sum_of_weights_is_exact_in_any_order(build: Build) -> None:
    """In floating point 0.1 + 0.2 + 0.3 depends on the order."""
    assert (0.1 + 0.2) + 0.3 != 0.1 + (0.2 + 0.3)
    folder = build({"a": 0.1, "b": 0.2, "c": 0.3})
    first, members = shares(folder), read_ensemble(folder).members
    for mixed in itertools.permutations(members):
        write_ensemble(EnsembleCard(name="e", members=mixed), folder)
        assert shares(folder) == first


def test_the_example_of_the_documentation_gives_its_figures(build: Build) -> None:
    text = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
    example = re.findall(r"```json\n(\{.*?\n\})\n```", text, re.DOTALL)[0]
    inner = {f"cycle{number + 1}": 2 for number in range(5)}
    folder = build({"densenet121": 1, "resnet50": 1, "snapshots": (1, inner)})
    (folder / "ensemble.json").write_text(example)
    expected = [3 / 6, 2 / 6, *[1 / 30] * 5]
    assert list(shares(folder).values()) == pytest.approx(expected, rel=1e-14)
