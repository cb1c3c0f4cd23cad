"""The drawn outline → Roi (box, mask, verdict) → Volume, and the persistence score.

Names load on first use.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "color": ["line_mask", "orange_mask"],
        "extract": ["extract_roi"],
        "extraction": ["Extraction"],
        "find": ["find_roi"],
        "frames": ["FrameFlag"],
        "options": ["RoiOptions"],
        "outline": ["locate_outline"],
        "persistence": ["persistence_score"],
        "region": ["Roi"],
        "verdict": ["Verdict"],
        "volume": ["Volume"],
    },
)
