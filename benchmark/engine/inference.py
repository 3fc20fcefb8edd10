"""The walk: decode once, transform once, show to every observer that needs it, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.contracts import Array, Block, View
from benchmark.engine.decoding import Images, decoded_chunks
from benchmark.engine.device import full_precision
from benchmark.engine.jobs import Job, Resident, grouped, same_stimuli
from benchmark.engine.model_view import IdealView, NetworkView, unit
from benchmark.engine.pace import Pace, Passed, Reporter
from benchmark.engine.planning import chunk_index
from benchmark.engine.sound import Unsound
from benchmark.engine.tuning import TunedModel, working_threads
from benchmark.errors import FAILURES, ModelFailure
from benchmark.identity import Codes, block_key
from benchmark.stimuli.datasets import seeds_of
from benchmark.store import Chunk
from registry.labels import label_space
from registry.model import CROPS_224
from registry.simulated import IdealObserver


@dataclass
class _Decoded:
    """A chunk's images, and their pixels once they are presented, where every network is shown the same."""

    images: Images = field(default_factory=list)
    pixels: torch.Tensor | None = None


@dataclass(frozen=True)
class Made:
    """Answers to one chunk of one block, to be stored together. jobs: those that were asked."""

    jobs: Sequence[Job]
    chunk: int
    rows: Sequence[Chunk]


@dataclass
class Walk:
    """One run's walk over blocks. `decoded` counts images, so that tests can see that sharing works.

    over: whether a job needs no further answers, asked before each chunk.
    """

    seed: int
    device: str
    reporter: Reporter
    cache: Path | None = None
    codes: Codes = field(default_factory=Codes)
    over: Callable[[Job], bool] = lambda job: job.failed
    decoded: int = field(default=0)

    def show(self, jobs: Sequence[Job]) -> Iterator[Made]:
        """Make every observation of `jobs`. A failure is noted on the resident; other work goes on."""
        for same_images in same_stimuli(jobs):
            yield from self._show_stimuli(same_images)

    def _show_stimuli(self, jobs: Sequence[Job]) -> Iterator[Made]:
        stimuli = jobs[0].block.stimuli
        blocks = grouped(jobs, lambda job: block_key(job.block, self.codes))
        chunks = sorted(set().union(*(job.chunks for job in jobs)))
        wanted = [
            chunk
            for chunk in chunks
            if any(chunk in job.chunks for job in jobs if _sees_pixels(job))
        ]
        decoded = decoded_chunks(stimuli, wanted, self.cache)
        for chunk in chunks:
            jobs = [job for job in jobs if not self.over(job)]
            if not jobs:
                break
            ready = _Decoded()
            if chunk in wanted and any(map(_sees_pixels, jobs)):
                try:
                    ready.images = next(decoded)
                except FAILURES as error:  # the boundary of one set's images
                    _fail([job for job in jobs if _sees_pixels(job)], error)
            self.decoded += len(ready.images)
            for block_jobs in blocks:
                asked = [job for job in block_jobs if chunk in job.chunks]
                if rows := self._show_chunk(asked, chunk, ready):
                    yield Made(asked, chunk, rows)

    def _show_chunk(self, jobs: Sequence[Job], chunk: int, ready: _Decoded) -> list[Chunk]:
        index = chunk_index(jobs[0].block.stimuli, chunk) if jobs else np.empty(0, dtype=np.int64)
        shared: torch.Tensor | None = None
        rows: list[Chunk] = []
        for same_observer in grouped(
            [job for job in jobs if not self.over(job)], lambda job: id(job.resident)
        ):
            resident, block = same_observer[0].resident, same_observer[0].block
            work = len(index) * sum(job.suite.passes for job in same_observer)
            pace = Pace(self.reporter, resident.name, work)
            try:
                pixels = shared
                if pixels is None and isinstance(resident.observer, TunedModel):
                    pixels = self._pixels(block, resident.observer, index, ready)
                    shared = pixels if _alike(block, ready.images) else None
                made = self._answer(same_observer, chunk, index, pixels, pace.passed)
            except FAILURES as error:  # the boundary of one observer's work
                _fail(same_observer, error)
                continue
            rows += made
            pace.answered()
            self.reporter.advance(resident.name, len(index) * len(made))
        return rows

    def _pixels(
        self, block: Block, feed: TunedModel, index: NDArray[np.int64], ready: _Decoded
    ) -> torch.Tensor:
        """The images of a chunk as a network is shown them, transformed."""
        transform = block.transform
        if transform is None:
            return self._presented(block, feed, ready)
        pixels = self._presented(block, feed, ready).to(self.device)
        seeds = seeds_of(block.stimuli, index, self.seed)
        # The run's precision is the network's: what it is shown is the same in each. More threads than the network
        # is fed with would wait for one another on its images, too.
        with working_threads(feed.tuning.threads), full_precision(pixels.device.type):
            return transform.apply(pixels if transform.stored else unit(pixels), seeds)

    def _presented(self, block: Block, feed: TunedModel, ready: _Decoded) -> torch.Tensor:
        """Resized and cropped: once for all blocks of the chunk where it is alike for every network."""
        if ready.pixels is not None:
            return ready.pixels
        images, alike = ready.images, _alike(block, ready.images)
        if block.presentation == "whole" and alike:
            pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        else:
            pixels = feed.model.present(images, block.presentation)
        if alike:
            ready.pixels = pixels = pixels.to(self.device)
        return pixels

    def _answer(
        self,
        jobs: Sequence[Job],
        chunk: int,
        index: NDArray[np.int64],
        pixels: torch.Tensor | None,
        passed: Passed,
    ) -> list[Chunk]:
        """One observer's answers under every suite that asks; those whose work failed are left out."""
        resident = jobs[0].resident
        while True:
            try:
                with working_threads(_threads(resident)):
                    answers = self._columns(jobs, index, pixels, passed)
                break
            except RuntimeError as error:
                self._back_off(resident, error)
        if isinstance(resident.observer, TunedModel) and (moved := resident.observer.moved):
            raise Unsound(f"{resident.name} is not what it was: answering has changed {moved}")
        return [Chunk(key, chunk, int(index[0]), columns) for key, columns in answers.items()]

    def _columns(
        self,
        jobs: Sequence[Job],
        index: NDArray[np.int64],
        pixels: torch.Tensor | None,
        passed: Passed,
    ) -> dict[str, dict[str, Array]]:
        """Answers to one chunk by observation key. Only running out of memory is raised."""
        views: dict[str, View] = {}
        answers: dict[str, dict[str, Array]] = {}
        for job in jobs:
            if job.failed:
                continue
            try:
                if job.space not in views:
                    views[job.space] = self._view(job, index, pixels, passed)
                answers[job.key] = _observed(job, views[job.space])
            except FAILURES as error:
                if _out_of_memory(error):
                    raise
                job.fail(error)
        return answers

    def _back_off(self, resident: Resident, error: RuntimeError) -> None:
        """Out of memory: halve the device batch and go on. Batch 1 is the model's failure."""
        if resident.batch == 1:
            raise ModelFailure(
                f"{resident.name} does not fit on {self.device} even one image at a time"
            ) from error
        resident.batch //= 2
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()
        self.reporter.note(
            f"{resident.name}: out of memory, going on with batches of {resident.batch}"
        )

    def _view(
        self, job: Job, index: NDArray[np.int64], pixels: torch.Tensor | None, passed: Passed
    ) -> View:
        resident = job.resident
        observer = resident.observer
        if isinstance(observer, IdealObserver):
            return IdealView(observer, job.block, index, label_space(job.space).classes, self.seed)
        if pixels is None:
            raise ModelFailure("no pixels for a network")
        grouping = observer.model.labels.groupings[job.space]
        return NetworkView(
            observer,
            job.block,
            index,
            pixels,
            grouping,
            self.seed,
            batch=resident.batch,
            device=self.device,
            passed=passed,
        )


def _threads(resident: Resident) -> int:
    observer = resident.observer
    return observer.tuning.threads if isinstance(observer, TunedModel) else torch.get_num_threads()


def _out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        isinstance(error, torch.OutOfMemoryError)
        or "out of memory" in text
        or "can't allocate memory" in text
    )


def _fail(jobs: Iterable[Job], error: BaseException) -> None:
    for job in jobs:
        job.fail(error)


def _sees_pixels(job: Job) -> bool:
    return isinstance(job.resident.observer, TunedModel) and not job.failed


def _alike(block: Block, images: Images) -> bool:
    """Whether every network is shown the same pixels, before its own resize."""
    same = len({image.shape for image in images}) == 1
    return block.presentation in CROPS_224 or (block.presentation == "whole" and same)


def _observed(job: Job, view: View) -> dict[str, Array]:
    """What the suite keeps of a batch, checked: one value per trial in each column."""
    columns = {
        name: np.asarray(values)
        for name, values in job.suite.observe(job.suite.config, view).items()
    }
    for name, values in columns.items():
        if values.shape[:1] != view.index.shape:
            raise ModelFailure(
                f"suite '{job.suite.name}' returned {values.shape} for column '{name}' of {len(view.index)} trials"
            )
    return columns
