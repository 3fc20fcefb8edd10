"""What is decoded: the very bytes that were planned, of plain files, with a white that is known."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmark.failures import StimuliError
from benchmark.stimuli import image_files
from benchmark.stimuli.catalogue import Entry, read_catalogue
from benchmark.stimuli.datasets import open_folder, open_set
from benchmark.stimuli.fetch import add_folder
from benchmark.stimuli.image_files import file_digests, read_rgb, set_digest
from benchmark.stimuli.verify import verify_set


def picture(path, value, mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4), value, dtype=np.uint8), mode="L").convert(mode).save(path)
    return path


def test_sixteen_bits_are_scaled_not_cut(tmp_path):
    levels = np.array([[0, 255, 256], [32768, 65279, 65535]], dtype=np.uint16)
    Image.fromarray(levels).save(tmp_path / "a.png")
    pixels = read_rgb(tmp_path / "a.png", "")
    assert pixels.shape == (2, 3, 3) and pixels.dtype == np.uint8
    assert pixels[..., 0].tolist() == [[0, 0, 1], [128, 254, 255]]
    assert (pixels == pixels[..., :1]).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK"])
def test_every_common_kind_of_file_gives_the_same_grey(tmp_path, mode):
    path = picture(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"), 255, mode)
    assert (read_rgb(path, "") == 255).all()


ENTRY = Entry(name="toy", role="toy", space="any", layout="class-folder")


@pytest.fixture
def folder(tmp_path):
    for i in range(4):
        picture(tmp_path / "set" / "cat" / f"{i}.png", 10 * i)
    return tmp_path / "set"


def test_a_file_that_changes_after_planning_poisons_nothing(folder, settings, tmp_path):
    from benchmark.engine.inference import decoded_chunks

    planned = open_folder(ENTRY, folder, settings)
    good = (folder / "cat" / "2.png").read_bytes()
    picture(folder / "cat" / "2.png", 200)
    with pytest.raises(StimuliError, match=r"2\.png: its content"):
        list(decoded_chunks(planned, [0], tmp_path / "decoded"))
    (folder / "cat" / "2.png").write_bytes(good)
    ((*images,),) = decoded_chunks(open_folder(ENTRY, folder, settings), [0], tmp_path / "decoded")
    assert [image[0, 0, 0] for image in images] == [0, 10, 20, 30]


def test_verify_reads_everything_again(folder, settings, monkeypatch):
    add_folder("toy", folder, settings, space="any", layout="class-folder")
    assert verify_set("toy", settings).ok
    state = image_files.state_of
    before = {path: state(path) for path in (folder / "cat").iterdir()}
    monkeypatch.setattr(image_files, "state_of", lambda path: before[Path(path)])
    picture(folder / "cat" / "2.png", 222)
    found = verify_set("toy", settings)
    assert not found.ok and any("2.png: changed since it was first read" in line for line in found.lines)
    assert verify_set("toy", settings).ok


@pytest.mark.parametrize("where", ["file", "class", "set"])
def test_names_that_are_not_utf8_are_refused(tmp_path, settings, where):
    """A list of added sets with such a name could not be read by any later command."""

    def name(part, usual):
        return os.fsdecode(b"\xff") if part == where else usual

    folder = tmp_path / name("set", "set")
    picture(tmp_path / "x.png", 5)
    (folder / name("class", "cat")).mkdir(parents=True)
    (tmp_path / "x.png").rename(folder / name("class", "cat") / f"{name('file', 'x')}.png")
    with pytest.raises(StimuliError, match=r"is not UTF-8"):
        add_folder("mine", folder, settings, space="any", layout="class-folder")
        open_set("mine", settings)
    assert read_catalogue(settings)


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


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


# Each in a way of its own that JSON writes a letter. All letters would be looked up in a table that takes a second.
LETTERS = 'a/"\\\n\0\x7f\xe9\u2028\u6f22\U0001f600'


@given(st.lists(st.text(LETTERS, max_size=5), max_size=9), st.integers(0, 2))
def test_the_digest_of_a_set_is_that_of_its_json_text(ids, columns):
    items = [sha(text) for text in ids]
    labels = {name: np.array(ids, dtype=str) for name in ("texture", "category")[:columns]}
    table = {"ids": ids, "items": items, "labels": {name: labels[name].tolist() for name in sorted(labels)}}
    assert set_digest(ids, items, labels) == sha(json.dumps(table, separators=(",", ":")))


def test_only_new_and_changed_files_are_read(settings, fill, monkeypatch):
    reads, read = [], image_files.digest_file
    monkeypatch.setattr(image_files, "digest_file", lambda path: reads.append(path.name) or read(path))
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
