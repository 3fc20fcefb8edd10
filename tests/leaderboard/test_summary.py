"""Models by suites: what stands in which column, what gives way, what is said once."""

from dataclasses import replace

import pytest
from plain_suites import plain_suite, text

from benchmark.contracts import Metric
from benchmark.leaderboard.board import boards
from benchmark.leaderboard.summary import summaries, summary_table


def plain(name, title="head", direction="higher", clean=False):
    """A suite with a headline and a clean accuracy."""
    head = Metric(name="head", title=title, definition=f"what {title} is", direction=direction, headline=True)
    return plain_suite(
        name, head, *[Metric(name="plain", title="clean", definition="right answers", clean=True)] * clean
    )


@pytest.fixture
def summary(score):
    suites = [plain("bias", "shape bias"), plain("noise", "error", "lower", clean=True), plain("attack", "robust")]

    def row(observer, suite, right, metric="head", **fields):
        return score(observer, right, 100, suite=suite, metric=metric, role="", **fields)

    few = {"flags": ("few shapes",)}
    rows = [
        row("good", "bias", 90, **few, training=("stylised",)), row("poor", "bias", 20, **few),
        row("good", "noise", 10), row("poor", "noise", 60),
        row("good", "noise", 95, "plain"), row("poor", "noise", 80, "plain"),
        row("poor", "attack", 50, flags=("trust: masked",)),
        row("theirs", "bias", 55, kind="published", **few), row("ideal", "bias", 100, kind="ideal", **few),
    ]  # fmt: skip
    return next(iter(summaries([b for s in suites for b in boards(rows, s, {})])))


def test_one_row_per_model_and_one_column_per_suite(summary):
    assert [one.suite for one in summary.headlines] == ["bias", "noise", "attack"]
    assert [line.observer for line in summary.lines] == ["good", "poor", "theirs"]
    good = summary.lines[0]
    cells = [good.cells[head.suite] for head in summary.headlines]
    assert [cell.value for cell in cells] == [0.9, 0.1, None]
    assert [cell.rank.rank for cell in cells] == [1, 1, None]
    assert good.place == (1.0, 1.0, 1.0)
    assert good.cells["clean"].value == 0.95
    assert [line.observer for line in summary.references] == ["ideal"]


def test_columns_are_named_by_suite_and_metric_and_reported_ones_by_their_own_title(summary):
    fields = {f.key: (f.title, f.facts) for f in summary_table(summary).fields if f.facts}
    assert fields["bias.head"][0] == "bias shape bias" and fields["noise.plain"][0] == "clean"
    assert fields["noise.head"][1] == {"suite": "noise", "metric": "head", "direction": "lower", "set": ""}
    heads = tuple(replace(head, suite="head") if head.suite == "attack" else head for head in summary.headlines)
    lines, others = (
        tuple(one._replace(cells={**one.cells, "head": one.cells["attack"]}) for one in rows)
        for rows in (summary.lines, summary.references)
    )
    reported = replace(summary, headlines=heads, lines=lines, references=others)
    fields = {f.key: f.title for f in summary_table(reported).fields if f.facts}
    assert fields["robust"] == "robust"


def test_the_clean_column_is_of_the_suite_in_which_most_have_a_value(score):
    shown = (("few", "a", 70), ("many", "ab", 90))
    pairs = [(suite, name, clean) for suite, names, clean in shown for name in names]
    rows = [score(name, 50, 100, suite=suite, metric="head", role="") for suite, name, _ in pairs]
    rows += [score(name, clean, 100, suite=suite, metric="plain", role="") for suite, name, clean in pairs]
    (found,) = summaries([board for suite, *_ in shown for board in boards(rows, plain(suite, clean=True), {})])
    assert found.clean.suite == "many" and [line.cells["clean"].value for line in found.lines] == [0.9, 0.9]


@pytest.mark.parametrize(("width", "blocks"), [(200, 1), (80, 3), (52, 5)])
def test_what_has_no_room_goes_on_below(summary, width, blocks):
    table = text([summary_table(summary, parameters={"good": 1_200_000})], width)
    assert max(map(len, table.splitlines())) <= width
    assert len([line for line in table.splitlines() if line.startswith("1.0") and " good " in line]) == blocks
    for word in ("0.9000 [0.826, 0.945]", "0.9500 [0.888, 0.978]", "stylised", "1.2M"):
        assert table.count(word) == 1


def test_who_was_shown_other_stimuli_is_named(score):
    shown = {"one": "f" * 64, "two": "f" * 64, "s0": "0" * 64}
    rows = [score(n, 50, 100, suite="bias", metric="head", role="", stimuli=d) for n, d in shown.items()]
    for some, notes in ((rows, ("1 not in this table, shown other stimuli (bench rank SUITE): s0",)), (rows[:2], ())):
        (found,) = summaries(boards(some, plain("bias", "shape bias"), {}))
        assert [line.observer for line in found.lines] == ["one", "two"]
        assert found.notes == notes
