"""The driver's side of a contender: its process, on one thread, and the talk with it."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parent
ONE_THREAD = {
    **{f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMBA")},
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1",
}


class ContenderProcess:
    """Measures one library when it is told to.

    Args:
        python: interpreter of the environment that has the library.
        script: name of the file in this folder.

    Raises:
        OSError: there is no such interpreter.
        ChildProcessError: the process ended; the message is the last line it wrote.
    """

    def __init__(self, python: Path | str, script: str) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (open as long as the process)
        self._process = subprocess.Popen(
            [python, HERE / f"{script}.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, **ONE_THREAD},
        )
        greeting = self._read()
        self.name: str = greeting["name"]
        self.licence: str = greeting["licence"]

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """One request, one answer."""
        assert self._process.stdin
        print(json.dumps({"do": do, **request}), file=self._process.stdin, flush=True)
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            self._process.communicate()
            self._errors.seek(0)
            said = self._errors.read().strip().splitlines()
            raise ChildProcessError(said[-1] if said else "it ended without a word")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.communicate()  # stdin closes, and with it the loop ends
        self._errors.close()
