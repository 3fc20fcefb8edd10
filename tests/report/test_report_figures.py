"""What figures show: the stored numbers, in the right order, of the observers that they say."""

import importlib
from dataclasses import replace

import numpy as np
import pytest

from benchmark import plugins
from benchmark.contracts import Observer, SuiteFigure, Trials
from benchmark.failures import BenchError, UnknownName
from benchmark.leaderboard.board_model import Cell, Row
from benchmark.plugins import SuiteShelf
from benchmark.report import drawing, figures
from benchmark.report.contents import ABSENT, ImageAnswers, family_or_kind, of_truth, read_contents
from benchmark.report.figures import every_figure, plot
from benchmark.report.image_pages import Pictures, image_records, most_apart
from benchmark.report.observer_pages import confusions, differing_images
from benchmark.report.site import build, page_context, pair_page, usual
from benchmark.report.writing import Site
from benchmark.stats.comparisons import DiscordantTrial, compared
from benchmark.store import open_store
from benchmark.store.rows import ObserverRow
from benchmark.templates import write_package
from benchmark.variables import read_settings
from tests.report.conftest import digest_of, score_set, scores_of

WORDS = ("bird", "cat", "dog", "na")


@pytest.fixture
def contents(fill):
    conditions = [("cue-conflict", "shape_bias", name) for name in ("cat", "dog")]
    conditions += [("adversarial", "robust_accuracy", f"linf {size}/255") for size in (8, 0.5, 2)]
    conditions += [("corruption", "corruption_accuracy", name) for name in ("fog/1", "fog/5", "low-pass/10")]
    conditions += [("human-comparison", "contrast_accuracy", name) for name in ("c05", "c100", "c30")]
    return replace(read_contents(fill([f"net-{i}" for i in range(12)], conditions=conditions)), own=frozenset())


@pytest.fixture
def answers():
    """Three people and three networks on forty images of three categories; one network missed one of them."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 40)
    code = np.where(rng.random((6, 40)) < 0.6, truth, rng.integers(0, 4, (6, 40))).astype(np.int16)
    code[5, 0] = ABSENT
    labels = {"category": np.array(WORDS)[truth], "shape": np.full(40, ""), "texture": np.full(40, "")}
    images = np.array([f"image-{i:02}" for i in range(40)])
    kinds = {"p0": "human", "p1": "human", "p2": "human", "n0": "network", "n1": "network", "n2": "published"}
    who, where = {"observers": (*kinds,), "kinds": (*kinds.values(),)}, {"space": "geirhos16", "role": "edges"}
    return ImageAnswers(**where, **who, images=images, labels=labels, words=WORDS, code=code, sets={})


def figure(contents, start):
    return next(one for _, one in every_figure(contents) if one.name.startswith(start))


@pytest.mark.slow
def test_marks_are_the_stored_scores_of_seven_networks_in_the_order_of_levels(contents):
    made = figure(contents, "shape-bias-by-category")
    rows = (row for rows in contents.scores.values() for row in rows if row.metric == "shape_bias")
    stored = {(row.observer, row.condition): row for row in rows}
    assert {one["category"] for one in made.records} == {"cat", "dog"}
    for one in made.records:
        row = stored[one["observer"], one["category"]]
        assert (one["value"], one["low"], one["high"], one["n"]) == (row.value, row.low, row.high, row.n)
    assert len({one["observer"] for one in made.records}) == 7
    twice = replace(contents, scores={name: (*rows, *rows) for name, rows in contents.scores.items()})
    assert figure(twice, "shape-bias-by-category").records == made.records  # scored again: nobody counts twice
    assert "7 of 12 networks" in made.caption and "n 80" in made.caption and "95 % interval: wilson" in made.caption
    # levels and budgets are in order, and a heat map holds severities alone
    contrast = figure(contents, "accuracy-contrast")
    assert contrast.drawn(1200)["layer"][1]["encoding"]["x"]["sort"] == ["c100", "c30", "c05"]
    robust = figure(contents, "robust-accuracy-linf")
    assert {one["epsilon"] for one in robust.records} == {0.5, 2.0, 8.0}
    assert robust.drawn(1200)["layer"][1]["encoding"]["x"]["axis"]["title"][0].endswith("(grey range 0 to 255)")
    heat = figure(contents, "corruption-by-severity")
    assert {(one["corruption"], one["severity"]) for one in heat.records} == {("fog", 1), ("fog", 5)}
    others = figure(contents, "corruption-other-levels")
    assert {one["condition"] for one in others.records} == {"low-pass/10"}


@pytest.mark.slow
def test_every_caption_states_n_and_every_figure_has_its_data(contents, settings, tmp_path):
    for _, one in every_figure(contents):
        assert one.records and {frozenset(record) for record in one.records} == {frozenset(one.records[0])}
        assert "n " in one.caption or "networks" in one.caption or "a mark" in one.caption
    names = [one.name for _, one in every_figure(contents)]
    assert len(set(names)) == len(names)
    with pytest.raises(UnknownName, match="overview-geirhos16"):
        plot("overview-geirhos", db=settings.db)
    (overview,) = plot("overview-geirhos16", db=settings.db)
    with pytest.raises(UnknownName, match="svg"):
        overview.save(tmp_path / "figure.gif")
    ranked = [line.observer for line in contents.summaries[0].lines]
    ((a, b),) = usual(contents)  # the first and the best standard one
    assert a == ranked[0] and b in ranked[1:]


@pytest.mark.slow
def test_a_figure_of_chosen_networks_is_the_one_asked_for_and_says_who_is_missing(fill):
    db = fill(["net-0", "net-1", "net-2"], conditions=[("cue-conflict", "shape_bias", "cat")]).db
    with open_store(db) as store:  # a network without an answer to cue conflict
        run = store.begin_run("bench run", {"device": "cpu", "packages": {}})
        late = store.put_observer(Observer(name="late", kind="network", identity="f" * 64, card={"name": "late"}))
        store.put_scores(run, score_set(late, "corruption"), list(scores_of("corruption", 1)))
        store.end_run(run, "done")
    name = next(one.name for one in figures.plot(db=db) if one.name.startswith("shape-bias-by"))
    (made,) = figures.plot(name, models="net-1,late", db=db)
    assert {one["observer"] for one in made.records} == {"net-1"} and made.caption.endswith("Not drawn: late.")
    assert "Sources: Geirhos et al. (2019)." in made.caption
    with pytest.raises(BenchError, match=f"'{name}' has no number of late: leave out -m"):
        figures.plot(name, models="late", db=db)


@pytest.mark.slow
def test_the_overview_has_a_row_for_each_headline_and_places_are_shares_of_the_way(contents):
    made = figure(replace(contents, own=frozenset({"net-5"})), "overview")
    stored = {(line.observer, head.suite): line.cells[head.suite]
              for line in contents.summaries[0].lines for head in contents.summaries[0].headlines}  # fmt: skip
    rows = [one for one in made.records if one["suite"] == "cue-conflict"]
    values = {one["observer"]: one["value"] for one in rows}
    assert values == {name: cell.value for (name, suite), cell in stored.items() if suite == "cue-conflict"}
    worst, best = min(values.values()), 1.0  # the best possible shape bias, without people
    for one in rows:
        assert one["place"] == pytest.approx(0.02 + 0.96 * (one["value"] - worst) / (best - worst))
    assert [one["observer"] for one in rows if one["own"]] == ["net-5"]
    assert len({one["suite"] for one in made.records}) == 5
    assert "95 % interval: wilson" in made.caption
    board = next(board for board in contents.boards if board.suite == "cue-conflict")
    source = board.rows[0].cells[board.by].source._replace(method="reference")
    cell = Cell(value=0.99, low=0.9, high=1.0, n=80, source=source)
    theirs = Row("theirs (lab)", "published", {board.by: cell}, rank=1, rank_low=1, rank_high=3)
    people = Row("people (pooled)", "group", {board.by: cell._replace(value=0.95)})
    beside = replace(board, rows=(theirs, *board.rows), references=(people,))
    made = figure(replace(contents, references={(board.suite, board.space): beside}), "overview")
    assert [one["observer"] for one in made.records if one["reference"]] == ["theirs (lab)"]
    assert "; hollow: 1 reference score; people (reference) .950" in made.caption


@pytest.mark.slow
def test_the_share_of_people_stands_beside_the_images_shown_to_them_and_says_whose(contents, answers, tmp_path):
    digest = digest_of("cue-conflict")
    drawn = replace(answers, kinds=("simulated",) * 3 + ("network",) * 3, sets={digest: "cue-conflict"})
    contents = replace(contents, answers=[drawn])
    right = answers.images[answers.share(answers.group(("human",)))[0] == 1].tolist()
    asked = {"suite": "cue-conflict", "metric": "edges_accuracy", "stimulus": right[0], "category": "dog"}
    alone = [DiscordantTrial(**asked, condition=condition, winner="a") for condition in ("", "brightness/3")]
    pair = compared("net-0", "net-1", []), alone
    site = Site(settings=read_settings(None), folder=tmp_path / "out", shared=page_context(contents))
    page = (tmp_path / "out" / pair_page(site, contents, pair, Pictures(site))).read_text()
    assert page.count("simulated people 1.000") == 1 and "; people" not in page
    plain, degraded = page.split("(brightness/3)")
    assert "simulated people 1.000" in plain and "1.000" not in degraded.partition("</li>")[0]


def test_confusions_are_counts_of_pairs(answers):
    (matrix,) = confusions([answers], "n2")
    seen = answers.shown[5]
    truth, said = answers.labels["category"][seen], np.array(WORDS)[answers.code[5, seen]]
    assert matrix["columns"] == list(WORDS) and matrix["n"] == 39
    for name, cells in matrix["rows"]:
        counts = [((truth == name) & (said == word)).sum() for word in WORDS]
        assert [count for count, _ in cells] == counts
        assert [shade for _, shade in cells] == np.ceil(5 * np.array(counts) / sum(counts)).tolist()


def test_people_right_and_networks_wrong_comes_first_and_simulated_people_stand_in_where_there_are_none(answers):
    human, _ = answers.share(answers.group(("human",)))
    machine, _ = answers.share(answers.group(("network", "published")))
    gap = (human - machine)[most_apart(answers)]
    assert (np.diff(gap) <= 1e-12).all()
    assert len(most_apart(answers, 10)) == 10 and most_apart(answers, 10)[0] == most_apart(answers)[0]
    assert most_apart(answers, 10)[-1] == most_apart(answers)[-1]
    kinds = ("simulated",) * 3 + answers.kinds[3:]
    for given, expected in ((answers, "people"), (replace(answers, kinds=kinds), "simulated people")):
        crowd, called = given.crowd
        assert called == expected and crowd.tolist() == [True] * 3 + [False] * 3
    (first, *_) = image_records(replace(answers, kinds=("human", "human", *kinds[2:])))
    assert (first["people"], first["simulated"]) == (2, 1)


def test_families_are_read_from_architecture_and_name():
    for name, kind, arch, expected in (
        ("my-net", "network", "timm:resnext50_32x4d", "resnext"), ("vit_b_16 (outputs)", "published", "", "vit"),
        ("mystery-3", "network", "python:a.b:c", "mystery"), ("subject-01", "human", "", "people"),
        ("ideal-shape", "ideal", "", "ideal"),
    ):  # fmt: skip
        row = ObserverRow(id=1, name=name, kind=kind, identity="x", card={"arch": arch}, created="")
        assert family_or_kind(row) == expected


def test_the_hardest_image_is_the_one_of_least_own_probability(answers):
    certainty = np.full(answers.code.shape, np.nan, dtype=np.float32)
    certainty[3] = np.linspace(0.1, 0.9, 40)
    given = [replace(answers, certainty=certainty)]
    for name, images in (("n0", {"Hardest": ["00", "01", "02"], "Easiest": ["39", "38", "37"]}), ("n1", {})):
        (found,) = differing_images(given, name, Pictures(None))
        for end in ("Hardest", "Easiest"):
            names = [one["name"] for one in found["lists"][f"{end} for it"]]
            assert names == [f"image-{i}" for i in images.get(end, ())]
        assert not images or found["lists"]["Easiest for it"][0]["share"] == ".900"


def test_the_probability_of_the_right_category():
    without = {"category": np.array(["cat", "dog", "cat", "dog"]), "response": np.array(["cat", "dog", "dog", "dog"])}
    columns = without | {"probability": np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7]])}
    np.testing.assert_allclose(of_truth(Trials(columns=columns)), [0.9, 0.8, 0.4, 0.7], rtol=1e-6)
    assert np.isnan(of_truth(Trials(columns=without))).all()


@pytest.mark.slow
def test_a_third_party_has_figures_a_column_and_links(fill, tmp_path, monkeypatch):
    """The suite of the template, as it is written: nothing in the report knows a suite by its name."""
    monkeypatch.setattr(drawing, "svg", lambda figure, width, named=False: "<svg/>")
    write_package("seen-mirrored", "suite", tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "seen-mirrored")
    suite = importlib.import_module("seen_mirrored").SUITE
    shelf = SuiteShelf({**plugins.find_suites().suites, suite.name: suite}, {})
    monkeypatch.setattr(plugins, "find_suites", lambda *names, **options: shelf)
    settings = fill([f"net-{i}" for i in range(3)], suites=("cue-conflict", suite.name))
    build(settings, tmp_path / "out")
    for page, text in {
        "suites/seen-mirrored": "mirrored-images-geirhos16.svg", "index": 'data-key="seen-mirrored"',
        "links": "Do networks that see mirrored objects go by shape?",
    }.items():  # fmt: skip
        assert text in (tmp_path / "out" / f"{page}.html").read_text()
    assert (tmp_path / "out" / "data" / "mirrored-images-geirhos16.csv").is_file()


def test_a_figure_that_cannot_be_drawn_is_refused_where_it_is_declared():
    with pytest.raises(ValueError, match="no group"):
        SuiteFigure(kind="curve", name="x", title="X", metrics=("m",), along="level")
    with pytest.raises(ValueError, match="kind 'pie'"):
        SuiteFigure(kind="pie", name="x", title="X")
