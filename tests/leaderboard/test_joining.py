"""Another laboratory's leaderboard or published scores beside one's own: what is its own stays told apart, unranked and
in no paired test, nothing is merged unsaid."""

import copy
import csv
import io
import json
import shutil
from collections import Counter

import numpy as np
import pytest

import gestaltbench as gb
from benchmark import api
from benchmark.api.exports import score_tables
from benchmark.contracts import Observer
from benchmark.failures import BenchError, ScoresError
from benchmark.leaderboard.board_tables import board_table
from benchmark.leaderboard.leaderboard_document import read_leaderboard_document
from benchmark.store import open_store
from tests.report.conftest import score_set, scores_of, stimuli_of, suite_of

SUITES = ("cue-conflict", "saliency")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(db, names, shift=0):
    """Networks with scores of two suites; shift: other identities, and no card that says what others were called."""
    with open_store(db) as store:
        run = store.begin_run("bench run -m theirs", {"device": "cpu", "packages": {"torch": "2"}})
        for suite in SUITES:
            store.put_stimuli(stimuli_of(suite))
        for at, name in enumerate(names):
            card = {"training": ["standard"], "arch": "timm:resnet50"}
            card |= {} if shift else {"formerly": ["mine"]}
            observer = store.put_observer(Observer(name=name, kind="network", identity=f"{at + shift:064x}", card=card))
            for suite in SUITES:
                store.put_scores(run, score_set(observer, suite), list(scores_of(suite, at)))
        store.end_run(run, "done")


@pytest.fixture(scope="module")
def theirs(folder):
    """A folder with another laboratory's leaderboard, lab.db, and its export, lab.json."""
    db = str(folder / "lab.db")
    write(db, ["net-0", "net-1"])
    (folder / "lab.json").write_text(json.dumps(api.document(api.Selection(db)).model_dump(mode="json")))
    return folder


@pytest.fixture
def lab(home, theirs):
    shutil.copytree(theirs, home, dirs_exist_ok=True)
    return home / "lab.json"


def changed(path, change):
    plain = json.loads(path.read_text())
    change(plain)
    path.write_text(json.dumps(plain))
    return path


def numbers(db, suite="cue-conflict"):
    """Observer -> its reported shape bias, or another headline."""
    (board,) = api.reported(api.Selection(db), suite)
    return {row.observer: row.cells["shape_bias" if suite == "cue-conflict" else board.by].value for row in board.rows}


@pytest.mark.slow
def test_numbers_without_trials_are_reported_ones_with_their_provenance(lab):
    write("mine.db", ["net-0"], 7)
    report = api.import_leaderboard(lab, db="mine.db").reported
    stated = [one for one in api.document(api.Selection("lab.db")).scores if one.value is not None]
    assert (report.scores, report.known, report.changed) == (len(stated), 0, 0)
    own = {one.observer: one.value for one in stated if (one.metric, one.condition) == ("shape_bias", "")}
    assert numbers("mine.db") == {f"{name} (lab, reported)": value for name, value in own.items()}
    (board,) = api.rank(api.Selection("mine.db"), "cue-conflict")
    assert [row.observer for row in board.rows] == ["net-0"]  # a number without trials here was ranked second
    with open_store("mine.db", write=False) as store:
        facts = store.provenance(store.latest_scores(suite="reported")[0].set_id)
    (run,) = facts["environment"]["imported"]["runs"]
    assert (run["command"], run["environment"]["packages"]) == ("bench run -m theirs", {"torch": "2"})
    before = api.document(api.Selection("mine.db"))
    assert api.import_leaderboard(lab, db="mine.db").reported.known == len(stated)
    assert api.document(api.Selection("mine.db")) == before
    (home := lab.with_name("mine.json")).write_text(before.model_dump_json())
    api.import_leaderboard(home, db="third.db")
    assert "net-1 of lab (mine, reported)" in numbers("third.db")


@pytest.mark.slow
def test_another_number_of_one_thing_is_shown(lab, bench):
    api.import_leaderboard(lab, db="mine.db")

    def lower(plain):
        one = next(s for s in plain["scores"] if s["observer"] == "net-1" and s["metric"] == "shape_bias")
        one.update(value=0.0, low=0.0)

    said = bench("import", "leaderboard", changed(lab, lower), "--source", "lab", "--db", "mine.db").out
    assert "net-1 (lab, reported): shape_bias was 0.39" in said and "1 have another value now" in said


@pytest.mark.slow
def test_a_newer_suite_an_unknown_one_and_reference_maps_are_left_out(lab, bench):
    write("mine.db", ["mine"], 7)

    def change(plain):
        for one in (*plain["scores"], *plain["score_sets"]):
            if one["suite"] == "cue-conflict":
                one["version"] = 10**6
        sets = {one["id"]: one for one in plain["score_sets"]}
        for one in plain["scores"]:
            if one["suite"] == "saliency" and one["observer"] == "net-0":
                one["suite"] = sets[one["score_set"]]["suite"] = "their-own"
        last, reference = plain["scores"][-1], next(iter(suite_of("saliency").references))
        assert last["suite"] == "saliency"
        plain["scores"].append({**last, "condition": reference, "value": 0.99})

    said = bench("import", "leaderboard", changed(lab, change), "--db", "mine.db")
    wanted = "version 1000000 of the suite 'cue-conflict'", "the suite 'their-own' is not installed"
    assert said.code == 3 and all(text in said.err for text in wanted)
    for suite in SUITES:
        assert [row.observer for row in api.rank(api.Selection("mine.db"), suite)[0].rows] == ["mine"]
    assert numbers("mine.db", "saliency").keys() == {"net-1 (lab, reported)"}


HOSTILE = {
    "no leaderboard document": lambda plain: plain.update(form="x"),
    "should be 1 or 2": lambda plain: plain.update(version=3),
    "occurs twice": lambda plain: plain["observers"].append(plain["observers"][0]),
    "another suite": lambda plain: plain["scores"][0].update(version=99),
    "no observer": lambda plain: plain["scores"][0].update(observer="nobody"),
    "less than or equal": lambda plain: plain["scores"][0].update(n=10**40),
    "surrogates": lambda plain: plain["observers"][0].update(name="\ud800"),
    "longer than 200": lambda plain: plain["observers"][0].update(name="x" * 300),
    "valid number": lambda plain: plain["scores"][0].update(value="0.5"),
    "ends below": lambda plain: plain["scores"][-1].update(value=0.5, low=0.9, high=0.1),
    "identity: String should match": lambda plain: plain["observers"][0].update(identity="no hex"),
    "is 7; it is 0 to 1": lambda plain: plain["scores"][0].update(value=7, low=None, high=None),
    "one is wrong": lambda plain: plain["stimuli"][0].update(n=5),
}


@pytest.mark.slow
@pytest.mark.parametrize("message", HOSTILE)
def test_what_does_not_fit_is_one_error_and_nothing_comes_in(lab, message):
    write("mine.db", ["mine"], 7)
    before = api.document(api.Selection("mine.db"))
    with pytest.raises(ScoresError, match=message) as raised:
        api.import_leaderboard(changed(lab, HOSTILE[message]), db="mine.db")
    assert len(str(raised.value)) < 1000 and str(raised.value).isprintable()
    assert api.document(api.Selection("mine.db")) == before


def test_a_number_that_is_none_and_a_file_beyond_all_are_refused(lab, monkeypatch):
    text = lab.read_text()
    lab.write_text(text.replace('"level": 0.95', '"level": NaN', 1))
    with pytest.raises(ScoresError, match="finite number"):
        read_leaderboard_document(lab)
    monkeypatch.setattr("benchmark.leaderboard.leaderboard_document.LARGEST", 1000)
    with pytest.raises(ScoresError, match="larger than"):
        read_leaderboard_document(lab)


#: What a value becomes after an accident or an attack.
SCRAPS = (
    None, True, False, "", " ", "x", "\x1b[2J", "\u202e", "\ud800", "a\0b", "[red]x[/red]", "../../x", "*", "a,b",
    "<script>", "x" * 30_000, "bench run; touch ran", 0, -1, 1, 2, 0.5, 7.5, -1e-9, 1e308, float("nan"), float("inf"),
    10**40, 2**53, [], [[]], {}, {"": ""}, {"a": {"b": [1, "x", None]}}, json.loads("[" * 40 + "]" * 40),
)  # fmt: skip


def mutated(text, random):
    """The text of a document after one or two accidents or attacks."""
    if random.random() < 0.15:
        at = sorted(int(x) for x in random.integers(len(text), size=2))
        return text[: at[0]] + (text[at[1] :] if random.random() < 0.5 else "")
    plain = json.loads(text)
    for _ in range(int(random.integers(1, 3))):
        change(plain, random)
    return json.dumps(plain)


def change(plain, random):
    """One value, somewhere, is another, gone, there twice, or under another name."""
    keys = list(plain) if isinstance(plain, dict) else list(range(len(plain)))
    if not keys:
        return
    at, key = plain, keys[int(random.integers(len(keys)))]
    if isinstance(at[key], dict | list) and at[key] and random.random() < 0.9:
        change(at[key], random)
        return
    kind = random.random()
    if kind < 0.6:
        at[key] = copy.deepcopy(SCRAPS[int(random.integers(len(SCRAPS)))])
    elif kind < 0.75:
        del at[key]
    elif isinstance(at, list):
        at.append(copy.deepcopy(at[key]))
    else:
        at[str(SCRAPS[int(random.integers(4, 17))])] = at.pop(key)


def stored(db):
    with open_store(db, write=False) as store:
        return store.latest_scores()


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_fuzzed_documents_are_taken_or_refused_whole(theirs, home, part):
    """Seeded. With one clear error and nothing left behind, or so that boards and exports can be made of it."""
    text, path, ended = (theirs / "lab.json").read_text(), home / "lab.json", Counter()
    for seed in range(200 * part, 200 * (part + 1)):
        path.write_text(mutated(text, np.random.default_rng([21, seed])))
        db = f"{seed}.db"
        with open_store(db):
            pass
        try:
            report = api.import_leaderboard(path, db=db)
        except BenchError as error:
            assert len(str(error)) < 1_000 and str(error).isprintable(), (seed, str(error))
            assert not stored(db), seed
            ended["refused"] += 1
            continue
        ended["taken" if report.reported.scores else "left out"] += 1
        api.rank(api.Selection(db))
        api.reported(api.Selection(db))
        assert len(api.document(api.Selection(db)).scores) == len(stored(db)) >= report.reported.scores, seed
    print(f"200 documents: {dict(ended)}")
    assert ended["refused"] > 200 / 3 and ended["taken"] > 0


TABLE = """observer,metric,value,low,high,n,suite,note
resnet50,own accuracy,0.8,0.7,0.9,100,cue-conflict,of own images
vit,own accuracy,0.9,,,,cue-conflict,of own images
vit,own accuracy at dusk,0.4,,,,,
"""


@pytest.fixture
def table(home):
    path = home / "lab.csv"
    path.write_text(TABLE)
    return path


@pytest.mark.slow
def test_they_stand_in_tables_of_their_own_unranked(table):
    report = api.import_scores(table, db="a.db")
    assert (report.scores, report.known, len(report.observers)) == (3, 0, 2)
    assert not any(board.rows for board in api.rank(api.Selection("a.db")))
    loose, board = api.reported(api.Selection("a.db"))
    assert board.title == "cue-conflict, reported by lab" and board.suite == "cue-conflict"
    shown = [(f"{name} (lab, reported)", "reported", None) for name in ("vit", "resnet50")]
    assert [(row.observer, row.kind, row.rank) for row in board.rows] == shown
    cell = board.rows[1].cells["own accuracy"]
    assert (cell.value, cell.low, cell.high, cell.n) == (0.8, 0.7, 0.9, 100)
    table = board_table(board)
    at = [field.key for field in table.fields].index("own accuracy")
    assert "of own images" in table.shared(at)
    assert not any("Rank" in line for line in (table.intervals, *table.notes))
    assert loose.title == "other scores, reported by lab"
    assert [b.title for b in api.reported(api.Selection("a.db"), "cue-conflict")] == [board.title]
    assert not api.reported(api.Selection("a.db"), "corruption")


@pytest.mark.slow
def test_importing_twice_adds_nothing_and_a_new_value_takes_the_old_ones_place(table):
    api.import_scores(table, db="a.db")
    first = stored("a.db")
    again = api.import_scores(table, db="a.db")
    assert stored("a.db") == first and (again.scores, again.known) == (0, 3)
    table.write_text("observer,metric,value,suite\nvit,own accuracy,0.95,cue-conflict\n")
    later = api.import_scores(table, db="a.db")
    assert (later.scores, later.known, later.changed) == (0, 0, 1)
    values = {(row.observer, row.metric): row.value for row in stored("a.db")}
    assert values["vit (lab, reported)", "own accuracy"] == 0.95
    assert values["vit (lab, reported)", "own accuracy at dusk"] == 0.4  # what it had stays
    table.write_text("observer,metric,value,suite\nvit,rank of shape,0.5,cue-conflict:ranks\n")
    api.import_scores(table, db="a.db")
    (board,) = api.reported(api.Selection("a.db"), "cue-conflict:ranks")
    assert board.suite == "cue-conflict:ranks"


def test_a_paired_test_is_one_clear_error(table):
    api.import_scores(table, db="a.db")
    own, vit = api.Selection("a.db"), "vit (lab, reported)"
    for verb, words in (
        (api.compare, (vit, "resnet50 (lab, reported)")), (api.compare, (vit, "people")),
        (api.trials, (vit, "cue-conflict")), (api.consistency, ([vit],)),
    ):  # fmt: skip
        with pytest.raises(BenchError, match="has published scores but no trials"):
            verb(own, *words)
    with pytest.raises(BenchError, match="no common experiment"):
        api.consistency(own)


@pytest.mark.slow
def test_filters_exports_and_the_command(table, bench):
    ended = bench("import", "scores", table, "--db", "a.db")
    assert ended.code == 0 and "3 scores of 2 observers imported from lab, 0 were already stored" in ended.out
    boards = api.reported(api.Selection("a.db").where(kind="reported", source="lab", family="vit"))
    assert {row.observer for board in boards for row in board.rows} == {"vit (lab, reported)"}
    assert not api.reported(api.Selection("a.db").where(kind="published"))
    records = csv.DictReader(io.StringIO(gb.reported(db="a.db").to("csv")))
    assert {record["section"] for record in records} == {"reported"}
    shown = bench("rank", "cue-conflict", "--db", "a.db").out
    assert "cue-conflict, reported by lab" in shown and "not ranked" in shown


@pytest.mark.slow
def test_correlations_only_where_they_are_asked_for_and_within_a_source(table):
    pairs = [(i, name, i * k % 7) for i in range(7) for name, k in (("x", 1), ("y", 3))]
    rows = [f"net{i},{name},{rank / 7},cue-conflict" for i, name, rank in pairs]
    table.write_text("observer,metric,value,suite\n" + "\n".join(rows) + "\n")
    api.import_scores(table, db="a.db")
    assert not api.correlate(api.Selection("a.db"))
    ((summary, (link,)),) = api.correlate(api.Selection("a.db"), reported=True)
    assert (summary.space, link.spearman.n) == ("lab, reported", 7)
    assert {link.x.title, link.y.title} == {"x", "y"}
    assert len([*score_tables(api.Selection("a.db"))]) == 1
    assert not [*score_tables(api.Selection("a.db"), "cue-conflict")]
    # ranks of i and of 3 i mod 7: 0..6 against 0 3 6 2 5 1 4; sum of squared differences 42
    assert link.spearman.value == pytest.approx(1 - 6 * 42 / (7 * 48))
