"""`bench probe`: a classifier on a backbone's features."""

from __future__ import annotations

from typing import Any

import click

from benchmark.cli.model_input import given_options, input_options, print_registered


@click.command()
@click.argument("backbone")
@click.option(
    "--train",
    required=True,
    metavar="FOLDER|world",
    help="Images in one folder per class; 'world': 1,600 images of the built-in world are drawn.",
)
@click.option(
    "--head",
    "kind",
    type=click.Choice(["linear", "nearest-class"]),
    default="linear",
    show_default=True,
    help="Logistic regression, or the class with the closest mean.",
)
@click.option(
    "--as", "name", default="", metavar="NAME", help="Name of the new model (BACKBONE-HEAD)."
)
@click.option(
    "--weights",
    metavar="FILE",
    help="Of an architecture: a checkpoint, with or without a classifier.",
)
@click.option("--key", metavar="NAME", help="The weights to take where the file holds several.")
@click.option(
    "--labels",
    metavar="SPACE",
    help="geirhos16, world16, imagenet1k, ...; told from the folders' names.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help="Images of the training set, all classes in proportion.",
)
@click.option(
    "--replace",
    "replaces",
    is_flag=True,
    help="Take the place of the registered model of that name.",
)
@click.option("--device", default="auto", show_default=True)
@input_options
def probe(backbone: str, train: str, kind: Any, **options: Any) -> int:
    """Fit a classifier to a frozen backbone's features of a training set, and register the two as one model.

    BACKBONE: a registered model, whose own classifier is taken off, or an architecture.

    bench probe timm:vit_small_patch14_dinov2 --weights dinov2.pth --train imagenet/train
    """
    from benchmark import api

    words = ("name", "weights", "key", "labels", "limit", "device", "replaces")
    own = {key: options.pop(key) for key in words}
    asked = api.Probe(backbone, train, kind, **own, overrides=given_options(options))
    return print_registered(*api.probe(asked), replaced=asked.replaces)
