"""3D networks, their 2D twins, ImageNet's weights in them, and the checkpoint folder."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "_network": ["FeatureInfo", "Network"],
        "box": ["IN_THE_BOX", "find_model"],
        "card": ["ModelCard", "read_card"],
        "checkpoint": ["load_checkpoint", "save_checkpoint"],
        "ensemble": [
            "EnsembleCard",
            "Member",
            "flat_members",
            "is_ensemble",
            "read_ensemble",
            "write_ensemble",
        ],
        "export": ["export_onnx"],
        "footprint": ["estimate_memory", "require_memory_for"],
        "inflation": ["LoadReport", "inflate_kernel", "load_weights"],
        "module_inflation": ["inflate_module"],
        "options": ["NetworkOptions"],
        "registry": ["create_model", "list_models"],
        "statistics": ["recalibrate_bn"],
    },
)
