import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchmark.errors import StimuliError, UnknownName
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import added_file, entry_from, find_entry, read_catalogue


def test_every_entry_says_what_it_is_and_where_from(settings: Settings) -> None:
    for name, entry in read_catalogue(settings).items():
        assert entry.name == name
        assert entry.title and entry.license and entry.citation, name
        assert "{" not in f"{entry.url}{entry.archive}{entry.role}", name
        chosen_by_rule = entry.layout in ("voc", "coco", "clickme")
        assert entry.kind in ("trials", "scores") or chosen_by_rule or entry.count, name
        assert entry.url is None or entry.archive or entry.files, name
    assert find_entry("contrast", settings).url == (
        "https://github.com/bethgelab/model-vs-human/releases/download/v0.1/contrast.tar.gz"
    )


def test_masks_and_aliases_lead_to_entries_and_are_unique(settings: Settings) -> None:
    entries = read_catalogue(settings)
    assert {entry.mask for entry in entries.values() if entry.mask} <= set(entries)
    aliases = [alias for entry in entries.values() for alias in entry.aliases]
    assert len(set(aliases)) == len(aliases)
    assert not set(aliases) & set(entries)
    assert find_entry("silhouettes", settings).name == "filled-silhouettes"


def test_unknown_name_gives_close_ones(settings: Settings) -> None:
    with pytest.raises(UnknownName, match="Did you mean: cue-conflict"):
        find_entry("cue-conflcit", settings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not valid YAML"),
        ("- a", "expected a table"),
        ("a: {role: r, space: s}", "'a': field 'layout' is missing"),
        (
            "a: {role: r, space: s, layout: heap}",
            "field 'layout': expected: Input should be 'class-folder'.*found 'heap'",
        ),
        ("a: {role: r, space: s, layout: session, colour: red}", "field 'colour': expected: no such field"),
        (
            "a: {role: r, space: s, layout: session, parts: 3}",
            "field 'parts': expected: Input should be a valid tuple, found '3'",
        ),
        ("a: {role: r, space: s, layout: session, count: many}", "field 'count': expected: .*, found 'many'"),
        (
            "a: {role: r, space: s, layout: session, folder: [x]}",
            "field 'folder': expected: Input should be a valid string",
        ),
        ("a: {role: r, space: s, layout: session, kind: sounds}", "field 'kind': expected: .*, found 'sounds'"),
        ("edges: {folder: 7}", "'edges': field 'folder': expected: .*, found '7'"),
        ("7: {role: r, space: s, layout: session}", "expected a table"),
        (b"a: {title: M\xfcller}", "not valid YAML"),
        (b"\xff\xfe\x00", "not valid YAML"),
        ("a: &a [*a]", "cannot be read"),
        (f"a: {'[' * 200}{']' * 200}", "cannot be read"),
    ],
)
def test_a_bad_file_of_added_sets_is_named(settings: Settings, text: str | bytes, message: str) -> None:
    path: Path = added_file(settings)
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(StimuliError, match=message) as error:
        read_catalogue(settings)
    assert str(path) in str(error.value)


def test_the_packages_own_entries_are_valid(settings: Settings) -> None:
    """They are not checked at every start."""
    for name, entry in read_catalogue(settings).items():
        row = {key: value for key, value in asdict(entry).items() if key != "name"}
        assert entry_from(name, row, "catalogue.yaml") == entry


ADD = """
import sys
from pathlib import Path
from benchmark.variables import read_settings
from benchmark.stimuli.fetch import add

sys.stdin.readline()  # all start at once
for i in range(5):
    add(f"set-{sys.argv[1]}-{i}", sys.argv[2], read_settings(), space="any")
"""


@pytest.mark.slow
def test_eight_processes_that_add_sets_lose_none(settings: Settings, home: Path, tmp_path: Path) -> None:
    (tmp_path / "set" / "cat").mkdir(parents=True)
    (tmp_path / "set" / "cat" / "a.png").write_bytes(b"")
    words = [sys.executable, "-c", ADD]
    running = [subprocess.Popen([*words, str(i), str(tmp_path / "set")], stdin=subprocess.PIPE) for i in range(8)]
    for one in running:
        assert one.stdin is not None
        one.stdin.write(b"\n")
        one.stdin.flush()
    assert [one.wait(60) for one in running] == [0] * 8
    added = [name for name in read_catalogue(replace(settings, home=home)) if name.startswith("set-")]
    assert len(added) == 40
