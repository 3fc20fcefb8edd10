"""Names of the columns that are kept of each image."""

EVIDENCE = ("object_evidence", "ground_evidence")
PARTNER = "partner"


def columns_of(name: str) -> tuple[str, str]:
    """The columns of a map: AUC against the own mask, and its mean against masks of other categories."""
    return f"{name}_auc", f"{name}_auc_other"


def added_column(name: str) -> str:
    """Where the values of another package's map or measure are: never a column of the suite's own."""
    return f"added_{name}"
