"""Lists of corruptions: what a file may say, what a third party's function may return."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import transforms_listing_toys
from tensors import assert_close

from benchmark.contracts import Block
from benchmark.failures import PluginError
from benchmark.identity import block_key
from benchmark.testing import toy_stimuli
from benchmark.transforms.listing import CorruptionEntry, own_list, parse, transform

GOOD = """
defaults: {family: noise, unit: share, citation: somebody, function: "a.b:c"}
corruptions:
  grain: {levels: [0.1, 0.2]}
  mist: {family: weather, levels: [low, high], plain: [low], ordered: false}
"""


def changed(**fields):
    """A list of one corruption with some fields changed (None: left out)."""
    given = {"family": "noise", "unit": "u", "citation": "c", "levels": "[1]", "function": "a.b:c", **fields}
    return "corruptions:\n  one: {" + ", ".join(f"{n}: {v}" for n, v in given.items() if v is not None) + "}"


def test_entries_start_with_the_defaults():
    found = parse(GOOD, "here")
    assert list(found) == ["grain", "mist"]
    assert (found["grain"].family, found["mist"].family) == ("noise", "weather")
    assert found["grain"].condition(0.1) == "grain/0.1"
    assert found["mist"].impaired == ("high",) and not found["mist"].ordered
    assert {entry.citation for entry in found.values()} == {"somebody"}


@pytest.mark.parametrize(("text", "message"), [
    ("a: [", "It is not valid YAML"),
    ("corruptions: {}", "expected `corruptions:`"),
    (changed(colour="red"), "field 'colour': expected: no such field; fields are name, family"),
    (changed(citation=None), "field 'citation' is missing"),
    (changed(levels="[[1]]"), "field 'levels.0.bool': expected"),
    *((text, "expected a name without '/', either") for text in (
        changed(plain="[2]"), changed(levels='[1, "1"]'), changed(transform="d.e:f"),
        changed().replace("one", "one/two"),
    )),
    ("defaults: [a]\ncorruptions: {one: {}}", "and `defaults:`, fields"),
    ("corruptions: {one: 3}", "expected `corruptions:`"),
])  # fmt: skip
def test_a_list_that_cannot_be_used_says_where_and_why(text, message):
    with pytest.raises(PluginError, match=re.escape(message)) as raised:
        parse(text, "their/corruptions.yaml")
    assert "their/corruptions.yaml" in str(raised.value) and "\n" not in str(raised.value)


def entry(function, **fields):
    return CorruptionEntry(
        name="grain", family="noise", levels=(0.5,), unit="u", citation="c", function=function, **fields
    )


def test_a_function_becomes_a_transform_of_its_level_and_its_code():
    made = transform(entry("transforms_listing_toys:darken", version=3), 0.5, jpeg85=True)
    images = torch.rand(4, 3, 8, 8)
    assert_close(made.apply(images, np.zeros(4, np.uint64)), images * 0.5)
    assert made.name == "grain/0.5" and not made.stored
    assert made.params["version"] == 3 and made.params["level"] == 0.5
    other, block = transform(entry("transforms_listing_toys:grain"), 0.5), Block(stimuli=toy_stimuli("natural"))
    alike = (replace(one, params={}) for one in (made, other))  # as if name and parameters were equal
    assert len({block_key(replace(block, transform=one)) for one in alike}) == 2


def test_options_go_to_those_that_take_them():
    common = own_list("imagenet-c")
    assert transform(common["fog"], 3, jpeg85=True, quantise="truncate").params["jpeg85"] is True
    assert transform(own_list("human")["contrast"], "c05", jpeg85=True).params["quantise"] == "round"


@pytest.mark.parametrize("path", ["no.such.module:f", "transforms_listing_toys:nothing", "x"])
def test_a_function_that_does_not_load_is_named(path):
    with pytest.raises(PluginError, match="'grain'"):
        transform(entry(path), 0.5)


@pytest.mark.parametrize(("change", "message"), [
    (lambda x: x[:, :, :4], "expected the same shape"),
    (lambda x: (x * 255).to(torch.uint8), "same shape"), (lambda x: x + 1, "in [0, 1]"),
    (lambda x: x * float("nan"), "in [0, 1]"),
])  # fmt: skip
def test_what_a_function_returns_is_checked(change, message, monkeypatch):
    monkeypatch.setattr(transforms_listing_toys, "darken", lambda x, *_: change(x))
    made = transform(entry("transforms_listing_toys:darken"), 0.5)
    with pytest.raises(PluginError, match=re.escape(message)):
        made.apply(torch.rand(2, 3, 8, 8) * 0.9 + 0.05, np.zeros(2, np.uint64))
