"""3D networks, their 2D twins, and the checkpoint folder."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "card": ["ModelCard", "read_card"],
        "checkpoint": ["DEFAULT_MODEL_DIR", "load_checkpoint", "save_checkpoint"],
        "registry": ["create_model", "list_models"],
    },
)
