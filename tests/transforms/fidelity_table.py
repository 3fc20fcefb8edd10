"""Print how far each corruption is from the published one, given the same draws, on real photographs.

    BENCH_TEST_DATA=FOLDER python tests/transforms/fidelity_table.py

Two paths: the function in float64, and as the transform runs it (float32 or float64 by the table). Numbers are over 6
photographs of 224 px and 5 severities: the largest difference in grey levels, the mean absolute difference, and the
share of values that differ."""

from collections.abc import Callable
from unittest import mock

import numpy as np
import published_corruptions as published
import torch
from conftest import crops
from given_draws import Given
from transform_samples import data_folder

from benchmark.transforms.corruptions import CORRUPTIONS, corrupted, load_textures

PIXELS = crops(data_folder("imagenet-sample"))
COUNT, SIDE = PIXELS.shape[:2]
TEXTURES = load_textures(sorted(data_folder("frost").glob("frost*.*")))
Case = tuple[np.ndarray, list[np.ndarray]]  # published images, draws of our function


def legacy(draw: Callable) -> np.ndarray:
    return np.stack([draw(np.random.RandomState(i)) for i in range(COUNT)])


def by_library(name: str, severity: int) -> np.ndarray:
    out = []
    for i, image in enumerate(PIXELS):
        np.random.seed(i)
        out.append(published.by_library(name, image, severity))
    return np.stack(out)


def chw(draws: np.ndarray) -> np.ndarray:
    return np.moveaxis(draws, -1, 1)


def normals(name: str, severity: int) -> Case:
    return by_library(name, severity), [chw(legacy(lambda r: r.normal(size=(SIDE, SIDE, 3))))]


def no_draws(name: str, severity: int) -> Case:
    return by_library(name, severity), []


def shot(name: str, severity: int) -> Case:
    peak = CORRUPTIONS[name].constants[severity - 1][0]
    counts = [np.random.RandomState(i).poisson(p / 255 * peak) for i, p in enumerate(PIXELS)]
    return by_library(name, severity), [chw(np.stack(counts))]


def impulse(name: str, severity: int) -> Case:
    from skimage.util import random_noise

    share = CORRUPTIONS[name].constants[severity - 1][0]
    theirs = [published.cut(random_noise(p / 255, mode="s&p", amount=share, rng=i) * 255) for i, p in enumerate(PIXELS)]
    pairs = []
    for i in range(COUNT):
        rng = np.random.default_rng(i)
        pairs.append([rng.random((SIDE, SIDE, 3)) for _ in range(2)])
    return np.stack(theirs), [chw(np.stack(draws)) for draws in zip(*pairs, strict=True)]


def glass(name: str, severity: int) -> Case:
    _, delta, passes = CORRUPTIONS[name].constants[severity - 1]
    inner = SIDE - 2 * delta
    steps = legacy(lambda r: r.randint(-delta, delta, (passes, inner, inner, 2)))
    theirs = []
    for image, some in zip(PIXELS, steps, strict=True):
        queue = iter(some.reshape(-1, 2).tolist())
        with mock.patch.object(np.random, "randint", lambda *_, q=queue, **__: next(q)):
            theirs.append(published.by_library(name, image, severity))
    return np.stack(theirs), [(steps[:, k] + delta + 0.5) / (2 * delta) for k in range(passes)]


def motion(name: str, severity: int) -> Case:
    angles = np.linspace(-44, 44, COUNT)
    settings = CORRUPTIONS[name].constants[severity - 1]
    theirs = [published.smeared(p, *settings, a) for p, a in zip(PIXELS, angles, strict=True)]
    return np.stack(theirs), [(angles[:, None] + 45) / 90]


def zoom(name: str, severity: int) -> Case:
    settings = CORRUPTIONS[name].constants[severity - 1]
    return np.stack([published.zoom_blur(p, *settings) for p in PIXELS]), []


def snow(name: str, severity: int) -> Case:
    fields = legacy(lambda r: r.normal(size=(SIDE, SIDE)))
    angles = np.linspace(-134, -46, COUNT)
    settings = CORRUPTIONS[name].constants[severity - 1]
    theirs = [published.snow(*one, *settings) for one in zip(PIXELS, fields, angles, strict=True)]
    return np.stack(theirs), [fields[:, None], (angles[:, None] + 135) / 90]


def frost(name: str, severity: int) -> Case:
    draws = legacy(lambda r: r.random_sample(3))
    theirs = []
    for image, (pick, down, across) in zip(PIXELS, draws, strict=True):
        texture = TEXTURES[int(pick * 5)]
        top, left = (int(u * (n - SIDE)) for u, n in zip((down, across), texture.shape, strict=False))
        settings = CORRUPTIONS[name].constants[severity - 1]
        theirs.append(published.frost(image, texture, top, left, *settings))
    return np.stack(theirs), [draws]


def fog(name: str, severity: int) -> Case:
    return by_library(name, severity), [legacy(lambda r: r.random_sample(256 * 256 - 1))]


def elastic(name: str, severity: int) -> Case:
    draws = [legacy(lambda r, s=s: r.random_sample(s)) for s in ((3, 2), (SIDE, SIDE))]
    draws.append(1 - draws[1].transpose(0, 2, 1))
    settings = CORRUPTIONS[name].constants[severity - 1]
    theirs = [published.elastic(*one, *settings) for one in zip(PIXELS, *draws, strict=True)]
    return np.stack(theirs), draws


def pixelate(name: str, severity: int) -> Case:
    settings = CORRUPTIONS[name].constants[severity - 1]
    return np.stack([published.pixelate(p, *settings) for p in PIXELS]), []


def spatter(name: str, severity: int) -> Case:
    fields = legacy(lambda r: r.normal(size=(SIDE, SIDE)))
    return by_library(name, severity), [fields[:, None]]


CASES = {
    "gaussian_noise": normals,
    "shot_noise": shot,
    "impulse_noise": impulse,
    "glass_blur": glass,
    "motion_blur": motion,
    "zoom_blur": zoom,
    "snow": snow,
    "frost": frost,
    "fog": fog,
    "elastic_transform": elastic,
    "pixelate": pixelate,
    "speckle_noise": normals,
    "spatter": spatter,
}


def ours(name: str, severity: int, draws: list[np.ndarray], dtype: torch.dtype) -> np.ndarray:
    what = CORRUPTIONS[name]
    extra = (TEXTURES,) if name == "frost" else ()
    given = Given([torch.from_numpy(np.array(d, dtype=np.float64)) for d in draws])  # copies
    levels = torch.from_numpy(PIXELS).permute(0, 3, 1, 2).to(dtype)
    out = corrupted(what, levels, (*what.constants[severity - 1], *extra), given)
    return out.byte().permute(0, 2, 3, 1).numpy()


def main() -> None:
    torch.set_num_threads(1)
    print("| corruption | float64: max | mean | share | as run: max | mean | share |")
    print("|---|---|---|---|---|---|---|")
    for name in CORRUPTIONS:
        cells: list[str] = []
        cases = [CASES.get(name, no_draws)(name, severity) for severity in (1, 2, 3, 4, 5)]
        for dtype in (torch.float64, torch.float32):
            away = np.stack(
                [
                    np.abs(ours(name, s, draws, dtype).astype(int) - theirs)
                    for s, (theirs, draws) in enumerate(cases, start=1)
                ]
            )
            cells += [f"{away.max()}", f"{away.mean():.5f}", f"{(away > 0).mean():.5f}"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
