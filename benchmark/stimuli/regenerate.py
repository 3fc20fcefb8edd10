"""Sets made again from photographs or known from trials only, and the recipes that published networks state."""

import csv
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Stimuli, Transform
from benchmark.failures import MissingStimuli, StimuliError, TrialsError, unknown_name
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry, entry_and_folder, save_entry
from benchmark.stimuli.datasets import restrict, sample
from benchmark.stimuli.experiments import experiment_of, published_experiments
from benchmark.stimuli.fetch import Report, make_folder
from benchmark.stimuli.image_files import file_digests, read_rgb, seed_of, stimuli_of, text_digest, write_png
from benchmark.stimuli.image_names import cues_of, stimulus_id
from benchmark.stimuli.published_sources import PUBLISHED_SPACE
from benchmark.stimuli.trial_tables import CUES, TrialFile, read_tables, trial_paths
from benchmark.stimuli.world.sets import SPACE, WORLD_SETS, generated_set
from benchmark.transforms.listing import own_list
from registry.files import digest_data, expanded

SIDE, SHORTER = 224, 256
PHOTOGRAPHS, TABLES = "imagenet-train", "human-trials"  # the sets of photographs, and of the tables that name them
REGENERATED = "regenerated"  # the value of the label "made"
Row = tuple[str, str, str]  # name of the image, condition, category
SUFFIXES = (".JPEG", ".jpeg", ".jpg", ".JPG", ".png")
MADE = ".made"  # the digest of what was made, in the set's folder


# Stimuli of the twelve parametric experiments made again from the ImageNet photographs that they were made from.
# The trial tables name the photograph of each trial ("n02134084_5274", ILSVRC-2012 training set) and its condition; who
# has ImageNet can degrade it with `benchmark.transforms.human`. The result is not the published files (cropping and
# random draws differ), so it is a set of its own: another digest, and a label column "made" that flags every score.
def parametric() -> list[str]:
    """Return the names of the experiments that can be made again: the twelve that showed degraded photographs."""
    return [name for name in own_list("human") if published_experiments()[name].conditions]


def degraded(image: NDArray[np.uint8], digest: str, step: Transform) -> NDArray[np.uint8]:
    """Crop and degrade a photograph to [224, 224, 3] uint8. Draws depend only on its file's digest and condition."""
    import torch

    pixels = torch.tensor(cropped(image)).permute(2, 0, 1)[None].float() / 255
    changed = step.apply(pixels, np.array([seed_of(f"0:{digest}")], np.uint64))[0].permute(1, 2, 0)
    return np.asarray((changed * 255).round().to(torch.uint8).numpy())


def cropped(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scale the shorter side of [H, W, 3] uint8 to 256 (bilinear, antialiased) and crop the central [224, 224, 3]."""
    from registry.model import centre_crop, shorter_side  # brings Pillow, which reading scores does not need

    return centre_crop(shorter_side(image, SHORTER, "bilinear"), SIDE)


def make_set(experiment: str, settings: Settings, report: Report, output: Path | None = None) -> Entry:
    """Make the stimuli of a parametric experiment again as the set `regenerated-EXPERIMENT` (in `output`). Missing
    photographs are left out; an interrupted run resumes. Raises UnknownName, MissingStimuli."""
    if experiment not in parametric():
        raise unknown_name("experiment that is made by degrading", experiment, parametric())
    from benchmark.transforms.human import degradation

    trials = entry_and_folder(TABLES, settings)[1]
    files = [x for path in trial_paths(trials) if experiment_of(path) == experiment for x in read_tables(path).files]
    if not files:
        raise MissingStimuli(f"{trials}: no table of trials of '{experiment}'.")
    columns = ([file.columns[x].tolist() for x in ("stimulus", "condition", "category")] for file in files)
    shown = sorted({row for own in columns for row in zip(*own, strict=True)})  # what people were shown, each once
    folder = entry_and_folder(PHOTOGRAPHS, settings)[1]
    there = _photographs(shown, folder)
    paths = tuple(dict.fromkeys(there.values()))
    digests = dict(zip(paths, file_digests(paths, folder, settings), strict=True))
    steps = {condition: degradation(experiment, condition) for _, condition, _ in there}
    made = [(*row, digests[path], dict(steps[row[1]].params)) for row, path in there.items()]
    name = f"{REGENERATED}-{experiment}"
    target = expanded(output or settings.stimuli).resolve() / name
    fill = partial(_write_images, report, there, digests, steps)
    # A set from other photographs gives way.
    if not make_folder(target, MADE, digest_data([SHORTER, SIDE, made]), fill, replace=True):
        report(f"{name}: already there")
    entry = Entry(
        name=name,
        role=experiment,
        space=PUBLISHED_SPACE,
        layout="labels-csv",
        count=len(shown),
        folder=str(target),
        title=f"{experiment}, {REGENERATED} from ImageNet photographs: not the published files",
        license="ImageNet terms: research only",
    )
    save_entry(entry, settings)
    part = "" if len(there) == len(shown) else f" ({len(shown)} are published: a part)"
    report(f"{name}: {len(there)} images{part} at {target}")
    return entry


def _photographs(shown: Sequence[Row], folder: Path) -> dict[Row, Path]:
    """Find the photograph of each stimulus; the other million files are not read. Raises MissingStimuli."""
    there = {}
    for row in shown:
        stem = PurePath(row[0]).stem
        places = (folder / stem.partition("_")[0] / f"{stem}{suffix}" for suffix in SUFFIXES)
        if path := next(filter(Path.is_file, places), None):
            there[row] = path
    if not there:
        raise MissingStimuli(
            f"{folder}: none of the {len(shown)} photographs, which are of the ImageNet-1k training set. Add that with "
            f"`bench data add {PHOTOGRAPHS} FOLDER`."
        )
    return there


def _write_images(
    report: Report, there: Mapping[Row, Path], digests: Mapping[Path, str], steps: Mapping[str, Transform], folder: Path
) -> None:
    """Write the missing images, then `labels.csv`."""
    report(f"making {len(there)} images")
    for (stimulus, condition, _), path in there.items():
        if not (image := folder / "images" / stimulus_id(condition, stimulus)).exists():
            write_png(image, degraded(read_rgb(path, ""), digests[path], steps[condition]))
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        rows = ((stimulus_id(b, a), category, b, REGENERATED) for a, b, category in there)
        csv.writer(file).writerows([("image", "category", "condition", "made"), *rows])


def trial_stimuli(files: Sequence[TrialFile]) -> Stimuli:
    """Build the stimulus set of one experiment from its trials, without pixels. An image without a digest has that of
    its name; images of the built-in world belong to their generated set. Raises TrialsError if files disagree."""
    experiment, digests = files[0].experiment, dict[str, str]()
    known: dict[str, dict[str, str]] = {name: {} for name in ("category", *CUES) if name in files[0].columns}
    for file in files:
        for name, shown in known.items():
            for image, value in zip(file.columns["stimulus"].tolist(), file.columns[name].tolist(), strict=True):
                if shown.setdefault(image, value) != value:
                    raise TrialsError(
                        f"{file.path}: '{image}' is of {name} '{value}' here, '{shown[image]}' elsewhere."
                    )
        digests |= {name: own or text_digest(f"{experiment}/{name}") for name, own in file.contents().items()}
    category = known["category"]
    if files[0].space != PUBLISHED_SPACE and not files[0].added:
        return _drawn_stimuli(files, category, digests)
    ids = tuple(sorted(category, key=lambda name: (category[name], name)))
    items = tuple(digests[name] for name in ids)
    labels = {name: np.array([shown[image] for image in ids]) for name, shown in known.items()}
    if experiment == "cue-conflict":
        labels |= {"shape": labels["category"], "texture": np.array([cues_of(name)["texture"] for name in ids])}
    return stimuli_of(
        name=experiment, space=files[0].space, ids=ids, items=items, labels=labels,
        decode=partial(_no_image, experiment), whole=len(ids), origin="trial tables",
    )  # fmt: skip


def _drawn_stimuli(files: Sequence[TrialFile], category: Mapping[str, str], digests: Mapping[str, str]) -> Stimuli:
    """Select the answered images of a set of the built-in world, in the order of `--limit` for such a sample."""
    path, name, space = files[0].path, files[0].shown, files[0].space
    if space != SPACE or name not in WORLD_SETS or any(file.shown != name for file in files):
        raise TrialsError(f"{path}: the set '{name}' in the space '{space}' is not of the built-in world.")
    whole = generated_set(name)
    known = dict(zip(whole.ids, zip(whole.items, whole.labels["category"].tolist(), strict=True), strict=True))
    for image, content in digests.items():
        named = content == text_digest(f"{files[0].experiment}/{image}")  # the table does not say its digest
        if known.get(image, ("", ""))[named:] != (content, category[image])[named:]:
            raise TrialsError(f"{path}: '{image}' is not an image of '{name}' as this version of the program draws it.")
    front = sample(whole, len(category))
    return front if set(front.ids) == category.keys() else restrict(whole, [x for x in whole.ids if x in category])


def _no_image(experiment: str, index: int) -> Array:
    raise StimuliError(f"the images of '{experiment}' are known by name only (image {index}).")


Recipes = Mapping[str, tuple[str, ...]]

#: Parts of the names of Geirhos et al. 2018 (generalisation-humans-DNNs, raw-data/fine-tuning) -> tags.
PARTS = {
    "color": "colour", "colour": "colour", "grayscale": "greyscale", "grayscale-contrast": "contrast",
    "low-pass": "low-pass", "high-pass": "high-pass", "phase-scrambling": "phase-scrambling", "rotation": "rotation",
    "uniform-noise": "noise(uniform)", "salt-and-pepper-noise": "noise(salt-and-pepper)",
}  # fmt: skip
_COMMA = re.compile(r",\s*(?![^(]*\))")  # not the one inside "adversarial(linf,4/255)"


def named_recipe(observer: str) -> tuple[str, ...]:
    """Read the recipe in a published network's name; () if there is none. "sixteen21--salt-and-pepper-noise-multiple"
    -> ("noise(salt-and-pepper)",): each part is a distortion of the training images."""
    if not re.fullmatch(r"sixteen\d\d((?:--[a-z0-9-]+?)+)", observer):
        return ("colour",) if observer == "sixteen01v4" else ()  # which was trained on undistorted colour images
    tags = []
    for part in observer.split("--")[1:]:
        epochs = re.fullmatch(r"(\d+)epochs", part)
        tags.append(f"epochs({epochs[1]})" if epochs else PARTS.get(part.removesuffix("-multiple"), ""))
    return tuple(tags) if all(tags) else ()


def stated_recipes(statements: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Parse "OBSERVER=tag, tag" of the command line; several statements for one observer join. Raises TrialsError."""
    recipes: dict[str, tuple[str, ...]] = {}
    for text in statements:
        observer, equals, tags = text.partition("=")
        recipe = tuple(tag.strip() for tag in _COMMA.split(tags) if tag.strip())
        if not (equals and observer.strip() and recipe):
            raise TrialsError(f"--training '{text}': expected OBSERVER=RECIPE, such as 'my-net=noise(uniform)'.")
        recipes[observer.strip()] = (*recipes.get(observer.strip(), ()), *recipe)
    return recipes
