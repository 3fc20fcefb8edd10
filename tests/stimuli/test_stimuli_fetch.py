"""Downloads against a server on this machine. The catalogue is replaced by one small set of eight images."""

import hashlib
import tarfile
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from set_checks import opened, refused, write

from benchmark.stimuli import catalogue
from benchmark.stimuli.catalogue import Entry, find_entry, stimuli_folder
from benchmark.stimuli.datasets import open_set
from benchmark.stimuli.fetch import add_folder, fetch_set
from benchmark.stimuli.resolver import Resolver


def silent(_line):
    pass


@pytest.fixture
def server():
    """What it answers is set by path (`files`; half of what is in `cut`); `asked` lists the paths requested."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            data = self.server.files.get(self.path)
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write((data or b"")[: len(data) // 2 if self.path in self.server.cut else None])

        def log_message(self, *args):
            pass

    running = HTTPServer(("127.0.0.1", 0), Handler)
    running.files, running.cut, running.asked = {}, set(), []
    running.url = f"http://127.0.0.1:{running.server_port}"
    threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


@pytest.fixture
def packed(tmp_path, conflict):
    """The set of eight images as an archive; the folder that it came from is gone."""
    with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as tar:
        tar.add(conflict, arcname="top/stimuli/small")
    conflict.rename(tmp_path / "away")
    return (tmp_path / "set.tar.gz").read_bytes()


@pytest.fixture
def entry(monkeypatch, server):
    small = Entry(name="small", role="cue-conflict", space="geirhos16", layout="cue-conflict", count=8,
                  url=f"{server.url}/origin.tar.gz", archive="small.tar.gz", member="stimuli/small")  # fmt: skip
    publish(monkeypatch, small)
    return small


def publish(monkeypatch, *entries):
    monkeypatch.setattr(catalogue, "_built_in", lambda: {entry.name: entry for entry in entries})


def left_over(settings):
    """What a failed fetch must not leave: the set, its archive, and half-done files."""
    half = [p.name for p in settings.home.rglob("*") if p.name.startswith(".") or "part" in p.name]
    return [*half, *(settings.home / "archives").glob("*.gz")] or stimuli_folder("small", settings)


def test_a_set_is_fetched_once_and_can_be_opened(settings, server, entry, packed):
    server.files["/origin.tar.gz"] = packed
    lines = []
    place = fetch_set("small", settings, lines.append)
    assert place == settings.stimuli / "small" == stimuli_folder("small", settings)
    assert len(open_set("small", settings)) == 8
    assert any("not pinned: recorded" in line for line in lines)
    assert fetch_set("small", settings, lines.append) == place
    assert server.asked == ["/origin.tar.gz"]
    assert not [p for p in settings.home.rglob("*") if p.name.startswith(".") or "part" in p.name]


def test_404_truncation_and_no_host_are_told_apart_and_name_the_way_out(settings, server, entry, packed, monkeypatch):
    way_out = "BENCH_MIRROR .*small.tar.gz.*small/.*bench data add small FOLDER"
    refused(rf"origin.tar.gz: HTTP status 404.*{way_out}", fetch_set, "small", settings, silent)
    server.files["/origin.tar.gz"] = packed
    server.cut.add("/origin.tar.gz")
    refused("cut short on the way", fetch_set, "small", settings, silent)
    publish(monkeypatch, replace(entry, url="http://127.0.0.1:1/origin.tar.gz"))
    refused(r"127.0.0.1:1/origin.tar.gz: no connection", fetch_set, "small", settings, silent)
    assert not left_over(settings)


def test_a_mirror_url_comes_first_and_its_failure_is_not_the_end(settings, server, entry, packed):
    mirrored = replace(settings, mirror=f"{server.url}/mirror/")
    server.files["/origin.tar.gz"] = packed
    fetch_set("small", mirrored, silent)
    assert server.asked == ["/mirror/small.tar.gz", "/origin.tar.gz"]


def test_a_mirror_folder_gives_archive_or_set_without_a_request(settings, server, entry, packed, tmp_path):
    lines, mirror = [], write(tmp_path / "mirror" / "small.tar.gz", packed).parent
    mirrored = replace(settings, mirror=str(mirror))
    first, digest = fetch_set("small", mirrored, silent), open_set("small", settings).digest
    first.rename(mirror / "small")
    (mirror / "small" / "cat" / "cat1-cat1.png").unlink()
    fetch_set("small", mirrored, lines.append)
    assert any("7 of 8 images" in line for line in lines)
    assert open_set("small", settings).digest != digest
    assert server.asked == []


@pytest.mark.parametrize(("change", "message"), [
    ({"count": 9}, "has 8 images; expected 9"), ({"digest": "f" * 64}, "not the published set"),
    ({"member": "stimuli/none"}, "no folder 'stimuli/none'"),
    ({"sha256": "0" * 64}, r"127\.0\.0\.1.*expected SHA-256 0000.*got {good}"),
])  # fmt: skip
def test_a_download_that_is_not_the_set_is_not_kept(settings, server, entry, packed, monkeypatch, change, message):
    server.files["/origin.tar.gz"] = packed
    good = hashlib.sha256(packed).hexdigest()
    publish(monkeypatch, replace(entry, **change))
    refused(message.format(good=good), fetch_set, "small", settings, silent)
    assert not left_over(settings)
    publish(monkeypatch, replace(entry, sha256=good))
    assert fetch_set("small", settings, silent).is_dir()


def test_a_damaged_archive_leaves_nothing_and_is_not_recorded(settings, server, entry, packed):
    damaged = bytearray(packed)
    damaged[-6] ^= 1  # gzip's check sum: every file unpacks
    server.files["/origin.tar.gz"] = bytes(damaged)
    refused("damaged or cut short", fetch_set, "small", settings, silent)
    assert [p for p in settings.home.rglob("*") if p.is_file() and p.stat().st_size > 2] == []
    server.files["/origin.tar.gz"] = packed
    assert fetch_set("small", settings, silent).is_dir()


def test_layouts_of_added_folders_are_told_from_names(settings, tmp_path, draw):
    for name in ("a/n01440764/x.JPEG", "b/cat/x.png", "c/cat/cat1-dog1.png", "d/0001_hp_dnn_3_cat_10_x.png"):
        draw(tmp_path / name)
    write(tmp_path / "e" / "edge_me_session-1.csv", "subj")
    found = {k: add_folder(f"set-{k}", tmp_path / k, settings) for k in "abcde"}
    layouts = ["class-folder", "class-folder", "cue-conflict", "session", "trials"]
    assert [e.layout for e in found.values()] == layouts
    assert [e.space for e in found.values()] == ["imagenet1k"] + 4 * ["geirhos16"]
    assert find_entry("set-a", settings) == found["a"]
    assert open_set("set-a", settings).labels["category"].tolist() == ["n01440764"]
    refused("bench import trials", open_set, "set-e", settings)


def test_a_table_of_labels(settings, tmp_path, draw):
    for name in ("one.png", "sub/two.png"):
        draw(tmp_path / "f" / "images" / name)
    table = tmp_path / "f" / "labels.csv"
    table.write_text("image,category,artist\none.png,cat,Goya\nsub/two.png,axolotl,Klee\n")
    refused("--space", add_folder, "mine", tmp_path / "f", settings)
    stimuli = opened("mine", tmp_path / "f", settings, space="my-space")
    assert (stimuli.ids, stimuli.labels["artist"].tolist()) == (("sub/two.png", "one.png"), ["Klee", "Goya"])


@pytest.mark.parametrize(("text", "message"), [
    ("image,label\none.png,axolotl\n", "row 2: 'axolotl' is not one of the 16"),
    ("image,category\none.png,cat\nnone.png,cat\n", "row 3.*no image 'none.png' in .*images"),
    ("image,category\none.png,cat,dog\n", "Expected 2 fields in line 2"), ("image,category\n", "no images"),
])  # fmt: skip
def test_bad_tables_of_labels_are_named(settings, tmp_path, draw, text, message):
    draw(tmp_path / "f" / "images" / "one.png")
    (tmp_path / "f" / "labels.csv").write_text(text)
    assert str(tmp_path) in refused(message, add_folder, "mine", tmp_path / "f", settings, space="geirhos16")


def test_folders_that_are_no_set_are_refused(settings, tmp_path, draw):
    refused("not a folder", add_folder, "mine", tmp_path / "none", settings)
    (tmp_path / "empty").mkdir()
    refused("neither images nor tables", add_folder, "mine", tmp_path / "empty", settings)
    draw(tmp_path / "full" / "cat" / "x.png")
    for name in ("../x", "world-mine", ""):
        refused("cannot name a set", add_folder, name, tmp_path / "full", settings)
    refused("'heap' is not a layout", add_folder, "mine", tmp_path / "full", settings, layout="heap")
    assert "mine" not in catalogue.read_catalogue(settings)


def test_every_archive_is_unpacked_once(settings, draw, tmp_path, monkeypatch):
    """Of two, one with the group's folder in it and one without, in a folder that serves as the mirror."""
    archives = {name: f"http://127.0.0.1:1/{name}" for name in ("noise.tar", "blur.tar.gz")}
    publish(monkeypatch, Entry(name="small-c", role="small-c", space="imagenet1k", layout="cells", levels=("1",),
                               parts=("hiss", "haze"), archives=archives))  # fmt: skip
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    for archive, top in (("noise.tar", "noise/hiss"), ("blur.tar.gz", "haze")):
        draw(tmp_path / "made" / top / "1" / "n01440764" / "a.png", seed=len(top))
        with tarfile.open(mirror / archive, "w") as tar:
            tar.add(tmp_path / "made" / top, arcname=top)
    mirrored = replace(settings, mirror=str(mirror))
    lines = []
    place = fetch_set("small-c", mirrored, lines.append, ["noise"])
    assert place == settings.stimuli / "small-c"
    assert list(Resolver("imagenet1k", settings).parts("small-c")) == ["hiss/1"]
    (mirror / "noise.tar").unlink()
    fetch_set("small-c", mirrored, lines.append)
    assert "small-c: noise is already there" in lines
    assert list(Resolver("imagenet1k", settings).parts("small-c")) == ["hiss/1", "haze/1"]
    assert not list((settings.home / "archives").glob("*.tar*[!6]"))  # they would double the space
    assert not [path for path in settings.stimuli.iterdir() if path.name.startswith(".")]
