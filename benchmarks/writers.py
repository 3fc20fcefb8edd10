"""Several processes write chunks into one leaderboard: every chunk is there once, and holds what was written.

    python benchmarks/writers.py [--writers 8] [--chunks 10000]

On SQLite in a file, and on a PostgreSQL server of its own where its programs are installed. A tenth of each writer's
chunks are those of everybody: the same observations, written at the same time.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from postgres_server import own_server, why_none
from ratios import ratio

from benchmark.contracts import Observer, Stimuli
from benchmark.store import Chunk, Observation, Store, open_store

TRIALS = 8  # of a chunk
BLOCK = 100  # chunks of an observation
SHARED = 10  # one chunk of so many is everybody's


def owned(writer: int, number: int) -> str:
    """Whose the writer's chunk of that number is."""
    return "everybody" if number // BLOCK % SHARED == 0 else f"writer-{writer}"


def answers(owner: str, number: int) -> np.ndarray:
    """What a chunk holds: of each chunk something else."""
    return np.random.default_rng([len(owner), *owner.encode(), number]).random(TRIALS)


def write(url: str, writer: int, chunks: int) -> None:
    """One writer's work, a transaction for each chunk."""
    ids = tuple(f"i{number}" for number in range(BLOCK * TRIALS))
    stimuli = Stimuli(
        name="s",
        digest="d1",
        space="world16",
        ids=ids,
        items=ids,
        labels={"category": np.array(["cat"] * len(ids))},
        decode=None,
    )
    with open_store(url) as store:
        run = store.begin_run(f"writer {writer}", {"writers": True})
        store.put_stimuli(stimuli)
        owners = {owned(writer, 0), owned(writer, BLOCK)}
        who = {name: store.put_observer(Observer(name=name, kind="network", identity=name)) for name in owners}
        for number in range(chunks):
            owner, place = owned(writer, number), number % BLOCK
            key = f"{owner}/{number // BLOCK}"
            if not place:
                what = Observation(
                    key=key,
                    observer=who[owner],
                    suite="suite",
                    version=1,
                    space="world16",
                    stimuli="d1",
                    role="role",
                    presentation="whole",
                    n=len(ids),
                )
                store.put_observation(run, what)
            store.put_chunks(
                run, [Chunk(key=key, index=place, start=place * TRIALS, columns={"p": answers(owner, number)})]
            )
        store.end_run(run, "done")


def wrong(store: Store, writers: int, chunks: int) -> tuple[int, list[str]]:
    """How many chunks there should be, and what is not as it should be."""
    expected = {
        (f"{owner}/{number // BLOCK}", number % BLOCK): (owner, number)
        for writer in range(writers)
        for number in range(chunks)
        for owner in [owned(writer, number)]
    }
    found = store.problems()
    keys: dict[str, list[int]] = {}
    for key, place in sorted(expected):
        keys.setdefault(key, []).append(place)
    there = {row.key for row in store.observations()}
    found += [f"{key} is not asked for" for key in there - keys.keys()]
    for key, places in keys.items():
        if store.chunks(key) != set(places):
            found.append(f"{key}: {len(store.chunks(key))} chunks, not {len(places)}")
            continue
        values = store.trials([key])["p"].reshape(len(places), TRIALS)
        for place, held in zip(places, values, strict=True):
            if not np.array_equal(held, answers(*expected[key, place])):
                found.append(f"{key}, chunk {place}: other numbers")
    return len(expected), found


def measure(name: str, url: str, writers: int, chunks: int) -> bool:
    """All writers at once; a line and a ratio. Whether all is as it should be."""
    context = multiprocessing.get_context("spawn")
    started = time.perf_counter()
    processes = [context.Process(target=write, args=(url, writer, chunks)) for writer in range(writers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    seconds = time.perf_counter() - started
    failed = sum(process.exitcode != 0 for process in processes)
    with open_store(url, write=False) as store:
        expected, found = wrong(store, writers, chunks)
    for line in found[:10]:
        print(line)
    print(
        f"{name}: {writers} writers, {chunks} chunks each, {expected} different ones: {failed} writers failed, "
        f"{len(found)} chunks or rows are wrong; {writers * chunks / seconds:.0f} chunks a second"
    )
    ratio(f"chunks_stored_once_{name}", 1 - len(found) / expected, f"{writers} writers x {chunks} chunks")
    return not failed and not found


def everywhere(folder: Path, writers: int, chunks: int) -> bool:
    held = measure("sqlite", str(folder / "written.db"), writers, chunks)
    if why_none():
        print(f"PostgreSQL is left out: {why_none()}")
        return held
    with own_server() as server:
        return measure("postgresql", server.create("written"), writers, chunks) and held


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--chunks", type=int, default=10_000, help="of each writer")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        return int(not everywhere(Path(name), given.writers, given.chunks))


if __name__ == "__main__":
    sys.exit(main())
