"""Digests of sets and of files: against plain formulas, and what is remembered of a folder."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.stimuli import image_files
from benchmark.stimuli.image_files import file_digests, set_digest

LONG_AGO = (1_000_000_000, 1_000_000_000)


@pytest.fixture
def fill(tmp_path):
    """fill(name=text, ...): files changed long ago, in one folder."""

    def make(**texts):
        folder = tmp_path / "set"
        folder.mkdir(exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text)
            os.utime(folder / name, LONG_AGO)
        return folder

    return make


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Files count as settled at once: nobody can set the time of a file's last change back."""
    monkeypatch.setattr(image_files, "SETTLED", -(10**18))


@pytest.fixture
def reads(monkeypatch):
    """Names of the files that were read."""
    seen = []
    read = image_files.file_digest

    def note(path):
        seen.append(Path(path).name)
        return read(path)

    monkeypatch.setattr(image_files, "file_digest", note)
    return seen


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


# Each in a way of its own that JSON writes a letter. All letters would be looked up in a table that takes a second.
LETTERS = 'a/"\\\n\0\x7f\xe9\u2028\u6f22\U0001f600'


@given(st.lists(st.text(LETTERS, max_size=5), max_size=9), st.integers(0, 2))
def test_the_digest_of_a_set_is_that_of_its_json_text(ids, columns):
    items = [sha(text) for text in ids]
    labels = {name: np.array(ids, dtype=str) for name in ("texture", "category")[:columns]}
    table = {"ids": ids, "items": items,
             "labels": {name: labels[name].tolist() for name in sorted(labels)}}  # fmt: skip
    assert set_digest(ids, items, labels) == sha(json.dumps(table, separators=(",", ":")))


def test_only_new_and_changed_files_are_read(settings, fill, reads):
    folder = fill(b="one", a="two")
    assert list(file_digests(["b", "a"], folder, settings)) == [sha("one"), sha("two")]
    fill(c="three", aa_a_longer_name="four")
    names = ["c", "b", "aa_a_longer_name", "a"]
    expected = [sha(text) for text in ("three", "one", "four", "two")]
    assert list(file_digests(names, folder, settings)) == expected
    assert reads == ["b", "a", "c", "aa_a_longer_name"]
    assert list(file_digests([folder / name for name in names], folder, settings)) == expected
    (folder / "b").write_text("longer")
    os.utime(folder / "b", LONG_AGO)
    assert list(file_digests(["a", "b"], folder, settings)) == [sha("two"), sha("longer")]
    assert reads[4:] == ["b"]
    assert list(file_digests([], folder, settings)) == []


@pytest.mark.parametrize("how", ["written over", "put in its place"])
def test_a_change_behind_an_equal_size_and_time_is_seen(settings, fill, how):
    folder = fill(a="one", b="two")
    assert list(file_digests(["a", "b"], folder, settings)) == [sha("one"), sha("two")]
    if how == "written over":
        fill(a="eno")
    else:
        fill(other="eno")
        (folder / "other").replace(folder / "a")
    state = (folder / "a").stat()
    assert (state.st_size, state.st_mtime) == (3, LONG_AGO[1])
    assert list(file_digests(["a", "b"], folder, settings)) == [sha("eno"), sha("two")]
