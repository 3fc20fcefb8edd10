"""Experiments of `bench ask` on a few images of the built-in world."""

import json

import pytest
from ask.browsing import Visitor, browser  # noqa: F401

from benchmark.ask import serving
from benchmark.ask.answers import open_answers
from benchmark.ask.session import Procedure, open_session
from benchmark.stimuli.world.sets import generated_set


@pytest.fixture
def session():
    """session(set, trials, number, **procedure) of the built-in world."""

    def build(name="world-edges", trials=16, number=1, seed=0, **procedure):
        experiment = name.removeprefix("world-")
        return open_session(generated_set(name), experiment, Procedure(**procedure), trials, number, seed)

    return build


@pytest.fixture
def answers(session, tmp_path):
    """Answers to sixteen edge drawings, in a folder."""
    with open_answers(tmp_path / "asked", session()) as kept:
        yield kept


@pytest.fixture
def page(tmp_path):
    """page(**options): the address of a page on disk."""

    def build(stimuli="world-edges", trials=16, **options):
        serving.ask(stimuli, trials=trials, out=tmp_path / "ask.html", **options)
        return (tmp_path / "ask.html").as_uri()

    return build


def said(trial="1", answer="dog", **changes):
    """An answer as a page sends it."""
    return {
        "trial": trial, "object_response": answer, "rt": 0.5, "frame_ms": 16.667, "fixation_ms": 300,
        "stimulus_ms": 200, "mask_ms": 200, "frames": "18/12/12", "late_frames": 0, "degrees": 3, "distance_cm": 60,
        "distance_by": "stated", "screen": "window", "reduced": False, **changes,
    }  # fmt: skip


def sent(answers, person, key, /, *given, **changes):
    """What a page sends."""
    plan = answers.session.plan["id"]
    own = {"plan": plan, "person": person, "key": key, "about": {}, "misunderstood": 0, "answers": given}
    return json.dumps({**own, **changes}).encode()


@pytest.fixture
def visit(browser):  # noqa: F811
    """visit(address, **options): a person's browser, which must not complain nor ask another host."""
    visitors = []

    def go(address, **options):
        visitors.append(Visitor(browser, address, **options))
        return visitors[-1]

    yield go
    for visitor in visitors:
        visitor.close()
        assert visitor.complaints == []
        home = visitor.address.partition("?")[0].rsplit("/", 1)[0]
        assert all(address.startswith((home, "data:", "blob:")) for address in visitor.asked)
