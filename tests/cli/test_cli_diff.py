"""`bench diff` from a leaderboard."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import gestaltbench as gb
from benchmark.api.paired_comparisons import Sampling, paired_variant
from benchmark.contracts import Block, Metric, Plan, Trials
from benchmark.failures import BenchError
from benchmark.leaderboard.comparison import diff_markdown, judged
from benchmark.stats.comparisons import Compared
from benchmark.stats.sequences import difference_sequence
from suites.adversarial import SUITE
from tests.report.conftest import stimuli_of

NETS = ("world-standard-0", "world-stylised-0")


@pytest.mark.slow
def test_a_verdict_as_markdown(bench, board):
    ended = bench("diff", *NETS, "--db", board)
    found = gb.diff(*NETS, db=board)
    assert ended.code == found.exit_code
    assert ended.out.startswith(f"### `world-stylised-0` against `world-standard-0`: {found.verdict}\n")
    assert "| `cue-conflict` | shape bias |" in ended.out
    # Twelve images show no margin of a hundredth.
    assert bench("diff", *NETS, "--noninferior", "0.01", "--db", board).code == 3


@pytest.mark.slow
def test_a_suite_that_one_of_the_two_lacks_leaves_it_open(bench):
    """A run that failed, or was never made, is no proof that nothing became worse."""
    base, new = "ideal-shape", "ideal-texture"
    for name, suites in ((base, "cue-conflict,corruption"), (new, "cue-conflict")):
        assert bench("run", "-m", name, "-s", suites, "--limit", "16", "-q").code == 0
    ended = bench("diff", base, new, "--noninferior", "2")
    assert ended.code == 3 and "inconclusive: the new one has no such score" in ended.out
    assert bench("diff", base, new, "--noninferior", "2", "-s", "cue-conflict").code == 0
    assert bench("diff", new, base, "--noninferior", "2").code == 0  # the base never had it
    asked = bench("diff", new, base, "--noninferior", "2", "-s", "cue-conflict,corruption,saliency")
    assert asked.code == 3 and "the base has no such score" in asked.out
    assert "neither has such a score" in asked.out


@pytest.mark.slow
def test_a_network_that_does_not_look_is_named_beside_its_verdict(bench):
    """A guesser's shape bias of one half is better than a standard network's."""
    nets = ("world-standard-0", "ideal-constant")
    assert bench("run", "-m", ",".join(nets), "-s", "cue-conflict", "--limit", "32", "-q").code == 0
    said = "ideal-constant (cue-conflict): trust: one answer"
    for command in ("diff", "compare"):
        assert said in bench(command, *nets).out
    assert said in bench("compare", nets[0], "ideal-*").out


def test_nothing_in_common_is_no_verdict(bench, board):
    ended = bench("diff", *NETS, "--suite", "corruption", "--db", board)
    assert ended.code == 3 and "inconclusive: neither has such a score" in ended.out


def test_what_no_headline_has_a_number_of_is_no_verdict():
    found = judged(Compared(a="new", b="base", headlines=(), secondary=()), [], None)
    assert (found.verdict, found.exit_code) == ("inconclusive", 3)
    assert "the two have no headline in common" in diff_markdown(found)


@pytest.mark.slow
def test_a_verdict_that_cannot_be_written_is_an_error(bench, board, monkeypatch):
    def full(_text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("benchmark.cli.run_commands.echo_data", full)
    ended = bench("diff", *NETS, "--db", board)
    assert ended.code == 2 and "No space left" in ended.err


def test_mistakes_are_one_line(bench, board):
    for words, said in (
        ((NETS[0], NETS[0]), "cannot be compared with itself"),
        ((NETS[0], "people"), "can only be the base"),
        (("people", NETS[0], "--precision-target", "0.1"), "cannot be run"),
        ((*NETS, "--noninferior", "0.1", "--equivalent", "0.1"), "ask for one of the two"),
        ((NETS[0], "world-stylized-0"), "Did you mean"),
        ((*NETS, "--noninferior", "nan"), "nan is not a finite number"),
    ):
        ended = bench("diff", "--db", board, *words)
        assert ended.code == 2 and len(ended.errors) == 1 and said in ended.err, words


@pytest.mark.slow
@pytest.mark.parametrize("margin", [float("inf"), 0.0])
def test_a_margin_that_shows_nothing_is_refused(board, margin):
    with pytest.raises(BenchError, match="a margin is a finite number above 0"):
        gb.diff(*NETS, noninferior=margin, db=board)


PAIRED = ("--precision-target", "0.02", "-s", "corruption", "-q")


@pytest.mark.slow
def test_sampling_stops_once_the_answer_is_clear(bench):
    ended = bench("diff", "ideal-shape", "ideal-guesser", *PAIRED)
    assert ended.code == 1 and "against `ideal-shape`: worse" in ended.out, ended.err
    assert "stopped at 256 of 480 images" in ended.out
    found = gb.diff("ideal-shape", "ideal-guesser", precision_target=0.02, suite="corruption")
    assert found.exit_code == 1 and found.changes[0].row.comparison.n == 256
    back = bench("diff", "ideal-guesser", "ideal-shape", *PAIRED)  # nothing is computed anew
    assert back.code == 0 and "| better |" in back.out


@pytest.mark.parametrize("suites", [1, 5])
def test_intervals_of_several_suites_hold_together_at_every_look(suites, monkeypatch):
    rng = np.random.default_rng(0)
    named = {"role": np.full(60, "x"), "condition": np.full(60, ""), "stimulus": np.arange(60).astype(str)}
    new, base = (Trials(columns={**named, "right": rng.random(60) < share}) for share in (0.5, 0.8))
    metric = Metric(name="m", title="m", definition="", headline=True, ratio=lambda t: (t["right"], np.ones(len(t))))
    task = SimpleNamespace(
        card=SimpleNamespace(name="new"),
        suite=SimpleNamespace(name="s:paired", headline=metric),
        plan=SimpleNamespace(blocks=[SimpleNamespace(stimuli=range(60))]),
    )

    monkeypatch.setattr(Sampling, "_shared", lambda *_: (new, base))
    changes = Sampling(
        base="base", new="new", margin=None, target=0.01, prepared=SimpleNamespace(tasks=[task] * suites)
    ).changes(None)
    gaps = new["right"] * 1.0 - base["right"]
    assert [(one.low, one.high) for one in changes] == [difference_sequence(gaps, 1 - 0.05 / suites)] * suites


@pytest.mark.slow
def test_equal_models_are_not_inferior_before_the_end(bench):
    ended = bench("diff", "ideal-shape", "ideal-texture", *PAIRED, "--noninferior", "0.05")
    assert ended.code == 0, ended.err
    assert "| not inferior |" in ended.out and "stopped at 256 of 480 images" in ended.out


@pytest.mark.release
def test_robust_accuracy_is_asked_of_images_in_random_order(bench):
    words = ("--precision-target", "0.4", "-s", "adversarial", "--limit", "12", "-q")
    ended = bench("diff", "world-standard-0", "world-stylised-0", *words)
    assert ended.code in (0, 1, 3), ended.err
    assert "adversarial: used all images" in ended.out
    (found,) = gb.provenance("world-standard-0", "adversarial:paired")  # its headline is there
    assert found.score.metric == "robust_accuracy" and "(shuffled)" in str(found.stimuli)
    assert found.rerun.command == "" and "bench diff" in found.rerun.before[0]
    refused = bench("reproduce", "world-standard-0", "adversarial:paired")
    assert refused.code == 1 and "stopped where a verdict was clear" in refused.err


@pytest.mark.slow
def test_a_suite_that_cannot_stop_early_is_inconclusive_where_it_was_named(bench):
    words = ("ideal-shape", "ideal-constant", "--precision-target", "0.4", "--noninferior", "0.99")
    named = bench("diff", *words, "--limit", "16", "-q", "-s", "corruption,cue-conflict")
    assert named.code == 3 and "inconclusive: not asked: it cannot stop early" in named.out
    every = bench("diff", *words, "--limit", "16", "-q")
    assert "- cue-conflict: not asked: it cannot stop early" in every.out
    assert "inconclusive: not asked" not in every.out


@pytest.mark.parametrize("variant", ["", "autoattack"])
def test_images_in_random_order_are_those_of_the_plan(variant):
    suite = SUITE.variants[variant] if variant else SUITE

    def plan(_config, _shelf):
        return Plan((Block(stimuli=stimuli_of("adversarial"), role="natural"),))

    made = paired_variant(replace(suite, plan=plan))
    (block,) = made.plan(made.config, None).blocks
    before = stimuli_of("adversarial").ids
    assert set(block.stimuli.ids) == set(before) and block.stimuli.ids != before
    assert made.name == f"{suite.name}:paired" and paired_variant(made) is None


@pytest.mark.slow
def test_too_few_images_leave_it_open(bench):
    words = (*PAIRED, "--noninferior", "0.001", "--limit", "20")
    ended = bench("diff", "ideal-constant", "ideal-guesser", *words)
    assert ended.code == 3 and "used all images, which do not make it clear" in ended.out
    same = bench("diff", "ideal-shape", "ideal-texture", *words)  # both are right every time
    assert same.code == 0 and "against `ideal-shape`: no answer changed" in same.out


def test_what_cannot_stop_early_says_so(bench):
    for words, said in (
        (("ideal-shape", "ideal-texture", *PAIRED[:2], "-s", "saliency"), "Suites that can: adversarial, corruption."),
        (("ideal-shape", "ideal-shape", *PAIRED), "cannot be compared with itself"),
        (("ideal-shape", "ideal-texture", "--limit", "4"), "--limit is for --precision-target"),
        (("ideal-shape", "ideal-shade", *PAIRED), "ideal-shape"),
        (("ideal-shape", "ideal-texture", *PAIRED, "--device", "cpu:all"), "on one device"),
    ):
        ended = bench("diff", *words)
        assert ended.code == 2 and len(ended.errors) == 1 and said in ended.err, ended.err
