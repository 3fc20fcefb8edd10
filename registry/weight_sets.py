"""Which of the weights in a file are the network's: wrappers, prefixes, averages, teachers, bookkeeping.

A file may hold several sets of weights, one beside the other or under prefixes of one state dict. Every set
that could be the network's is found by the names and shapes that the architecture expects; the choice is
stated, and can be overruled by the set's name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from registry.documents import shown
from registry.errors import WeightsError
from registry.normalisation import bare_name, kind_of
from registry.pickles import WRAPPERS

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
    """Weights at one place of a file: `prefix` of the tensors under `path`. fits: names, of the right shape and
    in all, that the network has too.
    """

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
    networks; statistics: means and standard deviations of the input beside the network, every copy.
    """

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


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return shown(", ".join(names[:5]))[:300] + more


def _tensors_under(
    content: Any, path: str, levels: int, seen: set[int]
) -> Iterator[tuple[str, State]]:
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


def _is_called(one: WeightSet, key: str) -> bool:
    return f".{key}." in f".{one.name}."


def choose(
    content: Any,
    expected: Mapping[str, Tensor],
    key: str | None = None,
    renew: Callable[[State], State] = dict,
) -> Chosen | None:
    """The network's weights in what a checkpoint held; None where there are none (under `key`).

    expected: the network's own state dict; key: a part of the name of the set to take; renew: today's spelling of a
    state dict's keys.
    """
    states = [(path, renew(state)) for path, state in _tensors_under(content, "", _LEVELS, set())]
    sets = [one for path, state in states for one in _sets_in(path, state, expected)]
    wanted = sorted((one for one in sets if not key or _is_called(one, key)), key=_preference)
    if not wanted:
        return None
    best = wanted[0]
    if not expected:
        return Chosen(best.name, best.state)
    rivals = [one for one in sets if one is not best and 2 * one.fits[0] > best.fits[0] > 0]
    return _cleaned(best, rivals, expected, content, key)


def _cleaned(
    best: WeightSet,
    rivals: list[WeightSet],
    expected: Mapping[str, Tensor],
    content: Any,
    key: str | None,
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


def _is_beside(
    bare: str, name: str, inside: bool, copies: tuple[str, ...], key: str | None
) -> bool:
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
