"""The phantom: vessels, blood, a slow raster microscope, the orange outline, and the truth."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "dataset": ["SimulateOptions", "simulate"],
        "phantom": ["phantom_clip", "phantom_roi", "phantom_truth"],
        "scene": ["Scene", "sample_scene"],
        "settings": ["PRESETS", "Settings", "load_settings"],
        "state": ["State"],
        "truth": ["Truth"],
    },
)
