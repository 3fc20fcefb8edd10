"""`bench gallery`: the input gradients of several models side by side, as a picture."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.printing import say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmark.contracts import Stimuli
    from registry.cards import ModelCard

#: Entry-point group of renderers: (models, stimuli, count, random=False, kind="gradient") -> a value with `image`
#: and `stimuli` (PIL images), `strips` (model name -> PIL image) and `warning` (text).
GROUP = "bench.galleries"
GRADIENT = "gradient"
#: Decision space -> the set that is shown unless another is named.
SETS = {"world16": "world-natural", "geirhos16": "cue-conflict"}


@click.command()
@click.option("--models", "-m", "pattern", required=True, metavar="A,B,C", help="One row each.")
@click.option(
    "--out",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="PNG to write.",
)
@click.option(
    "--set", "name", metavar="NAME", help="Stimulus set (default: by the models' labels)."
)
@click.option("--count", type=click.IntRange(1), default=8, show_default=True, help="Images.")
@click.option(
    "--map",
    "kind",
    default=GRADIENT,
    show_default=True,
    metavar="MAP",
    help="gradient, smoothgrad; integrated-gradients, gradient-x-input, grad-cam: pictures, never scores.",
)
@click.option("--random", is_flag=True, help="One more row: the first architecture, untrained.")
def gallery(pattern: str, out: Path, name: str | None, count: int, kind: str, random: bool) -> int:
    """Signed input gradients as colour, as in Tsipras et al. (2019): clipped at mean +- 3 sigma, nothing smoothed.

    One row a model, one column an image; the images are the first of evenly spaced categories, not chosen by looks.
    A small strip of each model's gradients is kept under BENCH_HOME/thumbnails for reports.
    """
    from benchmark import api
    from benchmark.settings import read_settings
    from benchmark.stimuli.sets import open_set
    from registry.model import LoadedModel

    cards, settings = api.models(pattern), read_settings()
    _check(cards)
    stimuli = open_set(name or _default_set(cards), settings)
    render = _renderer()
    loaded = [api.load_model(card.name) for card in cards]
    networks = [model for model in loaded if isinstance(model, LoadedModel)]
    made = render(networks, stimuli, count, random=random, kind=kind)
    made.image.save(out, format="PNG")
    size = f"{made.image.width} x {made.image.height}"
    say(f"{out}: {len(networks)} models on {stimuli.name}, {size}")
    if kind == GRADIENT:
        _keep(settings.thumbnails / stimuli.name, made, {m.card.name: m.identity for m in networks})
    if made.warning:
        say(f"A picture, not a score: {made.warning}.")
    return 0


def _keep(folder: Path, made: Any, identities: Mapping[str, str]) -> None:
    """NAME.png for each model, with the identity of the model that it shows as text "identity"; _stimuli.png."""
    from PIL.PngImagePlugin import PngInfo

    folder.mkdir(parents=True, exist_ok=True)
    made.stimuli.save(folder / "_stimuli.png")
    for name, strip in made.strips.items():
        note = PngInfo()
        note.add_text("identity", identities[name])
        strip.save(folder / f"{name}.png", pnginfo=note)


def _check(cards: Sequence[ModelCard]) -> None:
    """Raises BenchError where a model is no network."""
    from benchmark.errors import BenchError

    for card in cards:
        if card.source == "ideal":
            raise BenchError(f"'{card.name}' answers from labels: it has no gradients to show.")


def _default_set(cards: Sequence[ModelCard]) -> str:
    """The set in whose decision space all of the models can answer."""
    from benchmark.errors import BenchError
    from registry.labels import label_space

    answers = [set(label_space(card.labels).answers) for card in cards]
    for space, name in SETS.items():
        if all(space in spaces for spaces in answers):
            return name
    raise BenchError(
        f"these models share none of the decision spaces {', '.join(SETS)}: no set suits them all. "
        "Name fewer models, or a set with --set."
    )


def _renderer() -> Callable[..., Any]:
    """The first renderer that an installed suite offers."""
    from benchmark.errors import PluginError

    found = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    if not found:
        raise PluginError(f"no installed package draws galleries (entry-point group {GROUP}).")
    render: Callable[[Sequence[Any], Stimuli, int], Any] = found[0].load()
    return render
