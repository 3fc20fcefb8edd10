"""Model cards describe models before they are loaded. Importing this module imports neither torch nor timm."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr
from pydantic.functional_serializers import model_serializer
from pydantic.functional_validators import field_validator, model_validator
from pydantic_core.core_schema import SerializerFunctionWrapHandler

from registry.card_files import NAME, builtin_entries, named_cards
from registry.documents import own_table, read_document, validated
from registry.files import file_name, is_url, parts_in, public, write_whole
from registry.user_errors import CardError, shown, unknown_name, unprintable

Source = Literal[
    "timm", "torchvision", "package", "file", "python", "hub", "export", "onnx", "predict", "api", "memory", "ideal"
]
Interpolation = Literal["nearest", "bilinear", "bicubic"]
ResizeMode = Literal["shortest", "longest", "squash", "own"]
Margin = Literal["nearest", "down"]
Triple = tuple[float, float, float]
IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)
Positive = Annotated[float, Field(gt=0)]
Level = Annotated[int, Field(ge=0, le=255)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

#: A network with this recipe tag stands for a person: others are held against it, and it is never ranked.
SIMULATED = "simulated-person"
TAKEN = ("chance", "people")  # names of reference rows
#: Longer texts are no names or notes; paths and URLs stay far below.
LONGEST = 4000

#: Keyword arguments of timm and torchvision networks that a card may set.
KEYWORDS: frozenset[str] = frozenset(own_table("card_options")["keywords"])
_KINDS = {"text": str, "mapping": Mapping, "number": int | float}
_OPTIONS = {name: kind for kind, names in own_table("card_options")["options"].items() for name in names}
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,60}")
_INSIDE = re.compile(r"(?!.*\.\.)(?:package:[A-Za-z_]\w*/[\w.*+-]+(/[\w.*+-]+)*|builtin:[\w.-]+(/[\w.-]+)*)")
#: Of a number that shapes a network: depth, width, pixels.
_LARGEST = 4096


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    #: Fields that are stored only where they differ from their defaults: identities from before there were any stay.
    RARE: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _without_rare(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        known = type(self).model_fields
        usual = {name for name in self.RARE if getattr(self, name) == known[name].default}
        return {name: value for name, value in plain(self).items() if name not in usual}


class Preprocess(_Part):
    """Pixels in [0,1] become the network's input by `(channels(x) * scale - mean) / std`."""

    RARE = ("resize_mode", "fill", "margin")

    size: int = Field(gt=0, le=4096)  # side of the square input, in pixels
    resize: int = Field(gt=0, le=8192)  # side to which natural images are scaled before the centre crop
    interpolation: Interpolation = "bilinear"
    mean: Triple = IMAGENET_MEAN
    std: tuple[Positive, Positive, Positive] = IMAGENET_STD
    channels: Literal["rgb", "bgr"] = "rgb"
    scale: float = Field(default=1.0, gt=0)  # 255 for networks trained on 0..255
    fixed_size: bool = False  # whether the network accepts only `size` (a ViT)
    # Which side is scaled: the shorter one, the longer one (the rest is filled), or both without regard to the aspect.
    # "own": the network's own transform makes the input of the whole image; `size` is then its larger side.
    resize_mode: ResizeMode = "shortest"
    fill: tuple[Level, Level, Level] = (0, 0, 0)
    # How half of an odd rest beside the crop is rounded: to the even pixel (torchvision, timm) or down (transformers).
    margin: Margin = "nearest"

    @model_validator(mode="after")
    def _possible(self) -> Preprocess:
        # With --mean 127 and no --scale 255 a network sees one grey whatever it is shown.
        if min(self.mean) < 0 or max(self.mean) > self.scale:
            hint = "where pixels are (--scale 255 for pixels in 0..255)"
            raise ValueError(f"mean must be within 0..{self.scale:g}, {hint}")
        if self.resize < self.size and self.resize_mode != "longest":
            raise ValueError(f"resize ({self.resize}) must be at least size ({self.size})")
        return self


class Reported(_Part):
    """The model's authors or a survey report this score. `where` names the table, page or repository."""

    metric: str
    value: float
    where: str


class Checkpoint(_Part):
    """A model was saved at this step or epoch of a training run."""

    run: str = Field(min_length=1, max_length=200)
    step: int = Field(ge=0)
    unit: Literal["step", "epoch"] = "step"


class Certificate(_Part):
    """A network decided as the user's own code on n photographs."""

    script: str
    code: Digest  # of its network's and transform's code
    photographs: str  # the set
    n: int
    logits: float  # the largest difference
    pixels: float | None = None  # of preprocessed images, relative to their largest value; None: of other shapes

    def __str__(self) -> str:
        """Return it in words."""
        pixels = "shapes" if self.pixels is None else f"up to {self.pixels:.2g} of the largest value"
        same = f"{self.n} of {self.n} decisions are those of {self.script} on photographs of {self.photographs}"
        gap = f"logits differ by up to {self.logits:.2g}, preprocessed images by {pixels}"
        return f"{same}; {gap} (code {self.code[:12]})"


class InputCheck(_Part):
    """A network answered photographs of its classes when it was registered."""

    photographs: str  # the set
    n: int = Field(ge=1)
    right: int = Field(ge=0)
    findings: tuple[str, ...] = ()  # other inputs or orders of the classes that fit better, the surest first
    at_chance: bool = False  # under every usual input and order


class ModelCard(_Part):
    """A card describes a model: its origin, preprocessing, label space and authors."""

    RARE = ("checkpoint", "verified", "tried")

    name: str
    source: Source
    # "timm:NAME", "torchvision:NAME", "python:MODULE:FUNCTION", "python:FILE:FUNCTION", "predict:" with either,
    # "export", "onnx", "api:MODEL", "hf_hub:ORG/NAME", an ideal observer's name, or what built an object in memory
    arch: str = Field(min_length=1)
    # a path, a URL, "builtin:PATH", "package:PACKAGE/PATH", a torchvision enum name, "pretrained", "random:SEED" (the
    # architecture before training), or nothing
    weights: str | None = None
    sha256: Digest | None = None  # of the loaded state dict
    file_sha256: Digest | None = None  # of the download
    preprocess: Preprocess | None = None
    labels: str = Field(default="imagenet1k", min_length=1)  # a label space's name or the path of a mapping file
    training: tuple[str, ...] = ()  # recipe tags
    license: str = ""
    paper: str = ""
    year: int | None = None
    reported: tuple[Reported, ...] = ()
    description: str = ""
    retired: bool = False  # left out of boards and patterns
    formerly: tuple[str, ...] = ()  # names that the model had
    options: dict[str, Any] = Field(default_factory=dict)
    checkpoint: Checkpoint | None = None  # the training run that it is of
    verified: Certificate | None = None  # against the user's own code
    tried: InputCheck | None = None
    #: `weights` with the login and query of its URL, for downloading alone: `weights` itself is stored and shown.
    _address: str | None = PrivateAttr(default=None)

    def model_post_init(self, _context: Any) -> None:
        """Keep logins and queries of an address apart."""
        self._address = self.weights
        if self.weights is not None:
            self.__dict__["weights"] = public(self.weights)

    @property
    def address(self) -> str | None:
        """Return the address of its weights, logins included: never store or show it."""
        kept = self._address
        return kept if kept is not None and public(kept) == self.weights else self.weights

    @property
    def simulated(self) -> bool:
        """Return whether it simulates a person: only its decisions count."""
        return SIMULATED in self.training

    @property
    def gradients(self) -> bool:
        """Return whether gradients reach its input, of which no runtime, function, endpoint or transform knows."""
        return not (self.simulated or self.own_transform or self.arch.startswith(("onnx", "predict:", "api:")))

    @property
    def own_transform(self) -> bool:
        """Return whether the network's own transform makes its input, since no card expresses it."""
        return self.preprocess is not None and self.preprocess.resize_mode == "own"

    @property
    def may_be_silent(self) -> bool:
        """Return whether it may give no answer: a detector, a function, an endpoint."""
        return "boxes" in self.options or self.arch.startswith(("predict:", "api:"))

    @field_validator("name")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        if not NAME.fullmatch(name):
            raise ValueError("letters, digits and . _ + - only, beginning with a letter or digit")
        if name in TAKEN:
            raise ValueError(f"another name than {' and '.join(TAKEN)}, which are rows of tables")
        return name

    @field_validator("weights")
    @classmethod
    def _inside(cls, weights: str | None) -> str | None:
        if is_url(weights):
            file_name(str(weights))
        elif weights and weights.startswith(("package:", "builtin:")) and not _INSIDE.fullmatch(weights):
            raise ValueError("package:PACKAGE/PATH or builtin:PATH, with a path that stays inside")
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
        for text in parts_in(data, str):
            if (control := unprintable(text.replace("\n", " "))) or len(text) > LONGEST:
                wrong = f"the control character {control!r}" if control else f"{len(text)} characters"
                raise ValueError(f"plain text of at most {LONGEST} characters, without {wrong}")
        return data

    @model_validator(mode="after")
    def _usable(self) -> ModelCard:
        for name, value in self.options.items():
            kind = _OPTIONS.get(name, "")
            if not kind and self.source != "ideal":  # whose rule may take options of its own
                raise ValueError(f"options: no option is called {name!r}; they are {', '.join(_OPTIONS)}")
            if kind and not isinstance(value, _KINDS[kind]):
                raise ValueError(f"options.{name}: expected {kind}, found {type(value).__name__}")
        # A Python function, which is code anyway, has keyword arguments of its own.
        kwargs = {} if self.arch.startswith("python:") else self.options.get("kwargs", {})
        for name, value in kwargs.items():
            if name not in KEYWORDS:
                known = ", ".join(sorted(KEYWORDS))
                raise ValueError(f"options.kwargs: a card may not set {name!r}; it may set {known}")
            if not _shapes(value):
                raise ValueError(f"options.kwargs.{name}: a number, a truth value, a word or a list of these")
        if self.preprocess is None and self.source != "ideal":
            raise ValueError("preprocess: needed for every source but 'ideal'")
        return self


def _shapes(value: Any) -> bool:
    if isinstance(value, str):
        return bool(_WORD.fullmatch(value))
    if isinstance(value, list):
        return len(value) <= 64 and all(map(_shapes, value))
    return value is None or (isinstance(value, bool | int | float) and abs(value) <= _LARGEST)


def card_of(fields: Mapping[str, Any], origin: str = "") -> ModelCard:
    """Return the card of these fields. origin: begins the message. Raises CardError for the first that does not fit."""
    return validated(ModelCard, fields, lambda problem: CardError(f"{origin}{problem}."))


class CardShelf(dict[str, ModelCard]):
    """A shelf holds cards by name. `broken` maps the name of a card that could not be taken to its error."""

    broken: dict[str, CardError]


@cache
def builtin_cards() -> Mapping[str, ModelCard]:
    """Return the cards that come with the package, by name, in the order of their files."""
    return {name: card_of(fields) for name, (_, fields) in builtin_entries().items()}


def read_cards(user_folder: Path | None) -> CardShelf:
    """Read built-in cards and those in `user_folder`, which may be missing, as `named_cards` takes them."""
    shelf = CardShelf()
    entries, shelf.broken = named_cards(user_folder)
    for name, (path, fields) in entries.items():
        try:
            origin = f"card '{name}' in {shown(path)} cannot be used. "
            shelf[name] = builtin_cards().get(name) or card_of(fields, origin)
        except CardError as error:
            shelf.broken.setdefault(name, error)
    return shelf


def select_cards(pattern: str | Sequence[str], cards: Mapping[str, ModelCard]) -> list[ModelCard]:
    """Return the cards whose name matches: names, globs ("world-*") or comma lists of them; each once, in order given.
    Raises UnknownName for a pattern that matches nothing, and the card's own CardError if it is a broken one."""
    texts = [pattern] if isinstance(pattern, str) else pattern
    broken = cards.broken if isinstance(cards, CardShelf) else {}
    chosen: dict[str, ModelCard] = {}
    for part in filter(None, (part.strip() for text in texts for part in text.split(","))):
        matching = [name for name, card in cards.items() if fnmatchcase(name, part) and not card.retired]
        names = [part] if part in cards else matching
        if not names and part in broken:
            raise broken[part]
        if not names:
            raise unknown_name("model", part, cards, "'bench models' lists all of them.")
        chosen.update((name, cards[name]) for name in names)
    return list(chosen.values())


def write_card(card: ModelCard, folder: Path, *, replace: bool = False) -> Path:
    """Write a card as NAME.yaml (atomically) and return its path. Raises CardError if one exists and may not go."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{card.name}.yaml"
    if path.exists() and not replace:
        raise CardError(f"{path} exists already. Choose another name or remove that card first.")
    data = card.model_dump(mode="json", exclude_defaults=True)
    if card.address is not None:
        data["weights"] = card.address  # the card file is the one place of a login
    content = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    write_whole(path, content, private=card.address != card.weights)
    return path


def card_file(name: str, folder: Path) -> Path:
    """Return the file that holds this registered card alone. Raises UnknownName, CardError without one."""
    if name in builtin_cards():
        raise CardError(f"'{name}' is a built-in card: it cannot be changed. `rank --hide {name}` leaves it out.")
    if name not in (shelf := read_cards(folder)):
        own = [known for known in shelf if known not in builtin_cards()]
        raise unknown_name("registered model", name, own, "`bench models` lists all.")
    path = folder / f"{name}.yaml"
    if not path.is_file() or "cards" in read_document(path, "card file", CardError):
        raise CardError(f"the card '{name}' shares its file in {folder} with others: edit that file instead.")
    return path


def head_file(name: str, digest: str, folder: Path) -> Path:
    """Return the path of a card's head. A new head does not overwrite the old one: a registration may fail."""
    return folder / "heads" / f"{name}-{digest[:12]}.safetensors"


def heads_of(card: ModelCard) -> tuple[Path, ...]:
    """Return the files of a card's heads, wherever they are."""
    named = (card.options.get(option) for option in ("head", "text_head"))
    return tuple(Path(str(file)) for file in named if file)


def remove_unnamed(files: Iterable[Path], folder: Path) -> tuple[Path, ...]:
    """Delete those files below `folder` that no card names, and return them."""
    files = tuple(files)
    cards = read_cards(folder).values() if files else ()
    named = {file.resolve() for card in cards for file in (*heads_of(card), Path(card.labels))}
    unnamed = (file for file in files if file.resolve() not in named)
    gone = tuple(file for file in unnamed if file.is_relative_to(folder) and file.is_file())
    for file in gone:
        file.unlink()
    return gone


def remove_card(name: str, folder: Path) -> tuple[Path, ...]:
    """Delete a registered card and heads that no other card names, which are returned. Raises as `card_file`."""
    file, card = card_file(name, folder), read_cards(folder)[name]
    file.unlink()
    return remove_unnamed(heads_of(card), folder)


def change_card(name: str, folder: Path, /, **fields: object) -> ModelCard:
    """Give a registered card other fields, such as a new name. Raises as `card_file`, CardError if that is taken."""
    old, shelf = card_file(name, folder), read_cards(folder)
    new = fields.get("name", name)
    if new != name and new in shelf:
        raise CardError(f"a model called '{new}' exists already. Choose another name.")
    former = shelf[name].formerly if new == name else (*shelf[name].formerly, name)
    card = card_of({**shelf[name].model_dump(), "weights": shelf[name].address, "formerly": former, **fields})
    write_card(card, folder, replace=new == name)
    if new != name:
        old.unlink()
    return card
