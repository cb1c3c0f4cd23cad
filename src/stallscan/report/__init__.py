"""Evaluation of predictions, as text, figures, an HTML page and a montage of the vessels."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "describe_options": ["DescribeOptions"],
        "description": ["Description", "describe"],
        "description_figure": ["description_figure"],
        "evaluation": [
            "EvaluateOptions",
            "Evaluation",
            "evaluate",
            "evaluate_joined",
        ],
        "figures": ["confusion_figure", "histogram_figure", "pr_figure", "roc_figure"],
        "joined": ["JoinedTables", "join_tables"],
        "html": ["write_report"],
        "montage": ["Tile", "sharpest_slices", "write_montage"],
    },
)
