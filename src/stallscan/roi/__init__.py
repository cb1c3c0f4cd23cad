"""The orange outline → Roi (box, mask, verdict) → Volume, and the persistence score.

Names load on first use.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "extraction": ["Extraction"],
        "color": ["orange_mask"],
        "outline": ["OutlineFinder", "Roi", "find_roi", "find_roi_in_frames"],
        "persistence": ["persistence_score"],
        "verdict": ["Verdict"],
        "volume": ["Volume"],
    },
)
