"""Model cards: what is known of a model before it is loaded, as YAML files.

A card file holds one card (a mapping with `name`) or several (`cards:` with optional `defaults:`,
which every card of the file inherits). Importing this module imports neither torch nor timm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from registry.errors import CardError, unknown_name

Source = Literal["timm", "torchvision", "package", "file", "python", "hub", "export", "ideal"]
Interpolation = Literal["nearest", "bilinear", "bicubic"]
Triple = tuple[float, float, float]

BUILTIN_FOLDER = Path(__file__).parent / "cards_builtin"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_CONFIG = ConfigDict(frozen=True, extra="forbid")


class Preprocess(BaseModel):
    """From pixels in [0,1] to the network's input: `(channels(x) * scale - mean) / std`.

    size: side of the square input, in pixels; resize: the shorter side before the centre crop of
    natural images; scale: 255 for networks trained on 0..255; fixed_size: the network takes nothing
    but `size` (a ViT).
    """

    model_config = _CONFIG

    size: int = Field(gt=0)
    resize: int = Field(gt=0)
    interpolation: Interpolation = "bilinear"
    mean: Triple = (0.485, 0.456, 0.406)
    std: Triple = (0.229, 0.224, 0.225)
    channels: Literal["rgb", "bgr"] = "rgb"
    scale: float = Field(default=1.0, gt=0)
    fixed_size: bool = False

    @field_validator("std")
    @classmethod
    def _positive(cls, std: Triple) -> Triple:
        if min(std) <= 0:
            raise ValueError("every value must be greater than 0")
        return std

    @model_validator(mode="after")
    def _crop_fits(self) -> Preprocess:
        if self.resize < self.size:
            raise ValueError(f"resize ({self.resize}) must be at least size ({self.size})")
        return self


class Reported(BaseModel):
    """A score that the model's authors or a survey report. `where` names the table, page or
    repository.
    """

    model_config = _CONFIG

    metric: str
    value: float
    where: str


class ModelCard(BaseModel):
    """A model: where it comes from, how its input is made, what its outputs mean, who made it.

    arch: "timm:NAME", "torchvision:NAME", "python:MODULE:FUNCTION", "export", "hf_hub:ORG/NAME" or
    an ideal observer's name; weights: a path, a URL, "builtin:PATH", "package:PACKAGE/PATH", a
    torchvision enum name, "pretrained", "random:SEED" (the architecture before training), or
    nothing; sha256: of the loaded state dict; file_sha256: of the download; labels: a label space's
    name or the path of a mapping file; training: recipe tags.
    """

    model_config = _CONFIG

    name: str
    source: Source
    arch: str = Field(min_length=1)
    weights: str | None = None
    sha256: str | None = None
    file_sha256: str | None = None
    preprocess: Preprocess | None = None
    labels: str = "imagenet1k"
    training: tuple[str, ...] = ()
    license: str = ""
    paper: str = ""
    year: int | None = None
    reported: tuple[Reported, ...] = ()
    description: str = ""
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("letters, digits and . _ + - only, beginning with a letter or digit")
        return name

    @field_validator("sha256", "file_sha256")
    @classmethod
    def _whole_digest(cls, digest: str | None) -> str | None:
        if digest is not None and not _DIGEST.fullmatch(digest):
            raise ValueError("64 lower-case hexadecimal digits")
        return digest

    @model_validator(mode="after")
    def _has_preprocess(self) -> ModelCard:
        if self.preprocess is None and self.source != "ideal":
            raise ValueError("preprocess: needed for every source but 'ideal'")
        return self


class CardShelf(dict[str, ModelCard]):
    """Cards by name. `broken`: name of a card that could not be read -> its error."""

    def __init__(
        self, cards: Mapping[str, ModelCard], broken: Mapping[str, CardError] | None = None
    ) -> None:
        super().__init__(cards)
        self.broken: dict[str, CardError] = dict(broken or {})


def _explain(path: Path, name: str, error: ValidationError) -> CardError:
    lines = []
    for problem in error.errors():
        field = ".".join(str(part) for part in problem["loc"]) or "card"
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            message = f"no such field; fields are {', '.join(ModelCard.model_fields)}"
        given = "" if problem["type"] == "missing" else f", found {str(problem['input'])[:60]!r}"
        lines.append(f"field '{field}': expected: {message}{given}")
    return CardError(f"card '{name}' in {path} cannot be used. {'; '.join(lines)}.")


def _anchored(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make a user's relative paths (weights, labels) relative to the card file."""
    changed = dict(data)
    weights, labels = data.get("weights"), data.get("labels")
    if isinstance(weights, str) and Path(weights).suffix and ":" not in weights:
        changed["weights"] = str((folder / weights).resolve())
    if isinstance(labels, str) and labels.endswith((".yaml", ".yml")):
        changed["labels"] = str((folder / labels).resolve())
    return changed


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CardError(f"card file {path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = " ".join(str(error).split())
        raise CardError(f"card file {path} is not valid YAML: {line}.") from error
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise CardError(
            f"card file {path}: expected a mapping of fields (name, source, arch, ...), "
            f"found {type(data).__name__}."
        )
    return data


def _cards_in(path: Path) -> Iterator[ModelCard]:
    data = _read_yaml(path)
    entries = data.get("cards", [data])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise CardError(f"card file {path}: field 'cards': expected a list of cards.")
    for entry in entries:
        fields = _anchored({**data.get("defaults", {}), **entry}, path.parent)
        try:
            yield ModelCard.model_validate(fields)
        except ValidationError as error:
            raise _explain(path, str(fields.get("name", path.stem)), error) from error


def read_card(path: Path) -> ModelCard:
    """Read a file that holds one card. Raises CardError: file, field, what was expected."""
    cards = list(_cards_in(Path(path)))
    if len(cards) != 1:
        raise CardError(f"card file {path}: expected one card, found {len(cards)}.")
    return cards[0]


def builtin_cards() -> dict[str, ModelCard]:
    """The cards that come with the package, by name, in the order of their files."""
    cards: dict[str, ModelCard] = {}
    for path in sorted(BUILTIN_FOLDER.glob("*.yaml")):
        for card in _cards_in(path):
            if card.name in cards:
                raise CardError(f"card file {path}: two built-in cards are called '{card.name}'.")
            cards[card.name] = card
    return cards


def read_cards(user_folder: Path | None) -> CardShelf:
    """Built-in cards and those of `user_folder` (a missing folder holds none).

    A file that cannot be read stands in `broken` under its name and hides no other. Raises
    CardError where two cards have one name: whichever were taken, results of the other would seem
    to be its own.
    """
    shelf = CardShelf(builtin_cards())
    cards = dict.fromkeys(shelf, Path("the built-in cards"))
    paths = sorted(user_folder.glob("*.y*ml")) if user_folder and user_folder.is_dir() else []
    for path in paths:
        try:
            found = list(_cards_in(path))
        except CardError as error:
            shelf.broken[path.stem] = error
            continue
        for card in found:
            if card.name in cards:
                raise CardError(
                    f"the model name '{card.name}' is taken twice: by {path} and by "
                    f"{cards[card.name]}. Rename or remove one of them."
                )
            cards[card.name] = path
            shelf[card.name] = card
    return shelf


def select_cards(pattern: str | Sequence[str], cards: Mapping[str, ModelCard]) -> list[ModelCard]:
    """Cards whose name matches: names, globs ("world-*") or comma lists of them; each once, in
    order given.

    Raises UnknownName for a pattern that matches nothing, and the card's own CardError where it is
    a broken one.
    """
    texts = [pattern] if isinstance(pattern, str) else pattern
    wanted = [part.strip() for text in texts for part in text.split(",") if part.strip()]
    broken = cards.broken if isinstance(cards, CardShelf) else {}
    chosen: dict[str, ModelCard] = {}
    for part in wanted:
        names = [name for name in cards if fnmatchcase(name, part)]
        if not names and part in broken:
            raise broken[part]
        if not names:
            raise unknown_name("model", part, cards, "'bench models' lists all of them.")
        chosen.update((name, cards[name]) for name in names)
    return list(chosen.values())


def write_card(card: ModelCard, folder: Path) -> Path:
    """Write a card as NAME.yaml (atomically) and return its path. Raises CardError if the file is
    there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{card.name}.yaml"
    if path.exists():
        raise CardError(f"{path} is already there. Choose another name or remove that card first.")
    data = card.model_dump(mode="json", exclude_defaults=True)
    part = path.with_suffix(".yaml.part")
    part.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8")
    part.replace(path)
    return path
