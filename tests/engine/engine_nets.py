"""Small networks for the engine's tests, built by cards of source "python"."""

import multiprocessing
import os
import signal
from pathlib import Path

import torch
from torch import nn

FORWARDED: list[tuple[int, int]] = []  # (seed of the network, images) per call of a `Counting`


class Readout(nn.Module):
    """A fixed random readout of 8 x 8 means: instant, and different for every seed."""

    def __init__(self, seed=0, num_classes=16):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.seed = seed
        self.weight = nn.Parameter(torch.randn(192, num_classes, generator=generator))

    def forward(self, x):
        return nn.functional.adaptive_avg_pool2d(x, 8).flatten(1) @ self.weight


class Pooled(Readout):
    """Means of places: nothing that a lower precision rounds."""

    def forward(self, x):
        return nn.functional.adaptive_avg_pool2d(x, 4).flatten(1)[:, :16] + 0 * self.weight.sum()


class Coarse(Readout):
    """All logits have much in common, which a lower precision rounds."""

    def forward(self, x):
        return nn.functional.adaptive_avg_pool2d(x, 8).flatten(1) @ (self.weight + 20) + 0.1


class Counting(Readout):
    def forward(self, x):
        FORWARDED.append((self.seed, len(x)))
        return super().forward(x)


class Greedy(Readout):
    def __init__(self, most, seed=0, num_classes=16):
        super().__init__(seed, num_classes)
        self.most = most

    def forward(self, x):
        if len(x) > self.most:
            raise torch.OutOfMemoryError(f"tried to allocate for {len(x)} images")
        return super().forward(x)


class Broken(Readout):
    """NaN on the images that are bright in the corner."""

    def forward(self, x):
        logits = super().forward(x)
        logits[0, 3] = float("nan")
        return logits


class Unequal(Readout):
    """Two classes tie but for float noise that depends on the batch size."""

    def forward(self, x):
        logits = super().forward(x)
        best = logits.max(dim=1).values + 1
        noise = 1e-6 if len(x) == 1 else -1e-6
        logits[:, 2], logits[:, 9] = best, best + noise
        return logits


class Normed(nn.Module):
    """Convolution, batch norm, head: what folding is made for."""

    def __init__(self, seed=0, num_classes=16):
        super().__init__()
        torch.manual_seed(seed)
        self.conv = nn.Conv2d(3, 8, 5, stride=4)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, num_classes)
        nn.init.uniform_(self.norm.running_mean, -0.2, 0.2)
        nn.init.uniform_(self.norm.running_var, 0.5, 2.0)

    def forward(self, x):
        return self.head(torch.relu(self.norm(self.conv(x))).mean((2, 3)))


class Quitting(Readout):
    """A network whose code ends the program, or whose user presses Ctrl-C, when `error` says so."""

    def __init__(self, error="SystemExit", early=False, num_classes=16):
        super().__init__(0, num_classes)
        self.error = {"SystemExit": SystemExit(3), "KeyboardInterrupt": KeyboardInterrupt()}[error]
        if early:
            raise self.error

    def forward(self, x):
        raise self.error


class Deadly(Readout):
    """Kills its process once it is at work, after the checks at load, `times` times in all: a file each in `flag`."""

    def __init__(self, flag, times, num_classes=16):
        super().__init__(0, num_classes)
        self.flag, self.times, self.passes = Path(flag), times, 0

    def forward(self, x):
        self.passes += 1
        if self.passes > 25 and len(list(self.flag.iterdir())) < self.times:
            (self.flag / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x)


class Parent(Readout):
    """Starts a process for each batch, as a network's own workers are."""

    def forward(self, x):
        worker = multiprocessing.get_context("fork").Process(target=os.getpid)
        worker.start()
        worker.join()
        return super().forward(x)


# Networks whose answers depend on more than the image.


class Trained(Readout):
    """Batch statistics instead of running ones, whatever `eval()` says."""

    def forward(self, x):
        logits = super().forward(x)
        return (logits - logits.mean(0)) / (logits.std(0, unbiased=False) + 0.1)


class Learning(Readout):
    """A buffer that follows what was shown."""

    def __init__(self, seed=0, num_classes=16):
        super().__init__(seed, num_classes)
        self.register_buffer("follows", torch.zeros(3), persistent=False)

    def forward(self, x):
        self.follows += 1e-9 * x.mean((0, 2, 3))
        return super().forward(x)


class Late(Learning):
    """Once it has been shown a hundred and fifty images in the run."""

    shown = 0

    def forward(self, x):
        self.shown += len(x)
        if self.shown > 150:
            self.follows += 1
        return Readout.forward(self, x)


class Moody(Readout):
    """Noise that begins after a hundred and fifty images."""

    shown = 0

    def forward(self, x):
        self.shown += len(x)
        logits = super().forward(x)
        return logits + (self.shown % 7) * torch.linspace(0, 3, 16).to(x.device) if self.shown > 150 else logits
