"""A leaderboard on bad disks or in foreign hands: `bench db check` names it all; no traceback, hang or table of it."""

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import gestaltbench as gb
from benchmark import api
from benchmark.failures import StoreError
from benchmark.store import open_store, queries, schema
from benchmark.store.queries import scores_digest
from benchmark.store.sql import row_digest, sealed

HOSTILE_JSON = "[" * 100_000 + "]" * 100_000


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A leaderboard of simulated observers with trials and scores."""
    home = tmp_path_factory.mktemp("sound")
    file = str(home / "sound.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(home))
        gb.run("ideal-shape,ideal-texture", "cue-conflict", limit=6, db=file)
    assert api.check_db(file, rescore=True) == []
    return file


@pytest.fixture
def damaged(sound, tmp_path):
    """Damages a copy: a statement, or a function of its connection; the path."""

    def damage(change):
        path = tmp_path / "damaged.db"
        shutil.copyfile(sound, path)
        with closing(sqlite3.connect(path)) as connection:
            if isinstance(change, str):
                connection.executescript(change)
            else:
                change(connection)
            connection.commit()
        return str(path)

    return damage


def resealed(connection, table, **changes):
    """Change a row and its seal, or add a row like it under another key, as one does who means harm."""
    connection.row_factory = sqlite3.Row
    row = dict(connection.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchone() or {}) | changes
    row = sealed(schema.METADATA.tables[table], row)
    names = ", ".join(f'"{name}"' for name in row)
    connection.execute(
        f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", (*row.values(),)
    )


def lost_import(connection):
    (run,) = connection.execute("SELECT id FROM runs").fetchone()
    resealed(connection, "imports", source="tables", run=run, created="2026", observations='["gone"]')


SWAPPED = """
CREATE TEMP TABLE two AS SELECT rowid AS at, payload FROM chunks LIMIT 2;
UPDATE chunks SET payload = (SELECT payload FROM two WHERE at <> chunks.rowid) WHERE rowid IN (SELECT at FROM two);
"""
DOUBLED = """
CREATE TABLE copy AS SELECT * FROM chunks; DROP TABLE chunks; ALTER TABLE copy RENAME TO chunks;
INSERT INTO chunks SELECT * FROM chunks LIMIT 1;
"""
ENDLESS = """
PRAGMA foreign_keys = OFF; DROP TABLE scores;
CREATE VIEW scores AS WITH RECURSIVE n(score_set) AS (SELECT 1 UNION ALL SELECT score_set + 1 FROM n)
SELECT score_set, 0 AS position FROM n;
"""
#: What happened -> how, and what `bench db check` says of it.
DAMAGES = {
    "a deleted chunk": ("DELETE FROM chunks WHERE rowid = 1",
        r"score set \w+ \(cue-conflict\): trials that it was made of are altered or gone"),
    "an altered environment": ("UPDATE environments SET content = '{}'", "its content is not what its id says"),
    "a stimulus set that ends early": ("UPDATE stimuli SET columns = substr(columns, 1, 20)",
        "not what its checksum says"),
    "an altered score": ("UPDATE scores SET value = 0.9 WHERE metric = 'shape_bias' AND position = 0",
        r"score set \w+ \(cue-conflict\): its scores are not those that were stored"),
    "payloads of two chunks swapped": (SWAPPED, r"chunk 0 of observation \w+: its content is not"),
    "an altered number of trials": ("UPDATE observations SET n = n - 1 WHERE rowid = 1",
        r"observations \w+: its content is not what its checksum says"),
    "doubled rows": (DOUBLED, r"chunks: the key \w+, 0 occurs more than once"),
    "a reference to nothing": ("UPDATE observations SET observer = 'nobody' WHERE rowid = 1",
        "observations.observer: 1 rows refer to observers that are not there"),
    "a deleted score set": ("PRAGMA foreign_keys = OFF; DELETE FROM scores; DELETE FROM score_sets",
        "'ideal-shape' under cue-conflict: trials without their scores"),
    "an altered name": ("UPDATE observers SET name = 'ideal' WHERE name = 'ideal-shape'",
        r"observers \w+: its content is not what its id says"),
    "a view in the place of a table": (ENDLESS, "is damaged: .*the view 'scores' does not belong"),
    "deep JSON": (lambda connection: resealed(connection, "observations", details=HOSTILE_JSON),
        r"observations \w+: JSON that is nested too deeply"),
    "a chunk over another one": (lambda connection: resealed(connection, "chunks", position=1, start=5),
        r"chunk 1 of observation \w+: an earlier chunk has its trials, too"),
    "an import whose observations are gone": (lost_import, "import of 'tables': 1 of its observations are not there"),
    "a schema that it is not": ("UPDATE alembic_version SET version_num = '0003'", "another gestaltbench .schema 0003"),
    "another version of the schema": ("UPDATE alembic_version SET version_num = 'none'", "is damaged: .*schema 'none'"),
    "a truncated file": (None, "is not a leaderboard or is damaged|SQLite: "),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found_and_named(damaged, tmp_path, name):
    change, said = DAMAGES[name]
    path = damaged(change or "")
    if change is None:
        with Path(path).open("r+b") as file:
            file.truncate(Path(path).stat().st_size // 2)
    found = told(lambda: api.check_db(path))
    assert any(re.search(said, line) for line in found), found
    told(lambda: api.rank(api.Selection(path), "cue-conflict"))  # an answer or a refusal
    merged = told(lambda: api.merge([path], str(tmp_path / "into.db")))
    if name.startswith(("an altered", "a reference", "doubled")):
        assert "nothing is merged, for a leaderboard is damaged" in merged[0]
    assert name != "a deleted chunk" or re.search(r"score set \w+ .* left out: .* or gone", merged.conflicts[0])
    if (tmp_path / "into.db").exists() and name != "a deleted score set":  # nothing of it has spread
        assert api.check_db(str(tmp_path / "into.db")) == []


def test_an_unchanged_file_is_compared_once(damaged, tmp_path, monkeypatch):
    path, notes = damaged(""), tmp_path / "notes.txt"

    def shown(metrics):
        with open_store(path, write=False, checked_files=notes) as store:
            return {row.metric: row.reason for row in store.latest_scores(metrics=metrics, conditions=("",))}

    bias, shape = ["shape_bias"], ["shape_fraction"]
    assert shown(bias) == {"shape_bias": ""} and not notes.exists()  # the file is too new: a change may share its times
    monkeypatch.setattr("benchmark.store.checked_files.SETTLED", 0)
    assert shown(bias) == {"shape_bias": ""}
    compared = []
    altered_sets_of = queries._altered_sets
    monkeypatch.setattr(queries, "_altered_sets", lambda *how: compared.append(1) or altered_sets_of(*how))
    assert shown(bias) == {"shape_bias": ""} and not compared
    assert shown(shape) == {"shape_fraction": ""} and compared  # another question
    damaged_row = "UPDATE scores SET n = n + 1 WHERE metric = 'texture_fraction'"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(damaged_row)
        connection.commit()
    before = notes.read_text()
    assert shown(bias) == {"shape_bias": queries.ALTERED}
    assert notes.read_text() == before


def told(act):
    """The lines that are returned, or said in a refusal."""
    try:
        return act()
    except StoreError as error:
        return [str(error)]


OWN = "(SELECT id FROM observers WHERE name = 'ideal-shape')"


@pytest.mark.slow
@pytest.mark.parametrize("change", [
    f"scores SET value = 0.99 WHERE score_set IN (SELECT id FROM score_sets WHERE observer = {OWN})",
    # another date would keep newer scores from being shown
    f"score_sets SET created = '2030-01-01T00:00:00.000000+00:00' WHERE observer = {OWN}",
    f"registrations SET training = '[\"people\"]' WHERE observer = {OWN}",
])  # fmt: skip
def test_altered_scores_are_marked_not_ranked_and_made_again(damaged, bench, tmp_path, change):
    """They were printed by all of these, with exit code 0."""
    path = damaged(f"UPDATE {change}")
    (board,) = api.rank(api.Selection(path), "cue-conflict")
    cells = {row.observer: row.cells["shape_bias"] for row in (*board.rows, *board.references)}
    assert (cells["ideal-shape"].value, cells["ideal-shape"].reason) == (None, "altered since it was stored")
    assert cells["ideal-texture"].value == 0.0
    commands = ("rank", "rank --summary", "show ideal-shape", "export --scores", "export --format json --scores")
    for words in (*commands, f"report --out {tmp_path / 'report'}"):
        said = bench(*words.split(), "--db", path)
        assert said.code == 3 and "0.99" not in said.out, words
        assert said.err.count("not shown: scores of 'ideal-shape' under cue-conflict were altered since") == 1
    assert bench("show", "ideal-texture", "--db", path).code == 0
    if "registrations" not in change:
        assert bench("db", "rescore", "--db", path).code == 0
        assert bench("rank", "--db", path).code == 0


@pytest.mark.slow
def test_scores_that_were_altered_with_their_seals_are_found_by_computing_them_again(damaged):
    def forge(connection):
        connection.row_factory = sqlite3.Row
        connection.execute("UPDATE scores SET value = 0.25 WHERE metric = 'shape_bias' AND condition = ''")
        for made in connection.execute("SELECT * FROM score_sets").fetchall():
            rows = connection.execute("SELECT * FROM scores WHERE score_set = ?", (made["id"],))
            row = {**made, "scores": scores_digest(map(dict, rows.fetchall()))}
            number = row_digest(schema.SCORE_SETS, row)
            connection.execute("UPDATE scores SET score_set = ? WHERE score_set = ?", (number, made["id"]))
            connection.execute(
                "UPDATE score_sets SET id = ?, scores = ? WHERE id = ?", (number, row["scores"], made["id"])
            )

    path = damaged(forge)
    assert api.check_db(path) == []
    assert api.check_db(path, rescore=True) == [
        "ideal-shape under cue-conflict: shape_bias (cue-conflict) is 0.25 stored, and 1.0 computed",
        "ideal-texture under cue-conflict: shape_bias (cue-conflict) is 0.25 stored, and 0.0 computed",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("column", ["flags", "card"])
def test_a_text_of_no_end_is_refused(path, made, column):
    """16 MB of JSON in a card or a flag make no objects of a gigabyte."""
    with open_store(str(path)) as store:
        run, observer = made.world(store)
        store.put_scores(run, made.score_set(observer), [made.score()])
    table = "scores" if column == "flags" else "registrations"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE {table} SET {column} = ?", ("[" + "{}," * 6_000_000 + "{}]",))
        connection.commit()
    with open_store(str(path), write=False) as store, pytest.raises(StoreError, match="JSON of"):
        store.latest_scores(), store.observers()
