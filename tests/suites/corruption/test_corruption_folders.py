"""Folders on disk through the whole program: ImageNet-C's layout, and stylised images beside photographs."""

import pytest
from corruption_tables import ran, write_images

from benchmark.api import RunRequest, prepare
from benchmark.variables import read_settings
from registry.labels import label_space

WNIDS = label_space("imagenet1k").classes[:4]
NAMES = [f"{wnid}/ILSVRC2012_val_{i:08d}.JPEG" for i, wnid in enumerate(WNIDS * 2)]


@pytest.fixture
def data(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    write_images(folder / "imagenet-val", NAMES, 300)
    for cell in ("noise/gaussian_noise/1", "noise/gaussian_noise/2", "weather/fog/5", "extra/saturate/1"):
        write_images(folder / "imagenet-c" / cell, NAMES, 224)
    write_images(folder / "imagenet-c-bar" / "sparkles" / "3", NAMES[:6], 224)
    write_images(folder / "stylized-imagenet" / "val", NAMES, 224)
    monkeypatch.setenv("BENCH_DATA", str(folder))
    return folder


@pytest.mark.slow
def test_imagenet_c_files_are_shown_as_they_are(data, tmp_path):
    prepared, found = ran(tmp_path, "ideal-shape,ideal-constant", "corruption:imagenet-c")
    blocks, found = prepared.tasks[0].plan.blocks, found["ideal-shape"]
    assert [b.condition for b in blocks] == ["clean", "gaussian_noise/1", "gaussian_noise/2", "fog/5"]
    assert [b.presentation for b in blocks] == ["crop224", *["whole"] * 3]
    assert [b.stimuli.ids for b in blocks] == [blocks[0].stimuli.ids] * 4
    assert (found["corruption_accuracy", ""].value, found["corruption_accuracy", ""].n) == (1.0, 24)
    assert found["relative_robustness", ""].value == 1.0
    assert found["flip_consistency", ""].n == 8
    assert found["mce", ""].value is None and "severity 3" in found["mce", ""].reason
    assert found["mce_partial", ""].value == 0.0
    assert {row.role for row in found.values()} == {""}


def test_top1_and_top5_on_stylised_images_and_photographs(data, tmp_path):
    prepared, found = ran(tmp_path, "ideal-shape,ideal-constant", "corruption:stylized-imagenet")
    shown, found = {b.role: b.presentation for b in prepared.tasks[0].plan.blocks}, found["ideal-shape"]
    assert shown == {"stylized-imagenet": "whole", "natural": "crop224"}
    for metric in ("stylised_accuracy", "stylised_top5", "natural_accuracy", "natural_top5"):
        assert found[metric, ""].value == 1.0 and found[metric, ""].n == 8
    assert (found["ece", ""].role, found["clean_ece", ""].role) == ("stylized-imagenet", "natural")
    assert "only decide" in found["ece", ""].reason  # an ideal observer does


def test_without_the_folder_the_remedy_is_named(tmp_path):
    settings = read_settings(str(tmp_path / "r.db"))
    prepared = prepare(RunRequest(models="ideal-shape", suites="corruption:imagenet-c"), settings)
    (task,) = prepared.tasks
    assert not task.plan.blocks and "bench data" in task.reason
