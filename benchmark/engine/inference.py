"""The inference loop: decode once, transform once, show to every observer that needs it, chunk by chunk."""

import shutil
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.contracts import CHUNK, Array, Block, Stimuli, Suite, View
from benchmark.engine import devices
from benchmark.engine.device_queue import Arriving, DeviceQueue
from benchmark.engine.devices import TunedModel, Unsound, full_precision, require_replay, working_threads
from benchmark.engine.model_view import TIES, IdealView, NetworkView, plain_logits, unit_pixels
from benchmark.engine.reporters import Reporter
from benchmark.engine.tasks import Task, chunk_index
from benchmark.failures import FAILURES, ModelFailure, StimuliError, failure_line
from benchmark.identity import Codes, block_key
from benchmark.stimuli.datasets import Picked, seeds_of
from benchmark.store import Chunk
from registry.determinism_checks import Checksum, changed_tensor, checksum_later, relative_gap
from registry.files import write_whole
from registry.labels import label_space
from registry.model import CROPS_224, Each, Shown
from registry.simulated import IdealObserver
from registry.user_errors import foreign

T = TypeVar("T")

# Decoding a published stimulus costs as much as an eighth of a fast network's forward pass, and every further model
# and suite would pay it again. So images of small sets are kept decoded, by the digest of their set and their position
# in it. The cache cannot hold another set's pixels, because decoding reads a file once and refuses bytes that do not
# match the set's digest. Damaged files of the cache are decoded again.
Image = NDArray[np.uint8]
Images = list[Image]
SET_BYTES = 512 * 2**20  # larger sets are decoded each time
ALL_BYTES = 4 * 2**30
ENDS = [-12, -4]  # of a file: its pixels, then height and width, then the checksum of both
PART = 8  # images that a thread reads: changing threads takes as long as reading one
FORMAT = 5  # raised when the same files give other pixels


def decoded_chunks(
    stimuli: Stimuli,
    chunks: Sequence[int],
    cache: Path | None,
    each: Each = map,
    prepared: Callable[[Images], Any] = lambda images: images,
) -> Iterator[Any]:
    """Yield `prepared(images)` of each chunk, in order; the next two are always under way. Raises what `stimuli.decode`
    raises. cache: folder of decoded images, or None; each: like `map`, on several threads."""
    read = _reader(stimuli, cache)

    def load(chunk: int) -> Any:
        index = chunk_index(stimuli, chunk).tolist()
        parts = each(lambda i: [read(position) for position in index[i : i + PART]], range(0, len(index), PART))
        return prepared(list(chain.from_iterable(parts)))

    with ThreadPoolExecutor(2) as ahead:
        waiting: deque[Future[Any]] = deque()
        for chunk in chunks:
            waiting.append(ahead.submit(load, chunk))
            if len(waiting) > 2:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _reader(stimuli: Stimuli, cache: Path | None) -> Callable[[int], Image]:
    """Return a function that reads an image through the cache."""
    from PIL import __version__ as pillow

    if cache is None:
        return stimuli.decode
    # Sets that were picked from one set share its images.
    picked = stimuli.decode if isinstance(stimuli.decode, Picked) else None
    folder = cache / f"{(picked.whole[0] if picked else stimuli.digest)[:32]}-{FORMAT}-{pillow}"

    def read(position: int) -> Image:
        place = folder / f"{picked.index[position] if picked else position:06d}.rgb"
        with suppress(StimuliError, OSError), foreign("decoded image", place, StimuliError):
            content: Image = np.fromfile(place, np.uint8)
            pixels, shape, total = np.split(content, ENDS)
            if total.view("<u4").tolist() == [zlib.crc32(content[: ENDS[1]].data)]:
                return pixels.reshape(*shape.view("<u4"), 3)
        image = stimuli.decode(position)
        if image.nbytes * len(stimuli) <= SET_BYTES:
            with suppress(OSError):  # a cache that cannot be written costs time, not answers
                written = image.tobytes() + np.array(image.shape[:2], "<u4").tobytes()
                written += zlib.crc32(written).to_bytes(4, "little")
                size = len(written)
                # Looking whether the cache is full takes time.
                if position % CHUNK == 0 and size + sum(p.stat().st_size for p in cache.glob("*/[0-9]*")) > ALL_BYTES:
                    shutil.rmtree(cache, ignore_errors=True)
                write_whole(place, written)
        return image

    return read


@dataclass(kw_only=True)
class LoadedObserver:
    """An observer in memory."""

    name: str
    observer: TunedModel | IdealObserver
    row: str = ""  # its id in the store
    size: int = 0  # bytes
    tasks: Sequence[Task] = ()
    batch: int = CHUNK  # shrinks when the device runs out of memory
    failure: str = ""  # what ended all its work
    failures: dict[tuple[str, str], str] = field(default_factory=dict)  # (suite, space) -> what ended that work

    def fail(self, suite: str, space: str, error: BaseException) -> None:
        """End the work under this suite. Other work continues, unless the network is unsound."""
        if isinstance(error, Unsound):
            self.failure = self.failure or failure_line(error)
        self.failures.setdefault((suite, space), failure_line(error))


@dataclass(eq=False, kw_only=True)
class Job:
    """The missing chunks of one observation: a block for one observer and suite."""

    loaded: LoadedObserver
    suite: Suite
    space: str
    block: Block
    key: str  # of the observation
    chunks: frozenset[int]  # places on the chunk grid
    settled: bool = False  # its suite needs no further answers

    @property
    def failed(self) -> bool:
        """Whether a failure has ended this work."""
        return bool(self.loaded.failure) or (self.suite.name, self.space) in self.loaded.failures

    @property
    def over(self) -> bool:
        """Whether no further chunk is asked."""
        return self.failed or self.settled

    def fail(self, error: BaseException) -> None:
        """End this observer's work under this suite."""
        self.loaded.fail(self.suite.name, self.space, error)


def grouped(things: Iterable[T], key: Callable[[T], Any]) -> list[list[T]]:
    """Group jobs or tasks by a key, in the order in which the keys first appear."""
    groups: dict[Any, list[T]] = {}
    for one in things:
        groups.setdefault(key(one), []).append(one)
    return list(groups.values())


Passed = Callable[[int], None]
#: A label space, and what stands for its categories if it is an experiment's own (`Suite.categories`).
Space = tuple[str, tuple[tuple[str, tuple[str, ...]], ...]]
Views = dict[Space, View]


@dataclass(kw_only=True)
class _Decoded:
    """A chunk's images, and their pixels if every network is shown the same. each: as in `decoded_chunks`."""

    images: Images
    each: Each
    pixels: Shown | None = None
    here: Shown | None = None  # the same pixels on the processor


@dataclass(eq=False, kw_only=True)
class _Cell:
    """One chunk of one block: who is asked, and the answers so far."""

    asked: Sequence[Job]
    chunk: int
    block: Block
    making: Future[Shown] | None = None  # its images, made ahead
    pixels: Shown | None = None  # until the last network has them, if all see the same
    answers: list[Chunk] = field(default_factory=list)
    #: Networks, and images that they are to be shown again, with their logits.
    again: list[tuple[LoadedObserver, torch.Tensor, torch.Tensor]] = field(default_factory=list)


#: Yields whenever other work may be queued while the device computes.
_Work = Iterator[None]
_ENDED = object()
#: Cells of images that the processor makes ahead of the network; cells of a proven chunk that are stored while another
#: is computed: all of them at once would take longer than that.
AHEAD, STORED = 2, 2


@dataclass(kw_only=True)
class InferenceLoop:
    """One run's loop over blocks. An accelerator always has something to do: while it computes a cell, the next one is
    made on a second stream and queued, and answers are read when they have come."""

    seed: int
    device: str
    reporter: Reporter
    cache: Path | None = None  # folder of decoded images
    codes: Codes = field(default_factory=Codes)
    decoders: int = 2  # threads that decode and resize images
    queue: DeviceQueue = field(init=False)

    def __post_init__(self) -> None:
        self.queue = DeviceQueue(self.device)

    def show(self, jobs: Sequence[Job]) -> Iterator[tuple[Sequence[Job], int, Sequence[Chunk]]]:
        """Make every observation of `jobs`. Yields the jobs that were asked one chunk of one block, the chunk, and
        their answers, to be stored together. A failure is noted on the observer, and other work continues."""
        for same_images in grouped(jobs, lambda job: (job.block.stimuli.digest, job.block.presentation)):
            with ThreadPoolExecutor(self.decoders) as pool, ThreadPoolExecutor(AHEAD) as makers:
                for cell in self._cells(same_images, pool.map, makers):
                    # Of blocks that were settled, and networks that proved unsound, while these answers were made.
                    dropped = {job.key for job in cell.asked if job.settled or job.loaded.failure}
                    if answers := [answer for answer in cell.answers if answer.key not in dropped]:
                        yield cell.asked, cell.chunk, answers

    def _cells(self, jobs: Sequence[Job], each: Each, makers: ThreadPoolExecutor) -> Iterator[_Cell]:
        """Yield cells as they are answered: each on its own, on an accelerator the cells of a chunk together."""
        blocks = grouped(jobs, lambda job: block_key(job.block, self.codes))
        chunks = sorted(set().union(*(job.chunks for job in jobs)))
        wanted = [chunk for chunk in chunks if any(chunk in job.chunks for job in jobs if _sees_pixels(job))]
        decoded = decoded_chunks(jobs[0].block.stimuli, wanted, self.cache, each, partial(self._made, jobs, each))
        under_way, done = list[_Work](), deque[_Cell]()
        for chunk in chunks:
            jobs = [job for job in jobs if not job.over]
            if not jobs:
                break
            ready = _Decoded(images=[], each=each)
            if chunk in wanted and any(map(_sees_pixels, jobs)):
                try:
                    ready = next(decoded)
                except FAILURES as error:  # the boundary of one set's images
                    for job in filter(_sees_pixels, jobs):
                        job.fail(error)
            asked = ([job for job in block_jobs if chunk in job.chunks] for block_jobs in blocks)
            cells = [_Cell(asked=own, chunk=chunk, block=own[0].block) for own in asked if own]
            index = chunk_index(jobs[0].block.stimuli, chunk)
            for i, cell in enumerate(cells):
                coming = [other for other in cells[i:] if self._made_here(other.block) and ready.here is not None]
                for other in coming[:AHEAD]:
                    other.making = other.making or makers.submit(self._pixels, other.block, None, index, ready)
                parts = [self._part(cell, own, ready) for own in grouped(cell.asked, lambda job: id(job.loaded))]
                for part in parts:
                    # What proves a chunk comes to the processor with its last answers.
                    last = part is parts[-1] and cell is cells[-1] and self.queue.ahead
                    under_way = self._step(under_way, part, *([self._proof(cells, done)] if last else []))
                    if not self.queue.ahead and part is parts[-1]:
                        done.append(cell)
                    for _ in range(min(STORED, len(done))):
                        yield done.popleft()
                cell.pixels = cell.making = None
        while under_way:
            under_way = self._step(under_way)
        yield from done

    def _step(self, under_way: Sequence[_Work], *new: _Work) -> list[_Work]:
        """Begin work, send what it gave, and go on with what was begun before; return what has not ended."""
        begun = [work for work in new if next(work, _ENDED) is not _ENDED]
        self.queue.send()
        return [*(work for work in under_way if next(work, _ENDED) is not _ENDED), *begun]

    def _made(self, jobs: Sequence[Job], each: Each, images: Images) -> _Decoded:
        """Return a chunk's images as networks are shown them, on the device, if all are shown the same."""
        presentation = jobs[0].block.presentation
        networks = [job.loaded.observer.model for job in jobs if isinstance(job.loaded.observer, TunedModel)]
        pixels: Shown = []
        if presentation == "whole" and len({image.shape for image in images}) == 1:
            pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        elif presentation in CROPS_224 or all(other.preprocess == networks[0].preprocess for other in networks):
            pixels = networks[0].present(images, presentation, each)
        if isinstance(pixels, list):
            return _Decoded(images=images, each=each)
        here = devices.pinned(pixels, self.device)
        return _Decoded(images=images, each=each, pixels=self._there(here), here=here)

    def _made_here(self, block: Block) -> bool:
        """Return whether the processor makes images for a network that is elsewhere."""
        return self.queue.ahead and block.transform is not None and block.transform.on_processor

    def _there(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return pixels on the device, where the second stream fetches them."""
        with self.queue.beside():
            return pixels.to(self.device, non_blocking=True)

    def views_again(
        self, feed: TunedModel, block: Block, space: Space, index: NDArray[np.int64], batch: int
    ) -> Iterator[tuple[NDArray[np.int64], View]]:
        """Yield rows of `index` and a network's view of the images there."""
        images, shown = (list(map(_reader(block.stimuli, self.cache), index.tolist())), list[tuple[Array, Shown]]())
        if block.presentation == "whole":
            # At their own size, and then at the network's, as in a chunk with images of other sizes.
            for shape in {image.shape for image in images}:
                own = np.array([row for row, image in enumerate(images) if image.shape == shape])
                shown.append((own, torch.from_numpy(np.stack([images[row] for row in own])).permute(0, 3, 1, 2)))
            images.append(images[0][:1, :1])
        shown.append((np.arange(len(index)), feed.model.present(images, block.presentation)[: len(index)]))
        for own, pixels in shown:
            ready = _Decoded(images=images, each=map, pixels=pixels, here=pixels)
            given = self._pixels(block, feed, index[own], ready)
            yield own, self._view(feed, block, space=space, index=index[own], pixels=given, batch=batch)

    def _part(self, cell: _Cell, jobs: Sequence[Job], ready: _Decoded) -> _Work:
        """Answer a cell for one observer."""
        jobs = [job for job in jobs if not job.over]
        if not jobs:
            return
        loaded, index = jobs[0].loaded, chunk_index(cell.block.stimuli, cell.chunk)
        network = loaded.observer if isinstance(loaded.observer, TunedModel) else None
        owed = len(index) * sum(job.suite.passes for job in jobs)

        def passed(passes: float) -> None:
            """Report work as it is done: never more in total than the chunk may cost, and all of it at its end."""
            nonlocal owed
            if (counted := min(passes, owed)) > 0:
                owed -= counted
                self.reporter.work(loaded.name, counted)

        try:
            pixels, views = cell.pixels, Views()
            if pixels is None and network:
                pixels = cell.making.result() if cell.making else self._pixels(cell.block, network, index, ready)
                cell.pixels = pixels if ready.pixels is not None else None
            view = partial(self._view, loaded.observer, cell.block, index=index, pixels=pixels, passed=passed)
            if pixels is not None and self.queue.ahead:
                views = yield from self._begun(cell, jobs, pixels, view)
            answers = self._answer(jobs, index, view, views)
        except FAILURES as error:  # the boundary of one observer's work
            for job in jobs:
                job.fail(error)
            return
        cell.answers += [
            Chunk(key=key, index=cell.chunk, start=int(index[0]), columns=columns) for key, columns in answers.items()
        ]
        passed(owed)
        self.reporter.advance(loaded.name, len(index) * len(answers))

    def _begun(
        self, cell: _Cell, jobs: Sequence[Job], pixels: Shown, make: Callable[..., View]
    ) -> Generator[None, None, Views]:
        """Return the views of a chunk once their answers are on the processor, near-ties included."""
        views, loaded = dict[Space, NetworkView](), jobs[0].loaded
        for image in pixels if isinstance(pixels, list) else [pixels]:
            self.queue.hand_over(image)
        with suppress(*FAILURES):  # it comes again where a suite asks
            for space in dict.fromkeys(map(_space, jobs)):
                view = views[space] = cast(NetworkView, make(space=space, batch=loaded.batch))
                view.queue = self.queue
                assert view.arriving is not None  # by the next copy
                if again := view.again():
                    cell.again.append((loaded, *again))
        yield
        undecided = False
        with suppress(*FAILURES):
            undecided = any(view.undecided for view in views.values())
        if undecided:
            yield  # they come with the answers to the next cell,
            yield  # which are read while the one after it is computed
        return cast(Views, views)

    def _proof(self, cells: Sequence[_Cell], done: deque[_Cell]) -> _Work:
        """Compare parameters with the beginning's, and images with themselves shown again; then cells are `done`."""
        arriving = list[tuple[LoadedObserver, TunedModel, Callable[[], Checksum], Arriving | None]]()
        for loaded in {id(job.loaded): job.loaded for cell in cells for job in cell.asked}.values():
            network = loaded.observer
            if isinstance(network, TunedModel) and network.module is not None and not loaded.failure:
                gaps = gaps_again(network, [row[1:] for cell in cells for row in cell.again if row[0] is loaded])
                sums = checksum_later(network.module, self.queue.add)
                arriving.append((loaded, network, sums, self.queue.add(torch.stack(gaps)) if gaps else None))
        for cell in cells:
            cell.again.clear()
        for _ in range(3):  # until the last cell is answered, near-ties included
            yield
        for loaded, network, sums, largest in arriving:
            try:
                require_unmoved(
                    loaded.name, changed_tensor(cast(torch.nn.Module, network.module), network.state, sums())
                )
                if largest:
                    require_replay(loaded.name, float(largest().max()), torch.device(self.device).type)
            except FAILURES as error:
                for job in (job for cell in cells for job in cell.asked if job.loaded is loaded):
                    job.fail(error)
        done.extend(cells)

    def _pixels(self, block: Block, feed: TunedModel | None, index: NDArray[np.int64], ready: _Decoded) -> Shown:
        """Return a chunk's images as a network is shown them. feed: None where the processor makes them ahead."""
        transform, here = block.transform, self._made_here(block)
        shown = ready.here if here else ready.pixels
        if shown is None:
            assert feed
            shown = feed.model.present(ready.images, block.presentation, ready.each)
            shown = shown if isinstance(shown, list) else devices.pinned(shown, self.device)
        if transform is None:
            return shown
        seeds, changed = seeds_of(block.stimuli, index, self.seed), list[torch.Tensor]()
        with ExitStack() as stack:
            if feed and not here:
                # The run's precision is the network's: images are the same in each. With more threads than the network
                # uses, they would wait for one another on its images also. Both are settings of the whole process.
                stack.enter_context(working_threads(feed.tuning.threads))
                stack.enter_context(full_precision(torch.device(self.device).type))
                stack.enter_context(self.queue.beside())
            for own, pixels in zip(seeds[:, None], shown, strict=True) if isinstance(shown, list) else [(seeds, shown)]:
                moved = pixels if here else pixels.to(self.device, non_blocking=True)
                made = transform.apply(moved if transform.stored else unit_pixels(moved), own)
                changed.append(self._there(devices.pinned(made, self.device)) if here else made)
        return changed if isinstance(shown, list) else changed[0]

    def _answer(
        self, jobs: Sequence[Job], index: NDArray[np.int64], make: Callable[..., View], views: Views
    ) -> dict[str, dict[str, Array]]:
        """Return one observer's answers under every suite that asks, by key, without failed work. views: begun ones."""
        loaded, answers = jobs[0].loaded, dict[str, dict[str, Array]]()
        network = loaded.observer if isinstance(loaded.observer, TunedModel) else None
        while job := next((job for job in jobs if not job.failed and job.key not in answers), None):
            try:
                with working_threads(network.tuning.threads if network else torch.get_num_threads()):
                    if (space := _space(job)) not in views:
                        views[space] = make(space=space, batch=loaded.batch)
                    observed = job.suite.observe(job.suite.config, views[space])
                columns = {name: np.asarray(values) for name, values in observed.items()}
                for name, values in columns.items():
                    if values.shape[:1] != index.shape:
                        what = f"suite '{job.suite.name}' returned {values.shape} for column '{name}'"
                        raise ModelFailure(f"{what} of {len(index)} trials")
                answers[job.key] = columns
            except FAILURES as error:
                memory = any(words in str(error).lower() for words in ("out of memory", "can't allocate memory"))
                if not isinstance(error, RuntimeError) or not (memory or isinstance(error, torch.OutOfMemoryError)):
                    job.fail(error)
                    continue
                views.clear()  # halve the device batch and continue
                if loaded.batch == 1:
                    what = f"{loaded.name} does not fit on {self.device} even one image at a time"
                    raise ModelFailure(what) from error
                loaded.batch //= 2
                if self.device.startswith("cuda"):
                    torch.cuda.empty_cache()
                self.reporter.note(f"{loaded.name}: out of memory, going on with batches of {loaded.batch}")
        # Gradients are waited for anyway, and they may be taken after the chunk's parameters were summed.
        if network and not (self.queue.ahead and all(job.suite.needs != "gradients" for job in jobs)):
            require_unmoved(loaded.name, network.moved)
        return answers

    def _view(
        self,
        observer: TunedModel | IdealObserver,
        block: Block,
        *,
        space: Space,
        index: NDArray[np.int64],
        pixels: Shown | None,
        batch: int,
        passed: Passed = lambda _passes: None,
    ) -> View:
        if isinstance(observer, IdealObserver):
            classes = tuple(dict(space[1])) or label_space(space[0]).classes
            view = IdealView(observer=observer, block=block, index=index, categories=classes, seed=self.seed)
            return cast(View, view)  # it raises when a suite asks for an attribute that it lacks
        assert pixels is not None
        return NetworkView(
            feed=observer,
            block=block,
            index=index,
            pixels=pixels,
            grouping=observer.model.labels.grouping(space[0], dict(space[1])),
            seed=self.seed,
            batch=1 if isinstance(pixels, list) else batch,
            device=self.device,
            passed=passed,
        )


def _space(job: Job) -> Space:
    return job.space, tuple(job.suite.categories.items())


def _sees_pixels(job: Job) -> bool:
    return isinstance(job.loaded.observer, TunedModel) and not job.failed


def require_unmoved(name: str, moved: str) -> None:
    """Raise Unsound if answering has changed a network. moved: what has changed, "" for nothing."""
    if moved:
        raise Unsound(f"{name} is not as it was: answering has changed {moved}")


def gaps_again(feed: TunedModel, again: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> list[torch.Tensor]:
    """Show images [1, 3, h, w] again, many at a time, and return how far each one's logits [1, classes] were off."""
    gaps = list[torch.Tensor]()
    for shape in {image.shape for image, _ in again}:
        own = [row for row in again if row[0].shape == shape]
        for some in (own[i : i + TIES] for i in range(0, len(own), TIES)):
            plain = plain_logits(feed, torch.cat([image for image, _ in some]))
            gaps += [relative_gap(logits, plain[i : i + 1]) for i, (_, logits) in enumerate(some)]
    return gaps
