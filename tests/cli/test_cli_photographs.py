"""`bench register` tries a network on photographs and names what fits better, with the options to paste."""

import pytest
import timm
import torch

from benchmark.stimuli.resolver import Resolver
from benchmark.variables import read_settings

WORLD = ("--arch", "python:registry.world_networks:tiny_resnet", "--size", 64, "--resize", 64, "--labels", "world16")


@pytest.fixture(scope="module")
def weights():
    from safetensors.torch import save_file

    from benchmark.api import load_model

    path = read_settings().place.weights_folder / "saved-again.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(load_model("world-standard-0").module.state_dict(), path)
    return path


@pytest.mark.slow
def test_a_wrong_normalisation_is_named_with_its_remedy(bench, weights):
    half, own = (("--mean", ".5,.5,.5", "--std", std) for std in (".5,.5,.5", ".25,.25,.25"))
    wrong = bench("register", "wrong", *WORLD, *half, "--weights", weights)
    assert wrong.code == 0 and "look  photographs: " in wrong.out and "--mean 0." in wrong.out
    right = bench("register", "right", *WORLD, *own, "--weights", weights)
    assert "look" not in right.out and "of 64 right" in right.out and "Crop, filter and sizes" in right.out


@pytest.mark.slow
def test_photographs_of_a_folder_are_used_and_others_refused(bench, weights, tmp_path):
    from PIL import Image

    natural = Resolver("world16", read_settings()).find("natural")
    for i in range(0, 160, 4):
        place = tmp_path / "mine" / str(natural.labels["category"][i])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(natural.decode(i)).save(place / f"{i}.png")
    own = (*WORLD, "--mean", ".5,.5,.5", "--std", ".25,.25,.25", "--weights", weights)
    assert "of 40 right" in bench("register", "folder", *own, "--check", tmp_path / "mine").out
    (tmp_path / "other" / "n01440764").mkdir(parents=True)
    Image.new("RGB", (64, 64)).save(tmp_path / "other" / "n01440764" / "a.png")
    refused = bench("register", "refused", *own, "--check", tmp_path / "other")
    assert refused.code == 1 and "its classes are not those of the label space" in refused.err
    gone = bench("register", "refused", *own, "--check", tmp_path / "gone")  # and its parent is not searched
    assert gone.code == 1 and f"{tmp_path / 'gone'}: not a folder" in gone.err
    assert "refused" not in bench("models").out


@pytest.mark.slow
def test_a_checkpoint_given_to_run_is_tried_as_well(bench, tmp_path):
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "own.pt")
    ended = bench("run", tmp_path / "own.pt", "--arch", "timm:test_resnet", "-s", "cue-conflict", "--dry-run")
    assert ended.code == 0 and "note  photographs: unchecked: no photographs of its classes" in ended.err
