"""Class orders that files state are read in every form, and contradictions are refused."""

import json

import pytest

from registry.labels import built_in_space, classes_beside, label_space, labels_of_names, match_names, stated_classes
from registry.user_errors import LabelError

ANIMALS = ("bear", "cat", "dog")
FORMS = {
    "name to index": {"class_to_idx": {"cat": 1, "bear": 0, "dog": 2}},
    "index to name": {"id2label": {2: "dog", 0: "bear", 1: "cat"}},
    "index as text": {"idx_to_class": {"2": "dog", "0": "bear", "1": "cat"}},
    "list": {"state_dict": {}, "classes": ["bear", "cat", "dog"]},
    "settings of Lightning": {"hyper_parameters": {"data": {"label_names": ANIMALS}}},
    "twice alike": {"classes": ["bear", "cat", "dog"], "class_to_idx": {"bear": 0, "cat": 1, "dog": 2}},
}
NO_ORDER = {"classes": 3}, {"labels": [1, 2]}, {"id2label": {0: "LABEL_0", 1: "LABEL_1"}}, {"names": ["cat"]}, []


def test_every_form_is_read_and_gaps_and_two_orders_are_refused():
    assert {name: stated_classes(form, "net.pt")[0] for name, form in FORMS.items()} == dict.fromkeys(FORMS, ANIMALS)
    assert [stated_classes(content, "net.pt") for content in NO_ORDER] == [None] * 5
    with pytest.raises(LabelError, match="not 0, 1, 2"):
        stated_classes({"class_to_idx": {"cat": 0, "dog": 2}}, "net.pt")
    with pytest.raises(LabelError, match="output 0 is 'cat' in classes and output 0 is 'dog' in names"):
        stated_classes({"classes": ["cat", "dog"], "names": ["dog", "cat"]}, "net.pt")


def test_a_list_beside_the_weights_is_read(tmp_path):
    weights = tmp_path / "net.pt"
    assert classes_beside(weights) is None
    (tmp_path / "labels.txt").write_text("bear\ncat\ndog\n")
    assert classes_beside(weights) == (ANIMALS, "labels.txt")
    (tmp_path / "net.class_to_idx.json").write_text(json.dumps({"dog": 0, "cat": 1}))
    assert classes_beside(weights)[0] == ("dog", "cat")


IMAGENET = built_in_space("imagenet1k")
WORDS = [words.split(",")[0] for words in IMAGENET.words]
ORDERS = {
    "names": (WORDS, IMAGENET.classes),
    "numbers as text": (sorted(map(str, range(1000))), [IMAGENET.classes[i] for i in sorted(range(1000), key=str)]),
    "ids, reversed": (IMAGENET.classes[::-1], IMAGENET.classes[::-1]),
    "ids with words": ([f"{a}_{b}" for a, b in zip(IMAGENET.classes, WORDS, strict=True)], IMAGENET.classes),
    "names in their order": (sorted(WORDS), [IMAGENET.classes[i] for i in sorted(range(1000), key=WORDS.__getitem__)]),
}


@pytest.mark.parametrize("order", ORDERS)
def test_names_in_any_order_are_imagenets_classes(order, tmp_path):
    names, wnids = ORDERS[order]
    space = label_space(labels_of_names(names, None, "net", tmp_path)[0])
    assert (space.classes, space.name == "imagenet1k") == (tuple(wnids), tuple(wnids) == IMAGENET.classes)
    assert {"imagenet1k", "geirhos16"} <= {*space.answers}


def test_a_few_other_words_leave_the_space_as_it_is(tmp_path):
    words = [*WORDS]
    words[3], words[7] = "a shark", "somebody's cock"
    space, text, _ = labels_of_names(words, None, "net", tmp_path)
    assert space == "imagenet1k" and "998 of 1000 names" in text
    assert "not matched: 3 'a shark', 7 'somebody's cock'" in text
    assert labels_of_names([*words[500:], *words[:500]], None, "net", tmp_path)[0] != "imagenet1k"


def test_names_that_contradict_the_labels_are_refused(tmp_path):
    with pytest.raises(LabelError, match="output 0 is named 'Afghan hound', which is its class 160"):
        labels_of_names(sorted(WORDS), "imagenet1k", "net", tmp_path)
    with pytest.raises(LabelError, match="it has 1000 classes, and 3 are named"):
        labels_of_names(ANIMALS, "imagenet1k", "net", tmp_path)
    assert labels_of_names(WORDS, "imagenet1k", "net", tmp_path)[0] == "imagenet1k"


def test_a_word_of_two_classes_stands_for_both_where_it_is_listed_twice():
    assert match_names(["crane", "bear", "crane"]) == ("n02012849", "bear", "n03126707")
    assert match_names(["crane", "bear"]) == ("", "bear")
