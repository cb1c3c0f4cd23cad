"""Have numba compile, once, what each process of the tests would compile; it keeps it."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np

from stallscan.errors import OptionError
from stallscan.simulate import phantom

sys.path.insert(0, str(Path(__file__).parent / "contracts"))

from transform_examples import EXAMPLES, SIZES, make, volume


def main() -> None:
    """A phantom, and every example of every transform on small volumes."""
    phantom.phantom_roi(0, "flowing")
    warnings.simplefilter("ignore")
    for name, examples in EXAMPLES.items():
        for options in examples:
            for dtype in ("uint8", "uint16", "float32"):
                for size in SIZES[:4:3]:
                    image = volume(size, dtype)
                    try:
                        make(name, options)(image=image, mask=np.ones(size[:3], bool), rng=0)
                    except OptionError:
                        continue  # a dtype that it does not take


if __name__ == "__main__":
    main()
