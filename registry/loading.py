"""From a card to something that answers: its weights file, the network in it, and whether both are on this machine."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial
from math import isqrt
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from registry import architectures, checkpoints, files, preprocessing
from registry.architectures import build_network
from registry.cards import ModelCard, builtin_cards
from registry.checkpoints import Misfit, WeightChoice
from registry.convert import write_converted
from registry.documents import own_table
from registry.download import first_use, is_file_reference, local_path, weights_path
from registry.families.family import family_of
from registry.files import WeightSources, parts_in
from registry.heads import BoxAnswers, Boxes, WithHead, read_head, without_head
from registry.known_states import known_card, remember_network, state_key
from registry.labels import LabelSpace, label_space, spaces_of_size, with_nothing
from registry.model import LoadedModel, Transform
from registry.simulated import IdealObserver
from registry.user_errors import BenchError, CardError, Remedy, WeightsError, foreign, shown, some_of


def labels_of(card: ModelCard) -> LabelSpace:
    """Return a card's label space, with an output for nothing if the model may be silent."""
    space = label_space(card.labels)
    return with_nothing(space) if card.may_be_silent else space


def _blank(card: ModelCard, labels: LabelSpace, seed: int = 0) -> nn.Module:
    """Return the card's architecture with random weights of a seed, which a file may fill."""
    boxes, kwargs = card.options.get("boxes"), card.options.get("kwargs")
    outputs = len(labels.classes) if boxes is None else int(boxes.get("outputs", 0))
    return architectures.build_untrained(card.arch, outputs, seed, kwargs)


def brought_transform(card: ModelCard) -> Transform | None:
    """Return the transform that a Python factory returns with its network; None of other architectures."""
    if not card.arch.startswith("python:"):
        return None
    own: Transform | None = vars(_blank(card, labels_of(card)))["_transform"]
    return own


def stated_weights(card: ModelCard, place: WeightSources, *, bare: bool) -> tuple[WeightChoice, ModelCard | None]:
    """Return the weights chosen from the card's checkpoint, and the card of the published network that they belong to,
    if it is known. `bare` means the network without its classifier. Raises WeightsError as `load_network`."""
    module = _blank(card, labels_of(card))
    choice, _ = _weights(card, place, module)
    own = {name: choice.state.get(name, tensor).to(tensor.dtype) for name, tensor in module.state_dict().items()}
    known = known_card(state_key(own), place)
    return (_without_classifier(card, module, choice) if bare else choice), known


def _weights(card: ModelCard, place: WeightSources, module: nn.Module) -> tuple[WeightChoice, Path]:
    path, whole = weights_path(card, place), module.state_dict(keep_vars=True)
    if card.options.get("convert") == "by-order":
        have = checkpoints.read_weights(path, {}).state
        return WeightChoice(name="", state=checkpoints.by_order(have, module.state_dict(), str(path))), path
    renew = architectures.renew_keys if card.arch.startswith("torchvision:") else dict
    ignore = [pattern for pattern in card.options.get("ignore", "").split(",") if pattern]
    return checkpoints.read_weights(path, whole, card.options.get("key"), renew, ignore), path


def _without_classifier(card: ModelCard, module: nn.Module, choice: WeightChoice) -> WeightChoice:
    """Take the classifier off a network, and its weights from those chosen."""
    lost = without_head(module, card.preprocess.size if card.preprocess else 224)
    own = module.state_dict()
    # Decoders, projectors, queues of self-supervised training: nothing of the backbone's where that is complete.
    left = lost if Misfit.between(choice.state, own).missing else choice.state.keys() - own.keys()
    state = {name: tensor for name, tensor in choice.state.items() if name not in left}
    return replace(choice, state=state, ignored=(*choice.ignored, *(n for n in choice.state if n in left)))


def _network(card: ModelCard, place: WeightSources, labels: LabelSpace, *, bare: bool) -> tuple[nn.Module, str]:
    """Return the network and the digest of its code, "" if the architecture's name identifies it."""
    if (family := family_of(card.arch)) is not None:
        network: tuple[nn.Module, str] = family.network(card, place, len(labels.classes), bare=bare)
        return network
    side = card.preprocess.size if card.preprocess else 224
    seed = architectures.random_seed(card.weights)
    library = card.source == "hub" or (card.source == "timm" and not is_file_reference(card.weights or ""))
    if library and seed is None:
        import timm

        name, code = card.arch.removeprefix("timm:"), ""
        # timm would also take folders and other sites' names, whose files nobody has looked at.
        if card.source == "timm":
            architectures.require_known(card.arch)
        elif not re.fullmatch(r"hf[_-]hub:[\w.-]+/[\w.-]+(@[\w.-]+)?", name):
            raise CardError(f"arch '{name}' of model '{card.name}': expected hf_hub:ORG/NAME.")
        kwargs = {"pretrained": True, "cache_dir": place.caches.hub, **card.options.get("kwargs", {})}
        offline = "Offline? Fetch it once with a network, or set HF_ENDPOINT to a mirror."
        what, failed = f"timm's network of '{card.name}',", "cannot be had with its weights"
        with foreign(what, name, WeightsError, offline, failed):
            module = timm.create_model(name, **kwargs)
    else:
        module = _blank(card, labels, seed or 0)
        code = architectures.source_code(card.arch, module)
    if seed is not None or library or (card.weights is None and card.source == "python"):
        if bare:
            without_head(module, side)
    else:
        choice, origin = _weights(card, place, module)
        choice = _without_classifier(card, module, choice) if bare else choice
        stated, how = choice.normalisation, card.preprocess
        if stated.fields and how is not None and not preprocessing.agrees(stated.fields, dict(how)):
            own, ours = preprocessing.as_text(stated.fields), preprocessing.as_text(dict(how))
            text = f"checkpoint {origin} holds a normalisation ({stated.where}): {own}"
            hint = "Leave out --mean, --std and --scale to take the checkpoint's."
            raise WeightsError(f"{text}. The card of '{card.name}' states {ours}. {hint}")
        checkpoints.fit_state(module, choice.state, str(origin), partial(advice, card, module, choice, origin))
    return module.eval(), code


def require_once(module: nn.Module, card: ModelCard) -> None:
    """Raise WeightsError if a network normalises its input itself, and its card does so too, or at another scale."""
    how, own = card.preprocess, dict[str, Tensor]()
    for place, part in module.named_modules():
        # lists of other modules are remarks (open_clip's `image_mean`)
        values = vars(part) if "normali" in type(part).__name__.lower() else {}
        for field, value in {**values, **dict(part.named_buffers(recurse=False))}.items():
            if preprocessing.FIELD.fullmatch(field) and isinstance(value, Tensor | list | tuple):
                name = checkpoints.unwrapped_key(f"{place}.{field}".lstrip("."))
                if all(map(preprocessing.BEFORE.fullmatch, name.split(".")[:-1])):
                    own[name] = torch.as_tensor(value)
    for names, *statistics in preprocessing.normalising_parts(own) if own else ():
        mean, std = (values.tolist() for values in statistics)
        scale = preprocessing.scale_of(mean, std)
        if how is not None and (how.mean, how.std, how.scale) != ((0, 0, 0), (1, 1, 1), scale):
            flags = "--mean 0,0,0 --std 1,1,1" + (f" --scale {scale:g}" if scale != 1 or how.scale != 1 else "")
            said = f"({', '.join(names)}), and its card says {preprocessing.as_text(dict(how))}. Give {flags}."
            raise WeightsError(f"the network of model '{card.name}' normalises its input itself {said}")


def load_network(card: ModelCard, place: WeightSources, *, device: str = "cpu", bare: bool = False) -> LoadedModel:
    """Load a network in evaluation mode, without gradients of parameters, and verify its weights against the card.
    `bare` is without its classifier: `module` answers with features, and the digest is of the weights that are left.
    Raises WeightsError (unreadable, misfit, other digest, unreachable), CardError, UnknownName, LabelError."""
    if card.source == "ideal":
        lacks = "features" if bare else "weights"
        raise CardError(f"'{card.name}' is an ideal observer, not a network: it has no {lacks}.")
    labels, url = labels_of(card), card.weights if files.is_url(card.weights) else None
    # What a card has downloaded is kept only if it turns out to be the card's network.
    with first_use(local_path(url, place.weights_folder), card.file_sha256) if url else nullcontext():
        file, option = (None, None) if bare else (card.options.get("head"), card.options.get("boxes"))
        head, boxes = file and read_head(Path(file)), option and Boxes.of(option)
        module, code = _network(card, place, labels, bare=bare or bool(head))
        own = vars(module).pop("_transform", None)
        transform = None if own is None and not card.own_transform else preprocessing.kept_transform(own, card)
        if boxes:
            module, code = BoxAnswers(module, boxes).eval(), files.digest_data([code, boxes])
        elif head:
            module = WithHead(module, *head).eval()
        digest = files.digest_state(module.state_dict())
        if not bare:  # the card's digest is of the network with its classifier
            require_once(module, card)
            if card.sha256 not in (None, digest):
                text = f"weights of model '{card.name}': expected digest {card.sha256}, got {digest}"
                hint = "Restore the file, or register it (`bench register --replace`)."
                raise WeightsError(f"{text}, from {card.weights or card.arch}. {hint}")
    module = module.requires_grad_(False).to(device)
    model = LoadedModel(card=card, module=module, digest=digest, labels=labels, code=code, transform=transform)
    if not bare and card.sha256 is None and builtin_cards().get(card.name) == card:
        remember_network(model, place)
    return model


def load_observer(card: ModelCard, place: WeightSources, *, device: str = "cpu") -> LoadedModel | IdealObserver:
    """Load whatever the card describes: an ideal observer or a network."""
    return IdealObserver(card) if card.source == "ideal" else load_network(card, place, device=device)


#: Of this program's own networks, at 64 pixels. To count imports torch's compiler, which takes longer than a chunk.
OPERATIONS = {
    "python:registry.world_networks:tiny_resnet": 15_338_496,
    "python:registry.world_networks:tiny_detector": 30_834_688,
    "python:registry.simulated:template_reader": 5_314_176,
}


def forward_flops(card: ModelCard) -> int:
    """Return the floating point operations of one image's forward pass, without weights or a clock; 0 of an ideal
    observer. Foreign code, or what cannot be counted, is estimated from the area of its input."""
    if card.source == "ideal" or card.preprocess is None:
        return 0
    size, kwargs = card.preprocess.size, card.options.get("kwargs")
    typical = 8_000_000_000 * size * size // (224 * 224)  # about a ResNet-50 at 224 pixels, by the area
    # Architectures that this program and the libraries that it depends on define: alike on every machine.
    if not card.arch.startswith(("timm:", "torchvision:")):
        return OPERATIONS.get(card.arch, typical)
    try:
        with torch.device("meta"):
            module = architectures.build_network(card.arch, 1000, kwargs).eval()
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                module(torch.zeros(1, 3, size, size))
    except Exception:  # noqa: BLE001 - of whatever a network does at its first pass
        return typical
    return int(counter.get_total_flops()) or typical


# What to do about weights that do not fit an architecture: the module that differs, and what would fit.


def advice(card: ModelCard, module: nn.Module, choice: WeightChoice, path: Path, misfit: Misfit) -> tuple[str, Remedy]:
    """Return what to do about a misfit of the weights `choice` of the file `path`."""
    missing, strange, head = misfit.missing, misfit.strange, head_names(module)
    want, given = module.state_dict(keep_vars=True), dict(card.options.get("kwargs", {}))
    # The arguments of the architecture that the names and shapes of the file speak of.
    options, embedding = dict[str, int | str](), cast(Any, getattr(module, "patch_embed", None))
    for name, (theirs, ours) in misfit.shapes.items():
        if name.endswith(("pos_embed", "pos_embedding")) and len(theirs) == len(ours) == 3:
            side = embedding.img_size[0] if hasattr(embedding, "img_size") else getattr(module, "image_size", 224)
            tokens: Any = getattr(module, "num_prefix_tokens", 1)  # of the class and registers, before the places
            there, here = (isqrt(max(0, shape[1] - tokens)) for shape in (theirs, ours))
            options["image_size" if embedding is None else "img_size"] = side * there // here
    if "fc_norm.weight" in (*strange, *missing):
        options["global_pool"] = "avg" if "fc_norm.weight" in strange else "token"
    if options:
        outputs = next((len(want[name]) for name in head), 1000)
        with suppress(BenchError), torch.device("meta"):  # what is proposed was tried
            other = build_network(card.arch, outputs, given | options)
            rest = Misfit.between(choice.state, other.state_dict())
            if {*rest.missing, *rest.shapes} <= head_names(other):
                words = tuple(word for name in options for word in ("--arch-option", f"{name}={options[name]}"))
                return f"It differs in {_modules(misfit.names)}: {' '.join(words)} fits.", Remedy(words=words)
    if (renamed := _renamed(misfit, choice, want, path)) is not None:
        return renamed
    if missing and not misfit.shapes and set(missing) <= head:
        text = "Only the head is missing: this is a backbone without a classifier. --probe FOLDER (a folder per class)"
        hint = "or --probe world, fits one to its features; other keys are left then."
        return f"{text}, {hint}", Remedy(words=("--probe", "world"))
    if not (missing or misfit.shapes) and (extras := _of_extras(strange, want, choice)) is not None:
        return extras
    if not (missing or strange) and set(misfit.shapes) <= head:
        count = next(iter(misfit.shapes.values()))[0][0]
        spaces = spaces_of_size(count)
        labels = " or ".join(spaces) or "FILE, a list of its class names or a mapping file"
        text = f"Only the head differs: its class count {count} does not fit the label space: --labels {labels}."
        return text, Remedy(words=("--labels", spaces[0]) if spaces else ())
    where = f"It differs in {_modules(misfit.names)}"
    return f"{where}: another variant of the architecture (--arch, --arch-option), or other weights.", Remedy()


def _modules(names: Iterable[str]) -> str:
    return shown(some_of(dict.fromkeys(name.rpartition(".")[0][:200] or name[:200] for name in names), 5))


def head_names(module: nn.Module) -> set[str]:
    """Return the names of the classifier's weights: timm's networks name it; for others it is the last linear layer."""
    stated: Any = getattr(module, "get_classifier", None)
    own = stated() if callable(stated) else [part for part in module.modules() if isinstance(part, nn.Linear)][-1:]
    own = own if isinstance(own, (tuple, list)) else [own]
    parts = {name for name, part in module.named_modules() if any(part is each for each in own)}
    return {name for name in module.state_dict() if name.rpartition(".")[0] in parts}


def _renamed(misfit: Misfit, choice: WeightChoice, want: Mapping[str, Tensor], path: Path) -> tuple[str, Remedy] | None:
    """Return advice for weights of which one module has another name, or only the order is the network's."""
    if misfit.shapes or not misfit.missing:
        return None
    state = choice.state
    ours, theirs = ({name.rpartition(".")[0] for name in names} for names in (misfit.missing, misfit.strange))
    changed = dict[str, Tensor]()
    if len(ours) == len(theirs) == 1:
        (new,), (old,) = ours, theirs
        changed = {new + n.removeprefix(old) if n in misfit.strange else n: tensor for n, tensor in state.items()}
    if Misfit.between(changed, want).names:
        if [*state] == sorted(state):  # sorted names have lost the order
            return None
        try:
            changed = checkpoints.by_order(state, want, "")
        except WeightsError:
            return None
    origin = {id(tensor): name.rpartition(".")[0] for name, tensor in state.items()}
    pairs = {name.rpartition(".")[0]: origin[id(tensor)] for name, tensor in changed.items()}
    names = shown(some_of([f"'{a}' is '{b}' in the file" for a, b in pairs.items() if a != b], 4))
    text = f"Everything but the names fits: {names}. If so, --convert writes a file with the network's names."
    # Three numbers may be a mean or a deviation; larger tensors are other weights.
    entries = choice.content.items() if isinstance(choice.content, Mapping) else ()
    beside = {name: value for name, value in entries if all(t.numel() <= 3 for t in parts_in(value, Tensor))}
    content = {**beside, choice.name or "state_dict": {**changed, **choice.statistics}}  # as --key names it
    return text, Remedy(write=partial(write_converted, partial(dict, content), path))


def _of_extras(strange: Iterable[str], want: Iterable[str], choice: WeightChoice) -> tuple[str, Remedy] | None:
    """Return advice for a file that has all of the network, and more; what may come before it is not left out."""
    state = choice.state
    if before := [name for name in strange if name in state and preprocessing.may_normalise(name, state[name])]:
        text = f"All of the network is there, and {some_of(before, 5)} may change its input: register the whole network"
        return f"{text} with --arch python:FILE.py:FUNCTION.", Remedy()
    if choice.name and set(strange) <= set(choice.outside):
        text = f"All of the network is there; the rest stands beside it: --key {shlex.quote(choice.name)} leaves it."
        return text, Remedy(words=("--key", choice.name))
    roots = dict.fromkeys(name.partition(".")[0] for name in strange)
    if roots.keys() & {name.partition(".")[0] for name in want}:
        return None
    patterns = ",".join(f"{root}.*" if root not in strange else root for root in roots)
    text = f"All of the network is there, and more. If it needs none of that: --ignore {shlex.quote(patterns)}."
    return text, Remedy(words=("--ignore", patterns))


def required_arch(file: Path | None) -> str:
    """Return the architecture that a checkpoint states. Raises CardError, WeightsError for a missing file."""
    usual = "timm:NAME, torchvision:NAME, python:MODULE:FUNCTION or export"
    if file is None:
        raise CardError(f"--arch is needed: {usual}. Only a folder with timm's config.json contains its architecture.")
    try:
        content = checkpoints.read_content(file)
    except WeightsError as error:
        if error.remedy.write is None:
            raise
        raise CardError(f"{error} Give --arch as well: {usual}.") from error
    words, entries = own_table("training_words"), content if isinstance(content, Mapping) else {}
    parts = [part for part in (entries, *map(entries.get, words["arguments"])) if isinstance(part, Mapping)]
    stated = [part[name] for part in parts for name in words["architecture"] if isinstance(part.get(name), str)]
    for text in stated:
        name: str = text if ":" in text else text.partition(".")[0]
        given = [name] if name.startswith(("timm:", "torchvision:")) else []
        for arch in architectures.archs_by_name().get(name.lower(), given):
            with suppress(BenchError):
                with torch.device("meta"):
                    module = build_network(arch, 1000)
                renew = architectures.renew_keys if arch.startswith("torchvision:") else dict
                choice = checkpoints.choose_weights(content, module.state_dict(keep_vars=True), renew=renew)
                misfit = Misfit.between(choice.state if choice else {}, module.state_dict())
                if {*misfit.missing, *misfit.shapes} <= head_names(module):
                    return arch
    raise CardError(f"{shown(file)} does not state its architecture. Give --arch: {usual}.")
