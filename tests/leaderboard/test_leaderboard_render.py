"""One table with everything that a table can have, in every form; boards at several widths, hostile names, exports."""

import csv
import io
import json
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
from plain_suites import text

from benchmark.leaderboard import boards
from benchmark.leaderboard.board_model import Cell
from benchmark.leaderboard.board_tables import board_table, score_table
from benchmark.leaderboard.forms import FORMATS, html, latex_text, markdown_text, rendered
from benchmark.leaderboard.table import Field, Rank, Table, wide_records

SOURCE = SimpleNamespace(level=0.95, method="wilson")


def cell(value, low, high, n, *flags):
    return Cell(value=value, low=low, high=high, n=n, flags=flags, source=SOURCE, rank=(3, 2, 4))


TABLE = Table(
    title="a suite <1>",
    caption="its images",
    fields=(
        Field("section"),
        Field("rank", "rank", who=True),
        Field("observer", "observer", who=True),
        Field("training", "training"),
        Field("bias", "shape bias", "choices by shape", facts={"set": "320 images"}),
        Field("", "n", right=True),
        Field("error", "error", said="1 of 3"),
    ),
    rows=(
        ("ranked", Rank(1, 1, 2), "net_a|b", ("std", "adv"), cell(0.5, 0.25, 0.75, 20, "few"), 20,
         cell(0.125, 0.0, 0.25, 16, "own_50 %", "1 of 3")),
        ("ranked", Rank(2, 2, 2), "=cmd()", (), cell(1 / 3, 0.3, 0.4, 30, "few"), 30, Cell(reason="not measured")),
        ("reference", Rank(), "person", (), Cell(reason="no trials"), None, Cell(0.5)),
    ),
    dividers=(2,),
    notes=("Note: <one>",),
    intervals="[low, high]: 95 % interval.",
    facts={"suite": "cue", "sets": {"cue": "its images"}},
    origin=("level", "method"),
)  # fmt: skip

WIDE = """\
a suite <1>
its images
rank     observer  training  shape bias              n  error
──────────────────────────────────────────────────────────────────────────────────
1 (1-2)  net_a|b   std, adv  0.5000 [0.250, 0.750]  20  0.1250 [0.000, 0.250] *2
2        =cmd()              0.3333 [0.300, 0.400]  30  -

         person              - *1                       0.5000
[low, high]: 95 % interval.
Note: <one>
shape bias, every row: few
*1 no trials
*2 own_50 %
"""
MARKDOWN = r"""### a suite &lt;1&gt;

its images

| rank | observer | training | shape bias | n | error |
| --- | --- | --- | --- | --- | --- |
| 1 (1-2) | net\_a\|b | std, adv | 0.5000 \[0.250, 0.750\] | 20 | 0.1250 \[0.000, 0.250\] \*2 |
| 2 | =cmd() |  | 0.3333 \[0.300, 0.400\] | 30 | - |
|  |  |  |  |  |  |
|  | person |  | - \*1 |  | 0.5000 |

- \[low, high\]: 95 % interval.
- Note: &lt;one&gt;
- shape bias, every row: few
- \*1 no trials
- \*2 own\_50 %
"""
LATEX = r"""\begin{table}
\centering
\caption{a suite \textless{}1\textgreater{}: its images}
\begin{tabular}{llllll}
\toprule
rank & observer & training & shape bias & n & error \\
\midrule
1 (1-2) & net\_a\textbar{}b & std, adv & 0.5000 [0.250, 0.750] & 20 & 0.1250 [0.000, 0.250] *2 \\
2 & =cmd() &  & 0.3333 [0.300, 0.400] & 30 & - \\
\addlinespace
 & person &  & - *1 &  & 0.5000 \\
\bottomrule
\end{tabular}
\par\footnotesize {[low, high]: 95 \% interval.}
\par\footnotesize Note: \textless{}one\textgreater{}
\par\footnotesize shape bias, every row: few
\par\footnotesize {*1 no trials}
\par\footnotesize {*2 own\_50 \%}
\end{table}
"""
CSV = """\
suite,section,rank,rank_low,rank_high,observer,training,metric,set,value,low,high,n,flags,reason,level,method
cue,ranked,1,1,2,net_a|b,std; adv,bias,320 images,0.5,0.25,0.75,20,few,,0.95,wilson
cue,ranked,1,1,2,net_a|b,std; adv,error,,0.125,0.0,0.25,16,own_50 %; 1 of 3,,0.95,wilson
cue,ranked,2,2,2,'=cmd(),,bias,320 images,0.3333333333333333,0.3,0.4,30,few,,0.95,wilson
cue,ranked,2,2,2,'=cmd(),,error,,,,,0,,not measured,,
cue,reference,,,,person,,bias,320 images,,,,0,,no trials,,
cue,reference,,,,person,,error,,0.5,,,0,,,,
"""
HTML = (
    "<p>a suite &lt;1&gt;: its images</p><table><thead><tr>"
    '<th scope="col">rank<th scope="col">observer<th scope="col">training'
    '<th scope="col" title="choices by shape">shape bias<th scope="col">n<th scope="col">error</thead><tbody>'
    '<tr><td>1 (1-2)<td><a href="a.html">net_a|b</a><td>std, adv<td>0.5000 [0.250, 0.750]<td>20'
    '<td>0.1250 [0.000, 0.250]<sup title="own_50 %">*2</sup>'
    "<tr><td>2<td>=cmd()<td><td>0.3333 [0.300, 0.400]<td>30<td>-</tbody><tbody>"
    '<tr><td><td>person<td><td>-<sup title="no trials">*1</sup><td><td>0.5000</tbody></table>'
    "<ul><li>[low, high]: 95 % interval.</li><li>Note: &lt;one&gt;</li><li>shape bias, every row: few</li>"
    "<li>*1 no trials</li><li>*2 own_50 %</li></ul>"
)


def in_form(form):
    return "".join(rendered([TABLE], form))


def test_for_a_terminal_and_a_pipe():
    # rich draws the rule under a title one character shorter before 14.3
    assert re.sub("─+", "─", text([TABLE], 200)) == re.sub("─+", "─", WIDE)
    narrow = text([TABLE], 48).split("\n\nrank")
    assert len(narrow) == 3 and all("net_a|b" in block and "person" in block for block in narrow[1:])
    cut = text([TABLE, TABLE], 200, 1)
    assert cut.count("... 1 more, --all\n") == 2 and "=cmd()" not in cut and "person" in cut
    assert cut.count("\n\na suite <1>\n") == 1


def test_as_text():
    assert in_form("markdown") == MARKDOWN
    assert in_form("latex") == LATEX
    assert in_form("csv") == CSV
    assert html(TABLE, {"net_a|b": "a.html"}) == HTML
    assert FORMATS == ("csv", "json", "markdown", "latex", "html")


def test_as_json_and_as_a_row_for_each_observer():
    (found,) = json.loads(in_form("json"))
    assert [found[name] for name in ("title", "suite", "sets")] == ["a suite <1>", "cue", {"cue": "its images"}]
    assert found["dividers"] == [2]
    assert found["notes"] == ["[low, high]: 95 % interval.", "Note: <one>"]
    assert found["columns"][0] == {
        "metric": "bias", "title": "shape bias", "help": "choices by shape", "set": "320 images",
    }  # fmt: skip
    first = found["rows"][0]
    assert (first["rank"], first["rank_low"], first["rank_high"]) == (1, 1, 2)
    assert first["scores"]["error"] == {
        "value": 0.125, "low": 0.0, "high": 0.25, "n": 16, "flags": ["own_50 %", "1 of 3"],
        "reason": "", "level": 0.95, "method": "wilson",
    }  # fmt: skip
    assert found["rows"][2]["scores"]["bias"]["reason"] == "no trials"
    (first, *_) = wide_records(TABLE)
    assert [first[name] for name in ("observer", "bias", "bias_low")] == ["net_a|b", 0.5, 0.25]
    assert first["error_remarks"] == ["own_50 %", "1 of 3"]


def test_a_column_more_is_in_every_form():
    """What a table gains needs no edit of any form."""
    rows = tuple((*row, Cell(value=0.75, low=0.7, high=0.8, n=9, flags=("new flag",))) for row in TABLE.rows)
    more = replace(TABLE, fields=(*TABLE.fields, Field("extra", "extra")), rows=rows)
    forms = ["".join(rendered([more], form)) for form in FORMATS] + [text([more])]
    for form in forms:
        assert "extra" in form and "new flag" in form.replace("\\_", "_") and "0.7" in form


EDGES = {"metric": "edges", "role": "edges"}


@pytest.fixture
def board(suite, sets, score):
    rows = [
        score("efficientnet_lite0", 60, 220, flags=("near ties: 3",), training=("standard",)),
        score("ResNet-50 SIN", 180, 220, kind="published", training=("stylised",)),
        score("close", 62, 220, flags=("near ties: 3", "few trials")), score("broken", reason="no trial counts"),
        score("subject-01", 210, 220, kind="human"), score("subject-02", 205, 220, kind="human"),
        score("close", 90, 160, **EDGES), score("close", 20, 220, metric="error"),
    ]  # fmt: skip
    return boards(rows, suite, sets)[0]


def drawn(board, width, limit=50):
    return text([board_table(board)], width, limit)


@pytest.mark.parametrize("width", [56, 80, 140])
def test_every_width_keeps_rank_name_value_interval_and_n(board, width):
    lines = drawn(board, width).splitlines()
    assert max(map(len, lines)) <= width
    close, *below = [line for line in lines if line.lstrip("0123456789-() ").startswith("close ")]
    assert close.split()[:6] == ["2", "(2-3)", "close", "0.2818", "[0.227,", "0.345]"]
    assert "220" in close.split() or (width < 80 and "220" in below[0].split())
    assert all(line.split()[:3] == ["2", "(2-3)", "close"] for line in below) and bool(below) == (width < 140)
    assert all(line.split()[:4] == ["1", "ResNet-50", "SIN", "+"] for line in lines if line.startswith("1  "))


def test_names_stay_whole_and_cannot_steer_the_terminal_or_the_markup(suite, sets, score):
    long = "organisation/model.with-a-very-long-name.finetuned-seed3"
    hostile = score("[bold]x[/bold]\x1b[2J\n", 60, 220, flags=("[red]\x07",))
    (board,) = boards([hostile, score(long, 9, 220)], suite, sets)
    lines = drawn(board, 60).splitlines()
    assert long in "".join(line[6:].split("  ")[0].strip() for line in lines)
    shown = drawn(board, 140)
    assert "[bold]x[/bold]?[2J " in shown
    assert "*1 [red]?" in shown
    assert "\x1b" not in shown


def test_columns_are_chosen_by_key_or_title_in_order_and_rounded(suite, sets, score):
    rows = [score("net_a|b", 60, 180), score("=cmd()", 120, 180), score("broken", reason="no trial counts")]
    (board,) = boards([*rows, score("net_a|b", 80, 160, metric="edges", role="edges")], suite, sets)
    table = replace(board_table(board).of_columns(["rank", "edges", "N"]), digits=2)
    shown = "".join(rendered([table], "markdown"))
    assert "| observer | rank | edges | n |" in shown and "| net\\_a\\|b | 2 | 0.50 \\[0.42, 0.58\\] | 160 |" in shown
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
