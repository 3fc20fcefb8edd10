"""A board of a hundred rows: what is folded, what stays, what is said."""

from types import SimpleNamespace

import pytest
from plain_suites import plain_board

from benchmark.api.leaderboards import CardStatus, chosen_rows, shown_rows
from benchmark.api.options import Filters
from benchmark.contracts import Observer
from benchmark.failures import UnknownName
from benchmark.leaderboard.board_model import Cell, Column, Row
from benchmark.leaderboard.board_tables import collapse_rows
from benchmark.store import open_store


def row(name, kind, value, rank=None, training=()):
    return Row(
        rank=rank, rank_low=rank, rank_high=rank, observer=name, kind=kind, training=training, cells={"m": Cell(value)}
    )


def board(rows, references=()):
    return plain_board(rows, [Column(metric="m", title="m", direction="higher")], references)


PUBLISHED = [
    row(f"net{i:02}", "published", 1 - i / 100, i + 1, ("standard",) if i % 2 else ("stylised",)) for i in range(20)
]


def test_published_networks_fold_to_the_best_of_each_recipe_and_family():
    mine = row("mine", "model", 0.905, 11)
    rows = [*PUBLISHED[:10], mine, *PUBLISHED[10:]]
    families = {one.observer: "a" if at < 10 else "b" for at, one in enumerate(PUBLISHED)}
    found = collapse_rows(board(rows), families)
    assert [one.observer for one in found.rows] == [
        "net00", "net01", "mine", "net10", "net11", "net19",
    ]  # fmt: skip
    assert [one.rank for one in found.rows] == [1, 2, 11, 11, 12, 20]
    assert "15 of 20 published networks are folded away" in found.notes[0]


def test_people_fold_into_their_group_and_their_spread_is_said():
    people = [row(f"subject-{i}", "human", 0.9 + i / 100) for i in range(6)]
    blank = row("subject-9", "human", None)
    mean, chance = row("people (mean of 7)", "group", 0.92), row("chance", "chance", 0.5)
    found = collapse_rows(board([], [mean, *people, blank, chance]), {})
    assert [one.observer for one in found.references] == ["people (mean of 7)", "chance"]
    assert found.notes == ("7 people are folded into one row (--all): from 0.9000 (subject-0) to 0.9500 (subject-5)",)
    alone = board([], people)  # no row stands for them: they stay
    assert collapse_rows(alone, {}) == alone


def test_filters_choose_by_kind_source_recipe_and_family(tmp_path):
    cards = {
        "resnet50": ("network", {"training": ["standard"]}),
        "resnet50 (lab)": ("published", {"source": "lab", "training": ["adversarial(l2,3.0)"]}),
        "ViT_L (lab)": ("published", {"source": "lab", "family": "clip"}),
        "subject-01 (lab)": ("human", {"source": "lab"}),
    }
    with open_store(str(tmp_path / "x.db")) as store:
        for name, (kind, card) in cards.items():
            store.put_observer(Observer(name=name, kind=kind, identity=name, card=card))
        rows = [SimpleNamespace(observer=name) for name in sorted(cards)]
        for patterns, kept in (
            ({"kind": "model"}, ["resnet50"]),
            ({"kind": "published"}, ["ViT_L (lab)", "resnet50 (lab)"]),
            ({"source": "lab", "kind": "human"}, ["subject-01 (lab)"]),
            ({"recipe": "adversarial*,standard"}, ["resnet50", "resnet50 (lab)"]),
            ({"family": "resnet"}, ["resnet50", "resnet50 (lab)"]),
            ({"family": "clip", "models": "ViT*"}, ["ViT_L (lab)"]),
        ):
            found = chosen_rows(store, rows, CardStatus(), Filters(**patterns))
            assert [one.observer for one in found] == kept, patterns
        with pytest.raises(UnknownName, match="kind of observer"):
            chosen_rows(store, rows, CardStatus(), Filters(kind="robot"))


def test_a_filter_hides_rows_and_ranks_nobody_anew(tmp_path):
    mine, lone = row("mine", "model", 0.905, 11), row("subject-1", "human", 0.9)
    mean, chance = row("people (mean of 2)", "group", 0.92), row("chance", "chance", 0.5)
    whole = board([*PUBLISHED[:10], mine, *PUBLISHED[10:]], [mean, lone, chance])
    with open_store(str(tmp_path / "x.db")) as store:
        for one in (*whole.rows, lone):
            kind = "published" if one in PUBLISHED else one.kind
            store.put_observer(Observer(name=one.observer, kind=kind, identity=one.observer, card={}))

        def shown(**filters):
            found = shown_rows(store, whole, Filters(**filters))
            return found and [*(f"{r.rank} {r.observer}" for r in found.rows), *(r.observer for r in found.references)]

        people, every = ["people (mean of 2)", "chance"], [f"{r.rank} {r.observer}" for r in whole.rows]
        assert shown(models="mine,people") == shown(models="mine") == ["11 mine", *people]
        assert shown(models="people") == people and shown(models="nobody") is None
        assert shown(models="subject-1") == ["people (mean of 2)", "subject-1", "chance"]
        assert shown(hide="net*,people") == ["11 mine", "subject-1", "chance"]
        assert shown(kind="published") == [line for line in every if "mine" not in line] + ["chance"]
        assert shown(kind="human") == ["people (mean of 2)", "subject-1", "chance"]
        (note, *_) = shown_rows(store, whole, Filters(models="mine")).notes
        assert note.startswith("20 rows hidden; ranks are those of")
