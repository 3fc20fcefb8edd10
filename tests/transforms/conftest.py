"""Photographs where BENCH_TEST_DATA has them; one thread."""

import numpy as np
import pytest
import torch
from PIL import Image
from transform_samples import Bytes, data_folder

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def photographs() -> Bytes:
    """[6, 224, 224, 3]: centre crops of real photographs."""
    files = sorted(data_folder("imagenet-sample").glob("*/*.JPEG"))[::83][:6]
    out = []
    for file in files:
        image = Image.open(file).convert("RGB")
        left, top = (image.width - 224) // 2, (image.height - 224) // 2
        out.append(np.asarray(image.crop((left, top, left + 224, top + 224))))
    return np.stack(out)
