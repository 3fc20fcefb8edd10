"""`bench diff` from a leaderboard, and on two models that run until the answer is clear."""

from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest

import gestaltbench as gb
from benchmark import api
from benchmark.api.sequential_comparison import SequentialComparison, paired_variant, per_image
from benchmark.contracts import Block, Metric, Plan, Trials
from benchmark.engine import run
from benchmark.failures import BenchError, ModelFailure, PluginError
from benchmark.leaderboard.comparison import Diff, diff_markdown, judged
from benchmark.stats.comparisons import Compared
from benchmark.stats.intervals import difference_sequence
from suites.adversarial import SUITE
from tests.report.conftest import stimuli_of

NETS = ("world-standard-0", "world-stylised-0")
IDEALS = ("ideal-shape", "ideal-texture")  # both are right every time
PAIRED = ("--precision-target", "0.02", "-s", "corruption", "--images", "0", "-q")


@pytest.mark.release
def test_a_suite_that_one_of_the_two_lacks_leaves_it_open(bench):
    """A run that failed, or was never made, is no proof that nothing became worse."""
    base, new = "ideal-shape", "ideal-texture"
    for name, suites in ((base, "cue-conflict,corruption"), (new, "cue-conflict")):
        assert bench("run", "-m", name, "-s", suites, "--limit", "16", "-q").code == 0
    ended = bench("diff", base, new, "--noninferior", "2")
    assert ended.code == 3 and "inconclusive: no such score of the new one" in ended.out
    assert bench("diff", base, new, "--noninferior", "2", "-s", "cue-conflict").code == 0
    assert bench("diff", new, base, "--noninferior", "2").code == 0  # the base never had it
    asked = bench("diff", new, base, "--noninferior", "2", "-s", "cue-conflict,corruption,saliency")
    assert asked.code == 3 and "no such score of the base" in asked.out
    assert "no such score of the base and the new one" in asked.out


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
    assert ended.code == 3 and "inconclusive: no such score of the base and the new one" in ended.out
    found = judged(Compared(a="new", b="base", headlines=(), secondary=()), [], None)
    assert (found.verdict, found.exit_code) == ("inconclusive", 3)
    assert "the two have no headline in common" in diff_markdown(found)


def test_mistakes_are_one_line(bench, board):
    for words, said in (
        ((NETS[0], NETS[0]), "cannot be compared with itself"),
        ((NETS[0], "people"), "can only be the base"),
        ((*NETS, "--noninferior", "0.1", "--equivalent", "0.1"), "ask for one of the two"),
        ((NETS[0], "world-stylized-0"), "Did you mean"),
        ((*NETS, "--noninferior", "nan"), "nan is not a finite number"),
        ((*IDEALS, *PAIRED[:2], "-s", "saliency"), "Suites that can stop early: adversarial, corruption."),
        (("ideal-shape", "ideal-shape", *PAIRED), "cannot be compared with itself"),
        (("ideal-shape", "people", *PAIRED), "cannot be run"),
        (("ideal-shape", NETS[0], *PAIRED[:2], "-s", "adversarial"), "it has no gradients"),
        (("ideal-shape", "ideal-shade", *PAIRED), "Did you mean"),
        ((*IDEALS, *PAIRED, "--device", "cpu,cpu"), "on one device"),
        ((*IDEALS, "--limit", "4"), "--limit is for --precision-target"),
    ):
        ended = bench("diff", "--db", board, *words)
        assert ended.code == 2 and len(ended.errors) == 1 and said in ended.err, words


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [{"noninferior": float("inf")}, {"noninferior": 0.0}, {"precision_target": 0.5}])
def test_a_margin_or_target_that_shows_nothing_is_refused(board, wrong):
    with pytest.raises(BenchError, match=r"a margin is a finite number above 0|target is between 0 and 0\.5, not 0\.5"):
        gb.diff(*NETS, **wrong, db=board)


@pytest.mark.slow
def test_two_models_run_until_the_answer_is_clear_and_are_not_scored(bench, monkeypatch):
    monkeypatch.setattr(run, "CPU_BYTES", -1)  # in other runs, one after the other
    ended = bench("diff", "ideal-shape", "ideal-guesser", *PAIRED, "--images", "1")
    assert ended.code == 1 and ": worse\n" in ended.out and ": 8151 lost, 0 gained" in ended.out, ended.err
    for said in ("8150 more: `--images N`", "stopped at 256 of 480 images", "guesser (corruption): trust: answers at"):
        assert said in ended.out
    (row,) = gb.diff("ideal-guesser", "ideal-shape", precision_target=0.02, suite="corruption").changes
    stored = api.db_status()  # nothing was computed again
    assert (row.comparison.verdict, row.comparison.n) == ("better", 256)
    assert (stored.counts["chunks"], stored.counts["outcomes"]) == (68, 2)
    for words in (("show", "--provenance"), ("reproduce",)):
        ended = bench(*words, "ideal-shape", "corruption:paired")
        assert (ended.code, len(ended.errors), ended.err.count("bench diff ideal-shape ideal")) == (1, 1, 1)
    assert (stored.incomplete, api.suites_not_installed(api.Selection())) == (0, [])
    assert "ideal-shape needs --suite." in bench("export", "--trials", "ideal-shape").err
    assert (bench("db", "merge", "results.db", "--into", "other.db").code, bench("db", "check").code) == (0, 0)


@pytest.mark.slow
def test_a_model_that_fails_ends_the_run_of_the_other(bench, monkeypatch):
    monkeypatch.setattr(run, "load_observer", Mock(side_effect=[ModelFailure("torn"), api.load_model(IDEALS[1])]))
    ended = bench("diff", *IDEALS, *PAIRED)
    assert (ended.code, api.db_status().counts["chunks"]) == (2, 0) and "corruption:paired failed: torn" in ended.err


@pytest.mark.slow
def test_a_comparison_continues_with_the_images_of_earlier_ones(bench, monkeypatch):
    ended = bench("diff", *IDEALS, *PAIRED, "--noninferior", "0.05")
    assert ended.code == 0 and "| not inferior | 256 |" in ended.out and "0.05 worse is accepted" in ended.out
    assert gb.diff(*IDEALS, precision_target=0.028, suite="corruption").changes[0].comparison.n == 256  # +-0.027
    ended = bench("diff", *IDEALS, *PAIRED)
    assert ended.code == 0 and "no answer changed" in ended.out and "all images were used\n" in ended.out
    assert api.db_status().counts["trials"] == 2 * 34 * 480
    ended = bench("diff", "ideal-constant", "ideal-guesser", *PAIRED, "--noninferior", "0.001", "--limit", "20")
    assert ended.code == 3 and "| 20 |" in ended.out and ", and the difference is not known to +-0.02" in ended.out
    monkeypatch.setattr("benchmark.cli.run_commands.agreed", lambda _plan, yes: yes)
    assert bench("diff", *IDEALS, *PAIRED).err == "not started.\n" and bench("diff", *IDEALS, *PAIRED).code == 3


@pytest.mark.parametrize(("suites", "images", "known"), [(1, 60, 2), (5, 17 * 256, 0)])  # no look after 17 chunks
def test_intervals_of_several_suites_hold_together_at_every_look(suites, images, known):
    random, image = np.random.default_rng(0), np.arange(2 * images + 1) // 2  # the last one under one of two conditions
    named = dict.fromkeys(("stimulus", "role"), image.astype(str))
    new, base = (Trials(columns={**named, "right": random.random(len(image)) < share}) for share in (0.2, 0.8))
    metric = Metric(name="m", title="m", definition="", headline=True, ratio=lambda t: (t["right"], np.ones(len(t))))
    suite, plan = replace(SUITE, name="s:paired", metrics=(metric,)), Plan((SimpleNamespace(stimuli=image),) * 2)
    task, diff = SimpleNamespace(suite=suite, plan=plan, work="nsx"), Diff(base="b", new="n", margin=None, changes=())
    keys = {("n", "s", "x"): new, ("b", "s", "x"): base}
    both = SequentialComparison(diff=diff, target=0.01, plan=None, tasks=[task] * suites, keys=keys)
    found = both._compared(store := SimpleNamespace(trials=lambda trials: trials), task)[0].comparison
    means = (new["right"] * 1.0 - base["right"])[:-1].reshape(-1, 2).mean(axis=1)
    ends = difference_sequence(means, 1 - 0.05 / suites)
    assert (found.low, found.high, len(both.known(store, {}))) == (*ends, known)
    two = new.where(np.arange(len(image)) % (2 * images) == 0)
    for ratio in (([0, 0], [0, 0]), ([2, 0], [1, 1]), ([-1, 0], [1, 1]), ([1, 1], [1, 2])):
        with pytest.raises(PluginError, match="'m' is not a mean over images"):
            per_image(replace(metric, ratio=lambda _t, ratio=ratio: ratio), two)


@pytest.mark.release
def test_robust_accuracy_is_asked_of_images_in_random_order(bench):
    ended = bench("diff", *NETS, "--precision-target", "0.4", "-s", "adversarial", "--limit", "12", "-q")
    assert ended.code in (0, 1, 3) and "adversarial: all images were used" in ended.out, ended.err


@pytest.mark.slow
def test_a_suite_that_cannot_stop_early_is_inconclusive_if_it_was_named(bench):
    words = ("diff", *IDEALS, "--precision-target", "0.4", "--noninferior", "0.99", "--limit", "16", "-q")
    named, every = bench(*words, "-s", "corruption,cue-conflict"), bench(*words)
    assert (named.code, every.code) == (3, 0) and "inconclusive: not asked: it cannot stop early" in named.out
    assert "- cue-conflict: not asked: it cannot stop early" in every.out


def test_images_in_random_order_are_those_of_the_plan():
    suite, images = SUITE.variants["autoattack"], stimuli_of("adversarial")
    made = paired_variant(replace(suite, plan=lambda _config, _shelf: Plan((Block(stimuli=images, role="natural"),))))
    (block,) = made.plan(made.config, None).blocks
    assert {*block.stimuli.ids} == {*images.ids} and block.stimuli.ids != images.ids
    assert made.name == f"{suite.name}:paired" and paired_variant(made) is None
