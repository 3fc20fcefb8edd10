"""What ImageNet-C's corruptions cost beside other packages.

The same photographs, process CPU time, one thread, both sides alternating in one run. A task starts from
decoded uint8 pixels and ends at the float batch in [0, 1] that a network takes. Ratios are baseline / ours:
larger is faster.

    python benchmarks/corruptions.py --data FOLDER [--imaug FOLDER] [--count 8] [--rounds 40] [--only NAME,...]

--data has imagenet-sample/ and frost/. --imaug is a folder made with `pip install --no-deps --target FOLDER
imagecorruptions-imaug numba llvmlite` (or BENCH_IMAUG names it); it stays apart since both packages call themselves
`imagecorruptions`.
"""

import argparse
import importlib
import importlib.util
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from ratios import need_packages, needs, ratio

from benchmark.contracts import Transform
from benchmark.engine.devices import limit_malloc
from benchmark.transforms.corruptions import CORRUPTIONS
from benchmark.transforms.imagenet_c import corruption
from benchmark.transforms.listing import own_list

Pixels = NDArray[np.uint8]
Corrupt = Callable[..., Pixels]
PEER = "imagecorruptions-imaug"
#: Rounds at least, and the standard error of a median ratio at which a corruption is not repeated any more.
LEAST, STEADY = 5, 0.01


def fastest(folder: Path) -> Corrupt:
    """`imagecorruptions-imaug` from its own folder, under another name."""
    sys.path.append(str(folder))
    place = folder / "imagecorruptions" / "__init__.py"
    spec = importlib.util.spec_from_file_location(
        "imaug_corruptions", place, submodule_search_locations=[str(place.parent)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["imaug_corruptions"] = module
    spec.loader.exec_module(module)
    return module.corrupt


def photographs(folder: Path, count: int) -> Pixels:
    """[count, 224, 224, 3]: shorter side 256, centre crop, spread over the sample."""
    files = sorted(folder.glob("*/*.JPEG"))
    if not files:
        raise SystemExit(f"no */*.JPEG under {folder}")
    return np.stack([_crop(file) for file in files[:: max(1, len(files) // count)][:count]])


def _crop(file: Path) -> Pixels:
    image = Image.open(file).convert("RGB")
    scale = 256 / min(image.size)
    image = image.resize([round(side * scale) for side in image.size], Image.Resampling.BILINEAR)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    return np.asarray(image.crop((left, top, left + 224, top + 224)))


def batch(pixels: Pixels) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255)


def by_loop(corrupt: Corrupt, pixels: Pixels, name: str, severity: int) -> torch.Tensor:
    done = [corrupt(image, severity=severity, corruption_name=name) for image in pixels]
    return batch(np.stack(done))


def by_batch(transform: Transform, pixels: Pixels) -> torch.Tensor:
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    out = transform.apply(images, np.arange(len(pixels), dtype=np.uint64))
    return out.float().div_(255)


def cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def measure(
    pixels: Pixels, other: Corrupt, frost: Sequence[Pixels], rounds: int, names: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """Corruption -> CPU ms per image here and there [rounds, 2], summed over the severities. A corruption is repeated
    until the middle of its ratios is known to `STEADY`, in `rounds` rounds at most."""
    table = {}
    for name in names:
        cells = [(corruption(name, severity, frost=frost), severity) for severity in (1, 2, 3, 4, 5)]
        for transform, severity in cells:  # tables and kernels are made once
            by_batch(transform, pixels), by_loop(other, pixels[:1], name, severity)
        turns: list[list[float]] = []
        while len(turns) < LEAST or (len(turns) < rounds and spread(np.array(turns)) > STEADY):
            here = sum(cpu(lambda t=transform: by_batch(t, pixels)) for transform, _ in cells)
            there = sum(cpu(lambda n=name, s=severity: by_loop(other, pixels, n, s)) for _, severity in cells)
            turns.append([side * 1000 / len(pixels) for side in (here, there)])
        table[name] = np.array(turns)
    return table


def spread(turns: NDArray[np.float64]) -> float:
    """The standard error of the median ratio, relative to it."""
    low, middle, high = np.quantile(turns[:, 1] / turns[:, 0], [0.25, 0.5, 0.75])
    return float(0.93 * (high - low) / math.sqrt(len(turns)) / middle)


def report(table: dict[str, NDArray[np.float64]]) -> None:
    common = [name for name, entry in own_list("imagenet-c").items() if entry.family != "extra" and name in table]
    ours, theirs = (sum(float(np.median(table[name][:, side])) for name in common) for side in (0, 1))
    ratio(f"corruptions_{len(common)}x5", theirs / ours, f"{PEER}; higher is faster here")
    for name, turns in table.items():
        low, middle, high = np.quantile(turns[:, 1] / turns[:, 0], [0, 0.5, 1])
        rounds = f"median of {len(turns)} rounds from {low:.2f} to {high:.2f}"
        ratio(f"corruption_{name}", middle, f"{PEER}; {rounds}; higher is faster here")
        here, there = np.median(turns, axis=0) / 5
        print(f"{name:20s} CPU ms per image and severity: {here:.2f}, {PEER} {there:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=os.environ.get("BENCH_TEST_DATA"))
    parser.add_argument("--imaug", type=Path, default=os.environ.get("BENCH_IMAUG"))
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(CORRUPTIONS))
    options = parser.parse_args()
    if options.data is None:
        needs("photographs: --data FOLDER, or BENCH_TEST_DATA, with imagenet-sample/ and frost/")
    if options.imaug is None:
        needs("another implementation: --imaug FOLDER, or BENCH_IMAUG")
    need_packages("cv2")
    limit_malloc()
    torch.set_num_threads(1)
    importlib.import_module("cv2").setNumThreads(1)
    files = sorted((options.data / "frost").glob("frost*.*"))
    frost = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    sample = options.data / "imagenet-sample"
    pixels, peer = photographs(sample, options.count), fastest(options.imaug)
    report(measure(pixels, peer, frost, options.rounds, options.only))


if __name__ == "__main__":
    main()
