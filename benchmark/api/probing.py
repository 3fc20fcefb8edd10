"""Heads on frozen backbones: features of a training set, a classifier fitted to them, a card for both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import CardError, StimuliError
from benchmark.settings import Settings
from benchmark.variables import read_settings
from registry.files import expanded

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.contracts import Stimuli
    from registry.admission import Shelf
    from registry.cards import ModelCard
    from registry.checks import Check
    from registry.families.probe import Fitted, Head, Kind
    from registry.model import LoadedModel

#: `--train` that draws images of the built-in world, and how many it draws.
WORLD, WORLD_COUNT = "world", 1600
_BATCH = (
    64  # fixed: the features of an image do not depend on what the user's machine takes at once
)


@dataclass(frozen=True)
class Probe:
    """What `probe` is asked for.

    backbone: a model's name, or an architecture as `register` takes it, with its weights and key; train: a folder of
    class folders, or "world"; kind: of the head; name: of the new model; labels: the label space where the names of
    the classes do not tell it; limit: images of the training set, in proportion; replaces: take the place of the
    registered model of that name; overrides: fields of `Preprocess`.
    """

    backbone: str
    train: str
    kind: Kind = "linear"
    name: str = ""
    weights: str | None = None
    key: str | None = None
    labels: str | None = None
    limit: int | None = None
    device: str = "auto"
    replaces: bool = False
    overrides: Mapping[str, Any] = field(default_factory=dict)


def probe(asked: Probe) -> tuple[ModelCard, list[Check]]:
    """Fit a head on a backbone's features of a training set and register the whole.

    Gives the card and what is known of it: what the backbone is fed, the training set, the accuracy on images that
    were held out, and the checks of every registered model. Nothing is written unless all hold.
    """
    from registry.admission import Shelf, admit, require_free
    from registry.cards import remove_unnamed
    from registry.families.family import require_classes

    settings = read_settings()
    shelf = Shelf(settings.cards, settings.place, asked.replaces)
    name = asked.name or _usual_name(asked)
    require_free(name, shelf)
    card, rows = _backbone(asked, name, shelf, settings)
    stimuli = _training_set(asked, settings)
    if asked.labels:
        require_classes(set(stimuli.labels["category"].tolist()), asked.labels)
    model = _loaded(card, asked.device, settings)
    features = _features(model, stimuli, settings)
    head, fitted = _head(asked.kind, model, stimuli, features)
    draft, file = _frozen(asked, card.model_copy(update={"name": name}), head, stimuli, settings)
    try:
        found = [*rows, *_findings(stimuli, head, fitted)]
        stated = name != card.name or draft.preprocess is None or draft.preprocess.fixed_size
        return admit(draft, found, shelf, size_is_stated=stated)
    except BaseException:
        remove_unnamed([file], settings.cards)
        raise


def _usual_name(asked: Probe) -> str:
    plain = asked.backbone.rpartition(":")[2].rstrip("/").rpartition("/")[2].partition("@")[0]
    return f"{plain}-{asked.kind}"


def _backbone(
    asked: Probe, name: str, shelf: Shelf, settings: Settings
) -> tuple[ModelCard, list[Check]]:
    """The backbone's card, and what it is fed where that is said here for the first time."""
    from benchmark.api.cards import one_card
    from registry.registration import backbone_card

    if ":" in asked.backbone or asked.weights is not None:
        path = None if asked.weights is None else Path(asked.weights)
        arch = asked.backbone if ":" in asked.backbone else ""
        return backbone_card(name, arch, path, shelf=shelf, key=asked.key, **asked.overrides)
    if asked.overrides or asked.key:
        raise CardError(
            f"'{asked.backbone}' is registered with its own input and weights: the options for these are for "
            "architectures (timm:NAME and the like)."
        )
    return one_card(asked.backbone, settings), []


def _training_set(asked: Probe, settings: Settings) -> Stimuli:
    from benchmark.stimuli.catalogue import Entry
    from benchmark.stimuli.datasets import open_folder
    from benchmark.stimuli.generated import training_stimuli

    if asked.train == WORLD:
        return training_stimuli(asked.limit or WORLD_COUNT)
    folder = expanded(asked.train)
    if not folder.is_dir():
        raise StimuliError(
            f"--train {asked.train}: no such folder. Expected one with a folder per class, with images in each; or "
            f"'{WORLD}': drawn here."
        )
    entry = Entry(folder.resolve().name, "training", "probe", "class-folder")
    return open_folder(entry, folder.resolve(), settings, asked.limit)


def _loaded(card: ModelCard, device: str, settings: Settings) -> LoadedModel:
    from benchmark.engine.devices import choose_device
    from registry.loading import load_model

    return load_model(card, settings.place, device=choose_device(device), bare=True)


def _features(model: LoadedModel, stimuli: Stimuli, settings: Settings) -> Tensor:
    """[n, d] float32 on the CPU, from the cache where they are there."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save

    from registry.files import digest_data, write_whole

    device = next((str(one.device.type) for one in model.module.parameters()), "cpu")
    key = digest_data([model.identity, stimuli.digest, device])
    path = settings.features / f"{key}.safetensors"
    if path.is_file():
        try:
            return load_file(path)["features"]
        except (OSError, SafetensorError, KeyError):
            path.unlink(missing_ok=True)
    features = _computed(model, stimuli, device)
    write_whole(path, save({"features": features}))
    return features


def _computed(model: LoadedModel, stimuli: Stimuli, device: str) -> Tensor:
    import torch

    from benchmark.engine.devices import full_precision
    from registry.families.probe import pooled

    parts = []
    with torch.inference_mode(), full_precision(device):
        for start in range(0, len(stimuli), _BATCH):
            images = [stimuli.decode(i) for i in range(start, min(start + _BATCH, len(stimuli)))]
            x = model.fit(model.prepare(images, "card").to(device))
            parts.append(pooled(model.module(model.normalise(x))).float().cpu())
    return torch.cat(parts)


def _head(
    kind: Kind, model: LoadedModel, stimuli: Stimuli, features: Tensor
) -> tuple[Head, Fitted]:
    import torch

    from registry.families.probe import Head, fit

    names = stimuli.labels["category"].tolist()
    classes = tuple(sorted(set(names)))
    targets = torch.tensor([classes.index(name) for name in names])
    fitted = fit(kind, features, targets, len(classes))
    head = Head(
        fitted.weight, fitted.bias, kind, classes, stimuli.digest, model.digest, len(stimuli)
    )
    return head, fitted


def _frozen(
    asked: Probe, backbone: ModelCard, head: Head, stimuli: Stimuli, settings: Settings
) -> tuple[ModelCard, Path]:
    """The new model's card, and the file of its head. Classes that are no known label space get a mapping file, which
    belongs to the list, not to the model.
    """
    from registry.admission import UNTRAINED
    from registry.cards import head_file
    from registry.families.family import labels_of_folders
    from registry.families.probe import write_head

    space = asked.labels or _drawn_space(stimuli)
    place = expanded(asked.train)
    labels, order, _ = labels_of_folders(head.classes, space, place, settings.cards)
    head = head.ordered(order)
    path = head_file(backbone.name, head.digest, settings.cards)
    write_head(head, path)
    tags = ["random-features" if tag == UNTRAINED else tag for tag in backbone.training]
    changes = {
        "labels": labels,
        "sha256": None,
        "training": tuple(dict.fromkeys([*tags, f"probe({asked.kind})"])),
        "reported": (),
        "description": f"{asked.kind} head on the features of {asked.backbone}, fitted to {head.images} images of "
        f"{stimuli.name}",
        "options": {**backbone.options, "head": str(path), "trained_on": head.trained_on},
    }
    return backbone.model_copy(update=changes), path


def _drawn_space(stimuli: Stimuli) -> str | None:
    from benchmark.stimuli.generated import SPACE

    return SPACE if stimuli.space == SPACE else None


def _findings(stimuli: Stimuli, head: Head, fitted: Fitted) -> list[Check]:
    from benchmark.stats import wilson
    from registry.checks import Check

    count, classes = len(stimuli), len(head.classes)
    rows = [
        Check("training set", True, f"{count} images of {classes} classes, {stimuli.digest[:12]}"),
        Check("features", True, f"{head.weight.shape[1]} numbers per image"),
    ]
    if not fitted.held:
        return [*rows, Check("held out", True, "nothing: fewer than five images in every class")]
    low, high = wilson(fitted.right, fitted.held)
    text = f"{fitted.right / fitted.held:.3f} [{low:.3f}, {high:.3f}] of {fitted.held} images named rightly"
    if fitted.penalty:
        text += f", penalty {fitted.penalty:g} chosen on them"
    return [*rows, Check("held out", True, text)]
