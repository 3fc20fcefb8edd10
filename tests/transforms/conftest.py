"""Photographs where BENCH_TEST_DATA has them; one thread."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transform_samples import Bytes, data_folder

torch.set_num_threads(1)


def crops(folder: Path) -> Bytes:
    """[6, 224, 224, 3]: centre crops of photographs spread over a folder of WNID/*.JPEG."""
    out = []
    for file in sorted(folder.glob("*/*.JPEG"))[::83][:6]:
        image = Image.open(file).convert("RGB")
        left, top = (image.width - 224) // 2, (image.height - 224) // 2
        out.append(np.asarray(image.crop((left, top, left + 224, top + 224))))
    return np.stack(out)


@pytest.fixture(scope="session")
def photographs() -> Bytes:
    """Six photographs of 224 px, or a skip."""
    return crops(data_folder("imagenet-sample"))
