"""What ImageNet's validation images under every suite cost, for one network and for a thousand, on 1, 8 and 64 devices.

The plan is the program's own, on invented sets of the published sizes, and so is its cut into parts (`--shard`). CPU
rates are measured here, on one thread: decoding, each suite's transforms, a network's forward pass and loading, the
bytes of a stored trial. Rates of a GPU are assumptions (`ASSUMED`); the simulation says what follows from them.

    python benchmarks/scale.py [--networks 1000] [--devices 1 8 64]
"""

from __future__ import annotations

import argparse
import io
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from memory import invented_chunks, invented_stimuli
from PIL import Image
from ratios import ratio, slug

from benchmark.contracts import CHUNK, Block, Stimuli, Suite
from benchmark.engine.plan import Task, split, stated_cost
from benchmark.errors import MissingStimuli
from benchmark.plugins import find_suites
from benchmark.stimuli.catalogue import read_catalogue
from benchmark.store.codec import encode
from benchmark.testing import ToyShelf
from benchmark.testing.toys import ToyView, toy_stimuli
from benchmark.variables import read_settings
from registry.cards import ModelCard, read_cards
from registry.loading import forward_flops, load_model

DAY = 86_400.0
SPACES = ("geirhos16", "imagenet1k")


@dataclass(frozen=True)
class Assumed:
    """What was not measured. flops: a GPU's useful operations a second in float32 (TF32 off); cores: of the processor
    beside each GPU; tensors: how much faster than a core a GPU applies a transform.
    """

    flops: float = 20e12
    cores: int = 12
    tensors: float = 50.0


ASSUMED, FASTER = Assumed(), Assumed(flops=100e12)  # float32; reduced precision
#: Corruptions that the processor makes on all cores while the device waits.
ON_PROCESSOR = ("jpeg_compression", "spatter")
#: Networks of a thousand, in turn: architectures of timm from small to large.
ARCHS = (
    "efficientnet_lite0",
    "resnet18",
    "resnet50",
    "vit_small_patch16_224",
    "convnext_base",
    "vit_base_patch16_224",
)


class Shelf(ToyShelf):
    """Invented sets of the published sizes."""

    def find(self, role: str) -> Stimuli:
        """The largest set of a role. MissingStimuli where the catalogue has none in this space."""
        if role not in self.asked:
            known = [
                e
                for e in read_catalogue(read_settings()).values()
                if e.role == role and e.kind == "images"
            ]
            sizes = [entry.count or 0 for entry in known if entry.space == self.space]
            if not any(sizes) or role == "natural-masked":
                raise MissingStimuli(f"no published size of '{role}'")
            self.asked[role] = toy_stimuli(role, self.space, max(sizes))
        return self.asked[role]


def plan(cards: Iterable[ModelCard]) -> list[Task]:
    """Every suite for every card, in the spaces of ImageNet's networks; plans are shared, as in a run."""
    shelves = {space: Shelf(space) for space in SPACES}
    plans = []
    for suite in find_suites().suites.values():
        for space in SPACES:
            if space in suite.spaces:
                try:
                    plans.append((suite, space, suite.plan(suite.config, shelves[space])))
                except MissingStimuli:
                    continue
    return [Task(card, *one) for card in cards for one in plans]


@dataclass(frozen=True)
class Rates:
    """Measured on one thread: seconds to decode an image, to show it under a transform, of a forward pass of a network
    and its operations a second, to load a network; bytes of a stored trial by suite."""

    decode: float
    transforms: dict[str, float]
    flops: float
    load: float
    stored: dict[str, float] = field(default_factory=dict)


def seconds(work: Callable[[], object], rounds: int = 3) -> float:
    """CPU seconds of one call: the median of a few, after one that warms up."""
    work()
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return sorted(taken)[len(taken) // 2]


def measured(tasks: Sequence[Task]) -> Rates:
    """The rates of this machine."""
    torch.set_num_threads(1)
    card = read_cards(read_settings().cards)["random-efficientnet-lite0"]
    load = seconds(lambda: load_model(card, read_settings().place), 1)
    model = load_model(card, read_settings().place)
    images = torch.rand(8, 3, 224, 224)
    with torch.inference_mode():
        forward = seconds(lambda: model.forward(images)) / len(images)
    blocks = {b.condition: b for task in tasks for b in task.plan.blocks if b.transform is not None}
    return Rates(
        decode=_decoding(),
        transforms={name: _transform(block) for name, block in blocks.items()},
        flops=forward_flops(card) / forward,
        load=load,
        stored={task.suite.name: _stored(task.suite) for task in tasks},
    )


def _decoding() -> float:
    """An image of 500 x 375 pixels as JPEG, with detail as photographs have it, to 224 pixels."""
    draw = np.random.default_rng(0)
    small = draw.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    picture = Image.fromarray(small).resize((500, 375), Image.Resampling.BICUBIC)
    noisy = np.asarray(picture) + draw.normal(0, 8, (375, 500, 3))
    file = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)

    def decode() -> None:
        image = Image.open(io.BytesIO(file.getvalue())).convert("RGB")
        image.resize((341, 256), Image.Resampling.BILINEAR).crop((58, 16, 282, 240)).load()

    return seconds(decode, 9)


def _transform(block: Block) -> float:
    assert block.transform is not None
    pixels = torch.randint(0, 256, (4, 3, 224, 224), dtype=torch.uint8)
    shown = pixels if block.transform.stored else pixels.float() / 255
    seeds = np.arange(len(shown), dtype=np.uint64)
    return seconds(lambda: block.transform and block.transform.apply(shown, seeds), 1) / len(shown)


def _stored(suite: Suite) -> float:
    """Bytes of a trial in a full chunk: of invented answers among 1,000 classes in the corruption suite, else of a toy
    observer's answers to random images.
    """
    if suite.name == "corruption":
        draw = np.random.default_rng(0)
        return (
            len(encode(next(invented_chunks("", invented_stimuli(CHUNK, draw), draw)).columns))
            / CHUNK
        )
    block = suite.plan(suite.config, ToyShelf(suite.spaces[0])).blocks[0]
    view = ToyView(
        replace(block, stimuli=toy_stimuli(block.role, suite.spaces[0], CHUNK)), np.arange(CHUNK)
    )
    return len(encode(suite.observe(suite.config, view))) / CHUNK


@dataclass
class Part:
    """Seconds of a device's share: forward passes and transforms on the device; those transforms for which it waits;
    decoding, which goes on beside it; loading networks.
    """

    forward: float = 0.0
    transforms: float = 0.0
    waiting: float = 0.0
    decoding: float = 0.0
    loading: float = 0.0

    @property
    def device(self) -> float:
        """What happens in turn, chunk by chunk."""
        return self.forward + self.transforms + self.waiting

    @property
    def wall(self) -> float:
        """What the part takes."""
        return self.loading + max(self.device, self.decoding)


def part_cost(
    tasks: Sequence[Task], rates: Rates, flops: dict[str, float], assumed: Assumed
) -> Part:
    """A part of the plan on one GPU. Images are decoded once for all blocks of a set in a network's share; networks are
    shown one after another, as large ones do not fit in memory together.
    """
    made = Part()
    seen: set[tuple[str, str]] = set()
    for task in tasks:
        for place in task.shown:
            block = task.plan.blocks[place]
            n = len(block.stimuli)
            if (task.card.name, block.stimuli.digest) not in seen:
                seen.add((task.card.name, block.stimuli.digest))
                made.decoding += n * rates.decode / assumed.cores
            shown = n * rates.transforms.get(block.condition, 0.0)
            if block.condition.partition("/")[0] in ON_PROCESSOR:
                made.waiting += shown / assumed.cores
            else:
                made.transforms += shown / assumed.tensors
            made.forward += n * task.suite.passes * flops[task.card.arch] / assumed.flops
    made.loading = len({name for name, _ in seen}) * rates.load
    return made


def processor_days(
    tasks: Sequence[Task], rates: Rates, flops: dict[str, float]
) -> dict[str, float]:
    """Core days by suite on this machine alone, and what of them is decoding and transforms."""
    found: dict[str, float] = defaultdict(float)
    decoded: set[str] = set()
    for task in tasks:
        for block in task.plan.blocks:
            n = len(block.stimuli)
            if block.stimuli.digest not in decoded:
                decoded.add(block.stimuli.digest)
                found["decoding"] += n * rates.decode / DAY
            found["transforms"] += n * rates.transforms.get(block.condition, 0.0) / DAY
            passes = n * task.suite.passes * flops[task.card.arch] / rates.flops
            found[task.suite.name] += passes / DAY
    return found


def cards_of(count: int) -> list[ModelCard]:
    """So many networks of ARCHS, in turn."""
    card = read_cards(read_settings().cards)["random-efficientnet-lite0"]
    return [
        card.model_copy(update={"name": f"network-{i}", "arch": f"timm:{ARCHS[i % len(ARCHS)]}"})
        for i in range(count)
    ]


def table(
    tasks: Sequence[Task],
    rates: Rates,
    flops: dict[str, float],
    devices: Sequence[int],
    assumed: Assumed,
) -> None:
    """The simulation on so many devices, as a Markdown table and RATIO lines."""
    networks, fast = len({task.card.name for task in tasks}), f"{assumed.flops / 1e12:.0f} TFLOP/s"
    print(f"\n{networks} network(s), GPUs of {fast} (assumed)\n")
    print(
        "| GPUs | hours | slowest / mean part | speed-up | bound by decoding | transforms | decoding | loading |"
    )
    print("|---|---|---|---|---|---|---|---|")
    cost, alone = stated_cost(tasks), 0.0
    for n in devices:
        parts = [part_cost(part, rates, flops, assumed) for part in split(tasks, n, cost)]
        walls = [part.wall for part in parts]
        alone = alone or sum(walls)
        slow, mean = max(walls), sum(walls) / n
        bound = sum(part.decoding > part.device for part in parts)
        shown = sum(part.transforms + part.waiting for part in parts) / sum(walls)
        decoding, loading = (
            sum(getattr(p, w) for p in parts) / sum(walls) for w in ("decoding", "loading")
        )
        print(
            f"| {n} | {slow / 3600:.2f} | {slow / mean:.2f} | {alone / slow:.1f} | {bound} of {n} | {shown:.0%} | "
            f"{decoding:.0%} | {loading:.0%} |"
        )
        label = slug("scale", f"{networks} networks {n} GPUs {fast}".replace("/", " per "))
        if n > 1:
            ratio(f"{label}_straggler", slow / mean, "mean part; simulated, GPU rates assumed")
            ratio(f"{label}_efficiency", alone / slow / n, "as many times one GPU; simulated")


def main() -> None:
    """Measure, plan, simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=1000)
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 8, 64])
    given = parser.parse_args()
    many = cards_of(given.networks)
    flops = {card.arch: float(forward_flops(card)) for card in many[: len(ARCHS)]}
    everything = plan(many)
    one = plan([card for card in many if card.arch.endswith("resnet50")][:1])
    rates = measured(one)
    average = 1e3 * float(np.mean(list(rates.transforms.values())))
    print(
        f"measured (CPU, one thread): decode {1e3 * rates.decode:.2f} ms, transforms {average:.2f} ms on average, "
        f"{rates.flops / 1e9:.1f} GFLOP/s forward, load {rates.load:.2f} s"
    )
    print(f"assumed: {ASSUMED}, and {FASTER.flops / 1e12:.0f} TFLOP/s")
    print(
        "GFLOP of a forward pass:",
        {a.partition(":")[2]: round(f / 1e9, 1) for a, f in flops.items()},
    )
    bytes_ = {task.suite.name: task.trials * rates.stored[task.suite.name] for task in one}
    print("\n| suite | trials | forward passes | stored, MB |\n|---|---|---|---|")
    for task in one:
        passes, megabytes = task.trials * task.suite.passes, bytes_[task.suite.name] / 1e6
        print(
            f"| {task.suite.name} ({task.space}) | {task.trials} | {passes:.0f} | {megabytes:.1f} |"
        )
    total = sum(bytes_.values())
    print(
        f"one network stores {total / 1e6:.0f} MB, {given.networks} store {given.networks * total / 1e9:.0f} GB"
    )
    days = processor_days(one, rates, flops)
    print(
        "core days of one ResNet-50 on a CPU: " + ", ".join(f"{k} {v:.2f}" for k, v in days.items())
    )
    ratio(
        "scale_shown_per_pass",
        (days["decoding"] + days["transforms"]) / sum(days.values()),
        "the whole on one CPU core",
    )
    for assumed in (ASSUMED, FASTER):
        table(one, rates, flops, given.devices, assumed)
        table(everything, rates, flops, given.devices, assumed)


if __name__ == "__main__":
    main()
