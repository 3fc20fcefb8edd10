"""What tables need, asked in plain SQL: of SQLite's own driver, or by way of SQLAlchemy."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmark.contracts import Observer
from benchmark.errors import StoreError
from benchmark.store import (
    latest,
    names,
    observed,
    open_standings,
    open_store,
    questions,
    schema,
    scores,
)
from benchmark.store.database import Database

ASKED = {
    *(*latest._SET[:-1], *latest._SCORE, "scores.flags", "scores.score_set"),
    *("score_sets.observations", "observations.key", "observations.details"),
    *names._OBSERVER,
    *(f"stimuli.{name}" for name in names._NOTE),
    *(f"score_sets.{name}" for name in scores._SET),
    *(*observed._STORED, *observed._SET),
}


def test_values_are_held_against_the_types_of_the_schema():
    tables = schema.METADATA.tables
    for one in sorted(ASKED):
        table, _, name = one.partition(".")
        column = tables[table].c[name]
        assert column.type.python_type is questions.kind_of(one), one
        assert column.nullable == (one in questions.OPTIONAL), one


def test_values_of_a_question_are_names_and_whole_numbers_stand_in_it():
    text, values = questions.within("observers.name", ["a", "x') OR 1"])
    assert text == "observers.name IN (:observers_name_0, :observers_name_1)"
    assert values == {"observers_name_0": "a", "observers_name_1": "x') OR 1"}
    assert questions.within("scores.score_set", [3, 12]) == ("scores.score_set IN (3, 12)", {})
    assert questions.within("observers.name", []) == ("observers.name IN (NULL)", {})
    assert questions.within("scores.score_set", []) == ("scores.score_set IN (NULL)", {})
    with pytest.raises(ValueError, match="int"):
        questions.within("scores.score_set", ["1) OR (1"])


@pytest.fixture
def filled(path, made):
    """Two networks, one of them scored twice, under two suites."""
    with open_store(str(path)) as store:
        made.world(store)
        run = store.begin_run("bench run", {})
        for name in ("b", "a"):
            observer = store.put_observer(made.observer(name, f"w-{name}", training=["x"]))
            for suite, value in (("one", 0.5), ("two", 0.25), ("two", 0.75)):
                found = [made.score(value=value), made.score("other", None, reason="no trials")]
                store.put_scores(run, made.score_set(observer, suite=suite), found)
    return path


def everything(store):
    return (
        store.observers(),
        store.observers(latest=False),
        store.observer_notes(),
        store.observers_named({"b", "nobody"}),
        store.observers_of(["network"]),
        store.former_names(),
        store.stimuli_names(),
        store.collections(),
        store.suites(),
        store.role_sets("two"),
        store.latest_scores(),
        store.latest_scores(suite="two", metrics=["other"], conditions=("",), observers=["a"]),
        store.latest_scores(suite="two", metrics=[]),
        store.latest_scores(suite="three"),
        store.observations(),
        store.observations(observer="a", suite="cue-conflict"),
    )


def test_both_ways_give_the_same(filled):
    with open_standings(str(filled)) as store:
        by_driver = everything(store)
        assert "engine" not in store._database.__dict__
    with open_store(str(filled)) as store:
        assert everything(store) == by_driver
    rows = [(row.observer, row.suite, row.metric, row.value) for row in by_driver[10]]
    assert rows == [
        ("a", "one", "shape_bias", 0.5),
        ("a", "one", "other", None),
        ("a", "two", "shape_bias", 0.75),
        ("a", "two", "other", None),
        ("b", "one", "shape_bias", 0.5),
        ("b", "one", "other", None),
        ("b", "two", "shape_bias", 0.75),
        ("b", "two", "other", None),
    ]


def test_some_observers_are_read_without_the_cards_of_all(path, made, monkeypatch):
    monkeypatch.setattr("benchmark.store.standings.BATCH", 2)
    cards = {
        "now": {"formerly": ["before", "long before"]},
        "plain": {"formerly": []},
        "said": {"description": 'not "formerly":["said so"]', "options": {"formerly": ["inside"]}},
    }
    with open_store(str(path)) as store:
        for name, card in cards.items():
            store.put_observer(Observer(name, "network", f"w-{name}", card))
        store.put_observer(Observer("subject-01", "human", "people", {}))
        for at in range(5):
            store.put_observer(Observer(f"net-{at}", "network", f"w-{at}", {}))
    with open_standings(str(path)) as store:
        assert store.former_names() == {"before", "long before"}
        people = [(one.name, one.kind, one.identity) for one in store.observer_notes()]
        assert people[-1] == ("subject-01", "human", "people") and len(people) == 9
        (person,) = store.observers_of(["human"])
        assert person == store.observers()[-1]
        wanted = [f"net-{at}" for at in range(5)]
        assert [one.name for one in store.observers_named(set(wanted))] == wanted
        assert [one.name for one in store.observers_named({*wanted[:2]})] == wanted[:2]
        assert store.observers_named({"now"})[0].card == cards["now"]
        assert store.observers_named(set()) == store.observers_of([]) == []


def test_threads_ask_at_once(filled):
    with open_standings(str(filled)) as store, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: store.latest_scores(), range(64)))
    assert all(one == found[0] for one in found) and len(found[0]) == 8


def test_a_reader_changes_nothing(filled):
    before = filled.read_bytes()
    with open_standings(str(filled)) as store:
        store.latest_scores()
        with store._database.asking() as reader, pytest.raises(Exception, match="readonly"):
            reader.rows("DELETE FROM scores", {})
    assert filled.read_bytes() == before
    assert [one.name for one in filled.parent.iterdir()] == [filled.name]


def test_what_is_no_number_is_damage(filled):
    with open_store(str(filled)) as store, store._database.writing() as connection:
        connection.exec_driver_sql("UPDATE scores SET value = 'high' WHERE value = 0.75")
    with open_standings(str(filled)) as store, pytest.raises(StoreError) as caught:
        store.latest_scores()
    assert "scores.value: str where float is written" in str(caught.value)


def test_after_an_error_the_next_question_is_answered(filled):
    with open_standings(str(filled)) as store:
        database: Database = store._database
        with pytest.raises(StoreError, match="no such table"):
            database.read(lambda reader: reader.rows("SELECT 1 FROM absent", {}))
        assert len(store.latest_scores()) == 8
