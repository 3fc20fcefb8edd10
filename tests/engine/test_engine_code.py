"""Every line that can change a trial changes the observation key, every line that can change a score changes the score
key, and no other line does: a plug-in with code of every kind, edited line by line."""

import importlib
import itertools

import pytest
from engine_mutants import GUILTY, INNOCENT, MOVES, PLUGIN

from benchmark.contracts import Block, Policy, Transform
from benchmark.identity import observation_key, score_code
from benchmark.testing import toy_stimuli

STIMULI = toy_stimuli("natural")
#: What the quick tier tries; the rest is slow.
QUICK = {
    "the function itself",
    "a captured constant",
    "data read at import",
    "score",
    "a comment",
    "a module's name",
}
NUMBERS = itertools.count()  # a package's name is used once, as Python keeps what it imported


@pytest.fixture(scope="module")
def keys_of(tmp_path_factory):
    """The two keys of a plug-in with those files, imported under a name of its own."""
    folder = tmp_path_factory.mktemp("plugins")

    def keys_of(files):
        package = f"toyplugin{next(NUMBERS)}"
        for name, text in files.items():
            place = folder / package / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(text.replace("PACKAGE", package).encode())
        suite = importlib.import_module(package).SUITE
        apply = importlib.import_module(f"{package}.tools").made(1)
        block = Block(STIMULI, role="natural", transform=Transform("made", {}, apply))
        return {
            "observation": observation_key("weights", block, suite, Policy()),
            "score": score_code(suite),
        }

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield keys_of


@pytest.fixture(scope="module")
def base(keys_of):
    return keys_of(PLUGIN)


def kinds(edits):
    return [pytest.param(kind, marks=[] if kind in QUICK else pytest.mark.slow) for kind in edits]


def edited(file, old, new):
    text = PLUGIN.get(file, "")
    assert not old or text.count(old) == 1, (file, old)
    return {**PLUGIN, file: text.replace(old, new) if old else new}


def changed(keys, base):
    return {name for name, key in keys.items() if key != base[name]}


@pytest.mark.parametrize("kind", kinds(GUILTY))
def test_a_line_that_changes_a_number_changes_its_key_and_no_other(keys_of, base, kind):
    file, old, new, expected = GUILTY[kind]
    assert changed(keys_of(edited(file, old, new)), base) == expected


@pytest.mark.parametrize("kind", kinds(INNOCENT))
def test_a_line_that_changes_no_number_changes_no_key(keys_of, base, kind):
    assert changed(keys_of(edited(*INNOCENT[kind])), base) == set()


@pytest.mark.parametrize("kind", kinds(MOVES))
def test_the_name_and_the_place_of_a_file_do_not_count(keys_of, base, kind):
    old_file, new_file, old, new = MOVES[kind]
    moved = {name: text.replace(old, new) for name, text in PLUGIN.items() if name != old_file}
    assert changed(keys_of({**moved, new_file: PLUGIN[old_file]}), base) == set()


def test_there_are_as_many_edits_as_promised():
    assert len(GUILTY) >= 40 and len(INNOCENT) + len(MOVES) >= 20
