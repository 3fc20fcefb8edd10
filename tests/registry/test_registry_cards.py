"""Cards: reading, writing, choosing, and what a person is told about a bad one."""

from pathlib import Path

import pytest

from registry.cards import Preprocess, builtin_cards, read_cards, select_cards, write_card
from registry.errors import CardError, UnknownName
from registry.labels import label_space

GOOD = """
name: mine
source: file
arch: timm:resnet18
weights: net.pt
preprocess: {size: 224, resize: 256}
training: [standard]
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def read_card(path):
    """The one card beside the built-in ones, or its error."""
    shelf = read_cards(path.parent)
    for error in shelf.broken.values():
        raise error
    (name,) = shelf.keys() - builtin_cards().keys()
    return shelf[name]


def test_a_card_survives_writing_and_reading(tmp_path):
    card = builtin_cards()["efficientnet-lite1"].model_copy(update={"name": "mine"})
    path = write_card(card, tmp_path / "cards")
    assert read_card(path) == card
    assert [p.name for p in path.parent.iterdir()] == ["mine.yaml"]
    with pytest.raises(CardError, match="already there"):
        write_card(card, tmp_path / "cards")


def test_relative_paths_start_at_the_card(tmp_path):
    card = read_card(write(tmp_path, "mine.yaml", GOOD + "labels: my.yaml\n"))
    assert card.weights == str(tmp_path / "net.pt")
    assert card.labels == str(tmp_path / "my.yaml")


@pytest.mark.parametrize(
    ("change", "field", "expected"),
    [
        (("size: 224", "size: tall"), "preprocess.size", "integer"),
        (("resize: 256", "resize: 200"), "preprocess", "at least size"),
        (("resize: 256", "resize: 256, std: [1, 0, 1]"), "preprocess.std", "greater than 0"),
        (("resize: 256", "resize: 256, mean: [1, 2]"), "preprocess.mean", "is missing"),
        (("source: file", "source: cloud"), "source", "'timm'"),
        (("arch: timm:resnet18", ""), "arch", "is missing"),
        (("name: mine", "name: a/b"), "name", "letters, digits"),
        (("name: mine", "name: mine\ncolour: red"), "colour", "no such field"),
        (("name: mine", "name: mine\nsha256: abc"), "sha256", "pattern"),
        (("preprocess: {size: 224, resize: 256}", ""), "card", "preprocess"),
    ],
)
def test_a_malformed_card_names_file_field_and_expectation(tmp_path, change, field, expected):
    path = write(tmp_path, "bad.yaml", GOOD.replace(*change))
    with pytest.raises(CardError) as caught:
        read_card(path)
    message = str(caught.value)
    assert str(path) in message
    assert f"'{field}" in message
    assert expected in message
    assert caught.value.exit_code == 2


def test_a_broken_card_hides_no_other(tmp_path):
    write(tmp_path, "mine.yaml", GOOD)
    write(tmp_path, "other.yaml", GOOD.replace("224", "tall"))
    shelf = read_cards(tmp_path)
    assert "mine" in shelf
    assert "resnet50" in shelf
    assert list(shelf.broken) == ["other"]
    with pytest.raises(CardError, match=r"preprocess\.size"):
        select_cards("other", shelf)


def test_two_cards_of_one_name_are_left_out_with_both_places(tmp_path):
    write(tmp_path, "a.yaml", GOOD)
    write(tmp_path, "b.yaml", GOOD)
    write(tmp_path, "c.yaml", GOOD.replace("name: mine", "name: resnet50"))
    shelf = read_cards(tmp_path)
    assert not {"mine", "resnet50"} & set(shelf)
    assert "alexnet" in shelf
    with pytest.raises(CardError, match=r"'mine' is taken twice: by .*b\.yaml and by .*a\.yaml"):
        select_cards("mine", shelf)
    with pytest.raises(CardError, match="the built-in cards"):
        select_cards("resnet50", shelf)


def test_choosing_by_name_glob_and_list():
    cards = builtin_cards()
    assert [c.name for c in select_cards("alexnet, ideal-s*", cards)] == ["alexnet", "ideal-shape"]
    assert [c.name for c in select_cards(["vgg16", "vgg*"], cards)] == ["vgg16"]
    assert len(select_cards("world-*", cards)) == 19
    with pytest.raises(UnknownName, match="Did you mean: resnet50"):
        select_cards("resnet-50", cards)


def test_built_in_cards_are_complete():
    for card in builtin_cards().values():
        assert card.license
        assert card.description
        if card.source == "ideal":
            continue
        assert label_space(card.labels)
        assert card.training
        if not card.name.startswith("world-"):
            assert card.paper
            assert card.year
        if card.arch.startswith("torchvision:") and card.source == "torchvision":
            assert card.options["file"].endswith(".pth")


def test_torchvision_cards_say_what_torchvision_says():
    from torchvision import models

    from registry.preprocessing import stated_input

    for card in builtin_cards().values():
        if card.source == "torchvision":
            entry = models.get_model_weights(card.arch.partition(":")[2])[card.weights]
            assert entry.url.endswith("/" + card.options["file"])
            top1 = entry.meta["_metrics"]["ImageNet-1K"]["acc@1"]
            assert card.reported[0].value == pytest.approx(top1, abs=0.01)
            how = entry.transforms()
            assert [card.preprocess.size, card.preprocess.resize] == [*how.crop_size, *how.resize_size]
        elif card.source == "timm":
            assert card.preprocess == Preprocess(**stated_input(card.arch).fields), card.name
