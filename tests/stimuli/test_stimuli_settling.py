"""Folders that appear whole or not at all."""

import pytest

from benchmark.errors import StimuliError
from benchmark.stimuli.downloads import Note, is_made, make_folder

NOTE = Note("made.txt", "recipe")


def test_appears_whole_with_its_note_last(tmp_path):
    target, seen = tmp_path / "set", []

    def fill(folder):
        seen.append((target.exists(), (folder / NOTE.name).exists()))
        (folder / "a").write_text("1")
        (folder / ".b-123").write_text("half")

    make_folder(target, NOTE, fill)
    assert seen == [(False, False)] and is_made(target, NOTE)
    assert sorted(path.name for path in target.iterdir()) == ["a", "made.txt"]
    make_folder(target, NOTE, fill)
    assert len(seen) == 1


def test_goes_on_with_what_an_interrupted_call_left_and_leaves_other_sets_alone(tmp_path):
    target = tmp_path / "set"

    def killed(folder):
        (folder / "a").write_text("1")
        raise KeyboardInterrupt

    for place in (target, tmp_path / "set-2"):
        with pytest.raises(KeyboardInterrupt):
            make_folder(place, NOTE, killed)
    make_folder(target, NOTE, lambda folder: (folder / "b").write_text((folder / "a").read_text()))
    assert (target / "b").read_text() == "1"
    left = [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert len(left) == 1 and left[0].startswith(".set-2-")


def test_what_lies_there_is_replaced_only_where_it_was_made_and_may_be(tmp_path):
    target, other = tmp_path / "set", Note(NOTE.name, "another recipe")

    def fill(folder):
        (folder / "a").write_text("1")

    target.mkdir()
    (target / "photo").write_text("mine")
    with pytest.raises(StimuliError, match="was not made by this command"):
        make_folder(target, NOTE, fill, replace=True)
    assert (target / "photo").read_text() == "mine"
    (target / "photo").unlink()
    make_folder(target, NOTE, fill)
    with pytest.raises(StimuliError, match="other settings"):
        make_folder(target, other, fill)
    assert is_made(target, NOTE)
    make_folder(target, other, fill, replace=True)
    assert is_made(target, other) and [path.name for path in tmp_path.iterdir()] == ["set"]


def test_another_process_that_is_first_wins(tmp_path):
    target = tmp_path / "set"

    def overtaken(folder):
        target.mkdir()
        (target / "whole").write_text("1")
        (target / NOTE.name).write_text(NOTE.text)
        (folder / "rest").write_text("0")

    make_folder(target, NOTE, overtaken)
    assert sorted(path.name for path in target.iterdir()) == ["made.txt", "whole"]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
