"""Roles, counts, names of columns, the suite's configuration. A leaderboard reads this module: no torch here."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmark.contracts import Block

CONFLICT, NATURAL, MASKED, CLICKED = "cue-conflict", "natural", "natural-masked", "clickme"
#: Label space -> role -> how many images, evenly spaced. The built-in conflict sets go through all pairs of shape
#: and texture in turn: a prime number of images meets every shape and every texture about alike.
SHOWN: Mapping[str, Mapping[str, int]] = {
    "world16": {NATURAL: 192, CONFLICT: 137, f"{CONFLICT}-alpha0": 97, f"{CONFLICT}-alpha1": 97},
    "geirhos16": {CONFLICT: 320, MASKED: 320},
    "imagenet1k": {MASKED: 320, CLICKED: 320},
}
OWN: Mapping[str, int] = {MASKED: 320}  # of a space of a model's own classes
#: The roles that have a board of their own; in the built-in world the natural images alone.
BOARDS = (NATURAL, MASKED, CONFLICT)
#: An object this small or large says little of where a map lies: left out of the scores and of the pool.
SMALLEST, LARGEST = 0.01, 0.95
#: Map -> what a board calls it.
REFERENCES = {"sobel": "Sobel edges", "darkness": "darkness", "centre": "blob in the middle", "noise": "noise"}
CLICKME_SIDE = 224  # side in pixels at which the published scores of ClickMe show its images
#: Columns of an exchange: the evidence of the object, of its ground and of the object's place, and the image that lent
#: its ground.
EVIDENCE = ("object_evidence", "ground_evidence", "place_evidence")
PARTNER = "partner"
#: The evidence of the object and of its place by ranks of the outputs.
RANKED = ("ranked_object_evidence", "ranked_place_evidence")


@dataclass(frozen=True, kw_only=True)
class SaliencyConfig:
    """What is computed of each image beside its plain gradient."""

    draws: int = 4  # noisy copies per image for SmoothGrad, on the sets that have a board (0: none)
    sigma: float = 0.15  # their noise, of the range [0,1]
    pool: int = 160  # how many masks a map is held against, evenly spaced over the set
    added: tuple[tuple[str, str], ...] = ()  # (name, digest of the code) of other packages' maps and measures


def has_board(block: Block) -> bool:
    """Return whether the main metrics of a block rank: SmoothGrad is computed only on such blocks."""
    return block.role == BOARDS[0] or (block.role in BOARDS and NATURAL not in SHOWN.get(block.stimuli.space, OWN))


def columns_of(name: str) -> tuple[str, str]:
    """Return the columns of a map: AUC against the own mask, and its mean against masks of other categories."""
    return f"{name}_auc", f"{name}_auc_other"


def added_column(name: str) -> str:
    """Return the column of another package's map or measure: never a column of the suite's own."""
    return f"added_{name}"
