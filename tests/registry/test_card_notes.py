"""What boards ask of card files, remembered by their content."""

import json

import pytest
from card_texts import CARD

from registry import card_notes as notes_room
from registry.card_files import read_card_files
from registry.card_mentions import card_files
from registry.card_notes import CardNote, card_notes

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
PLAIN = {
    "size": 224,
    "resize": 256,
    "interpolation": "bilinear",
    "mean": MEAN,
    "std": STD,
    "channels": "rgb",
    "scale": 1.0,
    "fixed_size": False,
}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "cards"
    folder.mkdir()
    write(folder, "mine", f"sha256: {'a' * 64}")
    write(folder, "other", "retired: true\nformerly: [older, oldest]")
    return folder


@pytest.fixture
def memory(tmp_path):
    return tmp_path / "home" / "card-notes.json"


def write(folder, name, more="", stem=None):
    (folder / f"{stem or name}.yaml").write_text(CARD.format(name=name, more=more))


def notes(folder, memory):
    return card_notes({path: path.read_bytes() for path in card_files(folder)}, memory)


def nobody(path, content):
    raise AssertionError(f"{path.stem} is read")


def test_notes_are_what_the_cards_say(folder, memory):
    for _ in range(2):
        found = notes(folder, memory)
        assert found["mine"] == CardNote("mine", False, [], "a" * 64, "timm:resnet18", PLAIN)
        assert found["other"][1:3] == (True, ["older", "oldest"])


def test_they_are_of_the_cards_that_can_be_chosen(folder, memory):
    write(folder, "mine", stem="again")  # two of one name: neither
    write(folder, "world-standard-0")  # nor of a built-in card's
    write(folder, "broken", "colour: red")
    (folder / "none.yaml").write_text("a: [")
    (folder / "list.yaml").write_text("[1, 2]")
    (folder / "several.yml").write_text(
        "defaults: {source: file, arch: 'timm:resnet18', preprocess: {size: 64, resize: 64}}\n"
        "cards: [{name: one}, {name: two, sha256: x}, {name: three}, {name: three}]\n"
    )
    shelf = read_card_files(card_files(folder))
    assert {"other", "one"} <= shelf.keys()
    assert not {"mine", "world-standard-0", "broken", "two", "three"} & shelf.keys()
    for _ in range(2):
        found = notes(folder, memory)
        assert found.keys() == shelf.keys()
        for name, card in shelf.items():
            plain = card.model_dump(mode="json")
            assert found[name] == CardNote(*(plain[field] for field in CardNote._fields))


def test_a_file_is_read_again_when_its_content_changes(folder, memory, monkeypatch):
    before = notes(folder, memory)
    monkeypatch.setattr("registry.card_files.cards_of", nobody)
    assert notes(folder, memory) == before
    write(folder, "mine", f"sha256: {'b' * 64}")
    with pytest.raises(AssertionError, match="mine is read"):
        notes(folder, memory)
    monkeypatch.undo()
    assert notes(folder, memory)["mine"].sha256 == "b" * 64
    write(folder, "mine", f"sha256: {'a' * 64}")
    assert notes(folder, memory) == before


def test_nothing_counts_that_other_code_has_read(folder, memory, monkeypatch):
    notes(folder, memory)
    monkeypatch.setattr("registry.card_files.cards_of", nobody)
    monkeypatch.setattr(notes_room, "_READERS", ("cards", "checks"))
    with pytest.raises(AssertionError, match="is read"):
        notes(folder, memory)


DAMAGED = (
    *("", "{", "[]", "7", "[" * 10_000, '{"k": 1}', '{"k": [1]}', '{"k": [[1, 2]]}'),
    *('{"k": [["n", false, 7, null, "a", null]]}', '{"k": [[1, false, [], null, "a", null]]}'),
)


def test_a_damaged_memory_counts_as_none(folder, memory):
    before = notes(folder, memory)
    for damage in DAMAGED:
        memory.write_text(damage)
        assert notes(folder, memory) == before, damage
        assert len(json.loads(memory.read_bytes())) > 2, damage


def test_notes_are_made_where_nothing_can_be_remembered(folder, memory):
    memory.mkdir(parents=True)
    assert {"mine", "other"} <= notes(folder, memory).keys()


def test_the_memory_does_not_grow_for_ever(folder, memory, monkeypatch):
    size = len(list(card_files(folder)))
    monkeypatch.setattr(notes_room, "MOST_FILES", size + 1)
    for digit in "abcd":
        write(folder, "mine", f"sha256: {digit * 64}")
        assert notes(folder, memory)["mine"].sha256 == digit * 64
        assert size <= len(json.loads(memory.read_bytes())) <= size + 1
