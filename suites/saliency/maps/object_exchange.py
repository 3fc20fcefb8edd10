"""Which part of an image determines the answer: only the object, or only the background, is exchanged for another's,
and the Shapley value (1953) divides the margin between them. It needs torch."""

from collections.abc import Callable, Mapping, Sequence
from zlib import crc32

import numpy as np
import torch
from scipy.ndimage import affine_transform, center_of_mass, distance_transform_edt
from torch import Tensor

from benchmark.contracts import CHUNK, Array, View
from suites.saliency.config import EVIDENCE, LARGEST, PARTNER, RANKED, SMALLEST
from suites.saliency.maps.gradients import membership, part_size, target_rows
from suites.saliency.maps.localisation import Flags, Floats, MaskContext, objects

ROUNDING = 1e-4  # evidence of at most this share of the spread of the logits is rounding: none


def evidence_columns(view: View, context: MaskContext) -> dict[str, Array]:
    """Return columns [n] of the evidence for the object's category: that of object, ground and place in logits, and of
    object and place in ranks. Another column names the image that it exchanged with (NaN, "": none)."""
    evidence: Floats = np.full((len(EVIDENCE) + len(RANKED), len(view.index)), np.nan)
    pairs = partners(view)
    lent = np.array([pairs.get(int(position), -1) for position in view.index])
    rows = np.flatnonzero(lent >= 0)
    if len(rows):
        evidence[:, rows] = _split(view, context, rows, pairs)
    ids = np.array([*view.block.stimuli.ids, ""])
    return {**dict(zip((*EVIDENCE, *RANKED), evidence, strict=True)), PARTNER: ids[lent]}


def class_margin(logits: Tensor, inside: Tensor) -> Tensor:
    """Return [n] the best logit of a set of classes less the best of the rest: logits [n, k], inside [n, k] bool. A
    share of margins, unlike one of log-odds, is blind to the length of the logits."""
    nothing = float("-inf")
    wide = logits if logits.device.type == "mps" else logits.double()
    rest = wide.masked_fill(inside, nothing).amax(dim=1)
    return wide.masked_fill(~inside, nothing).amax(dim=1) - rest


def rank_share(logits: Tensor, inside: Tensor) -> Tensor:
    """Return [n] the share of other classes below the best of a set of classes, ties half (NaN: no logits)."""
    best = logits.masked_fill(~inside, float("-inf")).amax(dim=1, keepdim=True)
    below = (~inside * ((logits < best).float() + (logits <= best).float())).sum(dim=1) / 2
    return torch.where(logits.isnan().any(dim=1), float("nan"), below / (~inside).sum(dim=1))


def partners(view: View) -> dict[int, int]:
    """Return image -> partner within its chunk: the next free one of another category in the order of digests."""
    stimuli = view.block.stimuli
    category, digests = objects(stimuli.labels), [crc32(str(item).encode()) for item in stimuli.items]
    order = sorted(range(len(stimuli)), key=lambda i: (i // CHUNK, digests[i], i))
    free = [i for i in order if SMALLEST <= np.mean(view.mask(i)) <= LARGEST]
    pairs, left = dict[int, int](), list[int]()
    while free:
        first = free.pop(0)
        match = next((i for i in free if category[i] != category[first]), None)
        if match is None:
            left.append(first)
        else:
            free.remove(match)
            pairs |= {first: match, match: first}
    for first, second in zip(left[::2], left[1::2], strict=False):
        split = (i for i, j in pairs.items() if category[first] not in (category[i], category[j]))
        if (third := next(split, None)) is not None:
            fourth = pairs[third]
            pairs |= {first: third, third: first, second: fourth, fourth: second}
    return pairs


def grounds(images: Tensor, holes: Flags) -> Tensor:
    """Return images [n, 3, h, w] whose holes [n, h, w] are filled, each pixel by the nearest one outside, if any."""
    filled = images.clone()
    for image, hole in zip(filled, holes, strict=True):
        if hole.all() or not hole.any():
            continue
        # The hole and the next rows and columns on each side: nothing outside them is as near to any of it.
        sides = (np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0)))
        rows, columns = (slice(max(0, int(at[0]) - 1), int(at[-1]) + 2) for at in sides)
        part, inside = image[:, rows, columns], hole[rows, columns]
        nearest = distance_transform_edt(inside, return_distances=False, return_indices=True)
        down, across = torch.from_numpy(nearest[:, inside]).long().to(images.device)
        part[:, torch.from_numpy(inside).to(images.device)] = part[:, down, across]
    return filled


def outlines(pairs: Mapping[int, int], category: Array) -> dict[int, int]:
    """Return image -> the next one of a third, otherwise of another, category, whose outline replaces its own."""
    order, lent = list(pairs), {}
    for n, i in enumerate(order):
        others = order[n + 1 :] + order[:n]
        third = [k for k in others if category[k] not in (category[i], category[pairs[i]])]
        second = [k for k in others if category[k] != category[i] and k != pairs[i]]
        if third or second:
            lent[i] = (third or second)[0]
    return lent


def moved(outline: Flags, onto: Flags) -> Flags:
    """Return [h, w] an outline at the middle of another, of as many pixels, even where the picture's edge cuts it."""
    wanted, centre = int(np.count_nonzero(onto)), np.array(center_of_mass(onto))
    middle = np.array(center_of_mass(outline))
    step, placed = np.sqrt(np.count_nonzero(outline) / wanted), onto
    for _ in range(4):
        offset = middle - step * centre
        placed = affine_transform(outline.astype(np.uint8), [step, step], offset, order=0) > 0
        step *= np.sqrt(max(1, int(np.count_nonzero(placed))) / wanted)
    return placed


# A game of two players, object and background of image i, against those of image j: the margin of i's category on (i on
# i), (i on j), (j on i), (j on j). Each part adds a whole and a pasted image and subtracts a pasted and a whole one, so
# the effect of pasting cancels. The same game with other images' outlines, moved to the objects' positions and scaled
# to their size, measures the value of position: a network that sees only a central disk finds as much evidence in it.


def _split(view: View, context: MaskContext, rows: Array, pairs: Mapping[int, int]) -> Floats:
    """Return [5, rows]: the margin's parts by object, background and position, the rank's by object and position."""
    here = [int(i) for i in view.index[rows]]
    there = [pairs[i] for i in here]
    forth, back = list(zip(here, there, strict=True)), list(zip(there, here, strict=True))
    needed = list(dict.fromkeys([*forth, *back]))
    table = membership(view.outputs, view.logits.shape[1]).to(view.images.device)
    target = target_rows(table, view.categories, context.shape[rows])
    # Logits of the images as they are: those of the view, and of partners that are not in it.
    at = {int(position): row for row, position in enumerate(view.index)}
    whole = {i: view.logits[at[i]].to(view.images.device) for i in {*here, *there} if i in at}
    with torch.no_grad():
        whole |= {i: view.forward(view.picture(i)[None])[0] for i in {*here, *there} - at.keys()}
    ends = [torch.stack([whole[i] for i in images]) for images in (here, there)]
    start, end = (class_margin(logits, target) for logits in ends)

    def carried(masks: Mapping[int, Flags]) -> tuple[Tensor, Tensor]:
        """Return the part of start - end (margin and rank) that the pixels within the masks carry."""
        logits = _pasted(view, [pair for pair in needed if set(pair) <= masks.keys()], masks)
        nothing = torch.full_like(ends[0][0], float("nan"))
        on_other, others = (torch.stack([logits.get(pair, nothing) for pair in way]) for way in (forth, back))

        def added(measure: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
            whole, less, more, none = (measure(z, target) for z in (ends[0], others, on_other, ends[1]))
            return (whole - less + more - none) / 2

        return added(class_margin), added(rank_share)

    own = {i: view.mask(i) for i in {*here, *there}}
    lent = outlines(pairs, objects(view.block.stimuli.labels))
    of_object, ranked_object = carried(own)
    of_place, ranked_place = carried({i: moved(view.mask(lent[i]), own[i]) for i in own if i in lent})
    parts = torch.stack([of_object, start - end - of_object, of_place])
    spread = torch.stack([z.amax(dim=1) - z.amin(dim=1) for z in ends]).amax(dim=0)
    parts[parts.abs() <= ROUNDING * spread] = 0
    ranked = torch.where(parts[[0, 2]] == 0, 0.0, torch.stack([ranked_object, ranked_place]))
    none = (parts == 0).all(dim=0)
    parts = torch.cat([parts, ranked])
    parts[:, none] = float("nan")
    return parts.double().cpu().numpy()


def _pasted(view: View, pairs: Sequence[tuple[int, int]], masks: Mapping[int, Flags]) -> dict[tuple[int, int], Tensor]:
    """Return logits of the first image's masked pixels pasted on the second image, after its own mask is filled."""
    rows = {int(position): row for row, position in enumerate(view.index)}

    def picture(i: int) -> Tensor:
        return view.images[rows[i]] if i in rows else view.picture(i)

    pasted: dict[tuple[int, int], Tensor] = {}
    size = min(view.batch, part_size(view.images.device))
    for at in range(0, len(pairs), size):
        part = pairs[at : at + size]
        inside = np.stack([masks[i] & ~view.ignored(i) for i, _ in part])
        holes = np.stack([masks[j] | view.ignored(j) for _, j in part])
        above, below = (torch.stack([picture(pair[k]) for pair in part]) for k in (0, 1))
        here = torch.from_numpy(inside).to(above.device)[:, None]
        with torch.no_grad():
            logits = view.forward(torch.where(here, above, grounds(below, holes)))
        pasted |= dict(zip(part, logits, strict=True))
    return pasted
