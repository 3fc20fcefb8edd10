"""Sums of a network's state, which tell that answering has changed it: `test_device_queue.py` has such networks."""

import pytest
import torch

from registry import determinism_checks
from registry.determinism_checks import checksum, placed_sum


def test_a_checksum_sees_every_bit_of_every_kind():
    module = torch.nn.Module()
    module.a = torch.nn.Parameter(torch.zeros(3))
    module.register_buffer("b", torch.zeros(5, dtype=torch.int64))
    module.register_buffer("c", torch.zeros(5, dtype=torch.bool), persistent=False)
    module.register_buffer("d", torch.zeros(3, dtype=torch.bfloat16))
    sums = {checksum(module)}
    for values, place, value in ((module.a, 1, -0.0), (module.b, 4, 1), (module.c, 0, True), (module.d, 2, 1e-30)):
        with torch.no_grad():
            values[place] = value
        sums.add(checksum(module))
    assert len(sums) == 5


@pytest.mark.parametrize("kind", [torch.float32, torch.int64, torch.bool])
def test_the_sum_on_a_device_sees_values_that_changed_places(kind, monkeypatch):
    values = torch.arange(10).remainder(7).to(kind)
    sums = {int(placed_sum(values))}
    swapped = values.clone()
    swapped[[0, 9]] = swapped[[9, 0]]
    turned = values.clone()
    turned.view(torch.uint8)[3] ^= 1
    sums |= {int(placed_sum(other)) for other in (swapped, turned, values.flip(0))}
    assert len(sums) == 4
    monkeypatch.setattr(determinism_checks, "_PIECE", 3)
    assert int(placed_sum(values)) in sums and int(placed_sum(swapped)) != int(placed_sum(values))
