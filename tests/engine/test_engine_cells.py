"""A user's folder of cells from the command that adds it to stored trials: each cell is a set of its own."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_toys import CLASSES, network, toy_suite
from PIL import Image

from benchmark.contracts import Block, Plan
from benchmark.engine.plan import plan_tasks
from benchmark.stimuli.fetch import add
from benchmark.stimuli.roles import Resolver
from registry.files import Place
from registry.loading import load_model

pytestmark = pytest.mark.slow


def by_cells(_config, shelf):
    """One block per cell."""
    parts = shelf.parts("smoke")
    return Plan(tuple(Block(one, cell, presentation="whole", role=cell) for cell, one in parts.items()))


@pytest.fixture
def smoke(tmp_path):
    """Two severities of 20 pictures, 32 px, in the classes of the built-in world."""
    rng = np.random.default_rng(3)
    for severity in (1, 2):
        for i in range(20):
            place = tmp_path / "smoke" / "dark_smoke" / str(severity) / CLASSES[i % 5]
            place.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / f"{i:03d}.png")
    return tmp_path / "smoke"


@pytest.mark.parametrize("limit", [None, 7])
def test_every_cell_is_shown_and_stored(leaderboard, smoke, tmp_path, limit):
    home = replace(leaderboard.settings, home=tmp_path / "home")
    add("my-smoke", smoke, home, role="smoke", space="world16", layout="cells")
    suite = toy_suite((), plan=by_cells)
    card = network("net", "Readout", seed=4)
    (task,) = plan_tasks([card], [suite], home, limit)
    assert leaderboard.run([card], [replace(suite, plan=lambda *_: task.plan)]).exit_code == 0
    trials = leaderboard.trials("net")
    cells = Resolver("world16", home, limit).parts("smoke")
    assert list(cells) == ["dark_smoke/1", "dark_smoke/2"]
    module = load_model(card, Place(tmp_path)).module
    for cell, shown in cells.items():
        mine = trials["condition"] == cell
        assert len(shown) == mine.sum() == (limit or 20)
        assert sorted(shown.ids) == trials["stimulus"][mine].tolist()
        answers = dict(zip(shown.ids, plain_answers(module, shown), strict=True))
        assert [answers[name] for name in trials["stimulus"][mine]] == trials["response"][mine].tolist()
    first, second = (set(trials["stimulus"][trials["condition"] == cell]) for cell in cells)
    assert first == second


def plain_answers(module, stimuli):
    """One image at a time, without the harness; mean and std 0.5."""
    found = []
    for i in range(len(stimuli)):
        pixels = torch.from_numpy(stimuli.decode(i)).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            found.append(CLASSES[int(module((pixels - 0.5) / 0.5).argmax())])
    return found
