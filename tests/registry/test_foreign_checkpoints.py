"""Files as the libraries of docs/models.md write them: registered right, or refused with a line that works pasted."""

import argparse
import copy
import os
import pickle
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from math import inf
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import timm
import torch
import torchvision
from click.testing import CliRunner
from registry_builders import HALF, details, under
from safetensors.torch import load_file, save_file
from torch import nn

from benchmark.cli import cli
from registry.cards import read_cards
from registry.files import WeightSources, digest_file
from registry.loading import load_network
from registry.register import register
from registry.user_errors import BenchError

pytestmark = pytest.mark.slow
library = pytest.importorskip


def lively(network):
    """With no statistics of those that it starts with."""
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_var"):
                tensor.copy_(1 + torch.rand(tensor.shape, generator=draw))
            elif tensor.is_floating_point():
                tensor.copy_(tensor + 0.1 * torch.randn(tensor.shape, generator=draw))
    return network.eval()


def resnet(**more):
    return lively(timm.create_model("test_resnet", **{"num_classes": 9, **more}))


def vit(**more):
    return lively(timm.create_model("test_vit", **{"num_classes": 9, "img_size": 32, **more}))


def squeezenet():
    return lively(torchvision.models.squeezenet1_1(num_classes=9))


def plain(network):
    """With other weights, which are not to be taken, and the same statistics of batch norms."""
    other = copy.deepcopy(network)
    with torch.no_grad():
        for tensor in other.parameters():
            tensor.zero_()
    return other


@dataclass(frozen=True)
class Row:
    """A file of a library, how it is registered, and whose answers are expected."""

    write: Callable[[nn.Module, Path], Path]  # with the library's own code
    refused: str = ""  # a pattern, "" where it is registered at once
    arch: str = "timm:test_resnet"
    network: Callable[[], nn.Module] = resnet
    given: dict = field(default_factory=dict)  # options of the registration
    within: float = 1e-4  # how close the logits are

    def built(self):
        torch.manual_seed(0)
        return self.network()


OF_VIT = {"arch": "timm:test_vit", "network": vit, "given": {"arch_option": ["img_size=32"]}}
OF_TORCHVISION = {"arch": "torchvision:squeezenet1_1", "network": squeezenet}


def written(name, save):
    def write(network, folder):
        save(network, folder / name)
        return folder / name

    return write


def saved(wrap, name="net.pt"):
    return written(name, lambda network, path: torch.save(wrap(network), path))


def process_group(wrap):
    def save(network, path):
        group = library("torch.distributed")
        group.init_process_group("gloo", init_method=f"file://{path}.group", rank=0, world_size=1)
        try:
            torch.save(wrap(network), path)
        finally:
            group.destroy_process_group()

    return written("net.pt", save)


def arrays(network):
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def pickled(wrap, protocol=4):
    return written("net.pkl", lambda network, path: path.write_bytes(pickle.dumps(wrap(network), protocol)))


def quantised(network):
    return torch.ao.quantization.quantize_dynamic(network, {nn.Linear}, torch.qint8)


def onnx(decide, batch=None):
    def save(network, path):
        library("onnxruntime")
        network.requires_grad_(False)
        deciding = type("Deciding", (nn.Module,), {"forward": lambda _, images: decide(network(images))})
        axes = {} if batch else {"dynamic_axes": {"images": {0: "n"}}}
        images, names = torch.rand(batch or 2, 3, 32, 32), {"input_names": ["images"]}
        torch.onnx.export(deciding().eval(), images, path, dynamo=False, **names, **axes)

    return written("net.onnx", save)


def shadow_list(network):
    return library("torch_ema").ExponentialMovingAverage(network.parameters(), decay=0.9).state_dict()


def expecting(network, folder):
    """These weights are the right answer, and not those that the row's network began with."""
    save_file({name: tensor.clone() for name, tensor in network.state_dict().items()}, folder / "expected.safetensors")


def timm_script(network, folder, *, averaged):
    from timm.utils import CheckpointSaver, ModelEmaV3

    model = plain(network) if averaged else network
    average = ModelEmaV3(network) if averaged else None
    args = argparse.Namespace(model="test_resnet", lr=0.1, mean=None)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    saver = CheckpointSaver(model, optimizer, args=args, model_ema=average, checkpoint_dir=str(folder))
    saver.save_checkpoint(3, metric=0.7)
    return folder / "last.pth.tar"


def torchvision_script(network, *, averaged):
    model = plain(network) if averaged else network
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    args = argparse.Namespace(model="squeezenet1_1", train_crop_size=176, output_dir=Path("runs"))
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 30).state_dict()
    saved = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "lr_scheduler": scheduler}
    saved |= {"epoch": 89, "args": args}
    return saved | ({"model_ema": torch.optim.swa_utils.AveragedModel(network).state_dict()} if averaged else {})


def checkpointed(network):
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import apply_activation_checkpointing

    apply_activation_checkpointing(network, check_fn=lambda part: isinstance(part, timm.models.resnet.BasicBlock))
    # named as the parameters are: a state dict's own names are without the wrapper
    state = dict(network.named_parameters()) | dict(network.named_buffers())
    return {"model": {name: tensor.detach() for name, tensor in state.items()}}


def sharded(network):
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor

    fully_shard(network)
    assert any(isinstance(tensor, DTensor) for tensor in network.state_dict().values())
    return {"model": network.state_dict(), "step": 7}


def with_object(network, folder):
    module = sys.modules["zz_trainer"] = ModuleType("zz_trainer")
    exec("class Trainer: pass", vars(module))
    save = saved(lambda network: {"model": network.state_dict(), "t": module.Trainer()}, "a_net's.pt")
    try:
        return save(network, folder)
    finally:
        del sys.modules["zz_trainer"]  # nobody can import it again


def trainer_of_lightning(**more):
    import pytorch_lightning as pl

    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    return pl.Trainer(**quiet, **more)


def of_lightning(**parts):
    import pytorch_lightning as pl

    class Classifier(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.save_hyperparameters({"lr": 0.1})
            for name, part in parts.items():
                setattr(self, name, part)

        def training_step(self, batch):
            return nn.functional.cross_entropy(self.model(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    return Classifier()


def lightning(parts):
    def save(network, path):
        trainer = trainer_of_lightning()
        trainer.strategy.connect(of_lightning(**parts(network), criterion=nn.CrossEntropyLoss(torch.ones(9))))
        trainer.save_checkpoint(path)

    return written("last.ckpt", save)


class LitEma(nn.Module):
    """As latent-diffusion's: parameters alone, in buffers, whose names may have no dot."""

    def __init__(self, network):
        super().__init__()
        self.register_buffer("decay", torch.tensor(0.9999))
        self.register_buffer("num_updates", torch.tensor(0))
        for name, tensor in network.named_parameters():
            self.register_buffer(name.replace(".", ""), tensor.detach().clone())


def lightning_average(network, folder):
    from pytorch_lightning.callbacks import ModelCheckpoint
    from pytorch_lightning.callbacks.weight_averaging import EMAWeightAveraging

    keep = ModelCheckpoint(folder, "last", save_last=False, monitor=None)
    callbacks = [EMAWeightAveraging(decay=0.5), keep]
    images = torch.utils.data.TensorDataset(torch.rand(4, 3, 32, 32), torch.arange(4))
    trainer = trainer_of_lightning(max_steps=2, callbacks=callbacks, default_root_dir=folder)
    trainer.fit(of_lightning(model=network), torch.utils.data.DataLoader(images, batch_size=2))
    content = torch.load(keep.best_model_path, weights_only=False)
    weights = {name.removeprefix("model."): tensor for name, tensor in content["state_dict"].items()}
    assert any(not torch.equal(weights[name[6:]], tensor) for name, tensor in content["current_model_state"].items())
    save_file(weights, folder / "expected.safetensors")
    return Path(keep.best_model_path)


def accelerated(network, folder, *, whole):
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    model, _ = accelerator.prepare(network, torch.optim.SGD(network.parameters(), 0.1))
    if whole:
        accelerator.save_state(str(folder / "state"))
    else:
        accelerator.save_model(model, str(folder / "state"), max_shard_size="400KB")
    return folder / "state"


def zero(network, folder, *, stage):
    import deepspeed

    sys.modules["deepspeed.comm.torch"].build_shm_op = lambda: None  # it would be compiled, and is not needed
    os.environ.update(RANK="0", WORLD_SIZE="1", LOCAL_RANK="0", MASTER_ADDR="127.0.0.1", MASTER_PORT="29541")
    deepspeed.init_distributed("gloo", auto_mpi_discovery=False)
    config = {"train_batch_size": 1, "zero_optimization": {"stage": stage}, "zero_allow_untested_optimizer": True}
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    engine, *_ = deepspeed.initialize(model=network, optimizer=optimizer, config=config)
    engine.save_checkpoint(str(folder / "run"))
    return folder / "run"


def masked_autoencoder(network):
    from lightly.models.modules.masked_autoencoder_timm import MAEDecoderTIMM

    decoder = MAEDecoderTIMM(4, 16, embed_dim=64, decoder_embed_dim=32, decoder_depth=1, decoder_num_heads=2)
    state = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("head.")}
    return {"model": state | under("decoder.", decoder.state_dict()), "epoch": 799}


def dino(network):
    from lightly.models.modules import DINOProjectionHead

    network.reset_classifier(0)
    student, teacher = (nn.Module(), nn.Module())
    for module, backbone in ((student, plain(network)), (teacher, network)):
        module.backbone, module.head = backbone, DINOProjectionHead(64, 32, 16, 128)
    states = {"student": under("module.", student.state_dict()), "teacher": teacher.state_dict()}
    return states | {"dino_loss": {"center": torch.zeros(1, 128)}, "epoch": 99}


def momentum_contrast(network):
    from lightly.models.modules import MoCoProjectionHead

    network.fc = MoCoProjectionHead(96, 96, 32).layers
    model = nn.Module()
    model.encoder_q, model.encoder_k = network, plain(network)
    model.register_buffer("queue", torch.randn(32, 64))
    return {"arch": "resnet", "state_dict": under("module.", model.state_dict())}


def openmmlab(network, folder, *, neck):
    from mmengine.runner import save_checkpoint

    model = nn.Module()
    model.backbone, model.head = network, nn.Module()
    model.head.fc, network.fc = network.fc, nn.Identity()
    if neck:
        model.neck, model.head = nn.Linear(96, 8), nn.Module()
    content = {"meta": {"epoch": 3}, "state_dict": model.state_dict(), "message_hub": {"log_scalars": {}}}
    save_checkpoint(content, str(folder / "e.pth"))
    return folder / "e.pth"


def with_more(prefix):
    more = {"projector.0.weight": torch.ones(4, 4), "prototypes": torch.ones(3)}
    return saved(lambda network: {"state_dict": under(prefix, network.state_dict()) | more})


def pointer(network, folder):
    """A repository whose large file was not fetched; `git lfs` itself stands beside it as a script."""
    path = folder / "net.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 1500000\n")
    save_file(network.state_dict(), folder / "real")
    (folder / "git-lfs").write_text(f'#!/bin/sh\ncp {folder}/real "$3"\n')
    (folder / "git-lfs").chmod(0o755)
    subprocess.run(["git", "init", "-q", folder], check=True)
    return path


STATE = saved(lambda network: network.state_dict())
PROBE = "backbone.*--probe world"
ROWS = {
    "timm train.py": Row(partial(timm_script, averaged=False)),
    "timm train.py --model-ema": Row(partial(timm_script, averaged=True)),
    "timm ModelEmaV3": Row(saved(lambda network: timm.utils.ModelEmaV3(network).state_dict())),
    "timm ViT, global_pool=avg": Row(
        STATE, "--arch-option global_pool=avg", **{**OF_VIT, "network": partial(vit, global_pool="avg")}),
    "timm ViT, another img_size": Row(STATE, "pos_embed.*--arch-option img_size=32", "timm:test_vit", vit),
    "timm in shards": Row(
        written("whole", lambda network, path: path.mkdir() or library("huggingface_hub").save_torch_state_dict(
            network.state_dict(), str(path), max_shard_size=400_000)), "shards.*--convert"),
    "torchvision train.py": Row(saved(partial(torchvision_script, averaged=False), "c.pth"), **OF_TORCHVISION),
    "torchvision train.py --model-ema": Row(
        saved(partial(torchvision_script, averaged=True), "c.pth"), **OF_TORCHVISION),
    "torch.save(network)": Row(saved(lambda network: network), "a pickle that holds.*--convert"),
    "network beside ema=None": Row(saved(lambda network: {"ema": None, "model": network}), "--convert"),
    "an object of a class of one's own": Row(with_object, r"holds 'zz_trainer\.Trainer'.*--convert"),
    "torch.compile": Row(saved(lambda network: torch.compile(network).state_dict())),
    "AveragedModel": Row(saved(lambda network: torch.optim.swa_utils.AveragedModel(network).state_dict())),
    "activation checkpointing": Row(saved(checkpointed)),
    "FSDP's names": Row(saved(lambda network: {"ema": under("_fsdp_wrapped_module._orig_mod.", network.state_dict())})),
    "DistributedDataParallel": Row(process_group(
        lambda network: {"net": nn.parallel.DistributedDataParallel(network).state_dict(), "acc": 71.3, "epoch": 3})),
    "fully_shard (DTensor)": Row(process_group(sharded)),
    "torch.distributed.checkpoint": Row(
        written("step-3", lambda network, path: library("torch.distributed.checkpoint").save(
            {"model": network.state_dict(), "step": 3}, checkpoint_id=path)), "dcp_to_torch"),
    "quantize_dynamic": Row(
        saved(lambda network: quantised(network).state_dict()), "qint8.*--convert", within=0.02),
    "a quantised network": Row(saved(quantised), "--convert", within=0.02),
    "torch.export.save": Row(
        written("net.pt2", lambda network, path: torch.export.save(
            torch.export.export(network, (torch.rand(2, 3, 32, 32),)), path)), "--arch export", given={"size": 32}),
    "Lightning": Row(lightning(lambda network: {"model": network})),
    "Lightning with LitEma": Row(lightning(lambda network: {"model": plain(network), "model_ema": LitEma(network)})),
    "Lightning, two networks": Row(
        lightning(lambda network: {"model": network, "net_b": plain(network)}),
        "2 networks fit equally well.*model or --key state_dict.net_b"),
    "Lightning's EMAWeightAveraging": Row(lightning_average, **OF_VIT),
    "torch_ema beside the network": Row(
        saved(lambda network: {"model": plain(network).state_dict(), "ema": shadow_list(network)})),
    "torch_ema of a ViT alone": Row(saved(shadow_list), **OF_VIT),
    "ema-pytorch": Row(saved(lambda network: {"step": 7, "ema": library("ema_pytorch").EMA(
        plain(network), ema_model=network, include_online_model=True).state_dict()})),
    "accelerate save_state": Row(partial(accelerated, whole=True), "--weights .*model.safetensors"),
    "accelerate save_model": Row(partial(accelerated, whole=False), "in shards.*--convert"),
    "DeepSpeed ZeRO-2": Row(partial(zero, stage=2), "zero_to_fp32"),
    "DeepSpeed ZeRO-3": Row(partial(zero, stage=3), "zero_to_fp32"),
    "MAE": Row(saved(masked_autoencoder), PROBE, **OF_VIT),
    "DINO": Row(saved(dino), PROBE, **OF_VIT),
    "MoCo": Row(saved(momentum_contrast), PROBE),
    "MMPretrain, self-supervised": Row(partial(openmmlab, neck=True), PROBE),
    "MMPretrain": Row(partial(openmmlab, neck=False), "'fc' is 'head.fc' in the file.*--convert"),
    "a head of another name": Row(
        saved(lambda network: {name.replace("fc.", "head.fc."): t for name, t in network.state_dict().items()}),
        "'fc' is 'head.fc' in the file.*--convert"),
    "more than the network, beside it": Row(with_more("backbone."), "--key state_dict.backbone"),
    "more than the network": Row(with_more(""), "--ignore 'projector..,prototypes'"),
    "a Git LFS pointer": Row(pointer, "Git LFS pointer.*git -C"),
    "torch.jit.save": Row(
        written("net.pt", lambda network, path: torch.jit.trace(network, torch.rand(1, 3, 32, 32)).save(path)),
        "TorchScript.*--convert"),
    "torch.save(network), legacy": Row(
        written("net.pth", partial(torch.save, _use_new_zipfile_serialization=False)), "--convert"),
    "numpy.savez": Row(written("net.npz", lambda network, path: np.savez(path, **arrays(network))), "--convert"),
    "names with slashes": Row(written("net.npz", lambda network, path: np.savez(
        path, **{name.replace(".", "/"): array for name, array in arrays(network).items()})), "--convert"),
    "numpy.save": Row(
        written("net.npy", lambda network, path: np.save(path, arrays(network), allow_pickle=True)), "--convert"),
    "detectron2": Row(pickled(lambda network: {"model": arrays(network), "__author__": "us", "acc": 0.5}), "--convert"),
    "pickle, protocol 5": Row(pickled(arrays, 5), "--convert"),
    "pickle of a network": Row(pickled(lambda network: {"net": network}), "--convert"),
    "other names in their order": Row(saved(lambda network: {
        f"_{i}.{n.rpartition('.')[2]}": t for i, (n, t) in enumerate(network.state_dict().items())}), "--convert"),
    "ONNX that ends in argmax": Row(onnx(lambda logits: logits.argmax(1), 1), "--convert", ""),
    "ONNX that ends in top 1": Row(
        onnx(lambda logits: logits.softmax(1).topk(1)[1].squeeze(1).int()), "--convert", "", within=inf),
}  # fmt: skip


def pasted(command, folder):
    """A line as it is pasted: a shell splits it; Python's and bench's are carried out here, where torch is loaded."""
    words = shlex.split(command)
    shell = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, text=True, check=True)
    assert shell.stdout.split("\0") == [*words, ""]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        patch.setenv("BENCH_HOME", str(folder / "home"))
        patch.setenv("PATH", f"{folder / 'run'}:{os.environ['PATH']}")
        patch.setattr(sys, "argv", words[2:])
        if words[0] == "bench":
            ended = CliRunner().invoke(cli, words[1:])
            assert ended.exit_code == 0, ended.output
        elif words[:2] == ["python", "-m"]:
            runpy.run_module(words[2], run_name="__main__")
        else:
            subprocess.run(words, check=True)


def advised(remedy, folder):
    if remedy.before:
        pasted(shlex.join(remedy.before), folder)
    words, options = [*remedy.lacking, "--"], {}
    for word, value in pairwise(words):
        if word == "--arch-option":
            options.setdefault("arch_option", []).append(value)
        elif word.startswith("--") and word != "--":
            options[word[2:]] = word == "--convert" or value
    assert remedy.before or options
    return options


def assert_probed(asked, row, folder):
    """What the refusal lacks fits a head to the features of the row's network."""
    given = {name: ",".join(map(str, v)) if isinstance(v, tuple) else str(v) for name, v in asked.items()}
    words = [word for name, text in given.items() if name != "labels" for word in (f"--{name}", text)]
    pasted(shlex.join(["bench", "register", "mine", *words, "--probe", "world", "--limit", "96"]), folder)
    card = read_cards(folder / "home" / "cards")["mine"]
    backbone = load_network(card, WeightSources(weights_folder=folder)).module.backbone.state_dict()
    expected = row.built()
    expected.reset_classifier(0)
    state = expected.state_dict()
    assert backbone.keys() == state.keys()
    assert all(torch.equal(backbone[name], tensor) for name, tensor in state.items())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.release] * (name == "torch.export.save")) for name in ROWS]
)
def test_a_file_of_the_field(name, nine, folders, tmp_path):
    row, place = ROWS[name], tmp_path / "run"
    place.mkdir()
    try:
        path = row.write(row.built(), place)
    except ModuleNotFoundError as error:
        pytest.skip(f"{error.name} is not installed")
    asked = {"arch": row.arch, **HALF, "labels": nine, "weights": path, **row.given}
    before = {file: digest_file(file) for file in place.rglob("*") if file.is_file()}
    if row.refused:
        with pytest.raises(BenchError, match=row.refused) as caught:
            register("mine", **asked, **folders)
        message = str(caught.value)
        assert "\n" not in message and not folders["cards_folder"].exists()
        assert len(before) == sum(file.is_file() for file in place.rglob("*"))
        if row.refused == PROBE:
            assert_probed(asked, row, tmp_path)
            return
        more = advised(caught.value.remedy, tmp_path)
        asked |= {**more, "arch_option": [*asked.get("arch_option", ()), *more.get("arch_option", ())]}
    card, checks = register("mine", **asked, **folders)
    if "convert" in asked:  # to a new file; the others stay as they are
        assert str(place) in details(checks)["converted"] and Path(card.weights) not in before
        assert all(digest_file(file) == digest for file, digest in before.items())
    expected = row.built()
    if (place / "expected.safetensors").exists():
        expected.load_state_dict(load_file(place / "expected.safetensors"))
    images = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    answers = load_network(card, folders["place"]).forward(images)
    with torch.no_grad():
        logits = expected((images - 0.5) / 0.5)
    assert torch.allclose(answers, logits, atol=row.within, rtol=row.within)
    if row.within != 0.02:
        assert torch.equal(answers.argmax(1), logits.argmax(1))


def test_an_adapter_without_its_network_names_what_merges_it(nine, folders, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "adapter_config.json").write_text('{"base_model_name_or_path": "vit"}')
    with pytest.raises(BenchError, match=r"adapter \(PEFT\).*merge_and_unload\(\).*--weights FILE"):
        register("mine", "timm:test_vit", weights=tmp_path / "run", labels=nine, **HALF, **folders)
