"""Galleries: maps of several models on the same images, as a value that a notebook shows."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark import api
from benchmark.errors import BenchError
from benchmark.variables import read_settings
from suites.saliency.pictures import Gallery
from suites.saliency.pictures import draw as render

if TYPE_CHECKING:
    from PIL.Image import Image

    from registry.cards import ModelCard

#: Decision space -> the set that is shown unless another is named.
SETS = {"world16": "world-natural", "geirhos16": "cue-conflict"}


@dataclass(frozen=True, repr=False)
class Picture(Gallery):
    """A figure (`image`, PIL) and what it shows. stimuli: name of the set; identities: model name -> identity."""

    stimuli: str = ""
    identities: Mapping[str, str] = field(default_factory=dict)

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


def draw(pattern: str, name: str | None, count: int, kind: str, *, random: bool) -> Picture:
    """The gallery of the models of a pattern on the first of evenly spaced categories of a set (None: by their
    labels). Raises BenchError where a model is no network, or no set suits them all."""
    from benchmark.stimuli.datasets import open_set
    from registry.model import LoadedModel

    cards = api.models(pattern)
    _check(cards)
    stimuli = open_set(name or _default_set(cards), read_settings())
    loaded = [api.load_model(card.name) for card in cards]
    networks = [model for model in loaded if isinstance(model, LoadedModel)]
    made = render(networks, stimuli, count, random=random, kind=kind)
    identities = {model.card.name: model.identity for model in networks}
    return Picture(**vars(made), stimuli=stimuli.name, identities=identities)


def keep(picture: Picture, folder: Path) -> None:
    """NAME.png for each model, with the identity of the model that it shows as text "identity" and what stands under
    its tiles as "captions" (a list, JSON); _stimuli.png with the right answers; _masks.png where there are masks."""
    folder.mkdir(parents=True, exist_ok=True)
    _save(picture.shown, folder / "_stimuli.png", captions=picture.categories)
    if picture.masks is None:
        (folder / "_masks.png").unlink(missing_ok=True)
    else:
        _save(picture.masks, folder / "_masks.png")
    for name, strip in picture.strips.items():
        captions = picture.captions.get(name, ())
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
