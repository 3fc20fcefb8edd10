"""A checkpoint's weights for one network: read safely, chosen, fitted, or refused with the reason.

Nothing here executes what a file says: safetensors, or a pickle of tensors (see `registry.pickles`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from registry.documents import shown
from registry.errors import WeightsError, some_of
from registry.labels import spaces_of_size
from registry.pickles import conversion, first_line, read_content
from registry.weight_sets import Chosen, State, choose, no_weights


def _require_dense(path: Path, state: State) -> None:
    """Weights are plain arrays; sparse, quantised or empty-shelled tensors cannot be copied into a network."""
    for name, tensor in state.items():
        odd = tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex()
        if odd or tensor.device.type != "cpu":
            raise WeightsError(
                f"checkpoint {path}: {shown(name)} is no dense array of real numbers "
                f"({tensor.dtype}, {tensor.layout}, {tensor.device}). {conversion(path)}"
            )


def read_weights(
    path: Path,
    expected: Mapping[str, Tensor],
    key: str | None = None,
    renew: Callable[[State], State] = dict,
) -> Chosen:
    """The weights of a checkpoint (.safetensors, or a PyTorch file) for a network whose state dict has `expected`.

    key: the set to take where there are several; renew: today's spelling of keys. Raises WeightsError: no such file,
    unreadable, refused pickle, or nothing inside that is a state dict.
    """
    content = read_content(path)
    chosen = choose(content, expected, key, renew)
    if chosen is None:
        raise no_weights(str(path), content, key)
    _require_dense(path, {**chosen.state, **dict(chosen.statistics)})
    return chosen


def read_state(path: Path, key: str | None = None) -> State:
    """The state dict of a checkpoint, whatever network it is of. Raises WeightsError as `read_weights`."""
    return read_weights(path, {}, key).state


def _listed(names: list[str]) -> str:
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
            "Only the head is missing: this is a backbone without a classifier. `bench probe` fits one on its "
            "features. "
        )
    if missing or not 0 < len(differing) <= 2 or any(n not in want for n in have):
        return ""
    count = len(have[differing[0]])
    spaces = spaces_of_size(count)
    known = f": --labels {' or '.join(spaces)}" if spaces else ""
    return f"Only the head differs, so its class count does not fit the label space: it has {count} outputs{known}. "


def fit_state(module: nn.Module, state: State, origin: str) -> None:
    """Load `state` into `module`, every key and shape accounted for.

    Raises WeightsError naming the first missing and unexpected keys and shapes. `origin` says where
    from.
    """
    want = module.state_dict()
    problems = _misfit(state, want)
    if problems:
        raise WeightsError(
            f"checkpoint {origin} does not fit the architecture: {'; '.join(problems)}. "
            f"{_head_hint(module, state, want)}"
            "Choose the architecture (--arch) and label space (--labels) that it was trained with."
        )
    try:
        module.load_state_dict({**want, **state})
    except (RuntimeError, NotImplementedError) as error:
        raise WeightsError(
            f"checkpoint {origin} cannot be copied into the architecture: {first_line(error)}."
        ) from error
