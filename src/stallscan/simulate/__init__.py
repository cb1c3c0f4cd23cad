"""The phantom: vessels, blood, a slow raster microscope, the orange outline, and the truth."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "dataset": ["SimulateOptions", "simulate"],
        "phantom": ["Truth", "phantom_clip", "phantom_roi"],
        "scene": ["Scene", "sample_scene"],
    },
)
