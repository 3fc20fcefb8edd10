"""Networks in memory: an object of Python as the same loaded network that a registered card gives.

A module is never called: its copy answers, in evaluation mode and in float32."""

import copy
import inspect
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.distributed import fsdp

from registry import architectures, preprocessing
from registry.cards import ModelCard, read_cards
from registry.code import code_digest
from registry.determinism_checks import Check, distance, pictures, probe
from registry.download import missing_weights
from registry.families.family import Draft
from registry.families.predict import PREFIX, Function
from registry.families.transformers import SILENT, Reading, fields_of, require_same_pixels
from registry.families.zero_shot import with_text_head, zero_shot
from registry.files import digest_data, digest_state, write_whole
from registry.known_states import known_card, state_key
from registry.labels import given_labels, label_space, labels_of_names, names_in_order
from registry.loading import labels_of, load_network, require_once
from registry.model import LoadedModel, Transform, input_batch
from registry.preprocessing import StatedInput, read_transform
from registry.register import CardFolder, Trial, admit, checked, drafted_card
from registry.user_errors import BenchError, CardError, LabelError, foreign

#: Values of a module's attributes that count for its code where no constructor is known to set them.
_PLAIN = (bool, int, float, str, tuple, type(None))
#: Networks of the same tensors are one if their logits differ by less, relative to the largest.
_SAME = 1e-4


@dataclass(kw_only=True)
class _Object:
    """What an object says of itself."""

    module: nn.Module
    arch: str
    stated: StatedInput = field(default_factory=StatedInput)
    names: Sequence[str] = ()  # of its outputs
    code: str = ""  # digest of it; "": of its classes
    is_built: bool = False  # whether its architecture builds it again


def hold(
    net: Any, feed: Any, labels: Any, draft: Draft, shelf: CardFolder, device: str | None, trial: Trial, save: bool
) -> tuple[LoadedModel, list[Check]]:
    """Return an object as a loaded network, with the checks of a registration that it has passed. `net` is a module or
    function, or a tuple of it, its preprocessing and perhaps a tokenizer; `draft` has its name, output and place in a
    training. Raises CardError (no input stated, or `save` and no card can load it), LabelError, WeightsError."""
    net, brought, tokenizer = (*net, None, None)[:3] if isinstance(net, tuple) else (net, None, None)
    original = unwrapped(net)
    if not (callable(original) or hasattr(original, "predict")):
        raise CardError(f"expected a network or a function from images to answers, not a {type(original).__name__}.")
    stated, transform = _fed(brought if feed is None else feed)
    if isinstance(original, nn.Module):
        whole = original = copied(original).to(device or next(original.parameters(), torch.empty(0)).device)
        own = _network(_without_wrappers(whole, stated.fields.get("size", 224)))
    else:
        own = _function(original)
        whole = own.module
    called = re.sub(r"\W", "", getattr(original, "__name__", type(original).__name__)).strip("_") or "network"
    digests = [digest_state(each.state_dict()) for each in dict.fromkeys((own.module, whole))]
    name = draft.name or f"{called}-{(own.code if isinstance(own.module, Function) else digests[0]):.6}"
    draft = replace(draft, name=name, arch=own.arch, stated=stated if stated.fields else own.stated)
    draft = _labelled(labels, own, tokenizer, draft, shelf.cards)
    if tokenizer is not None:
        digests = [digest_state(own.module.state_dict())]
    twin, draft = _known(own.module, digests, draft, shelf)
    how, lines = preprocessing.settled_input(draft.arch, {}, draft.stated)
    model = _loaded(own, drafted_card(draft, how), digests[0], transform)
    model, checks = checked(model, [*draft.rows, *lines], shelf, trial)
    model = _registered(model, twin, draft, checks, shelf)
    is_new = save and model.card.name not in read_cards(shelf.cards)
    return _saved(model, checks, shelf, own) if is_new else model, checks


def _loaded(own: _Object, card: ModelCard, digest: str, transform: Transform | None) -> LoadedModel:
    """Return an object as a loaded network. Its code is as of a file if its card's architecture builds it again."""
    if isinstance(own.module, Function):
        own.module = Function(own.module.function, label_space(card.labels), card.name)
    kind, kwargs = type(own.module), dict[str, Any]()
    if not own.code:
        if card.arch.startswith("python:"):  # what its class was called with, if attributes keep it
            kept = {**vars(own.module), **dict(getattr(own.module, "hparams", None) or {})}
            for name, parameter in inspect.signature(kind.__init__).parameters.items():
                value = kept.get(name, parameter.default)
                if isinstance(value, (*_PLAIN, list)) and name != "num_classes" and value != parameter.default:
                    kwargs[name] = list(value) if isinstance(value, tuple) else value
        outputs = len(label_space(card.labels).classes)
        own.is_built = kind.__module__ != "__main__" and _rebuilds(own.module, card.arch, outputs, kwargs)
        own.code = architectures.source_code(card.arch, own.module) if own.is_built else _code(own.module)
    options = {**card.options, "kwargs": kwargs} if own.is_built and kwargs else card.options
    card, labels = card.model_copy(update={"sha256": digest, "options": options}), labels_of(card)
    module = own.module.eval()
    model = LoadedModel(card=card, module=module, digest=digest, labels=labels, code=own.code, transform=transform)
    if isinstance(own.module, Function):
        images = (pictures(4, model.preprocess.size) * 255).byte().permute(0, 2, 3, 1).numpy()
        own.module.settle(input_batch(model.inputs([*images])), card.name, "It is given what the preprocessing makes.")
    require_once(own.module, card)
    return model


def unwrapped(net: Any) -> Any:
    """Return the network inside what torch puts around it: a compiled form, parallel copies, averaged weights."""
    around = (nn.DataParallel, nn.parallel.DistributedDataParallel, torch.optim.swa_utils.AveragedModel)
    while isinstance(net, around) or hasattr(net, "_orig_mod"):
        net = net.module if isinstance(net, around) else net._orig_mod
    return net


def copied(original: nn.Module) -> nn.Module:
    """Return a copy of a network in evaluation mode and float32, without shared memory, and without hooks except those
    of torch.nn.utils (weight norm, pruning), which make weights. Shards are gathered: a call of all ranks."""
    memo, sharded = dict[int, Any](), fsdp.FullyShardedDataParallel
    whole = isinstance(original, sharded)
    with torch.no_grad(), sharded.summon_full_params(original, writeback=False) if whole else nullcontext():
        for part in reversed([*original.modules()]):  # those inside come first
            for name, value in vars(part).items():
                if "_hooks" in name and isinstance(value, dict):
                    own = [(i, hook) for i, hook in value.items() if type(hook).__module__.startswith("torch.nn.utils")]
                    memo[id(value)] = type(value)(own)
                elif isinstance(value, Tensor):
                    memo[id(value)] = value.detach().clone()
                elif name in ("_trainer", "_fabric") or name.startswith("__composable"):
                    memo[id(value)] = None  # all of Lightning's training, and torch's process groups
            for tensor in (*part.parameters(recurse=False), *part.buffers(recurse=False)):
                full: Any = getattr(tensor, "full_tensor", tensor.detach)().detach().clone()
                memo[id(tensor)] = nn.Parameter(full, False) if isinstance(tensor, nn.Parameter) else full
            inside = part.module if isinstance(part, sharded) else getattr(part, "_orig_mod", None)
            if inside is not None:
                memo[id(part)] = copy.deepcopy(inside, memo)
            elif isinstance(part, getattr(fsdp, "FSDPModule", ())):
                plain: Any = type(part).__mro__[2]  # the class that fully_shard has derived from
                memo[id(part)] = made = plain.__new__(plain)
                vars(made).update(copy.deepcopy(vars(part), memo))
        with foreign("network", type(original).__name__, CardError, "Hand over its network alone: its copy answers."):
            made = copy.deepcopy(original, memo)
    for weight in made.parameters():  # of a script, which `requires_grad_` does not take
        weight.requires_grad_(False)
    return made.eval().float()


def _network(module: nn.Module) -> _Object:
    """Return what a copied network says of itself."""
    kind, config, settings = type(module), getattr(module, "pretrained_cfg", None), getattr(module, "config", None)
    if isinstance(config, dict) and config.get("architecture"):
        where = f"pretrained_cfg of the object: {config['architecture']}.{config.get('tag')}".removesuffix(".None")
        stated = StatedInput(preprocessing.pretrained_config(config, "the object").fields(), where)
        return _Object(module=module, arch=f"timm:{config['architecture']}", stated=stated)
    if kind.__module__.startswith("transformers.") and hasattr(settings, "to_json_string"):
        plain = json.loads(cast(Any, settings).to_json_string())
        names, arch = names_in_order(plain.get("id2label")) or (), f"hf:{plain.get('model_type')}"
        code = digest_data({name: value for name, value in plain.items() if name not in SILENT})
        reading = Reading(module, attrgetter("logits")).eval()
        return _Object(module=reading, arch=arch, names=names, code=code, is_built=True)
    if kind.__module__.startswith("torchvision.models."):
        from torchvision import models

        outputs = len([*module.parameters()][-1])  # of its classifier, which may be a convolution
        for name in models.list_models(module=models):
            is_near = models.get_model_builder(name).__module__ == kind.__module__
            if is_near and _rebuilds(module, f"torchvision:{name}", outputs, {}):
                arch = f"torchvision:{name}"
                return _Object(module=module, arch=arch, stated=preprocessing.stated_input(arch))
    return _Object(module=module, arch=f"python:{kind.__module__}:{kind.__qualname__}")


def _function(original: Any) -> _Object:
    """Return what a function of images, or an object that predicts (scikit-learn, Keras), says of itself."""
    classes = np.asarray(getattr(original, "classes_", ()))
    function = getattr(original, "predict_proba", original if callable(original) else original.predict)
    by_name = function == getattr(original, "predict", None) and classes.size

    def of_arrays(images: Any) -> Any:
        try:
            answers = function(images)
        except (TypeError, AttributeError):  # of tensors
            with torch.no_grad():
                return function(torch.from_numpy(images))
        return np.searchsorted(classes, answers) if by_name else answers

    kind = original if hasattr(original, "__qualname__") else type(original)
    keras = hasattr(original, "get_weights") and hasattr(original, "to_json")  # whose pickle has the time in it
    code = code_digest(original.to_json(), original.get_weights()) if keras else code_digest(original)
    names = tuple(classes.tolist()) if classes.dtype.kind == "U" else ()
    module = Function(of_arrays, label_space("imagenet1k"), kind.__qualname__)
    return _Object(module=module, arch=f"{PREFIX}{kind.__module__}:{kind.__qualname__}", names=names, code=code)


def _fed(brought: Any) -> tuple[StatedInput, Transform | None]:
    """Return what is said of the input, as fields of a card, and the callable that makes it if no card expresses it."""
    if isinstance(brought or {}, Mapping):
        return StatedInput(preprocessing.given_fields(cast(Any, brought or {})), "as given"), None
    brought = getattr(brought, "image_processor", brought)
    where = f"by the given {getattr(brought, '__name__', type(brought).__name__)}"
    if hasattr(brought, "transforms") and hasattr(brought, "meta"):  # torchvision's weights
        brought = brought.transforms()
    elif hasattr(brought, "to_json_string"):  # a processor of transformers
        with suppress(ValueError, KeyError, TypeError, CardError):
            fields = fields_of(json.loads(brought.to_json_string()))
            require_same_pixels(brought, preprocessing.preprocess_of("hf:memory", fields))
            return StatedInput(fields, where), None
        brought = partial(brought, return_tensors="pt")
    if not callable(brought):
        raise CardError(f"preprocess={type(brought).__name__}: expected a callable from a PIL image, or fields.")
    stated = read_transform(brought, where)
    return stated, brought if stated.fields.get("resize_mode") == "own" else None


def _without_wrappers(module: nn.Module, size: int) -> nn.Module:
    """Return the network in a copy of a module that adds nothing to its answers: a Lightning module, a named field."""
    weights = [*module.parameters()]
    for child in module.children():
        if weights and (hasattr(module, "training_step") or len([*child.parameters()]) == len(weights)):
            images = pictures(2, size).to(weights[0].device)
            with suppress(Exception), torch.no_grad():  # a part that does not take images by itself
                if torch.equal(module(images), child(images)):
                    return _without_wrappers(child, size)
    return module


def _labelled(asked: Any, own: _Object, tokenize: Any, draft: Draft, folder: Path) -> Draft:
    """Return the draft with the label space of its outputs, if anything states it. With a tokenizer, open_clip's model
    becomes its image tower with the vectors of classes that its text tower makes."""
    space, text, names = None, "", own.names
    if isinstance(asked, str | Path):
        space, text = given_labels(str(asked), draft.name, folder)
    elif asked is not None:
        with foreign("labels", "", LabelError, "Expected a label space, a file, or the names of the outputs in order."):
            names = names_in_order(asked if isinstance(asked, Mapping) else [*asked]) or ()
            if not names:
                raise ValueError("there are no names")
    if names:
        space, text, _ = labels_of_names(names, space, draft.name, folder)
    rows = (Check(name="labels", ok=True, detail=text),) if text else ()
    if tokenize is None:
        return replace(draft, labels=space, rows=rows)
    towers, place = cast(Any, own.module), next(own.module.parameters(), torch.empty(0)).device
    if not hasattr(towers, "encode_text"):
        raise CardError(f"'{draft.name}': expected (model, preprocess, tokenizer) as open_clip creates them.")
    named = replace(draft, arch="open_clip:memory", labels=space or "imagenet1k")
    named = with_text_head(named, None, towers, lambda texts: towers.encode_text(tokenize(texts).to(place)), folder)
    own.module = zero_shot(towers.visual, named).to(place)
    own.code = _code(own.module)
    return replace(named, rows=(*rows, *named.rows))


def _code(module: nn.Module) -> str:
    """Return the digest of a network's classes and of their plain attributes, which decide answers beside weights."""
    kinds = sorted({type(part) for part in module.modules()}, key=lambda kind: (kind.__module__, kind.__qualname__))
    held = {
        f"{place}.{name}": getattr(value, "__func__", value)
        for place, part in module.named_modules()
        for name, value in vars(part).items()
        if isinstance(value, (*_PLAIN, FunctionType, MethodType)) and name[0] != "_" and name != "training"
    }
    return code_digest(*kinds, repr(module), str(getattr(module, "inlined_graph", "")), held)


def _rebuilds(module: nn.Module, arch: str, outputs: int, kwargs: Mapping[str, Any]) -> bool:
    """Return whether an architecture builds this network, apart from its weights."""
    with suppress(Exception), torch.random.fork_rng(devices=[]), torch.device("meta"):  # the user's own constructor
        other = architectures.build_network(arch, outputs, dict(kwargs)).eval()
        shapes, own = ({name: t.shape for name, t in each.state_dict().items()} for each in (other, module))
        return shapes == own and _code(other) == _code(module)
    return False


def _saved(model: LoadedModel, checks: list[Check], shelf: CardFolder, own: _Object) -> LoadedModel:
    """Write the weights and a card of a network, and return it as registered."""
    card = model.card
    if not own.is_built or card.own_transform:
        expected = "expected an importable class with its arguments as attributes, and an input in fields"
        raise CardError(f"save=True: no card can load '{card.name}' again: {expected}.")
    file = shelf.place.weights_folder / f"{card.name}-{model.digest[:12]}"
    if isinstance(model.module, Reading):
        cast(Any, model.module.network).save_pretrained(file)
    else:
        file = file.with_name(f"{file.name}.safetensors")
        state = model.module.state_dict()
        write_whole(file, save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}))
    card = card.model_copy(update={"source": "file", "weights": str(file.resolve())})
    return replace(model, card=admit(card, checks, shelf)[0])


def _known(net: nn.Module, digests: Sequence[str], draft: Draft, shelf: CardFolder) -> tuple[ModelCard | None, Draft]:
    """Return the card of the registered or published network of these weights, and the draft that it completes."""
    cards = [card for card in read_cards(shelf.cards).values() if card.sha256 in digests and card.source != "predict"]
    cards.sort(key=lambda card: card.name != draft.name)
    twin = cards[0] if cards else known_card(state_key(net.state_dict()), shelf.place)
    if twin is not None and twin.preprocess is not None:
        stated = StatedInput(twin.preprocess.model_dump(), f"as of '{twin.name}', whose weights these are")
        stated = draft.stated if draft.stated.fields else stated
        draft = replace(draft, stated=stated, labels=draft.labels or twin.labels)
    if not draft.stated.fields:
        expected = "a callable from a PIL image, a processor, or fields such as dict(size=224, mean=..., std=...)"
        raise CardError(f"'{draft.name}' does not state its input. Give preprocess=: {expected}.")
    return twin, draft


def _registered(
    model: LoadedModel, card: ModelCard | None, draft: Draft, checks: list[Check], shelf: CardFolder
) -> LoadedModel:
    """Return the network of a card of the same weights if it is fed, labelled and answers alike; otherwise `model`."""
    with suppress(BenchError):  # a file that is gone, or another one now
        if card is not None and not missing_weights(card, shelf.place):
            images = probe(model)
            twin = load_network(card, shelf.place, device=str(images.device))
            fed, theirs = (each.preprocess.model_dump(exclude={"fixed_size"}) for each in (model, twin))
            with torch.no_grad():
                gap = distance(model.forward(images), twin.forward(images))
            if (fed, model.labels.digest) == (theirs, twin.labels.digest) and gap <= _SAME:
                checks.append(Check(name="registered", ok=True, detail=f"the network is '{card.name}', from its file"))
                told = {"name": draft.name, "checkpoint": draft.checkpoint} if draft.checkpoint else {}
                return replace(twin, card=card.model_copy(update=told))
    if draft.name in read_cards(shelf.cards):
        raise CardError(f"a model called '{draft.name}' is registered, and is another one: choose another name=.")
    return model
