"""Files as the field's own libraries write them: registered right, or refused with a line that works when pasted.

Each row of `ROWS` is a row of the table in docs/models.md."""

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import nn

from registry.errors import BenchError
from registry.loading import load_model
from registry.register import register

pytestmark = pytest.mark.slow
HALF = {"size": 32, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


def lively(network: nn.Module) -> nn.Module:
    """A network none of whose statistics is what it starts with."""
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_var"):
                tensor.copy_(1 + torch.rand(tensor.shape, generator=draw))
            elif tensor.is_floating_point():
                tensor.copy_(tensor + 0.1 * torch.randn(tensor.shape, generator=draw))
    return network.eval()


def resnet(**more: Any) -> nn.Module:
    return lively(timm.create_model("test_resnet", **{"num_classes": 9, **more}))


def vit(**more: Any) -> nn.Module:
    return lively(timm.create_model("test_vit", **{"num_classes": 9, "img_size": 32, **more}))


def plain(network: nn.Module) -> nn.Module:
    """The network that weights stand beside which are not to be taken."""
    other = timm.create_model("test_resnet", num_classes=9)
    other.load_state_dict({name: tensor * 0 for name, tensor in network.state_dict().items()})
    return other


@dataclass(frozen=True)
class Row:
    """A file of a library: how it is written, the architecture that it is registered with, and what a refusal says.

    write: from the network and a folder to the file or folder, with the library's own code; network: whose answers are
    expected; given: options of the registration; refused: a pattern, "" where it is registered at once; needs: what
    must be importable; pixels: what the network was shown of an image; within: how close the logits are."""

    write: Callable[[nn.Module, Path], Path]
    arch: str = "timm:test_resnet"
    network: Callable[[], nn.Module] = resnet
    given: dict[str, Any] = field(default_factory=dict)
    refused: str = ""
    needs: tuple[str, ...] = ()
    within: float = 1e-4
    pixels: Callable[[torch.Tensor], torch.Tensor] = lambda images: images


def built(row: Row) -> nn.Module:
    """The row's network, each time the same."""
    torch.manual_seed(0)
    return row.network()


def saved(wrap: Callable[[nn.Module], Any], name: str = "net.pt") -> Callable[[nn.Module, Path], Path]:
    """A writer: `torch.save` of what a training script makes of its network."""

    def write(network: nn.Module, folder: Path) -> Path:
        torch.save(wrap(network), folder / name)
        return folder / name

    return write


def process_group(wrap: Callable[[nn.Module, Path], Path]) -> Callable[[nn.Module, Path], Path]:
    """A writer within a group of one process."""

    def write(network: nn.Module, folder: Path) -> Path:
        import torch.distributed as dist

        dist.init_process_group("gloo", init_method=f"file://{folder / 'group'}", rank=0, world_size=1)
        try:
            return wrap(network, folder)
        finally:
            dist.destroy_process_group()

    return write


# timm


def timm_script(network: nn.Module, folder: Path, *, averaged: bool) -> Path:
    from timm.utils import CheckpointSaver, ModelEmaV3

    model = plain(network) if averaged else network
    average = ModelEmaV3(network) if averaged else None
    args = argparse.Namespace(model="test_resnet", lr=0.1, mean=None)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    saver = CheckpointSaver(model, optimizer, args=args, model_ema=average, checkpoint_dir=str(folder))
    saver.save_checkpoint(3, metric=0.7)
    return folder / "last.pth.tar"


def timm_average(network: nn.Module) -> Any:
    from timm.utils import ModelEmaV3

    return ModelEmaV3(network).state_dict()


def shards(network: nn.Module, folder: Path) -> Path:
    from huggingface_hub import save_torch_state_dict

    (folder / "whole").mkdir()
    save_torch_state_dict(network.state_dict(), str(folder / "whole"), max_shard_size=400_000)
    return folder / "whole"


def numpy_archive(network: nn.Module, folder: Path) -> Path:
    """As Flax's ViT has it, of which timm reads the names."""
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    width, heads = 64, network.blocks[0].attn.num_heads
    out = {
        "embedding/kernel": state["patch_embed.proj.weight"].transpose(2, 3, 1, 0),
        "embedding/bias": state["patch_embed.proj.bias"],
        "cls": state["cls_token"],
        "Transformer/posembed_input/pos_embedding": state["pos_embed"],
        "Transformer/encoder_norm/scale": state["norm.weight"],
        "Transformer/encoder_norm/bias": state["norm.bias"],
        "head/kernel": state["head.weight"].T,
        "head/bias": state["head.bias"],
    }
    for i in range(len(network.blocks)):
        ours, theirs = f"blocks.{i}.", f"Transformer/encoderblock_{i}/"
        for number, norm in ((1, "LayerNorm_0"), (2, "LayerNorm_2")):
            out[f"{theirs}{norm}/scale"] = state[f"{ours}norm{number}.weight"]
            out[f"{theirs}{norm}/bias"] = state[f"{ours}norm{number}.bias"]
        weights = np.split(state[f"{ours}attn.qkv.weight"], 3)
        biases = np.split(state[f"{ours}attn.qkv.bias"], 3)
        attention = f"{theirs}MultiHeadDotProductAttention_1/"
        for name, weight, bias in zip(("query", "key", "value"), weights, biases, strict=True):
            out[f"{attention}{name}/kernel"] = weight.T.reshape(width, heads, -1)
            out[f"{attention}{name}/bias"] = bias.reshape(heads, -1)
        out[f"{attention}out/kernel"] = state[f"{ours}attn.proj.weight"].T.reshape(heads, -1, width)
        out[f"{attention}out/bias"] = state[f"{ours}attn.proj.bias"]
        for number in (0, 1):
            out[f"{theirs}MlpBlock_3/Dense_{number}/kernel"] = state[f"{ours}mlp.fc{number + 1}.weight"].T
            out[f"{theirs}MlpBlock_3/Dense_{number}/bias"] = state[f"{ours}mlp.fc{number + 1}.bias"]
    np.savez(folder / "vit.npz", **out)
    return folder / "vit.npz"


# torch and torchvision


def torchvision_script(network: nn.Module, *, averaged: bool) -> Any:
    """As references/classification/train.py saves it."""
    model = torchvision.models.resnet18(num_classes=9) if averaged else network
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    checkpoint = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 30).state_dict(),
        "epoch": 89,
        "args": argparse.Namespace(model="resnet18", train_crop_size=176, output_dir=Path("runs")),
    }
    return checkpoint | ({"model_ema": torch.optim.swa_utils.AveragedModel(network).state_dict()} if averaged else {})


def checkpointed(network: nn.Module) -> Any:
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import apply_activation_checkpointing

    apply_activation_checkpointing(network, check_fn=lambda part: isinstance(part, timm.models.resnet.BasicBlock))
    # named as the parameters are: a state dict's own names are without the wrapper
    state = dict(network.named_parameters()) | dict(network.named_buffers())
    return {"model": {name: tensor.detach() for name, tensor in state.items()}}


def distributed(network: nn.Module, folder: Path) -> Path:
    wrapped = nn.parallel.DistributedDataParallel(network)
    torch.save({"net": wrapped.state_dict(), "acc": 71.3, "epoch": 3}, folder / "ckpt.pth")
    return folder / "ckpt.pth"


def sharded(network: nn.Module, folder: Path) -> Path:
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor

    fully_shard(network)
    state = {"model": network.state_dict(), "step": 7}
    assert any(isinstance(tensor, DTensor) for tensor in state["model"].values())
    torch.save(state, folder / "rank0.pt")
    return folder / "rank0.pt"


def wrapped_by_fsdp(network: nn.Module) -> Any:
    """An average under the names of a network that FSDP and torch.compile hold."""
    prefix = "_fsdp_wrapped_module._orig_mod."
    return {"ema": {prefix + name: tensor for name, tensor in network.state_dict().items()}}


def distributed_checkpoint(network: nn.Module, folder: Path) -> Path:
    import torch.distributed.checkpoint as dcp

    dcp.save({"model": network.state_dict(), "step": 3}, checkpoint_id=folder / "step-3")
    return folder / "step-3"


def quantised(network: nn.Module) -> Any:
    return torch.ao.quantization.quantize_dynamic(network, {nn.Linear}, dtype=torch.qint8).state_dict()


def weight_normed(network: nn.Module, norm: Callable[[nn.Module], nn.Module]) -> Any:
    norm(network.fc)
    state = network.state_dict()
    assert "fc.weight" not in state
    return {"state_dict": state}


def scripted(network: nn.Module, folder: Path) -> Path:
    torch.jit.trace(network, torch.rand(1, 3, 32, 32)).save(folder / "net.pt")
    return folder / "net.pt"


ROWS: dict[str, Row] = {
    "timm train.py": Row(partial(timm_script, averaged=False)),
    "timm train.py --model-ema": Row(partial(timm_script, averaged=True)),
    "timm ModelEmaV3": Row(saved(timm_average)),
    "timm ViT, global_pool=avg": Row(
        saved(lambda network: network.state_dict()), "timm:test_vit", partial(vit, global_pool="avg"),
        given={"arch_option": ["img_size=32"]}, refused="--arch-option global_pool=avg",
    ),
    "timm ViT, another img_size": Row(
        saved(lambda network: network.state_dict()), "timm:test_vit", vit,
        refused="pos_embed.*--arch-option img_size=32",
    ),
    "timm, in_chans=1": Row(
        saved(lambda network: {"state_dict": network.state_dict()}), network=partial(resnet, in_chans=1),
        refused="conv1.0 takes 1 channels.*python -c",
        pixels=lambda images: (images * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True),
    ),
    "timm in shards": Row(shards, refused="shards.*python -c"),
    "Flax ViT (.npz)": Row(
        numpy_archive, "timm:test_vit", vit, given={"arch_option": ["img_size=32"]},
        refused=r"numpy's archive.*python -c",
    ),
    "torchvision train.py": Row(
        saved(partial(torchvision_script, averaged=False), "checkpoint.pth"), "torchvision:resnet18",
        lambda: lively(torchvision.models.resnet18(num_classes=9)),
    ),
    "torchvision train.py --model-ema": Row(
        saved(partial(torchvision_script, averaged=True), "checkpoint.pth"), "torchvision:resnet18",
        lambda: lively(torchvision.models.resnet18(num_classes=9)),
    ),
    "torch.save(network)": Row(saved(lambda network: network), refused="python -c"),
    "network beside ema=None": Row(saved(lambda network: {"ema": None, "model": network}), refused="python -c"),
    "torch.compile": Row(saved(lambda network: torch.compile(network).state_dict())),
    "AveragedModel": Row(saved(lambda network: torch.optim.swa_utils.AveragedModel(network).state_dict())),
    "activation checkpointing": Row(saved(checkpointed)),
    "FSDP's names": Row(saved(wrapped_by_fsdp)),
    "DistributedDataParallel": Row(process_group(distributed)),
    "fully_shard (DTensor)": Row(process_group(sharded)),
    "torch.distributed.checkpoint": Row(distributed_checkpoint, refused="dcp_to_torch"),
    "quantize_dynamic": Row(saved(quantised), refused="python -c", within=0.02),
    "weight_norm": Row(saved(partial(weight_normed, norm=nn.utils.weight_norm))),
    "parametrizations.weight_norm": Row(saved(partial(weight_normed, norm=nn.utils.parametrizations.weight_norm))),
    "torch.jit.save": Row(scripted, refused="TorchScript.*python -c"),
}  # fmt: skip


def advised(message: str, folder: Path) -> dict[str, Any]:
    """What a refusal says to do, done: a line of Python is run in a shell; the options of the next registration."""
    options: dict[str, Any] = {}
    if line := re.search(r"(python -[cm] .+?) and register (?:--weights )?(\S+?)\.?(?= |$)", message):
        command = line[1].replace("python", shlex.quote(sys.executable), 1)
        done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        options["weights"] = Path(line[2])
        message = message.replace(line[0], "")
    words = shlex.split(message.rpartition(": ")[2] if "--weights" in message else message[message.find("--") :])
    for word, value in pairwise(words):
        value = value.rstrip(".,")
        if word in ("--key", "--ignore"):
            options.setdefault(word[2:], value)
        elif word == "--arch-option":
            options.setdefault("arch_option", []).append(value)
        elif word == "--weights":
            options.setdefault("weights", Path(value))
    return options


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ROWS)
def test_a_file_of_the_field(name, nine, folders, tmp_path):
    row = ROWS[name]
    for module in row.needs:
        pytest.importorskip(module, reason=f"{module} is not installed")
    place = tmp_path / "run"
    place.mkdir()
    path = row.write(built(row), place)
    asked = {**HALF, "labels": nine, "weights": path, **row.given}
    if row.refused:
        with pytest.raises(BenchError, match=row.refused) as caught:
            register("mine", row.arch, **asked, **folders)
        message = str(caught.value)
        assert "\n" not in message
        more = advised(message, tmp_path)
        assert more, message
        more["arch_option"] = [*asked.get("arch_option", ()), *more.get("arch_option", ())]
        asked |= more
    card, _ = register("mine", row.arch, **asked, **folders)
    images = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    answers = load_model(card, folders["place"]).forward(images)
    with torch.no_grad():
        expected = built(row)((row.pixels(images) - 0.5) / 0.5)
    assert torch.allclose(answers, expected, atol=row.within, rtol=row.within)
    if row.within < 0.01:
        assert torch.equal(answers.argmax(1), expected.argmax(1))
