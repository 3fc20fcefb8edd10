"""Class orders that files state are read in every form, and contradictions are refused."""

import json
from types import SimpleNamespace

import pytest

from registry.class_statements import Statement, class_list_of, classes_beside, contradiction, stated_classes
from registry.errors import LabelError
from registry.labels import built_in_space

ANIMALS = ("bear", "cat", "dog")
FORMS = {
    "name to index": {"class_to_idx": {"cat": 1, "bear": 0, "dog": 2}},
    "index to name": {"id2label": {2: "dog", 0: "bear", 1: "cat"}},
    "index as text": {"idx_to_class": {"2": "dog", "0": "bear", "1": "cat"}},
    "list": {"state_dict": {}, "classes": ["bear", "cat", "dog"]},
    "settings of Lightning": {"hyper_parameters": {"data": {"label_names": ANIMALS}}},
    "attributes": {"args": SimpleNamespace(names=["bear", "cat", "dog"])},
    "twice alike": {"classes": ["bear", "cat", "dog"], "class_to_idx": {"bear": 0, "cat": 1, "dog": 2}},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read(form):
    assert stated_classes(FORMS[form], "net.pt").names == ANIMALS


@pytest.mark.parametrize(
    "content", [{"classes": 3}, {"labels": [1, 2]}, {"id2label": {0: "LABEL_0", 1: "LABEL_1"}}, {"names": ["cat"]}, []]
)
def test_what_states_no_order_is_left_alone(content):
    assert stated_classes(content, "net.pt") is None


def test_gaps_and_two_orders_are_refused():
    with pytest.raises(LabelError, match="not 0, 1, 2"):
        stated_classes({"class_to_idx": {"cat": 0, "dog": 2}}, "net.pt")
    with pytest.raises(LabelError, match="output 0 is 'cat' in classes and 'dog' in names"):
        stated_classes({"classes": ["cat", "dog"], "names": ["dog", "cat"]}, "net.pt")


def test_a_list_beside_the_weights_is_read(tmp_path):
    weights = tmp_path / "net.pt"
    assert classes_beside(weights) is None
    (tmp_path / "labels.txt").write_text("bear\ncat\ndog\n")
    assert classes_beside(weights) == Statement(names=ANIMALS, where="labels.txt")
    (tmp_path / "net.class_to_idx.json").write_text(json.dumps({"dog": 0, "cat": 1}))
    assert classes_beside(weights).names == ("dog", "cat")


def test_names_are_matched_to_imagenet():
    space = built_in_space("imagenet1k")
    usual = class_list_of(Statement(names=tuple(word.split(",")[0] for word in space.words), where="classes"), "net")
    assert usual.matched == space.classes  # "crane" is there twice, at its places
    as_text = class_list_of(Statement(names=tuple(sorted(map(str, range(1000)))), where="class_to_idx"), "net")
    assert as_text.matched[:3] == (space.classes[0], space.classes[1], space.classes[10])
    reversed_ids = class_list_of(Statement(names=space.classes[::-1], where="classes"), "net")
    assert reversed_ids.matched == space.classes[::-1]
    assert "'n01440764' is output 0 of the one and output 999 of the other" in contradiction(usual, reversed_ids) or (
        "output 0 of the one and output 999" in contradiction(usual, reversed_ids)
    )
    assert not contradiction(usual, usual)
    with pytest.raises(LabelError, match="names two outputs 'cat'"):
        class_list_of(Statement(names=("cat", "dog", "cat"), where="classes"), "net")
