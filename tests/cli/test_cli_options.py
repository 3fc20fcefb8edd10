"""No option is ignored in silence: each changes what a command asks for or prints, or is refused. A new option needs
no entry where it reaches its verb, and one of the table below where it does not."""

import inspect
import re
from itertools import pairwise
from pathlib import Path

import click
import pytest

from benchmark import api
from benchmark.api import device_check, submissions
from benchmark.cli import COMMANDS, cli, pages, suites
from benchmark.cli import data as sets
from benchmark.cli.derive import _NEEDS, Command
from benchmark.failures import BenchError
from benchmark.report import bundles
from gestaltbench import map_gallery


def commands(group, words=()):
    """Every command that is derived from a signature, with its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        each = group.get_command(context, name)
        yield from commands(each, (*words, name)) if isinstance(each, click.Group) else [((*words, name), each)]
        for part in getattr(each, "parts", {}).values():
            yield (*words, name, part.name), part


#: Options that the command reads itself, or behind a first look at names -> words that are run with and without them on
#: one leaderboard; a file of tests that tells the effect; or that they name what the command is about.
NET, OTHER = "world-standard-0", "world-stylised-0"
PAIRS = {
    "rank explain": "rank cue-conflict",
    "compare images": f"compare {NET} {OTHER}", "compare measures": f"compare {NET} {OTHER}",
    **{
        f"compare consistency {name}": "compare consistency --matrix"
        for name in ("hide", "kind", "source", "recipe", "family", "models")
    },
    "compare correlate form": "compare correlate",
    "compare measures form": "compare measures", "power form": f"power {NET} {OTHER}",
    "verdict form": f"verdict {NET}",
    "show metric": f"show {NET} cue-conflict", "show condition": f"show {NET} cue-conflict shape_bias",
    "show as_json": f"show {NET} cue-conflict shape_bias --provenance",
    "run dry_run": f"run --model {NET} --suite cue-conflict --limit 12",
}  # fmt: skip
VALUES = {"hide": NET, "kind": "model", "source": "lab", "recipe": "stylised", "family": "vit", "models": NET}
VALUES |= {"form": "csv", "metric": "shape_bias", "condition": "bear"}
TOLD = {
    "run": ("arch convert labels strict fetch", "cli/test_cli_mistakes.py"),
    "run ": ("print_array tasks", "engine/test_parallel.py"),
    "rank": ("all wide", "cli/test_cli_display.py"),
    "compare": ("suite", "cli/test_cli_families.py"),
    "compare doses": ("form", "leaderboard/test_recipe_effects.py"),
    "claims": ("form", "leaderboard/test_recipe_effects.py"),
    "power": ("train_hours", "leaderboard/test_recipe_effects.py"),
    "diff": ("images", "cli/test_cli_diff.py"),
    "compare transfer": ("form", "leaderboard/test_transfer.py"),
    "reproduce": ("condition suite", "cli/test_cli_provenance.py"),
    "reproduce ": ("metric", "leaderboard/test_boards.py"),
    "models retire": ("undo", "cli/test_cli_model_life.py"),
    "doctor": ("json_file", "engine/test_device_queue.py"),
    "plot": ("column", "face/test_face_verbs.py"),
    "plot gallery": ("column", "suites/saliency/test_saliency_gallery.py"),
    "ask": ("answers host port", "ask/test_serving.py"),
}  # fmt: skip
#: What commands call that is no verb of `api`.
BELOW = (
    (pages.site, "report"), (pages.figures, "plot"), (pages.serving, "ask"), (pages, "open_server"),
    (map_gallery, "gallery"), (suites, "write_package"), (submissions, "attest"), (bundles, "bundle"),
    *((sets, name) for name in ("fetch_set", "add_folder", "make_set", "make_stylised", "verify_set")),
    (device_check, "device_check"),
)  # fmt: skip
ABOUT = {"name", "names", "new", "a", "b", "observer", "observers", "path", "stimuli", "folder", "content", "style"}
ABOUT |= {"figure", "experiment", "output", "out", "db", "yes", "quiet"}


class Asked(Exception):
    """What a command asks of a verb."""


def sample(each, other=False):
    """A value of an option that is not its default."""
    kind = each.type
    if getattr(each, "is_flag", False):
        return True
    if isinstance(kind, click.Choice):
        value = next(choice for choice in kind.choices if choice != each.default)
    elif isinstance(kind, click.IntRange) or kind is click.INT:
        value = 7
    elif isinstance(kind, click.FloatRange):
        value = 0.25
    elif getattr(getattr(kind, "func", None), "__name__", "") == "numbers":
        value = (0.1, 0.2, 0.3)
    else:
        value = Path("xy"[other]) if isinstance(kind, click.Path) else "xy"[other]
    return (value,) if each.nargs == -1 or getattr(each, "multiple", False) else value


def asked(command, **more):
    """The verb that a command calls first, with its arguments; or that it refuses."""
    given = {each.name: sample(each) if each.required else each.default for each in command.params}
    many = {each.name for each in command.params if each.nargs == -1 or getattr(each, "multiple", False)}
    given |= {name: () if name in many else None for name in given if type(given[name]).__name__ == "Sentinel"}
    try:
        return command.callback(**{**given, **more})
    except Asked as error:
        return str(error)
    except (BenchError, click.ClickException) as error:
        return f"refused: {error}"


@pytest.fixture
def verbs(bench, monkeypatch, tmp_path, verb_cells):
    """Verbs that say what is asked of them."""
    bench("--version")  # the entry point adds commands of the rooms above
    found = [*commands(cli)]  # their signatures are read first
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))

    def stub(name):
        def verb(*given, **named):
            raise Asked(re.sub(" at 0x[0-9a-f]+", "", repr((name, given, sorted(named.items())))))  # may be reused

        return verb

    verbs = [(api, name) for name in api._modules() if inspect.isfunction(getattr(api, name))]
    for room, name in (*verbs, *BELOW):
        monkeypatch.setattr(room, name, stub(name))
    for cell in (cell for _, command in found for cell in verb_cells(command.callback)):
        monkeypatch.setattr(cell, "cell_contents", stub(cell.cell_contents.__name__))
    monkeypatch.setattr(sets, "load_style_network", lambda: None)
    return found


@pytest.mark.slow
def test_every_option_reaches_its_verb_or_has_an_entry(verbs):
    told = {f"{words.strip()} {name}": file for words, (names, file) in TOLD.items() for name in names.split()}
    left = set()
    for words, command in verbs:
        options = [each for each in command.params if each.name not in ABOUT]
        if not isinstance(command, Command):
            continue
        flags = {flag: each.name for each in command.params for flag in each.opts}
        for each in options:
            needed = _NEEDS.search(command.options[each.name].help)
            beside = {flags[needed[1]]: True} if needed else {}
            if asked(command, **beside, **{each.name: sample(each, other=True)}) == asked(command, **beside):
                left.add(" ".join((*words, each.name)))
    assert left == PAIRS.keys() | told.keys(), "options without an entry, or entries without need"
    lost = []
    for key, file in told.items():
        *words, name = key.split()
        flags = next(each.opts for known, c in verbs if [*known] == words for each in c.params if each.name == name)
        text = (Path(__file__).parents[1] / file).read_text()
        if not any(said in text for said in (*flags, f"{name}=", f'"{name}"')):
            lost.append((key, file))
    assert not lost


@pytest.mark.slow
@pytest.mark.parametrize("key", PAIRS)
def test_an_option_that_the_command_reads_changes_what_it_prints(board, bench, key):
    *_, name = key.split()
    command = next(each for words, each in commands(cli) if " ".join(words) == key.removesuffix(f" {name}"))
    each = next(each for each in command.params if each.name == name)
    flag = [] if isinstance(each, click.Argument) else [each.opts[0]]
    value = [] if getattr(each, "is_flag", False) else [VALUES[name]]
    words = PAIRS[key].split()
    ended = [bench(*words, *more, "--db", board) for more in ([], [*flag, *value])]
    assert all(before.out != after.out or after.code == 2 for before, after in pairwise(ended)), ended


@pytest.mark.slow
def test_every_option_of_every_command_is_refused_where_it_would_be_ignored():
    found = {words: each for words, each in commands(cli) if isinstance(each, Command)}
    assert {words[0] for words in found} >= {*COMMANDS} - {"import", "data", "suites", "db"}
    refused = set()
    for words, command in found.items():
        assert command.options.keys() <= {each.name for each in command.params}, words
        flags = {flag: each.name for each in command.params for flag in each.opts}
        for name, option in command.options.items():
            needed = _NEEDS.search(option.help)
            for given in [*([{name}] if needed else []), *({name, other} for other in option.without)]:
                with pytest.raises(click.UsageError):
                    command.check_together(given)
                refused.add((" ".join(words), *sorted(given)))
            command.check_together({name, flags[needed[1]]} if needed else {name})
    assert refused >= {
        ("ask", "host"), ("ask", "answers"), ("diff", "limit"), ("compare consistency", "matrix", "ranks"),
        ("compare consistency", "experiment", "ranks"), ("compare consistency", "observers", "ranks"),
    }  # fmt: skip


def test_the_refusal_names_both(bench):
    ended = bench("ask", "cue-conflict", "--port", "9000")
    assert ended.code == 2 and "--port is for --serve" in ended.err
    ended = bench("compare", "consistency", "a", "b", "--ranks")
    assert ended.code == 2 and "--ranks takes no" in ended.err
