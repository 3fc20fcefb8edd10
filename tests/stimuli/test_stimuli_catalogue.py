import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from refusals import refused

from benchmark.errors import UnknownName
from benchmark.stimuli.catalogue import added_file, find_entry, read_catalogue


def test_every_entry_says_what_it_is_and_where_from(settings):
    for name, entry in read_catalogue(settings).items():
        assert entry.name == name
        assert entry.title and entry.license and entry.citation, name
        assert "{" not in f"{entry.url}{entry.archive}{entry.role}", name
        number_not_stated = entry.layout in ("voc", "coco", "clickme") or name.startswith(("refined_bias_", "laion-c"))
        assert entry.kind in ("trials", "scores") or number_not_stated or entry.count, name
        assert entry.url is None or entry.archive or entry.files, name
    assert find_entry("contrast", settings).url == (
        "https://github.com/bethgelab/model-vs-human/releases/download/v0.1/contrast.tar.gz"
    )


def test_masks_and_aliases_lead_to_entries_and_are_unique(settings):
    entries = read_catalogue(settings)
    assert {entry.mask for entry in entries.values() if entry.mask} <= set(entries)
    aliases = [alias for entry in entries.values() for alias in entry.aliases]
    assert len(set(aliases)) == len(aliases)
    assert not set(aliases) & set(entries)
    assert find_entry("silhouettes", settings).name == "filled-silhouettes"


def test_unknown_name_gives_close_ones(settings):
    with pytest.raises(UnknownName, match="Did you mean: cue-conflict"):
        find_entry("cue-conflcit", settings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "expected a table"),
        ("a: {role: r, space: s}", "'a': field 'layout' is missing"),
        ("a: {role: r, space: s, layout: heap}", "field 'layout': expected: .*found 'heap'"),
        ("a: {role: r, space: s, layout: session, colour: red}", "field 'colour': expected: no such field"),
        ("edges: {folder: 7}", "'edges': field 'folder': expected: .*, found '7'"),
        (b"\xff\xfe\x00", "not valid YAML"),
    ],
)
def test_a_bad_file_of_added_sets_is_named(settings, text, message):
    path: Path = added_file(settings)
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    assert str(path) in refused(message, read_catalogue, settings)


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
def test_processes_that_add_sets_at_once_lose_none(settings, home, tmp_path):
    (tmp_path / "set" / "cat").mkdir(parents=True)
    (tmp_path / "set" / "cat" / "a.png").write_bytes(b"")
    words = [sys.executable, "-c", ADD]
    running = [subprocess.Popen([*words, str(i), str(tmp_path / "set")], stdin=subprocess.PIPE) for i in range(4)]
    for one in running:
        one.stdin.write(b"\n")
        one.stdin.flush()
    assert [one.wait(300) for one in running] == [0] * 4
    added = [name for name in read_catalogue(replace(settings, home=home)) if name.startswith("set-")]
    assert len(added) == 20
