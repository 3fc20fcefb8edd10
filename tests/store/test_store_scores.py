"""Scores, observers, outcomes: what counts as newest, and that older rows stay."""

import math
from dataclasses import replace

import pytest
import sqlalchemy as sa

from benchmark.failures import StoreError
from benchmark.store import open_store, queries, schema
from benchmark.store.connection import Database
from benchmark.store.schema import METADATA


def put(store, made, observer, value, run=None, **changes):
    run = run or store.begin_run("bench run", {})
    return store.put_scores(run, made.score_set(observer, **changes), [made.score(value=value)])


def test_a_row_has_all_there_is(store, made):
    run, _ = made.world(store)
    observer = store.put_observer(made.observer("tuned", "w2", training=["stylised", "noise(blur)"]))
    scores = [made.score(flags=("few trials",), excluded=3), made.score("other", None, reason="no trials")]
    number = store.put_scores(run, made.score_set(observer, version=2), scores)
    first, second = store.latest_scores()
    assert (first.observer, first.kind) == ("tuned", "network")
    assert first.training == ("stylised", "noise(blur)")
    assert (first.suite, first.version, first.space) == ("cue-conflict", 2, "geirhos16")
    assert (first.value, first.low, first.high, first.level) == (0.5, 0.4, 0.6, 0.95)
    assert (first.n, first.excluded, first.flags) == (10, 3, ("few trials",))
    assert (first.role, first.stimuli, first.set_id) == ("cue-conflict", "d1", number)
    assert (second.metric, second.value, second.reason) == ("other", None, "no trials")


def test_newest_set_of_newest_version_and_identity(store, url, made):
    def newest():
        return [(row.observer, row.suite, row.version, row.value) for row in store.latest_scores()]

    old = store.put_observer(made.observer("net", "w1"))
    numbers = {put(store, made, old, value, version=2) for value in (0.1, 0.1, 0.2)}
    assert len(numbers) == 2  # two processes that score the same at once store it once
    put(store, made, old, 0.3, version=1)  # rescored late by an older program
    assert newest() == [("net", "cue-conflict", 2, 0.2)]
    new = store.put_observer(made.observer("net", "w2"))
    assert newest() == []  # the name's new weights have not been measured
    put(store, made, new, 0.4)
    assert newest() == [("net", "cue-conflict", 1, 0.4)]
    assert store.put_observer(made.observer("net", "w1")) == old  # back again
    assert newest() == [("net", "cue-conflict", 2, 0.2)]
    assert len(_rows(url)["scores"]) == 4  # all are kept


def test_observers_are_idempotent_and_cards_follow(store, made):
    ids = {store.put_observer(made.observer("net", "w1", licence=name)) for name in ("MIT", "MIT", "BSD")}
    store.put_observer(made.observer("alone", "w9", kind="human"))
    rows = [(row.name, row.kind, row.card) for row in store.observers()]
    assert rows == [("alone", "human", {}), ("net", "network", {"licence": "BSD"})]
    second = store.put_observer(made.observer("net", "w2"))
    assert {row.id for row in store.observers(latest=False) if row.name == "net"} == {*ids, second}
    assert [row.id for row in store.observers() if row.name == "net"] == [second] and len(ids) == 1


@pytest.mark.parametrize(("change", "said"), [
    ({"level": 0.0}, "level of its interval is 0.0"), ({"level": 1.0}, "level of its interval is 1.0"),
    ({"level": math.inf}, "level of its interval is inf"), ({"low": 0.7}, "begins at 0.7 and ends below, at 0.6"),
    ({"high": -math.inf}, "ends below, at -inf"), ({"n": -1}, "counts -1 trials"),
    ({"excluded": -(2**30)}, "leaves out -1073741824"), ({"value": None}, "gives no reason"),
    *(({end: math.nan}, "NaN is no score") for end in ("value", "low", "high")),
])  # fmt: skip
def test_a_score_that_no_program_makes_is_not_written(store, made, change, said):
    run, observer = made.world(store)
    with pytest.raises(StoreError, match="score 'shape_bias': .*" + said):
        store.put_scores(run, made.score_set(observer), [replace(made.score(), **change)])
    assert store.latest_scores() == []


def test_outcomes(store, made):
    run, observer = made.world(store)
    store.put_outcome(run, observer, ("net", "cue", "geirhos16"), "failed", "NaN logits", "Traceback")
    store.put_outcome(run, None, ("ghost", "cue", "geirhos16"), "failed", "no such checkpoint")
    store.put_outcome(run, observer, ("net", "cue", "geirhos16"), "done", "")
    assert [(one.observer_name, one.status) for one in store.outcomes()] == [("ghost", "failed"), ("net", "done")]
    first, second = store.outcomes(observer="net", latest=False)
    assert (first.reason, first.detail, first.run) == ("NaN logits", "Traceback", run)
    assert second.observer == observer


def test_provenance(store, made):
    _, observer = made.world(store)
    first = store.begin_run("bench run --limit 4", {"torch": "2.6"})
    store.put_observation(first, made.observation("k1", observer, details={"policy": {"seed": 0}}))
    store.put_chunks(first, [made.chunk("k1", 0)])
    second = store.begin_run("bench run", {"torch": "2.7"})
    store.put_chunks(second, [made.chunk("k1", 1), made.chunk("k1", 2)])
    third = store.begin_run("bench rescore", {"torch": "2.7"})
    number = store.put_scores(third, made.score_set(observer, keys=("k1",)), [made.score()])
    store.end_run(second, "done")
    store.end_run(second, "failed", "a second end is ignored")
    told = store.provenance(number)
    assert (told["command"], told["environment"]) == ("bench rescore", {"torch": "2.7"})
    (observation,) = told["observations"]
    assert (observation["details"], observation["runs"]) == ({"policy": {"seed": 0}}, [first, second])
    assert {run: row["status"] for run, row in told["runs"].items()} == {first: None, second: "done", third: None}
    with pytest.raises(StoreError, match="score set 99"):
        store.provenance("99")


def test_scores_of_withdrawn_trials_are_not_shown(store, made):
    """Imported ones alone: a network that was run keeps its scores until it is scored again."""
    run, network = made.world(store)
    people = [store.put_observer(made.observer(name, name, "human")) for name in ("subject-01 (a)", "b")]
    group = store.put_observer(made.observer("people", "group", "group"))
    for key, owner in (("k1", people[0]), ("k12", people[1]), ("k3", network)):
        made.answers(store, key, owner, suite="trials" if owner != network else "cue-conflict")
        put(store, made, owner, 0.5, keys=(key, "k1") if owner == network else (key,))
    put(store, made, group, 0.5, keys=("k1", "k12"))
    store.put_import(run, "a", ["k1", "k12"])
    assert store.put_import(run, "a", ["k12"]) == 1
    assert [row.observer for row in store.latest_scores()] == ["b", "net"]
    assert {one.observer for one in store.score_sets("cue-conflict")} == {network, people[1]}
    shown = made.score_set(people[0], keys=("k1",))
    assert not store.has_scores(shown)
    assert store.put_import(run, "a", ["k1", "k12"]) == 0  # the same trials count again
    put(store, made, people[0], 0.7, keys=("k1",))
    assert store.has_scores(shown)
    assert ("subject-01 (a)", 0.7) in [(row.observer, row.value) for row in store.latest_scores()]


def test_the_newest_import_of_a_source_counts_and_sources_come_in_their_order(store, made):
    run, _ = made.world(store)
    person = store.put_observer(made.observer("subject-01 (a)", "p1", "human"))

    def counting():
        return [one.key for one in store.observations(observer="subject-01 (a)")]

    for key in ("k1", "k2", "k3"):
        made.answers(store, key, person, suite="trials")
    assert counting() == []  # an import that was cut short
    store.put_import(run, "a", ["k1", "k2"])
    store.put_import(run, "b", ["k3"])
    assert counting() == ["k1", "k2", "k3"]
    store.put_import(run, "a", ["k1"])
    assert counting() == ["k3", "k1"]


def test_append_only(url, made):
    """Whatever is stored later, rows that were there stay byte for byte."""
    with open_store(url) as store:
        _, observer = made.world(store)
        run = made.answers(store, "k1", observer)
        put(store, made, observer, 0.1)
        store.put_outcome(run, observer, ("net", "cue", "geirhos16"), "failed", "x")
        store.settle(run, "k1", 10)
        person = store.put_observer(made.observer("subject-01 (a)", "p1", "human"))
        made.answers(store, "k2", person, suite="trials")
        put(store, made, person, 0.3, keys=("k2",))
        store.put_import(run, "a", ["k2"])
        store.put_import(run, "a", [])
        before = _rows(url)
        assert all(before[name] for name in METADATA.tables if name != "run_ends")
        store.put_observer(made.observer("net", "weights-1", licence="MIT"))
        store.put_observer(made.observer("net", "weights-2"))
        store.put_stimuli(made.stimuli())
        made.answers(store, "k1", observer)
        store.settle(run, "k1", 4)
        put(store, made, observer, 0.9)
        store.put_outcome(run, observer, ("net", "cue", "geirhos16"), "done", "")
        store.put_import(run, "a", ["k2"])
        store.end_run(run, "done")
    after = _rows(url)
    for name, rows in before.items():
        assert rows <= after[name], name


def _rows(url):
    with sa.create_engine(url).connect() as connection:
        return {
            name: {tuple(row) for row in connection.execute(sa.select(table))}
            for name, table in schema.METADATA.tables.items()
        }


def test_rows_say_what_other_runs_they_replace(store, made):
    """Another seed or precision on the same stimuli; the same again, an import and other stimuli say nothing."""
    run, observer = made.world(store)
    first, second, imported = (f"{i:064d}" for i in range(3))
    for key, seed in ((first, 0), (second, 3), (imported, None)):
        policy = {"device": "cpu", "precision": "fp32", "compile": False, "seed": seed}
        details = {} if seed is None else {"policy": policy}
        store.put_observation(run, made.observation(key, observer, details=details))
    zero, three = ("cpu fp32, seed 0",), ("cpu fp32, seed 3",)
    for key, replaced in ((first, ()), (first, ()), (imported, zero), (second, zero), (first, three)):
        put(store, made, observer, 0.1, keys=(key,))
        assert [row.replaced for row in store.latest_scores()] == [replaced]
    put(store, made, observer, 0.1, keys=(second,), stimuli={"cue-conflict": "d2"})
    assert {row.stimuli: row.replaced for row in store.latest_scores()} == {"d1": three, "d2": ()}


def test_the_origin_of_scores_reads_the_runs_behind_them_and_no_others(store, made, monkeypatch):
    run, observer = made.world(store)
    answered = made.answers(store, "k1", observer)
    number = put(store, made, observer, 0.5, run, keys=("k1",))
    store.begin_run("bench run", {})
    read, fetched = [], queries.fetched
    monkeypatch.setattr(queries, "fetched", lambda *how: read.append(fetched(*how)) or read[-1])
    assert list(store.provenance(number)["runs"]) == [run, answered]
    assert [len(rows) for rows in read] == [1, 2]  # the score set, its runs


def test_the_newest_is_what_was_stored_last_also_after_the_clock_was_set_back(store, made, monkeypatch):
    run, observer = made.world(store)
    put(store, made, observer, 0.1, run)
    store.put_outcome(run, observer, ("net", "cue", "geirhos16"), "failed", "x")
    monkeypatch.setattr("benchmark.store.sql._last", "")
    monkeypatch.setattr("benchmark.store.store.now", lambda: "2020-01-01T00:00:00.000000+00:00")
    put(store, made, observer, 0.2, run)
    store.put_outcome(run, observer, ("net", "cue", "geirhos16"), "done")
    assert [row.value for row in store.latest_scores()] == [0.2]
    assert [one.status for one in store.outcomes()] == ["done"]
    store.put_observer(made.observer("net", "weights-2"))
    assert [row.identity for row in store.observers()] == ["weights-2"]


def test_a_transaction_that_is_made_again_stores_its_rows_once(store, made, url, monkeypatch):
    """As after a server that took it and could not say so."""
    run, observer = made.world(store)
    change = Database.change
    monkeypatch.setattr(Database, "change", lambda self, *step: (change(self, *step), change(self, *step))[1])
    store.end_run(store.begin_run("bench run", {}), "done")
    store.put_observer(made.observer("other", "w2"))
    made.answers(store, "k1", observer, run=run)
    put(store, made, observer, 0.5, run, keys=("k1",))
    store.put_outcome(run, observer, ("net", "cue", "geirhos16"), "done")
    store.settle(run, "k1", 10)
    store.put_import(run, "lab", ["k1"])
    counts = {name: len(rows) for name, rows in _rows(url).items() if name != "meta"}
    twice = {"runs": 2, "environments": 2, "observers": 2, "registrations": 2, "chunks": 3}
    assert counts == {**dict.fromkeys(counts, 1), **twice, "withdrawn": 0}
