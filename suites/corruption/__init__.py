"""Corruption: how much of an observer's accuracy is left when images are noisy, blurred, weathered or degraded?
(Geirhos et al. 2018; Hendrycks and Dietterich 2019)

Definition, protocol, numbers and deviations: docs/suites/corruption.md.
"""

from __future__ import annotations

from dataclasses import replace

from benchmark.contracts import Against, EarlyStop, Suite
from benchmark.transforms.listing import plugin_names
from suites.corruption.cells import seen
from suites.corruption.compare import compare
from suites.corruption.config import Config, Folders
from suites.corruption.metrics import FIGURES, metrics
from suites.corruption.observe import observe
from suites.corruption.plan import plan, plan_folders
from suites.corruption.score import score, settled
from suites.corruption.stylised import STYLISED

NAME = "corruption"
IMAGENET, PICTURES, ALL = (("imagenet1k",), ("imagenet1k", "geirhos16"), ("imagenet1k", "geirhos16", "world16"))

_PLAIN = Suite(
    name=NAME,
    version=1,
    trial_version=2,
    summary="Accuracy under 15 common corruptions at 5 severities, made on the fly; mCE, stability, unseen cells",
    needs="decisions",
    metrics=metrics(),
    plan=plan,
    observe=observe,
    score=score,
    config=Config(),
    spaces=ALL,
    own_space=True,
    against=Against(compare),
    seen=seen,
    figures=FIGURES,
)


def within(half_width: float) -> Suite:
    """Each condition on images in random order until the accuracy on all of them is known to +-`half_width`."""
    return replace(
        _PLAIN,
        name=f"{NAME}:within-{half_width:g}",
        summary=f"As {NAME}, each condition only until its accuracy is known to +-{half_width:g}",
        config=Config(half_width=half_width),
        stopping=EarlyStop(settled=settled),
    )


def _generated(name: str, summary: str, config: Config, **changes: object) -> Suite:
    """A variant that makes its images: by default on photographs."""
    made = replace(_PLAIN, name=f"{NAME}:{name}", summary=summary, config=config, spaces=PICTURES)
    return replace(made, **changes)  # type: ignore[arg-type]


def _in_folders(role: str, summary: str, corruptions: tuple[str, ...] = ("all",)) -> Suite:
    """A variant whose images lie on disk, corrupted by others."""
    return replace(
        _PLAIN,
        name=f"{NAME}:{role}",
        summary=summary,
        metrics=metrics(""),
        plan=plan_folders,
        config=Folders(role, corruptions),
        spaces=IMAGENET,
        own_space=False,
    )


def _variants() -> dict[str, Suite]:
    made = [
        _generated(
            "quick",
            "As corruption, severities 1, 3 and 5 and at most 500 images: mCE* instead of mCE",
            Config(severities=("1", "3", "5"), images=500),
        ),
        _generated(
            "jpeg85",
            "As corruption, every corrupted image stored as a JPEG of quality 85, as the published folder is",
            Config(jpeg85=True),
        ),
        _generated("rounded", "As corruption, levels rounded to 8 bits instead of cut", Config(quantise="round")),
        _generated(
            "bicubic",
            "As corruption, images resized with the bicubic filter before they are cropped",
            Config(resize="bicubic"),
        ),
        _generated(
            "extra",
            "The four extra corruptions of ImageNet-C at 5 severities; never normalised",
            Config(corruptions=("extra",)),
        ),
        _generated(
            "human",
            "The degradations of the human experiments at their levels, but for eidolons",
            Config(source="human", corruptions=_human()),
        ),
        _generated(
            "eidolon",
            "Eidolons I to III of the human experiments, 24 levels: minutes for each hundred images",
            Config(source="human", corruptions=("eidolon",)),
        ),
        _in_folders(
            "imagenet-c",
            "The published ImageNet-C files of the 15 common corruptions: corruption/severity/class",
            ("common",),
        ),
        _in_folders("imagenet-c-bar", "The published ImageNet-C-bar files (Mintun et al. 2021)"),
        _in_folders("imagenet-3dcc", "The published ImageNet-3DCC files (Kar et al. 2022)"),
        STYLISED,
    ]
    if names := plugin_names():
        summary = f"Corruptions of other packages: {', '.join(names)}"
        config = Config(source="plugins", corruptions=("all",))
        made.append(_generated("plugins", summary, config, spaces=ALL))
    return {suite.name.partition(":")[2]: suite for suite in made}


def _human() -> tuple[str, ...]:
    return (
        "colour", "contrast", "uniform-noise", "salt-and-pepper", "low-pass", "high-pass", "phase-scrambling",
        "power-equalisation", "rotation", "false-colour",
    )  # fmt: skip


SUITE = replace(_PLAIN, variants=_variants(), stopping=EarlyStop(within=within))
