"""Folders that training code writes and that are not read, and the command that makes one readable file of them.

`python -m registry.convert SOURCE TARGET` is the command that refusals name. It unpickles freely and so runs whatever
code SOURCE holds: use it only on files that you trust."""

import json
import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from registry.checkpoints import PACKED, WRAPPERS, conversion, read_weights
from registry.documents import read_json
from registry.files import is_file, is_folder
from registry.user_errors import WeightsError, shown

State = dict[str, Tensor]
_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
#: Beginnings of the names of files that training code keeps beside weights.
_OTHERS = ("optimizer", "scheduler", "sampler", "scaler")


def refuse_folder(folder: Path, arch: str, kwargs: Mapping[str, Any]) -> None:
    """Raise WeightsError, with the command that converts it, for a folder of training code: a distributed
    checkpoint, DeepSpeed, an adapter (PEFT), shards, or plain files. arch, kwargs: the network that it is for."""
    for inside in (folder, *sorted(filter(is_folder, folder.iterdir()))):
        _refuse_distributed(inside, folder)
    if is_file(folder / "adapter_config.json"):
        raise WeightsError(_adapter(folder, arch, kwargs))
    is_complete = is_file(folder / "config.json")
    for index in () if is_file(folder / "model.safetensors") else sorted(folder.glob("*.index.json")):
        line = conversion(index, folder / "model.safetensors")
        line = f"{line.rpartition(' ')[0]} {shown(folder)}" if is_complete else line
        raise WeightsError(f"{shown(folder)} contains weights in shards ({index.name}). Join them: {line}.")
    files = [
        path for path in sorted(folder.iterdir()) if path.suffix in _SUFFIXES and not path.name.startswith(_OTHERS)
    ]
    if files and not is_complete:
        raise WeightsError(
            f"{shown(folder)} is a folder without config.json, which would name its architecture. Give the file: "
            f"--weights {' or '.join(shlex.quote(str(path)) for path in files[:5])}"
        )


def _refuse_distributed(inside: Path, folder: Path) -> None:
    if is_file(inside / ".metadata"):
        target, what = inside / "weights.pt", "distributed checkpoint (torch.distributed.checkpoint)"
        line = f"torch.distributed.checkpoint.format_utils dcp_to_torch {shlex.join([str(inside), str(target)])}"
    elif any(inside.glob("*_optim_states.pt")) and any(inside.glob("*_model_states.pt")):
        run = inside.parent if inside == folder else folder
        target, what = run / "fp32" / "model.safetensors", "checkpoint of DeepSpeed"
        words = shlex.join([str(run), str(target.parent), "--tag", inside.name])
        line = f"deepspeed.utils.zero_to_fp32 {words} --safe_serialization"
    else:
        return
    raise WeightsError(
        f"{shown(inside)} is a {what}. Convert it once, if you trust it: python -m {line} and register {shown(target)}."
    )


def _adapter(folder: Path, arch: str, kwargs: Mapping[str, Any]) -> str:
    """Return what to do about a folder of PEFT: merge its adapter into the network that it changes."""
    config = read_json(folder / "adapter_config.json", "configuration", WeightsError)
    library = config.get("auto_mapping", {}) if isinstance(config, dict) else {}
    if str((library or {}).get("parent_library")).startswith("transformers"):
        command = conversion(folder, folder / "merged").replace(" and register ", " and register --arch hf:")
    elif arch.startswith("timm:"):
        command = conversion(folder, folder / "merged.safetensors", timm=arch.removeprefix("timm:"), kwargs=kwargs)
        command = command.replace(" and register ", " and register --weights ")
    else:
        return f"{shown(folder)} is an adapter (PEFT): name the network that it is for, --arch timm:NAME."
    return (
        f"{shown(folder)} is an adapter (PEFT) without the network that it changes. Merge them once, if you trust "
        f"them: {command}."
    )


def _tensors_in(content: Any, prefix: str = "") -> State:
    """Return the tensors by name in modules, wrappers, DTensors, and the packed layers of quantised networks."""
    if isinstance(content, Tensor):
        return {prefix[:-1]: content.full_tensor() if hasattr(content, "full_tensor") else content}
    if hasattr(content, "state_dict"):
        return _tensors_in(content.state_dict(), prefix)
    if hasattr(content, "items"):
        parts = (_tensors_in(value, f"{prefix}{name}.") for name, value in content.items())
        return {name: tensor for part in parts for name, tensor in part.items()}
    if prefix.endswith(f"{PACKED}."):
        return _tensors_in(dict(zip(("weight", "bias"), content, strict=False)), prefix.removesuffix(f"{PACKED}."))
    return {}


def _unpickled(source: Path) -> State:
    content = torch.load(source, map_location="cpu", weights_only=False)
    entries = (_tensors_in(content[name]) for name in WRAPPERS if isinstance(content, dict) and name in content)
    state = next(filter(None, entries), None) or _tensors_in(content)

    def is_quantiser(name: str) -> bool:  # the dequantised weights already contain scale and zero point
        layer, _, field = name.rpartition(".")
        return field in ("scale", "zero_point") and f"{layer}.zero_point" in state

    return {name: tensor for name, tensor in state.items() if not is_quantiser(name)}


def _merge_adapter(source: Path, target: Path, arch: str, kwargs: dict[str, Any]) -> None:
    """Merge an adapter of PEFT into the network that it changes."""
    import peft

    config, tensors = json.loads((source / "adapter_config.json").read_text()), source / "adapter_model.safetensors"
    heads = {f"base_model.model.{part}.weight" for part in config.get("modules_to_save") or ()}
    classes = [len(tensor) for name, tensor in load_file(tensors).items() if name in heads][:1]
    base = config.get("base_model_name_or_path")
    if arch:
        origin = {"checkpoint_path": base} if base and Path(base).is_file() else {"pretrained": True}
        more: dict[str, Any] = {"num_classes": classes[0]} if classes else {}
        network = import_module("timm").create_model(arch, **{**origin, **more, **kwargs})
        _save(peft.PeftModel.from_pretrained(network, str(source)).merge_and_unload().state_dict(), target)
        return
    transformers, more = import_module("transformers"), {"num_labels": classes[0]} if classes else {}
    network = transformers.AutoModelForImageClassification.from_pretrained(base, **more)
    transformers.AutoImageProcessor.from_pretrained(base).save_pretrained(target)
    peft.PeftModel.from_pretrained(network, str(source)).merge_and_unload().save_pretrained(target)


def _changed(given: Namespace) -> State:
    """Return the tensors of a readable checkpoint with modules renamed, or with a stem for luminance made one for
    RGB."""
    name, shape = next(iter(json.loads(given.like).items()))
    state = read_weights(given.source, {name: torch.empty(shape)}, given.key).state
    if given.stem:
        # Luminance as Pillow makes it (ITU-R BT.601). Exact: a convolution is linear, and the weights sum to 1.
        state[given.stem] = state[given.stem] * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    modules = json.loads(given.rename)

    def renamed(name: str) -> str:
        return next((new + name[len(old) :] for old, new in modules.items() if name.startswith(f"{old}.")), name)

    return {renamed(name): tensor for name, tensor in state.items()}


def _save(state: State, target: Path) -> None:
    dense = {name: tensor.dequantize() if tensor.is_quantized else tensor for name, tensor in state.items()}
    tensors = {name: tensor.detach().clone().contiguous() for name, tensor in dense.items()}
    save_file(tensors, target, {"format": "pt"})


def main(arguments: list[str] | None = None) -> None:
    """Convert SOURCE to TARGET."""
    parser = ArgumentParser(prog="python -m registry.convert", description=__doc__)
    parser.add_argument("source", type=Path, help="a file, a folder of PEFT, or the index of a checkpoint in shards")
    parser.add_argument("target", type=Path, help="the .safetensors file, or folder of transformers, to write")
    parser.add_argument("--timm", default="", help="name of the network that an archive or adapter is for")
    parser.add_argument("--kwargs", type=json.loads, default={}, help="arguments of that network, as JSON")
    parser.add_argument("--like", default="", help="name and shape of one tensor of the weights to change, as JSON")
    parser.add_argument("--key", help="the set of weights to change")
    parser.add_argument("--rename", default="{}", help="new names of modules, as JSON")
    parser.add_argument("--stem", default="", help="the convolution that takes luminance and is to take RGB")
    given = parser.parse_args(arguments)
    if (given.source / "adapter_config.json").is_file():
        _merge_adapter(given.source, given.target, given.timm, given.kwargs)
        return
    if given.source.name.endswith(".index.json"):
        names = sorted(set(json.loads(given.source.read_text())["weight_map"].values()))
        files = [given.source.parent / name for name in names]
        parts = (load_file(file) if file.suffix == ".safetensors" else torch.load(file) for file in files)
        state = {name: tensor for part in parts for name, tensor in part.items()}
    elif given.timm:
        import numpy  # timm reads the arrays of JAX and Flax

        timm: Any = import_module("timm")
        arrays, places = numpy.load(given.source), "Transformer/posembed_input/pos_embedding"
        network = timm.create_model(given.timm, num_classes=len(arrays.get("head/bias", ())), **given.kwargs)
        if places in arrays and arrays[places].shape != network.pos_embed.shape:  # timm would interpolate them
            raise SystemExit("the positions do not fit: give the network's size with --arch-option img_size=...")
        network.load_pretrained(given.source)
        state = dict(network.state_dict())
    else:
        state = _changed(given) if given.like else _unpickled(given.source)
    _save(state, given.target)


if __name__ == "__main__":
    main()
