"""Files and folders of weights that are not read here: what each is, and the line that makes a readable file of it."""

from __future__ import annotations

import json
import re
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
    name = shown(path)
    if start.startswith(b"version https://git-lfs"):
        size = re.search(rb"\nsize (\d{1,18})\n", start)
        raise WeightsError(
            f"{name} is a Git LFS pointer: the {int(size[1]) if size else 'real'} bytes of weights were not fetched. "
            f"git -C {shlex.quote(str(path.parent))} lfs pull --include {shlex.quote(path.name)}"
        )
    if start.startswith(b"\x89HDF\r\n"):
        raise WeightsError(f"{name} is HDF5, as Keras writes it, not PyTorch: build the network there and export it.")
    if start.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
        raise WeightsError(
            f"{name} is a page of the web, not weights: the download answered with text. Fetch it again."
        )
    if not is_zipfile(path):
        return
    with ZipFile(path) as archive:
        names = archive.namelist()
    if names and all(member.endswith(".npy") for member in names):
        raise WeightsError(
            f"{name} is numpy's archive (.npz) of {len(names)} arrays, as JAX and Flax write weights, not PyTorch. "
            f"timm reads those of its ViT, Mixer and BiT: {_from_numpy(path, arch, kwargs or {})}."
        )


def _from_numpy(path: Path, arch: str, kwargs: Mapping[str, Any]) -> str:
    target, places = path.with_suffix(".safetensors"), "Transformer/posembed_input/pos_embedding"
    name = arch.removeprefix("timm:") or "vit_base_patch16_224"
    return (
        _python(
            f"import numpy, timm, safetensors.torch as st; f = {json.dumps(str(path))}; a = numpy.load(f); "
            f'n = len(a["head/bias"]) if "head/bias" in a else 0; p = {json.dumps(places)}; '
            f"m = timm.create_model({json.dumps(name)}, num_classes=n{_words(kwargs)}); "
            # timm would interpolate them: another network
            'assert p not in a or a[p].shape == m.pos_embed.shape, "other positions: --arch-option img_size=..."; '
            f"m.load_pretrained(f); st.save_file(m.state_dict(), {json.dumps(str(target))})"
        )
        + f" and register {shown(target)}"
    )


def refuse_folder(folder: Path, arch: str, kwargs: Mapping[str, Any]) -> None:
    """Raise WeightsError, with the line that converts it, for a folder of training code: a distributed checkpoint
    (DCP, FSDP), DeepSpeed, an adapter (PEFT), shards, or plain files among which one is to be named (Accelerate).

    arch, kwargs: as they were given, of the network that the weights are for. Other folders pass."""
    name = shown(folder)
    for inside in (folder, *sorted(filter(is_folder, folder.iterdir()))):
        if is_file(inside / ".metadata"):
            target = inside / "weights.pt"
            raise WeightsError(
                f"{shown(inside)} is a distributed checkpoint (torch.distributed.checkpoint). Convert it once, where "
                "you trust it: python -m torch.distributed.checkpoint.format_utils dcp_to_torch "
                f"{shlex.quote(str(inside))} {shlex.quote(str(target))} and register {shown(target)}."
            )
        if sorted(inside.glob("*_optim_states.pt")) and sorted(inside.glob("*_model_states.pt")):
            whole = inside.parent if inside == folder else folder
            target = whole / "fp32"
            raise WeightsError(
                f"{name} is a checkpoint of DeepSpeed. Convert it once, where you trust it: python -m "
                f"deepspeed.utils.zero_to_fp32 {shlex.quote(str(whole))} {shlex.quote(str(target))} --tag "
                f"{shlex.quote(inside.name)} --safe_serialization and register {shown(target / 'model.safetensors')}."
            )
    if is_file(folder / "adapter_config.json"):
        raise WeightsError(_adapter(folder, arch, kwargs))
    for index in sorted(folder.glob("*.index.json")):
        code = (
            "import json, pathlib, torch, safetensors.torch as st; "
            f"d = pathlib.Path({json.dumps(str(folder))}); "
            f'files = sorted(set(json.loads((d / {json.dumps(index.name)}).read_text())["weight_map"].values())); '
            'read = lambda p: st.load_file(p) if p.suffix == ".safetensors" else torch.load(p, weights_only=True); '
            "s = {n: t for file in files for n, t in read(d / file).items()}; "
            f'st.save_file({_DENSE}, d / "model.safetensors", {{"format": "pt"}})'
        )
        target = folder if is_file(folder / "config.json") else folder / "model.safetensors"
        if not is_file(folder / "model.safetensors"):
            raise WeightsError(
                f"{name} holds weights in shards ({index.name}). Join them: {_python(code)} and "
                f"register {shown(target)}."
            )
    weights = [path for end in ("safetensors", "bin", "pt", "pth", "ckpt") for path in sorted(folder.glob(f"*.{end}"))]
    weights = [path for path in weights if not re.match("optimizer|scheduler|sampler|random_states|scaler", path.name)]
    if weights and not is_file(folder / "config.json"):
        raise WeightsError(
            f"{name} is a folder without config.json, which would say its architecture. Give the file: --weights "
            f"{' or '.join(shlex.quote(str(path)) for path in weights[:5])}"
        )


def _adapter(folder: Path, arch: str, kwargs: Mapping[str, Any]) -> str:
    """What to do about a folder of PEFT: merge its adapter into the network that it changes."""
    from safetensors import safe_open

    config = read_json(folder / "adapter_config.json", "configuration", WeightsError)
    config = config if isinstance(config, dict) else {}
    base, library = config.get("base_model_name_or_path"), str((config.get("auto_mapping") or {}).get("parent_library"))
    outputs, file = "", folder / "adapter_model.safetensors"
    with foreign("adapter", file, WeightsError), safe_open(file, framework="np") as tensors:
        for part in config.get("modules_to_save") or ():
            if (name := f"base_model.model.{part}.weight") in tensors.keys():  # noqa: SIM118 - no mapping
                outputs = str(tensors.get_slice(name).get_shape()[0])
    merged = f"peft.PeftModel.from_pretrained(m, {json.dumps(str(folder))}).merge_and_unload()"
    if library.startswith("transformers") or arch.startswith("hf:"):
        target = folder / "merged"
        code = (
            "import peft; from transformers import AutoImageProcessor, AutoModelForImageClassification as A; "
            f"b = {json.dumps(str(base or arch.removeprefix('hf:')))}; "
            f"m = A.from_pretrained(b{outputs and f', num_labels={outputs}'}); "
            f"{merged}.save_pretrained({json.dumps(str(target))}); "
            f"AutoImageProcessor.from_pretrained(b).save_pretrained({json.dumps(str(target))})"
        )
        given = f"--arch hf:{target}"
    elif arch.startswith("timm:"):
        target = folder / "merged.safetensors"
        own = base and is_file(Path(str(base)))
        origin = f"checkpoint_path={json.dumps(base)}" if own else "pretrained=True"
        code = (
            "import peft, timm, safetensors.torch as st; "
            f"m = timm.create_model({json.dumps(arch[5:])}, {origin}{outputs and f', num_classes={outputs}'}"
            f"{_words(kwargs)}); st.save_file({merged}.state_dict(), {json.dumps(str(target))})"
        )
        given = f"--weights {target}"
    else:
        return f"{shown(folder)} is an adapter (PEFT): say of which network, --arch timm:NAME or hf:ORG/NAME."
    return (
        f"{shown(folder)} is an adapter (PEFT) without the network that it changes. Merge them: {_python(code)} and "
        f"register {shown(given)}."
    )


def _words(kwargs: Mapping[str, Any]) -> str:
    return "".join(f", {option}={value!r}" for option, value in kwargs.items())
