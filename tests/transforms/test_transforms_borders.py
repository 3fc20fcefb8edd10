"""Where a filter reads beyond the border: the rules by their letters."""

import numpy as np
import pytest

from benchmark.transforms.matrices import folded

LETTERS = np.array(list("abcd"))


@pytest.mark.parametrize(
    ("border", "size", "expected"),
    [
        ("nearest", 4, "aaaaabcddddd"),
        ("reflect", 4, "dcbaabcddcba"),
        ("mirror", 4, "cdcbabcdcbab"),
        ("constant", 4, "....abcd...."),
        ("reflect", 2, "abbaabbaabba"),
        ("mirror", 2, "abababababab"),
        ("mirror", 1, "aaaaaaaaaaaa"),
    ],
)
def test_indices_beyond_the_border(border, size, expected):
    index, inside = folded(np.arange(-4, 8), size, border)
    read = "".join(np.where(inside, LETTERS[index], "."))
    assert read == expected
    assert index.min() >= 0 and index.max() < size
