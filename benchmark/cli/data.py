"""`bench data` and `bench doctor`."""

import fnmatch
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import click
from rich.progress import Progress

from benchmark.api.options import Db, Option
from benchmark.api.stylise import Folder, Order, load_style_network, make_stylised
from benchmark.cli.derive import command
from benchmark.cli.printing import echo_line, echo_lines, print_rows, print_tables, safe_console
from benchmark.failures import BenchError, StimuliError, StoreError, UsageError, unknown_name
from benchmark.identity import environment_record
from benchmark.leaderboard.forms import json_text
from benchmark.leaderboard.table import table_of
from benchmark.plugins import find_suites
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import find_entry, group_members, missing_set, read_catalogue, remedy, stimuli_folder
from benchmark.stimuli.croissant import croissant as describe
from benchmark.stimuli.datasets import open_set
from benchmark.stimuli.fetch import add_experiment, add_folder, fetch_set, unpack
from benchmark.stimuli.items import SUFFIXES
from benchmark.stimuli.regenerate import make_set, parametric
from benchmark.stimuli.shards import unpack_shards
from benchmark.stimuli.text_tables import stated_pairs
from benchmark.stimuli.verify import verify_set
from benchmark.stimuli.world.sets import is_generated
from benchmark.store import open_store
from benchmark.store.versions import is_there
from benchmark.variables import read_settings
from registry.cards import read_cards
from registry.files import expanded, write_whole
from registry.user_errors import some_of

Name = Annotated[str, Option("A stimulus set.")]


@command(name="list")
def list_sets(pattern: Annotated[str, Option("A name or a pattern.")] = "*") -> None:
    """List known sets, their licences, and which are on disk."""
    settings, rows = read_settings(), []
    known = read_catalogue(settings)
    if not (chosen := fnmatch.filter(known, pattern)):
        raise unknown_name("stimulus set", pattern, known)
    for name in chosen:
        entry = known[name]
        cells = len((*entry.parts, *entry.extra)) * len(entry.levels)
        count = f"{cells} x {entry.count}" if cells else str(entry.count or "")
        there = stimuli_folder(name, settings)
        is_here = "no" if there is None else "yes"
        if there is not None and entry.kind == "images" and entry.count and not entry.levels:
            images = sum(path.suffix.lower() in SUFFIXES and path.name[0] != "." for path in there.rglob("*"))
            is_here = f"{images} of {entry.count}" if images < entry.count else "yes"
        rows.append((name, is_here, entry.kind, count, entry.license, entry.title))
    print_rows(("set", "on disk", "kind", "count", "licence", "what"), rows)


@command()
def fetch(
    names: Annotated[Sequence[str], Option("Names of stimulus sets.")],
    *,
    only: Annotated[Sequence[str], Option("Fetch only this archive of several: noise, blur, ... (repeatable).")] = (),
) -> int:
    """Download, verify and unpack sets.

    BENCH_MIRROR is tried first if it is set. "published-trials" fetches every table of published answers. A table that
    cannot be fetched is reported, and the others are fetched (exit code 3)."""
    from benchmark.cli.progress import DownloadReport

    members, failed = [member for name in names for member in group_members(name)], 0
    for member in members:
        try:
            with DownloadReport() as report:
                place = fetch_set(member, read_settings(), report, only)
            echo_line(place)
        except BenchError as error:
            if len(members) == 1:
                raise
            failed += 1
            echo_line(f"{member}: {error}", err=True)
    return 3 if failed else 0


@command()
def add(
    name: Annotated[str, Option("A stimulus set; a folder, or the YAML of an experiment.")],
    folder: Annotated[Path | None, Option("A folder of images, an archive, or a list of images.", kind="path")] = None,
    *,
    role: Annotated[str | None, Option("Give it this role (`bench suites show`): natural, ...")] = None,
    space: Annotated[str | None, Option("Give its categories this label space: geirhos16, imagenet1k, ...")] = None,
    layout: Annotated[str | None, Option("Expect this layout: class-folder, masks, coco, ...")] = None,
    columns: Annotated[str, Option("Name the list's columns: image=file,label=cls.", metavar="OURS=THEIRS,...")] = "",
) -> None:
    """Add a folder that is already on disk.

    Nothing is copied, except that images in archives (zip, Parquet or save_to_disk of Hugging Face, tars of WebDataset)
    are unpacked. Classes are names of folders, or come from a list of the images (val.txt, CSV, TSV, JSON lines). An
    experiment's YAML says itself where its images are and what they show (docs/experiments.md)."""
    settings = read_settings()
    if folder is None and name.endswith((".yaml", ".yml", ".tar.gz")):
        if role or space or layout or columns:
            raise UsageError(f"{name}: an experiment's YAML describes its images: leave out the options.")
        file = expanded(name)
        if file.name.endswith(".tar.gz"):
            folder = settings.home / "experiments" / file.name.removesuffix(".tar.gz")
            shutil.rmtree(folder, ignore_errors=True)
            unpack(file, "", folder)
            if len(found := sorted(folder.glob("*.yaml"))) != 1:
                raise StimuliError(f"{file}: expected one YAML of an experiment in it; it has {len(found)}.")
            (file,) = found
        entry = add_experiment(file, settings, echo_line)
        if file.with_name("trials").is_dir():
            echo_line(f"people's answers: bench import trials {file.with_name('trials')}")
        boards = [own for own in find_suites().suites if own.endswith(f":{entry.name}")]
        echo_line(f"added '{entry.name}' from {name}; it is on the boards of {', '.join(boards)}")
        return
    place = expanded(folder or name).resolve()
    name = name if folder else place.name
    pairs = stated_pairs(columns, "--columns", ("image", "label"), "image=file,label=cls")
    stated: Mapping[str, str] = {ours: theirs for theirs, ours in pairs.items()}
    if layout is None:
        place, stated = unpack_shards(name, place, space, settings, echo_line, stated)
    entry = add_folder(name, place, settings, role=role, space=space, layout=layout, columns=stated, report=echo_line)
    echo_line(f"added '{entry.name}' from {folder or place}")


@command()
def regenerate(experiment: Annotated[str, Option("One of twelve sets, or all.")], *, output: Folder = None) -> None:
    """Make an experiment's stimuli from ImageNet photographs.

    Use it if you have ImageNet but not the published files of EXPERIMENT (or of all twelve: "all"). The set plays the
    experiment's role if the published one is absent, and every score on it is flagged. Repeat the command to continue
    after an interruption."""
    settings = read_settings()
    for name in parametric() if experiment == "all" else [experiment]:
        make_set(name, settings, echo_line, output)


@command()
def verify(name: Name, *, full: Annotated[bool, Option("Read every image.")] = False) -> int:
    """Verify a set's files against the catalogue.

    Names, classes and empty files are checked for all images; a large set is decoded in part. Exit code 1 means that
    something is broken. A partial set is reported, not an error."""
    console = safe_console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:

        def expect(total: int) -> Callable[[], None]:
            return partial(progress.advance, progress.add_task(name, total=total))

        result = verify_set(name, read_settings(), full, expect)
    echo_lines(result.lines)
    echo_line("usable" if result.ok else "BROKEN: see above")
    return 0 if result.ok else 1


@command()
def path(name: Name) -> None:
    """Print the folder of a set."""
    settings = read_settings()
    entry = find_entry(name, settings)
    if (place := stimuli_folder(name, settings)) is None:
        raise missing_set(entry)
    echo_line(place)


@command()
def croissant(
    name: Name,
    *,
    output: Annotated[Path, Option("Write croissant.json and labels.csv here.", "--output", "-o", kind="new folder")],
) -> None:
    """Describe a set in Croissant 1.1, with its labels.

    The images themselves are not copied."""
    settings = read_settings()
    stimuli = open_set(name, settings)
    entry = None if is_generated(stimuli.name) else find_entry(name, settings)
    for file, text in describe(stimuli, entry).items():
        write_whole(output / file, text)
    echo_line(f"{output / 'croissant.json'}: {len(stimuli)} images of '{stimuli.name}'")


@command(Order)
def stylize(
    *,
    name: Annotated[str | None, Option("Name the set (default: the kind and the content's folder).")] = None,
    workers: Annotated[int | None, Option("Make this many images at a time (default: one per core).", least=1)] = None,
    **asked: Any,
) -> None:
    """Make a new set: images in the style of others.

    Without --cue-conflict every image keeps its label and takes the texture of one style, as in Stylized-ImageNet. The
    network differs from that of the published sets: boards name it and never mix the sets. Repeat the command to
    continue after an interruption."""
    if asked["cue_conflict"] and asked["space"] is not None:
        raise UsageError("--cue-conflict always has the 16 categories: leave out --space.")
    order = Order(name=name or "", workers=workers or os.cpu_count() or 1, **asked)
    order = replace(order, name=name or f"{order.kind}-{order.content.resolve().name}")
    make_stylised(order, read_settings(), load_style_network(), echo_line)


@click.group(commands=[list_sets, fetch, add, stylize, regenerate, verify, croissant, path])
def data() -> None:
    """List, fetch, add, make and verify stimulus sets."""


@command()
def doctor(
    *,
    device: Annotated[str, Option("Check this device instead: numbers, speed, memory.", metavar="DEVICE")] = "",
    model: Annotated[str, Option("Time this network (with --device).", metavar="MODEL")] = "",
    json_file: Annotated[Path | None, Option("Write figures here (with --device).", "--json", kind="new file")] = None,
    db: Db = None,
) -> int:
    """Show what is installed, where it is, what is missing.

    --device cuda (cpu, mps) takes about two minutes: scores beside the processor's, the same bits twice, each
    corruption's time, a network's speed beside a bare loop, and memory."""
    settings = read_settings(db)
    if device:
        from benchmark.api.device_check import device_check

        found = device_check(device, model, settings)
        print_tables([table_of(found["figures"], f"{found['environment']['gpu'] or device}, {found['network']}")])
        if json_file:
            write_whole(json_file, json_text(found))
        return 1 if any(figure["verdict"] == "FAIL" for figure in found["figures"]) else 0
    marks = set()
    for mark, text in _installed(settings):
        marks.add(mark)
        echo_line(f"{mark:<5} {text}")
    return 1 if "FAIL" in marks else 0


def _installed(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield a mark ("ok", "-", "FAIL") and a line on each part of the installation."""
    import torch

    from registry.download import missing_weights

    yield "ok", f"home      {settings.home}"
    yield "ok", f"mirror    {settings.mirror or 'none (BENCH_MIRROR)'}"
    device = "cuda" if torch.cuda.is_available() else "cpu"
    facts = environment_record(device, torch.get_num_threads())
    yield "ok", f"python    {facts['python']} on {facts['platform']}"
    yield "ok", f"packages  {', '.join(f'{name} {version}' for name, version in facts['packages'].items() if version)}"
    yield "ok", f"device    {facts['gpu'] or device}, {facts['threads']} threads"
    try:
        if is_there(settings.db):
            with open_store(settings.db, write=False) as store:
                yield "ok", f"database  {settings.db}, {len(store.observers())} observers"
        else:
            yield "ok", f"database  {settings.db} (the first run creates it)"
    except StoreError as error:
        yield "FAIL", f"database  {error}"
    suites = find_suites()
    yield "ok", f"suites    {', '.join(suites.suites)}"
    yield from (("FAIL", f"suite     '{name}': {reason}") for name, reason in suites.broken.items())
    known, here = read_catalogue(settings), []
    absent: dict[str, list[str]] = {}
    for name, entry in known.items():
        if stimuli_folder(name, settings):
            here.append(name)
        else:
            absent.setdefault(remedy(entry).replace(name, "NAME").partition(" (")[0], []).append(name)
    yield "ok" if here else "-", f"data      {len(here)} of {len(known)} sets on disk: {some_of(here, 6) or '-'}"
    yield from (("-", f"data      {way}: {some_of(names, 6)}") for way, names in absent.items())
    yield "-", "data      `bench data list` has every set, its terms and its folder"
    cards = read_cards(settings.cards)
    ready = sum(not missing_weights(card, settings.place) for card in cards.values())
    yield "ok", f"models    {ready} of {len(cards)} have their weights on disk"
    yield from (("FAIL", f"card      {file}: {broken}") for file, broken in cards.broken.items())
