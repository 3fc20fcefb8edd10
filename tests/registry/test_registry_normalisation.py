"""The normalisation inside a checkpoint: used, confirmed or contradicted, never thrown away unseen."""

import pytest
import torch
from safetensors.torch import save_file

from registry.errors import CardError, WeightsError
from registry.files import Place
from registry.loading import load_model
from registry.register import register


def saved(path, state, mean, std, names=("normalize.mean", "normalize.std")):
    inside = {f"model.{name}": tensor.clone() for name, tensor in state.items()}
    statistics = dict(zip(names, (torch.tensor(mean), torch.tensor(std)), strict=True))
    save_file({**inside, **statistics}, path)
    return path


def said(checks):
    return next(row.detail for row in checks if row.name == "normalisation")


@pytest.mark.slow
def test_the_checkpoints_own_normalisation_is_used_and_printed(tiny, nine, folders, tmp_path):
    path = saved(tmp_path / "n.safetensors", tiny.state_dict(), [0.485, 0.456, 0.406], [0.2, 0.21, 0.22])
    card, checks = register("mine", "timm:test_resnet", path, labels=nine, **folders)
    assert card.preprocess.mean == (0.485, 0.456, 0.406)
    assert card.preprocess.std == (0.2, 0.21, 0.22)
    assert said(checks).startswith("mean (0.485, 0.456, 0.406), std (0.2, 0.21, 0.22), as the checkpoint holds it")


@pytest.mark.slow
def test_pixels_of_255_come_with_their_scale(tiny, nine, folders, tmp_path):
    path = saved(tmp_path / "n.safetensors", tiny.state_dict(), [123.7, 116.3, 103.5], [58.4, 57.1, 57.4])
    card, _ = register("mine", "timm:test_resnet", path, labels=nine, **folders)
    assert (card.preprocess.scale, card.preprocess.mean) == (255, (123.7, 116.3, 103.5))


def test_a_factory_needs_no_more_than_its_size(nine, folders, tmp_path, factories):
    from importlib import import_module

    state = import_module(factories).seeded().state_dict()
    path = saved(tmp_path / "n.safetensors", state, [0.1, 0.2, 0.3], [0.4, 0.5, 0.6], ("mu", "sigma"))
    arch = f"python:{factories}:Net"
    with pytest.raises(CardError, match="--size"):
        register("mine", arch, path, labels=nine, **folders)
    card, _ = register("mine", arch, path, labels=nine, size=32, **folders)
    assert card.preprocess.mean == (0.1, 0.2, 0.3)


def test_a_contradiction_is_refused_with_both(tiny, nine, card, folders, tmp_path):
    path = saved(tmp_path / "n.safetensors", tiny.state_dict(), [0.4, 0.4, 0.4], [0.5, 0.5, 0.5])
    message = r"mean \(0\.4, 0\.4, 0\.4\), std.*mean \(0\.5, 0\.5, 0\.5\), std"
    with pytest.raises(WeightsError, match=message):
        load_model(card(path), Place(tmp_path))
    with pytest.raises(WeightsError, match=r"leave out --mean, --std and --scale"):
        register("mine", "timm:test_resnet", path, labels=nine, mean=(0.1, 0.1, 0.1), **folders)
    assert not folders["cards_folder"].exists()
