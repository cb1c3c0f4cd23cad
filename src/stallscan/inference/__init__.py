"""Checkpoint folder and volume in, probability and call out."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "batch": ["predict_all"],
        "options": ["PredictOptions"],
        "predictor": ["Prediction", "Predictor", "load_predictor"],
    },
)
