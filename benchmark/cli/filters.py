"""Options that choose observers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

_OPTIONS = {
    "kind": "Only these: model, published, reported, human, group, simulated, ideal.",
    "source": "Only observers of this published collection.",
    "recipe": "Only observers with this recipe tag: 'stylised', 'adversarial*'.",
    "family": "Only this family of networks: resnet, vit, clip.",
}


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--kind, --source, --recipe, --family: patterns, several separated by commas."""
    for name, text in reversed(_OPTIONS.items()):
        command = click.option(f"--{name}", default="", metavar="PATTERN", help=text)(command)
    return command
