"""What ImageNet-C's corruptions cost, and whether networks see the same in them, beside other packages.

The same photographs, process CPU time, one thread, both sides alternating in one run. A task starts from
decoded uint8 pixels and ends at the float batch in [0, 1] that a network takes. Ratios are baseline / ours:
larger is faster.

    python benchmarks/corruptions.py --data FOLDER [--imaug FOLDER] [--count 8] [--rounds 3]
    python benchmarks/corruptions.py --data FOLDER --imaug FOLDER --accuracy 500 [--severity 3]

--data has imagenet-sample/ and frost/. --imaug is a folder made with `pip install --no-deps --target FOLDER
imagecorruptions-imaug numba llvmlite` (or BENCH_IMAUG names it); it stays apart since both packages call themselves
`imagecorruptions`.
"""

import argparse
import importlib
import importlib.util
import os
import sys
import time
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from ratios import need_packages, needs, ratio
from scipy import ndimage

from benchmark.contracts import Transform
from benchmark.engine.devices import keep_pages
from benchmark.transforms.corruptions import corruption, names

Pixels = NDArray[np.uint8]
Corrupt = Callable[..., Pixels]
CLASSIC, FASTEST = "imagecorruptions", "imagecorruptions-imaug"


def classic() -> Corrupt:
    """`imagecorruptions`, with stand-ins for what its dependencies have removed since."""
    need_packages("skimage", "cv2")
    from skimage.filters import gaussian

    root = importlib.util.find_spec("imagecorruptions")
    if root is None or root.submodule_search_locations is None:
        needs("another implementation: pip install imagecorruptions")
    resources = types.ModuleType("pkg_resources")
    folder = Path(root.submodule_search_locations[0])
    resources.resource_filename = lambda _, path: str(folder / path)  # type: ignore[attr-defined]
    old = types.ModuleType("scipy.ndimage.interpolation")
    old.map_coordinates = ndimage.map_coordinates  # type: ignore[attr-defined]
    stand_ins = {"pkg_resources": resources, "scipy.ndimage.interpolation": old}
    with mock.patch.dict(sys.modules, stand_ins):
        package = importlib.import_module("imagecorruptions")
    package.corruptions.gaussian = lambda image, sigma, multichannel=False, **options: gaussian(
        image, sigma, channel_axis=-1 if multichannel else None, **options
    )
    np.float_ = np.float64
    return package.corrupt


def fastest(folder: Path) -> Corrupt:
    """`imagecorruptions-imaug` from its own folder, under another name."""
    sys.path.append(str(folder))
    place = folder / "imagecorruptions" / "__init__.py"
    spec = importlib.util.spec_from_file_location(
        "imaug_corruptions", place, submodule_search_locations=[str(place.parent)]
    )
    assert spec is not None
    assert spec.loader is not None
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
    """What a network takes: NCHW float32 in [0, 1]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255)


def by_loop(corrupt: Corrupt, pixels: Pixels, name: str, severity: int) -> torch.Tensor:
    """The other packages: image by image."""
    done = [corrupt(image, severity=severity, corruption_name=name) for image in pixels]
    return batch(np.stack(done))


def by_batch(transform: Transform, pixels: Pixels) -> torch.Tensor:
    """Ours."""
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    out = transform.apply(images, np.arange(len(pixels), dtype=np.uint64))
    return out.float().div_(255)


def cpu(work: Callable[[], object]) -> float:
    """Process CPU seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def measure(
    pixels: Pixels, others: dict[str, Corrupt], frost: Sequence[Path], rounds: int
) -> dict[str, dict[str, float]]:
    """Side -> corruption -> CPU ms per image, summed over the severities; best of `rounds` per cell."""
    table: dict[str, dict[str, float]] = {side: {} for side in ("ours", *others)}
    for name in names("all"):
        for severity in (1, 2, 3, 4, 5):
            transform = corruption(name, severity, frost=frost)
            by_batch(transform, pixels)  # tables and kernels are made once
            best = dict.fromkeys(table, float("inf"))
            for turn in range(rounds):
                best["ours"] = min(best["ours"], cpu(lambda t=transform: by_batch(t, pixels)))
                for side, corrupt in others.items():
                    slow = side == CLASSIC and name == "glass_blur"
                    some = pixels[:2] if slow else pixels
                    if slow and turn:
                        continue
                    spent = cpu(lambda c=corrupt, p=some, n=name, s=severity: by_loop(c, p, n, s))
                    best[side] = min(best[side], spent * len(pixels) / len(some))
            for side, seconds in best.items():
                table[side][name] = table[side].get(name, 0.0) + seconds * 1000 / len(pixels)
    return table


def report(table: dict[str, dict[str, float]]) -> None:
    """Ratios, the headline first, then CPU ms per image and severity."""
    others = [side for side in table if side != "ours"]
    common = names()
    for side in reversed(others):
        share = sum(table[side][n] for n in common) / sum(table["ours"][n] for n in common)
        ratio(f"corruptions_15x5/{side}", share, f"{side}; higher is faster here")
    for name in names("all"):
        best = min(others, key=lambda side: table[side][name])
        ratio(
            f"corruption_{name}",
            table[best][name] / table["ours"][name],
            f"{best}; higher is faster here",
        )
    print(f"\nCPU ms per image, mean of five severities\n{'':20s}", *(f"{s:>24s}" for s in table))
    for name in names("all"):
        print(f"{name:20s}", *(f"{table[side][name] / 5:24.2f}" for side in table))
    print(f"{'15 x 5, sum':20s}", *(f"{sum(table[s][n] for n in common):24.1f}" for s in table))


def accuracy(
    pixels: Pixels, truth: list[str], other: Corrupt, frost: Sequence[Path], severity: int
) -> None:
    """Top-1 of EfficientNet-Lite0 on our images and on the other package's, same photographs."""
    from registry.cards import builtin_cards
    from registry.files import Place
    from registry.loading import load_model

    model = load_model(builtin_cards()["efficientnet-lite0"], Place(Path()))
    classes = np.asarray(model.labels.classes)

    def right(images: torch.Tensor) -> NDArray[np.bool_]:
        with torch.inference_mode():
            parts = [model.forward(model.fit(part)).argmax(1).numpy() for part in images.split(50)]
        return np.asarray(classes[np.concatenate(parts)] == np.asarray(truth))

    print(f"clean: {right(batch(pixels)).mean():.3f}")
    print(
        f"severity {severity}: ours, theirs, right only on ours, right only on theirs, two-sided McNemar p"
    )
    for name in names("all"):
        ours = right(by_batch(corruption(name, severity, frost=frost), pixels))
        theirs = right(by_loop(other, pixels, name, severity))
        gained, lost = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
        p = _mcnemar(gained, lost)
        print(
            f"{name:20s} {ours.mean():.3f} {theirs.mean():.3f} {gained:4d} {lost:4d} {p:.3f}",
            flush=True,
        )


def _mcnemar(gained: int, lost: int) -> float:
    from scipy.stats import binomtest

    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=os.environ.get("BENCH_TEST_DATA"))
    parser.add_argument("--imaug", type=Path, default=os.environ.get("BENCH_IMAUG"))
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--accuracy", type=int, metavar="IMAGES")
    parser.add_argument("--severity", type=int, default=3)
    options = parser.parse_args()
    if options.data is None:
        needs("photographs: --data FOLDER, or BENCH_TEST_DATA, with imagenet-sample/ and frost/")
    need_packages("cv2")
    torch.set_num_threads(1)
    importlib.import_module("cv2").setNumThreads(1)
    keep_pages()
    frost = sorted((options.data / "frost").glob("frost*.*"))
    sample = options.data / "imagenet-sample"
    if options.accuracy:
        pixels = photographs(sample, options.accuracy)
        files = sorted(sample.glob("*/*.JPEG"))
        step = max(1, len(files) // options.accuracy)
        truth = [file.parent.name for file in files[::step][: options.accuracy]]
        other = fastest(options.imaug) if options.imaug else classic()
        accuracy(pixels, truth, other, frost, options.severity)
        return
    others = {CLASSIC: classic()} | ({FASTEST: fastest(options.imaug)} if options.imaug else {})
    report(measure(photographs(sample, options.count), others, frost, options.rounds))


if __name__ == "__main__":
    main()
