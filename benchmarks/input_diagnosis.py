"""How often 64 photographs name a fault of a network's input or class order, and how often they accuse a right one.

Networks: three EfficientNet-Lites on the photographs of `--photographs` (folders of WordNet ids) and three of the
built-in world. Each fault is tried on `--draws` samples of 64. Logits are kept by pixels and input, so that a sample
costs little. Prints a line for each network and fault: alarms and right remedies of all draws.

    python benchmarks/input_diagnosis.py [--photographs FOLDER] [--draws 20] [--pool 200]
"""

import argparse
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from ratios import needs, ratio

from benchmark.api import load_model
from benchmark.stimuli.roles import Resolver
from benchmark.variables import read_settings
from registry.input_diagnosis import NORMALISATIONS, Diagnosis, Order, class_orders, diagnose, fed_with, input_of
from registry.labels import built_in_space
from registry.model import LoadedModel, Pixels

LITES = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")
WORLD = ("world-standard-0", "world-stylised-0", "world-adversarial-0")
NORMS = ("ImageNet's mean and deviation", "mean .5, deviation .5", "pixels in 0..1", "pixels in 0..255",
         "ImageNet's mean of 0..255 (Caffe)", "ImageNet's mean alone", "ImageNet's deviation alone",
         "ImageNet's, twice", "CLIP's mean and deviation", "CIFAR's mean and deviation")  # fmt: skip
PIXELS: dict[str, Callable[[Pixels], Pixels]] = {
    "upside down": lambda image: image[::-1],
    "turned by 90 degrees": lambda image: np.rot90(image, 1),
    "turned by 270 degrees": lambda image: np.rot90(image, 3),
    "inverted": lambda image: 255 - image,
}


def kept(forward: Callable[[LoadedModel, torch.Tensor], torch.Tensor]) -> Callable[[LoadedModel, torch.Tensor], Any]:
    """Return `LoadedModel.forward` with a memory of logits by network, input and pixels."""
    memory: dict[tuple[Any, ...], torch.Tensor] = {}

    def remembered(model: LoadedModel, x: torch.Tensor) -> torch.Tensor:
        how = model.preprocess
        fed = (model.digest, how.mean, how.std, how.scale, how.channels)
        keys = [(*fed, hashlib.md5(image.contiguous().numpy().tobytes()).digest()) for image in x]
        new = [i for i, key in enumerate(keys) if key not in memory]
        if new:
            memory.update(zip((keys[i] for i in new), forward(model, x[new]), strict=True))
        return torch.stack([memory[key] for key in keys])

    return remembered


def photographs(folder: Path, pool: int) -> tuple[list[Pixels], Order]:
    """Read one photograph of each class, evenly spaced over the classes."""
    wnids = list(built_in_space("imagenet1k").classes)
    files = sorted(folder.glob("n*/*.*"))
    files = [files[i] for i in np.linspace(0, len(files) - 1, min(pool, len(files))).astype(int)]
    images = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    return images, np.array([wnids.index(file.parent.name) for file in files])


def faults(model: LoadedModel) -> Iterator[tuple[str, LoadedModel, Callable[[Pixels], Pixels], Order | None, str]]:
    """Yield each fault: name, the network as it is fed then, a change of pixels, an order, the kind of the remedy."""
    own = input_of(model)
    yield "right", model, lambda image: image, None, ""
    for name in NORMS:
        if NORMALISATIONS[name] != own:
            yield name, fed_with(model, NORMALISATIONS[name]), lambda image: image, None, "input"
    yield "BGR", fed_with(model, replace(own, bgr=True)), lambda image: image, None, "input"
    for name, turn in PIXELS.items():
        yield name, model, turn, None, "pixels"
    words = model.labels.words or model.labels.classes
    for name, order in class_orders(words).items():
        yield f"order: {name}", model, lambda image: image, np.argsort(order), "order"


def judged(found: Diagnosis, kind: str, right: int) -> tuple[bool, bool]:
    """Return whether anything was found, and whether the first finding is a remedy: of the fault's kind, and with it no
    more than one photograph fewer right than as trained (`right`)."""
    if not found.findings:
        return False, False
    return True, found.findings[0].kind == kind and found.findings[0].right >= right - 1


def measure(model: LoadedModel, images: Sequence[Pixels], targets: Order, draws: int) -> dict[str, tuple[float, float]]:
    """Return fault -> shares of draws with an alarm and with the right remedy."""
    shares = {}
    for name, fed, change, order, kind in faults(model):
        changed = [np.ascontiguousarray(change(image)) for image in images]
        outcomes = []
        for draw in range(draws):
            rows = np.random.default_rng(draw).choice(len(images), 64, replace=False)
            at = targets[rows] if order is None else order[targets[rows]]
            x = model.fit(model.prepare([images[i] for i in rows], "card"))
            right = int((model.forward(x).argmax(1).numpy() == targets[rows]).sum())
            outcomes.append(judged(diagnose(fed, [changed[i] for i in rows], at), kind, right))
        shares[name] = (float(np.mean([a for a, _ in outcomes])), float(np.mean([b for _, b in outcomes])))
        print(f"{model.card.name:22} {name:42} alarm {shares[name][0]:.2f} remedy {shares[name][1]:.2f}", flush=True)
    return shares


def main() -> None:
    """Print shares of all networks and faults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = os.environ.get("BENCH_TEST_DATA")
    parser.add_argument("--photographs", type=Path, default=Path(data) / "imagenet-sample" if data else None)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--pool", type=int, default=200)
    parser.add_argument("--models", nargs="*", default=[*WORLD, *LITES])
    asked = parser.parse_args()
    LoadedModel.forward = kept(LoadedModel.forward)  # type: ignore[method-assign]
    settings = read_settings()
    worst, false = 1.0, 0.0
    for name in asked.models:
        if name in LITES:
            if asked.photographs is None:
                needs("photographs: --photographs FOLDER of WordNet ids, or BENCH_TEST_DATA")
            images, targets = photographs(asked.photographs, asked.pool)
        else:
            natural = Resolver("world16", settings).find("natural")
            count = min(asked.pool, len(natural))
            images = [natural.decode(i) for i in range(count)]
            categories = list(built_in_space("world16").classes)
            targets = np.array([categories.index(natural.labels["category"][i]) for i in range(count)])
        shares = measure(cast(LoadedModel, load_model(name)), images, targets, asked.draws)
        false = max(false, shares.pop("right")[0])
        hidden = ("CLIP's mean and deviation", "CIFAR's mean and deviation", "inverted")
        worst = min(worst, *(remedy for fault, (_, remedy) in shares.items() if fault not in hidden))
    ratio("diagnosis_least_remedy", worst, "19 of 20 draws")
    ratio("diagnosis_false_alarms", false, "1 of 20 draws")


if __name__ == "__main__":
    main()
