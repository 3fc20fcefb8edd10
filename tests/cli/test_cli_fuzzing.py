"""No input ends in a traceback: damaged leaderboards and words that nobody would type, by seeds."""

import contextlib
import os
import shutil
import sqlite3
import traceback
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

QUICK, PART = 120, 80
#: Values that a column may hold after an accident or an attack, whatever the column's type.
VALUES = [
    "", "x", "{", "[]", "{}", "[1]", '["a"]', '{"a": 1}', '{"a": {"b": []}}', "null", "nan", "0", "-1", "\x1b[2J",
    "\u202e",
    0, 1, -1, 7, 2**31, 2**63 - 1, -(2**63), 0.5, float("inf"), float("-inf"), 1e308, -2.0, b"", b"\x00\xff", b"GBC1",
]  # fmt: skip
PLAIN = """
, * [ [! ( / . .. - -- = a=b =b a= : :: a:b 0 -1 1e9 nan inf -inf 0x10 1_000 %s {} {0} $HOME ~ /dev/null
/dev/zero /nonexistent/x sqlite:// sqlite:/// postgresql:// postgresql://a:b@localhost:1/c mysql://x ://
http://[ file:x?mode=ro ideal-shape ideal-shape,,ideal-texture ideal-* world-standard-0 cue-conflict
cue-conflict: cue-conflict:x corruption:within- corruption:within-nan corruption:within-0.1 all shape_bias
accuracy default levels,mean,half uniform-noise/* csv json latex
"""
ODD = ["", " ", "\\", "9" * 400, "1" * 5000, "\x1b[2J", "\u202e", "\udc9b", "a\nb", "²", "٣", "é" * 300, "a" * 5000]
WORDS = [*ODD, *PLAIN.split()]


def damaged(content, random, path):
    """Write a leaderboard, damaged in one of many ways, to `path`; how it was damaged, in words."""
    how = random.choice([flipped, cut, foreign, retyped, retyped, retyped, reshaped])
    path.write_bytes(content)
    how(path, random)
    return how.__name__


def flipped(path, random):
    raw = bytearray(path.read_bytes())
    for _ in range(int(random.integers(1, 40))):
        raw[int(random.integers(len(raw)))] = int(random.integers(256))
    path.write_bytes(raw)


def cut(path, random):
    raw = path.read_bytes()
    path.write_bytes(raw[: int(random.integers(len(raw)))])


def foreign(path, random):
    kind = int(random.integers(5))
    texts = [b"", b"results\n1,2\n", random.bytes(5000), b"SQLite format 3\x00" + random.bytes(4000)]
    path.unlink()
    if kind < 4:
        path.write_bytes(texts[kind])
        return
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE observers (id, name)")
        connection.execute("CREATE TABLE meta (key, value)")
        connection.execute("CREATE TABLE alembic_version (version_num)")
        connection.execute("INSERT INTO meta VALUES ('application', 'gestaltbench')")
        connection.execute("INSERT INTO alembic_version VALUES (?)", (random.choice(["0001", "x", ""]),))
        connection.commit()


def a_column(connection, random):
    """Some table of a leaderboard, and one of its columns."""
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    (table,) = tables[int(random.integers(len(tables)))]
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    return table, columns[int(random.integers(len(columns)))]


def retyped(path, random):
    """Some values of one column become others, of any type."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        table, column = a_column(connection, random)
        value = VALUES[int(random.integers(len(VALUES)))]
        some = "" if random.random() < 0.5 else f" WHERE rowid % {int(random.integers(1, 5))} = 0"
        with contextlib.suppress(sqlite3.Error):
            connection.execute(f"UPDATE OR IGNORE {table} SET {column} = ?{some}", (value,))
            connection.commit()


def reshaped(path, random):
    """A table or a column goes or is called otherwise."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        table, column = a_column(connection, random)
        changes = [
            f"DROP TABLE {table}", f"DELETE FROM {table}", f"ALTER TABLE {table} RENAME TO other",
            f"ALTER TABLE {table} RENAME COLUMN {column} TO other", f"ALTER TABLE {table} DROP COLUMN {column}",
        ]  # fmt: skip
        with contextlib.suppress(sqlite3.Error):
            connection.execute(changes[int(random.integers(len(changes)))])
            connection.commit()


READERS = [
    ("rank", "--all"), ("rank", "--by", "accuracy"), ("rank", "--unseen-only", "-s", "cue-conflict"),
    ("show", "world-standard-0"), ("compare", "ideal-shape", "world-standard-0"), ("compare", "measures"),
    ("compare", "consistency", "--matrix"), ("compare", "consistency", "--ranks"),
    ("export",), ("export", "--format", "json"), ("export", "--trials", "world-standard-0"),
    ("db", "rescore"), ("doctor",), ("db", "status"), ("db", "check"), ("db", "vacuum"),
    ("run", "-m", "ideal-shape", "-s", "cue-conflict", "--limit", "12", "--dry-run"),
    ("run", "-m", "ideal-shape", "-s", "cue-conflict", "--limit", "12"),
]  # fmt: skip


#: Commands with a place ("?") for a word. None of them trains, downloads, computes long or walks a disk.
PLACES = """
rank ?
rank --by ?
rank -m ?
show ?
compare ? ?
export --format ?
export -o ?
import trials ? --source ?
run -m ideal-shape -s cue-conflict --limit 2 --dry-run --shard ?
db merge ?
db merge results.db --into ?
models ?
models show ?
models check world-standard-0 --device ?
register ? --arch timm:resnet18 --weights nothere.pt
register x --arch timm:resnet18 --weights nothere.pt --mean ?
register x --arch timm:resnet18 --weights nothere.pt --labels ?
register x --arch timm:resnet18 --weights nothere.pt --training ?
data verify ?
data verify world-natural --sample ?
data add x . --role ?
data add x . --layout ?
data regenerate contrast --output ?
data stylize --content . --style . --strength ?
data stylize --content . --style . --name ?
suites show ?
run --dry-run -m ideal-shape -s ?
run -m ideal-shape -s cue-conflict --limit 1 --seed ?
run --dry-run -m ideal-shape --limit ?
run -m ideal-shape -s cue-conflict --limit 2 --stimuli ?
run -m ideal-shape -s cue-conflict --limit 2 --device ?
run --precision ?
run --dry-run -m ideal-shape --precision-target ?
run -m ideal-shape -s cue-conflict --limit 2 --batch-size ?
?
compare consistency ? ? -e ?
compare correlate --format ?
compare correlate -m ?
export --trials ? -s ?
plot gallery -m ? -o x.png --set ?
plot ? -o ?
""".strip().splitlines()


def sentence(random):
    """One of `PLACES`, its gaps filled with words from `WORDS`, some cut or joined; now and then one more."""
    place = PLACES[int(random.integers(len(PLACES)))].split()
    words = [word(random) if part == "?" else part for part in place]
    if place[0] != "data" and random.random() < 0.2:
        words.append(word(random))
    return words


def word(random):
    one = str(WORDS[int(random.integers(len(WORDS)))])
    kind = random.random()
    if kind < 0.15:
        return one + str(WORDS[int(random.integers(len(WORDS)))])
    if kind < 0.3 and one:
        at = int(random.integers(len(one)))
        return one[:at] + chr(int(random.integers(1, 0x3000))) + one[at:]
    return one


def attempted(bench, words):
    """Exit code of `bench WORDS`, and its traceback or the characters that it printed and that would move a cursor."""
    try:
        done = bench(*words)
    except BaseException as error:  # noqa: BLE001 - what is looked for
        return None, "".join(traceback.format_exception(error))
    return done.code, {c for c in done.out + done.err if not c.isprintable() and c not in "\n\t"}


def leaderboards(bench, board, seeds, readers=READERS):
    """Damage and read once per seed; how often each kind of damage was an error."""
    content, path = Path(board).read_bytes(), Path("damaged.db")
    refused, failed = Counter(), []
    for seed in seeds:
        random = np.random.default_rng([11, seed])
        for end in ("", "-wal", "-shm"):
            Path(f"{path}{end}").unlink(missing_ok=True)
        how = damaged(content, random, path)
        words = readers[int(random.integers(len(readers)))]
        code, wrong = attempted(bench, [*words, *(() if words[-1] == "into.db" else ("--db",)), path])
        refused[how] += code != 0
        failed += [(seed, how, words, wrong)] * bool(wrong)
    return refused, failed


def arguments(bench, seeds):
    """Run one sentence per seed; exit codes by number."""
    codes, failed = Counter(), []
    for seed in seeds:
        words = sentence(np.random.default_rng([12, seed]))
        code, wrong = attempted(bench, words)
        codes[code] += 1
        failed += [(seed, words, wrong)] * bool(wrong)
    return codes, failed


@pytest.fixture(autouse=True)
def workplace(board, tmp_path):
    """A leaderboard in the working directory."""
    shutil.copy(board, tmp_path / "results.db")


@pytest.mark.slow
def test_damaged_leaderboards_are_one_line(bench, board):
    for readers, count in ((READERS, QUICK), ([("db", "merge", "--into", "into.db")], QUICK // 4)):
        refused, failed = leaderboards(bench, board, range(count), readers)
        assert failed == [] and sum(refused.values()) > count / 5


@pytest.mark.slow
def test_odd_words_are_one_line(bench):
    codes, failed = arguments(bench, range(QUICK))
    assert failed == [] and set(codes) <= {0, 1, 2, 3} and codes[2] > QUICK / 5


@pytest.mark.release
@pytest.mark.parametrize("part", range(5))
def test_many_are_one_line(bench, board, part):
    seeds = range(QUICK + part * PART, QUICK + (part + 1) * PART)
    assert leaderboards(bench, board, seeds)[1] == []
    assert arguments(bench, seeds)[1] == []


@pytest.mark.slow
@pytest.mark.parametrize("words", READERS, ids=" ".join)
def test_what_is_no_file_is_one_line(bench, words):
    os.mkfifo("pipe")
    Path("folder").mkdir()
    Path("loop").symlink_to("loop")
    sqlite3.connect("other.db").execute("CREATE TABLE bookmarks (name TEXT)").connection.close()
    for name in ("pipe", "folder", "loop", "other.db", "/dev/null", "/dev/zero", "folder/x/y.db"):
        code, wrong = attempted(bench, [*words, "--db", name])
        assert not wrong
        not_there = name in ("loop", "folder/x/y.db")
        assert code == 1 or (not_there and words[0] in ("run", "doctor")), name
