"""One session of an experiment: its images, and the orders, masks and checks of its people."""

import io
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import chain
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Stimuli
from benchmark.failures import StimuliError
from benchmark.stimuli.datasets import restrict
from benchmark.stimuli.image_names import GEIRHOS16
from benchmark.stimuli.items import SIXTEEN, sample_order
from benchmark.stimuli.trial_tables import AGAIN, ASKED, CHECK, DURATION, PRACTISED
from benchmark.stimuli.world.sets import training_set
from registry.files import digest_data

#: Number of orders that people take in turn; number of draws among which the first balanced order is used.
ORDERS, ATTEMPTS = 16, 20
#: Noise images, and their side in px.
MASKS, MASK_SIDE = 8, 256
#: Trials between attention checks, and between breaks.
CHECK_EVERY, BREAK_EVERY = 40, 80
PRACTICE = 8
CHECK_TIME = 1000  # ms that the word of an attention check is shown
#: Columns of the table of answers: those of a published table, then `ASKED`, then how the trial was shown to whom.
COLUMNS = (
    "subj", "session", "trial", "rt", "object_response", "category", "condition", "imagename", *ASKED, DURATION,
    "frame_ms", "fixation_ms", "stimulus_ms", "mask_ms", "frames", "late_frames", "degrees", "distance_cm",
    "distance_by", "screen", "misunderstood", "participant",
)  # fmt: skip
_TRIAL = re.compile(rf"([cp]?)([1-9]\d{{0,5}})({AGAIN}?)")


@dataclass(frozen=True, kw_only=True)
class Procedure:
    """How a session runs; times are in ms."""

    durations: tuple[int, ...] = (200,)  # presentation times; every image is shown for each of them
    mask: Literal["noise", "none"] = "noise"
    answer: int = 1500  # time for an answer; 0 is unlimited
    degrees: float = 3.0  # visual angle of an image's side
    background: str = "#808080"  # around the images
    about: tuple[str, ...] = ()  # questions to the person ("age", "eyesight")
    fixation: int = 300
    mask_time: int = 200
    criterion: int = 5  # right answers of PRACTICE that a person needs, in the first try or the second; 0 is none


class Shown(NamedTuple):
    """An image of a session, under the columns of a table of trials."""

    imagename: str
    condition: str
    category: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class Session:
    """A session of an experiment."""

    stimuli: Stimuli  # its images
    experiment: str
    procedure: Procedure
    number: int  # 1 for the first part of the set
    seed: int  # seed of orders, masks and checks
    practice: Stimuli  # PRACTICE images that no trial shows, where there are so many
    categories: tuple[str, ...] = GEIRHOS16

    @cached_property
    def images(self) -> tuple[Shown, ...]:
        """The images, in the set's order. Raises StimuliError if a name lacks its condition."""
        labels, empty = self.stimuli.labels, np.full(len(self.stimuli), "")
        columns = labels.get("condition", empty).tolist(), labels["category"].tolist(), self.stimuli.items
        images = []
        for name, condition, category, digest in zip(self.stimuli.ids, *columns, strict=True):
            start = f"{condition}/" if condition else ""
            if not name.startswith(start):
                raise StimuliError(f"'{name}' of '{self.stimuli.name}': expected a name like '{start}{name}'.")
            own = name.removeprefix(start)
            images.append(Shown(imagename=own, condition=condition, category=category, digest=digest))
        return tuple(images)

    @cached_property
    def orders(self) -> tuple[tuple[int, ...], ...]:
        """Positions of the images by trial, for each of `ORDERS`. Every front part has its share of each category and
        condition to within one image, or almost, if conditions and categories are crossed unevenly."""
        labels, n = self.stimuli.labels, len(self.stimuli)
        columns = {name: labels[name] for name in ("category", "condition") if name in labels}

        def off_balance(order: Sequence[int]) -> float:
            parts = (column[list(order)] == np.unique(column)[:, None] for column in columns.values())
            trials = np.arange(1, n + 1)
            return max(float(np.abs(part.cumsum(axis=1) - trials * part.mean(axis=1)[:, None]).max()) for part in parts)

        def draw(turn: int) -> tuple[int, ...]:
            starts = [f"{self.seed}/{self.number}/{turn}/{attempt}/" for attempt in range(ATTEMPTS)]
            drawn = (sample_order([start + name for name in self.stimuli.ids], columns, n) for start in starts)
            first = next(drawn)
            return tuple(next((order for order in chain([first], drawn) if off_balance(order) <= 1), first))

        return tuple(map(draw, range(ORDERS)))

    @cached_property
    def masks(self) -> tuple[tuple[int, ...], ...]:
        """The mask of each trial, for each of `ORDERS`; in a category masks are equally frequent."""
        category, condition = (np.array([getattr(x, name) for x in self.images]) for name in ("category", "condition"))
        chance = np.random.default_rng([self.seed, self.number, 1])
        return tuple(tuple(balanced_masks(category, condition, chance)[list(order)].tolist()) for order in self.orders)

    @cached_property
    def sequences(self) -> tuple[tuple[tuple[int, int, int], ...], ...]:
        """Image, mask and presentation time of each trial, for each of `ORDERS`. Every image is shown once a round, for
        another time in each; in a round, the times are equally frequent in a category."""
        times = self.procedure.durations

        def rounds(turn: int) -> Iterator[tuple[int, int, int]]:
            first = sorted(self.orders[turn], key=lambda image: self.images[image].category)
            starts = {image: start for start, image in enumerate(first)}
            for shift in range(len(times)):
                other = (turn + shift) % ORDERS
                for image, mask in zip(self.orders[other], self.masks[other], strict=True):
                    yield image, mask, times[(starts[image] + shift) % len(times)]

        return tuple(tuple(rounds(turn)) for turn in range(ORDERS))

    @property
    def trials(self) -> int:
        """The number of trials that show an image."""
        return len(self.images) * len(self.procedure.durations)

    @cached_property
    def checks(self) -> tuple[tuple[str, ...], ...]:
        """The category of each attention check, for each of `ORDERS`."""
        chance = np.random.default_rng([self.seed, self.number, 2])
        drawn = chance.choice(self.categories, (ORDERS, self.trials // CHECK_EVERY)).tolist()
        return tuple(map(tuple, drawn))

    @cached_property
    def plan(self) -> dict[str, Any]:
        """The session without pictures as plain data for the page. "id" is its digest."""
        plan = {
            "set": self.stimuli.name, "space": self.stimuli.space, "experiment": self.experiment, "seed": self.seed,
            "session": self.number, **asdict(self.procedure), "columns": [*COLUMNS, *self.procedure.about],
            "criterion": min(self.procedure.criterion, len(self.practice)),
            "images": self.images, "trials": self.sequences, "checks": self.checks,
            "practice": tuple(self.practice.labels["category"].tolist()), "categories": self.categories,
            "checkEvery": CHECK_EVERY, "breakEvery": BREAK_EVERY, "again": AGAIN, "check_time": CHECK_TIME,
        }  # fmt: skip
        study = [self.stimuli.name, self.seed]  # a person keeps the number in the next session
        return {**plan, "id": digest_data(plan)[:16], "study": digest_data(study)[:16]}

    def row(self, person: int, trial: str) -> dict[str, str] | None:
        """Return the planned columns of a person's trial; None if there is no such trial."""
        kind, number, again = parts.groups() if (parts := _TRIAL.fullmatch(trial)) else ("", "0", "")
        order, at, more = person % ORDERS, int(number) - 1, dict[str, str]()
        if not kind and 0 <= at < self.trials:
            image, mask, time = self.sequences[order][at]
            shown = self.images[image]
        elif kind == "c" and not again and at < len(self.checks[order]):
            shown = Shown(imagename="check", condition="", category=self.checks[order][at], digest="")
            mask, time, more = 0, CHECK_TIME, {"status": CHECK}
        elif kind == "p" and not again and at < 2 * len(self.practice):
            category = str(self.practice.labels["category"][at % len(self.practice)])
            shown = Shown(imagename="practice", condition="", category=category, digest="")
            mask, time, more = at % MASKS, max(self.procedure.durations), {"status": PRACTISED}
        else:
            return None
        masked = self.procedure.mask != "none" and kind != "c"
        more |= {"mask": str(mask) if masked else "none", DURATION: str(time), "session": str(self.number)}
        fixed = {"experiment": self.experiment, "set": self.stimuli.name, "space": self.stimuli.space}
        return {"subj": f"subject-{person:02d}", "trial": trial, **fixed, **shown._asdict(), **more}


def open_session(
    stimuli: Stimuli, experiment: str, procedure: Procedure, trials: int, number: int, seed: int,
    categories: Sequence[str] = (),
) -> Session:  # fmt: skip
    """Build a session of `trials` images: the first has those of `--limit`, the next the following. People practise
    with images of the built-in world, or others of an added experiment (of these categories). Raises StimuliError."""
    if not 2 <= len(categories or GEIRHOS16) <= len(GEIRHOS16) or not (categories or stimuli.space in SIXTEEN):
        expected = f"{' or '.join(sorted(SIXTEEN))}, or in up to {len(GEIRHOS16)} categories of an experiment's YAML"
        raise StimuliError(f"'{stimuli.name}' is of the space '{stimuli.space}': people can answer in {expected}.")
    every = sample_order(stimuli.ids, stimuli.labels, len(stimuli) if categories else trials * number)
    if not (order := every[trials * (number - 1) : trials * number]):
        raise StimuliError(f"'{stimuli.name}' has {len(stimuli)} images: session {number} of {trials} has none left.")
    if categories:
        practice = restrict(stimuli, [stimuli.ids[i] for i in every[-1 : -PRACTICE - 1 : -1]])
    else:
        practice = training_set("natural", len(GEIRHOS16), seed=0)
        practice = restrict(practice, practice.ids[:: len(GEIRHOS16) // PRACTICE])
    return Session(
        stimuli=restrict(stimuli, [stimuli.ids[i] for i in order]), experiment=experiment, procedure=procedure,
        number=number, seed=seed, practice=practice, categories=tuple(categories) or GEIRHOS16,
    )  # fmt: skip


def balanced_masks(category: Array, condition: Array, chance: np.random.Generator) -> NDArray[np.int64]:
    """Assign a mask [n] to each image by its labels [n], in a random order. Each image takes the mask seen least in its
    category, then in its condition, then in the set. Two masks differ by at most one image in each category."""
    masks, seen = np.zeros(len(category), np.int64), defaultdict[tuple[str, ...], Array](lambda: np.zeros(MASKS))
    for image in chance.permutation(len(category)):
        counts = [seen[()], seen["condition", condition[image]], seen["category", category[image]]]
        masks[image] = np.lexsort((chance.permutation(MASKS), *counts))[0]
        for count in counts:
            count[masks[image]] += 1
    return masks


def mask_noise(seed: int, side: int = MASK_SIDE) -> NDArray[np.uint8]:
    """Generate 1/f noise, whose amplitude falls with spatial frequency: [side, side] grey, mean 127.5, deviation 45."""
    white = np.fft.rfft2(np.random.default_rng([seed, 1]).standard_normal((side, side)))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij"))
    frequency[0, 0] = np.inf
    waves = np.fft.irfft2(white / frequency, s=(side, side))
    return np.asarray(np.clip(np.rint(127.5 + 45 * waves / waves.std()), 0, 255), dtype=np.uint8)


def picture(pixels: NDArray[np.uint8]) -> bytes:
    """Encode HWC or HW uint8 as lossless WebP."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).convert("RGB").save(out, format="WEBP", lossless=True, quality=20)
    return out.getvalue()
