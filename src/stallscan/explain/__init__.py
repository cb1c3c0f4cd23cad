"""Why: heatmaps of what a network looked at, and the vessel straightened, slice after slice."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "attention": ["attention", "to_rgb"],
        "grad_cam": ["grad_cam"],
        "kymograph": ["Kymograph", "kymograph"],
        "occlusion": ["occlusion"],
    },
)
