"""Files and folders of weights that are not read here: what each is, and the line that makes a readable file of it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

from registry.errors import WeightsError
from registry.files import is_file, is_folder
from registry.foreign import foreign, read_json, shown

#: Where training scripts put the state dict. Averaged (EMA) weights come first: they are what their authors evaluate.
WRAPPERS = (
    "state_dict_ema", "model_ema", "ema", "ema_state_dict",
    "state_dict", "model_state_dict", "model", "net", "shadow", "module",
)  # fmt: skip
_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
#: Beginnings of the names of what training code keeps beside weights.
_OTHERS = ("optimizer", "scheduler", "sampler", "scaler")
_SAVE = "import torch, safetensors.torch as st; "
_LOAD = 'torch.load({}, map_location="cpu", weights_only=False)'
#: Tensors by name out of whatever was saved: modules, wrappers, DTensors, and the packed layers of quantised networks.
_FLATTEN = (
    'f = lambda c, p="": {p[:-1]: c.full_tensor() if hasattr(c, "full_tensor") else c} if torch.is_tensor(c) '
    'else f(c.state_dict(), p) if hasattr(c, "state_dict") '
    'else {n: t for k, v in c.items() for n, t in f(v, p + str(k) + ".").items()} if hasattr(c, "items") '
    'else f(dict(zip(("weight", "bias"), c)), p[:-30]) if p.endswith("_packed_params._packed_params.") else {}; '
)
_DENSE = "{n: (t.dequantize() if t.is_quantized else t).detach().clone().contiguous() for n, t in s.items()}"


def _python(code: str) -> str:
    return f"python -c {shlex.quote(code)}"


def conversion(path: Path, load: str = _LOAD) -> str:
    """What to do about a file that only a free reading can open: a command to be pasted as it is."""
    target, file = path.with_suffix(".safetensors"), json.dumps(str(path))
    wrapped = f"(f(c[k]) for k in {json.dumps(WRAPPERS)} if isinstance(c, dict) and k in c)"
    of_layers = 's = {n: t for n, t in s.items() if n.rsplit(".", 1)[-1] not in ("scale", "zero_point") '
    of_layers += 'or n.rpartition(".")[0] + ".zero_point" not in s}; '
    code = (
        f"{_SAVE}{_FLATTEN}c = {load.format(file)}; s = next(filter(None, {wrapped}), None) or f(c); {of_layers}"
        f"st.save_file({_DENSE}, {json.dumps(str(target))})"
    )
    return (
        "Convert it once, where you trust it (this runs whatever code the file holds): "
        f"{_python(code)} and register {shown(target)}."
    )


def rewriting(path: Path, like: str, change: str) -> str:
    """A command that writes a checkpoint's tensors `s`, read as safely as here, after `change`, a statement, to a file
    beside it. like: arguments of `read_weights` that say which tensors are meant."""
    target = path.with_suffix(".fitted.safetensors")
    read = f"from pathlib import Path; from registry.checkpoints import read_weights; {_SAVE}"
    code = f"{read}s = read_weights(Path({json.dumps(str(path))}), {like}).state; {change}; "
    return f"{_python(f'{code}st.save_file({_DENSE}, {json.dumps(str(target))})')} and register {shown(target)}"


def refuse_other_formats(path: Path, arch: str = "", kwargs: Mapping[str, Any] | None = None) -> None:
    """Raise WeightsError, with the way in, for a file that holds no weights of PyTorch: a pointer of Git LFS, numpy's
    archive, HDF5, a page of the web. arch, kwargs: of the network that it is for."""
    with path.open("rb") as file:
        start = file.read(400)
    if start.startswith(b"version https://git-lfs"):
        raise WeightsError(
            f"{shown(path)} is a Git LFS pointer: the weights themselves were not fetched. git -C "
            f"{shlex.quote(str(path.parent))} lfs pull --include {shlex.quote(path.name)}"
        )
    other = {
        b"\x89HDF": "HDF5, as Keras writes it: save the network with PyTorch",
        b"<": "a page of the web: fetch it again",
    }
    if kind := next((kind for magic, kind in other.items() if start.lstrip().startswith(magic)), ""):
        raise WeightsError(f"{shown(path)} holds no weights of PyTorch; it is {kind}.")
    if not is_zipfile(path):
        return
    with ZipFile(path) as archive:
        names = archive.namelist()
    if names and all(member.endswith(".npy") for member in names):
        target, name = path.with_suffix(".safetensors"), arch.removeprefix("timm:") or "vit_base_patch16_224"
        line = _python(
            f"import numpy, timm, safetensors.torch as st; f = {json.dumps(str(path))}; a = numpy.load(f); "
            'n = len(a["head/bias"]) if "head/bias" in a else 0; p = "Transformer/posembed_input/pos_embedding"; '
            f"m = timm.create_model({json.dumps(name)}, num_classes=n{_words(kwargs or {})}); "
            # timm would interpolate them: another network
            'assert p not in a or a[p].shape == m.pos_embed.shape, "other positions: --arch-option img_size=..."; '
            f"m.load_pretrained(f); st.save_file(m.state_dict(), {json.dumps(str(target))})"
        )
        raise WeightsError(
            f"{shown(path)} is numpy's archive (.npz) of {len(names)} arrays, as JAX and Flax write weights. timm "
            f"reads those of its ViT, Mixer and BiT: {line} and register {shown(target)}."
        )


def _words(kwargs: Mapping[str, Any]) -> str:
    return "".join(f", {option}={value!r}" for option, value in kwargs.items())


def refuse_folder(folder: Path, arch: str, kwargs: Mapping[str, Any]) -> None:
    """Raise WeightsError, with the line that converts it, for a folder of training code: a distributed checkpoint
    (DCP, FSDP), DeepSpeed, an adapter (PEFT), shards, or plain files among which one is to be named (Accelerate).

    arch, kwargs: as they were given, of the network that the weights are for. Other folders pass."""
    is_whole = is_file(folder / "config.json")
    for inside in (folder, *sorted(filter(is_folder, folder.iterdir()))):
        target, what, line = inside / "weights.pt", "", ""
        if is_file(inside / ".metadata"):
            what = "distributed checkpoint (torch.distributed.checkpoint)"
            line = f"torch.distributed.checkpoint.format_utils dcp_to_torch {shlex.join([str(inside), str(target)])}"
        elif any(inside.glob("*_optim_states.pt")) and any(inside.glob("*_model_states.pt")):
            run = inside.parent if inside == folder else folder
            target, what = run / "fp32" / "model.safetensors", "checkpoint of DeepSpeed"
            line = f"deepspeed.utils.zero_to_fp32 {shlex.join([str(run), str(target.parent), '--tag', inside.name])}"
            line += " --safe_serialization"
        if what:
            raise WeightsError(
                f"{shown(inside)} is a {what}. Convert it once, where you trust it: python -m {line} and register "
                f"{shown(target)}."
            )
    if is_file(folder / "adapter_config.json"):
        raise WeightsError(_adapter(folder, arch, kwargs))
    for index in () if is_file(folder / "model.safetensors") else sorted(folder.glob("*.index.json")):
        target = folder if is_whole else folder / "model.safetensors"
        line = f"{_joined(index)} and register {shown(target)}"
        raise WeightsError(f"{shown(folder)} holds weights in shards ({index.name}). Join them: {line}.")
    files = [
        path for path in sorted(folder.iterdir()) if path.suffix in _SUFFIXES and not path.name.startswith(_OTHERS)
    ]
    if files and not is_whole:
        raise WeightsError(
            f"{shown(folder)} is a folder without config.json, which would say its architecture. Give the file: "
            f"--weights {' or '.join(shlex.quote(str(path)) for path in files[:5])}"
        )


def _joined(index: Path) -> str:
    """The command that makes one file of shards."""
    return _python(
        f"import json, pathlib, torch, safetensors.torch as st; i = pathlib.Path({json.dumps(str(index))}); "
        'files = sorted(set(json.loads(i.read_text())["weight_map"].values())); '
        'read = lambda p: st.load_file(p) if p.suffix == ".safetensors" else torch.load(p, weights_only=True); '
        "s = {n: t for file in files for n, t in read(i.parent / file).items()}; "
        f'st.save_file({_DENSE}, i.parent / "model.safetensors", {{"format": "pt"}})'
    )


def _adapter(folder: Path, arch: str, kwargs: Mapping[str, Any]) -> str:
    """What to do about a folder of PEFT: merge its adapter into the network that it changes."""
    from safetensors import safe_open

    config, file = read_json(folder / "adapter_config.json", "configuration", WeightsError), "adapter_model.safetensors"
    with foreign("adapter", folder, WeightsError), safe_open(folder / file, framework="np") as tensors:
        heads = [f"base_model.model.{part}.weight" for part in config.get("modules_to_save") or ()]
        sizes = [tensors.get_slice(name).get_shape()[0] for name in tensors.keys() if name in heads]  # noqa: SIM118
        base, library = config.get("base_model_name_or_path"), (config.get("auto_mapping") or {}).get("parent_library")
    if str(library).startswith("transformers"):
        classes, target, save = (
            "".join(f", num_labels={n}" for n in sizes[:1]),
            folder / "merged",
            "m.save_pretrained(t)",
        )
        build = f"transformers.AutoModelForImageClassification.from_pretrained({json.dumps(base)}{classes})"
        save = f"b = {json.dumps(base)}; m.save_pretrained(t); "
        save += "transformers.AutoImageProcessor.from_pretrained(b).save_pretrained(t)"
    elif arch.startswith("timm:"):
        classes, target = "".join(f", num_classes={n}" for n in sizes[:1]), folder / "merged.safetensors"
        origin = f"checkpoint_path={json.dumps(base)}" if base and is_file(Path(str(base))) else "pretrained=True"
        build = f"timm.create_model({json.dumps(arch[5:])}, {origin}{classes}{_words(kwargs)})"
        save = "safetensors.torch.save_file(m.state_dict(), t)"
    else:
        return f"{shown(folder)} is an adapter (PEFT): say of which network, --arch timm:NAME."
    code = (
        f"import peft, safetensors.torch, {build.partition('.')[0]}; t = {json.dumps(str(target))}; "
        f"m = peft.PeftModel.from_pretrained({build}, {json.dumps(str(folder))}).merge_and_unload(); {save}"
    )
    given = f"--weights {target}" if target.suffix else f"--arch hf:{target}"
    return (
        f"{shown(folder)} is an adapter (PEFT) without the network that it changes. Merge them: {_python(code)} and "
        f"register {shown(given)}."
    )
