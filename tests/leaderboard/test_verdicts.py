"""Verdicts on a new model against its base, and their Markdown."""

import pytest

from benchmark.contracts import Metric
from benchmark.leaderboard.markup import markdown_code
from benchmark.leaderboard.verdicts import diff_markdown, judged
from benchmark.stats.comparisons import Comparison, decided
from benchmark.stats.differences import Discordant
from benchmark.stats.families import DiscordantTrial, SuiteComparison, compared


def row(gained, lost, n=1000, suite="s", direction="higher", metric="m"):
    """A suite where the new one alone is right on `gained` of n trials, the base alone on `lost`."""
    start = Comparison(
        metric, a=0.5, b=0.5 - (gained - lost) / n, difference=(gained - lost) / n, n=n,
        discordant=(gained, lost),
    )  # fmt: skip
    made = decided(start, Discordant(gained, lost, n), "McNemar", f"{suite}{gained}{lost}")
    return SuiteComparison(suite, Metric(metric, metric, "", direction, headline=True), made)


def untested(suite="s", reason="no trial in common"):
    start = Comparison("m", reason=reason, verdict=f"not compared: {reason}")
    return SuiteComparison(suite, Metric("m", "m", "", headline=True), start)


def verdict(*rows, margin=None):
    found = judged(compared("new", "base", rows), [], margin)
    return [one.verdict for one in found.changes], found.verdict, found.exit_code


# 1000 trials, 20 gained and 60 lost: -0.04, Tango's 95 % interval [-0.058, -0.023].
@pytest.mark.parametrize(
    ("gained", "lost", "margin", "said", "code"),
    [
        (20, 60, None, "worse", 1),
        (60, 20, None, "better", 0),
        (30, 32, None, "no change shown", 0),
        (20, 60, 0.07, "not inferior", 0),  # worse, but within the margin
        (20, 60, 0.04, "inconclusive", 3),
        (20, 60, 0.01, "worse", 1),
        (30, 32, 0.05, "not inferior", 0),
        (30, 32, 0.001, "inconclusive", 3),
        (60, 20, 0.01, "better", 0),
        (0, 0, 0.01, "not inferior", 0),
    ],
)
def test_a_verdict_of_one_suite(gained, lost, margin, said, code):
    each, _, exit_code = verdict(row(gained, lost), margin=margin)
    assert (each, exit_code) == ([said], code)


def test_where_lower_is_better_the_ends_change_places():
    assert verdict(row(60, 20, direction="lower"))[0] == ["worse"]
    assert verdict(row(60, 20, direction="lower"), margin=0.01)[0] == ["worse"]
    assert verdict(row(20, 60, direction="lower"), margin=0.01)[0] == ["better"]


def test_where_no_end_is_better_a_change_is_no_fault():
    assert verdict(row(20, 60, direction="none"), margin=0.01) == (["changed"], "not inferior", 0)


def test_the_worst_suite_decides():
    fine, bad = row(30, 32, suite="fine", metric="fine"), row(20, 60, suite="bad", metric="bad")
    open_one = untested("open")
    assert verdict(fine, bad, open_one)[1:] == ("worse", 1)
    assert verdict(fine, open_one)[1:] == ("inconclusive", 3)


@pytest.mark.parametrize(("who", "whose"), [("a", "the new one"), ("b", "the base")])
def test_a_reason_says_whose_trials_are_too_few(who, whose):
    row = untested(reason=f"too few to test: 9 stimuli count for {who}")
    (change,) = judged(compared("new", "base", [row]), [], None).changes
    assert change.reason == f"too few to test: 9 stimuli count for {whose}"


def test_intervals_of_several_suites_hold_together():
    # -0.04 with Tango's [-0.058, -0.023] alone; with ten suites the interval is wider and the margin no longer cleared.
    assert verdict(row(20, 60), margin=0.0585)[0] == ["not inferior"]
    many = [row(20, 60), *(row(30, 32, suite=f"s{i}", metric=f"m{i}") for i in range(9))]
    assert verdict(*many, margin=0.0585)[0][0] == "inconclusive"


HOSTILE = "`x` | <img src=x> @team #1 \x1b[31m\n## big"


def test_hostile_names_mark_nothing_up():
    made = row(1, 2, suite=HOSTILE)
    flipped = [
        DiscordantTrial(HOSTILE, "m", HOSTILE, HOSTILE, "cat", winner, HOSTILE, "b")
        for winner in ("a", "b")
    ]
    text = diff_markdown(judged(compared(HOSTILE, HOSTILE, [made], [HOSTILE]), flipped, None))
    code = markdown_code(HOSTILE)
    assert code == "`` `x` \\| <img src=x> @team #1 ?[31m ## big ``"
    assert "\x1b" not in text
    rest = text.replace(code, "")
    assert "<img" not in rest and "\n## " not in rest
    tables = [line for line in rest.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in tables} == {10, 7}


def test_flipped_images_are_listed_losses_first_and_no_more_than_asked():
    flipped = [
        DiscordantTrial("s", "m", "fog", f"{i}.png", "cat", "ab"[i % 2], "cat", "dog")
        for i in range(6)
    ]
    found = judged(compared("new", "base", [row(3, 3)]), flipped, None)
    lines = diff_markdown(found, 4).splitlines()
    listed = [line for line in lines if line.startswith(("| lost", "| gained"))]
    assert listed == [
        "| lost | `fog` | `1.png` | `cat` | `dog` | `cat` |",
        "| lost | `fog` | `3.png` | `cat` | `dog` | `cat` |",
        "| lost | `fog` | `5.png` | `cat` | `dog` | `cat` |",
        "| gained | `fog` | `0.png` | `cat` | `dog` | `cat` |",
    ]
    assert "<details><summary>s, m: 3 lost, 3 gained</summary>" in lines
    assert "and 2 more: `bench compare new base --images`" in lines
    assert "details" not in diff_markdown(found, 0)


def test_answers_that_do_not_tell_why_a_trial_was_lost_are_left_out():
    """Both are right without the attack that breaks one of them."""
    flipped = [
        DiscordantTrial("s", "m", "", "1.png", "boat", "b", "boat", "boat"),
        DiscordantTrial("s", "m", "", "2.png", "boat", "b", "cat", "boat"),
    ]
    text = diff_markdown(judged(compared("new", "base", [row(3, 3)]), flipped, None))
    assert "| lost |  | `1.png` | `boat` |  |  |" in text
    assert "| lost |  | `2.png` | `boat` | `boat` | `cat` |" in text


def test_a_console_and_a_notebook_show_the_verdict_and_not_its_parts():
    found = judged(compared("new", "base", [row(3, 3)]), [], None)
    assert (
        repr(found)
        == "<new against base: no change for the worse shown; str() for the verdict in Markdown>"
    )
    assert found._repr_markdown_() == str(found) == diff_markdown(found)
    assert "| verdict |" in str(found)
