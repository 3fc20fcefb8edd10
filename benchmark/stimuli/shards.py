"""Sets in shards: Parquet files of Hugging Face, and WebDataset tars. Their images are unpacked unchanged into class
folders, one at a time, so that a set is the same (digests included) in either form."""

import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path, PurePosixPath

from benchmark.failures import StimuliError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import find_built_in
from benchmark.stimuli.fetch import check_name, entries_of, make_folder, require_plain
from benchmark.stimuli.image_files import LARGEST, open_plain, state_of
from benchmark.stimuli.items import SUFFIXES, images_below
from registry.class_lists import match_name
from registry.labels import label_space
from registry.user_errors import foreign

#: The split in a shard's path: data/validation-00000-of-00014.parquet, test/0.tar.
_SPLIT = re.compile(r"(?:^|[/_-])(train|val|valid|validation|test)(?=[/_.-])")
MOST = 400 * 2**30, 4_000_000  # bytes, images
#: Bytes of images allowed for a byte of shards, and the least limit. Images are compressed already; only repeated ones
#: shrink further.
RATIO, LEAST = 20, 16 * 2**20
_FORMATS = ((b"\xff\xd8", ".jpg"), (b"\x89PNG", ".png"), (b"RIFF", ".webp"))


#: An image: its name or "", its class, its file's bytes.
Packed = tuple[str, str, bytes]


def unpack_shards(
    name: str, folder: Path, space: str | None, settings: Settings, report: Callable[[str], None]
) -> Path:
    """Unpack the shards in `folder` into class folders in the home folder, unless that is done; return `folder` itself
    if it holds images or no shards.

    space: label space of the set `name`, if the catalogue does not know it. Of several splits the validation images are
    read. An interrupted call starts again. Raises StimuliError."""
    kinds = [f"{below}*.{kind}" for kind in ("parquet", "tar") for below in ("", "*/")]
    shards = sorted(path for kind in kinds for path in folder.glob(kind))
    known = find_built_in(name)
    if not shards or (known and known.layout != "class-folder") or next(images_below(folder), None):
        return folder
    if known is None:
        check_name(name)
    space = known.space if known else space
    splits = {path: (_SPLIT.findall(path.relative_to(folder).as_posix()) or [""])[-1] for path in shards}
    parts = sorted(set(splits.values()))
    part = next((known for known in ("validation", "valid", "val", "test") if known in parts), parts[0])
    if len(parts) > 1:
        report(f"{name}: of the splits {', '.join(filter(None, parts))} that of '{part}' is read")
    shards = [path for path in shards if splits[path] == part]
    target, size = settings.home / "unpacked" / name, sum(path.stat().st_size for path in shards)
    report(f"{name}: {size / 2**20:,.0f} MiB in {len(shards)} shards, unpacked into class folders at {target}")
    text = json.dumps([[str(path), *state_of(path)] for path in shards])
    make_folder(target, "shards.json", text, partial(_fill, shards, space), replace=True)
    return target


def _fill(shards: Sequence[Path], space: str | None, target: Path) -> None:
    """Write the images of all shards; a failure removes everything written."""
    taken: set[str] = set()
    size = 0
    most = min(MOST[0], LEAST + RATIO * sum(path.stat().st_size for path in shards))
    try:
        for path in shards:
            with foreign("shard", path, StimuliError, "Expected a whole file of images with labels."):
                for image in _parquet(path, space) if path.suffix == ".parquet" else _webdataset(path):
                    label, name = _named(path, *image, number := f"{len(taken):08d}")
                    place = f"{label}/{name}" if f"{label}/{name}" not in taken else f"{label}/{number}-{name}"
                    taken.add(place)
                    size += len(image[2])
                    if size > most or len(taken) > MOST[1]:
                        raise StimuliError(f"{path}: more than {most} bytes or {MOST[1]} images; refused.")
                    (target / place).parent.mkdir(exist_ok=True)
                    (target / place).write_bytes(image[2])
    except StimuliError:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _named(shard: Path, name: str, label: str, data: bytes, number: str) -> tuple[str, str]:
    """Name an image's class folder and file, by its number if it has no name. Raises StimuliError on a name that leads
    elsewhere, and on anything that is not a labelled image."""
    label = label.strip()
    for text in (name, label):
        if "/" in text or "\\" in text or text.startswith(".") or not text.isprintable() or len(text.encode()) > 200:
            raise StimuliError(f"{shard}: '{text[:80]}' cannot name a file or class; refused.")
    if label in ("", "-1"):
        raise StimuliError(f"{shard}: the image '{name or number}' has no label: a test split, or not labelled at all.")
    if not (suffix := next((suffix for magic, suffix in _FORMATS if data.startswith(magic)), "")):
        raise StimuliError(f"{shard}: the image '{name or number}' is not a JPEG, PNG or WebP file.")
    return label, name if PurePosixPath(name).suffix.lower() in SUFFIXES else f"{name or number}{suffix}"


def _parquet(path: Path, space: str | None) -> Iterator[Packed]:
    """Yield the rows of a Parquet file in small batches."""
    try:
        from pyarrow import parquet
    except ImportError:
        raise StimuliError(f"{path}: Parquet needs pyarrow: pip install 'gestaltbench[parquet]'.") from None
    with open_plain(path) as file, parquet.ParquetFile(file, pre_buffer=False, buffer_size=2**20) as table:
        stated, columns = table.schema_arrow.metadata or {}, table.schema_arrow.names
        features = json.loads(stated.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
        chosen: list[str] = []
        for kind, usual in (("Image", ("image", "img", "jpg")), ("ClassLabel", ("label", "labels", "cls", "wnid"))):
            typed = [name for name in columns if features.get(name, {}).get("_type") == kind]
            chosen += ([name for name in usual if name in (typed or columns)] or typed)[:1]
        if len(chosen) < 2:
            raise StimuliError(f"{path}: expected columns 'image' and 'label'; it has: {', '.join(columns)}.")
        image, label = chosen
        names = _class_names(features.get(label, {}).get("names") or (), space)
        for batch in table.iter_batches(batch_size=16, columns=chosen):
            for cell, value in zip(batch[image].to_pylist(), batch[label].to_pylist(), strict=True):
                data, called = (cell["bytes"], cell.get("path")) if isinstance(cell, dict) else (cell, None)
                if not isinstance(data, bytes):
                    raise StimuliError(f"{path}: '{called}' has only a name: the shard does not contain its image.")
                text = "" if value is None else names[value] if names and value >= 0 else str(value)
                yield (called or "").rpartition("/")[2], text, data


def _class_names(names: Sequence[str], space: str | None) -> Sequence[str]:
    """Return the names of numbered classes. For ImageNet's 1,000 classes in their usual order, return WordNet ids,
    since two classes may share a name ("crane")."""
    wnids, known = label_space("imagenet1k").classes, list(map(match_name, names))
    fits = len(names) == len(wnids) and all(name in ("", wnid) for name, wnid in zip(known, wnids, strict=True))
    return wnids if fits and known.count("") < 100 and space in (None, "imagenet1k") else names


def _webdataset(path: Path) -> Iterator[Packed]:
    """Yield the samples of a tar. A sample is a run of entries with the same name up to the first dot: an image and
    .cls or .json with its label; or an image in a class folder."""
    for _, group in groupby(_members(path), key=lambda member: member[0]):
        members = list(group)
        images = [(name, data) for _, name, data in members if name.suffix.lower() in SUFFIXES]
        texts = {name.suffix: data for _, name, data in members if name.suffix.lower() not in SUFFIXES}
        label = texts.get(".cls", b"").decode() or str(json.loads(texts.get(".json", b"{}")).get("label", ""))
        if label and len(images) > 1:
            raise StimuliError(f"{path}: several images for one label: {', '.join(name.name for name, _ in images)}.")
        yield from ((name.name, label or name.parent.name, data) for name, data in images)


def _members(path: Path) -> Iterator[tuple[str, PurePosixPath, bytes]]:
    """Yield images and labels of a tar: the sample's name, the path, the bytes."""
    for tar, info in entries_of(path, *MOST):
        name = PurePosixPath(info.name)
        require_plain(path, info)
        kind = name.suffix.lower()
        if not name.name.startswith(".") and kind in SUFFIXES | {".cls", ".json"}:
            if info.size > (LARGEST if kind in SUFFIXES else 2**20):
                raise StimuliError(f"{path}: the entry {info.name!r} has {info.size} bytes; refused.")
            file = tar.extractfile(info)
            assert file is not None  # a plain file has content
            yield str(name.parent / name.name.partition(".")[0]), name, file.read()
