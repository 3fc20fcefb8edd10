"""A model's life after registration: replaced, renamed, retired, removed; and what boards say of it."""

import pytest
import timm
import torch

from benchmark import api
from registry.cards import read_cards

REGISTER = ("--arch", "timm:test_resnet", "--labels", "world16", "--size", 64)
RUN = ("--suite", "cue-conflict", "--limit", 4, "-q", "--batch-size", 8)


@pytest.fixture
def registered(bench):
    """A function that registers a network of a seed under a name."""

    def call(name, seed=0, *more):
        torch.manual_seed(seed)
        torch.save({"model": timm.create_model("test_resnet", num_classes=16).state_dict()}, f"net{seed}.pt")
        return bench("register", name, *REGISTER, "--weights", f"net{seed}.pt", *more)

    return call


def rows(**how):
    return {row.observer: row for board in api.rank(api.Selection().where(**how), "cue-conflict") for row in board.rows}


def outdated():
    return {flag for cell in rows()["mine"].cells.values() for flag in cell.flags if "outdated" in flag}


@pytest.mark.release
def test_a_model_is_replaced_renamed_retired_and_removed(bench, registered, home):
    first = registered("mine").out
    assert "it can run: " in first and "cue-conflict" in first
    assert bench("run", "mine", *RUN).code == 0 and not outdated()

    assert "--replace" in registered("mine", 1).err
    old = read_cards(home / "cards")["mine"].sha256
    assert registered("mine", 1, "--replace").code == 0
    flag = f"outdated: of older weights ({old[:12]})"
    assert outdated() == {flag}
    assert bench("run", "ideal-shape", *RUN).code == 0
    for reader in (("rank", "--summary"), ("export",), ("export", "--scores"), ("compare", "mine", "ideal-shape")):
        assert flag in " ".join(bench(*reader).out.split()), reader
    assert bench("run", "mine", *RUN).code == 0 and not outdated()

    cells = rows()["mine"].cells
    bench("models", "rename", "mine", "yours")
    shown = rows(hide="ideal-*")
    assert set(shown) == {"yours"}
    assert [cell.value for cell in shown["yours"].cells.values()] == [cell.value for cell in cells.values()]
    assert "1 cached" in bench("run", "yours", *RUN).err

    bench("models", "retire", "yours")
    assert rows() == rows(models="your*") == {}
    assert set(rows(models="yours")) == {"yours"}
    assert bench("run", "your*", *RUN).code == 2
    bench("models", "retire", "yours", "--undo")
    assert set(rows()) == {"yours"} and rows(hide="yours") == {}

    bench("models", "remove", "yours")
    assert "yours" not in read_cards(home / "cards") and set(rows()) == {"yours"}


@pytest.mark.slow
def test_built_in_cards_stay_as_they_are(bench, registered, home):
    assert registered("mine").code == 0
    for words, said in (
        (("remove", "resnet50"), "built-in card"), (("rename", "resnet50", "x"), "built-in card"),
        (("retire", "resnet50"), "built-in card"), (("remove", "nobody"), "no registered model is called 'nobody'"),
        (("rename", "mine", "resnet50"), "exists already"), (("rename", "mine", "../mine"), "letters, digits"),
    ):  # fmt: skip
        assert said in bench("models", *words).err, words
    assert "built-in card" in registered("resnet50", 0, "--replace").err
    assert "mine" in read_cards(home / "cards")


def test_a_run_in_which_nothing_ran_is_no_success(bench):
    ended = bench("run", "ideal-shape", "--suite", "adversarial", "-q")
    assert ended.code == 1 and "nothing ran" in ended.err
