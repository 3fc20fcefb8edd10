"""Networks in memory: an object of Python as the same loaded network that a registered card gives.

A module is never called: its copy answers, in evaluation mode and in float32, on the device that is asked for."""

import copy
import inspect
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import FunctionType, MethodType
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

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
from registry.labels import label_space, spaces_of_size, with_nothing
from registry.loading import load_network, require_once
from registry.model import LoadedModel
from registry.outputs import named_outputs
from registry.own_transform import Given, Transform, network_input, on_device, stacked
from registry.preprocessing import (
    PretrainedConfig,
    StatedInput,
    given_fields,
    preprocess_of,
    settled_input,
    stated_input,
)
from registry.register import CardFolder, Trial, admit, checked
from registry.transform_reading import read_transform
from registry.user_errors import BenchError, CardError, LabelError, reason, some_of

#: Values of a module's attributes that count for its code where no constructor is known to set them.
_PLAIN = (bool, int, float, str, tuple, type(None))
#: Networks of the same tensors are one if their logits differ by less, relative to the largest.
_SAME = 1e-4


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
    digests: tuple[str, ...] = ()  # of its weights, with and without modules around the whole


def hold(net: Any, said: Said, shelf: CardFolder, device: str, trial: Trial) -> Held:
    """Return an object as a loaded network that has passed the checks of a registration; nothing is registered.

    net: a module or a function, or a tuple of either, its preprocessing and perhaps a tokenizer. Raises CardError for
    an input that nobody states, LabelError, and WeightsError as `checked`."""
    net, brought, tokenizer = (*net, None, None)[:3] if isinstance(net, tuple) else (net, None, None)
    original = unwrapped(net)
    if isinstance(original, nn.Module):
        parts = _network(copied(original).to(device))
    elif callable(original) or hasattr(original, "predict"):
        parts = _function(original)
    else:
        raise CardError(f"expected a network or a function from images to answers, not a {type(original).__name__}.")
    _feed(parts, brought if said.preprocess is None else said.preprocess)
    own = digest_state(parts.module.state_dict()) if parts.code is None else parts.code
    name = said.name or f"{_called(original)}-{own[:6]}"
    if tokenizer is not None:
        return _asked(parts, tokenizer, name, said, shelf, trial)
    twin = _registered_card(parts, own, said, shelf)
    if twin is not None and twin.preprocess is not None:
        fields, where = twin.preprocess.model_dump(), f"as of '{twin.name}', whose weights these are"
        parts.stated = parts.stated if parts.stated.fields else StatedInput(fields, where)
        said = said if parts.names else replace(said, labels=said.labels or twin.labels)
    if not parts.stated.fields:
        raise CardError(
            f"'{name}' does not state its input. Give preprocess=: a callable from a PIL image to what it takes of one "
            "image, torchvision's weights, a processor of transformers, or fields such as dict(size=224, resize=256, "
            "mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))."
        )
    how, lines = settled_input(parts.arch, {}, parts.stated, None)
    given = on_device(_sample(how, parts.transform), torch.device(device))
    outer = digest_state(parts.module.state_dict())
    parts.module = _without_wrappers(parts.module, given)
    parts.digests = (outer, digest_state(parts.module.state_dict()))
    labels, text = _labels(said.labels, parts, given, name, shelf)
    card = _card(name, parts, how, labels, said)
    card, code, unsaved = _identified(card, parts)
    if isinstance(parts.module, Function):
        parts.module = _deciding(parts.module, card, given)
    model = _loaded(card, parts, code)
    rows = [Check(name="labels", ok=True, detail=text), *lines]
    model, rows = checked(model, rows, shelf, size_is_stated="fixed_size" in parts.stated.fields, trial=trial)
    return _as_registered(Held(model=model, checks=rows, unsaved=unsaved), parts.digests, said, shelf)


def _called(original: Any) -> str:
    name = str(getattr(original, "__name__", type(original).__name__))
    return re.sub(r"\W", "", name).strip("_") or "network"


def unwrapped(net: Any) -> Any:
    """Return the network inside what torch puts around it: a compiled form, parallel copies, averaged weights."""
    around = (nn.DataParallel, nn.parallel.DistributedDataParallel, torch.optim.swa_utils.AveragedModel)
    while isinstance(net, around) or hasattr(net, "_orig_mod"):
        net = net.module if isinstance(net, around) else net._orig_mod
    return net


def copied(original: nn.Module) -> nn.Module:
    """Return a copy of a network in evaluation mode and float32, that shares no memory with it and calls no hooks but
    those of torch.nn.utils (weight norm, pruning), which make its weights."""
    memo: dict[int, Any] = {}
    for part in original.modules():
        for name, value in vars(part).items():
            if "_hooks" in name and isinstance(value, dict):
                kept = [(i, hook) for i, hook in value.items() if type(hook).__module__.startswith("torch.nn.utils")]
                memo[id(value)] = type(value)(kept)
            elif isinstance(value, Tensor):
                memo[id(value)] = value.detach().clone()
            elif name in ("_trainer", "_fabric"):  # of Lightning: the whole training hangs on them
                memo[id(value)] = None
        for tensor in part.parameters(recurse=False):
            memo[id(tensor)] = nn.Parameter(tensor.detach().clone(), requires_grad=False)
        memo |= {id(tensor): tensor.detach().clone() for tensor in part.buffers(recurse=False)}
    return copy.deepcopy(original, memo).eval().requires_grad_(False).float()


def _network(module: nn.Module) -> _Parts:
    """Return what a copied network says of itself."""
    kind, config, settings = type(module), getattr(module, "pretrained_cfg", None), getattr(module, "config", None)
    if isinstance(config, dict) and config.get("architecture"):
        where = f"pretrained_cfg of the object: {config['architecture']}.{config.get('tag')}".removesuffix(".None")
        stated = StatedInput(PretrainedConfig.model_validate(config).fields(), where)
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

    names = [
        name
        for name in models.list_models(module=models)
        if models.get_model_builder(name).__module__ == type(module).__module__
    ]
    outputs = [part.out_features for part in module.modules() if isinstance(part, nn.Linear)][-1:] or [1000]
    return next((name for name in names if _rebuilds(module, f"torchvision:{name}", outputs[0], {})), "")


def _function(original: Any) -> _Parts:
    """Return what a function of images, or an object that predicts (scikit-learn, Keras), says of itself."""
    classes = getattr(original, "classes_", None)
    function = getattr(original, "predict_proba", original if callable(original) else None)
    if function is None:
        predict = original.predict
        function = predict if classes is None else lambda images: np.searchsorted(classes, predict(images))
    kind = original if hasattr(original, "__qualname__") else type(original)
    if hasattr(original, "get_weights") and hasattr(original, "to_json"):  # Keras: its pickle has the time in it
        code = code_digest(original.to_json(), original.get_weights())
    else:
        code = code_digest(original)
    named = classes is not None and all(isinstance(name, str) for name in np.asarray(classes).tolist())
    return _Parts(
        module=Function(_of_arrays(function), label_space("imagenet1k"), kind.__qualname__),
        arch=f"{PREFIX}{kind.__module__}:{kind.__qualname__}",
        stated=StatedInput(),
        names=tuple(np.asarray(classes).tolist()) if named else (),
        code=code,
    )


def _of_arrays(function: Any) -> Any:
    """Return a function of arrays that may be one of tensors."""

    def call(images: Any) -> Any:
        try:
            return function(images)
        except (TypeError, AttributeError):
            with torch.no_grad():
                return function(torch.from_numpy(images))

    return call


def _feed(parts: _Parts, brought: Any) -> None:
    """Note what is said of the input: fields of a card, or a callable, whose fields are read if a card has them."""
    if brought is None:
        return
    if isinstance(brought, Preprocess):
        parts.stated = StatedInput(brought.model_dump(), "as given")
        return
    if isinstance(brought, Mapping):
        of_timm = "input_size" in brought
        fields = PretrainedConfig.model_validate(brought).fields() if of_timm else given_fields({**brought})  # type: ignore[typeddict-item]
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
    if isinstance(asked, Mapping) or (asked is not None and not isinstance(asked, str) and hasattr(asked, "__len__")):
        names, asked = names_in_order(asked if isinstance(asked, Mapping) else list(asked)) or (), None
        if not names:
            raise LabelError(
                "labels=: expected a label space, a file, or at least two names in the order of the outputs."
            )
    if asked is not None:
        asked = str(asked)
        if is_class_list(asked):
            listed = read_class_list(asked, name)
            return str(write_mapping(listed, shelf.cards / "labels")), str(listed)
        asked = str(expanded(asked).resolve()) if asked.endswith((".yaml", ".yml")) else asked
    if names:
        return labels_of_names(names, asked, name, shelf.cards)[:2]
    if asked is not None:
        return asked, f"{asked}, as given"
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
    raise LabelError(
        f"'{name}' has {found}, which do not say their classes. Give labels=: "
        f"{', '.join(spaces) or 'a label space'}, a list of names in their order, or a file."
    )


def _card(name: str, parts: _Parts, how: Preprocess, labels: str, said: Said) -> ModelCard:
    options = {"output": said.output} if said.output else {}
    with card_errors():
        return ModelCard(
            name=name,
            source="memory",
            arch=parts.arch,
            preprocess=how,
            labels=labels,
            options=options,
            checkpoint=said.checkpoint,
        )


def _identified(card: ModelCard, parts: _Parts) -> tuple[ModelCard, str, str]:
    """Return the card with the arguments that build its network, the digest of its code, which is that of a file where
    the architecture builds the network again, and otherwise why it does not."""
    module, kind = parts.module, type(parts.module)
    if parts.code is not None:
        return card, parts.code, "" if isinstance(module, Classifier) else "a function has no weights of its own"
    if not card.arch.startswith(("timm:", "torchvision:")):
        card = card.model_copy(update={"arch": f"python:{kind.__module__}:{kind.__qualname__}"})
    kwargs, unsaved = _arguments(module) if card.arch.startswith("python:") else ({}, "")
    if not unsaved and not _rebuilds(module, card.arch, len(label_space(card.labels).classes), kwargs):
        unsaved = f"{card.arch} builds another network"
    if not unsaved:
        options = {**card.options, "kwargs": kwargs} if kwargs else card.options
        return card.model_copy(update={"options": options}), architectures.source_code(card.arch, module), ""
    return card, _code(module), unsaved


def _code(module: nn.Module) -> str:
    """Return the digest of the classes of a network that nothing builds again, and of all that they were built with."""
    kinds = sorted({type(part) for part in module.modules()}, key=lambda kind: (kind.__module__, kind.__qualname__))
    return digest_data([code_digest(*kinds), _described(module)])


def _arguments(module: nn.Module) -> tuple[dict[str, Any], str]:
    """Return what a network's class was called with, as far as attributes of the same names keep it; or why not."""
    kind = type(module)
    if kind.__module__ == "__main__" or "<locals>" in kind.__qualname__:
        return {}, f"its class {kind.__qualname__} cannot be imported: move it into a module"
    kept, kwargs = {**vars(module), **dict(getattr(module, "hparams", None) or {})}, dict[str, Any]()
    for name, parameter in list(inspect.signature(kind.__init__).parameters.items())[1:]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) or name == "num_classes":
            continue
        value = kept.get(name, parameter.default)
        if value is parameter.empty or not isinstance(value, (*_PLAIN, list)):
            if parameter.default is parameter.empty:
                return {}, f"its class {kind.__qualname__} takes {name}=, which no attribute keeps"
        elif value != parameter.default:
            kwargs[name] = list(value) if isinstance(value, tuple) else value
    return kwargs, ""


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
    if not isinstance(given, Tensor):
        raise CardError(f"'{card.name}': the preprocessing of a function gives one array, not several by name.")
    try:
        values = deciding.values(given)
    except BenchError:
        raise
    except Exception as error:
        raise CardError(f"'{card.name}' failed on 4 images {tuple(given.shape)}: {reason(error)}.") from error
    deciding.normalised = values.ndim == 2 and are_probabilities(values)
    return deciding


def _loaded(card: ModelCard, parts: _Parts, code: str) -> LoadedModel:
    space, digest = label_space(card.labels), digest_state(parts.module.state_dict())
    model = LoadedModel(
        card=card.model_copy(update={"sha256": digest}),
        module=parts.module.eval().requires_grad_(False),
        digest=digest,
        labels=with_nothing(space) if card.may_be_silent else space,
        code=code,
        gradients=card.gradients,
        transform=parts.transform,
    )
    require_once(model.module, card)
    return model


def _asked(parts: _Parts, tokenize: Any, name: str, said: Said, shelf: CardFolder, trial: Trial) -> Held:
    """Return the image tower of open_clip's model with the vectors of classes that its text tower makes."""
    towers: Any = parts.module
    place = next(towers.parameters()).device
    if parts.transform is not None or not parts.stated.fields or not hasattr(towers, "encode_text"):
        raise CardError(f"'{name}': expected (model, preprocess, tokenizer) as open_clip creates them.")
    draft = Draft(name=name, arch="open_clip:memory", labels=str(said.labels or "imagenet1k"))
    draft = with_text_head(
        draft, None, towers, lambda texts: towers.encode_text(tokenize(texts).to(place)), shelf.cards
    )
    how, lines = settled_input(draft.arch, {}, parts.stated, None)
    card = _card(name, parts, how, str(draft.labels), said).model_copy(
        update={"arch": draft.arch, "options": dict(draft.options), "training": draft.training}
    )
    parts.module = zero_shot(towers.visual, card, len(label_space(card.labels).classes)).to(place)
    model = _loaded(card, parts, _code(parts.module))
    model, rows = checked(model, [*draft.rows, *lines], shelf, size_is_stated=False, trial=trial)
    why = "it does not name its configuration: register it with --arch open_clip:ARCH"
    return _as_registered(Held(model=model, checks=rows, unsaved=why), (), said, shelf)


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


def _registered_card(parts: _Parts, digest: str, said: Said, shelf: CardFolder) -> ModelCard | None:
    """Return the card of a registered, or else of a published network with the object's weights."""
    if isinstance(parts.module, Function):
        return None
    cards = [card for card in read_cards(shelf.cards).values() if card.sha256 in (digest, *parts.digests)]
    cards.sort(key=lambda card: card.name != said.name)
    return cards[0] if cards else known_card(state_key(parts.module.state_dict()), shelf.place)


def _as_registered(held: Held, digests: tuple[str, ...], said: Said, shelf: CardFolder) -> Held:
    """Return the registered network that the object is, loaded from its file; the object's own copy if it is none."""
    model = held.model
    parts = _Parts(module=model.module, arch=model.card.arch, digests=digests)
    card = _registered_card(parts, model.digest, said, shelf)
    with suppress(BenchError):  # a file that is gone, or another one now
        if card is not None and not missing_weights(card, shelf.place):
            images = probe(model)
            twin = load_network(card, shelf.place, device=images.device.type)
            ours, theirs = (each.preprocess.model_dump(exclude={"fixed_size"}) for each in (model, twin))
            if (ours, model.labels.digest) == (theirs, twin.labels.digest):
                with torch.no_grad():
                    gap = distance(model.forward(images), twin.forward(images))
                if gap <= _SAME:
                    told = {"name": said.name, "checkpoint": said.checkpoint}
                    own = card.model_copy(update={name: value for name, value in told.items() if value})
                    row = Check(
                        name="registered", ok=True, detail=f"the network is '{card.name}', loaded from its file"
                    )
                    return Held(model=replace(twin, card=own), checks=[*held.checks, row], registered=own == card)
    if model.card.name in read_cards(shelf.cards):
        raise CardError(f"a model called '{model.card.name}' is registered, and is another one: choose another name=.")
    return held


def device_of(net: Any) -> str:
    """Return where a network's first weight is; "cpu" of others."""
    net = unwrapped(net[0] if isinstance(net, tuple) else net)
    if not isinstance(net, nn.Module):
        return "cpu"
    place = next((tensor.device for tensor in (*net.parameters(), *net.buffers())), torch.device("cpu"))
    return place.type if place.index in (None, 0) and place.type != "cuda" else str(place)
