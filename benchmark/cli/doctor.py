"""`bench doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from benchmark.cli.options import db_option
from benchmark.cli.printing import say


@click.command()
@db_option
def doctor(db: str | None) -> int:
    """What this installation can do, where it keeps things, and what is missing."""
    lines = list(_lines(db))
    for mark, text in lines:
        say(f"{mark:<5} {text}")
    return 1 if any(mark == "FAIL" for mark, _ in lines) else 0


def _lines(db: str | None) -> Iterator[tuple[str, str]]:
    from benchmark.variables import read_settings

    settings = read_settings(db)
    yield "ok", f"home      {settings.home}"
    yield "ok", f"mirror    {settings.mirror or 'none (BENCH_MIRROR)'}"
    yield from _versions()
    yield _database(settings.db)
    yield from _suites()
    yield from _data()
    yield from _models()


def _versions() -> Iterator[tuple[str, str]]:
    import torch

    from benchmark.engine.environment import environment

    device = "cuda" if torch.cuda.is_available() else "cpu"
    facts = environment(device, torch.get_num_threads())
    yield "ok", f"python    {facts['python']} on {facts['platform']}"
    packages = ", ".join(
        f"{name} {version}" for name, version in facts["packages"].items() if version
    )
    yield "ok", f"packages  {packages}"
    yield "ok", f"device    {facts['gpu'] or device}, {facts['threads']} threads"


def _database(db: str) -> tuple[str, str]:
    from benchmark.errors import StoreError
    from benchmark.store import open_store

    if "://" not in db and not Path(db).exists():
        return "ok", f"database  {db} (not there yet: the first run makes it)"
    try:
        with open_store(db, write=False) as store:
            return "ok", f"database  {db}, {len(store.observer_notes())} observers"
    except StoreError as error:
        return "FAIL", f"database  {error}"


def _suites() -> Iterator[tuple[str, str]]:
    from benchmark.plugins import find_suites

    shelf = find_suites()
    yield "ok", f"suites    {', '.join(shelf.suites)}"
    for name, reason in shelf.broken.items():
        yield "FAIL", f"suite     '{name}': {reason}"


def _data() -> Iterator[tuple[str, str]]:
    from benchmark.stimuli.catalogue import locate, read_catalogue, remedy
    from benchmark.variables import read_settings

    settings = read_settings()
    for name, entry in read_catalogue(settings).items():
        found = locate(name, settings)
        if found:
            yield "ok", f"data      {name}: {found}"
        else:
            yield "-", f"data      {name}: {remedy(entry)}"


def _models() -> Iterator[tuple[str, str]]:
    from benchmark.variables import read_settings
    from registry.cards import read_cards
    from registry.loading import availability

    settings = read_settings()
    shelf = read_cards(settings.cards)
    here = [name for name, card in shelf.items() if availability(card, settings.place).on_disk]
    yield "ok", f"models    {len(here)} of {len(shelf)} have their weights on this disk"
    for path, reason in shelf.broken.items():
        yield "FAIL", f"card      {path}: {reason}"
