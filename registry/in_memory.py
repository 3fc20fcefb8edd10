"""Networks in memory: an object of Python as the same loaded network that a registered card gives.

A module is never called: its copy answers, in evaluation mode and in float32, on the device that is asked for."""

import copy
import inspect
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.distributed import fsdp

from registry import architectures
from registry.cards import Checkpoint, ModelCard, Preprocess, card_errors, read_cards
from registry.class_lists import is_class_list, labels_of_names, names_in_order, read_class_list, write_mapping
from registry.code import code_digest
from registry.determinism_checks import Check, distance, pictures, probe
from registry.download import missing_weights
from registry.families.family import Draft
from registry.families.predict import PREFIX, Function, are_probabilities
from registry.families.transformers import Classifier, configuration_digest, fields_of, require_same_pixels
from registry.families.zero_shot import with_text_head, zero_shot
from registry.files import digest_data, digest_state, expanded, write_whole
from registry.known_states import known_card, state_key
from registry.labels import label_space, spaces_of_size
from registry.loading import labels_of, load_network, require_once
from registry.model import LoadedModel
from registry.outputs import named_outputs
from registry.own_transform import Given, Transform, network_input, on_device, stacked
from registry.preprocessing import (
    StatedInput,
    given_fields,
    preprocess_of,
    pretrained_config,
    settled_input,
    stated_input,
)
from registry.register import CardFolder, Trial, admit, checked
from registry.transform_reading import read_transform
from registry.user_errors import BenchError, CardError, LabelError, foreign, some_of

#: Values of a module's attributes that count for its code where no constructor is known to set them.
_PLAIN = (bool, int, float, str, tuple, type(None))
#: Networks of the same tensors are one if their logits differ by less, relative to the largest.
_SAME = 1e-4
_STATE_IT = (
    "Give preprocess=: a callable from a PIL image to what it takes of one image, torchvision's weights, a processor "
    "of transformers, or fields such as dict(size=224, resize=256, mean=(.485, .456, .406), std=(.229, .224, .225))."
)


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a caller says of an object; None: the object states it."""

    name: str | None = None
    preprocess: Any = None
    labels: Any = None
    output: str | None = None
    checkpoint: Checkpoint | None = None


@dataclass(frozen=True, kw_only=True)
class Held:
    """An object as a loaded network."""

    model: LoadedModel
    checks: list[Check]
    registered: bool = False  # whether a registered card of that name loads it
    unsaved: str = ""  # why no card can load it; "": one can


@dataclass(kw_only=True)
class _Parts:
    """What is known of an object before its card."""

    module: nn.Module
    arch: str
    stated: StatedInput = field(default_factory=StatedInput)
    transform: Transform | None = None
    names: Sequence[str] = ()  # of its outputs
    code: str | None = None  # None: of its classes


def hold(net: Any, said: Said, shelf: CardFolder, device: str, trial: Trial) -> Held:
    """Return an object as a loaded network that has passed the checks of a registration; nothing is registered.

    net: a module or a function, or a tuple of either, its preprocessing and perhaps a tokenizer. Raises CardError for
    an input that nobody states, LabelError, and WeightsError as `checked`."""
    net, brought, tokenizer = (*net, None, None)[:3] if isinstance(net, tuple) else (net, None, None)
    original = unwrapped(net)
    if not (isinstance(original, nn.Module) or callable(original) or hasattr(original, "predict")):
        raise CardError(f"expected a network or a function from images to answers, not a {type(original).__name__}.")
    is_network = isinstance(original, nn.Module)
    parts = _network(copied(original).to(device)) if is_network else _function(original)
    _feed(parts, brought if said.preprocess is None else said.preprocess)
    own = digest_state(parts.module.state_dict()) if is_network else str(parts.code)
    called = re.sub(r"\W", "", getattr(original, "__name__", type(original).__name__)).strip("_") or "network"
    said = replace(said, name=said.name or f"{called}-{own[:6]}")
    if tokenizer is not None:
        return _asked(parts, tokenizer, said, shelf, trial)
    twin = _registered_card(parts.module, (own,), said, shelf)
    if twin is not None and twin.preprocess is not None:
        fields, where = twin.preprocess.model_dump(), f"as of '{twin.name}', whose weights these are"
        parts.stated = parts.stated if parts.stated.fields else StatedInput(fields, where)
        said = said if parts.names else replace(said, labels=said.labels or twin.labels)
    if not parts.stated.fields:
        raise CardError(f"'{said.name}' does not state its input. {_STATE_IT}")
    how, lines = settled_input(parts.arch, {}, parts.stated, None)
    given = on_device(_sample(how, parts.transform), torch.device(device))
    inner = _without_wrappers(parts.module, given)
    is_whole = inner is parts.module
    parts.module = inner
    labels, text = _labels(said.labels, parts, given, str(said.name), shelf)
    card, code, unsaved = _identified(_card(parts, how, labels, said), parts)
    if isinstance(parts.module, Function):
        parts.module = _deciding(parts.module, card, given)
    # Hashing weights is what an evaluation while a network trains can least do twice.
    model = _loaded(card, parts, code, own if is_network and is_whole else digest_state(parts.module.state_dict()))
    rows = [Check(name="labels", ok=True, detail=text), *lines]
    model, rows = checked(model, rows, shelf, size_is_stated="fixed_size" in parts.stated.fields, trial=trial)
    twin = twin if is_whole else _registered_card(model.module, (own, model.digest), said, shelf)
    return _as_registered(Held(model=model, checks=rows, unsaved=unsaved), twin, said, shelf)


def unwrapped(net: Any) -> Any:
    """Return the network inside what torch puts around it: a compiled form, parallel copies, averaged weights."""
    around = (nn.DataParallel, nn.parallel.DistributedDataParallel, torch.optim.swa_utils.AveragedModel)
    while isinstance(net, around) or hasattr(net, "_orig_mod"):
        net = net.module if isinstance(net, around) else net._orig_mod
    return net


def copied(original: nn.Module) -> nn.Module:
    """Return a copy of a network in evaluation mode and float32, that shares no memory with it and calls no hooks but
    those of torch.nn.utils (weight norm, pruning), which make its weights. Shards are gathered: a call of all ranks."""
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


def _network(module: nn.Module) -> _Parts:
    """Return what a copied network says of itself."""
    kind, config, settings = type(module), getattr(module, "pretrained_cfg", None), getattr(module, "config", None)
    if isinstance(config, dict) and config.get("architecture"):
        where = f"pretrained_cfg of the object: {config['architecture']}.{config.get('tag')}".removesuffix(".None")
        stated = StatedInput(pretrained_config(config, "the object").fields(), where)
        return _Parts(module=module, arch=f"timm:{config['architecture']}", stated=stated)
    if kind.__module__.startswith("transformers.") and hasattr(settings, "to_json_string"):
        plain = json.loads(cast(Any, settings).to_json_string())
        return _Parts(
            module=Classifier(module).eval(),
            arch=f"hf:{plain.get('model_type')}",
            names=names_in_order(plain.get("id2label")) or (),
            code=configuration_digest(plain),
        )
    name = _torchvision_name(module)
    stated = stated_input(f"torchvision:{name}") if name else StatedInput()
    arch = f"torchvision:{name}" if name else f"python:{kind.__module__}:{kind.__qualname__}"
    return _Parts(module=module, arch=arch, stated=stated)


def _torchvision_name(module: nn.Module) -> str:
    """Return the name by which torchvision builds a network; "" for other networks."""
    if not type(module).__module__.startswith("torchvision.models."):
        return ""
    from torchvision import models

    place, names = type(module).__module__, models.list_models(module=models)
    names = [name for name in names if models.get_model_builder(name).__module__ == place]
    outputs = [part.out_features for part in module.modules() if isinstance(part, nn.Linear)][-1:] or [1000]
    return next((name for name in names if _rebuilds(module, f"torchvision:{name}", outputs[0], {})), "")


def _function(original: Any) -> _Parts:
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
    return _Parts(
        module=Function(of_arrays, label_space("imagenet1k"), kind.__qualname__),
        arch=f"{PREFIX}{kind.__module__}:{kind.__qualname__}",
        names=tuple(classes.tolist()) if classes.dtype.kind == "U" else (),
        code=code_digest(original.to_json(), original.get_weights()) if keras else code_digest(original),
    )


def _feed(parts: _Parts, brought: Any) -> None:
    """Note what is said of the input: fields of a card, or a callable, whose fields are read if a card has them."""
    if brought is None:
        return
    if isinstance(brought, Mapping):
        given: Any = {**brought}
        is_timms = "input_size" in given
        fields = pretrained_config(given, "preprocess=").fields() if is_timms else given_fields(given)
        parts.stated = StatedInput(fields, "as given")
        return
    brought = getattr(brought, "image_processor", brought)
    where = f"by the given {getattr(brought, '__name__', type(brought).__name__)}"
    if hasattr(brought, "transforms") and hasattr(brought, "meta"):  # torchvision's weights
        parts.names = parts.names or tuple(brought.meta.get("categories", ()))
        brought = brought.transforms()
    elif hasattr(brought, "to_json_string"):  # a processor of transformers
        with suppress(ValueError, KeyError, TypeError, CardError):
            fields = fields_of(json.loads(brought.to_json_string()))
            require_same_pixels(brought, preprocess_of(parts.arch, fields))
            parts.stated = StatedInput(fields, where)
            return
        processor = brought
        brought = lambda image: processor(images=image, return_tensors="pt")  # noqa: E731
    if not callable(brought):
        raise CardError(f"preprocess={type(brought).__name__}: expected a callable from a PIL image, or fields.")
    parts.stated = read_transform(brought, where)
    parts.transform = brought if parts.stated.fields.get("resize_mode") == "own" else None


def _sample(how: Preprocess, transform: Transform | None) -> Given:
    """Return what a network takes of a few images."""
    images = pictures(4, how.size)
    if transform is not None:
        return stacked([network_input(transform, image) for image in images])
    card = ModelCard(name="sample", source="memory", arch="memory", preprocess=how)
    return LoadedModel(card=card, module=nn.Identity(), digest="", labels=label_space(card.labels)).normalise(images)


def _without_wrappers(module: nn.Module, given: Given) -> nn.Module:
    """Return the network in a copy of a module that adds nothing to its answers: a Lightning module, a named field."""
    while not isinstance(module, Function | Classifier):
        inner = [child for child in module.children() if any(True for _ in child.parameters())]
        alone = len(inner) == 1 and len(inner[0].state_dict()) == len(module.state_dict())
        if not inner or not (alone or hasattr(module, "training_step")):
            break
        child = max(inner, key=lambda part: sum(weight.numel() for weight in part.parameters()))
        try:
            with torch.no_grad():
                whole, part = (dict(named_outputs(each(given))) for each in (module, child))
        except Exception:  # noqa: BLE001 - a part that does not take images by itself
            break
        if whole.keys() != part.keys() or not all(torch.equal(whole[name], part[name]) for name in whole):
            break
        module = child
    return module


def _labels(asked: Any, parts: _Parts, given: Given, name: str, shelf: CardFolder) -> tuple[str, str]:
    """Return a label space or mapping file of the outputs, and how it was found."""
    names = parts.names
    if asked is not None and not isinstance(asked, str | Path):
        names, asked = names_in_order(asked if isinstance(asked, Mapping) else [*asked]) or (), None
        if not names:
            raise LabelError("labels=: expected a label space, a file, or the names of the outputs in their order.")
    if asked is not None and is_class_list(str(asked)):
        listed = read_class_list(str(asked), name)
        return str(write_mapping(listed, shelf.cards / "labels")), str(listed)
    if asked is not None:
        asked = str(expanded(asked).resolve()) if str(asked).endswith((".yaml", ".yml")) else str(asked)
    if names or asked:
        return labels_of_names(names, asked, name, shelf.cards)[:2] if names else (asked, f"{asked}, as given")
    if isinstance(parts.module, Function):
        answers = np.asarray(parts.module.function(np.asarray(given)))
        every = {"": torch.as_tensor(answers)} if answers.dtype.kind in "biuf" else {}
    else:
        with torch.no_grad():
            every = dict(named_outputs(parts.module(given)))
    widths = {int(part.shape[1]) for part in every.values() if part.dim() == 2}
    spaces = [space for width in sorted(widths) for space in spaces_of_size(width)]
    if len(spaces) == 1:
        return spaces[0], f"{spaces[0]}, by the number of outputs"
    found = f"{some_of([*map(str, sorted(widths))], 5)} outputs" if widths else f"outputs {some_of([*every], 5)}"
    choice = ", ".join(spaces) or "a label space"
    raise LabelError(f"'{name}' has {found}. Give labels=: {choice}, a list of names in their order, or a file.")


def _card(parts: _Parts, how: Preprocess, labels: str, said: Said) -> ModelCard:
    options = {"output": said.output} if said.output else {}
    given = {"arch": parts.arch, "preprocess": how, "labels": labels, "options": options}
    with card_errors():
        return ModelCard.model_validate({"name": said.name, "source": "memory", "checkpoint": said.checkpoint, **given})


def _identified(card: ModelCard, parts: _Parts) -> tuple[ModelCard, str, str]:
    """Return the card with the arguments that build its network, the digest of its code, which is that of a file where
    the architecture builds the network again, and otherwise why it does not."""
    module, kind, kwargs = parts.module, type(parts.module), dict[str, Any]()
    if parts.code is not None:
        return card, parts.code, "" if isinstance(module, Classifier) else "a function has no weights of its own"
    if not card.arch.startswith(("timm:", "torchvision:")):  # what its class was called with, if attributes keep it
        card = card.model_copy(update={"arch": f"python:{kind.__module__}:{kind.__qualname__}"})
        kept = {**vars(module), **dict(getattr(module, "hparams", None) or {})}
        for name, parameter in inspect.signature(kind.__init__).parameters.items():
            value = kept.get(name, parameter.default)
            if name != "num_classes" and value != parameter.default and isinstance(value, (*_PLAIN, list)):
                kwargs[name] = list(value) if isinstance(value, tuple) else value
    if kind.__module__ == "__main__" or "<locals>" in kind.__qualname__:
        return card, _code(module), f"its class {kind.__qualname__} cannot be imported: move it into a module"
    if not _rebuilds(module, card.arch, len(label_space(card.labels).classes), kwargs):
        return card, _code(module), f"{card.arch} builds another network, or its arguments are no attributes"
    options = {**card.options, "kwargs": kwargs} if kwargs else card.options
    return card.model_copy(update={"options": options}), architectures.source_code(card.arch, module), ""


def _code(module: nn.Module) -> str:
    """Return the digest of the classes of a network that nothing builds again, and of all that they were built with."""
    kinds = sorted({type(part) for part in module.modules()}, key=lambda kind: (kind.__module__, kind.__qualname__))
    return digest_data([code_digest(*kinds), _described(module)])


def _rebuilds(module: nn.Module, arch: str, outputs: int, kwargs: Mapping[str, Any]) -> bool:
    """Return whether an architecture builds this network, apart from its weights."""
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            other = architectures.build_network(arch, outputs, dict(kwargs)).eval()
        shapes, own = ({name: t.shape for name, t in each.state_dict().items()} for each in (other, module))
        return shapes == own and _described(other) == _described(module)
    except Exception:  # noqa: BLE001 - a constructor of the user's
        return False


def _described(module: nn.Module) -> list[Any]:
    """Return the parts of a network with their plain attributes, which decide answers beside weights."""
    rows: list[Any] = [repr(module)]
    if isinstance(module, torch.jit.ScriptModule):
        rows.append(str(module.inlined_graph))
    for place, part in module.named_modules():
        for name, value in sorted(vars(part).items()):
            if isinstance(value, FunctionType | MethodType):
                rows.append([place, name, code_digest(getattr(value, "__func__", value))])
            elif isinstance(value, _PLAIN) and not name.startswith("_") and name != "training":
                rows.append([place, name, repr(value)])
    return rows


def _deciding(module: Function, card: ModelCard, given: Given) -> Function:
    """Return a function in the label space of its card."""
    deciding = Function(module.function, label_space(card.labels), card.name)
    with foreign("function", card.name, CardError, "It is given arrays of what the preprocessing makes of each image."):
        if not isinstance(given, Tensor):
            raise ValueError("its preprocessing gives several arrays by name")
        values = deciding.values(given)
    deciding.normalised = values.ndim == 2 and are_probabilities(values)
    return deciding


def _loaded(card: ModelCard, parts: _Parts, code: str, digest: str) -> LoadedModel:
    model = LoadedModel(
        card=card.model_copy(update={"sha256": digest}),
        module=parts.module.eval(),
        digest=digest,
        labels=labels_of(card),
        code=code,
        transform=parts.transform,
    )
    require_once(model.module, card)
    return model


def _asked(parts: _Parts, tokenize: Any, said: Said, shelf: CardFolder, trial: Trial) -> Held:
    """Return the image tower of open_clip's model with the vectors of classes that its text tower makes."""
    towers, place = cast(Any, parts.module), next(parts.module.parameters()).device
    if parts.transform is not None or not parts.stated.fields or not hasattr(towers, "encode_text"):
        raise CardError(f"'{said.name}': expected (model, preprocess, tokenizer) as open_clip creates them.")
    draft = Draft(name=str(said.name), arch="open_clip:memory", labels=str(said.labels or "imagenet1k"))
    encode = lambda texts: towers.encode_text(tokenize(texts).to(place))  # noqa: E731
    draft = with_text_head(draft, None, towers, encode, shelf.cards)
    how, lines = settled_input(draft.arch, {}, parts.stated, None)
    update = {"arch": draft.arch, "options": dict(draft.options), "training": draft.training}
    card = _card(parts, how, str(draft.labels), said).model_copy(update=update)
    parts.module = zero_shot(towers.visual, card).to(place)
    model = _loaded(card, parts, _code(parts.module), digest_state(parts.module.state_dict()))
    model, rows = checked(model, [*draft.rows, *lines], shelf, size_is_stated=False, trial=trial)
    why = "it does not name its configuration: register it with --arch open_clip:ARCH"
    twin = _registered_card(model.module, (model.digest,), said, shelf)
    return _as_registered(Held(model=model, checks=rows, unsaved=why), twin, said, shelf)


def saved(held: Held, shelf: CardFolder) -> Held:
    """Write the weights and a card of a network that a card can load, and return it as registered. Raises CardError,
    and WeightsError if what is loaded from the file fails a check."""
    model, card = held.model, held.model.card
    why = held.unsaved or ("no card expresses its preprocessing" if card.own_transform else "")
    if why:
        raise CardError(f"save=True: no card can load '{card.name}' again, because {why}.")
    file = shelf.place.weights_folder / f"{card.name}-{model.digest[:12]}"
    if isinstance(model.module, Classifier):
        model.module.network.save_pretrained(file)  # type: ignore[operator]
    else:
        file = file.with_name(f"{file.name}.safetensors")
        state = model.module.state_dict()
        write_whole(file, save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}))
    card = card.model_copy(update={"source": "file", "weights": str(file.resolve())})
    card, _ = admit(card, held.checks, shelf, size_is_stated=True)
    return Held(model=replace(model, card=card), checks=held.checks, registered=True)


def _registered_card(module: nn.Module, digests: tuple[str, ...], said: Said, shelf: CardFolder) -> ModelCard | None:
    """Return the card of a registered, or else of a published network with these weights."""
    if isinstance(module, Function):
        return None
    cards = [card for card in read_cards(shelf.cards).values() if card.sha256 in digests]
    cards.sort(key=lambda card: card.name != said.name)
    return cards[0] if cards else known_card(state_key(module.state_dict()), shelf.place)


def _as_registered(held: Held, card: ModelCard | None, said: Said, shelf: CardFolder) -> Held:
    """Return the network of a card with these weights, or the own copy if that answers otherwise."""
    model = held.model
    with suppress(BenchError):  # a file that is gone, or another one now
        if card is not None and not missing_weights(card, shelf.place):
            images = probe(model)
            twin = load_network(card, shelf.place, device=images.device.type)
            fed, theirs = (each.preprocess.model_dump(exclude={"fixed_size"}) for each in (model, twin))
            with torch.no_grad():
                gap = distance(model.forward(images), twin.forward(images))
            if (fed, model.labels.digest) == (theirs, twin.labels.digest) and gap <= _SAME:
                row = Check(name="registered", ok=True, detail=f"the network is '{card.name}', loaded from its file")
                told = {} if said.checkpoint is None else {"name": said.name, "checkpoint": said.checkpoint}
                own = card.model_copy(update=told)
                return Held(model=replace(twin, card=own), checks=[*held.checks, row], registered=own == card)
    if model.card.name in read_cards(shelf.cards):
        raise CardError(f"a model called '{model.card.name}' is registered, and is another one: choose another name=.")
    return held


def device_of(net: Any) -> str:
    """Return where a network's first weight is; "cpu" of others."""
    net = unwrapped(net[0] if isinstance(net, tuple) else net)
    weights = [*net.parameters(), *net.buffers()] if isinstance(net, nn.Module) else []
    place = weights[0].device if weights else torch.device("cpu")
    return str(place) if place.type == "cuda" else place.type
