"""A board in git that many share: submissions are the same each time, and every forgery is told from a change."""

import json
import os
import shutil
import subprocess
import sys
from base64 import b64decode, b64encode
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from benchmark import api
from benchmark.api.board_checks import check_board
from benchmark.api.leaderboard_import import import_document
from benchmark.api.submissions import attest, submit, write_board
from benchmark.failures import BenchError
from benchmark.leaderboard.leaderboard_document import checked_document, plain_json
from benchmark.report.board_site import build_board
from benchmark.store import open_store
from benchmark.store.codec import decode, encode
from benchmark.templates import BOARD
from registry import loading
from registry.files import digest_data, digest_file

pytestmark = pytest.mark.slow
OWNERS = ("anna", "bo", "chi", "dee")


def networks(document, n):
    """A document of n networks with answers, and so errors, of their own."""
    plain = {name: [] for name in ("observers", "score_sets", "scores", "observations", "chunks")}
    plain |= {name: document[name] for name in ("form", "version", "program", "stimuli", "runs")}
    (who,) = document["observers"]
    for i in range(n):
        random, own = np.random.default_rng(i), {"observer": f"net-{i}"}
        keys = {row["key"]: digest_data([row["key"], i]) for row in document["observations"]}
        card = {"sha256": digest_data(["weights", i]), "training": ["standard"], "weights": "/home/me/secret/net.pt"}
        named = {"name": f"net-{i}", "kind": "network", "identity": digest_data(["net", i]), "card": card}
        plain["observers"].append(who | named)
        plain["observations"] += [row | own | {"key": keys[row["key"]]} for row in document["observations"]]
        for chunk in document["chunks"]:
            columns = decode(b64decode(chunk["payload"]), chunk["n"])
            other = random.permutation(columns["response"])
            columns["response"] = np.where(random.random(len(other)) < 0.5, other, columns["response"])
            payload = b64encode(encode(columns)).decode()
            plain["chunks"].append(chunk | {"observation": keys[chunk["observation"]], "payload": payload})
        for row in document["score_sets"]:
            new = 100 * i + row["id"]
            plain["score_sets"].append(row | {"id": new, "observations": [keys[key] for key in row["observations"]]})
            plain["scores"] += [score | own | {"score_set": new} for score in document["scores"]]
    return checked_document(Path("nets"), plain)


def git(folder, *words):
    who = ["-c", "user.name=anna", "-c", "user.email=a@b"]
    return subprocess.run(["git", "-C", folder, *who, *words], check=True, capture_output=True, text=True).stdout


def founded(folder, numbers):
    """(leaderboard of networks, board of those with these numbers by four owners, in a bare git repository)."""
    folder.mkdir()
    api.run(db=str(folder / "ideal.db"), models="ideal-noisy", suites="cue-conflict", limit=24, batch=8)
    document = api.document(api.Selection(folder / "ideal.db")).model_dump(mode="json")
    db, board = folder / "nets.db", folder / "board"
    with open_store(str(db)) as store:
        import_document(store, Path("nets"), networks(document, max(6, max(numbers) + 1)), "made", "made")
    for i in numbers:
        submit(api.Selection(db), f"net-{i}", to=board, owner=OWNERS[i % 4])
    git(folder, "init", "-q", "-b", "main", "board")
    git(board, "add", "-A")
    git(board, "commit", "-qm", "begun")
    git(folder, "clone", "-q", "--bare", "board", "bare.git")
    return db, board


@pytest.fixture(scope="module")
def shared(folder):
    return founded(folder / "four", range(4))


@pytest.fixture(scope="module")
def twelve(folder):
    return founded(folder / "twelve", [*range(4), *range(6, 14)])


@pytest.fixture
def board(shared, tmp_path):
    """A clone, to be changed."""
    git(tmp_path, "clone", "-q", str(shared[1].parent / "bare.git"), "clone")
    return tmp_path / "clone"


def place(board, i):
    (found,) = board.glob(f"results/*__net-{i % 4}/*")
    return found


def reseal(folder):
    """What a forger who knows the form would do."""
    run = json.loads((folder / "run.json").read_text())
    run["seals"] = {name: digest_file(folder / name) for name in run["seals"] if (folder / name).exists()}
    (folder / "run.json").write_bytes(plain_json(run))


def edit(folder, name, change):
    plain = json.loads((folder / name).read_text())
    change(plain)
    (folder / name).write_bytes(plain_json(plain))
    reseal(folder)


def rows(folder, change, at=0):
    """Change a table of trials: change(pandas frame) -> frame."""
    path = sorted((folder / "trials").iterdir())[at]
    table = pq.read_table(path)
    frame = change(table.to_pandas())
    pq.write_table(pa.Table.from_pandas(frame, table.schema, preserve_index=False), path)
    reseal(folder)


@pytest.mark.release
def test_a_submission_has_the_same_bytes_each_time_and_nothing_of_the_machine(shared, tmp_path, bench):
    db, board = shared
    said = bench("submit", "net-0", "--to", tmp_path / "other", "--owner", "anna", "--db", db)
    assert said.code == 0 and "net-0/" in said.out
    for path in (file for file in (tmp_path / "other").rglob("*.*") if file.is_file()):
        assert path.read_bytes() == (board / path.relative_to(tmp_path / "other")).read_bytes()
        assert not any(word in path.read_bytes() for word in (b"secret", b"/home", str(db.parent).encode()))
    assert check_board(board, base="HEAD").exit_code == 0
    report = check_board(board, [str(place(board, 0).relative_to(board))])
    assert len(check_board(board, ["results/bo__net-1/", "results/nobody"]).submissions) == 1
    assert report.findings == [] and report.placed[0][1:3] == ("cue-conflict", "shape bias")
    assert report.placed[0][4].endswith("of 4")


def rolled(frame):
    """Every answer moved by one."""
    name = next(name for name in frame if name.endswith(": response"))
    return frame.assign(**{name: np.roll(frame[name], 1)})


def settled(run):
    """A run whose blocks of the first set state one image less."""
    digest = min(row["digest"] for row in run["stimuli"])
    for row in run["observations"]:
        row["n"] -= row["stimuli"] == digest


def without_block(folder):
    """Without the trials of silhouettes, and without a word of them."""

    def silent(run):
        (gone,) = (row for row in run["observations"] if row["role"] == "silhouettes")
        run["observations"].remove(gone)
        for scored in run["score_sets"]:
            scored["observations"].remove(gone["key"])
            del scored["stimuli"]["silhouettes"]
        (folder / "trials" / f"{gone['stimuli']}.parquet").unlink()

    edit(folder, "run.json", silent)
    edit(folder, "scores.json", lambda s: s.__setitem__(slice(None), [r for r in s if r["role"] != "silhouettes"]))


def copied(board, new):
    """The answers of net-1 as those of net-4, which `new` holds."""
    theirs = place(board, 1)
    for file, own in zip(sorted((theirs / "trials").iterdir()), sorted((new / "trials").iterdir()), strict=True):
        keys = pq.read_table(own).column("observation")
        pq.write_table(pq.read_table(file).set_column(0, "observation", keys), own)
    other = json.loads((theirs / "scores.json").read_text())

    def replaced(scores):
        own = {"observer": "net-4", "score_set": min(row["score_set"] for row in scores)}
        scores[:] = [row | own for row in other]

    edit(new, "scores.json", replaced)


def value(scores):
    next(row for row in scores if row["value"] is not None and row["metric"] == "shape_bias").update(value=0.99)


def to(i, change, *given):
    """A change of the submission of net-i."""
    return lambda board, db: change(place(board, i), *given)


def submitted(name, owner, then=lambda board, folder: None):
    """A new submission, and what is done to it."""

    def change(board, db):
        then(board, submit(api.Selection(db), name, to=board, owner=owner))

    return change


def moved(new):
    return lambda board, db: shutil.copytree(place(board, 2), board / "results" / new / place(board, 2).name)


def zipped(folder):
    """Trials as another writer of Parquet has them."""
    for path in (folder / "trials").iterdir():
        pq.write_table(pq.read_table(path), path, compression="gzip")


FORGED = {
    "altered value": (to(0, edit, "scores.json", value), "is 0.99, the trials give"),
    "altered value, not sealed": (to(0, lambda f: (f / "scores.json").write_text("[]")), "not the file that"),
    "altered interval": (to(0, edit, "scores.json", lambda s: s[0].update(low=0.0, high=1.0)), "not what the trials"),
    "a score more": (to(0, edit, "scores.json", lambda s: s.append(s[0] | {"metric": "genius"})), "is "),
    "altered trial": (to(1, rows, rolled), "altered or removed"),
    "altered trial, not sealed": (to(1, zipped), "not the file that was sealed"),
    "altered trial of a new network": (
        submitted("net-4", "anna", lambda b, f: rows(f, rolled)), "not what the trials give"),
    "missing trial": (to(2, rows, lambda frame: frame.iloc[:-1]), "has too many trials"),
    "missing trial, and one less stated": (
        to(2, lambda f: (rows(f, lambda frame: frame.iloc[:-1]), edit(f, "run.json", settled))), "are missing"),
    "missing block": (to(3, without_block), "missing"),
    "missing block of a new network": (
        submitted("net-4", "bo", lambda b, f: without_block(f)), "missing: silhouettes"),
    "images in another order": (to(3, rows, lambda frame: frame.iloc[::-1]), "not of the set's images"),
    "half of the images under the name of all": (
        to(4, edit, "run.json", lambda r: r["stimuli"][0].update(digest="0" * 64)), "another one under a known name"),
    "answers of another network": (submitted("net-4", "anna", copied), "answers, "),
    "weights of another": (moved("dee__net-2"), "are on the board already"),
    "another name in the folder": (moved("chi__better"), "its files are of"),
    "a retraction undone": (None, "its retraction is undone"),
    "removed": (to(5, shutil.rmtree), "it is removed"),
    "a later version": (to(6, edit, "scores.json", lambda s: [r.update(version=99) for r in s]), "of another suite"),
    "another's submission": (None, "is changed by"),
    "altered verdict": (to(8, lambda f: ((f / "verdict.md").write_text("the best"), reseal(f))), "its verdict is not"),
}  # fmt: skip


def some(kinds):
    """CI takes every third, a release all."""
    return [pytest.param(kind, marks=[pytest.mark.release] * (i % 3 > 0)) for i, kind in enumerate(kinds)]


@pytest.mark.parametrize("kind", some(FORGED))
def test_a_forgery_is_refused(kind, shared, board):
    change, wanted = FORGED[kind]
    if kind == "a retraction undone":
        submit(api.Selection(shared[0]), "net-3", to=board, owner="dee", retract="wrong preprocessing")
        git(board, "add", "-A")
        git(board, "commit", "-qm", "retracted")
        (place(board, 7) / "retracted.json").unlink()
    elif kind == "another's submission":
        submit(api.Selection(shared[0]), "net-3", to=board, owner="dee", retract="not mine")
    else:
        change(board, shared[0])
    report = check_board(board, base="HEAD", owner="anna" if kind == "another's submission" else None)
    said = [each.text for each in report.findings if each.weight == "refused"]
    assert report.exit_code == 1 and any(wanted in text for text in said), report.findings


def older(folder):
    """As the version before made it, whose number is another."""

    def earlier(sets):
        for row in sets:
            row["version"] -= 1

    edit(folder, "run.json", lambda run: earlier(run["score_sets"]))
    edit(folder, "scores.json", lambda scores: (earlier(scores), value(scores)))


def without_verdict(folder):
    (folder / "verdict.md").unlink()
    edit(folder, "run.json", lambda run: run["seals"].pop("verdict.md"))


def written(path, text="more"):
    def change(board, db):
        (board / path).parent.mkdir(parents=True, exist_ok=True)
        (board / path).write_text(text)

    return change


def unscored(folder):
    """Numbers alone."""
    shutil.rmtree(folder / "trials")
    edit(folder, "run.json", lambda run: [part.update(observations=[]) for part in (run, *run["score_sets"])])


def another_suite(folder):
    """Numbers of a suite that is not installed here."""
    edit(folder, "run.json", lambda r: r["score_sets"].append(r["score_sets"][0] | {"id": 999, "suite": "theirs"}))
    edit(folder, "scores.json", lambda s: s.append(s[0] | {"suite": "theirs", "score_set": 999}))


def retracted(name, owner):
    return lambda board, db: submit(api.Selection(db), name, to=board, owner=owner, retract="by mistake")


#: What is changed -> exit code, and a word of the report.
HONEST = {
    "nothing": (lambda board, db: None, 0, "0 submissions"),
    "a new network": (submitted("net-4", "anna"), 0, "of {n}"),
    "a new network of a new owner": (submitted("net-5", "eve"), 0, "of {n}"),
    "two at once": (lambda b, db: [submitted(f"net-{i}", "bo")(b, db) for i in (4, 5)], 0, "2 submissions"),
    "the same again": (submitted("net-3", "dee"), 0, "0 submissions"),
    "a retraction": (retracted("net-0", "anna"), 0, "1 submission"),
    "an older version": (to(5, older), 0, "made again from the trials by version"),
    "an older program": (to(6, edit, "run.json", lambda run: run.update(program="0.0.1")), 0, "1 submission"),
    "a paper on the card": (to(7, edit, "card.json", lambda c: c["card"].update(paper="10.1")), 0, "1 submission"),
    "another writer of Parquet": (to(8, lambda f: (zipped(f), reseal(f))), 0, "1 submission"),
    "no verdict": (to(9, without_verdict), 0, "1 submission"),
    "another device": (to(10, edit, "run.json", lambda r: r["runs"][0]["environment"].update(gpu="A")), 0, "1 sub"),
    "numbers alone": (submitted("net-4", "anna", lambda board, folder: unscored(folder)), 3, "shown as reported"),
    "a suite that is not installed": (to(11, another_suite), 3, "is not installed"),
    "a new page": (written("docs/why.md"), 3, "no part of a submission"),
    "other rules": (written("RULES.md"), 3, "no part of a submission"),
    "another workflow": (written(".github/workflows/x.yml"), 3, "no part of a submission"),
    "a stimulus set": (written(f"sets/{'0' * 64}.parquet"), 3, "no part of a submission"),
    "a retraction and a new try": (
        lambda b, db: [retracted("net-0", "anna")(b, db), submitted("net-4", "anna")(b, db)], 0, "2 submissions"),
    "a note in git only": (written(".gitignore"), 3, "no part"),
}  # fmt: skip


@pytest.mark.parametrize("kind", some(HONEST))
def test_an_honest_change_is_none(kind, shared, board):
    change, code, word = HONEST[kind]
    word = word.format(n=len([*board.glob("results/*/*")]) + 1)
    change(board, shared[0])
    report = check_board(board, base="HEAD")
    assert report.exit_code == code and word in report.markdown(), report.findings


@pytest.mark.release
@pytest.mark.parametrize("kind", [*FORGED, *HONEST])
def test_a_board_of_twelve_tells_every_change(kind, twelve, tmp_path):
    git(tmp_path, "clone", "-q", str(twelve[1].parent / "bare.git"), "clone")
    told = test_a_forgery_is_refused if kind in FORGED else test_an_honest_change_is_none
    told(kind, twelve, tmp_path / "clone")


def linked(board, db):
    outside = board.parent / "outside"
    shutil.copytree(place(board, 0), outside)
    shutil.rmtree(place(board, 0))
    (board / "results" / "anna__net-0" / outside.name).symlink_to(outside)


def above(folder):
    run = json.loads((folder / "run.json").read_text())
    run["seals"]["../../../secret.parquet"] = "0" * 64
    (folder / "run.json").write_bytes(plain_json(run))


def bomb(folder):
    """A file of some kilobytes with many trials."""
    path = sorted((folder / "trials").iterdir())[0]
    table = pq.read_table(path)
    big = pa.table({name: pa.repeat(table.column(name)[0], 200_000) for name in table.column_names})
    pq.write_table(big, path, compression="zstd")
    reseal(folder)


def deep(folder):
    (folder / "scores.json").write_text("[" * 100_000)
    reseal(folder)


HOSTILE = {
    "a link to another folder": linked,
    "a file above its folder": to(0, above),
    "a bomb": to(0, bomb),
    "nothing but brackets": to(0, deep),
    "a file of another kind": to(0, lambda f: (f / "conftest.py").write_text("import os; os.abort()")),
    "a file too large": to(0, lambda f: (f / "trials" / "x.parquet").write_bytes(bytes(6 * 2**20))),
    "a space of the disk": to(0, edit, "run.json", lambda r: [o.update(space="../../etc") for o in r["observations"]]),
    "a suite of the disk": to(0, edit, "run.json", lambda r: [o.update(suite="os:system") for o in r["observations"]]),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_submission_is_refused_and_does_nothing(kind, shared, board, bench):
    HOSTILE[kind](board, shared[0])
    before = {path for path in board.parent.rglob("*") if ".git" not in path.parts}
    said = bench("board", "check", board, "--base", "HEAD")
    assert said.code == 1 and "Traceback" not in said.err and "**refused**" in said.out
    assert {path for path in board.parent.rglob("*") if ".git" not in path.parts} == before


@pytest.mark.release
def test_pages_from_a_bare_repository_have_the_same_bytes_and_show_tries_and_retractions(twelve, tmp_path, monkeypatch):
    sites = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        git(tmp_path / name, "clone", "-q", str(twelve[1].parent / "bare.git"), "board")
        board = tmp_path / name / "board"
        submit(api.Selection(twelve[0]), "net-0", to=board, owner="anna", retract="<script>alert(1)</script>")
        edit(place(board, 5), "card.json", lambda card: card["card"].update(paper="javascript:alert(1)", arch="<b>x"))
        monkeypatch.setenv("BENCH_HOME", str(tmp_path / name / "home"))
        sites.append(build_board(board, out=tmp_path / name / "site"))
    files = [{path.relative_to(s.folder): path.read_bytes() for path in s.folder.rglob("*.*")} for s in sites]
    assert files[0] == files[1] and len(files[0]) > 12
    pages = b"".join(files[0].values()).decode(errors="replace")
    listed = files[0][Path("submissions.html")].decode()
    assert listed.count("<tr><td>") == 12 and listed.count("3 of 3<td>") == 4 and listed.count("rescored<td") == 11
    assert "retracted: &lt;script&gt;" in listed and "<script>alert" not in pages and "<b>x" not in pages
    assert 'href="javascript' not in pages and "Unchecked" not in pages and "--db" not in pages
    again = f"bench reproduce --submission {place(board, 5).relative_to(board)}"
    assert again in listed and pages.count(again) > 1  # on the page of the network, too


WORKFLOWS = sorted((BOARD / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_of_a_board_are_valid_and_can_read_only_what_they_need(path):
    checker = pytest.importorskip("check_jsonschema")
    assert checker.main(["--builtin-schema", "vendor.github-workflows", str(path)], standalone_mode=False) in (0, None)
    plain = yaml.safe_load(path.read_text())
    rights = {"check": {"contents": "read"}, "rerun": {"contents": "write"}}
    assert plain["permissions"] == rights.get(path.stem, {"contents": "read", "pages": "write", "id-token": "write"})
    assert "pull_request_target" not in path.read_text()


@pytest.fixture(scope="module")
def begun(folder):
    """A new board with a network of the package, under git with a bare origin."""
    board, db = folder / "begun", folder / "world.db"
    assert write_board(board)
    api.run(db=str(db), models="world-standard-0", suites="cue-conflict,corruption:quick", limit=16)
    submit(api.Selection(db), "world-standard-0", to=board, owner="anna")
    git(folder, "init", "-q", "--bare", "origin.git")
    git(board, "init", "-q", "-b", "main")
    for words in (("add", "-A"), ("commit", "-qm", "begun"), ("remote", "add", "origin", str(folder / "origin.git"))):
        git(board, *words)
    (board / "results" / "why.md").write_text("more")
    git(board, "add", "-A")
    git(board, "commit", "-qm", "a change")
    return board


@pytest.mark.release
def test_each_step_of_the_workflows_runs_in_a_repository(begun, tmp_path, monkeypatch):
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "pip").write_text("#!/bin/sh\necho installed $*\n")
    (tools / "pip").chmod(0o755)
    env = {
        **os.environ, "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "AUTHOR": "anna", "BY": "bo",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"), "RUNNER_TEMP": str(tmp_path), "GITHUB_RUN_ID": "7",
    }  # fmt: skip
    ended = {}
    for path in reversed(WORKFLOWS):
        (job,) = yaml.safe_load(path.read_text())["jobs"].values()
        for step in (step for step in job["steps"] if "run" in step):
            words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
            done = subprocess.run(words, cwd=begun, env=env, capture_output=True, text=True)
            ended[path.stem, step["name"]] = done.returncode, done.stdout + done.stderr
        git(begun, "switch", "-q", "main")
    assert {key: code for key, (code, _) in ended.items() if code} == {("check", "Check"): 1}, ended
    assert "no place of a submission" in (tmp_path / "summary.md").read_text()
    for by in (None, "", "Anna"):
        with pytest.raises(BenchError, match=r"needs --by NAME, .*, and not the owner's"):
            attest(next(begun.glob("results/*/*")), by)
    branch = git(begun.parent / "origin.git", "show", "--stat", "--format=%an", "rerun-7")
    assert branch.startswith("bo") and "attestations/bo.json" in branch
    assert "rescored<td" in (tmp_path / "site" / "submissions.html").read_text()
    git(begun, "merge", "-q", "rerun-7")
    assert check_board(begun).exit_code == 0
    assert any(words in ended["rerun", "Answer again"][1] for words in ("64 of 64", "of 64 answers are those stored"))
    build_board(begun, out=tmp_path / "after")
    assert "re-run<td" in (tmp_path / "after" / "submissions.html").read_text()
    (file,) = begun.glob("results/*/*/attestations/bo.json")
    whole = file.read_bytes()
    for change, wanted in (
        (lambda a: a.update(agreeing=a["agreeing"] - 1), "the numbers of a sample"),
        (lambda a: a.update(by="anna"), "person other than the owner"),
        (lambda a: a.update(n=3), "the numbers of a sample"),
    ):
        plain = json.loads(whole)
        change(plain)
        file.write_bytes(plain_json(plain))
        assert wanted in check_board(begun).findings[0].text
    file.write_bytes(whole)
    (file.parent / "bo.json.sigstore.json").write_text('{"messageSignature": {"messageDigest": {"digest": "AAAA"}}}')
    assert "signs other bytes" in check_board(begun).findings[0].text
    loads, load = [], loading.load_network
    monkeypatch.setattr(loading, "load_network", lambda *a, **k: loads.append(a) or load(*a, **k))
    assert attest(file.parents[1], "carl").agreeing == 64 and len(loads) == 1  # for both suites
