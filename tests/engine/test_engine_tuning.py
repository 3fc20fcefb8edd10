"""The form in which a network is fed depends on the network and the kind of device, never on a clock."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tensors import assert_close
from torch import nn

from benchmark.contracts import Policy
from benchmark.engine import device_choice, devices
from benchmark.engine.device_choice import Tuning
from benchmark.engine.devices import feed, numerics, tune
from registry.cards import builtin_cards
from registry.files import WeightSources
from registry.loading import load_network


@pytest.fixture(scope="module")
def model():
    return load_network(builtin_cards()["world-standard-0"], WeightSources(weights_folder=Path("unused")))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_norms_are_folded_and_channels_come_last(model, precision):
    with numerics(Policy(precision=precision)):
        fed = feed(model, Tuning(4), device="cpu").module
    assert not any(isinstance(part, nn.BatchNorm2d) for part in fed.modules())
    assert fed.stem.weight.is_contiguous(memory_format=torch.channels_last)
    assert any(isinstance(part, nn.BatchNorm2d) for part in model.module.modules())


@pytest.mark.parametrize("slow", [1, pytest.param(0, marks=pytest.mark.slow)])
def test_a_clock_chooses_batch_and_threads_alone(model, tmp_path, monkeypatch, slow):
    ticks = iter(range(10**6))
    for clock in ("process_time", "perf_counter"):
        monkeypatch.setattr(devices.time, clock, lambda: next(ticks) ** (1 + slow))
    found = tune(model, "cpu", tmp_path / "tuning.json")
    assert vars(found).keys() - {"batch", "threads"} == {"channels_last"} and not found.channels_last
    assert tune(model, "cpu", tmp_path / "tuning.json") == found


def test_tuning_is_left_out_where_it_would_cost_more_than_a_twentieth_of_the_run(model, tmp_path, monkeypatch):
    """The search takes 3 s, or 300 images of a slow network."""
    monkeypatch.setattr(devices, "_search", lambda *_: (Tuning(32, 1), 0.01))
    threads = devices.torch.get_num_threads()
    for at, (seconds, passes, batch, used) in enumerate((
        (0.01, 5_900, 16, threads), (0.01, 6_100, 32, 1), (0.1, 5_900, 16, threads), (0.1, 6_100, 32, 1),
        (0.001, 59_000, 16, 1), (0.001, 61_000, 32, 1),
    )):  # fmt: skip
        monkeypatch.setattr(devices, "rough_seconds", lambda *_, s=seconds: s)
        assert tune(model, "cpu", tmp_path / f"{at}.json", passes=passes) == Tuning(batch, used)


def test_a_rough_speed_is_kept_and_gives_way_to_a_tuned_one(model, tmp_path, monkeypatch):
    notes = tmp_path / "tuning.json"
    monkeypatch.setattr(devices, "_cost", lambda *_: 0.002)
    assert devices.rough_seconds(model, "cpu", notes) == 0.002
    monkeypatch.setattr(devices, "_cost", None)
    assert devices.rough_seconds(model, "cpu", notes) == 0.002
    assert device_choice.remembered(model.card, "cpu", notes) == (Tuning(16, 1), 0.002, False)
    monkeypatch.setattr(devices, "_search", lambda *_: (Tuning(4, 1), 0.001))
    tune(model, "cpu", notes)
    assert device_choice.remembered(model.card, "cpu", notes) == (Tuning(4, 1), 0.001, True)


@pytest.mark.parametrize("faster", [True, False])
def test_channels_come_last_on_an_accelerator_where_that_is_faster(model, monkeypatch, faster):
    monkeypatch.setattr(devices, "_runner", lambda _model, layout, _device: layout)
    last = 1 if faster else 3
    monkeypatch.setattr(devices, "_cost", lambda _model, layout, *_: last if layout == torch.channels_last else 2)
    tuning, seconds = devices._search(model, "cuda")
    assert (tuning.batch, tuning.channels_last, seconds) == (256, faster, min(2, last))


class Viewed(nn.Module):
    """Flattens by a view, which channels-last memory does not allow."""

    def __init__(self, norm):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = norm
        self.head = nn.Linear(4 * 64 * 64, 16)

    def forward(self, x):
        x = self.norm(self.conv(x))
        return self.head(x.view(len(x), -1))


@pytest.mark.parametrize("norm", [nn.Identity, lambda: nn.BatchNorm2d(4)], ids=["bare", "normed"])
def test_a_network_that_needs_its_memory_as_it_lies_gets_it(model, norm):
    viewed = replace(model, module=Viewed(norm()).eval())
    fed = feed(viewed, Tuning(4), device="cpu")
    images = torch.rand(4, 3, 64, 64)
    assert_close(fed.run(images), viewed.forward(images))
    assert fed.module.conv.weight.is_contiguous()
    assert not isinstance(fed.module.norm, nn.BatchNorm2d)


def test_the_very_device_is_waited_for_before_each_look_at_the_clock(model, monkeypatch):
    seen, there = [], torch.device("cuda:1")
    images = SimpleNamespace(device=there)
    monkeypatch.setattr(devices, "example", lambda _model, _batch: images)
    monkeypatch.setattr(torch.accelerator, "synchronize", seen.append)
    devices._cost(model, lambda _images: seen.append("run"), Tuning(2), lambda: seen.append("clock") or len(seen))
    assert seen[:5] == [there, "clock", "run", there, "clock"]
    assert all(before == there for before, event in pairwise(seen) if event == "clock")


def test_kernels_of_an_accelerator_give_the_same_twice():
    def now():
        cudnn = torch.backends.cudnn
        return cudnn.deterministic, cudnn.benchmark, torch.are_deterministic_algorithms_enabled()

    before = now()
    for kind, inside in (("cpu", before), ("cuda", (True, False, True))):
        with numerics(Policy(device=kind)):
            assert now() == inside
            assert kind == "cpu" or torch.is_deterministic_algorithms_warn_only_enabled()
        assert now() == before
