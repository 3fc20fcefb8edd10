"""Installing sets: a download that is checked before it is moved into place, or a folder that the user adds."""

import os
import re
import shlex
import shutil
import tarfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import IO, Any

from benchmark.display import counted
from benchmark.failures import MissingStimuli, StimuliError, unknown_name
from benchmark.settings import Settings
from benchmark.stimuli import catalogue, items
from benchmark.stimuli.catalogue import LAYOUTS, Entry, Layout, entry_from, find_built_in, member_folder, save_entry
from benchmark.stimuli.datasets import SEVERITY, find_cells, list_images, open_folder, read_names
from benchmark.stimuli.experiments import published_experiments, read_experiment
from benchmark.stimuli.image_files import open_plain, text_digest
from benchmark.stimuli.image_names import cues_of
from benchmark.stimuli.items import images_below, subfolders
from benchmark.stimuli.manifests import read_manifest
from benchmark.stimuli.masked import READERS, annotated_layout, space_of
from benchmark.stimuli.resolver import read_textures
from benchmark.stimuli.score_tables import read_scores
from benchmark.stimuli.trial_tables import trial_paths
from benchmark.stimuli.world.sets import PREFIX, is_generated
from registry.download import Tick, fetch_whole, first_use, mismatch, places_of, recorded_digest
from registry.files import expanded
from registry.labels import LABEL_SPACES, hypernyms, label_space
from registry.user_errors import foreign, some_of

NONE: Mapping[str, str] = {}
LOOKED_AT = 200  # images; enough to tell layouts apart without reading a large tree
#: Receives a line for each step; one with a method `tick` also receives the bytes of a download (`Tick`).
Report = Callable[[str], None]


def get(
    entry: Entry, file: str, url: str | None, target: Path, sha256: str, settings: Settings, report: Report
) -> None:  # fmt: skip
    """Download a file of an entry to `target` from the first source that has all of it. Raises StimuliError."""
    places = places_of(file, url, settings.mirror)
    shown: Tick = getattr(report, "tick", lambda _done, _whole: None)
    try:
        fetch_whole(places, target, sha256, lambda line: report(f"{entry.name}: {line}"), shown)
    except OSError as error:
        raise StimuliError(
            f"the stimulus set '{entry.name}' could not be downloaded. Tried {error}. Without a connection: set "
            f"BENCH_MIRROR to a folder or URL that holds {file}, or to a folder that holds {entry.name}/; or give a "
            f"copy that you have with `bench data add {entry.name} FOLDER`."
        ) from error


def entries_of(archive: Path, most_bytes: int, most_files: int) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """Yield the entries of an archive except folders, for use within `foreign`. Raises StimuliError on paths that leave
    the archive or more than the limits, ReadError if it is damaged or truncated."""
    size = 0
    with open_plain(archive) as file, tarfile.open(fileobj=file) as tar:
        for count, info in enumerate(tar, 1):
            size += info.size
            # A negative size would be read forever.
            if info.size < 0 or size > most_bytes or count > most_files:
                raise StimuliError(f"{archive}: more than {most_bytes} bytes or {most_files} files; refused.")
            require_inside(archive, info.name)
            if not info.isdir():
                yield tar, info
        # `tarfile` silently stops at an unknown header, so only zeros may follow the end. Reading them also makes the
        # decompressor verify its checksum.
        rest: IO[bytes] = tar.fileobj  # type: ignore[assignment]
        while block := rest.read(2**20):
            size += len(block)
            if block.strip(b"\0") or size > most_bytes:
                raise tarfile.ReadError("something follows its end")


def unpack(archive: Path, member: str | None, target: Path, most_bytes: int = 2**34, most_files: int = 500_000) -> int:
    """Unpack the folder `member` below the archive's top folder (None: everything) and return the number of files:
    plain ones in a new folder `target`, which any error removes. Raises StimuliError; OSError if the disk is full."""
    files, wanted = 0, PurePosixPath(member or "")
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, target, ignore_errors=True)
        with foreign("archive", archive, StimuliError, "It cannot be unpacked: damaged or cut short."):
            for tar, info in entries_of(archive, most_bytes, most_files):
                inside = PurePosixPath(*PurePosixPath(info.name).parts[member is not None :])
                if inside.parts and inside.is_relative_to(wanted):
                    require_plain(archive, info)
                    tar.extract(info.replace(name=str(inside.relative_to(wanted)), deep=False), target, filter="data")
                    files += 1
        if not files:
            raise StimuliError(f"{archive}: there is no folder '{member or '.'}' with files in it.")
        undo.pop_all()
    return files


def require_inside(archive: Path, name: str) -> None:
    """Raise StimuliError if an entry's name leads out of its archive, or cannot be printed."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not name.isprintable():
        raise StimuliError(f"{archive}: the entry {name!r} leads out of the archive; refused.")


def require_plain(archive: Path, info: tarfile.TarInfo) -> None:
    """Raise StimuliError on a link or a device."""
    if not info.isreg():
        raise StimuliError(f"{archive}: the entry {info.name!r} is not a plain file; refused.")


def make_folder(
    target: Path, note: str, text: str, fill: Callable[[Path], None], *, replace: bool = False
) -> bool:  # fmt: skip
    """Make `target` unless its file `note` has `text`; return whether it is new. `fill` writes into a hidden folder,
    which is then moved. replace: a folder with another text. Raises StimuliError if `target` is something else."""
    noted = (target / note).read_text(encoding="utf-8") if (target / note).is_file() else None
    if noted == text:
        return False
    if target.exists() and not (replace and noted) and not (target.is_dir() and not any(target.iterdir())):
        raise StimuliError(f"{target}: made with other settings or images, or by something else. Choose another name.")
    unfinished = target.with_name(f".{target.name}-{text_digest(text)[:16]}")
    unfinished.mkdir(parents=True, exist_ok=True)
    fill(unfinished)
    (unfinished / note).write_text(text, encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    unfinished.replace(target)
    for rest in target.parent.glob(f".{target.name}-{'[0-9a-f]' * 16}"):  # interrupted with other settings
        shutil.rmtree(rest, ignore_errors=True)
    return True


def entry_of_folder(
    name: str, place: Path, role: str | None, space: str | None, layout: str | None, columns: Mapping[str, str] = NONE
) -> Entry:
    """Build the entry of a folder, or of a list of the images in its folder; values that are not given are detected
    from names. A catalogue name keeps its own. columns: "image" and "label" -> the list's. Raises StimuliError."""
    if not place.exists():
        raise StimuliError(f"{place}: not a folder. Expected the folder that holds the set.")
    known = find_built_in(name)
    folder = place if place.is_dir() else place.parent
    if known is None:
        check_name(name)
    if layout not in (None, *LAYOUTS):
        raise StimuliError(f"'{layout}' is not a layout; expected one of {', '.join(LAYOUTS)}.")
    wanted = known.layout if known else layout
    looks = known is None or (wanted == "class-folder" and next(images_below(folder), None) is not None)
    guessed, own_space = guess_layout(folder) if looks else (wanted, None)
    chosen, listed = wanted or guessed, None
    is_unclear = chosen == "class-folder" and layout is None and (own_space is None or items.validation_folder(folder))
    if is_unclear or columns or place != folder:
        line = shlex.join(["bench", "data", "add", name, str(folder)])
        listed = items.find_manifest(folder, place if place != folder else None, columns, line)
    more: dict[str, Any] = {"folder": str(folder)}
    if listed:
        more |= {"table": os.path.relpath(listed[0], folder), "columns": listed[1]}
    if known:
        return replace(known, **more)
    if listed:
        labels = {label for _, label, _ in read_manifest(*listed, items.image_names(folder))[0]}
        wnids = "imagenet1k" if items.is_imagenet(folder, labels) else None
        chosen, own_space = "class-folder", space_of(labels) or wnids
    row = {
        "role": role or (chosen if chosen == "clickme" else "natural-masked" if chosen in READERS else name),
        "space": "any" if chosen == "textures" else require_space(space or own_space, place),
        "layout": chosen,
        "kind": chosen if chosen in ("trials", "textures") else "images",
        "title": "added by the user",
    }
    return entry_from(name, row | more, place)


def require_space(space: str | None, place: Path) -> str:
    """Return the label space of a folder. Raises StimuliError if it is unknown."""
    if space is None:
        raise StimuliError(f"{place}: the categories are neither the 16 nor WordNet ids: give --space NAME.")
    return space


def check_name(name: str) -> None:
    """Raise StimuliError if `name` is not allowed for a user's set."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or is_generated(name):
        raise StimuliError(f"'{name}' cannot name a set: letters, digits, '.', '_', '-', no '{PREFIX}' in front.")


def guess_layout(folder: Path) -> tuple[Layout, str | None]:
    """Detect the layout of a folder, and the label space if its categories identify one. Raises StimuliError."""
    if not folder.is_dir():
        raise StimuliError(f"{folder}: not a folder. Expected the folder that holds the set.")
    if annotated := annotated_layout(folder):
        return annotated
    if {"image", "category"} <= items.label_table(folder).keys() and (folder / "images").is_dir():
        return "labels-csv", None
    images = list(islice(images_below(folder), LOOKED_AT))
    if not images:
        if any(folder.rglob("*.csv")):
            return "trials", "geirhos16"
        raise StimuliError(f"{folder}: neither images nor tables of trials below this folder.")
    if all(published_experiments()["contrast"].labels_of(path.name) for path in images):
        return "session", "geirhos16"
    named = ({path.parent.name for path in images}, set(subfolders(folder)))
    space = next(filter(None, map(space_of, named)), None)
    space = "imagenet1k" if space is None and items.is_imagenet(folder, *named) else space
    places = [path.relative_to(folder).parts for path in images]
    if all(len(parts) > 3 and SEVERITY.fullmatch(parts[-3]) for parts in places):
        return "cells", space
    conflict = space == "geirhos16" and all("texture" in cues_of(path.name) for path in images)
    return "cue-conflict" if conflict else "class-folder", space


def fetch_set(name: str, settings: Settings, report: Report, only: Collection[str] = ()) -> Path:
    """Install a set if it is absent, from a mirror if there is one, and return its folder. only: the archives wanted.
    Raises UnknownName, MissingStimuli if terms forbid a download, StimuliError with every source that failed."""
    entry = catalogue.find_entry(name, settings)
    parts = {archive.partition(".")[0]: (archive, url) for archive, url in entry.archives.items()}
    if unknown := [part for part in only if part not in parts]:
        raise unknown_name(f"part of '{entry.name}'", unknown[0], parts)
    here, target = catalogue.stimuli_folder(entry, settings), settings.stimuli / entry.name
    if here is not None and (here != target or not parts):
        report(f"{entry.name}: already at {here}")
        return here
    # The set in a mirror that is a folder: the set's folder, or an archive of published tables.
    there, root = list[Path](), expanded(settings.mirror or "")
    if settings.mirror and "://" not in settings.mirror:
        there += filter(Path.is_dir, (root / entry.name, root / "published-scores" / entry.name))
        there += filter(Path.is_file, [root / "published-trials" / f"{entry.name}.tar.xz"])
    settings.stimuli.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".fetching-", dir=settings.stimuli, ignore_cleanup_errors=True) as room:
        place = Path(room) / entry.name
        for part, (archive, url) in parts.items() if not there else ():  # each is kept if another fails
            if only and part not in only:
                continue
            if (target / part).is_dir():
                report(f"{entry.name}: {part} is already there")
                continue
            own = replace(entry, archive=archive, url=url)
            with _unpacked(own, None, place / part, settings, report, most_bytes=200 * 2**30, most_files=4_000_000):
                report(f"{entry.name}: unpacked {len(find_cells(own, place / part))} cells")
            (settings.home / "archives" / archive).unlink()
            target.mkdir(parents=True, exist_ok=True)
            (place / part).replace(target / part)
        if there or not parts:
            _obtain(entry, place, there, settings, report)
            place.replace(target)
    report(f"{entry.name}: at {target}")
    return target


def _obtain(entry: Entry, place: Path, mirrored: Sequence[Path], settings: Settings, report: Report) -> None:
    """Copy, unpack or download a set into `place` and check it."""
    if mirrored:
        report(f"{entry.name}: taking {mirrored[0]}")
        shutil.copytree(mirrored[0], place) if mirrored[0].is_dir() else unpack(mirrored[0], None, place)
        _check(entry, place, settings, report, whole=False)
    elif entry.url is None:
        raise MissingStimuli(f"'{entry.name}' cannot be downloaded. Get it with {catalogue.remedy(entry)}.")
    elif entry.files:
        for file, digest in entry.files.items():
            get(entry, f"{entry.name}/{file}", f"{entry.url}/{file}", place / file, digest, settings, report)
        _check(entry, place, settings, report)
    else:
        with _unpacked(entry, entry.member, place, settings, report):
            _check(entry, place, settings, report)


@contextmanager
def _unpacked(
    entry: Entry, member: str | None, place: Path, settings: Settings, report: Report, **most: int
) -> Iterator[None]:
    """Download and unpack an entry's archive; it is kept and its digest recorded only if the block succeeds."""
    archive = settings.home / "archives" / str(entry.archive)
    expected = entry.sha256 or recorded_digest(archive)
    with first_use(archive, expected or None):
        if not archive.is_file() or mismatch(archive, expected):
            get(entry, archive.name, entry.url, archive, expected, settings, report)
        report(f"{entry.name}: unpacked {unpack(archive, member, place, **most)} files")
        yield
    if not expected:
        digest = recorded_digest(archive)
        report(f"{archive.name}: SHA-256 {digest}, not pinned: recorded, later downloads must equal it")


def add_folder(
    name: str,
    folder: str | Path,
    settings: Settings,
    *,
    role: str | None = None,
    space: str | None = None,
    layout: str | None = None,
    columns: Mapping[str, str] = NONE,
    report: Report = lambda _line: None,
) -> Entry:
    """Add a folder, or a list of its images, as the set that `entry_of_folder` describes. report: receives lines on how
    classes are read. Raises StimuliError."""
    place = expanded(folder).resolve()
    entry = entry_of_folder(name, place, role, space, layout, columns)
    items.check_spelling(place.parent, [str(place)])
    check_readable(entry, member_folder(entry, Path(str(entry.folder))), settings, report)
    save_entry(entry, settings)
    return entry


def add_experiment(file: Path, settings: Settings, report: Report) -> Entry:
    """Add the experiment of a YAML; its images stay where they are. Raises StimuliError naming the line to change."""
    own = read_experiment(file.resolve())
    check_name(own.name)
    if find_built_in(own.name) or find_built_in(own.role):
        raise StimuliError(f"{own.where('name')}: '{own.name}' is a built-in set; choose another name.")
    images = list(items.experiment_images(own)) if own.stimuli else []
    row = {"role": own.role, "space": own.space, "layout": "experiment", "title": own.title, "license": own.license}
    if images and own.stimuli:
        row["folder"] = str((Path(own.file).parent / own.stimuli.folder).resolve())
    source = own.source or f"its publisher; name the folder under `stimuli:` of {file}"
    entry = entry_from(own.name, {**row, "citation": own.citation, "source": source, "experiment": own.file}, file)
    save_entry(entry, settings)
    what = f"{len(images)} images" if images else "no images: answers of people and published networks alone"
    report(f"{own.name}: {len(own.answers)} categories, {counted(len(own.levels), 'condition')}, {what}")
    spaces = [label_space(name) for name in LABEL_SPACES] if any(own.categories.values()) else ()
    known = {*hypernyms(), *(name for space in spaces for name in (*space.classes, *space.words))}
    if odd := [name for classes in own.categories.values() for name in classes if name not in known]:
        what = "no class of a built-in label space and no id of WordNet 3.0: only networks with such classes answer so"
        report(f"{own.where('categories')}: {some_of(odd, 5)}: {what}")
    return entry


def check_readable(entry: Entry, place: Path, settings: Settings, report: Report) -> None:
    """Raise StimuliError if the folder cannot be such a set; report its content and omissions."""
    if entry.kind == "names":
        report(f"{entry.name}: {len(read_names(entry, place))} names of images in {entry.of}")
    elif entry.kind == "textures":
        report(f"{entry.name}: {len(read_textures(entry, place))} textures{', as published' if entry.files else ''}")
    elif entry.kind == "scores":
        report(f"{entry.name}: {len(read_scores(place))} scores")
    elif entry.kind == "trials":
        report(f"{entry.name}: {len(trial_paths(place))} tables")
    elif entry.layout == "cells":
        items.list_classes(entry, next(iter(find_cells(entry, place).values())))
    else:
        for line in list_images(entry, place, settings).notes:
            report(line)


def _check(entry: Entry, place: Path, settings: Settings, report: Report, whole: bool = True) -> None:
    """Check that the content is the published set; whole: all of it. A partial mirror is accepted and reported."""
    place = member_folder(entry, place)
    if entry.kind != "images" or entry.layout == "cells":
        check_readable(entry, place, settings, report)
        return
    stimuli = open_folder(entry, place, settings)
    if whole and entry.count is not None and len(stimuli) != entry.count:
        raise StimuliError(f"the download has {len(stimuli)} images; expected {entry.count}. It was not kept.")
    if whole and entry.digest is not None and stimuli.digest != entry.digest:
        raise StimuliError(f"the download is not the published set, of digest {entry.digest}. It was not kept.")
    known = "" if not whole else ", digest as published" if entry.digest else ", the set's digest is not pinned"
    report(f"{entry.name}: {len(stimuli)} of {stimuli.whole} images{known}")
