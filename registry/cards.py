"""Model cards: what is known of a model before it is loaded.

`registry.card_files` reads and writes them. Importing this module imports neither torch nor timm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

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

from registry.documents import texts_in, unprintable
from registry.errors import CardError
from registry.options import require_options, require_weights
from registry.validation import problems

Source = Literal["timm", "torchvision", "package", "file", "python", "hub", "export", "ideal"]
Interpolation = Literal["nearest", "bilinear", "bicubic"]
ResizeMode = Literal["shortest", "longest", "squash"]
Triple = tuple[float, float, float]
Level = Annotated[int, Field(ge=0, le=255)]
Levels = tuple[Level, Level, Level]

#: A network with this recipe tag stands for a person: others are held against it, and it is never ranked.
SIMULATED = "simulated-person"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_CONFIG = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
#: Longer texts are no names or notes; paths and URLs stay far below.
LONGEST = 4000


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


class Checkpoint(BaseModel):
    """Where in a training run a model was saved: the run's name, and the step or epoch."""

    model_config = _CONFIG

    run: str = Field(min_length=1, max_length=200)
    step: int = Field(ge=0)
    unit: Literal["step", "epoch"] = "step"


class ModelCard(BaseModel):
    """A model: where it comes from, how its input is made, what its outputs mean, who made it.

    arch: "timm:NAME", "torchvision:NAME", "python:MODULE:FUNCTION", "python:FILE:FUNCTION", "export",
    "hf_hub:ORG/NAME" or an ideal observer's name; weights: a path, a URL, "builtin:PATH", "package:PACKAGE/PATH", a
    torchvision enum name, "pretrained", "random:SEED" (the architecture before training), or
    nothing; sha256: of the loaded state dict; file_sha256: of the download; labels: a label space's
    name or the path of a mapping file; training: recipe tags; retired: left out of boards and patterns; formerly: names
    that the model had; checkpoint: the training run that it is of.
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
    checkpoint: Checkpoint | None = None

    @model_serializer(mode="wrap")
    def _as_before(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Most models are of no run, and their stored cards say nothing of one."""
        fields: dict[str, Any] = plain(self)
        if self.checkpoint is None:
            fields.pop("checkpoint", None)
        return fields

    @property
    def simulated(self) -> bool:
        """Whether it stands for a person: of what it answers, decisions alone count."""
        return SIMULATED in self.training

    @field_validator("name")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        if not NAME.fullmatch(name):
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
            if (found := unprintable(text.replace("\n", " "))) or len(text) > LONGEST:
                wrong = f"the control character {found!r}" if found else f"{len(text)} characters"
                raise ValueError(f"plain text of at most {LONGEST} characters, without {wrong}")
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


@contextmanager
def fitting() -> Iterator[None]:
    """A card made within that cannot be: CardError for the first field that does not fit."""
    try:
        yield
    except ValidationError as error:
        raise CardError(f"{problems(error, ModelCard.model_fields, 'card')[0]}.") from error
