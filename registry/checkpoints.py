"""A checkpoint's weights are read safely, chosen and fitted to one network, or refused with the reason.

Reading never executes code from a file: it accepts safetensors, or a pickle of tensors."""

from __future__ import annotations

import pickle
import re
import shlex
import sys
import warnings
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from importlib import import_module
from itertools import chain, product
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zipfile import ZipFile, is_zipfile

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from registry import convert
from registry.convert import StandIn, State, refusal
from registry.documents import own_table
from registry.files import absence, digest_state, is_file, mappings_in, parts_in
from registry.preprocessing import StatedInput, normalising_parts, stated_in
from registry.user_errors import Remedy, WeightsError, foreign, reason, shown, some_of


# Checkpoint files as plain content: safetensors, or a pickle of which nothing runs.
#
# `torch.load(weights_only=True)` takes tensors and plain containers. What training scripts save beside them (`args`,
# numpy scalars, paths, configurations) is on a list of names. None of these is imported: an inert stand-in takes the
# place of each, so that a file can only ever make tensors, containers and stand-ins.
def _stand_ins() -> list[Any]:
    """Return (stand-in, name of what it replaces) of each object in harmless.yaml, as torch takes them."""

    def empty(kind: type) -> type:
        return type(kind.__name__, (), {"__new__": lambda _cls, *_args: kind()})

    kinds = {"inert": StandIn, "mapping": empty(OrderedDict), "list": empty(list)}
    pairs = []
    for kind, patterns in own_table("harmless").items():
        for pattern in patterns:
            parts = [part.split("|") for part in re.split(r"[{}]", pattern)]  # every second part is in braces
            pairs += [(kinds[kind], "".join(words)) for words in product(*parts)]
    return pairs


def _refuse_other_formats(path: Path, held: Mapping[str, int]) -> None:
    with path.open("rb") as file:
        start = file.read(400)
    if start.startswith(b"version https://git-lfs"):
        words = ("git", "-C", str(path.parent), "lfs", "pull", "--include", path.name)
        text = f"{shown(path)} is a Git LFS pointer; the weights were not fetched. {shlex.join(words)}"
        raise WeightsError(text, Remedy(before=words))
    if start.lstrip().startswith(b"<"):
        raise WeightsError(f"{shown(path)} is a web page, and no weights: fetch the file again.")
    magic = torch.serialization.MAGIC_NUMBER.to_bytes(10, "little")  # of torch's files that are no archives
    if start.startswith(b"\x93NUMPY"):
        raise refusal(path, "a file of numpy (.npy)", partial(convert.npy_content, path))
    # a header of safetensors, which begins with its length, may begin like a pickle
    if start.startswith(b"\x80") and magic not in start[:20] and start[8:9] != b"{":
        raise refusal(path, "a pickle of Python, not of torch.save", partial(convert.pickled_content, path))
    if any(name.endswith("/constants.pkl") for name in held):
        raise refusal(path, "a TorchScript program (torch.jit.save)", partial(convert.script_state, path))
    if held and all(name.endswith(".npy") for name in held):
        raise refusal(path, f"an archive of numpy (.npz) with {len(held)} arrays", partial(convert.npz_content, path))


def _unpickled(path: Path, held: Mapping[str, int]) -> Any:
    size, unpacked = path.stat().st_size, sum(held.values())
    if unpacked > 2 * size + 2**20:  # torch stores tensors as they are, so only a bomb does
        raise WeightsError(f"{path} unpacks to {unpacked} of {size} bytes. Save it again with `torch.save`.")
    if any(name.partition("/")[2].startswith(("models/", "serialized_exported_program")) for name in held):
        text = f"{path} is an exported program (torch.export), not a state dict: register it with --arch export."
        raise WeightsError(text, Remedy(words=("--arch", "export")))
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_stand_ins()):
            warnings.simplefilter("ignore")  # what matters of it is in the error
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "torch.distributed.tensor" in str(error) and "torch.distributed.tensor" not in sys.modules:
            import_module("torch.distributed.tensor")  # DTensor: torch knows it as plain once it is imported
            return _unpickled(path, held)
        named = re.search(r"(?:GLOBAL|global) ([\w.<>]+)", str(error))
        if not (named or held):  # a text, for example; torch's own words are about trust
            raise ValueError("neither a zip archive nor a pickle") from error
        what = f"'{shown(named[1])[:200]}'" if named else f"more than tensors ({reason(error)})"
        found = f"a pickle that holds {what}, which is neither a tensor nor on the list of harmless objects"
        found = f"{found}; it was refused before any of it ran"
        raise refusal(path, found, partial(convert.torch_content, path)) from error


def read_content(path: Path) -> Any:
    """Read a checkpoint on the CPU as tensors, containers, plain values and inert objects. Raises WeightsError."""
    if path.suffix == ".onnx":
        raise WeightsError(
            f"{shown(path)} is an ONNX file: --arch onnx answers with it. For the suites that need gradients, save the "
            "network with torch.export.save (--arch export), or its state dict with torch.save."
        )
    if not is_file(path):
        raise WeightsError(f"checkpoint {shown(path)} {absence(path)}. Check the path, or register the model again.")
    expected = "Truncated, or no PyTorch checkpoint: expected .safetensors, or .pt/.pth holding a state dict."
    if path.suffix == ".safetensors":
        expected = "It is no intact safetensors file: fetch or save it again."
    with foreign("checkpoint", path, WeightsError, expected):
        held = dict[str, int]()  # names in a zip archive, and the bytes that each unpacks to
        if is_zipfile(path):
            with ZipFile(path) as archive:
                held = {member.filename: member.file_size for member in archive.infolist()}
        _refuse_other_formats(path, held)
        content = load_file(path) if path.suffix == ".safetensors" else _unpickled(path, held)
    # Weights are plain arrays; sparse, quantised or empty-shelled tensors cannot be copied into a network.
    for tensor in parts_in(content, Tensor):
        if tensor.device.type != "cpu" or tensor.is_complex() or tensor.layout != torch.strided or tensor.is_quantized:
            kind = f"{tensor.dtype}, {tensor.layout}, {tensor.device}"
            raise refusal(path, f"a checkpoint of other tensors than dense real ones ({kind})", lambda: content)
    return content


# Which of the weights in a file are the network's: wrappers, prefixes, averages, teachers, bookkeeping. A file may hold
# several sets of weights, one beside the other or under prefixes of one state dict. Every set that could be the
# network's is found by the names and shapes that the architecture expects; the choice is stated, and can be overruled
# by the set's name.

Tensors = Mapping[str, Tensor]
Renew = Callable[[State], State]
_AVERAGED = re.compile(r"(?:^|[._])(?:ema|swa|averaged?|averaging|shadow|teacher)(?:$|[._])")
_SECOND = re.compile(r"(?:^|[._])(?:student|current_model_state|online_model|encoder_k|momentum_encoder)(?:$|[._])")
#: Names of what torch wraps around a network or parts of it: torch.compile, activation checkpointing, FSDP.
_WRAPPED = re.compile(r"(?:_orig_mod|_checkpoint_wrapped_module|_fsdp_wrapped_module)\.")
_SAID: Mapping[str, list[str]] = own_table("training_words")
WRAPPERS = _SAID["weights"]
#: Other networks of a training script, and what it keeps in a state dict and no forward pass reads.
_OTHERS = re.compile(rf"(?:module\.)?(?:{'|'.join(_SAID['networks'])})\.")
_BOOKKEEPING = re.compile(rf"(?:.*\.)?(?:{'|'.join(_SAID['counters'])})|(?:{'|'.join(_SAID['bookkeeping'])})(?:\..*)?")


@dataclass(frozen=True, kw_only=True)
class WeightSet:
    """A set of weights has one place in a file: `prefix` of the tensors under `path`."""

    path: str
    prefix: str
    state: State
    fits: tuple[int, int]  # names of the network that it has with the right shape, and in all
    notes: tuple[str, ...] = ()  # changes made to the weights

    @property
    def name(self) -> str:
        """Return how `--key` names it; "" for the whole file."""
        return ".".join(part for part in (self.path, self.prefix.rstrip(".")) if part)

    @property
    def role(self) -> int:
        """Return 0 for averages over training (EMA, SWA, a mean teacher). Return 2 for weights that authors do not
        evaluate if they have others (a student, plain weights beside an average, MoCo's keys). Return 1 otherwise."""
        return 2 if _SECOND.search(self.name) else 0 if _AVERAGED.search(self.name) else 1

    @property
    def preference(self) -> tuple[Any, ...]:
        """Sort key: best fit first, then by role, then usual wrappers, then the shortest prefix, then the outermost."""
        places = [WRAPPERS.index(part) for part in self.path.split(".") if part in WRAPPERS]
        return *(-n for n in self.fits), self.role, places[0] if places else len(WRAPPERS), self.prefix.count(".")


@dataclass(frozen=True, kw_only=True)
class WeightChoice:
    """A choice holds the weights under the network's own names, with any further tensors beside them."""

    name: str  # of the set
    state: State
    others: tuple[str, ...] = ()  # sets that would have fitted too
    ignored: tuple[str, ...] = ()  # keys that no forward pass reads, and other networks
    statistics: Tensors = field(default_factory=dict)  # of the input, beside the network: every copy
    normalisation: StatedInput = field(default_factory=StatedInput)  # what these state
    settings: tuple[str, Mapping[str, Any]] = ("", MappingProxyType({}))  # the training script's, and their entry
    notes: tuple[str, ...] = ()  # changes made to the weights
    outside: tuple[str, ...] = ()  # names of `state` that the file has outside the set
    content: Any = None  # all entries of the file

    def __str__(self) -> str:
        others = [f"{_listed(self.others)} would fit too (--key takes another)"] if self.others else []
        ignored = [f"ignored: {_listed(self.ignored)}"] if self.ignored else []
        return "; ".join([self.name or "the whole file", *self.notes, *others, *ignored])


def _states_in(content: Any, parameters: Sequence[str] = ()) -> Iterator[tuple[str, State]]:
    def local(tensor: Any) -> Any:  # a shard of one process is the whole tensor
        return tensor.to_local() if hasattr(tensor, "to_local") else tensor

    for place, part in mappings_in(content):
        if tensors := {str(name): local(value) for name, value in part.items() if isinstance(value, Tensor)}:
            yield place, tensors
        # torch_ema's average: the parameters in their order, without names
        average = part.get("shadow_params")
        if isinstance(average, list) and parameters and len(average) == len(parameters):
            yield f"{place}.shadow_params".lstrip("."), dict(zip(parameters, map(local, average), strict=True))


def _sets_in(path: str, state: State, expected: Tensors) -> Iterator[WeightSet]:
    """Yield the set of every prefix under which names of the network are found; the empty prefix among them."""
    # Plain names: without torch's wrappers, with the dots that LitEma removes.
    wrapper = re.compile("(?!)") if any(map(_WRAPPED.search, expected)) else _WRAPPED
    flat = {name.replace(".", ""): name for name in expected}
    for name in expected:
        flat.pop(name.rpartition(".")[2], None)
    parts = {name: wrapper.sub("", name).rpartition(".") for name in state}
    plain = {f"{place}{dot}{flat.get(tail, tail)}": state[name] for name, (place, dot, tail) in parts.items()}
    state = plain if len(plain) == len(state) else state
    names, shapes = Counter[str](), Counter[str]()
    for name, tensor in state.items():
        for end in (0, *(dot.end() for dot in re.finditer(r"\.", name))):  # "", "a.b.c"; "a.", "b.c"; "a.b.", "c"
            prefix, tail = name[:end], name[end:]
            if tail in expected and not tail.endswith("num_batches_tracked"):
                names[prefix] += 1
                shapes[prefix] += tensor.shape == expected[tail].shape
    for prefix in dict.fromkeys(["", *names]):
        yield WeightSet(path=path, prefix=prefix, state=state, fits=(shapes[prefix], names[prefix]))


def _with_buffers(sets: Sequence[WeightSet], expected: Tensors) -> Iterator[WeightSet]:
    """Yield the sets; averages without buffers (torch_ema, LitEma) get those of the best plain weights."""
    plain = min((each for each in sets if each.role == 1), key=lambda each: each.preference, default=None)
    trained = {name for name, tensor in expected.items() if isinstance(tensor, nn.Parameter)}
    for each in sets:
        lacking = {name for name in expected if each.prefix + name not in each.state}
        if plain and not each.role and trained and lacking and not lacking & trained:
            lent = {n: plain.state[plain.prefix + n] for n in lacking if plain.prefix + n in plain.state}
            state = each.state | {each.prefix + name: tensor for name, tensor in lent.items()}
            more = sum(not name.endswith("num_batches_tracked") for name in lent)
            notes = (*each.notes, f"buffers of {plain.name or 'the whole file'}")
            yield replace(each, state=state, fits=(each.fits[0] + more, each.fits[1] + more), notes=notes)
        else:
            yield each


def unwrapped_key(key: str, more: frozenset[str] = frozenset()) -> str:
    """Return a key without the usual wrapping attributes and those in `more`."""
    while "." in key and key.partition(".")[0] in more.union(_SAID["wrappers"]):
        key = key.partition(".")[2]
    return key


def choose_weights(
    content: Any, expected: Tensors, key: str | None = None, renew: Renew = dict, ignore: Sequence[str] = ()
) -> WeightChoice | None:
    """Choose the network's weights from a checkpoint's content; None if it has none (under `key`). `expected` is its
    state dict with parameters as such, `renew` today's spelling of keys, `ignore` patterns of keys. Raises WeightsError
    if several networks fit equally well, or a pattern matches no key."""
    parameters = [name for name, tensor in expected.items() if isinstance(tensor, nn.Parameter)]
    states = [each for each in _states_in(content, parameters) if key or not _BOOKKEEPING.fullmatch(each[0])]
    sets = [candidate for path, state in states for candidate in _sets_in(path, renew(state), expected)]
    sets = list(_with_buffers(sets, expected))
    key = _WRAPPED.sub("", f"{key}.").rstrip(".") if key else None
    wanted = [candidate for candidate in sets if not key or f".{key}." in f".{candidate.name}."]
    wanted = [candidate for candidate in wanted if candidate.name == key] or wanted
    if not wanted:
        return None
    best = min(wanted, key=lambda candidate: candidate.preference)
    if not expected:
        return WeightChoice(name=best.name, state=best.state)
    rivals = [other for other in sets if other is not best and 2 * other.fits[0] > best.fits[0] > 0]
    equals = [other for other in rivals if other.fits == best.fits]

    def own(each: WeightSet) -> str:
        pairs = {name: each.state.get(each.prefix + name) for name in expected}
        return digest_state({name: tensor for name, tensor in pairs.items() if tensor is not None})

    alike = [other for other in equals if other in wanted and other.role == best.role]
    if alike and best.name and 2 * best.fits[0] > len(expected):
        keys = [f"--key {each.name}" for each in (best, *(other for other in alike if own(other) != own(best)))]
        if keys[1:]:
            text = f"{len(keys)} networks fit equally well; choose one: {' or '.join(keys[:9])}."
            raise WeightsError(text, Remedy(words=tuple(keys[0].split(" ", 1))))
    choice = _sorted_out(best, rivals, expected, keyed=bool(key), ignore=ignore)
    beside = list[str]()
    if best.path:  # what stands in the file beside all sets of weights
        heads = {candidate.path.split(".")[0] for candidate in (best, *rivals)}
        beside = [str(name) for name in content if str(name).split(".")[0] not in heads]
    others = tuple(other.name or "the whole file" for other in equals)
    return replace(choice, others=others, ignored=(*beside, *choice.ignored))


def _sorted_out(
    best: WeightSet, rivals: Sequence[WeightSet], expected: Tensors, *, keyed: bool, ignore: Sequence[str]
) -> WeightChoice:
    """Sort the tensors of a set: the network's, statistics of its input, ignored ones, and the rest."""
    copies = tuple(other.prefix for other in rivals if other.path == best.path and other.prefix)
    parts = frozenset(part for prefix in (best.prefix, *copies) for part in prefix.split(".")[:-1])

    def is_beside(name: str) -> bool:
        return not {name, unwrapped_key(name, parts), name.removeprefix(best.prefix)} & expected.keys()

    beside = {name: tensor for name, tensor in best.state.items() if is_beside(name)}
    statistics = {name for names, *_ in normalising_parts(beside) for name in names} if beside else set()
    state, ignored, outside, matched = State(), list[str](), list[str](), set[str]()
    for name, tensor in best.state.items():
        inside, bare = name.startswith(best.prefix), name.removeprefix(best.prefix)
        other = not inside and (keyed or name.startswith(copies) or bool(_OTHERS.match(name)))  # of another network
        patterns = {pattern for pattern in ignore if fnmatchcase(name, pattern) or fnmatchcase(bare, pattern)}
        matched |= patterns
        if inside and bare in expected and not patterns:
            state[bare] = tensor
        elif name in statistics:
            continue
        elif patterns or other or _BOOKKEEPING.fullmatch(bare):
            ignored.append(name)
        else:
            state[bare] = tensor
            outside += [] if inside else [bare]
    if vain := [pattern for pattern in ignore if pattern not in matched]:
        raise WeightsError(f"--ignore '{shown(vain[0])}' fits no key of the weights ({_listed(list(best.state))}).")
    return WeightChoice(
        name=best.name,
        state=state,
        ignored=tuple(ignored),
        statistics={name: beside[name] for name in beside if name in statistics},
        notes=best.notes,
        outside=tuple(outside),
    )


def read_weights(
    path: Path, expected: Tensors, key: str | None = None, renew: Renew = dict, ignore: Sequence[str] = ()
) -> WeightChoice:
    """Return the weights of a checkpoint for a network whose state dict has `expected`; key, renew, ignore: as of
    `choose`. Raises WeightsError: unreadable, refused, no state dict inside, or several networks that fit."""
    content = read_content(path)
    with foreign("checkpoint", path, WeightsError):
        choice = choose_weights(content, expected, key, renew, ignore)
    if choice is None:
        places = [place or "the whole file" for place, _ in _states_in(content)]
        held = f"keys {_listed(list(map(str, content)))}" if isinstance(content, Mapping) else type(content).__name__
        held = f"weights under {_listed(places)}" if places else held
        under = f" under the key '{key}'" if key else f" by name, directly or under {', '.join(WRAPPERS)}"
        raise WeightsError(f"checkpoint {path} holds no weights{under}; found {held}.")
    stated = stated_in(choice.statistics, str(path)) if choice.statistics else StatedInput()
    return replace(choice, normalisation=stated, settings=_settings_in(content, str(path)), content=content)


def _settings_in(content: Any, origin: str) -> tuple[str, Mapping[str, Any]]:
    """Return a training script's settings and their place, with a mean and deviation from anywhere in the file."""
    places = dict(mappings_in(content))
    for place, part in [*places.items()]:  # the steps of a transform
        steps = ((name, step) for name, value in part.items() if isinstance(value, list) for step in value)
        places |= {f"{place}.{name}": step for name, step in steps if isinstance(step, StandIn)}
    place = next((name for name in ("args", "hyper_parameters") if places.get(name)), "")
    settings = places[place] if place else {}
    found = dict[str, dict[str, Any]]()
    for name, entries in places.items():
        both = (entries.get(key) for key in ("mean", "std"))
        flat = [value.flatten().tolist() if isinstance(value, Tensor) else value for value in both]
        triples = [value for value in flat if isinstance(value, list | tuple) and len(value) == 3]
        if len(triples) == 2 and all(isinstance(n, int | float) for n in chain(*triples)):
            plain = {key: value for key, value in entries.items() if not isinstance(value, Mapping | Tensor)}
            mean, std = ([*map(float, triple)] for triple in triples)
            found[name] = {**plain, "mean": mean, "std": std}
    values = {str((entry["mean"], entry["std"])) for entry in found.values()}
    if len(values) > 1:
        every = " and ".join(sorted(values))
        raise WeightsError(f"checkpoint {origin} states {len(values)} normalisations ({', '.join(found)}): {every}.")
    if not found or {"mean", "std"} <= settings.keys():
        return place, settings
    first = next(iter(found))
    return " and ".join(filter(None, (place, first))) or "its mean and std", {**found[first], **settings}


def by_order(have: Tensors, want: Tensors, origin: str) -> State:
    """Return the weights for a network of the same layers under other names: tensors pair in the order of construction.
    Every pair must agree in its field (weight, bias, running_mean, ...) and shape, otherwise WeightsError."""
    if len(have) != len(want):  # older files lack the counters of batch norms
        have, want = ({n: t for n, t in s.items() if not n.endswith("num_batches_tracked")} for s in (have, want))
    theirs, ours = ([(name.rpartition(".")[2], t.shape) for name, t in state.items()] for state in (have, want))
    if theirs != ours:
        counts = f"its {len(have)} tensors are not the {len(want)} of the network, in their order"
        raise WeightsError(f"checkpoint {origin}: {counts}. It is of another network.")
    return dict(zip(want, have.values(), strict=True))


def _listed(names: Sequence[str]) -> str:
    return shown(some_of([name[:200] for name in names], 5))


@dataclass(frozen=True, kw_only=True)
class Misfit:
    """A misfit lists names that a file lacks, names that the network lacks, and shapes that differ (file, network)."""

    missing: tuple[str, ...]
    strange: tuple[str, ...]
    shapes: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]

    @classmethod
    def between(cls, state: Tensors, want: Tensors) -> Misfit:
        """Compare a file's tensors with a network's; counters of batch norms may be missing."""
        missing = [name for name in want if name not in state and not name.endswith("num_batches_tracked")]
        pairs = {name: (tuple(state[name].shape), tuple(want[name].shape)) for name in want if name in state}
        shapes = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
        return cls(missing=tuple(missing), strange=tuple(name for name in state if name not in want), shapes=shapes)

    @property
    def names(self) -> list[str]:
        """Return all of them."""
        return [*self.shapes, *self.strange, *self.missing]

    def __str__(self) -> str:
        shapes = [f"{name} {theirs!s:.100} (network: {ours})" for name, (theirs, ours) in self.shapes.items()]
        lists = {"keys are missing": self.missing, "keys are unexpected": self.strange, "shapes differ": shapes}
        return "; ".join(f"{len(names)} {what}: {_listed(names)}" for what, names in lists.items() if names)


def fit_state(
    module: nn.Module, state: State, origin: str, advice: Callable[[Misfit], tuple[str, Remedy]] | None = None
) -> None:
    """Load `state` of the file `origin` into `module`. Raises WeightsError with the first misfits and the `advice`."""
    want = module.state_dict()
    if (misfit := Misfit.between(state, want)).names:
        usual = "Choose the architecture (--arch) and label space (--labels) that it was trained with."
        text, remedy = advice(misfit) if advice else ("", Remedy())
        raise WeightsError(f"checkpoint {origin} does not fit the architecture: {misfit}. {text or usual}", remedy)
    with foreign("checkpoint", origin, WeightsError, "It cannot be copied into the architecture."):
        want.update(state)  # with the versions of its modules, which some constructors' layouts hang on
        module.load_state_dict(want)
