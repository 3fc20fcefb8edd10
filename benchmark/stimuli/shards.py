"""Sets in archives: zips, WebDataset tars, Parquet and Arrow files of Hugging Face. Their images are unpacked as they
are, one at a time, so that a set is the same (digests included) in any form."""

import json
import re
import shlex
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path, PurePosixPath

from benchmark.failures import StimuliError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import find_built_in
from benchmark.stimuli.fetch import NONE, check_name, entries_of, make_folder, require_inside, require_plain
from benchmark.stimuli.image_files import LARGEST, open_plain, state_of
from benchmark.stimuli.image_names import wnid_of
from benchmark.stimuli.items import SUFFIXES, images_below, subfolders
from benchmark.stimuli.manifests import IMAGES, LABELS, manifest_tables, one_of, plain_column
from benchmark.stimuli.manifests import SUFFIXES as LISTS
from benchmark.stimuli.text_tables import decoded_text
from registry.labels import label_space, match_name
from registry.user_errors import foreign, library

#: The split in a shard's path: data/validation-00000-of-00014.parquet, test/0.tar.
_SPLIT = re.compile(r"(?:^|[/_-])(train|val|valid|validation|test)(?=[/_.-])")
NOTE = "shards.json"  # in the folder of what was unpacked: the state of its shards
MOST = 400 * 2**30, 4_000_000  # bytes, images
#: Bytes of images allowed for a byte of shards, and the least limit. Images are compressed already; only repeated ones
#: shrink further.
RATIO, LEAST = 20, 16 * 2**20
_FORMATS = ((b"\xff\xd8", ".jpg"), (b"\x89PNG", ".png"), (b"RIFF", ".webp"))

#: An image: its name or "", its class (None: the name is a path), its file's bytes.
Packed = tuple[str, str | None, bytes]
KINDS = (".parquet", ".arrow", ".tar", ".zip")


def unpack_shards(
    name: str,
    place: Path,
    space: str | None,
    settings: Settings,
    report: Callable[[str], None],
    columns: Mapping[str, str] = NONE,
) -> tuple[Path, Mapping[str, str]]:
    """Unpack the archive `place`, or those in that folder, in the home folder, unless that is done. Return the folder
    of the images, and the columns that a list there needs; `place` itself if it holds images or no archives. Of several
    splits the validation images are read. space: of a set that the catalogue does not know. Raises StimuliError."""
    known, shards = find_built_in(name), _archives(place)
    is_images = known is not None and known.layout != "class-folder"
    if not shards or is_images or (place.is_dir() and next(images_below(place), None)):
        return place, columns
    if known is None:
        check_name(name)
    splits = {path: (_SPLIT.findall(path.relative_to(place.parent).as_posix()) or [""])[-1] for path in shards}
    parts = sorted(set(splits.values()))
    part = next((split for split in ("validation", "valid", "val", "test") if split in parts), parts[0])
    if len(parts) > 1:
        report(f"{name}: of the splits {', '.join(filter(None, parts))} that of '{part}' is read")
    shards = [path for path in shards if splits[path] == part]
    with foreign("archives in", place, StimuliError):
        target, size = settings.home / "unpacked" / name, sum(path.stat().st_size for path in shards)
        text = json.dumps([*([str(path), *state_of(path)] for path in shards), *([dict(columns)] if columns else [])])
    report(f"{name}: {size / 2**20:,.0f} MiB in {len(shards)} shards, unpacked into class folders at {target}")
    kind, line = shards[0].suffix.lower(), shlex.join(["bench", "data", "add", name, str(place)])
    rows = partial(_hub_rows, space=known.space if known else space, columns=columns, line=line)
    zipped: Callable[[Path], Iterator[Packed]] = partial(_zipped, within=len(shards) > 1)
    read = {".zip": zipped, ".tar": _webdataset}.get(kind, rows)
    # The list of a zip's images may lie beside it.
    near = manifest_tables(shards[0].parent) if kind == ".zip" else []
    near = [path for path in near if path.stem.startswith(place.stem) or place.is_dir()]
    beside = [path for path in near if (_SPLIT.findall(path.name) or [part])[-1] == part]
    make_folder(target, NOTE, text, partial(_fill, shards, read, beside), replace=True)
    return (_without_top(target), columns) if kind == ".zip" else (target, NONE)


def _archives(place: Path) -> list[Path]:
    """Return the archive `place`, or those of the first kind in a folder and the folders in it."""
    if not place.is_dir():
        return [place] if place.suffix.lower() in KINDS else []
    found = (sorted([*place.glob(f"*{kind}"), *place.glob(f"*/*{kind}")]) for kind in KINDS)
    usable = ([path for path in paths if not path.name.startswith((".", "cache-"))] for paths in found)
    return next(filter(None, usable), [])


def _without_top(folder: Path) -> Path:
    """Return the folder below an archive's top folders, in which nothing else is, unless they are class folders."""
    while len(below := subfolders(folder)) == 1 and {path.name for path in folder.iterdir()} <= {NOTE, *below}:
        inner = folder / below[0]
        if not (subfolders(inner) or manifest_tables(inner)):
            break
        folder = inner
    return folder


def _fill(
    shards: Sequence[Path], read: Callable[[Path], Iterator[Packed]], lists: Sequence[Path], target: Path
) -> None:
    """Write the images of all shards, and copy their lists; a failure removes everything written."""
    taken: set[str] = set()
    size = 0
    most = min(MOST[0], LEAST + RATIO * sum(path.stat().st_size for path in shards))
    try:
        for path in shards:
            with foreign("shard", path, StimuliError, "Expected a whole file of images with labels."):
                for name, label, data in read(path):
                    number = f"{len(taken):08d}"
                    label, name = ("", name) if label is None else _named(path, name, label, data, number)
                    file = target / label / (f"{number}-{name}" if f"{label}/{name}" in taken else name)
                    taken.add(f"{label}/{name}")
                    size += len(data)
                    if size > most or len(taken) > MOST[1]:
                        raise StimuliError(f"{path}: more than {most} bytes or {MOST[1]} images; refused.")
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(data)
        for table in lists:
            shutil.copy(table, target)
    except StimuliError:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _zipped(path: Path, *, within: bool) -> Iterator[Packed]:
    """Yield the images and lists of a zip with their paths, `within` a folder of its name. Raises StimuliError."""
    with open_plain(path) as file, zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            name = PurePosixPath(info.filename)
            require_inside(path, info.orig_filename)
            if stat.S_ISLNK(info.external_attr >> 16):
                raise StimuliError(f"{path}: the entry {info.filename!r} is not a plain file; refused.")
            is_hidden = any(part.startswith((".", "__MACOSX")) for part in name.parts)
            if not is_hidden and not info.is_dir() and name.suffix.lower() in {*SUFFIXES, *LISTS}:
                if info.file_size > LARGEST:
                    raise StimuliError(f"{path}: the entry {info.filename!r} has {info.file_size} bytes; refused.")
                yield f"{path.stem}/{name}" if within else str(name), None, archive.read(info)


def _named(shard: Path, name: str, label: str, data: bytes, number: str) -> tuple[str, str]:
    """Name an image's class folder and file. Raises StimuliError on a name that leads elsewhere and without a label."""
    label = label.strip()
    for text in (name, label):
        if "/" in text or "\\" in text or text.startswith(".") or not text.isprintable() or len(text.encode()) > 200:
            raise StimuliError(f"{shard}: '{text[:80]}' cannot name a file or class; refused.")
    if label in ("", "-1"):
        raise StimuliError(f"{shard}: the image '{name or number}' has no label: a test split, or not labelled at all.")
    if not (suffix := next((suffix for magic, suffix in _FORMATS if data.startswith(magic)), "")):
        raise StimuliError(f"{shard}: the image '{name or number}' is not a JPEG, PNG or WebP file.")
    return label, name if PurePosixPath(name).suffix.lower() in SUFFIXES else f"{name or number}{suffix}"


def _hub_rows(path: Path, *, space: str | None, columns: Mapping[str, str], line: str) -> Iterator[Packed]:
    """Yield the rows of a Parquet file, or of an Arrow stream as `save_to_disk` writes it, in batches."""
    parquet, ipc = (library(f"pyarrow.{name}", "parquet", str(path), StimuliError) for name in ("parquet", "ipc"))
    with open_plain(path) as file:
        if path.suffix.lower() == ".parquet":
            table = parquet.ParquetFile(file, pre_buffer=False, buffer_size=2**20)
            schema, batches = table.schema_arrow, table.iter_batches(batch_size=16)
        else:
            batches = ipc.open_stream(file)
            schema = batches.schema
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
        chosen: list[str] = []
        for ours, kind, usual in (("image", "Image", IMAGES), ("label", "ClassLabel", LABELS)):
            typed = [name for name in schema.names if features.get(name, {}).get("_type") == kind]
            named = [name for name in typed or schema.names if usual.fullmatch(plain_column(name))]
            stated = [name for name in schema.names if name.lower() == columns.get(ours)]
            chosen += filter(None, [*stated, "" if stated else one_of(ours, named or typed, usual, path, line)])
        if len(chosen) != 2:
            raise StimuliError(f"{path}: expected columns 'image' and 'label'; it has: {', '.join(schema.names)}.")
        image, label = chosen
        names = features.get(label, {}).get("names") or ()
        wnids, known = label_space("imagenet1k").classes, list(map(match_name, names))
        fits = len(names) == len(wnids) and all(name in ("", wnid) for name, wnid in zip(known, wnids, strict=True))
        if fits and known.count("") < 100 and space in (None, "imagenet1k"):
            names = wnids  # two of its classes share a name ("crane")
        for batch in batches:
            for cell, value in zip(batch[image].to_pylist(), batch[label].to_pylist(), strict=True):
                data, called = (cell["bytes"], cell.get("path")) if isinstance(cell, dict) else (cell, None)
                if not isinstance(data, bytes):
                    raise StimuliError(f"{path}: '{called}' has only a name: the shard does not contain its image.")
                text = "" if value is None else names[value] if names and value >= 0 else str(value)
                yield (called or "").rpartition("/")[2], text, data


def _webdataset(path: Path) -> Iterator[Packed]:
    """Yield the samples of a tar. A sample is a run of entries with the same name up to the first dot: an image, and
    its label in a .cls, .json or .txt. An image in a class folder is a sample, too."""
    for _, group in groupby(_members(path), key=lambda member: member[0].parent / member[0].name.partition(".")[0]):
        members = list(group)
        images = [(name, data) for name, data in members if name.suffix.lower() in SUFFIXES]
        texts = {name.suffix: data for name, data in members if name.suffix.lower() not in SUFFIXES}
        label = texts.get(".cls", b"").decode() or str(json.loads(texts.get(".json", b"{}")).get("label", ""))
        if not label and not any(wnid_of(name.parent.name) for name, _ in images):
            label = decoded_text(texts.get(".txt", b"")).strip()  # in a class folder it is a caption
        if label and len(images) > 1:
            raise StimuliError(f"{path}: several images for one label: {', '.join(name.name for name, _ in images)}.")
        yield from ((name.name, label or name.parent.name, data) for name, data in images)


def _members(path: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield images and labels of a tar."""
    for tar, info in entries_of(path, *MOST):
        name = PurePosixPath(info.name)
        require_plain(path, info)
        kind = name.suffix.lower()
        if not name.name.startswith(".") and kind in SUFFIXES | {".cls", ".json", ".txt"}:
            if info.size > (LARGEST if kind in SUFFIXES else 2**20):
                raise StimuliError(f"{path}: the entry {info.name!r} has {info.size} bytes; refused.")
            file = tar.extractfile(info)
            assert file is not None  # a plain file has content
            yield name, file.read()
