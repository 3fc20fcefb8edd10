"""What is shown to whom: balanced orders and masks, sessions that are parts of one sample, noise of 1/f."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.ask.session import MASKS, ORDERS, Procedure, balanced_masks, mask_noise, open_session
from benchmark.failures import StimuliError
from benchmark.stimuli.datasets import sample
from benchmark.stimuli.world.sets import generated_set


def unbalanced(labels, order):
    """How far any front part of an order is from the share of any level."""
    shares = ((labels == level)[list(order)] for level in np.unique(labels))
    m = np.arange(1, len(labels) + 1)
    return max(np.abs(np.cumsum(shown) - m * shown.mean()).max() for shown in shares)


@pytest.mark.parametrize(("name", "trials"), [("world-edges", 160), ("world-cue-conflict", 48)])
def test_every_front_part_of_an_order_is_balanced_to_within_one(session, name, trials):
    opened = session(name, trials)
    labels = np.array([image.category for image in opened.images])
    assert len({tuple(order) for order in opened.orders}) == ORDERS
    for order in opened.orders:
        assert sorted(order) == list(range(trials)) and unbalanced(labels, order) <= 1


@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from(["", "c50", "c10"])), min_size=1, max_size=120),
    st.integers(0, 99),
)
def test_masks_are_balanced_over_category_and_condition(pairs, seed):
    columns = [np.array(column) for column in zip(*pairs, strict=True)]
    masks = balanced_masks(*columns, np.random.default_rng(seed))
    for labels, apart in zip(columns, (1, 3), strict=True):
        for level in np.unique(labels):
            assert np.ptp(np.bincount(masks[labels == level], minlength=MASKS)) <= apart


def test_a_session_is_what_a_limit_shows_the_next_goes_on_and_the_plan_follows_from_the_seed(session):
    whole = generated_set("world-edges")
    first, second, both = session(trials=24), session(trials=24, number=2), sample(whole, 48)
    assert first.stimuli.ids == sample(whole, 24).ids
    assert first.stimuli.ids + second.stimuli.ids == both.ids
    assert len(session(trials=100, number=2).images) == 60
    with pytest.raises(StimuliError, match="session 3 of 100 has none left"):
        session(trials=100, number=3)
    assert json.dumps(session().plan) == json.dumps(session().plan)
    assert len({given.plan["id"] for given in (session(), session(seed=1), session(answer=0))}) == 3
    assert session().orders != session(seed=1).orders


def test_every_image_is_shown_once_a_round_for_another_time_in_each(session):
    opened = session("world-cue-conflict", 48, durations=(50, 100, 200))
    for sequence in opened.sequences:
        for start in (0, 48, 96):
            images, _, times = zip(*sequence[start : start + 48], strict=True)
            assert sorted(images) == list(range(48)) and {times.count(time) for time in times} == {16}
            categories = [opened.images[image].category for image in images]
            for category in set(categories):
                own = [time for time, other in zip(times, categories, strict=True) if other == category]
                assert {own.count(time) for time in own} == {1}
        assert len({(image, time) for image, _, time in sequence}) == 144 == opened.trials
    assert opened.row(3, "144")["duration_ms"] == str(opened.sequences[3][143][2]) and opened.row(3, "145") is None
    pairs = zip(session().orders[5], session().masks[5], strict=True)
    assert len(opened.checks[0]) == 3 and [row[:2] for row in session().sequences[5]] == [*pairs]


def test_a_trial_is_known_by_person_and_number(session):
    opened = session("world-natural", 80)
    order = opened.orders[7]
    row = opened.row(7, "3")
    assert row["subj"] == "subject-07" and row["imagename"] == opened.images[order[2]].imagename
    assert row["mask"] == str(opened.masks[7][2]) == str(opened.plan["trials"][7][2][1])
    assert opened.row(7 + ORDERS, "3b")["imagename"] == row["imagename"]
    check, practice = opened.row(7, "c2"), opened.row(7, "p9")
    assert (check["status"], check["category"], check["digest"]) == ("check", opened.checks[7][1], "")
    assert (practice["status"], practice["category"]) == ("practice", opened.plan["practice"][0])
    for trial in ("0", "81", "c3", "c0", "p0", "p17", "p1b", "c1b", "3bb", "-1", "", "1.0", "٣", "1 ", "9999999"):
        assert opened.row(7, trial) is None
    assert session("world-natural", 80, mask="none").row(7, "3")["mask"] == "none"


def test_who_answers_with_other_categories_cannot_be_asked():
    with pytest.raises(StimuliError, match="people can answer in geirhos16 or world16"):
        open_session(replace(generated_set("world-edges"), space="imagenet1k"), "x", Procedure(), 4, 1, 0)
    own = open_session(replace(generated_set("world-edges"), space="own"), "x", Procedure(), 4, 1, 0, ("cat", "dog"))
    few = open_session(sample(own.stimuli, 4), "x", Procedure(criterion=8), 4, 1, 0, ("cat", "dog"))
    assert (few.plan["criterion"], few.row(1, "p8")["status"], few.row(1, "p9")) == (4, "practice", None)
    assert own.plan["categories"] == ("cat", "dog") and {*own.practice.ids}.isdisjoint(own.stimuli.ids)
    labels = {"category": np.array(["cat"]), "condition": np.array(["c50"])}
    odd = replace(generated_set("world-edges"), ids=("cat1.png",), items=("0",), labels=labels)
    with pytest.raises(StimuliError, match=r"expected a name like 'c50/cat1\.png'"):
        _ = open_session(odd, "contrast", Procedure(), 4, 1, 0).images
    named = open_session(replace(odd, ids=("c50/cat1.png",)), "contrast", Procedure(), 4, 1, 0)
    assert named.images[0][:3] == ("cat1.png", "c50", "cat")


def test_noise_falls_with_the_frequency():
    """The amplitude over frequency is a line of slope -1 in logarithms."""
    waves = np.abs(np.fft.rfft2(np.mean([mask_noise(seed) for seed in range(4)], axis=0) - 127.5))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(256), np.fft.rfftfreq(256), indexing="ij"))
    inside = (frequency > 3 / 256) & (frequency < 0.25)
    slope, _ = np.polyfit(np.log(frequency[inside]), np.log(waves[inside]), 1)
    assert slope == pytest.approx(-1, abs=0.1)
    assert mask_noise(0).mean() == pytest.approx(127.5, abs=2) and mask_noise(0).std() == pytest.approx(45, abs=3)
    assert (mask_noise(0) == mask_noise(0)).all() and (mask_noise(0) != mask_noise(1)).any()
