"""Finds stalled capillaries in two-photon stacks of the living mouse brain."""

import lazy_loader as _lazy

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submodules=["augment", "explain", "metrics", "models", "roi", "simulate", "training", "video"],
    submod_attrs={
        "inference": ["Prediction", "Predictor", "load_predictor"],
        "roi": ["Roi", "Verdict", "Volume", "find_roi", "persistence_score"],
        "types": ["Box", "Label"],
        "video": ["Clip", "iter_frames", "read_clip", "write_clip"],
    },
)
