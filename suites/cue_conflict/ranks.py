"""How high does a network rank shape and texture? (REFINED-BIAS, Kim et al. 2026; docs/suites/cue-conflict.md)"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from benchmark.contracts import Array, Block, Plan, Ratio, Score, Shelf, Trials, View
from benchmark.contracts.declarations import declared_suite, package_data
from benchmark.failures import MissingStimuli, StimuliError
from benchmark.stats import ratio_score
from benchmark.stimuli.image_files import set_digest
from benchmark.stimuli.image_names import exemplars
from benchmark.stimuli.roles import sets_of

CUES = ("shape", "texture")
RANK = "{}_reciprocal_rank"  # columns of trials
#: Folders of images that show one cue alone, answered in ImageNet's classes.
FOLDERS = {f"refined-{cue}": cue for cue in CUES}
#: Cue -> class of its folder -> WordNet ids.
REFINED: Mapping[str, Mapping[str, Sequence[str]]] = package_data("suites.cue_conflict", "refined_classes")


def plan(_config: None, shelf: Shelf) -> Plan:
    """Plan the conflict images, or, for ImageNet's classes, the two folders; one may be missing with a reason."""
    if shelf.space != "imagenet1k":
        return Plan((Block(stimuli=shelf.find("cue-conflict"), presentation="whole", role="cue-conflict"),))
    sets, missing = sets_of(shelf, FOLDERS)
    if not sets:
        raise MissingStimuli(next(iter(missing.values())))
    blocks = []
    for role, own in sets.items():
        # A folder's images get their first ImageNet class as category, and their own in `named`.
        known, names = REFINED[FOLDERS[role]], own.labels["category"].tolist()
        if strange := sorted(set(names) - known.keys()):
            expected = f"Expected folders called {', '.join(known)}."
            raise StimuliError(f"'{own.name}' has the class '{strange[0]}'. {expected}")
        labels = {"category": np.array([known[name][0] for name in names]), "named": np.array(names)}
        digest = set_digest(own.ids, own.items, labels)
        stimuli = replace(own, space="imagenet1k", labels=labels, digest=digest)
        blocks.append(Block(stimuli=stimuli, presentation="crop224", role=role))
    return Plan(tuple(blocks), missing)


def observe(_config: None, view: View) -> Mapping[str, Array]:
    """Return the answer, and for each cue the reciprocal rank of its best class (NaN without the cue), [n]."""
    own = FOLDERS.get(view.block.role)
    outputs = dict(zip(view.categories, view.outputs, strict=True))
    logits = view.logits.detach().double().cpu().numpy()
    columns: dict[str, Array] = {"response": np.asarray(view.responses)}
    for cue in CUES:
        members: list[tuple[int, ...]] = [()] * len(logits)
        if own == cue:
            classes = [REFINED[cue][name] for name in view.labels["named"].tolist()]
            members = [tuple(at for wnid in wnids for at in outputs[wnid]) for wnids in classes]
        elif own is None:
            members = [outputs.get(name, ()) for name in view.labels[cue].tolist()]
        columns[RANK.format(cue)] = reciprocal_ranks(logits, members)
    return columns


def reciprocal_ranks(logits: Array, members: Sequence[Sequence[int]]) -> Array:
    """Return [n] float32 1 / mid-rank of the best of each row's members in logits [n, classes]; NaN without."""
    ranks = np.full(len(logits), np.nan, dtype=np.float32)
    for row, (values, own) in enumerate(zip(logits, members, strict=True)):
        if len(own):
            best = values[list(own)].max()
            ranks[row] = 1 / ((values > best).sum() + ((values == best).sum() + 1) / 2)
    return ranks


def _ranked(trials: Trials, cue: str) -> tuple[Array, Array]:
    """Return reciprocal ranks of a cue, 0 where they do not count, and which count: in conflict the conflicting."""
    ranks = trials[RANK.format(cue)].astype(float)
    counts = np.isfinite(ranks)
    if "shape" in trials.columns:
        counts &= (trials["role"] != "cue-conflict") | (trials["shape"] != trials["texture"])
    return np.where(counts, ranks, 0.0), counts


def _relative(trials: Trials) -> tuple[Array, Array]:
    """Return each cue's ranks over how many there are of them; nothing where one of them has none."""
    (shape, some), (texture, others) = (_ranked(trials, cue) for cue in CUES)
    shares = shape / max(1, some.sum()), texture / max(1, others.sum())
    return shares[0] * others.any(), sum(shares) * (some.any() and others.any())


def score(_config: None, trials: Trials) -> Sequence[Score]:
    """Return the scores of one observer; the relative one needs both cues."""
    gone = "; ".join(trials.missing.values())
    scores = [ratio_score(metric, trials) for metric in RANKS.metrics]
    return [replace(each, reason=gone or each.reason) if each.value is None else each for each in scores]


_RATIOS: dict[str, Ratio] = {f"{cue}_mrr": partial(_ranked, cue=cue) for cue in CUES}
RANKS = declared_suite(
    "suites.cue_conflict", "ranks", {**_RATIOS, "relative_shape_mrr": _relative}, clusters=exemplars, plan=plan,
    observe=observe, score=score,
)  # fmt: skip
