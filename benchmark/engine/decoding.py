"""Images ahead of the device: decoded by a few threads, and kept on disk where a set is small.

Decoding a published stimulus costs as much as an eighth of a fast network's forward pass, and every further model
and suite would pay it again. So chunks of equal-sized images are kept decoded, by the digest of their set: what
is in the cache cannot be another set's pixels, because decoding reads a file once and refuses bytes that are not those
of the set's digest; and a damaged file is decoded anew. Where the cache is full, the set that was used longest ago
makes room.
"""

import os
import shutil
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Stimuli
from benchmark.engine.planning import chunk_index
from benchmark.stimuli.image_files import NO_ARRAY
from registry.files import replacing

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
    _mark_used(folder)
    with ThreadPoolExecutor(DECODERS) as pool:
        waiting: deque[tuple[int, Images | list[Future[Image]]]] = deque()
        for chunk in chunks:
            kept = _kept(folder, chunk, len(chunk_index(stimuli, chunk)))
            waiting.append((chunk, kept or _submitted(pool, stimuli, chunk)))
            if len(waiting) > 1:
                yield _taken(*waiting.popleft(), stimuli, folder)
        while waiting:
            yield _taken(*waiting.popleft(), stimuli, folder)


def _place(stimuli: Stimuli) -> str:
    """Name of a set's folder: of its digest, and of what makes pixels of its files."""
    from PIL import __version__ as pillow

    return f"{stimuli.digest[:32]}-{FORMAT}-{pillow}"


def _submitted(pool: ThreadPoolExecutor, stimuli: Stimuli, chunk: int) -> list[Future[Image]]:
    return [pool.submit(stimuli.decode, int(i)) for i in chunk_index(stimuli, chunk)]


def _taken(
    chunk: int, work: Images | list[Future[Image]], stimuli: Stimuli, folder: Path | None
) -> Images:
    images: Images = []
    for one in work:
        images.append(one.result() if isinstance(one, Future) else one)
    if folder is not None and any(isinstance(one, Future) for one in work):
        _keep(folder, chunk, images, len(stimuli))
    return images


def _kept(folder: Path | None, chunk: int, size: int) -> Images | None:
    """A chunk from the cache, checked against the sum in its name; None where it is not there or not whole."""
    if folder is None:
        return None
    for path in folder.glob(f"{chunk:06d}-*.npy"):
        try:
            images: Image = np.load(path, mmap_mode="r", allow_pickle=False)
        except NO_ARRAY:
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


def _mark_used(folder: Path | None) -> None:
    with suppress(OSError):
        if folder is not None and folder.is_dir():
            os.utime(folder)


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
