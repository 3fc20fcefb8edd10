"""Networks whose answers depend on more than the image are not scored, and say why."""

import engine_nets
import engine_toys as toys
import numpy as np
import pytest
import torch
import unsound_nets
from engine_toys import network, toy_suite

from benchmark.contracts import CHUNK
from benchmark.engine import devices
from registry.cards import Preprocess
from registry.determinism_checks import check_load, checksum, distance
from registry.labels import label_space
from registry.model import LoadedModel

AT_LOAD = {
    "Trained": "same answer alone",
    "Stubborn": "evaluation mode: in training mode: norm",
    "Dropping": "same answer twice",
    "Normalised": "logits, not probabilities",
    "Placed": "same answer anywhere",
    "Learning": "answering changes nothing: follows changes with every answer",
}


def unsound(kind):
    card = network("net", kind, seed=1)
    return card.model_copy(update={"arch": f"python:unsound_nets:{kind}"})


@pytest.mark.slow
@pytest.mark.parametrize("kind", AT_LOAD)
def test_an_unsound_network_fails_at_load_with_its_reason(kind, leaderboard):
    cards = [unsound(kind), network("fine", "Readout")]
    report = leaderboard.run(cards, [toy_suite(toys.make_stimuli(40))], batch=16)
    assert report.counts == {"failed": 1, "done": 1}
    assert AT_LOAD[kind] in report.failed["net under toy"]
    assert not leaderboard.scores("net")
    assert leaderboard.scores("fine")
    (row,) = leaderboard.outcomes(observer="net")
    assert (row.status, AT_LOAD[kind] in row.reason) == ("failed", True)


@pytest.mark.slow
def test_a_state_that_changes_in_the_run_ends_it_before_its_trials_are_stored(leaderboard):
    stimuli = toys.make_stimuli(2 * CHUNK)
    report = leaderboard.run([unsound("Late")], [toy_suite(stimuli)], batch=16)
    assert "answering has changed follows" in report.failed["net under toy"]
    assert not leaderboard.scores("net")
    assert len(leaderboard.outcomes(observer="net")) == 1
    assert len(leaderboard.trials("net")["stimulus"]) == 0


@pytest.mark.slow
def test_chance_that_begins_late_is_found_by_showing_images_again(leaderboard, monkeypatch):
    monkeypatch.setattr(devices, "REPLAYED", 16)
    report = leaderboard.run([unsound("Moody")], [toy_suite(toys.make_stimuli(600))], batch=16)
    assert "differently when it is shown again alone" in report.failed["net under toy"]
    assert not leaderboard.scores("net")


@pytest.mark.slow
def test_every_suite_of_an_unsound_network_ends(leaderboard, monkeypatch):
    monkeypatch.setattr(devices, "REPLAYED", 16)
    stimuli = toys.make_stimuli(600)
    suites = [toy_suite(stimuli), toy_suite(stimuli, name="other")]
    report = leaderboard.run([unsound("Moody")], suites, batch=16)
    assert set(report.failed) == {"net under toy", "net under other"}


def test_a_sound_network_is_shown_no_more_than_one_image_in_a_hundred_again():
    seeds = np.arange(0, 2**40, 2**40 // 5000, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    again = [devices.replayed(seeds[i : i + 256]) for i in range(0, len(seeds), 256)]
    assert 0 < sum(row is not None for row in again) < 5000 / 100
    assert all(row is None or 0 <= row < 256 for row in again)


def loaded(module):
    card = network("net", "Readout").model_copy(update={"preprocess": Preprocess(size=64, resize=64)})
    return LoadedModel(card, module.eval(), "", label_space("world16"))


@pytest.mark.parametrize(("batch", "shown"), [(32, 32 + 12), (3, 4 + 12), (1, 4 + 12)])
def test_every_image_is_shown_in_a_batch_twice_together_and_alone(batch, shown):
    module = engine_nets.Counting(3)
    engine_nets.FORWARDED.clear()
    before = checksum(module)
    rows = check_load(loaded(module), batch=batch)
    assert all(row.ok for row in rows)
    assert "same answer twice" in {row.name for row in rows}
    assert sum(images for _, images in engine_nets.FORWARDED) == shown
    assert checksum(module) == before


@pytest.mark.parametrize("kind", [*AT_LOAD, "Shifted"])
def test_what_is_unsound_has_its_own_name(kind):
    """In each form of the check: by batches of the size that will run, and as `bench models check` has it."""
    module = getattr(unsound_nets, kind)(3)
    wanted = AT_LOAD.get(kind, "same answer anywhere")
    failed = [f"{row.name}: {row.detail}" for row in check_load(loaded(module), batch=12)]
    assert any(line.startswith(wanted) for line in failed)


def test_a_network_without_a_batch_of_one_says_so():
    rows = {row.name: row for row in check_load(loaded(unsound_nets.Paired(3)), batch=8)}
    assert not rows["same answer alone"].ok
    assert "takes no batch of 1 after one of 8" in rows["same answer alone"].detail


def test_a_checksum_sees_every_bit_of_every_kind():
    module = torch.nn.Module()
    module.a = torch.nn.Parameter(torch.zeros(3))
    module.register_buffer("b", torch.zeros(5, dtype=torch.int64))
    module.register_buffer("c", torch.zeros(5, dtype=torch.bool), persistent=False)
    module.register_buffer("d", torch.zeros(3, dtype=torch.bfloat16))
    sums = [checksum(module)]
    with torch.no_grad():
        module.a[1] = -0.0
        sums.append(checksum(module))
        module.b[4] = 1
        sums.append(checksum(module))
        module.c[0] = True
        sums.append(checksum(module))
        module.d[2] = 1e-30
        sums.append(checksum(module))
    assert len(set(sums)) == 5


def test_distance_is_relative_to_the_largest_logit_less_the_middle_one():
    one = torch.tensor([[100.0, 10.0, -50.0], [0.0, 2.0, 1.0]])
    assert distance(one, one + 1) == pytest.approx(1 / 90, rel=1e-4)
