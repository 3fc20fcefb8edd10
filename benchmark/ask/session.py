"""One session of an experiment: which images of a set, in which orders, under which masks, with which checks."""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Stimuli
from benchmark.errors import StimuliError
from benchmark.stimuli.catalogue import GEIRHOS16
from benchmark.stimuli.datasets import restrict
from benchmark.stimuli.generated import training_stimuli
from benchmark.stimuli.items import SIXTEEN, sample_order
from benchmark.stimuli.trials import AGAIN, ASKED
from registry.files import digest_data

#: People take turns in so many orders of the images.
ORDERS = 16
#: Draws of an order, of which the first that is balanced is taken.
ATTEMPTS = 20
#: Noise images, a power of two: they are shared out by halving (`balanced_masks`).
MASKS = 8
MASK_SIDE = 256
#: An attention check follows each so many trials, a break each so many.
CHECK_EVERY, BREAK_EVERY = 40, 80
PRACTICE = 8
#: Columns of the table of answers: those of a published table, then `ASKED`, then how the trial was shown.
COLUMNS = (
    "subj", "session", "trial", "rt", "object_response", "category", "condition", "imagename", *ASKED, "frame_ms",
    "fixation_ms", "stimulus_ms", "mask_ms", "frames", "late_frames", "degrees", "distance_cm",
)  # fmt: skip
_TRIAL = re.compile(rf"(c?)([1-9]\d{{0,5}})({AGAIN}?)")


@dataclass(frozen=True)
class Procedure:
    """How a trial is shown: times in ms (answer: 0 is without limit), degrees of visual angle of an image's side.
    about: what people are asked of themselves ("age", "eyesight")."""

    presentation: int = 200
    mask: Literal["noise", "none"] = "noise"
    answer: int = 1500
    degrees: float = 3.0
    about: tuple[str, ...] = ()
    fixation: int = 300
    mask_time: int = 200


class Shown(NamedTuple):
    """An image of a session, as a table of trials names it."""

    imagename: str
    condition: str
    category: str
    digest: str


@dataclass(frozen=True)
class Session:
    """A session of `experiment`. stimuli: its images; number: 1 for the first part of the set; seed: of orders, masks
    and checks."""

    stimuli: Stimuli
    experiment: str
    procedure: Procedure
    number: int
    seed: int

    @cached_property
    def images(self) -> tuple[Shown, ...]:
        """The images, in the set's order. Raises StimuliError where a name does not carry its condition."""
        labels, empty = self.stimuli.labels, np.full(len(self.stimuli), "")
        columns = labels.get("condition", empty).tolist(), labels["category"].tolist(), self.stimuli.items
        images = []
        for name, condition, category, digest in zip(self.stimuli.ids, *columns, strict=True):
            if condition and not name.startswith(f"{condition}/"):
                raise StimuliError(f"'{name}' of '{self.stimuli.name}': expected a name like '{condition}/{name}'.")
            images.append(Shown(name.removeprefix(f"{condition}/" if condition else ""), condition, category, digest))
        return tuple(images)

    @cached_property
    def orders(self) -> tuple[tuple[int, ...], ...]:
        """Positions of the images by trial, for each of `ORDERS`: every front part has its share of each category and
        condition to within one image; of conditions and categories that cross unevenly, as nearly as a few draws get.
        """
        ids, labels = self.stimuli.ids, self.stimuli.labels
        columns = {name: labels[name] for name in ("category", "condition") if name in labels}

        def draw(order: int, attempt: int) -> tuple[float, tuple[int, ...]]:
            names = [f"{self.seed}/{self.number}/{order}/{attempt}/{name}" for name in ids]
            drawn = sample_order(names, columns, len(names))
            return max(off_balance(column[drawn]) for column in columns.values()), tuple(drawn)

        orders = []
        for order in range(ORDERS):
            best = draw(order, 0)
            for attempt in range(1, ATTEMPTS):
                best = min(best, draw(order, attempt)) if best[0] > 1 else best
            orders.append(best[1])
        return tuple(orders)

    @cached_property
    def masks(self) -> tuple[tuple[int, ...], ...]:
        """The mask of each trial, for each of `ORDERS`: each as often as any other in a category and in a condition."""
        category, condition = (np.array([getattr(x, name) for x in self.images]) for name in ("category", "condition"))
        masks = [balanced_masks(category, condition, self._chance(1, order)) for order in range(ORDERS)]
        return tuple(tuple(int(mask[at]) for at in order) for mask, order in zip(masks, self.orders, strict=True))

    @cached_property
    def checks(self) -> tuple[tuple[str, ...], ...]:
        """The category that each attention check asks for, for each of `ORDERS`."""
        each = (self._chance(2, order).choice(GEIRHOS16, len(self.images) // CHECK_EVERY) for order in range(ORDERS))
        return tuple(tuple(names.tolist()) for names in each)

    def _chance(self, *purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.number, *purpose])

    @cached_property
    def plan(self) -> dict[str, Any]:
        """Everything that the page must know of the session but the pictures, as plain data. "id" is its digest."""
        plan = {
            "set": self.stimuli.name, "space": self.stimuli.space, "experiment": self.experiment,
            "session": self.number, "seed": self.seed, **asdict(self.procedure),
            "images": [list(image) for image in self.images],
            "orders": [list(order) for order in self.orders], "checks": [list(checks) for checks in self.checks],
            "masks": ["".join(map(str, masks)) for masks in self.masks], "columns": self.columns,
            "categories": list(GEIRHOS16), "checkEvery": CHECK_EVERY, "breakEvery": BREAK_EVERY, "again": AGAIN,
        }  # fmt: skip
        study = [self.stimuli.name, self.seed]  # a person keeps the number in the next session
        return {**plan, "id": digest_data(plan)[:16], "study": digest_data(study)[:16]}

    @property
    def columns(self) -> list[str]:
        """Columns of the table of answers."""
        return [*COLUMNS, *self.procedure.about]

    def row(self, person: int, trial: str) -> dict[str, str] | None:
        """What the session knows of a trial of a person; None where there is no such trial."""
        parts = _TRIAL.fullmatch(trial)
        order = person % ORDERS
        at = int(parts[2]) - 1 if parts else -1
        fixed = {"subj": f"subject-{person:02d}", "session": str(self.number), "trial": trial,
                 "experiment": self.experiment, "set": self.stimuli.name, "space": self.stimuli.space}  # fmt: skip
        if parts and parts[1] and not parts[3] and at < len(self.checks[order]):
            check = Shown("check", "", self.checks[order][at], "")
            return {**fixed, **check._asdict(), "mask": "none", "status": "check"}
        if parts and not parts[1] and at < len(self.images):
            mask = "none" if self.procedure.mask == "none" else str(self.masks[order][at])
            return {**fixed, **self.images[self.orders[order][at]]._asdict(), "mask": mask}
        return None

    def pictures(self) -> Iterator[bytes]:
        """The images as lossless WebP, in the set's order."""
        return (picture(self.stimuli.decode(at)) for at in range(len(self.stimuli)))


def open_session(
    stimuli: Stimuli, experiment: str, procedure: Procedure, trials: int, number: int, seed: int
) -> Session:
    """A session of `trials` images. The first shows those that `--limit` shows, the next goes on from there. Raises
    StimuliError where people cannot be asked in the set's space, or no image is left."""
    if stimuli.space not in SIXTEEN:
        expected = " or ".join(sorted(SIXTEEN))
        raise StimuliError(
            f"'{stimuli.name}' is of the space '{stimuli.space}': people answer with 16 categories, {expected}."
        )
    order = sample_order(stimuli.ids, stimuli.labels, trials * number)[trials * (number - 1) :]
    if not order:
        raise StimuliError(f"'{stimuli.name}' has {len(stimuli)} images: session {number} of {trials} has none left.")
    return Session(restrict(stimuli, [stimuli.ids[at] for at in order]), experiment, procedure, number, seed)


def off_balance(labels: Array) -> float:
    """How many images a front part of an order has of a level, at most, beyond or below its share; labels: in order."""
    m = np.arange(1, len(labels) + 1)
    levels = labels == np.unique(labels)[:, None]
    return float(np.abs(np.cumsum(levels, axis=1) - m * levels.mean(axis=1, keepdims=True)).max())


def balanced_masks(category: Array, condition: Array, chance: np.random.Generator) -> NDArray[np.int64]:
    """A mask [n] for each image, of labels [n]: in each category, in each condition and over all, two masks differ by
    one image at most.

    The images are halved again and again, in each half of equally many of a level: two images of a category are paired,
    and two of a condition; along the chain of pairs (a path, or a circle of even length) images take turns."""
    masks = np.zeros(len(category), dtype=np.int64)
    for _ in range(MASKS.bit_length() - 1):
        halves = np.zeros(len(category), dtype=np.int64)
        for mask in np.unique(masks):
            members = np.flatnonzero(masks == mask)
            halves[members] = _halves([column[members] for column in (category, condition)], chance)
        masks = 2 * masks + halves
    names = chance.permutation(MASKS)
    return np.asarray(names[masks])


def _halves(columns: Sequence[Array], chance: np.random.Generator) -> NDArray[np.int64]:
    """0 or 1 for each image [n], as often in every level of both columns."""
    n = len(columns[0])
    partner: list[dict[int, int]] = [{}, {}]
    for pairs, column in zip(partner, columns, strict=True):
        for level in np.unique(column):
            same = chance.permutation(np.flatnonzero(column == level)).tolist()
            for a, b in zip(same[::2], same[1::2], strict=False):
                pairs[a], pairs[b] = b, a
    half, turn = np.full(n, -1, dtype=np.int64), int(chance.integers(2))
    ends = [at for at in range(n) if any(at not in pairs for pairs in partner)]
    for start in (*ends, *range(n)):  # paths from their ends, then circles
        along, at = int(start not in partner[0]), start
        if half[start] >= 0:
            continue
        while half[at] < 0:
            half[at], turn = turn, 1 - turn
            following = partner[along].get(at)
            if following is None:
                break
            at, along = following, 1 - along
    return half


def noise(seed: int, side: int = MASK_SIDE) -> NDArray[np.uint8]:
    """Noise whose amplitude falls with the spatial frequency, 1/f, [side, side] grey: mean 127.5, deviation 45."""
    chance = np.random.default_rng([seed, 1])
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij"))
    frequency[0, 0] = np.inf
    waves = np.fft.irfft2(np.fft.rfft2(chance.standard_normal((side, side))) / frequency, s=(side, side))
    waves = 127.5 + 45 * (waves - waves.mean()) / waves.std()
    return np.asarray(np.clip(np.rint(waves), 0, 255), dtype=np.uint8)


def practice() -> tuple[list[bytes], list[str]]:
    """Pictures and categories to practise with: of the built-in world, and of no set that is shown."""
    stimuli = training_stimuli(len(GEIRHOS16))
    chosen = range(0, len(stimuli), len(GEIRHOS16) // PRACTICE)
    return [picture(stimuli.decode(at)) for at in chosen], [str(stimuli.labels["category"][at]) for at in chosen]


def picture(pixels: NDArray[np.uint8]) -> bytes:
    """Lossless WebP of HWC or HW uint8."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).convert("RGB").save(out, format="WEBP", lossless=True, quality=20)
    return out.getvalue()
