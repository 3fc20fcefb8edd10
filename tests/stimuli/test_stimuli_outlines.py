"""COCO's masks: by hand, by laws, and against pycocotools where it is installed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmark.stimuli.masked.outlines import area_of, flags_of, inside


def packed(runs):
    """COCO's text of run lengths, from its description: the test's own writer."""
    letters = ""
    for i, run in enumerate(runs):
        value = run - (runs[i - 2] if i > 2 else 0)
        while True:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            letters += chr(48 + bits + (32 if more else 0))
            if not more:
                break
    return letters


def runs_of(mask):
    """Background, object, background, ... down the columns."""
    flat = mask.ravel(order="F")
    ends = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths = np.diff([0, *ends, len(flat)]).tolist()
    return [0, *lengths] if len(flat) and flat[0] else lengths


masks = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(lambda s: arrays(bool, s))


@given(masks)
def test_run_lengths_give_back_what_they_were_made_of(mask):
    size, runs = mask.shape, runs_of(mask)
    for counts in (runs, packed(runs)):
        coded = {"size": list(size), "counts": counts}
        assert np.array_equal(flags_of(coded, size), mask)
        assert area_of(coded) == mask.sum()


def test_run_lengths_by_hand():
    # 3 rows, 2 columns; down the columns: 0 0 1 | 1 1 0.
    coded = {"size": [3, 2], "counts": [2, 3, 1]}
    expected = [[False, True], [False, True], [True, False]]
    assert flags_of(coded, (3, 2)).tolist() == expected
    assert flags_of({"size": [3, 2], "counts": "231"}, (3, 2)).tolist() == expected


@pytest.mark.parametrize(
    ("coded", "message"),
    [
        ({"size": [3, 2], "counts": [2, 3]}, "give 5 pixels, the image has 6"),
        ({"size": [2, 3], "counts": [2, 3, 1]}, r"size \[2, 3\], but the image has \[3, 2\]"),
        ({"counts": [2, 3, 1]}, "size None"),
        ({"size": [3, 2], "counts": [2.5, 3.5]}, "need 'counts'"),
        ({"size": [3, 2], "counts": [7, -1]}, "give 6 pixels"),
        ({"size": [3, 2], "counts": "2\n"}, "letter '\n'"),
        ({"size": [3, 2], "counts": "2P"}, "ends inside a number"),
        ([[0, 0, 1, 1]], "three corners"),
        ([[0, 0, 1, 1, 2, float("nan")]], "three corners"),
    ],
)
def test_what_is_no_mask_is_refused(coded, message):
    with pytest.raises(ValueError, match=message):
        flags_of(coded, (3, 2))


corner = st.tuples(st.floats(-3, 23), st.floats(-3, 23))


@given(st.lists(corner, min_size=3, max_size=9))
def test_pixels_inside_are_those_of_the_textbook(corners):
    """Crossing a ray to the left from each centre, one pixel at a time."""
    shape = np.array(corners)
    drawn = inside(shape, (20, 20))
    edges = list(zip(shape.tolist(), np.roll(shape, -1, axis=0).tolist(), strict=True))
    for row in range(0, 20, 3):
        for column in range(0, 20, 3):
            x, y, odd, near = column + 0.5, row + 0.5, False, False
            for (xa, ya), (xb, yb) in edges:
                if (ya <= y) != (yb <= y):
                    at = xa + (y - ya) / (yb - ya) * (xb - xa)
                    near |= abs(at - x) < 1e-9
                    odd ^= at < x
            assert near or drawn[row, column] == odd


def test_the_area_of_polygons():
    assert area_of([[1, 2, 4, 2, 4, 5, 1, 5]]) == 9
    assert area_of([[1, 5, 4, 5, 4, 2, 1, 2], [0, 0, 2, 0, 0, 2]]) == 11  # the other way round


@pytest.mark.parametrize("counts", [[1, 10**400], "o" * 400 + "?", [2**41]])
def test_run_lengths_that_no_image_has_are_refused(counts):
    """Found by the fuzzer: their sum is no float."""
    with pytest.raises(ValueError, match="run length"):
        area_of({"counts": counts, "size": [2, 2]})


@pytest.mark.slow
def test_against_pycocotools():
    tools = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    random = np.random.default_rng(0)
    for _ in range(60):
        height, width = (int(side) for side in random.integers(1, 50, 2))
        mask = random.random((height, width)) < random.random()
        coded = tools.encode(np.asfortranarray(mask.astype(np.uint8)))
        text = {"size": [height, width], "counts": coded["counts"].decode()}
        assert np.array_equal(flags_of(text, (height, width)), mask)
        assert packed(runs_of(mask)) == text["counts"]
        turn = np.sort(random.random(20)) * 2 * np.pi
        radius = random.uniform(20, 150) * random.uniform(0.7, 1, len(turn))
        outline = [np.stack([320 + radius * np.cos(turn), 240 + radius * np.sin(turn)], axis=1).ravel().tolist()]
        ours, theirs = flags_of(outline, (480, 640)), tools.decode(tools.frPyObjects(outline, 480, 640))[:, :, 0] > 0
        assert (ours & theirs).sum() / (ours | theirs).sum() > 0.98  # it moves corners to fifths of a pixel
