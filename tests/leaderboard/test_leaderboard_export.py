"""Exports read back by independent readers: full precision, provenance, escaping."""

import csv
import io
from dataclasses import replace

from benchmark.leaderboard import boards
from benchmark.leaderboard.board_tables import board_table, score_table
from benchmark.leaderboard.forms import latex_text, markdown_text, rendered


def test_columns_are_chosen_by_key_or_title_in_order_and_rounded(suite, sets, score):
    rows = [score("net_a|b", 60, 180), score("=cmd()", 120, 180), score("broken", reason="no trial counts")]
    (board,) = boards([*rows, score("net_a|b", 80, 160, metric="edges", role="edges")], suite, sets)
    table = replace(board_table(board).of_columns(["rank", "edges", "N"]), digits=2)
    text = "".join(rendered([table], "markdown"))
    assert "| observer | rank | edges | n |" in text and "| net\\_a\\|b | 2 | 0.50 \\[0.42, 0.58\\] | 160 |" in text
    records = csv.DictReader(io.StringIO("".join(rendered([table], "csv"))))
    (line,) = (row for row in records if row["observer"][0] == "n")
    assert (line["metric"], line["value"], line["low"], line["rank"]) == ("edges", "0.5", "0.42", "2")
    assert board_table(board).of_columns(["nothing"]) is None


def test_csv_runs_nothing_in_a_spreadsheet(score, sets):
    bad = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1", "\x00=1"]

    def records(*rows):
        lines = "".join(rendered([score_table(rows, sets)], "csv"))
        return csv.DictReader(io.StringIO(lines, newline=""))

    cells = [line["observer"] for line in records(*(score(name, 1, 2) for name in bad))]
    assert cells == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "' =1", "' =1", "' =1", "?=1"]
    (line,) = records(score("plain", 1, 2, value=-0.25, low=-0.5))
    assert (line["value"], line["low"]) == ("-0.25", "-0.5")


def test_every_special_character_is_escaped():
    special = r"\ { } ~ ^ < > | & % $ # _"
    assert latex_text(special) == (
        r"\textbackslash{} \{ \} \textasciitilde{} \textasciicircum{} \textless{} \textgreater{}"
        r" \textbar{} \& \% \$ \# \_"
    )
    assert latex_text("[x]") == "{[x]}"  # else an argument of the row end before it
    assert latex_text("*1") == "{*1}"
    assert markdown_text("a*b_c`d[e]|f\\g<i>&") == r"a\*b\_c\`d\[e\]\|f\\g&lt;i&gt;&amp;"
    assert "\n" not in latex_text("a\nb") + markdown_text("a\nb")
