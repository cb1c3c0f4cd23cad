"""What a user chooses beside the recipe (read without torch)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stallscan.errors import OptionError


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """What a run is told beside its recipe; of these, seed and start alone decide its result."""

    seed: int = 0
    """Decides the initial weights and every sample."""
    start: Path | None = None
    """Run or checkpoint whose weights are the first ones; the recipe says whether it needs one."""
    workers: int = 2
    """Processes that make samples, on each device; 0 makes them in the training process."""
    device: str = "auto"
    """Lightning accelerator: auto, cpu, gpu."""
    devices: int = 1
    """Devices of this machine that share each step."""
    nodes: int = 1
    """Machines that do, started by SLURM or torchrun."""
    phantoms: Path | None = None
    """Folder that keeps phantoms that come again, for several runs; by default in the run's."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**31:  # with the step's number it must fit torch's 64 bits
            raise OptionError(
                f"--seed is {self.seed}, allowed are 0 to {2**31 - 1}; choose another"
            )
        if self.workers < 0:
            raise OptionError(
                f"--workers is {self.workers}, allowed are 0 and above; 0 makes samples in the "
                "training process"
            )
        for name in ("devices", "nodes"):
            if getattr(self, name) < 1:
                raise OptionError(f"--{name} is {getattr(self, name)}, allowed are 1 and above")
