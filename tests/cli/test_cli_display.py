"""What reaches a terminal: no control characters, no markup, no passwords, whatever is stored."""

import csv
import io
import json
import shutil
import sqlite3
from dataclasses import replace
from functools import partial

import pytest

from benchmark import api, cli
from benchmark.cli import printing
from benchmark.cli.printing import print_tables, safe_console
from benchmark.cli.ranked_boards import print_boards
from benchmark.display import printable, printable_lines
from benchmark.leaderboard.board_model import Cell, Rank
from benchmark.leaderboard.forms import terminal
from benchmark.leaderboard.table import Field, Table
from registry.files import redacted

#: Clears the screen, sets the title, turns the reading direction, colours by C1, opens and closes rich's markup.
HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e[/][bold]:smile:\r\udc9b"
STORED = HOSTILE.replace("\udc9b", "")  # what a data base takes
NAME = f"ideal-shape{STORED}"


def shown(ended):
    """Everything that was printed. It moves no cursor."""
    text = ended.out + ended.err
    assert [c for c in text if not c.isprintable() and c not in "\n\t"] == []
    assert "Traceback" not in text
    return text


@pytest.fixture(scope="module")
def hostile(board, tmp_path_factory):
    """A leaderboard whose every free text carries the hostile one."""
    path = tmp_path_factory.mktemp("hostile") / "results.db"
    shutil.copy(board, path)
    quoted = json.dumps(STORED)
    changes = {
        "observers": {"name": STORED},
        "stimuli": {"name": STORED, "origin": STORED},
        "scores": {"reason": STORED, "method": STORED},
        "runs": {"command": STORED, "started": STORED},
        "outcomes": {"observer_name": STORED, "reason": STORED, "detail": STORED},
        "observations": {"condition": STORED},
    }
    with sqlite3.connect(path) as connection:
        for table, columns in changes.items():
            for column, text in columns.items():
                connection.execute(f"UPDATE {table} SET {column} = {column} || ?", (text,))
        connection.execute("UPDATE scores SET flags = ?", (f"[{quoted}]",))
        connection.execute("UPDATE registrations SET training = ?", (f"[{quoted}]",))
        connection.execute("UPDATE registrations SET card = json_set(card, '$.training', json(?))", (f"[{quoted}]",))
        connection.execute("UPDATE environments SET content = json_set(content, '$.packages.torch', ?)", (STORED,))
    connection.close()
    return str(path)


CARD = """
name: mine
source: timm
arch: timm:resnet18
labels: imagenet1k
weights: "nothere.pt"
preprocess: {size: 224, resize: 256, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}
license: %s
training: [%s]
"""
COMMANDS = [
    ("rank", "--all"), ("rank", "-m", HOSTILE), ("show", NAME), ("compare", NAME, f"ideal-texture{STORED}"),
    ("compare", "consistency", "--matrix"), ("compare", "consistency", NAME, f"ideal-texture{STORED}"),
    ("compare", "transfer", "-c", HOSTILE), ("export",), ("export", "--format", "json"),
    ("export", "--format", "markdown"), ("export", "--trials", NAME), ("doctor",),
    ("run", "-m", "ideal-shape", "-s", "cue-conflict", "--limit", "2"), ("db", "rescore"), ("db", "status"),
    ("db", "check"), ("import", "trials", HOSTILE),
    ("models",), ("models", "show", "mine"), ("models", "show", HOSTILE), ("models", "check", "mine"),
    ("data", "list"), ("data", "fetch", HOSTILE), ("data", "add", HOSTILE, "."),
    ("data", "stylize", "--content", HOSTILE, "--style", "."), ("suites", "show", HOSTILE),
    ("run", "-m", "mine", "--limit", "2", "-s", "cue-conflict"), ("run", "-m", HOSTILE),
    ("run", "--stimuli", HOSTILE), ("run", "--device", HOSTILE), (HOSTILE,),
    ("plot", "gallery", "-m", HOSTILE, "-o", "x.png"), ("register", HOSTILE, "--arch", HOSTILE),
    ("rank", "--db", f"postgresql://{HOSTILE}"), ("db", "merge", HOSTILE),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", COMMANDS, ids=lambda words: " ".join(words[:3])[:30].encode("ascii", "replace").decode()
)
def test_no_leaderboard_card_or_argument_moves_the_cursor(bench, hostile, home, words):
    shutil.copy(hostile, "results.db")
    (home / "cards").mkdir(exist_ok=True)
    quoted = json.dumps(STORED)
    (home / "cards" / "mine.yaml").write_text(CARD % (quoted, quoted))
    (home / "cards" / "other.yaml").write_text(f"name: {quoted}\nsource: {quoted}\n")
    assert shown(bench(*words))


@pytest.fixture
def terminal_of_80(monkeypatch):
    """A terminal of 80 columns and 24 lines; what the pager gets."""
    paged = []
    console = partial(printing.safe_console, width=80, height=24, force_terminal=True, color_system=None)
    monkeypatch.setattr(printing, "table_console", lambda **_options: console())
    monkeypatch.setattr("click.echo_via_pager", paged.append)
    return paged


def test_a_board_of_67_networks_takes_80_lines_of_a_terminal_and_is_whole_in_a_pipe(terminal_of_80, capsys):
    fields = (
        Field("rank", "rank", who=True), Field("", "observer", who=True), Field("bias", "shape bias"),
        Field("", "n", right=True), Field("training", "training", breaks=24), Field("agree", "cues agree"),
    )  # fmt: skip
    place, cell = Rank(rank=10, low=9, high=12), Cell(value=0.51234, low=0.4, high=0.6)
    names = [f"net-{at}-{'trained-on-SIN-and-IN-' * (at % 3)}0 (error-consistency) +" for at in range(67)]
    names[1:3] = [f"net-trained-on-SIN-and-IN-then-finetuned-{end}" for end in "ab"]  # equal where they are cut
    rows = tuple((place, name, cell, 1280, ("standard", "finetuned(standard)"), cell) for name in names)
    table = Table(title="cue-conflict", caption="1280 images", fields=fields, rows=rows)
    print_tables([table], narrow=True, paged=True)
    (shown,) = terminal_of_80
    lines = [line.rstrip() for line in shown.splitlines()]
    assert len(lines) <= 80 and max(map(len, shown.splitlines())) == 80 and "... 2 more columns, --wide" in lines
    assert "10 (9-12)  net-0-0 (error-consistency) +" + " " * 13 + "0.5123 [0.400, 0.600]  1280" in lines
    assert "10 (9-12)  net-5-trained-on-SIN-and-IN-trained-o… +  0.5123 [0.400, 0.600]  1280" in lines
    assert [line.strip() for line in lines if line.strip() in ("-a", "-b")] == ["-a", "-b"]
    print_tables([replace(table, rows=rows[:9])], narrow=True, paged=True)
    assert len(terminal_of_80) == 1 and "net-8" in capsys.readouterr().out  # it fits: no pager
    text = "".join(segment.text for segment in safe_console(width=500).render(terminal([table], 500, narrow=True)))
    assert "cues agree" in text and "more column" not in text and names[5] in text


@pytest.mark.slow
def test_a_terminal_shows_a_board_of_each_suite(terminal_of_80, bench, board, monkeypatch, capsys):
    monkeypatch.setattr("benchmark.cli.ranked_boards.table_console", printing.table_console)
    one, other = (replace(each, suite=name) for each in api.rank(api.Selection(board))[:1] for name in ("a", "b"))
    fewer = replace(one, rows=one.rows[:1])
    assert print_boards(api.Selection(board), [fewer, one, other], main=True) == 2
    shown = capsys.readouterr().out
    assert shown.endswith("... more tables: bench rank a (1); all: --wide\n")
    assert all(shown.count(row.observer) == 2 for row in one.rows)


@pytest.mark.slow
def test_trials_in_files_are_exact(bench, hostile, tmp_path):
    path = tmp_path / "trials.csv"
    assert bench("export", "--trials", NAME, "--db", hostile, "-o", path).code == 0
    with path.open(newline="", encoding="utf-8") as file:
        conditions = {row["condition"] for row in csv.DictReader(file)}
    assert conditions == {STORED}  # carriage return and all


@pytest.mark.parametrize(
    ("text", "seen"),
    [("ünïcödé", "ünïcödé"), ("a\x1b[31mb", "a?[31mb"), ("a\u202eb\u200bc", "a?b?c"), ("a\x85b\x9bc\ud800", "a b?c?")],
)
def test_printable(text, seen):
    assert printable(text) == printable_lines(text) == seen
    assert printable("a\nb\tc") == "a b c"
    assert printable_lines("a\nb\tc\r") == "a\nb\tc "


@pytest.mark.parametrize(("text", "seen"), [
    ("postgresql://me:secret@host/db", "postgresql://me:***@host/db"),
    ("--db=postgresql://me:s:e@c/r@host:5/db", "--db=postgresql://me:***@host:5/db"),
    ("postgresql://:secret@host/db", "postgresql://:***@host/db"),
    ("postgresql://host/db?user=me&password=secret&a=1", "postgresql://host/db?user=me&password=***&a=1"),
    ("postgresql://me@host/db", "postgresql://me@host/db"),
    ("https://me:secret@mirror/x failed", "https://me:***@mirror/x failed"),
    ("results.db", "results.db"), ("hf_hub:ORG/NAME@REVISION", "hf_hub:ORG/NAME@REVISION"),
    ("'postgresql:/me:secret@host/db' is", "'postgresql:/me:***@host/db' is"),
    ("postgresql//me:secret@host/db", "postgresql//me:***@host/db"),
    ("postgresql:me:secret@host/db", "postgresql:me:***@host/db"),
    ("postgresql:///me:secret@host/db", "postgresql:///me:***@host/db"),
    ("me:secret@host:5432/db", "me:***@host:5432/db"),
    ("http:/me:secret@host/a?sig=secret", "http:/me:***@host/a?***"),
    ("(https://token@host/a?sig=secret&b=1).", "(https://***@host/a?***)."),
    ("https://openreview.net/forum?id=Xa-1.", "https://openreview.net/forum?id=Xa-1."),
    ("python:/home/me@work/net.py:build", "python:/home/me@work/net.py:build"),
    ("Authorization: Bearer secret", "Authorization: Bearer ***"),
])  # fmt: skip
def test_passwords_are_masked(text, seen):
    assert redacted(text) == seen


@pytest.mark.slow
def test_no_password_is_printed(bench):
    plain = "postgresql://me:s3cret@localhost:1/db"
    urls = (
        plain, "postgresql://localhost:1/db?user=me&password=s3cret", f"{plain}?password=s3cret", f"{plain}?nonsense=1",
        "postgres ql://me:s3cret@localhost", "mysql://me:s3cret@localhost/db", plain.replace(":1", ":port"),
        plain.replace("://", ":/"), plain.replace("://", "//"),
    )  # fmt: skip
    commands = ("run -m ideal-shape --limit 2 -s cue-conflict", "doctor", "db rescore", "run --dry-run -m ideal-shape")
    for words, url in [*(("rank", url) for url in urls), *((words, plain) for words in commands)]:
        assert "s3cret" not in shown(bench(*words.split(), "--db", url)), (words, url)


def test_an_encoding_that_lacks_a_character_is_no_error(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="ascii"))
    monkeypatch.setattr("sys.argv", ["bench", "rank"])
    monkeypatch.setattr("benchmark.cli.cli.main", lambda **_options: print("best ▃", flush=True))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert (ended.value.code, written.getvalue()) == (0, b"best \\u2583\n")
