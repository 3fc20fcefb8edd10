"""`bench register` tries a network on photographs: what fits better is named with the options to paste, and `--verify
SCRIPT` compares decisions with those of the user's own code."""

import pytest
import timm
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from benchmark.api import load_model
from benchmark.stimuli.resolver import Resolver
from benchmark.variables import read_settings

WORLD = ("--arch", "python:registry.world_networks:tiny_resnet", "--size", 64, "--resize", 64, "--labels", "world16")
WORLD += ("--mean", ".5,.5,.5", "--std", ".25,.25,.25")

SCRIPT = """
import copy
from torchvision import transforms as tv
from benchmark.api import load_model
net = load_model("world-standard-0").module
def pipeline(mean=0.5, std=0.25, side=64):
    parts = tv.Resize(64), tv.CenterCrop(side), tv.ToTensor(), tv.Normalize((mean,) * 3, (std,) * 3)
    return tv.Compose(parts)
model, transform = (lambda x: {"logits": net(x)}), pipeline()
def halves(): return net, pipeline(0.4, 0.5)
def smaller(): return net, pipeline(side=24)
def other(): return load_model("world-stylised-0").module, transform
def training(): return copy.deepcopy(net).train(), transform
def failing(): return net, lambda image: image["image"]
def ending(): raise SystemExit(3)
both, single = (model, transform), (net, 3)
"""
AGREE = "Both networks agree on the script's preprocessed images"
#: name in the script -> exit code, parts of the error
REFUSED = {
    "halves": (1, "Pixels: the preprocessed images differ by up to", AGREE),
    "smaller": (1, "Pixels: ours are (3, 64, 64), the script's (3, 24, 24)", AGREE),
    "other": (1, "of 64 decisions on photographs of world-natural are not those of", "). Network: on the script's"),
    "training": (2, "its model is in training mode. Call model.eval()"),
    "failing": (1, "fails on an image of 64 x 64 px (TypeError"),
    "ending": (2, "fails (its code called sys.exit(3))"),
    "single": (2, "found TinyResNet, int. Expected a file with `model` and `transform`"),
    "missing": (2, "has no attribute 'missing'"),
}


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "own_pipeline_of_verify.py"
    path.write_text(SCRIPT)
    save_file(load_model("world-standard-0").module.state_dict(), path.with_name("net.safetensors"))
    return path


@pytest.fixture
def register(bench, script):
    own = (*WORLD, "--weights", script.with_name("net.safetensors"))
    return lambda name, *more: bench("register", name, *own, *more)


@pytest.mark.slow
def test_the_certificate_is_kept_with_the_card_and_shown_behind_numbers(bench, register, script):
    text = "64 of 64 decisions are those of own_pipeline_of_verify.py"
    for name, form in (("first", script), ("second", f"python:{script}:both")):
        ended = register(name, "--verify", form)
        assert f"ok    verified: {text}" in ended.out, ended.err
        kept = yaml.safe_load(bench("models", "show", name).out)["verified"]
        assert (kept["n"], kept["photographs"], kept["pixels"]) == (64, "world-natural", 0.0) and kept["logits"] < 1e-5
    assert bench("run", "-m", "first", "-s", "cue-conflict", "--limit", 2, "--db", "verified.db").code == 0
    assert f"verified   {text}" in bench("show", "--provenance", "first", "cue-conflict", "--db", "verified.db").out


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.release] * (name not in ("halves", "missing"))) for name in REFUSED]
)
def test_other_decisions_are_refused_with_the_part_that_differs(name, bench, register, script):
    code, *parts = REFUSED[name]
    ended = register("refused", "--verify", f"{script}:{name}")
    assert ended.code == code and all(part in ended.err for part in parts), ended.err
    assert "refused" not in bench("models").out


@pytest.mark.slow
def test_a_wrong_normalisation_is_named_with_its_remedy(register):
    wrong = register("wrong", "--std", ".5,.5,.5")
    assert wrong.code == 0 and "look  photographs: " in wrong.out and "--mean 0." in wrong.out
    right = register("right")
    assert "look" not in right.out and "of 64 right" in right.out and "Crop, filter and sizes" in right.out


@pytest.mark.slow
def test_photographs_of_a_folder_are_used_and_others_refused(bench, register, tmp_path):
    natural = Resolver("world16", read_settings()).find("natural")
    for i in range(0, 160, 4):
        place = tmp_path / "mine" / str(natural.labels["category"][i])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(natural.decode(i)).save(place / f"{i}.png")
    assert "of 40 right" in register("folder", "--check", tmp_path / "mine").out
    (tmp_path / "other" / "n01440764").mkdir(parents=True)
    Image.new("RGB", (64, 64)).save(tmp_path / "other" / "n01440764" / "a.png")
    refused = register("refused", "--check", tmp_path / "other")
    assert refused.code == 1 and "its classes are not those of the label space" in refused.err
    gone = register("refused", "--check", tmp_path / "gone")  # and its parent is not searched
    assert gone.code == 1 and f"{tmp_path / 'gone'}: not a folder" in gone.err
    assert "refused" not in bench("models").out


@pytest.mark.slow
def test_a_checkpoint_given_to_run_is_tried_as_well(bench, tmp_path):
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "own.pt")
    ended = bench("run", tmp_path / "own.pt", "--arch", "timm:test_resnet", "-s", "cue-conflict", "--dry-run")
    assert ended.code == 0 and "note  photographs: unchecked: no photographs of its classes" in ended.err
