"""Checkpoint files: safe reading, the usual wrappers, and a state dict that fits its network or
says why not.

Nothing here executes what a file says: safetensors, or `torch.load(weights_only=True)`, never a
free pickle.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch
from torch import Tensor, nn

from registry.errors import WeightsError

State = dict[str, Tensor]
#: Where training scripts put the state dict. Averaged (EMA) weights come first: they are what
#: their authors evaluate.
WRAPPERS = (
    "state_dict_ema", "model_ema", "ema", "ema_state_dict",
    "state_dict", "model_state_dict", "model", "net", "shadow", "module",
)  # fmt: skip
#: Attributes that wrap a network: DataParallel, torch.compile, Lightning, robustness libraries.
_TOKENS = ("module.", "_orig_mod.", "model.", "net.", "network.", "attacker.", "ema_model.")
#: Input statistics that robustness libraries keep beside the network: the card states them.
_STATISTICS = ("normalizer.", "normalize.", "normalise.", "mean", "std", "mu", "sigma")
_SHOWN = 5
_CONVERT = (
    "Convert it once, where you trust it: "
    "`safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')`, and register that "
    "file."
)


def _unpickle(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters of it is in the error
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).split("\n", 1)[0]
        raise WeightsError(
            f"checkpoint {path} is a pickle that holds more than tensors, and was refused before "
            "any of it ran "
            f"({reason}). {_CONVERT}"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, BadZipFile) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise WeightsError(
            f"checkpoint {path} cannot be read ({reason}): truncated, or no PyTorch checkpoint. "
            "Expected .safetensors, or .pt/.pth holding a state dict."
        ) from error


def _read_safetensors(path: Path) -> State:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise WeightsError(
            f"checkpoint {path} is no intact safetensors file ({error}). Fetch or save it again."
        ) from error


def unwrap(content: Any, key: str | None = None) -> State | None:
    """The state dict inside what a checkpoint held, or None. `key`: the wrapper to take."""
    if isinstance(content, nn.Module) or not isinstance(content, Mapping):
        return None
    if key is not None:
        return unwrap(content[key]) if key in content else None
    for wrapper in WRAPPERS:
        inner = unwrap(content.get(wrapper))
        if inner is not None:
            return inner
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    return tensors or None


def read_state(path: Path, key: str | None = None) -> State:
    """Read the state dict of a checkpoint (.safetensors, or a PyTorch file), unwrapped, on the CPU.

    Raises WeightsError: no such file, unreadable, refused pickle, or nothing inside that is a state
    dict.
    """
    if not path.is_file():
        raise WeightsError(
            f"checkpoint {path} is not there. Check the path, or register the model again."
        )
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _unpickle(path)
    state = unwrap(content, key)
    if state is None:
        names = ", ".join(map(str, list(content)[:_SHOWN])) if isinstance(content, Mapping) else ""
        found = f"keys {names}" if names else type(content).__name__
        wanted = f"'{key}'" if key else ", ".join(WRAPPERS)
        raise WeightsError(
            f"checkpoint {path} holds no state dict: expected tensors by name, directly or under "
            f"{wanted}; "
            f"found {found}. {_CONVERT}"
        )
    return state


def _prefix_of(name: str) -> str:
    prefix = ""
    while token := next((t for t in _TOKENS if name.startswith(prefix + t)), ""):
        prefix += token
    return prefix


def _prefixes(state: Iterable[str]) -> set[str]:
    """Every wrapper prefix that some key begins with, the empty one among them."""
    found = {""}
    for whole in {_prefix_of(name) for name in state}:
        parts = whole.split(".")
        found |= {"".join(f"{part}." for part in parts[:count]) for count in range(len(parts))}
    return found


def strip_wrappers(state: State, expected: Iterable[str]) -> State:
    """Remove the wrapper prefix under which most of the `expected` names are found.

    Other copies of the network and input statistics are dropped; any other key stays, to be
    reported.
    """
    wanted = set(expected)

    def overlap(prefix: str) -> int:
        return sum(name.removeprefix(prefix) in wanted for name in state if name.startswith(prefix))

    prefixes = sorted(_prefixes(state), key=lambda prefix: (-overlap(prefix), len(prefix)))
    best = prefixes[0]
    inside = {k.removeprefix(best): v for k, v in state.items() if k.startswith(best)}
    for name, tensor in state.items():
        bare = name[len(_prefix_of(name)) :]
        if not name.startswith(best) and bare not in wanted:
            inside[name] = tensor
    return {
        name: tensor
        for name, tensor in inside.items()
        if name in wanted or not (name[len(_prefix_of(name)) :].startswith(_STATISTICS))
    }


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _misfit(have: State, want: Mapping[str, Tensor]) -> list[str]:
    missing = [n for n in want if n not in have and not n.endswith("num_batches_tracked")]
    strange = [n for n in have if n not in want]
    shapes = [
        f"{n} {tuple(have[n].shape)} (network: {tuple(want[n].shape)})"
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
    if shapes and len(shapes) <= 2 and not missing and not strange:
        problems.append("only the head differs, so its class count does not fit the label space")
    return problems


def fit_state(module: nn.Module, state: State, origin: str) -> None:
    """Load `state` into `module`, every key and shape accounted for.

    Raises WeightsError naming the first missing and unexpected keys and shapes. `origin` says where
    from.
    """
    want = module.state_dict()
    have = strip_wrappers(state, want)
    problems = _misfit(have, want)
    if problems:
        raise WeightsError(
            f"checkpoint {origin} does not fit the architecture: {'; '.join(problems)}. "
            "Choose the architecture (--arch) and label space (--labels) that it was trained with."
        )
    module.load_state_dict({**want, **have})
