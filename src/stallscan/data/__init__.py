"""Tables (metadata, labels, predictions, submission), subsets, folds; videos → ROI store."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "dataset": ["Tables", "read_tables"],
        "extract": ["ExtractOptions", "extract_to_store"],
        "folds": ["FOLD_KINDS", "assign_folds"],
        "matching": ["join_labels", "match_videos"],
        "metadata": ["read_metadata"],
        "reliability": ["STALLED_BY_SCORE", "crowd_targets", "label_reliability"],
        "rules": [
            "CROWDLESS_PROJECTS",
            "EXPERT_PROJECTS",
            "compare_with_rules",
            "crowd_scores",
            "label_by_rule",
            "tier1_by_rule",
        ],
        "rois": ["read_rois"],
        "store": ["RoiStore", "is_store"],
        "store_writer": ["StoreWriter"],
        "subsets": ["PAPER_FLOWING", "SUBSETS", "select_subset"],
        "tables": [
            "LABEL_COLUMNS",
            "METADATA_COLUMNS",
            "PREDICTION_COLUMNS",
            "STATUSES",
            "TEST_METADATA_COLUMNS",
            "only_decided",
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
