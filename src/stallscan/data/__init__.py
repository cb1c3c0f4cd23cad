"""The tables: labels, predictions and the competition's submission."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "tables": [
            "LABEL_COLUMNS",
            "METADATA_COLUMNS",
            "PREDICTION_COLUMNS",
            "STATUSES",
            "TEST_METADATA_COLUMNS",
            "read_labels",
            "read_predictions",
        ],
        "submission": [
            "check_submission_filenames",
            "read_submission_format",
            "write_submission",
        ],
    },
)
