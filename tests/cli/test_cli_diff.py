"""`bench diff` from a leaderboard."""

import pytest

import gestaltbench as gb
from benchmark.failures import BenchError
from benchmark.leaderboard.comparison import diff_markdown, judged
from benchmark.stats.comparisons import Compared

NETS = ("world-standard-0", "world-stylised-0")


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


@pytest.mark.slow
def test_flipped_images_are_listed_as_many_as_asked(bench, board):
    few, all_of_them = (bench("diff", *NETS, "--images", n, "--db", board).out.splitlines() for n in ("0", "99"))
    assert len(all_of_them) > len(few)


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
    ):
        ended = bench("diff", "--db", board, *words)
        assert ended.code == 2 and len(ended.errors) == 1 and said in ended.err, words


@pytest.mark.slow
@pytest.mark.parametrize("margin", [float("inf"), 0.0])
def test_a_margin_that_shows_nothing_is_refused(board, margin):
    with pytest.raises(BenchError, match="a margin is a finite number above 0"):
        gb.diff(*NETS, noninferior=margin, db=board)
