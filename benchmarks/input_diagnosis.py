"""How often 64 photographs name a fault of a network's input or class order, and how often they accuse a right one.

Networks: three EfficientNet-Lites on the photographs of `--photographs` (folders of WordNet ids) and the built-in
world's. The logits of each photograph under each input are computed once; draws of 64 resample them.

    python benchmarks/input_diagnosis.py [--photographs FOLDER] [--draws 20] [--pool 96] [--write docs/pipeline.csv]
"""

import argparse
import csv
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from ratios import needs
from torch import Tensor, nn
from torch.nn import functional

from benchmark.api import load_model
from benchmark.stimuli.resolver import Resolver
from benchmark.stimuli.world.sets import CATEGORIES, training_set
from benchmark.variables import read_settings
from registry.cards import Preprocess, Triple
from registry.input_diagnosis import (
    NORMALISATIONS,
    SAMPLE,
    TURNS,
    FedPhotographs,
    Order,
    class_orders,
    diagnose,
    fed_with,
    renormalised,
    solve_input,
)
from registry.labels import LabelSpace, built_in_space
from registry.model import LoadedModel, Pixels, fold_batch_norm

LITES = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")
WORLD = ("world-standard-0", "world-stylised-0", "world-adversarial-0", "world-uniform-noise-0")
TRANSFORMER = "world-transformer"
COUNT = 64
Image8 = Callable[[Pixels], Pixels]


def blurred(image: Pixels) -> Pixels:
    radius = min(image.shape[:2]) / 110
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def noised(image: Pixels) -> Pixels:
    noise = np.random.default_rng(int(image[::8].sum())).normal(0, 0.12 * 255, image.shape)
    return (image + noise).clip(0, 255).astype(np.uint8)


def grey(image: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(image).convert("L").convert("RGB"))


def sketch(image: Pixels) -> Pixels:
    """Dark lines on white where grey levels change: the pencil of common photo editors (colour dodge)."""
    plane = Image.fromarray(image).convert("L")
    light = np.asarray(plane.filter(ImageFilter.GaussianBlur(min(plane.size) / 40)), dtype=float) + 1
    lines = (np.asarray(plane) / light * 240).clip(0, 255).astype(np.uint8)
    return np.stack([lines] * 3, axis=2)


CONDITIONS: dict[str, Image8] = {
    "photographs": lambda image: image, "blurred": blurred, "noised": noised, "grey": grey, "sketches": sketch,
}  # fmt: skip


class Kept:
    """The answers of a network to a pool of photographs by input and turns, computed when they are first needed."""

    def __init__(self, model: LoadedModel, images: Sequence[Pixels], targets: Order) -> None:
        self.model, self.targets = model, targets
        self.x = torch.cat([model.fit(model.prepare([image], "card")) for image in images])
        folded = fold_batch_norm(model.module, model.normalise(self.x[:2]))
        self.fast = replace(model, module=folded[0]) if folded else model
        self.tables: dict[Any, Tensor] = {}

    def turned(self, turns: Sequence[str], rows: Any) -> Tensor:
        x = self.x[rows]
        for turn in filter(None, turns):
            x = TURNS[turn](x)
        return x

    def logits(self, fed: Preprocess, turns: tuple[str, ...], rows: Order) -> Tensor:
        key = (fed.mean, fed.std, fed.scale, fed.channels, same_turns(turns))
        table = self.tables.setdefault(key, torch.full((len(self.x), len(self.model.labels.classes)), torch.nan))
        lacking = rows[table[rows, 0].isnan().numpy()]
        for part in np.array_split(lacking, -(-len(lacking) // SAMPLE)) if len(lacking) else ():
            with torch.no_grad():
                table[part] = fed_with(self.fast, fed).forward(self.turned(turns, part)).nan_to_num(0.0)
        return table[rows]

    def moments(self, fed: Preprocess, turns: tuple[str, ...], rows: Order) -> tuple[Tensor, Tensor] | None:
        key = ("moments", fed.mean, fed.std, fed.scale, fed.channels, same_turns(turns))
        if key not in self.tables:
            parts = [np.arange(i, min(i + SAMPLE, len(self.x))) for i in range(0, len(self.x), SAMPLE)]
            found = [FedPhotographs(self.model, self.turned(turns, part)).moments(fed) for part in parts]
            if found[0] is None:
                return None
            self.tables[key] = torch.stack([torch.cat(side) for side in zip(*found, strict=True)])  # type: ignore[arg-type]
        mean, square = self.tables[key]
        return mean[rows], square[rows]


@cache
def same_turns(turns: tuple[str, ...]) -> tuple[float, ...]:
    """Return what the turns together do to a small picture, so that equal ones share their answers."""
    x = torch.arange(4.0).view(1, 1, 2, 2) / 8
    for turn in filter(None, turns):
        x = TURNS[turn](x)
    return tuple(x.flatten().tolist())


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a pool is asked: `space` of the outputs, `columns` of the logits (or groups of them), whether the first batch
    norm is hidden, and the photographs that belong to it."""

    space: LabelSpace
    groups: tuple[tuple[int, ...], ...] | None = None
    no_norm: bool = False
    count: int = COUNT

    def logits(self, logits: Tensor) -> Tensor:
        """Return the logits of the way's classes: of each group the log of the sum of exponentials."""
        if self.groups is None:
            return logits
        return torch.stack([logits[:, list(group)].logsumexp(1) for group in self.groups], dim=1)


class Draw(FedPhotographs):
    """Some photographs of a pool under a fault: what was kept, in place of passes."""

    def __init__(self, kept: Kept, fed: Preprocess, turn: str, way: Way, rows: Order) -> None:
        super().__init__(replace(fed_with(kept.model, fed), labels=way.space), kept.x[:1])
        self.kept, self.turn, self.way, self.rows = kept, turn, way, rows

    def logits(self, fed: Preprocess, turn: str = "", rows: slice = slice(None)) -> Tensor:
        return self.way.logits(self.kept.logits(fed, (self.turn, turn), self.rows[rows]))

    def moments(self, fed: Preprocess, rows: slice = slice(None)) -> tuple[Tensor, Tensor] | None:
        return None if self.way.no_norm else self.kept.moments(fed, (self.turn,), self.rows[rows])

    def solved(self) -> tuple[Triple, Triple] | None:
        return solve_input(self.kept.model.module, self.kept.turned((self.turn,), self.rows[:SAMPLE]))


@dataclass(frozen=True, kw_only=True)
class Fault:
    """How a network is fed or asked wrongly, and the kind of the finding that is its remedy."""

    name: str
    kind: str = ""
    fed: Preprocess
    turn: str = ""
    order: Order | None = None


SCALED = ("pixels in 0..1", "pixels in 0..255", "ImageNet's mean of 0..255 (Caffe)", "ImageNet's mean alone",
          "ImageNet's deviation alone", "ImageNet's, twice", "CLIP's mean and deviation",
          "CIFAR's mean and deviation")  # fmt: skip


def faults(model: LoadedModel, space: LabelSpace) -> Iterator[Fault]:
    """Yield a network as it was trained, and each fault."""
    own = model.preprocess
    half, quarter = (renormalised(own, (0.5, 0.5, 0.5), (std, std, std)) for std in (0.5, 0.25))
    inputs = {
        "ImageNet's for .5": renormalised(own, **NORMALISATIONS["ImageNet's mean and deviation"]),
        "deviation doubled or halved": quarter if own.std == half.std else half,
        **{name: renormalised(own, **NORMALISATIONS[name]) for name in SCALED},
        "divided by 255 twice": own.model_copy(update={"scale": 1 / 255}),
        "BGR": own.model_copy(update={"channels": "bgr"}),
    }
    yield Fault(name="right", fed=own)
    for name, fed in inputs.items():
        yield Fault(name=name, kind="input", fed=fed)
    for turn in TURNS:
        yield Fault(name=turn, kind="pixels", fed=own, turn=turn)
    for name, order in class_orders(space.words or space.classes).items():
        if "case" not in name:
            yield Fault(name=f"classes {name.partition(' (')[0]}", kind="order", fed=own, order=np.argsort(order))


def photographs(folder: Path, pool: int, grouped: bool) -> tuple[list[Pixels], Order]:
    """Read one photograph of each class, evenly spaced over the classes, or all of the sixteen categories'."""
    wnids = list(built_in_space("imagenet1k").classes)
    named = {i for group in built_in_space("imagenet1k").groupings["geirhos16"].indices for i in group}
    files = [file for file in sorted(folder.glob("n*/*.*")) if not grouped or wnids.index(file.parent.name) in named]
    files = files if grouped else [files[i] for i in np.linspace(0, len(files) - 1, min(pool, len(files))).astype(int)]
    images = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    return images, np.array([wnids.index(file.parent.name) for file in files])


def world_photographs(pool: int) -> tuple[list[Pixels], Order]:
    natural = Resolver("world16", read_settings()).find("natural")
    rows = np.linspace(0, len(natural) - 1, pool).astype(int)
    names = [natural.labels["category"][i] for i in rows]
    return [natural.decode(int(i)) for i in rows], np.array([CATEGORIES.index(str(name)) for name in names])


class Transformer(nn.Module):
    """A small vision transformer of 64 px images: a network without batch norm, trained here in a minute or two."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 32, 4, 4), nn.GELU(), nn.Conv2d(32, 96, 2, 2))
        self.place = nn.Parameter(torch.randn(1, 64, 96) * 0.02)
        layer = nn.TransformerEncoderLayer(96, 4, 192, 0.0, "gelu", batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.LayerNorm(96), nn.Linear(96, 16))

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.head(self.body(self.stem(x).flatten(2).transpose(1, 2) + self.place).mean(1)))


def transformer() -> LoadedModel:
    """Return the transformer in place of a network of the world, trained on its images."""
    torch.manual_seed(0)
    net, images = Transformer(), training_set("natural", 6000, seed=0)
    x = torch.from_numpy(np.stack([images.decode(i) for i in range(len(images))])).permute(0, 3, 1, 2)
    y = torch.tensor([CATEGORIES.index(name) for name in images.labels["shape"]])
    optimiser = torch.optim.AdamW(net.parameters(), 1.5e-3, weight_decay=0.05)
    steps = 18 * len(x) // 64
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1.5e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(0, len(x), (64,))
        shift = tuple(torch.randint(-4, 5, (2,)).tolist())
        batch = torch.roll((x[rows].float() / 255 - 0.5) / 0.25, shift, (2, 3))
        optimiser.zero_grad()
        functional.cross_entropy(net(batch), y[rows]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    like = cast(LoadedModel, load_model(WORLD[0]))
    return replace(like, module=net.eval().requires_grad_(False))


@dataclass(frozen=True, kw_only=True)
class Share:
    """A network, a fault, and the shares of draws with an alarm and with the right remedy."""

    network: str
    photographs: str
    fault: str
    draws: int
    points: float  # of accuracy that the fault costs, and nats of the right class
    nats: float
    alarm: float
    remedy: float


def costs(kept: Kept, fault: Fault, way: Way, targets: Order, rows: Order) -> tuple[float, float]:
    """Return the points of accuracy and the nats of the right class that a fault costs on all photographs."""

    def found(fed: Preprocess, turn: str, at: Order) -> tuple[float, float]:
        logits = way.logits(kept.logits(fed, (turn,), rows))
        chosen = logits.double().log_softmax(1)[torch.arange(len(rows)), torch.from_numpy(at)]
        return float((logits.argmax(1).numpy() == at).mean()), float(chosen.mean())

    at = targets if fault.order is None else fault.order[targets]
    right, wrong = found(kept.model.preprocess, "", targets), found(fault.fed, fault.turn, at)
    return 100 * (right[0] - wrong[0]), right[1] - wrong[1]


def shares(
    kept: Kept, label: tuple[str, str], way: Way, targets: NDArray[np.intp], draws: int, only: Sequence[str] = ()
) -> Iterator[Share]:
    """Yield the shares of each fault. targets: the way's class of each photograph, -1 where it has none."""
    rows = np.flatnonzero(targets >= 0)
    for fault in faults(kept.model, way.space):
        if only and fault.name not in only:
            continue
        outcomes = []
        for draw in range(draws):
            chosen = np.random.default_rng(draw).choice(rows, way.count, replace=False)
            at = targets[chosen]
            right = int((way.logits(kept.logits(kept.model.preprocess, ("",), chosen)).argmax(1).numpy() == at).sum())
            shown = Draw(kept, fault.fed, fault.turn, way, chosen)
            findings = diagnose(shown, at if fault.order is None else fault.order[at]).findings
            # A remedy is of the fault's kind and leaves no more than one photograph fewer right than as trained.
            remedy = bool(findings) and findings[0].kind == fault.kind and findings[0].right >= right - 1
            outcomes.append((bool(findings), remedy))
        points, nats = costs(kept, fault, way, targets[rows], rows)
        alarm, remedy = (float(np.mean(side)) for side in zip(*outcomes, strict=True))
        share = Share(network=label[0], photographs=label[1], fault=fault.name, draws=draws, points=points, nats=nats,
                      alarm=alarm, remedy=remedy)  # fmt: skip
        print(f"{label[0]:22} {label[1]:26} {fault.name:42} -{points:5.1f} points -{nats:6.2f} nats "
              f"alarm {alarm:.2f} remedy {remedy:.2f}", flush=True)  # fmt: skip
        yield share


SOME = ("right", "ImageNet's for .5", "pixels in 0..1", "BGR", "upside down", "classes one later")


def on_photographs(name: str, folder: Path, pool: int, draws: int) -> Iterator[Share]:
    """Yield the shares of a network of ImageNet; those of the first in other ways and domains, too."""
    model, space = cast(LoadedModel, load_model(name)), built_in_space("imagenet1k")
    images, targets = photographs(folder, pool, False)
    plain = Way(space=space)
    clean = Kept(model, images, targets)
    yield from shares(clean, (name, "photographs"), plain, targets, draws)
    for condition in ("blurred", "noised"):
        other = Kept(model, [CONDITIONS[condition](image) for image in images], targets)
        yield from shares(other, (name, condition), plain, targets, draws, ("right",))
    if name != LITES[0]:
        return
    yield from shares(clean, (name, "without batch norm"), replace(plain, no_norm=True), targets, draws)
    for condition in ("grey", "sketches"):
        other = Kept(model, [CONDITIONS[condition](image) for image in images], targets)
        yield from shares(other, (name, condition), plain, targets, draws, SOME)
    grouping = space.groupings["geirhos16"]
    every, targets = photographs(folder, pool, True)
    kept = Kept(model, every, targets)
    places = [next(i for i, group in enumerate(grouping.indices) if t in group) for t in targets]
    usual = np.argsort(-np.bincount(places), kind="stable")[:10]
    for count in (16, 10):
        chosen = sorted(usual) if count == 10 else range(16)
        classes = tuple(grouping.categories[i] for i in chosen)
        groups = tuple(tuple(grouping.indices[i]) for i in chosen)
        at = np.array([list(chosen).index(place) if place in chosen else -1 for place in places])
        way = Way(space=LabelSpace(name="few", classes=classes, groupings={}), groups=groups)
        yield from shares(kept, (name, f"{count} categories"), way, at, draws)


def on_the_world(name: str, pool: int, draws: int) -> Iterator[Share]:
    """Yield the shares of a network of the built-in world."""
    model = transformer() if name == TRANSFORMER else cast(LoadedModel, load_model(name))
    images, targets = world_photographs(pool)
    plain = Way(space=built_in_space("world16"))
    yield from shares(Kept(model, images, targets), (name, "photographs"), plain, targets, draws)
    for condition in ("blurred", "noised"):
        other = Kept(model, [CONDITIONS[condition](image) for image in images], targets)
        yield from shares(other, (name, condition), plain, targets, draws, ("right",))


def main() -> None:
    """Print shares of all networks and faults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = os.environ.get("BENCH_TEST_DATA")
    parser.add_argument("--photographs", type=Path, default=Path(data) / "imagenet-sample" if data else None)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--pool", type=int, default=96)
    parser.add_argument("--models", nargs="*", default=[*WORLD, TRANSFORMER, *LITES])
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    if asked.photographs is None and set(asked.models) & set(LITES):
        needs("photographs: --photographs FOLDER of WordNet ids, or BENCH_TEST_DATA")
    torch.set_num_threads(1)
    found: list[Share] = []
    for name in asked.models:
        on = partial(on_photographs, folder=asked.photographs) if name in LITES else on_the_world
        found += on(name, pool=asked.pool, draws=asked.draws)
    if asked.write:
        with asked.write.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(["network", "photographs", "fault", "draws", "points", "nats", "alarm", "remedy"])
            for each in found:
                rows.writerow([each.network, each.photographs, each.fault, each.draws, f"{each.points:.1f}",
                               f"{each.nats:.2f}", f"{each.alarm:.2f}", f"{each.remedy:.2f}"])  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
