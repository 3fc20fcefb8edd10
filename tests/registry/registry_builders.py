"""What several tests of the registry build: an input, statistics, a hostile pickle, a server of downloads."""

import os
from http.server import SimpleHTTPRequestHandler
from typing import ClassVar

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

CONTENT = b"weights" * 1000
HALF = {"size": 32, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


def lively(module):
    """Batch norms that show what is left out."""
    torch.manual_seed(5)
    for part in module.modules():
        if isinstance(part, _BatchNorm):
            part.running_mean.uniform_(-0.3, 0.3)
            part.running_var.uniform_(0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.uniform_(part.bias, -0.3, 0.3)
    return module.eval().requires_grad_(False)


def under(prefix, state):
    return {prefix + name: tensor for name, tensor in state.items()}


def details(checks):
    return {check.name: check.detail for check in checks}


class Hostile:
    """What would create a folder, were it ever unpickled."""

    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return (os.mkdir, (self.target,))


class Server(SimpleHTTPRequestHandler):
    asked: ClassVar[list[str]] = []
    logins: ClassVar[list[str | None]] = []

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.asked.append(self.path)
        self.logins += [text for text in [self.headers.get("Authorization")] if text]
        super().do_GET()
