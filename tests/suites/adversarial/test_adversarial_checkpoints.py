"""What APGD does at a checkpoint, image by image, by hand."""

import pytest
import torch

from suites.adversarial.attacks import apgd
from suites.adversarial.attacks.apgd import Climb
from suites.adversarial.attacks.problem import BALLS


def climb(n, **given):
    """n images of one pixel; where it is: .5, the best point: .7, the image: .4; the gradient at the best: 9."""
    pixel = torch.ones(n, 1, 1, 1)
    plain = {
        "row": torch.arange(n),
        "run": torch.zeros(n, dtype=torch.int64),
        "at": torch.full((n,), 10),
        "epsilon": torch.full((n,), 0.5),
        "origin": 0.4 * pixel,
        "point": 0.5 * pixel,
        "before": 0.45 * pixel,
        "best": 0.7 * pixel,
        "slope": 9.0 * pixel,
        "step": torch.full((n,), 0.2),
        "last": torch.zeros(n),
        "top": torch.full((n,), 3.0),
        "noted": torch.full((n,), 2.0),
        "rises": torch.zeros(n, dtype=torch.int64),
        "halved": torch.zeros(n, dtype=torch.bool),
        "share": torch.full((n,), 0.2),
        "support": torch.full((n,), 4.0),
    }
    return Climb(**(plain | {name: torch.tensor(value) for name, value in given.items()}))


def test_steps_are_halved_where_the_ascent_falters_or_stands_still():
    """Of ten steps 8 rose: on; 7 (not more than 75 %): halve; 8, but no better than at the last checkpoint: halve,
    unless it was halved there; between checkpoints: nothing."""
    before = climb(5, rises=[8, 7, 8, 8, 0], noted=[2.0, 2.0, 3.0, 3.0, 2.0], halved=[True, False, False, True, True])
    way = torch.ones(5, 1, 1, 1)
    after, slope = apgd.retake(before, way, torch.tensor([10, 10, 10, 10, 0]))
    assert after.step.tolist() == pytest.approx([0.2, 0.1, 0.1, 0.2, 0.2])
    assert after.point.flatten().tolist() == pytest.approx([0.5, 0.7, 0.7, 0.5, 0.5])
    assert slope.flatten().tolist() == [1.0, 9.0, 9.0, 1.0, 1.0]
    assert after.halved.tolist() == [False, True, True, False, True]
    assert after.noted.tolist() == [3.0, 3.0, 3.0, 3.0, 2.0]
    assert after.rises.tolist() == [0, 0, 0, 0, 0]


def test_a_quarter_of_the_last_move_is_carried_on_from_the_second_step():

    rules = apgd.dense_rules(BALLS["linf"])
    start = climb(2, at=[0, 3], epsilon=[0.5, 0.5], step=[0.1, 0.1])
    moved = rules.move(start, torch.tensor([1.0, -2.0]).view(2, 1, 1, 1)).flatten()
    # .5 + .1; .5 + 3/4 of -.1 + 1/4 of (.5 - .45)
    assert moved.tolist() == pytest.approx([0.6, 0.4375])
    assert rules.stride == 2.0


def test_l1_starts_anew_where_the_best_point_is_sparser():
    """Four entries; the best point changed 2 or 4 of them, where 4 were changed before: below 95 % it starts anew from
    there with the whole step, else the step is divided by 1.5, down to a tenth; next, 2/3 of the support moves."""
    origin = torch.zeros(4, 1, 2, 2)
    best = origin.clone()
    for row, count in enumerate((2, 4, 4, 3)):
        best[row].view(-1)[:count] = 0.3
    before = climb(4, step=[0.3, 0.3, 0.06, 0.3], support=[4.0, 4.0, 4.0, 3.0])
    before = Climb(**{**vars(before), "origin": origin, "best": best, "point": origin + 0.1,
                      "slope": origin + 9})  # fmt: skip
    after, slope = apgd.sparse_retake(before, origin + 1, torch.tensor([2, 2, 2, 0]))
    assert after.step.tolist() == pytest.approx([0.5, 0.2, 0.05, 0.3])
    assert after.share.tolist() == pytest.approx([2 / 4 / 1.5, 1 / 1.5, 1 / 1.5, 0.2])
    assert after.support.tolist() == [2.0, 4.0, 4.0, 3.0]
    assert torch.equal(after.point[0], best[0]) and torch.equal(after.point[1:], before.point[1:])
    assert slope[:, 0, 0, 0].tolist() == [9.0, 1.0, 1.0, 1.0]


def test_l1_moves_the_largest_entries_at_unit_sum():
    """Half of four entries: the two with the largest gradients, by .2 / 2 each."""
    origin = torch.full((1, 1, 2, 2), 0.5)
    start = climb(1, step=[0.2], share=[0.5])
    start = Climb(**{**vars(start), "origin": origin, "point": origin + 0.01})
    moved = apgd.sparse_move(start, torch.tensor([3.0, -2.0, 1.0, 0.5]).view(1, 1, 2, 2))
    assert moved.flatten().tolist() == pytest.approx([0.61, 0.41, 0.51, 0.51], abs=1e-6)


@pytest.mark.parametrize(("steps", "windows"), [(100, (4,) * 25), (10, (1,) * 10), (60, (2,) * 30), (130, (5,) * 26)])
def test_l1_checkpoints_come_every_four_percent(steps, windows):
    assert apgd.sparse_windows(steps) == windows
