"""The record beside every output: what made it, whether it is complete, and who is writing it.

The same command again resumes a partial output, does nothing on a complete one, and is refused when
its options differ from those of the first start, unless it may overwrite.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from stallscan.errors import OptionError, OutputConflictError, OutputHeldError


class State(StrEnum):
    """What was found at the place of the output."""

    NEW = "new"
    PARTIAL = "partial"
    COMPLETE = "complete"


@dataclass(slots=True)
class Manifest:
    """An open output: ``state`` as found, and the record that is written back.

    Attributes:
        path: the JSON file.
        state: what was found when the output was opened.
        record: what stands in the file: command, options, times, exit code, results.
    """

    path: Path
    state: State
    record: dict[str, Any]

    @property
    def exit_code(self) -> int:
        """The exit code of the run that completed the output."""
        return int(self.record.get("exit_code", 0))

    def update(self, **entries: Any) -> None:
        """Write entries (what was decided at the start, counts so far) into the record."""
        self.record.update(_plain(entries))
        _write_json(self.path, self.record)

    def complete(self, *, exit_code: int, **results: Any) -> None:
        """Mark the output complete."""
        self.update(state=State.COMPLETE, exit_code=exit_code, finished=_now(), **results)


@contextmanager
def open_output(
    out: Path,
    *,
    command: str,
    options: Mapping[str, Any],
    folder: bool = True,
    overwrite: bool = False,
    parts: tuple[Path, ...] = (),
    holds: Collection[str] = (),
) -> Iterator[Manifest]:
    """Open an output file or folder for this process alone.

    Args:
        out: the output.
        command: the verb.
        options: everything that decides the content of the output; JSON-like values and paths.
        folder: whether the output is a folder (record at ``<out>/run.json``) or a file (record at
            ``<out>.run.json``).
        overwrite: remove what stallscan wrote there and start anew.
        parts: further files that belong to the output and go with it when it is overwritten.
        holds: names of outputs with records of their own that may lie in the folder already.

    Raises:
        OutputConflictError: the output belongs to another run.
        OutputHeldError: it is being written now.
        OptionError: the output cannot be created.
    """
    record_path = out / "run.json" if folder else out.with_name(out.name + ".run.json")
    _check_place(out, folder=folder)
    with _locked(out):
        is_ours = _is_of(record_path, command)
        if overwrite:
            if out.is_dir() and any(out.iterdir()) and not is_ours:
                raise OutputConflictError(
                    f"{out}: --overwrite only removes folders that `stallscan {command}` wrote, "
                    f"and this one has no {record_path.name} of it; remove it yourself or choose "
                    "another --out"
                )
            _remove(out, record_path, *(parts if is_ours else ()))
        taken = [part for part in parts if part.exists()]
        if taken and not record_path.exists():
            raise OutputConflictError(
                f"{taken[0]}: exists, was not written by this command and would be overwritten; "
                "move it, or choose another --out"
            )
        yield _open(out, record_path, command, _plain(options), holds)


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Keep other processes off an output.

    The lock lies beside the output, which may be removed meanwhile, and stays there: removing a
    lock that another process may just have opened would let two of them in.
    """
    path = out.with_name(_lock_name(out.name))
    # The wait is for the workers of a killed process, which end a moment after it.
    lock = FileLock(path, timeout=2)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        path.touch()  # in an unwritable place FileLock would wait as if somebody held it
        lock.acquire()
    except Timeout as error:
        raise OutputHeldError(
            f"{out}: another stallscan process is writing this output; wait for it or choose "
            "another --out"
        ) from error
    except OSError as error:
        raise _unwritable(out, error) from error
    try:
        yield
    finally:
        lock.release()


def _lock_name(name: str) -> str:
    return f".{name}.lock"


def _is_of(record_path: Path, command: str) -> bool:
    """Whether a record says that this verb made the output."""
    try:
        record = json.loads(record_path.read_text())
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and record.get("command") == command


def _check_place(out: Path, *, folder: bool) -> None:
    if out.exists() and out.is_dir() != folder:
        found, needed = ("a file", "a folder") if folder else ("a folder", "a file")
        raise OutputConflictError(f"{out}: is {found}, but the output is {needed}; choose another")


def _unwritable(out: Path, error: OSError) -> OptionError:
    return OptionError(
        f"{out}: cannot be written ({error.strerror or error}); choose a writable --out"
    )


def _open(
    out: Path, record_path: Path, command: str, options: dict[str, Any], holds: Collection[str]
) -> Manifest:
    if not record_path.exists():
        expected = {*holds, *(_lock_name(name) for name in holds)}
        if out.is_file() or (out.is_dir() and {p.name for p in out.iterdir()} - expected):
            raise OutputConflictError(
                f"{out}: exists and was not written by `stallscan {command}` (no "
                f"{record_path.name}); choose another --out or pass --overwrite"
            )
        record = {"command": command, "options": options, "state": "partial", "started": _now()}
        try:
            record_path.parent.mkdir(parents=True, exist_ok=True)
            _write_json(record_path, record)
        except OSError as error:
            raise _unwritable(out, error) from error
        return Manifest(record_path, State.NEW, record)
    try:
        record = json.loads(record_path.read_text())
        found_command, found = record["command"], dict(record["options"])
        state = State(record["state"])
    except (ValueError, KeyError, TypeError) as error:
        raise OutputConflictError(
            f"{record_path}: is not a stallscan run record ({error}); choose another --out, or "
            "remove what is there"
        ) from error
    if found_command != command:
        raise OutputConflictError(
            f"{out}: was written by `stallscan {found_command}`, not `stallscan {command}`; choose "
            "another --out"
        )
    differences = [
        f"{key} was {found.get(key)!r}, now {options.get(key)!r}"
        for key in sorted({*found, *options})
        if found.get(key) != options.get(key)
    ]
    if differences:
        raise OutputConflictError(
            f"{out}: was started with other options ({'; '.join(differences)}); repeat the first "
            "command, choose another --out or pass --overwrite"
        )
    if state is State.COMPLETE and not out.exists():  # somebody has removed the output alone
        state = State.PARTIAL
    return Manifest(record_path, state, record)


def _remove(*paths: Path) -> None:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _plain(value: Any) -> Any:
    """The value as JSON would give it back, so that records compare by ``==``."""
    return json.loads(json.dumps(value, default=str))


def _write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write atomically: a kill leaves the old record or the new one."""
    partial = path.with_name(path.name + ".tmp")
    partial.write_text(json.dumps(record, indent=2) + "\n")
    partial.replace(path)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
