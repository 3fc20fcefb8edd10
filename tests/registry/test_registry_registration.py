"""Registering and checking: what is written, and what is refused with nothing written."""

import pytest
import torch

from registry.cards import read_cards
from registry.determinism_checks import check
from registry.errors import CardError, UnknownName, WeightsError
from registry.files import Place, digest_state
from registry.loading import availability, load_model
from registry.register import register


@pytest.fixture
def checkpoint(tiny, tmp_path):
    torch.save({"state_dict": tiny.state_dict()}, tmp_path / "net.pt")
    return tmp_path / "net.pt"


HALF = {"size": 32, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


def results(card, tmp_path):
    return {r.name: r for r in check(load_model(card, Place(tmp_path)))}


@pytest.mark.slow
def test_registering_freezes_digest_and_preprocessing(tiny, checkpoint, nine, folders):
    card, checks = register("mine", "timm:test_resnet", checkpoint, labels=nine, training=("standard",), **folders)
    assert all(result.ok for result in checks)
    assert len(checks) == 17
    assert card == read_cards(folders["cards_folder"])["mine"]
    assert card.sha256 == digest_state(tiny.state_dict())
    how = card.preprocess
    assert (how.size, how.resize, how.interpolation) == (160, 183, "bilinear")
    assert (how.mean, how.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert card.training == ("standard",)
    shelf = read_cards(folders["cards_folder"])
    again = load_model(shelf["mine"], folders["place"])
    assert again.digest == card.sha256


@pytest.mark.slow
def test_overrides_win(checkpoint, nine, folders):
    card, _ = register(
        "mine", "timm:test_resnet", checkpoint, labels=nine, size=64, channels="bgr", mean=None,
        scale=2.0, interpolation="bicubic", **folders,
    )  # fmt: skip
    how = card.preprocess
    assert (how.size, how.resize, how.channels, how.scale) == (64, 73, "bgr", 2.0)
    assert how.interpolation == "bicubic"
    assert how.mean == (0.485, 0.456, 0.406)


@pytest.mark.slow
def test_a_taken_name(checkpoint, nine, folders):
    register("mine", "timm:test_resnet", checkpoint, labels=nine, **folders)
    for name in ("mine", "resnet50"):
        with pytest.raises(CardError, match="there already"):
            register(name, "timm:test_resnet", checkpoint, labels=nine, **folders)


def test_a_factory_must_say_how_its_input_is_made(factories, nine, folders):
    arch = f"python:{factories}:seeded"
    with pytest.raises(CardError, match="--size, --mean, --std"):
        register("mine", arch, labels=nine, **folders)
    card, _ = register("mine", arch, labels=nine, **HALF, **folders)
    assert card.source == "python"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"weights": None}, WeightsError, "is not there"),
        ({"labels": "world16"}, WeightsError, "class count"),
        ({"labels": "imagenet"}, UnknownName, "imagenet1k"),
        ({"arch": "timm:resnet18"}, WeightsError, "does not fit the architecture"),
        ({"arch": "resnet18"}, CardError, "did you mean timm:resnet18 or torchvision:resnet18"),
        ({"name": "a b"}, CardError, "field 'name'"),
        ({"std": (0, 1, 1)}, CardError, "field 'std"),
        ({"size": 600, "resize": 500}, CardError, "at least size"),
    ],
)
def test_refusals_write_nothing(arguments, error, message, checkpoint, nine, folders, tmp_path):
    given = {
        "name": "mine", "arch": "timm:test_resnet", "weights": checkpoint, "labels": nine, **arguments,
    }  # fmt: skip
    if given["weights"] is None:
        given["weights"] = tmp_path / "none.pt"
    with pytest.raises(error, match=message):
        register(**given, **folders)
    assert not folders["cards_folder"].exists()


@pytest.mark.parametrize(
    ("network", "failing", "detail"),
    [
        ("Probabilities", "logits, not probabilities", "final softmax"),
        ("Noisy", "same answer twice", "differ by up to"),
        ("Infinite", "finite logits", "NaN or infinite"),
        ("Detached", "gradients reach the input", "none"),
        ("Flat", "gradients reach the input", "gradient is 0"),
        ("Neighbours", "same answer alone", "its batch decides"),
    ],
)
def test_a_network_that_fails_a_check(network, failing, detail, card, factories, folders, tmp_path):
    arch = f"python:{factories}:{network}"
    found = results(card(None, source="python", arch=arch), tmp_path)
    assert not found[failing].ok
    assert detail in found[failing].detail
    with pytest.raises(WeightsError, match=failing):
        register("mine", arch, labels=card(None).labels, **HALF, **folders)
    assert not folders["cards_folder"].exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mean", "scale", "hint"), [(127.0, None, "--scale 255"), (-0.1, None, "--scale"), (256.0, 255.0, "within 0..255")]
)
def test_a_mean_that_is_no_pixel_is_refused(mean, scale, hint, checkpoint, nine, folders):
    """A network that is fed (x - 127) / 128 of pixels in 0..1 sees one grey."""
    how = {"size": 32, "mean": (mean, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "scale": scale}
    with pytest.raises(CardError, match=f"mean.*{hint}"):
        register("mine", "timm:test_resnet", checkpoint, labels=nine, **how, **folders)
    how |= {"mean": (127.0, 127.0, 127.0), "std": (128.0,) * 3, "scale": 255.0}
    assert register("mine", "timm:test_resnet", checkpoint, labels=nine, **how, **folders)


def test_a_network_that_does_not_look_is_refused(card, tmp_path):
    """A constant, and one that is fed a hundredth of the contrast; not one that looks."""
    (tmp_path / "blind.py").write_text(
        "import torch\nclass Net(torch.nn.Module):\n    def __init__(self, num_classes=9, share=1.0):\n        "
        "super().__init__()\n        self.share, self.told = share, torch.nn.Parameter(torch.arange(9.0))\n    def "
        "forward(self, x):\n        return self.told + self.share * 20 * x[:, 0, :3, :3].flatten(1)\n"
    )
    for share, looks in ((0.0, False), (1e-3, False), (1.0, True)):
        mine = card(
            None, source="python", arch=f"python:{tmp_path / 'blind.py'}:Net", options={"kwargs": {"share": share}}
        )
        found = results(mine, tmp_path)["answers differ between images"]
        assert found.ok == looks
        assert looks or "--mean, --std and --scale" in found.detail


@pytest.mark.slow
def test_random_weights_come_from_their_seed_and_are_called_untrained(nine, folders):
    made = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        state = torch.random.get_rng_state()
        made[name], _ = register(name, "timm:test_resnet", f"random:{seed}", labels=nine, training=("own",), **folders)
        assert torch.equal(torch.random.get_rng_state(), state)
    assert made["a"].sha256 == made["b"].sha256 != made["c"].sha256
    assert (made["a"].weights, made["a"].source) == ("random:0", "timm")
    assert made["a"].training == ("untrained", "own")
    again = load_model(made["a"], folders["place"])
    assert again.digest == made["a"].sha256
    assert not again.module.training
    assert availability(made["a"], folders["place"]).on_disk


FIXED = """
import torch
from torch import nn

class Fixed(nn.Module):
    def __init__(self, side=96):
        super().__init__()
        torch.manual_seed(1)
        self.head = nn.Linear(3 * side * side, 9)

    def forward(self, x):
        return self.head(x.flatten(1))
"""


@pytest.mark.slow
@pytest.mark.parametrize("side", [96, 224])
def test_a_factory_that_takes_one_size_only_is_registered_so(side, nine, folders, tmp_path, monkeypatch, factories):
    name = f"fixed_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(FIXED.replace("96", str(side)))
    monkeypatch.syspath_prepend(str(tmp_path))
    how = {**HALF, "size": side}
    card, _ = register("one", f"python:{name}:Fixed", labels=nine, **how, **folders)
    assert card.preprocess.fixed_size
    assert read_cards(folders["cards_folder"])["one"].preprocess.fixed_size
    model = load_model(card, Place(tmp_path))
    for given in (64, 224, 300):
        assert model.forward(model.fit(torch.rand(2, 3, given, given))).shape == (2, 9)
    any_size, _ = register("any", f"python:{factories}:seeded", labels=nine, **how, **folders)
    assert not any_size.preprocess.fixed_size
