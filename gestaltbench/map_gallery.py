"""Galleries: maps of several models on the same images."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any, Literal

from benchmark import api
from benchmark.api.options import Names, Option
from benchmark.cli.derive import command
from benchmark.cli.printing import echo_line
from benchmark.display import counted, printable
from benchmark.failures import BenchError
from benchmark.report.drawing import CONFIG, INK, SVG, on_paper
from benchmark.stimuli.datasets import open_set
from benchmark.variables import read_settings
from registry.files import write_whole
from registry.labels import label_space

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from suites.saliency.pictures import Gallery

GRADIENT = "gradient"
TILE = 104  # px of a picture
MAPS = "Draw gradient, smoothgrad, integrated-gradients, gradient-x-input or grad-cam."
#: Label space -> default stimulus set.
SETS = {"world16": "world-natural", "geirhos16": "cue-conflict"}


@dataclass(frozen=True, repr=False, kw_only=True)
class MapGallery:
    """Rows of pictures (`drawn.rows`) of several models on a stimulus set."""

    drawn: Gallery
    stimuli: str
    identities: Mapping[str, str]  # by model

    def save(self, path: str | Path, column: str = "double") -> None:
        """Write the figure as .svg, .pdf or .png, as wide as a "single" column of a paper or "double"."""
        write_whole(Path(path), self._drawn(Path(path).suffix.removeprefix(".").lower(), column))

    def __repr__(self) -> str:
        return f"<gallery of {', '.join(self.identities)} on {self.stimuli}; .save('FILE.pdf')>"

    def _repr_png_(self) -> bytes:
        return self._drawn("png", "double")

    def _drawn(self, form: str, column: str) -> bytes:
        return on_paper(tiles([(row.name, row.tiles, row.captions) for row in self.drawn.rows]), form, column)


def tiles(rows: Sequence[tuple[str, Sequence[NDArray[np.uint8]], Sequence[str]]]) -> str:
    """Draw rows of pictures (name, tiles [h, w, 3], captions) as SVG; small ones are enlarged without smoothing."""
    from PIL.Image import fromarray

    names = [wrap(printable(name), 20) or [""] for name, _, _ in rows]
    left = 12 + 7.2 * max(len(line) for lines in names for line in lines)
    wide, step = max(len(tiles) for _, tiles, _ in rows), TILE + 12
    high = TILE + 42
    parts = []
    for place, (lines, (_, shown, captions)) in enumerate(zip(names, rows, strict=True)):
        top = 6 + place * high
        parts += [_text(6, top + 20 + 15 * at, line) for at, line in enumerate(lines)]
        for column, (tile, caption) in enumerate(zip(shown, captions, strict=True)):
            x, factor, out = left + column * step, max(1, 256 // max(tile.shape[:2])), io.BytesIO()
            fromarray(tile.repeat(factor, 0).repeat(factor, 1)).save(out, format="PNG")
            address = f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
            parts.append(f'<image x="{x:.1f}" y="{top}" width="{TILE}" height="{TILE}" href="{address}"/>')
            parts += [_text(x, top + TILE + 13 + 14 * at, line) for at, line in enumerate(wrap(printable(caption), 15))]
    style = f'font-family="{CONFIG["font"]}" font-size="13" fill="{INK}"'
    size = f'width="{left + wide * step:.0f}" height="{6 + len(rows) * high}"'
    return f'<svg xmlns="{SVG}" {size} {style}><rect width="100%" height="100%" fill="#ffffff"/>{"".join(parts)}</svg>'


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y}">{escape(text)}</text>'


def gallery(
    models: Annotated[Names, Option("Draw one row per model.", "--models", "-m", metavar="A,B,C")],
    *,
    stimuli: Annotated[str | None, Option("Use this set (default: by their labels).", "--set", metavar="NAME")] = None,
    count: Annotated[int, Option("Draw this many images.", least=1)] = 8,
    map: Annotated[str, Option(MAPS, metavar="MAP")] = GRADIENT,
    random: Annotated[bool, Option("Add a row of the first architecture, untrained.")] = False,
) -> MapGallery:
    """Draw signed input gradients of models as colour.

    They are clipped at mean +- 3 sigma and not smoothed (Tsipras et al. 2019). The images are the first of evenly
    spaced categories. A strip of each model's gradients is kept under BENCH_HOME/thumbnails for reports."""
    from registry.model import LoadedModel
    from suites.saliency.pictures import draw_gallery

    cards = api.models(models)
    for card in cards:
        if card.source == "ideal" or not card.gradients:
            raise BenchError(f"'{card.name}' has no gradients at its input to draw: choose another model.")
    answers = [label_space(card.labels).answers for card in cards]
    usual = (name for space, name in SETS.items() if all(space in spaces for spaces in answers))
    if (chosen := stimuli or next(usual, None)) is None:
        raise BenchError(f"these models share no label space of {', '.join(SETS)}: name a set.")
    shown = open_set(chosen, read_settings())
    networks = [model for card in cards if isinstance(model := api.load_model(card.name), LoadedModel)]
    drawn = draw_gallery(networks, shown, count, random=random, kind=map)
    identities = {model.card.name: model.identity for model in networks}
    return MapGallery(drawn=drawn, stimuli=shown.name, identities=identities)


@command(gallery, name="gallery")
def gallery_command(
    *,
    out: Annotated[Path, Option("Write this .svg, .pdf or .png file.", "--out", "-o", kind="new file")],
    column: Annotated[Literal["single", "double"], Option("Choose a width of 85 or 180 mm.")] = "double",
    **asked: Any,
) -> int:
    picture = gallery(**asked)
    picture.save(out, column)
    echo_line(f"{out}: {counted(len(picture.identities), 'model')} on {picture.stimuli}")
    if asked["map"] == GRADIENT:
        keep(picture, read_settings().thumbnails / picture.stimuli)
    if picture.drawn.warning:
        echo_line(f"This is a picture, not a score: {picture.drawn.warning}.")
    return 0


def keep(picture: MapGallery, folder: Path) -> None:
    """Write NAME.png for each model (texts: identity, captions as JSON), _stimuli.png, and _masks.png if there are."""
    from PIL.PngImagePlugin import PngInfo

    from suites.saliency.pictures import tile_strip

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "_masks.png").unlink(missing_ok=True)
    images, *models = picture.drawn.rows
    strips = {"_stimuli": (images.tiles, images.captions), "_masks": (picture.drawn.masks, ())}
    strips |= {row.name: (row.tiles, row.captions) for row in models if row.name in picture.identities}
    for name, (tiles, captions) in strips.items():
        note = PngInfo()
        note.add_text("identity", picture.identities.get(name, ""))
        note.add_text("captions", json.dumps(list(captions)))
        if tiles:
            tile_strip(tiles).save(folder / f"{name}.png", pnginfo=note)
