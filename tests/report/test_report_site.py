"""The report as files: what is written where, and that names stay text."""

import csv
import io
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from benchmark import api
from benchmark.contracts import Observer
from benchmark.failures import BenchError
from benchmark.report import drawing
from benchmark.report.contents import read_contents
from benchmark.report.figures import every_figure, plot, reported_figure
from benchmark.report.site import build
from benchmark.report.writing import MARK, slug
from benchmark.store import open_store
from tests.report.conftest import HOSTILE, SUITES, Page, dead_links, score_set, scores_of, stimuli_of

pytest.importorskip("vl_convert")
DRAWN = {"svg", "g", "path", "text", "tspan", "line", "rect", "style", "defs", "clipPath", "title", "circle"}
ALLOWED = re.compile(r"(?:\.\./)*[a-z0-9._/-]+(?:#[a-z0-9-]*)?|#[a-z0-9-]+|data:,")


@pytest.fixture
def undrawn(monkeypatch):
    """Figures are not drawn: the converter takes seconds to start."""
    monkeypatch.setattr(drawing, "svg", lambda figure, width, named=False: "<svg/>")


@pytest.mark.slow
def test_names_are_text_links_lead_somewhere_and_pages_forbid_what_they_do_not_bring(fill, tmp_path, undrawn):
    hostile = tmp_path / "out"
    build(fill(HOSTILE), hostile)
    for path in hostile.rglob("*.html"):
        page = Page(path.read_text())
        policy = next(attrs["content"] for _, attrs in page.elements if attrs.get("http-equiv"))
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
        assert rules["default-src"] == "'none'" and rules["script-src"] == "'self' file:"
        assert "unsafe" not in policy and "http" not in policy
        scripts = [attrs for tag, attrs in page.elements if tag == "script"]
        assert all(set(s) <= {"src", "defer"} or s.get("type") == "application/json" for s in scripts)
        assert not [a for _, attrs in page.elements for a in attrs if a.startswith("on") or a == "style"]
        for _, attrs in page.elements:
            for link in (attrs[name] for name in ("href", "src") if name in attrs):
                assert ALLOWED.fullmatch(link), (path, link)
        assert all(c.isprintable() or c in "\n\t" for c in path.read_text())
    assert list(dead_links(hostile)) == []
    shown = "".join(Page((hostile / "index.html").read_text()).texts)
    assert "<script>alert(1)</script>" in shown and "{{ 7 * 7 }}" in shown
    for path in (hostile / "data").glob("*.csv"):
        for row in csv.reader(io.StringIO(path.read_text())):
            assert not [cell for cell in row if cell.startswith(("=", "@", "+"))]
            assert all(cell.isprintable() for cell in row)


@pytest.mark.slow
def test_names_are_text_in_figures(fill, tmp_path):
    build(fill(HOSTILE, ("cue-conflict",)), tmp_path / "site")
    texts = []
    for path in (tmp_path / "site" / "figures").glob("*.svg"):
        elements = list(ElementTree.parse(path).iter())
        assert {element.tag.rpartition("}")[2] for element in elements} <= DRAWN
        texts += [element.text for element in elements]
    assert "<script>alert(1)</script>" in texts and "datum.value + 'x'" in texts


@pytest.mark.slow
def test_a_report_is_written_over_and_nothing_else_is(fill, bench, tmp_path, undrawn):
    settings = fill(["resnet50"])
    for _ in range(2):
        ended = bench("report", "--out", tmp_path / "out", "--db", settings.db)
        assert ended.code == 0 and ended.out.startswith(f"{tmp_path / 'out' / 'index.html'}: ")
    assert (tmp_path / "out" / "index.html").is_file() and (tmp_path / "out" / MARK).is_file()
    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.tex").write_text("!")
    for place in (other, other / "thesis.tex"):
        ended = bench("report", "-o", place, "--db", settings.db)
        assert ended.code == 2 and "is a file or has files that are not of a report" in ended.err
    assert [(path.name, path.read_text()) for path in other.iterdir()] == [("thesis.tex", "!")]


@pytest.mark.slow
def test_the_front_page_names_the_leaders_and_ones_own_network_in_plain_words(fill, tmp_path, undrawn):
    """Robust accuracies of the fixture are .179, .472 and .765: the highest is said, and all three are one's own."""
    build(fill(["net-0", "net-1", "net-2"]), tmp_path / "out")
    text = (tmp_path / "out" / "index.html").read_text()
    page = Page(text)
    said = "The best networks recognise 77 of 100 images under attack."
    assert f"<h1>{said}</h1>" in text
    described = next(attrs["content"] for _, attrs in page.elements if attrs.get("name") == "description")
    assert described == said
    strips = [attrs for tag, attrs in page.elements if tag == "svg" and "aria-label" in attrs]
    assert len(strips) == len(SUITES) and "net-1 .472 [.422, .522]" in strips[0]["aria-label"]
    assert "no flag of distrust" in text
    assert text.count(' own">') == 3 and '<a href="observers/net-1.html">net-1</a>, place' in text
    own = (tmp_path / "out" / "observers" / "net-1.html").read_text()
    assert '<dl class="verdict">' in own and "rank 2" in own and "above net-0 .179" in own
    assert own.index('class="verdict"') < own.index('class="strips"') < own.index("<h2>Card</h2>")


@pytest.mark.slow
def test_a_single_file_has_the_front_page_suites_and_own_networks_and_needs_no_other(fill, bench, tmp_path, undrawn):
    settings = fill(["net-0", HOSTILE[0]], suites=("cue-conflict", "corruption"))
    out = tmp_path / "one.html"
    for _ in range(2):  # the second is written over the first
        ended = bench("report", "--single-file", "--out", out, "--db", settings.db)
    assert ended.code == 0 and ended.out.startswith(f"{out}: 1 page, ")
    assert [path.name for path in tmp_path.iterdir() if "report" in path.name or path == out] == ["one.html"]
    page = Page(out.read_text())
    assert list(dead_links(tmp_path)) == []
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids)) and {"page-index", "page-suites-corruption", "page-observers-net-0"} < {*ids}
    assert not [a for tag, a in page.elements if tag == "link" and not a["href"].startswith("data:")]
    policy = next(attrs["content"] for _, attrs in page.elements if attrs.get("http-equiv"))
    assert "unsafe" not in policy and policy.count("'sha256-") == 2
    assert "<script>alert(1)</script>" in "".join(page.texts) and out.read_text().count("<script>") == 1
    assert bench("report", "--single-file", "--out", tmp_path, "--db", settings.db).code == 2


def test_slugs_are_plain_and_an_empty_leaderboard_is_an_error(fill, tmp_path):
    slugs = [slug(name) for name in (*HOSTILE, "", "CON", "a" * 300, "résumé", "\udc80")]
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9._-]*", one) and ".." not in one for one in slugs)
    with pytest.raises(BenchError, match="no scores to report"):
        build(fill([], suites=()), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_published_report_and_export_say_nothing_of_this_machine(settings, tmp_path, undrawn):
    words = "bench run --model net --db sqlite:////home/lovelace/lab.db --labels /home/lovelace/birds.yaml"
    card = {"arch": "python:/home/lovelace/code/net.py:build", "labels": "~lovelace/birds.yaml"}
    card["weights"] = "https://lovelace:hunter2@host/net.pt?token=s3cret"
    card["options"] = {"head": "/home/lovelace/heads/net.safetensors"}
    with open_store(settings.db) as store:
        run = store.begin_run(f"{words} --into postgresql://lovelace:hunter2@db.lab:5432/all", {})
        store.put_stimuli(stimuli_of("cue-conflict"))
        observer = store.put_observer(Observer(name="net", kind="network", identity="0" * 64, card=card))
        rows = [replace(row, flags=("see /home/lovelace/notes.txt",)) for row in scores_of("cue-conflict", 0)]
        rows[-1] = replace(rows[-1], value=None, low=None, high=None, reason="/home/lovelace/x")
        store.put_scores(run, score_set(observer, "cue-conflict"), rows)
        store.end_run(run, "done")
    build(settings, tmp_path / "out")
    texts = [p.read_text() for p in (tmp_path / "out").rglob("*") if p.suffix in (".html", ".csv", ".json", ".js")]
    texts.append(api.document(api.Selection(settings.db)).model_dump_json())
    texts.append(api.export(api.Selection(settings.db), every_score=True))
    for text in texts:
        assert not re.search(r"/home/|lovelace|hunter2|s3cret|db\.lab", text), text[:300]
    assert "net.py:build" in "".join(texts) and "--labels birds.yaml" in "".join(texts)


def conditions():
    """As many single conditions as a run has: categories, cells, budgets, levels."""
    named = {
        ("cue-conflict", "shape_bias"): [f"category{i}" for i in range(16)],
        ("corruption", "corruption_accuracy"): [f"fog{i}/{level}" for i in range(15) for level in range(1, 6)],
        ("adversarial", "robust_accuracy"): [*(f"linf {i}/255" for i in (0.25, 0.5, 1, 2, 4, 8)), "l2 1", "l2 2"],
        ("human-comparison", "contrast_accuracy"): [f"c{i:02}" for i in (1, 3, 5, 10, 15, 30, 50)],
    }
    return [(*key, name) for key, names in named.items() for name in names]


@pytest.mark.release
def test_sixty_observers_fit_into_four_megabytes(fill, tmp_path):
    site = build(fill([f"network-{i}" for i in range(60)], conditions=conditions()), tmp_path / "out")
    assert site.written < 4e6 and (tmp_path / "out" / "index.html").stat().st_size < 4e5
    assert len(list((tmp_path / "out" / "observers").glob("*.html"))) == 60 < site.pages


@pytest.fixture
def reported(fill, tmp_path):
    """reported(rows, *same): the leaderboard of two networks with one table of published scores."""

    def read(rows, *same):
        settings = fill(["net-0", "net-1"])
        (tmp_path / "lab.csv").write_text(f"observer,metric,value,low,high,n,suite,note\n{rows}")
        api.import_scores(tmp_path / "lab.csv", same=same, db=settings.db)
        return read_contents(settings)

    return read


@pytest.mark.slow
def test_a_reported_score_is_a_diamond_and_the_caption_says_whose_it_is(reported):
    held = reported("vit,own bias,0.9,0.8,0.95,100,cue-conflict,of own images\n")
    (board,) = held.reported
    made = reported_figure(board)
    assert board.suite == "cue-conflict" and made.title == "Cue-conflict, reported by lab"
    (record,) = made.records
    numbers = {"value": 0.9, "low": 0.8, "high": 0.95, "n": 100}
    assert record == {"observer": "vit", "group": "reported score", "metric": "own bias", **numbers}
    point = made.drawn(1200)["vconcat"][0]["hconcat"][0]["layer"][-1]["encoding"]
    assert point["shape"]["scale"] == {"domain": ["reported score"], "range": ["diamond"]}
    assert "not measured here" in made.caption and "in no paired test" in made.caption
    assert "of own images" in made.caption and "n 100" in made.caption


@pytest.mark.slow
def test_reported_scores_have_a_page_and_no_rank(reported, settings, tmp_path, undrawn):
    rows = "net-0,shape_bias,0.25,,,,cue-conflict,\n<b>,shape_bias,0.5,,,,cue-conflict,\n"
    held = reported(rows, "shape_bias")
    ranked = {line.observer for summary in held.summaries for line in summary.lines}
    assert ranked == {"net-0", "net-1"}
    assert "reported-cue-conflict" in " ".join(one.name for _, one in every_figure(held))
    build(settings, tmp_path / "out")
    assert list(dead_links(tmp_path / "out")) == []
    page = (tmp_path / "out" / "reported.html").read_text()
    assert "&lt;b&gt; (lab, reported)" in page and "<b> (lab" not in page
    assert ".250" in page and "in no paired test" in page
    assert page.count('<tr class="network reported">') == 2


@pytest.mark.slow
def test_training_runs_have_a_page_and_a_figure_and_their_names_are_text(fill, tmp_path):
    first, second = HOSTILE[:2]
    runs = {"a": (first, 10), "b": (first, 9), "c": (first, 1), "d": (second, 5)}
    settings = fill(("a", "b", "c", "d", "other"), ("cue-conflict", "corruption"))
    with open_store(settings.db) as store:  # cards state run and step
        for row in (row for row in store.observers() if row.name in runs):
            step = dict(zip(("run", "step", "unit"), (*runs[row.name], "epoch"), strict=True))
            card = {**row.card, "checkpoint": step}
            store.put_observer(Observer(name=row.name, kind="network", identity=row.identity, card=card))
    (figure,) = plot("training", db=settings.db)
    points = {(one["run"], one["step"], one["observer"]) for one in figure.records}
    assert points == {(run, step, name) for name, (run, step) in runs.items()}
    assert {one["suite"] for one in figure.records} >= {"cue-conflict", "corruption"}
    layers = (layer["encoding"] for panel in figure.drawn(1200)["concat"] for layer in panel["layer"])
    assert {tuple(one["x"]["scale"]["domain"]) for one in layers if "x" in one} == {(1, 10)}  # panels have one axis
    build(settings, tmp_path / "report")
    assert list(dead_links(tmp_path / "report")) == []
    page = (tmp_path / "report" / "training.html").read_text()
    assert page.index(">c</a>") < page.index(">b</a>") < page.index(">a</a>") and ">other<" not in page
    rows = [*csv.DictReader(io.StringIO((tmp_path / "report" / "data" / "training.csv").read_text()))]
    assert len(rows) == len(figure.records) and rows[0]["unit"] == "epoch"
    assert "training.html" in (tmp_path / "report" / "index.html").read_text()
    for text in (figure._repr_svg_(), page):
        assert "<script>alert" not in text and "<img src=x" not in text and "&lt;script&gt;alert" in text
