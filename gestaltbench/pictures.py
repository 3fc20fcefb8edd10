"""Galleries: maps of several models on the same images, as a value that a notebook shows."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from benchmark import api
from benchmark.api.options import Names, Option
from benchmark.cli.derive import command
from benchmark.cli.printing import say
from benchmark.errors import BenchError
from benchmark.variables import read_settings

if TYPE_CHECKING:
    from PIL.Image import Image

    from registry.cards import ModelCard
    from suites.saliency.pictures import Gallery

GRADIENT = "gradient"
#: Decision space -> the set that is shown unless another is named.
SETS = {"world16": "world-natural", "geirhos16": "cue-conflict"}


@dataclass(frozen=True, repr=False)
class Picture:
    """A figure and what it shows. drawn: with its parts; stimuli: name of the set; identities: model name ->
    identity."""

    drawn: Gallery
    stimuli: str
    identities: Mapping[str, str]

    @property
    def image(self) -> Image:
        """The figure."""
        return self.drawn.image

    @property
    def warning(self) -> str:
        """Why it is no score ("" where it is one)."""
        return self.drawn.warning

    def save(self, path: str | Path) -> None:
        """Write the figure as a PNG."""
        self.image.save(path, format="PNG")

    def __repr__(self) -> str:
        size = f"{self.image.width} x {self.image.height} px"
        return f"<gallery of {', '.join(self.identities)} on {self.stimuli}, {size}; .save('FILE.png')>"

    def _repr_png_(self) -> bytes:
        out = io.BytesIO()
        self.image.save(out, format="PNG")
        return out.getvalue()


def gallery(
    models: Annotated[Names, Option("One row each.", "--models", "-m", metavar="A,B,C")],
    *,
    stimuli: Annotated[
        str | None, Option("Stimulus set (default: by the models' labels).", "--set", metavar="NAME")
    ] = None,
    count: Annotated[int, Option("Images.", least=1)] = 8,
    map: Annotated[
        str,
        Option(
            "gradient, smoothgrad; integrated-gradients, gradient-x-input, grad-cam: pictures, never scores.",
            metavar="MAP",
        ),
    ] = GRADIENT,
    random: Annotated[bool, Option("One more row: the first architecture, untrained.")] = False,
) -> Picture:
    """Signed input gradients as colour, as in Tsipras et al. (2019): clipped at mean +- 3 sigma, nothing smoothed.

    One row a model, one column an image; the images are the first of evenly spaced categories, not chosen by looks.
    A small strip of each model's gradients is kept under BENCH_HOME/thumbnails for reports.
    """
    from benchmark.stimuli.datasets import open_set
    from registry.model import LoadedModel
    from suites.saliency.pictures import draw

    cards = api.models(models)
    _check(cards)
    shown = open_set(stimuli or _default_set(cards), read_settings())
    loaded = [api.load_model(card.name) for card in cards]
    networks = [model for model in loaded if isinstance(model, LoadedModel)]
    drawn = draw(networks, shown, count, random=random, kind=map)
    identities = {model.card.name: model.identity for model in networks}
    return Picture(drawn, shown.name, identities)


@command(gallery, name="gallery")
def gallery_command(
    *, out: Annotated[Path, Option("PNG to write.", "--out", "-o", kind="new file")], **asked: Any
) -> int:
    picture = gallery(**asked)
    picture.save(out)
    size = f"{picture.image.width} x {picture.image.height}"
    say(f"{out}: {len(picture.identities)} models on {picture.stimuli}, {size}")
    if asked["map"] == GRADIENT:
        keep(picture, read_settings().thumbnails / picture.stimuli)
    if picture.warning:
        say(f"A picture, not a score: {picture.warning}.")
    return 0


def keep(picture: Picture, folder: Path) -> None:
    """NAME.png for each model, with the identity of the model that it shows as text "identity" and what stands under
    its tiles as "captions" (a list, JSON); _stimuli.png with the right answers; _masks.png where there are masks."""
    drawn = picture.drawn
    folder.mkdir(parents=True, exist_ok=True)
    _save(drawn.shown, folder / "_stimuli.png", captions=drawn.categories)
    if drawn.masks is None:
        (folder / "_masks.png").unlink(missing_ok=True)
    else:
        _save(drawn.masks, folder / "_masks.png")
    for name, strip in drawn.strips.items():
        captions = drawn.captions.get(name, ())
        _save(strip, folder / f"{name}.png", captions=captions, identity=picture.identities[name])


def _save(image: Image, path: Path, captions: Sequence[str] = (), identity: str = "") -> None:
    from PIL.PngImagePlugin import PngInfo

    note = PngInfo()
    if identity:
        note.add_text("identity", identity)
    note.add_text("captions", json.dumps(list(captions)))
    image.save(path, pnginfo=note)


def _check(cards: Sequence[ModelCard]) -> None:
    for card in cards:
        if card.source == "ideal":
            raise BenchError(f"'{card.name}' answers from labels: it has no gradients to show.")
        if card.simulated:
            raise BenchError(f"'{card.name}' is a simulated person: it has no gradients to show.")


def _default_set(cards: Sequence[ModelCard]) -> str:
    """The set in whose decision space all of the models can answer."""
    from registry.labels import label_space

    answers = [set(label_space(card.labels).answers) for card in cards]
    for space, name in SETS.items():
        if all(space in spaces for spaces in answers):
            return name
    raise BenchError(
        f"these models share none of the decision spaces {', '.join(SETS)}: no set suits them all. "
        "Name fewer models, or a set with --set."
    )
