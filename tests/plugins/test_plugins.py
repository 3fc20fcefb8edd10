"""Packages of a third party, all in one environment: a suite, corruptions, maps and an attack run and stand on boards;
what is broken is named and stops nobody."""

import json
import os
import subprocess
import sys

import pytest

from benchmark.templates import write_package

pytestmark = [pytest.mark.slow, pytest.mark.release]

#: A process that answers `bench` commands, given as JSON.
ANSWERS = """
import contextlib, io, json, sys, traceback
from benchmark.cli import main

ended = []
for words in json.load(sys.stdin):
    sys.argv, code, texts = ["bench", *words], 0, (io.StringIO(), io.StringIO())
    with contextlib.redirect_stdout(texts[0]), contextlib.redirect_stderr(texts[1]):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            traceback.print_exc()
            code = 1
    ended.append((code, *(text.getvalue() for text in texts)))
json.dump(ended, sys.stdout)
"""
SUITE = """
from benchmark.contracts import Block, Metric, Plan, Score, Suite


def plan(config, shelf):
    return Plan((Block(stimuli=shelf.find("edges"), role="edges"),))


def observe(config, view):
    return {"response": view.responses}


def score(config, trials):
    if not len(trials):
        return [Score(metric="hits", value=None, reason="no trials", role="edges")]
    right = trials["response"] == trials["category"]
    return [Score(metric="hits", value=float(right.mean()), n=len(trials), role="edges")]


SUITE = Suite(
    name="third-party",
    version=1,
    summary="share of hits on edge drawings",
    needs="decisions",
    metrics=(Metric(name="hits", title="hits", definition="hits", role="edges", headline=True),),
    plan=plan,
    observe=observe,
    score=score,
    spaces=("world16",),
)
"""
OTHERS = """
TYPE = {"name": "wrong-type"}
from third_party.good import SUITE as NAME
"""
ENTRIES = """[bench.suites]
third-party = third_party.good:SUITE
does-not-import = third_party.broken:SUITE
wrong-type = third_party.others:TYPE
wrong-name = third_party.others:NAME
no-attribute = third_party.good:NOTHING
"""
BROKEN = {
    "does-not-import": "does_not_exist_anywhere",
    "wrong-type": "expected a gestaltbench.contracts.Suite, got dict",
    "wrong-name": "third-party",
    "no-attribute": "NOTHING",
}
WARPS = """
def swirl(images, level, seeds):
    return images.flip(-1) if level == "full" else images


def dim(images, level, seeds):
    return images * level
"""
#: By package: a list that is sound, one without a unit, none, and one that ships a corruption again and lacks another.
CORRUPTIONS = {
    "third_warps": """
defaults: {family: warp, citation: "Somebody (2026)", unit: ""}
corruptions:
  swirl: {levels: [none, full], plain: [none], ordered: false, function: "third_warps.warps:swirl"}
  fade: {family: weather, unit: share, levels: [0.8, 0.2], function: "third_warps.warps:dim"}
  dim: {levels: [0.5], function: "third_warps.warps:dim"}
""",
    "second_odd": "corruptions:\n  odd: {family: warp, levels: [1]}\n",
    "second_none": "",
    "second_same": """
defaults: {family: warp, citation: "c", unit: ""}
corruptions:
  dim: {levels: [1], function: "third_warps.warps:dim"}
  gone: {levels: [1], function: "third_warps.warps:nothing"}
""",
}
MEASURES = """
from gestaltbench.maps import Measure


def on_object(maps, masks):
    return (maps * masks).sum(axis=(1, 2)) / maps.sum(axis=(1, 2))


MASS = Measure(title="mass share", definition="share of the mass on the object", measure=on_object)
"""
MAPS = """[bench.saliency]
my_map = my_map:MAP
mass_share = third_party.measures:MASS
not_there = third_party.measures:MISSING
"""
RUN_SUITE = "run -m ideal-shape,ideal-constant -s third-party,cue-conflict --limit 16"
RUN_CORRUPTIONS = "run -m world-standard-0 -s corruption:plugins --limit 8 -q"
RUN_ATTACK = "run -m world-standard-0 -s adversarial:my-attack --limit 8 -q"
RUN_MAPS = "run -m world-standard-0 -s saliency --limit 16 --batch-size 16 -q"
EXPORT = "export -s {} --format json"
COMMANDS = (
    *("suites", "suites check third-party", "suites show corruption", "suites show adversarial"),
    *(RUN_SUITE, "rank -s third-party --by hits", *(f"run -m ideal-shape -s {name}" for name in BROKEN)),
    *("run -m ideal-shape --limit 1 --dry-run", RUN_CORRUPTIONS, RUN_ATTACK, RUN_MAPS, "show world-standard-0"),
    *(EXPORT.format("adversarial:my-attack"), EXPORT.format("saliency")),
)


def installed(folder, name, files):
    """A folder as pip --target leaves it: a package, or its metadata."""
    (folder / name).mkdir()
    for file, text in files.items():
        (folder / name / file).write_text(text)


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """How each `bench COMMAND` ended in a process that has the packages installed."""
    folder = tmp_path_factory.mktemp("site")
    suites = {
        "good.py": SUITE, "broken.py": "import does_not_exist_anywhere", "others.py": OTHERS, "measures.py": MEASURES,
    }  # fmt: skip
    installed(folder, "third_party", {"__init__.py": "", **suites})
    for name, text in CORRUPTIONS.items():
        listed = {"corruptions.yaml": text} if text else {}
        installed(folder, name, {"__init__.py": "", "warps.py": WARPS, **listed})
    for kind in ("attack", "map"):
        write_package(f"my-{kind}", kind, folder)
    entries = f"{ENTRIES}{MAPS}[bench.attacks]\nmy-attack = my_attack:ATTACK\n[bench.corruptions]\n"
    entries += "".join(f"{name.replace('_', '-')} = {name}\n" for name in CORRUPTIONS)
    metadata = "Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n"
    installed(folder, "third_party-1.0.dist-info", {"METADATA": metadata, "entry_points.txt": entries})
    path = os.pathsep.join(map(str, (folder, folder / "my-attack", folder / "my-map")))
    how = {"cwd": tmp_path_factory.mktemp("place"), "env": os.environ | {"PYTHONPATH": path}, "text": True}
    given = json.dumps([command.split() for command in COMMANDS])
    done = subprocess.run([sys.executable, "-c", ANSWERS], input=given, capture_output=True, **how)
    assert done.returncode == 0, done.stderr
    answers = (subprocess.CompletedProcess([], *one) for one in json.loads(done.stdout))
    return dict(zip(COMMANDS, answers, strict=True))


def test_a_suite_is_checked_runs_and_ranks_beside_ours(ended):
    ran, ranked, checked = (ended[x] for x in (RUN_SUITE, "rank -s third-party --by hits", "suites check third-party"))
    assert ran.returncode == 0, ran.stderr
    assert all(text in ran.stdout for text in ("models by suites", "third-party", "cue-conflict"))
    assert "left out" not in ran.stderr  # nobody asked for them
    assert ranked.returncode == 0 and "ideal-shape" in ranked.stdout and "1.0000" in ranked.stdout
    assert checked.returncode == 0, checked.stdout
    assert "FAIL" not in checked.stdout and "Traceback" not in checked.stderr


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_suite_is_listed_an_error_where_it_is_asked_for_and_left_out_of_all(name, ended):
    listed, asked = ended["suites"], ended[f"run -m ideal-shape -s {name}"]
    (line,) = [line for line in listed.stdout.splitlines() if line.startswith(name)]
    assert listed.returncode == 1 and "BROKEN" in line and BROKEN[name] in line
    assert "third-party" in listed.stdout and "cue-conflict" in listed.stdout
    assert asked.returncode == 1
    assert asked.stderr.startswith(f"bench: suite '{name}'") and asked.stderr.count("\n") == 1
    everything = ended["run -m ideal-shape --limit 1 --dry-run"].stderr.splitlines()
    (line,) = [line for line in everything if f"'{name}' is skipped" in line]
    assert BROKEN[name] in line


def test_corruptions_are_listed_and_run_and_what_is_broken_is_named(ended):
    ran, details = ended[RUN_CORRUPTIONS], ended["show world-standard-0"]
    assert "variant corruption:plugins: Corruptions of other packages:" in ended["suites show corruption"].stdout
    assert ran.returncode == 0, ran.stderr
    assert "corruption:plugins (version 4), world16" in ran.stdout
    assert details.returncode == 0, details.stderr
    text = " ".join(details.stdout.split())
    assert all(condition in text for condition in ("swirl/full", "fade/0.8", "fade/0.2", "dim/1"))
    assert not any(condition in text for condition in ("swirl/none", "dim/0.5", "fog/1"))
    for said in ("field 'unit' is missing", "corruptions.yaml", "another package ships a corruption 'dim'", "'gone'"):
        assert said in text


def board_of(ended, run, suite):
    assert ended[run].returncode == 0, ended[run].stderr
    (board,) = json.loads(ended[EXPORT.format(suite)].stdout)
    assert board["suite"] == suite
    return board


def test_the_attack_of_the_template_has_a_board(ended):
    said = "variant adversarial:my-attack: one random step, of another package, alone"
    assert said in ended["suites show adversarial"].stdout
    assert board_of(ended, RUN_ATTACK, "adversarial:my-attack")["rows"]


def test_maps_and_measures_stand_on_the_board_by_their_names(ended):
    shown, board = ended["show world-standard-0"], board_of(ended, RUN_MAPS, "saliency")
    scores = board["rows"][0]["scores"]
    titles = {column["metric"]: column["title"] for column in board["columns"]}
    assert (titles["my_map_object_auc_excess"], titles["mass_share"]) == ("gradient x input", "mass share")
    assert -1 < scores["my_map_object_auc_excess"]["value"] < 1
    assert 0 < scores["mass_share"]["low"] < scores["mass_share"]["value"] < scores["mass_share"]["high"] < 1
    assert scores["mass_share"]["n"] == 16
    assert "not_there" in shown.stdout and "MISSING" in shown.stdout.replace("\n", "")
