"""Files and folders as real libraries write them: each names photographs of odd sizes as its library does."""

from argparse import Namespace

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from saved_by_libraries import TINY
from timm.data import create_transform, resolve_data_config
from timm.models import save_for_hf
from timm.utils import CheckpointSaver
from torch import nn
from torchvision import models, transforms
from torchvision.transforms._presets import ImageClassification

from registry.cards import builtin_cards
from registry.files import WeightSources
from registry.loading import load_network
from registry.register import register

pytestmark = pytest.mark.slow

NAMES = dict.fromkeys(("img_size", "input_size", "crop_pct", "crop_mode", "mean", "std", "interpolation", "in_chans"))


@pytest.fixture(scope="module")
def odd_sized(photographs):
    cut, random = [], np.random.default_rng(0)
    for path in sorted(photographs.glob("*/*"))[::5]:
        with Image.open(path) as image:
            whole = image.convert("RGB").resize((256, 256))
        width, height = (int(side) * 2 + 1 for side in random.integers(45, 128, 2))
        cut.append(whole.crop((1, 2, 1 + width, 2 + height)))
    assert len(cut) == 100
    return cut


def lively(network):
    torch.manual_seed(0)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            part.momentum = None  # the mean of what it sees
        elif isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, 0, 0.2)
    if any(isinstance(part, nn.BatchNorm2d) for part in network.modules()):
        with torch.no_grad():
            network.train()(nn.functional.interpolate(torch.randn(8, 3, 8, 8), (64, 64)))
    return network.eval()


def shown_to(network, transform):
    return lambda images: network(torch.stack([transform(image) for image in images]))


def evaluation(crop, resize):
    return ImageClassification(crop_size=crop, resize_size=resize)


def timm_folder(name, data=None, **words):
    def case(folder):
        save_for_hf(lively(timm.create_model(name, num_classes=9, **words)), folder / "net",
                    safe_serialization=True, data_config=data)  # fmt: skip
        theirs = timm.create_model(f"local-dir:{folder / 'net'}", pretrained=True).eval()
        return "", folder / "net", shown_to(theirs, create_transform(**resolve_data_config({}, model=theirs)))

    return case


def timm_script(name, **said):
    def case(folder):
        network, args = lively(timm.create_model(name, num_classes=9)), Namespace(model=name, **{**NAMES, **said})
        saver = CheckpointSaver(network, torch.optim.SGD(network.parameters(), 0.1), args, checkpoint_dir=str(folder))
        saver.save_checkpoint(3, 0.5)
        how = resolve_data_config(vars(args), model=network)
        return f"timm:{name}", folder / "last.pth.tar", shown_to(network, create_transform(**how))

    return case


def torchvision_script(name, crop, resize):
    def case(folder):
        network = lively(models.get_model(name, num_classes=9))
        args = Namespace(model=name, val_crop_size=crop, val_resize_size=resize, interpolation="bilinear", weights=None)
        torch.save({"model": network.state_dict(), "epoch": 3, "args": args}, folder / "model_3.pth")
        return f"torchvision:{name}", folder / "model_3.pth", shown_to(network, evaluation(crop, resize))

    return case


def imagenet_example(library, name):
    def case(folder):
        build = timm.create_model if library == "timm" else models.get_model
        network = lively(build(name, num_classes=9))
        state = nn.DataParallel(network).state_dict()
        torch.save({"epoch": 1, "arch": name, "state_dict": state, "best_acc1": 1.0}, folder / "model_best.pth.tar")
        return f"{library}:{name}", folder / "model_best.pth.tar", shown_to(network, evaluation(224, 256))

    return case


def batch_norm_first(folder):
    norm = nn.BatchNorm2d(3, momentum=None)
    norm(torch.rand(8, 3, 32, 32) / 2 + 0.2)
    network = nn.Sequential(norm, lively(timm.create_model("test_resnet", num_classes=9))).eval()
    torch.save({"state_dict": network.state_dict()}, folder / "net.pth")
    return "timm:test_resnet", folder / "net.pth", shown_to(network, transforms.Compose(evaluated(183, 160)))


def evaluated(resize, size, how="bilinear"):
    resizing = transforms.Resize(resize, transforms.InterpolationMode(how))
    return [resizing, transforms.CenterCrop(size), transforms.ToTensor()]


def published(folder):
    card, place = builtin_cards()["efficientnet-lite0"], WeightSources(weights_folder=folder)
    network = load_network(card, place).module
    torch.save({"state_dict": nn.DataParallel(network).state_dict()}, folder / "net.pth")
    how = transforms.Compose([*evaluated(256, 224, "bicubic"), transforms.Normalize([0.5] * 3, [0.5] * 3)])
    return "timm:tf_efficientnet_lite0", folder / "net.pth", shown_to(network, how)


def its_file(case):
    return lambda folder: ("", case(folder)[1] / "model.safetensors", case(folder)[2])


def timm_in_transformers(folder):
    import transformers

    known = {"pretrained_cfg": timm.get_pretrained_cfg("test_resnet").to_dict(), "label_names": list("abcdefghi")}
    own = transformers.TimmWrapperConfig.from_dict({"architecture": "test_resnet", "num_classes": 9, **known})
    theirs = transformers.TimmWrapperForImageClassification(own)
    lively(theirs).save_pretrained(folder / "net")
    how = create_transform(**resolve_data_config({}, model=theirs.timm_model))
    return "", folder / "net", shown_to(theirs.timm_model, how)


def hf(name, processor, config, **settings):
    def case(folder):
        import transformers

        labels = {i: f"thing {'abcdefghi'[i]}" for i in range(9)}
        own = getattr(transformers, f"{name}Config")(id2label=labels, **config)
        lively(getattr(transformers, f"{name}ForImageClassification")(own)).save_pretrained(folder / "net")
        getattr(transformers, f"{processor}ImageProcessor")(**settings).save_pretrained(folder / "net")
        theirs = transformers.AutoModelForImageClassification.from_pretrained(folder / "net").eval()
        feed = transformers.AutoImageProcessor.from_pretrained(folder / "net", backend="pil")
        return f"hf:{folder / 'net'}", None, lambda images: theirs(**feed(images, return_tensors="pt")).logits

    return case


VIT = {**TINY, "image_size": 64, "patch_size": 16}
HALVED = {"hidden_sizes": [8] * 4, "depths": [1] * 4}
SMALL = {"width_coefficient": 0.1, "depth_coefficient": 0.1, "hidden_dim": 128}
SWIN = {"image_size": 64, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 2}
SQUARE, EDGE = {"height": 64, "width": 64}, {"shortest_edge": 64}
CASES = {
    "timm-resnet": timm_folder("test_resnet"),
    "timm-vit": timm_folder("test_vit"),
    "timm-convnext": timm_folder("test_convnext"),
    "timm-efficientnet": timm_folder("test_efficientnet"),
    "timm-border": timm_folder("test_efficientnet", {"crop_mode": "border", "img_size": 96}),
    "timm-squash": timm_folder("test_convnext", {"crop_mode": "squash", "mean": (0.4, 0.5, 0.6), "crop_pct": 1.0}),
    "script-timm": timm_script("test_resnet"),
    "script-timm-size": timm_script("test_efficientnet", img_size=128, crop_pct=0.8),
    "script-timm-mean": timm_script("test_resnet", mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4)),
    "script-timm-squash": timm_script("test_vit", crop_mode="squash"),
    "script-torchvision": torchvision_script("shufflenet_v2_x0_5", 224, 256),
    "script-torchvision-232": torchvision_script("mnasnet0_5", 224, 232),
    "script-torchvision-147": torchvision_script("mobilenet_v2", 128, 147),
    "example-torchvision": imagenet_example("torchvision", "shufflenet_v2_x0_5"),
    "example-timm": imagenet_example("timm", "mobilenetv3_small_050"),
    "file-of-a-folder": its_file(timm_folder("test_convnext", {"crop_mode": "squash", "mean": (0.4, 0.5, 0.6)})),
    "batch-norm-first": batch_norm_first,
    "published-again": published,
    "hf-timm": timm_in_transformers,
    "hf-vit": hf("ViT", "ViT", VIT, size=SQUARE),
    "hf-dinov2": hf("Dinov2", "Bit", VIT, size={"shortest_edge": 73}, crop_size=SQUARE),
    "hf-clip": hf("CLIP", "CLIP", {"vision_config": VIT}, size=EDGE, crop_size=SQUARE),
    "hf-siglip": hf("Siglip", "Siglip", {"vision_config": VIT}, size=SQUARE),
    "hf-convnext": hf("ConvNext", "ConvNext", HALVED, size=EDGE),
    "hf-poolformer": hf("PoolFormer", "PoolFormer", HALVED, size=EDGE, crop_size=SQUARE),
    "hf-mobilenet": hf("MobileNetV2", "MobileNetV2", {"depth_multiplier": 0.25}, size={"shortest_edge": 73},
                       crop_size=SQUARE),
    "hf-efficientnet": hf("EfficientNet", "EfficientNet", SMALL, size=SQUARE),
    "hf-swin": hf("Swin", "ViT", SWIN, size=SQUARE),
    "hf-vit-levels": hf("ViT", "ViT", VIT, size=SQUARE, do_rescale=False, image_mean=[120] * 3, image_std=[60] * 3),
}  # fmt: skip


@pytest.mark.release
@pytest.mark.parametrize("name", CASES)
def test_it_decides_as_its_library_does(name, odd_sized, nine, folders, tmp_path):
    torch.manual_seed(0)
    arch, weights, plain = CASES[name](tmp_path)
    given = {} if name.startswith(("hf", "published")) else {"labels": nine}
    card, _ = register("mine", arch, weights, **given, **folders)
    model = load_network(card, folders["place"])
    with torch.inference_mode():
        wanted = plain(odd_sized)
        logits = model.forward(model.prepare([np.asarray(image) for image in odd_sized], "card"))
    spread = wanted.std(0).mean()
    assert spread > 1e-4  # it looks
    assert (logits - wanted).abs().max() < 1e-2 * spread and torch.equal(logits.argmax(1), wanted.argmax(1))
