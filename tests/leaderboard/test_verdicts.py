"""Verdicts on a new model against its base, and their Markdown."""

from dataclasses import replace

import numpy as np
import pytest
from plain_suites import paired, suite_row

from benchmark.contracts import Trials
from benchmark.engine.scoring import ComparedTrials, paired_tests
from benchmark.leaderboard.comparison import Margin, better, diff_markdown, judged
from benchmark.leaderboard.forms import markdown_code
from benchmark.stats.comparisons import Comparison, DiscordantTrial, SuiteComparison, compared, decided, undecided
from benchmark.stats.differences import Quadratic, Restricted
from benchmark.stats.paired import compare_ratio
from suites.cue_conflict import SUITE


def row(gained, lost, n=1000, suite="s", direction="higher", metric="m"):
    """A suite where the new one alone is right on `gained` of n trials, the base alone on `lost`."""
    return paired(suite, metric, gained, lost, n, direction, data=f"{suite}{gained}{lost}")


def verdict(*rows, margin=None, both=False):
    asked = None if margin is None else Margin(margin, both)
    found = judged(compared("new", "base", rows), [], asked)
    return [one.comparison.verdict for one in found.changes], found.verdict, found.exit_code


# 1000 trials, 20 gained and 60 lost: -0.04, Tango's 95 % interval [-0.058, -0.023], his 90 % one [-0.0552, -0.0254];
# 30 and 32: 90 % interval [-0.0152, 0.0111].
@pytest.mark.parametrize(("gained", "lost", "margin", "said", "code"), [
    (20, 60, None, "worse", 1),
    (60, 20, None, "better", 0),
    (30, 32, None, "no change shown", 0),
    (20, 60, 0.07, "not inferior", 0),  # worse, but within the margin
    (20, 60, 0.04, "inconclusive", 3),
    (20, 60, 0.01, "worse", 1),
    (30, 32, 0.001, "inconclusive", 3),
    (60, 20, 0.01, "better", 0),
    (0, 0, 0.01, "not inferior", 0),
])  # fmt: skip
def test_a_verdict_of_one_suite(gained, lost, margin, said, code):
    for made in (row(gained, lost), row(lost, gained, direction="lower")):
        each, _, exit_code = verdict(made, margin=margin)
        assert (each, exit_code) == ([said], code)


@pytest.mark.parametrize(("gained", "lost", "margin", "said", "code"), [
    (30, 32, 0.016, "equivalent", 0),
    (30, 32, 0.014, "inconclusive", 3),
    (60, 20, 0.05, "inconclusive", 3),  # a gain, too, is a change
    (20, 60, 0.0556, "equivalent", 0),  # beyond the 95 % interval's end at -0.058
    (60, 20, 0.025, "not equivalent", 1),
    (20, 60, 0.026, "inconclusive", 3),
])  # fmt: skip
@pytest.mark.parametrize("direction", ["higher", "lower", "none"])
def test_equivalence_is_two_one_sided_tests(gained, lost, margin, said, code, direction):
    made = row(gained, lost, direction=direction)
    assert verdict(made, margin=margin, both=True) == ([said], said, code)


def test_equivalence_of_several_suites_holds_together():
    both = [row(30, 32, suite="s"), row(30, 32, n=1001, suite="t", metric="t")]
    assert verdict(both[0], margin=0.016, both=True)[0] == ["equivalent"]
    assert verdict(*both, margin=0.016, both=True)[0] == ["inconclusive"] * 2
    for rows, said in ((both[:1], "at 5 % on"), (both, "at 2.5 % each on")):
        text = diff_markdown(judged(compared("new", "base", rows), [], Margin(0.016, both=True)))
        assert f"Two one-sided tests {said} the stimuli that both answered: 9" in text
        assert f": {len(rows) * 5 + 85} % intervals within +-0.016." in text


@pytest.mark.parametrize(("margin", "both"), [(None, False), (0.0001, False), (0.0001, True)])
def test_identical_answers_are_no_change_whatever_the_margin(margin, both):
    made = row(0, 0)
    same = replace(made, comparison=replace(made.comparison, same=True))
    assert verdict(same, margin=margin, both=both) == (["no answer changed"], "no answer changed", 0)
    assert better(same) == "no answer differs"
    (change,) = judged(compared("new", "base", [same]), [], None).changes
    assert None not in (change.comparison.low, change.comparison.high)


def conflicts(answers, shapes, textures):
    """Trials of cue conflicts with these answers."""
    n = len(shapes)
    same = {"role": np.full(n, "cue-conflict"), "condition": np.full(n, ""), "stimulus": np.arange(n).astype(str)}
    return Trials(columns={**same, "category": shapes, "shape": shapes, "texture": textures, "response": answers})


def test_shape_bias_is_guarded_by_answers_that_follow_neither_cue():
    """200 conflict images. Base: half shape, half texture. New: 20 answers by cue, just as biased, all others "na"."""
    shapes, textures = (np.array([f"{cue}{i % 16}" for i in range(200)]) for cue in "st")
    base = np.where(np.arange(200) % 2, shapes, textures)
    mute = np.where(np.arange(200) < 20, base, "na")

    def said(*answers):
        new, old = (conflicts(one, shapes, textures) for one in answers)
        metrics = [metric for metric in SUITE.metrics if metric.role == "cue-conflict"]
        tests = [(m, compare_ratio(m, new, old)) for m in metrics]
        pairs = [SuiteComparison(suite="cue-conflict", metric=m, comparison=test) for m, test in tests]
        found = judged(compared("new", "base", pairs), [], Margin(0.6))
        return {c.metric.name: c.comparison.verdict for c in found.changes}, found.exit_code

    assert said(mute, base) == ({"shape_bias": "not inferior", "neither_fraction": "worse"}, 1)
    assert said(base, base) == (dict.fromkeys(("shape_bias", "neither_fraction"), "no answer changed"), 0)


@pytest.mark.parametrize("few", [1, 9])
def test_equal_answers_to_few_trials_are_no_change(few):
    """Stored answers decide: the same share right with other wrong answers, or without a value, is another case."""
    cat, na, car, dog = (np.full(few, x) for x in ("cat", "na", "car", "dog"))

    def said(*answers):
        new, base = (conflicts(one, cat, dog) for one in answers)
        both = ComparedTrials(suite=SUITE, a=new, b=base, people={})
        found = judged(compared("new", "base", list(paired_tests(both))), [], Margin(0.01))
        return found.verdict, found.exit_code, found.changes[0].comparison.n

    assert said(cat, cat) == said(na, na) == ("no answer changed", 0, few)
    assert said(car, na)[:2] == ("inconclusive", 3)


def test_nothing_passes_without_an_interval():
    """The difference is exactly 0 and the test bounds nothing, though answers differ."""

    def unbounded(difference):
        start = Comparison(metric="m", a=0.5, b=0.5 - difference, difference=difference, n=24)
        variance = Quadratic(at_zero=0.02, cross=0.0, square=1 / 3)
        return suite_row("s", decided(start, Restricted(difference=difference, variance=variance), "score test"))

    for difference, margin, both in ((0.0, 0.5, False), (0.0, None, False), (0.0, 0.5, True), (0.1, 0.5, False)):
        assert verdict(unbounded(difference), margin=margin, both=both) == (["inconclusive"], "inconclusive", 3)


def test_a_guard_is_judged_beside_its_headline():
    kept, lost = row(30, 30), row(20, 60, metric="accuracy")
    guard = replace(lost, metric=replace(lost.metric, headline=False, guard=True))
    assert verdict(kept, guard) == (["no change shown", "worse"], "worse", 1)
    assert verdict(kept, guard, margin=0.01)[1:] == ("worse", 1)
    plain = replace(lost, metric=replace(lost.metric, headline=False))
    assert verdict(kept, plain)[1:] == ("no change for the worse shown", 0)


def test_the_worst_suite_decides():
    fine, bad = row(30, 32, suite="fine", metric="fine"), row(20, 60, suite="bad", metric="bad")
    open_one = suite_row("open", undecided(Comparison(metric="m"), "no trial in common"))
    assert verdict(fine, bad, open_one)[1:] == ("worse", 1)
    assert verdict(fine, open_one)[1:] == ("inconclusive", 3)


def flip(suite, condition, stimulus, winner, *answers):
    shown = {"suite": suite, "metric": "m", "condition": condition, "stimulus": stimulus, "category": "cat"}
    return DiscordantTrial(**shown, winner=winner, answer_a=answers[0], answer_b=answers[1])


HOSTILE = "`x` | <img src=x> @team #1 \x1b[31m\n## big"


def test_hostile_names_mark_nothing_up():
    made = row(1, 2, suite=HOSTILE)
    flipped = [flip(HOSTILE, HOSTILE, HOSTILE, winner, HOSTILE, "b") for winner in ("a", "b")]
    text = diff_markdown(judged(compared(HOSTILE, HOSTILE, [made], [HOSTILE]), flipped, None))
    code = markdown_code(HOSTILE)
    assert code == "`` `x` \\| <img src=x> @team #1 ?[31m ## big ``"
    assert "\x1b" not in text
    rest = text.replace(code, "")
    assert "<img" not in rest and "\n## " not in rest
    tables = [line for line in rest.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in tables} == {10, 7}


def test_flipped_images_are_listed_losses_first_and_no_more_than_asked():
    flipped = [flip("s", "fog", f"{i}.png", "ab"[i % 2], "cat", "dog") for i in range(6)]
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
    assert repr(found) == "<new against base: no change for the worse shown; str() for the verdict in Markdown>"
    assert found._repr_markdown_() == str(found) == diff_markdown(found)
