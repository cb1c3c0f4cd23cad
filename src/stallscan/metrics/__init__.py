"""Binary scores, curves and bootstrap intervals (NumPy and scikit-learn only)."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "binary": [
            "METRICS",
            "AtPrevalence",
            "BestThreshold",
            "Scores",
            "at_prevalence",
            "best_mcc_threshold",
            "binary_scores",
        ],
        "bootstrap": [
            "Interval",
            "bootstrap_intervals",
            "bootstrap_weights",
            "weighted_metrics",
        ],
        "curves": ["Curves", "binary_curves"],
    },
)
