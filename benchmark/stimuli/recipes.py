"""What published networks were trained on: declared by the user, by a file beside the tables, or by their names.

A recipe is a tuple of tags, spelled as on model cards: "standard", "noise(uniform)", "contrast", ...
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark.errors import TrialsError

Recipes = Mapping[str, tuple[str, ...]]

#: A file of this name beside trial tables maps observers to their recipes.
RECIPE_FILE = "training.yaml"
#: Parts of the names of Geirhos et al. 2018 (generalisation-humans-DNNs, raw-data/fine-tuning) -> tags.
PARTS = {
    "color": "colour",
    "colour": "colour",
    "grayscale": "greyscale",
    "grayscale-contrast": "contrast",
    "low-pass": "low-pass",
    "high-pass": "high-pass",
    "phase-scrambling": "phase-scrambling",
    "rotation": "rotation",
    "uniform-noise": "noise(uniform)",
    "salt-and-pepper-noise": "noise(salt-and-pepper)",
}
NAMED = {
    "sixteen01v4": ("colour",),  # Geirhos et al. 2018: the one trained on undistorted colour images
    "resnet50-train-60-epochs": ("stylised",),  # Geirhos et al. 2019, texture-vs-shape
}
_NUMBERED = re.compile(r"sixteen\d\d((?:--[a-z0-9-]+?)+)")
_EPOCHS = re.compile(r"(\d+)epochs")
_COMMA = re.compile(r",\s*(?![^(]*\))")  # not the one inside "adversarial(linf,4/255)"


def named_recipe(observer: str) -> tuple[str, ...]:
    """The recipe that a published network's name states; () where it states none.

    "sixteen21--salt-and-pepper-noise-multiple" -> ("noise(salt-and-pepper)",): each part is a distortion of the
    training images, "multiple" says at several levels; "200epochs" becomes the tag "epochs(200)".
    """
    if observer in NAMED:
        return NAMED[observer]
    found = _NUMBERED.fullmatch(observer)
    if not found:
        return ()
    tags = [_tag(part) for part in found[1].removeprefix("--").split("--")]
    return tuple(tag for tag in tags if tag) if all(tags) else ()


def _tag(part: str) -> str:
    epochs = _EPOCHS.fullmatch(part)
    return f"epochs({epochs[1]})" if epochs else PARTS.get(part.removesuffix("-multiple"), "")


def stated_recipes(statements: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """ "OBSERVER=tag, tag" of the command line, several for one observer added up. Raises TrialsError."""
    recipes: dict[str, tuple[str, ...]] = {}
    for text in statements:
        observer, equals, tags = text.partition("=")
        named = _tags(tags)
        if not (equals and observer.strip() and named):
            raise TrialsError(
                f"--training '{text}': expected OBSERVER=RECIPE, such as 'my-net=noise(uniform)'."
            )
        recipes[observer.strip()] = (*recipes.get(observer.strip(), ()), *named)
    return recipes


def recipes_beside(path: Path) -> dict[str, tuple[str, ...]]:
    """The recipes of training.yaml in the folder (or beside the file); none where there is no such file.

    Raises TrialsError where it is not a mapping of observers to a tag or a list of tags.
    """
    file = (path if path.is_dir() else path.parent) / RECIPE_FILE
    if not file.is_file():
        return {}
    from registry.documents import read_document  # brings YAML

    read = read_document(file, "list of recipes", TrialsError)
    if not isinstance(read, dict):
        raise TrialsError(
            f"{file}: expected a mapping of observers to recipes, such as 'my-net: noise(uniform)'."
        )
    return {str(observer): _listed(file, str(observer), tags) for observer, tags in read.items()}


def _listed(file: Path, observer: str, tags: object) -> tuple[str, ...]:
    named = _tags(tags) if isinstance(tags, str) else ()
    if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
        named = tuple(tag.strip() for tag in tags if tag.strip())
    if not named:
        raise TrialsError(
            f"{file}: '{observer}' has {tags!r}; expected a recipe tag or a list of them."
        )
    return named


def _tags(text: str) -> tuple[str, ...]:
    return tuple(tag.strip() for tag in _COMMA.split(text) if tag.strip())
