"""The exception tree (a leaf).

A message names the file, what failed, the value found, what is allowed and what to do. Every class
carries the exit code with which the command line ends when nobody catches it.
"""

from __future__ import annotations


class StallscanError(Exception):
    """Base of every error that stallscan raises on purpose."""

    exit_code = 3


class UsageError(StallscanError):
    """The command or call itself is wrong: an option, a combination, an output that is taken."""

    exit_code = 2


class OptionError(UsageError, ValueError):
    """A value outside what an option or argument allows."""


class OutputConflictError(UsageError):
    """The output exists and belongs to another run, or another process is writing it."""


class OutputHeldError(OutputConflictError):
    """Another process is writing the output; it can be had when that one has ended."""


class InputError(StallscanError):
    """Something that was read is missing, damaged or inconsistent."""


class VideoError(InputError):
    """A file that cannot be read as a stack of frames."""


class DamagedVideoError(VideoError):
    """A file that breaks off after its first frames, which may be had with ``partial=True``.

    Attributes:
        damage: what is wrong, without file and remedy: ``"45 of 97 frames decoded, then: …"``.
    """

    def __init__(self, message: str, *, damage: str) -> None:
        super().__init__(message)
        self.damage = damage


class FetchError(VideoError):
    """An object in a bucket that is not there, may not be read, or could not be fetched."""


class OutlineNotFoundError(InputError):
    """No drawn outline in any frame of a clip."""


class TableError(InputError):
    """A CSV table with missing columns, wrong values or duplicate rows."""


class StoreError(InputError):
    """A ROI store that is missing, incomplete, damaged or not one, or that cannot be written."""


class CheckpointError(InputError):
    """A checkpoint folder that is missing, damaged or does not fit."""


class ClusterError(StallscanError):
    """A cluster cannot be joined, or gave up; what is done is kept."""

    exit_code = 1


class TrainingError(StallscanError):
    """Training cannot go on; the last good checkpoint is kept and named."""
