"""`bench compare consistency` says where observers saw images that were made here."""

import numpy as np
import pytest

from benchmark.cli.tables import made_again
from benchmark.contracts import Trials


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (None, ""),
        (["", ""], ""),
        (["regenerated", ""], "; some observers saw regenerated images, not the published files"),
        (
            ["regenerated", "stylised 0123abcd"],
            "; some observers saw regenerated and stylised images, not the published files",
        ),
    ],
)
def test_made_images_are_named(made, said):
    columns = {"stimulus": np.array(["a", "b"])} | (
        {} if made is None else {"made": np.array(made)}
    )
    assert made_again([{"cue-conflict": Trials(columns)}]) == said
