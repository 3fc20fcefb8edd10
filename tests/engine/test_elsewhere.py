"""All that runs on a network gives on an accelerator (`elsewhere/pretend_device.py`) what it gives on the processor."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.utils import backend_registration

from benchmark.plugins import find_suites
from benchmark.store import open_store
from benchmark.transforms.listing import own_list
from registry.labels import label_space
from suites.corruption.config import PROTOCOLS

pytestmark = [
    pytest.mark.release,
    pytest.mark.skipif(
        not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"), reason="torch has no such backend"
    ),
]
FOLDER = Path(__file__).parent / "elsewhere"
SUITES = ("cue-conflict", "corruption", "human-comparison", "saliency", "adversarial")
VARIANTS = {name: tuple(suite.variants) for name, suite in find_suites("all").suites.items()}
SHOWN = ("quick", "jpeg85", "rounded", "bicubic", "extra", "human", "eidolon", "suppression", "stylized-imagenet")
WNIDS = label_space("imagenet1k").classes[:4]
ONE = {"models": "world-standard-0", "limit": 3, "batch": 2}
CLIP = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 64, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    },
    "preprocess_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "resize_mode": "shortest"},
}


def scores(db):
    """The kind of device of a leaderboard, and its scores: value and interval by all that names one."""
    with open_store(str(db), write=False) as store:
        kinds = {row.details["policy"]["device"] for row in store.observations()}
        rows = store.latest_scores()
    named = {(r.observer, r.suite, r.space, r.metric, r.role, r.condition): (r.value, r.low, r.high) for r in rows}
    return kinds, named


@pytest.fixture(scope="module")
def devices(tmp_path_factory):
    """A process on the processor and one elsewhere, which carry out one list of requests after another."""
    path = os.pathsep.join([str(FOLDER), str(FOLDER.parent), os.environ.get("PYTHONPATH", "")])
    with ExitStack() as stack:
        started = {}
        for device in ("cpu", "pretend"):
            told = stack.enter_context((tmp_path_factory.mktemp("told") / device).open("w+"))
            started[device] = stack.enter_context(subprocess.Popen(
                [sys.executable, str(FOLDER / "shortened.py")], text=True, stderr=told, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path, "BENCH_TEST_DEVICE": device},
            )), told  # fmt: skip
        yield started


@pytest.fixture
def both(devices, tmp_path):
    """Carry requests out on the processor and elsewhere; their scores must agree."""

    def carried_out(*requests, **there):
        """there: what is asked otherwise elsewhere."""
        variables = {name: value for name, value in os.environ.items() if name in ("BENCH_HOME", "BENCH_DATA")}
        for device, (process, told) in devices.items():
            more = {"db": str(tmp_path / f"{device}.db"), **(there if device == "pretend" else {})}
            asked = [{**request, **more} for request in requests]
            print(json.dumps([variables, asked]), file=process.stdin, flush=True)
            failed = process.stdout.readline()
            told.seek(0)
            assert failed == "[]\n", failed + told.read()[-3000:]
        (kind, here), (other, there) = (scores(tmp_path / f"{device}.db") for device in devices)
        assert (kind, other) == ({"cpu"}, {"pretend"})
        assert here.keys() == there.keys() and here
        for name, values in here.items():  # relative where a score has no bound (nats)
            sides = (np.array(side, dtype=float) for side in (there[name], values))
            np.testing.assert_allclose(*sides, rtol=1e-4, atol=1e-4, err_msg=str(name))
        return here

    return carried_out


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_suite_in_every_precision(both, precision):
    found = both({**ONE, "models": "world-standard-0,world-reader-0", "precision": precision})
    assert {name[1] for name in found} == set(SUITES)


def test_every_variant_of_the_attacks(both):
    variants = [name for name in VARIANTS["adversarial"] if name != "autoattack" or find_spec("pyautoattack")]
    names = ",".join(f"adversarial:{name}" for name in variants)
    # One network withstands most attacks, the other gives way to the first.
    both({**ONE, "limit": 1, "suites": "adversarial:standard"})
    found = both({**ONE, "models": "world-adversarial-0", "limit": 1, "suites": names})
    assert {name[1] for name in found} == {f"adversarial:{name}" for name in variants}


def test_every_variant_of_cue_conflict(both):
    names = [f"cue-conflict:{name}" for name in VARIANTS["cue-conflict"]]
    found = both({**ONE, "batch": None, "suites": ",".join(names)})  # the batch is tuned
    assert {name[1] for name in found} <= set(names)


def photographs(folder, side=64, count=4):
    for number in range(count):
        place = folder / WNIDS[number % 4] / f"ILSVRC2012_val_{number:08d}.JPEG"
        place.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(place, "PNG")


def test_every_variant_of_the_corruptions(both, tmp_path, monkeypatch, bench):
    """Also those whose images are files."""
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    photographs(tmp_path / "data" / "imagenet-val", 80)
    for condition in ("noise/gaussian_noise/1", "digital/jpeg_compression/5"):
        photographs(tmp_path / "data" / "imagenet-c" / condition)
    photographs(tmp_path / "data" / "imagenet-c-bar" / "sparkles" / "3")
    photographs(tmp_path / "data" / "imagenet-3dcc" / "fog_3d" / "2")
    photographs(tmp_path / "data" / "stylized-imagenet" / "val")
    assert bench("register", "net", "--arch", "timm:test_resnet", "--weights", "random:0").code == 0
    suites = ["corruption", *(f"corruption:{name}" for name in (*VARIANTS["corruption"], "within-0.2"))]
    # These show the corruptions of "corruption" again, each finished or stopped in another way.
    again = {f"corruption:{name}": 3 for name in ("quick", "jpeg85", "rounded", "bicubic", "within-0.2")}
    found = both({"models": "net", "suites": ",".join(suites), "limit": 1, "batch": 1, "blocks": again})
    # Files of the other variants are not here.
    assert {name[1] for name in found} >= {
        "corruption",
        *(f"corruption:{name}" for name in {*SHOWN, *PROTOCOLS["folders"]} - {"laion-c"}),
    }
    assert {name for name, entry in own_list("imagenet-c").items() if entry.family != "extra"} <= {
        name[5].partition("/")[0] for name in found
    }


@pytest.fixture
def families(bench, tmp_path):
    """A network of each family, of 64 pixels and the sixteen categories of the world."""
    made = []

    def register(name, arch, weights, *words, asked=("--mean", ".5,.5,.5", "--std", ".5,.5,.5", "--size", "64")):
        ended = bench("register", name, "--arch", arch, "--weights", weights, "--labels", "world16", *asked, *words)
        assert ended.code == 0, ended.err
        made.append(name)

    register("of-timm", "timm:test_vit", "random:0", asked=("--size", "160"))
    register("of-torchvision", "torchvision:squeezenet1_1", "random:0")
    register("of-python", "python:engine_nets:Normed", "random:0")
    register("of-detectors", "detector:python:registry.world_networks:tiny_detector", "random:0")
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 5, 4), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(1800, 16)
    )
    batch = torch.export.Dim("batch", min=1, max=512)
    program = torch.export.export(net.eval(), (torch.rand(2, 3, 64, 64),), dynamic_shapes=({0: batch},))
    torch.export.save(program, tmp_path / "net.pt2")
    register("of-exports", "export", tmp_path / "net.pt2")
    if find_spec("open_clip"):
        import open_clip

        (tmp_path / "clip").mkdir()
        (tmp_path / "clip" / "open_clip_config.json").write_text(json.dumps(CLIP))
        state = open_clip.create_model(f"local-dir:{tmp_path / 'clip'}", load_weights=False).state_dict()
        save_file({key: value.clone() for key, value in state.items()}, tmp_path / "clip/open_clip_model.safetensors")
        register("of-open-clip", f"open_clip:{tmp_path / 'clip'}", tmp_path / "clip", asked=())
    if find_spec("transformers"):
        from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

        sizes = {"image_size": 64, "patch_size": 16, "hidden_size": 16, "intermediate_size": 16}
        config = ViTConfig(**sizes, num_hidden_layers=1, num_attention_heads=2, num_labels=16)
        ViTForImageClassification(config).save_pretrained(tmp_path / "vit")
        ViTImageProcessor(size={"height": 64, "width": 64}).save_pretrained(tmp_path / "vit")
        register("of-transformers", f"hf:{tmp_path / 'vit'}", tmp_path / "vit", asked=())
    return made


def test_every_family(both, families):
    found = both({"models": ",".join(families), "suites": "cue-conflict,saliency", "limit": 2, "batch": 2})
    assert {name[0] for name in found} == set(families) and len(families) >= 5


@pytest.mark.parametrize("how", [{"device": "cpu,cpu"}, {"executor": "ray", "device": "cpu"}], ids=["processes", "ray"])
def test_every_executor(both, how):
    """Elsewhere by processes and by Ray, on the processor in one process."""
    if "executor" in how:
        pytest.importorskip("ray")
    both({**ONE, "models": "world-standard-0,world-stylised-0", "suites": "cue-conflict"}, **how)
