"""The inference loop: decode once, transform once, show to every observer that needs it, chunk by chunk."""

import shutil
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache as kept
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.contracts import CHUNK, Array, Block, Stimuli, Suite, View
from benchmark.engine import devices
from benchmark.engine.devices import TunedModel, Unsound, full_precision, working_threads
from benchmark.engine.model_view import IdealView, NetworkView, unit
from benchmark.engine.plan import Task, chunk_index
from benchmark.errors import FAILURES, ModelFailure, StimuliError, failure_line
from benchmark.identity import Codes, block_key
from benchmark.stimuli.datasets import Picked, seeds_of
from benchmark.store import Chunk
from registry.files import write_whole
from registry.foreign import foreign
from registry.labels import label_space
from registry.model import CROPS_224, Each
from registry.simulated import IdealObserver

# Decoding a published stimulus costs as much as an eighth of a fast network's forward pass, and every further model
# and suite would pay it again. So equal-sized images of small sets are kept decoded, some to a file, by the digest of
# their set: what is in the cache cannot be another set's pixels, because decoding reads a file once and refuses bytes
# that are not those of the set's digest; and a damaged file is decoded anew.
Image = NDArray[np.uint8]
Images = list[Image]
Made = Callable[[Images], Any]
SET_BYTES = 512 * 2**20  # larger sets are decoded each time
ALL_BYTES = 4 * 2**30
PART, SUM = 16, 4  # images to a file; bytes at its end
FORMAT = 3  # raised where the same files give other pixels


def decoded_chunks(
    stimuli: Stimuli,
    chunks: Sequence[int],
    cache: Path | None,
    each: Each = map,
    made: Made = lambda images: images,
    *,
    backwards: bool = False,
) -> Iterator[Any]:
    """What is made of the images of each chunk, in order, the next two always under way, so that no decoder waits for
    the last image of a chunk: memory holds three, however large the set, and what is kept (at most `SET_BYTES`) of one
    that it was picked from. Raises what `stimuli.decode` raises. cache: folder of decoded sets, or None; each: as
    `map`, by several threads; backwards: the last images of a chunk first, so that of two processes each does half."""
    read, way = _reader(stimuli, cache)[0], -1 if backwards else 1

    def load(chunk: int) -> Any:
        index = chunk_index(stimuli, chunk).tolist()
        parts = [index[at : at + PART] for at in range(0, len(index), PART)]
        return made(list(chain.from_iterable(list(each(read, parts[::way]))[::way])))

    with ThreadPoolExecutor(2) as ahead:
        waiting: deque[Future[Any]] = deque()
        for chunk in chunks:
            waiting.append(ahead.submit(load, chunk))
            if len(waiting) > 2:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _reader(stimuli: Stimuli, cache: Path | None) -> tuple[Callable[[list[int]], Images], Callable[[int], Image]]:
    """What gives the images of a part: from the cache, which then has them; and what gives a single image."""
    from PIL import __version__ as pillow

    def place(digest: str, part: int) -> Path | None:
        """Named by a set's digest, and by what makes pixels of its files."""
        return cache / f"{digest[:32]}-{FORMAT}-{pillow}" / f"{part:06d}.npy" if cache else None

    picked = stimuli.decode if isinstance(stimuli.decode, Picked) else None

    @kept  # each file is read and checked once
    def of_whole(part: int) -> Images | None:
        """What is kept of the set that this one was picked from."""
        digest, size = picked.whole if picked else ("", 0)
        return _stored(place(digest, part), min(PART, size - part * PART))

    def decode(position: int) -> Image:
        if picked:
            part, row = divmod(picked.index[position], PART)
            if images := of_whole(part):
                return images[row]
        return stimuli.decode(position)

    def read(positions: list[int]) -> Images:
        file = place(stimuli.digest, positions[0] // PART)
        images = _stored(file, len(positions))
        if not images:
            images = list(map(decode, positions))
            with suppress(OSError):  # a cache that cannot be written costs time, not answers
                if file is not None:
                    _store(file, images, len(stimuli), look=positions[0] % CHUNK == 0)  # looking takes time
        return images

    @kept
    def of_own(part: int) -> Images | None:
        return _stored(place(stimuli.digest, part), min(PART, len(stimuli) - part * PART))

    def single(position: int) -> Image:
        images = of_own(position // PART)
        return images[position % PART] if images else decode(position)

    return read, single


def _stored(place: Path | None, size: int) -> Images | None:
    """Images from a file, checked against the sum at its end; None where they are not there or not whole."""
    if place is None:
        return None
    with suppress(StimuliError, OSError), foreign("decoded images", place, StimuliError):
        content = memoryview(place.read_bytes())
        if zlib.crc32(content[:-SUM]) == int.from_bytes(content[-SUM:], "big"):
            images = list(np.load(BytesIO(content), allow_pickle=False))
            return images if len(images) == size else None
    return None


def _store(place: Path, images: Images, whole: int, *, look: bool) -> None:
    """Keep images of a small set. look: whether the cache is full, which is then emptied first. Raises OSError."""
    if len({image.shape for image in images}) != 1 or images[0].nbytes * whole > SET_BYTES:
        return
    written, cache = BytesIO(), place.parents[1]
    np.save(written, np.stack(images), allow_pickle=False)
    content = written.getvalue()
    if look and len(content) + sum(path.stat().st_size for path in cache.glob("*/*.npy")) > ALL_BYTES:
        shutil.rmtree(cache, ignore_errors=True)
    write_whole(place, content + zlib.crc32(content).to_bytes(SUM, "big"))


@dataclass(kw_only=True)
class LoadedObserver:
    """An observer in memory. row: its own in the store; size: bytes that it takes; tasks: what it is to answer. `batch`
    shrinks when the device runs out of memory. failures: (suite, space) -> what ended that work; `failure`: what ended
    all of it."""

    name: str
    observer: TunedModel | IdealObserver
    row: str = ""
    size: int = 0
    tasks: Sequence[Task] = ()
    batch: int = CHUNK
    failure: str = ""
    failures: dict[tuple[str, str], str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
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
        return bool(self.loaded.failure) or (self.suite.name, self.space) in self.loaded.failures

    def fail(self, error: BaseException) -> None:
        """End this observer's work under this suite; its other work goes on, unless it is unsound."""
        if isinstance(error, Unsound):
            self.loaded.failure = self.loaded.failure or failure_line(error)
        self.loaded.failures.setdefault((self.suite.name, self.space), failure_line(error))


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


@dataclass(kw_only=True)
class _Decoded:
    """A chunk's images, and their pixels where every network is shown the same. each: as of `decoded_chunks`."""

    images: Images
    each: Each
    pixels: torch.Tensor | None = None


@dataclass(kw_only=True)
class InferenceLoop:
    """One run's loop over blocks. `decoded` counts images, so that tests can see that sharing works. over: whether a
    job needs no further answers, asked before each chunk; decoders: threads that decode and resize images; backwards:
    the last chunk of a set first, where no order is asked for."""

    seed: int
    device: str
    reporter: Reporter
    cache: Path | None = None
    codes: Codes = field(default_factory=Codes)
    over: Callable[[Job], bool] = lambda job: job.failed
    decoders: int = 2
    backwards: bool = False
    decoded: int = field(default=0)

    def show(self, jobs: Sequence[Job]) -> Iterator[tuple[Sequence[Job], int, Sequence[Chunk]]]:
        """Make every observation of `jobs`; yields the jobs that were asked one chunk of one block, which chunk, and
        their answers, to be stored together. A failure is noted on the observer; other work goes on."""
        for same_images in grouped(jobs, lambda job: (job.block.stimuli.digest, job.block.presentation)):
            with ThreadPoolExecutor(self.decoders) as pool:
                yield from self._show_stimuli(same_images, pool.map)

    def _show_stimuli(self, jobs: Sequence[Job], each: Each) -> Iterator[tuple[Sequence[Job], int, Sequence[Chunk]]]:
        stimuli = jobs[0].block.stimuli
        blocks = grouped(jobs, lambda job: block_key(job.block, self.codes))
        backwards = self.backwards and not any(job.suite.stopping.settled for job in jobs)
        chunks = sorted(set().union(*(job.chunks for job in jobs)), reverse=backwards)
        wanted = [chunk for chunk in chunks if any(chunk in job.chunks for job in jobs if _sees_pixels(job))]
        presentation = jobs[0].block.presentation
        networks = [job.loaded.observer.model for job in jobs if isinstance(job.loaded.observer, TunedModel)]

        def made(images: Images) -> tuple[Images, Callable[[], torch.Tensor | None]]:
            """Images, and what gives their pixels on the device, where these are the same for every network."""
            if presentation == "whole" and len({image.shape for image in images}) == 1:
                pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
            elif presentation in CROPS_224 or all(other.preprocess == networks[0].preprocess for other in networks):
                pixels = networks[0].present(images, presentation, each)
            else:
                return images, lambda: None
            return images, devices.sent(pixels, self.device)

        decoded = decoded_chunks(stimuli, wanted, self.cache, each, made, backwards=backwards)
        for chunk in chunks:
            jobs = [job for job in jobs if not self.over(job)]
            if not jobs:
                break
            ready = _Decoded(images=[], each=each)
            if chunk in wanted and any(map(_sees_pixels, jobs)):
                try:
                    ready.images, arrived = next(decoded)
                    ready.pixels = arrived()
                except FAILURES as error:  # the boundary of one set's images
                    for job in filter(_sees_pixels, jobs):
                        job.fail(error)
            self.decoded += len(ready.images)
            for block_jobs in blocks:
                asked = [job for job in block_jobs if chunk in job.chunks]
                if rows := self._show_chunk(asked, chunk, ready):
                    yield asked, chunk, rows

    def shown_again(
        self, job: Job, index: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], Mapping[str, Array]]]:
        """Rows of `index`, and what a network's job keeps of the images there. Whole images are shown as they are, and
        then as beside images of other sizes, which brings a chunk to the network's size. A failure is noted on the
        observer."""
        block, feed, rows = job.block, job.loaded.observer, np.arange(len(index))
        assert isinstance(feed, TunedModel)
        try:
            images = list(map(_reader(block.stimuli, self.cache)[1], index.tolist()))
            shown = list[tuple[NDArray[np.int64], torch.Tensor]]()
            if block.presentation == "whole":
                for shape in {image.shape for image in images}:
                    own = np.array([row for row, image in enumerate(images) if image.shape == shape])
                    shown.append((own, torch.from_numpy(np.stack([images[row] for row in own])).permute(0, 3, 1, 2)))
                images.append(images[0][:1, :1])
            shown.append((rows, feed.model.present(images, block.presentation)[: len(index)]))
            for own, pixels in shown:
                given = self._pixels(block, feed, index[own], _Decoded(images=images, each=map, pixels=pixels))
                for columns in self._answer([job], index[own], given, lambda _: None).values():
                    yield own, columns
        except FAILURES as error:  # the boundary of one observer's work
            job.fail(error)

    def _show_chunk(self, jobs: Sequence[Job], chunk: int, ready: _Decoded) -> list[Chunk]:
        shared: torch.Tensor | None = None
        rows: list[Chunk] = []
        for same_observer in grouped([job for job in jobs if not self.over(job)], lambda job: id(job.loaded)):
            loaded, block = same_observer[0].loaded, same_observer[0].block
            index = chunk_index(block.stimuli, chunk)
            owed = len(index) * sum(job.suite.passes for job in same_observer)

            def passed(passes: float, name: str = loaded.name) -> None:
                """Tell work as it is done: never more in all than the chunk may cost, and all of it at its end."""
                nonlocal owed
                if (counted := min(passes, owed)) > 0:
                    owed -= counted
                    self.reporter.work(name, counted)

            try:
                pixels = shared
                if pixels is None and isinstance(loaded.observer, TunedModel):
                    pixels = self._pixels(block, loaded.observer, index, ready)
                    shared = pixels if ready.pixels is not None else None
                answers = self._answer(same_observer, index, pixels, passed)
            except FAILURES as error:  # the boundary of one observer's work
                for job in same_observer:
                    job.fail(error)
                continue
            rows += [
                Chunk(key=key, index=chunk, start=int(index[0]), columns=columns) for key, columns in answers.items()
            ]
            passed(owed)
            self.reporter.advance(loaded.name, len(index) * len(answers))
        return rows

    def _pixels(self, block: Block, feed: TunedModel, index: NDArray[np.int64], ready: _Decoded) -> torch.Tensor:
        """The images of a chunk as a network is shown them: resized and cropped, in its own way where that is not alike
        for every network; and transformed."""
        pixels, transform = ready.pixels, block.transform
        if pixels is None:
            pixels = devices.pinned(feed.model.present(ready.images, block.presentation, ready.each), self.device)
        if transform is None:
            return pixels
        pixels = pixels.to(self.device)
        seeds = seeds_of(block.stimuli, index, self.seed)
        # The run's precision is the network's: what it is shown is the same in each. More threads than the network
        # is fed with would wait for one another on its images, too.
        with working_threads(feed.tuning.threads), full_precision(pixels.device.type):
            return transform.apply(pixels if transform.stored else unit(pixels), seeds)

    def _answer(
        self, jobs: Sequence[Job], index: NDArray[np.int64], pixels: torch.Tensor | None, passed: Passed
    ) -> dict[str, dict[str, Array]]:
        """One observer's answers under every suite that asks, by key; those whose work failed are left out."""
        loaded = jobs[0].loaded
        network = loaded.observer if isinstance(loaded.observer, TunedModel) else None
        while True:
            try:
                with working_threads(network.tuning.threads if network else torch.get_num_threads()):
                    answers = self._columns(jobs, index, pixels, passed)
                break
            except RuntimeError as error:  # out of memory: halve the device batch and go on
                if loaded.batch == 1:
                    what = f"{loaded.name} does not fit on {self.device} even one image at a time"
                    raise ModelFailure(what) from error
                loaded.batch //= 2
                if self.device.startswith("cuda"):
                    torch.cuda.empty_cache()
                self.reporter.note(f"{loaded.name}: out of memory, going on with batches of {loaded.batch}")
        if network and (moved := network.moved):
            raise Unsound(f"{loaded.name} is not what it was: answering has changed {moved}")
        return answers

    def _columns(
        self, jobs: Sequence[Job], index: NDArray[np.int64], pixels: torch.Tensor | None, passed: Passed
    ) -> dict[str, dict[str, Array]]:
        """Answers to one chunk by observation key. Only running out of memory is raised."""
        observer, views = jobs[0].loaded.observer, dict[str, View]()
        answers: dict[str, dict[str, Array]] = {}
        for job in jobs:
            if job.failed:
                continue
            try:
                if job.space not in views and isinstance(observer, IdealObserver):
                    classes = label_space(job.space).classes
                    # which refuses what it has not
                    views[job.space] = cast(
                        View,
                        IdealView(observer=observer, block=job.block, index=index, categories=classes, seed=self.seed),
                    )
                elif job.space not in views:
                    assert isinstance(observer, TunedModel) and pixels is not None
                    views[job.space] = NetworkView(
                        feed=observer,
                        block=job.block,
                        index=index,
                        pixels=pixels,
                        grouping=observer.model.labels.groupings[job.space],
                        seed=self.seed,
                        batch=job.loaded.batch,
                        device=self.device,
                        passed=passed,
                    )
                kept = job.suite.observe(job.suite.config, views[job.space])
                columns = {name: np.asarray(values) for name, values in kept.items()}
                for name, values in columns.items():
                    if values.shape[:1] != index.shape:
                        what = f"suite '{job.suite.name}' returned {values.shape} for column '{name}'"
                        raise ModelFailure(f"{what} of {len(index)} trials")
                answers[job.key] = columns
            except FAILURES as error:
                memory = any(words in str(error).lower() for words in ("out of memory", "can't allocate memory"))
                if isinstance(error, torch.OutOfMemoryError) or (isinstance(error, RuntimeError) and memory):
                    raise
                job.fail(error)
        return answers


def _sees_pixels(job: Job) -> bool:
    return isinstance(job.loaded.observer, TunedModel) and not job.failed
