"""A model behind an API, an ONNX file and a classifier of scikit-learn on boards beside a network of the world."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
import yaml
from chat_server import Model, digest_of, serving
from sklearn.neighbors import NearestCentroid

from benchmark import api
from benchmark.stimuli.world.sets import generated_set, training_set
from benchmark.store import open_store
from registry.labels import label_space

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:You are using the legacy")]

OF_SKLEARN = """
import joblib
FITTED = joblib.load(__file__[:-3] + ".joblib")
def predict(images):
    return FITTED.predict(images.mean(axis=1).reshape(len(images), -1))
"""
DECIDING = ("cue-conflict", "human-comparison")
WORDS = label_space("world16").classes


def said_of(digest):
    return "na" if int(digest, 16) % 3 == 0 else WORDS[int(digest, 16) % 16]


class Naming:
    def get(self, digest, _otherwise):
        refusal = {"content": None, "refusal": "No."}
        message = refusal if said_of(digest) == "na" else {"content": said_of(digest)}
        return 200, {"choices": [{"message": message, "finish_reason": "stop"}]}


@pytest.fixture
def model(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_DB", str(tmp_path / "results.db"))
    playing = Model({})
    playing.replies, playing.faults = Naming(), [429, 500, 429]
    with serving(playing) as url:
        said = {"url": url, "model": "toy", "most_requests": 10_000, "concurrency": 3}
        (tmp_path / "vlm.yaml").write_text(yaml.safe_dump(said))
        assert bench("register", "vlm", "--arch", "api:vlm.yaml", "--labels", "world16").code == 0
        yield playing


@pytest.fixture
def classifiers(model, bench, tmp_path):
    shown = training_set("natural", 160, seed=0)
    pixels = np.stack([shown.decode(at) for at in range(len(shown))]).mean(axis=3) / 255
    fitted = NearestCentroid().fit(pixels.reshape(len(pixels), -1), shown.labels["category"])
    joblib.dump(fitted, tmp_path / "zz_sklearn.joblib")
    (tmp_path / "zz_sklearn.py").write_text(OF_SKLEARN)
    network, example = api.load_model("world-standard-0").module, torch.rand(2, 3, 64, 64)
    axes = {"input_names": ["x"], "output_names": ["y"], "dynamic_axes": {"x": {0: "n"}, "y": {0: "n"}}}
    torch.onnx.export(network, (example,), str(tmp_path / "net.onnx"), dynamo=False, **axes)
    for words in (
        ("net.onnx", "--mean", ".5,.5,.5", "--std", ".25,.25,.25"),
        ("sklearn", "--arch", "python:zz_sklearn.py:predict", "--size", "64"),
    ):
        ended = bench("register", *words, "--labels", "world16")
        assert ended.code == 0, ended.err
        assert "it can run: corruption, cue-conflict, human-comparison" in ended.out
        assert ended.out.count("not for it") == 2
    yield
    sys.modules.pop("zz_sklearn", None)


def decided(name, suite):
    with open_store(os.environ["BENCH_DB"], write=False) as store:
        trials = store.trials(tuple(row.key for row in store.observations(observer=name, suite=suite)))
    keys = zip(trials["role"].tolist(), trials["condition"].tolist(), trials["stimulus"].tolist(), strict=True)
    return dict(zip(keys, trials["response"].tolist(), strict=True))


def require_known(count):
    """What the endpoint has said of the conflict set stands in the trials, refusals as no answer."""
    answers = {key[2]: value for key, value in decided("vlm", "cue-conflict").items() if key[0] == "cue-conflict"}
    shown = generated_set("world-cue-conflict")
    places = {name: at for at, name in enumerate(shown.ids)}
    assert answers == {name: said_of(digest_of(shown.decode(places[name]))) for name in answers}
    assert len(answers) == count and "na" in answers.values()


@pytest.mark.release
def test_they_enter_by_their_decisions_and_gradients_are_not_for_them(model, classifiers, bench):
    suites = ",".join(DECIDING)
    run = ("run", "-m", "vlm,net,sklearn", "-s", f"{suites},saliency,adversarial", "--limit", 8)
    ended = bench(*run)
    assert ended.code == 0, ended.err
    assert bench("run", "-m", "world-standard-0", "-s", suites, "--limit", 8).code == 0
    asked = [digest for digest, _ in model.asked]
    assert len(set(asked)) == len(asked) == len(model.answered)
    shown = {name: sum(len(decided(name, suite)) for suite in DECIDING) for name in ("vlm", "world-standard-0")}
    assert len(asked) <= 4 + shown["vlm"] == 4 + shown["world-standard-0"]  # no canary pictures, nothing for the clock
    assert f"vlm: {len(asked):,} replies kept, " in ended.err
    with open_store(os.environ["BENCH_DB"], write=False) as store:
        outcomes = {(row.observer_name, row.suite): row for row in store.outcomes()}
    for name in ("vlm", "net", "sklearn"):
        for suite in ("saliency", "adversarial"):
            assert outcomes[name, suite].status == "not applicable"
            assert outcomes[name, suite].reason.startswith(f"not for it: '{name}' answers without a network at hand")
        for suite in DECIDING:
            assert outcomes[name, suite].status == "done"
            assert decided(name, suite).keys() == decided("world-standard-0", suite).keys()
    assert all(decided("net", suite) == decided("world-standard-0", suite) for suite in DECIDING)
    require_known(8)
    shown = bench("rank", "-s", "cue-conflict").out
    assert all(f" {name} " in shown for name in ("vlm", "net", "sklearn", "world-standard-0"))
    assert bench(*run).code == 0 and len(model.asked) == len(asked)
    assert "at most 0 requests" not in bench(*run, "--dry-run").out
    (refused,) = bench("plot", "gallery", "-m", "vlm", "-o", "a.png").errors
    assert refused == "bench: 'vlm' has no gradients at its input to draw: choose another model."


@pytest.mark.release
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_asks_nothing_twice(end, model, bench, tmp_path, home):
    model.hold = len(model.asked) + 9  # later replies are held back until the run is gone
    run, (file,) = ("run", "-m", "vlm", "-s", "cue-conflict", "--limit", "20"), home.glob("answers/*.jsonl")

    def replies():
        return sum(b'"kind": "failed"' not in line for line in file.read_bytes().splitlines())

    command = [sys.executable, "-c", "from gestaltbench.command import main; main()", *run]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [Path(api.__file__).parents[2], *sys.path]))}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE) as child:
        deadline = time.monotonic() + 200
        while replies() < model.hold and time.monotonic() < deadline:
            assert child.poll() is None, child.stderr.read().decode()
            time.sleep(0.05)
        child.send_signal(end)
        if end == signal.SIGINT:  # what is under way is waited for
            model.gate.set()
    assert replies() == model.hold
    model.hold = None
    assert bench(*run).code == 0
    assert len(model.answered) == len(set(model.answered)) == replies()
    require_known(20)
