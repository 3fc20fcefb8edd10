"""Label spaces, the sixteen categories, the mean rule, mapping files, and class orders that files state."""

import json
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from registry.labels import classes_beside, decide, label_space, labels_of_names, match_names, stated_classes
from registry.user_errors import LabelError

SIZES = {
    "airplane": 1, "bear": 4, "bicycle": 2, "bird": 49, "boat": 5, "bottle": 7, "car": 3, "cat": 6,
    "chair": 4, "clock": 3, "dog": 109, "elephant": 2, "keyboard": 2, "knife": 1, "oven": 1, "truck": 8,
}  # fmt: skip


def test_the_sixteen_categories():
    grouping = label_space("imagenet1k").grouping("geirhos16")
    groups = dict(zip(grouping.categories, grouping.indices, strict=True))
    assert {name: len(members) for name, members in groups.items()} == SIZES
    members = [i for group in groups.values() for i in group]
    assert len(members) == len(set(members)) == 207 and list(groups) == sorted(groups)
    omitted = {7, 9, 17, 21, 84, 85, 86, 97, 134, 204, 227, 242, 251, 258, 260, 264, 407, 627, 654}
    assert not omitted & set(members)


@pytest.mark.slow
def test_what_each_space_answers_in():
    also = {
        "imagenet1k": ("geirhos16",), "imagenet1001": ("imagenet1k", "geirhos16"), "world16": (), "geirhos16": (),
        "imagenet22k": ("geirhos16",), "imagenet22k-ms": ("imagenet1k", "geirhos16"),
    }  # fmt: skip
    assert {name: label_space(name).answers[1:] for name in also} == also
    with pytest.raises(LabelError, match="answers in world16"):
        label_space("world16").grouping("geirhos16")


@pytest.mark.parametrize("name", ["imagenet12k", "imagenet21k", "imagenet21k-miil", "imagenet22k"])
def test_larger_imagenets_group_the_same_synsets(name):
    base, large = label_space("imagenet1k"), label_space(name)
    if "geirhos16" not in large.answers:
        pytest.skip(f"{name} lacks some of the 207 synsets")
    for mine, theirs in zip(base.grouping("geirhos16").indices, large.grouping("geirhos16").indices, strict=True):
        assert [base.classes[i] for i in mine] == [large.classes[i] for i in theirs]


def test_the_first_of_exact_ties_wins():
    grouping = label_space("imagenet1k").grouping("geirhos16")
    logits = torch.full((1, 1000), -50.0)
    logits[0, 7] = 50.0
    flat = decide(torch.zeros(1, 1000), grouping)
    assert len(flat.unique()) == 1 and grouping.categories[flat.argmax()] == "airplane"


@pytest.mark.parametrize("gap", [120.0, 900.0])
def test_the_answer_stands_where_another_class_takes_all(gap):
    grouping = label_space("imagenet1k").grouping("geirhos16")
    outputs = dict(zip(grouping.categories, grouping.indices, strict=True))
    logits = torch.zeros(2, 1000)
    logits[:, 7], logits[0, outputs["boat"][0]], logits[1, outputs["cat"][0]] = gap, 9.0, 9.0
    found = decide(logits.requires_grad_(), grouping)
    assert [grouping.categories[i] for i in found.argmax(1)] == ["boat", "cat"]
    assert 0 < found.max() < 1e-20
    found.sum().backward()
    assert logits.grad.isfinite().all()


@pytest.mark.slow
@given(st.integers(0, 2**31), st.integers(1, 6))
def test_decisions_equal_a_plain_computation(seed, count):
    logits = torch.randn(count, 1000, generator=torch.Generator().manual_seed(seed)) * 5
    grouping = label_space("imagenet1k").grouping("geirhos16")
    wide = logits.double().numpy()
    p = np.exp(wide - wide.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    expected = np.stack([p[:, list(group)].mean(1) for group in grouping.indices], 1)
    np.testing.assert_allclose(decide(logits, grouping), expected, rtol=1e-6)
    alone = torch.cat([decide(row[None], grouping) for row in logits])
    assert torch.equal(alone, decide(logits, grouping))


def test_a_mapping_file_by_index_name_and_synset(tmp_path):
    text = "classes: [robin, jay, sedan, tree]\ngroups: {bird: [0, jay], car: [sedan]}\nspace: two\n"
    (path := tmp_path / "mine.yaml").write_text(text)
    space = label_space(str(path))
    assert space.answers == ("mine", "two") and space.grouping("two").indices == ((0, 1), (2,))
    text = "classes: imagenet1k\ngroups: {plane: [n02690373, 'warplane, military plane']}\nspace: planes\n"
    path.write_text(text)
    space = label_space(str(path))
    assert space.answers == ("mine", "imagenet1k", "geirhos16", "planes")
    assert space.grouping("planes").indices == ((404, 895),)
    path.write_text(f"classes: [{', '.join([*SIZES][::-1])}]\n")  # the sixteen categories in an order of one's own
    assert label_space(str(path)).grouping("geirhos16").indices == tuple((i,) for i in range(15, -1, -1))


@pytest.mark.parametrize(("text", "message"), [
    ("groups: {a: [0]}", "expected `classes:`"),
    ("classes: [a, a]", "listed twice: a"),
    ("classes: [a, b]\ngroups: {x: [2]}", "an index from 0 to 1"),
    ("classes: [a, b]\ngroups: {x: [c]}", "'c' is not an output"),
    ("classes: [a, b]\ngroups: {x: [0], y: [0, 1]}", "0 is not an output"),
    ("classes: [a, b]\ngroups: {x: 0}", "expected category -> list"),
    ("classes: [a, b]\nspace: geirhos16\ngroups: {x: [0]}", "do not fit: airplane"),
    ("classes: [a, b]\ngroups: {x: [0]}", "field 'space'"),
    ("classes: [a, b]\ncolour: red", "no field is called colour"),
    ("name: world16\nclasses: [a, b]", "built-in label space"),
    ("classes: [a", "not valid YAML"),
])  # fmt: skip
def test_a_bad_mapping_file_says_what_was_expected(tmp_path, text, message):
    (path := tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(LabelError, match=f"{re.escape(str(path))}.*{re.escape(message)}"):
        label_space(str(path))


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


IMAGENET = label_space("imagenet1k")
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


def test_names_of_other_labels_are_refused_and_a_few_other_words_are_not(tmp_path):
    words = [*WORDS]
    words[3], words[7] = "a shark", "somebody's cock"
    space, text, _ = labels_of_names(words, None, "net", tmp_path)
    assert space == "imagenet1k" and "998 of 1000 names" in text
    assert "not matched: 3 'a shark', 7 'somebody's cock'" in text
    assert labels_of_names([*words[500:], *words[:500]], None, "net", tmp_path)[0] != "imagenet1k"
    with pytest.raises(LabelError, match="output 0 is named 'Afghan hound', which is its class 160"):
        labels_of_names(sorted(WORDS), "imagenet1k", "net", tmp_path)
    with pytest.raises(LabelError, match="it has 1000 classes, and 3 are named"):
        labels_of_names(ANIMALS, "imagenet1k", "net", tmp_path)
    assert labels_of_names(WORDS, "imagenet1k", "net", tmp_path)[0] == "imagenet1k"


def test_a_word_of_two_classes_stands_for_both_where_it_is_listed_twice():
    assert match_names(["crane", "bear", "crane"]) == ("n02012849", "bear", "n03126707")
    assert match_names(["crane", "bear"]) == ("", "bear")
