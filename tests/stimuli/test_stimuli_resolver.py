import hashlib
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from set_checks import missing, refused, write

from benchmark.failures import MissingStimuli, UnknownName
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry, added_file, find_entry, is_fetchable, read_catalogue, stimuli_folder
from benchmark.stimuli.datasets import open_set, read_names, restrict
from benchmark.stimuli.fetch import add_folder, fetch_set
from benchmark.stimuli.resolver import Resolver
from benchmark.stimuli.roles import natural_images, stand_in_flags
from benchmark.stimuli.verify import verify_set


def test_a_role_finds_the_set_on_disk_once_or_says_how_to_get_one(conflict, settings):
    shelf = Resolver("geirhos16", settings)
    stimuli = shelf.find("cue-conflict")
    assert stimuli.digest == open_set("cue-conflict", settings).digest
    assert shelf.find("cue-conflict") is stimuli
    missing("bench data fetch filled-silhouettes", shelf.find, "silhouettes")
    missing(r"no stimulus set has the role 'smell'.*--role smell", shelf.find, "smell")


def test_a_shelf_notes_what_was_asked_for_and_could_be_fetched(settings, draw):
    shelf, missing = Resolver("imagenet1k", settings), {}
    with pytest.raises(MissingStimuli, match="imagenet-val"):
        natural_images(shelf, missing)
    assert list(shelf.lacking) == ["imagenet-val", "imagenet-v2", "imagenet-sample"] and missing == {}
    assert [is_fetchable(entry) for entry in shelf.lacking.values()] == [False, True, False]
    # The better one is shown.
    flags = {"imagenet-sample": "training images", "imagenet-v2": "ImageNet-V2 instead of ImageNet's validation images"}
    for i, (name, flag) in enumerate(flags.items()):
        draw(settings.data / name / "n01440764" / "a.JPEG", seed=i)
        missing = {}
        assert natural_images(Resolver("imagenet1k", settings), missing).name == name
        assert stand_in_flags(missing) == (flag,)


def test_world_sets_are_drawn(settings):
    shelf = Resolver("world16", settings, limit=16)
    stimuli = shelf.find("cue-conflict")
    assert stimuli.space == "world16" and stimuli.origin == "generated"
    assert len(stimuli) == 16 and stimuli.whole == len(open_set("world-cue-conflict", settings))
    assert stimuli.mask(3).shape == stimuli.decode(3).shape[:2]
    assert set(stimuli.labels) == {"category", "shape", "texture"}
    assert "texture" not in shelf.find("silhouettes").labels
    with pytest.raises(UnknownName, match="world-cue-conflict"):
        open_set("world-cue-conflit", settings)


NAME, FILE = "imagenet-val-robustbench", "imagenet_test_image_ids.txt"
WNIDS = ("n01440764", "n01443537", "n01484850")


@pytest.fixture
def listed(settings, draw):
    """listed(*numbers): a list that names some of the twelve images of imagenet-val."""
    names = [f"{WNIDS[i % 3]}/ILSVRC2012_val_{i:08d}.JPEG" for i in range(50)]
    for i, name in enumerate(names[:12]):
        draw(settings.data / "imagenet-val" / name, seed=i)

    def make(*numbers):
        return write(settings.data / NAME / FILE, "\n".join([names[i] for i in numbers]) + "\n").parent

    return make


def test_the_named_images_in_the_order_of_their_set(settings, listed):
    listed(7, 0, 4, 2)
    stimuli = Resolver("imagenet1k", settings).find("natural-robustbench")
    whole = open_set("imagenet-val", settings)
    assert stimuli.name == NAME and len(stimuli) == 4
    assert stimuli.ids == tuple(f"ILSVRC2012_val_{i:08d}.JPEG" for i in (0, 4, 7, 2))
    assert stimuli.labels["category"].tolist() == [WNIDS[i] for i in (0, 1, 1, 2)]
    same = restrict(whole, stimuli.ids)
    assert stimuli.digest == same.digest != whole.digest and np.array_equal(stimuli.decode(2), same.decode(2))
    listed(0, 40, 41)
    refused("lacks 2 of the 3 images", open_set, NAME, settings)
    for numbers in ((), (1, 1)):
        refused("one a line, each once", read_names, find_entry(NAME, settings), listed(*numbers))


def test_a_list_is_added_and_copied_from_a_mirror(settings, listed, tmp_path):
    bare = Settings(home=tmp_path / "other", db="unused.db", mirror=str(tmp_path / "data"), data=None)
    assert add_folder(NAME, listed(3), settings).role == "natural-robustbench"
    place = fetch_set(NAME, bare, lambda _: None)
    assert (Path(place) / FILE).read_text().startswith("n01440764/")


NAMES = ("frost2.png", "frost1.png")  # the published order is the catalogue's, not the alphabet's


@pytest.fixture
def frost(settings, draw, monkeypatch):
    """Two pictures in the data folder, and a catalogue that knows their digests."""
    paths = [draw(settings.data / "frost" / name, seed=i, size=9) for i, name in enumerate(NAMES)]
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    entry = Entry(name="frost", role="frost", space="any", layout="textures", kind="textures", files=files,
                  url="http://127.0.0.1:1/create_c", member="ImageNet-C/create_c")  # fmt: skip
    monkeypatch.setattr("benchmark.stimuli.catalogue._built_in", lambda: {"frost": entry})
    return entry


def test_textures_come_as_published_in_the_catalogue_s_order_in_every_space(frost, settings, draw):
    for space in ("imagenet1k", "world16"):
        for array, name in zip(Resolver(space, settings).textures("frost"), NAMES, strict=True):
            assert np.array_equal(array, np.asarray(Image.open(settings.data / "frost" / name)))
    path = draw(settings.data / "frost" / "frost2.png", seed=77, size=9)
    refused(r"frost2.png: .*not the published file.*bench data fetch", Resolver("any", settings).textures, "frost")
    assert not verify_set("frost", settings).ok
    path.unlink()
    refused(r"frost2.png cannot be read", Resolver("any", settings).textures, "frost")
    assert not verify_set("frost", settings).ok


def test_textures_are_fetched_from_a_mirror_folder_and_checked(frost, settings, tmp_path, draw):
    mirror = tmp_path / "mirror"
    (settings.data / "frost").rename(settings.data / "hidden")
    shutil.copytree(settings.data / "hidden", mirror / "frost")
    mirrored = replace(settings, mirror=str(mirror))
    assert fetch_set("frost", mirrored, lambda line: None) == settings.stimuli / "frost"
    assert len(Resolver("any", settings).textures("frost")) == 2
    shutil.rmtree(settings.stimuli / "frost")
    draw(mirror / "frost" / "frost2.png", seed=5)
    refused("not the published file", fetch_set, "frost", mirrored, lambda line: None)
    assert stimuli_folder("frost", settings) is None
    lost = r"create_c/frost2.png: no connection.*holds frost/frost2.png"
    refused(lost, fetch_set, "frost", settings, lambda line: None)


def test_every_entry_says_what_it_is_and_where_from(settings):
    for name, entry in read_catalogue(settings).items():
        assert entry.name == name
        assert entry.title and entry.license and entry.citation, name
        assert "{" not in f"{entry.url}{entry.archive}{entry.role}", name
        number_not_stated = entry.layout in ("voc", "coco", "clickme") or name.startswith(("refined_bias_", "laion-c"))
        assert entry.kind in ("trials", "scores") or number_not_stated or entry.count, name
        assert entry.url is None or entry.archive or entry.files, name
    releases = "https://github.com/bethgelab/model-vs-human/releases/download"
    assert find_entry("contrast", settings).url == f"{releases}/v0.1/contrast.tar.gz"
    with pytest.raises(UnknownName, match="Did you mean: cue-conflict"):
        find_entry("cue-conflcit", settings)


@pytest.mark.parametrize(("text", "message"), [
    ("- a", "expected a table"),
    ("a: {role: r, space: s}", "'a': field 'layout' is missing"),
    ("a: {role: r, space: s, layout: heap}", "field 'layout': expected: .*found 'heap'"),
    ("a: {role: r, space: s, layout: session, colour: red}", "field 'colour': expected: no such field"),
    ("edges: {folder: 7}", "'edges': field 'folder': expected: .*, found '7'"),
    (b"\xff\xfe\x00", "not valid YAML"),
])  # fmt: skip
def test_a_bad_file_of_added_sets_is_named(settings, text, message):
    path = write(added_file(settings), text)
    assert str(path) in refused(message, read_catalogue, settings)


ADD = """
import sys
from pathlib import Path
from benchmark.variables import read_settings
from benchmark.stimuli.fetch import add_folder

sys.stdin.readline()  # all start at once
for i in range(5):
    add_folder(f"set-{sys.argv[1]}-{i}", sys.argv[2], read_settings(), space="any")
"""


@pytest.mark.release
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
