"""Past one machine: how `predict --cluster ray` grows, and what its driver holds.

- `nodes`: two Ray nodes of one core each against one, in turns, on the same videos. Each node's
  processes are pinned to a core of their own; the rate is that after start-up, from the first chunk
  that comes back to the last one.
- `driver`: a table of 573,048 videos whose source is a stub: seconds and memory of planning and
  bookkeeping alone, for the whole and for a tenth.
- `s3`: some hundred phantoms in a bucket of moto's: the same table as from disk; with a tenth of
  the requests failing; and how much time the bucket adds.

Run as `python benchmarks/scale.py nodes|driver|s3 [--help]`. Tables go to results/scale-*-cpu.csv.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure, print and write a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("nodes", "driver", "s3"))
    parser.add_argument("--work", type=Path, default=Path("scale-work"), help="scratch folder")
    parser.add_argument("--n", type=int, help="videos")
    parser.add_argument("--unique", type=int, default=60, help="of them different ones")
    parser.add_argument("--rounds", type=int, default=2, help="of nodes")
    parser.add_argument("--model", type=Path, default=Path("default"))
    parser.add_argument("--flips", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="of s3, that decode")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    options.out = options.out or RESULTS / f"scale-{options.what}-cpu.csv"
    options.work.mkdir(parents=True, exist_ok=True)
    if options.what == "nodes":
        from scaling.nodes import measure
    elif options.what == "driver":
        from scaling.driver import measure
    else:
        from scaling.s3 import measure
    measure(options)


if __name__ == "__main__":
    main()
