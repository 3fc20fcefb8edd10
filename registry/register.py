"""A model of one's own is loaded once and checked; its digest and preprocessing are frozen into a card."""

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Unpack, cast

from registry import cards, preprocessing
from registry.architectures import random_seed, split_arch, whole_arch
from registry.cards import ModelCard, Preprocess, Source
from registry.convert import refuse_folder
from registry.determinism_checks import Check, check_network, takes_only_its_size
from registry.download import fetch_weights, first_use, local_path
from registry.families.family import Draft, family_of, of_files, repository_folder
from registry.families.predict import predicting
from registry.files import WeightSources, absence, expanded, is_file, is_folder, is_url, public
from registry.heads import COCO, PREFIX, boxes_in_space, is_detector
from registry.known_states import known_check, remember_network
from registry.labels import classes_beside, given_labels, labels_of_names, stated_classes
from registry.loading import brought_transform, load_network, required_arch, stated_weights
from registry.model import LoadedModel
from registry.preprocessing import Overrides, StatedInput, read_transform
from registry.user_errors import BenchError, CardError, WeightsError, shown

#: Recipe tag of random weights: boards hold such a network against the trained ones and do not rank it.
UNTRAINED = "untrained"
#: A conversion may give what needs another: other names, a stem of one channel.
_MOST_CONVERSIONS = 3

#: What is tried of a loaded network beside its checks, with facts to report.
Trial = Callable[[LoadedModel], Sequence[Check]]
#: A card and the checks of its network.
Checked = tuple[ModelCard, list[Check]]


class Given(Overrides, total=False):
    """What a user says of a checkpoint: its preprocessing, and which weights are taken."""

    key: str | None  # of one of several networks in the file
    ignore: str | Sequence[str] | None  # patterns of keys that are left out
    arch_option: Sequence[str]  # NAME=VALUE
    output: str | None  # which output classifies
    convert: bool  # consent to a new file beside one of another format


@dataclass(frozen=True, kw_only=True)
class CardFolder:
    """Cards are in one folder, and weights come from several sources."""

    cards: Path
    place: WeightSources
    replaces: bool = False  # whether a registered card of the same name is replaced


def require_free(name: str, folder: CardFolder) -> None:
    """Raise CardError if a card of that name exists and may not be replaced."""
    if name in cards.read_cards(folder.cards):
        if not folder.replaces:
            raise CardError(f"a model called '{name}' exists already. Choose another name, or --replace it.")
        cards.card_file(name, folder.cards)


def admit(draft: ModelCard, rows: Iterable[Check], folder: CardFolder, trial: Trial = lambda _model: ()) -> Checked:
    """Return the card as it was written, and `rows` with the checks that the network passed; `trial` reports more on
    the loaded network. Raises WeightsError if a check fails, as `load_network` and as `trial`, and writes nothing."""
    model, checks = checked(load_network(draft, folder.place), rows, folder, trial)
    card = model.card.model_copy(update={"sha256": model.digest})
    former = cards.read_cards(folder.cards).get(card.name) if folder.replaces else None
    cards.write_card(card, folder.cards, replace=folder.replaces)
    if former is not None:
        cards.remove_unnamed(cards.heads_of(former), folder.cards)
    return card, checks


def checked(
    model: LoadedModel, rows: Iterable[Check], folder: CardFolder, trial: Trial = lambda _model: ()
) -> tuple[LoadedModel, list[Check]]:
    """Return a loaded network, its card with what was tried, and `rows` with its checks. Raises as `admit`."""
    how = model.preprocess
    if "fixed_size" not in how.model_fields_set and takes_only_its_size(model):
        how = how.model_copy(update={"fixed_size": True})
        model = replace(model, card=model.card.model_copy(update={"preprocess": how}))
    checks = [*rows]
    known = partial(known_check, place=folder.place)
    for more in (check_network, known, trial):  # what fails the first is not tried on photographs
        checks += more(model)
        if failed := [f"{result.name}: {result.detail}" for result in checks if not result.ok]:
            count = f"{len(failed)} of {len(checks)} checks fail"
            raise WeightsError(f"model '{model.card.name}' was not registered: {count}: {'; '.join(failed)}")
    record = {name: value for each in checks for name, value in each.record.items()}
    card = model.card.model_copy(update={"tried": None, "verified": None, **record})
    return replace(model, card=card), checks


def _located(draft: Draft, place: WeightSources) -> Draft:
    arch, weights, labels = draft.arch, draft.weights, draft.labels or "imagenet1k"
    options = {name: value for name, value in draft.options.items() if name != "threshold"}
    kwargs, known = draft.options.get("kwargs") or {}, dict[str, Any]()
    if is_detector(arch):
        if not draft.bare:
            labels = draft.labels or COCO
            options["boxes"] = boxes_in_space(arch, labels, draft.options.get("threshold"))
        arch, stated = whole_arch(arch.removeprefix(PREFIX)), StatedInput()
        if arch.startswith("torchvision:"):
            fields = {"size": 224, "resize": 256, "mean": (0.0,) * 3, "std": (1.0,) * 3, "fixed_size": False}
            stated = StatedInput(fields, "the detector resizes and normalises images itself")
    else:
        arch, weights, known, stated = _opened(whole_arch(arch), weights, place, kwargs)
    kwargs = {**known, **kwargs}
    if (file := _file_of(weights, place)) is not None:
        if not file.is_file():  # said here, where a mistyped address is not yet a whole path
            raise WeightsError(f"checkpoint {weights} {absence(file)}. Check the path.")
        weights = weights if is_url(weights) else str(file.resolve())
    options = {name: value for name, value in {**options, "kwargs": kwargs}.items() if value}
    own = "hub" if arch.startswith("hf_hub:") else "file" if file is not None else split_arch(arch)[0]
    source = cast(Source, own)
    return replace(draft, source=source, arch=arch, weights=weights, labels=labels, options=options, stated=stated)


def _file_of(weights: str | None, place: WeightSources) -> Path | None:
    """Return the file that weights are in, downloaded if they are at an address; None of no or random weights."""
    if weights is None or random_seed(weights) is not None:
        return None
    return fetch_weights(weights, place.weights_folder, None, place.mirror) if is_url(weights) else expanded(weights)


def _opened(
    arch: str, weights: str | None, place: WeightSources, kwargs: Mapping[str, Any]
) -> tuple[str, str | None, dict[str, Any], StatedInput]:
    """Do as `read_folder`, of folders of timm, names of its hub, and plain architectures."""
    if arch.startswith("timm:local-dir:"):
        arch, weights = "", arch.removeprefix("timm:local-dir:")
    if arch.startswith(("timm:hf_hub:", "timm:hf-hub:")) and weights is None:
        repository = arch[len("timm:hf_hub:") :]
        where = f"config.json of hf_hub:{repository}"
        config = repository_folder(repository, place, ("config.json",), ()) / "config.json"
        stated = StatedInput(preprocessing.timm_config(config, where).pretrained_cfg.fields(), where)
        return f"hf_hub:{repository}", None, {}, stated
    file = _file_of(weights, place)
    if file is not None and is_folder(file):
        refuse_folder(file)
        return preprocessing.read_folder(file, arch)
    if file is not None and file.name in preprocessing.FOLDER_WEIGHTS and is_file(file.with_name("config.json")):
        with suppress(CardError):  # of another library
            own, _, arguments, stated = preprocessing.read_folder(file.parent, arch)
            return own, weights, arguments, stated
    arch = arch or required_arch(file)
    side = kwargs.get("img_size", kwargs.get("image_size"))
    built = side if isinstance(side, int) else None
    return arch, weights, {}, preprocessing.stated_input(arch, built, own_weights=file is not None and is_file(file))


def drafted_card(draft: Draft, preprocess: Preprocess) -> ModelCard:
    """Return the card of a draft, ImageNet's if it states no labels. Raises CardError."""
    same = {name: getattr(draft, name) for name in ("name", "source", "arch", "weights", "options", "checkpoint")}
    tags = (UNTRAINED,) if random_seed(draft.weights) is not None else ()
    training = tuple(dict.fromkeys([*tags, *draft.training]))
    fields = {"labels": draft.labels or "imagenet1k", "training": training, "preprocess": preprocess}
    return cards.card_of({**same, **fields})


def _described(draft: Draft, folder: CardFolder, given: Given) -> tuple[Draft, ModelCard, list[Check]]:
    """Complete the draft from the model's files; return it with its card, unwritten, and facts to report."""
    if (family := family_of(draft.arch)) is not None:
        draft = family.describe(draft, folder.cards, folder.place)
        how, lines = preprocessing.settled_input(draft.arch, given, draft.stated)
        return draft, drafted_card(draft, how), [*draft.rows, *lines]
    asked, is_named = draft.labels, bool(draft.arch)
    draft, normalisation, trained = _located(draft, folder.place), StatedInput(), StatedInput()
    rows = [] if is_named else [Check(name="arch", ok=True, detail=f"{draft.arch}, as its file states")]
    side = {**draft.stated.fields, **preprocessing.given_fields(given)}.get("size", 224)
    usual = {**preprocessing.USUAL, "size": side, "resize": side}
    card = drafted_card(draft, preprocessing.preprocess_of(draft.arch, usual))
    if draft.source == "file":
        choice, known = stated_weights(card, folder.place, bare=draft.bare)
        normalisation = choice.normalisation
        trained = preprocessing.stated_by_training(choice.settings[1], choice.settings[0], draft.weights)
        if choice.others and choice.name:  # the choice is frozen with the card
            draft = replace(draft, options={"key": choice.name, **draft.options})
        rows.append(Check(name="weights", ok=True, detail=str(choice)))
        beside = None if is_url(draft.weights) else classes_beside(Path(str(draft.weights)))
        stated = stated_classes(choice.content, str(draft.weights)) or beside
        if stated is not None and not draft.bare and "boxes" not in draft.options:
            labels, text, files = labels_of_names(stated[0], asked, draft.name, folder.cards)
            rows.append(Check(name="labels", ok=True, detail=f"{text} (stated by {stated[1]})"))
            draft = replace(draft, labels=labels, files=(*draft.files, *files))
        elif known is not None and asked is None and not draft.bare and "boxes" not in draft.options:
            draft = replace(draft, labels=known.labels)
        if known is not None and draft.stated.where in ("", preprocessing.UNSTATED):
            fields = known.preprocess.model_dump() if known.preprocess else {}
            fields = {name: value for name, value in fields.items() if (name, value) != ("scale", 1.0)}
            draft = replace(draft, stated=StatedInput(fields, f"published for {known.name}, whose weights these are"))
    if (brought := brought_transform(card)) is not None:
        trained = read_transform(brought, f"made by the transform that {draft.arch.rpartition('/')[2]} returns")
        if draft.bare and trained.fields.get("resize_mode") == "own":
            raise CardError("--probe cannot feed a network whose transform no card expresses: return it alone.")
    how, lines = preprocessing.settled_input(draft.arch, given, draft.stated, normalisation, trained)
    return draft, drafted_card(draft, how), [*rows, *lines, *draft.rows]


def _options(arch: str, given: Given, of_family: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """Return the options of a card. Raises CardError for one without a value, or that would be ignored."""
    if family_of(arch) is not None and any(map(given.get, ("key", "ignore", "arch_option", "output"))):
        names = "--key, --ignore, --output and --arch-option"
        raise CardError(f"{names} are for plain architectures; {arch} is taken whole.")
    if "templates" in of_family and arch.partition(":")[0] not in ("hf", "open_clip"):
        raise CardError("--templates is for models that are asked in texts: --arch open_clip:... or hf:...")
    if "threshold" in of_family and not is_detector(arch):
        raise CardError("--threshold is for detectors: torchvision:fasterrcnn_resnet50_fpn, detector:python:...")
    kwargs = dict[str, Any]()
    for text in given.get("arch_option", ()):
        name, equals, value = text.partition("=")
        if not equals:
            raise CardError(f"--arch-option '{shown(text)}': expected NAME=VALUE, such as img_size=384.")
        try:
            kwargs[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            kwargs[name] = value  # a word
    ignore = given.get("ignore") or ""
    patterns = ignore if isinstance(ignore, str) else ",".join(ignore)
    options = {"key": given.get("key"), "ignore": patterns, "output": given.get("output"), "kwargs": kwargs}
    return {**of_family, **{name: value for name, value in options.items() if value}}


def _on_consent(take: Callable[[str | None], Checked], weights: str | None, given: Given) -> Checked:
    """Return what `take` makes of the weights; with consent, of the file that a refusal offers to write instead."""
    rows = list[Check]()
    while True:
        try:
            card, checks = take(weights)
            return card, [*rows, *checks]
        except BenchError as error:
            if not given.get("convert") or error.remedy.write is None or len(rows) > _MOST_CONVERSIONS:
                raise
            former, weights = weights, str(error.remedy.write())
            rows.append(Check(name="converted", ok=True, detail=f"{shown(weights)}, written from {shown(former)}"))


def backbone_card(name: str, arch: str, weights: str | None, *, shelf: CardFolder, **given: Unpack[Given]) -> Checked:
    """Return the card of a network that is to get a head of its own, unwritten, and its preprocessing. Its labels
    decide nothing: its own classifier is taken off. Raises as `register`."""
    options = _options(arch, given)

    def described(weights: str | None) -> Checked:
        draft = Draft(name=name, arch=arch, weights=weights, options=options, bare=True)
        return _described(draft, shelf, given)[1:]

    return _on_consent(described, weights, given)


def register(
    name: str,
    arch: str,
    weights: str | Path | None = None,
    *,
    cards_folder: Path,
    place: WeightSources,
    labels: str | Path | None = None,
    training: tuple[str, ...] = (),
    replaces: bool = False,
    options: Mapping[str, Any] | None = None,
    trial: Trial = lambda _model: (),
    **given: Unpack[Given],
) -> Checked:
    """Register a network; return its card, as written to `cards_folder`, and the checks that it passed.

    `arch` is "timm:NAME", "torchvision:NAME", "python:MODULE:FUNCTION", "python:FILE:FUNCTION" or a member of a family.
    `weights` is a checkpoint's path or address, or "random:SEED". `labels` is a label space or file. `options` are of
    families, and `trial` is as of `admit`. Raises CardError, WeightsError, LabelError, UnknownName without a trace."""
    folder = CardFolder(cards=cards_folder, place=place, replaces=replaces)
    require_free(name, folder)
    text, there = str(weights) if weights else None, {*(cards_folder / "labels").glob("*")}
    space, listed = (None, "") if labels is None else given_labels(str(labels), name, cards_folder)
    rows = (Check(name="labels", ok=True, detail=listed),) if listed else ()
    written = [file for file in (Path(str(space)),) if listed and file not in there]

    def tried(model: LoadedModel) -> Sequence[Check]:
        if model.card.source in ("timm", "torchvision", "hub") and not preprocessing.given_fields(given):
            remember_network(model, place)
        return trial(model)

    def admitted(text: str | None) -> Checked:
        known, own = of_files(predicting(arch), text)
        if is_url(own) and family_of(known) is not None:
            raise CardError(f"arch '{known}' takes a file of this machine: download {public(str(own))} first.")
        chosen = _options(known, given, options or {})
        draft = Draft(name=name, arch=known, weights=own, labels=space, training=training, options=chosen, rows=rows)
        draft, card, checks = _described(draft, folder, given)
        written.extend(draft.files)
        return admit(card, checks, folder, tried)

    # A download is kept only if it turns out to be a network.
    with first_use(local_path(str(text), place.weights_folder), None) if is_url(text) else nullcontext():
        try:
            return _on_consent(admitted, text, given)
        except BaseException:  # what was written for it is gone again
            cards.remove_unnamed(written, folder.cards)
            raise
