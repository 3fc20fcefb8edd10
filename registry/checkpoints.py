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
from typing import IO, Any
from zipfile import ZipFile, is_zipfile

import torch
from torch import Tensor, nn

from registry.documents import is_file, shown
from registry.errors import WeightsError
from registry.normalisation import kind_of

State = dict[str, Tensor]
#: Where training scripts put the state dict. Averaged (EMA) weights come first: they are what
#: their authors evaluate.
WRAPPERS = (
    "state_dict_ema", "model_ema", "ema", "ema_state_dict",
    "state_dict", "model_state_dict", "model", "net", "shadow", "module",
)  # fmt: skip
#: Attributes that wrap a network: DataParallel, torch.compile, Lightning, robustness libraries.
#: "1." is the network after a normalisation in a sequence of two.
_TOKENS = ("module.", "_orig_mod.", "model.", "net.", "network.", "attacker.", "ema_model.", "1.")
_SHOWN = 5
#: Wrappers inside wrappers; a checkpoint that holds itself has no end of them.
_LEVELS = 8
_CONVERT = (
    "Convert it once, where you trust it: "
    "`safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')`, and register that "
    "file."
)


def require_honest_size(file: Path | IO[bytes], size: int, name: str) -> None:
    """Raise WeightsError for a zip archive that unpacks to far more than its size in bytes: torch stores
    tensors as they are, so only a bomb does. Other files pass.
    """
    if not is_zipfile(file):
        return
    with ZipFile(file) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > 2 * size + 2**20:
        raise WeightsError(
            f"checkpoint {name} has {size} bytes and unpacks to {unpacked}: refused. torch stores "
            "tensors uncompressed; save it again with `torch.save`."
        )


def _unpickle(path: Path) -> Any:
    try:
        require_honest_size(path, path.stat().st_size, str(path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters of it is in the error
            return torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except pickle.UnpicklingError as error:
        reason = _first_line(error)
        raise WeightsError(
            f"checkpoint {path} is a pickle that holds more than tensors, and was refused before "
            "any of it ran "
            f"({reason}). {_CONVERT}"
        ) from error
    except Exception as error:
        raise WeightsError(
            f"checkpoint {path} cannot be read ({_first_line(error)}): truncated, or no PyTorch "
            "checkpoint. Expected .safetensors, or .pt/.pth holding a state dict."
        ) from error


def _first_line(error: Exception) -> str:
    text = str(error).strip().split("\n", 1)[0]
    return shown(text)[:300] or type(error).__name__


def _read_safetensors(path: Path) -> State:
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except Exception as error:
        raise WeightsError(
            f"checkpoint {path} is no intact safetensors file ({_first_line(error)}). Fetch or save "
            "it again."
        ) from error


def unwrap(content: Any, key: str | None = None, levels: int = _LEVELS) -> State | None:
    """The state dict inside what a checkpoint held, or None. `key`: the wrapper to take."""
    if isinstance(content, nn.Module) or not isinstance(content, Mapping) or not levels:
        return None
    if key is not None:
        return unwrap(content[key], None, levels - 1) if key in content else None
    for wrapper in WRAPPERS:
        inner = unwrap(content.get(wrapper), None, levels - 1)
        if inner is not None:
            return inner
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    return tensors or None


def _require_dense(path: Path, state: State) -> None:
    """Weights are plain arrays; sparse, quantised or empty-shelled tensors cannot be copied into a network."""
    for name, tensor in state.items():
        odd = tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex()
        if odd or tensor.device.type != "cpu":
            raise WeightsError(
                f"checkpoint {path}: {shown(name)} is no dense array of real numbers "
                f"({tensor.dtype}, {tensor.layout}, {tensor.device}). {_CONVERT}"
            )


def read_state(path: Path, key: str | None = None) -> State:
    """Read the state dict of a checkpoint (.safetensors, or a PyTorch file), unwrapped, on the CPU.

    Raises WeightsError: no such file, unreadable, refused pickle, or nothing inside that is a state
    dict.
    """
    if not is_file(path):
        raise WeightsError(
            f"checkpoint {shown(path)} is not there. Check the path, or register the model again."
        )
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _unpickle(path)
    state = unwrap(content, key)
    if state is None:
        names = ", ".join(map(str, list(content)[:_SHOWN])) if isinstance(content, Mapping) else ""
        found = f"keys {shown(names)[:300]}" if names else type(content).__name__
        wanted = f"'{key}'" if key else ", ".join(WRAPPERS)
        raise WeightsError(
            f"checkpoint {path} holds no state dict: expected tensors by name, directly or under "
            f"{wanted}; "
            f"found {found}. {_CONVERT}"
        )
    _require_dense(path, state)
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
        if not name.startswith(best) and _bare(name) not in wanted:
            inside[name] = tensor
    kinds = {kind_of(name) for name, _ in input_statistics(state, wanted)}
    dropped = ("mean", "std") if {"mean", "std"} <= kinds else ()
    return {
        name: tensor
        for name, tensor in inside.items()
        if name in wanted or kind_of(_bare(name)) not in dropped
    }


def _bare(name: str) -> str:
    return name[len(_prefix_of(name)) :]


def input_statistics(state: State, expected: Iterable[str]) -> list[tuple[str, Tensor]]:
    """Means and standard deviations of the input that stand beside the network, which has `expected`
    keys of its own: (key without wrappers, tensor), every copy.
    """
    wanted = set(expected)
    bare = {name: _bare(name) for name in state}
    return [
        (bare[name], tensor)
        for name, tensor in state.items()
        if not {name, bare[name]} & wanted and kind_of(bare[name])
    ]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return shown(", ".join(name[:200] for name in names[:_SHOWN])) + more


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
    try:
        module.load_state_dict({**want, **have})
    except (RuntimeError, NotImplementedError) as error:
        raise WeightsError(
            f"checkpoint {origin} cannot be copied into the architecture: {_first_line(error)}."
        ) from error
