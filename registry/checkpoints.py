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
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
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
    "argparse.Namespace", "types.SimpleNamespace",
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
HARMLESS_LISTS = ("collections.deque",)
_GLOBAL = re.compile(r"(?:GLOBAL|global) ([\w.<>]+)")


class _Inert:
    """Stands for an object of a checkpoint that is no weights: takes whatever it is given and does nothing."""

    def __new__(cls, *_args: object) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *_args: object) -> None:
        pass

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


def _stand_ins() -> list[Any]:
    return [
        *((_Inert, name) for name in HARMLESS_OBJECTS),
        *((_Entries, name) for name in HARMLESS_MAPPINGS),
        *((_List, name) for name in HARMLESS_LISTS),
    ]


def conversion(path: Path) -> str:
    """What to do about a file that only a free unpickling can read: a command to be pasted as it is."""
    target = path.with_suffix(".safetensors")
    code = (
        f"import torch, safetensors.torch as st; c = torch.load({json.dumps(str(path))}, "
        'map_location="cpu", weights_only=False); '
        f"c = next((c[k] for k in {json.dumps(WRAPPERS)} if isinstance(c, dict) and k in c), c); "
        'c = c.state_dict() if hasattr(c, "state_dict") else c; '
        "st.save_file({n: t.detach().clone().contiguous() for n, t in c.items() if torch.is_tensor(t)}, "
        f"{json.dumps(str(target))})"
    )
    return (
        "Convert it once, where you trust it (this runs whatever code the file holds): "
        f"python -c {shlex.quote(code)} and register {shown(target)}."
    )


def require_honest_size(file: Path | IO[bytes], size: int, name: str) -> None:
    """Raise WeightsError for a zip archive that unpacks to far more than its size in bytes: torch stores tensors as
    they are, so only a bomb does. Other files pass."""
    if not is_zipfile(file):
        return
    with ZipFile(file) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > 2 * size + 2**20:
        raise WeightsError(
            f"checkpoint {name} has {size} bytes and unpacks to {unpacked}: refused. torch stores "
            "tensors uncompressed; save it again with `torch.save`."
        )


def refuse_onnx(path: Path) -> None:
    """Raise WeightsError, with the way in, for an ONNX program: no gradient passes through one, and its weights have
    lost their names."""
    if path.suffix == ".onnx":
        raise WeightsError(
            f"{shown(path)} is an ONNX program: no gradient passes through it, so it is not read. Where the network is "
            'still at hand, torch.export.save(torch.export.export(model.eval(), (images,)), "net.pt2") saves it for '
            "--arch export, and torch.save(model.state_dict(), ...) for its architecture; from ONNX alone, onnx2torch "
            "makes a network that either can save."
        )


def _require_state(path: Path) -> None:
    """Raise WeightsError, with the way in, for a file that is a program and no state dict."""
    refuse_onnx(path)
    if not is_zipfile(path):
        return
    with ZipFile(path) as archive:
        names = {name.partition("/")[2] for name in archive.namelist()}
    if "constants.pkl" in names:
        raise WeightsError(
            f"{path} is a TorchScript program (torch.jit.save), not a state dict. Take its weights once, where you "
            f"trust it: python -c {shlex.quote(_unscripted(path))} and register that file; or save the network "
            "itself with torch.export and register that with --arch export."
        )
    if any(name.startswith(("models/", "serialized_exported_program")) for name in names):
        raise WeightsError(
            f"{path} is an exported program (torch.export), not a state dict: register it with --arch export."
        )


def _unscripted(path: Path) -> str:
    target = path.with_suffix(".safetensors")
    return (
        "import torch, safetensors.torch as st; "
        f's = torch.jit.load({json.dumps(str(path))}, "cpu").state_dict(); '
        f"st.save_file({{n: t.clone().contiguous() for n, t in s.items()}}, {json.dumps(str(target))})"
    )


def _unpickled(path: Path) -> Any:
    require_honest_size(path, path.stat().st_size, str(path))
    _require_state(path)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_stand_ins()):
            warnings.simplefilter("ignore")  # what matters of it is in the error
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if _is_pickle(path, str(error)):
            named = _GLOBAL.search(str(error))
            what = f"'{shown(named[1])[:200]}'" if named else "more than tensors"
            why = "" if named else f" ({reason(error)})"
            raise WeightsError(
                f"checkpoint {path} is a pickle that holds {what}, which is neither a tensor nor on the list of "
                f"harmless objects; it was refused before any of it ran{why}. {conversion(path)}"
            ) from error
        # torch's own words are about trust
        raise ValueError("neither a zip archive nor a pickle") from error


def _is_pickle(path: Path, said: str) -> bool:
    """Whether a file that is not unpickled is a pickle, and no text or a page of the web that was saved as one."""
    if _GLOBAL.search(said) or is_zipfile(path):
        return True
    with path.open("rb") as file:
        return file.read(1) == pickle.PROTO


def read_content(path: Path) -> Any:
    """What a checkpoint holds, on the CPU: tensors, containers, plain values and inert objects.

    Raises WeightsError: no such file, unreadable, a refused pickle, or a program."""
    if not is_file(path):
        raise WeightsError(f"checkpoint {shown(path)} {absence(path)}. Check the path, or register the model again.")
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        expected = "It is no intact safetensors file: fetch or save it again."
        with foreign("checkpoint", path, WeightsError, expected):
            return dict(load_file(path))
    expected = "Truncated, or no PyTorch checkpoint: expected .safetensors, or .pt/.pth holding a state dict."
    with foreign("checkpoint", path, WeightsError, expected):
        return _unpickled(path)


# The normalisation that some training scripts save inside the checkpoint: robustness, RobustBench and most code of the
# MadryLab put the mean and standard deviation of the input beside the network.
#
# It says how the network's input was made. A card that assumes another one would score another network.


Named = Sequence[tuple[str, Tensor]]
#: "normalizer.new_mean", "normalize.std", "0.mean" (the first of two in a sequence), "mu", "sigma".
_NAME = re.compile(
    r"(?:(?:input_)?(?:normali[sz](?:er?|ation)|norm_layer|preprocess(?:ing)?|0)\.)?"
    r"(?:new_|input_)?(?:(?P<mean>mean|mu)|(?P<std>std|sigma))"
)
#: Attributes that wrap a network beside its input statistics: DataParallel, torch.compile, Lightning,
#: robustness libraries, a program of a fixed batch. "1." is the network after a normalisation in a sequence of two.
_WRAPPERS = frozenset({"module", "_orig_mod", "model", "net", "network", "attacker", "ema_model", "program", "1"})
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
    pixels = "" if how.scale == 1 else f" of pixels times {how.scale:g}"
    return f"mean {_numbers(how.mean)}, std {_numbers(how.std)}{pixels}"


def _numbers(values: Triple) -> str:
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"


def stated_in(found: Named, origin: str) -> Normalisation | None:
    """The normalisation that a checkpoint's input statistics state; None where there is not both a mean and a standard
    deviation.

    found: (key without wrappers, tensor), copies included. Raises WeightsError where copies contradict one another or
    are not one number a channel, with standard deviations above 0."""
    means, stds = ([(name, tensor) for name, tensor in found if kind_of(name) == kind] for kind in ("mean", "std"))
    if not means or not stds:
        return None
    mean, std = _one(means, origin), _one(stds, origin)
    if min(std) <= 0:
        raise WeightsError(f"checkpoint {origin}: {stds[0][0]} must be above 0, found {std}.")
    where = f"{means[0][0]}, {stds[0][0]}"
    return Normalisation(mean, std, 255.0 if max(mean) > 1.5 else 1.0, where)


def kind_of(bare: str) -> str:
    """ "mean", "std" or "" for a key without its wrappers."""
    match = _NAME.fullmatch(bare)
    return "" if match is None else "mean" if match["mean"] else "std"


def bare_name(name: str, more: Set[str] = frozenset()) -> str:
    """A key without what wraps its network: the usual attributes, and `more`."""
    while "." in name and name.partition(".")[0] in _WRAPPERS | more:
        name = name.partition(".")[2]
    return name


def require_once(state: Mapping[str, Tensor], card: ModelCard) -> None:
    """Raise WeightsError where the network that has this state normalises its input, and the card does so too."""
    how = card.preprocess
    if how is None or (how.mean, how.std) == ((0, 0, 0), (1, 1, 1)):
        return
    own = {
        kind_of(bare_name(name)): name
        for name, tensor in state.items()
        if kind_of(bare_name(name)) and tensor.numel() in (1, 3)
    }
    if {"mean", "std"} <= own.keys():
        raise WeightsError(
            f"the network of model '{card.name}' normalises its input itself ({own['mean']}, {own['std']}), and its "
            f"preprocessing says {as_text(how)}: the input would be normalised twice. Give --mean 0,0,0 --std 1,1,1."
        )


def _one(copies: Named, origin: str) -> Triple:
    """The three numbers that all copies hold, in the shortest form that gives the same float32."""
    values: set[Triple] = set()
    for name, tensor in copies:
        flat = tensor.detach().float().reshape(-1)
        if len(flat) not in (1, 3) or not bool(flat.isfinite().all()):
            raise WeightsError(f"checkpoint {origin}: {name} {tuple(tensor.shape)} should be one number a channel.")
        red, green, blue = (float(str(np.float32(value))) for value in flat.expand(3).tolist())
        values.add((red, green, blue))
    if len(values) > 1:
        raise WeightsError(
            f"checkpoint {origin} holds {len(values)} different normalisations under "
            f"{', '.join(name for name, _ in copies)}: {' and '.join(map(_numbers, sorted(values)))}. "
            "Save the one that the network was evaluated with."
        )
    return values.pop()


def require_agreement(stated: Normalisation | None, card: ModelCard, origin: str) -> None:
    """Raise WeightsError, with both printed, where a checkpoint says otherwise than the card."""
    how = card.preprocess
    if stated is None or how is None or agrees(stated, how):
        return
    raise WeightsError(
        f"checkpoint {origin} holds a normalisation ({stated.where}): {as_text(stated)}. The preprocessing of model "
        f"'{card.name}' says {as_text(how)}. One of them is wrong, and every score would be of another network: leave "
        "out --mean, --std and --scale to take the checkpoint's, or save the weights without it."
    )


def agrees(stated: Normalisation, how: Preprocess) -> bool:
    """Whether both bring pixels to the same input, as far as published digits go."""
    mine = [value / how.scale for value in (*how.mean, *how.std)]
    theirs = [value / stated.scale for value in (*stated.mean, *stated.std)]
    return all(abs(a - b) <= TOLERANCE for a, b in zip(mine, theirs, strict=True))


# Which of the weights in a file are the network's: wrappers, prefixes, averages, teachers, bookkeeping.
#
# A file may hold several sets of weights, one beside the other or under prefixes of one state dict. Every set that
# could be the network's is found by the names and shapes that the architecture expects; the choice is stated, and can
# be overruled by the set's name.


State = dict[str, Tensor]
#: Wrappers inside wrappers; a checkpoint that holds itself has no end of them.
_LEVELS = 8
_WORD = r"(?:^|[._]){}(?:$|[._])"
_AVERAGED = re.compile(_WORD.format(r"(?:ema|swa|averaged?|averaging|shadow|teacher)"))
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
    """Weights at one place of a file: `prefix` of the tensors under `path`. fits: names, of the right shape and in all,
    that the network has too."""

    path: str
    prefix: str
    state: State
    fits: tuple[int, int]

    @property
    def name(self) -> str:
        """How `--key` names it; "" for the whole file."""
        return ".".join(part for part in (self.path, self.prefix.rstrip(".")) if part)

    @property
    def averaged(self) -> bool:
        """Whether its name says that it is an average over training (EMA, SWA, a mean teacher)."""
        return bool(_AVERAGED.search(self.name))


@dataclass(frozen=True)
class Chosen:
    """The weights that were taken: `state` under the network's own names, with whatever else stands there.

    name: of the set; others: sets that would have fitted too; ignored: keys that no forward pass reads, and other
    networks; statistics: means and standard deviations of the input beside the network, every copy."""

    name: str
    state: State
    others: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    statistics: tuple[tuple[str, Tensor], ...] = ()

    def __str__(self) -> str:
        parts = [self.name or "the whole file"]
        if self.others:
            parts.append(f"{_listed(self.others)} would fit too (--key takes another)")
        if self.ignored:
            parts.append(f"ignored: {_listed(self.ignored)}")
        return "; ".join(parts)


def _tensors_under(content: Any, path: str, levels: int, seen: set[int]) -> Iterator[tuple[str, State]]:
    """Every mapping of names to tensors, with its place."""
    if not isinstance(content, Mapping) or not levels or id(content) in seen:
        return
    seen.add(id(content))
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if tensors:
        yield path, tensors
    for name, inner in content.items():
        if isinstance(name, str):
            yield from _tensors_under(inner, f"{path}.{name}".lstrip("."), levels - 1, seen)


def _tails(name: str) -> Iterator[tuple[str, str]]:
    """("", "a.b.c"), ("a.", "b.c"), ("a.b.", "c")."""
    yield "", name
    for dot in re.finditer(r"\.", name):
        yield name[: dot.end()], name[dot.end() :]


def _sets_in(path: str, state: State, expected: Mapping[str, Tensor]) -> Iterator[WeightSet]:
    """The set of every prefix under which names of the network are found; the empty prefix among them."""
    names: Counter[str] = Counter()
    shapes: Counter[str] = Counter()
    for name, tensor in state.items():
        for prefix, tail in _tails(name):
            if tail in expected and not tail.endswith("num_batches_tracked"):
                names[prefix] += 1
                shapes[prefix] += tensor.shape == expected[tail].shape
    for prefix in dict.fromkeys(["", *names]):
        yield WeightSet(path, prefix, state, (shapes[prefix], names[prefix]))


def _preference(one: WeightSet) -> tuple[Any, ...]:
    """What fits best; of these averages, then the usual wrappers, then the shortest prefix, then the outermost."""
    places = [WRAPPERS.index(part) for part in one.path.split(".") if part in WRAPPERS]
    return (
        *(-count for count in one.fits),
        not one.averaged,
        "student" in one.name,
        places[0] if places else len(WRAPPERS),
        one.prefix.count("."),
    )


def choose(
    content: Any, expected: Mapping[str, Tensor], key: str | None = None, renew: Callable[[State], State] = dict
) -> Chosen | None:
    """The network's weights in what a checkpoint held; None where there are none (under `key`).

    expected: the network's own state dict; key: a part of the name of the set to take; renew: today's spelling of a
    state dict's keys."""
    states = [(path, renew(state)) for path, state in _tensors_under(content, "", _LEVELS, set())]
    sets = [one for path, state in states for one in _sets_in(path, state, expected)]
    wanted = [one for one in sets if not key or f".{key}." in f".{one.name}."]
    if not wanted:
        return None
    best = min(wanted, key=_preference)
    if not expected:
        return Chosen(best.name, best.state)
    rivals = [one for one in sets if one is not best and 2 * one.fits[0] > best.fits[0] > 0]
    return _cleaned(best, rivals, expected, content, key)


def _cleaned(
    best: WeightSet, rivals: list[WeightSet], expected: Mapping[str, Tensor], content: Any, key: str | None
) -> Chosen:
    copies = tuple(one.prefix for one in rivals if one.path == best.path and one.prefix)
    statistics = _statistics(best, copies, expected)
    both = {"mean", "std"} <= {kind_of(bare) for _, bare, _ in statistics}
    dropped = {name for name, _, _ in statistics} if both else set()
    state, ignored = {}, []
    for name, tensor in best.state.items():
        inside = name.startswith(best.prefix)
        bare = name.removeprefix(best.prefix) if inside else name
        if bare in expected and inside:
            state[bare] = tensor
        elif name in dropped:
            continue
        elif _is_beside(bare, name, inside, copies, key):
            ignored.append(name)
        else:
            state[bare] = tensor
    return Chosen(
        best.name,
        state,
        tuple(one.name or "the whole file" for one in rivals if one.fits == best.fits),
        (*_other_keys(best, rivals, content), *ignored),
        tuple((bare, tensor) for _, bare, tensor in statistics),
    )


def _is_beside(bare: str, name: str, inside: bool, copies: tuple[str, ...], key: str | None) -> bool:
    """Whether a key that the network lacks belongs to something else for sure."""
    if _BOOKKEEPING.fullmatch(bare):
        return True
    return not inside and (bool(key) or name.startswith(copies) or bool(_OTHERS.match(name)))


def _other_keys(best: WeightSet, rivals: list[WeightSet], content: Any) -> tuple[str, ...]:
    """What stands in the file beside all sets of weights."""
    if not best.path or not isinstance(content, Mapping):
        return ()
    heads = {one.path.split(".")[0] for one in (best, *rivals)}
    return tuple(str(name) for name in content if str(name).split(".")[0] not in heads)


def _statistics(
    best: WeightSet, copies: tuple[str, ...], expected: Mapping[str, Tensor]
) -> list[tuple[str, str, Tensor]]:
    """(key, key without wrappers, tensor) of each mean or standard deviation of the input beside the network."""
    parts = {part for prefix in (best.prefix, *copies) for part in prefix.split(".")[:-1]}
    found = []
    for name, tensor in best.state.items():
        bare = bare_name(name, parts)
        if not {name, bare, name.removeprefix(best.prefix)} & expected.keys() and kind_of(bare):
            found.append((name, bare, tensor))
    return found


def no_weights(origin: str, content: Any, key: str | None) -> WeightsError:
    """The error for a file in which `choose` finds nothing."""
    names = ", ".join(map(str, list(content)[:5])) if isinstance(content, Mapping) else ""
    found = f"keys {shown(names)[:300]}" if names else type(content).__name__
    sets = [path or "the whole file" for path, _ in _tensors_under(content, "", _LEVELS, set())]
    if key and sets:
        return WeightsError(
            f"checkpoint {origin} holds no weights under the key '{key}'; it holds some under "
            f"{shown(', '.join(sets[:5]))[:300]}."
        )
    optimizer = isinstance(content, Mapping) and {"state", "param_groups"} <= content.keys()
    what = ", the state of an optimizer" if optimizer else ""
    return WeightsError(
        f"checkpoint {origin} holds no state dict: expected tensors by name, directly or under "
        f"{', '.join(WRAPPERS)}; found {found}{what}. Name the file that holds the weights."
    )


def read_weights(
    path: Path, expected: Mapping[str, Tensor], key: str | None = None, renew: Callable[[State], State] = dict
) -> Chosen:
    """The weights of a checkpoint (.safetensors, or a PyTorch file) for a network whose state dict has `expected`.

    key: the set to take where there are several; renew: today's spelling of keys. Raises WeightsError: no such file,
    unreadable, refused pickle, or nothing inside that is a state dict."""
    content = read_content(path)
    chosen = choose(content, expected, key, renew)
    if chosen is None:
        raise no_weights(str(path), content, key)
    # Weights are plain arrays; sparse, quantised or empty-shelled tensors cannot be copied into a network.
    state = {**chosen.state, **dict(chosen.statistics)}
    for name, tensor in state.items():
        odd = tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex()
        if odd or tensor.device.type != "cpu":
            raise WeightsError(
                f"checkpoint {path}: {shown(name)} is no dense array of real numbers "
                f"({tensor.dtype}, {tensor.layout}, {tensor.device}). {conversion(path)}"
            )
    return chosen


def read_state(path: Path, key: str | None = None) -> State:
    """The state dict of a checkpoint, whatever network it is of. Raises WeightsError as `read_weights`."""
    return read_weights(path, {}, key).state


def _listed(names: Sequence[str]) -> str:
    return shown(some_of([name[:200] for name in names], 5))


def _misfit(have: State, want: Mapping[str, Tensor]) -> list[str]:
    missing = [n for n in want if n not in have and not n.endswith("num_batches_tracked")]
    strange = [n for n in have if n not in want]
    shapes = [
        f"{n} {tuple(have[n].shape)!s:.100} (network: {tuple(want[n].shape)})"
        for n in want
        if n in have and have[n].shape != want[n].shape
    ]
    problems = []
    if missing:
        problems.append(f"{len(missing)} keys are missing: {_listed(missing)}")
    if strange:
        problems.append(f"{len(strange)} keys are unexpected: {_listed(strange)}")
    if shapes:
        problems.append(f"{len(shapes)} shapes differ: {_listed(shapes)}")
    return problems


def _head_hint(module: nn.Module, have: State, want: Mapping[str, Tensor]) -> str:
    """What to do where all but the last layer fits; "" elsewhere."""
    missing = {n for n in want if n not in have and not n.endswith("num_batches_tracked")}
    differing = [n for n in want if n in have and have[n].shape != want[n].shape]
    last = [name for name, part in module.named_modules() if [*part.parameters(recurse=False)]][-2:]
    heads = {f"{name}.{field}" for name in last for field in ("weight", "bias")}
    if missing and missing <= heads and not differing:
        return (
            "Only the head is missing: this is a backbone without a classifier. `bench register NAME --probe FOLDER` "
            "fits one on its features. "
        )
    if missing or not 0 < len(differing) <= 2 or any(n not in want for n in have):
        return ""
    count = len(have[differing[0]])
    spaces = spaces_of_size(count)
    known = f": --labels {' or '.join(spaces)}" if spaces else ""
    return f"Only the head differs, so its class count does not fit the label space: it has {count} outputs{known}. "


def fit_state(module: nn.Module, state: State, origin: str) -> None:
    """Load `state` into `module`, every key and shape accounted for.

    Raises WeightsError naming the first missing and unexpected keys and shapes. `origin` says where from."""
    want = module.state_dict()
    problems = _misfit(state, want)
    if problems:
        raise WeightsError(
            f"checkpoint {origin} does not fit the architecture: {'; '.join(problems)}. "
            f"{_head_hint(module, state, want)}"
            "Choose the architecture (--arch) and label space (--labels) that it was trained with."
        )
    with foreign("checkpoint", origin, WeightsError, "It cannot be copied into the architecture."):
        module.load_state_dict({**want, **state})
