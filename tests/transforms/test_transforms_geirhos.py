"""The experiments' degradations against numpy and scipy written from the published description."""

import csv

import numpy as np
import pytest
import torch
from scipy import fft as sfft
from scipy import ndimage
from transform_samples import Given, as_bytes, as_images, data_folder, seeds, synthetic

from benchmark.failures import UnknownName
from benchmark.transforms.basics import equalise, natural_amplitude, scramble, working
from benchmark.transforms.human import CONES, GEIRHOS, OPPONENT, POWER_LAW, WHITE, degradation, disarray, false_colour
from benchmark.transforms.listing import own_list

PIXELS = synthetic(3, 64)
IMAGES = as_images(PIXELS)
CONDITIONS = {name: [str(level) for level in entry.levels] for name, entry in own_list("human").items()}


def grey(pixels):
    return pixels / 255 @ np.array([0.2125, 0.7154, 0.0721])


def stored(image):
    return np.floor(np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def applied(experiment, condition):
    return as_bytes(degradation(experiment, condition).apply(IMAGES, seeds(3)))


@pytest.mark.slow
@pytest.mark.parametrize("experiment", sorted(CONDITIONS.keys() - {"salt-and-pepper"}))
def test_an_image_alone_is_the_image_in_a_batch_in_any_order(experiment):
    apply = degradation(experiment, CONDITIONS[experiment][-2]).apply
    batch = apply(IMAGES, seeds(3))
    assert (batch.shape, batch.dtype) == (IMAGES.shape, torch.float32)
    assert float(batch.min()) >= 0 and float(batch.max()) <= 1
    turned = apply(IMAGES.flip(0), seeds(3)[::-1].copy())
    assert float((turned.flip(0) - batch).abs().max()) <= 1.01 / 255
    alone = torch.cat([apply(IMAGES[i : i + 1], seeds(3)[i : i + 1]) for i in range(3)])
    assert float((alone - batch).abs().max()) <= 1.01 / 255 and float((alone != batch).float().mean()) < 1e-3


@pytest.mark.parametrize("experiment", ["uniform-noise", "salt-and-pepper", "phase-scrambling", "eidolonII"])
def test_other_seeds_give_other_noise(experiment):
    apply = degradation(experiment, CONDITIONS[experiment][4]).apply
    one, other = (apply(IMAGES[:1], seeds(1, start=start)) for start in (1, 9))
    assert float((one - other).abs().mean()) > 0.01


def test_contrast_rounds_as_the_stimuli_were_saved_and_rotation_is_counter_clockwise():
    for condition, share in zip(CONDITIONS["contrast"], (1, 0.5, 0.3, 0.15, 0.1, 0.05, 0.03, 0.01), strict=True):
        expected = stored((1 - share) / 2 + grey(PIXELS) * share)
        assert np.array_equal(applied("contrast", condition), np.repeat(expected[..., None], 3, -1))
    for turns in (1, 2, 3):
        expected = np.rot90(stored(grey(PIXELS)), turns, axes=(1, 2))
        assert np.array_equal(applied("rotation", str(90 * turns))[..., 0], expected)


def low(sigma):
    return [ndimage.gaussian_filter(image, float(sigma), mode="constant", cval=0.4423) for image in grey(PIXELS)]


def test_low_pass_high_pass_and_the_grey_image_at_infinity():
    for condition in ("0", "1", "7", "40"):
        assert np.array_equal(applied("low-pass", condition)[..., 0], stored(low(condition)))
    for condition in ("3", "1", "0.4"):
        fine = grey(PIXELS) - low(condition)
        expected = stored(fine + 0.4423 - fine.mean(axis=(1, 2), keepdims=True))
        assert np.array_equal(applied("high-pass", condition)[..., 0], expected)
    assert np.array_equal(applied("high-pass", "inf"), applied("colour", "bw"))


def test_noise_with_given_draws():
    """On images of three tenths of the contrast; salt and pepper is white or black."""
    u, dull = np.random.RandomState(0).uniform(size=(3, 64, 64)), 0.35 + 0.3 * grey(PIXELS)
    spotted = np.where(u >= 0.8, 1.0, np.where(u < 0.2, 0.0, dull))
    noisy = [("uniform-noise", width, np.clip(dull + (2 * u - 1) * width, 0, 1)) for width in (0.03, 0.35, 0.9)]
    for name, level, expected in (*noisy, ("salt-and-pepper", 0.4, spotted)):
        out = GEIRHOS[name].degrade(working(IMAGES), level, Given([torch.from_numpy(u)]))
        np.testing.assert_allclose(out[:, 0].numpy(), expected, atol=1e-14)


def scrambled(image, width, u):
    f = sfft.fftshift(sfft.fft2(image))
    phase = np.angle(f)
    block = phase[1:, 1:].reshape(-1).copy()
    shifts = (u - 0.5) * 2 * width / 180 * np.pi
    block[: len(shifts)] += shifts
    block[len(shifts) + 1 :] -= shifts
    phase[1:, 1:] = block.reshape(phase[1:, 1:].shape)
    return np.clip(sfft.ifft2(sfft.ifftshift(np.abs(f) * np.exp(1j * phase))).real, 0, 1)


def test_phase_scrambling_with_given_draws_and_power_equalisation():
    """Equalisation sets every amplitude and keeps phases."""
    u, images = np.random.RandomState(1).random_sample((3, 63 * 63 // 2)), torch.from_numpy(grey(PIXELS))[:, None]
    for width in (30, 90, 180):
        out = scramble(images, width, Given([torch.from_numpy(u)])).clamp(0, 1)
        expected = [scrambled(image, width, row) for image, row in zip(grey(PIXELS), u, strict=True)]
        assert np.allclose(out[:, 0].numpy(), expected, atol=1e-9)
    phases = np.angle(sfft.fftshift(sfft.fft2(grey(PIXELS)[0])))
    expected = sfft.ifft2(sfft.ifftshift(natural_amplitude(64, 64) * np.exp(1j * phases))).real
    assert np.allclose(equalise(images[:1])[0, 0].numpy(), expected, atol=1e-9)


@pytest.mark.slow
def test_false_colour_matches_a_search_of_the_whole_table():
    out = false_colour(working(IMAGES), POWER_LAW).permute(0, 2, 3, 1).numpy()
    dkl = (POWER_LAW[PIXELS] @ CONES.T - WHITE) @ OPPONENT.T * [1, -1, -1]
    light = np.clip((dkl @ np.linalg.inv(OPPONENT).T + WHITE) @ np.linalg.inv(CONES).T, 0, 1)
    expected = np.abs(light[..., None] - POWER_LAW).argmin(-1) / 255
    assert np.array_equal(out[0], expected[0]) and np.abs(out - expected).max() < 1e-9


def eidolon_by_loops(levels, reach, coherence, grain, draws):
    """Independent and slow: one plane at a time, for a 64 px image (8 scales, a 128 px plane)."""
    size, side = 64, 128
    scales = [2 ** (-0.5 + k / 2) for k in range(8)]
    pad = (side - size) // 2
    luma = (levels.astype(np.int64) @ np.array([19595, 38470, 7471]) + 32768) >> 16
    fat = np.pad(luma.astype(float), pad, mode="symmetric")
    steps = np.concatenate([np.arange(side // 2 + 1), np.arange(side // 2 - side + 1, 0)])

    def blur(plane, s):
        line = np.exp(-(steps**2) / (2 * s * s)) / (np.sqrt(2 * np.pi) * s)
        kernel = np.fft.rfft(np.outer(line, line).ravel())
        return np.fft.irfft(np.fft.rfft(plane.ravel()) * kernel).reshape(side, side)

    def noise(normals, s):
        c = blur(np.clip(127.5 * normals / np.abs(normals).max(), -127, 127), s)
        return c - c.mean() / np.sqrt(c.var())

    smooth = [blur(fat, s) for s in scales]
    total = np.zeros((side, side))
    rows, columns = np.indices((side, side))
    for k in range(8):
        layer = smooth[k] - smooth[k + 1] if k < 7 else smooth[7]
        moves = []
        for axis in range(2):
            coherent = sum(noise(draws[axis][j], scales[j]) * scales[j] / 16 for j in range(k, 8))
            own = noise(draws[2][k, axis], grain)
            moves.append((1 - coherence) * own + coherence * coherent)
        y = np.clip(moves[0] * reach + rows, 0, side - 1).astype(int)
        x = np.clip(moves[1] * reach + columns, 0, side - 1).astype(int)
        total += layer[y, x]
    return np.clip(total[pad:-pad, pad:-pad], 0, 255).astype(np.uint8)


@pytest.mark.parametrize("reach", [1, 16])
def test_eidolon_with_given_draws(reach):
    rng = np.random.RandomState(2)
    draws = [rng.normal(size=s) for s in ((8, 128, 128), (8, 128, 128), (8, 2, 128, 128))]
    levels = torch.from_numpy(PIXELS[:1]).permute(0, 3, 1, 2).double()
    given_draws = Given([torch.from_numpy(d)[None] for d in draws])
    out = disarray(levels, reach, 0.3, 10.0, given_draws)[0, 0].numpy()
    expected = eidolon_by_loops(PIXELS[0], reach, 0.3, 10.0, draws)
    assert np.mean(out != expected) < 1e-3  # an index or a level on the edge of truncation
    assert np.abs(out - expected).mean() < 0.01


def test_spellings_of_a_level_mean_the_same():
    spelled = [("uniform-noise", "0.1"), ("high-pass", "Inf"), ("high-pass", "3.0"), ("false-colour", "False")]
    names = [degradation(*words).name for words in spelled]
    assert names == ["uniform-noise/0.10", "high-pass/inf", "high-pass/3", "false-colour/false"]
    with pytest.raises(UnknownName, match=r"0\.10"):
        degradation("uniform-noise", "0.11")


def test_conditions_are_those_of_the_published_trials():
    for name in CONDITIONS.keys() - {"salt-and-pepper"}:
        with min((data_folder("human-trials") / name).glob("*.csv")).open() as file:
            assert {row["condition"] for row in csv.DictReader(file)} == {*CONDITIONS[name]}, name


@pytest.mark.parametrize("experiment", sorted(CONDITIONS.keys() - {"eidolonI", "eidolonII"}))
def test_stored_images_give_the_same_stored_images(experiment):
    change = degradation(experiment, CONDITIONS[experiment][-1])
    assert change.stored
    stored = (IMAGES * 255).round().to(torch.uint8)
    out = change.apply(stored, seeds(len(stored)))
    assert out.dtype == torch.uint8
    whole = change.apply(stored.float() / 255, seeds(len(stored)))
    assert torch.equal(out, (whole * 255).round().to(torch.uint8))


def test_the_stand_ins_for_the_authors_tables():
    """A power of 2.2 for the monitor's curve; the mean amplitude of photographs at some frequencies, as fitted."""
    assert POWER_LAW[[0, 64, 128, 255]] == pytest.approx([0, 0.0477758, 0.2195197, 1], abs=1e-6)
    places = [(112, 112), (112, 113), (113, 112), (112, 122), (122, 122), (100, 150), (0, 0)]
    expected = [22804.992, 2479.69811, 2627.24777, 186.670717, 84.8047869, 23.0123980, 2.96025600]
    assert natural_amplitude(224, 224)[tuple(zip(*places, strict=True))].tolist() == pytest.approx(expected, rel=1e-6)
