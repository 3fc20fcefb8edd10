"""Folders of class folders as columns: order, names, parts; a limit reads no other file."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.stimuli import image_files
from benchmark.stimuli.catalogue import find_entry
from benchmark.stimuli.datasets import open_folder, open_set, sample
from benchmark.stimuli.fetch import add
from benchmark.stimuli.roles import Resolver


@pytest.fixture
def natural(settings, draw):
    """Nine images in three classes, as imagenet-val."""
    folder = settings.data / "imagenet-val"
    for i in range(9):
        draw(folder / f"n0000000{i % 3}" / f"ILSVRC2012_val_0000000{8 - i}.png", seed=i)
    (folder / "n00000000" / "notes.txt").write_text("not an image")
    (folder / "n00000000" / ".hidden.png").write_text("not an image")
    (folder / ".cache").mkdir()
    (folder / "empty").mkdir()
    return folder


def test_images_come_by_class_then_name(natural, settings):
    stimuli = open_set("imagenet-val", settings)
    numbers = [int(name[15:23]) for name in stimuli.ids]
    assert numbers == [2, 5, 8, 1, 4, 7, 0, 3, 6]
    assert stimuli.labels["category"].tolist() == [f"n0000000{i}" for i in (0, 0, 0, 1, 1, 1, 2, 2, 2)]
    assert stimuli.whole == 50000
    again = pickle.loads(pickle.dumps(stimuli))
    assert np.array_equal(again.decode(4), stimuli.decode(4)) and list(again.items) == list(stimuli.items)


def test_a_limit_reads_no_other_file(natural, settings, monkeypatch):
    part = sample(open_set("imagenet-val", settings), 4)
    seen = []
    read = image_files.file_digest
    monkeypatch.setattr(image_files, "file_digest", lambda path: (seen.append(Path(path).name), read(path))[1])
    fresh = replace(settings, home=settings.home / "other")
    entry = find_entry("imagenet-val", settings)
    limited = open_folder(entry, natural, fresh, limit=4)
    assert tuple(seen) == limited.ids == part.ids
    assert (limited.digest, limited.whole) == (part.digest, part.whole)
    assert np.array_equal(limited.decode(3), part.decode(3))
    seen.clear()
    assert Resolver("imagenet1k", fresh, limit=4).find("natural").digest == part.digest
    whole = open_folder(entry, natural, fresh, limit=90)
    assert whole.digest == open_set("imagenet-val", settings).digest


def test_names_that_repeat_over_classes_carry_their_class(settings, draw, tmp_path):
    for i, (category, name) in enumerate((("n00000001", "b"), ("n00000001", "a"), ("n00000000", "a"))):
        draw(tmp_path / "r" / category / f"{name}.png", seed=i)
    add("renditions", tmp_path / "r", settings)
    stimuli = open_set("renditions", settings)
    assert stimuli.ids == ("n00000000/a.png", "n00000001/a.png", "n00000001/b.png")
    assert len(set(stimuli.items)) == 3
    assert not np.array_equal(stimuli.decode(0), stimuli.decode(1))
