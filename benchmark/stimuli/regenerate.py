"""Sets made again from photographs or known from trials only, and the recipes that published networks state."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Stimuli, Transform, Trials
from benchmark.errors import MissingStimuli, StimuliError, TrialsError, unknown_name
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry, save_entry
from benchmark.stimuli.datasets import restrict, sample
from benchmark.stimuli.experiment_names import experiment_of
from benchmark.stimuli.fetch import make_folder
from benchmark.stimuli.generated import SPACE, generated_set
from benchmark.stimuli.image_files import FileImages, file_digests, set_digest, text_digest, write_png
from benchmark.stimuli.image_names import WNID, read_pair, stimulus_id
from benchmark.stimuli.published_sources import PUBLISHED_SPACE
from benchmark.stimuli.set_folders import entry_and_folder, remedy
from benchmark.stimuli.trials import TrialFile, read_trials, trial_paths
from benchmark.stimuli.world.sets import WORLD_SETS
from registry.files import expanded
from registry.foreign import read_document

SIDE, SHORTER = 224, 256
REGENERATED = "regenerated"  # the value of the label "made"
Report = Callable[[str], None]
SUFFIXES = (".JPEG", ".jpeg", ".jpg", ".JPG", ".png")
MADE = ".made"  # the digest of what was made, in the set's folder


# Stimuli of the twelve parametric experiments made again from the ImageNet photographs that they were made from.
#
# The trial tables name the photograph of each trial ("n02134084_5274", ILSVRC-2012 training set) and its condition; who
# has ImageNet can degrade it with `benchmark.transforms.human`. The result is not the published files (cropping and
# random draws differ), so it is a set of its own: another digest, and a label column "made" that flags every score.
class Photograph(NamedTuple):
    """A stimulus to make from a photograph."""

    #: Name in the set.
    stimulus: str
    #: The photograph's name without suffix.
    source: str
    condition: str
    category: str


def parametric() -> Sequence[str]:
    """Return the names of the experiments that can be made again: the twelve that showed people degraded
    photographs."""
    from benchmark.transforms.human import GEIRHOS

    return [name for name, experiment in GEIRHOS.items() if experiment.humans]


def photographs(role: str, trials: Trials) -> list[Photograph]:
    """List each stimulus of an experiment and its photograph once, by name. Raises StimuliError if the experiment does
    not degrade photographs, or a name is not that of an ImageNet photograph."""
    if role not in parametric():
        raise StimuliError(f"'{role}' is not made by degrading photographs; these are: {', '.join(parametric())}.")
    shown = trials.of(role)
    columns = (shown[name].tolist() for name in ("stimulus", "condition", "category"))
    wanted = []
    for stimulus, condition, category in sorted(set(zip(*columns, strict=True))):
        name = PurePath(stimulus)
        if not WNID.match(name.stem):
            raise StimuliError(f"'{stimulus}' does not name an ImageNet photograph such as n02134084_5274.png.")
        wanted.append(
            Photograph(
                stimulus=stimulus_id(condition, name.name), source=name.stem, condition=condition, category=category
            )
        )
    return wanted


def regenerate(role: str, trials: Trials, source: Stimuli) -> Stimuli:
    """Degrade the photographs in `source` (an ImageNet set, ids like "n02134084_5274.JPEG") as the trials require.

    Photographs missing from `source` are left out; `whole` is the complete number, so that a partial set is reported as
    partial. Raises MissingStimuli if `source` has no photograph of the experiment."""
    wanted = photographs(role, trials)
    at = {PurePath(name).stem: i for i, name in enumerate(source.ids)}
    there = [photograph for photograph in wanted if photograph.source in at]
    if not there:
        raise MissingStimuli(
            f"'{source.name}' has none of the {len(wanted)} photographs of '{role}'; they are of the ImageNet-1k "
            "training set. Add that with `bench data add imagenet-train FOLDER`."
        )
    ids, sources, conditions, categories = zip(*there, strict=True)
    index = tuple(at[name] for name in sources)
    items = []
    for condition, i in zip(conditions, index, strict=True):
        step = _transform(role, condition)
        params = ",".join(f"{name}={step.params[name]}" for name in sorted(step.params))
        items.append(text_digest(f"{source.items[i]}|{SHORTER}|{SIDE}|{step.name}|{params}"))
    columns = {"category": np.array(categories), "condition": np.array(conditions)}
    labels = {**columns, "made": np.full(len(there), REGENERATED)}
    name, digest = f"{REGENERATED}-{role}", set_digest(ids, items, labels)
    decode = Degraded(role=role, source=source, index=index, conditions=conditions)
    return Stimuli(
        name=name,
        digest=digest,
        space="geirhos16",
        ids=ids,
        items=tuple(items),
        labels=labels,
        decode=decode,
        whole=len(wanted),
        origin=REGENERATED,
    )


@dataclass(frozen=True, kw_only=True)
class Degraded:
    """decode(i): the i-th photograph with its shorter side scaled to 256, cropped to 224 x 224, and degraded."""

    role: str
    source: Stimuli
    index: tuple[int, ...]
    conditions: tuple[str, ...]

    def __call__(self, index: int) -> NDArray[np.uint8]:
        """Return HWC uint8 RGB. Random draws depend only on the photograph's content and the condition."""
        import torch

        at = self.index[index]
        image = torch.tensor(cropped(self.source.decode(at))).permute(2, 0, 1)[None].float() / 255
        seed = int(text_digest(f"0:{self.source.items[at]}")[:16], 16)
        degraded = _transform(self.role, self.conditions[index]).apply(image, np.array([seed], np.uint64))
        pixels: NDArray[np.uint8] = (degraded[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
        return pixels


def cropped(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scale the shorter side of [H, W, 3] uint8 to 256 (bilinear, antialiased) and crop the central [224, 224, 3]."""
    from registry.model import centre_crop, shorter_side  # brings Pillow, which reading scores does not need

    return centre_crop(shorter_side(image, SHORTER, "bilinear"), SIDE)


@cache
def _transform(role: str, condition: str) -> Transform:
    from benchmark.transforms.human import degradation

    return degradation(role, condition)


def write_set(stimuli: Stimuli, folder: Path) -> None:
    """Write a set in the layout labels-csv. `labels.csv` is written after all images; existing images are kept, so that
    an interrupted run can resume. All images are PNG, whatever their names."""
    for i, name in enumerate(stimuli.ids):
        if not (folder / "images" / name).exists():
            write_png(folder / "images" / name, stimuli.decode(i))
    import pandas as pd

    table = pd.DataFrame({"image": stimuli.ids, **stimuli.labels})
    table.to_csv(folder / "labels.csv", index=False)


def make_set(
    experiment: str,
    settings: Settings,
    report: Report,
    *,
    source: str = "imagenet-train",
    trials: str = "human-trials",
    output: Path | None = None,
) -> Entry:
    """Make the stimuli of a parametric experiment again and add them to the catalogue as `regenerated-EXPERIMENT`.

    source, trials: catalogue names of the photographs and of the tables that name them; output: parent of the set's
    folder (default: the folder of fetched sets). The folder appears in one move once it is complete; an interrupted run
    resumes. Raises UnknownName, or MissingStimuli with the command that helps."""
    if experiment not in parametric():
        raise unknown_name("experiment that is made by degrading", experiment, parametric())
    shown = _shown(experiment, entry_and_folder(trials, settings)[1])
    stimuli = regenerate(experiment, shown, _photographs(source, photographs(experiment, shown), settings))
    target = expanded(output or settings.stimuli).resolve() / stimuli.name

    def fill(folder: Path) -> None:
        report(f"{stimuli.name}: making {len(stimuli)} images")
        write_set(stimuli, folder)

    if not make_folder(target, MADE, stimuli.digest, fill, replace=True):  # a set from other photographs gives way
        report(f"{stimuli.name}: already there")
    title = f"{experiment}, {REGENERATED} from ImageNet photographs: not the published files"
    entry = Entry(
        name=stimuli.name,
        role=experiment,
        space=stimuli.space,
        layout="labels-csv",
        count=stimuli.whole,
        folder=str(target),
    )
    entry = replace(entry, title=title, license="ImageNet terms: research only")
    save_entry(entry, settings)
    part = "" if len(stimuli) == stimuli.whole else f" ({stimuli.whole} are published: a part)"
    report(f"{stimuli.name}: {len(stimuli)} images{part} at {target}")
    return entry


def _photographs(name: str, wanted: Sequence[Photograph], settings: Settings) -> Stimuli:
    """Open the installed photographs among those wanted. The other million files are not read."""
    entry, folder = entry_and_folder(name, settings)
    paths = []
    for source in dict.fromkeys(photograph.source for photograph in wanted):
        places = (folder / source.partition("_")[0] / f"{source}{suffix}" for suffix in SUFFIXES)
        paths += [place for place in places if place.is_file()][:1]
    items = file_digests(paths, folder, settings)
    images = FileImages(files=tuple(paths), remedy=remedy(entry), digests=items)
    return Stimuli(
        name=entry.name,
        digest="",
        space=entry.space,
        ids=tuple(path.name for path in paths),
        items=items,
        labels={},
        decode=images,
    )


def _shown(experiment: str, folder: Path) -> Trials:
    """Read what people were shown from the experiment's own tables."""
    paths = [path for path in trial_paths(folder) if experiment_of(path) == experiment]
    files = [file for path in paths for file in read_trials(path)]
    if not files:
        raise MissingStimuli(f"{folder}: no table of trials of '{experiment}'.")
    names = ("stimulus", "condition", "category")
    columns = {name: np.concatenate([file.columns[name] for file in files]) for name in names}
    return Trials(columns={**columns, "role": np.full(len(columns["stimulus"]), experiment)})


def trial_stimuli(files: Sequence[TrialFile]) -> Stimuli:
    """Build the stimulus set of one experiment from its trials, without pixels: all images in `files`, by category,
    then name.

    Labels are category and, for cue-conflict, shape and texture. An image without a digest in the tables has the digest
    of its name; `decode` raises StimuliError. Images of the built-in world belong to their generated set. Raises
    TrialsError if files disagree."""
    names = sorted({file.experiment for file in files})
    if len(names) != 1:
        raise TrialsError(f"expected the trials of one experiment, got {', '.join(names) or 'none'}.")
    experiment = names[0]
    category: dict[str, str] = {}
    digests: dict[str, str] = {}
    for file in files:
        columns = (file.columns[name].tolist() for name in ("stimulus", "category"))
        for name, value in zip(*columns, strict=True):
            if category.setdefault(name, value) != value:
                raise TrialsError(f"{file.path}: '{name}' is of category '{value}' here, '{category[name]}' elsewhere.")
        digests |= {name: own or text_digest(f"{experiment}/{name}") for name, own in file.contents().items()}
    if files[0].space != PUBLISHED_SPACE:
        return _drawn_stimuli(files, category, digests)
    ids = tuple(sorted(category, key=lambda name: (category[name], name)))
    items = tuple(digests[name] for name in ids)
    labels: dict[str, Array] = {"category": np.array([category[name] for name in ids])}
    if experiment == "cue-conflict":
        labels["shape"] = labels["category"]
        labels["texture"] = np.array([pair.texture for pair in map(read_pair, ids) if pair])
    digest, decode = set_digest(ids, items, labels), partial(_no_image, experiment)
    return Stimuli(
        name=experiment,
        digest=digest,
        space="geirhos16",
        ids=ids,
        items=items,
        labels=labels,
        decode=decode,
        whole=len(ids),
        origin="trial tables",
    )


def _drawn_stimuli(files: Sequence[TrialFile], category: Mapping[str, str], digests: Mapping[str, str]) -> Stimuli:
    """Select the answered images of a set of the built-in world, in the order of `--limit` if they are such a sample.
    Raises TrialsError if an image does not belong to the set."""
    path, name, space = files[0].path, files[0].shown, files[0].space
    if space != SPACE or name not in WORLD_SETS or any(file.shown != name for file in files):
        raise TrialsError(f"{path}: the set '{name}' in the space '{space}' is not of the built-in world.")
    whole = generated_set(name)
    known = dict(zip(whole.ids, zip(whole.items, whole.labels["category"].tolist(), strict=True), strict=True))
    for image, content in digests.items():
        named = content == text_digest(f"{files[0].experiment}/{image}")  # the table does not say its digest
        if known.get(image, ("", ""))[named:] != (content, category[image])[named:]:
            raise TrialsError(f"{path}: '{image}' is no image of '{name}' as this version of the program draws it.")
    front = sample(whole, len(category))
    return front if set(front.ids) == category.keys() else restrict(whole, [x for x in whole.ids if x in category])


def _no_image(experiment: str, index: int) -> Array:
    raise StimuliError(f"the images of '{experiment}' are known by name only (image {index}).")


Recipes = Mapping[str, tuple[str, ...]]

#: A file of this name beside trial tables maps observers to their recipes.
RECIPE_FILE = "training.yaml"
#: Parts of the names of Geirhos et al. 2018 (generalisation-humans-DNNs, raw-data/fine-tuning) -> tags.
PARTS = {
    "color": "colour", "colour": "colour", "grayscale": "greyscale", "grayscale-contrast": "contrast",
    "low-pass": "low-pass", "high-pass": "high-pass", "phase-scrambling": "phase-scrambling", "rotation": "rotation",
    "uniform-noise": "noise(uniform)", "salt-and-pepper-noise": "noise(salt-and-pepper)",
}  # fmt: skip
NAMED = {
    "sixteen01v4": ("colour",),  # Geirhos et al. 2018: the one trained on undistorted colour images
    "resnet50-train-60-epochs": ("stylised",),  # Geirhos et al. 2019, texture-vs-shape
}
_COMMA = re.compile(r",\s*(?![^(]*\))")  # not the one inside "adversarial(linf,4/255)"


def named_recipe(observer: str) -> tuple[str, ...]:
    """Read the recipe in a published network's name; () if there is none. "sixteen21--salt-and-pepper-noise-multiple"
    -> ("noise(salt-and-pepper)",): each part is a distortion of the training images."""
    if not re.fullmatch(r"sixteen\d\d((?:--[a-z0-9-]+?)+)", observer):
        return NAMED.get(observer, ())
    tags = []
    for part in observer.split("--")[1:]:
        epochs = re.fullmatch(r"(\d+)epochs", part)
        tags.append(f"epochs({epochs[1]})" if epochs else PARTS.get(part.removesuffix("-multiple"), ""))
    return tuple(tags) if all(tags) else ()


def stated_recipes(statements: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Parse "OBSERVER=tag, tag" from the command line; several statements for one observer are joined. Raises
    TrialsError."""
    recipes: dict[str, tuple[str, ...]] = {}
    for text in statements:
        observer, equals, tags = text.partition("=")
        recipe = _tags(tags)
        if not (equals and observer.strip() and recipe):
            raise TrialsError(f"--training '{text}': expected OBSERVER=RECIPE, such as 'my-net=noise(uniform)'.")
        recipes[observer.strip()] = (*recipes.get(observer.strip(), ()), *recipe)
    return recipes


def recipes_beside(path: Path) -> dict[str, tuple[str, ...]]:
    """Read training.yaml in the folder (or beside the file); no recipes without that file. Raises TrialsError if it
    does not map observers to a tag or a list of tags."""
    file = (path if path.is_dir() else path.parent) / RECIPE_FILE
    table = read_document(file, "list of recipes", TrialsError) if file.is_file() else {}
    if not isinstance(table, dict):
        raise TrialsError(f"{file}: expected a mapping of observers to recipes, such as 'my-net: noise(uniform)'.")
    recipes = {}
    for observer, tags in table.items():
        texts = _tags(tags) if isinstance(tags, str) else tags if isinstance(tags, list) else ()
        recipes[str(observer)] = tuple(tag.strip() for tag in texts if isinstance(tag, str) and tag.strip())
        if not texts or len(recipes[str(observer)]) < len(texts):
            raise TrialsError(f"{file}: '{observer}' has {tags!r}; expected a recipe tag or a list of them.")
    return recipes


def _tags(text: str) -> tuple[str, ...]:
    return tuple(tag.strip() for tag in _COMMA.split(text) if tag.strip())
