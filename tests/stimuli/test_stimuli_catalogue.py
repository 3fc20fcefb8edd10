from pathlib import Path

import pytest

from benchmark.errors import StimuliError, UnknownName
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import added_file, find_entry, read_catalogue


def test_every_entry_says_what_it_is_and_where_from(settings: Settings) -> None:
    for name, entry in read_catalogue(settings).items():
        assert entry.name == name
        assert entry.title and entry.license and entry.citation, name
        assert "{" not in f"{entry.url}{entry.archive}{entry.role}", name
        chosen_by_rule = entry.layout in ("voc", "coco", "clickme")
        assert entry.kind == "trials" or chosen_by_rule or entry.count, name
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
        ("a: {role: r, space: s}", "needs 'layout'"),
        ("a: {role: r, space: s, layout: heap}", "layout 'heap'"),
        ("a: {role: r, space: s, layout: session, colour: red}", "unknown field 'colour'"),
    ],
)
def test_a_bad_file_of_added_sets_is_named(settings: Settings, text: str, message: str) -> None:
    path: Path = added_file(settings)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(StimuliError, match=message) as error:
        read_catalogue(settings)
    assert str(path) in str(error.value)
