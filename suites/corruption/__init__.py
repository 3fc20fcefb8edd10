"""Corruption: accuracy on noisy, blurred, weathered images (Hendrycks & Dietterich 2019; docs/suites/corruption.md)."""

from dataclasses import replace

from benchmark.contracts import Against, EarlyStop, Suite
from benchmark.contracts.declarations import declared_suite
from benchmark.stimuli.experiments import Experiment, suite_on
from benchmark.stimuli.roles import ROLE
from benchmark.transforms.listing import plugin_names
from suites.corruption import laion_c
from suites.corruption.bands import BANDS_SUITE
from suites.corruption.cells import seen
from suites.corruption.config import PROTOCOLS, CorruptionConfig, Folders, versioned
from suites.corruption.feature_reliance import SUPPRESSION
from suites.corruption.metrics import metrics
from suites.corruption.natural import NATURAL, STYLISED
from suites.corruption.observe import observe
from suites.corruption.plan import plan, plan_folders
from suites.corruption.score import over_reference, score, settled

IMAGENET, PICTURES = ("imagenet1k",), ("imagenet1k", "geirhos16")

_DECLARED = declared_suite(
    __name__, "suite", {}, plan=plan, observe=observe, score=score, config=CorruptionConfig(), seen=seen,
    against=Against(scores=over_reference),
)  # fmt: skip
_PLAIN = replace(_DECLARED, metrics=metrics())


def within(half_width: float) -> Suite:
    """Return each condition on images in random order until the accuracy on all of them is known to +-`half_width`."""
    return replace(
        versioned(_PLAIN),
        name=f"corruption:within-{half_width:g}",
        summary=f"As corruption, each condition only until its accuracy is known to +-{half_width:g}",
        config=CorruptionConfig(half_width=half_width),
        stopping=EarlyStop(settled=settled),
    )


def _variants() -> dict[str, Suite]:
    made = replace(_PLAIN, spaces=PICTURES)
    on_disk = replace(_PLAIN, metrics=metrics(""), plan=plan_folders, spaces=IMAGENET, own_space=False)
    variants = {"suppression": SUPPRESSION, "critical-bands": BANDS_SUITE}

    def add(name: str, plain: Suite, summary: str, config: CorruptionConfig | Folders) -> None:
        variants[name] = replace(plain, name=f"corruption:{name}", summary=summary, config=config)

    for name, own in PROTOCOLS["sweeps"].items():
        add(name, made, own["summary"], CorruptionConfig(**own["config"]))
    for name, own in PROTOCOLS["folders"].items():
        add(name, on_disk, own["summary"], Folders(role=name, **own.get("config", {})))
    if names := plugin_names():
        config = CorruptionConfig(source="plugins", corruptions=("all",))
        add("plugins", replace(_PLAIN, version=4), f"Corruptions of other packages: {', '.join(names)}", config)
    laion = variants["laion-c"]
    variants["laion-c"] = replace(laion, plan=laion_c.plan_published, observe=laion_c.observe, against=None)
    versions = {name: versioned(suite) for name, suite in variants.items()}
    return {**versions, "stylized-imagenet": STYLISED, **NATURAL}


def suite_of(own: Experiment) -> Suite | None:
    """Return the suite of an added experiment that shows photographs (`role: natural`), in its own label space."""
    if own.role != ROLE:
        return None
    return suite_on(SUITE, own, SUITE.summary, own_space=False, stopping=EarlyStop())


SUITE = replace(versioned(_PLAIN), of_experiment=suite_of, variants=_variants(), stopping=EarlyStop(within=within))
