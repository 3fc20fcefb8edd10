"""Which picture is painted like which: laws of the plans, without any painting."""

import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from benchmark.stimuli.catalogue import GEIRHOS16, read_pair
from benchmark.stimuli.stylise import Order, Sample, SourcePicture, conflicting, manifest, textured

GENERATOR = {"name": "fake", "version": "1"}


def picture(path, category=""):
    return SourcePicture(Path(path), category, hashlib.sha256(str(path).encode()).hexdigest())


def pictures(folder, sizes, suffix=".jpg"):
    """sizes: category -> how many; names as in the published set ("cat7")."""
    return [
        picture(f"/{folder}/{category}/{category}{i}{suffix}", category)
        for category, n in sizes.items()
        for i in range(1, n + 1)
    ]


PAINTINGS = [picture(f"/paintings/{i}.jpg") for i in range(37)]
CATEGORIES = st.dictionaries(st.sampled_from(GEIRHOS16[:5]), st.integers(1, 4), min_size=2, max_size=4)


def styles_of(pairings):
    return {pair.place: pair.style.digest for pair in pairings}


@given(st.permutations(PAINTINGS), st.integers(1, 30), st.integers(0, 3))
@pytest.mark.slow
def test_a_style_is_chosen_by_seed_and_content_alone(paintings, n, seed):
    contents = pictures("c", {"cat": 10, "dog": 20})
    whole = styles_of(textured(contents, PAINTINGS, seed))
    part = styles_of(textured(contents[-n:], paintings, seed))
    assert part.items() <= whole.items() and len(part) == n
    renamed = [replace(one, path=Path(f"/elsewhere/x{i}.png")) for i, one in enumerate(contents)]
    assert Counter(styles_of(textured(renamed, PAINTINGS, seed)).values()) == Counter(whole.values())


def test_stylised_images_keep_class_and_name():
    made = textured([picture("/c/dog/b.JPEG", "dog"), picture("/c/cat/b.tif", "cat")], PAINTINGS)
    assert [pair.place for pair in made] == ["cat/b.png", "dog/b.png"]
    twins = [picture("/c/cat/a.JPEG", "cat"), picture("/c/cat/a.tif", "cat")]
    refused(r"both become 'cat/a\.png'", textured, twins, PAINTINGS)


@pytest.mark.slow
@given(CATEGORIES, CATEGORIES, st.booleans())
def test_all_pairs_of_different_categories(shapes, textures, same):
    if not same and shapes.keys() == textures.keys() and len(shapes) == 1:
        return
    made = conflicting(pictures("s", shapes), pictures("t", textures), Sample(same=same))
    expected = {
        f"{s}/{s}{i}-{t}{j}.png"
        for s, n in shapes.items()
        for t, m in textures.items()
        if same or s != t
        for i in range(1, n + 1)
        for j in range(1, m + 1)
    }
    places = [pair.place for pair in made]
    assert set(places) == expected and len(places) == len(expected) and places == sorted(places)
    for pair in made:
        cues = read_pair(pair.place.partition("/")[2])
        assert (cues.shape, cues.texture) == (pair.content.category, pair.style.category)


def test_five_of_each_pair_is_the_design_of_the_published_set():
    shapes = pictures("s", dict.fromkeys(GEIRHOS16, 10))
    textures = pictures("t", dict.fromkeys(GEIRHOS16, 3))
    made = conflicting(shapes, textures, Sample(per_pair=5, same=True))
    assert len(made) == 1280
    assert sum(pair.content.category == pair.style.category for pair in made) == 80
    assert len(conflicting(shapes, textures, Sample(per_pair=5))) == 1200
    assert set(Counter(pair.content.path for pair in made).values()) == {8}
    uses = Counter(pair.style.path for pair in made).values()
    assert spread_of(uses) <= 1 and sum(uses) == 1280


@given(st.integers(2, 6), st.integers(1, 7), st.integers(1, 5), st.data())
def test_a_sample_is_balanced(categories, n, m, data):
    names = GEIRHOS16[:categories]
    shapes, textures = (pictures(f, dict.fromkeys(names, k)) for f, k in (("s", n), ("t", m)))
    count = data.draw(st.integers(1, categories * (categories - 1) * n * m))
    made = conflicting(shapes, textures, Sample(count=count), data.draw(st.integers(0, 3)))
    assert len(made) == len({pair.place for pair in made}) == count
    uses = Counter(pair.content.path for pair in made) + Counter(pair.style.path for pair in made)
    cells = Counter((pair.content.category, pair.style.category) for pair in made)
    assert spread_of(cells[s, t] for s in names for t in names if s != t) <= 1
    for part in (shapes, textures):
        for name in names:
            assert spread_of(uses[one.path] for one in part if one.category == name) <= 1


def spread_of(counts):
    counts = list(counts)
    return max(counts) - min(counts)


def test_a_picture_is_never_painted_like_itself():
    both = pictures("s", {"cat": 3})
    made = conflicting(both, both, Sample(same=True))
    assert len(made) == 6 and all(pair.content != pair.style for pair in made)


def test_what_cannot_be_is_said():
    cats, dogs = pictures("s", {"cat": 2}), pictures("t", {"dog": 2})
    refused("no pair of different categories", conflicting, cats, cats, Sample())
    refused("the folders give 4 of shape 'cat' with texture 'dog'", conflicting, cats, dogs, Sample(per_pair=5))
    refused("the folders give 0 pairs", conflicting, cats[:1], cats[:1], Sample(same=True))
    refused("the folders give 4 pairs", conflicting, cats, dogs, Sample(count=9))


def test_the_manifest_holds_all_that_decides_and_no_names_of_files():
    contents, order = pictures("secret", {"cat": 2}), Order(Path("in"), Path("by"), "mine")
    pairings = textured(contents, PAINTINGS)
    text = manifest(order, GENERATOR, pairings, PAINTINGS, 2)
    table = json.loads(text)
    assert table["generator"] == GENERATOR and table["whole"] == 2
    assert table["images"]["cat/cat1.png"] == {"content": contents[0].digest, "style": pairings[0].style.digest}
    assert "secret" not in text and "paintings" not in text
    changes = {"strength": 0.5, "size": 384, "crop": 1.0, "seed": 1, "sample": Sample()}
    orders = [replace(order, **{name: value}) for name, value in changes.items()]
    texts = {text, *(manifest(one, GENERATOR, pairings, PAINTINGS, 2) for one in orders)}
    texts.add(manifest(order, {**GENERATOR, "version": "2"}, pairings, PAINTINGS, 2))
    texts.add(manifest(order, GENERATOR, pairings, PAINTINGS[1:], 2))
    texts.add(manifest(order, GENERATOR, pairings[:1], PAINTINGS, 2))
    assert len(texts) == 9
