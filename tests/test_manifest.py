"""The record beside an output: new, partial, complete; refused, locked, overwritten."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stallscan.errors import OptionError, OutputConflictError
from stallscan.manifest import Manifest, State, open_output

OPTIONS = {"seed": 7, "size": (48, 64, 64), "model": Path("a/b"), "flips": 8}


@contextmanager
def opened(out: Path, **changes: object) -> Iterator[Manifest]:
    arguments = {"command": "predict", "options": OPTIONS} | changes
    with open_output(out, **arguments) as run:
        yield run


def refusal(out: Path, **changes: object) -> str:
    with pytest.raises(OutputConflictError) as caught, opened(out, **changes):
        pytest.fail("opened")
    return str(caught.value)


# --- States -----------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", [True, False])
def test_new_then_partial_then_complete(tmp_path: Path, folder: bool) -> None:
    out = tmp_path / "deep" / "out"
    record_path = out / "run.json" if folder else tmp_path / "deep" / "out.run.json"
    with opened(out, folder=folder) as run:
        assert (run.state, run.path) == (State.NEW, record_path)
        assert json.loads(record_path.read_text())["state"] == "partial"
        run.update(n_done=3)
    with opened(out, folder=folder) as run:
        assert run.state is State.PARTIAL
        assert run.record["n_done"] == 3
        if not folder:
            out.touch()
        run.complete(exit_code=3, n_failed=1)
    with opened(out, folder=folder) as run:
        assert run.state is State.COMPLETE
        assert run.exit_code == 3
        assert run.record["n_failed"] == 1
    record = json.loads(record_path.read_text())
    assert record["command"] == "predict"
    assert record["options"] == {"seed": 7, "size": [48, 64, 64], "model": "a/b", "flips": 8}
    assert record["started"] <= record["finished"]


def test_a_complete_output_that_somebody_removed_is_made_again(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    with opened(out, folder=False) as run:
        out.touch()
        run.complete(exit_code=0)
    out.unlink()
    with opened(out, folder=False) as run:
        assert run.state is State.PARTIAL


def test_overwrite_spares_the_output_of_another_verb(tmp_path: Path) -> None:
    """`describe DATA --out DATA --overwrite` must not cost the data."""
    with open_output(tmp_path / "ds", command="simulate", options={}) as run:
        (tmp_path / "ds" / "train_labels.csv").write_text("precious")
        run.complete(exit_code=0)
    for overwrite, match in (
        (True, "only removes folders that `stallscan describe`"),
        (False, "by `stallscan simulate`, not `stallscan describe`"),
    ):
        output = open_output(tmp_path / "ds", command="describe", options={}, overwrite=overwrite)
        with pytest.raises(OutputConflictError, match=match), output:
            pass
    assert (tmp_path / "ds" / "train_labels.csv").read_text() == "precious"


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_foreign_part_is_not_overwritten(tmp_path: Path, overwrite: bool) -> None:
    part = tmp_path / "rois.csv"
    part.write_text("precious")
    output = open_output(
        tmp_path / "rois",
        command="extract",
        options={},
        folder=False,
        parts=(part,),
        overwrite=overwrite,
    )
    match = r"rois\.csv: exists, was not written by this"
    with pytest.raises(OutputConflictError, match=match), output:
        pass
    assert part.read_text() == "precious"


def test_an_exception_leaves_it_partial_and_free(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), opened(tmp_path / "out"):
        raise KeyboardInterrupt
    with opened(tmp_path / "out") as run:
        assert run.state is State.PARTIAL


# --- Refusals ---------------------------------------------------------------------------------


def test_all_differences_are_named(tmp_path: Path) -> None:
    with opened(tmp_path / "out"):
        pass
    other = {"seed": 8, "size": (48, 64, 64), "model": Path("a/b"), "engine": "onnx"}
    message = refusal(tmp_path / "out", options=other)
    assert message.startswith(str(tmp_path / "out"))
    for part in ("seed was 7, now 8", "flips was 8, now None", "engine was None, now 'onnx'"):
        assert part in message
    assert "size" not in message and "model" not in message
    assert "repeat the first command" in message and "--overwrite" in message


def test_another_verb_s_output(tmp_path: Path) -> None:
    with opened(tmp_path / "out"):
        pass
    message = refusal(tmp_path / "out", command="train")
    assert "written by `stallscan predict`, not `stallscan train`" in message
    assert "choose another --out" in message


def test_a_foreign_folder(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    message = refusal(tmp_path)
    for part in (str(tmp_path), "was not written by `stallscan predict`", "no run.json"):
        assert part in message
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["notes.txt"]


def test_an_empty_folder_is_welcome(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with opened(tmp_path / "out") as run:
        assert run.state is State.NEW


def test_a_foreign_file(tmp_path: Path) -> None:
    out = tmp_path / "p.csv"
    out.write_text("mine")
    message = refusal(out, folder=False)
    for part in (str(out), "was not written by `stallscan predict`", "no p.csv.run.json"):
        assert part in message
    assert out.read_text() == "mine"


@pytest.mark.parametrize("folder", [True, False])
def test_file_and_folder_are_not_taken_for_each_other(tmp_path: Path, folder: bool) -> None:
    out = tmp_path / "out"
    out.write_text("x") if folder else out.mkdir()
    found, needed = ("a file", "a folder") if folder else ("a folder", "a file")
    assert f"{out}: is {found}, but the output is {needed}" in refusal(out, folder=folder)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1, 2]",
        "7",
        "{}",
        '{"command": "predict", "options": {}}',
        '{"command": "predict", "options": {}, "state": "half"}',
        '{"command": "predict", "options": null, "state": "partial"}',
        '{"command": "predict", "options": ["seed"], "state": "partial"}',
        '{"command": "predict", "options": "seed", "state": "partial"}',
        "\udcff",
    ],
)
def test_what_is_no_record(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_bytes(text.encode(errors="surrogateescape"))
    message = refusal(tmp_path)
    assert message.startswith(f"{tmp_path / 'run.json'}: is not a stallscan run record (")
    assert "choose another --out, or remove what is there" in message


@pytest.mark.parametrize("text", ["", "[1, 2]", "7", '{"run": "of another tool"}'])
def test_overwrite_spares_a_folder_with_the_record_of_another_tool(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "run.json").write_text(text)
    assert "no run.json of it" in refusal(tmp_path, overwrite=True)
    assert (tmp_path / "run.json").read_text() == text


def test_overwrite_replaces_a_damaged_record_of_ours(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"command": "predict", "options": null}')
    with opened(tmp_path, overwrite=True) as run:
        assert run.state is State.NEW


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError) as caught, opened(tmp_path / "file/in/out"):
        pytest.fail("opened")
    for part in ("file/in/out", "cannot be written (Not a directory)", "choose a writable --out"):
        assert part in str(caught.value)


# --- Overwriting ------------------------------------------------------------------------------


def test_overwrite_removes_our_folder_and_nothing_beside_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with opened(out) as run:
        (out / "old.csv").write_text("old")
        run.complete(exit_code=0)
    (tmp_path / "beside.txt").write_text("mine")
    with opened(out, overwrite=True, options={"seed": 1}) as run:
        assert run.state is State.NEW
        assert [path.name for path in out.iterdir()] == ["run.json"]
    assert (tmp_path / "beside.txt").read_text() == "mine"


def test_overwrite_removes_a_file_its_record_and_its_parts(tmp_path: Path) -> None:
    out, part = tmp_path / "p.csv", tmp_path / "p.csv.partial"
    with opened(out, folder=False):
        out.write_text("old")
        part.write_text("half")
    with opened(out, folder=False, overwrite=True, parts=(part,)) as run:
        assert run.state is State.NEW
        assert not out.exists() and not part.exists()


def test_overwrite_spares_a_foreign_folder(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    message = refusal(tmp_path, overwrite=True)
    for part in (
        str(tmp_path),
        "only removes folders that `stallscan predict` wrote",
        "remove it yourself",
    ):
        assert part in message
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_overwriting_nothing_is_allowed(tmp_path: Path) -> None:
    with opened(tmp_path / "out", overwrite=True) as run:
        assert run.state is State.NEW


# --- Outputs within outputs -------------------------------------------------------------------


def test_a_folder_may_hold_outputs_that_were_made_before_it(tmp_path: Path) -> None:
    """The runs of a set, made job by job: each has its record, and its lock lies beside it."""
    out = tmp_path / "out"
    with opened(out / "fold0") as run:
        run.complete(exit_code=0)
    assert (out / ".fold0.lock").exists()
    assert "was not written by" in refusal(out)
    assert "was not written by" in refusal(out, holds={"fold1"})
    with opened(out, holds={"fold0", "fold1"}) as run:
        assert run.state is State.NEW
    with opened(out / "fold0") as run:
        assert run.state is State.COMPLETE


def test_what_else_lies_in_such_a_folder_is_not_ours(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with opened(out / "fold0"):
        pass
    (out / "thesis.tex").write_text("mine")
    assert "choose another --out or pass --overwrite" in refusal(out, holds={"fold0"})
    assert (out / "thesis.tex").read_text() == "mine"


# --- The lock ---------------------------------------------------------------------------------

HOLDER = """
import sys, time
from pathlib import Path
from stallscan.manifest import open_output
with open_output(Path(sys.argv[1]), command="predict", options={"seed": 1}):
    print("held", flush=True)
    time.sleep(60)
"""


def test_two_runs_never_share_an_output(tmp_path: Path) -> None:
    """Refused while another process holds it; free at once after a kill -9."""
    out = tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(out)], stdout=subprocess.PIPE, text=True
    ) as holder:
        try:
            assert holder.stdout is not None and holder.stdout.readline() == "held\n"
            for overwrite in (False, True):
                message = refusal(out, options={"seed": 1}, overwrite=overwrite)
                assert message.startswith(f"{out}: another stallscan process is writing")
                assert "wait for it or choose another --out" in message
        finally:
            holder.send_signal(signal.SIGKILL)
    with opened(out, options={"seed": 1}) as run:
        assert run.state is State.PARTIAL


def test_one_process_does_not_open_it_twice_either(tmp_path: Path) -> None:
    with opened(tmp_path / "out"):
        assert "another stallscan process" in refusal(tmp_path / "out")


def test_a_kill_while_the_record_is_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path / "out") as run:
        run.update(n_done=1)
        before = run.path.read_text()

        def killed(self: Path, text: str) -> int:
            self.write_bytes(text.encode()[:20])
            raise KeyboardInterrupt

        monkeypatch.setattr(Path, "write_text", killed)
        with pytest.raises(KeyboardInterrupt):
            run.update(n_done=2)
        assert run.path.read_text() == before
