"""Train the built-in world's network from scratch on natural images while it is evaluated, and draw
docs/figures/while-training.svg: about four minutes of CPU.

    python benchmarks/train_watched.py
"""

import tempfile
import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader, TensorDataset
from train_world import CATEGORIES, labels, loss_of, pixels, shifted

import gestaltbench as gb
from benchmark.stimuli.world.sets import training_set
from gestaltbench.training import Watch
from registry.world_networks import tiny_resnet

IMAGES, BATCH, EPOCHS, EVERY = 4_000, 100, 6, 48
LIMITS = {"cue-conflict": 240, "corruption": 32}  # images of each set; corruption shows each 75 times
FIGURE = Path(__file__).parents[1] / "docs" / "figures" / "while-training.svg"


def train(db: Path) -> float:
    """Train on 4,000 natural images; return the seconds that evaluations took."""
    torch.manual_seed(0)
    draw = torch.Generator().manual_seed(0)
    images = training_set("natural", IMAGES, seed=0)
    loader = DataLoader(TensorDataset(pixels(images), labels(images.labels["shape"])), BATCH, shuffle=True)
    net, steps = tiny_resnet(len(CATEGORIES)), EPOCHS * IMAGES // BATCH
    optimiser = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    how = {"preprocess": {"size": 64, "resize": 64, "mean": (0.5,) * 3, "std": (0.25,) * 3}, "labels": "world16"}
    watches = [
        Watch(net, name="tiny-resnet", every=EVERY, suites=suite, limit=limit, db=db, **how)
        for suite, limit in LIMITS.items()
    ]
    batches = (batch for _ in range(EPOCHS) for batch in loader)
    for step, (x, y) in enumerate(batches):
        for watch in watches:
            watch(step)
        optimiser.zero_grad()
        loss_of(net, shifted(x.float() / 255, draw), y).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    for watch in watches:
        watch(steps)
    return sum(watch.spent for watch in watches)


def main() -> None:
    """Train, draw and print the curves."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "training.db"
        spent = train(db)
        print(gb.training_curves(db=db))
        gb.plot("training", db=db).save(FIGURE)
    print(f"{time.monotonic() - begun:.0f} s ({time.process_time():.0f} s of CPU), {spent:.0f} s of them evaluations")


if __name__ == "__main__":
    main()
