"""How often sound clips are flagged, and how often each defect is: `find_roi` on phantom videos.

Every clip goes through H.264. Sound ones, with and without visible background in turn, lack the
defects that phantoms have by chance: those would be found. The makers of the defects are those of
the tests.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from stallscan.errors import OutlineNotFoundError
from stallscan.roi import Verdict, find_roi
from stallscan.types import Label, UInt8Array
from stallscan.video import read_stack, write_clip

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "roi"))
from defects import DEFECTS, NUISANCES, Phantom, render

RESULTS = Path(__file__).parent / "results" / "flags-cpu.csv"
Found = list[tuple[str, list[str]]]
"""Case and its words, for every video made of one scene."""


def words(array: UInt8Array, path: Path) -> list[str]:
    """All that is suspect about a clip once it was written and read again."""
    write_clip(path, array, preset="veryfast")
    try:
        roi = find_roi(read_stack(path))
    except OutlineNotFoundError:
        return [Verdict.MISSING.value]
    verdict = [] if roi.verdict is Verdict.OK else [roi.verdict.value]
    return [*verdict, *(flag.value for flag in roi.flags)]


def sound(seed: tuple[int, ...]) -> Found:
    """One sound clip."""
    visible = seed[-1] // 2 % 2 == 1
    phantom = _render(seed, visible)
    with tempfile.TemporaryDirectory() as folder:
        return [(_case("sound", visible), words(phantom.drawn(), Path(folder) / "clip.mp4"))]


def defective(seed: tuple[int, ...]) -> Found:
    """Every defect and nuisance on one scene."""
    return list(_defective(seed))


def _defective(seed: tuple[int, ...]) -> Iterator[tuple[str, list[str]]]:
    with tempfile.TemporaryDirectory() as folder:
        for visible in (False, True):
            phantom = _render(seed, visible)
            for name, defect in (DEFECTS | NUISANCES).items():
                if visible and not defect.is_black:
                    continue
                try:
                    array = defect.make(phantom, np.random.default_rng(seed))
                except LookupError:  # no place in this scene for another outline
                    continue
                yield _case(name, visible), words(array, Path(folder) / "clip.mp4")


def _render(seed: tuple[int, ...], visible: bool) -> Phantom:
    cv2.setNumThreads(1)
    return render(seed, Label(seed[-1] % 2), visible_background=visible)


def _case(name: str, visible: bool) -> str:
    return f"{name}, visible background" if visible else name


def main() -> None:
    """Count the words of all cases."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sound", type=int, default=500, help="sound clips")
    parser.add_argument("--defective", type=int, default=40, help="scenes for every defect")
    parser.add_argument("--seed", type=int, default=4242, help="other than any training seed")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    n_clips, counts = Counter[str](), Counter[tuple[str, str]]()
    with ProcessPoolExecutor(2) as pool:
        # The long jobs first.
        jobs = [pool.submit(defective, (options.seed, 1, i)) for i in range(options.defective)]
        jobs += [pool.submit(sound, (options.seed, 0, i)) for i in range(options.sound)]
        for job in tqdm(as_completed(jobs), total=len(jobs), unit="scene"):
            for case, found in job.result():
                n_clips[case] += 1
                counts.update((case, word) for word in (*found, "any") if found)
    expected = {_case(name, visible): DEFECTS[name].word for name in DEFECTS for visible in (0, 1)}
    rows = []
    for case, n in sorted(n_clips.items()):
        asked = {expected.get(case, "any"), *(word for c, word in counts if c == case)} - {"any"}
        for word in ("any", *sorted(asked)):
            flagged = counts[case, word]
            rows.append((case, n, word, flagged, round(flagged / n, 4)))
    table = pd.DataFrame(rows, columns=["case", "clips", "word", "flagged", "share"])
    table.to_csv(options.out, index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
