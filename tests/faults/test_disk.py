"""The disk of the leaderboard: full, taken away, given back."""

from pathlib import Path

import pytest
import torch
from engine_toys import Bench, Silent, content, ideal, make_stimuli, network, toy_suite
from sqlalchemy import Engine, event

from benchmark.contracts import CHUNK, Block, Transform
from benchmark.failures import StoreError
from benchmark.store import open_store

pytestmark = pytest.mark.slow


class At(Silent):
    """Does something when the nth piece of work is stored."""

    def __init__(self, piece, deed):
        self.left, self.deed = piece, deed

    def advance(self, observer, trials):
        self.left -= 1
        if not self.left:
            self.deed()


def darker(images, seeds):
    return images * (0.5 + (torch.from_numpy(seeds.astype("int64")) % 7).view(-1, 1, 1, 1) / 14)


def mixed(bench, reporter=None):
    """Two networks and an ideal observer under two suites, with a transform that draws from the seeds."""
    stimuli = make_stimuli(3 * CHUNK - 40, side=16)
    dark, few = Transform(name="dark", params={}, apply=darker), make_stimuli(30, "few", side=16)
    blocks = (
        Block(stimuli=stimuli, condition="plain", role="toys"),
        Block(stimuli=stimuli, condition="dark", transform=dark, role="toys"),
        Block(stimuli=few, condition="few", role="toys"),
    )
    cards = [network("one", "Normed", seed=1), network("two", "Readout", seed=2), ideal()]
    suites = [toy_suite(blocks), toy_suite(blocks[:1], "second")]
    return bench.run(cards, suites, reporter=reporter)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("whole"))
    mixed(bench)
    return content(bench.settings.db)


def test_a_full_disk_is_said_and_what_is_stored_stays(tmp_path, whole):
    bench = Bench(tmp_path)
    with open_store(bench.settings.db):
        pass
    pages = Path(bench.settings.db).stat().st_size // 4096

    def smaller(connection):
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 40}")

    event.listen(Engine, "begin", smaller)
    try:
        with pytest.raises(StoreError, match=r"the disk of the leaderboard .* is full: make room and run again"):
            mixed(bench)
    finally:
        event.remove(Engine, "begin", smaller)
    with open_store(bench.settings.db, write=False) as store:
        stored = sum(len(store.chunks(row.key)) for row in store.observations())
    assert stored
    assert mixed(bench).counts == {"done": 6}
    assert content(bench.settings.db) == whole


@pytest.mark.release
@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_leaderboard_that_vanishes_ends_the_run(tmp_path, whole, how):
    """SQLite would go on into a file that has no name any more, and the run would say that it is done."""
    bench = Bench(tmp_path)

    def away():
        for file in list(tmp_path.glob("toy.db*")):
            file.rename(file.with_name(f"moved-{file.name}"))
        if how == "replaced":
            (tmp_path / "toy.db").write_bytes(b"")
        if how == "deleted":
            for file in tmp_path.glob("moved-*"):
                file.unlink()

    with pytest.raises(StoreError, match="was deleted, moved or replaced while in use"):
        mixed(bench, reporter=At(3, away))
    for file in tmp_path.glob("toy.db*"):
        file.unlink()
    for file in tmp_path.glob("moved-*"):
        file.rename(file.with_name(file.name.removeprefix("moved-")))
    assert mixed(bench).counts == {"done": 6}
    assert content(bench.settings.db) == whole
