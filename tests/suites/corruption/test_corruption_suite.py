"""The suite whole: conformance, what is kept of an answer, observers whose scores are known, references, stopping."""

import numpy as np
import pytest
import torch
from corruption_tables import CELLS, COMMON, by_name, hits, ran, table

from benchmark.contracts import Block
from benchmark.stats.intervals import confidence_sequence
from benchmark.testing import check_suite, toy_stimuli
from registry.labels import decide, label_space
from suites.corruption import SUITE
from suites.corruption.config import CorruptionConfig
from suites.corruption.observe import observe

#: Other variants share the functions of these.
EVERY = (SUITE, *(SUITE.variants[name] for name in ("imagenet-c", "stylized-imagenet")))


@pytest.mark.slow
@pytest.mark.parametrize("suite", EVERY, ids=lambda suite: suite.name)
def test_it_keeps_the_contract(suite):
    assert [check for check in check_suite(suite) if not check.ok] == []


class Seen:
    """A view of given probabilities."""

    def __init__(self, probabilities, labels, categories, space, size=1000):
        self.probabilities = np.asarray(probabilities, dtype=np.float32)
        self.categories = tuple(categories)
        self.labels = {"category": np.asarray(labels)}
        self.responses = np.asarray(self.categories)[self.probabilities.argmax(axis=1)]
        self.index = np.arange(len(labels))
        self.block = Block(stimuli=toy_stimuli("natural", space, size))


def logits(n, classes, seed=0):
    return torch.randn(n, classes, generator=torch.Generator().manual_seed(seed)) * 2


def test_top5_and_the_probability_of_the_truth():
    classes = label_space("imagenet1k").classes
    rng = np.random.default_rng(0)
    probabilities = logits(400, 1000).softmax(1).numpy()
    truth = np.where(rng.random(400) < 0.5, probabilities.argsort(axis=1)[:, -4], rng.integers(0, 1000, 400))
    columns = observe(CorruptionConfig(), Seen(probabilities, [classes[i] for i in truth], classes, "imagenet1k"))
    best = torch.topk(torch.from_numpy(probabilities), 5).indices.numpy()
    assert columns["top5"].tolist() == [bool(t in row) for t, row in zip(truth, best, strict=True)]
    np.testing.assert_array_equal(columns["probability"], probabilities[np.arange(400), truth])
    assert columns["probability"].dtype == np.float32
    assert 0.4 < columns["top5"].mean() < 0.7


def test_the_answer_among_16_is_the_registrys_decision():
    space = label_space("imagenet1k")
    grouping = space.grouping("geirhos16")
    scores = logits(600, 1000, seed=1)
    truth = np.random.default_rng(1).integers(0, 1000, 600)
    wanted = np.full(1000, -1)
    for number, group in enumerate(grouping.indices):
        wanted[list(group)] = number
    easy = np.flatnonzero(wanted >= 0)
    truth[:300] = np.random.default_rng(2).choice(easy, 300)
    scores[np.arange(150), truth[:150]] += 12
    probabilities = scores.double().softmax(1).float().numpy()
    view = Seen(probabilities, [space.classes[i] for i in truth], space.classes, "imagenet1k")
    found = observe(CorruptionConfig(), view)
    answer = decide(scores, grouping).argmax(dim=1).numpy()
    expected = np.where(wanted[truth] < 0, -1, answer == wanted[truth])
    np.testing.assert_array_equal(found["right16"], expected)
    assert set(np.unique(expected)) == {-1, 0, 1}
    # A class outside the sixteen took all, and what is left of them rounds to 0: that is no airplane.
    nothing = Seen(np.eye(1000)[[7, 404]], [space.classes[404]] * 2, space.classes, "imagenet1k")
    assert observe(CorruptionConfig(), nothing)["right16"].tolist() == [0, 1]


@pytest.mark.slow
def test_ideal_observers_score_what_they_must(tmp_path):
    """A shape reader is always right, a guesser at chance, a noisy one at its p: in every cell alike."""
    _, found = ran(tmp_path, "ideal-*", limit=480)
    shape, constant = found["ideal-shape"], found["ideal-constant"]
    for metric in ("corruption_accuracy", "clean_accuracy", "relative_robustness", "noise_accuracy", "top5_accuracy"):
        assert shape[metric, ""].value == 1.0
    for name, p in (("ideal-guesser", 1 / 16), ("ideal-noisy", 0.75)):
        row = found[name]["corruption_accuracy", ""]
        assert row.low - 0.03 <= p <= row.high + 0.03
        assert found[name]["flip_consistency", ""].value == 1.0  # its chance follows the image, not the cell
        assert found[name]["relative_robustness", ""].value == pytest.approx(1.0)
    cells = {row.value for (metric, condition), row in constant.items() if metric == "corruption_accuracy"}
    assert len(cells) == 1 and 0 < cells.pop() < 0.2


def sequential(right, n, of):
    return table({"fog/1": hits(right, n)}, of={"fog/1": np.full(n, of, dtype=np.int32)})


def test_a_condition_is_settled_where_its_sequence_is_narrow():
    config = CorruptionConfig(half_width=0.05)
    suite = SUITE.stopping.within(0.05)
    assert suite.name == "corruption:within-0.05" and suite.config == config
    for n in (64, 256, 512, 1024, 2048):
        low, high = confidence_sequence(n // 2, n, size=5000)
        expected = (high - low) / 2 <= 0.05
        assert suite.stopping.settled(config, sequential(0.5, n, 5000)) is bool(expected)
    assert suite.stopping.settled(config, sequential(1.0, 256, 5000))
    assert not suite.stopping.settled(config, sequential(0.5, 256, 5000))
    assert not suite.stopping.settled(CorruptionConfig(), sequential(1.0, 256, 5000))
    assert not suite.stopping.settled(config, sequential(1.0, 256, 5000).where(np.zeros(256, dtype=bool)))


def test_a_cell_that_stopped_has_the_interval_that_held_at_every_look():
    config = CorruptionConfig(half_width=0.05)
    found = by_name(SUITE.score(config, sequential(0.9, 512, 5000)))
    early, mean = (found["corruption_accuracy", condition] for condition in ("fog/1", ""))
    assert (early.low, early.high) == confidence_sequence(round(0.9 * 512), 512, size=5000)
    assert early.method == "confidence sequence for all 5000 images"
    assert early.flags == ("stopped early (512 of 5000)",)
    whole = by_name(SUITE.score(config, sequential(0.9, 512, 512)))["corruption_accuracy", "fog/1"]
    assert whole.method == "wilson" and whole.flags == ()
    assert mean.flags[-1] == "1 of 1 cells stopped early"


@pytest.mark.slow
def test_conditions_stop_where_their_interval_is_narrow_enough(tmp_path):
    """An observer that is always right is known after one chunk; one that is right in 3 of 4 is not."""
    _, found = ran(tmp_path, "ideal-shape,ideal-noisy", precision_target=0.045)
    for name, n in (("ideal-shape", 256), ("ideal-noisy", 480)):
        rows = [row for (metric, c), row in found[name].items() if metric == "corruption_accuracy" and "/" in c]
        assert len(rows) == 33 and {row.n for row in rows} == {n}
        for row in rows:
            assert (row.high - row.low) / 2 <= 0.045
            assert ("stopped early (256 of 480)" in row.flags) is (n == 256)
    assert "33 of 33 cells stopped early" in found["ideal-shape"]["corruption_accuracy", ""].flags


def compared(mine, theirs):
    return by_name(SUITE.against.scores(CorruptionConfig(), mine, {"alexnet": theirs}))


def sweep(rng, share, images=50, drop=()):
    return {c: (rng.random(images) < share).astype(int) for c in ("clean", *CELLS) if c not in drop}


def test_a_measured_reference_by_hand():
    rng = np.random.default_rng(1)
    mine, theirs = sweep(rng, 0.6), sweep(rng, 0.3)
    mine["clean"], theirs["clean"] = hits(0.9, 50), hits(0.6, 50)
    found = compared(table(mine), table(theirs))

    def errors(cells, name):
        return sum(1 - cells[f"{name}/{s}"].mean() for s in range(1, 6))

    plain = np.mean([errors(mine, c) / errors(theirs, c) for c in COMMON])
    relative = np.mean([(errors(mine, c) - 5 * 0.1) / (errors(theirs, c) - 5 * 0.4) for c in COMMON])
    assert found["mce_measured", ""].value == pytest.approx(100 * plain)
    assert found["relative_mce_measured", ""].value == pytest.approx(100 * relative)
    assert found["mce_measured", ""].low < 100 * plain < found["mce_measured", ""].high


def test_a_reference_on_other_images_or_cells_is_none():
    rng = np.random.default_rng(2)
    mine = table(sweep(rng, 0.6))
    other = compared(mine, table(sweep(rng, 0.6), names=[f"j{i}" for i in range(50)]))
    assert other["mce_measured", ""].value is None
    assert "other images" in other["mce_measured", ""].reason
    part = compared(mine, table(sweep(rng, 0.6, drop=("fog/3",))))
    assert part["mce_measured", ""].reason == "alexnet: was not measured under fog/3"
    assert SUITE.against.scores(CorruptionConfig(), mine, {}) == []
    sixteen = table(sweep(rng, 0.6), wnids=False)
    assert SUITE.against.scores(CorruptionConfig(), sixteen, {"alexnet": sixteen}) == []
