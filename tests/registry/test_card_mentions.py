"""Which card files a leaderboard has to read."""

import pytest
from card_texts import CARD

from registry.card_files import read_card_files, read_cards
from registry.card_mentions import BUILTIN_FOLDER, files_about


@pytest.fixture
def folder(tmp_path):
    for name in ("mine", "mine-2", "yours"):
        (tmp_path / f"{name}.yaml").write_text(CARD.format(name=name, more=""))
    return tmp_path


def stems(paths):
    return [path.stem for path in paths]


def test_only_files_that_name_a_model(folder):
    assert files_about(["nobody"], folder) == {}
    assert files_about([], None) == {}
    assert stems(files_about(["mine"], folder)) == ["mine"]
    assert stems(files_about(["world-standard-0", "yours"], folder)) == ["world", "yours"]
    world = BUILTIN_FOLDER / "world.yaml"
    assert files_about(["world-standard-0"], None) == {world: world.read_bytes()}


@pytest.mark.parametrize(
    "more",
    ["retired: true", "formerly: [older]", '"retire\\x64": true', "description: 'a \\ in it'"],
)
def test_all_files_where_a_card_is_about_more_than_its_name(folder, more):
    (folder / "hidden.yaml").write_text(CARD.format(name="hidden", more=more))
    everything = files_about([], folder)
    assert everything == files_about(["mine"], folder)
    assert dict(read_card_files(everything)) == dict(read_cards(folder))


def test_what_cannot_be_read_has_no_cards(folder):
    (folder / "lost.yaml").symlink_to(folder / "nowhere")
    (folder / "deep.yaml").mkdir()
    assert stems(files_about(["mine", "lost"], folder)) == ["mine"]


def test_two_cards_of_one_name_are_found_together(folder):
    (folder / "again.yaml").write_text(CARD.format(name="mine", more=""))
    found = read_card_files(files_about(["mine"], folder))
    assert "mine" not in found and "taken twice" in str(found.broken["mine"])
