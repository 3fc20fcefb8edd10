"""The disk of the leaderboard: full, taken away, given back."""

import pytest
import worker_plans as plans
from engine_toys import Bench, Silent
from sqlalchemy import event

from benchmark.contracts import Policy
from benchmark.engine import run
from benchmark.errors import StoreError
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


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("whole"))
    plans.run(bench, plans.mixed)
    return plans.content(bench.settings.db)


def test_a_full_disk_is_said_and_what_is_stored_stays(tmp_path, whole):
    bench = Bench(tmp_path)
    with open_store(bench.settings.db) as store:
        pages = store._database.engine.raw_connection().execute("PRAGMA page_count").fetchone()[0]

        @event.listens_for(store._database.engine, "begin")
        def smaller(connection):
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 40}")

        options = run.RunOptions("cpu", Policy("cpu"), 8)
        with pytest.raises(
            StoreError, match=r"the disk of the leaderboard .* is full: make room and run again"
        ):
            run.execute(plans.mixed(), store, bench.settings, options, Silent())
        stored = sum(len(store.chunks(row.key)) for row in store.observations())
    assert stored
    assert plans.run(bench, plans.mixed).counts == {"done": 6}
    assert plans.content(bench.settings.db) == whole


@pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
def test_a_leaderboard_that_vanishes_ends_the_run(tmp_path, whole, how):
    """SQLite would go on into a file that has no name any more, and the run would say that it is done."""
    bench = Bench(tmp_path)
    files = lambda: list(tmp_path.glob("toy.db*"))  # noqa: E731

    def away():
        for file in files():
            file.rename(file.with_name(f"moved-{file.name}"))
        if how == "replaced":
            (tmp_path / "toy.db").write_bytes(b"")
        if how == "deleted":
            for file in tmp_path.glob("moved-*"):
                file.unlink()

    with pytest.raises(StoreError, match="was deleted, moved or replaced while it was in use"):
        plans.run(bench, plans.mixed, reporter=At(3, away))
    for file in files():
        file.unlink()
    for file in tmp_path.glob("moved-*"):
        file.rename(file.with_name(file.name.removeprefix("moved-")))
    assert plans.run(bench, plans.mixed).counts == {"done": 6}
    assert plans.content(bench.settings.db) == whole
