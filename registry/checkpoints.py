"""A checkpoint's weights for one network: read safely, chosen, fitted, or refused with the reason.

Nothing here executes what a file says: safetensors, or a pickle of tensors."""

from __future__ import annotations

import json
import pickle
import re
import shlex
import warnings
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zipfile import ZipFile, is_zipfile

import numpy as np
import torch
from torch import Tensor, nn

from registry.cards import ModelCard, Preprocess, Triple
from registry.errors import WeightsError, some_of
from registry.files import absence, is_file
from registry.foreign import foreign, reason, shown
from registry.labels import spaces_of_size

# Checkpoint files as plain content: safetensors, or a pickle of which nothing runs.
#
# `torch.load(weights_only=True)` takes tensors and plain containers. What training scripts save beside them (`args`,
# numpy scalars, paths, configurations) is on a list of names below. None of these is imported: an inert stand-in takes
# the place of each, so that a file can only ever make tensors, containers and stand-ins.
#: Where training scripts put the state dict. Averaged (EMA) weights come first: they are what their authors evaluate.
WRAPPERS = (
    "state_dict_ema", "model_ema", "ema", "ema_state_dict",
    "state_dict", "model_state_dict", "model", "net", "shadow", "module",
)  # fmt: skip
_NUMBERS = ("Bool", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float16", "Float32",
            "Float64", "Complex64", "Complex128", "Str", "Bytes", "Object", "DateTime64", "LongLong")  # fmt: skip
#: Objects whose content is no weights.
HARMLESS_OBJECTS = (
    *(f"pathlib{room}.{kind}" for room in ("", "._local") for kind in (
        "Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")),
    *(f"numpy.{room}.multiarray.{name}" for room in ("core", "_core") for name in ("scalar", "_reconstruct")),
    *(f"numpy.{room}.numeric._frombuffer" for room in ("core", "_core")),
    *(f"numpy.dtypes.{kind}DType" for kind in _NUMBERS), "numpy.dtype", "numpy.ndarray",
    "datetime.datetime", "datetime.date", "datetime.timedelta", "datetime.timezone", "uuid.UUID",
    "decimal.Decimal", "fractions.Fraction", "typing.Any",
    "builtins.frozenset", "builtins.slice", "builtins.range",
    "builtins.dict", "builtins.list", "builtins.tuple", "builtins.int", "builtins.float", "builtins.bool",
    "builtins.str",
    "omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig",
    "omegaconf.base.ContainerMetadata", "omegaconf.base.Metadata", "omegaconf.base.SCMode",
    *(f"omegaconf.nodes.{kind}Node" for kind in (
        "Any", "String", "Integer", "Float", "Boolean", "Enum", "Path", "Bytes", "InterpolationResult")),
    *(f"{room}.callbacks.{module}.{kind}" for room in ("pytorch_lightning", "lightning.pytorch")
      for module, kind in (("model_checkpoint", "ModelCheckpoint"), ("early_stopping", "EarlyStopping"))),
)  # fmt: skip
#: Dictionaries of other libraries: their entries are kept, for one may hold the state dict.
HARMLESS_MAPPINGS = (
    "collections.defaultdict", "yacs.config.CfgNode", "easydict.EasyDict", "addict.addict.Dict",
    "ml_collections.config_dict.config_dict.ConfigDict", "mmengine.config.config.ConfigDict",
    "mmcv.utils.config.ConfigDict", "munch.Munch",
    "pytorch_lightning.utilities.parsing.AttributeDict", "lightning.fabric.utilities.data.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
)  # fmt: skip


class _Inert:
    """Stands for an object of a checkpoint that is no weights: takes whatever it is given and does nothing."""

    def __new__(cls, *_args: object) -> _Inert:
        return super().__new__(cls)

    def __setstate__(self, _state: object) -> None:
        pass


class _Entries:
    """Stands for another library's dictionary: calling it makes an ordinary one."""

    def __new__(cls, *_args: object) -> Any:
        return OrderedDict()


class _List:
    """Stands for another library's list: calling it makes an ordinary one."""

    def __new__(cls, *_args: object) -> Any:
        return []


class _Fields(_Inert):
    """Stands for the arguments of a training script: its fields are kept, for they may say what the network was fed."""

    def __setstate__(self, state: object) -> None:
        self.__dict__.update(state if isinstance(state, dict) else {})


_STAND_INS = {
    _Inert: HARMLESS_OBJECTS, _Fields: ("argparse.Namespace", "types.SimpleNamespace"), _Entries: HARMLESS_MAPPINGS,
    _List: ("collections.deque",),
}  # fmt: skip


def _conversion(path: Path, load: str = "torch.load({}, map_location='cpu', weights_only=False)") -> str:
    """What to do about a file that only a free reading can open: a command to be pasted as it is."""
    target = path.with_suffix(".safetensors")
    code = (
        f"import torch, safetensors.torch as st; c = {load.format(json.dumps(str(path)))}; "
        f"c = next((c[k] for k in {json.dumps(WRAPPERS)} if isinstance(c, dict) and k in c), c); "
        "c = c.state_dict() if hasattr(c, 'state_dict') else c; "
        "st.save_file({n: t.detach().clone().contiguous() for n, t in c.items() if torch.is_tensor(t)}, "
        f"{json.dumps(str(target))})"
    )
    return (
        "Convert it once, where you trust it (this runs whatever code the file holds): "
        f"python -c {shlex.quote(code)} and register {shown(target)}."
    )


def require_honest_size(path: Path) -> None:
    """Raise WeightsError for a zip archive that unpacks to far more than its size in bytes: torch stores tensors as
    they are, so only a bomb does. Other files pass."""
    if not is_zipfile(path):
        return
    with ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > 2 * (size := path.stat().st_size) + 2**20:
        raise WeightsError(
            f"checkpoint {path} has {size} bytes and unpacks to {unpacked}: refused. Save it again with `torch.save`."
        )


def refuse_onnx(path: Path) -> None:
    """Raise WeightsError, with the way in, for an ONNX program: no gradient passes through one, and its weights have
    lost their names."""
    if path.suffix == ".onnx":
        raise WeightsError(
            f"{shown(path)} is an ONNX program: no gradient passes through it, so it is not read. Save the network "
            "itself with torch.export.save (--arch export), or its state dict with torch.save (its architecture); from "
            "ONNX alone, onnx2torch makes a network that either can save."
        )


def _unpickled(path: Path) -> Any:
    require_honest_size(path)
    names = set()
    if is_zipfile(path):
        with ZipFile(path) as archive:
            names = {name.partition("/")[2] for name in archive.namelist()}
    if "constants.pkl" in names:
        command = _conversion(path, "torch.jit.load({}, 'cpu')")
        raise WeightsError(
            f"{path} is a TorchScript program (torch.jit.save), not a state dict. {command} "
            "Or save the network itself with torch.export and register that with --arch export."
        )
    if any(name.startswith(("models/", "serialized_exported_program")) for name in names):
        raise WeightsError(
            f"{path} is an exported program (torch.export), not a state dict: register it with --arch export."
        )
    stand_ins: list[Any] = [(kind, name) for kind, names in _STAND_INS.items() for name in names]
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(stand_ins):
            warnings.simplefilter("ignore")  # what matters of it is in the error
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"(?:GLOBAL|global) ([\w.<>]+)", str(error))
        with path.open("rb") as file:
            is_pickle = named or is_zipfile(path) or file.read(1) == pickle.PROTO
        if not is_pickle:  # a text, or a page of the web that was saved as one; torch's own words are about trust
            raise ValueError("neither a zip archive nor a pickle") from error
        what = f"'{shown(named[1])[:200]}'" if named else f"more than tensors ({reason(error)})"
        raise WeightsError(
            f"checkpoint {path} is a pickle that holds {what}, which is neither a tensor nor on the list of harmless "
            f"objects; it was refused before any of it ran. {_conversion(path)}"
        ) from error


def read_content(path: Path) -> Any:
    """What a checkpoint holds, on the CPU: tensors, containers, plain values and inert objects.

    Raises WeightsError: no such file, unreadable, a refused pickle, or a program."""
    refuse_onnx(path)
    if not is_file(path):
        raise WeightsError(f"checkpoint {shown(path)} {absence(path)}. Check the path, or register the model again.")
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        with foreign("checkpoint", path, WeightsError, "It is no intact safetensors file: fetch or save it again."):
            return dict(load_file(path))
    expected = "Truncated, or no PyTorch checkpoint: expected .safetensors, or .pt/.pth holding a state dict."
    with foreign("checkpoint", path, WeightsError, expected):
        return _unpickled(path)


# The normalisation that some training scripts save inside the checkpoint: robustness, RobustBench and most code of the
# MadryLab put the mean and standard deviation of the input beside the network. It says how the network's input was
# made: a card that assumes another one would score another network.

#: "normalizer.new_mean", "normalize.std", "0.mean" (the first of two in a sequence), "mu", "sigma".
_NAME = re.compile(
    r"(?:(?:input_)?(?:normali[sz](?:er?|ation)|norm_layer|preprocess(?:ing)?|0)\.)?"
    r"(?:new_|input_)?(?:(?P<mean>mean|mu)|(?P<std>std|sigma))"
)
#: Attributes that wrap a network beside its input statistics: DataParallel, torch.compile, Lightning, robustness
#: libraries, a program of a fixed batch. "1." is the network after a normalisation in a sequence of two.
_ATTRIBUTES = frozenset({"module", "_orig_mod", "model", "net", "network", "attacker", "ema_model", "program", "1"})
#: Published means are rounded to three or four digits.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation per channel of pixels in [0,1] * scale, and the names of both in the checkpoint."""

    mean: Triple
    std: Triple
    scale: float
    where: str


def as_text(how: Preprocess | Normalisation) -> str:
    """Mean, standard deviation and scale in words."""
    mean, std = ("(" + ", ".join(f"{value:g}" for value in values) + ")" for values in (how.mean, how.std))
    pixels = "" if how.scale == 1 else f" of pixels times {how.scale:g}"
    return f"mean {mean}, std {std}{pixels}"


def stated_in(statistics: Sequence[tuple[str, Tensor]], origin: str) -> Normalisation | None:
    """The normalisation that a checkpoint's input statistics state; None if there is not both a mean and a standard
    deviation.

    statistics: (key without wrappers, tensor), copies included. Raises WeightsError where copies contradict one another
    or are not one number a channel, with standard deviations above 0."""
    values: dict[str, set[Triple]] = {"mean": set(), "std": set()}
    names: dict[str, str] = {}
    for name, tensor in statistics:
        flat = tensor.detach().float().reshape(-1)
        if len(flat) not in (1, 3) or not bool(flat.isfinite().all()):
            raise WeightsError(f"checkpoint {origin}: {name} {tuple(tensor.shape)} should be one number a channel.")
        # The shortest form that gives the same float32.
        red, green, blue = (float(str(np.float32(value))) for value in flat.expand(3).tolist())
        values[_statistic(name)].add((red, green, blue))
        names.setdefault(_statistic(name), name)
    if len(names) < 2:
        return None
    for kind, copies in values.items():
        if len(copies) > 1:
            raise WeightsError(
                f"checkpoint {origin} holds {len(copies)} different normalisations: {names[kind]} is "
                f"{' and '.join(map(str, sorted(copies)))}. Save the one that the network was evaluated with."
            )
    ((mean,), (std,)) = values.values()
    if min(std) <= 0:
        raise WeightsError(f"checkpoint {origin}: {names['std']} must be above 0, found {std}.")
    return Normalisation(mean, std, 255.0 if max(mean) > 1.5 else 1.0, f"{names['mean']}, {names['std']}")


def _statistic(key: str) -> str:
    """ "mean", "std" or "" for a key without its wrappers."""
    match = _NAME.fullmatch(key)
    return "" if match is None else "mean" if match["mean"] else "std"


def _unwrapped(key: str, more: Set[str] = frozenset()) -> str:
    """A key without what wraps its network: the usual attributes, and `more`."""
    while "." in key and key.partition(".")[0] in _ATTRIBUTES | more:
        key = key.partition(".")[2]
    return key


def require_once(state: Mapping[str, Tensor], card: ModelCard) -> None:
    """Raise WeightsError where the network that has this state normalises its input, and the card does so too."""
    how = card.preprocess
    if how is None or (how.mean, how.std) == ((0, 0, 0), (1, 1, 1)):
        return
    own = {_statistic(_unwrapped(name)): name for name, tensor in state.items() if tensor.numel() in (1, 3)}
    if {"mean", "std"} <= own.keys():
        raise WeightsError(
            f"the network of model '{card.name}' normalises its input itself ({own['mean']}, {own['std']}), and its "
            f"preprocessing says {as_text(how)}: the input would be normalised twice. Give --mean 0,0,0 --std 1,1,1."
        )


def agrees(stated: Normalisation, how: Preprocess) -> bool:
    """Whether both bring pixels to the same input, as far as published digits go."""
    ours = [value / how.scale for value in (*how.mean, *how.std)]
    theirs = [value / stated.scale for value in (*stated.mean, *stated.std)]
    return all(abs(a - b) <= TOLERANCE for a, b in zip(ours, theirs, strict=True))


# Which of the weights in a file are the network's: wrappers, prefixes, averages, teachers, bookkeeping. A file may hold
# several sets of weights, one beside the other or under prefixes of one state dict. Every set that could be the
# network's is found by the names and shapes that the architecture expects; the choice is stated, and can be overruled
# by the set's name.

State = dict[str, Tensor]
#: Wrappers inside wrappers; a checkpoint that holds itself has no end of them.
_LEVELS = 8
_AVERAGED = re.compile(r"(?:^|[._])(?:ema|swa|averaged?|averaging|shadow|teacher)(?:$|[._])")
#: Other networks of a training script beside the one that is taken.
_OTHERS = re.compile(
    r"(?:module\.)?(?:teacher|student|ema|swa|model_ema|ema_model|ema_net|online_model|averaged_model|swa_model"
    r"|momentum_encoder|target_encoder)\."
)
#: What training code keeps in a state dict and no forward pass reads: counters of averages (torch, ema-pytorch,
#: LitEma), of thop's profiler, of batch normalisation; losses, metrics and optimisers.
_BOOKKEEPING = re.compile(
    r"(?:.*\.)?(?:n_averaged|total_ops|total_params|num_batches_tracked|num_updates|initted|step|decay)"
    r"|(?:criterion|criterions|loss|losses|loss_fn|loss_func|optimizer|optimizers|lr_scheduler|scheduler"
    r"|(?:train|val|valid|test)_(?:acc|accuracy|metric|metrics|loss))(?:\..*)?"
)


@dataclass(frozen=True)
class WeightSet:
    """Weights at one place of a file: `prefix` of the tensors under `path`. fits: how many of the network's names are
    there with the right shape, and how many in all."""

    path: str
    prefix: str
    state: State
    fits: tuple[int, int]

    @property
    def name(self) -> str:
        """How `--key` names it; "" for the whole file."""
        return ".".join(part for part in (self.path, self.prefix.rstrip(".")) if part)

    @property
    def preference(self) -> tuple[Any, ...]:
        """Smallest for what fits best; of these averages over training (EMA, SWA, a mean teacher), then the usual
        wrappers, then the shortest prefix, then the outermost."""
        places = [WRAPPERS.index(part) for part in self.path.split(".") if part in WRAPPERS]
        return (
            *(-count for count in self.fits), not _AVERAGED.search(self.name), "student" in self.name,
            places[0] if places else len(WRAPPERS), self.prefix.count("."),
        )  # fmt: skip


@dataclass(frozen=True)
class WeightChoice:
    """The weights that were taken: `state` under the network's own names, with whatever else stands there.

    name: of the set; others: sets that would have fitted too; ignored: keys that no forward pass reads, and other
    networks; statistics: means and standard deviations of the input beside the network, every copy; settings: what the
    training script saved of its own, and the entry where it stands."""

    name: str
    state: State
    others: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    statistics: tuple[tuple[str, Tensor], ...] = ()
    settings: tuple[str, Mapping[str, Any]] = ("", MappingProxyType({}))

    def __str__(self) -> str:
        others = [f"{_listed(self.others)} would fit too (--key takes another)"] if self.others else []
        ignored = [f"ignored: {_listed(self.ignored)}"] if self.ignored else []
        return "; ".join([self.name or "the whole file", *others, *ignored])


def _states_in(content: Any, path: str, levels: int, seen: set[int]) -> Iterator[tuple[str, State]]:
    if not isinstance(content, Mapping) or not levels or id(content) in seen:
        return
    seen.add(id(content))
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if tensors:
        yield path, tensors
    for name, inner in content.items():
        if isinstance(name, str):
            yield from _states_in(inner, f"{path}.{name}".lstrip("."), levels - 1, seen)


def _sets_in(path: str, state: State, expected: Mapping[str, Tensor]) -> Iterator[WeightSet]:
    """The set of every prefix under which names of the network are found; the empty prefix among them."""
    names: Counter[str] = Counter()
    shapes: Counter[str] = Counter()
    for name, tensor in state.items():
        for end in (0, *(dot.end() for dot in re.finditer(r"\.", name))):  # "", "a.", "a.b." of "a.b.c"
            prefix, tail = name[:end], name[end:]
            if tail in expected and not tail.endswith("num_batches_tracked"):
                names[prefix] += 1
                shapes[prefix] += tensor.shape == expected[tail].shape
    for prefix in dict.fromkeys(["", *names]):
        yield WeightSet(path, prefix, state, (shapes[prefix], names[prefix]))


def choose(
    content: Any, expected: Mapping[str, Tensor], key: str | None = None, renew: Callable[[State], State] = dict
) -> WeightChoice | None:
    """The network's weights in what a checkpoint held; None where there are none (under `key`).

    expected: the network's own state dict; key: a part of the set's name; renew: today's spelling of keys."""
    states = _states_in(content, "", _LEVELS, set())
    sets = [candidate for path, state in states for candidate in _sets_in(path, renew(state), expected)]
    wanted = [candidate for candidate in sets if not key or f".{key}." in f".{candidate.name}."]
    if not wanted:
        return None
    best = min(wanted, key=lambda candidate: candidate.preference)
    if not expected:
        return WeightChoice(best.name, best.state)
    rivals = [other for other in sets if other is not best and 2 * other.fits[0] > best.fits[0] > 0]
    copies = tuple(other.prefix for other in rivals if other.path == best.path and other.prefix)
    parts = {part for prefix in (best.prefix, *copies) for part in prefix.split(".")[:-1]}
    statistics: dict[str, tuple[str, Tensor]] = {}
    for name, tensor in best.state.items():
        unwrapped = _unwrapped(name, parts)
        if _statistic(unwrapped) and not {name, unwrapped, name.removeprefix(best.prefix)} & expected.keys():
            statistics[name] = unwrapped, tensor
    both = {"mean", "std"} <= {_statistic(unwrapped) for unwrapped, _ in statistics.values()}
    state, ignored = State(), list[str]()
    for name, tensor in best.state.items():
        inside, bare = name.startswith(best.prefix), name.removeprefix(best.prefix)
        other = not inside and (bool(key) or name.startswith(copies) or bool(_OTHERS.match(name)))  # of another network
        if inside and bare in expected:
            state[bare] = tensor
        elif both and name in statistics:
            continue
        elif other or _BOOKKEEPING.fullmatch(bare):
            ignored.append(name)
        else:
            state[bare] = tensor
    if best.path:  # what stands in the file beside all sets of weights
        heads = {candidate.path.split(".")[0] for candidate in (best, *rivals)}
        ignored = [*(str(name) for name in content if str(name).split(".")[0] not in heads), *ignored]
    others = tuple(other.name or "the whole file" for other in rivals if other.fits == best.fits)
    return WeightChoice(best.name, state, others, tuple(ignored), tuple(statistics.values()))


def read_weights(
    path: Path, expected: Mapping[str, Tensor], key: str | None = None, renew: Callable[[State], State] = dict
) -> WeightChoice:
    """The weights of a checkpoint (.safetensors, or a PyTorch file) for a network whose state dict has `expected`.

    key: the set to take where there are several; renew: today's spelling of keys. Raises WeightsError: no such file,
    unreadable, refused pickle, or nothing inside that is a state dict."""
    content = read_content(path)
    choice = choose(content, expected, key, renew)
    if choice is None:
        places = [place or "the whole file" for place, _ in _states_in(content, "", _LEVELS, set())]
        if key and places:
            raise WeightsError(
                f"checkpoint {path} holds no weights under the key '{key}'; it holds some under {_listed(places)}."
            )
        held = f"keys {_listed(list(map(str, content)))}" if isinstance(content, Mapping) else type(content).__name__
        raise WeightsError(
            f"checkpoint {path} holds no state dict: expected tensors by name, directly or under "
            f"{', '.join(WRAPPERS)}; found {held}. Name the file that holds the weights."
        )
    # Weights are plain arrays; sparse, quantised or empty-shelled tensors cannot be copied into a network.
    for name, tensor in {**choice.state, **dict(choice.statistics)}.items():
        odd = tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex()
        if odd or tensor.device.type != "cpu":
            raise WeightsError(
                f"checkpoint {path}: {shown(name)} is no dense array of real numbers ({tensor.dtype}, {tensor.layout}, "
                f"{tensor.device}). {_conversion(path)}"
            )
    for place in ("args", "hyper_parameters"):  # of timm, torchvision and many others; of Lightning
        entry = content.get(place) if isinstance(content, Mapping) else None
        settings = vars(entry) if isinstance(entry, _Fields) else entry
        if isinstance(settings, Mapping) and settings:
            return replace(choice, settings=(place, settings))
    return choice


def by_order(path: Path, module: nn.Module) -> State:
    """A network of the same layers under other names: tensors pair in the order of construction.

    Every pair must agree in its field (weight, bias, running_mean, ...) and shape, else WeightsError."""
    have, want = read_weights(path, {}).state, module.state_dict()
    pairs = list(zip(have.items(), want.items(), strict=False))
    for (theirs, tensor), (ours, target) in pairs:
        if theirs.rpartition(".")[2] != ours.rpartition(".")[2] or tensor.shape != target.shape:
            raise WeightsError(
                f"checkpoint {path}: {theirs} {tuple(tensor.shape)} stands where the architecture has {ours} "
                f"{tuple(target.shape)}. This release of the package is another network."
            )
    if len(have) != len(want):
        raise WeightsError(f"checkpoint {path}: expected {len(want)} tensors, found {len(have)}.")
    return {ours: tensor for (_, tensor), (ours, _) in pairs}


def _listed(names: Sequence[str]) -> str:
    return shown(some_of([name[:200] for name in names], 5))


def fit_state(module: nn.Module, state: State, origin: str) -> None:
    """Load `state` into `module`, every key and shape accounted for.

    Raises WeightsError naming the first missing and unexpected keys and shapes. `origin` says where from."""
    want = module.state_dict()
    missing = [name for name in want if name not in state and not name.endswith("num_batches_tracked")]
    strange = [name for name in state if name not in want]
    shapes = {
        name: f"{name} {tuple(state[name].shape)!s:.100} (network: {tuple(tensor.shape)})"
        for name, tensor in want.items()
        if name in state and state[name].shape != tensor.shape
    }
    if missing or strange or shapes:
        lists = {"keys are missing": missing, "keys are unexpected": strange, "shapes differ": [*shapes.values()]}
        problems = [f"{len(names)} {what}: {_listed(names)}" for what, names in lists.items() if names]
        # Where all but the last layer fits, the way in is another one.
        last = [name for name, part in module.named_modules() if [*part.parameters(recurse=False)]][-2:]
        hint = ""
        if missing and not shapes and set(missing) <= {f"{name}.{end}" for name in last for end in ("weight", "bias")}:
            hint = (
                "Only the head is missing: this is a backbone without a classifier. `bench register NAME --probe "
                "FOLDER` fits one on its features. "
            )
        elif len(shapes) in (1, 2) and not missing and not strange:
            count = len(state[next(iter(shapes))])
            spaces = spaces_of_size(count)
            known = f": --labels {' or '.join(spaces)}" if spaces else ""
            own = known or ": --labels FILE, a list of its class names or a mapping file"
            hint = f"Only the head differs: its class count {count} does not fit the label space{own}. "
        raise WeightsError(
            f"checkpoint {origin} does not fit the architecture: {'; '.join(problems)}. {hint}Choose the architecture "
            "(--arch) and label space (--labels) that it was trained with."
        )
    with foreign("checkpoint", origin, WeightsError, "It cannot be copied into the architecture."):
        module.load_state_dict({**want, **state})
