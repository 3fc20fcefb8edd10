"""The columns of a table of trials: what they are called in the layouts in use, and what stands in for an absent one.

Two layouts are known: that of model-vs-human and texture-vs-shape (Geirhos et al. 2018-2021), which names everything
in every row, and "image, response, pred_label" (Gavrikov et al. 2024), one file per observer and prompt, whose names
say the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from benchmark.errors import TrialsError
from benchmark.stimuli.names import NO_ANSWER, PREFIX, image_id, read_pair

REQUIRED = ("subj", "object_response", "category", "condition", "imagename")
OPTIONAL = ("session", "trial", "rt", "decision_margin")
#: The other layout's column -> ours. "response" may be free text there: "pred_label" is what it was taken for.
LABELLED = {"image": "imagename", "pred_label": "object_response"}
#: How "pred_label" says that no category was named.
_NO_LABEL = frozenset({"", "none", "nan", NO_ANSWER})


@dataclass(frozen=True)
class Unsaid:
    """What is known of a table beside its columns.

    columns: what the table calls a column (lower case) -> what we call it; observer: who answered, whatever the table
    says.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    observer: str | None = None


NOTHING = Unsaid()


def stated_columns(text: str) -> dict[str, str]:
    """ "answer=object_response, file=imagename" of the command line, the table's name first. Raises TrialsError."""
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        theirs, _, ours = (piece.strip().lower() for piece in part.partition("="))
        if not theirs or ours not in (*REQUIRED, *OPTIONAL) or ours in found.values():
            raise TrialsError(
                f"--columns '{part}': expected THEIRS=OURS, each once, where OURS is one of "
                f"{', '.join((*REQUIRED, *OPTIONAL))}; such as 'file=imagename,answer=object_response'."
            )
        found[theirs] = ours
    return found


def read_header(path: Path, header: Sequence[str], unsaid: Unsaid) -> list[str]:
    """The columns under our names. Raises TrialsError where one is there twice, or is needed and not there."""
    lost = [theirs for theirs in unsaid.columns if theirs not in header]
    if lost:
        raise TrialsError(
            f"{path}, row 1: no column '{lost[0]}', which --columns names; found: {', '.join(header) or 'nothing'}."
        )
    names = [unsaid.columns.get(name, name) for name in header]
    if not set(LABELLED.values()) & set(names):
        names = [LABELLED.get(name, name) for name in names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TrialsError(f"{path}, row 1: the column '{twice[0]}' is there twice.")
    for name in REQUIRED:
        if name not in names and not _is_told(name, header, names, unsaid):
            raise TrialsError(_lacking(path, name, header))
    return names


def _is_told(name: str, header: Sequence[str], names: Sequence[str], unsaid: Unsaid) -> bool:
    """Whether something else says what a column would."""
    if name == "subj":
        return unsaid.observer is not None
    free = bool(unsaid.columns) or "pred_label" in header
    return free and name in ("condition", "category") and "imagename" in names


def _lacking(path: Path, name: str, header: Sequence[str]) -> str:
    ways = {"subj": " Or say who answered with `--observer NAME`."}
    return (
        f"{path}, row 1: no column '{name}'. Expected the columns {', '.join(REQUIRED)} "
        f"(and, if known, {', '.join(OPTIONAL)}), or {', '.join(LABELLED)}; found: "
        f"{', '.join(header) or 'nothing'}. `--columns THEIRS=OURS` says what others mean.{ways.get(name, '')}"
    )


def filled(
    path: Path, columns: dict[str, list[str]], rows: Sequence[int], unsaid: Unsaid
) -> dict[str, list[str]]:
    """All columns, those that the table lacks from what is known beside it. Raises TrialsError."""
    n = len(rows)
    if unsaid.observer is not None:
        columns["subj"] = [unsaid.observer] * n
    columns.setdefault("session", ["1"] * n)
    columns.setdefault("trial", [str(i + 1) for i in range(n)])
    columns.setdefault("rt", [""] * n)
    columns.setdefault("condition", [""] * n)
    if "category" not in columns:  # the other layout: its images are named without an ending
        columns["imagename"] = [_with_ending(name) for name in columns["imagename"]]
        columns["object_response"] = [
            NO_ANSWER if text.lower() in _NO_LABEL else text for text in columns["object_response"]
        ]
        columns["category"] = [
            _category(path, row, name) for row, name in zip(rows, columns["imagename"], strict=True)
        ]
    return columns


def _with_ending(name: str) -> str:
    """The published file's name of a cue-conflict image."""
    return name if PurePath(name).suffix or not read_pair(name) else f"{name}.png"


def _category(path: Path, row: int, name: str) -> str:
    """The category that an image's name states: its shape, or what its prefix says."""
    prefix, pair = PREFIX.match(name), read_pair(image_id(name))
    if prefix:
        return prefix["category"]
    if pair:
        return pair.shape
    raise TrialsError(
        f"{path}, row {row}: no column 'category', and '{name}' does not name one; expected a cue-conflict image "
        "such as 'cat7-elephant1.png', or a column for it (`--columns THEIRS=category`)."
    )
