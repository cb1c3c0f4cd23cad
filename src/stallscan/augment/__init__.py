"""What happens to a volume before a network sees it."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "evaluation": ["Preprocessing", "preprocess"],
        "mirror": ["FLIPS", "flip", "random_mirror"],
    },
)
