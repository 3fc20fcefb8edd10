"""`bench register --verify SCRIPT` holds a network against its user's own code on the same photographs."""

import pytest
import yaml

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
    from safetensors.torch import save_file

    from benchmark.api import load_model

    path = tmp_path_factory.mktemp("own") / "own_pipeline_of_verify.py"
    path.write_text(SCRIPT)
    save_file(load_model("world-standard-0").module.state_dict(), path.with_name("net.safetensors"))
    return path


@pytest.fixture
def register(bench, script):
    own = ("--arch", "python:registry.world_networks:tiny_resnet", "--size", 64, "--resize", 64, "--labels", "world16")
    own += ("--mean", ".5,.5,.5", "--std", ".25,.25,.25", "--weights", script.with_name("net.safetensors"))
    return lambda name, verified: bench("register", name, *own, "--verify", verified)


@pytest.mark.slow
def test_the_certificate_is_kept_with_the_card_and_shown_behind_numbers(bench, register, script):
    text = "64 of 64 decisions are those of own_pipeline_of_verify.py"
    for name, form in (("first", script), ("second", f"python:{script}:both")):
        ended = register(name, form)
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
    ended = register("refused", f"{script}:{name}")
    assert ended.code == code and all(part in ended.err for part in parts), ended.err
    assert "refused" not in bench("models").out
