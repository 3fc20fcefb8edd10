"""Files as the field's own libraries write them: registered right, or refused with a line that works when pasted.

docs/models.md names the libraries."""

import argparse
import copy
import os
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
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from torch import nn

from benchmark.cli import cli
from registry.cards import read_cards
from registry.errors import BenchError
from registry.files import Place
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
    """The same network with other weights, which are not to be taken; the statistics of batch norms are the same."""
    other = copy.deepcopy(network)
    with torch.no_grad():
        for tensor in other.parameters():
            tensor.zero_()
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


def exported(network: nn.Module, folder: Path) -> Path:
    torch.export.save(torch.export.export(network, (torch.rand(2, 3, 32, 32),)), folder / "net.pt2")
    return folder / "net.pt2"


def expecting(network: nn.Module, folder: Path) -> None:
    """These weights are the right answer, and not those that the row's network began with."""
    save_file({name: tensor.clone() for name, tensor in network.state_dict().items()}, folder / "expected.safetensors")


# Lightning, and averages


def lightning(network: nn.Module, folder: Path, *, average: str = "", second: str = "") -> Path:
    import pytorch_lightning as pl

    class Classifier(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.save_hyperparameters({"lr": 0.1})
            self.model = plain(network) if average else network
            if average:
                setattr(self, average, LitEma(network))
            if second:
                setattr(self, second, plain(network))
            self.criterion = nn.CrossEntropyLoss(torch.ones(9))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.1)

    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.strategy.connect(Classifier())
    trainer.save_checkpoint(folder / "last.ckpt")
    return folder / "last.ckpt"


class LitEma(nn.Module):
    """As latent-diffusion's: parameters alone, in buffers, whose names may have no dot."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.register_buffer("decay", torch.tensor(0.9999))
        self.register_buffer("num_updates", torch.tensor(0))
        for name, tensor in network.named_parameters():
            self.register_buffer(name.replace(".", ""), tensor.detach().clone())


def lightning_average(network: nn.Module, folder: Path) -> Path:
    """Trained for two steps with Lightning's own average of weights."""
    import pytorch_lightning as pl
    from pytorch_lightning.callbacks import ModelCheckpoint
    from pytorch_lightning.callbacks.weight_averaging import EMAWeightAveraging

    class Classifier(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = network

        def training_step(self, batch: Any) -> torch.Tensor:
            return nn.functional.cross_entropy(self.model(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.1)

    average = EMAWeightAveraging(decay=0.5)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    keep = ModelCheckpoint(folder, "last", save_last=False, monitor=None)
    trainer = pl.Trainer(max_steps=2, callbacks=[average, keep], default_root_dir=folder, **quiet)
    images = torch.utils.data.TensorDataset(torch.rand(4, 3, 32, 32), torch.arange(4))
    trainer.fit(Classifier(), torch.utils.data.DataLoader(images, batch_size=2))
    content = torch.load(keep.best_model_path, weights_only=False)
    weights = {name.removeprefix("model."): tensor for name, tensor in content["state_dict"].items()}
    assert any(not torch.equal(weights[name[6:]], tensor) for name, tensor in content["current_model_state"].items())
    save_file(weights, folder / "expected.safetensors")
    return Path(keep.best_model_path)


def shadow_list(network: nn.Module, *, beside: bool) -> Any:
    from torch_ema import ExponentialMovingAverage

    average = ExponentialMovingAverage(network.parameters(), decay=0.9)
    if not beside:
        return average.state_dict()
    return {"model": plain(network).state_dict(), "ema": average.state_dict()}


def ema_pytorch(network: nn.Module) -> Any:
    from ema_pytorch import EMA

    average = EMA(plain(network), ema_model=network, include_online_model=True)
    return {"step": 7, "ema": average.state_dict()}


# Accelerate, PEFT, DeepSpeed


def accelerated(network: nn.Module, folder: Path, *, whole: bool) -> Path:
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    model, _ = accelerator.prepare(network, torch.optim.SGD(network.parameters(), 0.1))
    if whole:
        accelerator.save_state(str(folder / "state"))
    else:
        accelerator.save_model(model, str(folder / "state"), max_shard_size="400KB")
    return folder / "state"


def adapter(network: nn.Module, folder: Path) -> Path:
    from peft import LoraConfig, get_peft_model

    save_file(network.state_dict(), folder / "base.safetensors")
    network.name_or_path = str(folder / "base.safetensors")
    model = get_peft_model(network, LoraConfig(target_modules=["qkv"], modules_to_save=["head"], r=2))
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if "lora_B" in name:
                tensor.normal_()
    model.save_pretrained(str(folder / "adapter"))
    expecting(model.merge_and_unload(), folder)
    return folder / "adapter"


class Logits(nn.Module):
    """A classifier of transformers as a plain network."""

    def __init__(self) -> None:
        super().__init__()
        from transformers import ViTConfig, ViTForImageClassification

        size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
        self.inner = ViTForImageClassification(ViTConfig(image_size=32, patch_size=16, num_labels=9, **size))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.inner(images).logits


def adapter_of_transformers(network: nn.Module, folder: Path) -> Path:
    from peft import LoraConfig, get_peft_model
    from transformers import ViTImageProcessor

    network.inner.save_pretrained(folder / "base")
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder / "base")
    base = type(network.inner).from_pretrained(folder / "base")
    config = LoraConfig(target_modules=["classifier"], r=2, init_lora_weights=False)
    model = get_peft_model(base, config)
    model.save_pretrained(str(folder / "adapter"))
    network.inner = model.merge_and_unload()
    expecting(network, folder)
    return folder / "adapter"


def zero(network: nn.Module, folder: Path, *, stage: int) -> Path:
    import deepspeed

    sys.modules["deepspeed.comm.torch"].build_shm_op = lambda: None  # it would be compiled, and is not needed
    os.environ.update(RANK="0", WORLD_SIZE="1", LOCAL_RANK="0", MASTER_ADDR="127.0.0.1", MASTER_PORT="29541")
    deepspeed.init_distributed("gloo", auto_mpi_discovery=False)
    config = {
        "train_batch_size": 1, "zero_optimization": {"stage": stage}, "zero_allow_untested_optimizer": True,
    }  # fmt: skip
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    engine, *_ = deepspeed.initialize(model=network, optimizer=optimizer, config=config)
    engine.save_checkpoint(str(folder / "run"))
    return folder / "run"


# self-supervised, and toolboxes


def masked_autoencoder(network: nn.Module) -> Any:
    from lightly.models.modules.masked_autoencoder_timm import MAEDecoderTIMM

    decoder = MAEDecoderTIMM(4, 16, embed_dim=64, decoder_embed_dim=32, decoder_depth=1, decoder_num_heads=2)
    state = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("head.")}
    return {"model": state | {f"decoder.{name}": t for name, t in decoder.state_dict().items()}, "epoch": 799}


def dino(network: nn.Module) -> Any:
    """As DINO's own script, with heads of lightly."""
    from lightly.models.modules import DINOProjectionHead

    network.reset_classifier(0)
    student, teacher = (nn.Module(), nn.Module())
    for module, backbone in ((student, plain(network)), (teacher, network)):
        module.backbone, module.head = backbone, DINOProjectionHead(64, 32, 16, 128)
    states = {"student": {f"module.{name}": t for name, t in student.state_dict().items()}}
    return states | {"teacher": teacher.state_dict(), "dino_loss": {"center": torch.zeros(1, 128)}, "epoch": 99}


def momentum_contrast(network: nn.Module) -> Any:
    """As MoCo v2's script, with heads of lightly."""
    from lightly.models.modules import MoCoProjectionHead

    network.fc = MoCoProjectionHead(96, 96, 32).layers
    model = nn.Module()
    model.encoder_q, model.encoder_k = network, plain(network)
    model.register_buffer("queue", torch.randn(32, 64))
    return {"arch": "resnet", "state_dict": {f"module.{name}": t for name, t in model.state_dict().items()}}


def openmmlab(network: nn.Module, folder: Path, *, neck: bool) -> Path:
    """As MMPretrain's runner saves a network, by its own function."""
    from mmengine.runner import save_checkpoint

    model = nn.Module()
    model.backbone, model.head = network, nn.Module()
    model.head.fc, network.fc = network.fc, nn.Identity()
    if neck:
        model.neck, model.head = nn.Linear(96, 8), nn.Module()
    message_hub = {"log_scalars": {}}
    content = {"meta": {"epoch": 3}, "state_dict": model.state_dict(), "message_hub": message_hub}
    save_checkpoint(content, str(folder / "e.pth"))
    return folder / "e.pth"


def with_more(network: nn.Module, *, inside: bool) -> Any:
    state = {f"backbone.{name}" if not inside else name: tensor for name, tensor in network.state_dict().items()}
    return {"state_dict": {**state, "projector.0.weight": torch.ones(4, 4), "prototypes": torch.ones(3)}}


def renamed(network: nn.Module) -> Any:
    return {name.replace("fc.", "head.fc."): tensor for name, tensor in network.state_dict().items()}


def pointer(network: nn.Module, folder: Path) -> Path:
    """A repository whose large file was not fetched; `git lfs` itself stands beside it as a script."""
    path = folder / "net.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 1500000\n")
    save_file(network.state_dict(), folder / "real")
    (folder / "git-lfs").write_text(f'#!/bin/sh\ncp {folder}/real "$3"\n')
    (folder / "git-lfs").chmod(0o755)
    subprocess.run(["git", "init", "-q", folder], check=True)
    return path


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
        refused="conv1.0 has input channels: 1.*python -c",
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
    "torch.export.save": Row(exported, refused="--arch export", given={"size": 32}),
    "Lightning": Row(partial(lightning), needs=("pytorch_lightning",)),
    "Lightning with LitEma": Row(partial(lightning, average="model_ema"), needs=("pytorch_lightning",)),
    "Lightning, two networks": Row(
        partial(lightning, second="net_b"), refused="2 networks fit alike.*model or --key state_dict.net_b",
        needs=("pytorch_lightning",),
    ),
    "Lightning's EMAWeightAveraging": Row(
        lightning_average, "timm:test_vit", vit, given={"arch_option": ["img_size=32"]}, needs=("pytorch_lightning",)
    ),
    "torch_ema beside the network": Row(saved(partial(shadow_list, beside=True)), needs=("torch_ema",)),
    "torch_ema of a ViT alone": Row(
        saved(partial(shadow_list, beside=False)), "timm:test_vit", vit, given={"arch_option": ["img_size=32"]},
        needs=("torch_ema",),
    ),
    "ema-pytorch": Row(saved(ema_pytorch), needs=("ema_pytorch",)),
    "accelerate save_state": Row(
        partial(accelerated, whole=True), refused="--weights .*model.safetensors", needs=("accelerate",)
    ),
    "accelerate save_model": Row(
        partial(accelerated, whole=False), refused="in shards.*python -c", needs=("accelerate",)
    ),
    "peft on timm": Row(
        adapter, "timm:test_vit", vit, given={"arch_option": ["img_size=32"]}, refused="adapter.*python -c",
        needs=("peft",),
    ),
    "peft on transformers": Row(
        adapter_of_transformers, "", lambda: lively(Logits()), refused="adapter.*python -c",
        needs=("peft", "transformers"),
    ),
    "DeepSpeed ZeRO-2": Row(partial(zero, stage=2), refused="zero_to_fp32", needs=("deepspeed",)),
    "DeepSpeed ZeRO-3": Row(partial(zero, stage=3), refused="zero_to_fp32", needs=("deepspeed",)),
    "MAE": Row(
        saved(masked_autoencoder), "timm:test_vit", vit, given={"arch_option": ["img_size=32"]},
        refused="backbone.*--probe world", needs=("lightly",),
    ),
    "DINO": Row(
        saved(dino), "timm:test_vit", vit, given={"arch_option": ["img_size=32"]}, refused="backbone.*--probe world",
        needs=("lightly",),
    ),
    "MoCo": Row(saved(momentum_contrast), refused="backbone.*--probe world", needs=("lightly",)),
    "MMPretrain, self-supervised": Row(
        partial(openmmlab, neck=True), refused="backbone.*--probe world", needs=("mmengine",)
    ),
    "MMPretrain": Row(partial(openmmlab, neck=False), refused="'fc' is 'head.fc'.*python -c", needs=("mmengine",)),
    "a head of another name": Row(saved(renamed), refused="'fc' is 'head.fc'.*python -c"),
    "more than the network, beside it": Row(
        saved(partial(with_more, inside=False)), refused="--key state_dict.backbone"
    ),
    "more than the network": Row(saved(partial(with_more, inside=True)), refused="--ignore 'projector..,prototypes'"),
    "a Git LFS pointer": Row(pointer, refused="Git LFS pointer.*git -C"),
    "torch.jit.save": Row(scripted, refused="TorchScript.*python -c"),
}  # fmt: skip


def pasted(command: str, folder: Path) -> None:
    """A line as it is pasted: a shell splits it; Python's and bench's are carried out here, where torch is loaded."""
    there = os.environ | {"BENCH_HOME": str(folder / "home"), "PATH": f"{folder / 'run'}:{os.environ['PATH']}"}
    words = shlex.split(command)
    if words[0] == "bench" or words[:2] == ["python", "-c"]:
        shell = ["bash", "-c", f"printf '%s\\0' {command}"]
        assert subprocess.run(shell, capture_output=True, text=True, check=True).stdout.split("\0") == [*words, ""]
    with pytest.MonkeyPatch.context() as patch:
        if words[0] == "bench":
            patch.setenv("BENCH_HOME", there["BENCH_HOME"])
            patch.chdir(folder)
            ended = CliRunner().invoke(cli, words[1:])
            assert ended.exit_code == 0, ended.output
        elif words[:2] == ["python", "-c"]:
            patch.chdir(folder)
            exec(words[2], {"__name__": "__main__"})
        else:
            command = re.sub("^python", shlex.quote(sys.executable), command)
            done = subprocess.run(
                command, shell=True, cwd=folder, capture_output=True, text=True, check=False, env=there
            )
            assert done.returncode == 0, done.stderr


def advised(message: str, folder: Path) -> dict[str, Any]:
    """What a refusal says to do, done: a line is pasted; the options of the next registration."""
    options: dict[str, Any] = {}
    if line := re.search(r"(python -[cm] .+?) and register (?:--weights |--arch )?(\S+?)\.?(?= |$)", message):
        pasted(line[1], folder)
        return {"weights": Path(line[2])} if "--arch " not in line[0] else {"arch": line[2], "weights": None}
    if line := re.search(r"git -C .*", message):
        pasted(line[0], folder)
        return {"again": True}
    words = shlex.split(re.sub(r"(?<=\S)[.;]? (?=fits|leaves|to |or )", " ", message[message.find(" --") :]))
    for word, value in pairwise(words):
        value = value.rstrip(".,")
        if word in ("--key", "--ignore", "--arch"):
            options.setdefault(word[2:], value)
        elif word == "--arch-option":
            options.setdefault("arch_option", []).append(value)
        elif word == "--weights":
            options.setdefault("weights", Path(value))
    return options


def assert_probed(message: str, row: Row, folder: Path) -> None:
    """The line fits a head to the features of the row's network."""
    pasted(f"{re.search('bench register .*--probe world', message)[0]} --limit 96", folder)
    card = read_cards(folder / "home" / "cards")["mine"]
    backbone = load_model(card, Place(folder)).module.backbone.state_dict()
    expected = built(row)
    expected.reset_classifier(0)
    state = expected.state_dict()
    assert backbone.keys() == state.keys()
    assert all(torch.equal(backbone[name], tensor) for name, tensor in state.items())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ROWS)
def test_a_file_of_the_field(name, nine, folders, tmp_path):
    row = ROWS[name]
    for module in row.needs:
        pytest.importorskip(module, reason=f"{module} is not installed")
    place = tmp_path / "run"
    place.mkdir()
    path = row.write(built(row), place)
    asked = {"arch": row.arch, **HALF, "labels": nine, "weights": path, **row.given}
    if row.refused:
        with pytest.raises(BenchError, match=row.refused) as caught:
            register("mine", **asked, **folders)
        message = str(caught.value)
        assert "\n" not in message
        if "--probe" in message:
            assert_probed(message, row, tmp_path)
            return
        more = advised(message, tmp_path)
        assert more, message
        more.pop("again", None)
        more["arch_option"] = [*asked.get("arch_option", ()), *more.get("arch_option", ())]
        asked |= more
    card, _ = register("mine", **asked, **folders)
    expected = built(row)
    if (place / "expected.safetensors").exists():
        expected.load_state_dict(load_file(place / "expected.safetensors"))
    images = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    answers = load_model(card, folders["place"]).forward(images)
    with torch.no_grad():
        logits = expected((row.pixels(images) - 0.5) / 0.5)
    assert torch.allclose(answers, logits, atol=row.within, rtol=row.within)
    if row.within < 0.01:
        assert torch.equal(answers.argmax(1), logits.argmax(1))
