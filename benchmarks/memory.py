"""How much memory it takes to score 50,000 images under 76 conditions.

What counts is the highest resident memory (`ru_maxrss`) of a process that scores, less that of one that has only
imported the same modules. Answers are invented: memory hangs on their number alone.

    python benchmarks/memory.py [--images 50000]
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ratios import ratio

from benchmark.contracts import CHUNK, Observer, Stimuli
from benchmark.store import Chunk, Observation, open_store
from registry.files import digest_data
from suites.corruption import SUITE
from suites.corruption.mce import alexnet

GIB = 2**30
WNIDS = np.array([f"n{number:08d}" for number in range(1_440_000, 1_440_000 + 1000)])


def invented_answers(path: Path, images: int) -> None:
    """A leaderboard at `path` with one network's answers to so many images, as they are and under the 75 common
    corruptions.
    """
    draw = np.random.default_rng(0)
    stimuli = invented_stimuli(images, draw)
    with open_store(str(path)) as store:
        run = store.begin_run("benchmarks/memory.py", {"synthetic": True})
        observer = store.put_observer(Observer("network", "network", "network", {}))
        store.put_stimuli(stimuli)
        for condition in ("clean", *alexnet().errors):
            key = digest_data(condition)
            names = (SUITE.name, SUITE.version, "imagenet1k", stimuli.digest, "natural", condition)
            store.put_observation(run, Observation(key, observer, *names, "crop224", "", images))
            store.put_chunks(run, list(invented_chunks(key, stimuli, draw)))
        store.end_run(run, "done")


def invented_stimuli(images: int, draw: np.random.Generator) -> Stimuli:
    """So many images with the names and classes of ImageNet's validation set."""
    ids = tuple(f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, images + 1))
    labels = {"category": WNIDS[draw.integers(0, len(WNIDS), images)]}
    return Stimuli("imagenet-val", "invented", "imagenet1k", ids, ids, labels, _no_image)


def _no_image(index: int) -> np.ndarray:
    raise LookupError(f"image {index} is invented")


def invented_chunks(key: str, stimuli: Stimuli, draw: np.random.Generator) -> Iterator[Chunk]:
    """Answers among 1,000 classes, six in ten of them right."""
    for at, start in enumerate(range(0, len(stimuli), CHUNK)):
        truth = stimuli.labels["category"][start : start + CHUNK]
        n = len(truth)
        right = draw.random(n) < 0.6
        columns = {
            "response": np.where(right, truth, WNIDS[draw.integers(0, len(WNIDS), n)]),
            "probability": draw.random(n, dtype=np.float32),
            "top5": right | (draw.random(n) < 0.5),
            "right16": np.where(draw.random(n) < 0.8, -1, right).astype(np.int8),
        }
        yield Chunk(key, at, start, columns)


SCORING = """
from benchmark.engine.scoring import Scorer
from benchmark.store import open_store
from suites.corruption import SUITE
import scipy.linalg
def work(path):
    with open_store(path) as store:
        run = store.begin_run("benchmarks/memory.py", {})
        Scorer(store, run, SUITE).observer(store.observations(suite=SUITE.name), {})
"""


def peak(code: str, path: Path | None) -> int:
    """Bytes at the most of a process that runs `work` of the code; without a path it only imports."""
    end = "import resource\n"
    end += "" if path is None else f"work({str(path)!r})\n"
    end += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{end}"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return 1024 * int(done.stdout.split()[-1])


def main() -> None:
    """Print the peak."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=50_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.db"
        invented_answers(path, given.images)
        print(f"{given.images} images x 76 conditions: {path.stat().st_size / 1e6:.0f} MB stored")
        used = peak(SCORING, path) - peak(SCORING, None)
        ratio("memory_scoring", used / GIB, "1 GiB")


if __name__ == "__main__":
    main()
