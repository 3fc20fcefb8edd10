"""The inference loop: decode once, transform once, show to every observer that needs it, chunk by chunk."""

from __future__ import annotations

import os
import shutil
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.contracts import CHUNK, Array, Block, Stimuli, Suite, View
from benchmark.engine.devices import TunedModel, Unsound, full_precision, working_threads
from benchmark.engine.model_view import IdealView, NetworkView, unit
from benchmark.engine.plan import chunk_index
from benchmark.errors import FAILURES, ModelFailure, StimuliError, failure_line
from benchmark.identity import Codes, block_key
from benchmark.stimuli.datasets import seeds_of
from benchmark.store import Chunk
from registry.files import replacing
from registry.foreign import foreign
from registry.labels import label_space
from registry.model import CROPS_224
from registry.simulated import IdealObserver

# Images ahead of the device: decoded by a few threads, and kept on disk where a set is small.
#
# Decoding a published stimulus costs as much as an eighth of a fast network's forward pass, and every further model
# and suite would pay it again. So chunks of equal-sized images are kept decoded, by the digest of their set: what
# is in the cache cannot be another set's pixels, because decoding reads a file once and refuses bytes that are not
# those
# of the set's digest; and a damaged file is decoded anew. Where the cache is full, the set that was used longest ago
# makes room.


Image = NDArray[np.uint8]
Images = list[Image]
DECODERS = 2
SET_BYTES = 512 * 2**20  # larger sets are decoded each time
ALL_BYTES = 4 * 2**30
FORMAT = 2  # raised where the same files give other pixels
HEADER = 128  # bytes of a .npy file before its pixels


def decoded_chunks(stimuli: Stimuli, chunks: Sequence[int], cache: Path | None) -> Iterator[Images]:
    """The images of each chunk in order, the next chunk always under way: memory holds two, however large the set.

    Raises what `stimuli.decode` raises. cache: folder of decoded sets, or None.
    """
    folder = cache / _place(stimuli) if cache else None
    with suppress(OSError):
        if folder is not None and folder.is_dir():
            os.utime(folder)  # used now: the set that was used longest ago makes room
    with ThreadPoolExecutor(DECODERS) as pool:
        waiting: deque[tuple[int, Images | list[Future[Image]]]] = deque()
        for chunk in chunks:
            index = chunk_index(stimuli, chunk)
            work: Images | list[Future[Image]] | None = _kept(folder, chunk, len(index))
            waiting.append((chunk, work or [pool.submit(stimuli.decode, int(i)) for i in index]))
            if len(waiting) > 1:
                yield _taken(*waiting.popleft(), stimuli, folder)
        while waiting:
            yield _taken(*waiting.popleft(), stimuli, folder)


def _place(stimuli: Stimuli) -> str:
    """Name of a set's folder: of its digest, and of what makes pixels of its files."""
    from PIL import __version__ as pillow

    return f"{stimuli.digest[:32]}-{FORMAT}-{pillow}"


def _taken(chunk: int, work: Images | list[Future[Image]], stimuli: Stimuli, folder: Path | None) -> Images:
    images = [image.result() if isinstance(image, Future) else image for image in work]
    if folder is not None and any(isinstance(image, Future) for image in work):
        _keep(folder, chunk, images, len(stimuli))
    return images


def _kept(folder: Path | None, chunk: int, size: int) -> Images | None:
    """A chunk from the cache, checked against the sum in its name; None where it is not there or not whole."""
    if folder is None:
        return None
    for path in folder.glob(f"{chunk:06d}-*.npy"):
        try:
            with foreign("decoded images", path, StimuliError):
                images: Image = np.load(path, mmap_mode="r", allow_pickle=False)
        except StimuliError:
            continue
        if len(images) == size and f"{zlib.crc32(images.data):08x}" == path.stem.partition("-")[2]:
            return list(images)
    return None


def _keep(folder: Path, chunk: int, images: Images, whole: int) -> None:
    """Best effort: a cache that cannot be written costs time, not answers."""
    if len({image.shape for image in images}) != 1 or images[0].nbytes * whole > SET_BYTES:
        return
    stack = np.stack(images)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not _make_room(folder, stack.nbytes + HEADER):
            return
        with replacing(folder / f"{chunk:06d}-{zlib.crc32(stack.data):08x}.npy") as file:
            np.save(file, stack, allow_pickle=False)
    except OSError:
        return


def _make_room(folder: Path, wanted: int) -> bool:
    """Whether `wanted` more bytes fit under the limit, once other sets, oldest use first, are thrown out."""
    sizes = {place: _size(place) for place in folder.parent.iterdir() if place.is_dir()}
    total = sum(sizes.values()) + wanted
    if sizes.get(folder, 0) + wanted > ALL_BYTES:
        return False
    others = sorted((place for place in sizes if place != folder), key=_last_used)
    for place in others:
        if total <= ALL_BYTES:
            break
        shutil.rmtree(place, ignore_errors=True)
        total -= sizes[place] - _size(place)
    return total <= ALL_BYTES


def _size(folder: Path) -> int:
    """Bytes of the chunks in a set's folder; one that another process has just removed counts as empty."""
    total = 0
    for path in folder.glob("*.npy"):
        with suppress(OSError):
            total += path.stat().st_size
    return total


def _last_used(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0


# What is still to be answered by whom: observers in memory, and the observations that they owe.


@dataclass
class LoadedObserver:
    """An observer that is loaded. `batch` shrinks when the device runs out of memory.

    failures: (suite, space) -> what ended that work; `failure`: what ended all of it.
    """

    name: str
    observer: TunedModel | IdealObserver
    batch: int = CHUNK
    failure: str = ""
    failures: dict[tuple[str, str], str] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One observation still to be made: which chunks of which block, for which observer and suite."""

    loaded: LoadedObserver
    suite: Suite
    space: str
    block: Block
    key: str
    chunks: frozenset[int]

    @property
    def failed(self) -> bool:
        """Whether this work has ended early."""
        loaded = self.loaded
        return bool(loaded.failure) or (self.suite.name, self.space) in loaded.failures

    def fail(self, error: BaseException) -> None:
        """End this observer's work under this suite; its other work goes on, unless it is unsound."""
        if isinstance(error, Unsound):
            self.loaded.failure = self.loaded.failure or failure_line(error)
        failures = self.loaded.failures
        failures.setdefault((self.suite.name, self.space), failure_line(error))


def same_stimuli(jobs: Iterable[Job]) -> list[list[Job]]:
    """Jobs that are shown the same decoded images, together."""
    return grouped(jobs, lambda job: (job.block.stimuli.digest, job.block.presentation))


def grouped(jobs: Iterable[Job], key: Callable[[Job], Any]) -> list[list[Job]]:
    """Jobs by a key, in the order of their first."""
    groups: dict[Any, list[Job]] = {}
    for job in jobs:
        groups.setdefault(key(job), []).append(job)
    return list(groups.values())


Passed = Callable[[int], None]


class Reporter(Protocol):
    """What the loop tells of its progress."""

    def tuning(self, observer: str) -> None:
        """The batch size of `observer` is being measured, which takes seconds."""

    def advance(self, observer: str, trials: int) -> None:
        """`trials` more answers of `observer` are stored."""

    def work(self, observer: str, passes: float) -> None:
        """A device batch of `observer` is done: so much of the forward passes that its trials may cost."""

    def note(self, text: str) -> None:
        """One line for the user."""


@dataclass
class ChunkProgress:
    """Tells a chunk's work as it is done: never more than `passes` in all, and all of it once the chunk is answered,
    however many passes it took."""

    reporter: Reporter
    observer: str
    passes: float

    def passed(self, passes: float) -> None:
        """The network has made so many forward passes more."""
        if (counted := min(passes, self.passes)) > 0:
            self.passes -= counted
            self.reporter.work(self.observer, counted)

    def answered(self) -> None:
        """The chunk is answered."""
        self.passed(self.passes)


@dataclass
class _Decoded:
    """A chunk's images, and their pixels once they are presented, where every network is shown the same."""

    images: Images = field(default_factory=list)
    pixels: torch.Tensor | None = None


@dataclass(frozen=True)
class ChunkResult:
    """Answers to one chunk of one block, to be stored together. jobs: those that were asked."""

    jobs: Sequence[Job]
    chunk: int
    rows: Sequence[Chunk]


@dataclass
class InferenceLoop:
    """One run's loop over blocks. `decoded` counts images, so that tests can see that sharing works.

    over: whether a job needs no further answers, asked before each chunk.
    """

    seed: int
    device: str
    reporter: Reporter
    cache: Path | None = None
    codes: Codes = field(default_factory=Codes)
    over: Callable[[Job], bool] = lambda job: job.failed
    decoded: int = field(default=0)

    def show(self, jobs: Sequence[Job]) -> Iterator[ChunkResult]:
        """Make every observation of `jobs`. A failure is noted on the observer; other work goes on."""
        for same_images in same_stimuli(jobs):
            yield from self._show_stimuli(same_images)

    def _show_stimuli(self, jobs: Sequence[Job]) -> Iterator[ChunkResult]:
        stimuli = jobs[0].block.stimuli
        blocks = grouped(jobs, lambda job: block_key(job.block, self.codes))
        chunks = sorted(set().union(*(job.chunks for job in jobs)))
        wanted = [chunk for chunk in chunks if any(chunk in job.chunks for job in jobs if _sees_pixels(job))]
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
                    yield ChunkResult(asked, chunk, rows)

    def _show_chunk(self, jobs: Sequence[Job], chunk: int, ready: _Decoded) -> list[Chunk]:
        index = chunk_index(jobs[0].block.stimuli, chunk) if jobs else np.empty(0, dtype=np.int64)
        shared: torch.Tensor | None = None
        rows: list[Chunk] = []
        for same_observer in grouped([job for job in jobs if not self.over(job)], lambda job: id(job.loaded)):
            loaded, block = same_observer[0].loaded, same_observer[0].block
            work = len(index) * sum(job.suite.passes for job in same_observer)
            pace = ChunkProgress(self.reporter, loaded.name, work)
            try:
                pixels = shared
                if pixels is None and isinstance(loaded.observer, TunedModel):
                    pixels = self._pixels(block, loaded.observer, index, ready)
                    shared = pixels if _alike(block, ready.images) else None
                answered = self._answer(same_observer, chunk, index, pixels, pace.passed)
            except FAILURES as error:  # the boundary of one observer's work
                _fail(same_observer, error)
                continue
            rows += answered
            pace.answered()
            self.reporter.advance(loaded.name, len(index) * len(answered))
        return rows

    def _pixels(self, block: Block, feed: TunedModel, index: NDArray[np.int64], ready: _Decoded) -> torch.Tensor:
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
        self, jobs: Sequence[Job], chunk: int, index: NDArray[np.int64], pixels: torch.Tensor | None, passed: Passed
    ) -> list[Chunk]:
        """One observer's answers under every suite that asks; those whose work failed are left out."""
        loaded = jobs[0].loaded
        while True:
            try:
                with working_threads(_threads(loaded)):
                    answers = self._columns(jobs, index, pixels, passed)
                break
            except RuntimeError as error:
                self._back_off(loaded, error)
        if isinstance(loaded.observer, TunedModel) and (moved := loaded.observer.moved):
            raise Unsound(f"{loaded.name} is not what it was: answering has changed {moved}")
        return [Chunk(key, chunk, int(index[0]), columns) for key, columns in answers.items()]

    def _columns(
        self, jobs: Sequence[Job], index: NDArray[np.int64], pixels: torch.Tensor | None, passed: Passed
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
                text = str(error).lower()
                if isinstance(error, RuntimeError) and (
                    isinstance(error, torch.OutOfMemoryError)
                    or "out of memory" in text
                    or "can't allocate memory" in text
                ):
                    raise
                job.fail(error)
        return answers

    def _back_off(self, loaded: LoadedObserver, error: RuntimeError) -> None:
        """Out of memory: halve the device batch and go on. Batch 1 is the model's failure."""
        if loaded.batch == 1:
            raise ModelFailure(f"{loaded.name} does not fit on {self.device} even one image at a time") from error
        loaded.batch //= 2
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()
        self.reporter.note(f"{loaded.name}: out of memory, going on with batches of {loaded.batch}")

    def _view(self, job: Job, index: NDArray[np.int64], pixels: torch.Tensor | None, passed: Passed) -> View:
        loaded = job.loaded
        observer = loaded.observer
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
            batch=loaded.batch,
            device=self.device,
            passed=passed,
        )


def _threads(loaded: LoadedObserver) -> int:
    observer = loaded.observer
    return observer.tuning.threads if isinstance(observer, TunedModel) else torch.get_num_threads()


def _fail(jobs: Iterable[Job], error: BaseException) -> None:
    for job in jobs:
        job.fail(error)


def _sees_pixels(job: Job) -> bool:
    return isinstance(job.loaded.observer, TunedModel) and not job.failed


def _alike(block: Block, images: Images) -> bool:
    """Whether every network is shown the same pixels, before its own resize."""
    same = len({image.shape for image in images}) == 1
    return block.presentation in CROPS_224 or (block.presentation == "whole" and same)


def _observed(job: Job, view: View) -> dict[str, Array]:
    """What the suite keeps of a batch, checked: one value per trial in each column."""
    columns = {name: np.asarray(values) for name, values in job.suite.observe(job.suite.config, view).items()}
    for name, values in columns.items():
        if values.shape[:1] != view.index.shape:
            raise ModelFailure(
                f"suite '{job.suite.name}' returned {values.shape} for column '{name}' of {len(view.index)} trials"
            )
    return columns
