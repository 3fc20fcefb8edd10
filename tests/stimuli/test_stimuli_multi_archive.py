"""Sets in several archives: each is unpacked once, kept whatever happens to the others, and must stay the same."""

import tarfile
from dataclasses import replace

import pytest
from refusals import refused

from benchmark.stimuli import catalogue
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.fetch import fetch
from benchmark.stimuli.roles import Resolver

ARCHIVES = {"noise.tar": "http://127.0.0.1:1/noise.tar", "blur.tar.gz": "http://127.0.0.1:1/blur.tar.gz"}  # fmt: skip


@pytest.fixture
def mirror(settings, draw, tmp_path, monkeypatch):
    """Two archives, one with the group's folder in it and one without, in a folder that serves as the mirror."""
    entry = Entry("small-c", "small-c", "imagenet1k", "cells", parts=("hiss", "haze"),
                  levels=("1",), archives=ARCHIVES)  # fmt: skip
    monkeypatch.setattr(catalogue, "_built_in", lambda: {"small-c": entry})
    place = tmp_path / "mirror"
    place.mkdir()
    for archive, top in (("noise.tar", "noise/hiss"), ("blur.tar.gz", "haze")):
        draw(tmp_path / "made" / top / "1" / "n01440764" / "a.png", seed=len(top))
        with tarfile.open(place / archive, "w") as tar:
            tar.add(tmp_path / "made" / top, arcname=top)
    return place


def test_every_archive_is_unpacked_once(mirror, settings):
    mirrored = replace(settings, mirror=str(mirror))
    lines = []
    place = fetch("small-c", mirrored, lines.append, ["noise"])
    assert place == settings.stimuli / "small-c"
    assert list(Resolver("imagenet1k", settings).parts("small-c")) == ["hiss/1"]
    (mirror / "noise.tar").unlink()
    fetch("small-c", mirrored, lines.append)
    assert "small-c: noise is already there" in lines
    assert list(Resolver("imagenet1k", settings).parts("small-c")) == ["hiss/1", "haze/1"]
    assert not list((settings.home / "archives").glob("*.tar*[!n]"))  # they would double the space
    assert not [path for path in settings.stimuli.iterdir() if path.name.startswith(".")]


def test_a_failure_keeps_what_is_there(mirror, settings):
    (mirror / "blur.tar.gz").write_bytes(b"no archive")
    mirrored = replace(settings, mirror=str(mirror))
    refused("cannot be unpacked", fetch, "small-c", mirrored, lambda line: None)
    assert list(Resolver("imagenet1k", settings).parts("small-c")) == ["hiss/1"]
    assert not list((settings.home / "archives").glob("*.tar*[!n]"))
    (mirror / "blur.tar.gz").unlink()
    refused(r"127.0.0.1:1/blur.tar.gz: no connection.*blur.tar.gz", fetch, "small-c", mirrored, lambda line: None)
