"""Networks whose answers depend on more than the image, built by cards of source "python"."""

import torch
from engine_nets import Readout


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


class Late(Readout):
    """As `Learning`, but only once it has been shown a hundred images in the run."""

    def __init__(self, seed=0, num_classes=16):
        super().__init__(seed, num_classes)
        self.register_buffer("follows", torch.zeros(3))
        self.shown = 0

    def forward(self, x):
        self.shown += len(x)
        if self.shown > 150:
            self.follows += 1
        return super().forward(x)


class Moody(Readout):
    """Noise that begins after a hundred and fifty images."""

    def __init__(self, seed=0, num_classes=16):
        super().__init__(seed, num_classes)
        self.shown = 0

    def forward(self, x):
        self.shown += len(x)
        logits = super().forward(x)
        return logits + (self.shown % 7) * torch.linspace(0, 3, 16) if self.shown > 150 else logits
