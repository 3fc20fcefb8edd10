"""Model cards: what is known of a model before it is loaded, as YAML files.

A card file holds one card (a mapping with `name`) or several (`cards:` with optional `defaults:`,
which every card of the file inherits). Importing this module imports neither torch nor timm.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from registry.documents import read_document, shown, texts_in, unprintable
from registry.errors import CardError, unknown_name
from registry.options import require_options, require_weights
from registry.validation import problems
from registry.whole_files import write_whole

Source = Literal["timm", "torchvision", "package", "file", "python", "hub", "export", "ideal"]
Interpolation = Literal["nearest", "bilinear", "bicubic"]
ResizeMode = Literal["shortest", "longest", "squash"]
Triple = tuple[float, float, float]
Level = Annotated[int, Field(ge=0, le=255)]
Levels = tuple[Level, Level, Level]

#: A network with this recipe tag stands for a person: others are held against it, and it is never ranked.
SIMULATED = "simulated-person"
BUILTIN_FOLDER = Path(__file__).parent / "cards_builtin"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_CONFIG = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
#: Longer texts are no names or notes; paths and URLs stay far below.
_LONGEST = 4000


class Preprocess(BaseModel):
    """From pixels in [0,1] to the network's input: `(channels(x) * scale - mean) / std`.

    size: side of the square input, in pixels; resize: the side that natural images are brought to before the centre
    crop: the shorter one, the longer one (what is lacking is filled with `fill`, levels of 0 to 255), or both (squash:
    without regard to the aspect); scale: 255 for networks trained on 0..255; fixed_size: the network takes nothing
    but `size` (a ViT).
    """

    model_config = _CONFIG

    size: int = Field(gt=0, le=4096)
    resize: int = Field(gt=0, le=8192)
    interpolation: Interpolation = "bilinear"
    mean: Triple = (0.485, 0.456, 0.406)
    std: Triple = (0.229, 0.224, 0.225)
    channels: Literal["rgb", "bgr"] = "rgb"
    scale: float = Field(default=1.0, gt=0)
    fixed_size: bool = False
    resize_mode: ResizeMode = "shortest"
    fill: Levels = (0, 0, 0)

    @model_serializer(mode="wrap")
    def _as_before(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The rule of most networks is left out: the identity of models from before there were others stays."""
        fields: dict[str, Any] = plain(self)
        for name, usual in (("resize_mode", "shortest"), ("fill", (0, 0, 0))):
            if name in fields and getattr(self, name) == usual:
                del fields[name]
        return fields

    @field_validator("std")
    @classmethod
    def _positive(cls, std: Triple) -> Triple:
        if min(std) <= 0:
            raise ValueError("every value must be greater than 0")
        return std

    @model_validator(mode="after")
    def _crop_fits(self) -> Preprocess:
        if self.resize < self.size and self.resize_mode != "longest":
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

    arch: "timm:NAME", "torchvision:NAME", "python:MODULE:FUNCTION", "python:FILE:FUNCTION", "export",
    "hf_hub:ORG/NAME" or an ideal observer's name; weights: a path, a URL, "builtin:PATH", "package:PACKAGE/PATH", a
    torchvision enum name, "pretrained", "random:SEED" (the architecture before training), or
    nothing; sha256: of the loaded state dict; file_sha256: of the download; labels: a label space's
    name or the path of a mapping file; training: recipe tags; retired: left out of boards and patterns; formerly: names
    that the model had.
    """

    model_config = _CONFIG

    name: str
    source: Source
    arch: str = Field(min_length=1)
    weights: str | None = None
    sha256: str | None = None
    file_sha256: str | None = None
    preprocess: Preprocess | None = None
    labels: str = Field(default="imagenet1k", min_length=1)
    training: tuple[str, ...] = ()
    license: str = ""
    paper: str = ""
    year: int | None = None
    reported: tuple[Reported, ...] = ()
    description: str = ""
    retired: bool = False
    formerly: tuple[str, ...] = ()
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def simulated(self) -> bool:
        """Whether it stands for a person: of what it answers, decisions alone count."""
        return SIMULATED in self.training

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

    @field_validator("weights")
    @classmethod
    def _usable_weights(cls, weights: str | None) -> str | None:
        require_weights(weights)
        return weights

    @field_validator("training")
    @classmethod
    def _plain_tags(cls, tags: tuple[str, ...]) -> tuple[str, ...]:
        for tag in tags:
            if set(tag) & set("[]") or not tag.strip():
                raise ValueError("recipe tags such as stylised or 'noise(uniform)', without [ or ]")
        return tags

    @model_validator(mode="before")
    @classmethod
    def _printable(cls, data: Any) -> Any:
        """Nothing of a card can move a terminal's cursor, wherever it is printed later."""
        for text in texts_in(data):
            if (found := unprintable(text.replace("\n", " "))) or len(text) > _LONGEST:
                wrong = f"the control character {found!r}" if found else f"{len(text)} characters"
                raise ValueError(f"plain text of at most {_LONGEST} characters, without {wrong}")
        return data

    @model_validator(mode="after")
    def _usable_options(self) -> ModelCard:
        code = self.arch.startswith("python:")
        require_options(self.options, code=code, ideal=self.source == "ideal")
        return self

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


def _anchored(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make a user's relative paths (weights, labels) relative to the card file."""
    changed = dict(data)
    weights, labels = data.get("weights"), data.get("labels")
    if isinstance(weights, str) and Path(weights).suffix and ":" not in weights:
        changed["weights"] = _resolved(folder, weights)
    if isinstance(labels, str) and labels.endswith((".yaml", ".yml")):
        changed["labels"] = _resolved(folder, labels)
    return changed


def _resolved(folder: Path, place: str) -> str:
    try:
        return str((folder / place).resolve())
    except (OSError, ValueError, RuntimeError):  # a NUL, a ring of links: the card's check says so
        return place


def _entries(path: Path) -> list[dict[str, Any]]:
    """The fields of each card of a file, with the file's defaults. Raises CardError."""
    data = read_document(path, "card file", CardError)
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise CardError(
            f"card file {shown(path)}: expected a mapping of fields (name, source, arch, ...), "
            f"found {type(data).__name__}."
        )
    entries, defaults = data.get("cards", [data]), data.get("defaults", {})
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise CardError(f"card file {shown(path)}: field 'cards': expected a list of cards.")
    if not isinstance(defaults, dict):
        raise CardError(
            f"card file {shown(path)}: field 'defaults': expected a mapping of fields that every "
            f"card of the file inherits, found {type(defaults).__name__}."
        )
    return [_anchored({**defaults, **entry}, path.parent) for entry in entries]


def _called(path: Path, fields: Mapping[str, Any]) -> str:
    """What to call a card that may be unusable: its name where that is one, else its file's."""
    name = fields.get("name")
    return name if isinstance(name, str) and _NAME.fullmatch(name) else shown(path.stem)


def _card(path: Path, fields: Mapping[str, Any]) -> ModelCard:
    try:
        return ModelCard.model_validate(fields)
    except ValidationError as error:
        name, found = (
            _called(path, fields),
            "; ".join(problems(error, ModelCard.model_fields, "card")[:10]),
        )
        raise CardError(f"card '{name}' in {shown(path)} cannot be used. {found}.") from error


def read_card(path: Path) -> ModelCard:
    """Read a file that holds one card. Raises CardError: file, field, what was expected."""
    entries = _entries(Path(path))
    if len(entries) != 1:
        raise CardError(f"card file {shown(path)}: expected one card, found {len(entries)}.")
    return _card(Path(path), entries[0])


def builtin_cards() -> dict[str, ModelCard]:
    """The cards that come with the package, by name, in the order of their files."""
    cards: dict[str, ModelCard] = {}
    for path in sorted(BUILTIN_FOLDER.glob("*.yaml")):
        for fields in _entries(path):
            card = _card(path, fields)
            if card.name in cards:
                raise CardError(f"card file {path}: two built-in cards are called '{card.name}'.")
            cards[card.name] = card
    return cards


def read_cards(user_folder: Path | None) -> CardShelf:
    """Built-in cards and those of `user_folder` (a missing folder holds none).

    A card or file that cannot be read stands in `broken` under its name and hides no other. Where two
    cards have one name, neither can be chosen: whichever were taken, results of the other would seem
    to be its own.
    """
    shelf = CardShelf(builtin_cards())
    places = dict.fromkeys(shelf, "the built-in cards")
    paths = sorted(user_folder.glob("*.y*ml")) if user_folder and user_folder.is_dir() else []
    for path in paths:
        try:
            entries = _entries(path)
        except CardError as error:
            _leave_out(shelf, shown(path.stem), error)
            continue
        for fields in entries:
            _shelve(shelf, places, path, fields)
    return shelf


def _shelve(
    shelf: CardShelf, places: dict[str, str], path: Path, fields: Mapping[str, Any]
) -> None:
    """Put one card of a file on the shelf, or its error among the broken ones."""
    try:
        card = _card(path, fields)
    except CardError as error:
        name = _called(path, fields)
        _leave_out(shelf, shown(path.stem) if name in shelf else name, error)
        return
    if card.name in places:
        shelf.pop(card.name, None)
        _leave_out(
            shelf,
            card.name,
            CardError(
                f"the model name '{card.name}' is taken twice: by {shown(path)} and by "
                f"{places[card.name]}. Rename or remove one of them."
            ),
        )
    else:
        places[card.name], shelf[card.name] = shown(path), card


def _leave_out(shelf: CardShelf, name: str, error: CardError) -> None:
    key, count = name, 1
    while key in shelf.broken:
        count += 1
        key = f"{name} ({count})"
    shelf.broken[key] = error


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
        names = [
            name
            for name, card in cards.items()
            if name == part or (fnmatchcase(name, part) and not card.retired)
        ]
        if not names and part in broken:
            raise broken[part]
        if not names:
            raise unknown_name("model", part, cards, "'bench models' lists all of them.")
        chosen.update((name, cards[name]) for name in names)
    return list(chosen.values())


def write_card(card: ModelCard, folder: Path, *, replace: bool = False) -> Path:
    """Write a card as NAME.yaml (atomically) and return its path. Raises CardError if the file is
    there, unless it is to be replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{card.name}.yaml"
    if path.exists() and not replace:
        raise CardError(f"{path} is already there. Choose another name or remove that card first.")
    data = card.model_dump(mode="json", exclude_defaults=True)
    write_whole(path, yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    return path
