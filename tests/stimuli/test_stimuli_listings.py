"""Folders of class folders as columns: order, names, parts; a limit reads no other file."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import StimuliError
from benchmark.settings import Settings
from benchmark.stimuli import image_files
from benchmark.stimuli.catalogue import find_entry
from benchmark.stimuli.datasets import open_folder, open_set, restrict, sample
from benchmark.stimuli.fetch import add
from benchmark.stimuli.image_files import Digests
from benchmark.stimuli.items import evenly, list_classes
from benchmark.stimuli.roles import Resolver

Draw = Callable[..., Path]


@pytest.fixture
def natural(settings: Settings, draw: Draw) -> Path:
    """Nine images in three classes, as imagenet-val."""
    assert settings.data is not None
    folder = settings.data / "imagenet-val"
    for i in range(9):
        draw(folder / f"n0000000{i % 3}" / f"ILSVRC2012_val_0000000{8 - i}.png", seed=i)
    (folder / "n00000000" / "notes.txt").write_text("not an image")
    (folder / "n00000000" / ".hidden.png").write_text("not an image")
    (folder / ".cache").mkdir()
    (folder / "empty").mkdir()
    return folder


def test_images_come_by_class_then_name(natural: Path, settings: Settings) -> None:
    stimuli = open_set("imagenet-val", settings)
    numbers = [int(name[15:23]) for name in stimuli.ids]
    assert numbers == [2, 5, 8, 1, 4, 7, 0, 3, 6]
    assert stimuli.labels["category"].tolist() == [f"n0000000{i}" for i in (0, 0, 0, 1, 1, 1, 2, 2, 2)]
    assert isinstance(stimuli.items, Digests) and stimuli.whole == 50000
    again = pickle.loads(pickle.dumps(stimuli))
    assert np.array_equal(again.decode(4), stimuli.decode(4)) and list(again.items) == list(stimuli.items)


def test_a_limit_reads_no_other_file(natural: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    part = sample(open_set("imagenet-val", settings), 4)
    seen: list[str] = []
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
    assert isinstance(restrict(whole, whole.ids[:2]).items, Digests)


def test_names_that_repeat_over_classes_carry_their_class(settings: Settings, draw: Draw, tmp_path: Path) -> None:
    for i, (category, name) in enumerate((("n00000001", "b"), ("n00000001", "a"), ("n00000000", "a"))):
        draw(tmp_path / "r" / category / f"{name}.png", seed=i)
    add("renditions", tmp_path / "r", settings)
    stimuli = open_set("renditions", settings)
    assert stimuli.ids == ("n00000000/a.png", "n00000001/a.png", "n00000001/b.png")
    assert len(set(stimuli.items)) == 3
    assert not np.array_equal(stimuli.decode(0), stimuli.decode(1))


def test_what_is_no_class_folder_is_said(settings: Settings, draw: Draw, tmp_path: Path) -> None:
    entry = find_entry("imagenet-val", settings)
    (tmp_path / "empty").mkdir()
    with pytest.raises(StimuliError, match="one folder per class"):
        list_classes(entry, tmp_path / "empty")
    draw(tmp_path / "named" / "goldfish" / "a.png")
    with pytest.raises(StimuliError, match="'goldfish' is not a WordNet id"):
        list_classes(entry, tmp_path / "named")
    with pytest.raises(StimuliError, match="cannot be read"):
        list_classes(entry, tmp_path / "none")
    with pytest.raises(StimuliError, match="expected 1 or more"):
        evenly(3, 0)
