"""`bench diff` from a leaderboard."""

import gestaltbench as gb

NETS = ("world-standard-0", "world-stylised-0")


def test_a_verdict_as_markdown(bench, board):
    ended = bench("diff", *NETS, "--db", board)
    found = gb.diff(*NETS, db=board)
    assert ended.code == found.exit_code
    assert ended.out.startswith(
        f"### `world-stylised-0` against `world-standard-0`: {found.verdict}\n"
    )
    assert "| `cue-conflict` | shape bias |" in ended.out
    # Twelve images show no margin of a hundredth.
    assert bench("diff", *NETS, "--noninferior", "0.01", "--db", board).code == 3


def test_mistakes_are_one_line(bench, board):
    for words, said in (
        ((NETS[0], NETS[0]), "compared with itself"),
        ((NETS[0], "people"), "no model that changes"),
        ((NETS[0], "world-stylized-0"), "Did you mean"),
        ((*NETS, "--noninferior", "-1"), "--noninferior"),
        ((*NETS, "--suite", "corruption"), "no stimuli in common"),
    ):
        ended = bench("diff", *words, "--db", board)
        assert ended.code in (1, 2) and len(ended.errors) == 1 and said in ended.err, words
