"""List, load, register and rename models."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Unpack

import numpy as np

from benchmark.api.leaderboards import suites_with_scores
from benchmark.api.options import Arch, CheckpointOptions, Names, Option, joined, stated
from benchmark.api.photograph_checks import registration_checks
from benchmark.contracts import Observer, Stimuli
from benchmark.engine.scoring import Scorer
from benchmark.engine.tasks import plan_tasks
from benchmark.failures import CardError, StimuliError, unknown_name
from benchmark.plugins import find_suites, suite_entries
from benchmark.settings import Settings
from benchmark.stats import wilson
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.datasets import open_folder
from benchmark.stimuli.world.sets import training_set
from benchmark.store import open_store
from benchmark.variables import read_settings
from registry.cards import ModelCard, change_card, head_file, read_cards, remove_unnamed, select_cards
from registry.files import conversions, digest_data, expanded, is_url, write_whole
from registry.training_runs import SUFFIXES
from registry.user_errors import BenchError, Remedy, completed

if TYPE_CHECKING:
    from registry.determinism_checks import Check
    from registry.heads import Head, Kind
    from registry.model import LoadedModel
    from registry.simulated import IdealObserver


WEIGHTS = ".safetensors, .pt, .pth, .pt2, .onnx, a URL, a folder of timm, a tag of open_clip, or random:0 (untrained)."
VERIFY = "Compare it with your own `model` and `transform` on photographs; other decisions refuse it."
TEMPLATES = "Name classes in these texts, such as 'a sketch of a {}.' (zero-shot models; default: 80)."
PROBE = "Fit a classifier to features of --arch on a folder per class, or on 1,600 images of the built-in 'world'."
#: `--probe` that draws images of the built-in world, and how many it draws.
WORLD, WORLD_COUNT = "world", 1600
_BATCH = 64  # fixed: the features of an image do not depend on what the user's machine takes at once


def models(pattern: Annotated[Names | None, Option("Names or globs (default: all).")] = None) -> list[ModelCard]:
    """List model cards with their weights and recipes.

    The list shows built-in and registered cards, and whether their weights are on disk."""
    cards = read_cards(read_settings().cards)
    return select_cards(joined(pattern), cards) if pattern else list(cards.values())


def one_card(name: str, settings: Settings) -> ModelCard:
    """Return the card of exactly this name."""
    cards = read_cards(settings.cards)
    if name not in cards:
        raise cards.broken.get(name) or unknown_name("model", name, cards, "`bench models` lists them.")
    return cards[name]


def load_model(name: str, *, device: str = "cpu") -> LoadedModel | IdealObserver:
    """Load a registered model: `model.forward(images NCHW in [0,1]) -> logits`."""
    from benchmark.engine.device_choice import choose_device
    from registry.loading import load_observer

    settings = read_settings()
    return load_observer(one_card(name, settings), settings.place, device=choose_device(device))


def register(
    name: Annotated[str, Option("Name the new model (default: the name of the file or folder).")],
    arch: Arch = "",
    weights: Annotated[str | Path | None, Option(WEIGHTS, "--weights", metavar="FILE|FOLDER")] = None,
    *,
    threshold: Annotated[float | None, Option("Ignore a detector's boxes below this (0.05).", least=0, most=1)] = None,
    templates: Annotated[str | Path | None, Option(TEMPLATES, metavar="single|7|80|FILE|TEXT")] = None,
    probe: Annotated[str | Path | None, Option(PROBE, metavar="FOLDER|world")] = None,
    head: Annotated[Literal["linear", "nearest-class"], Option("Choose the classifier (with --probe).")] = "linear",
    limit: Annotated[int | None, Option("Use at most this many training images (with --probe).", least=1)] = None,
    device: Annotated[str, Option("Compute the features on this device (with --probe).")] = "auto",
    replace: Annotated[bool, Option("Replace the registered model of that name.")] = False,
    check: Annotated[str | Path | None, Option("Try it on photographs of this folder.", metavar="FOLDER")] = None,
    verify: Annotated[str | Path | None, Option(VERIFY, metavar="FILE.py[:NAME]", kind="place")] = None,
    **said: Unpack[CheckpointOptions],
) -> tuple[ModelCard, list[Check]]:
    """Check a checkpoint and register it as a model card.

    The card freezes the digest of its weights and its preprocessing.

    \b
    bench register my-net --arch timm:resnet50 --weights checkpoint.pt
    bench register my-probe --arch timm:vit_small_patch14_dinov2 --weights dinov2.pth --probe imagenet/train
    """
    own = stated(templates=None if templates is None else str(templates), threshold=threshold)
    known, path = stated(**said), None if weights is None else str(weights)
    if weights is None and (expanded(name).suffix.lower() in FILES or (not arch and expanded(name).exists())):
        name, path = _named_after(name), name  # a file alone
    elif path and expanded(name).is_file() and not (is_url(path) or expanded(path).exists()):
        name, path = path, name  # the other way round
    training = tuple(known.pop("training", ()))
    if probe is not None:
        if own or training or (check, verify) != (None, None) or "output" in known:
            names = "--training, --templates, --threshold, --check, --verify or --output"
            raise CardError(f"--probe cannot be combined with {names}.")
        return _fit_probe(name, arch, path, str(probe), head, limit, device, replaces=replace, **known)
    if (head, limit, device) != ("linear", None, "auto"):
        raise CardError("--head, --limit and --device need --probe.")
    folder, script = None if check is None else expanded(str(check)), None if verify is None else str(verify)
    known["trial"] = partial(registration_checks, folder=folder, settings=read_settings(), script=script)
    return register_card(name, arch, path, replaces=replace, options=own, training=training, **known)


def register_card(name: str, arch: str, weights: str | None = None, **options: Any) -> tuple[ModelCard, list[Check]]:
    """Register a checkpoint; return its card and checks. options: those of `registry.register.register`."""
    from registry.register import register as admit_card

    settings = read_settings()
    return admit_card(name, arch, weights, cards_folder=settings.cards, place=settings.place, **options)


def rename_model(name: str, new: str, *, db: str | None = None) -> ModelCard:
    """Rename a registered model and score its stored trials under the new name."""
    from benchmark.api.imports import recorded

    settings = read_settings(db)
    card = change_card(name, settings.cards, name=new)
    with open_store(settings.db) as store:
        for known in (row for row in store.observers(names={name}) if row.kind == "network"):
            with recorded(store, f"bench models rename {name} {new}") as run:
                who = Observer(name=new, kind="network", identity=known.identity, card=card.model_dump(mode="json"))
                row = store.put_observer(who)
                for suite in suites_with_scores(store):
                    Scorer(store=store, run=run, suite=suite).own(name, owner=row)
    return card


def entrances(card: ModelCard) -> dict[str, tuple[str, str]]:
    """Return suite -> ("can run", "waiting for data" or "not applicable", the reason) by a few stimuli of each set."""
    found: dict[str, tuple[str, str]] = {}
    for task in plan_tasks([card], list(find_suites().suites.values()), read_settings(), 64):
        if task.plan.blocks:
            found[task.suite.name] = ("can run", "")
        else:
            found.setdefault(task.suite.name, (task.unplanned, task.reason))
    return found


def registered(what: str, arch: str, labels: str | None, *, convert: bool) -> tuple[str, Sequence[Check]]:
    """Return the models' name or pattern, and checks; a path is registered unless that file is already."""
    settings, path = read_settings(), expanded(what)
    cards = read_cards(settings.cards)
    if what in suite_entries() and what not in cards:
        raise unknown_name("model", what, cards, f"'{what}' is a suite.", ("--suite", what))
    if what in cards or not path.exists():
        return what, ()
    from registry.architectures import whole_arch
    from registry.families.family import FAMILIES
    from registry.heads import PREFIX

    wanted, kind = whole_arch(arch.removeprefix(PREFIX)), arch.partition(":")[0]
    whole = path.resolve()
    inside = {str(whole), *conversions(whole), *(str(file) for file in whole.glob("*") if whole.is_dir())}
    for card in cards.values():
        fits = wanted in ("", card.arch) or (kind in FAMILIES and card.arch.startswith(f"{kind}:"))
        if card.weights in inside and fits and labels in (None, card.labels):
            return card.name, ()
    trial = partial(registration_checks, folder=None, settings=settings)
    name = _named_after(what)
    try:
        card, checks = register_card(name, arch, str(path), labels=labels, convert=convert, trial=trial)
    except BenchError as error:
        lacking = error.remedy.lacking
        if lacking and not {*lacking} & {"--arch", "--labels", "--convert"} and not error.remedy.before:
            # `bench run` takes no other option of a registration; what is registered it finds by its file.
            given = {"--arch": arch, "--labels": labels or "", "--weights": str(path)}
            words = [word for pair in given.items() if pair[1] for word in pair]
            error.remedy = Remedy(before=tuple(completed(["bench", "register", name, *words], lacking)))
        raise
    return card.name, checks


#: Endings of files that can be registered; a model's name has none of them.
FILES = (*SUFFIXES, ".pt2", ".onnx", ".npz", ".npy", ".h5", ".hdf5", ".pkl", ".pickle", ".json", ".jit", ".ts")


def _named_after(what: str) -> str:
    path = expanded(what)
    name = path.stem if path.is_file() or path.suffix in FILES else path.resolve().name
    return re.sub("[^A-Za-z0-9._+-]", "-", name).lstrip("._+-") or "model"


def _fit_probe(
    name: str, backbone: str, weights: str | None, train: str, kind: Kind, limit: int | None, device: str, **given: Any
) -> tuple[ModelCard, list[Check]]:
    """Fit a head to features of a frozen backbone (a name or an architecture) and register it; or write nothing."""
    from registry.families.family import labels_of_folders
    from registry.heads import write_head
    from registry.register import UNTRAINED, CardFolder, admit, backbone_card, require_free

    settings, labels = read_settings(), given.pop("labels", None)
    folder = CardFolder(cards=settings.cards, place=settings.place, replaces=given.pop("replaces"))
    require_free(name, folder)
    if ":" in backbone or weights is not None:
        own, rows = backbone_card(name, backbone if ":" in backbone else "", weights, shelf=folder, **given)
    elif given:
        raise CardError(f"'{backbone}' is registered with its input and weights: leave out options of an architecture.")
    else:
        own, rows = one_card(backbone, settings), []
    stimuli = _training_set(train, limit, settings)
    # Classes outside the known label spaces get a mapping file, which belongs to the list, not to the model.
    space = str(labels) if labels else stimuli.space if train == WORLD else None
    spaces = partial(labels_of_folders, space=space, place=expanded(train), folder=settings.cards)
    if labels:  # a mistake is said before anything is computed
        spaces({*stimuli.labels["category"].tolist()})
    head, findings = _head(own, stimuli, kind, device, settings)
    known, classes = spaces(head.classes)
    at = list(map(head.classes.index, classes))
    head = dataclasses.replace(head, weight=head.weight[at], bias=head.bias[at], classes=classes)
    file = head_file(name, head.digest, settings.cards)
    write_head(head, file)
    tags = ["random-features" if tag == UNTRAINED else tag for tag in own.training]
    what = f"{kind} head on the features of {backbone}, fitted to {len(stimuli)} images of {stimuli.name}"
    options = {**own.options, "head": str(file), "trained_on": head.trained_on}
    new: dict[str, Any] = {"name": name, "labels": known, "description": what, "options": options}
    new |= {"training": tuple(dict.fromkeys([*tags, f"probe({kind})"])), "sha256": None, "reported": ()}
    draft = own.model_copy(update=new)
    try:
        return admit(draft, [*rows, *findings], folder)
    except BaseException:
        remove_unnamed([file], settings.cards)
        raise


def _training_set(train: str, limit: int | None, settings: Settings) -> Stimuli:
    if train == WORLD:
        return training_set("natural", limit or WORLD_COUNT, seed=0)
    folder = expanded(train)
    if not folder.is_dir():
        raise StimuliError(f"--probe {train}: folder not found. Expected a folder per class inside it, or '{WORLD}'.")
    entry = Entry(name=folder.resolve().name, role="training", space="probe", layout="class-folder")
    return open_folder(entry, folder.resolve(), settings, limit)


def _head(card: ModelCard, stimuli: Stimuli, kind: Kind, device: str, settings: Settings) -> tuple[Head, list[Check]]:
    """Return a head for the categories of the stimuli, and lines on how it was fitted."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save

    from benchmark.engine.device_choice import choose_device
    from benchmark.engine.devices import full_precision
    from registry.determinism_checks import Check
    from registry.heads import Head, fit, pooled_features
    from registry.loading import load_network

    model = load_network(card, settings.place, device=choose_device(device), bare=True)
    place = next((str(weights.device.type) for weights in model.module.parameters()), "cpu")
    path = settings.features / f"{digest_data([model.identity, stimuli.digest, place])}.safetensors"
    features = None  # [n, d] float32 on the CPU
    with suppress(OSError, SafetensorError, KeyError):  # not there, or torn
        features = load_file(path)["features"]
    if features is None:
        parts = []
        with torch.no_grad(), full_precision(place):
            for start in range(0, len(stimuli), _BATCH):
                images = [stimuli.decode(i) for i in range(start, min(start + _BATCH, len(stimuli)))]
                x = model.fit(model.prepare(images, "card").to(place))
                parts.append(pooled_features(model.module(model.normalise(x))).float().cpu())
        features = torch.cat(parts)
        write_whole(path, save({"features": features}))
    categories, targets = np.unique(stimuli.labels["category"], return_inverse=True)
    fitted = fit(kind, features, torch.from_numpy(targets), len(categories))
    weight, bias, names = fitted.weight, fitted.bias, tuple(categories.tolist())
    head = Head(weight=weight, bias=bias, classes=names, trained_on=stimuli.digest, backbone=model.digest)
    held = "none: every class has fewer than five images"
    if fitted.held:
        low, high = wilson(fitted.right, fitted.held)
        held = f"{fitted.right / fitted.held:.3f} [{low:.3f}, {high:.3f}] of {fitted.held} images correct"
        held += f", penalty {fitted.penalty:g} chosen on them" if fitted.penalty else ""
    known = f"{len(stimuli)} images of {len(categories)} classes, {stimuli.digest[:12]}"
    said = {"training set": known, "features": f"{head.weight.shape[1]} numbers per image", "held out": held}
    return head, [Check(name=name, ok=True, detail=text) for name, text in said.items()]
