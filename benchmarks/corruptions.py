"""What ImageNet-C's corruptions cost beside other packages.

The same photographs, process CPU time, one thread, both sides alternating in one run. A task starts from
decoded uint8 pixels and ends at the float batch in [0, 1] that a network takes. Ratios are baseline / ours:
larger is faster.

    python benchmarks/corruptions.py --data FOLDER [--imaug FOLDER] [--count 8] [--longest 4] [--only NAME,...]

--data has imagenet-sample/ and frost/. --imaug is a folder made with `pip install --no-deps --target FOLDER
imagecorruptions-imaug numba llvmlite` (or BENCH_IMAUG names it); it stays apart since both packages call themselves
`imagecorruptions`.
"""

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from ratios import by_turns, cpu, need_packages, needs, ratio

from benchmark.contracts import Transform
from benchmark.engine.devices import limit_malloc
from benchmark.transforms.corruptions import CORRUPTIONS
from benchmark.transforms.imagenet_c import corruption
from benchmark.transforms.listing import own_list

Pixels = NDArray[np.uint8]
Corrupt = Callable[..., Pixels]
PEER = "imagecorruptions-imaug"
LEVELS = (1, 2, 3, 4, 5)
COMMON = own_list("imagenet-c")


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=os.environ.get("BENCH_TEST_DATA"))
    parser.add_argument("--imaug", type=Path, default=os.environ.get("BENCH_IMAUG"))
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--longest", type=float, default=4, help="seconds for a corruption")
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
    ours = theirs = 0.0
    for name in options.only:
        transforms = [corruption(name, severity, frost=frost) for severity in LEVELS]
        for severity, transform in zip(LEVELS, transforms, strict=True):  # tables and kernels are made once
            by_batch(transform, pixels), by_loop(peer, pixels[:1], name, severity)
        here = partial(cpu, lambda t=transforms: [by_batch(one, pixels) for one in t])
        there = partial(cpu, lambda n=name: [by_loop(peer, pixels, n, severity) for severity in LEVELS])
        rounds = by_turns([here, there], options.longest)
        ratio(f"corruption_{name}", float(np.median(rounds[:, 1] / rounds[:, 0])), f"{PEER}; higher is faster here")
        middle = np.median(rounds, axis=0) * 1000 / len(LEVELS) / len(pixels)
        print(
            f"{name:20s} CPU ms per image and severity: {middle[0]:.2f}, {PEER} {middle[1]:.2f}; {len(rounds)} rounds"
        )
        if COMMON[name].family != "extra":
            ours, theirs = ours + middle[0], theirs + middle[1]
    if set(options.only) == set(CORRUPTIONS):
        ratio("corruptions_15x5", theirs / ours, f"{PEER}; higher is faster here")


if __name__ == "__main__":
    main()
