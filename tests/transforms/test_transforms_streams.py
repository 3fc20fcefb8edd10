"""Random numbers per image: pinned, independent of the batch, and distributed as they say."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmark.transforms.basics import Streams

CPU = torch.device("cpu")
ANY_SEED = st.integers(0, 2**64 - 1)


def one(seed, label="t"):
    return Streams(np.array([seed], dtype=np.uint64), label, CPU)


def test_pinned_so_that_stored_results_stay_valid():
    draws = one(1, "gaussian_noise/3")
    assert draws.bits(4).tolist() == [[-1459385570, -1625658004, -794413379, -1408114047]]
    assert draws.bits(2).tolist() == [[642905291, -362836148]]


@given(seed=ANY_SEED, others=st.lists(ANY_SEED, max_size=4), size=st.integers(1, 50))
def test_an_image_s_numbers_do_not_depend_on_its_company(seed, others, size):
    alone = one(seed).uniform(size)
    company = Streams(np.array([*others, seed], dtype=np.uint64), "t", CPU).uniform(size)
    assert torch.equal(company[-1:], alone)


@pytest.mark.parametrize("seed", [0, 1, 2**63])
def test_uniform_and_normal_follow_their_laws(seed):
    draws = one(seed)
    uniform = draws.uniform(200_000)[0].double().numpy()
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3
    normal = draws.normal(200_000)[0].double().numpy()
    assert stats.kstest(normal, "norm").pvalue > 1e-3
    assert abs(stats.kurtosis(normal)) < 0.05


def test_coins_are_fair_and_independent_of_their_uniforms():
    uniform, coin = one(5).uniform_and_coin(200_000)
    coin, uniform = coin[0].double(), uniform[0].double()
    assert torch.equal(one(5).uniform(200_000)[0].double(), uniform)
    assert abs(float(coin.mean()) - 0.5) < 4 * 0.5 / 200_000**0.5
    for low in (0.0, 0.01, 0.5, 0.97):
        some = coin[(uniform >= low) & (uniform < low + 0.03)]
        assert abs(float(some.mean()) - 0.5) < 4 * 0.5 / len(some) ** 0.5


def test_all_bits_of_the_hash_are_balanced_and_flip_with_any_bit_of_the_seed():
    base = one(12345).bits(20_000)[0].numpy().view(np.uint32)
    for bit in (0, 1, 31, 32, 63):
        other = one(12345 ^ (1 << bit)).bits(20_000)[0].numpy().view(np.uint32)
        flips = [(((base ^ other) >> k) & 1).mean() for k in range(32)]
        assert max(abs(f - 0.5) for f in flips) < 0.02


@pytest.mark.parametrize("peak", [60, 25, 12, 5, 3])
def test_poisson_counts_follow_the_law_at_every_level(peak):
    levels = torch.tensor([0, 1, 13, 77, 128, 200, 255]).float()
    counts = one(3).poisson(levels[None, :, None].expand(1, 7, 40_000), peak)[0].numpy()
    for level, row in zip(levels.tolist(), counts, strict=True):
        mean = level / 255 * peak
        if mean == 0:
            assert not row.any()
            continue
        top = int(stats.poisson.isf(1e-3, mean)) + 1
        seen = np.bincount(np.minimum(row, top).astype(int), minlength=top + 1)
        expected = stats.poisson.pmf(np.arange(top + 1), mean)
        expected[-1] = stats.poisson.sf(top - 1, mean)
        keep = expected * len(row) > 5
        rest = max(1 - expected[keep].sum(), 0.0), len(row) - seen[keep].sum()
        observed = [*seen[keep], rest[1]] if rest[0] > 1e-9 else seen[keep]
        law = [*expected[keep], rest[0]] if rest[0] > 1e-9 else expected[keep]
        law = np.asarray(law) / np.sum(law) * np.sum(observed)
        assert stats.chisquare(observed, law).pvalue > 1e-4


def test_poisson_is_the_inverse_of_the_distribution():
    from benchmark.transforms.basics import invert

    uniform = torch.randint(0, 2**24, (1, 30_000), dtype=torch.int32)
    levels = torch.randint(0, 256, (1, 30_000)).float()
    ours = invert(levels, uniform, 25)[0].numpy()
    centred = (uniform[0].double().numpy() + 0.5) / 2**24
    theirs = stats.poisson.ppf(centred, levels[0].double().numpy() / 255 * 25)
    theirs[levels[0].numpy() == 0] = 0
    assert np.mean(ours != theirs) < 1e-4
    assert np.abs(ours - theirs).max() <= 1
