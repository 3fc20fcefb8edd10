"""Large folders: memory and time per image of opening a set in cells, and of streaming it.

    python benchmarks/folders.py [--images 20000] [--cells 10] [--folder WHERE]

Makes a tree CORRUPTION/SEVERITY/WNID/name.JPEG of hard links to a few small pictures (40 classes), opens it as a
user's shelf does, reads all digests, then again from what is remembered, then streams sets of growing size through
`benchmark.engine.inference`. Times are of this process's CPU. ImageNet-C is 75 cells of 50,000 images.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from ratios import ratio

from benchmark.contracts import CHUNK
from benchmark.engine.inference import decoded_chunks
from benchmark.engine.plan import chunk_count
from benchmark.settings import Settings
from benchmark.stimuli.datasets import subset
from benchmark.stimuli.fetch import add
from benchmark.stimuli.roles import Resolver

CLASSES, SIDE, ORIGINALS, SEVERITIES, LIMIT = 40, 112, 64, 5, 500


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--images", type=int, default=20_000)
    options.add_argument("--cells", type=int, default=10)
    options.add_argument("--folder", type=Path)
    args = options.parse_args()
    place = Path(tempfile.mkdtemp(prefix="folders-", dir=args.folder))
    try:
        measure(place, args.cells, args.images // args.cells)
    finally:
        shutil.rmtree(place)


def measure(place: Path, cells: int, each: int) -> None:
    make_tree(place, cells, each)
    total = cells * each
    print(
        f"{cells} cells of {each} images of {SIDE} x {SIDE} px, {total} in all, {CLASSES} classes"
    )
    homes = [Settings(place / f"home{i}", db="", mirror=None, data=None) for i in range(4)]
    for home in homes:
        add("large", place / "large", home, role="large", space="imagenet1k", layout="cells")

    print(f"{'step':38} {'CPU us/image':>12} {'kept bytes/image':>17} {'peak bytes/image':>17}")
    told("list (names and labels)", total, shelf, homes[0], homes[1])
    first = told("list and digest, first time", total, opened, homes[0], homes[1])
    again = told("list and digest, remembered", total, opened, homes[0], homes[1])
    ratio("folders_digests_remembered", again / first, "digests read for the first time")
    told(f"list all, digest {LIMIT} of each cell", total, limited, homes[2], homes[3])

    print(f"\n{'streamed set':>12} {'chunks':>7} {'peak, in chunks of pixels':>26}")
    shown = next(iter(shelf(homes[0]).values()))
    for n in (4 * CHUNK, 16 * CHUNK, min(64 * CHUNK, each)):
        part = subset(shown, n)
        most = streamed(part)
        print(f"{len(part):12} {chunk_count(part):7} {most:26.2f}")
    ratio("folders_streaming_memory", most, "one chunk's pixels")


def shelf(home: Settings) -> Any:
    return Resolver("imagenet1k", home).parts("large")


def opened(home: Settings) -> Any:
    parts = shelf(home)
    return parts, list(parts.values())


def limited(home: Settings) -> Any:
    return list(Resolver("imagenet1k", home, limit=LIMIT).parts("large").values())


def make_tree(place: Path, cells: int, each: int) -> None:
    rng = np.random.default_rng(0)
    (place / "originals").mkdir()
    originals = []
    for i in range(ORIGINALS):
        path = place / "originals" / f"{i}.JPEG"
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(path)
        os.utime(path, (1e9, 1e9))  # long ago: digests of such files are remembered
        originals.append(path)
    for cell in range(cells):
        folder = (
            place / "large" / f"corruption{cell // SEVERITIES:02d}" / str(cell % SEVERITIES + 1)
        )
        for category in range(CLASSES):
            (folder / f"n{category:08d}").mkdir(parents=True)
        for i in range(each):
            name = f"n{i % CLASSES:08d}/ILSVRC2012_val_{i:08d}.JPEG"
            os.link(originals[(i * 7 + cell) % ORIGINALS], folder / name)


def told(
    step: str, images: int, work: Callable[[Settings], Any], timed: Settings, traced: Settings
) -> float:
    """Time and memory of a step, each with a home of its own: tracing memory costs time."""
    start = time.process_time()
    work(timed)
    seconds = time.process_time() - start
    tracemalloc.start()
    result = work(traced)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del result
    print(f"{step:38} {seconds / images * 1e6:12.1f} {kept / images:17.1f} {peak / images:17.1f}")
    return seconds


def streamed(stimuli: Any) -> float:
    """The most memory that walking over a set takes at once, in chunks of pixels."""
    tracemalloc.start()
    for images in decoded_chunks(stimuli, range(chunk_count(stimuli)), None):
        del images
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / (CHUNK * SIDE * SIDE * 3)


if __name__ == "__main__":
    main()
