"""Corruption: how much of an observer's accuracy is left when images are noisy, blurred, weathered or degraded?
(Geirhos et al. 2018; Hendrycks and Dietterich 2019)

Definition, protocol, numbers and deviations: docs/suites/corruption.md."""

from dataclasses import replace

from benchmark.contracts import Against, EarlyStop, Suite
from benchmark.transforms.listing import plugin_names
from suites.corruption import laion_c as laion
from suites.corruption.bands import BANDS_SUITE
from suites.corruption.cells import seen
from suites.corruption.config import CorruptionConfig, Folders
from suites.corruption.metrics import FIGURES, metrics
from suites.corruption.natural import NATURAL
from suites.corruption.observe import observe
from suites.corruption.plan import plan, plan_folders
from suites.corruption.protocols import versioned
from suites.corruption.score import compare, score, settled
from suites.corruption.stylised import STYLISED
from suites.corruption.suppression import SUPPRESSION

NAME = "corruption"
HUMAN = (
    "colour", "contrast", "uniform-noise", "salt-and-pepper", "low-pass", "high-pass", "phase-scrambling",
    "power-equalisation", "rotation", "false-colour",
)  # fmt: skip
IMAGENET, PICTURES, ALL = (("imagenet1k",), ("imagenet1k", "geirhos16"), ("imagenet1k", "geirhos16", "world16"))

_PLAIN = Suite(
    name=NAME,
    version=3,
    trial_version=2,
    summary="Accuracy under 15 common corruptions at 5 severities, made on the fly; mCE, stability, unseen cells",
    needs="decisions",
    metrics=metrics(),
    plan=plan,
    observe=observe,
    score=score,
    config=CorruptionConfig(),
    spaces=ALL,
    own_space=True,
    against=Against(scores=compare),
    seen=seen,
    figures=FIGURES,
)


def within(half_width: float) -> Suite:
    """Return each condition on images in random order until the accuracy on all of them is known to +-`half_width`."""
    return replace(
        versioned(_PLAIN),
        name=f"{NAME}:within-{half_width:g}",
        summary=f"As {NAME}, each condition only until its accuracy is known to +-{half_width:g}",
        config=CorruptionConfig(half_width=half_width),
        stopping=EarlyStop(settled=settled),
    )


#: Variants that make their images: what each differs in, and its protocol.
SWEEPS = {
    "quick": (
        "As corruption, severities 1, 3 and 5 and at most 500 images: mCE* instead of mCE",
        CorruptionConfig(severities=("1", "3", "5"), images=500),
    ),
    "jpeg85": (
        "As corruption, every corrupted image stored as a JPEG of quality 85, as the published folder is",
        CorruptionConfig(jpeg85=True),
    ),
    "rounded": ("As corruption, levels rounded to 8 bits instead of cut", CorruptionConfig(quantise="round")),
    "bicubic": (
        "As corruption, images resized with the bicubic filter before they are cropped",
        CorruptionConfig(resize="bicubic"),
    ),
    "extra": (
        "The extra corruptions of ImageNet-C at 5 severities; never normalised",
        CorruptionConfig(corruptions=("extra",)),
    ),
    "human": (
        "The degradations of the human experiments at their levels, but for eidolons",
        CorruptionConfig(source="human", corruptions=HUMAN),
    ),
    "eidolon": (
        "Eidolons I to III of the human experiments, 24 levels: minutes for each hundred images",
        CorruptionConfig(source="human", corruptions=("eidolon",)),
    ),
}
#: Variants whose images lie on disk, corrupted by others.
FOLDERS = {
    "imagenet-c": ("ImageNet-C files of the 15 common corruptions: corruption/severity/class", ("common",)),
    "imagenet-c-bar": ("ImageNet-C-bar files (Mintun et al. 2021)", ("all",)),
    "imagenet-3dcc": ("ImageNet-3DCC files (Kar et al. 2022)", ("all",)),
}


def _variants() -> dict[str, Suite]:
    variants = {
        name: replace(_PLAIN, summary=summary, config=config, spaces=PICTURES)
        for name, (summary, config) in SWEEPS.items()
    }
    on_disk = replace(_PLAIN, metrics=metrics(""), plan=plan_folders, spaces=IMAGENET, own_space=False)
    for name, (summary, corruptions) in FOLDERS.items():
        config = Folders(role=name, corruptions=corruptions)
        variants[name] = replace(on_disk, summary=f"The published {summary}", config=config)
    if names := plugin_names():
        summary = f"Corruptions of other packages: {', '.join(names)}"
        plugged = CorruptionConfig(source="plugins", corruptions=("all",))
        variants["plugins"] = replace(_PLAIN, summary=summary, config=plugged)
    laion_c = {
        "laion-c": replace(
            on_disk, plan=laion.plan_published, config=Folders(role=laion.NAME), summary=laion.PUBLISHED
        ),
        "laion-c-generated": replace(_PLAIN, plan=laion.plan_generated, config=laion.GENERATED, summary=laion.MADE),
    }
    for name, suite in laion_c.items():
        variants[name] = replace(suite, observe=laion.observe, spaces=IMAGENET, own_space=False, against=None)
    named = {name: replace(suite, name=f"{NAME}:{name}") for name, suite in variants.items()}
    listed = {**named, "suppression": SUPPRESSION, "critical-bands": BANDS_SUITE}
    return {**{name: versioned(suite) for name, suite in listed.items()}, "stylized-imagenet": STYLISED, **NATURAL}


SUITE = replace(versioned(_PLAIN), variants=_variants(), stopping=EarlyStop(within=within))
