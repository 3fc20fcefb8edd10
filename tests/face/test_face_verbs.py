"""The public face: typed verbs, results that show themselves, tidy tables."""

import inspect
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

import gestaltbench as gb
import gestaltbench.errors
from benchmark.api.options import fields
from benchmark.cli.progress import reporting
from benchmark.leaderboard.table import table_of
from benchmark.report import drawing
from gestaltbench.results import Results

NETS = ["world-standard-0", "world-stylised-0"]


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    """Two world networks and the ideal observers on a few images of two suites."""
    folder = tmp_path_factory.mktemp("face")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(folder))
        path = str(folder / "r.db")
        made = gb.run([*NETS, "ideal-*"], ["cue-conflict", "human-comparison"], limit=32, db=path)
    assert made.frame().loc[lambda f: f["what"] == "done", "count"].sum() == 14
    return path


def test_every_verb_says_what_it_takes():
    verbs = {*gb.__all__} - {"Leaderboard", "__version__", "no_worse"}
    # Tests of other files call the others by name.
    assert {"ask", "badge", "cite"} <= verbs <= {*dir(gb)} and len(verbs) == 40
    for verb in (getattr(gb, name) for name in verbs):
        said = {field.name: field.option.help for field in fields(verb)}
        assert inspect.getdoc(verb)
        for parameter in inspect.signature(verb).parameters.values():
            assert parameter.annotation is not inspect.Parameter.empty
            assert "Annotated" not in str(parameter) and parameter.kind is not inspect.Parameter.VAR_KEYWORD
            if parameter.name in said:
                assert f"{parameter.name}: {said[parameter.name]}" in inspect.getdoc(verb)


@pytest.mark.slow
def test_boards_as_a_tidy_table(db):
    boards = gb.rank("cue-conflict", db=db)
    frame = boards.frame()
    board = boards[0]
    cells = [row.cells for row in (*board.rows, *board.references)]
    assert len(boards) == 1 and len(frame) == sum(map(len, cells))
    stylised = frame[(frame.observer == NETS[1]) & (frame.metric == "shape_bias")].iloc[0]
    assert stylised["rank"] == 1 and stylised.low <= stylised.value <= stylised.high
    assert repr(boards).endswith("<1 ranked board; .frame() for pandas>")
    assert all(row.observer in repr(boards) for row in board.rows)
    shown = boards._repr_html_()
    assert "<td>world-stylised-0<td>" in shown
    assert "<p>cue-conflict (version 4), world16: world-cue-conflict 32 of 960" in shown
    assert "<td>1<td>" in shown and '<sup title="trust: ' in shown and shown.count("<tbody>") == 2


@pytest.mark.slow
def test_a_notebook_shows_the_essential(db, tmp_path, monkeypatch, capsys):
    """The first example of the reference, then each result as a cell shows it."""
    monkeypatch.chdir(tmp_path)
    code = (Path(__file__).parents[2] / "docs/api/index.md").read_text().partition("```python\n")[2].partition("```")[0]
    exec(code.replace("limit=160", "limit=16"), {})
    ran = gb.run(model=NETS[0], suite="cue-conflict", limit=16)  # as one would guess
    assert [each.observer for each in ran.verdicts] == NETS[:1] and repr(ran).startswith("what ")
    assert '<dl class="verdict">' in ran._repr_html_() and NETS[0] in repr(ran)
    board = gb.rank("cue-conflict", model=NETS[0], db=db)[0]
    assert repr(board).endswith("<board of cue-conflict: .rows, .columns, .references>") and "shape bias" in repr(board)
    assert board._repr_html_().count("<table>") == 1 and len(board._repr_html_()) < 20_000
    long = gb.rank("cue-conflict", db=db)
    many = replace(long, values=tuple(replace(each, rows=each.rows * 40) for each in (*long.values,) * 40))
    shown = many._repr_html_()
    assert len(shown) < 80_000 and shown.endswith("of the whole result.</p></div>") and "... 35 more tables. " in shown
    assert repr(long.to("latex")) == long.to("latex") and repr(long.to("latex")).startswith("\\begin{table}\n")
    gb.register("mine", "timm:test_resnet", "random:0")
    assert capsys.readouterr().err.startswith("ok ")


def test_a_run_in_a_notebook_has_a_bar(monkeypatch):
    seen = []
    shown = SimpleNamespace(update=lambda drawn, raw: seen.append(drawn["text/html"]))
    python = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel="a kernel"))
    monkeypatch.setitem(sys.modules, "IPython", python)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=lambda *_drawn, **_how: shown))
    with reporting() as bar:
        bar.expect("net", 8, 4)
        bar._last -= 2  # two seconds later
        bar.work("net", 1)
    assert seen[0].startswith('<progress value="0.250"></progress> after ') and "25% of the work" in seen[0]


#: Every verb of a leaderboard and what it is asked here.
ASKED = {
    "badge": (NETS[0], "cue-conflict"), "cite": (), "compare": NETS, "consistency": (), "correlate": (), "diff": NETS,
    "export": ("cue-conflict",), "measures": (), "recipes": (), "compare_recipes": ("stylised", "standard"),
    "recipe_power": ("stylised", "standard"), "doses": (), "claims": (),
    "power": NETS, "provenance": NETS[:1], "rank": (), "reported": (), "show": NETS[:1], "summary": (),
    "training_curves": (), "transfer": (), "trials": (NETS[0], "cue-conflict"), "verdict": NETS[:1],
}  # fmt: skip
REFUSE = {
    "badge", "claims", "compare", "compare_recipes", "recipe_power", "diff", "power", "provenance", "show", "trials",
    "verdict",
}  # fmt: skip
#: What is the same without some of the rows.
SAME = ("cite", "doses", "measures", "reported", "training_curves", "transfer")


@pytest.mark.release
def test_filters_are_one_value_that_every_verb_obeys_or_refuses(db):
    leaderboard, table = gb.Leaderboard(db), gb.rank("cue-conflict", recipe="stylised", db=db).to("latex")
    assert leaderboard.rank("cue-conflict").where(recipe="stylised").to("latex") == table
    assert table.startswith(r"\begin{table}") and NETS[1] in table and NETS[0] not in table
    assert gb.rank("cue-conflict", db=db).to("csv").count(NETS[0]) and "<table>" in leaderboard.rank().to("html")
    assert {name for name in vars(gb.Leaderboard) if not name.startswith("_")} == set(ASKED)
    some = leaderboard.where(hide=[NETS[0]], kind="model,ideal").where(hide=NETS[0])
    for name, given in ASKED.items():
        whole = str(getattr(leaderboard, name)(*given))
        assert whole == str(getattr(gb, name)(*given, db=db)), name
        if name in REFUSE:
            with pytest.raises(gb.errors.UsageError, match=rf"`{name}` takes no filters \(hide, kind\)"):
                getattr(some, name)(*given)
        else:
            shown = str(getattr(some, name)(*given))
            assert NETS[0] not in shown, name
            assert shown != whole or name in SAME, name
            assert shown == str(getattr(gb, name)(*given, db=db, hide=NETS[0], kind="model,ideal")), name
    with pytest.raises(gb.errors.UnknownName, match=r"no filter is called 'recipes'\. Did you mean: recipe\?"):
        leaderboard.rank().where(recipes="stylised")
    with pytest.raises(gb.errors.BenchError, match=r"^limit= must be at least 1"):  # not --limit
        gb.run(models=NETS[0], limit=0)
    with pytest.raises(gb.errors.UsageError, match="filters need a leaderboard"):
        gb.suites().where(kind="model")


@pytest.mark.slow
def test_summaries_comparisons_scores_and_consistency(db):
    (found,) = gb.summary(db=db)
    assert [headline.suite for headline in found.headlines] == ["cue-conflict", "human-comparison"]
    assert [line.observer for line in found.lines if line.kind == "network"] == NETS[::-1]
    frame = gb.summary(NETS, db=db).frame()
    assert set(frame.observer[frame.section == "ranked"]) == set(NETS)
    assert "difference" in gb.compare(*NETS, db=db).frame()
    shown = gb.show(NETS[0], db=db).frame()
    assert {"value", "low", "high", "n", "method", "set"} <= set(shown)
    pair = gb.consistency(NETS, db=db).frame()
    counts = pair[["both_right", "only_a", "only_b", "both_wrong"]].sum(axis=1)
    assert (counts == pair.n).all() and set(pair.a) == {NETS[0]}
    assert gb.consistency(", ".join(NETS), db=db).frame().equals(pair)
    assert gb.consistency(*NETS, db=db).frame().equals(pair)
    assert gb.export("cue-conflict", db=db).startswith("suite,version,space,ranked_by,section,rank")


def test_lists_of_what_is_known():
    assert set(gb.models(NETS).frame().name) == set(NETS)
    assert set(gb.models("world-standard-*,ideal-shape").frame().name) >= {NETS[0], "ideal-shape"}
    assert {"corruption", "saliency"} <= set(gb.suites().frame().suite)
    assert "cue-conflict" in set(gb.data().frame()["set"])


def test_each_table_of_a_notebook_says_what_it_is():
    values = [("first & best", {"a": 1}), ("second", {"a": 2})]
    two = Results(title="two", values=tuple(values), tables=lambda both: [table_of([row], name) for name, row in both])
    shown = two._repr_html_()
    places = [shown.index(t) for t in ("<p>first &amp; best</p><table", "<p>second</p><table")]
    assert places == sorted(places) and shown.count("<table") == 2
    assert Results(title="0 <curves>", values=(), tables=list)._repr_html_() == "<p>0 &lt;curves&gt;</p>"


@pytest.mark.slow
def test_galleries_and_figures_are_for_a_paper_and_show_themselves(db, tmp_path):
    made = gb.gallery(NETS[:1], count=1)
    made.save(tmp_path / "a.png")
    assert made._repr_png_() == (tmp_path / "a.png").read_bytes()
    assert repr(made).startswith("<gallery of world-standard-0 on world-natural; ")
    figure = gb.plot("overview-world16", models=NETS, db=db)
    drawn = {record["observer"] for record in figure.records}
    assert {name for name in drawn if name.startswith("world-")} == set(NETS)
    assert figure._repr_svg_().startswith("<svg") and "overview-world16" in repr(figure)
    figure.save(tmp_path / "a.png", column="single")
    with Image.open(tmp_path / "a.png") as image:
        assert image.width == pytest.approx(85 / 25.4 * 300, abs=2)
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    figure.save(tmp_path / "a.pdf")
    (box,) = re.findall(rb"MediaBox \[0 0 ([\d.]+)", (tmp_path / "a.pdf").read_bytes())
    assert float(box) == pytest.approx(180 / 25.4 * 72, abs=0.5)
    assert "overview-world16" in set(gb.plot(db=db).frame()["name"])
    with pytest.raises(gb.errors.UnknownName, match="world-standard-0"):
        gb.plot("overview-world16", models="world-standard", db=db)


@pytest.mark.slow
def test_a_report_is_written_by_its_verb(db, tmp_path, monkeypatch):
    monkeypatch.setattr(drawing, "svg", lambda figure, width, named=False: "<svg/>")  # a converter takes seconds
    made = gb.report(tmp_path / "out", compare=[",".join(NETS)], db=db)
    assert (tmp_path / "out" / "index.html").is_file() and "pages" in repr(made)
    with pytest.raises(gb.errors.BenchError, match="expected A,B"):
        gb.report(tmp_path / "out", compare=["world-standard-0"], db=db)
